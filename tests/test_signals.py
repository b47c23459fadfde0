"""Signals, and log records of `jwtauth.security`."""

import logging

import pytest
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import OperationalError, connection, transaction
from django.urls import path
from rest_framework.request import Request

from jwtauth import logout
from jwtauth.internal.store import sessions
from jwtauth.models import Session
from jwtauth.signals import refresh_token_reused, session_ended, session_refreshed, session_started
from tests.conftest import ACCESS_LIFETIME, GRACE, only_session, refresh

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = {
    "started": session_started,
    "refreshed": session_refreshed,
    "ended": session_ended,
    "reused": refresh_token_reused,
    "logged_in": user_logged_in,
    "logged_out": user_logged_out,
    "failed": user_login_failed,
}


@pytest.fixture
def heard():
    """Record every signal, with its arguments, in order."""
    seen = []
    receivers = []
    for name, signal in SIGNALS.items():

        def receiver(sender, name=name, **kwargs):
            seen.append((name, kwargs))

        signal.connect(receiver)
        receivers.append((signal, receiver))
    yield seen
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def names(heard):
    return [name for name, _ in heard]


def reasons(heard):
    return [arguments["reason"] for name, arguments in heard if name == "ended"]


def test_login_sends_session_started(browser, ada, clock, heard):
    browser.sign_in(ada)
    assert names(heard) == ["started", "logged_in"]
    started = heard[0][1]
    assert (started["user"], started["session"]) == (ada, only_session())
    assert started["request"].path == "/login/"


def test_refresh_sends_session_refreshed(signed_in, clock, heard):
    refresh(signed_in, clock)
    assert names(heard) == ["refreshed"]
    assert heard[0][1]["session"].generation == 2


def test_logout_sends_session_ended_once(signed_in, ada, heard):
    session = only_session()
    signed_in.post("/logout/")
    assert names(heard) == ["ended", "logged_out"]
    assert heard[0][1]["session"].pk == session.pk
    assert heard[0][1]["session"].user == ada
    assert reasons(heard) == ["logout"]
    signed_in.post("/logout/")
    assert reasons(heard) == ["logout"]  # only once


def test_second_login_in_a_browser_sends_session_ended_as_replaced(signed_in, bob, heard):
    signed_in.sign_in(bob)
    assert reasons(heard) == ["replaced"]


def test_end_sends_session_ended_as_revoked(signed_in, other_browser, ada, heard):
    other_browser.sign_in(ada)
    assert Session.objects.of(ada).end() == 2
    assert reasons(heard) == ["revoked", "revoked"]


def test_copied_token_sends_session_ended_and_refresh_token_reused(signed_in, clock, heard):
    tokens = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    signed_in.carry({"refresh_token": tokens["refresh_token"]})
    signed_in.get("/me/")
    assert names(heard) == ["refreshed", "ended", "reused"]
    assert reasons(heard) == ["reused"]


def test_login_over_the_session_limit_sends_session_ended(browser, other_browser, ada, clock, heard, settings):
    settings.JWTAUTH = {"MAX_SESSIONS_PER_USER": 1}
    browser.sign_in(ada)
    other_browser.sign_in(ada)
    assert reasons(heard) == ["limit"]


def ends(heard):
    """Return the reason, the user and the request's path and user of each session that ended."""
    return [
        (
            told["reason"],
            told["session"].user.username,
            told["request"] and (told["request"].path, str(told["request"].user)),
        )
        for name, told in heard
        if name == "ended"
    ]


def test_session_ended_has_the_request_that_ended_it(signed_in, other_browser, ada, bob, clock, heard, settings):
    signed_in.sign_in(bob)
    other_browser.sign_in(ada)
    other_browser.post("/logout/")
    paths = [(told["reason"], told["request"].path) for name, told in heard if name == "ended"]
    assert paths == [("replaced", "/login/"), ("logout", "/logout/")]
    settings.JWTAUTH = {"MAX_SESSIONS_PER_USER": 1}
    other_browser.sign_in(bob)
    assert ends(heard)[2:] == [("limit", "bob", ("/login/", "bob"))]


def test_session_ended_by_the_views_has_the_user_who_ended_it(signed_in, other_browser, ada, heard):
    own = only_session().pk
    for url in ("/auth/sessions/others/", "/auth/sessions/{}/"):
        other_browser.sign_in(ada)
        ended = Session.objects.exclude(pk=own).get().pk
        signed_in.delete(url.format(ended))
    assert ends(heard) == [
        ("revoked", "ada", ("/auth/sessions/others/", "ada")),
        ("revoked", "ada", (f"/auth/sessions/{ended}/", "ada")),
    ]


@pytest.mark.parametrize("act", ["delete", "end_sessions"])
def test_session_ended_in_the_admin_has_the_administrator(signed_in, heard, admin_client, act):
    pk = only_session().pk
    if act == "delete":
        admin_client.post(f"/admin/jwtauth/session/{pk}/delete/", {"post": "yes"})
    else:
        admin_client.post("/admin/jwtauth/session/", {"action": act, "_selected_action": [str(pk)]})
    assert [(reason, of, by) for reason, of, (_path, by) in ends(heard)] == [("revoked", "ada", "admin")]


def test_session_ended_by_a_theft_has_the_request_of_the_thief(signed_in, other_browser, ada, clock, heard, settings):
    settings.JWTAUTH = {"REUSE_ENDS_ALL_SESSIONS": True}
    other_browser.sign_in(ada)
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    signed_in.carry({"refresh_token": stolen["refresh_token"]})
    signed_in.get("/me/")
    assert ends(heard) == [("reused", "ada", ("/me/", "AnonymousUser"))] * 2


def test_session_ended_without_a_request_says_so(signed_in, ada, heard):
    Session.objects.of(ada).end()
    assert ends(heard) == [("revoked", "ada", None)]


def test_request_of_session_ended_is_django_s(signed_in, rf, heard):
    only_session().end(request=Request(rf.get("/wrapped/")))
    assert type(heard[-1][1]["request"]) is type(rf.get("/"))


def test_request_of_session_ended_takes_no_statement_without_receivers(signed_in, ada, rf, statements):
    session = only_session()
    assert statements(session.end, request=rf.get("/")) == ["DELETE"]
    signed_in.sign_in(ada)
    assert statements(Session.objects.of(ada).end, request=rf.get("/")) == ["DELETE"]


def test_wrong_credentials_send_user_login_failed(browser, ada, heard):
    data = {"username": "ada", "password": "wrong"}
    browser.post("/auth/login/", data, content_type="application/json")
    assert names(heard) == ["failed"]
    assert heard[0][1]["request"].path == "/auth/login/"
    assert "wrong" not in str(heard[0][1]["credentials"])


def test_receiver_that_raises_does_not_fail_the_request(browser, ada, clock):
    def fail(sender, **kwargs):
        raise RuntimeError("the receiver failed")

    for signal in (session_started, session_refreshed, session_ended):
        signal.connect(fail)
    try:
        browser.sign_in(ada)
        refresh(browser, clock)
        assert browser.who() == "ada"
        assert browser.post("/logout/").status_code == 200
    finally:
        for signal in (session_started, session_refreshed, session_ended):
            signal.disconnect(fail)


def test_security_log_has_events_and_no_tokens(browser, ada, clock, caplog):
    caplog.set_level(logging.INFO, "jwtauth.security")
    browser.sign_in(ada)
    secrets = list(browser.tokens().values())
    refresh(browser, clock)
    secrets += browser.tokens().values()
    browser.post("/logout/")
    records = [record for record in caplog.records if record.name == "jwtauth.security"]
    assert [record.event for record in records] == ["session_started", "session_refreshed", "session_ended"]
    assert records[2].reason == "logout"
    assert not any(part in caplog.text for secret in secrets for part in secret.split(".")[1:])


# --- transactions: events are sent with the commit


@pytest.fixture
def records(caplog):
    """Return the events of `jwtauth.security` from now on, in order."""
    caplog.set_level(logging.INFO, "jwtauth.security")
    caplog.clear()
    return lambda: [record.event for record in caplog.records if record.name == "jwtauth.security"]


def told(heard):
    """Return the signals sent, without Django's own, which are sent immediately."""
    return [name for name in names(heard) if name not in ("logged_in", "logged_out")]


def test_ends_are_reported_when_committed(signed_in, ada, heard, records):
    with transaction.atomic():
        assert Session.objects.of(ada).end() == 1
        with transaction.atomic():
            assert (told(heard), records()) == ([], [])
        assert (told(heard), records()) == ([], [])
    assert (told(heard), records()) == (["ended"], ["session_ended"])


@pytest.mark.parametrize("listens", [True, False])
def test_ends_that_are_rolled_back_are_not_reported(signed_in, ada, records, listens, request):
    seen = request.getfixturevalue("heard") if listens else []
    with transaction.atomic():
        Session.objects.of(ada).end()
        transaction.set_rollback(True)
    with transaction.atomic():
        with transaction.atomic():
            Session.objects.of(ada).end()
            transaction.set_rollback(True)
        assert only_session().end() == 1
        transaction.set_rollback(True)
    assert (told(seen), records()) == ([], [])
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("listens", [True, False])
def test_login_that_is_rolled_back_is_not_reported(signed_in, bob, records, listens, request):
    seen = request.getfixturevalue("heard") if listens else []
    signed_in.get(f"/login/rolled-back/?user={bob.pk}")
    assert (told(seen), records()) == ([], [])
    assert signed_in.who() == "ada"


def test_login_in_the_view_s_transaction_is_reported_with_its_commit(signed_in, bob, heard, records, atomic_requests):
    signed_in.sign_in(bob)
    assert names(heard) == ["logged_in", "started", "ended"]
    assert records() == ["session_started", "session_ended"]
    assert reasons(heard) == ["replaced"]


@pytest.mark.parametrize("url", ["/logout/", "/logout/rolled-back/"])
def test_logout_in_a_transaction_is_reported_once(signed_in, heard, records, atomic_requests, url):
    # After a rollback, the end is written again after the view.
    signed_in.get(url) if "rolled" in url else signed_in.post(url)
    assert (told(heard), reasons(heard)) == (["ended"], ["logout"])
    assert records() == ["session_ended"]
    assert not Session.objects.exists()


def test_logout_in_a_failing_view_is_reported_once(signed_in, heard, records, settings, atomic_requests):
    settings.ROOT_URLCONF = "tests.test_signals"
    signed_in.get("/fail/")
    assert (told(heard), records()) == (["ended"], ["session_ended"])


def test_receiver_that_raises_at_the_commit_does_not_stop_other_callbacks(signed_in, ada, heard):
    def fail(sender, **kwargs):
        raise RuntimeError("the receiver failed")

    session_ended.connect(fail)
    try:
        with transaction.atomic():
            transaction.on_commit(lambda: heard.append(("later", {})))
            Session.objects.of(ada).end()
    finally:
        session_ended.disconnect(fail)
    assert names(heard) == ["later", "ended"]


@pytest.mark.django_db
def test_events_are_reported_immediately_in_a_test_that_does_not_commit(browser, ada, heard, records):
    browser.sign_in(ada)
    browser.post("/logout/")
    assert names(heard) == ["started", "logged_in", "ended", "logged_out"]
    assert records() == ["session_started", "session_ended"]


@pytest.mark.django_db
def test_events_of_atomic_requests_are_sent_by_captured_on_commit_callbacks(
    browser, ada, heard, django_capture_on_commit_callbacks, atomic_requests
):
    browser.sign_in(ada)
    assert told(heard) == []
    with django_capture_on_commit_callbacks(execute=True):
        browser.post("/logout/")
        assert told(heard) == []
    assert told(heard) == ["ended"]


@pytest.fixture
def atomic_requests(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


def sign_out_and_fail(request):
    logout(request)
    raise RuntimeError("the view failed")


urlpatterns = [path("fail/", sign_out_and_fail)]


# --- last seen


def test_get_request_does_not_update_last_seen_at(signed_in, clock, statements):
    clock.advance(120)
    assert "UPDATE" not in statements(signed_in.get, "/me/")


def test_post_request_updates_last_seen_at_at_most_once_a_minute(signed_in, clock, statements):
    clock.advance(60)
    assert statements(signed_in.post, "/me/") == ["SELECT", "UPDATE"]
    assert only_session().last_seen_at.timestamp() == clock.now
    clock.advance(59)
    assert statements(signed_in.post, "/me/") == ["SELECT"]


def test_error_in_updating_last_seen_at_does_not_fail_the_request(signed_in, clock, monkeypatch, caplog):
    def fail(session):
        raise OperationalError("the database is away")

    monkeypatch.setattr(sessions, "update_last_seen", fail)
    clock.advance(ACCESS_LIFETIME - 1)
    assert signed_in.post("/me/").status_code == 200
    assert "could not be updated" in caplog.text
