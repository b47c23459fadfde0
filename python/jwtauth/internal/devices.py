"""Devices: what a person would call one, and its address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from django.http import HttpRequest
from django.utils.translation import gettext as _

_MAX_USER_AGENT = 512


def user_agent(request: HttpRequest) -> str:
    """The header, as far as it can be shown."""
    text = request.META.get("HTTP_USER_AGENT", "")[:_MAX_USER_AGENT]
    return "".join(character for character in text if character.isprintable())


@lru_cache(maxsize=1024)
def _names(text: str) -> tuple[str, str]:
    """Browser or app, and operating system or device, as far as they are known."""
    from ua_parser import parse  # here: its tables take a while to load, and few requests need them

    found = parse(text)
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    return browser, system


def name(user_agent: str) -> str:
    """``"Firefox on Windows"``, as much of it as the header tells."""
    browser, system = _names(user_agent)
    if browser and system and browser != system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown device")


def ip_address(request: HttpRequest, proxies: int) -> str | None:
    """The client's address: ``REMOTE_ADDR``, or behind this many proxies that we trust, what the outermost of them saw.

    ``None`` where that is no address: behind a Unix socket, ``REMOTE_ADDR`` is empty.
    """
    address = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    if proxies and forwarded is not None:
        hops = forwarded.split(",")
        address = hops[-min(proxies, len(hops))]
    return as_ip_address(address.partition("%")[0])


def as_ip_address(text: str) -> str | None:
    """This address as the table has it, or ``None`` where it is none."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None
