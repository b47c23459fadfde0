"""Telling of what a transaction has written, once it is certain."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction


def after_commit(tell: Callable[[], object], alias: str) -> None:
    """Call ``tell`` when the current transaction commits; at once outside one, and never if it is rolled back.

    What it raises is logged by Django, and harms no other callback. The transaction that Django's ``TestCase`` keeps
    around a test, and never commits, does not count, as for Django's ``durable``.
    """
    blocks = transaction.get_connection(alias).atomic_blocks
    if transaction.get_connection(alias).in_atomic_block and not (blocks and blocks[-1]._from_testcase):
        transaction.on_commit(tell, using=alias, robust=True)
    else:
        tell()
