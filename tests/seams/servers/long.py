"""The long run of every server: six users, fifty rounds of ten requests at once, six reloads, six killed workers."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.databases.served import Project, Site
from tests.seams.rows import Row
from tests.seams.servers import scenarios
from tests.seams.servers.client import Browser, Tally
from tests.seams.servers.table import DAPHNE, SERVERS, WebServer
from tests.waiting import PATIENCE

USERS, ROUNDS, FAULTS = 6, 50, 6


def rows(part: str = "", rounds: int = ROUNDS, faults: int = FAULTS) -> Iterator[Row]:
    """Yield the rows of the servers whose title begins with this."""
    # If the server itself uses TLS, only a WebSocket's scheme differs.
    secure = [server.secure for server in SERVERS if server.asgi and not server.tls and server is not DAPHNE]
    with TemporaryDirectory() as folder:
        name = str(Path(folder, "db.sqlite3"))
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": {"timeout": PATIENCE}}
        with Project(default=database) as project:
            users = iter(project.create_users(USERS * len(SERVERS) + len(secure)))
        for server in SERVERS:
            if server.lacks is None and server.title.startswith(part):
                yield from of(server, database, [next(users) for _ in range(USERS)], rounds, faults)
        for server in secure:
            if server.title.startswith(part):
                yield run(server, database, [next(users)], "WebSockets", partial(sockets, rounds=5))


def of(server: WebServer, database: dict, users: list[int], rounds: int, faults: int) -> Iterator[Row]:
    few = max(rounds // 10, 1)
    tried = {
        f"{rounds} rounds of 10 requests at expiry, one cut off in half of them": lambda site, browsers: (
            scenarios.bursts(site, browsers, rounds)
        ),
        "uploads at expiry and too late, with and without length; event streams": lambda site, browsers: bodies(
            site, browsers, few
        ),
    }
    if server.asgi:
        tried["WebSockets"] = lambda site, browsers: sockets(site, browsers, few)
    restarted = "reloads" if server.reload else "restarts"
    killed = "killed workers" if server.has_workers else "killed servers"
    tried[f"{faults} {restarted} under load"] = lambda site, browsers: scenarios.reload(site, browsers, faults)
    tried[f"{faults} {killed} under load"] = lambda site, browsers: scenarios.kill(site, browsers, faults)
    for what, scenario in tried.items():
        yield run(server, database, users, what, scenario)


def run(
    server: WebServer,
    database: dict,
    users: list[int],
    what: str,
    scenario: Callable[[Site, list[Browser]], Coroutine[None, None, None]],
) -> Row:
    tally = Tally()

    async def whole(site: Site) -> None:
        async with scenarios.signed_in(site, tally, users) as browsers:
            await scenario(site, browsers)

    failed = []
    with Site(server=server, migrated=True, default=database) as site:
        try:
            asyncio.run(whole(site))
        except Exception:  # the next scenario is tried in any case
            traceback.print_exc()
            failed.append("FAILED")
    counts = {
        "connections cut": tally.cut,
        "lost and made again": tally.again,
        "left unanswered, and made again": tally.unanswered,
        "refused until it had started": tally.refused,
    }
    seen = [f"{count} {words}" for words, count in counts.items() if count]
    return Row(
        server.title,
        what,
        tally.requests,
        len(tally.signed_out),
        len(tally.errors),
        ", ".join([*failed, *seen, *dict.fromkeys(tally.seen)]),
    )


async def bodies(site: Site, browsers: list[Browser], rounds: int) -> None:
    for browser in browsers[:rounds]:
        await scenarios.uploads(site, browser)
        await scenarios.stream(site, browser)


async def sockets(site: Site, browsers: list[Browser], rounds: int) -> None:
    for number in range(rounds):
        await scenarios.websockets(site, browsers[number % len(browsers)])
