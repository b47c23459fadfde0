"""Logins of Django REST framework's ``rest_framework.authtoken``, by its own class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils.module_loading import import_string

from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown

# Printable ASCII, so that no database refuses the text.
_HEADER = re.compile(r"[ \t]*([!-~]+)[ \t]+([!-~]+)[ \t]*")


class Logins(OldLogins):
    """Accept the tokens of the header. They start no session, since a user has one token for all devices.

    They do not expire either, so apps need to sign in here before ``until``.
    """

    package = "rest_framework.authtoken"
    authentication_class: ClassVar[str] = "rest_framework.authentication.TokenAuthentication"
    """The dotted path of the class that authenticates. Override it if the project has its own subclass."""

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the token of the header, which admits a request but starts no session."""
        token = token_of(request, self._authentication().keyword)
        return [Shown(token, Place.HEADER, is_renewable=False)] if token else []

    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Verify the token as the authentication class does."""
        from rest_framework.exceptions import AuthenticationFailed

        try:
            user, token = self._authentication().authenticate_credentials(shown.secret)
        except AuthenticationFailed:
            return None
        created = getattr(token, "created", None)  # which a project's own model may not have
        if created is None:
            return Login(user, auth=token)
        return Login(user, issued_at=int(created.timestamp()), reference=created.isoformat(), auth=token)

    def spend(self, reference: str, user_id: Any) -> None:
        """Delete the token, for all devices. A token that the user was given since then is kept."""
        tokens = self._authentication().get_model()._default_manager
        tokens.filter(user_id=user_id, created=datetime.fromisoformat(reference)).delete()

    def _authentication(self) -> Any:
        return import_string(self.authentication_class)()


def token_of(request: HttpRequest, keyword: str) -> str:
    """Return the token that follows this keyword in the header ``Authorization``, or ``""``."""
    header = _HEADER.fullmatch(request.META.get("HTTP_AUTHORIZATION", ""))
    return header[2] if header is not None and header[1].lower() == keyword.lower() else ""
