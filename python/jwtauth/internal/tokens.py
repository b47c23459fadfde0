"""The claims about a user, and token pairs for clients that store them themselves."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.utils.module_loading import import_string

from jwtauth import _engine
from jwtauth.conf import Config
from jwtauth.internal.store import clock


def subject_of(user: AbstractBaseUser, config: Config) -> str:
    """Return the user's subject claim: the value of ``USER_ID_FIELD``, by default the primary key."""
    return str(getattr(user, config.user_id_field or "pk"))


def comparable_subject_of(user: AbstractBaseUser, config: Config) -> str | None:
    """Return the subject that every token of this user has.

    Returns ``None`` if ``USER_ID_FIELD`` is not the primary key, since the field may have changed after the token was
    issued.
    """
    return str(user.pk) if config.user_id_field in (None, "pk") else None


def custom_claims(request: HttpRequest, user: AbstractBaseUser, config: Config) -> str | None:
    """Return the claims of ``ACCESS_TOKEN_CLAIMS`` as a JSON object, or ``None`` without the setting.

    Raises ``ClaimsRefused`` if a token cannot hold them.
    """
    function = config.access_token_claims
    if function is None:
        return None
    if isinstance(function, str):
        function = import_string(function)
    custom = json.dumps(function(request, user), cls=DjangoJSONEncoder, allow_nan=False)
    config.site.fits(subject_of(user, config), custom)
    return custom


def pair(grant: _engine.Grant, config: Config) -> dict[str, Any]:
    """Return both tokens and the seconds until each expires. Tokens that are bound to a key have a ``token_type``."""
    now, site = clock.now(), config.site
    kind = {} if grant.access.confirmation is None else {"token_type": "DPoP"}
    return {
        **kind,
        "access": site.issue(grant, _engine.TokenKind.ACCESS),
        "refresh": site.issue(grant, _engine.TokenKind.REFRESH),
        "access_expires_in": grant.access.expires_at - now,
        "refresh_expires_in": grant.refresh.expires_at - now,
    }
