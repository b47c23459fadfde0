"""A copied refresh token is detected and reported once, and nothing else is taken for one."""

import pytest
from django.db import DatabaseError
from django.test import override_settings

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.internal.store import sessions
from jwtauth.models import Session, SessionQuerySet
from jwtauth.signals import refresh_token_reused
from tests.conftest import ACCESS_LIFETIME, GRACE, Browser, only_session, refresh

pytestmark = pytest.mark.django_db


def test_copied_token_ends_the_session_for_thief_and_owner(signed_in, other_browser, clock, thefts, security_log, ada):
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    other_browser.carry(stolen)
    session = only_session()
    response = other_browser.get("/me/")
    assert response.status_code == 403
    assert not response.cookies, "a late response must not clear newer cookies"
    assert not Session.objects.exists()
    assert signed_in.who() is None
    assert len(thefts) == 1
    assert thefts[0]["sender"] is Session
    assert thefts[0]["user"] == ada
    assert thefts[0]["session"].pk == session.pk
    [record] = security_log()
    assert record.event == "refresh_token_reused"
    assert str(session.pk) in record.getMessage()
    assert not any(part in record.getMessage() for token in stolen.values() for part in token.split("."))


def test_copied_token_ends_no_other_session(signed_in, other_browser, ada, clock, thefts):
    other_browser.sign_in(ada)
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    signed_in.carry({"refresh_token": stolen["refresh_token"]})
    assert signed_in.who() is None
    assert thefts
    assert other_browser.who() == "ada"


def test_receiver_of_refresh_token_reused_that_raises_does_not_fail_the_request(signed_in, clock):
    def receiver(**kwargs):
        raise RuntimeError

    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    signed_in.carry(stolen)
    refresh_token_reused.connect(receiver)
    try:
        assert signed_in.who() is None
    finally:
        refresh_token_reused.disconnect(receiver)
    assert not Session.objects.exists()


def test_reuse_ends_all_sessions_ends_every_session_of_the_user(signed_in, other_browser, ada, bob, clock, thefts):
    phone = Browser()
    phone.sign_in(ada)
    other_browser.sign_in(bob)
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    thief = Browser()
    thief.carry(stolen)
    with override_settings(JWTAUTH={"REUSE_ENDS_ALL_SESSIONS": True}):
        assert thief.who() is None
    assert [signed_in.who(), phone.who(), other_browser.who()] == [None, None, "bob"]
    assert len(thefts) == 1


def test_theft_is_reported_if_the_other_sessions_cannot_be_ended(signed_in, clock, thefts, security_log, monkeypatch):
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    thief = Browser()
    thief.carry(stolen)

    def of(*_):
        raise DatabaseError("the disk is full")

    with override_settings(JWTAUTH={"REUSE_ENDS_ALL_SESSIONS": True}), monkeypatch.context() as patched:
        patched.setattr(SessionQuerySet, "of", of)
        assert thief.get("/me/").status_code == 500
    assert signed_in.who() is None
    assert len(thefts) == len(security_log()) == 1


def test_theft_is_reported_once_if_several_requests_detect_it(signed_in, clock, thefts, security_log, monkeypatch):
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    thief = Browser()
    thief.carry(stolen)
    find = sessions.find

    def find_while_another_is_faster(session_id):
        found = find(session_id)
        monkeypatch.setattr(sessions, "find", find)
        assert Browser().get("/me/", HTTP_COOKIE=f"refresh_token={stolen['refresh_token']}").status_code == 403
        return found

    monkeypatch.setattr(sessions, "find", find_while_another_is_faster)
    assert thief.who() is None
    assert len(thefts) == len(security_log()) == 1


def test_forged_tokens_of_a_known_session_do_not_end_it(signed_in, clock, thefts):
    # Only an authentic token ends a session: not its id, its sid signed with another key, or a part of a token.
    session = only_session()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    config = get_config()
    authentic = config.tokens.verify_ignoring_time(_engine.TokenKind.REFRESH, signed_in.token("refresh_token"))
    old = _engine.Claims(
        subject=authentic.subject,
        sid=authentic.sid,
        generation=1,
        issued_at=clock.now,
        expires_at=clock.now + 1000,
    )
    other = _engine.Tokens(_engine.Keyring(_engine.SigningKey.read(b"another key" * 9, algorithm="HS256")))
    good = config.tokens.issue(_engine.TokenKind.REFRESH, old)
    forger = Browser()
    for forged in (
        other.issue(_engine.TokenKind.REFRESH, old),
        config.tokens.issue(_engine.TokenKind.ACCESS, old),
        good[:-1],
        good + "A",
        good.replace(".", "", 1),
        str(session.pk),
    ):
        forger.carry({"refresh_token": forged})
        assert forger.who() is None
    assert signed_in.who() == "ada"
    assert not thefts
    forger.carry({"refresh_token": good})
    assert forger.who() is None
    assert len(thefts) == 1, "the same claims signed with the site's key end it"


def test_copied_token_is_detected_within_the_check_interval(signed_in, other_browser, clock, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": None}
    other_browser.carry(signed_in.tokens())
    clock.advance(ACCESS_LIFETIME)
    for _ in range(2):
        assert signed_in.get("/public/").json() == {"is_authenticated": True}
    clock.advance(GRACE + 1)
    assert other_browser.get("/public/").json() == {"is_authenticated": False}
    assert not Session.objects.exists()
