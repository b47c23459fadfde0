"""One login for Django and a Rust service: started, used, refreshed and ended at either."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import product

import pytest

from tests.databases.forks import manage
from tests.databases.rust import Service
from tests.databases.served import ACCESS_LIFETIME, GRACE, Browser, Site

ROUNDS, RACERS = 10, 32


@contextmanager
def pair(program, database):
    """Yield the Django site, and the ports of it and of the Rust service."""
    with Site(default=database) as site, Service(program, site, database) as service:
        yield site, {"django": site.port, "rust": service.port}


@pytest.fixture(scope="module")
def pairs(program, make_shared_database):
    """Return a function that starts the pair on a database of this kind, once for all tests."""
    with ExitStack() as running:
        yield cache(lambda kind: running.enter_context(pair(program, make_shared_database(kind))))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def both(request, pairs):
    return pairs(request.param)


class Visitor:
    """A user's browser, with cookies for both services."""

    def __init__(self, ports, key):
        self.ports, self.key = ports, str(key)
        self.browser = Browser(ports["django"])

    def at(self, face):
        self.browser.port = self.ports[face]
        return self.browser

    def sign_in(self, face):
        self.at(face).sign_in(self.key)
        return self

    def is_known_at(self, face):
        answer = self.at(face).get({"django": "/me/session/", "rust": "/who/"}[face])
        assert answer.status == 200, answer.body
        return json.loads(answer.body)["is_authenticated"] if face == "django" else answer.body.decode() == self.key

    def is_known(self):
        found = {self.is_known_at(face) for face in self.ports}
        assert len(found) == 1, "Django and the Rust service say the same"
        return found.pop()

    def copy(self):
        other = Visitor(self.ports, self.key)
        other.browser.cookies = dict(self.browser.cookies)
        return other


FACES = ("django", "rust")


def test_one_login_works_in_every_order_of_the_services(both):
    site, ports = both
    orders = list(product(FACES, repeat=4))
    for (starts, uses, refreshes, ends), key in zip(orders, site.create_users(len(orders)), strict=True):
        visitor = Visitor(ports, key).sign_in(starts)
        assert visitor.is_known_at(uses)
        generation = generation_of(visitor)
        site.advance(ACCESS_LIFETIME + 1)
        visitor.browser.expire()
        assert visitor.is_known_at(refreshes)
        assert generation_of(visitor) == generation + 1
        assert visitor.is_known()
        copy = visitor.copy()
        assert visitor.at(ends).get("/logout/", method="POST").status == 200
        assert not any(visitor.browser.cookies.values())
        assert not copy.is_known()


def test_ending_the_other_sessions_ends_them_at_both_services(both):
    site, ports = both
    for (here, there), key in zip(product(FACES, repeat=2), site.create_users(4), strict=True):
        kept, ended = Visitor(ports, key).sign_in(here), Visitor(ports, key).sign_in(there)
        assert kept.at(here).get("/others/", method="POST").status == 200
        assert (kept.is_known(), ended.is_known()) == (True, False)


def test_a_stolen_token_is_detected_across_both_services(both):
    site, ports = both
    for (owner_at, thief_at), key in zip(product(FACES, repeat=2), site.create_users(4), strict=True):
        owner = Visitor(ports, key).sign_in(owner_at)
        thief = owner.copy()
        site.advance(ACCESS_LIFETIME + 1)
        owner.browser.expire()
        assert owner.is_known_at(owner_at)
        assert owner.is_known_at(thief_at)
        site.advance(GRACE + 1)
        assert not thief.is_known_at(thief_at)
        assert not owner.is_known()


def test_acting_starts_and_ends_at_either_service_although_answers_are_lost(both):
    site, ports = both
    for (starts, ends, repeats), keys in zip(product(FACES, repeat=3), pairs_of(site.create_users(16)), strict=True):
        staff, user = keys
        manage(site.env, "shell", "--no-imports", "--command", SUPERUSER.format(staff)).check_returncode()
        visitor = Visitor(ports, staff).sign_in(starts)
        assert visitor.at(starts).get(f"/act/?user={user}", method="POST").status == 200
        visitor.key = str(user)
        assert visitor.is_known()
        lost = visitor.copy()
        assert visitor.at(ends).get("/stop/", method="POST").status == 200
        assert lost.at(repeats).get("/stop/", method="POST").status == 200
        lost.key = str(staff)
        assert lost.is_known()


def test_both_services_keep_when_and_how_the_user_authenticated_again(both):
    site, ports = both
    (key,) = site.create_users(1)
    visitor = Visitor(ports, key).sign_in("rust")
    login = claims_of(visitor)["auth_time"]
    site.advance(100)
    assert visitor.at("rust").get(f"/again/?user={key}", method="POST").status == 200
    expected = (login + 100, ["otp", "pwd"])
    for number, face in enumerate(FACES * 2):
        claims = claims_of(visitor)
        assert (claims["auth_time"], claims["amr"], claims["gen"]) == (*expected, number + 2)
        assert visitor.is_known(), "the newest generation is seen"
        site.advance(ACCESS_LIFETIME + 1)
        visitor.browser.expire()
        assert visitor.is_known_at(face)


@pytest.mark.parametrize(
    "change", ["is_active=False", "password='another'", None], ids=["deactivated", "new password", "deleted"]
)
def test_a_change_of_the_user_ends_sessions_at_both_services(both, change):
    site, ports = both
    (key,) = site.create_users(1)
    visitors = [Visitor(ports, key).sign_in(face) for face in FACES]
    assert all(visitor.is_known() for visitor in visitors)
    users = f"from django.contrib.auth.models import User; User.objects.filter(pk={key})"
    site.django("shell", "--no-imports", "--command", f"{users}.{f'update({change})' if change else 'delete()'}")
    for visitor in visitors:
        assert not visitor.is_known()


def test_an_inactive_user_cannot_sign_in_at_either_service(both):
    site, ports = both
    (key,) = site.create_users(1)
    users = "from django.contrib.auth.models import User; User.objects"
    site.django("shell", "--no-imports", "--command", f"{users}.filter(pk={key}).update(is_active=False)")
    for face, status in (("django", 403), ("rust", 401)):
        answer = Visitor(ports, key).at(face).get(f"/login/?user={key}", method="POST")
        assert (answer.status, answer.cookies) == (status, {})


def test_racing_workers_of_both_services_rotate_once(both):
    site, ports = both
    (key,) = site.create_users(1)
    visitor = Visitor(ports, key).sign_in("rust")
    with ThreadPoolExecutor(RACERS) as pool:
        for number in range(1, ROUNDS + 1):
            site.advance(ACCESS_LIFETIME + 1)
            visitor.browser.expire()
            racers = [visitor.copy() for _ in range(RACERS)]
            known = list(pool.map(lambda one: one[1].is_known_at(FACES[one[0] % 2]), enumerate(racers)))
            assert all(known), "every racer is signed in"
            assert len({racer.browser.cookies["refresh_token"] for racer in racers}) == 1, "with the same token"
            visitor = racers[-1]
            assert generation_of(visitor) == number + 1, "one rotation for all"
            assert visitor.is_known()


def generation_of(visitor):
    """Return the generation of the browser's refresh token."""
    return claims_of(visitor)["gen"]


SUPERUSER = (
    "from django.contrib.auth.models import User;User.objects.using('default').filter(pk={}).update(is_superuser=True)"
)


def pairs_of(keys):
    return zip(keys[::2], keys[1::2], strict=True)


def claims_of(visitor):
    """Return the claims of the browser's refresh token."""
    payload = visitor.browser.cookies["refresh_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))
