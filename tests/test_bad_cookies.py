"""Invalid cookies: the request is anonymous, without an error, and without a query if no signature is valid."""

import base64
import json
from http.cookies import Morsel, SimpleCookie

import jwt
import pytest
from django.conf import settings

from jwtauth import _engine
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME

pytestmark = pytest.mark.django_db


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def mint(**changes):
    """Return a token that another library has signed with the site's key."""
    header = {"typ": "at+jwt"} | changes.pop("header", {})
    payload = {"sub": "1", "sid": "A" * 27, "gen": 1, "iat": 1, "exp": 4_000_000_000} | changes
    return jwt.encode({k: v for k, v in payload.items() if v is not None}, settings.SECRET_KEY, "HS256", headers=header)


FORGERIES = {
    "empty": "",
    "text": "not a token",
    "dots": "...",
    "many dots": "." * 100_000,
    "100 kB": "a" * 100_000,
    "binary": "\x00\x01\xff",
    "NUL": "a.\x00.b",
    "not ASCII": "é.ü.ß",
    "alg none": f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{segment({'sub': '1', 'exp': 4_000_000_000})}.",
    "alg none, signed": mint().rsplit(".", 1)[0].replace(segment({"alg": "HS256"}), segment({"alg": "none"})) + ".AA",
    "other key": jwt.encode({"sub": "1", "exp": 4_000_000_000}, "k" * 32, "HS256", headers={"typ": "at+jwt"}),
    "simplejwt": jwt.encode(
        {"token_type": "access", "exp": 4_000_000_000, "jti": "x", "user_id": "1"}, settings.SECRET_KEY, "HS256"
    ),
    "prototype": jwt.encode({"user_id": 1, "iat": 1, "exp": 4_000_000_000}, settings.SECRET_KEY, "HS256"),
    "HS512 with the site's key": jwt.encode({"sub": "1"}, settings.SECRET_KEY, "HS512", headers={"typ": "at+jwt"}),
    "crit": mint(header={"crit": ["exp"]}),
    "jwk": mint(header={"jwk": {"kty": "oct", "k": "AA"}}),
    "typ JWT": mint(header={"typ": "JWT"}),
    "expired": mint(exp=2),
    "no exp": mint(exp=None),
    "no sid": mint(sid=None),
    "sid is a number": mint(sid=5),
    "gen is text": mint(gen="1"),
}


class Anything(Morsel):
    """Hold a cookie of any value. The class of newer Python versions refuses control characters."""

    def __init__(self, key, value):
        super().__init__()
        _, coded_value = SimpleCookie().value_encode(value)
        self._key, self._value, self._coded_value = key, value, coded_value


def put(browser, name, value):
    dict.__setitem__(browser.cookies, name, Anything(name, value))


@pytest.mark.parametrize("cookie", ["access_token", "refresh_token"])
@pytest.mark.parametrize("name", FORGERIES)
def test_forged_cookie_is_anonymous_and_costs_no_query(browser, statements, cookie, name):
    put(browser, cookie, FORGERIES[name])
    assert statements(browser.get, "/me/") == []
    assert browser.get("/me/").status_code == 403
    response = browser.get("/public/")
    assert response.json() == {"is_authenticated": False}
    assert not response.cookies


@pytest.mark.parametrize("name", FORGERIES)
def test_valid_refresh_token_is_used_if_the_access_token_is_forged(signed_in, name, clock):
    put(signed_in, "access_token", FORGERIES[name])
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("name", FORGERIES)
def test_valid_access_token_is_used_if_the_refresh_token_is_forged(signed_in, name):
    put(signed_in, "refresh_token", FORGERIES[name])
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("name", FORGERIES)
def test_login_and_logout_work_with_any_cookies(browser, ada, name):
    for cookie in ("access_token", "refresh_token"):
        put(browser, cookie, FORGERIES[name])
    browser.sign_in(ada)
    assert browser.who() == "ada"
    put(browser, "access_token", FORGERIES[name])
    assert browser.post("/logout/").status_code == 200


def test_access_and_refresh_tokens_are_refused_in_each_other_s_cookie(signed_in, statements):
    tokens = signed_in.tokens()
    signed_in.carry({"access_token": tokens["refresh_token"], "refresh_token": tokens["access_token"]})
    assert signed_in.who() is None
    assert statements(signed_in.get, "/me/") == []


def test_token_of_an_unknown_session_is_anonymous(browser, ada, statements):
    browser.cookies["access_token"] = mint()
    assert browser.who() is None
    assert statements(browser.get, "/me/") == ["SELECT"]


def test_changed_character_in_the_signature_is_refused(signed_in):
    head, _, signature = signed_in.token("access_token").rpartition(".")
    for position in range(len(signature)):
        flipped = "A" if signature[position] != "A" else "B"
        signed_in.carry({"access_token": f"{head}.{signature[:position]}{flipped}{signature[position + 1 :]}"})
        assert signed_in.who() is None


def test_tokens_of_two_users_in_one_request_are_ignored(signed_in, other_browser, bob, statements):
    other_browser.sign_in(bob)
    signed_in.cookies["refresh_token"] = other_browser.token("refresh_token")
    assert signed_in.who() is None
    assert statements(signed_in.get, "/me/") == ["SELECT"], "one query: has the other session ended?"
    assert Session.objects.count() == 2


def test_refresh_token_of_an_ended_session_does_not_sign_another_user_out(browser, other_browser, ada, bob):
    # After ``COOKIE_DOMAIN`` changes, browsers keep the cookie of the old domain even after a logout.
    other_browser.sign_in(bob)
    stale = other_browser.token("refresh_token")
    Session.objects.get(user=bob).end()
    browser.sign_in(ada)
    browser.cookies["refresh_token"] = stale
    assert browser.who() == "ada"


def test_access_token_of_an_ended_session_is_refused_with_a_refresh_token_of_another_user(
    signed_in, other_browser, bob
):
    stolen = signed_in.token("access_token")
    signed_in.post("/logout/")
    other_browser.sign_in(bob)
    other_browser.cookies["access_token"] = stolen
    assert other_browser.who() is None


def test_late_access_cookie_of_a_replaced_session_does_not_sign_out(signed_in, ada, clock):
    late = signed_in.token("access_token")
    signed_in.sign_in(ada)
    signed_in.cookies["access_token"] = late
    assert signed_in.who() == "ada"
    assert signed_in.token("access_token") != late


def test_late_refresh_cookie_of_a_replaced_session_does_not_sign_out(signed_in, ada):
    late = signed_in.token("refresh_token")
    signed_in.sign_in(ada)
    signed_in.cookies["refresh_token"] = late
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("order", ["{bad}; {good}", "{good}; {bad}", "{bad}; {good}; {bad}"])
@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_valid_cookie_among_several_of_the_same_name_is_used(signed_in, browser, order, name):
    good = signed_in.token(name)
    header = order.format(bad=f"{name}=forged", good=f"{name}={good}")
    signed_in.cookies.clear()
    assert signed_in.who(HTTP_COOKIE=header) == "ada"


def test_newest_of_two_valid_refresh_cookies_is_used(signed_in, clock):
    old = signed_in.token("refresh_token")
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    new = signed_in.token("refresh_token")
    signed_in.cookies.clear()
    assert signed_in.who(HTTP_COOKIE=f"refresh_token={old}; refresh_token={new}") == "ada"


def test_cookies_with_other_names_are_ignored(signed_in):
    tokens = signed_in.tokens()
    signed_in.carry({"Access_Token": tokens["access_token"], "refresh": tokens["refresh_token"]})
    assert signed_in.who() is None


def test_tokens_are_jwts_that_other_libraries_verify_with_the_key(signed_in, ada, clock):
    claims = jwt.decode(
        signed_in.token("access_token"),
        settings.SECRET_KEY,
        ["HS256"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert set(claims) == {"sub", "sid", "gen", "iat", "exp", "auth_time"}
    assert claims["sub"] == str(ada.pk)
    assert claims["exp"] - claims["iat"] == ACCESS_LIFETIME
    assert len(signed_in.token("refresh_token")) < _engine.MAX_TOKEN_LENGTH / 10
