"""The user of a request whose session was verified a moment ago: loaded when an attribute is asked for."""

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
    """What is read of `jwtauth.internal.flow.Flow`, which imports this module."""

    config: Config

    @property
    def found(self) -> SessionAndUser | None: ...
    def has_moved_from(self, place: int) -> bool: ...


# An object's own ``__setattr__``, for those of Django's lazy objects go through several methods in Python.
_set = object.__setattr__


def set_up(lazy: SimpleLazyObject, find: Callable[[], Any]) -> None:  # type: ignore[type-arg]
    """Do what Django's ``__init__`` does. What that saves: see `jwtauth.internal`."""
    _set(lazy, "_setupfunc", find)
    _set(lazy, "_wrapped", empty)


class SessionUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """The user of a session that was verified within ``SESSION_CHECK_INTERVAL``, in the scope ``place``.

    Who it is and that it is signed in are known from the token; any other attribute loads the user, by the strict
    check. So does a middleware that goes to another scope, such as another tenant's database.
    """

    def __init__(self, flow: _Flow, subject: str, place: int) -> None:
        _set(self, "_jwtauth_flow", flow)
        _set(self, "_jwtauth_subject", subject)
        _set(self, "_jwtauth_place", place)
        set_up(self, lambda: AnonymousUser() if flow.found is None else flow.found.user)

    @property
    def is_authenticated(self) -> bool:
        """Known from the token until the user is loaded."""
        return True if _is_known_from_token(self) else bool(self._wrapped.is_authenticated)

    @property
    def is_anonymous(self) -> bool:
        """The opposite of `is_authenticated`."""
        return not self.is_authenticated

    @property
    def pk(self) -> Any:
        """Known from the token while ``USER_ID_FIELD`` is the primary key."""
        if _is_known_from_token(self):
            own = self.__dict__
            if own["_jwtauth_flow"].config.user_id_field in (None, "pk"):
                return get_user_model()._meta.pk.to_python(own["_jwtauth_subject"])
            self._setup()
        return self._wrapped.pk

    def __bool__(self) -> bool:
        return True


def _is_known_from_token(user: SessionUser) -> bool:
    """Return ``False`` where the user is loaded; loads them where the request has gone to another scope."""
    own = user.__dict__
    if own["_wrapped"] is empty and own["_jwtauth_flow"].has_moved_from(own["_jwtauth_place"]):
        user._setup()
    return own["_wrapped"] is empty
