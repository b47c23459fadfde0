"""The demo site, served as `make run` serves it, on its own database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.databases.servers import free_port
from tests.waiting import answers, stop, wait_until

SITE = Path(__file__).resolve().parents[1] / "examples" / "site"


@dataclass
class Demo:
    """The running site."""

    url: str
    port: int


@contextmanager
def served(folder: Path) -> Iterator[Demo]:
    """Run the site with its database and its log in this folder."""
    env = os.environ | {"DEMO_DATABASE": str(folder / "db.sqlite3")}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    manage = [sys.executable, str(SITE / "manage.py")]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], env=env, check=True)
    subprocess.run([*manage, "demo_users"], env=env, check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    log_file = folder / "server.log"
    with log_file.open("wb") as log:
        server = subprocess.Popen(
            [*manage, "runserver", "--noreload", f"127.0.0.1:{port}"], env=env, stdout=log, stderr=log
        )
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/sign-in/"), server, log_file)
            yield Demo(f"http://127.0.0.1:{port}", port)
        finally:
            stop(server)
