"""The web servers that the tests run the site on: how each starts, reloads, and states its version."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import Literal, NamedTuple

from tests.waiting import BEFORE_KILL, PATIENCE

WSGI, ASGI = "tests.databases.site:application", "tests.databases.asgi:application"
PATIENT = str(PATIENCE)


class Start(NamedTuple):
    """What a server is started with."""

    port: int
    workers: int
    threads: int
    # Certificate and key in one file, if the server itself uses TLS.
    pem: Path | None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class WebServer:
    name: str
    # What to install: a Python distribution, or a Debian program.
    package: str
    command: Callable[[Start], list[str]]
    asgi: bool = False
    http2: bool = False
    tls: bool = False
    # Whether it has a parent process that replaces its workers, which are processes.
    has_workers: bool = True
    # Whether it replaces a killed worker. If not, it ends, and systemd or a test restarts it.
    respawns: bool = True
    # The signal that replaces its workers. Without one it is stopped and started.
    reload: signal.Signals | None = signal.SIGHUP
    # What Django reads of a body whose length the client did not state. "lost": the server may close the
    # connection on an unread body, before the client has read the response.
    unknown_length: Literal["all", "empty", "lost"] = "all"
    # Whether the client gets the response to a large body that the view has not read.
    answers_unread: bool = True
    # Whether the requests of one HTTP/2 connection are served concurrently.
    multiplexes: bool = True

    @property
    def secure(self) -> WebServer:
        """Return the same server with TLS."""
        return replace(self, name=f"{self.name}, TLS", tls=True)

    @property
    def version(self) -> str:
        """Return the version that the server itself states."""
        if self.package == "uwsgi":
            return subprocess.check_output(["uwsgi", "--version"], text=True).strip()
        return metadata.version(self.package)

    @property
    def title(self) -> str:
        return f"{self.package} {self.version}{self.name.removeprefix(self.package)}"

    @property
    def lacks(self) -> str | None:
        """Return what is missing on this machine, if anything."""
        if self.package == "uwsgi":
            plugin = f"python{sys.version_info.major}{sys.version_info.minor}_plugin.so"
            if not shutil.which("uwsgi") or not Path("/usr/lib/uwsgi/plugins", plugin).exists():
                return f"no uwsgi with {plugin}: apt install uwsgi-core uwsgi-plugin-python3"
        elif util.find_spec(self.package) is None:
            return f"no {self.package}: pip install --requirement requirements/seams.txt"
        return None


def python(module: str, *words: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, words)]


def gunicorn(worker_class: str, application: str = WSGI, *options: str) -> Callable[[Start], list[str]]:
    def command(start: Start) -> list[str]:
        threads = ("--threads", start.threads) if worker_class == "gthread" else ()
        tls = () if start.pem is None else ("--certfile", start.pem, "--keyfile", start.pem)
        return python(
            *("gunicorn", "--bind", start.address, "--log-level", "warning", "--no-control-socket"),
            *("--workers", start.workers, "--worker-class", worker_class, *threads, *tls, *options),
            # Otherwise a worker that gets no processor for half a minute is killed.
            *("--timeout", PATIENT),
            application,
        )

    return command


def uvicorn(start: Start) -> list[str]:
    return python(
        *("uvicorn", "--host", "127.0.0.1", "--port", start.port, "--log-level", "warning"),
        # Seconds after which the parent replaces a worker that is killed during a health check.
        *("--timeout-worker-healthcheck", 20, "--workers", start.workers),
        *(() if start.pem is None else ("--ssl-certfile", start.pem, "--ssl-keyfile", start.pem)),
        ASGI,
    )


def hypercorn(start: Start) -> list[str]:
    return python(
        *("hypercorn", "--bind", start.address, "--log-level", "warning", "--workers", start.workers),
        *("--graceful-timeout", BEFORE_KILL, "--config", Path(__file__).with_name("hypercorn.toml")),
        *(() if start.pem is None else ("--certfile", start.pem, "--keyfile", start.pem)),
        ASGI,
    )


def daphne(start: Start) -> list[str]:
    where = ("--bind", "127.0.0.1", "--port", start.port)
    if start.pem is not None:
        where = ("--endpoint", f"ssl:{start.port}:interface=127.0.0.1:privateKey={start.pem}:certKey={start.pem}")
    return python(
        *("daphne", *where, "--verbosity", 0, "--websocket_connect_timeout", PATIENT),
        *("--ping-interval", PATIENT, "--application-close-timeout", PATIENT),
        ASGI,
    )


def granian(interface: str, http: str) -> Callable[[Start], list[str]]:
    def command(start: Start) -> list[str]:
        threads = ("--blocking-threads", start.threads) if interface == "wsgi" else ()
        tls = () if start.pem is None else ("--ssl-certificate", start.pem, "--ssl-keyfile", start.pem)
        return python(
            *("granian", "--host", "127.0.0.1", "--port", start.port, "--log-level", "warning"),
            *("--interface", interface, "--http", http, "--workers", start.workers, *threads, *tls),
            "--respawn-failed-workers",
            ASGI if interface == "asgi" else WSGI,
        )

    return command


def waitress(start: Start) -> list[str]:
    return python("waitress", f"--listen={start.address}", f"--threads={start.threads}", WSGI)


def uwsgi(start: Start) -> list[str]:
    packages = [path for path in sys.path if path.endswith("-packages")]
    return [
        *("uwsgi", "--plugin", "python3", "--http-socket", start.address, "--module", WSGI, "--need-app"),
        *("--master", "--processes", str(start.workers), "--threads", str(start.threads), "--enable-threads"),
        *("--lazy-apps", "--die-on-term", "--disable-logging", "--listen", "100"),
        # Otherwise it closes a connection with an unread body before the client has the response.
        *("--post-buffering", "65536"),
        *("--worker-reload-mercy", PATIENT, "--socket-timeout", PATIENT),
        *(word for path in (".", "python", *packages) for word in ("--pythonpath", path)),
    ]


SYNC = WebServer("gunicorn sync", "gunicorn", gunicorn("sync"), unknown_length="empty")
GTHREAD = WebServer("gunicorn gthread", "gunicorn", gunicorn("gthread"), unknown_length="empty")
GEVENT = WebServer("gunicorn gevent", "gunicorn", gunicorn("gevent"), unknown_length="empty")
GUNICORN = WebServer("gunicorn asgi", "gunicorn", gunicorn("asgi", ASGI), asgi=True)
UVICORN = WebServer("uvicorn", "uvicorn", uvicorn, asgi=True)
HYPERCORN = WebServer("hypercorn", "hypercorn", hypercorn, asgi=True, respawns=False)
DAPHNE = WebServer("daphne", "daphne", daphne, asgi=True, has_workers=False, respawns=False, reload=None)
# It ends as a whole when a worker dies within seconds of its start.
GRANIAN = WebServer("granian", "granian", granian("asgi", "1"), asgi=True, respawns=False)
GRANIAN_WSGI = WebServer("granian wsgi", "granian", granian("wsgi", "1"), unknown_length="lost", respawns=False)
WAITRESS = WebServer("waitress", "waitress", waitress, has_workers=False, respawns=False, reload=None)
UWSGI = WebServer("uwsgi", "uwsgi", uwsgi, unknown_length="lost")

# Browsers speak HTTP/2 only over TLS.
H2 = ("--http-protocols", "h2,h1")
GTHREAD_2 = WebServer(
    "gunicorn gthread, HTTP/2",
    "gunicorn",
    gunicorn("gthread", WSGI, *H2),
    http2=True,
    unknown_length="empty",
    answers_unread=False,
    multiplexes=False,
).secure
GUNICORN_2 = WebServer("gunicorn asgi, HTTP/2", "gunicorn", gunicorn("asgi", ASGI, *H2), asgi=True, http2=True).secure
# In a reload, its worker waits for connections that stay open, and meanwhile no worker accepts new ones.
HYPERCORN_2 = replace(HYPERCORN, name="hypercorn, HTTP/2", http2=True, reload=None).secure
GRANIAN_2 = WebServer(
    "granian, HTTP/2", "granian", granian("asgi", "auto"), asgi=True, http2=True, respawns=False
).secure

SERVERS = (
    *(SYNC, GTHREAD, GTHREAD_2, GEVENT, GUNICORN, GUNICORN_2, UVICORN, HYPERCORN, HYPERCORN_2, DAPHNE, DAPHNE.secure),
    *(GRANIAN, GRANIAN_2, GRANIAN_WSGI, WAITRESS, UWSGI),
)
