"""Workers whose clocks are minutes apart go by the database's."""

import time
from unittest import mock

import pytest
from django.test import override_settings

from jwtauth import _engine
from jwtauth.internal.store import clock as _clock
from tests.conftest import ACCESS_LIFETIME, Browser, only_session

pytestmark = pytest.mark.django_db

MINUTES = 5 * 60
# What a slow machine may take between two readings of the clock, and still tell minutes from none.
HALF = MINUTES / 2


class Worker:
    """A process with a clock of its own, which has heard the database's so far as it has asked it."""

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
def test_a_worker_hears_the_time_with_its_first_look_at_a_session(browser, ada, off, monkeypatch):
    browser.sign_in(ada)
    with Worker(monkeypatch, off):
        assert abs(_clock.now() - time.time() - off) < HALF
        assert browser.who() == "ada"
        assert abs(_clock.now() - time.time()) < HALF


@pytest.mark.parametrize("off", [-MINUTES, MINUTES])
@override_settings(JWTAUTH={"REFRESH_TOKEN_GRACE_PERIOD": HALF})
def test_a_page_of_requests_over_workers_minutes_apart_signs_nobody_out(browser, ada, off, monkeypatch):
    """One worker rotates and sees the new token back; to the other, its times would be long ago, and the old token
    a copied one.
    """
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


def test_a_patched_clock_is_gone_by_and_not_the_database_s(browser, ada):
    with mock.patch("time.time", return_value=2_000_000_000.5):
        browser.sign_in(ada)
        assert browser.who() == "ada"
        assert (_clock.now(), _clock.monotonic_ms()) == (2_000_000_000, 2_000_000_000_500)
        assert only_session().created_at.timestamp() == 2_000_000_000
    assert abs(_clock.now() - time.time()) < HALF


def age_session(seconds):
    """As if it had been started this long before."""
    session = only_session()
    for name in ("acknowledged_at", "rotated_at", "created_at"):
        setattr(session, name, _clock.to_datetime(_clock.from_datetime(getattr(session, name)) - seconds))
    session.save()
