"""The views of `jwtauth.urls`. Each can be subclassed and used with another URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

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
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from jwtauth import _engine
from jwtauth.authentication import JWTAuthentication
from jwtauth.conf import get_config
from jwtauth.exceptions import CrossOriginRefused, ProofRefused, SessionLimitReached, TokenError
from jwtauth.internal import (
    acting,
    anonymous,
    bearer,
    binding,
    client_proof,
    cross_origin,
    devices,
    old_logins,
    reauthentication,
    tokens,
)
from jwtauth.internal.flow import Flow
from jwtauth.internal.login import exchange_refresh_token
from jwtauth.internal.reports import hide_secrets
from jwtauth.internal.store import clock
from jwtauth.internal.store.old_logins import refuse_older
from jwtauth.models import Session, SessionQuerySet, database
from jwtauth.reauthentication import NotActing, RecentlySignedIn
from jwtauth.request import RequestAuth
from jwtauth.serializers import (
    EmptySerializer,
    ReauthenticateSerializer,
    RefreshSerializer,
    RevokeSerializer,
    SessionSerializer,
    check_validated,
)
from jwtauth.signin import django_request, login, logout, reauthenticate, start_session


class LoginThrottle(ScopedRateThrottle):
    """Limit login attempts to 30 a minute, or to the rate of ``DEFAULT_THROTTLE_RATES`` for ``throttle_scope``.

    Attempts are counted for each IPv4 address, and for each /64 network of IPv6 addresses.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Allow ``GET``, ``HEAD`` and ``OPTIONS`` without counting them."""
        return request.method in SAFE_METHODS or super().allow_request(request, view)

    def get_ident(self, request: Request) -> str:
        """Return the client's address by ``NUM_PROXIES``, since DRF's default trusts any ``X-Forwarded-For``."""
        return devices.client(django_request(request), get_config().num_proxies)

    def get_rate(self) -> str | None:
        """Return the project's rate, or the default. The project can set ``None`` for no limit."""
        rates: dict[Any, Any] = dict(api_settings.DEFAULT_THROTTLE_RATES or {})
        rate: str | None = rates.get(self.scope, "30/min")
        return rate


class TokenRefused(APIException):
    """Raised for an invalid refresh token: 401."""

    status_code = 401
    default_detail = _("The refresh token is invalid or expired, or its session has ended.")
    default_code = bearer.CODE
    auth_header = bearer.CHALLENGE


class InvalidProof(APIException):
    """Raised for an invalid header ``DPoP`` at a token endpoint: 400 (RFC 9449 section 5)."""

    status_code = 400
    default_code = "invalid_dpop_proof"

    def __init__(self, error: ProofRefused) -> None:
        super().__init__(error.body)


class SessionRefused(APIException):
    """Raised if the request has no session whose user could authenticate again: 401."""

    status_code = 401
    default_detail = _("Sign in first.")
    default_code = anonymous.NOT_AUTHENTICATED
    auth_header = 'Bearer realm="api"'


class JwtAuthView(GenericAPIView[Any]):
    """Base class of all views except `JwkSetView`.

    Errors have a ``code``, and responses are never cached. ``ATOMIC_REQUESTS`` does not apply, so that an ended session
    is not brought back by a rollback.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (JWTAuthentication,)
    filter_backends = ()  # the project's default backends may need fields of its own models
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
        """Return an empty queryset. DRF's browsable API asks every view for one if the response is a list."""
        none: QuerySet[Any] = Session.objects.none()
        return none

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view function, exempt from ``ATOMIC_REQUESTS``."""
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(alias)(view)
        return view

    def handle_exception(self, exc: Exception) -> Response:
        """Add a ``code`` to DRF's ``detail``. Other responses of the project's ``EXCEPTION_HANDLER`` are unchanged."""
        response = super().handle_exception(exc)
        data: Any = getattr(response, "data", None)
        detail = data.get("detail") if type(data) is dict else None
        if isinstance(detail, ErrorDetail):
            data.setdefault("code", detail.code)
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Mark the response as private and not to be stored by caches."""
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        patch_cache_control(final, no_store=True, private=True)
        return final

    def flow(self) -> Flow:
        """Return the flow of Django's request."""
        return cast("Flow", self.auth()._flow)

    def auth(self) -> RequestAuth:
        """Return ``request.jwtauth`` of Django's request."""
        auth: RequestAuth = django_request(self.request).jwtauth  # type: ignore[attr-defined]
        return auth


class _Secret(JwtAuthView):
    """Base class of views that receive or return a password or a token. Error reports never show them."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Hide the request's secrets from Django's error reports, then dispatch as DRF does."""
        hide_secrets(request)
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer


class _OwnOrigin(JwtAuthView):
    """Base class of views that refuse requests from other origins, with or without cookies.

    Otherwise a form on another site could sign a visitor out, or in as another user.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the origin before throttles count the request. Raises ``PermissionDenied``."""
        flow = Flow.of(django_request(request))
        try:
            if flow is not None:
                flow.check_origin()
        except CrossOriginRefused as error:
            # Exception handlers may need a renderer. Use the first, since the browsable API would set a CSRF cookie.
            self.format_kwarg, renderer = self.get_format_suffix(**kwargs), self.get_renderers()[0]
            request.accepted_renderer, request.accepted_media_type = renderer, renderer.media_type
            raise PermissionDenied(cross_origin.detail(error), "cross_origin") from None
        super().initial(request, *args, **kwargs)


class _Credentials(_OwnOrigin, _Secret):
    """Base class of views that receive a username and a password."""

    authentication_classes = ()  # the request may have expired tokens
    permission_classes = (AllowAny,)
    throttle_classes = (LoginThrottle,)
    throttle_scope = "jwtauth_login"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return ``serializer_class`` if a subclass sets it, otherwise ``LOGIN_SERIALIZER``."""
        found: type[BaseSerializer[Any]] = self.serializer_class or import_string(get_config().login_serializer)
        return found

    def validated(self, request: Request) -> dict[str, Any]:
        """Return the validated data of the request body."""
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
        """Start a session and return the same body as `MeView`."""
        validated = self.validated(request)
        with _limit_is_refusal():
            login(
                request,
                validated["user"],
                remember=validated.get("remember", True),
                lifetime=validated.get("lifetime"),
                methods=validated.get("methods", ("pwd",)),
                device_bound=validated.get("device_bound", False),
            )
        return Response(_me(self))


class ReauthenticateView(_Credentials):
    """Let the user of the current session prove by their password that it is still them."""

    name = _("Confirm that it is you")
    description = _("Enter your password again. The session continues with new tokens.")
    serializer_class = ReauthenticateSerializer

    def check_throttles(self, request: Request) -> None:
        """Check a header ``DPoP`` before the request is an attempt, unless it is for a token in ``Authorization``."""
        inner = django_request(request)
        if "HTTP_DPOP" in inner.META and "HTTP_AUTHORIZATION" not in inner.META:
            with _invalid_proof_is_refusal():
                client_proof.identify(inner)
        super().check_throttles(request)

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the same body as `MeView`, or new tokens if the request has no cookies but a token of its own.

        A client that stores its tokens sends its access token in ``Authorization``, or its refresh token in the body if
        the session is locked. An anonymous request gets 401.
        """
        NotActing().has_permission(request, self)  # before a password is tried
        serializer: Any = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        inner, token = django_request(request), serializer.validated_data.get("refresh")
        flow = Flow.of(inner)
        if token is not None:
            flow = Flow(inner)
            with _invalid_proof_is_refusal():
                reauthentication.present(flow, token)
        found = None if flow is None else flow.locked[1] if flow.locked is not None else flow.found
        if flow is None or found is None:
            raise SessionRefused
        if found.actor is not None:
            raise acting.refusal()
        user = serializer.authenticate(found.user)
        if token is not None:
            return Response(tokens.pair(reauthentication.reauthenticate(flow, user, ["pwd"]), get_config()))
        grant = reauthenticate(request, user, methods=["pwd"])
        return Response(tokens.pair(grant, get_config()) if flow.identity.is_bearer else _me(self))


class LogoutView(_OwnOrigin):
    """Sign out: end the session and clear the cookies that the request brought."""

    name = _("Sign out")
    description = _("End the session and clear the token cookies. Succeeds even if no user is signed in.")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    serializer_class = EmptySerializer

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return 204, even if no user was signed in."""
        logout(request)
        return Response(status=204)


class TokenView(_Credentials):
    """Sign in with a username and password and return the tokens, for clients that are not browsers."""

    # Translators: imperative, the name of a page.
    name = _("Get tokens")
    description = _("Sign in with a username and password and return a pair of tokens, for clients that store them.")

    def check_throttles(self, request: Request) -> None:
        """Check a header ``DPoP`` before the request is an attempt, since a client without a nonce has to ask twice."""
        if request.method not in SAFE_METHODS:
            with _invalid_proof_is_refusal():
                client_proof.key_of_login(client_proof.identify(django_request(request)), get_config())
        super().check_throttles(request)

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the tokens ``access`` and ``refresh``, and the seconds until each expires."""
        validated = self.validated(request)
        with _limit_is_refusal():
            grant = start_session(
                request,
                validated["user"],
                lifetime=validated.get("lifetime"),
                methods=validated.get("methods", ("pwd",)),
            )
        return Response(tokens.pair(grant, get_config()))


class TokenRefreshView(_Secret):
    """Exchange a refresh token for new tokens, by the same rules as with cookies."""

    # Translators: imperative, the name of a page.
    name = _("Refresh tokens")
    description = _("Exchange a refresh token for a new pair of tokens. Replace the old pair with the new one.")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    serializer_class = RefreshSerializer

    @sensitive_variables()
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the new tokens ``access`` and ``refresh``, which replace the old ones."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        inner, token = django_request(request), serializer.validated_data["refresh"]
        with _invalid_proof_is_refusal():
            flow = exchange_refresh_token(inner, token)
        answer = old_logins.exchange(inner, token) if flow is None or flow.grant is None else flow.grant
        if answer is None and flow is not None and flow.unproven is not None:
            raise TokenRefused("The session is bound to a key, of which this request has no proof.", flow.refusal)
        if answer is None and flow is not None and flow.refusal is not None:
            raise TokenRefused(anonymous.detail(flow.refusal), flow.refusal)
        if answer is None:
            raise TokenRefused
        return Response(answer if isinstance(answer, dict) else tokens.pair(answer, get_config()))


class _Device(_OwnOrigin, _Secret):
    """Base class of the views that a browser asks by itself, with ``DEVICE_BOUND_SESSIONS``.

    Of the project's settings, none counts: a browser forgets its key after an answer that it does not know.
    """

    authentication_classes = ()
    throttle_classes = ()
    renderer_classes = (JSONRenderer,)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Ignore ``Accept``, since there is one representation."""
        return super().perform_content_negotiation(request, force=True)

    permission_classes = (AllowAny,)
    serializer_class = EmptySerializer

    def answered(self, request: Request, answer: binding.Answer) -> Response:
        """Return the response."""
        response = Response(answer.body, status=answer.status)
        binding.write_challenge(response, answer)
        return response


class DeviceRegisterView(_Device):
    """Bind the session to the key that the browser has made for it."""

    name = "Bind the session to the device"
    description = "Asked by browsers themselves, with the public half of a key that cannot leave the device."

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the session instructions, or 401 or 403. A second key ends the session."""
        return self.answered(request, binding.register(self.flow()))


class DeviceRefreshView(_Device):
    """Refresh the session by a proof of the key to which it is bound."""

    name = "Refresh by the device's key"
    description = "Asked by browsers themselves, before the access token expires, with a proof of the session's key."

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the session instructions with new cookies, or 403 with a challenge."""
        return self.answered(request, binding.refresh(self.flow()))


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
        """Return 200, even for an unknown token (RFC 7009 section 2.2)."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        for kind in (_engine.TokenKind.REFRESH, _engine.TokenKind.ACCESS):
            try:
                claims = get_config().tokens.verify_ignoring_time(kind, serializer.validated_data["token"])
            except TokenError:
                continue
            Session.objects.filter(pk=claims.session_id).end(request=request)
        old_logins.revoke(django_request(request), serializer.validated_data["token"])
        return Response({})


class JwkSetView(APIView):
    """Return the public keys that verify the tokens, as a JWK Set for other services (RFC 7517 section 5).

    The set never contains secrets or private keys. It is empty if the signing key is a secret. It may be cached for
    five minutes.
    """

    name = _("Public keys")
    description = _("Return the public keys that verify the tokens, for other services (RFC 7517).")
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Ignore ``Accept``, since there is only one representation."""
        return super().perform_content_negotiation(request, force=True)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the keys, to every client and from every origin."""
        response = HttpResponse(get_config().keyring.jwk_set, content_type="application/jwk-set+json")
        patch_cache_control(response, public=True, max_age=300)
        response["Access-Control-Allow-Origin"] = "*"  # the keys are public
        return response


class MeView(JwtAuthView):
    """Return the current user, and when the access token and the session expire."""

    name = _("Current user")
    description = _("Return the current user, and when the access token and the session expire.")
    permission_classes = (IsAuthenticated,)
    serializer_class = EmptySerializer

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the user and the session, or 403 if no user is signed in."""
        return Response(_me(self))


class _OwnSessions(JwtAuthView):
    """Base class of the views of the current user's sessions."""

    permission_classes = (IsAuthenticated,)
    serializer_class = SessionSerializer
    queryset = Session.objects.none()  # for tools that read the attribute

    def get_queryset(self) -> SessionQuerySet:
        own: SessionQuerySet = Session.objects.using(database()).valid_for(self.request.user)
        ordered: SessionQuerySet = own.order_by("-last_seen_at", "-created_at", "-pk")
        return ordered

    def get_serializer_context(self) -> dict[str, Any]:
        flow = Flow.of(django_request(self.request))  # None while a schema is generated
        current = None if flow is None or flow.claims is None else flow.claims.session_id
        return {**super().get_serializer_context(), "current": current}


class SessionPagination(PageNumberPagination):
    """Return pages of 100 sessions as plain lists, with links to the other pages in the header ``Link`` (RFC 8288)."""

    page_size = 100

    def get_paginated_response(self, data: Any) -> Response:
        """Return the list, and links to the previous and next page if they exist."""
        urls = {"prev": self.get_previous_link(), "next": self.get_next_link()}
        links = ", ".join(f'<{url}>; rel="{name}"' for name, url in urls.items() if url)
        return Response(data, headers={"Link": links} if links else None)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of the list unchanged."""
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
        """End the session. If it is the current one, log out. To end another one may need ``SENSITIVE_MAX_AGE``."""
        if instance.pk == self.get_serializer_context()["current"]:
            logout(self.request)
        else:
            _check_sensitive(self.request)
            instance.end(request=self.request)


class OtherSessionsView(_OwnSessions):
    """End all sessions of the current user except the one of this request."""

    name = _("Other sessions")
    description = _("End all sessions of the current user except the one of this request.")

    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End the sessions and return their number, without those that a password change had already invalidated."""
        _check_sensitive(request)
        others = Session.objects.of(request.user.pk).exclude(pk=self.get_serializer_context()["current"])
        ended = others.valid_for(request.user).end(request=request)
        others.end(request=request)
        if get_config().accept_logins_of:
            refuse_older(request.user.pk, keep=self.get_serializer_context()["current"])
        return Response({"ended": ended})

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Do the same as `delete`, for HTML forms."""
        return self.delete(request, *args, **kwargs)


def _check_sensitive(request: Request) -> None:
    """Raise DRF's exception if another user acts as this one, or if the user must authenticate again before this."""
    NotActing().has_permission(request, None)
    RecentlySignedIn().has_permission(request, None)


@contextmanager
def _limit_is_refusal() -> Iterator[None]:
    try:
        yield
    except SessionLimitReached as error:
        raise PermissionDenied(str(error), error.code) from None


@contextmanager
def _invalid_proof_is_refusal() -> Iterator[None]:
    try:
        yield
    except ProofRefused as error:
        raise InvalidProof(error) from None


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
