"""The long run: fifty rounds of each client."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.databases.served import Site
from tests.seams.clients.bearer import refresh_at_once
from tests.seams.clients.jar_file import share_a_jar
from tests.seams.clients.play import AT_ONCE, KEEP_ALIVE, play
from tests.seams.clients.table import PROGRAMS
from tests.seams.rows import Row
from tests.waiting import PATIENCE

ROUNDS = 50
TRIED = f"{ROUNDS} times {AT_ONCE} requests at once at expiry"


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = str(folder / "db.sqlite3")
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": {"timeout": PATIENCE}}
        with Site(env=KEEP_ALIVE, default=database) as site:
            yield from _rows(site, folder)


def _rows(site: Site, folder: Path) -> Iterator[Row]:
    for program in PROGRAMS:
        if lacks := program.lacks():
            print(f"Left out: {program.name} ({lacks}).")
    versions = {}
    players = play(site, [program for program in PROGRAMS if program.lacks() is None], ROUNDS, folder)
    for name, player in players.items():
        if player.error is not None:
            raise player.error
        versions[name] = player.version
        good = player.replayed.count(200)
        seen = [f"{player.generations[-1] - 1} refreshes", f"{good} of {ROUNDS} copies good within the grace"]
        seen.append("logged out" if player.after_logout.status == 403 else "NOT logged out")
        seen.append("copy after the grace ended the session" if player.copied == 403 else "copy NOT noticed")
        yield Row(player.version, TRIED, player.requests, player.signed_out, player.errors, "; ".join(seen))
    if curl := versions.get("curl"):
        shared = share_a_jar(site, ROUNDS, folder)
        seen = f"{shared.without_cookies} requests without cookies, lost by curl; session alive {shared.alive} times"
        tried = f"{ROUNDS} times {AT_ONCE} processes with one jar file"
        yield Row(curl, tried, shared.requests, shared.signed_out, shared.errors, seen)
    if httpx := versions.get("httpx async"):
        refreshed = refresh_at_once(site, ROUNDS)
        tried = f"{ROUNDS} times {AT_ONCE} tasks that each refresh a bearer token at expiry"
        seen = f"{max(refreshed.generations[-1]) - 1} refreshes"
        seen += "; copy after the grace ended the session" if refreshed.after_copy == 401 else "; copy NOT noticed"
        yield Row(httpx, tried, refreshed.requests, refreshed.signed_out, refreshed.errors, seen)
