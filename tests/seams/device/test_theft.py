"""A copy of all cookies and of all traffic is accepted until the access token ends, and does not sign the user out."""

import os
from functools import partial
from itertools import cycle, islice

import pytest

from tests.seams.device.bound import REFRESH, REGISTER, Visitor
from tests.seams.device.thief import Key, Loot, Thief

# Requests of the thief. Issue 23 asks for 10,000.
REPLAYS = int(os.environ.get("JWTAUTH_TEST_REPLAYS", "300"))

pytestmark = pytest.mark.timeout(900 + REPLAYS)


@pytest.fixture
def visitor(browser, site):
    """Return a visitor whose browser has refreshed in one step and in two."""
    found = Visitor(browser, site)
    for _ in range(3):
        found.expire()
        found.assert_signed_in()
    return found


@pytest.fixture
def thief(site):
    with Thief(site) as found:
        yield found


def test_copied_cookies_are_accepted_until_the_access_token_ends_and_then_never(visitor, site, thief):
    access, refresh = (visitor.jar()[name] for name in (site.access_name, site.refresh_name))
    loot = Loot.of(site, visitor.exchanges())
    assert access in loot.access
    assert refresh in loot.refresh
    assert len(loot.proofs) >= 3
    assert thief.who(access, refresh) == thief.who(access) == visitor.name
    assert thief.who(None, refresh) is None

    visitor.expire()  # the thief comes before the owner
    assert replay(thief, loot, REPLAYS // 2) == []
    visitor.assert_signed_in()
    assert replay(thief, loot, REPLAYS // 2) == []
    visitor.assert_signed_in()
    visitor.expire()
    visitor.assert_signed_in()
    assert len(site.device_keys(visitor.name)) == 1


def replay(thief, loot, requests):
    """Make this many requests, and return those that were accepted."""
    return [attempt for attempt in islice(cycle(thief.attempts(loot)), requests) if thief.is_accepted(attempt)]


def test_copied_cookies_expire_in_real_time(browser, timed_site):
    visitor = Visitor(browser, timed_site)
    with Thief(timed_site) as thief:
        visitor.assert_signed_in()
        jar = visitor.jar()
        access, refresh = jar[timed_site.access_name], jar[timed_site.refresh_name]
        assert thief.who(access, refresh) == visitor.name
        visitor.wait(lambda: visitor.cookie(timed_site.access_name) is None)
        assert [thief.who(access, refresh), thief.who(access), thief.who(None, refresh)] == [None] * 3
        assert replay(thief, Loot.of(timed_site, visitor.exchanges()), 50) == []
        visitor.assert_signed_in()


def test_traffic_that_is_read_along_gives_no_longer_access_than_a_copied_cookie(visitor, site, thief):
    """A proof that is replayed at once gives the tokens that the browser got, which end when they do."""
    visitor.expire()
    visitor.assert_signed_in()
    loot = Loot.of(site, visitor.exchanges())
    for attempt in thief.attempts(loot)[: REPLAYS // 4]:
        reply = attempt()
        loot.access |= {value for name, value in reply.cookies.items() if name == site.access_name and value}
        loot.refresh |= {value for name, value in reply.cookies.items() if name == site.refresh_name and value}
    visitor.expire()
    assert replay(thief, loot, REPLAYS // 4) == []
    visitor.assert_signed_in()


def test_a_copied_registration_gives_no_token_after_the_first_refresh(visitor, site, thief):
    """Also with the refresh token of the login, and while the user is active."""
    (registration,) = visitor.registrations()
    for refresh in (registration.cookies[site.refresh_name], visitor.jar()[site.refresh_name]):
        copied = {"Secure_Session_Response": registration.proof}
        assert not thief.is_accepted(partial(thief.ask, "POST", REGISTER, None, refresh, **copied))
    visitor.expire()
    visitor.assert_signed_in()


def test_a_thief_of_the_first_cookies_cannot_bind_the_session_to_another_key(visitor, site, thief):
    """The registration's challenge is a copied one too. The second of two keys ends the session."""
    login = visitor.exchanges("/auth/login/")[0]
    challenge = login.got_header("Secure-Session-Registration").partition('challenge="')[2].partition('"')[0]
    cookies = visitor.jar()
    key = Key()
    proof = key.prove(challenge, registers=True)
    reply = thief.ask(
        "POST",
        REGISTER,
        *(cookies[name] for name in (site.access_name, site.refresh_name)),
        Secure_Session_Response=proof,
    )
    assert not reply.cookies.get(site.access_name)
    keys = site.device_keys(visitor.name)
    assert all(key not in (None, "") for key in keys)
    assert len(keys) <= 1
    if keys:
        visitor.assert_signed_in()


def test_a_proof_by_another_key_is_theft_and_ends_the_session(visitor, site, thief):
    cookies = visitor.jar()
    asked = thief.ask("POST", REFRESH, None, cookies[site.refresh_name], Sec_Secure_Session_Id=session_id(visitor))
    challenge = asked.challenge.partition('"')[2].partition('"')[0]
    reply = thief.ask(
        "POST",
        REFRESH,
        None,
        cookies[site.refresh_name],
        Secure_Session_Response=Key().prove(challenge),
        Sec_Secure_Session_Id=session_id(visitor),
    )
    assert not reply.cookies.get(site.access_name)
    assert site.device_keys(visitor.name) == []
    assert visitor.who() is None
    visitor.sign_in()
    visitor.expire()
    visitor.assert_signed_in()


def session_id(visitor):
    return visitor.exchanges(REFRESH)[-1].sent_header("Sec-Secure-Session-Id")
