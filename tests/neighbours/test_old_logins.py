"""Live logins of other packages move in: the cases of each source, on a site where all these packages are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
CASES = sorted(Path(__file__).with_name("moved").glob("*_cases.py"))


@pytest.mark.parametrize("cases", CASES, ids=lambda cases: cases.stem)
def test_the_cases_of_a_source_pass(cases):
    own = f"{cases.stem.removesuffix('_cases')}_settings"
    settings = own if cases.with_name(f"{own}.py").exists() else "settings"
    options = ["-q", "-p", "no:randomly", "--ds", f"tests.neighbours.moved.{settings}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(cases)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
