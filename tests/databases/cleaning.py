"""``python -m tests.databases.cleaning ROWS``: how the environment's database is cleaned, as JSON."""

import json
import os
import resource
import statistics
import sys
import time
import uuid

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from jwtauth import _clock, expiry  # noqa: E402
from jwtauth.models import Session  # noqa: E402

LIVE = 10_000
BESIDE_LOGINS = 1_000_000
LOGINS = 400


def fill(user, count, ends):
    end = _clock.to_datetime(_clock.now() + ends)
    shared = {"generation": 1, "rotated_at": end, "created_at": end, "last_seen_at": end, "remember": True}
    for start in range(0, count, 50_000):
        rows = (
            Session(id=uuid.uuid4(), user=user, expires_at=end, auth_hash="h" * 64, user_agent="u" * 100, **shared)
            for _ in range(min(50_000, count - start))
        )
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


def command():
    """The command: its time, and that of each of its statements."""
    statements = []

    def watch(execute, *args):
        started = time.perf_counter()
        result = execute(*args)
        statements.append(time.perf_counter() - started)
        return result

    before, started = peak(), time.perf_counter()
    with connection.execute_wrapper(watch), open(os.devnull, "w") as nowhere:
        removed = Session.objects.count()
        statements.clear()
        call_command("jwtauth_clean", stdout=nowhere)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "removed": removed - Session.objects.count(),
        "kept": Session.objects.count(),
        "statements": len(statements),
        "slowest_ms": milliseconds(max(statements)),
        "p99_ms": milliseconds(percentile(statements, 0.99)),
        "grown_mib": round((peak() - before) / 1024, 1),
    }


def beside_logins(user, count):
    """Logins without and with upkeep, in turn, and then until nothing is left."""
    without, beside = [], []
    for _ in range(LOGINS):
        expiry._next_at = float("inf")
        without += logins(user, 1)
        expiry._next_at = 0.0
        beside += logins(user, 1)
    done = LOGINS
    while expiry.expired().exists():
        expiry._next_at = 0.0
        beside += logins(user, 50)
        done += 50
        if done > count // 100:
            break
    return {
        "logins": done,
        "left": expiry.expired().count(),
        "login_more_ms": milliseconds(statistics.median(beside) - statistics.median(without)),
        "login_more_p99_ms": milliseconds(percentile(beside, 0.99) - percentile(without, 0.99)),
    }


def main():
    rows = int(sys.argv[1])
    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user("ada")
    expiry._next_at = float("inf")
    fill(user, LIVE, ends=86_400)
    fill(user, rows, ends=-2 * 3600)
    analyze()
    found = command()
    fill(user, min(rows, BESIDE_LOGINS), ends=-2 * 3600)
    analyze()
    print(json.dumps(found | beside_logins(user, min(rows, BESIDE_LOGINS))))


if __name__ == "__main__":
    main()
