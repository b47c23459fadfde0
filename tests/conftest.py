"""Fixtures: users, their browsers, and a clock that tests advance."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jwtauth import _engine
from jwtauth.internal.store import cleanup
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from jwtauth.signals import refresh_token_reused
from tests.demo import served

ACCESS_LIFETIME, GRACE, IDLE, ABSOLUTE = 300, 30, 86_400, 30 * 86_400


class Clock:
    """Keep a time that tests advance, in Unix seconds."""

    def __init__(self) -> None:
        self.now = int(time.time())

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Browser(Client):
    """Act as a browser: Django's test client that keeps unexpired cookies and enforces CSRF checks."""

    def __init__(self, **options) -> None:
        super().__init__(enforce_csrf_checks=True, raise_request_exception=False, **options)

    def sign_in(self, user, query="", **headers):
        response = self.post(f"/login/?user={user.pk}{query}", **headers)
        assert response.status_code == 200, response.content
        return response

    def who(self, url="/me/", **headers):
        """Return the name of the user of a request, or ``None`` if it is anonymous."""
        response = self.get(url, **headers)
        assert response.status_code in (200, 403)
        return response.json()["user"] if response.status_code == 200 else None

    def token(self, name):
        return self.cookies[name].value if name in self.cookies else None

    def tokens(self):
        return {name: self.token(name) for name in ("access_token", "refresh_token") if self.token(name)}

    def carry(self, tokens):
        """Replace the browser's cookies by these tokens."""
        self.cookies.clear()
        for name, value in tokens.items():
            self.cookies[name] = value

    def forget_access_token(self):
        del self.cookies["access_token"]


@pytest.fixture(autouse=True)
def _no_upkeep(monkeypatch):
    """Remove no expired rows after logins and refreshes, unless a test asks for it. Batches then take no time."""
    monkeypatch.setattr(cleanup, "time", SimpleNamespace(**vars(time) | {"monotonic_ns": lambda: 0}))
    monkeypatch.setattr(cleanup, "_schedule", _engine.CleanupSchedule(1, random=0))
    monkeypatch.setattr(cleanup, "_place", None)


@pytest.fixture(autouse=True)
def _empty_cache():
    """Forget login attempts and cached pages of other tests."""
    cache.clear()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_clock, "now", lambda: int(clock.now))
    monkeypatch.setattr(_clock, "monotonic_ms", lambda: int(clock.now * 1000))
    return clock


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    with served(tmp_path_factory.mktemp("demo")) as site:
        yield site


@pytest.fixture
def ada(db):
    return get_user_model().objects.create_user("ada", password="old password")


@pytest.fixture
def bob(db):
    return get_user_model().objects.create_user("bob", password="another password")


@pytest.fixture
def browser():
    return Browser()


@pytest.fixture
def other_browser():
    return Browser()


@pytest.fixture
def signed_in(browser, ada, clock):
    """Return a browser in which ada has just signed in."""
    browser.sign_in(ada)
    return browser


@pytest.fixture
def statements():
    """Return the SQL statements of a call, without those that begin and end a transaction."""

    def count(call, *args, **kwargs):
        with CaptureQueriesContext(connection) as captured:
            call(*args, **kwargs)
        words = [query["sql"].split()[0] for query in captured]
        return [word for word in words if word not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")]

    return count


@pytest.fixture
def thefts():
    seen = []

    def receiver(sender, **kwargs):
        seen.append({"sender": sender, **kwargs})

    refresh_token_reused.connect(receiver)
    yield seen
    refresh_token_reused.disconnect(receiver)


@pytest.fixture
def security_log(caplog):
    """Return the records of ``jwtauth.security``."""
    caplog.set_level(logging.WARNING, "jwtauth.security")
    return lambda: [record for record in caplog.records if record.name == "jwtauth.security"]


def only_session():
    return Session.objects.get()


def refresh(browser, clock):
    """Refresh, and acknowledge the new tokens, so that the next refresh can follow."""
    clock.advance(ACCESS_LIFETIME + 1)
    browser.get("/me/")
    browser.get("/me/")
