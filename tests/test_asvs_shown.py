"""What docs/reference/asvs.md claims and other tests do not show: requirements of OWASP ASVS 5.0, by their numbers."""

import base64
import json

import django
import pytest
from django.contrib.auth import get_user_model
from django.test import Client, override_settings

from jwtauth.models import Session
from tests import settings as project
from tests.conftest import ACCESS_LIFETIME, Browser

pytestmark = pytest.mark.django_db

ADA = {"username": "ada", "password": "old password"}
CROSS_SITE = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://elsewhere.example"}
VIEWS = ("login/", "logout/", "token/", "token/refresh/", "token/revoke/", "me/", "sessions/", "sessions/others/")


def post(browser, url, data=None, **headers):
    return browser.post(f"/auth/{url}", data or {}, content_type="application/json", **headers)


# --- 3.2.1, 3.2.2


def test_user_agent_is_json_or_escaped_wherever_it_is_shown(browser, ada):
    agent = "<script>alert(1)</script>"
    post(browser, "login/", ADA, HTTP_USER_AGENT=agent)
    session = Session.objects.get()
    assert agent in session.user_agent
    for url in ("/auth/sessions/", f"/auth/sessions/{session.pk}/", "/auth/me/"):
        assert browser.get(url)["Content-Type"] == "application/json"
        assert agent not in browser.get(url, HTTP_ACCEPT="text/html").content.decode()
    staff = Client()
    staff.force_login(get_user_model().objects.create_superuser("root"))
    pages = [staff.get("/admin/jwtauth/session/"), staff.get(f"/admin/jwtauth/session/{session.pk}/change/")]
    assert [page.status_code for page in pages] == [200, 200]
    assert [page for page in pages if agent in page.content.decode()] == []
    assert "&lt;script&gt;" in pages[1].content.decode()


# --- 3.3.1, 3.3.3, 3.3.4


@override_settings(
    JWTAUTH={"ACCESS_TOKEN_COOKIE_NAME": "__Host-access_token", "REFRESH_TOKEN_COOKIE_NAME": "__Host-refresh_token"}
)
def test_cookies_with_the_host_prefix_are_accepted_by_browsers(browser, ada, clock):
    response = post(browser, "login/", ADA)
    clock.advance(ACCESS_LIFETIME)
    for answer in (response, browser.get("/me/"), post(browser, "logout/")):
        assert set(answer.cookies) == {"__Host-access_token", "__Host-refresh_token"}
        for cookie in answer.cookies.values():
            attributes = cookie.OutputString().split("; ")[1:]
            assert {"Secure", "Path=/", "HttpOnly", "SameSite=Strict"} <= set(attributes)
            assert not any(attribute.startswith("Domain") for attribute in attributes)


def test_values_of_the_cookies_are_in_no_body_and_no_other_header(browser, ada, clock):
    answers = [post(browser, "login/", ADA)]
    values = {*browser.tokens().values()}
    clock.advance(ACCESS_LIFETIME)
    pages = ["/me/", "/auth/me/", "/auth/sessions/", f"/auth/sessions/{Session.objects.get().pk}/"]
    for accept in ("application/json", "text/html"):
        answers += [browser.get(page, HTTP_ACCEPT=accept) for page in pages]
    values |= {*browser.tokens().values()}
    answers.append(post(browser, "token/", ADA))
    answers.append(post(browser, "reauthenticate/", {"password": ADA["password"]}))
    values |= {*browser.tokens().values()}
    answers.append(post(browser, "logout/"))
    assert len(values) == 6
    assert [answer.status_code for answer in answers] == [200] * 11 + [204]
    for answer in answers:
        headers = " ".join(value for name, value in answer.items() if name != "Set-Cookie")
        assert not any(value in answer.content.decode() + headers for value in values)


# --- 3.4.1 to 3.4.6


def test_headers_of_django_are_on_every_response_of_jwtauth(settings, signed_in):
    settings.MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        *project.MIDDLEWARE,
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ]
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    expected = {
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
    if django.VERSION >= (6, 0):
        settings.MIDDLEWARE.insert(1, "django.middleware.csp.ContentSecurityPolicyMiddleware")
        settings.SECURE_CSP = {"object-src": ["'none'"], "base-uri": ["'none'"], "frame-ancestors": ["'none'"]}
        expected["Content-Security-Policy"] = "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    browser = Browser()
    browser.carry(signed_in.tokens())
    answers = [browser.get(f"/auth/{url}", secure=True) for url in (*VIEWS, "jwks.json")]
    answers.append(browser.post("/me/", secure=True, **CROSS_SITE))
    answers.append(browser.get("/me/plain/", secure=True, HTTP_AUTHORIZATION="Bearer x"))
    answers.append(post(browser, "logout/", secure=True))
    assert {answer.status_code for answer in answers} >= {200, 204, 401, 403, 405}
    for answer in answers:
        assert {name: answer.get(name) for name in expected} == expected


def test_only_the_public_keys_are_readable_by_other_origins(signed_in):
    for method in (signed_in.get, signed_in.options, signed_in.post):
        for url in VIEWS:
            answer = method(f"/auth/{url}", **CROSS_SITE)
            assert [name for name in answer.headers if name.startswith("Access-Control")] == []
    keys = signed_in.get("/auth/jwks.json", **CROSS_SITE)
    assert keys["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in keys


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "token", "jwt"])
def test_token_in_a_url_is_not_read(signed_in, name):
    for token in signed_in.tokens().values():
        assert Browser().who(f"/me/?{name}={token}") is None


# --- 3.5.2, 3.5.3


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"]
)
def test_request_without_a_preflight_is_refused_like_any_other(signed_in, kind):
    for url in ("/me/", "/me/plain/", "/auth/logout/", "/auth/sessions/others/"):
        answer = signed_in.post(url, data=b"{}", content_type=kind, **CROSS_SITE)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert post(Browser(), "login/", ADA, **CROSS_SITE).status_code == 403
    assert Session.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_get_request_starts_and_ends_no_session(signed_in, method):
    phone = Browser()
    post(phone, "login/", ADA)
    for url in VIEWS:
        for client in (signed_in, Browser()):
            getattr(client, method)(f"/auth/{url}", {**ADA, "token": phone.token("refresh_token")})
    assert Session.objects.count() == 2
    assert (signed_in.who(), phone.who()) == ("ada", "ada")


# --- 7.2.3


def test_session_names_have_128_bits_that_vary(ada):
    names = []
    for _ in range(64):
        browser = Browser()
        browser.sign_in(ada)
        payload = browser.token("access_token").split(".")[1]
        sid = json.loads(base64.urlsafe_b64decode(payload + "=="))["sid"]
        names.append(int.from_bytes(base64.urlsafe_b64decode(sid + "==")[-16:], "big"))
    assert len(set(names)) == 64
    every, none = names[0], names[0]
    for name in names:
        every, none = every & name, none | name
    assert every == 0  # each bit is 0 in one name
    assert none == 2**128 - 1  # and 1 in another


# --- 7.4.2


def test_session_that_ended_with_the_account_stays_ended_if_the_account_is_enabled_again(signed_in, ada):
    ada.is_active = False
    ada.save()
    Session.objects.of(ada).end()
    ada.is_active = True
    ada.save()
    assert signed_in.who() is None
    signed_in.forget_access_token()
    assert signed_in.who() is None
