"""Measures an axum service with several ways to authenticate, with wrk on loopback and without a socket."""

from __future__ import annotations

import http.client
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.databases.servers import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WAYS = [
    "no authentication",
    "one query",
    "the check's query",
    "jwtauth",
    "jwtauth, no ping",
    "jwtauth, interval 10 s",
]
# Alternatives, measured on SQLite only.
OTHERS = ["axum-login", "jsonwebtoken"]
CONNECTIONS = [8, 64, 512]
# The numbers of other sessions in the table, and the ways measured with them, over the fewest connections.
GROWTH, GROWING = [1_000, 100_000, 1_000_000], ["one query", "jwtauth"]
MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}

Asked = dict[str, float]
# Send requests over this many connections for this many seconds.
Ask = Callable[[int, int], Asked]


def build() -> Path:
    """Build `service/`, and return the program."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target/service-bench"))
    command = ["cargo", "build", "--quiet", "--release", "--manifest-path", str(HERE / "service/Cargo.toml")]
    subprocess.run([*command, "--target-dir", str(target)], check=True)
    return target / "release/service-bench"


def measure(entry: dict, rounds: int, seconds: int, sizes: list[int]) -> tuple[dict, dict]:
    """Return requests per second and latency in microseconds for each number of connections and way, round by round,
    and on SQLite also as the table grows. `entry` is an entry of Django's `DATABASES` whose tables exist.
    """
    program = build()
    vendor = entry["ENGINE"].rpartition(".")[2]
    with ExitStack() as stack:
        ways = WAYS + (OTHERS if vendor == "sqlite3" else [])
        asks = {way: stack.enter_context(server(program, way, url(entry))) for way in ways}
        found = {connections: in_turns(asks, connections, rounds, seconds) for connections in CONNECTIONS}
        grown = {}
        for size in sizes:
            fill(Path(entry["NAME"]), size)
            grown[size] = in_turns({way: asks[way] for way in GROWING}, CONNECTIONS[0], rounds, seconds)
    return found, grown


def alone(entry: dict, rounds: int, requests: int) -> dict[str, list[float]]:
    """Return the microseconds of processor time that a request takes each way, round by round, without a socket and
    without the start of the program.
    """
    program = build()

    def spent(way: str, times: int) -> float:
        before = getrusage(RUSAGE_CHILDREN)
        subprocess.run([program, way, str(times), url(entry)], check=True)
        after = getrusage(RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way in WAYS + OTHERS:
            seconds = spent(way, requests) - spent(way, requests // 10)
            found.setdefault(way, []).append(1e6 * seconds / (requests - requests // 10))
    return found


def url(entry: dict) -> str:
    """Return the database's URL for sqlx."""
    scheme = {"sqlite3": "sqlite", "postgresql": "postgres", "mysql": "mysql"}[entry["ENGINE"].rpartition(".")[2]]
    if scheme == "sqlite":
        return f"sqlite:{entry['NAME']}"
    return f"{scheme}://{entry['USER']}@{entry['HOST']}:{entry['PORT']}/{entry['NAME']}"


def in_turns(asks: dict[str, Ask], connections: int, rounds: int, seconds: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {way: {} for way in asks}
    for _ in range(rounds):
        for way, ask in asks.items():
            for name, value in ask(connections, seconds).items():
                found[way].setdefault(name, []).append(value)
    return found


@contextmanager
def server(program: Path, way: str, database: str) -> Iterator[Ask]:
    """Run the service with a signed-in user, and yield a function that sends requests to it."""
    port = free_port()
    process = subprocess.Popen([program, way, f"127.0.0.1:{port}", database])
    try:
        cookies = sign_in(port)

        def ask(connections: int, seconds: int) -> Asked:
            return by_wrk(f"http://127.0.0.1:{port}/me", {"Cookie": cookies}, connections, seconds)

        ask(CONNECTIONS[0], 1)
        yield ask
    finally:
        process.terminate()
        process.wait()


def by_wrk(url: str, headers: dict[str, str], connections: int, seconds: int) -> Asked:
    """Send requests for this many seconds, and return requests per second and the latency in microseconds."""
    # On a loaded machine, a request may take longer than wrk's default of two seconds.
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=60s", "--latency"]
    command += [f"-H{name}: {value}" for name, value in headers.items()]
    said = subprocess.check_output([*command, url], text=True)
    assert "Non-2xx" not in said, (url, said)
    # Of hundreds of connections at once, the kernel may reset a few.
    errors = re.search(r"Socket errors: (.*)", said)
    reset = re.fullmatch(r"connect 0, read (\d+), write 0, timeout 0", errors[1]) if errors else None
    assert not errors or (reset and int(reset[1]) <= connections // 100), (url, said)
    latency = {
        percent: float(number) * MICROSECONDS[unit]
        for percent, number, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", said)
    }
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    return {"rate": rate, "latency": latency["50"], "p99": latency["99"]}


def sign_in(port: int) -> str:
    """Return the cookies of user 1, or an empty string if this way has no login."""
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("POST", "/login")
            answer = connection.getresponse()
            set_cookies = answer.headers.get_all("Set-Cookie", [])
            return "; ".join(cookie.partition(";")[0] for cookie in set_cookies)
        except ConnectionRefusedError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError("the service does not answer")


def fill(database: Path, size: int) -> None:
    """Fill the table up to this many sessions of user 1."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        (there,) = connection.execute("SELECT count(*) FROM jwtauth_session").fetchone()
        connection.execute(
            """
            INSERT INTO jwtauth_session (id, user_id, generation, acknowledged_at, rotated_at, created_at, expires_at,
                end_is_fixed, remember, user_agent, last_seen_at, auth_hash)
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            SELECT lower(hex(randomblob(16))), 1, 1, datetime('now'), datetime('now'), datetime('now'),
                datetime('now', '+1 day'), 0, 1, 'u', datetime('now'), 'h' FROM n
            """,
            [max(1, size - there)],
        )
        connection.execute("ANALYZE")
