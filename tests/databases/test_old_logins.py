"""Live logins move in on every database and isolation level: parallel requests start one session."""

import json
import os
import subprocess
import sys

import pytest

from tests.databases import moving
from tests.databases.served import ROOT
from tests.databases.test_races import DATABASES
from tests.waiting import PATIENCE

SETTINGS = {"ACCEPT_LOGINS_OF": [{"source": "tests.databases.moving.Names", "until": "2999-01-01"}]}


@pytest.mark.parametrize("name", DATABASES)
def test_parallel_requests_with_an_old_credential_start_one_session(make_database, name):
    kind, options = DATABASES[name]
    environment = os.environ | {
        "JWTAUTH_TEST_DATABASES": json.dumps({"default": make_database(kind, **options)}),
        "JWTAUTH_TEST_SETTINGS": json.dumps(SETTINGS),
        "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
    }
    command = [sys.executable, "-m", "tests.databases.moving"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    expected = {
        "statuses": [200] * moving.THREADS,
        "tokens": 1,
        "sessions": 1,
        "back": 200,
        "spent": ["spent", "", True],
        "after": [403, 403],  # a new password
    }
    assert json.loads(done.stdout) == [expected] * moving.ROUNDS
