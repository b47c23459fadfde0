"""A site switches to jwtauth and back under load, with old and new workers at once: a short run on SQLite.

`make switch` runs it for longer, with more clients, on three databases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.neighbours.switch.traffic import SOURCES
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("source", SOURCES)
def test_no_client_notices_the_switch(source):
    given = ["--sources", source, "--requests", "400", "--clients", "20"]
    command = [sys.executable, "-m", "tests.neighbours.switch.traffic", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["refused"], seen["accepted"], seen["faults"]) == (0, 0, 0)
    assert seen["requests"] == 400
    assert seen["moved"] > 0
