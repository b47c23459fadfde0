"""Clusters for the tests of a module, and the Rust service."""

import shutil

import pytest

from tests.databases.clusters import Galera
from tests.databases.rust import build


@pytest.fixture(scope="module")
def galera():
    if not Galera.is_installed():
        pytest.skip(f"Galera or its driver is not installed (apt install {Galera.packages})")
    with Galera() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def program():
    """Build the Rust service and return its path."""
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed, without which nothing of this project is built")
    return build()
