"""What honest browsers, and some with forged headers, do at the door of a proxy."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.databases.served import ACCESS_LIFETIME, GRACE, Site
from tests.seams.proxies.doors import Door, Place
from tests.seams.proxies.visitors import Answer, Visitor, claims, parts

BURST = 20
UPLOAD = 5 << 20
# Seconds after a rotation for which an upload may use the previous refresh token.
UPLOAD_GRACE = 15 * 60
# Caddy 2.6 drops the body of an HTTP/3 request that does not state its length.
LOSES_BODIES = "caddy HTTP/3"


@dataclass
class Tally:
    """The result of many requests."""

    requests: int = 0
    signed_out: int = 0
    errors: int = 0
    seen: Counter = field(default_factory=Counter)

    def count(self, answer: Answer, *, is_user: bool) -> None:
        """Count an answer to a browser whose session is alive, and whether it recognised the user."""
        self.requests += 1
        self.errors += answer.status >= 500
        self.signed_out += answer.status < 500 and not is_user

    def add(self, other: Tally) -> None:
        self.requests += other.requests
        self.signed_out += other.signed_out
        self.errors += other.errors
        self.seen += other.seen


def generation(visitor: Visitor) -> int:
    return claims(visitor.cookies["refresh_token"])["gen"]


def expire(site: Site, *visitors: Visitor) -> None:
    """Let the access tokens of these visitors expire."""
    site.advance(ACCESS_LIFETIME + 1)
    for visitor in visitors:
        visitor.expire()


async def me(visitor: Visitor, tally: Tally) -> Answer:
    answer = await visitor.ask("/me/")
    tally.count(answer, is_user=answer.status == 200)
    return answer


async def bursts(place: Place, site: Site, door: Door, user: int, rounds: int) -> Tally:
    """Sign in, and make many requests at once whenever the access token has expired. Count rotations beyond one."""
    tally = Tally()
    async with Visitor(place, door) as visitor:
        assert (await visitor.sign_in(user)).status == 200
        await me(visitor, tally)
        for _ in range(rounds):
            before = generation(visitor)
            expire(site, visitor)
            await asyncio.gather(*(me(visitor, tally) for _ in range(BURST)))
            await me(visitor, tally)
            tally.seen["rotations"] += 1
            tally.seen["rotations too many"] += generation(visitor) - before - 1
        answer = await visitor.ask("/logout/", "POST", b"{}", content_type="application/json")
        assert answer.status == 200
        assert answer.cookies["refresh_token"] == ""
        assert (await visitor.ask("/me/")).status == 403
    return tally


async def uploads(place: Place, site: Site, door: Door, user: int, size: int = UPLOAD) -> Tally:
    """Upload when the access token has expired, with and without a stated length; then with outdated tokens."""
    tally = Tally()
    async with Visitor(place, door) as visitor, Visitor(place, door) as late:
        assert (await visitor.sign_in(user)).status == 200
        await me(visitor, tally)
        for has_length in (True, False):
            before = generation(visitor)
            expire(site, visitor)
            answer = await visitor.ask("/read-all/", "POST", b"x" * size if has_length else parts(size))
            tally.count(answer, is_user=answer.status == 200 and answer.json()["user"] is not None)
            tally.seen["uploads"] += 1
            if has_length or door.id != LOSES_BODIES:
                assert answer.json()["read"] == size
                assert answer.cookies == {}, "an upload rotates nothing"
                tally.seen[said(answer)] += 1
            else:
                tally.seen["bodies that Caddy loses"] += answer.json()["read"] == 0
            late.cookies = dict(visitor.cookies)
            await me(visitor, tally)  # refreshes
            await me(visitor, tally)  # acknowledges
            assert generation(visitor) == before + 1
            site.advance(UPLOAD_GRACE + 1)
            if has_length or door.id != LOSES_BODIES:
                answer = await late.ask("/read-all/", "POST", b"x" * size if has_length else parts(size))
                assert (answer.status, answer.json()["user"], answer.cookies) == (200, None, {})
            await me(visitor, tally)
            await me(visitor, tally)
    return tally


def said(answer: Answer) -> str:
    """Return how the site learned the length of an upload."""
    found = answer.json()
    return "with length" if found["content_length"] else "chunked" if found["transfer_encoding"] else "unsaid"


class Faulty:
    """Forwards requests to a site. Once armed, it loses the next answer, when it is released."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.is_armed = False
        self.answered, self.released = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def listening(self, port: int):
        server = await asyncio.start_server(self.pass_on, "127.0.0.1", port)
        try:
            yield self
        finally:
            server.close()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            is_lost, self.is_armed = self.is_armed, False
            answers, to_site = await asyncio.open_connection("127.0.0.1", self.site.port)
            lines = [line for line in request.split(b"\r\n") if not line.lower().startswith(b"connection:")]
            to_site.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]))
            answer = await answers.read()
            to_site.close()
            if is_lost:
                self.answered.set()
                await self.released.wait()
            else:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the proxy has only checked whether a server listens
        writer.close()


async def retried(place: Place, site: Site, door: Door, user: int, *, late: bool) -> Tally:
    """Refresh. The answer is lost, and the proxy repeats the request: at once, or after the grace period."""
    tally = Tally()
    faulty = Faulty(site)
    async with faulty.listening(place.sites["faulty"]), Visitor(place, door) as visitor:
        assert (await visitor.sign_in(user)).status == 200
        await me(visitor, tally)
        before = generation(visitor)
        expire(site, visitor)
        faulty.is_armed = True
        asking = asyncio.create_task(me(visitor, tally))
        await faulty.answered.wait()
        if late:
            site.advance(GRACE + 1)
        faulty.released.set()
        await asking
        await me(visitor, tally)
        await me(visitor, tally)
        assert generation(visitor) == before + 1
        tally.seen["answers lost"] += 1
    return tally
