"""A browser that makes many requests at once, over HTTP/1.1 or HTTP/2, and their result."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import NamedTuple

import anyio
import httpcore

from tests.databases.served import Pause, Site, generation
from tests.waiting import PATIENCE

# Seconds after which a browser considers a connection dead: a server that reloads may leave one unanswered.
TIMEOUT = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE / 3)}
# A connection that ended, or was given up, before the response. Over HTTP/2, httpcore may raise anyio's errors.
LOST = (
    *(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException),
    *(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError),
)


@dataclass
class Tally:
    """The result of many requests."""

    requests: int = 0
    cut: int = 0
    # Requests that were repeated because the connection ended without a response.
    again: int = 0
    # Requests that got no response in time, and were repeated over a new connection.
    unanswered: int = 0
    # Requests that found no server listening, and were repeated until one did.
    refused: int = 0
    signed_out: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


class Reissued(AssertionError):
    """Raised when a request refreshed nothing: it got the tokens of an earlier one, whose response was lost."""


class Response(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def sets_cookies(self) -> bool:
        return any(name.lower() == b"set-cookie" for name, _ in self.headers)


class Browser:
    """A user's browser. HTTP/1.1: a connection for each request. HTTP/2: one for all, and a field for each cookie."""

    def __init__(self, site: Site, tally: Tally, user: int) -> None:
        self.site, self.tally, self.user = site, tally, user
        self.name = ""
        self.cookies: dict[str, str] = {}
        self.pool = self.connections()
        self.dead: list[httpcore.AsyncConnectionPool] = []

    @property
    def trust(self) -> ssl.SSLContext | None:
        """Return a new context that trusts the site's certificate: httpcore writes the offered protocols into it."""
        return None if self.site.pem is None else ssl.create_default_context(cafile=str(self.site.pem))

    def connections(self) -> httpcore.AsyncConnectionPool:
        http2 = self.site.server.http2
        kept = None if http2 else 0
        return httpcore.AsyncConnectionPool(
            self.trust, max_connections=None, max_keepalive_connections=kept, http1=not http2, http2=http2
        )

    def headers(self, method: str, more: dict[str, str]) -> list[tuple[str, str]]:
        """Return headers without Fetch Metadata, so that the scheme that the server passes to Django matters."""
        pairs = [f"{name}={value}" for name, value in self.cookies.items() if value]
        fields = pairs if self.site.server.http2 else ["; ".join(pairs)] if pairs else []
        origin = {} if method == "GET" else {"Origin": self.site.url}
        return [*(("Cookie", value) for value in fields), *(origin | more).items()]

    @asynccontextmanager
    async def open(
        self,
        path: str,
        method: str = "GET",
        content: bytes | AsyncIterator[bytes] | None = None,
        *,
        pool: httpcore.AsyncConnectionPool | None = None,
        **headers: str,
    ) -> AsyncIterator[httpcore.Response]:
        """Yield a response, whose body is not yet read, and store its cookies."""
        self.tally.requests += 1
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        request = {"headers": self.headers(method, more), "content": content, "extensions": TIMEOUT}
        async with (pool or self.pool).stream(method, f"{self.site.url}{path}", **request) as response:
            for name, value in response.headers:
                if name.lower() == b"set-cookie":
                    self.cookies |= {key: morsel.value for key, morsel in SimpleCookie(value.decode()).items()}
            yield response

    async def request(self, *how: object, **options: object) -> Response:
        async with self.open(*how, **options) as response:
            return Response(response.status, response.headers, await response.aread())

    async def insist(self, path: str, method: str = "GET", body: Callable[[], object] = lambda: None) -> Response:
        """Make a request, and repeat it if its connection is lost, as browsers do when they get no response."""
        loop = asyncio.get_running_loop()
        deadline, refused = loop.time() + PATIENCE, 0
        while True:
            pool = self.pool
            try:
                return await self.request(path, method, body())
            except LOST as error:
                if loop.time() > deadline:
                    raise
                if (
                    self.pool is pool
                ):  # the old connection may live on, accept no requests, and keep a worker from ending
                    self.pool = self.connections()
                    await pool.aclose()
                if isinstance(error, httpcore.ConnectError):  # no server listens before it has started
                    self.tally.requests -= 1
                    self.tally.refused += not refused
                    refused += 1
                    await asyncio.sleep(0.05)
                elif isinstance(error, httpcore.TimeoutException):
                    self.tally.unanswered += 1
                else:
                    self.tally.again += 1

    async def sign_in(self) -> None:
        response = await self.insist(f"/login/?user={self.user}", "POST")
        assert response.status == 200, response
        self.name = response.json["user"]

    def expire(self) -> None:
        """Delete the access token, as a browser does at the end of Max-Age."""
        self.cookies.pop("access_token", None)

    @property
    def generation(self) -> int:
        return generation(self)

    async def me(self) -> None:
        """Make an ordinary request, and record what an honest client would complain about."""
        self.judge(await self.insist("/me/"))

    def judge(self, response: Response) -> None:
        said = f"{self.site.server.name}: {response.status} {response.body[:200]!r}"
        if response.status >= 500:
            self.tally.errors.append(said)
        elif response.status != 200 or response.json["user"] != self.name:
            self.tally.signed_out.append(said)

    async def cut(self, where: str, others: Callable[[], object]) -> None:
        """Lose the connection of a request in the middle of its refresh, after calling this. Raise `Reissued`."""
        pool = self.connections()
        try:
            pause, request = await self.pause(where, pool)
            others()
            request.cancel()
            await asyncio.wait([request])
        finally:
            await pool.aclose()
        self.tally.cut += 1
        pause.let_go()
        # If the test moved the clock earlier, the server would see a request that took longer than the grace.
        while not pause.has_ended:
            await asyncio.sleep(0.01)

    async def pause(self, where: str, pool: httpcore.AsyncConnectionPool) -> tuple[Pause, asyncio.Future]:
        """Return a request that now waits in the middle of its refresh. Raise `Reissued`."""
        pause = Pause(self.site, where)
        request = asyncio.ensure_future(self.request("/me/", pool=pool, **pause.headers))
        while pause.worker is None:
            if request.done():
                with suppress(*LOST):
                    raise Reissued(request.result())
                self.tally.again += 1
                pause.let_go()
                pause = Pause(self.site, where)
                request = asyncio.ensure_future(self.request("/me/", pool=pool, **pause.headers))
            await asyncio.sleep(0.01)
        return pause, request

    async def close(self) -> None:
        for pool in (*self.dead, self.pool):
            await pool.aclose()
