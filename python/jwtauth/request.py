"""``request.jwtauth``: how the request was authenticated, for views."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from jwtauth import _engine
from jwtauth.internal import pending
from jwtauth.internal.pending import PendingLogin
from jwtauth.internal.store import clock

if TYPE_CHECKING:
    from jwtauth.internal.flow import Flow
    from jwtauth.internal.lazy_user import SessionUser
    from jwtauth.internal.store.sessions import SessionAndUser
    from jwtauth.models import Session


class _Flow(Protocol):
    """Declare the used part of `jwtauth.internal.flow.Flow`, which imports this module."""

    identity: _engine.Identity
    claims: _engine.Claims | None
    locked: tuple[_engine.Claims, SessionAndUser] | None
    refreshed: bool
    renewed: bool

    @property
    def lazy_user(self) -> SessionUser | None: ...
    @property
    def found(self) -> SessionAndUser | None: ...
    @property
    def user(self) -> Any: ...


class RequestAuth:
    """Give views the user, session and claims of the request's tokens, as ``request.jwtauth``.

    The first use of `is_authenticated`, `user` or `session` makes one query. Later uses make none, and neither does any
    use after a refresh.
    """

    __slots__ = ("_flow",)

    def __init__(self, flow: _Flow) -> None:
        self._flow = flow

    def __repr__(self) -> str:
        claims = self._flow.claims
        return f"<RequestAuth: session {None if claims is None else claims.session_id}>"

    @property
    def is_authenticated(self) -> bool:
        """Return whether the request's tokens identify a user."""
        return self._flow.user is not None

    @property
    def user(self) -> AbstractBaseUser | AnonymousUser | SessionUser:
        """Return the user of the tokens, or ``AnonymousUser``."""
        user: AbstractBaseUser | SessionUser | None = self._flow.user
        return AnonymousUser() if user is None else user

    @property
    def session(self) -> Session | None:
        """Return the session of the tokens, or ``None``."""
        found = self._flow.found
        return None if found is None else found.session

    @property
    def claims(self) -> _engine.Claims | None:
        """Return the claims of the access token, or ``None``. Makes no query.

        After a refresh, these are the claims of the new token.
        """
        return self._flow.claims

    @property
    def auth_time(self) -> datetime | None:
        """Return when the user last proved who they are, by the tokens of this request, or ``None``.

        Tokens that were copied before the user last did so say an earlier time.
        """
        found, claims = self._flow.found, self._flow.claims
        if found is None or claims is None or found.actor is not None:
            return None
        return clock.to_datetime(found.row.auth_time_of(claims))

    @property
    def actor(self) -> AbstractBaseUser | None:
        """Return the user who acts as this one (see `act_as`), or ``None``."""
        if self._flow.lazy_user is not None:
            return None  # such sessions are checked at every request
        found = self._flow.found
        return None if found is None or found.actor is None else found.actor.user

    @property
    def methods(self) -> frozenset[str]:
        """Return how the user has proved who they are, by the tokens of this request (``amr``, RFC 8176)."""
        claims = None if self._flow.found is None else self._flow.claims
        return frozenset() if claims is None else frozenset(claims.methods)

    @property
    def is_locked(self) -> bool:
        """Return whether the session is locked until the user authenticates again. The request is anonymous then."""
        return self._flow.locked is not None

    @property
    def refreshed(self) -> bool:
        """Return whether this request rotated the refresh token."""
        return self._flow.refreshed

    @property
    def renewed(self) -> bool:
        """Return whether this request was given a new access token, with or without a rotation."""
        return self._flow.renewed

    @property
    def pending(self) -> PendingLogin | None:
        """Return the login that waits for a second factor, or ``None``. It does not authenticate the request.

        Without one, no query is made. The first use otherwise makes one, and its ``required`` calls ``SECOND_FACTOR``.
        """
        return pending.of(cast("Flow", self._flow))

    @property
    def is_bearer(self) -> bool:
        """Return whether the request has a token in ``Authorization``. Its cookies are then ignored."""
        return self._flow.identity.is_bearer
