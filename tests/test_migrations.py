"""Migrations: the tables of 0.0.8, the upgrade from them, and no missing migration."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import override_settings

from jwtauth.internal.store import clock as _clock
from jwtauth.internal.store.old_logins import id_of
from jwtauth.models import OldLogin, Session

OLD = [("jwtauth", "0001_initial")]
NOTHING = [("jwtauth", None)]
OLD_TABLES = {"jwtauth_activetoken", "jwtauth_blacklistedtoken"}


def migrate(target):
    """Migrate to this migration, and return its models if it has any."""
    MigrationExecutor(connection).migrate(target)
    if target != NOTHING:
        return MigrationExecutor(connection).loader.project_state(target).apps


def migrate_all():
    call_command("migrate", verbosity=0)


def tables():
    return {name for name in connection.introspection.table_names() if name.startswith("jwtauth_")}


def columns(table):
    with connection.cursor() as cursor:
        return {column.name for column in connection.introspection.get_table_description(cursor, table)}


def unique_columns(table):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, table).values()
    return {tuple(constraint["columns"]) for constraint in constraints if constraint["unique"]}


@pytest.fixture
def old_database(transactional_db):
    """Provide a database of 0.0.8, which is migrated up again afterwards."""
    yield migrate(OLD)
    migrate_all()


def test_first_migration_creates_the_tables_of_0_0_8(old_database):
    assert tables() == OLD_TABLES
    assert columns("jwtauth_blacklistedtoken") == {"id", "token_string", "exp"}
    assert columns("jwtauth_activetoken") == {"id", "token_string", "exp", "owner_id"}
    for table in OLD_TABLES:
        assert ("token_string",) in unique_columns(table)
    for name in ("ActiveToken", "BlacklistedToken"):
        fields = {field.name: field for field in old_database.get_model("jwtauth", name)._meta.concrete_fields}
        assert fields["id"].get_internal_type() == "BigAutoField"
        assert fields["exp"].get_internal_type() == "IntegerField"
        assert fields["token_string"].max_length == 30


def test_database_of_0_0_8_is_upgraded_with_its_rows(old_database):
    user = get_user_model().objects.create_user("ada")
    active, blacklisted = (old_database.get_model("jwtauth", name) for name in ("ActiveToken", "BlacklistedToken"))
    for index in range(3):
        active.objects.create(token_string=f"a{index}", exp=1_700_000_000, owner_id=user.pk)
        blacklisted.objects.create(token_string=f"b{index}", exp=1_700_000_000)
    migrate_all()
    assert tables() == {"jwtauth_oldlogin", "jwtauth_session"}
    assert columns("jwtauth_session") == {field.column for field in Session._meta.concrete_fields}
    assert not Session.objects.exists()
    assert get_user_model().objects.get() == user


def blacklisting(apps):
    """Put an expired and an unexpired token on the blacklist of 0.0.8. Return the expiry of the unexpired one."""
    blacklisted, now = apps.get_model("jwtauth", "BlacklistedToken"), _clock.local_ms() // 1000
    blacklisted.objects.create(token_string="e" * 30, exp=now - 1)
    return blacklisted.objects.create(token_string="u" * 30, exp=now + 3600).exp


@pytest.mark.parametrize("settings_of_time", [{"USE_TZ": True}, {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"}])
def test_unexpired_blacklist_of_0_0_8_is_kept(old_database, settings_of_time):
    with override_settings(**settings_of_time):
        exp = blacklisting(old_database)
        migrate_all()
        row = OldLogin.objects.get()
        assert (row.pk, row.source, row.user, row.session_id) == (id_of("prototype", "u" * 30), "prototype", None, None)
        assert _clock.from_datetime(row.expires_at) == exp
        assert row.seen_at is not None
        migrate(OLD)
        assert tables() == OLD_TABLES


def drop_old_tables(apps):
    """Drop the tables of 0.0.8 at migration 0004, as 0002 did before 0005 was written."""
    with connection.schema_editor() as editor:
        editor.delete_model(apps.get_model("jwtauth", "BlacklistedToken"))
        editor.delete_model(apps.get_model("jwtauth", "ActiveToken"))
    assert tables() == {"jwtauth_session"}


@pytest.mark.parametrize("via_newest", [True, False])
def test_database_whose_old_tables_were_dropped_earlier_is_migrated_both_ways(old_database, via_newest):
    drop_old_tables(migrate([("jwtauth", "0004_session_backend")]))
    if via_newest:
        migrate_all()
        assert tables() == {"jwtauth_oldlogin", "jwtauth_session"}
        assert not OldLogin.objects.exists()
    blacklisting(migrate(OLD))
    assert tables() == OLD_TABLES
    migrate_all()
    assert OldLogin.objects.count() == 1


def test_upgrade_from_0_0_8_is_reversible(transactional_db):
    assert tables() == {"jwtauth_oldlogin", "jwtauth_session"}
    try:
        apps = migrate(OLD)
        assert tables() == OLD_TABLES
        user = get_user_model().objects.create_user("ada")
        apps.get_model("jwtauth", "ActiveToken").objects.create(token_string="a", exp=1, owner_id=user.pk)
        migrate(NOTHING)
        assert tables() == set()
    finally:
        migrate_all()
    assert tables() == {"jwtauth_oldlogin", "jwtauth_session"}


@pytest.mark.parametrize(
    ("before", "column", "value"), [("0002_session", "end_is_fixed", False), ("0003_fixed_end", "backend", "")]
)
def test_workers_of_the_previous_version_work_after_the_migration(transactional_db, before, column, value):
    state = MigrationExecutor(connection).loader.project_state([("jwtauth", before)])
    model = state.apps.get_model("jwtauth", "Session")
    assert column not in {field.name for field in model._meta.concrete_fields}
    now = _clock.to_datetime(_clock.now())
    times = dict.fromkeys(["acknowledged_at", "rotated_at", "created_at", "expires_at", "last_seen_at"], now)
    user = get_user_model().objects.create_user("ada")
    model.objects.create(id=uuid.uuid4(), user_id=user.pk, generation=1, auth_hash="", remember=True, **times)
    assert getattr(Session.objects.get(), column) == value


@pytest.mark.parametrize("field", ["AutoField", "BigAutoField", "SmallAutoField"])
def test_no_migration_is_missing_with_any_default_auto_field(field, tmp_path):
    (tmp_path / "project_settings.py").write_text(
        f"from tests.settings import *\nDEFAULT_AUTO_FIELD = 'django.db.models.{field}'\n"
    )
    root = Path(__file__).parents[1]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project_settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run", "jwtauth"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No changes detected" in done.stdout
