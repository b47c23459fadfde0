"""DRF's side: ``DEFAULT_AUTHENTICATION_CLASSES = ["jwtauth.JwtAuthentication"]``."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from jwtauth import _engine
from jwtauth.checks import MISSING_MIDDLEWARE, middleware_is_installed
from jwtauth.request import RequestAuth


class JwtAuthentication(BaseAuthentication):
    """Authenticates by what the middleware has found in the cookies; ``request.auth`` is the access token's claims.

    There is no ``authenticate_header``, so that DRF answers 403 where a permission asks for somebody and nobody is.
    """

    def authenticate(self, request: Request) -> tuple[Any, _engine.Claims | None] | None:
        """The user and the claims, or ``None``. Bad cookies are no cookies.

        Raises ``ImproperlyConfigured`` where the middleware is missing.
        """
        inner = request._request
        auth = RequestAuth.of(inner)
        if auth is None:
            if not middleware_is_installed():
                raise ImproperlyConfigured(str(MISSING_MIDDLEWARE))
            # A request made by hand, as in tests with a request factory: no response of ours will follow, so nothing
            # may be rotated.
            auth = RequestAuth.attach(inner)
            auth.identify()
        return (auth.user, auth.claims) if auth.is_authenticated else None
