"""Local times in Django: ``USE_TZ = False``, and connections with a time zone other than UTC."""

import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin import AdminSite
from django.contrib.admin.templatetags.admin_list import date_hierarchy
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Case, F, Max, When
from django.db.models.functions import Coalesce, Least, Now, TruncDay
from django.test import RequestFactory, override_settings

from jwtauth.admin import SessionAdmin
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from tests.instants import made

ROOT = Path(__file__).parents[1]

# The zone, USE_TZ, the connection's zone, and the size of the daylight saving transition.
SITES = [
    ("America/New_York", False, None, 3600),
    ("Australia/Lord_Howe", False, None, 1800),
    ("Asia/Kolkata", False, None, 0),
    ("UTC", True, "America/New_York", 3600),
    ("Europe/Berlin", True, "Asia/Kolkata", 0),
]


@pytest.mark.parametrize(("zone", "use_tz", "of_connection", "shift"), SITES)
def test_local_times_are_stored_as_instants_and_sign_no_user_out(zone, use_tz, of_connection, shift):
    arguments = [zone, str(use_tz), *([of_connection] if of_connection else [])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.local_time", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["off"] == {
        "row": 0,
        "stored": {"created_at": 0, "rotated_at": 0, "expires_at": 86_400, "last_seen_at": 0},
        "api": {"created_at": 0, "expires_at": 86_400},
    }
    assert found["live"] == [1, 0]
    assert len(found["walks"]) == len(found["lives"]) == (2 if shift else 0)
    for out, thefts, generation in found["walks"]:
        assert (out, thefts) == (0, 0)
        assert generation > 20
    # A session that lasts ten minutes lasts no less and no more.
    assert all(lives == [0, 0] for lives in found["lives"])
    assert found["disagreements"] == {}


@override_settings(USE_TZ=False, TIME_ZONE="America/New_York")
def test_ambiguous_hour_of_a_driver_is_read_as_the_later_one():
    # psycopg 2 returns the same value for both occurrences; its next version does not.
    features, at = SimpleNamespace(supports_timezones=True), datetime(2026, 11, 1, 1, 30)
    found = {}
    for name in ("psycopg2", "psycopg"):
        connection = SimpleNamespace(features=features, vendor="postgresql", Database=SimpleNamespace(__name__=name))
        converters = Session._meta.get_field("expires_at").get_db_converters(connection)
        found[name] = at
        for convert in converters:
            assert convert(None, None, connection) is None
            found[name] = convert(found[name], None, connection)
    later = at.replace(tzinfo=ZoneInfo("America/New_York"), fold=1).timestamp()
    assert {name: _clock.from_datetime(value) - later for name, value in found.items()} == {
        "psycopg2": 0,
        "psycopg": -3600,
    }


@pytest.fixture
def root(db):
    return get_user_model().objects.create_superuser("root", password="root")


@pytest.mark.parametrize(("use_tz", "zone"), [(False, "Asia/Tokyo"), (False, "America/New_York"), (True, "Asia/Tokyo")])
def test_dates_in_the_admin_are_local(root, use_tz, zone):
    # In a subclass with the admin's date filter and hierarchy, for a session of the evening.
    site = AdminSite()

    class WithDates(SessionAdmin):
        date_hierarchy = "created_at"
        list_filter = ("created_at",)

    if use_tz and not connection.features.has_zoneinfo_database:
        pytest.skip("the server has no time zones, without which Django's own dates are errors")
    with override_settings(USE_TZ=use_tz, TIME_ZONE=zone):
        began = datetime(2026, 7, 15, 23, 30, tzinfo=ZoneInfo(zone))
        made(UUID(int=1), root, int(began.timestamp())).save()
        admin, rows = WithDates(Session, site), []
        for query in (
            {"created_at__year": 2026, "created_at__month": 7, "created_at__day": 15},
            {"created_at__year": 2026, "created_at__month": 7, "created_at__day": 14},
            {"created_at__year": 2026, "created_at__month": 7, "created_at__day": 16},
        ):
            request = RequestFactory().get("/", query)
            request.user = root
            rows.append(admin.get_changelist_instance(request).result_count)
        if not connection.features.has_zoneinfo_database:
            in_utc = began.astimezone(timezone.utc).replace(tzinfo=None, hour=0, minute=0)
            assert Session.objects.annotate(day=TruncDay("created_at")).get().day == in_utc
            return
        assert rows == [1, 0, 0]
        request = RequestFactory().get("/", {"created_at__year": 2026, "created_at__month": 7})
        request.user = root
        (day,) = date_hierarchy(admin.get_changelist_instance(request))["choices"]
        assert day["title"] == "July 15"


@pytest.mark.parametrize(
    "expression",
    [
        Coalesce("last_login", Max("jwtauth_sessions__created_at")),
        Coalesce(Max("jwtauth_sessions__created_at"), "last_login"),
        Case(When(last_login__isnull=False, then=Now()), default=F("jwtauth_sessions__created_at")),
        Least("date_joined", "jwtauth_sessions__created_at"),
    ],
    ids=repr,
)
def test_times_of_sessions_and_users_can_be_compared_in_a_query(root, expression):
    session = made(UUID(int=1), root, 1_000_000_000)
    session.save()
    assert get_user_model().objects.annotate(time=expression).get().time == session.created_at
