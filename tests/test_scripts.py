"""`make test` itself: a step that fails is named in the last lines, with its failed tests. And `scripts/api.py`."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TESTS = """
import pytest

@pytest.mark.parametrize("word", ["a word", "two"])
def test_of(word):
    assert word == "two", "not - this"

@pytest.fixture
def broken():
    raise LookupError("FAILED tests/none.py::test_none")

def test_with(broken):
    pass
"""
CARGO = """
running 3 tests
test tests::good ... ok
test tests::bad ... FAILED
test tests::worse ... FAILED

failures:

---- tests::bad stdout ----
    failures: of another kind

failures:
    tests::bad
    crates/jwtauth/src/lib.rs - Keyring::new (line 12)

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s

    Doc-tests jwtauth
"""


def load(name):
    sys.path.insert(0, str(ROOT / "scripts"))  # where Python puts the folder of the script that it runs
    spec = importlib.util.spec_from_file_location(f"make_{name}", ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


@pytest.fixture
def script():
    """`scripts/test.py`, which has run nothing yet."""
    return load("test")


@pytest.mark.parametrize("aside", [False, True])
def test_failed_tests_are_named_in_the_last_lines(script, tmp_path, capfd, aside):
    (tmp_path / "test_tiny.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ("-p", "no:randomly", "-p", "no:django", "-p", "no:cacheprovider", "--no-cov")
    pytest_run = (sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path / "test_tiny.py"))
    assert script.check("Tiny tests", *pytest_run, env={"COLUMNS": "500"}, aside=aside) == 1
    assert script.check("Nothing", sys.executable, "-c", "", aside=aside) == 0
    assert script.check("Rust", sys.executable, "-c", f"print({CARGO!r}); exit(101)", aside=aside) == 101
    assert script.check("lint", sys.executable, "-c", "exit(2)", aside=aside) == 2
    before = capfd.readouterr().out
    assert "1 passed" in before
    assert "== Tiny tests: " in before

    assert script.report() == 1
    last = [re.sub(r"\S+/test_tiny", "test_tiny", line) for line in capfd.readouterr().out.splitlines()]
    assert [line.split()[2:] for line in last[2:6]] == [["Tiny", "tests"], ["Nothing"], ["Rust"], ["lint"]]
    assert last[7:] == [
        "FAILED: Tiny tests:",
        "    FAILED test_tiny.py::test_of[a word] - AssertionError: not - this",
        "    ERROR test_tiny.py::test_with - LookupError: FAILED tests/none.py::test_none",
        "FAILED: Rust:",
        "    tests::bad",
        "    crates/jwtauth/src/lib.rs - Keyring::new (line 12)",
        "FAILED: lint, which names no test; see its output above.",
    ]


def test_a_lane_that_stops_at_an_error_has_failed(script, capfd):
    def lane():
        raise OSError("no such program")

    script.to_the_end(lane)
    assert script.report() == 1
    said = capfd.readouterr()
    assert "FAILED: lane, which names no test" in said.out
    assert "OSError: no such program" in said.err


@pytest.mark.parametrize(
    ("ci", "status", "last_line"),
    [("", 0, "Everything else passed."), ("true", 1, "FAILED: CI=true and not everything was checked.")],
)
def test_a_program_that_is_missing_fails_in_ci_alone(script, capfd, monkeypatch, ci, status, last_line):
    monkeypatch.setenv("CI", ci)
    assert script.check("fuzzing", sys.executable, "-c", f"exit({script.NEEDS_MORE})") == script.NEEDS_MORE
    script.left_out.append("fuzzing (no nightly Rust)")
    assert script.report() == status
    assert f"Left out: fuzzing (no nightly Rust).\n{last_line}\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "passed", "line"),
    [
        ("", 0, True, "as listed in its manifest."),
        ("error: type `other::Thing` not allowed", 1, False, "FAILED."),
        (
            "rustdoc produces JSON format version 99, but this tool requires format version 57.",
            1,
            True,
            "not checked",
        ),
    ],
)
def test_types_of_other_crates_are_looked_for_with_the_rustdoc_that_the_tool_reads(
    monkeypatch, tmp_path, capsys, error, status, passed, line
):
    api, tool = load("api"), tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho '{error}' >&2\nexit {status}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(api, "installed", lambda name: str(tool))
    assert api.exposes_what_it_says({"name": "one", "manifest_path": "Cargo.toml"}) is passed
    said = capsys.readouterr().out
    assert line in said.splitlines()[-1]
    assert passed or error in said
