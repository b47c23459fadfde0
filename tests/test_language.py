"""The language rules of CONTRIBUTING.md, as `make lint` holds them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def check(path):
    return subprocess.run([sys.executable, ROOT / "scripts/language.py", path], capture_output=True, text=True)


@pytest.mark.parametrize(
    "text",
    [
        "Nobody is signed in.",
        "# a key of ours",
        "A cookie that is no token.",
        "One's devices.",
        "It asks who is there.",
    ],
)
def test_an_excluded_phrase_is_reported_with_its_line(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(f"First line.\n{text}\n")
    done = check(path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    "text",
    ["There is no token.", "The request is no longer anonymous.", "Write `user`, not `nobody`.", "hours and personal"],
)
def test_plain_sentences_and_quoted_words_pass(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    done = check(path)
    assert (done.returncode, done.stdout) == (0, "")
