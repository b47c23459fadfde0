"""Removal of expired sessions: a few after a login or refresh, or all by the management command."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from threading import get_ident
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.http import HttpRequest

from jwtauth import _engine
from jwtauth.internal.store import clock
from jwtauth.internal.store.retries import is_transient, retry_on_conflict
from jwtauth.models import Session, SessionQuerySet, database, has_dependents

_log = logging.getLogger("jwtauth")

_END: Any = Session._meta.get_field("expires_at")

# The target duration in seconds of each statement of the command, and so the longest wait of other writers.
_TARGET = 0.01
_LEAST, _MOST = 100, 2_000

# MariaDB plans longer lists of keys as a join with a table of them (in_predicate_conversion_threshold).
_MOST_KEYS = 900

_MOST_ROWID = 2**63 - 1

# A sweep ends after so many live rows, and so many more for each removed one. Reading one takes about a microsecond,
# and removing one by expiry twenty or more.
_LIVE, _LIVE_PER_REMOVED = 50_000, 16

# SQLite has one writer at a time, and others poll every few milliseconds. The command works for so many seconds, then
# rests for so many to let others write.
_WORK, _REST = 0.03, 0.01

# The schedule of this process. Python reseeds ``random`` after a fork, so forked processes do not remove together.
_schedule = _engine.CleanupSchedule(time.monotonic_ns(), random=random.getrandbits(32))

# Expiry time and key of the last examined session, where the next batch continues. Earlier sessions are removed or
# cannot be removed. ``None`` after a batch that reached the end.
_place: tuple[datetime, Any] | None = None


def is_due() -> bool:
    """Return whether it is time for this process to remove a batch."""
    return not clock.is_travelling() and _schedule.is_due(time.monotonic_ns())


def remove_after(request: HttpRequest) -> None:
    """Remove a batch, if due, after the response to this request is sent, so that the client does not wait."""
    if not is_due():
        return
    close, thread = request.close, get_ident()

    def close_and_remove() -> None:
        close()
        # In another thread, such as of Django's async test client, the connection would never be closed.
        if get_ident() == thread and is_due():
            remove_batch()

    # Not a closer of the response, which caches pickle. Django closes the request together with the response, and the
    # database connections after both.
    request.close = close_and_remove  # type: ignore[method-assign]


def remove_batch() -> None:
    """Remove one small batch, if due. Errors are only logged. Does nothing in a transaction, as it would hold locks."""
    if transaction.get_connection(database()).in_atomic_block:
        return
    began, is_full = time.monotonic_ns(), False
    size = _schedule.begin(began, random=random.getrandbits(32))
    if size is None:
        return  # another thread has begun it
    try:
        _, is_full = _remove(size)
    except Exception as error:  # including errors of receivers, which Django would not report here
        # A deadlock with the command is expected, and a later login tries again.
        if not (isinstance(error, DatabaseError) and is_transient(error)):
            _log.warning("expired sessions could not be removed", exc_info=True)
    _schedule.end(began=began, now=time.monotonic_ns(), is_full=is_full)


def expired() -> SessionQuerySet:
    """Return the sessions that expired more than an hour ago, in the database that takes writes."""
    over: SessionQuerySet = Session.objects.using(database()).filter(expires_at__lte=_cutoff())
    return over


def _cutoff() -> datetime:
    return clock.to_datetime(clock.now() - _engine.CleanupSchedule.MARGIN)


def remove_all() -> Iterator[int]:
    """Remove all expired sessions, and yield the running total after each statement."""
    global _place
    _place, removed = None, 0
    for remove in (_Sweep(), _remove):
        for count in _paced(remove):
            removed += count
            yield removed


def _paced(remove: Callable[[int], tuple[int, bool]]) -> Iterator[int]:
    """Call ``remove`` until nothing is left, with sizes that take the target time. Yield each number removed."""
    size, is_more = _LEAST, True
    shares = connections[database()].vendor == "sqlite"
    rested_at = time.monotonic()
    while is_more:
        started = time.monotonic()
        # MariaDB may find a deadlock between removals in different orders.
        count, is_more = retry_on_conflict(partial(remove, size), database())
        if count:
            yield count
        took = time.monotonic() - started
        if is_more and shares and started + took - rested_at >= _WORK:
            time.sleep(_REST)
            rested_at = time.monotonic()
        size = max(_LEAST, min(_MOST, int(size * min(2.0, _TARGET / max(took, 1e-6)))))


class _Sweep:
    """Remove expired sessions in the order in which the table stores its rows, which is about that of the logins.

    In the order of expiry, each removed row is on another page of the table. In this order, each page is read and
    written once. That takes half the time on SQLite, and on MariaDB a quarter if the table is larger than the buffer
    pool. Live rows are read, too, so the sweep ends where too few rows have expired.
    """

    def __init__(self) -> None:
        self._connection = connections[database()]
        ways: dict[str, Any] = {"sqlite": (_remove_next_rows, _MOST), "mariadb": (_remove_next_keys, _MOST_KEYS)}
        self._remove_next, self._most = ways.get(_vendor(self._connection), (None, 0))
        self._place: Any = None
        self._live_left = _LIVE

    def __call__(self, limit: int) -> tuple[int, bool]:
        """Examine the next ``limit`` rows. Return the number removed, and whether to continue."""
        if self._remove_next is None or has_dependents():
            return 0, False
        limit = min(limit, self._most)
        try:
            removed, self._place = self._remove_next(self._connection, self._place, limit)
        except IntegrityError:
            return 0, False  # a table without a Django model refers to one of the sessions
        self._live_left += removed * _LIVE_PER_REMOVED - (limit - removed)
        return removed, self._place is not None and self._live_left > 0


def _remove_next_rows(connection: Any, place: int | None, limit: int) -> tuple[int, int | None]:
    """Examine the next rows by row id. Return the number removed, and the last row id if there may be more."""
    quoted = connection.ops.quote_name
    table, column = quoted(Session._meta.db_table), quoted("expires_at")
    first = -1 if place is None else place
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT rowid FROM {table} WHERE rowid > %s ORDER BY rowid LIMIT 1 OFFSET %s",  # noqa: S608
            [first, limit - 1],
        )
        row = cursor.fetchone()
        last = None if row is None else row[0]
        cursor.execute(
            f"DELETE FROM {table} NOT INDEXED WHERE rowid > %s AND rowid <= %s AND {column} <= %s",  # noqa: S608
            [first, _MOST_ROWID if last is None else last, _END.get_db_prep_value(_cutoff(), connection)],
        )
        return cursor.rowcount, last


def _remove_next_keys(connection: Any, place: Any, limit: int) -> tuple[int, Any]:
    """Examine the next rows by key. Return the number removed, and the last key if there may be more.

    A range of keys in one statement would wait for live rows that others have locked.
    """
    quoted = connection.ops.quote_name
    table, column, key = (quoted(name) for name in (Session._meta.db_table, "expires_at", "id"))
    first = Session._meta.pk.get_db_prep_value(UUID(int=0), connection) if place is None else place
    cutoff = _END.get_db_prep_value(_cutoff(), connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key}, {column} <= %s FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s",  # noqa: S608
            [cutoff, first, limit],
        )
        rows = cursor.fetchall()
        keys = [value for value, is_over in rows if is_over]
        removed = 0
        if keys:
            marks = ", ".join(["%s"] * len(keys))
            cursor.execute(
                f"DELETE FROM {table} WHERE {key} IN ({marks}) AND {column} <= %s",  # noqa: S608
                [*keys, cutoff],
            )
            removed = cursor.rowcount
    return removed, rows[-1][0] if len(rows) == limit else None


def _remove(limit: int) -> tuple[int, bool]:
    """Remove at most ``limit`` sessions. Return the number removed, and whether there may be more.

    Uses one statement if the database supports it. Locked rows are skipped.
    """
    connection = connections[database()]
    functions = {"postgresql": _remove_by_ctid, "sqlite": _remove_by_rowid, "mariadb": _remove_returning}
    at_once = functions.get(_vendor(connection))
    # If another table refers to sessions or a receiver is connected, Django's delete() must handle them.
    if at_once is not None and not has_dependents():
        try:
            removed = at_once(connection, limit)
        except IntegrityError:
            pass  # a table without a Django model refers to one of the sessions
        else:
            return removed, removed == limit
    return _remove_by_key(limit)


def _vendor(connection: Any) -> str:
    return "mariadb" if getattr(connection, "mysql_is_mariadb", False) else str(connection.vendor)


def _remove_by_key(limit: int) -> tuple[int, bool]:
    """Remove the next rows by key, except those that another table protects."""
    global _place
    rows, place = expired(), _place  # a copy, since another thread may change it
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
    """Return which of these sessions a foreign key protects from deletion."""
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
    """Delete these sessions and return their number. If some cannot be deleted, halve the batch to find the others."""
    if not keys:
        return 0
    try:
        # Expired rows are never refreshed, so the key is enough. With the date, MariaDB would scan all rows.
        with transaction.atomic(using=database()):
            counts: dict[str, int] = Session.objects.using(database()).filter(pk__in=keys).delete()[1]
        return counts.get(Session._meta.label, 0)
    except IntegrityError:  # including ProtectedError and RestrictedError
        if len(keys) == 1:
            return 0
    half = len(keys) // 2
    return _delete(keys[:half]) + _delete(keys[half:])


def _remove_by_rowid(connection: Any, limit: int) -> int:
    """Remove by row id, which takes two thirds of the time of removing by key."""
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


# PostgreSQL and MariaDB keep removed rows for a while. Each call starts where the last one ended, so that it does not
# scan them again.


def _between(connection: Any) -> list[Any]:
    """Return the lower and upper bound of ``expires_at``, as database values."""
    place = _place  # a copy, since another thread may change it
    ends = clock.to_datetime(0) if place is None else place[0], _cutoff()
    return [_END.get_db_prep_value(end, connection) for end in ends]


def _remove_by_ctid(connection: Any, limit: int) -> int:
    """Remove by ``ctid``, which is four times as fast as by key."""
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
    """Remove without selecting the keys first, which is three times as fast."""
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
