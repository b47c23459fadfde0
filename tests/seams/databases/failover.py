"""A PostgreSQL primary that fails under load, and its standby that is promoted: what users experience."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.databases.clusters import Forwarder, Standby
from tests.databases.rust import Service
from tests.databases.served import Site, signed_in
from tests.databases.servers import PostgreSQL
from tests.seams.databases.load import ENDLESS, Face, Load
from tests.waiting import wait_until

NAME = "jwtauth"
# How many sessions end, and how many start, without reaching the standby.
LEAVERS = 4
# The most refreshes of a user that are lost: fewer than the 16 that are still adopted.
MOST = 12


class Pair:
    """A primary, a standby that reads from it through a forwarder, and a site that uses the writable one.

    A Rust service beside the site, if there is one, reaches that server through a second forwarder.
    """

    def __init__(self, primary: PostgreSQL, standby: Standby, link: Forwarder, front: Forwarder, site: Site) -> None:
        self.primary, self.standby, self.link, self.front, self.site = primary, standby, link, front, site
        self.faces = [Face(site.port)]

    def catch_up(self) -> None:
        wait_until(self.standby.has_all, self.standby.process, self.standby.log)

    def fail_over(self) -> None:
        """Stop the primary as if its machine had failed, and promote the standby."""
        self.primary.stop(self.primary.crash)
        self.standby.promote()
        self.front.go_to(self.standby.port)

    def adopted(self) -> list[int]:
        """Return by how many refreshes sessions were behind their browsers, from the site's log."""
        found = re.findall(
            r"generation_adopted: .* presented generation (\d+), current (\d+)", self.site.log.read_text()
        )
        return [int(presented) - int(current) for presented, current in found]


@contextmanager
def pair(*, synchronous: bool, program: Path | None = None) -> Iterator[Pair]:
    """Start both servers, a site that libpq connects to the writable one, and the Rust service of this program."""
    with ExitStack() as stack:
        primary = stack.enter_context(PostgreSQL())
        primary.create_database(NAME)
        link, front = (stack.enter_context(Forwarder(primary.port)) for _ in range(2))
        standby = stack.enter_context(Standby(primary, port=link.port))
        if synchronous:
            primary.configure("synchronous_standby_names", "*")
            wait_until(lambda: primary.asked("SELECT sync_state FROM pg_stat_replication") == "sync")
        settings = {"JWTAUTH_TEST_SETTINGS": json.dumps(ENDLESS)}
        site = stack.enter_context(Site(env=settings, default=entry(primary, standby)))
        running = Pair(primary, standby, link, front, site)
        if program is not None:
            database = {**primary.settings(NAME), "PORT": front.port}
            service = stack.enter_context(Service(program, site, database))
            running.faces.append(Face(service.port, "/who/"))
        yield running


def entry(*servers: PostgreSQL) -> dict[str, object]:
    """Return the entry of ``DATABASES`` for several servers that the guide shows."""
    found = servers[0].settings(NAME, target_session_attrs="read-write")
    hosts, ports = ",".join("127.0.0.1" for _ in servers), ",".join(str(server.port) for server in servers)
    return {**found, "HOST": hosts, "PORT": ports, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def fail_over_with_all(running: Pair, *, refreshes: int) -> Load:
    """Promote a synchronous standby under load: it has every acknowledged write."""
    with Load(running.site, *running.faces) as load:
        load.wait_for(refreshes)
        running.fail_over()
        load.wait_for(refreshes)
    return load


class Lost(NamedTuple):
    """What was acknowledged before the standby was cut off, and what after it, which is lost."""

    load: Load
    # Cookies of sessions that had ended before, and of those that ended or started after it.
    ended_before: list[dict[str, str]]
    ended_after: list[dict[str, str]]
    started_after: list[dict[str, str]]


def fail_over_with_loss(running: Pair, *, refreshes: int) -> Lost:
    """Cut an asynchronous standby off, wait for this many refreshes, then kill the primary and promote it."""
    leavers = signed_in(running.site, LEAVERS)
    ended = [dict(leaver.cookies) for leaver in leavers]
    with Load(running.site, *running.faces) as load:
        load.wait_for(refreshes)
        before = list(load.ended)
        running.catch_up()
        made = load.limit(MOST)
        running.link.go_to(None)
        for leaver in leavers:
            assert leaver.get("/logout/", method="POST").status == 200
        started = [dict(newcomer.cookies) for newcomer in signed_in(running.site, LEAVERS)]
        load.wait_for(refreshes, made)
        running.fail_over()
        load.limits.clear()
        load.wait_for(refreshes)
    return Lost(load, before, ended, started)
