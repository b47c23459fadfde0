"""Silent refresh: the rotation table as a browser, a proxy, a slow network and a thief see it."""

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


def test_an_expired_access_token_is_refreshed_in_the_same_request(signed_in, clock):
    before = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/me/")
    assert response.json() == {"user": "ada", "generation": 2}
    assert response.cookies["access_token"]["max-age"] == 300
    assert response.cookies["refresh_token"]["max-age"] == 86_400
    assert not set(before.values()) & set(signed_in.tokens().values())


def test_a_refresh_is_seen_on_the_request(signed_in, clock):
    assert not signed_in.get("/me/session/").json()["renewed"]
    clock.advance(ACCESS_LIFETIME)
    seen = signed_in.get("/me/session/").json()
    assert seen["refreshed"]
    assert seen["renewed"]
    assert seen["expires_at"] == clock.now + ACCESS_LIFETIME
    assert seen["session"] == str(only_session().pk)


@pytest.mark.parametrize("access_token", [None, "", "broken", "a.b.c"])
def test_a_missing_or_broken_access_token_recovers(signed_in, clock, access_token):
    clock.advance(GRACE)
    signed_in.forget_access_token()
    if access_token is not None:
        signed_in.cookies["access_token"] = access_token
    assert signed_in.who() == "ada"
    assert signed_in.token("access_token") != access_token


def test_a_view_that_asks_for_nobody_refreshes_as_well(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    assert "refresh_token" in signed_in.get("/idle/").cookies


def test_a_view_that_fails_delivers_the_new_tokens(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/failing/")
    assert response.status_code == 500
    assert {"access_token", "refresh_token"} <= set(response.cookies)
    assert signed_in.who() == "ada"


def test_an_access_cookie_lost_within_the_grace_is_made_again_without_a_rotation(signed_in):
    signed_in.forget_access_token()
    response = signed_in.get("/me/session/")
    assert set(response.cookies) == {"access_token"}
    assert response.json()["renewed"]
    assert not response.json()["refreshed"]
    assert only_session().generation == 1


def test_a_generation_is_not_replaced_before_it_has_been_in_use_for_the_grace(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/me/")
    clock.advance(ACCESS_LIFETIME)  # nothing of generation 2 was seen: this request is its first sight
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


def test_a_lost_response_is_harmless_however_long_ago(signed_in, clock):
    old = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    signed_in.carry(old)  # the browser never got it
    clock.advance(50_000)
    assert signed_in.who() == "ada"
    assert only_session().generation == 2


def test_the_old_token_is_good_within_the_grace_of_the_new_one_s_first_use(signed_in, other_browser, clock):
    old = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE - 1)
    other_browser.carry(old)
    assert other_browser.who() == "ada"


UPLOADS = [{"CONTENT_LENGTH": str(64 * 1024 + 1)}, {"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "x"}]


@pytest.mark.parametrize("upload", UPLOADS)
def test_an_upload_with_the_newest_token_is_let_in_and_sets_no_cookie(signed_in, clock, upload):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.post("/me/", **upload)
    assert response.status_code == 200
    assert not response.cookies
    assert only_session().generation == 1


@pytest.mark.parametrize("upload", UPLOADS)
@pytest.mark.parametrize("method", ["get", "delete", "options"])
def test_no_other_method_is_an_upload(signed_in, clock, method, upload):
    clock.advance(ACCESS_LIFETIME)
    assert "refresh_token" in getattr(signed_in, method)("/public/", **upload).cookies
    assert only_session().generation == 2


def test_an_upload_brings_the_token_before_for_a_quarter_of_an_hour(signed_in, clock):
    old = signed_in.tokens()
    refresh(signed_in, clock)
    signed_in.carry(old)
    clock.advance(15 * 60 - ACCESS_LIFETIME)
    for _ in range(2):
        assert signed_in.post("/me/", **UPLOADS[0]).status_code == 200


@pytest.mark.parametrize("upload", UPLOADS)
def test_a_late_upload_is_anonymous_ends_nothing_and_is_told(signed_in, clock, thefts, security_log, upload):
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


def test_a_late_upload_to_a_public_view_is_anonymous(signed_in, clock):
    old = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(15 * 60 + 1)
    signed_in.carry(old)
    assert signed_in.post("/public/", **UPLOADS[0]).json() == {"is_authenticated": False}


def test_a_body_of_64_kib_is_no_upload(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    assert "refresh_token" in signed_in.post("/public/", b"x" * 64 * 1024, "application/octet-stream").cookies


@pytest.mark.parametrize(("lost", "believed"), [(1, True), (16, True), (17, False)])
def test_a_database_that_lost_its_last_writes_signs_nobody_out(signed_in, clock, security_log, thefts, lost, believed):
    for _ in range(lost):
        refresh(signed_in, clock)
    clock.advance(ACCESS_LIFETIME + 1)
    generation = only_session().generation
    Session.objects.update(generation=generation - lost)
    assert signed_in.who() == ("ada" if believed else None)
    (record,) = security_log()
    assert record.event == ("generation_adopted" if believed else "generation_ahead")
    assert (record.presented, record.current) == (generation, generation - lost), "how much was lost"
    assert only_session().generation == (generation if believed else generation - lost)
    assert not thefts


def test_an_unused_session_ends_after_the_refresh_token_s_lifetime(signed_in, clock):
    clock.advance(86_400 - 1)
    assert signed_in.who() == "ada"
    clock.advance(86_400)
    assert signed_in.who() is None


def test_a_session_in_use_ends_at_its_absolute_limit(signed_in, clock):
    for _ in range(30):
        clock.advance(86_300)
        assert signed_in.who() == "ada"
        assert signed_in.who() == "ada"
    clock.advance(30 * 86_400 - 30 * 86_300 - 1)
    assert signed_in.who() == "ada"
    clock.advance(1)
    assert signed_in.who() is None


def test_a_shorter_absolute_limit_holds_at_once(signed_in, clock):
    clock.advance(200)
    with override_settings(
        JWTAUTH={
            "REFRESH_TOKEN_LIFETIME": 200,
            "SESSION_LIFETIME": timedelta(seconds=200),
            "ACCESS_TOKEN_LIFETIME": 100,
        }
    ):
        assert signed_in.who() is None


def test_without_an_absolute_limit_a_session_in_use_goes_on(browser, ada, clock):
    with override_settings(JWTAUTH={"SESSION_LIFETIME": None}):
        browser.sign_in(ada)
        for _ in range(60):
            clock.advance(86_000)
            assert browser.who() == "ada"
            clock.advance(60)
            assert browser.who() == "ada"


def test_a_swap_lost_to_another_request_is_decided_again(signed_in, clock, monkeypatch):
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


def test_a_session_that_keeps_changing_is_an_error_that_keeps_the_cookies(signed_in, clock, monkeypatch):
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
def test_a_database_error_is_an_error_that_keeps_the_cookies(signed_in, clock, monkeypatch, step):
    def fail(*args):
        raise DatabaseError("the database is away")

    clock.advance(ACCESS_LIFETIME)
    with monkeypatch.context() as patch:
        patch.setattr(sessions, step, fail)
        response = signed_in.get("/me/")
    assert response.status_code == 500
    assert not response.cookies
    assert signed_in.who() == "ada"


def test_an_acknowledgement_that_fails_is_no_error(signed_in, clock, monkeypatch, caplog):
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


def test_a_refresh_notes_when_the_session_was_last_seen(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    assert only_session().last_seen_at == _clock.to_datetime(clock.now)


@override_settings(USE_TZ=False)
def test_times_hold_without_time_zones(browser, ada, clock):
    browser.sign_in(ada)
    clock.advance(ACCESS_LIFETIME)
    assert browser.who() == "ada"
    assert only_session().generation == 2
    assert Session.objects.live().count() == 1
    clock.advance(86_400)
    assert browser.who() is None


def test_a_person_who_was_deactivated_is_not_refreshed(signed_in, clock):
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
def test_a_late_response_is_harmless_within_the_access_lifetime(signed_in, clock, late, until_the_next, user):
    """A later one has to be mended by a request within the grace."""
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
