"""Removal of expired sessions: a few after a login or refresh, or all by the management command."""

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

from jwtauth import _engine
from jwtauth.internal.store import clock
from jwtauth.models import Session, SessionQuerySet, database, has_dependents

_log = logging.getLogger("jwtauth")

_END: Any = Session._meta.get_field("expires_at")

# The target duration in seconds of each statement of the command, and so the longest wait of other writers.
_TARGET = 0.01
_LEAST, _MOST = 100, 2_000

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
    except Exception:  # including errors of receivers, which Django would not report here
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
    """Remove at most ``limit`` sessions. Return the number removed, and whether there may be more.

    Uses one statement if the database supports it. Locked rows are skipped.
    """
    connection = connections[database()]
    vendor = "mariadb" if getattr(connection, "mysql_is_mariadb", False) else connection.vendor
    at_once = {"postgresql": _remove_by_ctid, "sqlite": _remove_by_rowid, "mariadb": _remove_returning}.get(vendor)
    # If another table refers to sessions or a receiver is connected, Django's delete() must handle them.
    if at_once is not None and not has_dependents():
        try:
            removed = at_once(connection, limit)
        except IntegrityError:
            pass  # a table without a Django model refers to one of the sessions
        else:
            return removed, removed == limit
    return _remove_by_key(limit)


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
