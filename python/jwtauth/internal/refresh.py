"""The refresh of a session: deciding on a refresh token, writing, logging and sending signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from django.dispatch import Signal

from jwtauth import _engine
from jwtauth.internal import acting, activity, tokens
from jwtauth.internal.flow import Flow, acknowledge, note_seen, security_log
from jwtauth.internal.store import cleanup, clock, sessions
from jwtauth.internal.store.retries import LostSwap, retry_on_conflict
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, database
from jwtauth.signals import late_upload, refresh_token_reused, session_refreshed

_REUSED, _LATE_UPLOAD, _LOCKED, _UNBIND = "refresh_token_reused", "late_upload", "session_locked", "unbind"
UNPROVEN = "device_proof_required"


class Decided(NamedTuple):
    """Hold a decision on a refresh token that has been written, and its inputs."""

    decision: _engine.Decision
    found: SessionAndUser
    custom: str | None
    """The custom claims of the access token."""
    asked: _engine.Asked | None
    """The query's entry in the cache of verified sessions, if the cache is in use."""


def refresh(flow: Flow) -> None:
    """Decide on the request's refresh token, if there is one to decide on, and write the result.

    Raises ``SessionContention`` if every attempt met a conflict. Raises ``CrossOriginRefused`` if, after ended sessions
    are ignored, the tokens of one user remain and the request's origin may not use them.
    """
    if flow.identity.is_disputed:
        flow.settle_dispute()
    claims, flow.refresh_claims = flow.refresh_claims, None
    if claims is not None:
        refresh_by(flow, claims)


def refresh_by(flow: Flow, claims: _engine.Claims) -> None:
    """Decide on a refresh token with these claims, and write the result as `refresh` does."""
    decided = retry_on_conflict(lambda: _decide(flow, claims), database())
    if decided is not None:
        _apply(flow, claims, decided)


def _decide(flow: Flow, claims: _engine.Claims) -> Decided | None:
    """Read the row, decide, and write the row.

    Raises `LostSwap` if another request changed the row in between. The next decision then usually needs no write.
    """
    asked = flow.asking(claims)
    found = sessions.find(claims.session_id)
    if found is None or (found.actor is not None and not acting.is_allowed(found.actor.user, found.user)):
        return None
    no_activity = activity.is_none(flow.request)
    decision = flow.config.site.refresh(flow.identity, claims, found.row, no_activity=no_activity, now=clock.now())
    # Before any write, so that an error of ACCESS_TOKEN_CLAIMS does not sign the user out.
    custom = tokens.custom_claims(flow.request, found.user, flow.config) if decision.admits else None
    if decision.next is not None and not sessions.advance(found, decision.next):
        raise LostSwap
    if decision.code == _UNBIND and not sessions.unbind(found):
        raise LostSwap
    return Decided(decision, found, custom, asked)


def _apply(flow: Flow, claims: _engine.Claims, decided: Decided) -> None:
    decision, found, custom, asked = decided
    if decision.code == _REUSED:
        end_reused(flow, found, claims.generation)
        return
    if decision.warning is not None:
        warn(decision.warning, found, claims.generation)
    if decision.code == _LATE_UPLOAD:
        flow.refusal = _LATE_UPLOAD
        late_upload.send_robust(Session, request=flow.request, user=found.user, session=found.session)
    if decision.code == _LOCKED:
        flow.refusal, flow.locked = _LOCKED, (claims, found)
    if decision.code == UNPROVEN:
        flow.refusal, flow.unproven = UNPROVEN, (claims, found)
        if flow.identity.client_key is not None:  # of another client, which has a copy of the token
            warn("device_proof_failed", found, claims.generation)
    if decision.acknowledge:
        acknowledge(found.session)
    if found.row.generation == 1 and decision.admits:
        note_seen(found)
    if not decision.admits:
        return
    flow.set_tokens(found, claims.sid, custom, decision, presented=claims)
    flow.note_refresh()
    flow.remember(asked, is_acknowledged=found.column("acknowledged_at") is not None)
    if decision.code in ("rotate", "rotate_idle"):
        refreshed(flow, found)


def refreshed(flow: Flow, found: SessionAndUser) -> None:
    """Tell that the session was refreshed."""
    flow.refreshed = True
    sessions.log_event("session_refreshed", found)
    if session_refreshed.has_listeners(Session):
        session_refreshed.send_robust(Session, request=flow.request, user=found.user, session=found.session)
    cleanup.remove_after(flow.request)


def end_reused(flow: Flow, found: SessionAndUser, presented: int) -> None:
    """End the session of a copied token. See `end_stolen`.

    ``presented`` is the generation of the token, or 0 for the credential of another package that started the session.
    """
    end_stolen(flow, found, "reused", refresh_token_reused, lambda: warn(_REUSED, found, presented))


def end_stolen(flow: Flow, found: SessionAndUser, reason: str, signal: Signal, log: Callable[[], None]) -> None:
    """End the session of copied tokens, or every session of the user if ``REUSE_ENDS_ALL_SESSIONS`` is set.

    Only the request that ended the session logs it and sends the signal, so that one theft is one event.
    """
    session = found.session
    flow.settle(None, None)
    if not session.end(reason, request=flow.request):
        return
    log()
    if found.actor is not None:  # whose session the copied token could have been exchanged for
        found.actor.session.end(reason, request=flow.request)
    try:
        if flow.config.reuse_ends_all_sessions:
            Session.objects.of(found.user).end(reason, request=flow.request)
    finally:  # even if that fails, since the next request does not find the session
        signal.send_robust(Session, request=flow.request, user=found.user, session=session)


def warn(event: str, found: SessionAndUser, presented: int) -> None:
    """Log a warning about an unexpected refresh token, of the generation ``presented``."""
    session, current = found.session, found.row.generation  # as found, before an adoption changed it
    security_log.warning(
        "%s: session %s of user %s, presented generation %d, current %d",
        event,
        session.pk,
        session.user_id,
        presented,
        current,
        extra={
            "event": event,
            "session_id": str(session.pk),
            "user_id": str(session.user_id),
            "presented": presented,
            "current": current,
        },
    )
