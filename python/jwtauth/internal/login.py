"""Starting, replacing and ending the session of a request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest

from jwtauth import _engine
from jwtauth.exceptions import TokenError
from jwtauth.internal import binding, client_proof, django_session, loops, tokens
from jwtauth.internal.flow import Flow
from jwtauth.internal.refresh import refresh_by
from jwtauth.internal.store import cleanup, clock, sessions
from jwtauth.internal.store.admission import auth_hash, auth_hash_holds
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, database

# The request attribute for a user whom Django's login signs in before jwtauth's middleware runs.
SIGNED_IN = "_jwtauth_signed_in"


def start(
    flow: Flow,
    user: AbstractBaseUser,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    backend: str = "",
    methods: str = "",
    device_key: str | None = None,
) -> None:
    """Start a session of this user for the request, and end its previous sessions. See `jwtauth.login`."""
    request, subject = flow.request, tokens.subject_of(user, flow.config)
    before = django_session.before(request)
    predecessor = None if flow.claims is None or flow.identity.is_bearer else flow.claims.subject
    _start(
        flow,
        user,
        remember,
        before=before,
        lifetime=lifetime,
        backend=backend,
        methods=methods,
        device_key=device_key,
    )
    django_session.sign_in(request, user, subject, predecessor)


def replace_session(flow: Flow, user: AbstractBaseUser) -> bool:
    """Replace the request's session by a new one. The caller handles Django's session.

    Returns ``False`` if the request does not have a session of this user.
    """
    claims = flow.claims
    if claims is None or flow.identity.is_bearer:  # whose client reads no cookies
        return False
    if flow.resolved is not None and flow.resolved.actor is not None:
        return False
    # Without the strict check, which fails because the password has changed.
    session = sessions.rows(claims.session_id, user=user.pk).first()
    if session is None or flow.config.policy.is_over(session.row(), clock.now()):
        return False
    session.device_key = sessions.key_shown_by(session, claims.generation)
    before = django_session.before(flow.request)
    _start(flow, user, session.remember, backend=session.backend, predecessor=session, before=before)
    return True


def follow_password_change(flow: Flow) -> None:
    """Replace the session if the view called Django's ``update_session_auth_hash`` after a password change.

    Django's own views and other packages call that function. It is recognized by the auth hash that it stores in
    Django's session: the current hash of the request's user, which differs from the hash of the jwtauth session.
    """
    found, known = flow.resolved, _changed_password(flow)
    if found is None or known is None:
        return
    user = get_user_model()._default_manager.using(database()).filter(pk=found.user.pk).first()
    if user is not None and auth_hash(user) == known and not auth_hash_holds(user, found.auth_hash):
        replace_session(flow, user)


def _changed_password(flow: Flow) -> str | None:
    """Return the auth hash that this request stored in Django's session, if it differs from the session's own."""
    if flow.resolved is None or flow.claims is None or flow.identity.is_bearer:
        return None
    known = django_session.changed_password(flow.request)
    return None if known == flow.resolved.auth_hash else known


def end(flow: Flow, reason: str = "logout") -> None:
    """End the sessions of the request's tokens and clear its cookies. See `jwtauth.logout`."""
    named = flow.named_sessions
    if flow.claims is None and named:  # tokens that are refused may name a session in which another user acts
        acting = sessions.rows(*named).exclude(actor_session_id=None)
        named |= set(acting.values_list("actor_session_id", flat=True))
    flow.end(named, reason)
    flow.deferred.clear()
    if named and transaction.get_connection(database()).in_atomic_block:
        # End them again in case a rollback of the view restores them.
        flow.deferred.append(lambda: flow.end(named, reason))
    flow.refresh_claims = None
    flow.settle(None, None)
    flow.outcome = _engine.Outcome.CLEARED
    flow.refreshed = flow.renewed = False


def supersede(flow: Flow, user: AbstractBaseUser) -> None:
    """End this browser's session if Django's own login signs in another user.

    The previous user's data in Django's session is removed as well.
    """
    django_session.sign_in_elsewhere(flow.request, tokens.subject_of(user, flow.config))
    if flow.visitor is not None and flow.visitor.user.pk != user.pk:
        flow.visitor = None
    if flow.identity.is_bearer:
        return
    found = flow.found
    if found is not None and found.user.pk != user.pk:
        state, waiting = flow.state(), list(flow.deferred)
        end(flow, "replaced")
        if flow.deferred:  # in a transaction, whose rollback undoes the login
            flow.deferred[:] = [lambda: _settle_supersede(flow, found, state, waiting)]
    elif found is None and _may_withhold_cookies(flow.request):
        flow.outcome = _engine.Outcome.SUPERSEDED


def _settle_supersede(
    flow: Flow, found: SessionAndUser, state: dict[str, Any], waiting: list[Callable[[], None]]
) -> None:
    """Restore the session that Django's login ended, if a rollback has restored its row."""
    if sessions.rows(found.session_id).exists():
        flow.restore(state)
        flow.deferred[:0] = waiting


def end_for_pending(flow: Flow, user: AbstractBaseUser) -> bool:
    """End this browser's session if it is another user's, since the user is about to sign in as this one.

    Django's session is flushed as well if it belongs to another user, or if this request has signed in the user there.
    Otherwise Django's own login would admit the user with one factor. Returns whether a user was signed out.
    """
    request, subject = flow.request, tokens.subject_of(user, flow.config)
    found = None if flow.identity.is_bearer else flow.found or flow.visitor
    is_ended = found is not None and found.user.pk != user.pk
    if is_ended:
        end(flow, "replaced")
    elif found is None and not flow.identity.is_bearer and _may_withhold_cookies(request):
        flow.outcome = _engine.Outcome.SUPERSEDED
    is_flushed = not django_session.may_wait(request, user, subject)
    if is_flushed:
        flush_django_session(flow)
    return is_ended or is_flushed


def _may_withhold_cookies(request: HttpRequest) -> bool:
    """Return whether the browser may withhold the cookies of another user, after navigation by a provider's page."""
    return request.META.get("HTTP_SEC_FETCH_SITE") == "cross-site"


def flush_django_session(flow: Flow) -> None:
    """Flush Django's session, even if the view's transaction is rolled back."""
    flush_again = django_session.sign_out(flow.request)
    if flush_again is not None and transaction.get_connection(database()).in_atomic_block:
        flow.deferred.append(flush_again)


def _start(
    flow: Flow,
    user: AbstractBaseUser,
    remember: bool,
    *,
    before: django_session.Before,
    lifetime: timedelta | float | None = None,
    backend: str = "",
    methods: str = "",
    predecessor: Session | None = None,
    device_key: str | None = None,
) -> None:
    presented = None if predecessor is None else flow.claims
    older = flow.named_sessions | loops.sessions_left_behind(flow, user)
    custom = tokens.custom_claims(flow.request, user, flow.config)
    state, waiting = flow.state(), list(flow.deferred)
    started, sid = sessions.start(
        flow.request,
        user,
        flow.config.policy,
        remember,
        lifetime,
        predecessor,
        older,
        backend=backend,
        methods=methods,
        device_key=device_key,
    )
    is_certain = not transaction.get_connection(database()).in_atomic_block
    if is_certain:  # before the tokens are set, so that an error here fails the login
        flow.end(older, "replaced")
    flow.deferred.clear()
    not_after = None if presented is None else presented.expires_at
    flow.set_tokens(started, sid, custom, presented=presented, not_after=not_after)
    flow.offers_device = flow.config.device_bound_sessions != "off" and not started.column("device_key")
    if not is_certain:
        # The view may still roll back and undo this login, so end the replaced sessions after the commit.
        flow.deferred.append(lambda: _settle_start(flow, started, older, state, waiting, before))
    cleanup.remove_after(flow.request)


def _settle_start(
    flow: Flow,
    started: SessionAndUser,
    older: set[object],
    state: dict[str, Any],
    waiting: list[Callable[[], None]],
    before: django_session.Before,
) -> None:
    """End the replaced sessions, or restore the state before the login if it was rolled back.

    The restored state includes the deferred work of an earlier login or logout in the same transaction.
    """
    if sessions.rows(started.session_id).exists():
        flow.end(older, "replaced")
    else:
        flow.restore(state)
        django_session.restore(flow.request, before)
        flow.deferred[:0] = waiting


def start_token_session(
    request: HttpRequest,
    user: AbstractBaseUser,
    lifetime: timedelta | float | None = None,
    backend: str = "",
    methods: str = "",
    device_key: str | None = None,
) -> _engine.Grant:
    """Start a session for a client that stores its tokens itself. The request's own session is kept."""
    flow = Flow(request)
    custom = tokens.custom_claims(request, user, flow.config)
    started, sid = sessions.start(
        request,
        user,
        flow.config.policy,
        remember=True,
        lifetime=lifetime,
        backend=backend,
        methods=methods,
        device_key=device_key,
    )
    if device_key is not None:
        binding.tell_bound(request, user, started.session)
    grant = flow.set_tokens(started, sid, custom)
    cleanup.remove_after(request)
    return grant


def exchange_refresh_token(request: HttpRequest, refresh_token: str) -> Flow | None:
    """Exchange a refresh token from the request's body by the rotation table, and return the flow with the grant.

    Without a grant, the token is refused. Returns ``None`` if it is invalid. Such a request is never treated as an
    upload, since the token is itself the body. Raises ``ProofRefused`` if its header ``DPoP`` is not valid.
    """
    flow = Flow(request)
    flow.identity = client_proof.identify(request)
    claims = _refresh_claims(flow, refresh_token)
    if claims is not None:
        refresh_by(flow, claims)
    return None if claims is None else flow


def _refresh_claims(flow: Flow, refresh_token: str) -> _engine.Claims | None:
    try:
        return flow.config.tokens.verify(_engine.TokenKind.REFRESH, refresh_token, clock.now())
    except TokenError:
        return None
