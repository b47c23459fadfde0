"""A Django site in each time zone, beside a Rust service on its database: `python -m tests.databases.zones PORT`.

One process is all these sites in turn. It fails where the two faces disagree about an instant.
"""

import json
import math
import mmap
import os
import struct
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from jwtauth.internal.store import cleanup  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.models import Session  # noqa: E402
from tests.databases.served import ACCESS_LIFETIME  # noqa: E402
from tests.databases.served import Browser as OfServer  # noqa: E402
from tests.instants import disagreements, transitions  # noqa: E402

# USE_TZ, TIME_ZONE, and the connection's TIME_ZONE, which Django allows with USE_TZ alone.
SITES = [
    (True, "UTC", None),
    *((False, zone, None) for zone in ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")),
    (True, "America/New_York", None),
    *((True, "Europe/Berlin", zone) for zone in ("America/New_York", "Asia/Tokyo", "Asia/Kolkata")),
]
FACES = ("django", "rust")
MARGIN, LASTS = 3600, 10 * 86_400

port = int(sys.argv[1])
file = mmap.mmap(os.open(os.environ["JWTAUTH_TEST_CLOCK"], os.O_RDWR), 8)
cleanup._next_at = math.inf


def now():
    return struct.unpack("q", file[:8])[0]


def advance(seconds):
    file[:8] = struct.pack("q", now() + seconds)


_clock.now = now


class Browser:
    """Cookies that both faces get."""

    def __init__(self, cookies=()):
        self.cookies = dict(cookies)

    def ask(self, face, url, method="GET"):
        """Return the answer's body; no other than 200 and 403 is expected."""
        if face == "rust":
            browser = OfServer(port)
            browser.cookies = {name: value for name, value in self.cookies.items() if value}
            answer = browser.get(url, method=method)
            status, body = answer.status, answer.body
            self.cookies |= answer.cookies
        else:
            client = Client()
            for name, value in self.cookies.items():
                if value:
                    client.cookies[name] = value
            response = client.generic(method, url)
            status, body = response.status_code, response.content
            self.cookies |= {name: morsel.value for name, morsel in response.cookies.items()}
        assert status in (200, 401, 403), (face, url, status, body)
        return body.decode()

    def sign_in(self, face, user, lifetime=None):
        self.ask(face, f"/login/?user={user.pk}" + (f"&lifetime={lifetime}" if lifetime else ""), "POST")
        return self

    def is_known_at(self, face):
        url = {"django": "/me/session/", "rust": "/who/"}[face]
        answer = self.ask(face, url)
        return json.loads(answer)["is_authenticated"] if face == "django" else answer != "nobody"

    def is_known(self):
        """Ask both, each with a copy of the cookies, so that neither refreshes for the other."""
        found = [Browser(self.cookies).is_known_at(face) for face in FACES]
        assert found[0] == found[1], f"Django says {found[0]}, Rust {found[1]}"
        return found[0]

    def sessions(self, face):
        """Return the times of the user's sessions, in Unix seconds."""
        answer = self.ask(face, {"django": "/auth/sessions/", "rust": "/sessions/"}[face])
        if face == "rust":
            rows = [line.split() for line in answer.splitlines()]
            return {row[0]: [int(value) for value in row[1:]] for row in rows}
        names = ("created_at", "last_seen_at", "expires_at")
        return {one["id"]: [seconds(one[name]) for name in names] for one in json.loads(answer)}


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


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
    """At the same second at both, also of rows that the other wrote."""
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
