"""Measures a Django site under ASGI servers with one process, with wrk on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from services import Asked, by_wrk

from tests.databases.servers import free_port
from tests.waiting import answers, stop, wait_until

HERE = Path(__file__).resolve().parent
CONNECTIONS = 8
SERVERS = {
    "uvicorn": ["uvicorn", "--log-level=error", "--port={port}", "variant:asgi_application"],
    "granian": [
        "granian",
        "--interface=asgi",
        "--no-ws",
        "--log-level=error",
        "--port={port}",
        "variant:asgi_application",
    ],
}
VIEWS = {"a sync DRF view": "me", "an async view": "async-me", "an async view that needs the key": "async-key"}
# Missing views: simplejwt authenticates in DRF only, and the others need a query to know the key.
WITHOUT = {
    "none": {"an async view that needs the key"},
    "jwtauth": {"an async view that needs the key"},
    "simplejwt": {"an async view", "an async view that needs the key"},
    "Django sessions": {"an async view that needs the key"},
}


def measure(server: str, sites: dict[str, tuple[dict[str, str], dict[str, str]]], rounds: int, seconds: int) -> dict:
    """Return requests per second and latency for each view and way, round by round.

    `sites` maps each way to the environment of its server and the headers of a signed-in user.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {view: {} for view in VIEWS}
    with ExitStack() as stack:
        asks = {way: stack.enter_context(served(server, *site)) for way, site in sites.items()}
        for _ in range(rounds):
            for view in VIEWS:
                for way, ask in asks.items():
                    if view not in WITHOUT.get(way, set()):
                        for name, value in ask(view, seconds).items():
                            found[view].setdefault(way, {}).setdefault(name, []).append(value)
    return found


@contextmanager
def served(server: str, environment: dict[str, str], headers: dict[str, str]) -> Iterator[Any]:
    """Run a site under this server, and yield a function that sends requests to it."""
    port = free_port()
    arguments = [argument.format(port=port) for argument in SERVERS[server]]
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=environment, cwd=HERE)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), process)

        def ask(view: str, seconds: int) -> Asked:
            return by_wrk(f"http://127.0.0.1:{port}/{VIEWS[view]}", headers, CONNECTIONS, seconds)

        yield ask
    finally:
        stop(process)
