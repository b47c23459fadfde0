"""The name and the IP address of a client, and how much of them is stored."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext as _

from jwtauth.conf import get_config

_MAX_USER_AGENT = 512
# Longer than any address with a port, so that the cache of addresses stays small.
_LONGEST = 100


class Client(NamedTuple):
    """Describe the client of a request, as far as ``RECORD_IP_ADDRESS`` and ``RECORD_USER_AGENT`` allow to store it."""

    ip_address: str | None
    user_agent: str

    @property
    def device(self) -> str:
        """Return a name for the device, such as ``"Firefox on Windows"``, in the active language."""
        return name(self.user_agent)


def client_of(request: HttpRequest) -> Client:
    """Return what a session that this request started would store about its client."""
    config = get_config()
    return Client(
        stored_ip_address(request, config.num_proxies, config.record_ip_address),
        user_agent(request, config.record_user_agent),
    )


def user_agent(request: HttpRequest, record: str = "full") -> str:
    """Return the text to store for the ``User-Agent`` header, of which the first 512 characters count.

    ``record`` is ``RECORD_USER_AGENT``: "full" keeps the printable characters, "truncated" the names of the browser and
    of the operating system, a line each, and "off" nothing. So text with a line break is never a client's own text.
    """
    if record == "off":
        return ""
    text = request.META.get("HTTP_USER_AGENT", "")[:_MAX_USER_AGENT]
    text = "".join(character for character in text if character.isprintable())
    if record == "truncated":
        names = _names(text)
        return "\n".join(names) if any(names) else ""
    return text


# Without ua-parser: parts of the header, and the families of browsers and systems as ua-parser names them. The first
# match counts, since Edge also says "Chrome", and Android also says "Linux".
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iOS",
    "iPad": "iOS",
    "Mac OS X": "Mac OS X",
    "CrOS": "Chrome OS",
    "Linux": "Linux",
}


@lru_cache(maxsize=1024)
def _names(text: str) -> tuple[str, str]:
    """Return the browser or app and the operating system, each ``""`` if unknown."""
    if "\n" in text:  # truncated by `user_agent`
        browser, _, system = text.partition("\n")
        return browser, system
    try:
        from ua_parser import parse  # imported here because it loads slowly and few requests need it
    except ImportError:
        return _common_name(text, _BROWSERS), _common_name(text, _SYSTEMS)
    found = parse(text)
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    return browser, system


def _common_name(text: str, names: dict[str, str]) -> str:
    return next((name for part, name in names.items() if part in text), "")


def name(user_agent: str) -> str:
    """Return a name such as ``"Firefox on Windows"``, translated, as far as the stored text tells."""
    browser, system = _names(user_agent)
    if browser and system and browser != system:
        # Translators: for example "Firefox on Windows".
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Unknown device")


def ip_address(request: HttpRequest, proxies: int) -> str | None:
    """Return the client's address: ``REMOTE_ADDR``, or the address that the outermost trusted proxy saw.

    ``proxies`` is the number of trusted proxies that append to ``X-Forwarded-For``. Empty entries of the header count,
    so that an entry forged by the client cannot take the place of a proxy's. Returns ``None`` if the result is not an
    IP address, for example because ``REMOTE_ADDR`` is empty behind a Unix socket.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    if proxies and forwarded is not None:
        hops = forwarded.split(",")
        address = hops[-min(proxies, len(hops))]
    return as_ip_address(address)


def as_ip_address(text: str) -> str | None:
    """Return the address in the form that is stored, or ``None`` if the text is not an IP address.

    Spaces, quotes, brackets, the port and the zone are removed. An IPv4-mapped IPv6 address (``::ffff:203.0.113.9``)
    becomes the IPv4 address.
    """
    return _as_ip_address(text.strip()[:_LONGEST])


@lru_cache(maxsize=1024)  # `jwtauth.internal` says what this saves
def _as_ip_address(text: str) -> str | None:
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0].strip())
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def stored_ip_address(request: HttpRequest, proxies: int, record: str) -> str | None:
    """Return the address to store, by ``RECORD_IP_ADDRESS``.

    "truncated" keeps the network: /24 of IPv4, /48 of IPv6, and /40 of 6to4, whose first 48 bits contain all bits of
    an IPv4 address (RFC 3056).
    """
    text = None if record == "off" else ip_address(request, proxies)
    if text is None or record == "full":
        return text
    address = ipaddress.ip_address(text)
    length = 24 if address.version == 4 else 48 if address.sixtofour is None else 40
    return str(ipaddress.ip_network((text, length), strict=False).network_address)


_UNKNOWN = "unknown"
# The IPv6 prefix of translated IPv4 addresses (RFC 6052 section 2.1).
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def client(request: HttpRequest, proxies: int) -> str:
    """Return the key by which a client's login attempts are counted: its IPv4 address or its IPv6 /64 network.

    A subscriber usually has a whole /64 and could use another address for each attempt. Clients without an address are
    counted together.
    """
    text = ip_address(request, proxies)
    if text is None:
        return _UNKNOWN
    address = ipaddress.ip_address(text)
    if address.version == 4 or address in _TRANSLATED:
        return text
    return str(ipaddress.ip_network((text, 64), strict=False))
