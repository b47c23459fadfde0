"""Requests of many threads and processes that race at expiry, on every database and isolation level."""

import os

import pytest

from tests.databases.racing import Race

ROUNDS = int(os.environ.get("JWTAUTH_RACE_ROUNDS", "4"))
RACERS = int(os.environ.get("JWTAUTH_RACERS", "16"))
PROCESSES = 2

DATABASES = {
    **{
        f"sqlite {journal} {mode}": (
            "sqlite",
            {"transaction_mode": mode, "init_command": f"PRAGMA journal_mode={journal}"},
        )
        for journal in ("delete", "wal")
        for mode in ("DEFERRED", "IMMEDIATE", "EXCLUSIVE")
    },
    # Spelled as psycopg numbers them.
    "postgresql read uncommitted": ("postgresql", {"isolation_level": 1}),
    "postgresql read committed": ("postgresql", {"isolation_level": 2}),
    "postgresql repeatable read": ("postgresql", {"isolation_level": 3}),
    "postgresql serializable": ("postgresql", {"isolation_level": 4}),
    **{
        f"mariadb {level}": ("mariadb", {"isolation_level": level})
        for level in ("read uncommitted", "read committed", "repeatable read", "serializable")
    },
}


@pytest.mark.parametrize("persistent_in_transactions", [False, True])
@pytest.mark.parametrize("name", DATABASES)
def test_racing_requests_rotate_once_and_logout_is_final(make_database, name, persistent_in_transactions):
    kind, options = DATABASES[name]
    with Race(
        make_database(kind, **options),
        processes=PROCESSES,
        threads=RACERS // PROCESSES,
        atomic_requests=persistent_in_transactions,
        persistent=persistent_in_transactions,
    ) as race:
        refreshes = race.refreshes(ROUNDS)
        assert refreshes.failures == []
        assert (refreshes.requests, refreshes.writes) == (ROUNDS * PROCESSES * (RACERS // PROCESSES), ROUNDS)
        assert race.logout().failures == []
