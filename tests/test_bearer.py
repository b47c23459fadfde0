"""`Authorization: Bearer`: a valid token signs in, an invalid one is refused. Cookies are ignored then."""

import pytest
from django.test import AsyncClient

from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, Browser

pytestmark = pytest.mark.django_db

REFUSED = {"detail": "The access token is invalid or expired, or its session has ended.", "code": "token_not_valid"}


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


@pytest.fixture
def token(signed_in):
    return signed_in.token("access_token")


@pytest.fixture
def app():
    """Return a client without cookies, which stores its token itself."""
    return Browser()


def assert_refused(response):
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == REFUSED


@pytest.mark.parametrize("url", ["/me/", "/me/class/"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_valid_bearer_token_signs_in(app, token, url, scheme):
    response = app.get(url, HTTP_AUTHORIZATION=f"{scheme} {token}")
    assert response.json()["user"] == "ada"
    assert not response.cookies


@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/", "/me/async/"])
def test_plain_views_see_the_user_of_a_bearer_token(app, token, url):
    assert app.get(url, **bearer(token)).content == b"ada"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/me/plain/", "/me/async/"])
def test_asgi_requests_with_valid_and_invalid_bearer_tokens(token, url):
    from asgiref.sync import async_to_sync

    get = async_to_sync(AsyncClient().get)
    assert get(url, headers={"Authorization": f"Bearer {token}"}).content == b"ada"
    assert_refused(get(url, headers={"Authorization": f"Bearer {token}x"}))
    Session.objects.all().end()
    assert_refused(get(url, headers={"Authorization": f"Bearer {token}"}))


@pytest.mark.parametrize("bad", ["", " ", "nonsense", "a.b.c", "\x00", "é", "x" * 5000])
@pytest.mark.parametrize("url", ["/me/", "/public/", "/me/plain/", "/idle/"])
def test_invalid_bearer_token_is_refused_by_every_view_also_with_valid_cookies(signed_in, url, bad):
    assert_refused(signed_in.get(url, **bearer(bad)))
    assert signed_in.who() == "ada"


def test_refresh_token_is_refused_as_a_bearer_token(app, signed_in):
    assert_refused(app.get("/me/", **bearer(signed_in.token("refresh_token"))))


def test_expired_bearer_token_is_refused_and_not_refreshed(signed_in, token, clock):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/me/", **bearer(token))
    assert_refused(response)
    assert not response.cookies


def test_bearer_token_of_an_ended_session_is_refused(app, token):
    Session.objects.all().end()
    assert_refused(app.get("/me/", **bearer(token)))
    assert_refused(app.get("/me/plain/", **bearer(token)))


def test_bearer_token_takes_precedence_over_cookies(signed_in, other_browser, bob):
    other_browser.sign_in(bob)
    response = signed_in.get("/me/", **bearer(other_browser.token("access_token")))
    assert response.json()["user"] == "bob"
    assert response["Vary"] == "Accept, Authorization"


@pytest.mark.parametrize("header", ["Basic YWRhOg==", "Token x", "Bearer-ish x", ""])
def test_other_authorization_schemes_are_ignored(signed_in, header):
    assert signed_in.who(HTTP_AUTHORIZATION=header) == "ada"


def test_bearer_request_needs_no_same_origin_and_no_csrf_token(app, token):
    elsewhere = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://elsewhere.example"}
    assert app.post("/me/", **bearer(token), **elsewhere).json()["user"] == "ada"
    assert app.post("/me/plain/", **bearer(token), **elsewhere).content == b"ada"
    assert app.post("/me/plain/", **elsewhere).status_code == 403


def test_logout_with_a_bearer_token_ends_its_session(app, signed_in, token):
    assert app.post("/logout/", **bearer(token)).status_code == 200
    assert_refused(app.get("/me/", **bearer(token)))
    assert signed_in.who() is None


def test_logout_with_a_bearer_token_keeps_the_session_of_the_cookies(signed_in, other_browser, bob):
    other_browser.sign_in(bob)
    tokens = signed_in.tokens()
    signed_in.post("/logout/", **bearer(other_browser.token("access_token")))
    signed_in.carry(tokens)
    assert signed_in.who() == "ada"
    assert other_browser.who() is None


def test_authorization_header_can_be_left_to_other_packages(signed_in, settings):
    settings.JWTAUTH = {"BEARER_TOKENS": False}
    assert signed_in.who(**bearer("another package's")) == "ada"


def test_bearer_request_within_the_check_interval_costs_no_query(app, token, settings, django_assert_num_queries):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 60}
    app.get("/me/plain/", **bearer(token))
    with django_assert_num_queries(0):
        assert app.get("/idle/", **bearer(token)).status_code == 200


def test_bearer_tokens_are_not_logged(app, token, caplog):
    caplog.set_level(0)
    app.get("/me/", **bearer(f"{token}x"))
    assert token not in caplog.text
