"""The presets of ``POLICY``: other defaults of settings, and which explicit settings contradict them.

docs/guides/policies.md quotes the sentence of the standard for each value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

# What every policy sets. NIST SP 800-63B-4 section 5.1.1 is about cookies. No standard gives a number of seconds for
# SENSITIVE_MAX_AGE.
_ALL = {
    "SENSITIVE_MAX_AGE": 15 * _MINUTE,
    "COOKIE_SECURE": True,
    "COOKIE_SAMESITE": "Strict",
    "ACCESS_TOKEN_COOKIE_NAME": "__Host-access_token",
    "REFRESH_TOKEN_COOKIE_NAME": "__Host-refresh_token",
}

# A shorter ACCESS_TOKEN_LIFETIME makes an idle limit of 15 minutes more exact: idle time counts from the last refresh.
PRESETS: dict[str, dict[str, Any]] = {
    # Section 2.1.3: 30 days overall, no idle limit.
    "NIST_AAL1": {"SESSION_LIFETIME": 30 * _DAY, **_ALL},
    # Section 2.2.3: 24 hours overall, 1 hour idle, then a password revives the session.
    "NIST_AAL2": {"REFRESH_TOKEN_LIFETIME": _DAY, "SESSION_LIFETIME": _DAY, "LOCK_AFTER": _HOUR, **_ALL},
    # Section 2.3.3: 12 hours overall, 15 minutes idle, then the session ends.
    "NIST_AAL3": {
        "ACCESS_TOKEN_LIFETIME": 2 * _MINUTE,
        "REFRESH_TOKEN_LIFETIME": 15 * _MINUTE,
        "SESSION_LIFETIME": 12 * _HOUR,
        **_ALL,
    },
    # PCI DSS 4.0.1, requirement 8.2.8: 15 minutes idle, then the user authenticates again to revive the session.
    "PCI": {"ACCESS_TOKEN_LIFETIME": 2 * _MINUTE, "LOCK_AFTER": 15 * _MINUTE, **_ALL},
}

_NAMES = ("ACCESS_TOKEN_COOKIE_NAME", "REFRESH_TOKEN_COOKIE_NAME")


def parse(value: object) -> str | None:
    """Return the name of a policy, or ``None``. Raises ``ValueError`` with the names, as a parser of a setting."""
    if value is None or (isinstance(value, str) and value in PRESETS):
        return value
    known = f"one of {', '.join(map(repr, PRESETS))} and None"
    nearest = get_close_matches(value.upper(), PRESETS, n=1) if isinstance(value, str) else []
    raise ValueError(f"{nearest[0]!r}, which is the nearest name, or {known}" if nearest else known)


def default(name: str, without: Any, values: Mapping[str, Any]) -> Any:
    """Return the default of a setting: that of the policy, or ``without``, which is the default without a policy.

    ``values`` are those of the preceding settings, which some of the defaults follow, to be valid beside them.
    """
    preset = PRESETS.get(values.get("POLICY") or "", {})
    if name not in preset:
        return without
    value = preset[name]
    if name == "SESSION_LIFETIME":
        return max(value, values["REFRESH_TOKEN_LIFETIME"])
    if name == "LOCK_AFTER" and value >= values["REFRESH_TOKEN_LIFETIME"]:
        return None  # the session ends before it would lock
    if name in _NAMES and not _may_have_host_prefix(values):
        return without
    return value


def _may_have_host_prefix(values: Mapping[str, Any]) -> bool:
    return values["COOKIE_SECURE"] and values["COOKIE_DOMAIN"] is None and values["COOKIE_PATH"] == "/"


def contradictions(values: Mapping[str, Any], explicit: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield each explicit setting that contradicts the policy: its name, what is wrong, and what to do instead."""
    preset = PRESETS.get(values["POLICY"])
    if preset is None:
        return
    yield from _durations(values, explicit, preset)
    if values["SENSITIVE_MAX_AGE"] is None:
        yield "SENSITIVE_MAX_AGE", "is None, so no recent authentication is asked for", "Leave it out."
    if not values["COOKIE_SECURE"]:
        yield "COOKIE_SECURE", "is False, and the policy requires HTTPS", "Leave it out."
    if values["COOKIE_SAMESITE"] == "None":
        yield "COOKIE_SAMESITE", "is 'None', and the policy requires 'Strict' or 'Lax'", "Leave it out."
    if values["COOKIE_DOMAIN"] is not None:
        yield "COOKIE_DOMAIN", "is set, which cookies named '__Host-...' cannot have", "Leave it out."
    if values["COOKIE_PATH"] != "/":
        yield "COOKIE_PATH", "is not '/', which cookies named '__Host-...' need", "Leave it out."
    for name in _NAMES:
        if name in explicit and not values[name].startswith("__Host-"):
            yield name, "does not begin with '__Host-'", f"Leave it out, or use {preset[name]!r}."


def _durations(
    values: Mapping[str, Any], explicit: Collection[str], preset: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    overall = preset.get("SESSION_LIFETIME")
    if overall and _is_longer(values["SESSION_LIFETIME"], overall):
        # Without an explicit SESSION_LIFETIME, a longer REFRESH_TOKEN_LIFETIME has raised it.
        name = "SESSION_LIFETIME" if "SESSION_LIFETIME" in explicit else "REFRESH_TOKEN_LIFETIME"
        yield name, f"allows sessions that last longer than {overall} s", "Leave it out, or shorten it."
    if "LOCK_AFTER" in preset:
        idle = preset["LOCK_AFTER"]
        if _is_longer(values["LOCK_AFTER"], idle) and values["REFRESH_TOKEN_LIFETIME"] > idle:
            yield "LOCK_AFTER", f"allows sessions to be idle for longer than {idle} s", "Leave it out, or shorten it."
    elif "REFRESH_TOKEN_LIFETIME" in preset:
        idle = preset["REFRESH_TOKEN_LIFETIME"]
        if values["REFRESH_TOKEN_LIFETIME"] > idle:
            wrong = f"allows sessions to be idle for longer than {idle} s"
            yield "REFRESH_TOKEN_LIFETIME", wrong, "Leave it out, or shorten it."


def _is_longer(seconds: int | None, limit: int) -> bool:
    return seconds is None or seconds > limit
