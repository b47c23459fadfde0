"""Views that need a recent or a stronger authentication: `RecentlySignedIn` and `SignedInWith`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.mixins import AccessMixin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _

from jwtauth.conf import get_config
from jwtauth.exceptions import ActingRefused, ReauthenticationRequired
from jwtauth.internal import acting
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import clock
from jwtauth.request import RequestAuth

__all__ = ["NotActing", "ReauthenticationMixin", "RecentlySignedIn", "SignedInWith"]

_View = TypeVar("_View", bound=Callable[..., Any])


class _Requirement:
    """Require something of the authentication of the request's user.

    An instance is a decorator of Django views, sync or async, and a permission of DRF: list it in
    ``permission_classes``. Both answer 403 with the code ``reauthentication_required`` and what is missing. DRF's ``&``
    and ``|`` combine it with other permissions.
    """

    asks_nothing = False

    def missing(self, auth: RequestAuth) -> ReauthenticationRequired | None:
        """Return what is missing, or ``None``. The request is authenticated."""
        raise NotImplementedError

    def check(self, request: HttpRequest) -> None:
        """Raise ``ReauthenticationRequired`` if something is missing, or if the request has no session of jwtauth."""
        inner = getattr(request, "_request", request)
        flow, auth = Flow.of(inner), getattr(inner, "jwtauth", None)
        if acting.is_said(flow):
            raise acting.refusal()  # who acts as this user can never authenticate as the user
        if self.asks_nothing:
            return
        if flow is None or auth is None or flow.found is None:
            raise _required()
        acting.refuse(flow)
        error = self.missing(auth)
        if error is not None:
            raise error

    # As a decorator, and as the class of which DRF makes an instance.

    def __call__(self, view: Any = None) -> Any:
        return self if view is None else self._decorate(view)

    def _decorate(self, view: _View) -> _View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def checked_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                await sync_to_async(self.check)(request)
                return await view(request, *args, **kwargs)

            return cast(_View, checked_async)

        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            self.check(request)
            return view(request, *args, **kwargs)

        return cast(_View, checked)

    # As a permission of DRF.

    def has_permission(self, request: Any, view: Any) -> bool:
        """Return ``False`` if the request is anonymous. Raises DRF's exception if something is missing."""
        if not (request.user and request.user.is_authenticated):
            return False
        try:
            self.check(request)
        except (ReauthenticationRequired, ActingRefused) as error:
            from jwtauth.internal import drf

            raise drf.refusal(error) from None
        return True

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        """Return ``True``, since the request was checked before."""
        return True

    def __and__(self, other: Any) -> Any:
        from jwtauth.internal import drf

        return drf.both(self, other)

    def __or__(self, other: Any) -> Any:
        from jwtauth.internal import drf

        return drf.either(self, other)

    def __rand__(self, other: Any) -> Any:
        from jwtauth.internal import drf

        return drf.both(other, self)

    def __ror__(self, other: Any) -> Any:
        from jwtauth.internal import drf

        return drf.either(other, self)


class RecentlySignedIn(_Requirement):
    """Require that the user has proved who they are less than ``seconds`` ago: at login, or by `reauthenticate`.

    Without ``seconds``, the limit is ``SENSITIVE_MAX_AGE``, and nothing is required if that is not set.
    """

    def __init__(self, seconds: int | None = None) -> None:
        if seconds is not None and seconds < 1:
            raise ValueError("seconds must be at least 1")
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"RecentlySignedIn({'' if self.seconds is None else self.seconds})"

    @property
    def _limit(self) -> int | None:
        return get_config().sensitive_max_age if self.seconds is None else self.seconds

    @property
    def asks_nothing(self) -> bool:  # type: ignore[override]
        """Return whether no limit is set."""
        return self._limit is None

    def missing(self, auth: RequestAuth) -> ReauthenticationRequired | None:
        """Return what is missing, or ``None``."""
        seconds, found, claims = self._limit, auth._flow.found, auth.claims
        if seconds is None:
            return None
        is_recent = found is not None and claims is not None and found.row.is_recent(claims, seconds, clock.now())
        return None if is_recent else _required(max_age=seconds)


class SignedInWith(_Requirement):
    """Require that the user has used each of these methods in the session, such as ``"otp"`` (RFC 8176)."""

    def __init__(self, *methods: str) -> None:
        if not methods:
            raise ValueError("name at least one method")
        self.methods = methods

    def __repr__(self) -> str:
        return f"SignedInWith({', '.join(map(repr, self.methods))})"

    def missing(self, auth: RequestAuth) -> ReauthenticationRequired | None:
        """Return what is missing, or ``None``."""
        missing = set(self.methods) - auth.methods
        return _required(methods=missing) if missing else None


class NotActing(_Requirement):
    """Refuse requests in which another user acts as the user (see `act_as`), with the code ``acting_refused``.

    For views where users change how they sign in, or what only they may decide. Anonymous requests are not refused.
    """

    def __repr__(self) -> str:
        return "NotActing()"

    def check(self, request: HttpRequest) -> None:
        """Raise ``ActingRefused`` if another user acts as the request's user."""
        acting.refuse(Flow.of(getattr(request, "_request", request)))

    def has_permission(self, request: Any, view: Any) -> bool:
        """Return ``True``. Raises DRF's exception if another user acts as the request's user."""
        try:
            self.check(request)
        except ActingRefused as error:
            from jwtauth.internal import drf

            raise drf.refusal(error) from None
        return True


class ReauthenticationMixin(AccessMixin):
    """Require something of the authentication of the user of a Django class-based view.

    A request that does not meet every one of ``requires`` is redirected to ``reauthentication_url``, with the field
    ``next``. Without that URL, the answer is 403 with the code ``reauthentication_required``. An anonymous request goes
    to the login page, as with Django's ``LoginRequiredMixin``.
    """

    requires: tuple[_Requirement, ...] = (RecentlySignedIn(),)
    reauthentication_url: str | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check the requirements, then dispatch as Django does."""
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        try:
            for requirement in self.requires:
                requirement.check(request)
        except ReauthenticationRequired:
            if self.reauthentication_url is None:
                raise
            from django.contrib.auth.views import redirect_to_login

            return redirect_to_login(request.get_full_path(), resolve_url(self.reauthentication_url))
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        return answer


def _required(max_age: int | None = None, methods: Any = ()) -> ReauthenticationRequired:
    return ReauthenticationRequired(_("Confirm that it is you."), max_age=max_age, methods=methods)
