"""Silent refresh: the rotation table, as seen by browsers, proxies, slow networks and thieves."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.test import override_settings

from jwtauth.internal.store import clock as _clock
from jwtauth.internal.store import sessions
from jwtauth.models import Session
from jwtauth.signals import late_upload
from tests.conftest import ACCESS_LIFETIME, GRACE, only_session, refresh

pytestmark = pytest.mark.django_db


def test_expired_access_token_is_refreshed_in_the_same_request(signed_in, clock):
    before = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/me/")
    assert response.json() == {"user": "ada", "generation": 2}
    assert response.cookies["access_token"]["max-age"] == 300
    assert response.cookies["refresh_token"]["max-age"] == 86_400
    assert not set(before.values()) & set(signed_in.tokens().values())


def test_request_jwtauth_tells_of_the_refresh(signed_in, clock):
    assert not signed_in.get("/me/session/").json()["renewed"]
    clock.advance(ACCESS_LIFETIME)
    seen = signed_in.get("/me/session/").json()
    assert seen["refreshed"]
    assert seen["renewed"]
    assert seen["expires_at"] == clock.now + ACCESS_LIFETIME
    assert seen["session"] == str(only_session().pk)


@pytest.mark.parametrize("access_token", [None, "", "broken", "a.b.c"])
def test_missing_or_invalid_access_token_is_replaced(signed_in, clock, access_token):
    clock.advance(GRACE)
    signed_in.forget_access_token()
    if access_token is not None:
        signed_in.cookies["access_token"] = access_token
    assert signed_in.who() == "ada"
    assert signed_in.token("access_token") != access_token


def test_view_that_does_not_use_request_user_refreshes_too(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    assert "refresh_token" in signed_in.get("/idle/").cookies


def test_failing_view_sends_the_refreshed_tokens(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/failing/")
    assert response.status_code == 500
    assert {"access_token", "refresh_token"} <= set(response.cookies)
    assert signed_in.who() == "ada"


def test_access_cookie_lost_within_the_grace_is_issued_again_without_a_rotation(signed_in):
    signed_in.forget_access_token()
    response = signed_in.get("/me/session/")
    assert set(response.cookies) == {"access_token"}
    assert response.json()["renewed"]
    assert not response.json()["refreshed"]
    assert only_session().generation == 1


def test_generation_is_not_replaced_until_the_grace_after_its_first_use(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/me/")
    clock.advance(ACCESS_LIFETIME)  # this request is the first with a token of generation 2
    assert set(signed_in.get("/idle/").cookies) == {"access_token"}
    clock.advance(GRACE - 1)
    signed_in.forget_access_token()
    assert set(signed_in.get("/idle/").cookies) == {"access_token"}
    clock.advance(1)
    signed_in.forget_access_token()
    assert set(signed_in.get("/idle/").cookies) == {"access_token", "refresh_token"}
    assert only_session().generation == 3


def test_parallel_requests_with_the_old_token_get_the_same_new_one(signed_in, other_browser, clock):
    old = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    for _ in range(3):
        clock.advance(1)
        other_browser.carry(old)
        assert other_browser.who() == "ada"
        assert other_browser.token("refresh_token") == signed_in.token("refresh_token")
    assert only_session().generation == 2


def test_old_token_is_accepted_after_a_lost_response_until_the_new_one_is_used(signed_in, clock):
    old = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    signed_in.carry(old)  # the browser did not receive the response
    clock.advance(50_000)
    assert signed_in.who() == "ada"
    assert only_session().generation == 2


def test_old_token_is_accepted_within_the_grace_after_the_new_one_s_first_use(signed_in, other_browser, clock):
    old = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE - 1)
    other_browser.carry(old)
    assert other_browser.who() == "ada"


UPLOADS = [{"CONTENT_LENGTH": str(64 * 1024 + 1)}, {"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "x"}]


@pytest.mark.parametrize("upload", UPLOADS)
def test_upload_with_the_newest_token_is_admitted_and_sets_no_cookie(signed_in, clock, upload):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.post("/me/", **upload)
    assert response.status_code == 200
    assert not response.cookies
    assert only_session().generation == 1


@pytest.mark.parametrize("upload", UPLOADS)
@pytest.mark.parametrize("method", ["get", "delete", "options"])
def test_only_post_put_and_patch_are_uploads(signed_in, clock, method, upload):
    clock.advance(ACCESS_LIFETIME)
    assert "refresh_token" in getattr(signed_in, method)("/public/", **upload).cookies
    assert only_session().generation == 2


def test_upload_with_the_previous_token_is_admitted_for_15_minutes(signed_in, clock):
    old = signed_in.tokens()
    refresh(signed_in, clock)
    signed_in.carry(old)
    clock.advance(15 * 60 - ACCESS_LIFETIME)
    for _ in range(2):
        assert signed_in.post("/me/", **UPLOADS[0]).status_code == 200


@pytest.mark.parametrize("upload", UPLOADS)
def test_late_upload_is_refused_and_logged_and_ends_no_session(signed_in, clock, thefts, security_log, upload):
    old, told = signed_in.tokens(), []
    refresh(signed_in, clock)
    new = signed_in.tokens()
    clock.advance(15 * 60 + 1)
    signed_in.carry(old)
    receiver = lambda **sent: told.append((sent["session"].pk, sent["user"].username))  # noqa: E731
    late_upload.connect(receiver)
    try:
        response = signed_in.post("/me/", **upload)
    finally:
        late_upload.disconnect(receiver)
    assert (response.status_code, response.json()["code"]) == (403, "late_upload")
    assert not response.cookies
    assert not thefts
    assert told == [(only_session().pk, "ada")]
    [record] = security_log()
    assert (record.event, record.levelname, record.presented, record.current) == ("late_upload", "WARNING", 1, 2)
    signed_in.carry(new)
    assert signed_in.who() == "ada"


def test_late_upload_to_a_public_view_is_anonymous(signed_in, clock):
    old = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(15 * 60 + 1)
    signed_in.carry(old)
    assert signed_in.post("/public/", **UPLOADS[0]).json() == {"is_authenticated": False}


def test_request_with_a_body_of_64_kib_is_not_an_upload(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    assert "refresh_token" in signed_in.post("/public/", b"x" * 64 * 1024, "application/octet-stream").cookies


@pytest.mark.parametrize(("lost", "is_adopted"), [(1, True), (16, True), (17, False)])
def test_newer_generation_than_the_database_s_is_adopted_up_to_16(
    signed_in, clock, security_log, thefts, lost, is_adopted
):
    for _ in range(lost):
        refresh(signed_in, clock)
    clock.advance(ACCESS_LIFETIME + 1)
    generation = only_session().generation
    Session.objects.update(generation=generation - lost)
    assert signed_in.who() == ("ada" if is_adopted else None)
    (record,) = security_log()
    assert record.event == ("generation_adopted" if is_adopted else "generation_ahead")
    assert (record.presented, record.current) == (generation, generation - lost), (
        "the record tells how many writes were lost"
    )
    assert only_session().generation == (generation if is_adopted else generation - lost)
    assert not thefts


def test_unused_session_expires_after_the_refresh_token_s_lifetime(signed_in, clock):
    clock.advance(86_400 - 1)
    assert signed_in.who() == "ada"
    clock.advance(86_400)
    assert signed_in.who() is None


def test_session_in_use_expires_at_its_absolute_limit(signed_in, clock):
    for _ in range(30):
        clock.advance(86_300)
        assert signed_in.who() == "ada"
        assert signed_in.who() == "ada"
    clock.advance(30 * 86_400 - 30 * 86_300 - 1)
    assert signed_in.who() == "ada"
    clock.advance(1)
    assert signed_in.who() is None


def test_shorter_absolute_limit_applies_to_existing_sessions(signed_in, clock):
    clock.advance(200)
    with override_settings(
        JWTAUTH={
            "REFRESH_TOKEN_LIFETIME": 200,
            "SESSION_LIFETIME": timedelta(seconds=200),
            "ACCESS_TOKEN_LIFETIME": 100,
        }
    ):
        assert signed_in.who() is None


def test_session_in_use_does_not_expire_without_an_absolute_limit(browser, ada, clock):
    with override_settings(JWTAUTH={"SESSION_LIFETIME": None}):
        browser.sign_in(ada)
        for _ in range(60):
            clock.advance(86_000)
            assert browser.who() == "ada"
            clock.advance(60)
            assert browser.who() == "ada"


def test_refresh_that_loses_the_race_reissues_the_winner_s_tokens(signed_in, clock, monkeypatch):
    clock.advance(ACCESS_LIFETIME)
    real = sessions.advance

    def other_was_first(found, next_row):
        monkeypatch.setattr(sessions, "advance", real)
        real(sessions.find(found.session.pk), next_row)
        return real(found, next_row)

    monkeypatch.setattr(sessions, "advance", other_was_first)
    response = signed_in.get("/me/session/")
    assert not response.json()["refreshed"]
    assert set(response.cookies) == {"access_token", "refresh_token"}
    assert only_session().generation == 2


def test_refresh_that_always_loses_the_race_is_503_and_keeps_the_cookies(signed_in, clock, monkeypatch):
    clock.advance(ACCESS_LIFETIME)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "advance", lambda *args: False)
        response = signed_in.get("/me/")
    assert response.status_code == 503
    assert response.json()["code"] == "session_contention"
    assert response["Retry-After"] == "1"
    assert not response.cookies
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("step", ["find", "advance"])
def test_database_error_during_a_refresh_is_500_and_keeps_the_cookies(signed_in, clock, monkeypatch, step):
    def fail(*args):
        raise DatabaseError("the database is away")

    clock.advance(ACCESS_LIFETIME)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, step, fail)
        response = signed_in.get("/me/")
    assert response.status_code == 500
    assert not response.cookies
    assert signed_in.who() == "ada"


def test_failed_acknowledgement_is_logged_and_made_again_later(signed_in, clock, monkeypatch, caplog):
    def fail(*args):
        raise DatabaseError("the database is away")

    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "acknowledge", fail)
        assert signed_in.who() == "ada"
    assert "could not be acknowledged" in caplog.text
    assert only_session().acknowledged_at is None
    assert signed_in.who() == "ada"
    assert only_session().acknowledged_at is not None


def test_refresh_updates_last_seen_at(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    assert only_session().last_seen_at == _clock.to_datetime(clock.now)


@override_settings(USE_TZ=False)
def test_session_is_refreshed_without_use_tz(browser, ada, clock):
    browser.sign_in(ada)
    clock.advance(ACCESS_LIFETIME)
    assert browser.who() == "ada"
    assert only_session().generation == 2
    assert Session.objects.live().count() == 1
    clock.advance(86_400)
    assert browser.who() is None


def test_session_of_a_deactivated_user_is_not_refreshed(signed_in, clock):
    get_user_model().objects.update(is_active=False)
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/me/")
    assert response.status_code == 403
    assert not response.cookies


@pytest.mark.parametrize(
    ("late", "until_the_next", "user"),
    [
        (ACCESS_LIFETIME - 1, 3600, "ada"),
        (ACCESS_LIFETIME + GRACE - 2, 1, "ada"),
        (ACCESS_LIFETIME + GRACE - 2, 3600, None),
    ],
)
def test_late_response_within_the_access_lifetime_does_not_sign_out(signed_in, clock, late, until_the_next, user):
    # After the access token's lifetime, the next request must be within the grace.
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/me/")
    held_back = signed_in.tokens()
    assert signed_in.who() == "ada"
    clock.advance(min(late, ACCESS_LIFETIME))
    if late > ACCESS_LIFETIME:
        assert [signed_in.who(), signed_in.who()] == ["ada", "ada"]
        assert only_session().generation == 3
        clock.advance(late - ACCESS_LIFETIME)
    signed_in.carry(held_back)
    clock.advance(until_the_next)
    assert signed_in.who() == user
