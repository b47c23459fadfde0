"""The lazy user of a recently verified session, who is loaded when an attribute is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.utils.functional import SimpleLazyObject, empty

if TYPE_CHECKING:
    from jwtauth.conf import Config
    from jwtauth.internal.store.sessions import SessionAndUser


class _Flow(Protocol):
    """Declare the used part of `jwtauth.internal.flow.Flow`, which imports this module."""

    config: Config

    @property
    def found(self) -> SessionAndUser | None: ...
    def has_moved_from(self, place: int) -> bool: ...


# Faster than the ``__setattr__`` of Django's lazy objects, which calls several methods in Python.
_set = object.__setattr__


def set_up(lazy: SimpleLazyObject, find: Callable[[], Any]) -> None:  # type: ignore[type-arg]
    """Initialize a lazy object as Django's ``__init__`` does. `jwtauth.internal` says what this saves."""
    _set(lazy, "_setupfunc", find)
    _set(lazy, "_wrapped", empty)


class SessionUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """Represent the user of a session verified within ``SESSION_CHECK_INTERVAL``, in the scope ``place``.

    ``pk``, ``is_authenticated`` and ``is_anonymous`` are known from the token. Any other attribute loads the user by
    the strict check. So does a switch to another scope, such as another tenant's database.
    """

    def __init__(self, flow: _Flow, subject: str, place: int) -> None:
        _set(self, "_jwtauth_flow", flow)
        _set(self, "_jwtauth_subject", subject)
        _set(self, "_jwtauth_place", place)
        set_up(self, lambda: AnonymousUser() if flow.found is None else flow.found.user)

    @property
    def is_authenticated(self) -> bool:
        """Return ``True`` from the token alone, or the loaded user's value."""
        return True if _is_known_from_token(self) else bool(self._wrapped.is_authenticated)

    @property
    def is_anonymous(self) -> bool:
        """Return the opposite of `is_authenticated`."""
        return not self.is_authenticated

    @property
    def pk(self) -> Any:
        """Return the primary key, from the token alone if ``USER_ID_FIELD`` is the primary key."""
        if _is_known_from_token(self):
            own = self.__dict__
            if own["_jwtauth_flow"].config.user_id_field in (None, "pk"):
                return get_user_model()._meta.pk.to_python(own["_jwtauth_subject"])
            self._setup()
        return self._wrapped.pk

    def __bool__(self) -> bool:
        return True


def _is_known_from_token(user: SessionUser) -> bool:
    """Return whether the user is not loaded yet. Load the user if the request has switched to another scope."""
    own = user.__dict__
    if own["_wrapped"] is empty and own["_jwtauth_flow"].has_moved_from(own["_jwtauth_place"]):
        user._setup()
    return own["_wrapped"] is empty
