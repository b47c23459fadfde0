"""A Rust service is told a user's key in another spelling: the session is the user's at both, or there is none."""

import pytest

from tests.databases.rust import Service

# What the column of the key is in each database: bigint, uuid or char(32), varchar.
COLUMNS = [
    ("sqlite", "UuidAccount"),
    ("postgresql", "UuidAccount"),
    ("mariadb", "UuidAccount"),
    ("sqlite", "NumberAccount"),
    ("postgresql", "NumberAccount"),
    ("mariadb", "TextAccount"),
]


@pytest.mark.parametrize(("kind", "model"), COLUMNS)
def test_a_key_in_another_spelling_is_the_row_s_or_an_error(kind, model, program, make_database, project):
    database = make_database(kind)
    site = project(database, JWTAUTH_TEST_USER=f"others.{model}")
    with Service(program, site, database, users=f"others_{model.lower()}") as service:
        done = site.run("-m", "tests.databases.keys", str(service.port))
    assert done.returncode == 0, done.stderr
