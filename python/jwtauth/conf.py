"""The ``JWTAUTH`` settings, read at use.

`get_config` turns them into the engine's objects, once for each state of the settings: ``override_settings`` works, and
nothing is parsed again while nothing changes. What is wrong with them is a `Problem`, which a system check reports and
`get_config` raises as ``ImproperlyConfigured``, in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from http.cookies import Morsel
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import force_bytes

from jwtauth import _engine
from jwtauth.exceptions import EngineConfigurationError

# How many verified sessions a process remembers, where SESSION_CHECK_INTERVAL lets it: some 100 bytes each.
_REMEMBERED_SESSIONS = 65_536

# The idle limit's default, and the least that the absolute one defaults to.
_DAY = 24 * 60 * 60

# The longest duration, some 3 000 years: dates end with the year 9999.
MAX_SECONDS = 10**11


@dataclass(frozen=True)
class Problem:
    """Something wrong with the settings: the words of the system check and of ``ImproperlyConfigured``."""

    id: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} ({self.id}) {self.hint}"


@dataclass(frozen=True)
class Config:
    """The settings as this package uses them. Durations are seconds unless the name says milliseconds."""

    access_cookie_name: str
    refresh_cookie_name: str
    cookie_secure: bool
    cookie_samesite: str
    cookie_domain: str | None
    cookie_path: str
    cookie_partitioned: bool
    user_id_field: str | None
    check_interval_ms: int | None
    reuse_ends_all_sessions: bool
    bearer_tokens: bool
    num_proxies: int
    max_sessions: int | None
    refuses_more_sessions: bool
    login_serializer: str
    user_serializer: str
    access_token_claims: str | Callable[..., Any] | None
    keyring: _engine.Keyring
    tokens: _engine.Tokens
    policy: _engine.Policy
    origins: _engine.OriginPolicy
    verified: _engine.VerifiedSessions


def get_config() -> Config:
    """The settings now. Raises ``ImproperlyConfigured`` with the words of the first system check that fails."""
    global _current
    current = _current
    if current is not None and current[0].is_now():
        return current[1]
    state = _state()
    config, problems = build(state)
    if config is None:
        raise ImproperlyConfigured(str(problems[0]))
    _current = (state, config)
    return config


@dataclass(frozen=True, repr=False)
class _State:
    """Everything that a `Config` depends on; equal states make equal configs. It holds keys, so it has no ``repr``."""

    secret_key: str | bytes
    user: object
    secret_key_fallbacks: Sequence[str | bytes]
    debug: bool
    trusted_origins: Sequence[str]

    def is_now(self) -> bool:
        """Whether `_state` would return an equal one. Every request asks, so it copies nothing."""
        # What `settings` has looked up before, and drops when it changes: reading an attribute of it takes longer.
        read = settings.__dict__
        try:
            return (
                self.secret_key == read["SECRET_KEY"]
                and self.user == (read["JWTAUTH"] if "JWTAUTH" in read else _user_settings())
                and self.secret_key_fallbacks == read["SECRET_KEY_FALLBACKS"]
                and self.debug == read["DEBUG"]
                and self.trusted_origins == read["CSRF_TRUSTED_ORIGINS"]
            )
        except KeyError:
            return self == _state()


_current: tuple[_State, Config] | None = None


def _state() -> _State:
    return _State(
        secret_key=settings.SECRET_KEY,
        user=_copy(_user_settings()),
        secret_key_fallbacks=copy(settings.SECRET_KEY_FALLBACKS),
        debug=settings.DEBUG,
        trusted_origins=copy(settings.CSRF_TRUSTED_ORIGINS),
    )


def _user_settings() -> object:
    return getattr(settings, "JWTAUTH", None)


def _copy(user: object) -> object:
    """Deep enough that a change in place is noticed."""
    if not isinstance(user, Mapping):
        return user
    return {name: copy(value) if isinstance(value, (list, set)) else value for name, value in user.items()}


def problems() -> list[Problem]:
    """Everything wrong with the settings now."""
    return build(_state())[1]


def values() -> dict[str, Any]:
    """Every setting with its value now: parsed where it was given, else the default."""
    return _read(_state())[0]


# --- reading: one parser a type; each raises ValueError with the type that it wants


def _seconds(value: object) -> int:
    return int(_fraction(value))


def _fraction(value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MAX_SECONDS:
        return value
    raise ValueError("a timedelta, or a number of seconds")


def lifetime_seconds(value: timedelta | float) -> int:
    """The seconds of a session's lifetime. Raises ``ValueError`` for less than one, and for what is no duration."""
    try:
        seconds = _seconds(value)
    except ValueError as error:
        raise ValueError(f"lifetime must be {error}") from None
    if seconds < 1:
        raise ValueError("lifetime must be at least one second")
    return seconds


def _seconds_or_none(value: object) -> int | None:
    return None if value is None else _seconds(value)


def _interval_ms(value: object) -> int | None:
    if value is None:
        return None
    interval = _fraction(value)
    if interval < 0:
        raise ValueError("0 or more seconds, or None")
    return int(interval * 1000)


def _not_negative(value: object) -> int:
    seconds = _seconds(value)
    if seconds < 0:
        raise ValueError("0 or more seconds")
    return seconds


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("0 or a greater integer")


def _count_or_none(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("1 or a greater integer, or None")


def _limit_policy(value: object) -> str:
    if value in ("end_oldest", "refuse"):
        return str(value)
    raise ValueError('"end_oldest" or "refuse"')


def _text(value: object) -> str:
    if isinstance(value, str):
        return _encodable(value)
    raise ValueError("a string")


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # it would say where, and the text may be a key
        raise ValueError("text without lone surrogates") from None
    return value


def _cookie_name(value: object) -> str:
    name = _text(value)
    if Morsel[str]().isReservedKey(name):
        raise ValueError("a name that no cookie attribute has")
    return name


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [_text(value)]
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return [_text(item) for item in value]
    raise ValueError("a string or a list of strings")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("True or False")


def _dotted_path(value: object) -> str:
    path = _text(value)
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise ValueError('the dotted path of a class (a string, as "accounts.serializers.LoginSerializer")')
    return path


def _same_site(value: object) -> str:
    for known in ("Strict", "Lax", "None"):
        if isinstance(value, str) and value.lower() == known.lower():
            return known
    raise ValueError('"Strict", "Lax" or "None" (a string)')


def _key(value: object) -> bytes:
    if isinstance(value, (str, bytes)):
        return force_bytes(_encodable(value) if isinstance(value, str) else value)
    if isinstance(value, Mapping):
        with suppress(TypeError, ValueError):
            return json.dumps(dict(value), allow_nan=False).encode()
    raise ValueError("a string or bytes, or a JWK as a dict")


def _verifying_key(value: object) -> bytes | tuple[str, bytes]:
    """A key for ``ALGORITHM``, or a pair of another algorithm and its key."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str):
        return value[0], _key(value[1])
    return _key(value)


def _keys(value: object) -> list[bytes | tuple[str, bytes]]:
    if isinstance(value, (list, tuple)):
        with suppress(ValueError):
            return [_verifying_key(item) for item in value]
    raise ValueError("a list of strings, bytes, JWKs as dicts, or pairs (algorithm, key)")


def _callable(value: object) -> str | Callable[..., Any] | None:
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    try:
        return _dotted_path(value)
    except ValueError:
        raise ValueError('a function, or its dotted path (a string, as "accounts.tokens.claims")') from None


@dataclass(frozen=True)
class _Setting:
    parse: Callable[[object], Any]
    default: Callable[[_State, Mapping[str, Any]], Any]


def _constant(value: Any) -> Callable[[_State, Mapping[str, Any]], Any]:
    return lambda _state, _values: value


def _session_lifetime(_: _State, values: Mapping[str, Any]) -> int:
    # A project that gave its refresh tokens more than 30 days keeps them.
    refresh_lifetime: int = values["REFRESH_TOKEN_LIFETIME"]
    return max(30 * _DAY, refresh_lifetime)


def _verifying_keys(state: _State, values: Mapping[str, Any]) -> list[bytes | tuple[str, bytes]]:
    if values["SIGNING_KEY"] != force_bytes(state.secret_key):
        return []
    return [force_bytes(key) for key in state.secret_key_fallbacks]


# Every key of JWTAUTH, in the order of the documentation. A default may use the settings above it.
SETTINGS: dict[str, _Setting] = {
    "ACCESS_TOKEN_LIFETIME": _Setting(_seconds, _constant(300)),
    "REFRESH_TOKEN_LIFETIME": _Setting(_seconds, _constant(_DAY)),
    "SESSION_LIFETIME": _Setting(_seconds_or_none, _session_lifetime),
    "ACCESS_TOKEN_COOKIE_NAME": _Setting(_cookie_name, _constant("access_token")),
    "REFRESH_TOKEN_COOKIE_NAME": _Setting(_cookie_name, _constant("refresh_token")),
    "COOKIE_SECURE": _Setting(_flag, lambda state, _: not state.debug),
    "COOKIE_SAMESITE": _Setting(_same_site, _constant("Strict")),
    "COOKIE_DOMAIN": _Setting(_text_or_none, _constant(None)),
    "COOKIE_PATH": _Setting(_text, _constant("/")),
    "COOKIE_PARTITIONED": _Setting(_flag, _constant(False)),
    "ALGORITHM": _Setting(_text, _constant("HS256")),
    "SIGNING_KEY": _Setting(_key, lambda state, _: force_bytes(state.secret_key)),
    "VERIFYING_KEYS": _Setting(_keys, _verifying_keys),
    "ISSUER": _Setting(_text_or_none, _constant(None)),
    "AUDIENCE": _Setting(_texts, _constant([])),
    "LEEWAY": _Setting(_not_negative, _constant(0)),
    "ACCESS_TOKEN_CLAIMS": _Setting(_callable, _constant(None)),
    "USER_ID_FIELD": _Setting(_text_or_none, _constant(None)),
    "USER_ID_CLAIM": _Setting(_text, _constant("sub")),
    "SESSION_CHECK_INTERVAL": _Setting(_interval_ms, _constant(0)),
    "REFRESH_TOKEN_GRACE_PERIOD": _Setting(_not_negative, _constant(30)),
    "REUSE_ENDS_ALL_SESSIONS": _Setting(_flag, _constant(False)),
    "BEARER_TOKENS": _Setting(_flag, _constant(True)),
    "MAX_SESSIONS_PER_USER": _Setting(_count_or_none, _constant(None)),
    "MAX_SESSIONS_POLICY": _Setting(_limit_policy, _constant("end_oldest")),
    "NUM_PROXIES": _Setting(_count, _constant(0)),
    "LOGIN_SERIALIZER": _Setting(_dotted_path, _constant("jwtauth.serializers.LoginSerializer")),
    "USER_SERIALIZER": _Setting(_dotted_path, _constant("jwtauth.serializers.UserSerializer")),
}


def _read(state: _State) -> tuple[dict[str, Any], list[Problem]]:
    """Every setting's value, and what is wrong with names and types; a wrong value is replaced by the default."""
    user, found = state.user, []
    if user is None:
        user = {}
    if not isinstance(user, Mapping):
        found.append(Problem("jwtauth.E001", "JWTAUTH is not a dictionary.", "Set JWTAUTH to a dict, or remove it."))
        user = {}
    for name in user:
        if name not in SETTINGS:
            nearest = get_close_matches(str(name).upper(), SETTINGS, n=1)
            hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Known keys: {', '.join(SETTINGS)}."
            found.append(Problem("jwtauth.E001", f"JWTAUTH has an unknown key {name!r}.", hint))
    result: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        result[name] = setting.default(state, result)
        if name in user:
            try:
                result[name] = setting.parse(user[name])
            except ValueError as error:
                # The value is not shown: it may be a key.
                message = f"JWTAUTH[{name!r}] has a value of the wrong type or range."
                found.append(Problem("jwtauth.E003", message, f"Use {error}."))
    return result, found


def build(state: _State) -> tuple[Config | None, list[Problem]]:
    """The config, or else everything that stands in its way."""
    values, found = _read(state)
    explicit_keys = isinstance(state.user, Mapping) and "VERIFYING_KEYS" in state.user
    found += _user_id_problems(values)
    keyring = _build_keyring(values, explicit_keys, found)
    tokens = None if keyring is None else _build_tokens(values, keyring, found)
    policy = _build_policy(values, found)
    found += _cookie_problems(values)
    if found or keyring is None or tokens is None or policy is None:
        return None, found
    return Config(
        access_cookie_name=values["ACCESS_TOKEN_COOKIE_NAME"],
        refresh_cookie_name=values["REFRESH_TOKEN_COOKIE_NAME"],
        cookie_secure=values["COOKIE_SECURE"],
        cookie_samesite=values["COOKIE_SAMESITE"],
        cookie_domain=values["COOKIE_DOMAIN"],
        cookie_path=values["COOKIE_PATH"],
        cookie_partitioned=values["COOKIE_PARTITIONED"],
        user_id_field=values["USER_ID_FIELD"],
        check_interval_ms=values["SESSION_CHECK_INTERVAL"],
        reuse_ends_all_sessions=values["REUSE_ENDS_ALL_SESSIONS"],
        bearer_tokens=values["BEARER_TOKENS"],
        max_sessions=values["MAX_SESSIONS_PER_USER"],
        refuses_more_sessions=values["MAX_SESSIONS_POLICY"] == "refuse",
        num_proxies=values["NUM_PROXIES"],
        login_serializer=values["LOGIN_SERIALIZER"],
        user_serializer=values["USER_SERIALIZER"],
        access_token_claims=values["ACCESS_TOKEN_CLAIMS"],
        keyring=keyring,
        tokens=tokens,
        policy=policy,
        origins=_engine.OriginPolicy(state.trusted_origins),
        verified=_engine.VerifiedSessions(_REMEMBERED_SESSIONS),
    ), []


def _user_id_problems(values: Mapping[str, Any]) -> list[Problem]:
    name = values["USER_ID_FIELD"]
    columns = {name for field in get_user_model()._meta.concrete_fields for name in (field.name, field.attname)}
    if name not in (None, "pk", *columns):
        message = f"JWTAUTH['USER_ID_FIELD']: the user model has no field {name!r}."
        return [
            Problem("jwtauth.E012", message, "Name a field of AUTH_USER_MODEL, or leave it out for the primary key.")
        ]
    return []


# What to do about a key, by the engine's code.
_GENERATE = "manage.py jwtauth_generate_key makes a new one."
_KEY_HINTS = {
    "key_too_short": "Set SECRET_KEY or JWTAUTH['SIGNING_KEY'] to a longer random value, or use a shorter hash.",
    "key_rsa_size": _GENERATE,
    "key_malformed": f"Check that nothing of it is missing, line breaks included. {_GENERATE}",
    "key_jwk": f"Check its members against RFC 7518, 6. {_GENERATE}",
    "key_encrypted": "Decrypt it: openssl pkey -in key.pem.",
    "key_wrong_kind": f"Change ALGORITHM, or the key. {_GENERATE}",
    "key_wrong_algorithm": "Change ALGORITHM, or the JWK's alg. In VERIFYING_KEYS, (algorithm, key) names another.",
    "key_wrong_use": "Remove use and key_ops from the JWK if they are not meant.",
    "key_not_private": "Put the private key here, and the public one into VERIFYING_KEYS if it is another's.",
    "key_not_public": "Put the public key here: openssl pkey -in key.pem -pubout.",
    "key_not_a_secret": "Set ALGORITHM to that of the key, or use a random secret.",
    "key_id": "Change the JWK's kid, or leave it out.",
    "duplicate_key_id": "Give each JWK a kid of its own, or leave it out.",
    "too_many_keys": "Remove the oldest of VERIFYING_KEYS or SECRET_KEY_FALLBACKS.",
}


def _build_keyring(values: Mapping[str, Any], explicit_keys: bool, found: list[Problem]) -> _engine.Keyring | None:
    algorithm = values["ALGORITHM"]
    if algorithm not in _engine.algorithms():
        known = ", ".join(_engine.algorithms())
        found.append(Problem("jwtauth.E008", f"JWTAUTH['ALGORITHM'] is none of {known}.", "The default is 'HS256'."))
        return None
    try:
        signing = _engine.SigningKey.read(values["SIGNING_KEY"], algorithm=algorithm)
    except EngineConfigurationError as error:
        found.append(Problem("jwtauth.E004", f"JWTAUTH['SIGNING_KEY']: {error}.", _KEY_HINTS[error.code]))
        return None
    verifying = []
    for entry in values["VERIFYING_KEYS"]:
        other, key = entry if isinstance(entry, tuple) else (algorithm, entry)
        try:
            verifying.append(_engine.VerifyingKey.read(key, algorithm=other))
        except EngineConfigurationError as error:
            # One of SECRET_KEY_FALLBACKS that is too short has never signed a token, so none is lost.
            if explicit_keys:
                hint = {
                    **_KEY_HINTS,
                    "key_too_short": "Remove it: a key of this length cannot have signed a token.",
                    "unsupported_algorithm": "In a pair (algorithm, key), the algorithm comes first.",
                }[error.code]
                found.append(Problem("jwtauth.E004", f"JWTAUTH['VERIFYING_KEYS']: {error}.", hint))
    try:
        return _engine.Keyring(signing, verifying)
    except EngineConfigurationError as error:
        found.append(Problem("jwtauth.E003", f"JWTAUTH: {error}.", _KEY_HINTS[error.code]))
        return None


def _build_tokens(values: Mapping[str, Any], keyring: _engine.Keyring, found: list[Problem]) -> _engine.Tokens | None:
    try:
        return _engine.Tokens(
            keyring,
            issuer=values["ISSUER"],
            audience=values["AUDIENCE"],
            leeway=values["LEEWAY"],
            subject_claim=values["USER_ID_CLAIM"],
        )
    except EngineConfigurationError as error:
        hint = {
            "reserved_claim": "Choose another USER_ID_CLAIM; the default is 'sub'.",
            "empty_name": "Leave ISSUER and AUDIENCE out where there is none.",
        }[error.code]
        found.append(Problem("jwtauth.E003", f"JWTAUTH: {error}.", hint))
        return None


def _build_policy(values: Mapping[str, Any], found: list[Problem]) -> _engine.Policy | None:
    access, idle, absolute = (
        values["ACCESS_TOKEN_LIFETIME"],
        values["REFRESH_TOKEN_LIFETIME"],
        values["SESSION_LIFETIME"],
    )
    hint = "Each must be a second or more, with ACCESS_TOKEN_LIFETIME <= REFRESH_TOKEN_LIFETIME <= SESSION_LIFETIME."
    if any(seconds is not None and seconds < 0 for seconds in (access, idle, absolute)):
        found.append(Problem("jwtauth.E007", "JWTAUTH: a lifetime is negative.", hint))
        return None
    try:
        return _engine.Policy(access=access, idle=idle, absolute=absolute, grace=values["REFRESH_TOKEN_GRACE_PERIOD"])
    except EngineConfigurationError as error:
        found.append(Problem("jwtauth.E007", f"JWTAUTH: {error}.", hint))
        return None


# Problems with cookies: the engine's code, our check's id, the hint.
_COOKIE_CHECKS = {
    "samesite_none_without_secure": ("jwtauth.E005", "Set COOKIE_SECURE to True, or COOKIE_SAMESITE to 'Lax'."),
    "cookie_prefix_without_secure": ("jwtauth.E006", "Set COOKIE_SECURE to True, or use a name without a prefix."),
    "host_prefix_with_scope": (
        "jwtauth.E006",
        "Leave COOKIE_DOMAIN and COOKIE_PATH out, or use a name without the prefix.",
    ),
    "cookie_names_equal": ("jwtauth.E009", "Change ACCESS_TOKEN_COOKIE_NAME or REFRESH_TOKEN_COOKIE_NAME."),
    "cookie_name_invalid": ("jwtauth.E009", "Use letters, digits, '-' and '_'."),
    "cookie_scope_invalid": ("jwtauth.E009", "Check COOKIE_DOMAIN and COOKIE_PATH."),
    "partitioned_without_secure": ("jwtauth.E010", "Set COOKIE_SECURE to True, or COOKIE_PARTITIONED to False."),
}


def _cookie_problems(values: Mapping[str, Any]) -> list[Problem]:
    found = _engine.cookie_problems(
        access_name=values["ACCESS_TOKEN_COOKIE_NAME"],
        refresh_name=values["REFRESH_TOKEN_COOKIE_NAME"],
        secure=values["COOKIE_SECURE"],
        same_site=values["COOKIE_SAMESITE"],
        domain=values["COOKIE_DOMAIN"],
        path=values["COOKIE_PATH"],
        partitioned=values["COOKIE_PARTITIONED"],
    )
    return [
        Problem(_COOKIE_CHECKS[code][0], f"JWTAUTH: {text}.", _COOKIE_CHECKS[code][1]) for text, code in found or []
    ]
