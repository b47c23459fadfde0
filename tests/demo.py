"""The demo site, served on a database of its own."""

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
# Tests sign in more often than the demo allows in a minute; the order and the machine would decide which of them may.
# They test no password hash, which would take most of their time.
OFTEN = """
from project.settings import *

REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"jwtauth_login": None}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
# The demo's tokens expire after seconds.
LONG = """
JWTAUTH = {"ACCESS_TOKEN_LIFETIME": 300, "REFRESH_TOKEN_GRACE_PERIOD": JWTAUTH["REFRESH_TOKEN_GRACE_PERIOD"]}
"""


@dataclass
class Demo:
    """The running site."""

    url: str
    port: int


@contextmanager
def served(folder: Path, settings: str = "") -> Iterator[Demo]:
    """Run the site with these settings after its own, and with its database and its log in this folder."""
    (folder / "changed_settings.py").write_text(OFTEN + settings)
    changed = {"DJANGO_SETTINGS_MODULE": "changed_settings", "DEMO_DATABASE": str(folder / "db.sqlite3")}
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    env = os.environ | changed | {"PYTHONPATH": path}
    manage, port, log = [sys.executable, str(SITE / "manage.py")], free_port(), folder / "server.log"
    for command in (("migrate", "--verbosity", "0"), ("demo_users",)):
        subprocess.run([*manage, *command], env=env, check=True, stdout=subprocess.DEVNULL)
    with log.open("wb") as out:
        command = [*manage, "runserver", "--noreload", f"127.0.0.1:{port}"]
        server = subprocess.Popen(command, env=env, stdout=out, stderr=out)
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/sign-in/"), server, log)
            yield Demo(f"http://127.0.0.1:{port}", port)
        finally:
            stop(server)
