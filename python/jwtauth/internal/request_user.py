"""``request.user`` and ``request.auser``, which later middleware may replace."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject, empty

from jwtauth.checks import MISSING_MIDDLEWARE, middleware_is_installed
from jwtauth.internal.flow import Flow
from jwtauth.internal.lazy_user import lazy_object


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """Load ``request.user`` lazily: the user of the tokens, or the previous user of the request."""

    _wrapped: Any = empty


class _Users:
    """Find the user of a request, for ``request.user`` and ``request.auser``, which were set before to these values."""

    __slots__ = ("_auser", "_flow", "_user")

    def __init__(self, flow: Flow, user: Any, auser: Any) -> None:
        self._flow, self._user, self._auser = flow, user, auser

    def user(self) -> Any:
        user = self._flow.user
        if user is not None:
            return user
        return AnonymousUser() if self._user is None else self._user

    async def auser(self) -> Any:
        flow = self._flow
        current = vars(flow.request).get("user")
        if type(current) is not _LazyUser:  # a later middleware has replaced the user
            return await sync_to_async(_loaded)(current)
        # Return a loaded user, since async code cannot load the fields of a lazy one.
        resolved = flow.found if flow.is_resolved else await sync_to_async(lambda: flow.found)()
        found = resolved or flow.visitor
        if found is not None:
            return found.user
        return await self._auser() if self._auser is not None else self.user()


def install(request: HttpRequest, flow: Flow) -> None:
    """Set ``request.user`` and ``request.auser``."""
    known = vars(request)
    users = _Users(flow, known.get("user"), known.get("auser"))
    request.user = lazy_object(_LazyUser, users.user)  # type: ignore[assignment]
    request.auser = users.auser


def install_again(request: HttpRequest) -> Flow | None:
    """Restore the tokens' user if Django's own middleware has replaced it. Keep the user of any other middleware."""
    flow = Flow.of(request)
    user = vars(request).get("user")
    # type() rather than isinstance(), which would load a lazy user.
    if flow is not None and type(user) is SimpleLazyObject and _is_set_by_django(user):
        install(request, flow)
    return flow


def authenticated_user(request: HttpRequest) -> Any:
    """Return the user whom the request's tokens authenticate, or ``None``, for the authentication classes of APIs.

    If a later middleware has replaced ``request.user``, return that user, or ``None`` if it is anonymous.

    Raises ``ImproperlyConfigured`` if the middleware is missing, and ``CrossOriginRefused`` if a request that did not
    pass the middleware may not use its cookies.
    """
    flow = Flow.of(request)
    skipped_middleware = flow is None
    if flow is None:
        if not middleware_is_installed():
            raise ImproperlyConfigured(str(MISSING_MIDDLEWARE))
        # The request did not pass the middleware, as in tests with a request factory. No response will set cookies, so
        # nothing may be rotated.
        flow = Flow.attach(request)
        flow.identify()
    found = flow.user
    if found is None:
        return None
    user = vars(request).get("user")
    if type(user) is _LazyUser or skipped_middleware or "user" not in vars(request):
        return found
    return user if user and user.is_authenticated else None


def authorization(request: HttpRequest) -> Any:
    """Return the claims of the access token, or what another package sets if its credential admits the request."""
    flow = Flow.of(request)
    if flow is None:
        return None
    return flow.claims if flow.visitor is None else flow.visitor.auth


def _is_set_by_django(user: SimpleLazyObject) -> bool:  # type: ignore[type-arg]
    return getattr(vars(user).get("_setupfunc"), "__module__", None) == AuthenticationMiddleware.__module__


def _loaded(user: Any) -> Any:
    _ = bool(user)
    return user
