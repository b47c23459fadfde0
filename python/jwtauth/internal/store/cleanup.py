"""Remove expired sessions from the table: a few at a time after logins and refreshes, or all by the command."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from threading import get_ident
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connections, models, transaction
from django.http import HttpRequest

from jwtauth.internal.store import clock
from jwtauth.models import Session, SessionQuerySet, database, has_dependents

_log = logging.getLogger("jwtauth")

_END: Any = Session._meta.get_field("expires_at")

# After a login or a refresh: at most so many, and fewer where two batches have taken longer than this many seconds (one
# may have waited for the machine). Where keys, users and ends are in different orders, each row that is removed changes
# a page of the table and of each index: a tenth of a millisecond on SQLite.
_BATCH, _LEAST_BATCH, _BATCH_SECONDS = 200, 5, 0.001

# Seconds between two batches of a process, once a batch has found fewer than it may take.
_PAUSE = 60

# Expired for this many seconds, so that a worker with a clock that is minutes fast removes nothing that others honour.
_MARGIN = 3600

# The command's statements take about this many seconds each, and so make no other writer wait for longer.
_TARGET = 0.01
_LEAST, _MOST = 100, 2_000

# On SQLite whoever writes waits for whoever writes, and looks again every few milliseconds: so many seconds of work,
# then so many of rest, in which they find the database free.
_WORK, _REST = 0.03, 0.01

# By the monotonic clock. Processes that start together do not all begin at once.
_next_at = time.monotonic() + random.uniform(0, _PAUSE)  # noqa: S311 - not a secret

# End and key of the last session that was looked at, where the next batch begins: those before it are gone, or cannot
# be removed. ``None`` where the last batch reached the end.
_place: tuple[datetime, Any] | None = None


# How many the next batch may take, and whether the last one took long.
_size, _was_slow = _BATCH, False


def is_due() -> bool:
    """Return whether a login or a refresh of this process should remove a batch."""
    return time.monotonic() >= _next_at and not clock.is_travelling()


def remove_after(request: HttpRequest) -> None:
    """Remove a batch, if one is due, once the response to this request is sent: the client waits for none of it."""
    if not is_due():
        return
    close, thread = request.close, get_ident()

    def close_and_remove() -> None:
        close()
        # Another thread, as of Django's asynchronous test client, has a connection of its own that is never closed.
        if get_ident() == thread and is_due():
            remove_batch()

    # Not a closer of the response's, which caches pickle. Django closes the request with the response, and its database
    # connections after both.
    request.close = close_and_remove  # type: ignore[method-assign]


def remove_batch() -> None:
    """Remove one small batch. An error is only logged. Does nothing in a transaction, where it would hold locks."""
    global _next_at, _size, _was_slow
    if transaction.get_connection(database()).in_atomic_block:
        return
    started = time.monotonic()
    _next_at = started + random.uniform(_PAUSE / 2, _PAUSE)  # noqa: S311 - not a secret
    try:
        if _remove(min(_size, _BATCH))[1]:
            _next_at = 0.0  # there is more: the next login or refresh goes on
    except Exception:  # also of a receiver's: Django would drop it
        _log.warning("expired sessions could not be removed", exc_info=True)
    took = time.monotonic() - started
    is_slow = took > _BATCH_SECONDS
    if is_slow and _was_slow:
        _size = max(_LEAST_BATCH, _size // 2)
    elif took < _BATCH_SECONDS / 2:
        _size = min(_BATCH, _size * 2)
    _was_slow = is_slow


def expired() -> SessionQuerySet:
    """Return the sessions whose end is an hour past, in the database that takes writes."""
    over: SessionQuerySet = Session.objects.using(database()).filter(expires_at__lte=_cutoff())
    return over


def _cutoff() -> datetime:
    return clock.to_datetime(clock.now() - _MARGIN)


def remove_all() -> Iterator[int]:
    """Remove every expired session, and yield how many were removed so far after each statement."""
    global _place
    _place, removed, size, is_more = None, 0, _LEAST, True
    shares = connections[database()].vendor == "sqlite"
    rested_at = time.monotonic()
    while is_more:
        started = time.monotonic()
        count, is_more = _remove(size)
        removed += count
        if count:
            yield removed
        took = time.monotonic() - started
        if is_more and shares and started + took - rested_at >= _WORK:
            time.sleep(_REST)
            rested_at = time.monotonic()
        size = max(_LEAST, min(_MOST, int(size * min(2.0, _TARGET / max(took, 1e-6)))))


def _remove(limit: int) -> tuple[int, bool]:
    """Remove at most this many, in one statement if the database can, and return how many, and whether there is more.

    Rows that others hold are left to them.
    """
    connection = connections[database()]
    vendor = "mariadb" if getattr(connection, "mysql_is_mariadb", False) else connection.vendor
    at_once = {"postgresql": _remove_by_ctid, "sqlite": _remove_by_rowid, "mariadb": _remove_returning}.get(vendor)
    # Not where a project's own table refers to sessions, or a receiver listens for each: Django sees to those.
    if at_once is not None and not has_dependents():
        try:
            removed = at_once(connection, limit)
        except IntegrityError:
            pass  # a table that Django does not know refers to one of them
        else:
            return removed, removed == limit
    return _remove_by_key(limit)


def _remove_by_key(limit: int) -> tuple[int, bool]:
    """Remove what can be removed of the next rows. Those that another table protects are passed over."""
    global _place
    rows, place = expired(), _place  # which another thread may change meanwhile
    if place is not None:
        end, key = place
        rows = rows.filter(expires_at__gte=end).exclude(expires_at=end, pk__lte=key)
    found = list(rows.order_by("expires_at", "pk").values_list("expires_at", "pk")[:limit])
    keys = [key for _end, key in found]
    protected = _protected(keys) if keys else set()
    removed = _delete([key for key in keys if key not in protected])
    is_more = len(found) == limit
    _place = found[-1] if is_more else None
    return removed, is_more


def _protected(keys: list[Any]) -> set[Any]:
    """Return which of these a foreign key refers to that does not let them go."""
    found = set()
    for relation in Session._meta.get_fields(include_hidden=True):
        holds = getattr(relation, "on_delete", None) in (models.PROTECT, models.RESTRICT, models.DO_NOTHING)
        if not isinstance(relation, models.ForeignObjectRel) or not holds:
            continue
        field: Any = relation.field
        if relation.on_delete is not models.DO_NOTHING or field.db_constraint:
            referring = field.model._base_manager.using(database()).filter(**{f"{field.name}__in": keys})
            found.update(referring.values_list(field.attname, flat=True))
    return found


def _delete(keys: list[Any]) -> int:
    """Delete these sessions, and return how many. Where some cannot be, the others are found by halves."""
    if not keys:
        return 0
    try:
        # Nobody revives an expired row, so its key is enough; with the date as well, MariaDB would go through all rows.
        with transaction.atomic(using=database()):
            counts: dict[str, int] = Session.objects.using(database()).filter(pk__in=keys).delete()[1]
        return counts.get(Session._meta.label, 0)
    except IntegrityError:  # also ProtectedError and RestrictedError, of what would be deleted with a session
        if len(keys) == 1:
            return 0
    half = len(keys) // 2
    return _delete(keys[:half]) + _delete(keys[half:])


def _remove_by_rowid(connection: Any, limit: int) -> int:
    """Remove by address: in two thirds of the time that it takes by key."""
    quoted = connection.ops.quote_name
    table, column = quoted(Session._meta.db_table), quoted("expires_at")
    addresses = f"SELECT rowid FROM {table} WHERE {column} <= %s ORDER BY {column} LIMIT %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE rowid IN ({addresses})",  # noqa: S608
            [_END.get_db_prep_value(_cutoff(), connection), limit],
        )
        removed: int = cursor.rowcount
        return removed


# PostgreSQL and MariaDB keep the places of removed rows for a while. Each call begins where the last one ended, so that
# it does not pass them.


def _between(connection: Any) -> list[Any]:
    """Return where to begin, and the cutoff, as the database takes them."""
    place = _place  # which another thread may change meanwhile
    ends = clock.to_datetime(0) if place is None else place[0], _cutoff()
    return [_END.get_db_prep_value(end, connection) for end in ends]


def _remove_by_ctid(connection: Any, limit: int) -> int:
    """Remove by address: four times as fast as by key."""
    global _place
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
            [*_between(connection), limit],
        )
        removed, last = cursor.fetchone()
    _place = (last, UUID(int=0)) if removed == limit else None
    return int(removed)


def _remove_returning(connection: Any, limit: int) -> int:
    """Remove without asking for the keys first: three times as fast."""
    global _place
    quoted = connection.ops.quote_name
    table, column = quoted(Session._meta.db_table), quoted("expires_at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE {column} BETWEEN %s AND %s ORDER BY {column} LIMIT %s "  # noqa: S608
            f"RETURNING {column}",
            [*_between(connection), limit],
        )
        ends = [end for (end,) in cursor.fetchall()]
    _place = (max(ends).replace(tzinfo=timezone.utc), UUID(int=0)) if len(ends) == limit else None
    return len(ends)
