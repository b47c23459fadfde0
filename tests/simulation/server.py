"""The real site, in one process that acts as several, each with its own configuration, memory, clock, connections."""

from __future__ import annotations

import base64
import hmac
import io
import json
import logging
import os
import shutil
import sqlite3
import tempfile
import weakref
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import django

from tests.simulation import schedule
from tests.simulation.schedule import Random, Task

REFRESH_COOKIE, ACCESS_COOKIE = "refresh_token", "access_token"
_ENVIRON = {
    "SERVER_NAME": "site.test",
    "SERVER_PORT": "443",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "site.test",
    "REMOTE_ADDR": "192.0.2.1",
    "QUERY_STRING": "",
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "https",
    "wsgi.errors": io.StringIO(),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
_handler: Any = None
_idle: list[Any] = []


def set_up() -> None:
    """Create the database and the site, once in this process."""
    global _handler
    if _handler is not None:
        return
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="jwtauth-simulation-", dir=memory if os.access(memory, os.W_OK) else None)
    os.environ["JWTAUTH_SIMULATION_DATABASE"] = f"{folder}/db.sqlite3"
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.simulation.settings"
    logging.disable(logging.CRITICAL)
    django.setup()
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    look()
    _handler = WSGIHandler()
    weakref.finalize(_handler, shutil.rmtree, folder, ignore_errors=True)


@cache
def look() -> sqlite3.Connection:
    """Return another connection, for the oracles. It stays open, which keeps the database's log."""
    return sqlite3.connect(os.environ["JWTAUTH_SIMULATION_DATABASE"], timeout=0, isolation_level=None)


class Answer:
    """The server's answer."""

    __slots__ = ("body", "cookies", "data", "refresh_cookies", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.body = status, body
        self.cookies: dict[str, tuple[str, int | None]] = {}
        """The value and ``Max-Age`` of each cookie that is set; the value is empty if it is cleared."""
        for name, value in headers:
            if name == "Set-Cookie":
                cookie, token, age = _cookie(value)
                self.cookies[cookie] = token, age
        self.data: Any = {}
        if body[:1] in (b"{", b"["):
            self.data = json.loads(body)
        refresh = self.cookies.get(REFRESH_COOKIE)
        self.refresh_cookies = [refresh] if refresh is not None and refresh[0] else []


def _cookie(header: str) -> tuple[str, str, int | None]:
    pair, *attributes = header.strip().split("; ")
    name, _, value = pair.partition("=")
    ages = [int(one[8:]) for one in attributes if one[:8] == "Max-Age="]
    return name, value.strip('"'), ages[0] if ages else None


def environ_of(method: str, path: str, cookies: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """Return a request as a WSGI server passes it on."""
    environ = {**_ENVIRON, "REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), **headers}
    if cookies:
        environ["HTTP_COOKIE"] = cookies
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def serve(environ: dict[str, Any]) -> Answer:
    """Let Django answer, as under its WSGI server."""
    head: list[Any] = []
    response = _handler(environ, lambda status, headers: head.extend((status, headers)))
    body = b"".join(response)
    response.close()
    return Answer(int(head[0][:3]), head[1], body)


class Process:
    """A process of the site: what jwtauth keeps in memory, and its own clock."""

    _entered: Process | None = None

    def __init__(self, number: int, skew_ms: int, is_immediate: bool) -> None:
        from jwtauth import _engine, conf

        self.number, self.skew_ms, self.is_immediate = number, skew_ms, is_immediate
        state = conf._state()
        config, problems = conf.build(state)
        if config is None:
            raise RuntimeError(problems[0])
        self._current = state, config
        self._clock = _engine.DatabaseClock()
        self._cleanup: dict[str, Any] = {"_schedule": _engine.CleanupSchedule(0, random=0), "_place": None}

    def enter(self, task: Task | None) -> None:
        """Make this the process whose code runs, with this request's connection."""
        from django.db import connections

        if task is not None:
            connections["default"] = task.connection
        if Process._entered is self:
            return
        from jwtauth import conf
        from jwtauth.internal.store import cleanup, clock

        if Process._entered is not None:
            Process._entered._cleanup = {name: getattr(cleanup, name) for name in self._cleanup}
        Process._entered = self
        conf._current = self._current
        clock._database_clock = self._clock
        vars(cleanup).update(self._cleanup)

    def use_connection(self) -> None:
        """Make this the process whose code runs, outside a request."""
        from django.db import connections

        self.enter(None)
        connections["default"] = connection = self.take_connection()
        self.give_connection(connection)

    @property
    def config(self) -> Any:
        """Return the process's configuration."""
        return self._current[1]

    def take_connection(self) -> Any:
        """Return an open connection that no other request uses."""
        from django.db import connections

        connection = _idle.pop() if _idle else connections.create_connection("default")
        connection.ensure_connection()
        connection.transaction_mode = "IMMEDIATE" if self.is_immediate else None
        return connection

    def give_connection(self, connection: Any) -> None:
        """Take back the connection of a finished request."""
        if connection.connection is not None and not connection.connection.in_transaction:
            _idle.append(connection)


class Patches:
    """The schedule's clock and numbers, in place of the machine's."""

    def __init__(self, numbers: Random, settings: dict[str, Any], atomic: bool) -> None:
        from django.conf import settings as of_django
        from django.db import connections

        from jwtauth import _engine
        from jwtauth.internal.store import cleanup, clock, retries, sessions

        def local_ms() -> int:
            process = Process._entered
            return schedule.now_ms() + (0 if process is None else process.skew_ms)

        engine = SimpleNamespace(**vars(_engine))
        engine.Sid = SimpleNamespace(generate=lambda now: _sid(numbers, now))
        self._patches = [
            mock.patch.object(clock, "local_ms", local_ms),
            mock.patch.object(clock, "monotonic_ms", schedule.now_ms),
            mock.patch.object(retries, "time", schedule.TIME),
            mock.patch.object(retries, "random", numbers),
            mock.patch.object(cleanup, "time", schedule.TIME),
            mock.patch.object(cleanup, "random", numbers),
            mock.patch.object(sessions, "_engine", engine),
            mock.patch.object(of_django, "JWTAUTH", settings, create=True),
            mock.patch.dict(connections.settings["default"], {"ATOMIC_REQUESTS": atomic}),
        ]

    def __enter__(self) -> None:
        for one in self._patches:
            one.start()

    def __exit__(self, *error: object) -> None:
        from jwtauth import conf

        for one in reversed(self._patches):
            one.stop()
        Process._entered = None
        conf._current = None


def _sid(numbers: Random, now: int) -> Any:
    """Return a session id made from these numbers instead of the operating system's, by verifying a token with it."""
    from jwtauth import _engine, conf

    def encode(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    name = encode((now // 60).to_bytes(4, "big") + numbers.bytes(16))
    claims = {"sub": "1", "sid": name, "gen": 1, "iat": now, "exp": now + 60}
    signed = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "rt+jwt"}, claims))
    config = conf.get_config()
    signature = encode(hmac.digest(config.signing_key, signed.encode(), "sha256"))
    return config.tokens.verify_ignoring_time(_engine.TokenKind.REFRESH, f"{signed}.{signature}").sid
