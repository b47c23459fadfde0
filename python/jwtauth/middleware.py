"""The middleware: identifies, refreshes before the view and outside its transaction, and finishes the response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from jwtauth.exceptions import CrossOriginRefused, SessionContention
from jwtauth.internal import bearer
from jwtauth.request import RequestAuth, security_log


class JWTAuthMiddleware:
    """Puts ``jwtauth``, ``user`` and ``auser`` on the request and cookies on the response.

    It may stand anywhere in ``MIDDLEWARE``, best after Django's ``AuthenticationMiddleware``: without a jwtauth token,
    the user that another middleware has set stays. Sync and async.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.is_async = True
            self.process_view: Callable[..., Any] = self._process_view_async
        else:
            self.is_async = False
            self.process_view = self._process_view

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._call_async(request)
        auth = RequestAuth.attach(request)
        refusal = self._identify(auth)
        if refusal is None and auth.needs_refresh:
            refusal = self._refresh(auth)
        if refusal is not None:
            auth.finish(refusal)
            return refusal
        _install(request, auth)
        response: HttpResponseBase = self.get_response(request)
        try:
            auth.fulfil()
        except SessionContention as error:
            return _contended(error)
        auth.finish(response)
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        auth = RequestAuth.attach(request)
        refusal = self._identify(auth)
        if refusal is None and auth.needs_refresh:
            refusal = await sync_to_async(self._refresh)(auth)
        if refusal is not None:
            auth.finish(refusal)
            return refusal
        _install(request, auth)
        response: HttpResponseBase = await self.get_response(request)
        if auth.has_duties:
            try:
                await sync_to_async(auth.fulfil)()
            except SessionContention as error:
                return _contended(error)
        auth.finish(response)
        return response

    def _process_view(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponseBase | None:
        auth = self._install_again(request)
        if auth is None or not auth.is_bearer or _asks_drf(view) or auth.is_authenticated:
            return None
        return bearer.refusal()

    async def _process_view_async(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponseBase | None:
        auth = self._install_again(request)
        if auth is None or not auth.is_bearer or _asks_drf(view):
            return None
        is_signed_in = auth.is_authenticated if auth.is_known else await sync_to_async(lambda: auth.is_authenticated)()
        return None if is_signed_in else bearer.refusal()

    def _install_again(self, request: HttpRequest) -> RequestAuth | None:
        # Django's middleware sets request.user too, and may come after ours.
        auth = RequestAuth.of(request)
        if auth is not None:
            _install(request, auth)
        return auth

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """A view's `login` or `logout` that the database would not do, though it was asked again, is no error of the
        view's.
        """
        return _contended(exception) if isinstance(exception, SessionContention) else None

    def _identify(self, auth: RequestAuth) -> HttpResponseBase | None:
        if auth.identify():
            try:
                auth.check_origin()
            except CrossOriginRefused as error:
                security_log.warning("cross_origin: %s", error, extra={"event": "cross_origin", "code": error.code})
                return JsonResponse({"detail": f"CSRF Failed: {error}.", "code": "cross_origin"}, status=403)
        return None

    def _refresh(self, auth: RequestAuth) -> HttpResponseBase | None:
        try:
            auth.refresh()
        except SessionContention as error:
            return _contended(error)
        return None


AuthenticationMiddleware = JWTAuthMiddleware  # its name in 0.0.8, which settings may go on using


def _contended(error: SessionContention) -> JsonResponse:
    """An error, and no cookie is touched."""
    detail = {"detail": _("Sessions are in contention, try again."), "code": error.code}
    return JsonResponse(detail, status=503, headers={"Retry-After": "1"})


def _asks_drf(view: Any) -> bool:
    """Whether this is a view of DRF's, whose authentication classes say which tokens it takes."""
    return hasattr(getattr(view, "cls", None), "authentication_classes")


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """``request.user`` until somebody looks: ours where our cookies sign somebody in, else what stood there before."""


def _install(request: HttpRequest, auth: RequestAuth) -> None:
    before = request.__dict__.get("user")
    if type(before) is _LazyUser:  # isinstance() would make a lazy user of Django's look into the database
        return
    auser_before = request.__dict__.get("auser")

    def user() -> Any:
        if auth.is_authenticated:
            return auth.user
        return AnonymousUser() if before is None else before

    async def auser() -> Any:
        # Loaded: the fields of a lazy user could not be had in async code.
        found = await sync_to_async(lambda: auth.found)() if auth.needs_query else auth.found
        if found is not None:
            return found.user
        return await auser_before() if auser_before is not None else user()

    request.user = _LazyUser(user)  # type: ignore[assignment]
    request.auser = auser
