"""The schema of Rust services without Django equals the one that Django migrates, except for the user's key."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.databases.forks import manage

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "crates/jwtauth-axum/migrations"


def migrate(database):
    """Run Django's migrations on this entry of ``DATABASES``."""
    environment = os.environ | {"JWTAUTH_TEST_DATABASES": json.dumps({"default": database})}
    manage(environment, "migrate", "--verbosity", "0").check_returncode()


def without_the_user(django_columns, created):
    user = [{name: column for name, *column in columns}["user_id"] for columns in (django_columns, created)]
    assert user[0] != user[1], "text, regardless of the project's keys"
    return [[column for column in columns if column[0] != "user_id"] for columns in (django_columns, created)]


def test_the_rust_schema_equals_djangos_on_sqlite(make_database):
    def found(connection):
        columns = [row[1:] for row in connection.execute("PRAGMA table_info(jwtauth_session)")]
        names = [row[1] for row in connection.execute("PRAGMA index_list(jwtauth_session)")]
        return columns, {
            name: [row[2] for row in connection.execute(f"PRAGMA index_info({name})")]
            for name in names
            if not name.startswith("sqlite_autoindex")
        }

    database = make_database("sqlite")
    migrate(database)
    with closing(sqlite3.connect(database["NAME"])) as django, closing(sqlite3.connect(":memory:")) as created:
        created.executescript((MIGRATIONS / "sqlite.sql").read_text())
        (django_columns, django_indexes), (columns, indexes) = found(django), found(created)
    django_columns, columns = without_the_user(django_columns, columns)
    assert django_columns == columns
    assert django_indexes == indexes
    assert len(indexes) == 2


@pytest.mark.usefixtures("postgresql")
def test_the_rust_schema_equals_djangos_on_postgresql(make_database):
    def found(connection):
        columns = connection.execute(
            "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_name = 'jwtauth_session' ORDER BY ordinal_position"
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'jwtauth_session' AND indexname NOT LIKE '%pkey' "
            "ORDER BY indexname"
        ).fetchall()
        return columns, indexes

    def connect(database):
        names = {"host": database["HOST"], "port": database["PORT"], "dbname": database["NAME"]}
        return psycopg.connect(**names, user=database["USER"], autocommit=True)

    migrated, made = make_database("postgresql"), make_database("postgresql")
    migrate(migrated)
    with connect(migrated) as django, connect(made) as created:
        created.execute((MIGRATIONS / "postgres.sql").read_text())
        (django_columns, django_indexes), (columns, indexes) = found(django), found(created)
    django_columns, columns = without_the_user(django_columns, columns)
    assert django_columns == columns
    assert django_indexes == indexes
    assert len(indexes) == 2


@pytest.mark.usefixtures("mariadb")
def test_the_rust_schema_equals_djangos_on_mariadb(make_database):
    import MySQLdb

    def found(connection):
        cursor = connection.cursor()
        cursor.execute(
            "SELECT column_name, column_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = 'jwtauth_session' ORDER BY ordinal_position"
        )
        columns = cursor.fetchall()
        cursor.execute(
            "SELECT column_name, index_name, non_unique FROM information_schema.statistics "
            "WHERE table_schema = DATABASE() AND table_name = 'jwtauth_session' ORDER BY index_name"
        )
        return columns, [row for row in cursor.fetchall() if row[0] != "user_id"]

    def connect(database):
        names = {"host": database["HOST"], "port": database["PORT"], "db": database["NAME"]}
        return MySQLdb.connect(**names, user=database["USER"])

    migrated, made = make_database("mariadb"), make_database("mariadb")
    migrate(migrated)
    with closing(connect(migrated)) as django, closing(connect(made)) as created:
        for statement in (MIGRATIONS / "mariadb.sql").read_text().split(";\n")[:-1]:
            created.cursor().execute(statement)
        (django_columns, django_indexes), (columns, indexes) = found(django), found(created)
    django_columns, columns = without_the_user(django_columns, columns)
    assert django_columns == columns
    assert django_indexes == indexes
    assert len(indexes) == 2
