"""The strict check's statement, whose plan PostgreSQL keeps if Django's options allow it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
call_command("migrate", verbosity=0)
user = User.objects.create(username="ada")
client = Client()
client.post(f"/login/?user={user.pk}")
print({client.get("/me/").json()["user"] for _ in range(10)})
with connection.cursor() as cursor:
    cursor.execute("SELECT statement FROM pg_prepared_statements")
    print(sum("jwtauth_session" in statement and "SELECT" in statement for (statement,) in cursor.fetchall()))
"""


@pytest.mark.usefixtures("postgresql")
@pytest.mark.parametrize(
    ("options", "prepared"), [({}, "0"), ({"server_side_binding": True, "prepare_threshold": 3}, "1")]
)
def test_the_strict_check_is_prepared_once_if_the_options_allow_it(make_database, options, prepared):
    database = make_database("postgresql", **options) | {"CONN_MAX_AGE": None}
    environment = os.environ | {
        "JWTAUTH_TEST_DATABASES": json.dumps({"default": database}),
        "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
    }
    done = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["{'ada'}", prepared], done.stderr
