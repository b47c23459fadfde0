"""Compare a Django site in each time zone with a Rust service on its database: `python -m tests.databases.zones PORT`.

One process is all these sites in turn. It fails if Django and Rust disagree about an instant.
"""

import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from tests.databases.faces import FACES, Browser, advance, now  # first: it sets Django up

# isort: split
from django.contrib.auth.models import User
from django.db import connections
from django.test import override_settings

from jwtauth.internal.store import cleanup
from jwtauth.models import Session
from tests.databases.served import ACCESS_LIFETIME
from tests.instants import disagreements, transitions

# USE_TZ, TIME_ZONE, and the connection's TIME_ZONE, which Django allows with USE_TZ only.
SITES = [
    (True, "UTC", None),
    *((False, zone, None) for zone in ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")),
    (True, "America/New_York", None),
    *((True, "Europe/Berlin", zone) for zone in ("America/New_York", "Asia/Tokyo", "Asia/Kolkata")),
]
MARGIN, LASTS = 3600, 10 * 86_400


def check_refreshes(user):
    for starts, refreshes in ((one, other) for one in FACES for other in FACES):
        browser, began = Browser().sign_in(starts, user), now()
        assert browser.is_known()
        advance(ACCESS_LIFETIME + 1)
        browser.cookies.pop("access_token")
        old = browser.cookies["refresh_token"]
        assert browser.is_known_at(refreshes)
        assert browser.cookies["refresh_token"] != old
        assert browser.is_known()
        lists = [browser.sessions(face) for face in FACES]
        assert lists[0] == lists[1], lists
        assert [began, now(), now() + 86_400] in lists[0].values()


def check_expiry(user):
    """Check that sessions expire at the same second in both, whichever wrote the row."""
    for starts in FACES:
        browser = Browser().sign_in(starts, user, lifetime=LASTS)
        advance(LASTS - 1)
        browser.cookies.pop("access_token")
        assert browser.is_known()
        advance(1)
        assert not browser.is_known()


def check_cleanup(user):
    for starts, cleans in ((one, other) for one in FACES for other in FACES):
        dead = Browser().sign_in(starts, user, lifetime=600).sessions(starts).popitem()[0]
        advance(600 + MARGIN)
        kept = Browser().sign_in(starts, user, lifetime=60)
        advance(59)
        gone = set(Session.objects.values_list("pk", flat=True))
        if cleans == "django":
            list(cleanup.remove_all())
        else:
            Browser().ask("rust", "/clean/", "POST")
        gone -= set(Session.objects.values_list("pk", flat=True))
        assert dead in map(str, gone)
        assert kept.is_known()
        Session.objects.all().delete()


def check_zone(zone):
    user, _made = User.objects.get_or_create(username="ada")
    check_refreshes(user)
    check_expiry(user)
    check_cleanup(user)
    zone = ZoneInfo(zone)
    for at in (now(), *transitions(zone)[1:]):
        found = disagreements(user, zone, at)
        assert not found, f"{found} around {datetime.fromtimestamp(at, timezone.utc)}"
    Session.objects.all().delete()


for use_tz, zone, of_connection in SITES:
    with override_settings(USE_TZ=use_tz, TIME_ZONE=zone):
        connections["default"].close()
        connections.settings["default"]["TIME_ZONE"] = of_connection
        del connections["default"]
        try:
            check_zone(zone)
        except BaseException:
            print(f"USE_TZ {use_tz}, TIME_ZONE {zone}, of the connection {of_connection}:", file=sys.stderr)
            raise
