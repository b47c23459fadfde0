"""DRF's side: ``DEFAULT_AUTHENTICATION_CLASSES = ["jwtauth.JWTAuthentication"]``."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request

from jwtauth import _engine
from jwtauth.checks import MISSING_MIDDLEWARE, middleware_is_installed
from jwtauth.exceptions import CrossOriginRefused
from jwtauth.internal import bearer, cross_origin
from jwtauth.internal.flow import Flow
from jwtauth.internal.request_user import replaced_user
from jwtauth.request import RequestAuth


class InvalidBearerToken(APIException):
    """401 with ``WWW-Authenticate: Bearer error="invalid_token"`` (RFC 6750 section 3.1).

    No ``AuthenticationFailed``, whose status and header DRF takes from the view's first authenticator.
    """

    status_code = 401
    default_code = bearer.CODE

    def __init__(self) -> None:
        super().__init__({"detail": bearer.detail(), "code": bearer.CODE})
        self.auth_header = bearer.CHALLENGE


class JWTAuthentication(BaseAuthentication):
    """Authenticates by what the middleware has found; ``request.auth`` is the access token's claims.

    There is no ``authenticate_header``, so that DRF answers 403 where a permission asks for somebody and nobody is.
    """

    def authenticate(self, request: Request) -> tuple[Any, _engine.Claims | None] | None:
        """Return the user and the claims, or ``None``. Invalid cookies are ignored.

        The user is ``request.user`` of Django's request, as DRF's ``SessionAuthentication`` returns it: if a later
        middleware has decorated or replaced the tokens' user, or taken it away, that stands.

        Raises `InvalidBearerToken` where ``Authorization: Bearer`` is not a token of a live session, DRF's
        ``PermissionDenied`` where a request made by hand may not use its cookies, and ``ImproperlyConfigured`` where
        the middleware is missing.
        """
        inner = request._request
        flow = Flow.of(inner)
        is_made_by_hand = flow is None
        if flow is None:
            if not middleware_is_installed():
                raise ImproperlyConfigured(str(MISSING_MIDDLEWARE))
            # A request made by hand, as in tests with a request factory: no response of ours will follow, so nothing
            # may be rotated.
            flow = Flow.attach(inner)
            try:
                flow.identify()
            except CrossOriginRefused as error:
                raise PermissionDenied(cross_origin.detail(error), "cross_origin") from None
        auth: RequestAuth = inner.jwtauth  # type: ignore[attr-defined]
        if auth.is_authenticated:
            is_replaced, user = (False, None) if is_made_by_hand else replaced_user(inner)
            if not is_replaced:
                return auth.user, auth.claims
            return (user, auth.claims) if user and user.is_authenticated else None
        if auth.is_bearer:
            raise InvalidBearerToken
        return None


JwtAuthentication = JWTAuthentication  # its name in 0.0.8
