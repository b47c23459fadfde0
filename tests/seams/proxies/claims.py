"""How many bytes of claims fit through a proxy."""

from __future__ import annotations

import httpx

from tests.databases.served import GRACE, Site
from tests.seams.proxies.doors import Door, Place
from tests.seams.proxies.scenarios import expire
from tests.seams.proxies.visitors import Visitor


async def answers_with(place: Place, site: Site, door: Door, user: int, size: int) -> tuple[int, int, int]:
    """Return the statuses of a login and of a refresh with this many bytes of claims, as JSON, and of one without.

    The refresh loads a page with a form, which sets the CSRF cookie too.
    """
    async with Visitor(place, door) as visitor:
        visitor.headers["x-claims"] = str(size)
        login = (await visitor.sign_in(user)).status
        if login != 200:
            del visitor.headers["x-claims"]
            await visitor.sign_in(user)
        await visitor.ask("/me/")
        expire(site, visitor)
        visitor.headers["x-claims"] = str(size)
        try:
            refresh = (await visitor.ask("/of-user/form/")).status
        except httpx.RemoteProtocolError:
            refresh = 0  # nginx has cut the body off: the headers filled its buffer to the last byte
        del visitor.headers["x-claims"]
        site.advance(GRACE + 1)
        return login, refresh, (await visitor.ask("/me/")).status


async def most(place: Place, site: Site, door: Door, user: int, start: int = 1000, end: int = 2800) -> int:
    """Return the largest size between these two that fits."""
    while end - start > 1:
        middle = (start + end) // 2
        fits = await answers_with(place, site, door, user, middle) == (200, 200, 200)
        start, end = (middle, end) if fits else (start, middle)
    return start
