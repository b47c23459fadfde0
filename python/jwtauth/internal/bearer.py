"""The refusal of an ``Authorization: Bearer`` without a valid access token (RFC 6750 section 3.1)."""

from __future__ import annotations

from django.http import JsonResponse
from django.utils.translation import gettext as _

# RFC 6750 section 3.1.
CHALLENGE = 'Bearer error="invalid_token"'
CODE = "token_not_valid"  # the same as simplejwt


def detail() -> str:
    """Return the text of the refusal, which is the same for every reason."""
    return _("The access token is invalid or expired, or its session has ended.")


def refusal() -> JsonResponse:
    """Return the response to an invalid token, for views that are not DRF's."""
    return JsonResponse({"detail": detail(), "code": CODE}, status=401, headers={"WWW-Authenticate": CHALLENGE})
