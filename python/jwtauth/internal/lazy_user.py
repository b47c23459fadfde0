"""The lazy user of a recently verified session, who is loaded when an attribute is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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


# Faster than the methods of Django's lazy objects, which call each other in Python.
_get, _set, _new = object.__getattribute__, object.__setattr__, object.__new__
_Lazy = TypeVar("_Lazy", bound=SimpleLazyObject)  # type: ignore[type-arg]  # not subscriptable at run time


def lazy_object(kind: type[_Lazy], find: Callable[[], Any]) -> _Lazy:
    """Return a new lazy object of a class whose ``_wrapped`` is ``empty``. `jwtauth.internal` says what this saves."""
    lazy = _new(kind)
    _set(lazy, "_setupfunc", find)
    return lazy


def state_of(lazy: SimpleLazyObject) -> dict[str, Any]:  # type: ignore[type-arg]
    """Return the attributes of the lazy object itself."""
    own: dict[str, Any] = _get(lazy, "__dict__")
    return own


class SessionUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """Represent the user of a session verified within ``SESSION_CHECK_INTERVAL``, in the scope ``place``.

    ``pk``, ``is_authenticated`` and ``is_anonymous`` are known from the token. Any other attribute loads the user by
    the strict check. So does a switch to another scope, such as another tenant's database.
    """

    _wrapped: Any = empty

    def __init__(self, flow: _Flow, subject: str, place: int) -> None:
        _set(self, "_jwtauth_flow", flow)
        _set(self, "_jwtauth_subject", subject)
        _set(self, "_jwtauth_place", place)
        _set(self, "_setupfunc", lambda: AnonymousUser() if flow.found is None else flow.found.user)

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
            own = state_of(self)
            if own["_jwtauth_flow"].config.user_id_field in (None, "pk"):
                return get_user_model()._meta.pk.to_python(own["_jwtauth_subject"])
            self._setup()
        return self._wrapped.pk

    def __bool__(self) -> bool:
        return True


def _is_known_from_token(user: SessionUser) -> bool:
    """Return whether the user is not loaded yet. Load the user if the request has switched to another scope."""
    own = state_of(user)
    if "_wrapped" in own:
        return False
    if own["_jwtauth_flow"].has_moved_from(own["_jwtauth_place"]):
        user._setup()
    return "_wrapped" not in own
