"""Proofs of the key to which the tokens of a client are bound, at the token endpoints (DPoP, RFC 9449 section 5)."""

from __future__ import annotations

from django.http import HttpRequest

from jwtauth import _engine
from jwtauth.conf import Config
from jwtauth.exceptions import ProofRefused
from jwtauth.internal import bearer
from jwtauth.internal.flow import Flow, security_log
from jwtauth.internal.store import clock


def identify(request: HttpRequest) -> _engine.Identity:
    """Return the anonymous identity of the client that sends this request, with the key that it proves, if any.

    Raises ``ProofRefused`` if the request has a header ``DPoP`` that is not valid.
    """
    flow = Flow.of(request) or Flow(request)
    if flow.client is None:
        identity = flow.config.site.identify_client(
            request.META, request.method or "", request.path, flow.own_origin, clock.now()
        )
        if identity.needs_dpop_nonce:  # which the response of the middleware brings
            flow.identity, flow.needs_nonce = flow.identity.proving(identity), True
        if identity.dpop_error is not None:
            code, reason = identity.dpop_error
            security_log.info("%s: %s: %r", code, reason, request.path)
            raise ProofRefused(bearer.proof_detail(reason), code)
        flow.client = identity
    return flow.client


def key_of_login(identity: _engine.Identity, config: Config) -> str | None:
    """Return the ``device_key`` of a session that a client starts.

    Raises ``ProofRefused`` if ``DEVICE_BOUND_SESSIONS`` requires a key, and the client proves none.
    """
    if identity.client_key is None and config.device_bound_sessions == "require":
        raise ProofRefused(bearer.proof_detail("the header DPoP is missing"), "invalid_dpop_proof")
    return identity.client_key
