"""``request.user`` and ``request.auser``, which later middleware may replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from jwtauth.internal.flow import Flow
from jwtauth.internal.lazy_user import set_up
from jwtauth.request import RequestAuth


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """Load ``request.user`` lazily: the user of the tokens, or the previous user of the request."""

    def __init__(self, find: Callable[[], Any]) -> None:
        set_up(self, find)


def install(request: HttpRequest, flow: Flow) -> None:
    """Set ``request.user`` and ``request.auser``."""
    known = vars(request)
    before, auser_before = known.get("user"), known.get("auser")
    auth: RequestAuth = request.jwtauth  # type: ignore[attr-defined]

    def user() -> Any:
        if auth.is_authenticated:
            return auth.user
        return AnonymousUser() if before is None else before

    async def auser() -> Any:
        current = vars(request).get("user")
        if type(current) is not _LazyUser:  # a later middleware has replaced the user
            return await sync_to_async(_loaded)(current)
        # Return a loaded user, since async code cannot load the fields of a lazy one.
        found = flow.found if flow.is_resolved else await sync_to_async(lambda: flow.found)()
        if found is not None:
            return found.user
        return await auser_before() if auser_before is not None else user()

    request.user = _LazyUser(user)  # type: ignore[assignment]
    request.auser = auser


def install_again(request: HttpRequest) -> Flow | None:
    """Restore the tokens' user if Django's own middleware has replaced it. Keep the user of any other middleware."""
    flow = Flow.of(request)
    if flow is not None and _is_set_by_django(vars(request).get("user")):
        install(request, flow)
    return flow


def replaced_user(request: HttpRequest) -> tuple[bool, Any]:
    """Return whether later middleware or the view has replaced ``request.user``, and its current value."""
    user = vars(request).get("user")
    return "user" in vars(request) and type(user) is not _LazyUser, user


def _is_set_by_django(user: object) -> bool:
    # type() rather than isinstance(), which would load a lazy user.
    setup = vars(user).get("_setupfunc") if type(user) is SimpleLazyObject else None
    return getattr(setup, "__module__", None) == AuthenticationMiddleware.__module__


def _loaded(user: Any) -> Any:
    _ = bool(user)
    return user
