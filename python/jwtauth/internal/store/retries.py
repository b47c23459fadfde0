"""Trying again where a database asks for it, or where another request was first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, transaction

from jwtauth.exceptions import SessionContention

_T = TypeVar("_T")

# Tried this often, and where the database asked for it, not again once this many seconds have gone: one that makes us
# wait for each answer, as SQLite does for a lock, is not asked six times over. After a lost swap the row is in a state
# that mostly needs none, however long the worker was suspended.
_ATTEMPTS = 6
_PATIENCE = 3.0

# Before attempt n, at most this many seconds times 2**n, so that those who collided do not meet again.
_PAUSE = 0.004

# Serialization failure, deadlock, lock not available.
_SQLSTATES = {"40001", "40P01", "55P03"}
# Of MySQL and MariaDB: record changed since last read, lock wait timeout, deadlock.
_ERROR_NUMBERS = {1020, 1205, 1213}
_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6


class LostSwap(Exception):
    """Another request changed the row between our reading and our writing it."""


def retry_on_conflict(work: Callable[[], _T], alias: str) -> _T:
    """What ``work`` returns. Done again where the database asks for it, or after `LostSwap`; within bounds.

    Inside a transaction only its owner can do it again, so the database's error is raised as it is.

    Raises ``SessionContention`` when the bounds are reached.
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
    """Whether the same statement may well succeed when it is repeated."""
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
