"""The refusal of ``Authorization: Bearer`` that does not name a valid access token (RFC 6750 section 3.1)."""

from __future__ import annotations

from django.http import JsonResponse
from django.utils.translation import gettext as _

# RFC 6750 section 3.1.
CHALLENGE = 'Bearer error="invalid_token"'
CODE = "token_not_valid"  # simplejwt's


def detail() -> str:
    """Return the text of the refusal, which is the same for every reason."""
    return _("The access token is invalid or expired, or its session has ended.")


def refusal() -> JsonResponse:
    """The answer to a bad token where no DRF view gives it."""
    return JsonResponse({"detail": detail(), "code": CODE}, status=401, headers={"WWW-Authenticate": CHALLENGE})
