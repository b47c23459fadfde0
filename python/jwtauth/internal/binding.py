"""Sessions that are bound to a key of the user's device (Device Bound Session Credentials, ``DEVICE_BOUND_SESSIONS``).

The browser answers the offer of a login with a public key, whose private half cannot leave the device. From then on
only a proof of that key refreshes the session. The engine's ``Site`` decides. This module reads, writes and tells.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, reverse

from jwtauth import _engine
from jwtauth.conf import Config
from jwtauth.internal import acting, tokens
from jwtauth.internal.flow import Flow, security_log
from jwtauth.internal.refresh import UNPROVEN, end_stolen, refreshed
from jwtauth.internal.store import clock, sessions
from jwtauth.internal.store.commits import after_commit
from jwtauth.internal.store.retries import LostSwap, retry_on_conflict
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, database
from jwtauth.signals import device_proof_failed, session_bound

_REGISTER, _REFRESH = "device-register", "device-refresh"
# What the key may be. Each is compared with the algorithm of the proof.
_ALGORITHMS = "(ES256 RS256)"
_OFFER, _CHALLENGE = "Secure-Session-Registration", "Secure-Session-Challenge"
_PROOF, _NAMED = "HTTP_SECURE_SESSION_RESPONSE", "HTTP_SEC_SECURE_SESSION_ID"


class Answer(NamedTuple):
    """Hold the answer to a browser that registers or proves its key."""

    status: int
    body: dict[str, Any]
    challenge: str | None = None
    """The value of the header with a challenge for the next proof."""


def _refused(status: int, code: str, detail: str, challenge: str | None = None) -> Answer:
    return Answer(status, {"detail": detail, "code": code}, challenge)


def key_of_login(config: Config, is_required: bool) -> str | None:
    """Return the ``device_key`` of a session that a login with cookies starts."""
    return "" if is_required or config.device_bound_sessions == "require" else None


def offer(flow: Flow, response: HttpResponseBase) -> None:
    """Offer the browser to bind the session whose cookies this response sets, if it is a secure one."""
    found, config = flow.resolved, flow.config
    if found is None or not flow.request.is_secure() or not config.cookie_secure:
        return
    path = _path(flow.request, _REGISTER)
    if path is not None:
        challenge = config.site.offer(found.session_id, found.session.row(), clock.now())
        response.headers[_OFFER] = f'{_ALGORITHMS};path="{path}";challenge="{challenge}"'


def register(flow: Flow) -> Answer:
    """Bind the session of the request to the key in its proof. Raises ``SessionContention``."""
    first = _first(flow)
    if first is None:
        return _refused(401, "not_authenticated", "No user is signed in by cookies.")
    return retry_on_conflict(lambda: _register(flow, *first), database())


def _register(flow: Flow, claims: _engine.Claims, read: list[SessionAndUser]) -> Answer:
    found = read.pop() if read else sessions.find(claims.session_id)
    if found is None:
        return _refused(401, "not_authenticated", "No user is signed in by cookies.")
    registration = flow.config.site.register(
        found.session_id, found.row, found.session.device_key, _proof(flow) or "", clock.now()
    )
    if registration.code == "stolen":
        return _end(flow, found)
    if registration.key is None:
        security_log.info("session %s was not bound: the proof is not valid", found.session_id)
        return _refused(403, "device_proof_not_valid", "The proof, or the challenge in it, is not valid.")
    custom = tokens.custom_claims(flow.request, found.user, flow.config)
    decision = registration.decision
    if decision is not None and decision.next is not None:
        if not sessions.advance(found, decision.next, device_key=registration.key):
            raise LostSwap
        flow.deferred.clear()  # what is to be noted of the generation before
        tell_bound(flow.request, found.user, found.session)
    flow.set_tokens(found, claims.sid, custom, decision, presented=claims)
    return Answer(200, _instructions(flow, found), _challenge(flow, found))


def tell_bound(request: HttpRequest, user: AbstractBaseUser, session: Session) -> None:
    """Tell that the session was bound to a key."""

    def tell() -> None:
        sessions.log_event("session_bound", session)
        session_bound.send_robust(Session, request=request, user=user, session=session)

    after_commit(tell, database())


def refresh(flow: Flow) -> Answer:
    """Refresh the session of the request by the proof of its key. Raises ``SessionContention``."""
    first = _first(flow)
    if first is None:
        return _ended(flow)
    return retry_on_conflict(lambda: _refresh(flow, *first), database())


def _refresh(flow: Flow, claims: _engine.Claims, read: list[SessionAndUser]) -> Answer:
    found = read.pop() if read else sessions.find(claims.session_id)
    if found is None or (found.actor is not None and not acting.is_allowed(found.actor.user, found.user)):
        return _ended(flow)
    proof = flow.config.site.prove(
        found.session_id, found.row, found.session.device_key, _named(flow), _proof(flow), clock.now()
    )
    if proof.code == "stolen":
        return _end(flow, found)
    if proof.code == "challenge":
        return _refused(403, UNPROVEN, "Sign the challenge.", _challenge(flow, found))
    decision = proof.decision
    if decision is None or decision.code == "session_expired":
        return _ended(flow)
    if not decision.admits:  # locked: without a cookie, and a browser would forget its key after a refusal
        return Answer(200, _instructions(flow, found))
    custom = tokens.custom_claims(flow.request, found.user, flow.config)
    if decision.next is not None and not sessions.advance(found, decision.next):
        raise LostSwap
    flow.set_tokens(found, claims.sid, custom, decision, presented=claims)
    flow.refusal = None
    flow.deferred.clear()  # the refresh has written that the user was seen
    if decision.code == "rotate":
        refreshed(flow, found)
    return Answer(200, _instructions(flow, found), _challenge(flow, found))


def _proof(flow: Flow) -> str | None:
    proof: str | None = flow.request.META.get(_PROOF)
    return proof


def _named(flow: Flow) -> str:
    """Return the session identifier that the browser sends: bare, or in quotes as the draft says."""
    return str(flow.request.META.get(_NAMED, "")).strip('"')


def _first(flow: Flow) -> tuple[_engine.Claims, list[SessionAndUser]] | None:
    """Return the claims that name the request's session, and the session as it was read."""
    if flow.identity.is_bearer:
        return None
    named = flow.unproven or flow.locked
    if named is None:
        found = flow.found
        named = None if found is None or flow.claims is None else (flow.claims, found)
    return None if named is None else (named[0], [named[1]])


def _end(flow: Flow, found: SessionAndUser) -> Answer:
    """End a session whose tokens came with a proof of another key."""

    def tell() -> None:
        extra = {"event": "device_proof_failed", "session_id": str(found.session_id), "user_id": str(found.user.pk)}
        security_log.warning("device_proof_failed: session %s of user %s", found.session_id, found.user.pk, extra=extra)

    end_stolen(flow, found, "device_proof_failed", device_proof_failed, tell)
    return _refused(403, "device_proof_failed", "The session has ended: this is not the key to which it was bound.")


def _ended(flow: Flow) -> Answer:
    """Tell the browser to forget its key: the request's tokens name no session that is bound to it."""
    return Answer(200, {"session_identifier": _named(flow), "continue": False})


def _challenge(flow: Flow, found: SessionAndUser) -> str:
    challenge = flow.config.site.challenge(found.session_id, found.session.row(), clock.now())
    return f'"{challenge}";id="{_identifier(found)}"'


def _identifier(found: SessionAndUser) -> str:
    return _engine.device_identifier(found.session.device_key or "") or ""


def _instructions(flow: Flow, found: SessionAndUser) -> dict[str, Any]:
    """Return the session instructions: which cookie the browser keeps fresh, where, and for which requests."""
    config, request = flow.config, flow.request
    attributes = [f"Path={config.cookie_path}", "Secure", "HttpOnly", f"SameSite={config.cookie_samesite}"]
    if config.cookie_domain is not None:
        attributes.insert(0, f"Domain={config.cookie_domain}")
    return {
        "session_identifier": _identifier(found),
        "refresh_url": _path(request, _REFRESH),
        "scope": {
            # The origin is the browser's own: a proxy may send another host. Browsers take a whole site from the host
            # of its registrable domain only.
            "include_site": config.cookie_domain is not None
            and split_domain_port(request.get_host())[0] == config.cookie_domain.removeprefix("."),
            "scope_specification": [],
        },
        "credentials": [
            {"type": "cookie", "name": config.access_cookie_name, "attributes": "; ".join(attributes)},
        ],
    }


def write_challenge(response: HttpResponseBase, answer: Answer) -> None:
    """Set the header with a challenge for the next proof."""
    if answer.challenge is not None:
        response.headers[_CHALLENGE] = answer.challenge


def _path(request: HttpRequest, name: str) -> str | None:
    """Return the path of a view of `jwtauth.urls`, or ``None`` if the project does not include them."""
    match = request.resolver_match
    captured = {} if match is None else match.kwargs
    names = [f"jwtauth:{name}"]
    if match is not None and match.app_names[-1:] == ["jwtauth"]:  # under the name that this view was included with
        names.insert(0, f"{match.namespace}:{name}")
    for full_name in names:
        for kwargs in ({}, captured):  # the patterns may be included below a captured part, such as a tenant
            with suppress(NoReverseMatch):
                return reverse(full_name, kwargs=kwargs)
    return None
