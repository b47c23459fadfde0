"""Times are the same instants for Django and Rust services, whatever the time zones of Django and its connection."""

import subprocess
from contextlib import closing

import pytest

from tests.databases.rust import Service

ZONES = "UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin"


def load_time_zones(server):
    """Load these time zones into a MariaDB server, which Django's date functions need."""
    connection = server.connect(database="mysql", autocommit=True)
    for zone in ZONES:
        sql = subprocess.check_output(["mariadb-tzinfo-to-sql", f"/usr/share/zoneinfo/{zone}", zone], text=True)
        for statement in sql.split(";\n"):
            if statement.lstrip().startswith(("INSERT INTO time_zone", "SET @time_zone_id")):
                connection.cursor().execute(statement)
    connection.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_django_and_rust_agree_on_every_instant(kind, program, make_database, project, request):
    database = make_database(kind)
    if kind == "mariadb":
        load_time_zones(request.getfixturevalue(kind))
    site = project(database)
    with Service(program, site, database) as service:
        done = site.run("-m", "tests.databases.zones", str(service.port))
    assert done.returncode == 0, done.stderr


LOCAL = [
    ("postgresql", "ALTER COLUMN expires_at TYPE timestamp without time zone", "timestamp with time zone"),
    ("mariadb", "MODIFY expires_at timestamp NOT NULL", "datetime(6)"),
]


@pytest.mark.parametrize(("kind", "change", "right"), LOCAL)
def test_a_column_of_local_times_is_an_error_in_both(kind, change, right, program, make_database, project, request):
    database = make_database(kind)
    site, server = project(database), request.getfixturevalue(kind)
    assert site.run("-m", "django", "jwtauth_check").returncode == 0
    connection = server.connect(database["NAME"]) if kind == "postgresql" else server.connect(database=database["NAME"])
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute(f"ALTER TABLE jwtauth_session {change}")
    for command in ("jwtauth_check", "migrate"):
        said = site.run("-m", "django", command)
        assert said.returncode != 0
        assert "jwtauth.E018" in said.stderr
        assert "column expires_at" in said.stderr
        assert f"Change the type to '{right}'" in said.stderr
    with pytest.raises(RuntimeError, match="expires_at"):
        Service(program, site, database)
