"""Logins of django-allauth's headless API for apps: its session tokens, and its tokens of the JWT strategy.

A browser that allauth has signed in has a session of Django, whose source is ``django_sessions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ObjectDoesNotExist, SuspiciousOperation
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from jwtauth import views
from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown
from jwtauth.internal.store import clock
from jwtauth.serializers import RefreshSerializer, TokenField


class Logins(OldLogins):
    """Accept ``X-Session-Token``, an access token in the header, and both kinds as a refresh token.

    A session token and a refresh token start a session, an access token admits. The new tokens replace the session of
    allauth: once they are seen, it is deleted as at logout, and with it every token that belongs to it. That needs the
    package ``cryptography``, as allauth's JWT strategy does: the key of the session is stored encrypted.
    """

    package = "allauth.headless"

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the access token if the site uses allauth's JWT strategy, otherwise the session token."""
        from allauth.core.internal.httpkit import get_authorization_credential
        from allauth.headless import app_settings

        if _issues_jwts():
            access = get_authorization_credential(request, app_settings.JWT_AUTHORIZATION_HEADER_SCHEME)
            if access:
                return [Shown(access, Place.HEADER, is_renewable=False, name=access.rpartition(".")[0])]
        token = request.META.get("HTTP_X_SESSION_TOKEN")
        return [Shown(token, Place.HEADER, is_renewable=True)] if token else []

    def shown_as_refresh_token(self, text: str) -> Shown | None:
        """Return the refresh token, or the session token of an app that exchanges it for a pair of tokens."""
        return Shown(text, Place.BODY, is_renewable=True)

    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Verify a token by the functions that allauth's own views and authentication classes call."""
        if not shown.is_renewable:
            return _by_access_token(shown.secret)
        login = _by_refresh_token(shown.secret) if shown.place is Place.BODY and _issues_jwts() else None
        return login or _by_session_token(shown.secret)

    def renew(self, request: HttpRequest, shown: Shown) -> dict[str, Any] | None:
        """Return new tokens for a refresh token. A session token needs none: allauth goes on to accept it."""
        from allauth.headless import app_settings

        renewed = app_settings.TOKEN_STRATEGY.refresh_token(shown.secret)
        return None if renewed is None else dict(zip(("access", "refresh"), renewed, strict=True))

    def spend(self, reference: str, user_id: Any) -> None:
        """Delete the session of allauth."""
        from allauth.headless.internal.sessionkit import lookup_session
        from allauth.headless.tokens.strategies.jwt.internal import session_key_from_sid

        key = session_key_from_sid(reference)
        session = lookup_session(key) if key else None
        if session is not None:
            session.flush()


class RefreshTokenSerializer(RefreshSerializer):
    """Read a refresh token under the name that allauth gives it."""

    refresh = None  # type: ignore[assignment]
    refresh_token = TokenField(source="refresh", write_only=True, allow_blank=True)


class TokenRefreshView(views.TokenRefreshView):
    """Exchange a refresh token as allauth's view of ``tokens/refresh`` does, for apps that call its URL."""

    serializer_class = RefreshTokenSerializer

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the new tokens, or 400 if the refresh token is refused."""
        try:
            tokens = super().post(request, *args, **kwargs).data
        except views.TokenRefused:
            return Response({"status": 400}, status=400)
        return Response({"status": 200, "data": {f"{name}_token": tokens[name] for name in ("access", "refresh")}})


def _issues_jwts() -> bool:
    from allauth.headless import app_settings
    from allauth.headless.tokens.strategies.jwt import JWTTokenStrategy

    return isinstance(app_settings.TOKEN_STRATEGY, JWTTokenStrategy)


def _by_access_token(text: str) -> Login | None:
    """Return the login of an access token. A deactivated user is refused, also where allauth does not look."""
    from allauth.headless.tokens.strategies.jwt.internal import validate_access_token

    found = validate_access_token(text)
    if found is None:
        return None
    user, claims = found
    try:
        if not user.is_active:
            return None
    except ObjectDoesNotExist:  # the user is lazy
        return None
    return Login(user, claims["iat"], claims["exp"], reference=claims["sid"], auth=claims)


def _by_refresh_token(text: str) -> Login | None:
    from allauth.headless import app_settings
    from allauth.headless.tokens.strategies.jwt.internal import validate_refresh_token

    found = validate_refresh_token(text)
    if found is None:
        return None
    user, session, claims = found
    return Login(
        user,
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        slides=app_settings.JWT_ROTATE_REFRESH_TOKEN,
        reference=claims["sid"],
        auth=claims,
        backend=session.get(BACKEND_SESSION_KEY, ""),
    )


def _by_session_token(text: str) -> Login | None:
    """Return the login of a session token. It counts as issued when its user last gave a password or another factor."""
    from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
    from allauth.headless.internal.sessionkit import authenticate_by_x_session_token

    try:
        found = authenticate_by_x_session_token(text)
    except SuspiciousOperation:  # not a key of the session's store
        return None
    if found is None:
        return None
    user, session = found
    records = session.get(AUTHENTICATION_METHODS_SESSION_KEY) or ()
    return Login(
        user,
        issued_at=max((int(record["at"]) for record in records), default=None),
        expires_at=_end_of(session),
        reference=_reference(session),
        auth=session,
        backend=session.get(BACKEND_SESSION_KEY, ""),
    )


def _end_of(session: SessionBase) -> int:
    """Return when the session expires. allauth saves it only when it changes, whatever the settings of Django say.

    A store without a table does not tell when it was saved. The session then counts as saved now.
    """
    model: Any = getattr(session, "model", None)
    stored = None
    if model is not None:
        stored = model._default_manager.filter(pk=session.session_key).values_list("expire_date", flat=True).first()
    return clock.from_datetime(stored or session.get_expiry_date())


def _reference(session: SessionBase) -> str:
    """Return the key of the session as allauth encrypts it in its tokens, or ``""`` without ``cryptography``."""
    from allauth.headless.tokens.strategies.jwt.internal import session_key_to_sid

    with suppress(ImportError):
        return str(session_key_to_sid(session.session_key or ""))
    return ""
