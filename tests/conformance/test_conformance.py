"""One table of situations, with the same answers on DRF, plain Django and django-ninja, sync and async."""

from __future__ import annotations

import inspect

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client, override_settings

from jwtauth.models import Session
from tests.conformance.site import FACES, NEW_PASSWORD
from tests.conftest import ABSOLUTE, ACCESS_LIFETIME, GRACE, only_session

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.conformance.site")]

COOKIES = ("access_token", "refresh_token")
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
FOREIGN = {"Origin": "https://elsewhere.example"}

# What a page answers: the status, the user and the code.
ADA = (200, "ada", None)
PUBLIC = (200, "AnonymousUser", None)
ANONYMOUS = (403, None)
REFUSED = (403, None, "cross_origin")
INVALID = (401, None, "token_not_valid")


class Visitor:
    """Visit one face of the site, as a browser that keeps cookies."""

    def __init__(self, face):
        client = AsyncClient if face.endswith("async") else Client
        self.face, self.client = face, client(enforce_csrf_checks=True, raise_request_exception=False)

    def request(self, method, page, headers=None):
        response = self.client.generic(method, f"/{self.face}/{page}", headers=headers)
        return async_to_sync(_awaited)(response) if inspect.isawaitable(response) else response

    def get(self, page, headers=None):
        return answer(self.request("GET", page, headers))

    def post(self, page, headers=None):
        return answer(self.request("POST", page, headers))

    def sign_in(self, user, headers=None):
        return self.post(f"login/?user={user.pk}", headers)

    def tokens(self):
        return {name: self.client.cookies[name].value for name in COOKIES if name in self.client.cookies}

    def carry(self, tokens):
        self.client.cookies.clear()
        for name, value in tokens.items():
            self.client.cookies[name] = value


async def _awaited(response):
    return await response


def answer(response):
    """Return the status, user and code of a response. The code of an anonymous request is the framework's."""
    body = response.json() if response.headers["Content-Type"].startswith("application/json") else {}
    if response.status_code == 403 and body.get("code") in (None, "not_authenticated"):
        return 403, None
    return response.status_code, body.get("user"), body.get("code")


@pytest.fixture(params=FACES)
def face(request):
    return request.param


@pytest.fixture
def visitor(face):
    return Visitor(face)


@pytest.fixture
def other(face):
    return Visitor(face)


@pytest.fixture
def signed_in(visitor, ada, clock):
    assert visitor.sign_in(ada) == ADA
    return visitor


def set_cookies(response):
    """Return the cookies that the response sets and those that it clears."""
    return (
        {name for name in response.cookies if response.cookies[name].value},
        {name for name in response.cookies if not response.cookies[name].value},
    )


# --- who is signed in


def test_anonymous_request_is_refused(visitor, db):
    response = visitor.request("GET", "me/")
    assert answer(response) == ANONYMOUS
    assert "Cookie" in response.headers["Vary"]
    assert not response.cookies


def test_anonymous_write_is_refused(visitor, db):
    assert visitor.post("me/") == ANONYMOUS


def test_signed_in_user_may_read_and_write(signed_in):
    assert signed_in.get("me/") == ADA
    assert signed_in.post("me/", {"Sec-Fetch-Site": "same-origin"}) == ADA
    assert signed_in.get("public/") == ADA


def test_login_sets_both_cookies_and_is_not_cached(visitor, ada):
    response = visitor.request("POST", f"login/?user={ada.pk}")
    assert set_cookies(response) == (set(COOKIES), set())
    assert all(response.cookies[name]["httponly"] for name in COOKIES)
    assert "no-store" in response.headers["Cache-Control"]


def test_login_replaces_the_session_of_another_user(signed_in, bob):
    before = signed_in.tokens()
    assert signed_in.sign_in(bob) == (200, "bob", None)
    assert signed_in.get("me/") == (200, "bob", None)
    signed_in.carry(before)
    assert signed_in.get("me/") == ANONYMOUS


# --- refresh


def test_expired_access_token_is_refreshed_in_the_request(signed_in, clock):
    before = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.request("GET", "me/")
    assert answer(response) == ADA
    assert set_cookies(response) == (set(COOKIES), set())
    assert "no-store" in response.headers["Cache-Control"]
    assert not set(before.values()) & set(signed_in.tokens().values())
    assert only_session().generation == 2


def test_parallel_requests_at_expiry_get_the_same_tokens(signed_in, other, clock):
    old = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("public/") == ADA
    for _ in range(3):
        clock.advance(1)
        other.carry(old)
        assert other.get("me/") == ADA
        assert other.tokens()["refresh_token"] == signed_in.tokens()["refresh_token"]
    assert only_session().generation == 2


def test_replayed_refresh_token_ends_the_session_and_is_reported_once(signed_in, other, clock, thefts):
    stolen = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("me/")
    signed_in.get("me/")  # acknowledges the new tokens
    clock.advance(ACCESS_LIFETIME)
    other.carry(stolen)
    assert other.get("me/") == ANONYMOUS
    assert signed_in.get("me/") == ANONYMOUS
    assert not Session.objects.exists()
    assert len(thefts) == 1


# --- the end of a session


def test_ended_session_is_refused(signed_in):
    only_session().end()
    assert signed_in.get("me/") == ANONYMOUS
    assert signed_in.post("me/") == ANONYMOUS


def test_ended_session_is_not_refreshed(signed_in, clock):
    only_session().end()
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("me/") == ANONYMOUS


def test_deactivated_user_is_refused(signed_in, ada, clock):
    get_user_model().objects.filter(pk=ada.pk).update(is_active=False)
    assert signed_in.get("me/") == ANONYMOUS
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("me/") == ANONYMOUS


def test_password_changed_elsewhere_ends_the_session(signed_in, ada, clock):
    ada.set_password(NEW_PASSWORD)
    ada.save()
    assert signed_in.get("me/") == ANONYMOUS
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("me/") == ANONYMOUS


def test_own_password_change_keeps_this_session_and_ends_others(signed_in, other, ada):
    other.sign_in(ada)
    assert signed_in.post("password/") == ADA
    assert signed_in.get("me/") == ADA
    assert other.get("me/") == ANONYMOUS


def test_logout_ends_the_session_and_clears_the_cookies(signed_in):
    before = signed_in.tokens()
    response = signed_in.request("POST", "logout/")
    assert answer(response) == PUBLIC
    assert set_cookies(response) == (set(), set(COOKIES))
    assert not Session.objects.exists()
    signed_in.carry(before)
    assert signed_in.get("me/") == ANONYMOUS


def test_logout_without_cookies_clears_none(visitor, db):
    response = visitor.request("POST", "logout/")
    assert answer(response) == PUBLIC
    assert set_cookies(response) == (set(), set())


# --- the strict check and SESSION_CHECK_INTERVAL


def test_strict_check_notices_a_row_that_another_process_deleted(signed_in):
    assert signed_in.get("me/") == ADA
    Session.objects.all().delete()
    assert signed_in.get("me/") == ANONYMOUS


@override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60})
def test_check_interval_bounds_the_delay_of_an_end_in_another_process(signed_in, clock):
    assert signed_in.get("me/") == ADA
    clock.advance(59)
    assert signed_in.get("me/") == ADA
    Session.objects.all().delete()
    clock.advance(60)
    assert signed_in.get("me/") == ANONYMOUS


@override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60})
def test_end_in_this_process_takes_effect_within_the_check_interval(signed_in):
    assert signed_in.get("me/") == ADA
    assert signed_in.get("me/") == ADA
    only_session().end()
    assert signed_in.get("me/") == ANONYMOUS


# --- requests from other origins


@pytest.mark.parametrize("headers", [CROSS_SITE, FOREIGN], ids=["cross-site", "foreign"])
def test_write_from_another_origin_is_refused(signed_in, headers):
    response = signed_in.request("POST", "me/", headers)
    assert answer(response) == REFUSED
    assert response.json()["detail"].startswith("CSRF Failed: ")
    assert not response.cookies
    assert signed_in.get("me/", headers) == ADA


@pytest.mark.parametrize("page", ["login/?user={pk}", "logout/"])
def test_login_and_logout_from_another_origin_are_refused_without_cookies(visitor, ada, page):
    assert visitor.post(page.format(pk=ada.pk), CROSS_SITE) == REFUSED
    assert not Session.objects.exists()


def test_refresh_from_another_origin_changes_nothing(signed_in, clock):
    before = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.post("me/", CROSS_SITE) == REFUSED
    assert signed_in.tokens() == before
    assert only_session().generation == 1


# --- bearer tokens


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_bearer_token_authenticates_also_from_another_origin(signed_in, other):
    headers = bearer(signed_in.tokens()["access_token"])
    assert other.get("me/", headers) == ADA
    assert other.post("me/", headers | CROSS_SITE) == ADA
    assert not other.tokens()


@pytest.mark.parametrize("token", ["garbage", "a.b.c", ""])
def test_invalid_bearer_token_is_refused_with_a_challenge(signed_in, token):
    response = signed_in.request("GET", "me/", bearer(token))  # beside valid cookies
    assert answer(response) == INVALID
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert not response.cookies


def test_expired_bearer_token_is_refused_and_not_refreshed(signed_in, clock):
    token = signed_in.tokens()["access_token"]
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("me/", bearer(token)) == INVALID
    assert only_session().generation == 1


def test_bearer_token_of_an_ended_session_is_refused(signed_in, other):
    headers = bearer(signed_in.tokens()["access_token"])
    only_session().end()
    response = other.request("GET", "me/", headers)
    assert answer(response) == INVALID
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


# --- cookies that no longer count


def test_cookies_of_an_ended_session_are_anonymous_on_a_public_page(signed_in, clock):
    only_session().end()
    assert signed_in.get("public/") == PUBLIC
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("public/") == PUBLIC


def test_expired_session_is_anonymous_on_a_public_page(signed_in, clock):
    clock.advance(ABSOLUTE + GRACE)
    assert signed_in.get("public/") == PUBLIC


@pytest.mark.parametrize("value", ["garbage", "a.b.c", "x" * 5000])
def test_invalid_cookies_are_ignored(visitor, db, value):
    visitor.carry(dict.fromkeys(COOKIES, value))
    assert visitor.get("public/") == PUBLIC
    assert visitor.get("me/") == ANONYMOUS
