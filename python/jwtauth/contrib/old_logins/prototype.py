"""Logins of jwtauth 0.0.8, whose two cookies have the same names and the same key as jwtauth's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist, ValidationError
from django.http import HttpRequest

from jwtauth.conf import Config, get_config
from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown
from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import user_can_authenticate
from jwtauth.models import database

_ACCESS: dict[str, tuple[type, ...]] = {"user_id": (int, str), "iat": (int,), "exp": (int,)}
_REFRESH: dict[str, tuple[type, ...]] = {**_ACCESS, "token_string": (str,)}


class _Tokens(NamedTuple):
    """Hold the claims of both tokens, whose signatures are verified and which belong to the same user."""

    access: Mapping[str, Any]
    refresh: Mapping[str, Any]


class Logins(OldLogins):
    """Accept the cookies of 0.0.8: both are needed, and the access token may have expired.

    A login is named by the ``token_string`` of its refresh token, as in the blacklist of 0.0.8. Migration 0005 keeps
    that blacklist.
    """

    package = "jwt"

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the login of both cookies, if their signatures are valid."""
        tokens = _tokens_of(request)
        if tokens is None:
            return []
        # The last access token may be valid for some minutes more than the refresh token.
        return [Shown(tokens.refresh["token_string"], Place.COOKIE, is_renewable=clock.now() < tokens.refresh["exp"])]

    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Find the user of the tokens, who must be active. 0.0.8 accepted inactive users."""
        tokens = _tokens_of(request)
        user = None if tokens is None else _user_of(tokens)
        if tokens is None or user is None or not user_can_authenticate(user):
            return None
        claims = tokens.refresh if shown.is_renewable else tokens.access
        # The cookies of 0.0.8 are deleted when the browser is closed.
        return Login(user, issued_at=claims["iat"], expires_at=claims["exp"], remember=False)


def _tokens_of(request: HttpRequest) -> _Tokens | None:
    config = get_config()
    access, refresh = (
        _decoded(request.COOKIES.get(name, ""), types, config)
        for name, types in ((config.access_cookie_name, _ACCESS), (config.refresh_cookie_name, _REFRESH))
    )
    if access is None or refresh is None or access["user_id"] != refresh["user_id"]:
        return None
    return _Tokens(access, refresh)


def _decoded(token: str, types: Mapping[str, tuple[type, ...]], config: Config) -> Mapping[str, Any] | None:
    """Return the claims if the signature is valid, and if they have exactly these names and types."""
    import jwt

    if not token or not config.algorithm.startswith("HS"):  # 0.0.8 worked with these algorithms only
        return None
    keys = [config.signing_key, *(key for key in config.verifying_keys if isinstance(key, bytes))]
    for key in keys:
        try:
            # As 0.0.8 does, which checks the expiry itself.
            claims = jwt.decode(token, key, [config.algorithm], {"verify_exp": False, "require": ["iat", "exp"]})
        except (jwt.PyJWTError, ValueError, RecursionError):
            continue
        if claims.keys() == types.keys() and all(type(claims[name]) in types[name] for name in types):
            return claims
    return None


def _user_of(tokens: _Tokens) -> Any:
    users: Any = get_user_model()._default_manager.using(database())
    try:
        return users.get(id=tokens.refresh["user_id"])
    except (ObjectDoesNotExist, MultipleObjectsReturned, ValidationError, ValueError, OverflowError):
        return None
