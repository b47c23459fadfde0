"""Databases of each kind, for tests that start processes of their own."""

from __future__ import annotations

import shutil
from functools import partial
from itertools import count

import pytest

from tests.databases.rust import build
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
    """The Rust service."""
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed, without which nothing of this project is built")
    return build()


@pytest.fixture
def make_database(request, tmp_path):
    """Makes an empty database: its entry in ``DATABASES``."""
    return partial(_make, request, tmp_path)


@pytest.fixture(scope="module")
def make_shared_database(request, tmp_path_factory):
    """Makes an empty database for the tests of a module."""
    return partial(_make, request, tmp_path_factory.mktemp("shared"))


def _make(request, folder, kind, **options):
    if kind == "sqlite":
        # Whoever waits for the lock waits as long as a slow machine needs it to. Django's default is 5 seconds.
        options = {"timeout": PATIENCE, **options}
        entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}
        return entry | {"OPTIONS": options}
    running = request.getfixturevalue(kind)
    name = f"jwtauth_{next(numbers)}"
    running.create_database(name)
    return running.settings(name, **options)
