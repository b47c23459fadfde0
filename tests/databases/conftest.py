"""Databases of each kind, for tests that start processes."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from tests.databases.forks import manage
from tests.databases.rust import build
from tests.databases.served import ROOT, START
from tests.databases.servers import MariaDB, PostgreSQL
from tests.waiting import PATIENCE

numbers = count(1)


def server(kind):
    if not kind.is_installed():
        pytest.skip(f"{kind.name} or its driver is not installed; scripts/test.py says so at its end")
    with kind() as running:
        yield running


@pytest.fixture(scope="session")
def postgresql():
    yield from server(PostgreSQL)


@pytest.fixture(scope="session")
def mariadb():
    yield from server(MariaDB)


@pytest.fixture(scope="session")
def program():
    """Build the Rust service and return its path."""
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed, without which nothing of this project is built")
    return build()


@pytest.fixture
def make_database(request, tmp_path):
    """Return a function that creates an empty database and returns its entry in ``DATABASES``."""
    return partial(_make, request, tmp_path)


@pytest.fixture(scope="module")
def make_shared_database(request, tmp_path_factory):
    """Return a function that creates an empty database for the tests of a module."""
    return partial(_make, request, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def project(tmp_path):
    """Return a function that migrates a Django project on a database, without a server."""

    def make(database, **environment):
        clock = tmp_path / "clock"
        clock.write_bytes(struct.pack("q", START))
        environment |= os.environ | {
            "JWTAUTH_TEST_CLOCK": str(clock),
            "JWTAUTH_TEST_DATABASES": json.dumps({"default": database}),
            "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
        }

        def run(*command):
            # A fork knows no user models but Django's.
            if command[:2] == ("-m", "django") and "JWTAUTH_TEST_USER" not in environment:
                return manage(environment, *command[2:])
            return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)

        migrated = run("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0")
        assert migrated.returncode == 0, migrated.stderr
        return SimpleNamespace(folder=tmp_path, env=environment, run=run)

    return make


def _make(request, folder, kind, **options):
    if kind == "sqlite":
        # A slow machine needs more than Django's default of 5 seconds to get the lock.
        options = {"timeout": PATIENCE, **options}
        entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}
        return entry | {"OPTIONS": options}
    running = request.getfixturevalue(kind)
    name = f"jwtauth_{next(numbers)}"
    running.create_database(name)
    return running.settings(name, **options)
