"""Times are instants for Django and Rust services alike, whatever time zones Django and its connection keep."""

import json
import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.databases.rust import Service
from tests.databases.served import ROOT, START

ZONES = "UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin"


def load_time_zones(server):
    """Tell a MariaDB server of these, as Django's functions of dates ask of it."""
    connection = server.connect(database="mysql", autocommit=True)
    for zone in ZONES:
        sql = subprocess.check_output(["mariadb-tzinfo-to-sql", f"/usr/share/zoneinfo/{zone}", zone], text=True)
        for statement in sql.split(";\n"):
            if statement.lstrip().startswith(("INSERT INTO time_zone", "SET @time_zone_id")):
                connection.cursor().execute(statement)
    connection.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_both_faces_agree_on_every_instant(kind, program, make_database, request, tmp_path):
    database = make_database(kind)
    if kind == "mariadb":
        load_time_zones(request.getfixturevalue(kind))
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("q", START))
    environment = os.environ | {
        "JWTAUTH_TEST_CLOCK": str(clock),
        "JWTAUTH_TEST_DATABASES": json.dumps({"default": database}),
        "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
    }

    def run(*command):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run("-m", "django", "migrate", "--verbosity", "0")
    with Service(program, SimpleNamespace(folder=tmp_path, env=environment), database) as service:
        run("-m", "tests.databases.zones", str(service.port))
