"""The site over TLS with device-bound sessions, and a user of it in Chromium."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from itertools import count
from pathlib import Path
from typing import Any

from tests.databases.forks import manage
from tests.databases.served import ACCESS_LIFETIME, Site
from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.flows import FETCH, HOST, ME, PARALLEL, QUIET
from tests.seams.device.browser import BindingChromium
from tests.seams.servers.table import ASGI, UVICORN, Start
from tests.waiting import PATIENCE, wait_until

REGISTER, REFRESH = "/auth/device/register/", "/auth/device/refresh/"
PREFIX = "__Host-"
PASSWORD = "a password for tests"
PARALLEL_ME = f"""
const found = await Promise.all(Array.from({{length: {PARALLEL}}}, (_, n) => fetch(`/me/?format=json&${{n}}`)));
return await Promise.all(found.map(async (response) => [response.status, (await response.json()).user]));
"""


def uvicorn(start: Start) -> list[str]:
    return ["tests.seams.device.site:application" if word == ASGI else word for word in UVICORN.command(start)]


SERVER = replace(UVICORN.secure, command=uvicorn)


@dataclass(frozen=True)
class Exchange:
    """A request and its response, as the server recorded them."""

    method: str
    path: str
    status: int
    # Whether the client got another response: this one was lost on the way.
    lost: bool
    sent: list[list[str]]
    got: list[list[str]]

    def sent_header(self, name: str) -> str | None:
        return dict(self.sent).get(name.lower())

    def got_header(self, name: str) -> str | None:
        return dict(self.got).get(name.lower())

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies that the client sent."""
        return {name: morsel.value for name, morsel in SimpleCookie(self.sent_header("cookie") or "").items()}

    @property
    def cookies_set(self) -> dict[str, str]:
        """Return the cookies that the response set, without those that it deleted."""
        found = [SimpleCookie(value) for name, value in self.got if name == "set-cookie"]
        return {name: morsel.value for cookie in found for name, morsel in cookie.items() if morsel.value}

    @property
    def proof(self) -> str | None:
        return self.sent_header("Secure-Session-Response")

    def __str__(self) -> str:
        shown = ("sec-secure-session-id", "secure-session-skipped", "secure-session-challenge")
        notes = [f"{name}: {value}" for name, value in (*self.sent, *self.got) if name in shown]
        if self.proof is not None:
            notes.append(f"proof of {payload(self.proof)['jti'][-12:]}")
        lost = " (lost)" if self.lost else ""
        return f"{self.method} {self.path} {self.status}{lost} {sorted(self.cookies)} {'; '.join(notes)}"


class BoundSite(Site):
    """The site of `site.py` over TLS. ``in_real_time``: its clock is the machine's, and tests cannot advance it."""

    def __init__(
        self, folder: Path, certificates: Certificates, *, in_real_time: bool = False, **settings: object
    ) -> None:
        self.file, self.record_file, self.fault_file = (folder / name for name in ("db.sqlite3", "record", "fault"))
        self.record_file.touch()
        self.exchanges: list[Exchange] = []
        self.read = 0  # bytes of the record
        self.fault_file.touch()
        names = {f"{kind}_TOKEN_COOKIE_NAME": f"{PREFIX}{kind.lower()}_token" for kind in ("ACCESS", "REFRESH")}
        self.settings = {
            "ACCESS_TOKEN_LIFETIME": ACCESS_LIFETIME,
            "DEVICE_BOUND_SESSIONS": "offer",
            "COOKIE_SECURE": True,
            **names,
            **settings,
        }
        env = {
            "JWTAUTH_TEST_RECORD": str(self.record_file),
            "JWTAUTH_TEST_FAULT": str(self.fault_file),
            "JWTAUTH_TEST_SETTINGS": json.dumps(self.settings),
            **({"JWTAUTH_TEST_SKEW": "0"} if in_real_time else {}),
        }
        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self.file),
            "OPTIONS": {"timeout": PATIENCE},
        }
        super().__init__(server=SERVER, pem=certificates.all, env=env, default=database)
        self.certificates = certificates
        self.names = (f"user-{number}" for number in count())
        self.create_accounts(50)

    def create_accounts(self, number: int) -> None:
        code = (
            "from django.contrib.auth.hashers import make_password; from django.contrib.auth.models import User;"
            f"password = make_password({PASSWORD!r});"
            f"User.objects.bulk_create([User(username=f'user-{{n}}', password=password) for n in range({number})])"
        )
        manage(self.env, "shell", "--no-imports", "--command", code).check_returncode()

    def visit(self, host: str = HOST) -> str:
        return f"https://{host}:{self.port}"

    def record(self) -> list[Exchange]:
        """Return every exchange so far, in the order in which the responses began."""
        with self.record_file.open("rb") as file:
            file.seek(self.read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.read += len(whole)
        self.exchanges += [Exchange(**json.loads(line)) for line in whole.splitlines()]
        return self.exchanges

    def device_keys(self, name: str) -> list[str | None]:
        """Return the column ``device_key`` of each session of this user."""
        return self.select("SELECT device_key FROM jwtauth_session WHERE user_id = ?", self.user_key(name))

    def user_key(self, name: str) -> int:
        return self.select("SELECT id FROM auth_user WHERE username = ?", name)[0]

    def select(self, query: str, *values: object) -> list[Any]:
        """Return the column that this query selects."""
        with closing(sqlite3.connect(self.file, timeout=PATIENCE)) as database:
            return [value for (value,) in database.execute(query, values)]

    @contextmanager
    def fault(self, kind: str, path: str = REFRESH) -> Iterator[None]:
        """Let requests of this path fail: "refuse" them, or "lose" their answers."""
        self.set_fault(f"{kind} {path}")
        try:
            yield
        finally:
            self.set_fault("")

    def set_fault(self, fault: str) -> None:
        new = self.fault_file.with_suffix(".new")
        new.write_text(fault)
        new.rename(self.fault_file)

    @property
    def access_name(self) -> str:
        return str(self.settings["ACCESS_TOKEN_COOKIE_NAME"])

    @property
    def refresh_name(self) -> str:
        return str(self.settings["REFRESH_TOKEN_COOKIE_NAME"])


class Visitor:
    """A new user of the site, signed in by the JSON login in this browser's page."""

    def __init__(self, browser: BindingChromium, site: BoundSite, *, remember: bool = True, binds: bool = True) -> None:
        """Sign a user in. ``binds``: wait until the browser has bound the session."""
        self.browser, self.site, self.name = browser, site, next(site.names)
        self.first = len(site.record())
        self.open(QUIET)
        if binds:
            self.sign_in(remember=remember)
        else:
            assert self.post("/auth/login/", self.credentials())["status"] == 200

    def open(self, path: str) -> None:
        self.browser.goto(f"{self.site.visit()}{path}")

    def fetch(self, path: str, **options: object) -> dict[str, Any]:
        """Return the status and JSON of a request that the current page makes."""
        return self.browser.run(FETCH, path, options)

    def post(self, path: str, body: object = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        return self.fetch(path, method="POST", headers=headers, body=json.dumps(body))

    def sign_in(self, *, remember: bool = True) -> None:
        """Sign in, and wait until the browser has bound the session."""
        self.bind_by("/auth/login/", self.credentials() | {"remember": remember})

    def credentials(self) -> dict[str, Any]:
        return {"username": self.name, "password": PASSWORD}

    def bind_by(self, path: str, body: object) -> None:
        """Authenticate by this request, and wait until the browser has bound the session."""
        before = self.browser.results()["registered"]
        answer = self.post(path, body)
        assert answer["status"] == 200, answer
        # Each request adds events, and so hastens that the browser writes them.
        self.wait(lambda: self.fetch(QUIET) and self.browser.results()["registered"] > before)
        assert self.registrations()[-1].status == 200, self.story()
        cookie = self.browser.cookies()[self.site.access_name]
        assert "expiry" in cookie, "Chromium never refreshes a cookie without Max-Age"

    def wait(self, happened: Any) -> None:
        wait_until(happened, self.browser.process, self.site.log)

    def who(self) -> str | None:
        """Return the user of a request of the page, or ``None`` if it is anonymous."""
        answer = self.fetch(ME)
        assert answer["status"] in (200, 401, 403), answer
        return answer["body"]["user"] if answer["status"] == 200 else None

    def cookie(self, name: str) -> str | None:
        return self.browser.cookies().get(name, {}).get("value")

    def jar(self) -> dict[str, str]:
        """Return the token cookies that the browser keeps."""
        names = (self.site.access_name, self.site.refresh_name)
        return {name: cookie["value"] for name, cookie in self.browser.cookies().items() if name in names}

    def expire(self) -> None:
        """Let the access token end on the server's clock, and its cookie in the browser, as its Max-Age does."""
        self.site.advance(ACCESS_LIFETIME + 1)
        self.browser.delete_cookie(self.site.access_name, self.site.visit())

    @property
    def generation(self) -> int:
        """Return the generation of the browser's refresh token."""
        token = self.cookie(self.site.refresh_name)
        assert token is not None, "the browser has no refresh token"
        return payload(token)["gen"]

    def exchanges(self, *paths: str) -> list[Exchange]:
        """Return the exchanges so far since the visitor came, or those of these paths."""
        return [one for one in self.site.record()[self.first :] if not paths or one.path in paths]

    def registrations(self) -> list[Exchange]:
        return self.exchanges(REGISTER)

    def refreshes(self) -> list[Exchange]:
        """Return the exchanges that refreshed."""
        return [one for one in self.exchanges(REFRESH) if one.status in (200, 204) and one.cookies_set]

    def story(self) -> str:
        """Return what happened so far, for the message of a failed assertion."""
        results = dict(self.browser.results())
        return "\n".join(map(str, (*self.exchanges()[-40:], f"Chromium's results: {results}")))

    def assert_signed_in(self) -> None:
        assert self.who() == self.name, self.story()


def payload(token: str) -> dict[str, Any]:
    """Return the payload of a JWT, unverified."""
    return decoded(token.split(".")[1])


def header(token: str) -> dict[str, Any]:
    """Return the header of a JWT, unverified."""
    return decoded(token.split(".")[0])


def decoded(part: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
