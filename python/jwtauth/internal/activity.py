"""Requests that are not an activity of the user, such as those of a page that polls."""

from __future__ import annotations

from typing import Any, TypeVar

from django.http import HttpRequest
from django.urls import Resolver404, get_resolver, resolve

_View = TypeVar("_View")
_MARK = "jwtauth_no_activity"
_is_used = False


def no_activity(view: _View) -> _View:
    """Mark a view, or a class of views, whose requests are not an activity of the user.

    They are authenticated, and their tokens refreshed, as any other, but the session ends or locks as if they had not
    been made. A page can also mark a single request, by the header ``X-Jwtauth-Activity: none``.
    """
    global _is_used
    _is_used = True
    setattr(view, _MARK, True)
    return view


def is_none(request: HttpRequest) -> bool:
    """Return whether the request is for a view marked by `no_activity`, which the URL tells before the view runs."""
    urlconf = getattr(request, "urlconf", None)
    _ = get_resolver(urlconf).url_patterns  # imports the views, which before the first request may not be marked yet
    if not _is_used:
        return False
    try:
        view: Any = resolve(request.path_info, urlconf).func
    except Resolver404:
        return False
    return any(hasattr(it, _MARK) for it in (view, getattr(view, "cls", None), getattr(view, "view_class", None)))
