"""Logins of dj-rest-auth: tokens of simplejwt, in the cookies that its setting ``REST_AUTH`` names, or in the header.

If the site uses the tokens of ``rest_framework.authtoken`` instead, the source is ``authtoken``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from jwtauth import views
from jwtauth.conf import get_config
from jwtauth.contrib.old_logins import Place, Shown, simplejwt
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import clock
from jwtauth.signin import django_request


class Logins(simplejwt.Logins):
    """Accept the cookies and the header. The cookie of the refresh token starts a session, the other one admits."""

    package = "dj_rest_auth"

    def cookie_domain(self) -> str | None:
        """Return ``JWT_AUTH_COOKIE_DOMAIN``."""
        from dj_rest_auth.app_settings import api_settings

        domain: str | None = api_settings.JWT_AUTH_COOKIE_DOMAIN
        return domain

    def may_show(self, request: HttpRequest) -> bool:
        """Return whether the request has the header or one of the cookies, without verifying a signature."""
        from dj_rest_auth.app_settings import api_settings
        from rest_framework_simplejwt.settings import api_settings as of_simplejwt

        names = api_settings.JWT_AUTH_REFRESH_COOKIE, api_settings.JWT_AUTH_COOKIE
        return of_simplejwt.AUTH_HEADER_NAME in request.META or any(request.COOKIES.get(name) for name in names if name)

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the tokens of the cookies. A request with the header uses no cookie, as in dj-rest-auth."""
        from dj_rest_auth.app_settings import api_settings
        from rest_framework_simplejwt.settings import api_settings as of_simplejwt

        if of_simplejwt.AUTH_HEADER_NAME in request.META:
            return super().shown(request)
        refresh, access = (
            request.COOKIES.get(name, "") if name else ""
            for name in (api_settings.JWT_AUTH_REFRESH_COOKIE, api_settings.JWT_AUTH_COOKIE)
        )
        found = [
            self.renewable(refresh, Place.COOKIE) if refresh else None,
            Shown(access, Place.COOKIE, is_renewable=False, name=simplejwt.signed_part(access)) if access else None,
        ]
        return [shown for shown in found if shown is not None]


class TokenRefreshView(views.TokenRefreshView):
    """Answer a page that refreshes with its cookies and an empty body, as dj-rest-auth's view of this URL does.

    The middleware has refreshed the session by then, or moved the login in, so the answer holds no token. A refresh
    token in the body is exchanged.
    """

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return when the access token expires, or 401 if the cookies sign no user in."""
        data: Any = request.data
        if not isinstance(data, Mapping) or data.get("refresh"):
            return super().post(request, *args, **kwargs)
        flow = Flow.of(django_request(request))
        if flow is None or flow.identity.is_bearer:
            raise views.TokenRefused
        if flow.found is not None and flow.claims is not None:
            return _answer(flow.claims.expires_at)
        if flow.visitor is None:
            raise views.TokenRefused
        if flow.visitor.auth is None:  # a late request of a login that has moved in: the browser has the new cookies
            return _answer(clock.now() + get_config().access_token_lifetime)
        return _renewed_by_dj_rest_auth(request)


def _answer(expires_at: int) -> Response:
    return Response({"access": "", "access_expiration": datetime.fromtimestamp(expires_at, timezone.utc)})


def _renewed_by_dj_rest_auth(request: Request) -> Response:
    """Return the response of dj-rest-auth's own view, which sets its cookies: no session has started."""
    from dj_rest_auth.jwt_auth import get_refresh_view
    from rest_framework_simplejwt.exceptions import TokenError

    view = get_refresh_view()(request=request, args=(), kwargs={}, format_kwarg=None, headers={})
    try:
        response: Response = view.finalize_response(request, view.post(request))
    except (APIException, TokenError):
        raise views.TokenRefused from None
    return response
