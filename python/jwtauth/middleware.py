"""The middleware, which verifies and refreshes the tokens before the view and sets the cookies after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from jwtauth.checks import remote_user_is_below, sessions_are_below
from jwtauth.exceptions import (
    ActingRefused,
    CrossOriginRefused,
    ProofRefused,
    ReauthenticationRequired,
    SecondFactorRequired,
    SessionContention,
)
from jwtauth.internal import acting, anonymous, bearer, cross_origin, django_session, old_logins
from jwtauth.internal.flow import UNCHANGED, Flow
from jwtauth.internal.login import SIGNED_IN, follow_password_change, supersede
from jwtauth.internal.refresh import refresh
from jwtauth.internal.request_user import install, install_again
from jwtauth.internal.response import write


class JWTAuthMiddleware:
    """Set ``jwtauth``, ``user`` and ``auser`` on the request, and the cookies on the response.

    List it right after Django's ``AuthenticationMiddleware``. If the request has no valid jwtauth token, the user that
    was set before is kept. A user that a later middleware sets takes precedence. Listed before Django's middleware, as
    0.0.8 allowed, it works for sites without such later middleware. Supports sync and async.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        # RemoteUserMiddleware signs out any user who is not in Django's session, so set the user after it.
        self.waits = remote_user_is_below()
        self.comes_after_saving = sessions_are_below()
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
        if refusal is None and _is_to_be_settled(flow):
            refusal = _settle(flow)
        if refusal is not None:
            write(flow, refusal)
            return refusal
        if not self.waits:
            install(request, flow)
        if not acting.is_said(flow):
            response: HttpResponseBase = self.get_response(request)
        else:
            with acting.protecting(flow):
                response = self.get_response(request)
        try:
            if _is_to_be_finished(flow):
                response = _finish(flow, response, self.comes_after_saving)
            write(flow, response)
        except Exception:
            response.close()  # Django returns an error page instead
            raise
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        flow = Flow.attach(request)
        refusal = _identify(flow)
        if refusal is None and _is_to_be_settled(flow):
            refusal = await sync_to_async(_settle)(flow)
        if refusal is not None:
            write(flow, refusal)
            return refusal
        if not self.waits:
            install(request, flow)
        if not acting.is_said(flow):
            response: HttpResponseBase = await self.get_response(request)
        else:
            with acting.protecting(flow):
                response = await self.get_response(request)
        try:
            if _is_to_be_finished(flow):
                response = await sync_to_async(_finish)(flow, response, self.comes_after_saving)
            write(flow, response)
        except Exception:
            await sync_to_async(response.close)()
            raise
        return response

    def _process_view(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponseBase | None:
        flow = install_again(request)
        if flow is not None:
            flow.look_again()
            if acting.is_said(flow) and acting.changes_credentials(request, view):
                return JsonResponse(acting.refusal().body, status=403)
        if flow is None or not flow.identity.is_bearer:
            return None
        if _authenticates_itself(view) and not _is_unproven(flow, view):
            return None
        return None if request.jwtauth.is_authenticated else bearer.refusal(flow.identity)  # type: ignore[attr-defined]

    async def _process_view_async(self, request: HttpRequest, view: Any, *args: Any) -> HttpResponseBase | None:
        flow = install_again(request)
        if flow is not None and flow.is_found_by_refresh:
            await sync_to_async(flow.look_again)()
        if acting.is_said(flow) and acting.changes_credentials(request, view):
            return JsonResponse(acting.refusal().body, status=403)
        if flow is None or not flow.identity.is_bearer:
            return None
        if _authenticates_itself(view) and not _is_unproven(flow, view):
            return None
        if not flow.is_known:
            await sync_to_async(lambda: flow.found)()
        return None if request.jwtauth.is_authenticated else bearer.refusal(flow.identity)  # type: ignore[attr-defined]

    def _process_template_response(self, request: HttpRequest, response: Any) -> Any:
        """Put the code of the refusal into DRF's response, since DRF does not know why the request is anonymous."""
        flow = Flow.of(request) if response.status_code in (401, 403) else None
        if flow is not None and flow.refusal is not None:
            data = getattr(response, "data", None)  # any type, if the project has its own exception handler
            if type(data) is dict and getattr(data.get("detail"), "code", None) == anonymous.NOT_AUTHENTICATED:
                data["detail"], data["code"] = anonymous.detail(flow.refusal), flow.refusal
        return response

    async def _process_template_response_async(self, request: HttpRequest, response: Any) -> Any:
        return self._process_template_response(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer 400, 403 or 503 to the exceptions of this package that a view raises."""
        if isinstance(exception, SessionContention):
            return _contended(exception)
        if isinstance(exception, ProofRefused):
            return JsonResponse(exception.body, status=400)
        if isinstance(exception, (ReauthenticationRequired, SecondFactorRequired, ActingRefused)):
            return JsonResponse(exception.body, status=403)
        return _foreign(exception) if isinstance(exception, CrossOriginRefused) else None


def _identify(flow: Flow) -> HttpResponseBase | None:
    try:
        flow.identify()
    except CrossOriginRefused as error:
        return _foreign(error)
    if flow.claims is not None and flow.config.accept_logins_of:
        flow.on_ended = old_logins.end_remembered
    return None


def _is_to_be_settled(flow: Flow) -> bool:
    return flow.needs_refresh or SIGNED_IN in vars(flow.request) or _may_move_in(flow)


def _may_move_in(flow: Flow) -> bool:
    """Return whether the request may show a credential of another package, and has no valid access token."""
    return flow.claims is None and bool(flow.config.accept_logins_of) and old_logins.may_be_shown(flow)


def _settle(flow: Flow) -> HttpResponseBase | None:
    """Refresh the session, and follow a login by an earlier middleware."""
    try:
        refresh(flow)
        if _may_move_in(flow):
            old_logins.move_in(flow)
        signed_in = vars(flow.request).pop(SIGNED_IN, None)
        if signed_in is not None:
            supersede(flow, signed_in)
    except CrossOriginRefused as error:
        return _foreign(error)
    except SessionContention as error:
        return _contended(error)
    except Exception:
        # The view is not reached, so hide a password in the form from the error report here.
        flow.request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]
        raise
    return None


def _foreign(error: CrossOriginRefused) -> JsonResponse:
    return JsonResponse({"detail": cross_origin.detail(error), "code": "cross_origin"}, status=403)


def _contended(error: SessionContention) -> JsonResponse:
    """Return a 503 response that changes no cookie."""
    detail = {"detail": _("The database is busy. Try again."), "code": error.code}
    return JsonResponse(detail, status=503, headers={"Retry-After": "1"})


def _is_to_be_finished(flow: Flow) -> bool:
    return bool(flow.deferred) or flow.on_response is not None or _has_written_session(flow)


def _has_written_session(flow: Flow) -> bool:
    """Return whether the view has modified Django's session while the cookies sign a user in. Makes no query."""
    return flow.claims is not None and django_session.is_modified(flow.request) and not flow.identity.is_bearer


def _finish(flow: Flow, response: HttpResponseBase, session_is_saved: bool) -> HttpResponseBase:
    """Do the work that was deferred until the view's transaction ended. Return the response, or an error response."""
    if flow.claims is not None and _has_written_session(flow):
        is_noted = django_session.note_owner(flow.request, flow.claims.subject)
        if is_noted and session_is_saved and response.status_code != 500:  # Django does not save the session then
            django_session.save_again(flow.request)
    try:
        flow.run_deferred()
        follow_password_change(flow)
    except SessionContention as error:
        response.close()
        flow.outcome = UNCHANGED
        return _contended(error)
    if flow.on_response is not None:
        flow.on_response(flow, response)
    return response


def _authenticates_itself(view: Any) -> bool:
    """Return whether this is a view of DRF or django-ninja, which has authentication classes for bearer tokens."""
    is_drfs = hasattr(getattr(view, "cls", None), "authentication_classes")
    return is_drfs or getattr(view, "__module__", None) == "ninja.operation"


def _is_unproven(flow: Flow, view: Any) -> bool:
    """Return whether a view of DRF or django-ninja must not see the request: its token is this site's, without a proof.

    The view may be stored by ``cache_page``, which answers before it and does not see the proof. A view of DRF without
    authentication, such as a login, ignores the token. django-ninja's may do so too, so an expired token reaches it.
    """
    if not flow.identity.refuses_own_token:
        return False
    if not hasattr(view, "cls"):
        error = flow.identity.dpop_error
        return error is not None and error[0] != bearer.CODE
    own = getattr(view, "initkwargs", {})  # of `as_view` and of a viewset's action
    return bool(own.get("authentication_classes", view.cls.authentication_classes))


AuthenticationMiddleware = JWTAuthMiddleware  # the name in 0.0.8
