"""Requests that race, through a real server with threads on a database file."""

from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.test import Client

from tests.conftest import ACCESS_LIFETIME, only_session

RACERS = 20


@pytest.fixture
def database_file(tmp_path, django_db_blocker, monkeypatch):
    """The default database in a file, as threads need it, with the settings that the documentation asks for."""
    from django.core.management import call_command

    with django_db_blocker.unblock():
        before = connections["default"]
        settings_dict = before.settings_dict | {
            "NAME": str(tmp_path / "db.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"},
        }
        monkeypatch.setitem(connections.settings, "default", settings_dict)
        connections["default"] = connections.create_connection("default")
        call_command("migrate", verbosity=0)
        yield
        connections["default"].close()
        connections["default"] = before


def race(cookies, url="/me/"):
    """The same request, at once, from as many threads; each has its own connection to the database."""

    def request(_):
        client = Client()
        for name, value in cookies.items():
            client.cookies[name] = value
        try:
            return client.get(url)
        finally:
            connection.close()

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(request, range(RACERS)))


def test_requests_that_race_at_expiry_rotate_once_and_all_get_the_same_token(database_file, clock):
    user = get_user_model().objects.create_user("ada")
    client = Client()
    cookies = {name: morsel.value for name, morsel in client.post(f"/login/?user={user.pk}").cookies.items()}
    for generation in range(2, 7):
        clock.advance(ACCESS_LIFETIME)
        responses = race(cookies)
        assert {response.status_code for response in responses} == {200}
        assert {response.json()["generation"] for response in responses} == {generation}
        assert len({response.cookies["refresh_token"].value for response in responses}) == 1
        assert only_session().generation == generation
        cookies = {name: morsel.value for name, morsel in SimpleCookie(responses[0].cookies).items()}
        assert {response.status_code for response in race(cookies)} == {200}  # and acknowledges once
    assert only_session().acknowledged_at is not None
