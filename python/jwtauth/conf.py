"""The ``JWTAUTH`` settings, read when they are used.

`Config` declares each setting once. `get_config` creates a config, with the engine's objects, for each state of the
settings, so that ``override_settings`` works and unchanged settings are not parsed again. An invalid setting is a
`Problem`, which a system check reports and `get_config` raises as ``ImproperlyConfigured`` with the same message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import force_bytes

from jwtauth.internal import engine_config, policies
from jwtauth.internal import settings_parsers as parse
from jwtauth.internal.engine_config import EngineObjects, Problem

# The default of the idle limit, in seconds.
_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Setting:
    """Describe a key of ``JWTAUTH``: how it is parsed and where it may be shown."""

    name: str
    parse: Callable[[object], Any]
    default: Callable[[_State, Mapping[str, Any]], Any]
    secret: bool
    """Whether the value contains keys, which are never shown."""
    rust: bool
    """Whether jwtauth-axum has the same setting."""
    none_differs: bool
    """Whether ``None`` is different from leaving the setting out."""


def setting(
    name: str,
    parse: Callable[[object], Any],
    default: Any = None,
    *,
    derived: Callable[[_State, Mapping[str, Any]], Any] | None = None,
    secret: bool = False,
    rust: bool = True,
    none_differs: bool = False,
) -> Any:
    """Declare a field of `Config` as a setting.

    The default is a constant, or ``derived`` from Django's settings and the values of the preceding settings. A policy
    may give another one.
    """
    default_of = derived or (lambda _state, _values: default)
    return field(repr=not secret, metadata={"setting": Setting(name, parse, default_of, secret, rust, none_differs)})


def _positive_or_none(value: object) -> int | None:
    duration = parse.seconds_or_none(value)
    if duration is not None and duration < 1:
        raise ValueError("1 or more seconds, or None")
    return duration


def _session_lifetime(_: _State, values: Mapping[str, Any]) -> int:
    # At least 30 days, and never less than the idle limit.
    refresh_lifetime: int = values["REFRESH_TOKEN_LIFETIME"]
    return max(30 * _DAY, refresh_lifetime)


def _verifying_keys(state: _State, values: Mapping[str, Any]) -> list[bytes | tuple[str, bytes]]:
    if values["SIGNING_KEY"] != force_bytes(state.secret_key):
        return []
    return [force_bytes(key) for key in state.secret_key_fallbacks]


@dataclass(frozen=True)
class Config(EngineObjects):
    """Hold the current settings, in the order of the documentation, and the engine's objects created from them.

    Durations are seconds, except in names that end with ``_ms``.
    """

    policy_name: str | None = setting("POLICY", policies.parse, rust=False)
    access_token_lifetime: int = setting("ACCESS_TOKEN_LIFETIME", parse.seconds, 300)
    refresh_token_lifetime: int = setting("REFRESH_TOKEN_LIFETIME", parse.seconds, _DAY)
    session_lifetime: int | None = setting(
        "SESSION_LIFETIME", parse.seconds_or_none, derived=_session_lifetime, none_differs=True
    )
    lock_after: int | None = setting("LOCK_AFTER", _positive_or_none)
    sensitive_max_age: int | None = setting("SENSITIVE_MAX_AGE", _positive_or_none)
    cookie_secure: bool = setting("COOKIE_SECURE", parse.flag, derived=lambda state, _values: not state.debug)
    cookie_samesite: str = setting("COOKIE_SAMESITE", parse.same_site, "Strict")
    cookie_domain: str | None = setting("COOKIE_DOMAIN", parse.text_or_none)
    cookie_path: str = setting("COOKIE_PATH", parse.text, "/")
    cookie_partitioned: bool = setting("COOKIE_PARTITIONED", parse.flag, False)
    access_cookie_name: str = setting("ACCESS_TOKEN_COOKIE_NAME", parse.cookie_name, "access_token")
    refresh_cookie_name: str = setting("REFRESH_TOKEN_COOKIE_NAME", parse.cookie_name, "refresh_token")
    algorithm: str = setting("ALGORITHM", parse.text, "HS256")
    signing_key: bytes = setting(
        "SIGNING_KEY", parse.key, derived=lambda state, _values: force_bytes(state.secret_key), secret=True
    )
    verifying_keys: list[bytes | tuple[str, bytes]] = setting(
        "VERIFYING_KEYS", parse.keys, derived=_verifying_keys, secret=True
    )
    issuer: str | None = setting("ISSUER", parse.text_or_none)
    issuer_fallbacks: list[str | None] = setting("ISSUER_FALLBACKS", parse.fallbacks, [])
    audience: list[str] = setting("AUDIENCE", parse.texts, [])
    audience_fallbacks: list[str | None] = setting("AUDIENCE_FALLBACKS", parse.fallbacks, [])
    leeway: int = setting("LEEWAY", parse.not_negative, 0)
    access_token_claims: str | Callable[..., Any] | None = setting("ACCESS_TOKEN_CLAIMS", parse.function, rust=False)
    user_id_field: str | None = setting("USER_ID_FIELD", parse.text_or_none, rust=False)
    user_id_claim: str = setting("USER_ID_CLAIM", parse.text, "sub")
    check_interval_ms: int | None = setting("SESSION_CHECK_INTERVAL", parse.interval_ms, 0, none_differs=True)
    grace_period: int = setting("REFRESH_TOKEN_GRACE_PERIOD", parse.not_negative, 30)
    reuse_ends_all_sessions: bool = setting("REUSE_ENDS_ALL_SESSIONS", parse.flag, False)
    bearer_tokens: bool = setting("BEARER_TOKENS", parse.flag, True)
    device_bound_sessions: str = setting("DEVICE_BOUND_SESSIONS", parse.device_bound, "off")
    render_secrets: list[str] = setting("RENDER_SERVER_SECRET", parse.texts, [], secret=True)
    max_sessions: int | None = setting("MAX_SESSIONS_PER_USER", parse.count_or_none, none_differs=True)
    max_sessions_policy: str = setting("MAX_SESSIONS_POLICY", parse.limit_policy, "end_oldest")
    second_factor: str | Callable[..., Any] | None = setting("SECOND_FACTOR", parse.function, rust=False)
    act_as: str | Callable[..., Any] | None = setting("ACT_AS", parse.function, rust=False)
    act_as_lifetime: int = setting("ACT_AS_LIFETIME", parse.not_negative, 3600)
    num_proxies: int = setting(
        "NUM_PROXIES", parse.count, derived=lambda state, _values: state.proxies_of_drf or 0, rust=False
    )
    record_ip_address: str = setting("RECORD_IP_ADDRESS", parse.record, "full")
    record_user_agent: str = setting("RECORD_USER_AGENT", parse.record, "full")
    accept_logins_of: list[tuple[str, int, int]] = setting("ACCEPT_LOGINS_OF", parse.old_logins, [], rust=False)
    login_serializer: str = setting(
        "LOGIN_SERIALIZER", parse.dotted_path, "jwtauth.serializers.LoginSerializer", rust=False
    )
    user_serializer: str = setting(
        "USER_SERIALIZER", parse.dotted_path, "jwtauth.serializers.UserSerializer", rust=False
    )

    @property
    def refuses_more_sessions(self) -> bool:
        """Return whether a login beyond the limit is refused, instead of ending the oldest session."""
        return self.max_sessions_policy == "refuse"


# The cache of Django's lazy settings, which drops changed values. `jwtauth.internal` says what this saves.
_LOOKED_UP: dict[str, Any] = vars(settings)


def django_setting(name: str) -> Any:
    """Return a setting that Django always defines."""
    try:
        return _LOOKED_UP[name]
    except KeyError:
        return getattr(settings, name)


def _optional_setting(name: str) -> Any:
    """Return a setting that Django does not define, or ``None`` if the project has not set it.

    Asking Django's lazy settings for a missing one takes 6 µs each time.
    """
    return _LOOKED_UP[name] if name in _LOOKED_UP else getattr(_LOOKED_UP["_wrapped"], name, None)


# The settings by the name of their field, and by their own name.
_FIELDS: dict[str, Setting] = {one.name: one.metadata["setting"] for one in fields(Config) if "setting" in one.metadata}
SETTINGS: dict[str, Setting] = {one.name: one for one in _FIELDS.values()}


def get_config() -> Config:
    """Return the config of the current settings.

    Raises ``ImproperlyConfigured`` with the message of the first failing system check if a setting is invalid.
    """
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
    """Hold all inputs of a `Config`. Equal states give equal configs. It contains keys, so it has no ``repr``."""

    secret_key: str | bytes
    user: object
    secret_key_fallbacks: Sequence[str | bytes]
    debug: bool
    trusted_origins: Sequence[str]
    proxies_of_drf: int | None

    def is_now(self) -> bool:
        """Return whether `_state` would return an equal state. Copies nothing, since every request calls it."""
        read = _LOOKED_UP
        of_drf = read.get("REST_FRAMEWORK")
        proxies = of_drf.get("NUM_PROXIES") if type(of_drf) is dict else proxies_of_drf()
        try:
            return (
                self.secret_key == read["SECRET_KEY"]
                and self.user == (read["JWTAUTH"] if "JWTAUTH" in read else _user_settings())
                and self.secret_key_fallbacks == read["SECRET_KEY_FALLBACKS"]
                and self.debug == read["DEBUG"]
                and self.trusted_origins == read["CSRF_TRUSTED_ORIGINS"]
                and self.proxies_of_drf == proxies
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
        proxies_of_drf=proxies_of_drf(),
    )


def _user_settings() -> object:
    return _optional_setting("JWTAUTH")


def proxies_of_drf() -> int | None:
    """Return DRF's ``NUM_PROXIES``, or ``None`` if it is not set. Imports nothing, since the site may not use DRF."""
    of_drf = _optional_setting("REST_FRAMEWORK")
    return of_drf.get("NUM_PROXIES") if isinstance(of_drf, Mapping) else None


def _copy(user: object) -> object:
    """Return a copy that is deep enough to notice changes in place."""
    if not isinstance(user, Mapping):
        return user
    return {name: copy(value) if isinstance(value, (list, set)) else value for name, value in user.items()}


def problems() -> list[Problem]:
    """Return all problems of the current settings."""
    return build(_state())[1]


def values() -> dict[str, Any]:
    """Return the current value of every setting: parsed if it is set, otherwise the default."""
    return _read(_state())[0]


def _read(state: _State) -> tuple[dict[str, Any], list[Problem]]:
    """Return the value of every setting, and the problems with names and types. Invalid values become the default."""
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
        result[name] = policies.default(name, setting.default(state, result), result)
        if name in user:
            try:
                result[name] = setting.parse(user[name])
            except ValueError as error:
                # The value is not shown, since it may be a key.
                message = f"JWTAUTH[{name!r}] has a value of the wrong type or range."
                found.append(Problem("jwtauth.E003", message, f"Use {error}."))
    return result, found


def build(state: _State) -> tuple[Config | None, list[Problem]]:
    """Return the config, or ``None`` and all problems."""
    values, found = _read(state)
    found += _user_id_problems(values)
    found += _lock_problems(values)
    found += _device_problems(values)
    explicit_keys = isinstance(state.user, Mapping) and "VERIFYING_KEYS" in state.user
    engine, refused = engine_config.build(values, explicit_keys=explicit_keys, trusted_origins=state.trusted_origins)
    found += refused
    if found or engine is None:
        return None, found
    return Config(**{name: values[one.name] for name, one in _FIELDS.items()}, **vars(engine)), []


def _user_id_problems(values: Mapping[str, Any]) -> list[Problem]:
    name = values["USER_ID_FIELD"]
    columns = {name for field in get_user_model()._meta.concrete_fields for name in (field.name, field.attname)}
    if name not in (None, "pk", *columns):
        message = f"JWTAUTH['USER_ID_FIELD']: the user model has no field {name!r}."
        return [
            Problem("jwtauth.E012", message, "Name a field of AUTH_USER_MODEL, or leave it out for the primary key.")
        ]
    return []


def _lock_problems(values: Mapping[str, Any]) -> list[Problem]:
    lock, access, refresh = values["LOCK_AFTER"], values["ACCESS_TOKEN_LIFETIME"], values["REFRESH_TOKEN_LIFETIME"]
    if lock is None or access <= lock < refresh:
        return []
    message = (
        f"JWTAUTH: LOCK_AFTER ({lock} s) is not between ACCESS_TOKEN_LIFETIME ({access} s) and REFRESH_TOKEN_LIFETIME "
        f"({refresh} s)."
    )
    hint = "Use ACCESS_TOKEN_LIFETIME <= LOCK_AFTER < REFRESH_TOKEN_LIFETIME, or None to never lock."
    return [Problem("jwtauth.E007", message, hint)]


def _device_problems(values: Mapping[str, Any]) -> list[Problem]:
    mode, id = values["DEVICE_BOUND_SESSIONS"], "jwtauth.E020"
    if mode != "off" and values["COOKIE_PARTITIONED"]:
        message = "JWTAUTH: browsers bind no session to a device whose cookies are partitioned."
        return [Problem(id, message, "Set COOKIE_PARTITIONED to False, or DEVICE_BOUND_SESSIONS to 'off'.")]
    if mode == "require" and not values["COOKIE_SECURE"]:
        message = "JWTAUTH: DEVICE_BOUND_SESSIONS is 'require', but browsers bind sessions over HTTPS only."
        return [Problem(id, message, "Set COOKIE_SECURE to True, or DEVICE_BOUND_SESSIONS to 'offer'.")]
    return []
