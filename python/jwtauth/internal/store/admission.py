"""Who may be signed in: the user's state, the authentication backends, and the hash that changes with the password."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from secrets import token_bytes
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string


def user_can_authenticate(user: AbstractBaseUser) -> bool:
    """Whether this user may be signed in at all: active, and no authentication backend's ``user_can_authenticate``
    has a say, or one of them agrees.
    """
    if not user.is_active:
        return False
    verdict = True
    for make in _backends(tuple(settings.AUTHENTICATION_BACKENDS)):
        can_authenticate = getattr(make(), "user_can_authenticate", None)
        if can_authenticate is not None:
            verdict = can_authenticate(user)
            if verdict:
                break
    return bool(verdict)


@lru_cache(maxsize=4)
def _backends(paths: tuple[str, ...]) -> list[Callable[[], Any]]:
    """What makes a backend of each, as ``get_backends`` does, which imports them anew each time."""
    return [import_string(path) for path in paths]


def auth_hash(user: AbstractBaseUser) -> str:
    """Changes with the password; empty for user models without one."""
    if not hasattr(user, "get_session_auth_hash"):
        return ""
    kind = type(user)
    if getattr(kind, _OUTER, None) is _DJANGO_S_OUTER and getattr(kind, _INNER, None) is _DJANGO_S_INNER:
        return _auth_hashes.of(user)
    return user.get_session_auth_hash()  # a project's own may be of more than the password


def auth_hash_holds(user: AbstractBaseUser, known: str) -> bool:
    """Return whether this is the user's hash, or one by a key of ``SECRET_KEY_FALLBACKS``."""
    if constant_time_compare(known, auth_hash(user)):
        return True
    fallbacks = user.get_session_auth_fallback_hash() if hasattr(user, "get_session_auth_fallback_hash") else ()
    return any(constant_time_compare(known, fallback) for fallback in fallbacks)


# The method, and what Django's own of that name calls.
_OUTER, _INNER = "get_session_auth_hash", "_get_session_auth_hash"
_DJANGO_S_OUTER, _DJANGO_S_INNER = getattr(AbstractBaseUser, _OUTER), getattr(AbstractBaseUser, _INNER)


class _AuthHashes:
    """Django's own auth hashes of the last passwords, under one ``SECRET_KEY``.

    Found by a digest, under a key that this object alone knows: no password's hash is kept. What that saves: see
    `jwtauth.internal`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: tuple[str | bytes, dict[bytes, str]] = "", {}
        self._digest = blake2b(digest_size=16, key=token_bytes(32))

    def of(self, user: AbstractBaseUser) -> str:
        """``user.get_session_auth_hash()``."""
        secret_key, known = self._known
        if secret_key != settings.SECRET_KEY:
            _, known = self._known = settings.SECRET_KEY, {}
        digest = self._digest.copy()
        digest.update(user.password.encode(errors="surrogatepass"))
        name = digest.digest()
        auth_hash = known.get(name)
        if auth_hash is None:
            auth_hash = str(user.get_session_auth_hash())
            if len(known) >= self._capacity:
                known.clear()
            known[name] = auth_hash
        return auth_hash


_auth_hashes = _AuthHashes(10_000)
