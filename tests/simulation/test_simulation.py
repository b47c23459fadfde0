"""The short run of the simulator. `make simulate` runs the long one.

It runs in separate processes, because its clock, database and settings differ from the other tests'.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFRESHES = 5_000


def simulate(*arguments, **environment):
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"} | environment
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_many_simulated_worlds_play_without_a_failure():
    done = simulate("--refreshes", str(REFRESHES), "--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 honest users signed out; 0 worlds failed" in done.stdout


def test_worlds_that_failed_before_do_not_fail_again():
    done = simulate("--kept")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 worlds failed" in done.stdout


def test_every_defect_put_into_jwtauth_is_found():
    """The oracles can fail: each defect that is put into jwtauth fails one of them."""
    done = simulate("--mutants")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": seed ") >= 12


def test_a_seed_determines_the_whole_world():
    """It does so even with another hash seed, and therefore another order of sets."""
    runs = [simulate("--only", "2", "--trace", PYTHONHASHSEED=seed).stdout for seed in ("1", "2")]
    assert runs[0] == runs[1]
    assert runs[0].count("/who/") > 100


@pytest.mark.parametrize("name", ["signed_out", "thief_is_served"])
def test_each_oracle_quotes_a_sentence_of_the_documentation(name):
    from tests.simulation.oracles import ORACLES

    assert name in ORACLES
    for path, sentence in ORACLES.values():
        text = " ".join((ROOT / path).read_text().split())
        assert " ".join(sentence.split()) in text, f"{path} does not say: {sentence}"
