"""The sources of ``ACCEPT_LOGINS_OF``, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from django.utils.module_loading import import_string

from jwtauth.conf import get_config
from jwtauth.contrib.old_logins import OldLogins
from jwtauth.internal.store import clock


class Accepted(NamedTuple):
    """Hold an entry of ``ACCEPT_LOGINS_OF``. Times are Unix seconds."""

    name: str
    logins: OldLogins
    since: int
    until: int


def accepted() -> Iterator[Accepted]:
    """Return the sources whose credentials are accepted now."""
    now = clock.now()
    return (one for one in configured() if now < one.until)


def configured() -> Iterator[Accepted]:
    """Yield all sources, including those past their ``until``."""
    for name, since, until in get_config().accept_logins_of:
        yield Accepted(name, load(name), since, until)


@lru_cache(maxsize=16)
def load(name: str) -> OldLogins:
    """Return the source of this name or dotted path. Raises ``ImportError``."""
    path = name if "." in name else f"jwtauth.contrib.old_logins.{name}.Logins"
    made: OldLogins = import_string(path)()
    return made
