"""A page that makes the next request same-site, so that browsers send ``SameSite=Strict`` cookies with it."""

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

# No script, style or image, so that it works with every Content-Security-Policy.
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
    """Return a page that immediately goes on to ``url``, for a request that comes from another site.

    After a provider's callback, a payment or a link in an email, a redirect still counts as navigation by the other
    site, so browsers do not send ``SameSite=Strict`` cookies with it. They do send them with the request that this
    page makes. The page needs no script, and shows a link in case the browser does not go on.

    ``url`` is a URL of this host, or another argument of ``django.shortcuts.redirect``: the name of a view, or an
    object with ``get_absolute_url``. Works in sync and async views of Django and DRF.

    Raises ``DisallowedRedirect``, which Django answers with 400, if ``url``:

    - is a URL of another host, or has a scheme other than HTTP or HTTPS;
    - is plain HTTP while the request is secure;
    - is neither a URL nor the name of a view;
    - is the URL of the request itself and the request is not cross-site, since the page would reload forever.
    """
    request = getattr(request, "_request", request)  # DRF's request wraps Django's
    target = _target(request, url)
    page = format_html(
        _PAGE,
        language=get_language() or "en",
        direction="rtl" if get_language_bidi() else "ltr",
        url=target,
        # Translators: the title of a page that immediately goes on to the next page.
        title=_("One moment"),
        # Translators: a link to the next page, in case the browser does not go on.
        link=_("Continue"),
    )
    # The URL of a callback may contain secrets, which the next page must not receive in the Referer.
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return HttpResponse(page, content_type="text/html; charset=utf-8", headers=headers)


def _target(request: HttpRequest, url: Any) -> str:
    try:
        resolved = str(resolve_url("" if url is None else url))
        # Use the absolute path: a leading quote or space would change the meaning of the URL in a refresh.
        target = str(iri_to_uri(urljoin(request.path, resolved)))
    except (NoReverseMatch, ValueError) as error:
        raise DisallowedRedirect("landing() requires a URL of this host or the name of a view") from error
    hosts, is_secure = {request.get_host()}, request.is_secure()
    if not all(url_has_allowed_host_and_scheme(each, hosts, require_https=is_secure) for each in (resolved, target)):
        raise DisallowedRedirect("landing() only accepts URLs of this host")
    if _is_itself(request, target) and request.headers.get("Sec-Fetch-Site") != "cross-site":
        raise DisallowedRedirect("landing() would redirect to itself forever")
    return target


def _is_itself(request: HttpRequest, target: str) -> bool:
    here = request.build_absolute_uri()
    return request.method in ("GET", "HEAD") and urljoin(here, urldefrag(target).url) == here
