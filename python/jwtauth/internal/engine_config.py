"""Creation of the engine's objects from the settings, and hints for values that the engine rejects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jwtauth import _engine
from jwtauth.exceptions import EngineConfigurationError

# The maximum number of verified sessions that a process caches with SESSION_CHECK_INTERVAL, of about 100 bytes each.
_REMEMBERED_SESSIONS = 65_536


@dataclass(frozen=True)
class Problem:
    """Describe a problem with the settings, for the system check and for ``ImproperlyConfigured``."""

    id: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} ({self.id}) {self.hint}"


@dataclass(frozen=True)
class EngineObjects:
    """Hold the engine's objects of a `jwtauth.conf.Config`."""

    keyring: _engine.Keyring
    tokens: _engine.Tokens
    policy: _engine.RotationPolicy
    site: _engine.Site
    verified: _engine.VerifiedSessions


def build(
    values: Mapping[str, Any], *, explicit_keys: bool, trusted_origins: Sequence[str]
) -> tuple[EngineObjects | None, list[Problem]]:
    """Return the engine's objects, or ``None`` and all problems.

    ``explicit_keys`` says that the project has set VERIFYING_KEYS itself, so that each of them must be valid.
    """
    found: list[Problem] = []
    keyring = _build_keyring(values, explicit_keys, found)
    tokens = None if keyring is None else _build_tokens(values, keyring, found)
    policy = _build_policy(values, found)
    found += _cookie_problems(values)
    origins = _build_origins(trusted_origins, found)
    secrets = _build_render_secrets(values, found)
    if found or keyring is None or tokens is None or policy is None or origins is None or secrets is None:
        return None, found
    site = _engine.Site(
        tokens,
        policy,
        origins,
        secrets,
        access_name=values["ACCESS_TOKEN_COOKIE_NAME"],
        refresh_name=values["REFRESH_TOKEN_COOKIE_NAME"],
        bearer=values["BEARER_TOKENS"],
    )
    return EngineObjects(keyring, tokens, policy, site, _engine.VerifiedSessions(_REMEMBERED_SESSIONS)), []


# Hints for invalid keys, by the engine's code.
_GENERATE = "manage.py jwtauth_generate_key generates a new one."
_KEY_HINTS = {
    "key_too_short": "Set SECRET_KEY or JWTAUTH['SIGNING_KEY'] to a longer random value.",
    "key_rsa_size": _GENERATE,
    "key_malformed": f"Set it to the complete text of the key, not the path of its file. {_GENERATE}",
    "key_form": f"Convert it (openssl pkey -inform DER), decode its base64, or use one key of the set. {_GENERATE}",
    "key_pem_lines": "Copy it from the first dash to the last. Line breaks may be written as \\n.",
    "key_pem_base64": "Copy it again from the first dash to the last: characters are missing or have been replaced.",
    "key_several": "List each key separately. A certificate chain must begin with the certificate of the key.",
    "key_jwk": f"Check its members against RFC 7518 section 6. {_GENERATE}",
    "key_encrypted": "Decrypt it: openssl pkey -in key.pem.",
    "key_wrong_kind": f"Change ALGORITHM or the key. {_GENERATE}",
    "key_wrong_algorithm": "Change ALGORITHM or the alg of the JWK, or use a pair (algorithm, key) in VERIFYING_KEYS.",
    "key_wrong_use": "Remove use and key_ops from the JWK, or use another key.",
    "key_not_private": "Use the private key here. Public keys of other services belong in VERIFYING_KEYS.",
    "key_not_public": "Use the public key here: openssl pkey -in key.pem -pubout.",
    "key_not_a_secret": "Set ALGORITHM to that of the key, or use a random secret. A key pair is not a secret.",
    "key_id": "Change the kid of the JWK, or leave it out.",
    "duplicate_key_id": "Give each JWK its own kid, or leave it out.",
    "too_many_keys": "Remove the oldest of VERIFYING_KEYS or SECRET_KEY_FALLBACKS.",
}


def _build_keyring(values: Mapping[str, Any], explicit_keys: bool, found: list[Problem]) -> _engine.Keyring | None:
    algorithm = values["ALGORITHM"]
    if algorithm not in _engine.algorithms():
        known = ", ".join(_engine.algorithms())
        found.append(
            Problem("jwtauth.E008", f"JWTAUTH['ALGORITHM'] must be one of {known}.", "The default is 'HS256'.")
        )
        return None
    try:
        signing = _engine.SigningKey.read(values["SIGNING_KEY"], algorithm=algorithm)
    except EngineConfigurationError as error:
        hint = _KEY_HINTS[error.code]
        if error.code == "key_too_short":
            hint = _too_short(hint, values["SIGNING_KEY"])
        found.append(Problem("jwtauth.E004", f"JWTAUTH['SIGNING_KEY']: {error}.", hint))
        return None
    verifying = []
    for entry in values["VERIFYING_KEYS"]:
        other, key = entry if isinstance(entry, tuple) else (algorithm, entry)
        try:
            verifying.append(_engine.VerifyingKey.read(key, algorithm=other))
        except EngineConfigurationError as error:
            # A key of SECRET_KEY_FALLBACKS that is too short cannot have signed a token, so it is ignored.
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


def _too_short(hint: str, key: bytes) -> str:
    """Return the hint, extended by the strongest algorithm for which the key is long enough, if any."""
    for algorithm in ("HS384", "HS256"):
        with suppress(EngineConfigurationError):
            _engine.SigningKey.read(key, algorithm=algorithm)
            return f"{hint.removesuffix('.')}, or ALGORITHM to {algorithm!r}."
    return hint


def _build_tokens(values: Mapping[str, Any], keyring: _engine.Keyring, found: list[Problem]) -> _engine.Tokens | None:
    try:
        return _engine.Tokens(
            keyring,
            issuer=values["ISSUER"],
            issuer_fallbacks=values["ISSUER_FALLBACKS"],
            audience=values["AUDIENCE"],
            audience_fallbacks=values["AUDIENCE_FALLBACKS"],
            leeway=values["LEEWAY"],
            subject_claim=values["USER_ID_CLAIM"],
        )
    except EngineConfigurationError as error:
        hint = {
            "reserved_claim": "Choose another USER_ID_CLAIM; the default is 'sub'.",
            "empty_name": "Leave ISSUER and AUDIENCE out to issue tokens without them. "
            "In ISSUER_FALLBACKS and AUDIENCE_FALLBACKS, None accepts tokens without the claim.",
        }[error.code]
        found.append(Problem("jwtauth.E003", f"JWTAUTH: {error}.", hint))
        return None


def _build_policy(values: Mapping[str, Any], found: list[Problem]) -> _engine.RotationPolicy | None:
    access, idle, absolute = (
        values["ACCESS_TOKEN_LIFETIME"],
        values["REFRESH_TOKEN_LIFETIME"],
        values["SESSION_LIFETIME"],
    )
    hint = "Use at least one second each, with ACCESS_TOKEN_LIFETIME <= REFRESH_TOKEN_LIFETIME <= SESSION_LIFETIME."
    if any(seconds is not None and seconds < 0 for seconds in (access, idle, absolute)):
        found.append(Problem("jwtauth.E007", "JWTAUTH: a lifetime is negative.", hint))
        return None
    try:
        return _engine.RotationPolicy(
            access=access,
            idle=idle,
            absolute=absolute,
            grace=values["REFRESH_TOKEN_GRACE_PERIOD"],
            lock_after=values["LOCK_AFTER"],
        )
    except EngineConfigurationError as error:
        found.append(Problem("jwtauth.E007", f"JWTAUTH: {error}.", hint))
        return None


def _build_origins(trusted: Sequence[str], found: list[Problem]) -> _engine.OriginPolicy | None:
    try:
        return _engine.OriginPolicy(trusted)
    except EngineConfigurationError as error:
        hint = "Correct or remove the entry; no request can come from it."
        found.append(Problem("jwtauth.E016", f"CSRF_TRUSTED_ORIGINS: {error}.", hint))
        return None


def _build_render_secrets(values: Mapping[str, Any], found: list[Problem]) -> _engine.RenderSecrets | None:
    try:
        return _engine.RenderSecrets(values["RENDER_SERVER_SECRET"])
    except EngineConfigurationError as error:
        hint = "Use a random secret, such as from python -c 'import secrets; print(secrets.token_urlsafe(32))'."
        found.append(Problem("jwtauth.E017", f"JWTAUTH['RENDER_SERVER_SECRET']: {error}.", hint))
        return None


# Check ids and hints of problems with cookies, by the engine's code.
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
