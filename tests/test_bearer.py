"""`Authorization: Bearer`: an explicit claim, good or refused, without a look at the cookies."""

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
    """A client that keeps its token itself, and has no cookies."""
    return Browser()


def assert_refused(response):
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == REFUSED


@pytest.mark.parametrize("url", ["/me/", "/me/class/"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_good_token_signs_in(app, token, url, scheme):
    response = app.get(url, HTTP_AUTHORIZATION=f"{scheme} {token}")
    assert response.json()["user"] == "ada"
    assert not response.cookies


@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/", "/me/async/"])
def test_plain_views_see_the_person_too(app, token, url):
    assert app.get(url, **bearer(token)).content == b"ada"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/me/plain/", "/me/async/"])
def test_async_servers_take_and_refuse_tokens(token, url):
    from asgiref.sync import async_to_sync

    get = async_to_sync(AsyncClient().get)
    assert get(url, headers={"Authorization": f"Bearer {token}"}).content == b"ada"
    assert_refused(get(url, headers={"Authorization": f"Bearer {token}x"}))
    Session.objects.all().end()
    assert_refused(get(url, headers={"Authorization": f"Bearer {token}"}))


@pytest.mark.parametrize("bad", ["", " ", "nonsense", "a.b.c", "\x00", "é", "x" * 5000])
@pytest.mark.parametrize("url", ["/me/", "/public/", "/me/plain/", "/idle/"])
def test_a_bad_token_is_refused_everywhere_also_beside_good_cookies(signed_in, url, bad):
    assert_refused(signed_in.get(url, **bearer(bad)))
    assert signed_in.who() == "ada"


def test_a_refresh_token_is_no_access_token(app, signed_in):
    assert_refused(app.get("/me/", **bearer(signed_in.token("refresh_token"))))


def test_an_expired_token_is_refused_and_nothing_is_refreshed(signed_in, token, clock):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.get("/me/", **bearer(token))
    assert_refused(response)
    assert not response.cookies


def test_the_token_of_an_ended_session_is_refused_at_once(app, token):
    Session.objects.all().end()
    assert_refused(app.get("/me/", **bearer(token)))
    assert_refused(app.get("/me/plain/", **bearer(token)))


def test_the_header_decides_and_not_the_cookies(signed_in, other_browser, bob):
    other_browser.sign_in(bob)
    response = signed_in.get("/me/", **bearer(other_browser.token("access_token")))
    assert response.json()["user"] == "bob"
    assert response["Vary"] == "Accept, Authorization"


@pytest.mark.parametrize("header", ["Basic YWRhOg==", "Token x", "Bearer-ish x", ""])
def test_other_schemes_are_none_of_ours(signed_in, header):
    assert signed_in.who(HTTP_AUTHORIZATION=header) == "ada"


def test_no_cross_origin_rule_and_no_csrf_token(app, token):
    elsewhere = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://elsewhere.example"}
    assert app.post("/me/", **bearer(token), **elsewhere).json()["user"] == "ada"
    assert app.post("/me/plain/", **bearer(token), **elsewhere).content == b"ada"
    assert app.post("/me/plain/", **elsewhere).status_code == 403


def test_logout_ends_the_session_of_the_token(app, signed_in, token):
    assert app.post("/logout/", **bearer(token)).status_code == 200
    assert_refused(app.get("/me/", **bearer(token)))
    assert signed_in.who() is None


def test_logout_by_a_token_leaves_the_session_of_the_cookies(signed_in, other_browser, bob):
    other_browser.sign_in(bob)
    tokens = signed_in.tokens()
    signed_in.post("/logout/", **bearer(other_browser.token("access_token")))
    signed_in.carry(tokens)
    assert signed_in.who() == "ada"
    assert other_browser.who() is None


def test_the_header_can_be_left_to_others(signed_in, settings):
    settings.JWTAUTH = {"BEARER_TOKENS": False}
    assert signed_in.who(**bearer("somebody else's")) == "ada"


def test_a_remembered_session_costs_a_bearer_no_query(app, token, settings, django_assert_num_queries):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 60}
    app.get("/me/plain/", **bearer(token))
    with django_assert_num_queries(0):
        assert app.get("/idle/", **bearer(token)).status_code == 200


def test_no_token_is_logged(app, token, caplog):
    caplog.set_level(0)
    app.get("/me/", **bearer(f"{token}x"))
    assert token not in caplog.text
