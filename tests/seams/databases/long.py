"""The long run: more rounds, each isolation level separately, several losses."""

from __future__ import annotations

from collections.abc import Iterator

from tests.databases.clusters import Galera, Standby
from tests.databases.pgbouncer import PgBouncer, command
from tests.databases.rust import build
from tests.databases.servers import PostgreSQL
from tests.seams.databases import failover, pooled
from tests.seams.databases.galera import LEVELS, lose_a_node, race, sites
from tests.seams.databases.load import Face, Load, accepted
from tests.seams.rows import Row

ROUNDS, RACERS, LOSSES, FAILOVERS, REFRESHES, LOST = 40, 24, 3, 3, 30, 6


def rows() -> Iterator[Row]:
    if Galera.is_installed():
        yield from on_galera()
    if Standby.is_installed():
        yield from (synchronous(), asynchronous())
    if Standby.is_installed() and command() is not None:
        yield from behind_pgbouncer()


def on_galera() -> Iterator[Row]:
    with Galera() as cluster:
        part = f"MariaDB {cluster.nodes[0].version()}, Galera, 3 nodes"
        for level in LEVELS:
            before = cluster.conflicts
            with sites(cluster, [level] * 3) as running:
                result, revived = race(cluster, running, rounds=ROUNDS, racers=RACERS)
                seen = f"{cluster.conflicts - before} conflicts tried again; {len(revived)} accepted after logout"
                seen += f"; {len(result.failures)} rounds with two rotations" if result.failures else ""
                tried = f"{RACERS} requests at once at all nodes, {result.rounds} rounds, {level}"
                yield Row(part, tried, result.requests, result.signed_out, result.errors, seen)
                load = lose_a_node(cluster, running, refreshes=REFRESHES, losses=LOSSES)
                revived = accepted(load.ended, *(Face(site.port) for site in running))
                seen = f"{load.errors(2)} errors of the lost node's clients; {ends(load, len(revived))}"
                tried = f"a node killed under load, {LOSSES} times, {level}"
                yield Row(part, tried, load.requests, lost_users(load), load.errors(0, 1), seen)


def synchronous() -> Row:
    part = f"PostgreSQL {PostgreSQL.version()}, synchronous standby"
    loads, revived, adopted = [], 0, 0
    for _ in range(FAILOVERS):
        with failover.pair(synchronous=True, program=build()) as running:
            load = failover.fail_over_with_all(running, refreshes=REFRESHES)
            revived += len(accepted(load.ended, *running.faces))
            adopted += len(running.adopted())
            loads.append(load)
    ended = sum(len(load.ended) for load in loads)
    seen = f"{sum(load.errors() for load in loads)} errors while no server took writes; {ended} sessions ended, "
    seen += f"{revived} accepted after that; {adopted} refreshes lost"
    tried = f"killed under load, standby promoted, {FAILOVERS} times, Django and the Rust service"
    return Row(part, tried, sum(load.requests for load in loads), sum(map(lost_users, loads)), 0, seen)


def asynchronous() -> Row:
    part = f"PostgreSQL {PostgreSQL.version()}, asynchronous standby"
    losses, adopted = [], []
    before, ended, started = Kept(), Kept(), Kept()
    for _ in range(FAILOVERS):
        with failover.pair(synchronous=False) as running:
            lost = failover.fail_over_with_loss(running, refreshes=LOST)
            face = Face(running.site.port)
            before.add(lost.ended_before, face)
            ended.add(lost.ended_after, face)
            started.add(lost.started_after, face)
            adopted += running.adopted()
            losses.append(lost.load)
    under_way = sum(load.logins_lost for load in losses)
    seen = f"lost: {sum(adopted)} refreshes of {len(adopted)} sessions, whose users stay signed in; "
    seen += f"{ended.accepted} of {ended.all} logouts; {started.all - started.accepted} of {started.all} logins, and "
    seen += f"{under_way} under way; {before.accepted} of {before.all} logouts that the standby had heard of; "
    seen += f"{sum(load.errors() for load in losses)} errors while no server took writes"
    tried = f"cut off under load, killed {LOST} refreshes later, standby promoted, {FAILOVERS} times"
    return Row(
        part, tried, sum(load.requests for load in losses), sum(len(load.signed_out) for load in losses), 0, seen
    )


class Kept:
    """How many of some cookies are accepted."""

    def __init__(self) -> None:
        self.all = self.accepted = 0

    def add(self, cookies: list[dict[str, str]], face: Face) -> None:
        self.all += len(cookies)
        self.accepted += len(accepted(cookies, face))


def behind_pgbouncer() -> Iterator[Row]:
    with PostgreSQL() as primary, PgBouncer(primary) as pooler:
        for way in pooled.WAYS:
            with pooled.site(primary, pooler, way) as running:
                load = pooled.use(running, refreshes=REFRESHES)
                revived = accepted(load.ended, Face(running.port))
                tried = f"transaction mode, 3 connections, {way}"
                part = f"PgBouncer {pooler.version()}"
                yield Row(part, tried, load.requests, lost_users(load), load.errors(), ends(load, len(revived)))


def lost_users(load: Load) -> int:
    """Return how often a user was signed out: from a session in use, or from one that had just begun."""
    return len(load.signed_out) + load.logins_lost


def ends(load: Load, revived: int) -> str:
    return f"{len(load.ended)} sessions ended, {revived} accepted after that"
