"""Logins of django-rest-knox, by its own class and its setting ``REST_KNOX``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.module_loading import import_string

from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown
from jwtauth.contrib.old_logins.authtoken import token_of

# A prefix, which may have changed since the token was issued, and hexadecimal digits.
_TOKEN = re.compile(r"[!-~]{0,10}[0-9a-f]{16,}")


class Logins(OldLogins):
    """Accept the tokens of the header, and at `jwtauth.views.TokenRefreshView`. Each is one login."""

    package = "knox"
    authentication_class: ClassVar[str] = "knox.auth.TokenAuthentication"
    """The dotted path of the class that authenticates. Override it if the project has its own subclass."""

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the token of the header."""
        from knox.settings import knox_settings

        token = token_of(request, knox_settings.AUTH_HEADER_PREFIX)
        return [Shown(token, Place.HEADER, is_renewable=True)] if token else []

    def shown_as_refresh_token(self, text: str) -> Shown | None:
        """Return the token, which apps exchange as if it were a refresh token."""
        return Shown(text, Place.BODY, is_renewable=True) if _TOKEN.fullmatch(text) else None

    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Verify the token as the authentication class does, which may extend it."""
        from rest_framework.exceptions import AuthenticationFailed

        try:
            user, token = import_string(self.authentication_class)().authenticate_credentials(shown.secret.encode())
        except AuthenticationFailed:
            return None
        except DatabaseError as error:
            if error.__cause__ is not None:  # an error of the database
                raise
            return None  # another request deleted the token while this one extended it
        expires_at, slides = _lifetime(token)
        return Login(
            user,
            issued_at=int(token.created.timestamp()),
            expires_at=expires_at,
            slides=slides,
            reference=token.digest,  # knox's primary key, from which the token cannot be guessed
            auth=token,
        )

    def spend(self, reference: str, user_id: Any) -> None:
        """Delete the token."""
        from knox.models import get_token_model

        get_token_model()._default_manager.filter(digest=reference).delete()


def _lifetime(token: Any) -> tuple[int | None, bool]:
    """Return when the token expires, and whether use extends it without an end.

    With ``AUTO_REFRESH_MAX_TTL``, use extends it up to a fixed end, so the session ends then.
    """
    from knox.settings import knox_settings

    if token.expiry is None:
        return None, False
    if not knox_settings.AUTO_REFRESH:
        return int(token.expiry.timestamp()), False
    if knox_settings.AUTO_REFRESH_MAX_TTL is None:
        return int(token.expiry.timestamp()), True
    return int((token.created + knox_settings.AUTO_REFRESH_MAX_TTL).timestamp()), False
