"""Sessions started, replaced and ended by a request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest

from jwtauth import _engine
from jwtauth.exceptions import TokenError
from jwtauth.internal import tokens
from jwtauth.internal.flow import Flow
from jwtauth.internal.refresh import refresh_by
from jwtauth.internal.store import cleanup, clock, sessions
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, database


def start(
    flow: Flow, user: AbstractBaseUser, *, remember: bool = True, lifetime: timedelta | float | None = None
) -> None:
    """Start a session of this user, as the request's, and end those that its tokens name. See `jwtauth.login`."""
    _start(flow, user, remember, lifetime=lifetime)


def replace_session(flow: Flow, user: AbstractBaseUser) -> bool:
    """Start a session in the place of the request's own. See `jwtauth.update_session_auth_hash`.

    Returns ``False`` where this request is not of a session of this user.
    """
    claims = flow.claims
    if claims is None:
        return False
    # Not by the strict check, which would miss the password that this session was started with.
    session = sessions.rows(claims.session_id, user=user.pk).first()
    if session is None or flow.config.policy.is_over(session.row(), clock.now()):
        return False
    _start(flow, user, session.remember, predecessor=session)
    return True


def end(flow: Flow) -> None:
    """End the sessions that the request's tokens name, and clear its cookies. See `jwtauth.logout`."""
    named = flow.named_sessions
    flow.end(named, "logout")
    flow.deferred.clear()
    if named and transaction.get_connection(database()).in_atomic_block:
        # Again, where the view's rollback has brought them back.
        flow.deferred.append(lambda: flow.end(named, "logout"))
    flow.refresh_claims = None
    flow.settle(None, None)
    flow.outcome = _engine.Outcome.CLEARED
    flow.refreshed = flow.renewed = False


def _start(
    flow: Flow,
    user: AbstractBaseUser,
    remember: bool,
    *,
    lifetime: timedelta | float | None = None,
    predecessor: Session | None = None,
) -> None:
    older = flow.named_sessions
    custom = tokens.custom_claims(flow.request, user, flow.config)
    before, waiting = flow.state(), list(flow.deferred)
    session, sid = sessions.start(flow.request, user, flow.config.policy, remember, lifetime, predecessor, older)
    is_certain = not transaction.get_connection(database()).in_atomic_block
    if is_certain:  # before the tokens are set: where it fails, so does the login, and the response sets none
        flow.end(older, "replaced")
    flow.deferred.clear()
    flow.set_tokens(SessionAndUser(session, user), sid, custom)
    if not is_certain:
        # The view may yet roll back, and then this login never was: what it replaces ends when it is certain.
        flow.deferred.append(lambda: _settle_start(flow, session, older, before, waiting))
    if cleanup.is_due():
        flow.deferred.append(cleanup.remove_batch)


def _settle_start(
    flow: Flow,
    session: Session,
    older: set[object],
    before: dict[str, Any],
    waiting: list[Callable[[], None]],
) -> None:
    """End what the login replaced, or put back what was before it, with what waited then: also a login or a logout of
    the same transaction.
    """
    if sessions.rows(session.pk).exists():
        flow.end(older, "replaced")
    else:
        flow.restore(before)
        flow.deferred[:0] = waiting


def start_token_session(
    request: HttpRequest, user: AbstractBaseUser, lifetime: timedelta | float | None = None
) -> _engine.Grant:
    """Start a session of this user for a client that stores its tokens itself. The request's own session stays."""
    flow = Flow(request)
    custom = tokens.custom_claims(request, user, flow.config)
    session, sid = sessions.start(request, user, flow.config.policy, remember=True, lifetime=lifetime)
    grant = flow.set_tokens(SessionAndUser(session, user), sid, custom)
    _remove_expired(flow)
    return grant


def exchange_refresh_token(request: HttpRequest, refresh_token: str) -> _engine.Grant | None:
    """Decide on a refresh token in the request's body by the rotation table; ``None``: it is not valid.

    No proxy holds back a token that is the body, so this request is never an upload.
    """
    flow = Flow(request)
    try:
        claims = flow.config.tokens.verify(_engine.TokenKind.REFRESH, refresh_token, clock.now())
    except TokenError:
        return None
    refresh_by(flow, claims)
    _remove_expired(flow)
    return flow.grant


def _remove_expired(flow: Flow) -> None:
    if cleanup.is_due():
        cleanup.remove_batch()
    flow.deferred.clear()
