"""Removes sessions that are over from the table: a few at a time beside logins and refreshes, or all by the command."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connections, transaction

from jwtauth.internal.store import clock
from jwtauth.models import Session, SessionQuerySet, database, has_dependents

_log = logging.getLogger("jwtauth")

# Beside a login or a refresh: some two milliseconds.
_BATCH = 200

# Seconds between two batches of a process, once a batch has found fewer than it may take.
_PAUSE = 60

# Expired for this many seconds, so that a worker with a clock that is minutes fast removes nothing that others honour.
_MARGIN = 3600

# The command's statements take about this many seconds each, and so make nobody wait for longer.
_TARGET = 0.01
_LEAST, _MOST = 100, 2_000

# On SQLite whoever writes waits for whoever writes, and looks again every few milliseconds: so many seconds of work,
# then so many of rest, in which they find the database free.
_WORK, _REST = 0.03, 0.01

# By the monotonic clock. Processes that start together do not all begin at once.
_next_at = time.monotonic() + random.uniform(0, _PAUSE)  # noqa: S311 - not a secret


def is_due() -> bool:
    """Whether a login or a refresh of this process should remove a batch."""
    return time.monotonic() >= _next_at and not clock.is_travelling()


def remove_batch() -> None:
    """One small batch. Upkeep: an error is only logged. Not inside a transaction, where it would hold locks."""
    global _next_at
    if transaction.get_connection(database()).in_atomic_block:
        return
    _next_at = time.monotonic() + random.uniform(_PAUSE / 2, _PAUSE)  # noqa: S311 - not a secret
    try:
        if _remove(_BATCH)[0] == _BATCH:
            _next_at = 0.0  # there is more: the next login or refresh goes on
    except DatabaseError:
        _log.warning("expired sessions were not removed", exc_info=True)


def expired() -> SessionQuerySet:
    """Sessions whose end is an hour past, in the database that takes writes."""
    over: SessionQuerySet = Session.objects.using(database()).filter(expires_at__lte=_cutoff())
    return over


def _cutoff() -> datetime:
    return clock.to_datetime(clock.now() - _MARGIN)


def remove_all() -> Iterator[int]:
    """Removes every expired session, and yields how many were removed so far after each statement."""
    removed, size, since = 0, _LEAST, None
    shares = connections[database()].vendor == "sqlite"
    rested_at = time.monotonic()
    while True:
        started = time.monotonic()
        count, since = _remove(size, since)
        removed += count
        if count:
            yield removed
        if count < size:
            return
        took = time.monotonic() - started
        if shares and started + took - rested_at >= _WORK:
            time.sleep(_REST)
            rested_at = time.monotonic()
        size = max(_LEAST, min(_MOST, int(size * min(2.0, _TARGET / max(took, 1e-6)))))


def _remove(limit: int, since: datetime | None = None) -> tuple[int, datetime | None]:
    """At most this many, in one statement where the database can. Rows that others hold are left to them.

    With the end of the last one removed, so that the next call need not pass the places of those that are gone.
    """
    alias = database()
    connection = connections[alias]
    by_address = {"postgresql": _remove_by_ctid, "sqlite": _remove_by_rowid}.get(connection.vendor)
    # Not where a project's own table refers to sessions, or somebody wants to hear of each: Django sees to those.
    if by_address is not None and not has_dependents():
        return by_address(connection, limit, since or clock.to_datetime(0))
    # Nobody revives an expired row, so its key is enough; with the date as well, MariaDB would go through all of them.
    batch = expired().order_by("expires_at").values("pk")[:limit]
    if not connection.features.allow_sliced_subqueries_with_in:  # MySQL
        batch = [row["pk"] for row in batch]
    return Session.objects.using(alias).filter(pk__in=batch).delete()[0], None


def _remove_by_rowid(connection: Any, limit: int, since: datetime) -> tuple[int, datetime]:
    """In two thirds of the time that it takes by key."""
    quoted = connection.ops.quote_name
    table, column = quoted(Session._meta.db_table), quoted("expires_at")
    addresses = f"SELECT rowid FROM {table} WHERE {column} <= %s ORDER BY {column} LIMIT %s"  # noqa: S608
    with connection.cursor() as cursor:
        cutoff = connection.ops.adapt_datetimefield_value(_cutoff())
        cursor.execute(f"DELETE FROM {table} WHERE rowid IN ({addresses})", [cutoff, limit])  # noqa: S608
        return cursor.rowcount, since


def _remove_by_ctid(connection: Any, limit: int, since: datetime) -> tuple[int, datetime]:
    """Four times as fast as by key; in the order of the index, or each call reads the table from its start."""
    quoted = connection.ops.quote_name
    table, column = quoted(Session._meta.db_table), quoted("expires_at")
    addresses = (
        f"SELECT ctid FROM {table} WHERE {column} BETWEEN %s AND %s "  # noqa: S608
        f"ORDER BY {column} LIMIT %s FOR UPDATE SKIP LOCKED"
    )
    gone = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({addresses})) RETURNING {column}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS ({gone}) SELECT count(*), max({column}) FROM gone",  # noqa: S608
            [since, _cutoff(), limit],
        )
        removed, last = cursor.fetchone()
        return removed, last or since
