"""Logins in a provider's callback, a cross-site request without the ``SameSite=Strict`` cookies."""

from contextlib import contextmanager

import pytest
from django.test import override_settings

from jwtauth.models import Session
from jwtauth.signals import session_ended
from tests.conftest import Browser, only_session

CROSS_SITE = {"sec-fetch-site": "cross-site"}
NAME = "refresh_token_session"


@contextmanager
def only_lax(browser):
    """Withhold Strict cookies as in a cross-site navigation; then restore those that were not replaced."""
    strict = {name: cookie for name, cookie in browser.cookies.items() if cookie["samesite"] == "Strict"}
    for name in strict:
        del browser.cookies[name]
    yield
    for name, cookie in strict.items():
        if name not in browser.cookies:
            browser.cookies[name] = cookie


def call_back(browser, user, headers=CROSS_SITE, url="/login/plain/"):
    with only_lax(browser):
        response = browser.get(f"{url}?user={user.pk}", headers=headers)
    assert response.status_code == 200
    return response


def test_each_callback_login_replaces_the_session_of_the_one_before(browser, ada):
    for _ in range(20):
        call_back(browser, ada)
        assert Session.objects.count() == 1
        assert browser.who() == "ada"


@pytest.mark.django_db(transaction=True)
def test_session_of_the_callback_login_before_ends_as_replaced(browser, ada):
    ended = []

    def receiver(sender, session, reason, **kwargs):
        ended.append((session.pk, reason))

    call_back(browser, ada)
    first = only_session().pk
    session_ended.connect(receiver)
    try:
        call_back(browser, ada)
    finally:
        session_ended.disconnect(receiver)
    assert ended == [(first, "replaced")]


def test_callback_logins_in_two_browsers_keep_both_sessions(browser, other_browser, ada):
    for _ in range(3):
        for each in (browser, other_browser):
            call_back(each, ada)
        assert (browser.who(), other_browser.who()) == ("ada", "ada")
    assert Session.objects.count() == 2


def test_concurrent_callback_logins_leave_both_sessions(browser, ada):
    call_back(browser, ada)
    first, second = Browser(), Browser()
    for racing in (first, second):
        racing.cookies.load({NAME: browser.token(NAME)})
        call_back(racing, ada)
    # Both requests had the cookie of the first login, and it does not matter which response the browser keeps.
    assert (first.who(), second.who()) == ("ada", "ada")
    assert browser.who() is None


def test_same_site_login_replaces_the_session_of_a_callback_login(browser, ada):
    call_back(browser, ada)
    browser.sign_in(ada)
    assert Session.objects.count() == 1
    call_back(browser, ada)  # the cookie names a session that has ended
    assert browser.who() == "ada"


def test_callback_login_keeps_the_session_of_another_user(browser, other_browser, ada, bob):
    other_browser.sign_in(bob)
    browser.cookies.load({NAME: str(only_session().pk)})
    call_back(browser, ada)
    assert other_browser.who() == "bob"
    assert browser.who() == "ada"


@pytest.mark.parametrize("value", ["", "x", "0" * 32, "é", "9" * 5000])
def test_callback_login_ignores_a_cookie_that_names_no_session(browser, ada, value):
    browser.cookies.load({NAME: "x"})
    browser.cookies[NAME].set(NAME, value, value)
    call_back(browser, ada)
    assert browser.who() == "ada"


def test_callback_login_that_is_rolled_back_ends_no_session_and_sets_no_cookie(browser, ada):
    call_back(browser, ada)
    before = browser.token(NAME)
    assert not call_back(browser, ada, url="/login/rolled-back/").cookies
    assert browser.token(NAME) == before
    assert browser.who() == "ada"


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None])
def test_same_site_logins_neither_set_nor_read_the_callback_cookie(browser, ada, site):
    call_back(browser, ada)
    response = call_back(browser, ada, {} if site is None else {"sec-fetch-site": site})
    assert set(response.cookies) == {"access_token", "refresh_token"}
    assert Session.objects.count() == 2
    assert set(Browser().sign_in(ada).cookies) == {"access_token", "refresh_token"}


def test_callback_login_sets_no_extra_cookie_with_samesite_lax(browser, ada):
    with override_settings(JWTAUTH={"COOKIE_SAMESITE": "Lax"}):
        for _ in range(2):
            response = call_back(browser, ada)
            assert set(response.cookies) == {"access_token", "refresh_token"}
    assert Session.objects.count() == 1


def test_refresh_sets_no_callback_cookie(browser, ada, clock):
    call_back(browser, ada)
    clock.advance(400)
    assert set(browser.get("/me/", headers=CROSS_SITE).cookies) == {"access_token", "refresh_token"}


def test_callback_cookie_has_the_refresh_token_s_attributes_but_is_lax(browser, ada):
    settings = {"REFRESH_TOKEN_COOKIE_NAME": "__Host-refresh", "COOKIE_SECURE": True}
    with override_settings(JWTAUTH=settings):
        cookies = call_back(browser, ada).cookies
    refresh, session = cookies["__Host-refresh"], cookies["__Host-refresh_session"]
    assert session.value == str(only_session().pk)
    assert session["samesite"] == "Lax"
    assert {**session, "samesite": "Strict"} == {**refresh}


def test_logout_clears_the_callback_cookie(browser, other_browser, ada):
    call_back(browser, ada)
    assert browser.post("/logout/").status_code == 200
    assert not {name for name, cookie in browser.cookies.items() if cookie.value}
    other_browser.sign_in(ada)
    assert NAME not in other_browser.post("/logout/").cookies


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
def test_callback_logins_do_not_exceed_the_session_limit(browser, other_browser, ada, policy):
    with override_settings(JWTAUTH={"MAX_SESSIONS_PER_USER": 2, "MAX_SESSIONS_POLICY": policy}):
        other_browser.sign_in(ada)
        for _ in range(4):
            call_back(browser, ada)
        assert (browser.who(), other_browser.who()) == ("ada", "ada")
