"""The long run: more rounds at each door, and longer sequences at each cache."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path

from tests.seams.proxies.behind import Behind
from tests.seams.proxies.caches import Sequence
from tests.seams.proxies.claims import most
from tests.seams.proxies.doors import CACHES, DOORS, RETRYING, SMALL_BUFFER, Door
from tests.seams.proxies.proxies import PROGRAMS, program, version
from tests.seams.proxies.scenarios import Tally, bursts, retried, uploads
from tests.seams.rows import Row

ROUNDS = 25
STEPS = 1_000
SEEDS = 3


def rows() -> Iterator[Row]:
    """Run each installed proxy. A failure is an error, not a figure."""
    for package in PROGRAMS:
        if program(package) is None:
            yield Row(package, "not installed", 0, 0, 0)
            continue
        with tempfile.TemporaryDirectory() as folder, Behind(Path(folder)) as behind, behind.place.opened(package):
            for door in DOORS:
                if door.package == package:
                    yield row(door, "20 at once at expiry", run(bursts(*behind.at(door), rounds=ROUNDS)))
                    yield row(door, "5 MB at expiry and late", run(together(uploads, behind, door, 5)))
            for door in RETRYING:
                if door.package == package:
                    tally = run(together(retried, behind, door, 5, late=False))
                    tally.add(run(together(retried, behind, door, 5, late=True)))
                    yield row(door, "refreshes sent again", tally)
            for door in CACHES:
                if door.package == package:
                    yield of_cache(behind, door)
            if package == SMALL_BUFFER.package:
                fits = asyncio.run(most(*behind.at(SMALL_BUFFER)))
                yield Row(f"{version(package)}, {SMALL_BUFFER.name}", "claims", 0, 0, 0, f"{fits} bytes fit")


def run(scenario: Coroutine[object, object, Tally]) -> Tally:
    return asyncio.run(scenario)


async def together(scenario, behind: Behind, door: Door, times: int, **options: object) -> Tally:
    tally = Tally()
    for _ in range(times):
        tally.add(await scenario(*behind.at(door), **options))
    return tally


def of_cache(behind: Behind, door: Door) -> Row:
    tally, copies = Tally(), 0
    for seed in range(SEEDS):
        found = asyncio.run(Sequence(*behind.among_users(door), seed=seed).run(STEPS))
        assert found.wrong == [], (door.id, seed, found.wrong)
        tally.add(found.tally)
        copies += sum(found.kept.values())
    tally.seen["served from the cache"] = copies
    return row(door, "visits by three users and an anonymous browser", tally)


def row(door: Door, tried: str, tally: Tally) -> Row:
    seen = ", ".join(f"{count:,} {what}" for what, count in tally.seen.items() if count)
    return Row(f"{version(door.package)}, {door.name}", tried, tally.requests, tally.signed_out, tally.errors, seen)
