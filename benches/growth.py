"""`python growth.py SIZE ...`: the cost of a request, a login, a refresh and cleanup as the table grows, as JSON.

The table has at most 1 000 users, with sessions from two logins a second, named as `jwtauth` names them.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

SIZES = [int(size) for size in sys.argv[1:]]
sys.argv[1:] = ["jwtauth"]

import variant  # noqa: E402
from django.conf import settings  # noqa: E402

settings.ROOT_URLCONF = "variant"

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from jwtauth import _engine  # noqa: E402
from jwtauth.internal.store import cleanup  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.models import Session  # noqa: E402

CHUNK, CLEANED = 50_000, 1_000
ROUNDS = {"request": 400, "login": 100, "refresh": 100}


def fill(users, count, age):
    """Insert ``count`` live sessions that started ``age`` or more seconds ago; with a negative age, expired ones."""
    for start in range(0, count, CHUNK):
        began = [_clock.now() - age - number // 2 for number in range(start, min(start + CHUNK, count))]
        rows = [
            Session(
                id=_engine.Sid.generate(at).session_id,
                user=users[number % len(users)],
                generation=1,
                remember=True,
                auth_hash="h" * 64,
                user_agent="u" * 100,
                end_is_fixed=False,
                **{name: _clock.to_datetime(at) for name in ("created_at", "rotated_at", "last_seen_at")},
                expires_at=_clock.to_datetime(_clock.now() + 30 * 86_400 if age >= 0 else at + age - 7_200),
            )
            for number, at in enumerate(began)
        ]
        Session.objects.bulk_create(rows, batch_size=2_000)


def size():
    """Return the size of the table and its indexes in bytes."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return Path(connection.settings_dict["NAME"]).stat().st_size
        cursor.execute("SELECT pg_total_relation_size('jwtauth_session')")
        return cursor.fetchone()[0]


def analyze():
    # Autovacuum does the same for a growing table.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def main():
    call_command("migrate", verbosity=0)
    model = get_user_model()
    model.objects.bulk_create(model(username=f"user {number}") for number in range(1000))
    model.objects.create(username="ada")
    users = list(model.objects.exclude(username="ada"))
    cleanup.is_due = lambda: False
    results, filled = {}, 0
    for wanted in SIZES:
        fill(users, wanted - filled, age=filled // 2)
        filled = wanted
        analyze()
        headers = variant.sign_in()
        found = {"bytes": size()}
        for operation, count in ROUNDS.items():
            for _ in range(20):
                variant.prepare(operation, headers)()
            found[operation] = median(variant.prepare(operation, headers)() * 1e6 for _ in range(count))
        fill(users, CLEANED, age=-1)
        started = time.perf_counter()
        removed = sum(1 for _ in [list(cleanup.remove_all())])
        found["cleaned"] = (time.perf_counter() - started) / CLEANED * 1e6
        assert removed
        assert not cleanup.expired().exists()
        results[wanted] = found
    print(json.dumps(results))


main()
