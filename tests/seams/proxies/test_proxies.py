"""The site behind nginx, HAProxy, Caddy and Varnish, with the configurations of docs/guides/deployment.md."""

import asyncio

import pytest

from tests.seams.proxies.doors import DOORS, FORWARDED_HOST, RETRYING, WITHOUT_HOST
from tests.seams.proxies.scenarios import BURST, bursts, retried, uploads
from tests.seams.proxies.visitors import Visitor

at_each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.id)


@at_each_door
def test_parallel_requests_at_expiry_keep_the_user_signed_in(door, behind):
    tally = asyncio.run(bursts(*behind(door).at(door), rounds=2))
    assert (tally.requests, tally.signed_out, tally.errors) == (2 * BURST + 3, 0, 0)
    assert tally.seen == {"rotations": 2, "rotations too many": 0}


@at_each_door
def test_uploads_at_expiry_rotate_nothing_and_late_uploads_end_nothing(door, behind):
    tally = asyncio.run(uploads(*behind(door).at(door)))
    assert (tally.requests, tally.signed_out, tally.errors) == (11, 0, 0)
    if "both sides" in door.name:
        assert tally.seen["unsaid"] == 1, "HTTP/2 states neither length nor chunks"


@at_each_door
def test_only_the_sites_origin_may_write(door, behind):
    place, _site, _door, user = behind(door).at(door)
    own = place.url(door)
    scheme, other = ("https", "http") if door.tls else ("http", "https")

    async def statuses():
        async with Visitor(place, door) as visitor:
            for headers in (
                {"origin": "https://elsewhere.example"},
                {"origin": own.replace(scheme, other, 1)},
                {"origin": "https://elsewhere.example", "x-forwarded-host": "elsewhere.example"},
                {"origin": own, "sec-fetch-site": "cross-site"},
                {"origin": own},
                {"origin": own, "sec-fetch-site": "same-origin"},
            ):
                visitor.headers = headers
                yield (await visitor.sign_in(user)).status

    async def listed():
        return [status async for status in statuses()]

    assert asyncio.run(listed()) == [403, 403, 403, 403, 200, 200]


def test_without_host_only_fetch_metadata_identifies_the_sites_origin(behind):
    place, _site, door, user = behind(WITHOUT_HOST).at(WITHOUT_HOST)

    async def status(**headers):
        async with Visitor(place, door) as visitor:
            visitor.headers |= headers
            return (await visitor.sign_in(user)).status

    assert asyncio.run(status()) == 403
    assert asyncio.run(status(**{"sec-fetch-site": "same-origin"})) == 200
    assert asyncio.run(status(**{"sec-fetch-site": "cross-site"})) == 403


def test_the_forwarded_host_is_the_proxys_not_the_clients(behind):
    place, _site, door, user = behind(FORWARDED_HOST).at(FORWARDED_HOST)

    async def status(**headers):
        async with Visitor(place, door) as visitor:
            visitor.headers |= headers
            return (await visitor.sign_in(user)).status

    assert asyncio.run(status()) == 200
    lie = {"origin": "https://elsewhere.example", "x-forwarded-host": "elsewhere.example"}
    assert asyncio.run(status(**lie)) == 403


@at_each_door
def test_the_recorded_address_is_the_clients_despite_a_forged_header(door, behind):
    place, _site, _door, user = behind(door).at(door)

    async def address():
        async with Visitor(place, door, "127.0.0.2", **{"x-forwarded-for": "203.0.113.9, 127.0.0.1"}) as visitor:
            assert (await visitor.sign_in(user)).status == 200
            listed = (await visitor.ask("/auth/sessions/")).json()
            (current,) = [session for session in listed if session["is_current"]]
            return current["ip_address"]

    assert asyncio.run(address()) == "127.0.0.2"


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "after-the-grace-period"])
@pytest.mark.parametrize("door", RETRYING, ids=lambda door: door.id)
def test_a_refresh_that_the_proxy_repeats_keeps_the_user_signed_in(door, late, behind):
    tally = asyncio.run(retried(*behind(door).at(door), late=late))
    assert (tally.requests, tally.signed_out, tally.errors) == (4, 0, 0)
