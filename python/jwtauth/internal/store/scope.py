"""The scope of a verified session: the database, schema, user manager and host that it was verified for.

Multi-tenant sites give each tenant a database, a schema, a filtering manager or a host. The cache of verified sessions
keeps them apart. If the user model's default manager is not plain, nothing is cached, since it may filter by anything.
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
"""The scope in which nothing is cached."""

_CAPACITY = 10_000
# The longest host that is cached. A domain name has at most 253 characters.
_LONGEST_HOST = 300
_USER: Any = Session._meta.get_field("user")

_scopes: dict[tuple[Any, ...], int] = {}


def of(request: HttpRequest) -> int:
    """Return the number of the current scope of this request, or `NOWHERE`. Makes no query.

    A number identifies one scope while the process lives. Call this in the thread that makes the queries.
    """
    alias, meta = database(), request.META
    # django-tenants and similar packages set it on each thread's connection.
    schema = getattr(connections[alias], "schema_name", None)
    if (schema is not None or router.routers) and is_on_event_loop():
        return NOWHERE  # the tenant may be set in the thread that makes the queries
    manager = _USER.related_model._meta.default_manager
    key = alias, schema, manager, meta.get("HTTP_HOST") or _server(meta), meta.get("HTTP_X_FORWARDED_HOST")
    number = _scopes.get(key)
    return _add(key) if number is None else number


def is_on_event_loop() -> bool:
    """Return whether this runs on an event loop, where queries are not allowed."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _server(meta: Mapping[str, Any]) -> str:
    """Return the host that ``request.get_host()`` uses for an HTTP/1.0 request without ``Host``."""
    name, port = meta.get("SERVER_NAME"), meta.get("SERVER_PORT")
    return str(name) if port in ("80", "443") else f"{name}:{port}"


def _add(key: tuple[Any, ...]) -> int:
    _alias, _schema, manager, *hosts = key
    if not is_plain(manager) or any(len(str(host)) > _LONGEST_HOST for host in hosts):
        return NOWHERE
    if len(_scopes) >= _CAPACITY:  # every session is then verified again
        _scopes.clear()
    # Random numbers are unique without a lock, which a fork could leave held.
    return _scopes.setdefault(key, 1 + randbelow(2**63))
