"""A site on each node of a Galera cluster: what their users experience."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import NamedTuple

from tests.databases.clusters import Galera, Node
from tests.databases.served import ACCESS_LIFETIME, Browser, Site, generation, signed_in
from tests.seams.databases.load import ENDLESS, Face, Load, accepted
from tests.waiting import wait_until


class Level(NamedTuple):
    """How a site's transactions are isolated."""

    isolation: str
    atomic_requests: bool

    def __str__(self) -> str:
        return self.isolation.upper() + (", ATOMIC_REQUESTS" if self.atomic_requests else "")


LEVELS = [Level(isolation, atomic) for isolation in ("read committed", "repeatable read") for atomic in (False, True)]
# As the guide says.
SYNC_WAIT = "SET SESSION wsrep_sync_wait = 3"
# The server does not retry statements itself, so each conflict reaches the site.
NO_RETRIES = "wsrep_retry_autocommit = 0"

names = (f"jwtauth_{number}" for number in count(1))


@contextmanager
def sites(
    cluster: Galera, levels: Sequence[Level], init_command: str = f"{SYNC_WAIT}, {NO_RETRIES}"
) -> Iterator[list[Site]]:
    """Start a site on each node, with the level at the same index."""
    name = next(names)
    cluster.nodes[0].create_database(name)
    with ExitStack() as stack:
        running: list[Site] = []
        for node, level in zip(cluster.nodes, levels, strict=True):
            site = site_of(node.settings(name), level, init_command, running[0] if running else None)
            running.append(stack.enter_context(site))
        yield running


def site_of(database: dict, level: Level, init_command: str, beside: Site | None) -> Site:
    options = {"isolation_level": level.isolation, "init_command": init_command}
    persistent = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    entry = {**database, **persistent, "OPTIONS": options, "ATOMIC_REQUESTS": level.atomic_requests}
    settings = {"JWTAUTH_TEST_SETTINGS": json.dumps(ENDLESS)}
    return Site(workers=1, env=settings, beside=beside, default=entry)


class Race:
    """One session whose requests reach all nodes at once, and the result."""

    def __init__(self, running: list[Site], racers: int) -> None:
        self.sites, self.racers = running, racers
        self.rounds = self.requests = self.errors = self.signed_out = 0
        self.failures: list[str] = []
        (self.browser,) = signed_in(running[0], 1)

    def refresh(self) -> None:
        """Let the access token expire for every racer, and refresh."""
        self.rounds += 1
        self.sites[0].advance(ACCESS_LIFETIME + 1)
        self.browser.expire()
        expected = generation(self.browser) + 1
        racers = self.start()
        if {generation(racer) for racer, _ in racers} != {expected}:
            self.failures.append("more than one rotation")
        if len({racer.cookies["refresh_token"] for racer, _ in racers}) != 1:
            self.failures.append("different refresh tokens")
        self.failures += [f"{status} in round {expected}" for _, status in racers if status != 200]
        self.browser = racers[0][0]
        self.start()  # with the new tokens

    def log_out(self) -> list[dict[str, str]]:
        """Sign out at one node while the others refresh, and return all cookies that were issued."""
        self.sites[0].advance(ACCESS_LIFETIME + 1)
        self.browser.expire()
        before = dict(self.browser.cookies)
        racers = self.start(leaving=True)
        self.failures += [f"{status} at logout" for _, status in racers if status not in (200, 403)]
        found = [before, *(racer.cookies for racer, _ in racers)]
        return [cookies for cookies in found if cookies.get("refresh_token")]

    def start(self, *, leaving: bool = False) -> list[tuple[Browser, int]]:
        """Return each racer, with its cookies, and the status that it got."""
        barrier = threading.Barrier(self.racers)

        def race(number: int) -> tuple[Browser, int]:
            racer = self.copy()
            racer.port = self.sites[number % len(self.sites)].port
            barrier.wait()
            first = leaving and not number
            return racer, racer.get("/logout/" if first else "/me/", method="POST" if first else "GET").status

        with ThreadPoolExecutor(self.racers) as pool:
            racers = list(pool.map(race, range(self.racers)))
        self.requests += len(racers)
        self.errors += sum(status >= 500 for _, status in racers)
        self.signed_out += 0 if leaving else sum(status in (401, 403) for _, status in racers)
        return racers

    def copy(self) -> Browser:
        other = Browser(self.sites[0].port)
        other.cookies = dict(self.browser.cookies)
        return other


def race(cluster: Galera, running: list[Site], *, rounds: int, racers: int) -> tuple[Race, list[dict[str, str]]]:
    """Refresh one session at all nodes at once, for this many rounds and until there is a conflict; then sign out.

    Return the race and those of the issued cookies that a node accepts afterwards.
    """
    before = cluster.conflicts
    result = Race(running, racers)
    while result.rounds < rounds or (cluster.conflicts == before and result.rounds < 50 * rounds):
        result.refresh()
        if result.failures:
            break
    handed_out = result.log_out()
    revived = accepted(handed_out, *(Face(site.port) for site in running))
    result.requests += len(handed_out) * len(running)
    return result, revived


def lose_a_node(cluster: Galera, running: list[Site], *, refreshes: int, losses: int = 1) -> Load:
    """Kill the last node under load, and restart it under load."""
    node, faces = cluster.nodes[-1], [Face(site.port) for site in running]
    with Load(running[0], *faces) as load:
        load.wait_for(refreshes)
        for _ in range(losses):
            node.stop(signal.SIGKILL)
            load.wait_for(refreshes)
            node.start()
            node.wait()
            served = load.answers[len(faces) - 1, 200]
            wait_until(lambda: load.has_failed or load.answers[len(faces) - 1, 200] > served + refreshes)  # noqa: B023
    return load


class Lag:
    """A site on a node that applies nothing while `frozen`, for the users of a site on another node."""

    def __init__(self, node: Node, first: Site, site: Site) -> None:
        self.node, self.first, self.site = node, first, site

    @contextmanager
    def frozen(self) -> Iterator[None]:
        connection = self.node.connect()
        try:
            connection.cursor().execute("FLUSH TABLES WITH READ LOCK")
            yield
        finally:
            connection.close()

    def ask(self, browser: Browser, url: str = "/me/", method: str = "GET") -> int:
        """Return the status that these cookies get at the delayed node, without changing the browser's cookies."""
        other = Browser(self.site.port)
        other.cookies = dict(browser.cookies)
        return other.get(url, method=method).status

    def waiting(self) -> int:
        """Return how many clients of the node wait for the answer to a statement."""
        clients = "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Query'"
        return int(self.node.asked(f"{clients} AND id <> CONNECTION_ID()") or 0)


@contextmanager
def lag(cluster: Galera, first: Site, init_command: str) -> Iterator[Lag]:
    """Start a site on the second node, beside a site on the first one."""
    node = cluster.nodes[1]
    name = json.loads(first.env["JWTAUTH_TEST_DATABASES"])["default"]["NAME"]
    with site_of(node.settings(name), LEVELS[0], init_command, first) as site:
        yield Lag(node, first, site)
