"""docs/reference/stored-data.md has every column of every table, and nothing that is not in the database."""

import re

import pytest
from django.apps import apps
from django.db import connection

from jwtauth import conf
from jwtauth.models import Session
from tests.test_docs import text

PAGE = "reference/stored-data.md"
SECTION = re.compile(r"^## (jwtauth_\w+)\n(.*?)(?=^## )", re.M | re.S)
ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", re.M)


def documented():
    """Return the columns that the page names, by table."""
    return {table: [column for column, *_ in ROW.findall(rows)] for table, rows in SECTION.findall(text(PAGE))}


def test_page_has_every_column_of_the_models_once():
    models = apps.get_app_config("jwtauth").get_models(include_auto_created=True)
    columns = {model._meta.db_table: sorted(field.column for field in model._meta.local_fields) for model in models}
    assert {table: sorted(names) for table, names in documented().items()} == columns


def test_page_has_every_column_of_the_database(db):
    with connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names(cursor) if name.startswith("jwtauth_")]
        found = {
            table: {column.name for column in connection.introspection.get_table_description(cursor, table)}
            for table in tables
        }
    assert {table: set(columns) for table, columns in documented().items()} == found


def test_every_setting_that_the_page_names_is_there():
    named = set(re.findall(r"settings\.md#([a-z_]+)\)", text(PAGE))) - {"lifetimes"}
    assert named
    assert {name.upper() for name in named} <= conf.SETTINGS.keys()


@pytest.mark.parametrize("name", ["auth_time", "amr", "locks_at", "actor_session_id", "device_key"])
def test_columns_that_the_page_calls_empty_are_empty_after_a_login(signed_in, name):
    assert not getattr(Session.objects.get(), name)
