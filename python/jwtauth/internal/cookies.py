"""The two cookies: read, set and cleared over one source of attributes."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from jwtauth import _engine
from jwtauth.conf import Config
from jwtauth.exceptions import TokenError


def read(request: HttpRequest, config: Config, kind: _engine.Kind, now: int) -> _engine.Claims | None:
    """The claims of the request's token of this kind, or ``None`` where no cookie holds one that is good now."""
    name = _name(config, kind)
    token = request.COOKIES.get(name)
    if not token:
        return None
    try:
        return config.tokens.verify(kind, token, now)
    except TokenError:
        pass
    duplicates = _duplicates(request, name)
    if len(duplicates) < 2:
        return None
    try:
        return config.tokens.verify_newest(kind, duplicates, now)
    except TokenError:
        return None


def read_ignoring_time(request: HttpRequest, config: Config) -> list[_engine.Claims]:
    """The claims of every authentic token that the request brought, however stale."""
    claims = []
    for kind in (_engine.Kind.ACCESS, _engine.Kind.REFRESH):
        name = _name(config, kind)
        token = request.COOKIES.get(name)
        for candidate in {token, *_duplicates(request, name)} if token else ():
            try:
                claims.append(config.tokens.verify_ignoring_time(kind, candidate))
            except TokenError:
                continue
    return claims


def are_present(request: HttpRequest, config: Config) -> bool:
    """Whether the request brought a cookie of either name."""
    return config.access_cookie_name in request.COOKIES or config.refresh_cookie_name in request.COOKIES


def set_token(response: HttpResponseBase, config: Config, kind: _engine.Kind, token: str, max_age: int | None) -> None:
    """Sets a token's cookie; ``max_age`` in seconds, or ``None`` for until the browser is closed."""
    name = _name(config, kind)
    response.set_cookie(name, token, max_age=max_age, httponly=True, **_attributes(config))
    _partition(response, config, name)


def clear(response: HttpResponseBase, config: Config) -> None:
    """Makes the browser drop both cookies, which takes the attributes that they were set with."""
    for name in (config.access_cookie_name, config.refresh_cookie_name):
        response.set_cookie(
            name, "", max_age=0, expires="Thu, 01 Jan 1970 00:00:00 GMT", httponly=True, **_attributes(config)
        )
        _partition(response, config, name)


def _name(config: Config, kind: _engine.Kind) -> str:
    return config.access_cookie_name if kind == _engine.Kind.ACCESS else config.refresh_cookie_name


def _attributes(config: Config) -> dict[str, Any]:
    return {
        "secure": config.cookie_secure,
        "samesite": config.cookie_samesite,
        "domain": config.cookie_domain,
        "path": config.cookie_path,
    }


def _duplicates(request: HttpRequest, name: str) -> list[str]:
    """The values of all cookies of this name; `HttpRequest.COOKIES` keeps the last one only."""
    header = request.META.get("HTTP_COOKIE", "")
    return _engine.cookie_values(header, name) if header.count(f"{name}=") > 1 else []


class _PartitionedMorsel(Morsel[str]):
    """A cookie with the ``Partitioned`` attribute (CHIPS), which `http.cookies` knows from Python 3.14 only."""

    def OutputString(self, attrs: Any = None) -> str:
        output = super().OutputString(attrs)
        return output if "partitioned" in output.lower() else f"{output}; Partitioned"


def _partition(response: HttpResponseBase, config: Config, name: str) -> None:
    if config.cookie_partitioned:
        plain = response.cookies[name]
        morsel = _PartitionedMorsel()
        morsel.set(plain.key, plain.value, plain.coded_value)
        morsel.update(plain)
        dict.__setitem__(response.cookies, name, morsel)
