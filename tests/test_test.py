"""`jwtauth.test` and the pytest plugin, which the tests of sites use."""

import pytest
from django.test import AsyncClient, Client
from rest_framework.test import APIClient

from jwtauth.internal.store import clock
from jwtauth.models import Session
from jwtauth.test import aforce_login, force_login, stopped_clock
from tests.conftest import ACCESS_LIFETIME, IDLE

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("client_class", [Client, APIClient])
@pytest.mark.parametrize("enforce", [False, True])
def test_force_login_signs_a_client_in(ada, client_class, enforce):
    client = client_class(enforce_csrf_checks=enforce)
    force_login(client, ada)
    assert client.get("/me/").json()["user"] == "ada"
    assert client.post("/logout/").status_code == 200
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_force_login_signs_an_async_client_in(ada):
    from asgiref.sync import async_to_sync

    async def sign_in_and_look():
        client = AsyncClient()
        await aforce_login(client, ada)
        return (await client.get("/me/async/")).content

    assert async_to_sync(sign_in_and_look)() == b"ada"


def test_force_login_replaces_the_user_of_a_client(ada, bob):
    client = Client()
    force_login(client, ada)
    force_login(client, bob)
    assert client.get("/me/").json()["user"] == "bob"


def test_stopped_clock_can_be_advanced(ada):
    client = Client()
    with stopped_clock() as clock:
        force_login(client, ada, remember=False)
        clock.advance(ACCESS_LIFETIME)
        assert "refresh_token" in client.get("/me/").cookies
        clock.advance(IDLE)
        assert client.get("/me/").status_code == 403


@pytest.mark.parametrize(("step", "times"), [(0.5, 2), (0.1, 10), (0.001, 1000), (-0.25, -4)])
def test_stopped_clock_adds_up_parts_of_a_second(step, times):
    with stopped_clock() as stopped:
        before = clock.now(), clock.monotonic_ms()
        for _ in range(abs(times)):
            stopped.advance(step)
        assert clock.now() - before[0] == round(step * abs(times))
        assert clock.monotonic_ms() - before[1] == round(step * abs(times)) * 1000


def test_stopped_clock_advances_by_half_a_second():
    with stopped_clock() as stopped:
        before = clock.monotonic_ms()
        stopped.advance(0.5)
        assert clock.monotonic_ms() - before == 500


def test_pytest_fixtures_sign_in_and_advance_the_clock(ada, client, jwtauth_login, jwtauth_clock):
    jwtauth_login(client, ada)
    jwtauth_clock.advance(ACCESS_LIFETIME)
    response = client.get("/me/")
    assert (response.status_code, "access_token" in response.cookies) == (200, True)
