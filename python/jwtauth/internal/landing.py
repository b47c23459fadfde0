"""The page that makes the next request same-site, so that it carries ``SameSite=Strict`` cookies."""

from __future__ import annotations

from typing import Any
from urllib.parse import urldefrag, urljoin

from django.core.exceptions import DisallowedRedirect
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.encoding import iri_to_uri
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, get_language_bidi
from django.utils.translation import gettext as _

# No script, style or image, so that every Content-Security-Policy lets it work.
_PAGE = """<!doctype html>
<html lang="{language}" dir="{direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="0; url={url}">
<title>{title}</title>
</head>
<body><p><a href="{url}">{link}</a></p></body>
</html>
"""


def landing(request: HttpRequest, url: Any) -> HttpResponse:
    """Return a page that goes on to this URL by itself, for a request that comes from another site.

    After a provider's callback, a payment or a link in a mail, a redirect is still part of the other site's navigation,
    and browsers send no ``SameSite=Strict`` cookie with it. The page is this site's own, so the request that it makes
    carries them. It needs no script, and shows a link where the browser does not go on.

    ``url`` is a URL of this host, or what else ``django.shortcuts.redirect`` takes: the name of a view, or an object
    with ``get_absolute_url``. Works in sync and async views, Django's and DRF's.

    Raises ``DisallowedRedirect``, which Django answers with 400, for a URL of another host, a scheme other than HTTP,
    plain HTTP where the request is secure, and what is neither URL nor view; and for the URL of the request itself,
    unless the request is cross-site: the page would never end.
    """
    request = getattr(request, "_request", request)  # of DRF's
    target = _target(request, url)
    page = format_html(
        _PAGE,
        language=get_language() or "en",
        direction="rtl" if get_language_bidi() else "ltr",
        url=target,
        title=_("One moment"),
        link=_("Continue"),
    )
    # The URL of a callback holds what no other page should read in the Referer.
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return HttpResponse(page, content_type="text/html; charset=utf-8", headers=headers)


def _target(request: HttpRequest, url: Any) -> str:
    try:
        resolved = str(resolve_url("" if url is None else url))
        # With its whole path: in a refresh, a leading quote or space would change what the URL is.
        target = str(iri_to_uri(urljoin(request.path, resolved)))
    except (NoReverseMatch, ValueError) as error:
        raise DisallowedRedirect("landing() needs a URL of this host or the name of a view") from error
    hosts, is_secure = {request.get_host()}, request.is_secure()
    if not all(url_has_allowed_host_and_scheme(each, hosts, require_https=is_secure) for each in (resolved, target)):
        raise DisallowedRedirect("landing() goes on to URLs of this host alone")
    if _is_itself(request, target) and request.headers.get("Sec-Fetch-Site") != "cross-site":
        raise DisallowedRedirect("landing() would go on to itself without end")
    return target


def _is_itself(request: HttpRequest, target: str) -> bool:
    here = request.build_absolute_uri()
    return request.method in ("GET", "HEAD") and urljoin(here, urldefrag(target).url) == here
