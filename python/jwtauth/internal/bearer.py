"""``Authorization: Bearer``: access tokens of clients that are not browsers (RFC 6750 section 2.1)."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _

from jwtauth import _engine
from jwtauth.conf import Config
from jwtauth.exceptions import TokenError

# RFC 6750 section 3.1.
CHALLENGE = 'Bearer error="invalid_token"'
CODE = "token_not_valid"  # simplejwt's


def token(request: HttpRequest) -> str | None:
    """The token that the header names, or ``None`` where there is no such header. The scheme's case does not matter."""
    scheme, _space, rest = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return rest.strip(" ") if scheme.lower() == "bearer" else None


def verify(token: str, config: Config, now: int) -> _engine.Claims | None:
    """The claims of an access token that is good now."""
    try:
        return config.tokens.verify(_engine.Kind.ACCESS, token, now)
    except TokenError:
        return None


def detail() -> str:
    """What the client is told, whatever was wrong."""
    return _("The access token is invalid, has expired, or its session is over.")


def refusal() -> JsonResponse:
    """The answer to a bad token where no DRF view gives it."""
    return JsonResponse({"detail": detail(), "code": CODE}, status=401, headers={"WWW-Authenticate": CHALLENGE})
