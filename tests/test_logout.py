"""``logout``: takes effect immediately and permanently, and works for anonymous requests."""

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from jwtauth import logout
from jwtauth.models import Session

pytestmark = pytest.mark.django_db


def test_logout_takes_effect_in_the_same_request(signed_in):
    assert signed_in.post("/logout/").json() == {"user": "AnonymousUser", "auth": None}
    assert not Session.objects.exists()


def test_logout_clears_both_cookies(signed_in):
    response = signed_in.post("/logout/")
    for name in ("access_token", "refresh_token"):
        assert response.cookies[name]["max-age"] == 0
        assert response.cookies[name].value == ""
        assert response.cookies[name]["path"] == "/"
    assert signed_in.who() is None


def test_copied_cookies_are_refused_after_logout(signed_in, other_browser):
    other_browser.carry(signed_in.tokens())
    signed_in.post("/logout/")
    assert other_browser.who() is None
    other_browser.forget_access_token()
    assert other_browser.who() is None


def test_logout_without_cookies_clears_none(browser):
    # A form on another site is sent without cookies, but the browser applies the cookies of its response.
    response = browser.post("/logout/")
    assert response.status_code == 200
    assert not response.cookies


@pytest.mark.parametrize("cookie", ["access_token=", "refresh_token=x", "a=b; access_token=x"])
def test_logout_clears_cookies_of_any_value(client, cookie):
    response = client.post("/logout/", HTTP_COOKIE=cookie)
    assert response.cookies["access_token"]["max-age"] == response.cookies["refresh_token"]["max-age"] == 0


def test_cross_origin_logout_is_refused_with_expired_cookies(signed_in, clock):
    clock.advance(400 * 86_400)
    response = signed_in.post("/logout/", HTTP_SEC_FETCH_SITE="cross-site")
    assert (response.status_code, response.json()["code"]) == (403, "cross_origin")
    assert not response.cookies
    assert Session.objects.exists()


def test_logout_ends_the_session_of_stale_cookies(signed_in, clock):
    clock.advance(400 * 86_400)
    signed_in.post("/logout/")
    assert not Session.objects.exists()


def test_logout_keeps_sessions_on_other_devices(signed_in, other_browser, ada):
    other_browser.sign_in(ada)
    signed_in.post("/logout/")
    assert other_browser.who() == "ada"


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_logout_sends_django_s_signal_once(browser, ada, is_signed_in):
    seen = []

    def receiver(sender, user, **kwargs):
        seen.append((sender, user))

    if is_signed_in:
        browser.sign_in(ada)
    user_logged_out.connect(receiver)
    try:
        browser.post("/logout/")
    finally:
        user_logged_out.disconnect(receiver)
    assert seen == ([(User, ada)] if is_signed_in else [(type(None), None)])


def test_logout_of_the_admin_ends_the_session(signed_in, ada):
    User.objects.update(is_staff=True)
    assert signed_in.get("/admin/").status_code == 200
    signed_in.cookies["csrftoken"] = "a" * 32
    response = signed_in.post("/admin/logout/", {"csrfmiddlewaretoken": "a" * 32})
    assert response.status_code == 200
    assert not Session.objects.exists()
    assert response.cookies["refresh_token"]["max-age"] == 0


def test_logout_without_the_middleware_names_check_e002():
    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E002"):
        logout(RequestFactory().post("/"))


def test_session_row_can_end_its_session(signed_in, other_browser, ada):
    other_browser.sign_in(ada)
    session = ada.jwtauth_sessions.order_by("created_at").first()
    assert session.end() == 1
    assert session.end() == 0
    assert [signed_in.who(), other_browser.who()].count("ada") == 1


def test_all_sessions_of_a_user_can_be_ended(signed_in, other_browser, ada, bob):
    other_browser.sign_in(bob)
    assert ada.jwtauth_sessions.all().end() == 1
    assert signed_in.who() is None
    assert other_browser.who() == "bob"


def test_live_sessions_are_those_that_have_not_expired(signed_in, clock):
    assert Session.objects.live().count() == 1
    clock.advance(86_400)
    assert Session.objects.live().count() == 0
