"""The clock: one place that asks what time it is, and goes by the database's time as far as it has been heard."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone
from types import BuiltinFunctionType
from typing import Any

from django.conf import settings
from django.db.models import FloatField, Func
from django.utils.timezone import get_default_timezone, make_naive

from jwtauth import _engine

_database_clock = _engine.DatabaseClock()


class DatabaseTime(Func):
    """The database's clock in a query, as Unix seconds with a fraction; NULL where we do not know how to ask."""

    template = "NULL"
    output_field = FloatField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP())::double precision"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Whatever the time zone of the connection is.
        return self.as_sql(compiler, connection, template="UNIX_TIMESTAMP(NOW(6))", **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((julianday('now') - 2440587.5) * 86400.0)"
        return self.as_sql(compiler, connection, template=template, **context)


def now() -> int:
    """Return Unix seconds (``NumericDate``, RFC 7519 section 2): the database's, as last heard, so that workers agree.

    In a test that travels in time, this machine's.
    """
    return local_ms() // 1000 if is_travelling() else _database_clock.now(local_ms())


def hear(asked: int, theirs: float | None) -> None:
    """Go by a `DatabaseTime` from now on, which a query brought that was begun at ``asked``, of `local_ms`."""
    if theirs is not None and not is_travelling():
        _database_clock.hear(asked=asked, answered=local_ms(), theirs=int(theirs * 1000))


def is_travelling() -> bool:
    """Return whether a test has moved this process's clock: freezegun, time-machine, or a patch of ``time.time``.

    The database's clock has not moved with it, and would undo the travel.
    """
    if type(time.time) is not BuiltinFunctionType:
        return True
    escape_hatch = getattr(sys.modules.get("time_machine"), "escape_hatch", None)
    return escape_hatch is not None and escape_hatch.is_travelling()


def local_ms() -> int:
    """Return Unix milliseconds of this machine's clock."""
    return int(time.time() * 1000)


def monotonic_ms() -> int:
    """Return milliseconds that only ever rise, but where a test travels back."""
    return local_ms() if is_travelling() else int(time.monotonic() * 1000)


def to_datetime(timestamp: int) -> datetime:
    """Return what a ``DateTimeField`` holds: aware where ``USE_TZ`` asks for it, else naive in ``TIME_ZONE``.

    In an hour that occurs twice, the naive value's ``fold`` says which is meant.
    """
    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    return moment if settings.USE_TZ else make_naive(moment, get_default_timezone())


def from_datetime(moment: datetime) -> int:
    """Return the reverse of `to_datetime`, whatever ``USE_TZ`` is now."""
    return int(as_aware(moment).timestamp())


def as_aware(moment: datetime) -> datetime:
    """Return the instant that a ``DateTimeField`` holds, with an offset also where ``USE_TZ`` is off."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=get_default_timezone())
