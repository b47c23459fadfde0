"""Database servers from Debian's packages, each with a temporary data directory on a free port of loopback."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.waiting import stop, wait_until

# PostgreSQL refuses to run as root, and MariaDB should not.
ACCOUNT = "nobody"


def find(*names: str) -> Path | None:
    """Return the first of these programs: on the path, in Debian's folder, or in that of the newest PostgreSQL."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int(folder.parent.name))
    for name in names:
        for folder in (*folders, Path("/usr/sbin")):
            if (folder / name).exists():
                return folder / name
        if found := shutil.which(name):
            return Path(found)
    return None


def free_port() -> int:
    """Return a port for a server that cannot choose one itself, and keep it until this process ends.

    The port stays bound by a socket that does not listen. Linux gives such a port to no other socket that asks for any
    port, and no outgoing connection starts at it, but a server that sets SO_REUSEADDR may bind it: once, and again
    after it has stopped. All servers here set it. Other systems would refuse them the port, so there it is let go.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    if sys.platform == "linux":
        probe.detach()
    else:
        probe.close()
    return port


class Server:
    """A server that `start` starts, and that is stopped by its process id."""

    name: str
    program: Path | None

    driver: str
    # The Debian packages to install.
    packages: str

    @classmethod
    def is_installed(cls) -> bool:
        return cls.program is not None and find_spec(cls.driver) is not None

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"jwtauth-{self.name.lower()}-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "server.log"
        atexit.register(self.close)
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT)
        try:
            self.create()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server if it runs, and remove its data."""
        self.stop(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def start(self) -> None:
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """Start the server without waiting. The calling thread must outlive it, see `unprivileged`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.unprivileged(self.command()), stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        wait_until(self.answers, self.process, self.log)

    def stop(self, how: int) -> None:
        """Send a signal, and kill the server if it does not stop within a while."""
        process, self.process = self.process, None
        if process is not None:
            stop(process, how)

    def run(self, *command: str | Path) -> None:
        done = subprocess.run(self.unprivileged(command), capture_output=True, text=True, cwd=self.folder)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")

    @classmethod
    def version(cls) -> str:
        """Return the version that the program states, as "15.18"."""
        said = subprocess.run([cls.program, "--version"], capture_output=True, text=True, check=True).stdout
        return re.search(r"\d+(\.\d+)+", said)[0]

    # With pdeathsig, the server does not outlive a test run that is killed.
    def unprivileged(self, command: tuple[str | Path, ...]) -> list[str]:
        words = [str(word) for word in command]
        if os.geteuid() == 0:
            account = [f"--reuid={ACCOUNT}", "--regid=nogroup", "--clear-groups"]
            return ["setpriv", *account, "--", "setpriv", "--pdeathsig=TERM", "--", *words]
        return ["setpriv", "--pdeathsig=TERM", "--", *words]

    def create(self) -> None:
        raise NotImplementedError

    def command(self) -> tuple[str | Path, ...]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def settings(self, database: str, **options: object) -> dict[str, object]:
        """Return an entry of Django's ``DATABASES`` for this database."""
        raise NotImplementedError

    def create_database(self, database: str) -> None:
        raise NotImplementedError


class PostgreSQL(Server):
    name = "PostgreSQL"
    program = find("postgres")
    driver = "psycopg"
    packages = "postgresql"
    # Stop as if the machine had failed: "immediate shutdown", which recovers from its log.
    crash = signal.SIGQUIT

    def create(self) -> None:
        initdb = self.program.with_name("initdb")
        self.run(initdb, "-D", self.folder / "data", "-U", "jwtauth", "--auth=trust", "-E", "UTF8", "--no-sync")

    def command(self) -> tuple[str | Path, ...]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 300,
            "fsync": "off",  # no test pulls the plug of the machine
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return (self.program, "-D", self.folder / "data", *words)

    def answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except Exception:
            return False
        return True

    def connect(self, database: str):
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user="jwtauth", dbname=database, autocommit=True)

    def asked(self, query: str) -> object:
        """Return the first column of the first row of this query, or ``None`` if it has no rows."""
        with self.connect("postgres") as connection:
            row = connection.execute(query).fetchone()
        return None if row is None else row[0]

    def configure(self, setting: str, value: str) -> None:
        """Change a setting of the running server."""
        with self.connect("postgres") as connection:
            connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")

    def create_database(self, database: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {database}")

    def settings(self, database: str, **options: object) -> dict[str, object]:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "USER": "jwtauth",
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "OPTIONS": options,
        }


class MariaDB(Server):
    name = "MariaDB"
    program = find("mariadbd")
    driver = "MySQLdb"
    packages = "mariadb-server libmariadb-dev pkg-config"
    crash = signal.SIGKILL

    def create(self) -> None:
        (self.folder / "data").mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.folder / "data", ACCOUNT)
        self.run(
            *(find("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )

    def command(self) -> tuple[str | Path, ...]:
        return (
            *(self.program, "--no-defaults", f"--datadir={self.folder / 'data'}", "--bind-address=127.0.0.1"),
            *(f"--port={self.port}", f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}"),
            *("--max-connections=300", "--innodb-flush-log-at-trx-commit=2", "--character-set-server=utf8mb4"),
        )

    def connect(self, **options):
        import MySQLdb

        return MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", **options)

    def answers(self) -> bool:
        try:
            self.connect(connect_timeout=1).close()
        except Exception:
            return False
        return True

    def create_database(self, database: str) -> None:
        connection = self.connect(autocommit=True)
        connection.cursor().execute(f"CREATE DATABASE {database}")
        connection.close()

    def settings(self, database: str, **options: object) -> dict[str, object]:
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": database,
            "USER": "root",
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "OPTIONS": options,
        }
