"""The views of `jwtauth.urls`. Each may be subclassed, and used under another URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, ErrorDetail, PermissionDenied
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveDestroyAPIView
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.permissions import SAFE_METHODS, AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from jwtauth import _engine
from jwtauth.authentication import JWTAuthentication
from jwtauth.conf import get_config
from jwtauth.exceptions import CrossOriginRefused, SessionLimitReached, TokenError
from jwtauth.internal import bearer, cross_origin, devices, tokens
from jwtauth.internal.flow import Flow
from jwtauth.internal.login import exchange_refresh_token
from jwtauth.internal.reports import hide_secrets
from jwtauth.internal.store import clock
from jwtauth.models import Session, SessionQuerySet, database
from jwtauth.request import RequestAuth
from jwtauth.serializers import (
    EmptySerializer,
    RefreshSerializer,
    RevokeSerializer,
    SessionSerializer,
    check_validated,
)
from jwtauth.signin import django_request, login, logout, start_session


class LoginThrottle(ScopedRateThrottle):
    """30 attempts a minute, unless ``DEFAULT_THROTTLE_RATES`` says otherwise for the view's ``throttle_scope``.

    They are counted by the client's address, as sessions have it, and by the /64 of an IPv6 address.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count no ``GET``, ``HEAD`` or ``OPTIONS``: they are not attempts."""
        return request.method in SAFE_METHODS or super().allow_request(request, view)

    def get_ident(self, request: Request) -> str:
        """Return the client, by ``NUM_PROXIES``. DRF's would believe any ``X-Forwarded-For``."""
        return devices.client(django_request(request), get_config().num_proxies)

    def get_rate(self) -> str | None:
        """Return the project's rate, also ``None`` for no limit."""
        rates: dict[Any, Any] = dict(api_settings.DEFAULT_THROTTLE_RATES or {})
        rate: str | None = rates.get(self.scope, "30/min")
        return rate


class TokenRefused(APIException):
    """401: the refresh token is not valid."""

    status_code = 401
    default_detail = _("The refresh token is invalid or expired, or its session has ended.")
    default_code = bearer.CODE
    auth_header = bearer.CHALLENGE


class JwtAuthView(GenericAPIView[Any]):
    """The base of all but `JwkSetView`: errors have a ``code``, and no response is cached. No transaction surrounds a
    view, so that what it has decided is not rolled back.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (JWTAuthentication,)
    filter_backends = ()  # those of the project filter by fields of its own models
    # Shown by the browsable API and by OPTIONS.
    name: Any = None
    description: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name a subclass after its class, and describe it by its docstring if it has one, as DRF does."""
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = None
        if cls.__doc__ and "description" not in vars(cls):
            cls.description = None

    def get_queryset(self) -> QuerySet[Any]:
        """Return no rows: DRF's browsable API asks each view for its rows, if the answer is a list."""
        none: QuerySet[Any] = Session.objects.none()
        return none

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Make the view as Django does, outside the transactions of ``ATOMIC_REQUESTS``."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(alias)(view)
        return view

    def handle_exception(self, exc: Exception) -> Response:
        """Add the ``code`` to DRF's ``detail``. Other answers of a project's ``EXCEPTION_HANDLER`` stay as they are."""
        response = super().handle_exception(exc)
        data: Any = getattr(response, "data", None)
        detail = data.get("detail") if type(data) is dict else None
        if isinstance(detail, ErrorDetail):
            data.setdefault("code", detail.code)
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Forbid caches to store the response."""
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        patch_cache_control(final, no_store=True, private=True)
        return final

    def auth(self) -> RequestAuth:
        """Return what the middleware knows about the request."""
        auth: RequestAuth = django_request(self.request).jwtauth  # type: ignore[attr-defined]
        return auth


class _Secret(JwtAuthView):
    """Views that read or answer with a password or a token, which no error report shows."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Mark the request for Django's error reports, then do as DRF does."""
        hide_secrets(request)
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer


class _OwnOrigin(JwtAuthView):
    """Views that refuse requests from other origins, with cookies or without: a form on another site could sign the
    visitor in as another user, or out.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the origin before anything counts as an attempt. Raises ``PermissionDenied``."""
        flow = Flow.of(django_request(request))
        try:
            if flow is not None:
                flow.check_origin()
        except CrossOriginRefused as error:
            # Exception handlers may ask for the renderer. The first, as a page of the browsable API would set a cookie.
            self.format_kwarg, renderer = self.get_format_suffix(**kwargs), self.get_renderers()[0]
            request.accepted_renderer, request.accepted_media_type = renderer, renderer.media_type
            raise PermissionDenied(cross_origin.detail(error), "cross_origin") from None
        super().initial(request, *args, **kwargs)


class _Credentials(_OwnOrigin, _Secret):
    """Views that read a name and a password."""

    authentication_classes = ()  # a request may bring tokens that have expired
    permission_classes = (AllowAny,)
    throttle_classes = (LoginThrottle,)
    throttle_scope = "jwtauth_login"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return ``LOGIN_SERIALIZER``, unless a subclass sets ``serializer_class``."""
        found: type[BaseSerializer[Any]] = self.serializer_class or import_string(get_config().login_serializer)
        return found

    def validated(self, request: Request) -> dict[str, Any]:
        """Return what the serializer makes of the body."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        check_validated(validated)
        return validated


class LoginView(_Credentials):
    """Sign in with a username and password, and set the tokens as cookies."""

    name = _("Sign in")
    description = _("Sign in with a username and password. The tokens are set as cookies.")

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer as `MeView` does."""
        validated = self.validated(request)
        with _limit_is_refusal():
            login(
                request,
                validated["user"],
                remember=validated.get("remember", True),
                lifetime=validated.get("lifetime"),
            )
        return Response(_me(self))


class LogoutView(_OwnOrigin):
    """Sign out: end the session and clear the cookies that the request brought."""

    name = _("Sign out")
    description = _("End the session and clear the token cookies. Succeeds even if no user is signed in.")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    serializer_class = EmptySerializer

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer 204, also if nobody was signed in."""
        logout(request)
        return Response(status=204)


class TokenView(_Credentials):
    """Sign in with a username and password and return the tokens, for clients that are not browsers."""

    name = _("Get tokens")
    description = _("Sign in with a username and password and return a pair of tokens, for clients that store them.")

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with ``access`` and ``refresh``, and the seconds that each is valid for."""
        validated = self.validated(request)
        with _limit_is_refusal():
            grant = start_session(request, validated["user"], lifetime=validated.get("lifetime"))
        return Response(tokens.pair(grant, get_config()))


class TokenRefreshView(_Secret):
    """Exchange a refresh token for new tokens, by the same rules as with cookies."""

    name = _("Refresh tokens")
    description = _("Exchange a refresh token for a new pair of tokens. Replace the old pair with the new one.")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    serializer_class = RefreshSerializer

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with ``access`` and ``refresh``, which replaces the refresh token that was sent."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        grant = exchange_refresh_token(django_request(request), serializer.validated_data["refresh"])
        if grant is None:
            raise TokenRefused
        return Response(tokens.pair(grant, get_config()))


class TokenRevokeView(_Secret):
    """End the session of an access or refresh token, even if the token has expired (RFC 7009)."""

    name = _("Revoke a token")
    description = _("End the session of an access or refresh token (RFC 7009). Unknown tokens also get status 200.")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (FormParser, JSONParser)
    serializer_class = RevokeSerializer

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer 200, also for an unknown token (section 2.2)."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        for kind in (_engine.TokenKind.REFRESH, _engine.TokenKind.ACCESS):
            try:
                claims = get_config().tokens.verify_ignoring_time(kind, serializer.validated_data["token"])
            except TokenError:
                continue
            Session.objects.filter(pk=claims.session_id).end()
        return Response({})


class JwkSetView(APIView):
    """Show the public keys that verify the tokens (RFC 7517 section 5), for other services; none if a secret does.

    Secrets and private keys are never in it. Caches may keep it for five minutes.
    """

    name = _("Public keys")
    description = _("Return the public keys that verify the tokens, for other services (RFC 7517).")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Ignore ``Accept``: there is one representation."""
        return super().perform_content_negotiation(request, force=True)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer with the same keys to every client."""
        response = HttpResponse(get_config().keyring.jwk_set, content_type="application/jwk-set+json")
        patch_cache_control(response, public=True, max_age=300)
        response["Access-Control-Allow-Origin"] = "*"  # public keys, for pages as well
        return response


class MeView(JwtAuthView):
    """Return the current user, and when the access token and the session expire."""

    name = _("Current user")
    description = _("Return the current user, and when the access token and the session expire.")
    permission_classes = (IsAuthenticated,)
    serializer_class = EmptySerializer

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with user and session, or 403 if nobody is signed in."""
        return Response(_me(self))


class _OwnSessions(JwtAuthView):
    permission_classes = (IsAuthenticated,)
    serializer_class = SessionSerializer
    queryset = Session.objects.none()  # for tools that look; the rows are the user's own

    def get_queryset(self) -> SessionQuerySet:
        own: SessionQuerySet = Session.objects.using(database()).valid_for(self.request.user)
        ordered: SessionQuerySet = own.order_by("-last_seen_at", "-created_at", "-pk")
        return ordered

    def get_serializer_context(self) -> dict[str, Any]:
        flow = Flow.of(django_request(self.request))  # there is no request while a schema is made
        current = None if flow is None or flow.claims is None else flow.claims.session_id
        return {**super().get_serializer_context(), "current": current}


class SessionPagination(PageNumberPagination):
    """Pages of 100 sessions: the body is a list, and the header ``Link`` names the other pages (RFC 8288)."""

    page_size = 100

    def get_paginated_response(self, data: Any) -> Response:
        """Answer with the list, and with links as far as there are pages before and after."""
        urls = {"prev": self.get_previous_link(), "next": self.get_next_link()}
        links = ", ".join(f'<{url}>; rel="{name}"' for name, url in urls.items() if url)
        return Response(data, headers={"Link": links} if links else None)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the list's own."""
        return schema


class SessionListView(_OwnSessions, ListAPIView[Session]):
    """List the current user's sessions, most recently seen first."""

    name = _("Sessions")
    description = _("List the current user's sessions, most recently seen first.")
    pagination_class = SessionPagination


class SessionView(_OwnSessions, RetrieveDestroyAPIView[Session]):
    """Return or end one of the current user's sessions."""

    name = _("Session")
    description = _("Return or end one of the current user's sessions.")

    def perform_destroy(self, instance: Session) -> None:
        """End the session. If it is the request's own, log out."""
        if instance.pk == self.get_serializer_context()["current"]:
            logout(self.request)
        else:
            instance.end()


class OtherSessionsView(_OwnSessions):
    """End all sessions of the current user except the one of this request."""

    name = _("Other sessions")
    description = _("End all sessions of the current user except the one of this request.")

    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End them, and answer how many there were, without those that a new password had ended before."""
        others = Session.objects.of(request.user.pk).exclude(pk=self.get_serializer_context()["current"])
        ended = others.valid_for(request.user).end()
        others.end()
        return Response({"ended": ended})

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Do as `delete`, for forms."""
        return self.delete(request, *args, **kwargs)


@contextmanager
def _limit_is_refusal() -> Iterator[None]:
    try:
        yield
    except SessionLimitReached as error:
        raise PermissionDenied(str(error), error.code) from None


def _me(view: JwtAuthView) -> dict[str, Any]:
    auth = view.auth()
    session, claims = auth.session, auth.claims
    context = {**view.get_serializer_context(), "current": None if session is None else session.pk}
    user = import_string(get_config().user_serializer)(view.request.user, context=context)
    return {
        "user": user.data,
        "session": None if session is None else SessionSerializer(session, context=context).data,
        "access_expires_in": None if claims is None else claims.expires_at - clock.now(),
    }
