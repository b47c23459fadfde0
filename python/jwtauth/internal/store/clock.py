"""The clock: one place that asks what time it is, and goes by the database's time as far as it has been heard."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

from django.conf import settings
from django.db.models import FloatField, Func

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
    """Unix seconds (``NumericDate``, RFC 7519 section 2): the database's, as last heard, so that workers agree."""
    return _database_clock.now(local_ms())


def hear(asked: int, theirs: float | None) -> None:
    """Goes by a `DatabaseTime` from now on, which a query brought that was begun at ``asked``, of `local_ms`."""
    if theirs is not None:
        _database_clock.hear(asked=asked, answered=local_ms(), theirs=int(theirs * 1000))


def local_ms() -> int:
    """Unix milliseconds of this machine's clock."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds that only ever rise."""
    return int(time.monotonic() * 1000)


def to_datetime(timestamp: int) -> datetime:
    """What a ``DateTimeField`` of ours holds: UTC, aware where ``USE_TZ`` asks for it."""
    moment = datetime.fromtimestamp(timestamp, timezone.utc)
    return moment if settings.USE_TZ else moment.replace(tzinfo=None)


def from_datetime(moment: datetime) -> int:
    """The reverse of `to_datetime`, whatever ``USE_TZ`` is now."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp())
