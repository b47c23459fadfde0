"""The long version of the reliability tests: writes docs/reliability.json, and from it docs/reliability-table.md.

`make reliability` runs every part; ``scripts/reliability.py PART...`` runs some, and keeps the others' figures.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.databases.racing import Race, Result  # noqa: E402
from tests.databases.rendering import SETTINGS, RenderServer, render  # noqa: E402
from tests.databases.served import ACCESS_LIFETIME, Proxy, Site, generation, refresh_through, signed_in  # noqa: E402
from tests.databases.servers import MariaDB, PostgreSQL  # noqa: E402
from tests.databases.test_faults import STEPS  # noqa: E402
from tests.databases.test_races import DATABASES  # noqa: E402

FIGURES = ROOT / "docs/reliability.json"
TABLE = ROOT / "docs/reliability-table.md"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}

PROCESSES, THREADS = 4, 16
# For each of the four ways to use connections.
ROUNDS = int(os.environ.get("JWTAUTH_RACE_ROUNDS", "50"))
REFRESHES = 1_000_000
KILLS = 10  # at each step
ROWS = 1_000_000  # half of them expired
RENDERINGS = 10_000


@contextmanager
def databases() -> Iterator:
    """Yield a function that creates an empty database of a kind."""
    numbers = count(1)
    with tempfile.TemporaryDirectory() as folder, PostgreSQL() as postgresql, MariaDB() as mariadb:
        servers = {"postgresql": postgresql, "mariadb": mariadb}

        def make(kind: str, **options: object) -> dict[str, object]:
            name = f"jwtauth_{next(numbers)}"
            if kind == "sqlite":
                entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/{name}.sqlite3"}
                return entry | {"OPTIONS": options}
            servers[kind].create_database(name)
            return servers[kind].settings(name, **options)

        yield make


def races(make) -> dict:
    """Race on every database and isolation level, with and without transactions and persistent connections."""
    found = {}
    for name, (kind, options) in DATABASES.items():
        total = Result()
        for atomic, persistent in product((False, True), repeat=2):
            how = {"atomic_requests": atomic, "persistent": persistent}
            with Race(make(kind, **options), processes=PROCESSES, threads=THREADS, **how) as race:
                for result in (race.refreshes(ROUNDS), race.logout()):
                    total.failures += result.failures
                    if result.seconds:
                        total.rounds += result.rounds
                        total.requests += result.requests
                        total.writes += result.writes
                        total.seconds += result.seconds
        found[name] = {
            "kind": kind,
            "rounds": total.rounds,
            "requests": total.requests,
            "writes": total.writes,
            "failures": len(total.failures),
            "examples": total.failures[:3],
            "p50_ms": round(total.percentile(0.5)),
            "p99_ms": round(total.percentile(0.99)),
        }
        print(name, found[name], flush=True)
    return found


def losses(make) -> dict:
    with Site(default={**make("postgresql"), "CONN_MAX_AGE": 60}) as site:
        browsers = signed_in(site, 200)
        with Proxy(site.port, lost=0.01) as proxy:
            started = time.monotonic()
            result = refresh_through(site, proxy, browsers, REFRESHES)
        return {
            "refreshes": result.refreshes,
            "requests": result.requests,
            "lost": result.lost,
            "signed_out": len(result.signed_out),
            "examples": result.signed_out[:3],
            "seconds": round(time.monotonic() - started),
        }


def kills(make) -> dict:
    """Kill a worker at each step of a refresh; an hour later every user must still be signed in."""
    found = {"kills": 0, "signed_out": 0, "stuck": 0}
    for kind in ("sqlite", "postgresql", "mariadb"):
        with Site(default=make(kind)) as site:
            for step in STEPS:
                for browser in signed_in(site, KILLS):
                    site.advance(ACCESS_LIFETIME)
                    browser.expire()
                    try:
                        browser.get("/me/", die_at=step)
                        raise AssertionError(f"survived {step}")
                    except OSError:
                        found["kills"] += 1
                    site.wait()
                    site.advance(3600)
                    found["signed_out"] += browser.get("/me/").status != 200
                    browser.get("/me/")
                    before = generation(browser)
                    site.advance(ACCESS_LIFETIME)
                    browser.expire()
                    found["stuck"] += browser.get("/me/").status != 200 or generation(browser) != before + 1
    return found


def rendering(make) -> dict:
    """Run a Node server that renders pages, retries, and drops cookies."""
    with Site(env=SETTINGS, default={**make("postgresql"), "CONN_MAX_AGE": 60}) as site:
        browsers = signed_in(site, 20)
        with RenderServer(site) as server:
            started, began = time.monotonic(), site.now
            result = render(site, server, browsers, RENDERINGS)
        if result.errors:
            raise RuntimeError(result.errors[0])
        return {
            "pages": result.pages,
            "fetches": result.fetches,
            "lost": result.lost,
            "late": len(result.late),
            "signed_out": len(result.signed_out) + sum(browser.get("/me/").status != 200 for browser in browsers),
            "examples": result.signed_out[:3],
            "browsers": len(browsers),
            "days": round((site.now - began) / 86_400),
            "seconds": round(time.monotonic() - started),
        }


def model(make) -> dict:
    command = ["cargo", "test", "-p", "jwtauth", "--release", "--test", "model", "--"]
    options = ["--include-ignored", "--nocapture", "--test-threads=1"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    runs = re.findall(r"([\w ,]+): (\d+) states, (\d+) steps deep, ([\d.]+) s", done.stdout)
    return {name.strip(): {"states": int(states), "depth": int(depth)} for name, states, depth, _ in runs}


def cleaning(make) -> dict:
    found = {}
    for kind in ("sqlite", "postgresql", "mariadb"):
        options = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"} if kind == "sqlite" else {}
        entry = make(kind, **options)
        env = os.environ | {"JWTAUTH_TEST_DATABASES": json.dumps({"default": entry})}
        command = [sys.executable, "-m", "tests.databases.cleaning", str(ROWS)]
        done = subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True)
        found[kind] = json.loads(done.stdout)
        print(kind, found[kind], flush=True)
    return found


PARTS = {
    "model": model,
    "races": races,
    "losses": losses,
    "rendering": rendering,
    "kills": kills,
    "cleaning": cleaning,
}


def rows(figures: dict) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of the table: figure, target, measured value, method."""
    if found := figures.get("model"):
        states = max(run["states"] for run in found.values())
        total = sum(run["states"] for run in found.values())
        yield (
            "states of the model in which an honest browser is signed out, a thief is not stopped, or an end is undone",
            "0",
            f"0 of {total:,} in {len(found)} runs, the largest of {states:,}",
            "`make model`: every state visited, over the engine's own rules",
        )
    if found := figures.get("races"):
        for kind, name in NAMES.items():
            runs = [run for run in found.values() if run["kind"] == kind]
            measured, racers = sum(run["rounds"] for run in runs), PROCESSES * THREADS
            yield (
                f"{name}: rounds of {racers} racing refreshes that created one generation with one `UPDATE`",
                "all",
                f"{measured - sum(run['failures'] for run in runs):,} of {measured:,}",
                f"{PROCESSES} processes of {THREADS} threads; {len(runs)} isolation levels or modes, with and without "
                "`ATOMIC_REQUESTS` and persistent connections",
            )
            yield (
                f"{name}: racers that were signed out or received a 5xx",
                "0",
                f"{sum(run['failures'] for run in runs)} of {sum(run['requests'] for run in runs):,}",
                f"as above; a racer waited {statistics.median(run['p50_ms'] for run in runs):.0f} ms in the median, "
                f"{max(run['p99_ms'] for run in runs)} ms in the 99th percentile, on {os.cpu_count()} cores",
            )
    if found := figures.get("losses"):
        yield (
            "honest users signed out, with 1 % of the responses lost",
            "0",
            f"{found['signed_out']} in {found['refreshes']:,} refreshes ({found['lost']:,} responses lost)",
            "gunicorn and PostgreSQL behind a proxy; 200 browsers, each refresh in two concurrent requests",
        )
    if found := figures.get("rendering"):
        yield (
            "honest users signed out who only see server-rendered pages",
            "0",
            f"{found['signed_out']} in {found['pages']:,} pages with {found['fetches']:,} fetches; "
            f"{found['lost']:,} of the pages lost",
            f"Node in front of gunicorn and PostgreSQL; {found['browsers']} browsers for {found['days']} days; pages "
            "as in the [guide](guides/server-rendering.md), and others that retry, drop cookies or do not refresh",
        )
    if found := figures.get("kills"):
        yield (
            "honest users signed out, and stuck sessions, after a worker was killed during a refresh",
            "0, 0",
            f"{found['signed_out']}, {found['stuck']} of {found['kills']:,} kills",
            f"`SIGKILL` at each of {len(STEPS)} steps, on all three databases; next request after an hour",
        )
    if found := figures.get("cleaning"):
        for kind, run in found.items():
            yield (
                f"{NAMES[kind]}: `jwtauth_clearsessions` of {run['removed']:,} expired rows",
                "10 µs per row; 50 ms per statement; constant memory",
                f"{run['seconds'] / run['removed'] * 1e6:.1f} µs; {run['slowest_ms']} ms, 99 % below {run['p99_ms']} "
                f"ms; {run['grown_mib']} MiB added",
                f"{run['kept']} live rows kept",
            )
            yield (
                f"{NAMES[kind]}: waiting time of another process that starts and refreshes sessions at the same time",
                "no locks",
                f"{run['others_p50_ms']} ms in the median, {run['others_p99_ms']} ms in the 99th percentile, at most "
                f"{run['others_slowest_ms']} ms; alone {run['others_alone_p99_ms']} ms in the 99th percentile",
                f"{run['others']:,} times an `INSERT` and an `UPDATE`",
            )
            yield (
                f"{NAMES[kind]}: additional time of a login while there are expired rows",
                "2 ms in the 99th percentile",
                f"{run['login_more_ms']} ms in the median, {run['login_more_p99_ms']} ms in the 99th percentile",
                f"{run['logins']:,} logins with and without expired rows, in turns",
            )


def main(parts: list[str]) -> None:
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    with databases() as make:
        for part in parts or PARTS:
            print(f"== {part}", flush=True)
            figures[part] = PARTS[part](make)
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    write_table(figures)


def write_table(figures: dict) -> None:
    lines = [" | ".join(("", *row, "")).strip() for row in rows(figures)]
    where = f"{os.cpu_count()} cores, CPython {platform.python_version()}"
    table = ["| Figure | Target | Measured | How |", "| --- | --- | --- | --- |", *lines]
    text = "\n".join(["<!-- Written by `make reliability`. -->", "", *table, "", f"Measured on {where}.", ""])
    TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
