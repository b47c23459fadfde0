"""Proxies and caches from Debian's packages, with generated configurations, on free ports of loopback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.databases.servers import find
from tests.waiting import stop, wait_until

# Debian's packages, and the program of each.
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "varnish": "varnishd"}


def program(package: str) -> Path | None:
    """Return the program of this package, if it is installed."""
    return find(PROGRAMS[package])


def version(package: str) -> str:
    """Return the name and version that the program states."""
    options = {"nginx": "-v", "haproxy": "-v", "caddy": "version", "varnish": "-V"}
    done = subprocess.run([program(package), options[package]], capture_output=True, text=True, check=True)
    return f"{package} {re.search(r'[0-9]+(?:[.][0-9]+)+', done.stdout + done.stderr)[0]}"


class Command(NamedTuple):
    """The command that starts a proxy in the foreground."""

    words: list[str]
    env: dict[str, str] = {}


def nginx(folder: Path, http: str) -> Command:
    """Write a configuration with this text in its block ``http``."""
    places = "".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    account = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; {account} pid {folder / 'nginx.pid'}; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places}\n{http}}}\n"
    )
    return Command([str(program("nginx")), "-c", str(config), "-e", "stderr"])


def caddy(folder: Path, sites: str, options: str = "") -> Command:
    """Write a Caddyfile with these sites."""
    config = folder / "Caddyfile"
    config.write_text(f"{{\n    admin off\n    default_bind 127.0.0.1\n{options}}}\n{sites}")
    words = [str(program("caddy")), "run", "--config", str(config), "--adapter", "caddyfile"]
    return Command(words, {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)})


def haproxy(folder: Path, sections: str) -> Command:
    """Write a configuration with these sections."""
    config = folder / "haproxy.cfg"
    config.write_text(sections)
    return Command([str(program("haproxy")), "-db", "-f", str(config)])


def varnish(folder: Path, port: int, *options: str) -> Command:
    """Listen at this port. ``options`` name the site, by ``-b`` or ``-f``."""
    words = [str(program("varnish")), "-F", "-j", "none", "-n", str(folder / f"varnish-{port}")]
    # Debian's are of 256 MB and hold more than a test's pages.
    return Command([*words, "-s", "default,8m", "-a", f"127.0.0.1:{port}", *options])


@contextmanager
def running(command: Command, log: Path, *ports: int) -> Iterator[subprocess.Popen]:
    """Run the proxy until the end of the block. It is ready when it listens at these ports."""
    with log.open("ab") as output:
        words = ["setpriv", "--pdeathsig=TERM", "--", *command.words]
        process = subprocess.Popen(words, env=os.environ | command.env, stdout=output, stderr=output)
    try:
        for port in ports:
            wait_until(lambda port=port: listens(port), process, log)
        yield process
    finally:
        if process.poll() is None:
            # With a gentler signal, nginx and haproxy wait for open connections.
            stop(process, signal.SIGINT if "varnishd" in command.words[0] else signal.SIGTERM)


def listens(port: int) -> bool:
    """Return whether a server accepts connections at this port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
