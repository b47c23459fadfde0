"""Logins that have passed one factor only, of users who have enrolled another (``SECOND_FACTOR``).

Such a login has no row. What is known about it is in a signed value, which a browser keeps in a cookie and another
client sends in a header. The value authenticates nothing. The login that completes it starts the session.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.signing import BadSignature, Signer
from django.db import connections
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from jwtauth import _engine
from jwtauth.conf import Config, get_config
from jwtauth.exceptions import CrossOriginRefused
from jwtauth.internal import settings_parsers as parse
from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import admit, auth_hash, auth_hashes
from jwtauth.models import database

if TYPE_CHECKING:
    from jwtauth.internal.flow import Flow

MAX_AGE = 600
"""How long a login may wait for its second factor, in seconds."""
# Clients without a cookie jar send the value in this header. A page of another origin cannot add it.
_HEADER = "HTTP_X_JWTAUTH_PENDING"
# It names the form of the value, too: change it together with `PendingLogin.sign`.
_SALT = "jwtauth.pending.1"


@dataclass(frozen=True)
class PendingLogin:
    """Describe a login that waits for a second factor, as ``request.jwtauth.pending``.

    The user is not signed in. ``methods`` are the factors that the login has passed.
    """

    user: Any
    methods: frozenset[str]
    remember: bool
    lifetime: int | None
    backend: str
    device_bound: bool = False

    @property
    def required(self) -> frozenset[str]:
        """Return the methods that the user has enrolled, of which one completes the login. Calls ``SECOND_FACTOR``."""
        return enrolled(self.user, get_config())

    @property
    def amr(self) -> str:
        """Return the methods as a session stores them."""
        return _engine.stored_methods(list(self.methods))

    def sign(self) -> str:
        """Return the signed value."""
        values = [
            _key_of(self.user),
            sorted(self.methods),
            self.remember,
            self.lifetime,
            self.backend,
            self.device_bound,
            _digest(auth_hash(self.user)),
            clock.now() + MAX_AGE,
        ]
        return _signer().sign_object(values)


def names(methods: Iterable[str]) -> frozenset[str]:
    """Return the names of methods.

    Raises ``TypeError`` for a string, which is a sequence of letters, and ``ValueError`` for names that are not valid.
    """
    if isinstance(methods, str):
        raise TypeError('methods must be a sequence of names, such as ("pwd",)')
    found = frozenset(methods)
    _engine.stored_methods(list(found))
    return found


def enrolled(user: AbstractBaseUser, config: Config) -> frozenset[str]:
    """Return the methods that the user has enrolled, by ``SECOND_FACTOR``."""
    function = config.second_factor
    if function is None:
        return frozenset()
    if isinstance(function, str):
        function = import_string(function)
    return names(function(user))


def of(flow: Flow) -> PendingLogin | None:
    """Return the pending login of the request, or ``None``. The first call makes one query if there may be one."""
    flow.was_asked = True
    if not flow.pending_is_known:
        flow.pending, flow.pending_is_known = _load(flow), True
    return flow.pending


def join(flow: Flow, login: PendingLogin) -> PendingLogin:
    """Return the login together with the request's pending login of the same user, if there is one."""
    before = None if flow.config.second_factor is None else of(flow)
    if before is None or before.user.pk != login.user.pk:
        return login
    return PendingLogin(
        login.user,
        login.methods | before.methods,
        remember=login.remember and before.remember,
        lifetime=before.lifetime if login.lifetime is None else login.lifetime,
        backend=login.backend or before.backend,
        device_bound=login.device_bound or before.device_bound,
    )


def missing(flow: Flow, login: PendingLogin) -> frozenset[str]:
    """Return the methods that the user has enrolled if the login has passed none of them."""
    known = enrolled(login.user, flow.config)
    return frozenset() if known & login.methods else known


def lifetime_seconds(lifetime: timedelta | float | None) -> int | None:
    """Return the lifetime of a session in seconds. Raises ``ValueError`` as the start of a session does."""
    return None if lifetime is None else parse.lifetime_seconds(lifetime)


def keep(flow: Flow, login: PendingLogin) -> None:
    """Set the cookie of this pending login."""
    flow.pending, flow.pending_is_known, flow.pending_cookie = login, True, login.sign()


def clear(flow: Flow) -> None:
    """Clear the cookie if the request brought one."""
    flow.pending, flow.pending_is_known, flow.pending_cookie = None, True, None
    if cookie_name(flow.config) in flow.request.COOKIES:
        flow.pending_cookie = ""


def cookie_name(config: Config) -> str:
    """Return the name of the cookie. It has the prefix and scope of the access token's cookie."""
    return f"{config.access_cookie_name}_pending"


def _load(flow: Flow) -> PendingLogin | None:
    value = _value(flow) if flow.config.second_factor is not None else None
    if value is None:
        return None
    try:
        key, methods, remember, lifetime, backend, device_bound, digest, expires_at = _signer().unsign_object(value)
    except (BadSignature, UnicodeError, ValueError):  # also of a version with other fields
        return None
    if expires_at <= clock.now():
        return None
    found = get_user_model()._default_manager.using(database()).filter(pk=key).first()
    user = None if found is None else admit(found, backend)
    if user is None or not any(constant_time_compare(digest, _digest(known)) for known in auth_hashes(user)):
        return None
    if backend:
        user.backend = backend  # as `authenticate` sets it
    return PendingLogin(user, frozenset(methods), remember, lifetime, backend, device_bound)


def _value(flow: Flow) -> str | None:
    """Return the value that the request shows, unless it is in a cookie that the request may not use."""
    request = flow.request
    value: str | None = request.META.get(_HEADER)
    if value is not None or flow.identity.is_bearer:
        return value
    value = request.COOKIES.get(cookie_name(flow.config))
    if value is not None:
        try:
            flow.check_origin()
        except CrossOriginRefused:
            return None
    return value


def _signer() -> Signer:
    return Signer(salt=_SALT)


def _digest(of_user: str) -> str:
    """Return the digest of a user's auth hash, which differs between the databases and schemas of tenants."""
    place = database(), getattr(connections[database()], "schema_name", "")
    return sha256(repr((*place, of_user)).encode()).hexdigest()


def _key_of(user: AbstractBaseUser) -> str:
    return str(user._meta.pk.value_to_string(user))
