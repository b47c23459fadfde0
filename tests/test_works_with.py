"""`make neighbours`: the table of results of other packages' test suites."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PYTEST_SUITE = """
import pytest

def test_good():
    pass

@pytest.mark.skip(reason="to see it")
def test_left_out():
    pass

def test_bad():
    assert False

@pytest.fixture
def broken():
    raise LookupError

def test_with(broken):
    pass
"""
UNITTEST_SUITE = """
import unittest

class Tests(unittest.TestCase):
    def test_good(self):
        pass

    @unittest.skip("to see it")
    def test_left_out(self):
        pass

    def test_parts(self):
        for part in range(2):
            with self.subTest(part=part):
                self.assertEqual(part, 0)

    @unittest.expectedFailure
    def test_known(self):
        self.fail()

    def test_bad(self):
        raise LookupError

if __name__ == "__main__":
    unittest.main()
"""


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Load `scripts/neighbours.py`, with its table and figures in a temporary folder."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.delitem(sys.modules, "neighbours", raising=False)
    import neighbours

    monkeypatch.setattr(neighbours, "TABLE", tmp_path / "table.md")
    yield neighbours
    sys.modules.pop("neighbours", None)


def result(differences, failed=0):
    counted = {"passed": 9, "skipped": 1, "failed": 0}
    beside = counted | {"failed": failed, "passed": 9 - failed}
    return {"version": "1.0", "alone": counted, "beside": beside, "settled": 0, "differences": differences}


def figures(of_suite):
    return {"python": "3.13.0", "django": "6.1.3", "drf": "3.18.3", "suites": {"package": of_suite}}


def suite(script, **options):
    return script.Suite("package", "1.0", ("pytest",), **options)


def test_suite_with_equal_results_is_a_row_without_a_failure(script):
    assert script.write_table(figures(result({})), [suite(script)]) == 0
    row = "| package | 1.0 | 10 | 9 passed, 1 skipped | 9 passed, 1 skipped | none |"
    assert row in script.TABLE.read_text().splitlines()


@pytest.mark.parametrize(
    ("explanations", "status", "cell"),
    [
        ({}, 1, "1, **1 unexplained**"),
        ({"test_bad$": "it counts queries"}, 0, "1"),
        ({"other": "no"}, 1, "1, **1 unexpl"),
    ],
)
def test_difference_without_an_explanation_fails(script, explanations, status, cell):
    found = figures(result({"tests.test_bad": ["passed", "failed"]}, failed=1))
    assert script.write_table(found, [suite(script, differences=explanations)]) == status
    table = script.TABLE.read_text()
    assert f"| 8 passed, 1 skipped, 1 failed | {cell}" in table
    assert ("it counts queries" in table) is (status == 0)


def test_explanation_without_a_difference_fails(script):
    assert script.write_table(figures(result({})), [suite(script, differences={"test_bad$": "mended"})]) == 1


@pytest.mark.parametrize("found", [None, result({}) | {"beside": {"passed": 0, "skipped": 0, "failed": 0}}])
def test_suite_without_a_result_fails(script, found):
    assert script.write_table(figures(found), [suite(script)]) == 1
    assert "| package | 1.0 | – | not run | not run | – |" in script.TABLE.read_text()


def test_outcomes_are_compared_by_name(script):
    alone = {"a": "passed", "b": "failed", "c": "passed"}
    assert script.Suite.different(alone, {"a": "failed", "b": "failed", "d": "passed"}) == ["a", "c", "d"]
    assert script.as_label("setUpClass (tests.test_x.Tests)") == "tests.test_x.Tests"
    assert script.as_label("unittest.loader._FailedTest.test_x") == ""


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        (
            "pytest",
            PYTEST_SUITE,
            {"good": "passed", "left_out": "skipped", "bad": "failed", "with": "failed"},
        ),
        (
            "script",
            UNITTEST_SUITE,
            {"good": "passed", "left_out": "skipped", "parts": "failed", "known": "passed", "bad": "failed"},
        ),
    ],
)
def test_each_outcome_of_a_test_is_recorded(tmp_path, kind, source, expected):
    (tmp_path / "test_tiny.py").write_text(source)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    results = tmp_path / "results.json"
    options = ["-p", "no:randomly", "-p", "no:django", "-p", "no:cacheprovider"] if kind == "pytest" else []
    runner = [sys.executable, str(ROOT / "scripts/neighbours/run_suite.py"), "baseline", str(results), kind]
    order = [*options, "test_tiny.py"] if kind == "pytest" else ["test_tiny.py", *options]
    done = subprocess.run([*runner, *order], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    recorded = json.loads(results.read_text())
    assert {name.rpartition("test_")[2]: outcome for name, outcome in recorded.items()} == expected
