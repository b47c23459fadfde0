"""Parsers of settings, which take the project's value and return the value to use.

Each raises ``ValueError`` with a description of the expected type, for the hint of the system check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from http.cookies import Morsel
from typing import Any

from django.utils.encoding import force_bytes

# The longest duration in seconds, about 3,000 years. Dates end with the year 9999.
MAX_SECONDS = 10**11


def seconds(value: object) -> int:
    return int(_fraction(value))


def _fraction(value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MAX_SECONDS:
        return value
    raise ValueError("a timedelta, or a number of seconds")


def lifetime_seconds(value: timedelta | float) -> int:
    """Return a session's lifetime in seconds. Raises ``ValueError`` for less than one second or another type."""
    try:
        lifetime = seconds(value)
    except ValueError as error:
        raise ValueError(f"lifetime must be {error}") from None
    if lifetime < 1:
        raise ValueError("lifetime must be at least one second")
    return lifetime


def seconds_or_none(value: object) -> int | None:
    return None if value is None else seconds(value)


def interval_ms(value: object) -> int | None:
    if value is None:
        return None
    interval = _fraction(value)
    if interval < 0:
        raise ValueError("0 or more seconds, or None")
    return int(interval * 1000)


def not_negative(value: object) -> int:
    duration = seconds(value)
    if duration < 0:
        raise ValueError("0 or more seconds")
    return duration


def count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("an integer of 0 or more")


def count_or_none(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("an integer of 1 or more, or None")


def limit_policy(value: object) -> str:
    if value in ("end_oldest", "refuse"):
        return str(value)
    raise ValueError('"end_oldest" or "refuse"')


def device_bound(value: object) -> str:
    if value in ("off", "offer", "require"):
        return str(value)
    raise ValueError('"off", "offer" or "require"')


def record(value: object) -> str:
    if value in ("full", "truncated", "off"):
        return str(value)
    raise ValueError('"full", "truncated" or "off"')


def text(value: object) -> str:
    if isinstance(value, str):
        return _encodable(value)
    raise ValueError("a string")


def _encodable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # whose message would show part of the text, which may be a key
        raise ValueError("text without lone surrogates") from None
    return value


def cookie_name(value: object) -> str:
    name = text(value)
    if Morsel[str]().isReservedKey(name):
        raise ValueError("a name that is not a cookie attribute")
    return name


def text_or_none(value: object) -> str | None:
    return None if value is None else text(value)


def texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [text(value)]
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return [text(item) for item in value]
    raise ValueError("a string or a list of strings")


def fallbacks(value: object) -> list[str | None]:
    # Refuse the string "none", which means None in the settings of jwtauth-axum.
    if isinstance(value, (list, tuple)) and all(
        item is None or (isinstance(item, str) and item != "none") for item in value
    ):
        return [text_or_none(item) for item in value]
    raise ValueError("a list of strings, or of None for tokens without the claim")


def old_logins(value: object) -> list[tuple[str, int, int]]:
    """Return the source, ``since`` and ``until`` of each entry, in Unix seconds. ``since`` is 0 if it is left out."""
    if isinstance(value, (list, tuple)):
        with suppress(KeyError, TypeError, ValueError):
            return [_old_login(**entry) for entry in value]
    raise ValueError('a list such as [{"source": "simplejwt", "until": "2027-03-01"}], with "since" if needed')


def _old_login(*, source: object, until: object, since: object = 0) -> tuple[str, int, int]:
    return text(source), 0 if since == 0 else _instant(since), _instant(until)


def _instant(value: object) -> int:
    """Return the Unix seconds of a date or time, which is in UTC unless it has an offset."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if not isinstance(value, date):
        raise TypeError
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return int((value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp())


def flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("True or False")


def dotted_path(value: object) -> str:
    path = text(value)
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise ValueError('the dotted path of a class (a string, such as "accounts.serializers.LoginSerializer")')
    return path


def same_site(value: object) -> str:
    for known in ("Strict", "Lax", "None"):
        if isinstance(value, str) and value.lower() == known.lower():
            return known
    raise ValueError('"Strict", "Lax" or "None" (a string)')


def key(value: object) -> bytes:
    if isinstance(value, (str, bytes)):
        return force_bytes(_encodable(value) if isinstance(value, str) else value)
    if isinstance(value, Mapping):
        with suppress(TypeError, ValueError):
            return json.dumps(dict(value), allow_nan=False).encode()
    raise ValueError("a string or bytes, or a JWK as a dict")


def _verifying_key(value: object) -> bytes | tuple[str, bytes]:
    """Return a key for ``ALGORITHM``, or a pair of another algorithm and its key."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str):
        return value[0], key(value[1])
    return key(value)


def keys(value: object) -> list[bytes | tuple[str, bytes]]:
    if isinstance(value, (list, tuple)):
        with suppress(ValueError):
            return [_verifying_key(item) for item in value]
    raise ValueError("a list of strings, bytes, JWKs as dicts, or pairs (algorithm, key)")


def function(value: object) -> str | Callable[..., Any] | None:
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    try:
        return dotted_path(value)
    except ValueError:
        raise ValueError('a function, or its dotted path (a string, such as "accounts.tokens.claims")') from None
