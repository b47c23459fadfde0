"""A user's key sent to a Rust service in another spelling: the session is that user's in both, or is refused."""

import pytest

from tests.databases.rust import Service

# The type of the key's column in each database: bigint, uuid or char(32), varchar.
COLUMNS = [
    ("sqlite", "UuidAccount"),
    ("postgresql", "UuidAccount"),
    ("mariadb", "UuidAccount"),
    ("sqlite", "NumberAccount"),
    ("postgresql", "NumberAccount"),
    ("mariadb", "TextAccount"),
]


@pytest.mark.parametrize(("kind", "model"), COLUMNS)
def test_a_key_in_another_spelling_finds_its_user_or_is_an_error(kind, model, program, make_database, project):
    database = make_database(kind)
    site = project(database, JWTAUTH_TEST_USER=f"others.{model}")
    with Service(program, site, database, users=f"others_{model.lower()}") as service:
        done = site.run("-m", "tests.databases.keys", str(service.port))
    assert done.returncode == 0, done.stderr
