"""An axum service under several ways to know who is there, asked by wrk on loopback; all on one SQLite database."""

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

from tests.databases.servers import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WAYS = ["no authentication", "one query", "jwtauth", "jwtauth, interval 10 s", "axum-login", "jsonwebtoken"]
CONNECTIONS = 8
# Rows of other sessions, and what is measured again beside them.
GROWTH, GROWING = [1_000, 100_000, 1_000_000], ["one query", "jwtauth"]

Asked = dict[str, float]


def build() -> Path:
    """The program of `service/`."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target/service-bench"))
    command = ["cargo", "build", "--quiet", "--release", "--manifest-path", str(HERE / "service/Cargo.toml")]
    subprocess.run([*command, "--target-dir", str(target)], check=True)
    return target / "release/service-bench"


def measure(database: Path, rounds: int, seconds: int, sizes: list[int]) -> tuple[dict, dict]:
    """Requests a second and microseconds of latency for each way, round by round; then as the table grows."""
    program = build()
    with ExitStack() as stack:
        asks = {way: stack.enter_context(server(program, way, database)) for way in WAYS}
        found = in_turns({way: asks[way] for way in WAYS}, rounds, seconds)
        grown = {}
        for size in sizes:
            fill(database, size)
            grown[size] = in_turns({way: asks[way] for way in GROWING}, rounds, seconds)
    return found, grown


def in_turns(asks: dict[str, Callable[[int], Asked]], rounds: int, seconds: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {way: {"rate": [], "latency": []} for way in asks}
    for _ in range(rounds):
        for way, ask in asks.items():
            for name, value in ask(seconds).items():
                found[way][name].append(value)
    return found


@contextmanager
def server(program: Path, way: str, database: Path) -> Iterator[Callable[[int], Asked]]:
    """The service, with somebody signed in, and what asks it for so many seconds."""
    port = free_port()
    process = subprocess.Popen([program, way, f"127.0.0.1:{port}", database])
    try:
        cookies = sign_in(port)

        def ask(seconds: int) -> Asked:
            command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"-HCookie: {cookies}"]
            said = subprocess.check_output([*command, f"http://127.0.0.1:{port}/me"], text=True)
            assert "Non-2xx" not in said, (way, said)
            latency = re.search(r"50%\s+([\d.]+)(us|ms)", said)
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
            return {"rate": rate, "latency": float(latency[1]) * (1000 if latency[2] == "ms" else 1)}

        ask(1)
        yield ask
    finally:
        process.terminate()
        process.wait()


def sign_in(port: int) -> str:
    """The cookies of user 1, or none where the way has no login."""
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
    """Sessions of user 1 up to so many."""
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
