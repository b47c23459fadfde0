"""Whether a user may be signed in, by their state, the authentication backends and their session auth hash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from secrets import compare_digest, token_bytes
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from jwtauth.conf import django_setting

_log = logging.getLogger("jwtauth")


def backend_of(user: AbstractBaseUser) -> str:
    """Return the path of the backend that authenticated this user, or ``""`` if it is unknown.

    Django's ``authenticate`` sets it on the user. A path that is not in ``AUTHENTICATION_BACKENDS`` is ignored.
    """
    path = getattr(user, "backend", "")
    return path if isinstance(path, str) and path in settings.AUTHENTICATION_BACKENDS else ""


def user_can_authenticate(user: AbstractBaseUser, backend: str = "") -> bool:
    """Return whether this user may be signed in by the backend of this path.

    The backend's ``user_can_authenticate`` decides. If it has none, the user must be active. If the backend is unknown,
    the user must be active, and one of the backends with ``user_can_authenticate`` must agree, if there are any.
    """
    paths = settings.AUTHENTICATION_BACKENDS
    if backend:
        made = _make(backend) if backend in paths else None
        return made is not None and _agrees(made, user)
    return is_active(user) and _one_agrees(paths, user)


def admit(user: AbstractBaseUser, backend: str) -> Any:
    """Return the user of a session started by the backend of this path, or ``None``, as Django's session does.

    ``user`` is the user found by the user model's default manager. If the backend overrides ``get_user``, its result
    replaces that user. If the backend is unknown and every backend overrides ``get_user``, the first one that finds the
    user counts.
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


# The attributes of a backend class that decide whom it admits and how it is instantiated.
_admission_of = attrgetter("user_can_authenticate", "get_user", "__init__", "__new__", "__getattribute__")


def _is_django_s(path: str) -> bool:
    """Return whether the backend admits the same users as Django's `ModelBackend`, so that it need not be asked."""
    try:
        return bool(_admission_of(_imported(path)) == _of_model_backend())
    except AttributeError:
        return False


@lru_cache(maxsize=1)
def _of_model_backend() -> Any:
    from django.contrib.auth.backends import ModelBackend

    _djangos_get_user()  # remember the original, in case it is replaced later
    return _admission_of(ModelBackend)


def is_active(user: AbstractBaseUser) -> bool:
    """Return whether the user is active. As in Django, user models may lack the field."""
    return bool(getattr(user, "is_active", True))


def _agrees(backend: Any, user: AbstractBaseUser) -> bool:
    can_authenticate = getattr(backend, "user_can_authenticate", is_active)
    return bool(can_authenticate(user))


def _one_agrees(paths: Sequence[str], user: AbstractBaseUser) -> bool:
    """Return whether a backend with ``user_can_authenticate`` agrees, or no backend has it."""
    verdict = True
    for path in paths:
        can_authenticate = getattr(_make(path), "user_can_authenticate", None)
        if can_authenticate is not None:
            verdict = can_authenticate(user)
            if verdict:
                break
    return bool(verdict)


def _is_model_backend_among(paths: Sequence[str]) -> bool:
    """Return whether one of the backends inherits ``get_user`` from Django's `ModelBackend`."""
    of_model_backend = _djangos_get_user()[0]
    return of_model_backend in [getattr(_imported(path), "get_user", None) for path in paths]


def _first_found(paths: Sequence[str], user: AbstractBaseUser) -> Any:
    """Return the user of the first backend that finds one, or this user if no backend has a ``get_user``."""
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
    """Return the ``get_user`` of Django's `ModelBackend` and of its base class, which finds no user.

    Their module needs the user model, so it cannot be imported together with ``jwtauth.models``.
    """
    from django.contrib.auth.backends import BaseBackend, ModelBackend

    return ModelBackend.get_user, BaseBackend.get_user


def _ask(backend: Any, user: AbstractBaseUser) -> Any:
    """Return the backend's user object, or ``None`` if it finds none or cannot be called with a primary key.

    Other errors are raised, as by Django's session: an unreachable directory must not make tokens invalid.
    """
    try:
        found = backend.get_user(user.pk)
    except ObjectDoesNotExist:
        return None
    except (AttributeError, TypeError):  # for example a social-auth backend without its strategy
        _log.exception("%s.get_user() failed and is treated as returning None", type(backend).__qualname__)
        return None
    return found if getattr(found, "pk", None) == user.pk else None


def _make(path: str) -> Any:
    """Return an instance of the backend, or log the error and return ``None``."""
    make = _imported(path)
    try:
        return make()
    except Exception:
        _log.exception("the authentication backend %s could not be instantiated", path)
        return None


@lru_cache(maxsize=16)
def _imported(path: str) -> Callable[[], Any]:
    """Return the backend class. Cached, since Django's ``load_backend`` resolves it each time."""
    make: Callable[[], Any] = import_string(path)
    return make


def auth_hash(user: AbstractBaseUser) -> str:
    """Return the user's session auth hash, which changes with the password, or ``""`` if the user model has none."""
    kind = type(user)
    if getattr(kind, _OUTER, None) is _DJANGO_S_OUTER and getattr(kind, _INNER, None) is _DJANGO_S_INNER:
        return _auth_hashes.of(user)
    if not hasattr(user, _OUTER):
        return ""
    return user.get_session_auth_hash()  # overridden: it may depend on more than the password


def auth_hash_holds(user: AbstractBaseUser, known: str) -> bool:
    """Return whether the hash is one of the user's `auth_hashes`."""
    return _are_equal(known, auth_hash(user)) or any(_are_equal(known, accepted) for accepted in auth_hashes(user))


def _are_equal(known: str, current: str) -> bool:
    try:
        return compare_digest(known, current)
    except TypeError:  # not ASCII
        return constant_time_compare(known, current)


def auth_hashes(user: Any) -> Iterator[str]:
    """Yield the user's auth hash, then those for each of ``SECRET_KEY_FALLBACKS``, computed lazily."""
    yield auth_hash(user)
    if hasattr(user, "get_session_auth_fallback_hash"):
        yield from user.get_session_auth_fallback_hash()


# The method, and the method that Django's implementation calls.
_OUTER, _INNER = "get_session_auth_hash", "_get_session_auth_hash"
_DJANGO_S_OUTER, _DJANGO_S_INNER = getattr(AbstractBaseUser, _OUTER), getattr(AbstractBaseUser, _INNER)


class _AuthHashes:
    """Cache Django's session auth hashes of recently seen passwords, for one ``SECRET_KEY``.

    Its keys are digests under a random key of this object, so that no password hash is kept. `jwtauth.internal` says
    what this saves.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: tuple[str | bytes, dict[bytes, str]] = "", {}
        self._digest = blake2b(digest_size=16, key=token_bytes(32))

    def of(self, user: AbstractBaseUser) -> str:
        """Return ``user.get_session_auth_hash()``, from the cache if possible."""
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
