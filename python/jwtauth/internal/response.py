"""Writing the cookies and caching headers that the engine returns to the response."""

from __future__ import annotations

import time
from http.cookies import Morsel
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import http_date

from jwtauth.conf import Config
from jwtauth.internal import binding, loops, pending
from jwtauth.internal.flow import UNCHANGED, Flow
from jwtauth.internal.store import clock


def write(flow: Flow, response: HttpResponseBase) -> None:
    """Set cookies and caching headers on the response. Makes no query.

    Raises ``ClaimsRefused`` if a token cannot be issued.
    """
    if flow.pending_cookie is not None:
        _set_pending(flow, response, flow.pending_cookie)
    headers = response.headers
    if flow.outcome is UNCHANGED and not flow.needs_nonce:
        vary = flow.config.site.vary(flow.identity, flow.was_asked, headers.get("Vary", ""))
        if vary is not None:
            headers["Vary"] = vary
        return
    answer = flow.config.site.respond(
        flow.identity,
        flow.outcome,
        was_asked=flow.was_asked,
        vary=headers.get("Vary", ""),
        cache_control=headers.get("Cache-Control", ""),
        now=clock.now(),
    )
    if answer.vary is not None:
        headers["Vary"] = answer.vary
    if answer.dpop_nonce is not None:
        headers["DPoP-Nonce"] = answer.dpop_nonce
    if answer.cache_control is None:
        return
    headers["Cache-Control"] = answer.cache_control
    for name in answer.removed(list(headers)):
        del headers[name]
    if flow.offers_device:
        binding.offer(flow, response)
    for name, token, max_age in answer.cookies:
        _set_cookie(response, flow.config, name, token, max_age, flow.config.cookie_samesite)
        if name == flow.config.refresh_cookie_name:
            _name_session(flow, response, token, max_age)


def _set_pending(flow: Flow, response: HttpResponseBase, value: str) -> None:
    """Set or clear the cookie of `jwtauth.internal.pending`."""
    max_age = 0 if not value else pending.MAX_AGE if flow.pending is None or flow.pending.remember else None
    _set_cookie(response, flow.config, pending.cookie_name(flow.config), value, max_age, flow.config.cookie_samesite)
    patch_cache_control(response, no_store=True, private=True)
    patch_vary_headers(response, ("Cookie",))


def _name_session(flow: Flow, response: HttpResponseBase, token: str, max_age: int | None) -> None:
    """Set or clear the cookie of `jwtauth.internal.loops` together with the refresh token's cookie."""
    name = loops.cookie_name(flow.config)
    if not token:
        if name in flow.request.COOKIES:
            _set_cookie(response, flow.config, name, "", max_age, "Lax")
    elif flow.resolved is not None and loops.may_hide_cookies(flow):
        _set_cookie(response, flow.config, name, str(flow.resolved.session_id), max_age, "Lax")


def _set_cookie(
    response: HttpResponseBase, config: Config, name: str, token: str, max_age: int | None, same_site: str
) -> None:
    """Set a cookie as Django's ``set_cookie`` and ``delete_cookie`` do. `jwtauth.internal` says what this saves."""
    cookie: Morsel[str] = _PartitionedMorsel() if config.cookie_partitioned else Morsel()
    cookie.set(name, *response.cookies.value_encode(token))
    attributes: dict[str, Any] = {"path": config.cookie_path, "httponly": True, "samesite": same_site}
    if not token:
        attributes["expires"] = "Thu, 01 Jan 1970 00:00:00 GMT"
    elif max_age is not None:
        attributes["expires"] = http_date(time.time() + max_age)
    if max_age is not None:
        attributes["max-age"] = max_age
    if config.cookie_domain is not None:
        attributes["domain"] = config.cookie_domain
    if config.cookie_secure:
        attributes["secure"] = True
    cookie.update(attributes)
    response.cookies[name] = cookie


class _PartitionedMorsel(Morsel[str]):
    """Add the ``Partitioned`` attribute (CHIPS), which `http.cookies` supports since Python 3.14."""

    def OutputString(self, attrs: Any = None) -> str:
        output = super().OutputString(attrs)
        return output if "partitioned" in output.lower() else f"{output}; Partitioned"
