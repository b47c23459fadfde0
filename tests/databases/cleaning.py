"""``python -m tests.databases.cleaning ROWS``: how the environment's database is cleaned, as JSON."""

import json
import os
import resource
import select
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from io import StringIO
from itertools import islice
from subprocess import PIPE

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from jwtauth import _engine  # noqa: E402
from jwtauth.internal.store import cleanup  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.models import Session  # noqa: E402

DAY = 86_400
LIVE = 10_000
BESIDE_LOGINS = 1_000_000
LOGINS = 400


def made(user, number, ends):
    """A session of two logins a second, of somebody who did not come back."""
    began = _clock.now() - number // 2 + ends - DAY
    times = {"created_at": began, "rotated_at": began, "last_seen_at": began, "expires_at": began + DAY}
    return Session(
        id=_engine.Sid.generate(began).session_id,
        user=user,
        generation=1,
        remember=True,
        auth_hash="h" * 64,
        user_agent="u" * 100,
        **{name: _clock.to_datetime(time) for name, time in times.items()},
    )


def fill(user, count, ends):
    numbers = iter(reversed(range(count)))
    while rows := [made(user, number, ends) for number in islice(numbers, 50_000)]:
        Session.objects.bulk_create(rows, batch_size=2_000)


def analyze():
    # As autovacuum does beside a table that grows.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE jwtauth_session" if connection.vendor == "mysql" else "ANALYZE")


def milliseconds(seconds):
    return round(seconds * 1000, 1)


def percentile(values, share):
    return sorted(values)[int((len(values) - 1) * share)]


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def logins(user, count):
    took = []
    for _ in range(count):
        client = Client()
        started = time.perf_counter()
        assert client.post(f"/login/?user={user.pk}").status_code == 200
        took.append(time.perf_counter() - started)
    return took


@contextmanager
def others():
    """Somebody else, in another process. Gives the time that each of their writes took, in the end."""
    took = []
    with subprocess.Popen([sys.executable, "-m", __spec__.name], stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield took
        finally:
            process.stdin.close()
            took += json.loads(process.stdout.read())


def be_others():
    """Starts a session and refreshes it every few milliseconds, until the other end of standard input is closed."""
    took, user = [], get_user_model().objects.get()
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.01)[0]:
        session = made(user, 0, ends=3 * DAY)
        started = time.perf_counter()
        session.save(force_insert=True)
        assert Session.objects.filter(pk=session.pk, generation=1).update(generation=2)
        took.append(time.perf_counter() - started)
    print(json.dumps(took))


def command():
    """The command: its time, that of each of its statements, and what others wait for meanwhile."""
    with others() as alone:
        time.sleep(5)
    statements = []

    def watch(execute, *args):
        started = time.perf_counter()
        result = execute(*args)
        statements.append(time.perf_counter() - started)
        return result

    before = peak()
    with others() as meanwhile, connection.execute_wrapper(watch), StringIO() as said:
        started = time.perf_counter()
        call_command("jwtauth_clearsessions", stdout=said)
        seconds = time.perf_counter() - started
        removed = int(said.getvalue().split()[1])
    return {
        "seconds": round(seconds, 1),
        "removed": removed,
        "kept": Session.objects.count() - len(alone) - len(meanwhile),
        "others": len(meanwhile),
        "others_alone_p99_ms": milliseconds(percentile(alone, 0.99)),
        "others_p50_ms": milliseconds(percentile(meanwhile, 0.5)),
        "others_p99_ms": milliseconds(percentile(meanwhile, 0.99)),
        "others_slowest_ms": milliseconds(max(meanwhile)),
        "statements": len(statements),
        "slowest_ms": milliseconds(max(statements)),
        "p99_ms": milliseconds(percentile(statements, 0.99)),
        "grown_mib": round((peak() - before) / 1024, 1),
    }


def beside_logins(user, count):
    """Logins without and with upkeep, in turn, and then until nothing is left."""
    without, beside = [], []
    for _ in range(LOGINS):
        cleanup._next_at = float("inf")
        without += logins(user, 1)
        cleanup._next_at = 0.0
        beside += logins(user, 1)
    done = LOGINS
    while cleanup.expired().exists():
        cleanup._next_at = 0.0
        beside += logins(user, 50)
        done += 50
        if done > count // 100:
            break
    return {
        "logins": done,
        "left": cleanup.expired().count(),
        "login_more_ms": milliseconds(statistics.median(beside) - statistics.median(without)),
        "login_more_p99_ms": milliseconds(percentile(beside, 0.99) - percentile(without, 0.99)),
    }


def main(rows):
    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user("ada")
    cleanup._next_at = float("inf")
    fill(user, LIVE, ends=3 * DAY)
    fill(user, rows, ends=-2 * 3600)
    analyze()
    found = command()
    fill(user, min(rows, BESIDE_LOGINS), ends=-2 * 3600)
    analyze()
    print(json.dumps(found | beside_logins(user, min(rows, BESIDE_LOGINS))))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(int(sys.argv[1]))
    else:
        be_others()
