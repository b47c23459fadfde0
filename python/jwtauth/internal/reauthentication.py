"""Authenticating the user of a session again."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from jwtauth import _engine
from jwtauth.exceptions import TokenError
from jwtauth.internal import client_proof, tokens
from jwtauth.internal.flow import Flow, security_log
from jwtauth.internal.refresh import end_reused, warn
from jwtauth.internal.store import clock, sessions
from jwtauth.internal.store.commits import after_commit
from jwtauth.internal.store.retries import LostSwap, retry_on_conflict
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import database
from jwtauth.signals import session_reauthenticated


def reauthenticate(flow: Flow, user: AbstractBaseUser, methods: list[str]) -> _engine.Grant:
    """Write that the user has authenticated again, and set new tokens. See `jwtauth.reauthenticate`."""
    presented = _presented(flow)
    state, waiting = flow.state(), list(flow.deferred)
    custom = tokens.custom_claims(flow.request, user, flow.config)  # before the write, since it may fail
    found, may_offer = retry_on_conflict(lambda: _write(flow, presented, user, methods), database())
    # A client that stores its tokens itself gets them from the view; its response sets no cookie.
    granting = Flow(flow.request) if flow.identity.is_bearer else flow
    grant = granting.set_tokens(found, presented.sid, custom)
    granting.offers_device |= may_offer  # by a login in the same request, too
    flow.settle(found, grant.access)
    flow.refusal, flow.locked = None, None
    flow.config.verified.forget(found.session_id)
    if transaction.get_connection(database()).in_atomic_block:
        flow.deferred.append(lambda: _settle(flow, found, state, waiting))
    session = found.session

    def tell() -> None:
        sessions.log_event("session_reauthenticated", session)
        session_reauthenticated.send_robust(
            type(session), request=flow.request, user=user, session=session, methods=methods
        )

    after_commit(tell, database())
    return grant


def present(flow: Flow, refresh_token: str) -> None:
    """Let a refresh token from the request's body name the session, also a locked one. Ends the session of a copy.

    Raises ``ProofRefused`` if the request has a header ``DPoP`` that is not valid.
    """
    flow.identity = client_proof.identify(flow.request)
    try:
        claims = flow.config.tokens.verify(_engine.TokenKind.REFRESH, refresh_token, clock.now())
    except TokenError:
        return
    found = sessions.find(claims.session_id)
    if found is None:
        return
    decision = flow.config.site.refresh(flow.identity, claims, found.row, now=clock.now())
    if decision.code == "refresh_token_reused":
        end_reused(flow, found, claims.generation)
    elif decision.admits or decision.code == "session_locked":
        flow.locked = claims, found


def _presented(flow: Flow) -> _engine.Claims:
    """Return the claims of a token of the session."""
    if flow.locked is not None:
        return flow.locked[0]
    if flow.found is None or flow.claims is None:
        raise PermissionDenied(_("Sign in first."))
    return flow.claims


def _write(
    flow: Flow, presented: _engine.Claims, user: AbstractBaseUser, methods: list[str]
) -> tuple[SessionAndUser, bool]:
    """Write the row by compare-and-swap. Return it, and whether the browser may be offered to bind the session.

    Raises `LostSwap` if another request changed the row in between.
    """
    found = sessions.find(presented.session_id)
    if found is None or found.user.pk != user.pk or found.session.actor_session_id is not None:
        raise PermissionDenied(_("This is not the user who is signed in."))
    now = clock.now()
    shown = found.row.as_shown_by(presented.generation)
    row = flow.config.policy.reauthenticate(shown, now)
    if row is None:
        raise PermissionDenied(_("Sign in first."))
    amr = _engine.stored_methods([*found.session.amr.split(), *methods])
    may_offer = flow.config.device_bound_sessions != "off" and flow.config.site.may_offer(found.session_id, shown, now)
    if shown.needs_device != found.row.needs_device:
        if not sessions.unbind(found):
            raise LostSwap
        warn("session_unbound", found, presented.generation)
    if not sessions.advance(found, row, amr=amr):
        raise LostSwap
    return SessionAndUser(found.session, found.user), may_offer


def _settle(flow: Flow, found: SessionAndUser, state: dict[str, Any], waiting: list[Any]) -> None:
    """Take the new tokens back if the view's transaction was rolled back."""
    if not sessions.rows(found.session_id, auth_time__gte=found.session.auth_time).exists():
        security_log.info("the authentication of session %s was rolled back", found.session_id)
        flow.restore(state)
        flow.deferred[:0] = waiting
