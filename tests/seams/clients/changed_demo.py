"""The demo site with more settings than its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases.servers import free_port
from tests.demo import SITE, Demo
from tests.waiting import answers, stop, wait_until

# The demo's tokens expire after seconds, and its logins are few in a minute and slow.
USUAL = """
from project.settings import *

JWTAUTH = {"ACCESS_TOKEN_LIFETIME": 300, "REFRESH_TOKEN_GRACE_PERIOD": JWTAUTH["REFRESH_TOKEN_GRACE_PERIOD"]}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"jwtauth_login": None}}
"""


@contextmanager
def served_with(settings: str, folder: Path) -> Iterator[Demo]:
    """Run the demo site with these settings, and with its database and log in this folder."""
    (folder / "changed_settings.py").write_text(USUAL + settings)
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
