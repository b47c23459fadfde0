"""The clock of jwtauth, which follows the database's clock so that all workers agree."""

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
    """Select the time of the database as fractional Unix seconds, or ``NULL`` on unknown databases."""

    template = "NULL"
    output_field = FloatField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP())::double precision"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Independent of the time zone of the connection.
        return self.as_sql(compiler, connection, template="UNIX_TIMESTAMP(NOW(6))", **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((julianday('now') - 2440587.5) * 86400.0)"
        return self.as_sql(compiler, connection, template=template, **context)


def now() -> int:
    """Return the database's time in Unix seconds (``NumericDate``, RFC 7519 section 2), estimated without a query.

    In a test that travels in time, returns the time of this machine.
    """
    local = local_ms()
    return local // 1000 if is_travelling() else _database_clock.now(local)


def hear(asked: int, reported: float | None) -> None:
    """Adjust the clock to the `DatabaseTime` that a query returned. ``asked`` is `local_ms` before the query."""
    if reported is not None and not is_travelling():
        _database_clock.hear(asked, local_ms(), int(reported * 1000))


def is_travelling() -> bool:
    """Return whether a test has moved this process's clock: freezegun, time-machine, or a patch of ``time.time``.

    The database's clock does not move with it and must then be ignored.
    """
    if type(time.time) is not BuiltinFunctionType:
        return True
    time_machine = sys.modules.get("time_machine")
    if time_machine is None:
        return False
    escape_hatch = getattr(time_machine, "escape_hatch", None)
    return escape_hatch is not None and escape_hatch.is_travelling()


def local_ms() -> int:
    """Return the time of this machine in Unix milliseconds."""
    return int(time.time() * 1000)


def monotonic_ms() -> int:
    """Return monotonic milliseconds. In a test that travels in time, return `local_ms`."""
    return local_ms() if is_travelling() else int(time.monotonic() * 1000)


def to_datetime(timestamp: int) -> datetime:
    """Return the value for a ``DateTimeField``: aware if ``USE_TZ`` is on, else naive in ``TIME_ZONE``.

    In an hour that occurs twice, ``fold`` distinguishes naive values.
    """
    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    return moment if settings.USE_TZ else make_naive(moment, get_default_timezone())


def from_datetime(moment: datetime) -> int:
    """Return the Unix seconds of an aware or naive value. The inverse of `to_datetime`."""
    return int(as_aware(moment).timestamp())


def as_aware(moment: datetime) -> datetime:
    """Return the value of a ``DateTimeField`` as an aware datetime, even if ``USE_TZ`` is off."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=get_default_timezone())
