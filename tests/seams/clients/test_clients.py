"""Clients with cookie jars that know nothing of this package: they keep cookies and send them, and that is enough."""

from __future__ import annotations

import json

import pytest

from tests.databases.served import Site
from tests.seams.clients.play import AT_ONCE, KEEP_ALIVE, Player, play, signed_out
from tests.seams.clients.table import PROGRAMS
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
    """All clients, which have played together."""
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


def test_twenty_requests_at_expiry_are_all_of_the_user_and_refresh_once(player):
    assert player.login.status == 200
    user = player.login.json()["user"]
    expected = [[{"user": user, "generation": 2 + number}] * (AT_ONCE + 1) for number in range(ROUNDS)]
    assert [[answer.json() for answer in answers] for answers in player.rounds] == expected
    assert (player.signed_out, player.errors, player.requests) == (0, 0, ROUNDS * (AT_ONCE + 1))


def test_users_are_not_mixed_up(players):
    names = [player.login.json()["user"] for player in players.values() if player.error is None]
    assert len(set(names)) == len(names)


def test_cookies_of_the_round_before_are_good_within_the_grace(player):
    assert player.replayed == [200] * ROUNDS


def test_client_is_one_session_until_it_logs_out(player):
    assert [session["is_current"] for session in player.devices.json()] == [True]
    assert player.logout.status == 204
    assert player.left.keys() <= player.program.may_keep
    assert player.after_logout.status == 403


def test_cookies_that_were_copied_end_the_session_after_the_grace(player):
    assert player.copied == 403
    assert signed_out(player.after_copy) == 1


def test_secure_cookies_over_http_are_sent_to_this_machine_by_few(player):
    assert player.secure == ({"127.0.0.1", "localhost"} if player.program.secure_here else set())
