"""``login``: its cookies, the session's row, the user of the request, and the session that it replaces."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings

from jwtauth import login
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from tests.conftest import ABSOLUTE, ACCESS_LIFETIME, IDLE, only_session

pytestmark = pytest.mark.django_db


def test_login_sets_both_cookies_as_the_settings_say(browser, ada, clock):
    response = browser.sign_in(ada)
    for name, life in [("access_token", 300), ("refresh_token", 86_400)]:
        cookie = response.cookies[name]
        assert cookie["httponly"]
        assert cookie["secure"]
        assert cookie["samesite"] == "Strict"
        assert cookie["path"] == "/"
        assert cookie["domain"] == ""
        assert cookie["max-age"] == life


def test_user_is_signed_in_within_the_request_of_the_login(browser, ada):
    assert browser.sign_in(ada).json() == {"user": "ada", "auth": 1}
    assert browser.get(f"/login/plain/?user={ada.pk}").content == b"ada"


def test_user_is_signed_in_at_the_next_request(signed_in):
    assert signed_in.who() == "ada"


def test_cookies_without_remember_last_until_the_browser_is_closed(browser, ada, clock):
    response = browser.sign_in(ada, "&forget")
    assert {response.cookies[name]["max-age"] for name in ("access_token", "refresh_token")} == {""}
    clock.advance(301)
    refreshed = browser.get("/me/")
    assert {refreshed.cookies[name]["max-age"] for name in ("access_token", "refresh_token")} == {""}


@pytest.mark.parametrize("lifetime", [ACCESS_LIFETIME, IDLE // 2, 3 * IDLE, 2 * ABSOLUTE])
def test_lifetime_argument_replaces_both_lifetimes_of_the_session(browser, ada, clock, lifetime):
    response = browser.sign_in(ada, f"&lifetime={lifetime}")
    assert response.cookies["refresh_token"]["max-age"] == lifetime
    began = clock.now
    clock.advance(lifetime // 2)
    assert browser.who() == "ada"
    assert only_session().expires_at == _clock.to_datetime(began + lifetime)
    clock.now = began + lifetime - 1
    assert browser.who() == "ada"
    clock.now = began + lifetime
    assert browser.who() is None


def test_password_change_keeps_the_lifetime_set_at_login(browser, ada, clock):
    browser.sign_in(ada, f"&lifetime={2 * ABSOLUTE}")
    ends = only_session().expires_at
    clock.advance(ABSOLUTE)
    assert browser.post("/password/").status_code == 200
    assert (only_session().expires_at, browser.who()) == (ends, "ada")


def test_changed_settings_do_not_affect_a_lifetime_set_at_login(browser, other_browser, ada, bob, clock, settings):
    browser.sign_in(ada, f"&lifetime={IDLE}")
    other_browser.sign_in(bob)
    settings.JWTAUTH = {"REFRESH_TOKEN_LIFETIME": 1000, "SESSION_LIFETIME": 1000}
    clock.advance(1000)
    assert (browser.who(), other_browser.who()) == ("ada", None)


@pytest.mark.parametrize("lifetime", [0, -1, 0.5, timedelta(0), 10**12, float("nan"), "300", True])
def test_invalid_lifetime_is_refused(rf, ada, lifetime):
    request = rf.post("/")
    Flow.attach(request)
    with pytest.raises(ValueError, match="lifetime must be"):
        login(request, ada, lifetime=lifetime)
    assert not Session.objects.exists()


def test_session_row_has_user_times_user_agent_and_address(browser, ada, clock):
    browser.sign_in(ada, HTTP_USER_AGENT="Firefox\x00\r\n" + "x" * 600, REMOTE_ADDR="2001:db8::1%eth0")
    session = only_session()
    assert session.user == ada
    assert session.created_at == session.rotated_at == session.last_seen_at == _clock.to_datetime(clock.now)
    assert session.user_agent == "Firefox" + "x" * 502
    assert session.ip_address == "2001:db8::1"
    assert str(session) == str(session.pk)


def test_empty_address_is_stored_as_null(browser, ada):
    browser.sign_in(ada, REMOTE_ADDR="")
    assert only_session().ip_address is None


def test_database_stores_no_token_and_no_sid(signed_in):
    import base64
    import json

    payload = signed_in.token("refresh_token").split(".")[1]
    sid = json.loads(base64.urlsafe_b64decode(payload + "=="))["sid"]
    row = [str(value) for value in Session.objects.values_list().get()]
    assert not any(sid in value or payload in value for value in row)


def test_second_login_in_a_browser_ends_the_first_session(signed_in, other_browser, ada):
    other_browser.carry(signed_in.tokens())
    signed_in.sign_in(ada)
    assert Session.objects.count() == 1
    assert signed_in.who() == "ada"
    assert other_browser.who() is None


def test_login_ends_the_session_of_stale_cookies(signed_in, bob, clock):
    clock.advance(400 * 86_400)
    signed_in.sign_in(bob)
    assert [session.user for session in Session.objects.all()] == [bob]


def test_login_keeps_sessions_on_other_devices(signed_in, other_browser, ada):
    other_browser.sign_in(ada)
    assert signed_in.who() == other_browser.who() == "ada"


def test_login_sends_django_s_signal_and_sets_last_login(browser, ada):
    seen = []

    def receiver(sender, request, user, **kwargs):
        seen.append((sender, request.jwtauth.is_authenticated, user))

    user_logged_in.connect(receiver)
    try:
        browser.sign_in(ada)
    finally:
        user_logged_in.disconnect(receiver)
    assert seen == [(User, True, ada)]
    ada.refresh_from_db()
    assert ada.last_login is not None


def test_login_refuses_an_inactive_user(browser, ada):
    User.objects.update(is_active=False)
    response = browser.post(f"/login/?user={ada.pk}")
    assert response.status_code == 403
    assert not response.cookies
    assert not Session.objects.exists()


@pytest.mark.parametrize("user", [None, AnonymousUser(), User(username="unsaved")])
def test_login_refuses_a_user_that_is_not_saved(user):
    request = RequestFactory().post("/")
    Flow.attach(request)
    with pytest.raises(ValueError, match="saved"):
        login(request, user)


def test_login_without_the_middleware_names_check_e002(ada):
    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E002.*Add 'jwtauth\.middleware"):
        login(RequestFactory().post("/"), ada)


def test_login_rotates_the_csrf_token(browser, ada):
    browser.cookies["csrftoken"] = "a" * 32
    assert browser.sign_in(ada).cookies["csrftoken"].value != "a" * 32


def test_login_sets_no_csrf_cookie_if_the_project_has_none(browser, ada):
    assert "csrftoken" not in browser.sign_in(ada).cookies


@override_settings(
    JWTAUTH={
        "ACCESS_TOKEN_COOKIE_NAME": "a",
        "REFRESH_TOKEN_COOKIE_NAME": "r",
        "COOKIE_SAMESITE": "None",
        "COOKIE_DOMAIN": "example.com",
        "COOKIE_PATH": "/app",
        "COOKIE_PARTITIONED": True,
    }
)
@pytest.mark.parametrize("leave", [False, True])
def test_cookie_attributes_of_the_settings_are_used_to_set_and_to_clear(browser, ada, leave):
    response = browser.sign_in(ada)
    if leave:
        response = browser.post("/logout/", SERVER_NAME="testserver")
    assert set(response.cookies) == {"a", "r"}
    for cookie in response.cookies.values():
        text = cookie.OutputString()
        for attribute in ("Domain=example.com", "Path=/app", "SameSite=None", "HttpOnly", "Secure", "Partitioned"):
            assert attribute in text.split("; ")
        assert ("Max-Age=0" in text) == leave


@override_settings(DEBUG=True)
def test_cookies_are_sent_over_http_with_debug(browser, ada):
    assert not browser.sign_in(ada).cookies["access_token"]["secure"]


def test_access_token_expires_no_later_than_the_session(browser, ada, clock):
    with override_settings(JWTAUTH={"SESSION_LIFETIME": 86_400}):
        browser.sign_in(ada)
        clock.advance(86_400 - 100)
        response = browser.get("/me/")
    assert response.cookies["access_token"]["max-age"] == 100
    assert response.cookies["refresh_token"]["max-age"] == 100
