"""Callbacks after a commit."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction


def after_commit(tell: Callable[[], object], alias: str) -> None:
    """Call ``tell`` when the current transaction commits, or immediately without one. Never call it after a rollback.

    Django logs its exceptions and still runs other callbacks. The transaction that Django's ``TestCase`` opens around
    each test does not count, as with Django's ``durable``.
    """
    connection = transaction.get_connection(alias)
    blocks = connection.atomic_blocks
    if connection.in_atomic_block and not (blocks and blocks[-1]._from_testcase):
        transaction.on_commit(tell, using=alias, robust=True)
    else:
        tell()
