"""Claims that a site adds to its access tokens."""

import datetime
import uuid
from contextlib import suppress

import jwt
import pytest
from django.test import override_settings

from jwtauth.exceptions import ClaimsRefused
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, GRACE, only_session

pytestmark = pytest.mark.django_db

TENANT = uuid.UUID(int=7)
added = {}


def claims(request, user):
    return {"plan": "pro", "name": user.get_username(), "path": request.path, **added}


@pytest.fixture(autouse=True)
def _adding():
    added.clear()
    with override_settings(JWTAUTH={"ACCESS_TOKEN_CLAIMS": f"{__name__}.claims"}):
        yield


def said(browser, name="access_token"):
    return jwt.decode(browser.token(name), options={"verify_signature": False})


def custom(browser):
    return browser.get("/me/session/").json()["custom"]


def test_custom_claims_are_added_at_login_and_readable_on_the_request(browser, ada):
    browser.sign_in(ada)
    assert said(browser)["plan"] == "pro"
    assert custom(browser) == {"plan": "pro", "name": "ada", "path": "/login/"}
    assert "plan" not in said(browser, "refresh_token")


def test_custom_claims_are_computed_again_at_each_refresh(browser, ada, clock):
    browser.sign_in(ada)
    added["plan"] = "free"
    assert custom(browser)["plan"] == "pro"
    clock.advance(ACCESS_LIFETIME + 1)
    assert custom(browser) == {"plan": "free", "name": "ada", "path": "/me/session/"}
    added["plan"] = "gone"
    clock.advance(GRACE)
    browser.forget_access_token()
    assert custom(browser)["plan"] == "gone"


def test_custom_claims_are_in_the_tokens_of_apps(browser, ada, clock):
    pair = browser.post(
        "/auth/token/", {"username": "ada", "password": "old password"}, content_type="application/json"
    ).json()
    assert jwt.decode(pair["access"], options={"verify_signature": False})["plan"] == "pro"
    clock.advance(ACCESS_LIFETIME + 1)
    body = {"refresh": pair["refresh"]}
    pair = browser.post("/auth/token/refresh/", body, content_type="application/json").json()
    assert jwt.decode(pair["access"], options={"verify_signature": False})["path"] == "/auth/token/refresh/"


def test_custom_claims_are_readable_in_an_admitted_upload(browser, ada, clock):
    browser.sign_in(ada)
    clock.advance(ACCESS_LIFETIME + 1)
    browser.handler.enforce_csrf_checks = False
    response = browser.post("/me/session/", b"x" * 70_000, content_type="application/octet-stream")
    assert response.json()["custom"]["plan"] == "pro"


def test_custom_claims_are_encoded_with_django_s_json_encoder(browser, ada):
    added.update(tenant=TENANT, since=datetime.date(2026, 11, 24))
    browser.sign_in(ada)
    assert custom(browser)["tenant"] == str(TENANT)
    assert custom(browser)["since"] == "2026-11-24"


@pytest.mark.parametrize("name", ["sub", "sid", "gen", "iss", "aud", "exp", "nbf", "iat", "jti"])
def test_reserved_claim_name_is_refused_before_a_session_is_stored(name, browser, ada):
    added[name] = "x"
    browser.raise_request_exception = True
    with pytest.raises(ClaimsRefused) as refused:
        browser.sign_in(ada)
    assert refused.value.code == "reserved_claim"
    assert not Session.objects.exists()


def test_custom_claims_too_large_for_a_cookie_are_refused_before_a_write(browser, ada, clock):
    browser.sign_in(ada)
    browser.raise_request_exception = True
    added["much"] = "x" * 4000
    with pytest.raises(ClaimsRefused, match="a cookie holds") as refused:
        browser.sign_in(ada)
    assert refused.value.code == "issued_token_too_long"
    clock.advance(ACCESS_LIFETIME + 1)
    with pytest.raises(ClaimsRefused):
        browser.get("/me/")
    assert only_session().generation == 1
    del added["much"]
    assert browser.who() == "ada"
    assert only_session().generation == 2


def test_largest_custom_claims_fit_into_a_cookie_of_4096_bytes(browser, ada):
    # Browsers keep 4096 bytes of name and value together (RFC 6265bis section 5.5).
    name = "n" * 128
    browser.raise_request_exception = True
    with override_settings(JWTAUTH={"ACCESS_TOKEN_CLAIMS": claims, "ACCESS_TOKEN_COOKIE_NAME": name}):
        for size in range(2800, 2500, -1):
            added["much"] = "x" * size
            with suppress(ClaimsRefused):
                browser.sign_in(ada)
                break
        assert browser.who() == "ada"
    # There is room for the methods of later authentications.
    assert 3880 < len(name) + len(browser.token(name)) <= 4096
    otp, several = "o" * 16, [f"{number:0>16}" for number in range(5)]
    with override_settings(JWTAUTH={"ACCESS_TOKEN_CLAIMS": claims, "ACCESS_TOKEN_COOKIE_NAME": name}):
        browser.post(f"/login/?user={ada.pk}&methods={','.join([otp, *several])}")
        assert 4060 < len(name) + len(browser.token(name)) <= 4096


def test_access_token_claims_may_be_a_function(browser, ada):
    with override_settings(JWTAUTH={"ACCESS_TOKEN_CLAIMS": lambda request, user: {"tier": 1}}):
        browser.sign_in(ada)
        assert custom(browser) == {"tier": 1}
