"""Logins of djangorestframework-simplejwt, by its own classes and its setting ``SIMPLE_JWT``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.module_loading import import_string

from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown

_BLACKLIST = "rest_framework_simplejwt.token_blacklist"


class Logins(OldLogins):
    """Accept access tokens in the header, and refresh tokens at `jwtauth.views.TokenRefreshView`."""

    package = "rest_framework_simplejwt"

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the token of the header, which admits a request but starts no session."""
        from rest_framework_simplejwt.settings import api_settings

        words: list[str] = request.META.get(api_settings.AUTH_HEADER_NAME, "").split()
        if len(words) != 2:
            return []
        (kind, token), kinds = words, api_settings.AUTH_HEADER_TYPES
        if kind not in ((kinds,) if isinstance(kinds, str) else kinds):
            return []
        return [Shown(token, Place.HEADER, is_renewable=False, name=signed_part(token))]

    def shown_as_refresh_token(self, text: str) -> Shown | None:
        """Return the refresh token if its signature is valid."""
        return self.renewable(text, Place.BODY)

    def renewable(self, text: str, place: Place) -> Shown | None:
        """Return a refresh token, named by what its signature covers: the signature has several spellings."""
        from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken
        from rest_framework_simplejwt.state import token_backend

        backend: Any = token_backend
        try:
            backend.decode(text)
        except TokenBackendExpiredToken:  # whose signature is valid
            pass
        except (TokenBackendError, ValueError):
            return None
        return Shown(text, place, is_renewable=True, name=signed_part(text))

    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Verify a token as simplejwt's authentication class does, a refresh token also as its refresh view does."""
        from rest_framework.exceptions import APIException
        from rest_framework_simplejwt.authentication import JWTAuthentication
        from rest_framework_simplejwt.exceptions import TokenError
        from rest_framework_simplejwt.settings import api_settings

        classes = JWTAuthentication()
        try:
            if shown.is_renewable:
                token = import_string(api_settings.TOKEN_REFRESH_SERIALIZER).token_class(shown.secret)
            else:
                token = classes.get_validated_token(shown.secret.encode())
            user: Any = classes.get_user(token)
        # Its blacklist fails for a token without an id, as jwtauth's, and the query for a user id of another type.
        except (APIException, TokenError, KeyError, TypeError, ValueError, ValidationError):
            return None
        if shown.is_renewable and not api_settings.USER_AUTHENTICATION_RULE(user):
            return None
        return Login(
            user,
            issued_at=None if token.get("iat") is None else int(token["iat"]),  # RFC 7519 allows fractions
            expires_at=int(token["exp"]),
            slides=bool(api_settings.ROTATE_REFRESH_TOKENS),
            reference=_reference(token) if shown.is_renewable else "",
            auth=token,
        )

    def renew(self, request: HttpRequest, shown: Shown) -> dict[str, Any] | None:
        """Return what simplejwt's refresh view answers."""
        from rest_framework.exceptions import APIException
        from rest_framework_simplejwt.exceptions import TokenError
        from rest_framework_simplejwt.settings import api_settings

        serializer = import_string(api_settings.TOKEN_REFRESH_SERIALIZER)(data={"refresh": shown.secret})
        try:
            serializer.is_valid(raise_exception=True)
        except (APIException, TokenError):
            return None
        return dict(serializer.validated_data)

    def spend(self, reference: str, user_id: Any) -> None:
        """Put the token on simplejwt's blacklist, if the project uses it."""
        if not apps.is_installed(_BLACKLIST):
            return
        from rest_framework_simplejwt.utils import aware_utcnow, datetime_from_epoch

        known_tokens, blacklist = (
            apps.get_model("token_blacklist", name)._default_manager
            for name in ("OutstandingToken", "BlacklistedToken")
        )
        jti, _, expires_at = reference.rpartition(" ")
        times = {"created_at": aware_utcnow(), "expires_at": datetime_from_epoch(int(expires_at))}
        known = {"user_id": user_id, "token": "", **times}
        outstanding, _ = known_tokens.get_or_create(jti=jti, defaults=known)
        blacklist.get_or_create(token=outstanding)


def signed_part(token: str) -> str:
    """Return the part of a JWT that its signature covers, of which another spelling is another token."""
    return token.rpartition(".")[0]


def _reference(token: Any) -> str:
    """Return the token's id and expiry, which name it in the blacklist."""
    from rest_framework_simplejwt.settings import api_settings

    jti = token.get(api_settings.JTI_CLAIM) if api_settings.JTI_CLAIM else None
    return f"{jti} {int(token['exp'])}" if jti else ""
