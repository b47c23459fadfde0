"""Where the database's answer about a session holds: which database, which schema, which users, for which host.

Sites of several tenants give each of them a database, a schema, a manager that filters, or a host. What this process
remembers of a session is for one such scope. A manager that is not plain may filter by anything, so nothing is
remembered where the user model has one by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from secrets import randbelow
from typing import Any

from django.db import connections, router
from django.http import HttpRequest

from jwtauth.internal.store.prepared import is_plain
from jwtauth.models import Session, database

NOWHERE = 0
"""The scope in which nothing is remembered."""

_CAPACITY = 10_000
# The longest host that is remembered: a domain name has 253 characters.
_LONGEST_HOST = 300
_USER: Any = Session._meta.get_field("user")

_scopes: dict[tuple[Any, ...], int] = {}


def of(request: HttpRequest) -> int:
    """Return the number of the scope that this request is in now, or `NOWHERE`. Asks no database.

    A number stands for one scope as long as the process lives. Call it in the thread that would ask the database.
    """
    alias, meta = database(), request.META
    # As django-tenants and the packages of its kind set it on each thread's connection.
    schema = getattr(connections[alias], "schema_name", None)
    if (schema is not None or router.routers) and is_on_event_loop():
        return NOWHERE  # the tenant may be that of the thread in which the request's queries run
    manager = _USER.related_model._meta.default_manager
    key = alias, schema, manager, meta.get("HTTP_HOST") or _server(meta), meta.get("HTTP_X_FORWARDED_HOST")
    number = _scopes.get(key)
    return _add(key) if number is None else number


def is_on_event_loop() -> bool:
    """Return whether this is async code, which may not ask the database."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _server(meta: Mapping[str, Any]) -> str:
    """Return what ``request.get_host()`` goes by where a request of HTTP/1.0 names no host."""
    name, port = meta.get("SERVER_NAME"), meta.get("SERVER_PORT")
    return str(name) if port in ("80", "443") else f"{name}:{port}"


def _add(key: tuple[Any, ...]) -> int:
    _alias, _schema, manager, *hosts = key
    if not is_plain(manager) or any(len(str(host)) > _LONGEST_HOST for host in hosts):
        return NOWHERE
    if len(_scopes) >= _CAPACITY:  # then the database is asked about every session again
        _scopes.clear()
    # At random, so that no number is given twice, and without a lock, which a fork could leave held.
    return _scopes.setdefault(key, 1 + randbelow(2**63))
