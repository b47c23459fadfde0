"""Django's SQLite backend, which yields to the schedule before and after each statement and commit.

Such a stop may also fail the statement, before or after it took effect. The database's clock is the schedule's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from django.db.backends.sqlite3 import base

from tests.simulation import schedule

# How long a statement waits for a lock, in milliseconds of the schedule: sqlite3's default.
PATIENCE = 5_000
_SQLITE_BUSY = 5


class Cursor(base.SQLiteCursorWrapper):
    """A cursor whose statements are steps of the schedule."""

    def execute(self, query: str, params: Any = None) -> Any:
        """Execute a statement, between two stops."""
        return _stepped(query[:6].strip(), lambda: base.SQLiteCursorWrapper.execute(self, query, params))


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose statements and commits are steps of the schedule."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Open a connection that does not wait for locks itself, and whose clock is the schedule's."""
        connection = super().get_new_connection({**conn_params, "timeout": 0})
        connection.create_function("julianday", 1, schedule.julian_day)
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "wal_autocheckpoint = 10000"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor of this module."""
        return self.connection.cursor(factory=Cursor)

    def _commit(self) -> None:
        if self.connection is not None:
            _stepped("COMMIT", super()._commit)

    def _rollback(self) -> None:
        if not schedule.is_dead():  # then the closed connection has rolled back
            super()._rollback()


def _stepped(what: str, work: Callable[[], Any]) -> Any:
    _stop(f"before {what}")
    waited = 0
    while True:
        try:
            done = work()
            break
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or waited > PATIENCE:
                raise
        waited += schedule.wait_for_lock()
    _stop(f"after {what}")
    return done


def _is_busy(error: sqlite3.OperationalError) -> bool:
    """Return whether waiting helps: not if the transaction's snapshot is old, which Python 3.10 does not report."""
    code = getattr(error, "sqlite_errorcode", None)
    return str(error) == "database is locked" if code is None else code == _SQLITE_BUSY


def _stop(where: str) -> None:
    if schedule.stop(where) == schedule.FAIL:
        raise sqlite3.OperationalError("disk I/O error, by the seed")
