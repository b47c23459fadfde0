"""``request.jwtauth``: what views may read of a request's authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from jwtauth import _engine

if TYPE_CHECKING:
    from jwtauth.internal.lazy_user import SessionUser
    from jwtauth.internal.store.sessions import SessionAndUser
    from jwtauth.models import Session


class _Flow(Protocol):
    """What is read of `jwtauth.internal.flow.Flow`, which imports this module."""

    identity: _engine.Identity
    claims: _engine.Claims | None
    was_asked: bool
    refreshed: bool
    renewed: bool

    @property
    def found(self) -> SessionAndUser | None: ...
    @property
    def lazy_user(self) -> SessionUser | None: ...


class RequestAuth:
    """Who made this request, by its tokens."""

    __slots__ = ("_flow",)

    def __init__(self, flow: _Flow) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        claims = self._flow.claims
        return f"<RequestAuth: session {None if claims is None else claims.session_id}>"

    @property
    def is_authenticated(self) -> bool:
        """Whether a user is signed in by the request's tokens."""
        self._flow.was_asked = True
        return self._flow.lazy_user is not None or self._flow.found is not None

    @property
    def user(self) -> AbstractBaseUser | AnonymousUser | SessionUser:
        """The user, or ``AnonymousUser``."""
        self._flow.was_asked = True
        user = self._flow.lazy_user
        if user is not None:
            return user
        found = self._flow.found
        return AnonymousUser() if found is None else found.user

    @property
    def session(self) -> Session | None:
        """The session, or ``None``."""
        found = self._flow.found
        return None if found is None else found.session

    @property
    def claims(self) -> _engine.Claims | None:
        """The claims of the access token in force, which for a refreshed request is the new one. Asks no database."""
        return self._flow.claims

    @property
    def refreshed(self) -> bool:
        """Whether this request has rotated the refresh token."""
        return self._flow.refreshed

    @property
    def renewed(self) -> bool:
        """Whether this request got a new access token, by a rotation or without one."""
        return self._flow.renewed

    @property
    def is_bearer(self) -> bool:
        """Whether the request names an access token by ``Authorization: Bearer``; its cookies are not looked at."""
        return self._flow.identity.is_bearer
