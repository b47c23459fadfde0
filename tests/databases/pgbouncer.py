"""PgBouncer 1.21 or later in transaction mode; from that version on it tracks prepared statements.

The installed one, or Debian 13's, which `unpack` puts under .tools with the libraries that it needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.databases.servers import ACCOUNT, PostgreSQL, Server, find

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".tools/pgbouncer"
PACKAGES = ("pgbouncer", "libaudit1", "libc6", "libcap-ng0", "libcap2", "libcares2", "libevent-2.1-7t64", "libpam0g")
PACKAGES += ("libssl3t64", "libsystemd0", "libzstd1", "zlib1g")
CONFIG = """
[databases]
* = host=127.0.0.1 port={primary} user=jwtauth
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_prepared_statements = 100
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
"""


def is_new_enough(command: tuple[str | Path, ...]) -> bool:
    said = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    version = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return version is not None and tuple(map(int, version.groups())) >= (1, 21)


def command(folder: Path = FOLDER) -> tuple[str | Path, ...] | None:
    """Return the command that starts it, or ``None`` if no such version is available."""
    installed = find("pgbouncer")
    if installed is not None and is_new_enough((installed,)):
        return (installed,)
    loader = next(folder.glob("ld-linux*"), None)
    return None if loader is None else (loader, "--library-path", folder, folder / "pgbouncer")


def unpack() -> bool:
    """Put Debian 13's package under .tools, from the mirror that apt is configured for. Return whether that worked."""
    if command() is not None:
        return True
    if not all(map(shutil.which, ("apt-get", "dpkg"))):
        return False
    mirrors = subprocess.check_output(["apt-get", "indextargets", "--format", "$(REPO_URI)"], text=True).split()
    mirror = next((uri for uri in mirrors if uri.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        return False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lists/partial", "archives/partial", "root"):
            (folder / part).mkdir(parents=True)
        (folder / "sources.list").write_text(f"deb {mirror} trixie main\n")
        lines = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder,
        }
        (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in lines.items()))
        options = {"cwd": folder, "env": os.environ | {"APT_CONFIG": str(folder / "apt.conf")}, "capture_output": True}
        for arguments in (["update"], ["download", *(f"{package}/trixie" for package in PACKAGES)]):
            if subprocess.run(["apt-get", "-q", *arguments], **options).returncode:
                return False
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        libraries = [path for path in (folder / "root/usr/lib").glob("*/*.so*") if not path.is_dir()]
        for path in (folder / "root/usr/sbin/pgbouncer", *libraries):
            shutil.copy(path, FOLDER)
    return command() is not None


class PgBouncer(Server):
    """Shares three connections to a PostgreSQL server, one transaction at a time."""

    name = "PgBouncer"

    def __init__(self, primary: PostgreSQL) -> None:
        self.primary = primary
        super().__init__()

    def create(self) -> None:
        (self.folder / "config").write_text(CONFIG.format(primary=self.primary.port, port=self.port))
        if FOLDER.exists():  # readable for the servers' account
            shutil.copytree(FOLDER, self.folder / "program")
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT)

    def command(self) -> tuple[str | Path, ...]:
        return (*command(self.folder / "program"), self.folder / "config")

    @classmethod
    def version(cls) -> str:
        said = subprocess.run([*command(), "--version"], capture_output=True, text=True, check=True).stdout
        return re.search(r"PgBouncer (\S+)", said)[1]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(host="127.0.0.1", port=self.port, user="jwtauth", dbname="postgres").close()
        except psycopg.Error:
            return False
        return True
