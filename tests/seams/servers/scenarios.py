"""What is tried with each server. The short test and the long run share it, and differ in size."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.databases.served import ACCESS_LIFETIME, Site
from tests.seams.servers.client import LOST, Browser, Reissued, Tally
from tests.seams.servers.table import WAITRESS
from tests.waiting import PATIENCE

AT_ONCE = 10
CHUNK = 32_768
SMALL, LARGE = 3 * CHUNK, 160 * CHUNK  # an upload has over 64 KiB; the large one has 5 MB
# The request that is cut off has not rotated yet, or has written its rotation.
STEPS = ("after reading", "after writing")


@asynccontextmanager
async def signed_in(site: Site, tally: Tally, users: Sequence[int]) -> AsyncIterator[list[Browser]]:
    """Sign each user in. Check at the end that all are still signed in, and can sign out."""
    browsers = [Browser(site, tally, user) for user in users]
    try:
        await asyncio.gather(*(browser.sign_in() for browser in browsers))
        yield browsers
        await asyncio.gather(*(browser.me() for browser in browsers))
        await asyncio.gather(*map(sign_out, browsers))
    finally:
        await asyncio.gather(*(browser.close() for browser in browsers))


async def sign_out(browser: Browser) -> None:
    copies = dict(browser.cookies)
    assert (await browser.insist("/logout/", "POST")).status == 200
    assert not browser.cookies["access_token"]
    browser.cookies = copies
    assert (await browser.insist("/me/")).status == 403
    browser.expire()
    assert (await browser.insist("/me/")).status == 403


async def until_expiry(site: Site) -> None:
    """Move the clock past the access tokens' end, once the server has ended what clients have given up.

    It would see such a request as one that took longer than the grace, which may end the session.
    """
    while "" in site.refreshing():
        await asyncio.sleep(0.01)
    site.advance(ACCESS_LIFETIME + 1)


async def burst(browser: Browser, step: str | None = None) -> None:
    """Make requests at once when the access token has expired. Cut one of them off at this step of its refresh."""
    before = browser.generation
    browser.expire()
    others: list[asyncio.Future] = []

    def start() -> None:
        others.extend(asyncio.ensure_future(browser.me()) for _ in range(AT_ONCE - (step is not None)))

    if step is None:
        start()
    else:
        try:
            await browser.cut(step, start)
        except Reissued:  # the server has ended it before
            start()
    await asyncio.gather(*others)
    await browser.me()  # with the new cookies, which acknowledges them
    assert browser.generation == before + 1, f"{before} -> {browser.generation}: one rotation a round"


async def bursts(site: Site, browsers: list[Browser], rounds: int) -> None:
    for number in range(rounds):
        await until_expiry(site)
        step = STEPS[number // 2 % 2] if number % 2 else None
        await asyncio.gather(*(burst(browser, step) for browser in browsers))


async def uploads(site: Site, browser: Browser) -> None:
    """Check that an upload at expiry is served and rotates nothing; a late one is anonymous and ends nothing."""
    unknown = site.server.unknown_length
    for body in (of_known_length, of_unknown_length) if unknown != "lost" else (of_known_length,):
        await until_expiry(site)
        browser.expire()
        before, old = browser.generation, dict(browser.cookies)
        is_read = body is of_known_length or unknown == "all"
        # waitress states a length to Django even if the client did not.
        small = SMALL if body is of_known_length or site.server is WAITRESS else CHUNK
        size = LARGE if is_read else small
        response = await browser.insist("/upload/", "POST", partial(body, size))
        browser.judge(response)
        assert not response.sets_cookies, "an upload rotates nothing"
        assert response.json["bytes"] == (size if is_read else 0)
        for _ in range(2):
            await burst(browser)
            await until_expiry(site)
        assert browser.generation == before + 2
        new, browser.cookies = browser.cookies, old
        try:
            # A size that fits the connection: a server that closes it with an unread body may lose the response.
            late = await browser.request("/upload/", "POST", body(small))
        except LOST:
            assert body is of_known_length
            assert not site.server.answers_unread
        else:
            assert (late.status, late.json["code"]) == (403, "late_upload"), late
            assert not late.sets_cookies
        browser.cookies = new
        await burst(browser)


def of_known_length(size: int) -> bytes:
    return b"x" * size


async def of_unknown_length(size: int) -> AsyncIterator[bytes]:
    """Yield a body in chunks over HTTP/1.1; over HTTP/2, no header announces it."""
    for _ in range(size // CHUNK):
        yield b"x" * CHUNK


async def stream(site: Site, browser: Browser) -> None:
    """Open an event stream at expiry: it refreshes, sets cookies, and continues while other requests are made."""
    said = f"data: {browser.name}\n\n".encode()
    await until_expiry(site)
    before = browser.generation
    browser.expire()
    async with browser.open("/events/async/" if site.server.asgi else "/events/") as response:
        assert response.status == 200
        received = response.aiter_stream()
        body = b""
        while body != said:
            body += await anext(received)
        assert browser.generation == before + 1, "the cookies came with the head"
        if site.server.multiplexes:
            await asyncio.gather(*(browser.me() for _ in range(AT_ONCE)))
        site.advance(1)
        async for part in received:
            body += part
        assert body == said * 2
    await browser.me()  # which acknowledges the new tokens
    assert browser.generation == before + 1


async def websockets(site: Site, browser: Browser) -> None:
    """Open WebSockets from the site's origin, from others and without one, and one that outlives its session."""
    own = site.url
    async with socket(site, browser, own) as opened:
        await echo(opened, browser)
    other_scheme = own.replace("http", "https") if site.pem is None else own.replace("https", "http")
    for origin in ("https://elsewhere.example", "null", other_scheme, None):
        with pytest.raises(InvalidStatus) as refused:
            await socket(site, browser, origin)
        assert refused.value.response.status_code == 403, f"{origin}: {refused.value.response}"

    await until_expiry(site)
    before = browser.generation
    browser.expire()
    async with socket(site, browser, own) as opened:
        await echo(opened, browser)
        brought = opened.response.headers.get_all("Set-Cookie")
        if brought:
            for value in brought:
                name, _, rest = value.strip().partition("=")
                browser.cookies[name] = rest.partition(";")[0]
        else:
            browser.tally.seen.append("no cookies with the WebSocket's acceptance")
        await browser.me()  # if the cookies were lost, it gets the same
        assert browser.generation == before + 1

    async with socket(site, browser, own) as opened:
        await echo(opened, browser)
        assert (await browser.request("/logout/", "POST")).status == 200
        await opened.send("three")
        with pytest.raises(ConnectionClosedError) as closed:
            await opened.recv()
        assert closed.value.rcvd.code == 4001
    await browser.sign_in()


def socket(site: Site, browser: Browser, origin: str | None) -> connect:
    browser.tally.requests += 1
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items() if value)
    return connect(
        f"{site.url.replace('http', 'ws')}/ws/",
        origin=origin,
        ssl=browser.trust,
        additional_headers={"Cookie": cookies},
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        ping_interval=None,
        proxy=None,
    )


async def echo(opened: ClientConnection, browser: Browser) -> None:
    for word in ("one", "two"):
        await opened.send(word)
        assert await opened.recv() == f"{browser.user}: {word}"


async def under_load(site: Site, browsers: list[Browser], done: Callable[[], bool]) -> None:
    """Run rounds until this is true, and one more."""
    last = False
    while not last:
        last = done()
        await bursts(site, browsers, 2)


@asynccontextmanager
async def supervised(site: Site) -> AsyncIterator[None]:
    """Restart a server that does not survive its worker whenever it has ended, as systemd does."""

    async def watch() -> None:
        while True:
            if site.process.poll() is not None:
                site.start()
            await asyncio.sleep(0.01)

    if site.server.respawns:
        yield
        return
    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        if error := None if watching.cancelled() else watching.exception():
            raise error


async def reload(site: Site, browsers: list[Browser], times: int) -> None:
    """Replace the workers under load, by the server's signal, or by a restart."""
    tally = browsers[0].tally
    async with supervised(site):
        for _ in range(times):
            before, process = site.workers(), site.process
            load = asyncio.ensure_future(under_load(site, browsers, lambda old=before: not old & site.workers()))
            if site.server.reload is None:
                await asyncio.to_thread(site.stop)
            else:
                process.send_signal(site.server.reload)
            await load
            if site.server.reload and site.process is not process:
                tally.seen.append("ended in a reload, and was started again")


async def kill(site: Site, browsers: list[Browser], times: int) -> None:
    """Kill a worker that has just written a refresh, under load."""
    async with supervised(site):
        for _ in range(times):
            stop = asyncio.Event()
            load = asyncio.ensure_future(under_load(site, browsers[1:], stop.is_set))
            worker = await hit(site, browsers[0])
            stop.set()  # at once: each round of the load takes five minutes of the sessions' time
            await load
            while worker in site.workers():
                await asyncio.sleep(0.01)


async def hit(site: Site, browser: Browser) -> int:
    """Kill the worker that has just written this browser's refresh, and return its process id."""
    try:
        browser.expire()
        before = browser.generation
        pause, request = await browser.pause(STEPS[1], browser.pool)
    except Reissued:  # a server that restarts has ended the request: try another one
        await browser.me()
        return await hit(site, browser)
    worker = pause.worker
    assert worker in site.workers()
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(LOST):
        await request
    browser.tally.cut += 1
    pause.let_go()
    await browser.me()
    assert browser.generation > before
    return worker
