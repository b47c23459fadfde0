"""The refusal of an ``Authorization`` without a valid access token (RFC 6750 section 3.1, RFC 9449 section 7.1)."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse
from django.utils.translation import gettext as _

from jwtauth import _engine

# RFC 6750 section 3.1.
CHALLENGE = 'Bearer error="invalid_token"'
CODE = "token_not_valid"  # the same as simplejwt


def detail() -> str:
    """Return the text of the refusal, which is the same for every reason."""
    return _("The access token is invalid or expired, or its session has ended.")


def body(identity: _engine.Identity) -> dict[str, Any]:
    """Return the content of the response to a token of this identity."""
    code, reason = identity.dpop_error or (CODE, "")
    return {"detail": detail() if code == CODE else proof_detail(reason), "code": code}


def proof_detail(reason: str) -> str:
    """Return the text of the refusal of a proof. It is for developers, and not translated."""
    return f"The DPoP proof is not valid: {reason}."


def refusal(identity: _engine.Identity) -> JsonResponse:
    """Return the response to a token of this identity, for views that are not DRF's."""
    challenge = identity.challenge or CHALLENGE
    return JsonResponse(body(identity), status=401, headers={"WWW-Authenticate": challenge})
