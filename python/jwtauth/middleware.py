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
from jwtauth.internal.flow import UNCHANGED, Flow
from jwtauth.internal.refresh import refresh
from jwtauth.internal.response import write
from jwtauth.request import RequestAuth


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
            self.process_template_response: Callable[..., Any] = self._process_template_response_async
        else:
            self.is_async = False
            self.process_view = self._process_view
            self.process_template_response = self._process_template_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._call_async(request)
        flow = Flow.attach(request)
        refusal = _identify(flow)
        if refusal is None and flow.needs_refresh:
            refusal = _refresh(flow)
        if refusal is not None:
            write(flow, refusal)
            return refusal
        _install(request, flow)
        response: HttpResponseBase = self.get_response(request)
        try:
            flow.run_deferred()
        except SessionContention as error:
            response = _unsettled(flow, response, error)
        write(flow, response)
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        flow = Flow.attach(request)
        refusal = _identify(flow)
        if refusal is None and flow.needs_refresh:
            refusal = await sync_to_async(_refresh)(flow)
        if refusal is not None:
            write(flow, refusal)
            return refusal
        _install(request, flow)
        response: HttpResponseBase = await self.get_response(request)
        if flow.deferred:
            try:
                await sync_to_async(flow.run_deferred)()
            except SessionContention as error:
                response = _unsettled(flow, response, error)
        write(flow, response)
        return response

    def _process_view(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponseBase | None:
        flow = _install_again(request)
        if flow is None or not flow.identity.is_bearer or _asks_drf(view) or request.jwtauth.is_authenticated:  # type: ignore[attr-defined]
            return None
        return bearer.refusal()

    async def _process_view_async(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponseBase | None:
        flow = _install_again(request)
        if flow is None or not flow.identity.is_bearer or _asks_drf(view):
            return None
        if not flow.is_known:
            await sync_to_async(lambda: flow.found)()
        return None if request.jwtauth.is_authenticated else bearer.refusal()  # type: ignore[attr-defined]

    def _process_template_response(self, request: HttpRequest, response: Any) -> Any:
        """Name the refusal of a late upload in DRF's answer, which does not know why the request is anonymous."""
        flow = Flow.of(request)
        if flow is not None and flow.refusal is not None and response.status_code in (401, 403):
            data = getattr(response, "data", None)
            if isinstance(data, dict) and getattr(data.get("detail"), "code", None) == "not_authenticated":
                data["detail"], data["code"] = _late_upload(), flow.refusal
        return response

    async def _process_template_response_async(self, request: HttpRequest, response: Any) -> Any:
        return self._process_template_response(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer a view's `login` or `logout` that may not be, or that the database would not do, though it was asked
        again: neither is an error of the view.
        """
        if isinstance(exception, SessionContention):
            return _contended(exception)
        return _foreign(exception) if isinstance(exception, CrossOriginRefused) else None


def _identify(flow: Flow) -> HttpResponseBase | None:
    try:
        flow.identify()
    except CrossOriginRefused as error:
        return _foreign(error)
    return None


def _refresh(flow: Flow) -> HttpResponseBase | None:
    try:
        refresh(flow)
    except CrossOriginRefused as error:
        return _foreign(error)
    except SessionContention as error:
        return _contended(error)
    return None


def _foreign(error: CrossOriginRefused) -> JsonResponse:
    return JsonResponse({"detail": f"CSRF Failed: {error}.", "code": "cross_origin"}, status=403)


def _contended(error: SessionContention) -> JsonResponse:
    """An error, and no cookie is touched."""
    detail = {"detail": _("Sessions are in contention, try again."), "code": error.code}
    return JsonResponse(detail, status=503, headers={"Retry-After": "1"})


def _unsettled(flow: Flow, response: HttpResponseBase, error: SessionContention) -> JsonResponse:
    """Return the error in place of the view's response, whose outcome could not be written."""
    response.close()
    flow.outcome = UNCHANGED
    return _contended(error)


def _late_upload() -> str:
    return _("The tokens of this upload have been replaced. Send any other request, then try again.")


def _asks_drf(view: Any) -> bool:
    """Whether this is a view of DRF's, whose authentication classes say which tokens it takes."""
    return hasattr(getattr(view, "cls", None), "authentication_classes")


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg]  # not subscriptable at run time
    """``request.user`` until somebody looks: ours where our cookies sign somebody in, else what stood there before."""


def _install_again(request: HttpRequest) -> Flow | None:
    # Django's middleware of the same name sets request.user too, and may come after ours.
    flow = Flow.of(request)
    if flow is not None:
        _install(request, flow)
    return flow


def _install(request: HttpRequest, flow: Flow) -> None:
    before = request.__dict__.get("user")
    if type(before) is _LazyUser:  # isinstance() would make a lazy user of Django's look into the database
        return
    auser_before = request.__dict__.get("auser")
    auth: RequestAuth = request.jwtauth  # type: ignore[attr-defined]

    def user() -> Any:
        if auth.is_authenticated:
            return auth.user
        return AnonymousUser() if before is None else before

    async def auser() -> Any:
        # Loaded: the fields of a lazy user could not be had in async code.
        found = flow.found if flow.is_resolved else await sync_to_async(lambda: flow.found)()
        if found is not None:
            return found.user
        return await auser_before() if auser_before is not None else user()

    request.user = _LazyUser(user)  # type: ignore[assignment]
    request.auser = auser


AuthenticationMiddleware = JWTAuthMiddleware  # its name in 0.0.8, which settings may go on using
