"""Local times in the database: ``USE_TZ = False``, and connections with a time zone other than UTC."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The zone, USE_TZ, the connection's zone, and by how much the clocks are set twice a year.
SITES = [
    ("America/New_York", False, None, 3600),
    ("Australia/Lord_Howe", False, None, 1800),
    ("Asia/Kolkata", False, None, 0),
    ("UTC", True, "America/New_York", 3600),
    ("Europe/Berlin", True, "Asia/Kolkata", 0),
]


@pytest.mark.parametrize(("zone", "use_tz", "of_connection", "shift"), SITES)
def test_local_times_are_the_right_instants_and_sign_nobody_out(zone, use_tz, of_connection, shift):
    arguments = [zone, str(use_tz), *([of_connection] if of_connection else [])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.local_time", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["off"] == {
        "row": 0,
        "stored": {"created_at": 0, "rotated_at": 0, "expires_at": 86_400, "last_seen_at": 0},
        "api": {"created_at": 0, "expires_at": 86_400},
    }
    assert found["live"] == [1, 0]
    assert len(found["walks"]) == len(found["lives"]) == (2 if shift else 0)
    for out, thefts, generation in found["walks"]:
        assert (out, thefts) == (0, 0)
        assert generation > 20
    # A session that lasts ten minutes lasts no less, and an hour longer at most.
    assert all(lives == [0, 0] for lives in found["lives"])
    assert found["worst"] == 0, "what has just been written is read as it was meant"
