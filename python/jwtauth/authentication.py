"""The authentication class: ``DEFAULT_AUTHENTICATION_CLASSES = ["jwtauth.JWTAuthentication"]``."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request

from jwtauth import _engine
from jwtauth.exceptions import CrossOriginRefused
from jwtauth.internal import bearer, cross_origin
from jwtauth.internal.request_user import authenticated_user, authorization
from jwtauth.request import RequestAuth


class InvalidBearerToken(APIException):
    """Raised for an invalid token in ``Authorization``. The response is 401 with a challenge (RFC 6750, RFC 9449).

    It is not an ``AuthenticationFailed``, because DRF takes the status and header of that from the view's first
    authenticator.
    """

    status_code = 401
    default_code = bearer.CODE

    def __init__(self, identity: _engine.Identity | None = None) -> None:
        super().__init__(bearer.body(identity or _engine.Identity()))
        self.auth_header = (None if identity is None else identity.challenge) or bearer.CHALLENGE


class JWTAuthentication(BaseAuthentication):
    """Authenticate requests by the tokens that the middleware has verified.

    ``request.auth`` is set to the claims of the access token, or to what the other package would set if the request is
    admitted by ``ACCEPT_LOGINS_OF``. There is no ``authenticate_header``, so DRF answers an
    anonymous request with 403 if the view requires a user.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the user and the claims, or ``None`` if the request is anonymous. Invalid cookies are ignored.

        The user is the ``user`` of Django's request, as with DRF's ``SessionAuthentication``. If a later middleware has
        replaced or removed it, that takes precedence.

        Raises `InvalidBearerToken` if ``Authorization`` is not the token of a live session with the proof of its key,
        ``ImproperlyConfigured`` if the middleware is missing, and DRF's ``PermissionDenied`` if a request that did not
        pass the middleware may not use its cookies.
        """
        inner = request._request
        try:
            user = authenticated_user(inner)
        except CrossOriginRefused as error:
            raise PermissionDenied(cross_origin.detail(error), "cross_origin") from None
        if user is not None:
            return user, authorization(inner)
        auth: RequestAuth = inner.jwtauth  # type: ignore[attr-defined]
        if auth.is_bearer and not auth.is_authenticated:
            raise InvalidBearerToken(auth._flow.identity)
        return None


JwtAuthentication = JWTAuthentication  # its name in 0.0.8
