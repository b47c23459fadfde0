"""Cross-site requests: which of them may use cookies. A refused request changes nothing."""

import pytest
from django.test import Client, override_settings
from django.utils.log import AdminEmailHandler

from tests.conftest import ACCESS_LIFETIME, only_session

pytestmark = pytest.mark.django_db

OWN, EVIL, TRUSTED = "http://testserver", "https://evil.example", "https://app.trusted.example"


@pytest.fixture(autouse=True)
def trusted():
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://*.trusted.example"]):
        yield


PASS = [
    {},
    {"HTTP_SEC_FETCH_SITE": "same-origin"},
    {"HTTP_SEC_FETCH_SITE": "none", "HTTP_ORIGIN": OWN},
    {"HTTP_SEC_FETCH_SITE": "none", "HTTP_ORIGIN": TRUSTED},
    {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "null"},
    {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": TRUSTED},
    {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": TRUSTED},
    {"HTTP_ORIGIN": OWN},
    {"HTTP_ORIGIN": TRUSTED},
]
REFUSE = [
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_SEC_FETCH_SITE": "same-site"},
    {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": EVIL},
    {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": OWN},
    {"HTTP_SEC_FETCH_SITE": "same-origin,same-origin"},
    {"HTTP_SEC_FETCH_SITE": ""},
    {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "null"},
    {"HTTP_SEC_FETCH_SITE": "none"},
    {"HTTP_SEC_FETCH_SITE": "none", "HTTP_ORIGIN": "null"},  # Firefox, for a cross-site form after a redirect
    {"HTTP_SEC_FETCH_SITE": "none", "HTTP_ORIGIN": EVIL},
    {"HTTP_ORIGIN": EVIL},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_ORIGIN": "https://testserver"},
    {"HTTP_ORIGIN": "http://testserver:8000"},
    {"HTTP_ORIGIN": "http://app.trusted.example"},
    {"HTTP_ORIGIN": f"{OWN},{OWN}"},
    {"HTTP_ORIGIN": "\ud800"},
]


@pytest.mark.parametrize("headers", PASS)
def test_same_origin_and_trusted_requests_may_use_cookies(signed_in, headers):
    assert signed_in.post("/me/", **headers).status_code == 200


@pytest.mark.parametrize("headers", REFUSE)
def test_cross_site_request_with_cookies_is_refused_and_the_view_not_run(signed_in, headers, statements):
    response = signed_in.post("/me/", **headers)
    assert response.status_code == 403
    assert response.json()["code"] == "cross_origin"
    assert response.json()["detail"].startswith("CSRF Failed: ")
    assert response["Vary"] == "Cookie"
    assert not response.cookies
    assert statements(signed_in.post, "/failing/", **headers) == []  # the view was not run
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("headers", REFUSE)
def test_cross_site_refusal_gives_the_reason_that_is_logged(signed_in, headers, caplog):
    response = signed_in.post("/me/", **headers)
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "cross_origin"]
    assert response.json()["detail"] == f"CSRF Failed: {record.args[0]}."


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_safe_methods_are_allowed_from_any_origin(signed_in, method):
    response = getattr(signed_in, method)("/me/plain/", HTTP_SEC_FETCH_SITE="cross-site", HTTP_ORIGIN=EVIL)
    assert response.status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_unsafe_methods_are_refused_from_another_origin(signed_in, method):
    assert getattr(signed_in, method)("/me/plain/", HTTP_SEC_FETCH_SITE="cross-site").status_code == 403


def test_refused_cross_site_request_does_not_refresh(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    response = signed_in.post("/me/", HTTP_SEC_FETCH_SITE="cross-site")
    assert response.json()["code"] == "cross_origin"
    assert not response.cookies
    assert only_session().generation == 1


@override_settings(
    JWTAUTH={"ACCESS_TOKEN_COOKIE_NAME": "__Host-a", "REFRESH_TOKEN_COOKIE_NAME": "__Host-r", "COOKIE_SECURE": True},
    ADMINS=[("Ada", "ada@example.com")],
)
def test_error_mail_of_a_refused_request_has_no_token_and_no_body(browser, ada, security_log):
    reports = []

    class Mail(AdminEmailHandler):
        def send_mail(self, subject, message, *args, html_message, **kwargs):
            reports.append(f"{subject}{message}{html_message}")

    browser.sign_in(ada)  # Django hides only cookies whose names contain "token"
    browser.post("/me/plain/", {"username": "ada", "pin": "open sesame"}, HTTP_ORIGIN=EVIL)
    [record] = security_log()
    Mail(include_html=True).emit(record)
    [report] = reports
    assert record.path in report
    assert not any(cookie.value in report for cookie in browser.cookies.values())
    assert "open sesame" not in report


def test_cross_site_request_without_cookies_is_allowed(browser, db):
    response = browser.post("/public/", HTTP_SEC_FETCH_SITE="cross-site", HTTP_ORIGIN=EVIL)
    assert response.json() == {"is_authenticated": False}


def test_cross_site_request_with_forged_tokens_is_allowed_as_anonymous(browser, db):
    browser.cookies["access_token"] = "forged"
    assert browser.post("/public/", HTTP_SEC_FETCH_SITE="cross-site").status_code == 200


@pytest.mark.parametrize(("origin", "status"), [(OWN, 200), (TRUSTED, 200), (EVIL, 403), ("null", 403), (None, 403)])
def test_websocket_handshake_over_http_needs_an_allowed_origin(signed_in, origin, status):
    headers = {"HTTP_UPGRADE": "WebSocket", "HTTP_CONNECTION": "Upgrade"}
    if origin:
        headers["HTTP_ORIGIN"] = origin
    assert signed_in.get("/me/", **headers).status_code == status


def test_upgrade_header_that_lists_websocket_is_a_handshake(signed_in):
    assert signed_in.get("/me/", HTTP_UPGRADE="h2c, websocket", HTTP_ORIGIN=EVIL).status_code == 403


def test_request_for_a_host_that_is_not_allowed_is_refused(signed_in):
    response = signed_in.post("/me/", HTTP_HOST="evil.example", HTTP_ORIGIN="http://evil.example")
    assert response.status_code in (400, 403)
    assert signed_in.who() == "ada"


def test_https_origin_behind_a_proxy_is_the_same_origin(signed_in):
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        headers = {"HTTP_HOST": "testserver", "HTTP_ORIGIN": "https://testserver", "HTTP_X_FORWARDED_PROTO": "https"}
        assert signed_in.post("/me/", **headers).status_code == 200


def test_cross_site_request_of_a_test_client_without_csrf_checks_is_allowed(signed_in):
    relaxed = Client()
    relaxed.cookies = signed_in.cookies
    assert relaxed.post("/me/", HTTP_SEC_FETCH_SITE="cross-site").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/auth/logout/", "/auth/login/", "/auth/token/"])
def test_refusal_of_a_cross_site_form_is_json(browser, url):
    response = browser.post(url, headers={"accept": "text/html", "sec-fetch-site": "cross-site"})
    assert (response.status_code, response.json()["code"]) == (403, "cross_origin")
    assert not response.cookies
