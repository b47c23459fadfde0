"""The Django site in the importing process, beside a Rust service whose port is the first argument.

It has the clock that the service reads, and browsers with cookies for both.
"""

import json
import mmap
import os
import struct
import sys
from datetime import datetime
from urllib.parse import quote

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.test import Client  # noqa: E402

from jwtauth.internal.store import cleanup  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from tests.databases.served import Browser as OfServer  # noqa: E402

FACES = ("django", "rust")

port = int(sys.argv[1])
file = mmap.mmap(os.open(os.environ["JWTAUTH_TEST_CLOCK"], os.O_RDWR), 8)
cleanup.is_due = lambda: False


def now():
    return struct.unpack("q", file[:8])[0]


def advance(seconds):
    file[:8] = struct.pack("q", now() + seconds)


_clock.now = now


class Browser:
    """Cookies that both services receive."""

    def __init__(self, cookies=()):
        self.cookies = dict(cookies)

    def ask(self, face, url, method="GET"):
        """Return the body of a successful answer."""
        status, body = self.answer(face, url, method)
        assert status == 200, (face, url, status, body)
        return body

    def answer(self, face, url, method="GET"):
        """Return status and body, and store the cookies."""
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
        return status, body.decode()

    def sign_in(self, face, user, lifetime=None):
        self.ask(face, f"/login/?user={quote(str(user.pk))}" + (f"&lifetime={lifetime}" if lifetime else ""), "POST")
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
