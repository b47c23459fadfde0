"""Workers whose clocks are minutes apart use the database's clock."""

import time
from unittest import mock

import pytest
from django.test import override_settings

from jwtauth import _engine
from jwtauth.internal.store import clock as _clock
from tests.conftest import ACCESS_LIFETIME, Browser, only_session

pytestmark = pytest.mark.django_db

MINUTES = 5 * 60
# Seconds that a slow machine may take between two readings of the clock, still clearly less than minutes.
HALF = MINUTES / 2


class Worker:
    """Simulate a process with its own clock, which learns the database's time from its queries."""

    def __init__(self, monkeypatch, off):
        self.heard = _engine.DatabaseClock()
        self.off = off
        self.monkeypatch = monkeypatch

    def __enter__(self):
        self.monkeypatch.setattr(_clock, "_database_clock", self.heard)
        self.monkeypatch.setattr(_clock, "local_ms", lambda: int((time.time() + self.off) * 1000))
        return self

    def __exit__(self, *error):
        self.monkeypatch.undo()


@pytest.mark.parametrize("off", [-MINUTES, MINUTES])
def test_worker_learns_the_database_s_time_with_its_first_session_query(browser, ada, off, monkeypatch):
    browser.sign_in(ada)
    with Worker(monkeypatch, off):
        assert abs(_clock.now() - time.time() - off) < HALF
        assert browser.who() == "ada"
        assert abs(_clock.now() - time.time()) < HALF


@pytest.mark.parametrize("off", [-MINUTES, MINUTES])
@override_settings(JWTAUTH={"REFRESH_TOKEN_GRACE_PERIOD": HALF})
def test_requests_over_workers_minutes_apart_sign_no_user_out(browser, ada, off, monkeypatch):
    # One worker rotates and receives the new token. By the other's clock that was long ago, and the old token
    # would count as copied.
    browser.sign_in(ada)
    only_session()
    before = browser.tokens()
    del before["access_token"]
    late = Browser()
    right, wrong = Worker(monkeypatch, 0), Worker(monkeypatch, off)
    age_session(ACCESS_LIFETIME)
    with right:
        browser.forget_access_token()
        assert browser.who() == "ada"
        assert browser.who() == "ada"
        assert only_session().generation == 2
        assert only_session().acknowledged_at is not None
    with wrong:
        late.carry(before)
        assert late.who() == "ada"
        assert browser.who() == "ada"
        assert late.tokens()["refresh_token"] == browser.tokens()["refresh_token"]
    assert only_session().generation == 2


def test_patched_clock_is_used_instead_of_the_database_s(browser, ada):
    with mock.patch("time.time", return_value=2_000_000_000.5):
        browser.sign_in(ada)
        assert browser.who() == "ada"
        assert (_clock.now(), _clock.monotonic_ms()) == (2_000_000_000, 2_000_000_000_500)
        assert only_session().created_at.timestamp() == 2_000_000_000
    assert abs(_clock.now() - time.time()) < HALF


def age_session(seconds):
    """Move the start of the session this far into the past."""
    session = only_session()
    for name in ("acknowledged_at", "rotated_at", "created_at"):
        setattr(session, name, _clock.to_datetime(_clock.from_datetime(getattr(session, name)) - seconds))
    session.save()
