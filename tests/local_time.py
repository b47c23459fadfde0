"""A site of local times, in its own process: `python -m tests.local_time ZONE USE_TZ CONNECTION_ZONE`.

Runs a browser through this year's daylight saving transitions, and prints the results as JSON.
"""

import json
import logging
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import django
from django.conf import settings

from tests import settings as of_tests

ZONE, USE_TZ, CONNECTION_ZONE = sys.argv[1], sys.argv[2] == "True", sys.argv[3] if sys.argv[3:] else None

values = {name: getattr(of_tests, name) for name in dir(of_tests) if name.isupper()}
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
if CONNECTION_ZONE:
    database["TIME_ZONE"] = CONNECTION_ZONE
settings.configure(**{**values, "DATABASES": {"default": database}, "TIME_ZONE": ZONE, "USE_TZ": USE_TZ})
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from jwtauth.models import Session  # noqa: E402
from jwtauth.signals import refresh_token_reused  # noqa: E402
from jwtauth.test import stopped_clock  # noqa: E402
from tests.conftest import Browser  # noqa: E402
from tests.instants import disagreements, transitions  # noqa: E402

STEP = 240
logging.disable(logging.CRITICAL)


def stored(session):
    """Return the instants of a row as other programs read them from the database."""
    names = ["created_at", "rotated_at", "expires_at", "last_seen_at"]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM jwtauth_session WHERE id = %s", [session.pk.hex])
        row = cursor.fetchone()
    return {
        name: datetime.fromisoformat(str(value)).replace(tzinfo=timezone.utc).timestamp()
        for name, value in zip(names, row, strict=True)
    }


def walk(clock, user, at):
    """Return how often a browser that refreshes around a transition was signed out, and reported as a thief."""
    out, thefts = 0, []

    def heard(sender, **kwargs):
        thefts.append(clock.now)

    refresh_token_reused.connect(heard)
    Session.objects.all().delete()
    clock.now = at - 4000
    browser = Browser()
    browser.sign_in(user)
    while clock.now < at + 8000:
        clock.advance(STEP)
        late = Browser()
        late.carry(browser.tokens())
        out += browser.who() is None
        out += browser.who() is None
        # A request sent together with the first arrives after the response to the first was used.
        clock.advance(1)
        out += late.who() is None
    refresh_token_reused.disconnect(heard)
    return out, len(thefts), Session.objects.get().generation


def short_lives(clock, user, at):
    """Return how often a session of ten minutes ended earlier or lasted longer."""
    early = late = 0
    for begins in range(at - 4000, at + 4000, 1600):
        clock.now = begins
        browser = Browser()
        browser.sign_in(user, "&lifetime=600")
        clock.advance(590)
        early += browser.who() is None
        clock.advance(10)
        late += browser.who() is not None
    return early, late


setup_test_environment()
call_command("migrate", verbosity=0, run_syncdb=True)
ada = get_user_model().objects.create_user("ada", password="password")
now = int(datetime(2026, 7, 15, 12, 34, 56, tzinfo=timezone.utc).timestamp())
report = {"walks": [], "lives": []}
with stopped_clock() as clock:
    clock.now = now
    browser = Browser()
    data = {"username": "ada", "password": "password"}
    said = browser.post("/auth/login/", data, content_type="application/json").json()["session"]
    session = Session.objects.get()
    of_row = session.row()
    api = {name: datetime.fromisoformat(said[name].replace("Z", "+00:00")) for name in ("created_at", "expires_at")}
    report["off"] = {
        "row": of_row.created_at - now,
        "stored": {name: value - now for name, value in stored(session).items()},
        "api": {name: value.timestamp() - now for name, value in api.items()},
    }
    report["live"] = [Session.objects.live().count()]
    clock.advance(86_401)
    report["live"].append(Session.objects.live().count())
    zone = ZoneInfo(CONNECTION_ZONE or ZONE)
    for at in transitions(zone):
        report["walks"].append(walk(clock, ada, at))
        report["lives"].append(short_lives(clock, ada, at))
    report["disagreements"] = {
        at: found for at in (now, *transitions(ZoneInfo(ZONE))) if (found := disagreements(ada, ZoneInfo(ZONE), at))
    }
print(json.dumps(report))
