"""Ordinary clients with cookie jars need no knowledge of jwtauth: keeping and sending cookies is enough."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.databases.served import Site
from tests.seams.clients.bearer import refresh_at_once
from tests.seams.clients.jar_file import share_a_jar
from tests.seams.clients.play import AT_ONCE, KEEP_ALIVE, Player, play, signed_out
from tests.seams.clients.table import PROGRAMS, Client
from tests.waiting import PATIENCE

ROUNDS = 3
SECURE = {"JWTAUTH_TEST_SETTINGS": json.dumps({"COOKIE_SECURE": True})}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    file = tmp_path_factory.mktemp("clients") / "db.sqlite3"
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": {"timeout": PATIENCE}}


@pytest.fixture(scope="module")
def site(database):
    with Site(env=KEEP_ALIVE, default=database) as running:
        yield running


@pytest.fixture(scope="module")
def players(site, database, tmp_path_factory):
    """Let all clients play together, and return them by name."""
    programs = [program for program in PROGRAMS if program.lacks() is None]
    with Site(workers=1, env=KEEP_ALIVE | SECURE, migrated=True, default=database) as secure:
        return play(site, programs, ROUNDS, tmp_path_factory.mktemp("programs"), secure)


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def player(request, players) -> Player:
    if lacks := request.param.lacks():
        pytest.skip(lacks)
    found = players[request.param.name]
    if found.error is not None:
        raise found.error
    return found


def test_twenty_requests_at_expiry_are_recognised_and_refresh_once(player):
    assert player.login.status == 200
    user = player.login.json()["user"]
    expected = [[{"user": user, "generation": 2 + number}] * (AT_ONCE + 1) for number in range(ROUNDS)]
    assert [[answer.json() for answer in answers] for answers in player.rounds] == expected
    assert (player.signed_out, player.errors, player.requests) == (0, 0, ROUNDS * (AT_ONCE + 1))


def test_each_client_is_signed_in_as_a_different_user(players):
    names = [player.login.json()["user"] for player in players.values() if player.error is None]
    assert len(set(names)) == len(names)


def test_the_previous_cookies_are_accepted_within_the_grace(player):
    assert player.replayed == [200] * ROUNDS


def test_a_client_has_one_session_until_it_logs_out(player):
    assert [session["is_current"] for session in player.devices.json()] == [True]
    assert player.logout.status == 204
    assert player.left.keys() <= player.program.may_keep
    assert player.after_logout.status == 403


def test_copied_cookies_end_the_session_after_the_grace(player):
    assert player.copied == 403
    assert signed_out(player.after_copy) == 1


def test_only_some_clients_send_secure_cookies_to_this_machine_over_http(player):
    assert player.secure == ({"127.0.0.1", "localhost"} if player.program.secure_here else set())


def test_aiohttp_keeps_no_cookie_of_an_ip_address_by_default(site, tmp_path):
    [program] = (program for program in PROGRAMS if program.name == "aiohttp")
    if lacks := program.lacks():
        pytest.skip(lacks)
    client = Client(program, tmp_path)
    try:
        [user] = site.create_users(1)
        [login] = client.ask("POST", f"http://127.0.0.1:{site.port}/login/?user={user}", 1)
        [after] = client.ask("GET", f"http://127.0.0.1:{site.port}/me/", 1)
    finally:
        client.close()
    assert (login.status, client.cookies, after.status) == (200, {}, 403)


def test_curl_processes_that_share_a_jar_file_keep_the_session(site, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("no curl: apt install curl")
    shared = share_a_jar(site, ROUNDS, tmp_path)
    assert (shared.requests, shared.signed_out, shared.errors) == (ROUNDS * AT_ONCE, 0, 0)
    assert shared.alive == ROUNDS


def test_twenty_bearer_tasks_that_refresh_at_once_get_one_generation(site):
    pytest.importorskip("httpx", reason="no httpx: see requirements/seams.txt")
    refreshed = refresh_at_once(site, ROUNDS)
    assert refreshed.generations == [{2 + number} for number in range(ROUNDS)]
    assert (refreshed.signed_out, refreshed.errors) == (0, 0)
    assert (refreshed.copied, refreshed.after_copy) == (401, 401)
