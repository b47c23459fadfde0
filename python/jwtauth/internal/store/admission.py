"""Who may be signed in: the user's state, the authentication backends, and the hash that changes with the password."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from secrets import token_bytes
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from jwtauth.conf import django_setting

_log = logging.getLogger("jwtauth")


def backend_of(user: AbstractBaseUser) -> str:
    """Return the path of the authentication backend that has signed this user in, or ``""`` where it is not known.

    Django's ``authenticate`` leaves it on the user. A path that is not in ``AUTHENTICATION_BACKENDS`` says nothing.
    """
    path = getattr(user, "backend", "")
    return path if isinstance(path, str) and path in settings.AUTHENTICATION_BACKENDS else ""


def user_can_authenticate(user: AbstractBaseUser, backend: str = "") -> bool:
    """Return whether this user may be signed in by the backend of this path.

    A backend's own ``user_can_authenticate`` decides; for one that has none, the user must be active. Where the
    backend is not known, the user must be active, and of the backends that have a say, one must agree.
    """
    paths = settings.AUTHENTICATION_BACKENDS
    if backend:
        made = _make(backend) if backend in paths else None
        return made is not None and _agrees(made, user)
    return is_active(user) and _one_agrees(paths, user)


def admit(user: AbstractBaseUser, backend: str) -> Any:
    """Return the user of a session that the backend of this path has started, or ``None``, as Django's session does.

    The ``user`` is the one that the user model's default manager finds. A backend with a ``get_user`` of its own is
    asked for the user in its place. Where the backend is not known, and each backend has a ``get_user`` of its own, the
    first of them that finds the user counts.
    """
    paths = django_setting("AUTHENTICATION_BACKENDS")
    path = backend or next(iter(paths), "")
    if path in paths and _is_django_s(path):
        return user if is_active(user) else None
    if not backend:
        if not is_active(user) or not _one_agrees(paths, user):
            return None
        return user if _is_model_backend_among(paths) else _first_found(paths, user)
    made = _make(backend) if backend in paths else None
    if made is None:
        return None
    method = getattr(made, "get_user", None)
    found = user
    if method is not None and getattr(method, "__func__", method) not in _djangos_get_user():
        found = _ask(made, user)
    return found if found is not None and _agrees(made, found) else None


# Of a class of backends: what decides whom a backend admits, and how one is made.
_admission_of = attrgetter("user_can_authenticate", "get_user", "__init__", "__new__", "__getattribute__")


def _is_django_s(path: str) -> bool:
    """Return whether the backend admits whom Django's `ModelBackend` does, so that none need be made and asked."""
    try:
        return bool(_admission_of(_imported(path)) == _of_model_backend())
    except AttributeError:
        return False


@lru_cache(maxsize=1)
def _of_model_backend() -> Any:
    from django.contrib.auth.backends import ModelBackend

    _djangos_get_user()  # so that what is replaced later is told from it as well
    return _admission_of(ModelBackend)


def is_active(user: AbstractBaseUser) -> bool:
    """Return whether the user is active; as for Django, user models need not have the field."""
    return bool(getattr(user, "is_active", True))


def _agrees(backend: Any, user: AbstractBaseUser) -> bool:
    can_authenticate = getattr(backend, "user_can_authenticate", is_active)
    return bool(can_authenticate(user))


def _one_agrees(paths: Sequence[str], user: AbstractBaseUser) -> bool:
    """Return whether one of the backends that have a say agrees, or none of them has a say."""
    verdict = True
    for path in paths:
        can_authenticate = getattr(_make(path), "user_can_authenticate", None)
        if can_authenticate is not None:
            verdict = can_authenticate(user)
            if verdict:
                break
    return bool(verdict)


def _is_model_backend_among(paths: Sequence[str]) -> bool:
    """Return whether a class among the backends leaves it to Django's `ModelBackend` who the user is."""
    of_model_backend = _djangos_get_user()[0]
    return of_model_backend in [getattr(_imported(path), "get_user", None) for path in paths]


def _first_found(paths: Sequence[str], user: AbstractBaseUser) -> Any:
    """Return the object of the first backend that finds the user, or this user if no backend finds any."""
    of_model_backend, of_base = _djangos_get_user()
    finders = []
    for made in map(_make, paths):
        method = getattr(made, "get_user", None)
        function = getattr(method, "__func__", method)
        if function is of_model_backend:
            return user
        if function is not None and function is not of_base:
            finders.append(made)
    if not finders:
        return user
    found = next((found for made in finders if (found := _ask(made, user)) is not None), None)
    return found if found is not None and is_active(found) else None


@lru_cache(maxsize=1)
def _djangos_get_user() -> tuple[Any, Any]:
    """Return the ``get_user`` of Django's `ModelBackend`, and that of its base class, which finds no user.

    Their module needs the user model, so it is imported when a session is looked up, not with ``jwtauth.models``.
    """
    from django.contrib.auth.backends import BaseBackend, ModelBackend

    return ModelBackend.get_user, BaseBackend.get_user


def _ask(backend: Any, user: AbstractBaseUser) -> Any:
    """Return the backend's own object of this user, or ``None``, also where the backend cannot be asked in this way.

    Every other error is raised on, as by Django's session: a directory that does not answer is no reason to tell
    clients that their tokens have ended.
    """
    try:
        found = backend.get_user(user.pk)
    except ObjectDoesNotExist:
        return None
    except (AttributeError, TypeError):  # one of social sign-in without its strategy
        _log.exception("%s.get_user() failed and is treated as returning None", type(backend).__qualname__)
        return None
    return found if getattr(found, "pk", None) == user.pk else None


def _make(path: str) -> Any:
    """Return a backend, or ``None`` where it cannot be made, which is logged."""
    make = _imported(path)
    try:
        return make()
    except Exception:
        _log.exception("the authentication backend %s could not be instantiated", path)
        return None


@lru_cache(maxsize=16)
def _imported(path: str) -> Callable[[], Any]:
    """Return what makes a backend; Django imports it anew each time."""
    make: Callable[[], Any] = import_string(path)
    return make


def auth_hash(user: AbstractBaseUser) -> str:
    """Changes with the password; empty for user models without one."""
    if not hasattr(user, "get_session_auth_hash"):
        return ""
    kind = type(user)
    if getattr(kind, _OUTER, None) is _DJANGO_S_OUTER and getattr(kind, _INNER, None) is _DJANGO_S_INNER:
        return _auth_hashes.of(user)
    return user.get_session_auth_hash()  # a project's own may be of more than the password


def auth_hash_holds(user: AbstractBaseUser, known: str) -> bool:
    """Return whether this is one of the user's `auth_hashes`."""
    return constant_time_compare(known, auth_hash(user)) or any(
        constant_time_compare(known, accepted) for accepted in auth_hashes(user)
    )


def auth_hashes(user: Any) -> Iterator[str]:
    """Yield the user's hash, and those by the keys of ``SECRET_KEY_FALLBACKS``, each made when it is needed."""
    yield auth_hash(user)
    if hasattr(user, "get_session_auth_fallback_hash"):
        yield from user.get_session_auth_fallback_hash()


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
        current = django_setting("SECRET_KEY")
        if secret_key != current:
            _, known = self._known = current, {}
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
