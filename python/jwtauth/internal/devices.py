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
    """Return the client's address: ``REMOTE_ADDR``, or with this many trusted proxies, what the outermost of them saw.

    ``None`` if that is not an address: behind a Unix socket, ``REMOTE_ADDR`` is empty. Empty entries of
    ``X-Forwarded-For`` count: without them, an entry that the client has made up would take a proxy's place.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    if proxies and forwarded is not None:
        hops = forwarded.split(",")
        address = hops[-min(proxies, len(hops))]
    return as_ip_address(address)


def as_ip_address(text: str) -> str | None:
    """Return this address as the table has it, or ``None`` if it is not one.

    Spaces, quotes, brackets, a port and a zone are removed. An IPv4 address that is written as an IPv6 address
    (``::ffff:203.0.113.9``) is the IPv4 address.
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0].strip())
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


_UNKNOWN = "unknown"
# What translators make of IPv4 addresses (RFC 6052 section 2.1).
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def client(request: HttpRequest, proxies: int) -> str:
    """Return what stands for the client where attempts are counted: its IPv4 address, or the /64 of its IPv6 address.

    One customer has all addresses of a /64, and could take another for each attempt. Clients without an address are
    counted together.
    """
    text = ip_address(request, proxies)
    if text is None:
        return _UNKNOWN
    address = ipaddress.ip_address(text)
    if address.version == 4 or address in _TRANSLATED:
        return text
    return str(ipaddress.ip_network((text, 64), strict=False))
