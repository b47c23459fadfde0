"""`python growth.py FILLED SIZE`: fill the table up to ``SIZE`` sessions, of which it has ``FILLED``.

Prints the bytes of the table with its indexes, and the microseconds in which one expired session is removed, as JSON.
The table has at most 1 000 users, with sessions from two logins a second, named as `jwtauth` names them.
"""

import json
import sys
import time
from pathlib import Path

FILLED, SIZE = map(int, sys.argv[1:])
sys.argv[1:] = ["jwtauth"]

import variant  # noqa: E402, F401  configures Django
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from jwtauth import _engine  # noqa: E402
from jwtauth.internal.store import cleanup  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.models import Session  # noqa: E402

CHUNK, CLEANED = 50_000, 1_000


def fill(users, count, age):
    """Insert ``count`` live sessions that started ``age`` or more seconds ago; with a negative age, expired ones."""
    fields = Session._meta.concrete_fields
    columns, values = ", ".join(field.column for field in fields), ", ".join(["%s"] * len(fields))
    user_key, id_key = (fields.index(Session._meta.get_field(name)) for name in ("user", "id"))
    now, to_id = _clock.now(), Session._meta.get_field("id").get_db_prep_save
    for start in range(0, count, CHUNK):
        began = now - age - start // 2  # one time for each chunk; the IDs are of each session's own
        session = Session(
            user=users[0],
            generation=1,
            remember=True,
            auth_hash="h" * 64,
            user_agent="u" * 100,
            end_is_fixed=False,
            **{name: _clock.to_datetime(began) for name in ("created_at", "rotated_at", "last_seen_at")},
            expires_at=_clock.to_datetime(now + 30 * 86_400 if age >= 0 else began + age - 7_200),
        )
        row = [field.get_db_prep_save(field.pre_save(session, add=True), connection) for field in fields]

        def rows(row=row, start=start):
            for number in range(start, min(start + CHUNK, count)):
                row[id_key] = to_id(_engine.Sid.generate(now - age - number // 2).session_id, connection)
                row[user_key] = users[number % len(users)].pk
                yield tuple(row)

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO jwtauth_session ({columns}) VALUES ({values})", rows())


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
    if FILLED == 0:
        model.objects.bulk_create(model(username=f"user {number}") for number in range(1000))
    users = list(model.objects.exclude(username="ada"))
    fill(users, SIZE - FILLED, age=FILLED // 2)
    analyze()
    found = {"bytes": size()}
    fill(users, CLEANED, age=-1)
    started = time.perf_counter()
    removed = list(cleanup.remove_all())
    found["cleaned"] = (time.perf_counter() - started) / CLEANED * 1e6
    assert removed[-1] == CLEANED
    print(json.dumps(found))


main()
