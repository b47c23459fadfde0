"""`MAX_SESSIONS_PER_USER`: the oldest makes way, or nobody new comes in."""

import pytest
from django.test import override_settings

from jwtauth.models import Session
from tests.conftest import IDLE, Browser

pytestmark = pytest.mark.django_db

OLDEST = {"MAX_SESSIONS_PER_USER": 2}
REFUSE = {"MAX_SESSIONS_PER_USER": 2, "MAX_SESSIONS_POLICY": "refuse"}


@pytest.fixture
def devices(ada, clock):
    """Three of Ada's, of which the first two are signed in."""
    found = [Browser() for _ in range(3)]
    for browser in found[:2]:
        browser.sign_in(ada)
        clock.advance(10)
    return found


@override_settings(JWTAUTH=OLDEST)
def test_the_oldest_session_makes_way(devices, ada):
    first, second, third = devices
    third.sign_in(ada)
    assert [browser.who() for browser in (first, second, third)] == [None, "ada", "ada"]


@override_settings(JWTAUTH=REFUSE)
def test_or_nobody_new_comes_in(devices, ada):
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
def test_a_login_in_the_same_browser_takes_the_place_of_its_session(devices, ada):
    devices[0].sign_in(ada)
    assert Session.objects.count() == 2


@override_settings(JWTAUTH=REFUSE)
def test_a_new_password_takes_no_place(devices, ada):
    assert devices[0].post("/password/").status_code == 200
    assert devices[0].who() == "ada"


@override_settings(JWTAUTH=REFUSE)
def test_expired_sessions_take_no_place(devices, ada, clock):
    clock.advance(IDLE)
    devices[2].sign_in(ada)
    assert devices[2].who() == "ada"


@override_settings(JWTAUTH=REFUSE)
def test_everybody_has_a_limit_of_their_own(devices, bob):
    devices[2].sign_in(bob)
    assert devices[2].who() == "bob"


@override_settings(JWTAUTH={"MAX_SESSIONS_PER_USER": 1})
def test_one_device_at_a_time(devices, ada):
    devices[2].sign_in(ada)
    assert [browser.who() for browser in devices] == [None, None, "ada"]


def test_there_is_no_limit_unless_the_settings_say_so(devices, ada):
    for _ in range(20):
        Browser().sign_in(ada)
    assert devices[0].who() == "ada"
