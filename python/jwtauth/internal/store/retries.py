"""Retries after database conflicts and after writes of concurrent requests."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, transaction

from jwtauth.exceptions import SessionContention

_T = TypeVar("_T")

# The number of attempts. A database conflict is not retried once this many seconds have passed, since each attempt may
# itself wait for a lock, as on SQLite. A lost swap has no time limit: the next decision usually needs no write.
_ATTEMPTS = 6
_PATIENCE = 3.0

# Before attempt n, pause for a random time up to this many seconds times 2**n, so that colliding requests spread out.
_PAUSE = 0.004

# Serialization failure, deadlock, lock not available.
_SQLSTATES = {"40001", "40P01", "55P03"}
# MySQL and MariaDB: record changed since last read, lock wait timeout, deadlock.
_ERROR_NUMBERS = {1020, 1205, 1213}
_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6


class LostSwap(Exception):
    """Raised if another request changed the row after it was read and before it was written."""


def retry_on_conflict(work: Callable[[], _T], alias: str) -> _T:
    """Call ``work`` and return its result. Retry after a transient database error or `LostSwap`.

    Inside a transaction, database errors are raised unchanged, since only the owner of the transaction can retry.

    Raises ``SessionContention`` after six attempts, or after a database error once three seconds have passed.
    """
    started = time.monotonic()
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311 - not a secret
        try:
            return work()
        except LostSwap as error:
            cause: Exception = error
        except DatabaseError as error:
            if not is_transient(error) or transaction.get_connection(alias).in_atomic_block:
                raise
            cause = error
        if isinstance(cause, DatabaseError) and time.monotonic() - started > _PATIENCE:
            break
    raise SessionContention("the database is busy: try again", "session_contention") from cause


def is_transient(error: DatabaseError) -> bool:
    """Return whether the same statement may succeed when it is repeated."""
    cause = error.__cause__
    sqlstate = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)  # psycopg, psycopg2
    if sqlstate is not None:
        return sqlstate in _SQLSTATES
    if error.args and isinstance(error.args[0], int):  # mysqlclient
        return error.args[0] in _ERROR_NUMBERS
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (_SQLITE_BUSY, _SQLITE_LOCKED)  # the rest of an extended code says why
    return "is locked" in str(error)  # SQLite before CPython 3.11
