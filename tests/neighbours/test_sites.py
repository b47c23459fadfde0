"""Other packages beside jwtauth: each site must show what it shows with Django's session."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.neighbours.settings import SITES
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", SITES)
def test_a_site_shows_the_same_with_jwtauth_as_with_djangos_session(name, subtests):
    command = [sys.executable, "-m", "tests.neighbours.site", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    print(done.stderr)  # shown if a case fails
    cases = json.loads(done.stdout.splitlines()[-1])
    assert cases
    for label, result in cases.items():
        with subtests.test(label):
            assert result["seen"] == result["expected"]
