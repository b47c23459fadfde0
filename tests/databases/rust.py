"""The Rust service of `crates/jwtauth-axum/tests/interop`, beside a `Site` on its database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.databases.forks import manage
from tests.databases.served import ROOT, Site
from tests.databases.servers import free_port
from tests.waiting import answers, stop, wait_until


def build() -> Path:
    """Build the program and return its path."""
    subprocess.run(["cargo", "build", "--quiet", "--package", "jwtauth-interop"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "debug/jwtauth-interop"


class Service:
    """The service, with the settings that ``manage.py jwtauth_settings`` prints."""

    def __init__(self, program: Path, site: Site, database: dict, users: str = "auth_user") -> None:
        self.port = free_port()
        settings = site.folder / "jwtauth.toml"
        if "JWTAUTH_TEST_USER" in site.env:  # a fork has other applications
            command = [sys.executable, "-m", "django", "jwtauth_settings"]
            settings.write_bytes(subprocess.check_output(command, cwd=ROOT, env=site.env))
        else:
            settings.write_text(manage(site.env, "jwtauth_settings").stdout)
        arguments = [f"127.0.0.1:{self.port}", str(settings), url(database), site.env["JWTAUTH_TEST_CLOCK"], users]
        self.log = site.folder / "service.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([str(program), *arguments], env={}, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/idle/"), self.process, self.log)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        stop(self.process)


def url(database: dict) -> str:
    """Return the URL by which sqlx connects to this entry of ``DATABASES``."""
    kind = database["ENGINE"].rpartition(".")[2]
    if kind == "sqlite3":
        return database["NAME"]
    scheme = {"postgresql": "postgres", "mysql": "mysql"}[kind]
    return "{}://{USER}@{HOST}:{PORT}/{NAME}".format(scheme, **database)
