"""A site switches to jwtauth and back under load, with old and new workers at once: no client notices.

    python -m tests.neighbours.switch.traffic [--requests N] [--clients N] [--databases sqlite ...] [--sources knox ...]

Each client has a live login of the old package before the switch begins, and goes on as its front end did: an app keeps
its tokens and refreshes at 401, a page keeps cookies. Each request goes to any worker, and one answer in fifty is lost.
Beside them, credentials that the old package refuses are sent. Prints one line of JSON for each site: the requests, how
many were wrongly refused or wrongly accepted, and how many clients have moved in.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import requests

from tests.databases.servers import MariaDB, PostgreSQL, free_port
from tests.waiting import PATIENCE, answers, stop, wait_until

ROOT = Path(__file__).parents[3]
SOURCES = ("simplejwt", "dj_rest_auth", "knox", "django_sessions")
DATABASES = ("sqlite", "postgresql", "mariadb")
THREADS = 8
# One answer in so many is lost on its way.
LOST = 50


class Site:
    """Workers of a site, which share a database."""

    def __init__(self, source, database):
        self.source, self.folder = source, Path(tempfile.mkdtemp(prefix="switch-"))
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "SOURCE": source,
            "DATABASE": json.dumps(database),
        }
        self.workers = {}

    def start(self, part, since=""):
        """Start a worker that plays this part, and return its address."""
        port = free_port()
        given = {"PART": part, **({"SINCE": since} if since else {})}
        log = self.folder / f"{part}-{port}.log"
        options = ["--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4", "--no-control-socket"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "tests.neighbours.switch.site:application", *options],
            cwd=ROOT,
            env={**self.environment, **given},
            stderr=log.open("w"),
        )
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/who/"), process, log)
        self.workers[address] = process
        return address

    def stop(self, *addresses):
        for address in addresses or list(self.workers):
            stop(self.workers.pop(address))

    def run(self, code):
        """Run this code in a process with the site's old settings, and return what it printed as JSON."""
        command = [sys.executable, "-c", f"from tests.neighbours.switch.site import *\n{code}"]
        environment = {**self.environment, "PART": "old"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def faults(self):
        """Return the errors that workers have written, which would be status 500."""
        return [
            line for log in self.folder.glob("*.log") for line in log.read_text().splitlines() if "Traceback" in line
        ]


# What each source gives its clients at a login: by its own functions, for users 1 to N.
LOGINS = {
    "simplejwt": """
from rest_framework_simplejwt.tokens import RefreshToken
def log_in(user):
    token = RefreshToken.for_user(user)
    return {"access": str(token.access_token), "refresh": str(token)}
def refuse(login):
    token = RefreshToken(login["refresh"])
    token.blacklist()
    access = token.access_token
    access.set_exp(lifetime=-access.lifetime)
    login["access"] = str(access)
""",
    "knox": """
from knox.models import AuthToken
def log_in(user):
    return {"token": AuthToken.objects.create(user)[1]}
def refuse(login):
    AuthToken.objects.filter(token_key=login["token"][:15]).delete()
""",
    "django_sessions": """
from importlib import import_module
from django.contrib.auth import login
from django.test import RequestFactory
store = import_module(settings.SESSION_ENGINE).SessionStore
def log_in(user):
    request = RequestFactory().get("/")
    request.session = store()
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return {"sessionid": request.session.session_key}
def refuse(login):
    store(login["sessionid"]).delete()
""",
}
LOGINS["dj_rest_auth"] = LOGINS["simplejwt"]
PREPARE = """
from django.core.management import call_command
from django.contrib.auth import get_user_model
call_command("migrate", verbosity=0)
users = get_user_model().objects
made = users.bulk_create([get_user_model()(username=f"u{{n}}") for n in range({clients} + {refused})])
made = list(users.order_by("pk"))
logins = [log_in(user) for user in made]
for number, user in enumerate(made):
    if number >= {clients}:
        if number % 2:
            refuse(logins[number])
        else:
            users.filter(pk=user.pk).update(is_active=False)
print(json.dumps(list(zip([user.pk for user in made], logins))))
"""
COUNT = """
from jwtauth.models import OldLogin, Session
print(json.dumps([OldLogin.objects.filter(session_id__isnull=False).count(), Session.objects.count()]))
"""


class Client:
    """A browser or an app with a login of the old package, and the code of its front end."""

    def __init__(self, source, user, login):
        self.source, self.user = source, user
        self.session, self.tokens = requests.Session(), dict(login)
        self.session.trust_env = False
        self.lock = threading.Lock()
        if source == "dj_rest_auth":
            self.session.cookies.set("old-access", login["access"])
            self.session.cookies.set("old-refresh", login["refresh"])
        elif source == "django_sessions":
            self.session.cookies.set("sessionid", login["sessionid"])

    def is_signed_in(self, pick):
        """Ask who is signed in, as the front end does: refresh and ask again if the answer is no."""
        return self._asks(pick()) or (self._refreshes(pick()) and self._asks(pick()))

    def _asks(self, address):
        response = self._send("GET", f"{address}/who/")
        return response.status_code == 200 and response.json() == {"user": self.user}

    def _refreshes(self, address):
        if self.source == "simplejwt":
            response = self._send("POST", f"{address}/token/refresh/", json={"refresh": self.tokens["refresh"]})
            while response.status_code == 200 and self.loses():
                response = self._send("POST", f"{address}/token/refresh/", json={"refresh": self.tokens["refresh"]})
            if response.status_code == 200:
                self.tokens |= {name: value for name, value in response.json().items() if name in self.tokens}
            return response.status_code == 200
        if self.source == "dj_rest_auth":
            return self._send("POST", f"{address}/token/refresh/", json={}).status_code == 200
        return False

    def _send(self, method, url, **body):
        headers = {"Sec-Fetch-Site": "same-origin", "Connection": "close"}
        if self.source == "simplejwt":
            headers["Authorization"] = f"Bearer {self.tokens['access']}"
        elif self.source == "knox":
            headers["Authorization"] = f"Token {self.tokens['token']}"
        before = self.session.cookies.copy()
        response = self.session.request(method, url, headers=headers, timeout=PATIENCE, **body)
        # dj-rest-auth itself signs out a page whose rotated and blacklisted token is lost.
        if self.loses() and "old-refresh" not in response.cookies:
            self.session.cookies = before
        return response

    @staticmethod
    def loses():
        return random.randrange(LOST) == 0


def switch(source, database, clients, count):
    """Switch a site with so many clients to jwtauth and back during so many requests, and return what was seen."""
    site = Site(source, database)
    refused = max(1, clients // 10)
    logins = site.run(LOGINS[source] + PREPARE.format(clients=clients, refused=refused))
    good = [Client(source, user, login) for user, login in logins[:clients]]
    bad = [Client(source, user, login) for user, login in logins[clients:]]
    seen, lock = Counter(), threading.Lock()

    def traffic(number, *addresses):
        """Send so many requests, each to any of these workers."""

        def pick():
            return random.choice(addresses)

        def work(share):
            for _ in range(share):
                is_good = random.randrange(10) > 0
                client = random.choice(good if is_good else bad)
                with client.lock:
                    is_signed_in = client.is_signed_in(pick)
                with lock:
                    seen["requests"] += 1
                    if is_good and not is_signed_in:
                        seen["refused"] += 1
                    if not is_good and is_signed_in:
                        seen["accepted"] += 1

        threads = [threading.Thread(target=work, args=(number // THREADS,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    try:
        old, part = site.start("old"), count // 5
        since = datetime.now(timezone.utc) + timedelta(days=1)
        traffic(part // 2, old)
        first = site.start("new", since=since.isoformat())
        traffic(part, old, first)  # the deployment: old and new workers
        site.stop(old)
        second = site.start("new")
        traffic(part, first, second)  # a new worker whose clock is ahead moves logins in already
        site.stop(first)
        traffic(part, second)
        moved, _ = site.run(COUNT)
        back = site.start("back")
        traffic(part, second, back)
        site.stop(second)
        traffic(part // 2, back)
    finally:
        site.stop()
    faults = site.faults()
    moved, sessions = site.run(COUNT)
    return {**seen, "refused": seen["refused"], "accepted": seen["accepted"], "moved": moved, "sessions": sessions} | {
        "faults": len(faults)
    }


def database(name, servers):
    if name == "sqlite":
        folder = Path(tempfile.mkdtemp(prefix="switch-"))
        options = {"timeout": 30, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode = WAL"}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3"), "OPTIONS": options}
    kind = {"postgresql": PostgreSQL, "mariadb": MariaDB}[name]
    if kind not in servers:
        servers[kind] = kind()
    made = f"switch{time.monotonic_ns()}"
    servers[kind].create_database(made)
    return servers[kind].settings(made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--databases", nargs="*", default=["sqlite"], choices=DATABASES)
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=SOURCES)
    given = parser.parse_args()
    servers = {}
    for name in given.databases:
        for source in given.sources:
            started = time.monotonic()
            result = switch(source, database(name, servers), given.clients, given.requests)
            print(
                json.dumps({"source": source, "database": name, **result, "seconds": int(time.monotonic() - started)})
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
