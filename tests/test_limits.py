"""`MAX_SESSIONS_PER_USER`: a new login ends the oldest session, or is refused."""

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.test import override_settings

from jwtauth.models import Session
from tests.conftest import IDLE, Browser

pytestmark = pytest.mark.django_db

OLDEST = {"MAX_SESSIONS_PER_USER": 2}
REFUSE = {"MAX_SESSIONS_PER_USER": 2, "MAX_SESSIONS_POLICY": "refuse"}


@pytest.fixture
def devices(ada, clock):
    """Return three browsers of ada, of which the first two are signed in."""
    found = [Browser() for _ in range(3)]
    for browser in found[:2]:
        browser.sign_in(ada)
        clock.advance(10)
    return found


@override_settings(JWTAUTH=OLDEST)
def test_login_over_the_limit_ends_the_oldest_session(devices, ada):
    first, second, third = devices
    third.sign_in(ada)
    assert [browser.who() for browser in (first, second, third)] == [None, "ada", "ada"]


@override_settings(JWTAUTH=REFUSE)
def test_login_over_the_limit_is_refused_with_the_policy_refuse(devices, ada):
    first, second, third = devices
    assert third.post(f"/login/?user={ada.pk}").status_code == 403
    assert third.tokens() == {}
    assert [browser.who() for browser in (first, second)] == ["ada", "ada"]
    credentials = {"username": "ada", "password": "old password"}
    for url in ("/auth/login/", "/auth/token/"):
        response = third.post(url, credentials, content_type="application/json")
        assert response.status_code == 403
        assert response.json()["code"] == "session_limit"
    second.post("/logout/")
    third.sign_in(ada)
    assert third.who() == "ada"


@override_settings(JWTAUTH=REFUSE)
def test_login_in_the_same_browser_does_not_exceed_the_limit(devices, ada):
    devices[0].sign_in(ada)
    assert Session.objects.count() == 2


@override_settings(JWTAUTH=REFUSE)
def test_password_change_does_not_exceed_the_limit(devices, ada):
    assert devices[0].post("/password/").status_code == 200
    assert devices[0].who() == "ada"


@override_settings(JWTAUTH=REFUSE)
def test_expired_sessions_do_not_count_towards_the_limit(devices, ada, clock):
    clock.advance(IDLE)
    devices[2].sign_in(ada)
    assert devices[2].who() == "ada"


@override_settings(JWTAUTH=REFUSE)
def test_session_limit_applies_to_each_user_separately(devices, bob):
    devices[2].sign_in(bob)
    assert devices[2].who() == "bob"


@override_settings(JWTAUTH={"MAX_SESSIONS_PER_USER": 1})
def test_limit_of_one_session_ends_all_others(devices, ada):
    devices[2].sign_in(ada)
    assert [browser.who() for browser in devices] == [None, None, "ada"]


def test_sessions_are_not_limited_by_default(devices, ada):
    for _ in range(20):
        Browser().sign_in(ada)
    assert devices[0].who() == "ada"


def new_password(user):
    user.set_password("new password")
    user.save()


@override_settings(JWTAUTH=REFUSE)
@pytest.mark.parametrize("url", ["/auth/login/", "/auth/token/"])
def test_sessions_ended_by_a_new_password_do_not_count_towards_the_limit(devices, ada, url):
    new_password(ada)
    credentials = {"username": "ada", "password": "new password"}
    statuses = [Browser().post(url, credentials, content_type="application/json").status_code for _ in range(3)]
    assert statuses == [200, 200, 403]


@override_settings(JWTAUTH=OLDEST)
def test_sessions_ended_by_a_new_password_do_not_end_valid_sessions(devices, ada):
    new_password(ada)
    found = [Browser(), Browser()]
    for browser in found:
        browser.sign_in(ada)
    assert [browser.who() for browser in (*devices[:2], *found)] == [None, None, "ada", "ada"]


def test_sessions_of_a_fallback_secret_key_count_towards_the_limit(devices, ada, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key for tests only, " * 3, [settings.SECRET_KEY]
    settings.JWTAUTH = REFUSE
    assert devices[2].post(f"/login/?user={ada.pk}").status_code == 403
    settings.SECRET_KEY_FALLBACKS = []
    devices[2].sign_in(ada)


@pytest.mark.parametrize("interval", [0, 10, None])
def test_only_valid_sessions_are_listed_and_counted(devices, ada, settings, interval):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": interval}
    new_password(ada)
    ended = Session.objects.first()
    browser, other = Browser(), Browser()
    for one in (browser, other):
        one.sign_in(ada)
    assert len(browser.get("/auth/sessions/").json()) == 2
    assert browser.get(f"/auth/sessions/{ended.pk}/").status_code == 404
    assert browser.delete(f"/auth/sessions/{ended.pk}/").status_code == 404
    assert browser.post("/auth/sessions/others/").json() == {"ended": 1}
    assert Session.objects.count() == 1, "sessions that a restored SECRET_KEY would make valid have ended too"
    assert [one.who() for one in (browser, other)] == ["ada", None]


def test_sessions_are_listed_for_a_user_model_without_a_session_hash(devices, ada, monkeypatch):
    monkeypatch.delattr(AbstractBaseUser, "get_session_auth_hash")
    monkeypatch.delattr(AbstractBaseUser, "get_session_auth_fallback_hash")
    devices[2].sign_in(ada)
    assert Session.objects.valid_for(ada).count() == 1
    assert len(devices[2].get("/auth/sessions/").json()) == 1


def test_anonymous_user_has_no_valid_sessions(devices):
    assert not Session.objects.valid_for(AnonymousUser()).exists()
