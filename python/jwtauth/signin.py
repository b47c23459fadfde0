"""``login``, ``logout`` and ``update_session_auth_hash``, for Django's requests and DRF's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from jwtauth import _engine
from jwtauth.checks import MISSING_MIDDLEWARE
from jwtauth.internal.flow import Flow
from jwtauth.internal.login import end, replace_session, start, start_token_session
from jwtauth.internal.store.admission import user_can_authenticate


def login(
    request: HttpRequest,
    user: AbstractBaseUser,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    cross_origin: bool = False,
) -> None:
    """Sign this user in: start a session, and end the one that the request came with.

    ``request.user`` is the user at once, and the response sets the cookies. ``remember=False`` lets them go when the
    browser is closed. With a ``lifetime``, a ``timedelta`` or seconds, this session ends so long after now, in use or
    not, in place of ``REFRESH_TOKEN_LIFETIME`` and ``SESSION_LIFETIME``. Sends Django's ``user_logged_in``. Inside a
    transaction that is rolled back, it never happened.

    A request from another origin is refused, as with Django's CSRF check: a form elsewhere could sign the visitor in
    as another user. ``cross_origin=True`` lets it pass, for callbacks that check the request in their own way (SAML,
    OpenID Connect's ``form_post``).

    Raises ``ValueError`` for an anonymous or unsaved user, or a lifetime under a second, ``PermissionDenied`` for one
    who is not active, ``SessionLimitReached`` beyond their limit, ``CrossOriginRefused`` for a foreign origin, which
    the middleware answers with 403, and ``ImproperlyConfigured`` where the middleware has not seen the request.
    """
    inner = django_request(request)
    flow = _flow(inner)
    _check(user)
    if not cross_origin:
        flow.check_origin()
    start(flow, user, remember=remember, lifetime=lifetime)
    _set_user(request, inner, flow, user)
    if "CSRF_COOKIE" in inner.META:
        rotate_token(inner)
    user_logged_in.send(sender=user.__class__, request=inner, user=user)


def start_session(
    request: HttpRequest, user: AbstractBaseUser, *, lifetime: timedelta | float | None = None
) -> _engine.Grant:
    """`login` for a client that stores its tokens itself: no cookie is set, and the request's own session stays.

    Raises what `login` raises, but ``CrossOriginRefused``: an answer that sets no cookie signs no visitor in.
    """
    inner = django_request(request)
    _flow(inner)
    _check(user)
    grant = start_token_session(inner, user, lifetime)
    user_logged_in.send(sender=user.__class__, request=inner, user=user)
    return grant


def _check(user: AbstractBaseUser | None) -> None:
    if user is None or user.is_anonymous or user.pk is None:
        raise ValueError("login() needs a user that is saved")
    if not user_can_authenticate(user):
        raise PermissionDenied("this account is not active")


def logout(request: HttpRequest) -> None:
    """Sign out: end the session now, also one that only expired cookies name, and have the response clear the cookies.

    Cookies are cleared only if the request brought one. ``request.user`` is ``AnonymousUser`` at once. Sends Django's
    ``user_logged_out``. A transaction that is rolled back does not bring the session back.

    Raises ``CrossOriginRefused`` for a foreign origin, which the middleware answers with 403, and
    ``ImproperlyConfigured`` where the middleware has not seen the request.
    """
    inner = django_request(request)
    flow = _flow(inner)
    flow.check_origin()
    found = flow.found
    end(flow)
    user = None if found is None else found.user
    _set_user(request, inner, flow, AnonymousUser())
    sender = type(None) if user is None else user.__class__
    user_logged_out.send(sender=sender, request=inner, user=user)


def update_session_auth_hash(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Keep the person signed in who has just changed their own password, as Django's function of this name does.

    Call it after the new password is saved. This session gets a new name and new tokens, so that copies of the old ones
    end; it keeps its absolute limit. Every other session of the user has ended with the old password. Does nothing
    where the request is not this user's by our cookies.

    Raises ``ImproperlyConfigured`` where the middleware has not seen the request.
    """
    inner = django_request(request)
    flow = _flow(inner)
    if replace_session(flow, user):
        _set_user(request, inner, flow, user)


async def aupdate_session_auth_hash(request: HttpRequest, user: AbstractBaseUser) -> None:
    """`update_session_auth_hash` for async views."""
    await sync_to_async(update_session_auth_hash)(request, user)


async def alogin(
    request: HttpRequest,
    user: AbstractBaseUser,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    cross_origin: bool = False,
) -> None:
    """`login` for async views."""
    await sync_to_async(login)(request, user, remember=remember, lifetime=lifetime, cross_origin=cross_origin)


async def alogout(request: HttpRequest) -> None:
    """`logout` for async views."""
    await sync_to_async(logout)(request)


def end_with_django_session(request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Receiver of ``user_logged_out``: whoever signs out of Django, say in the admin, signs out of this as well."""
    flow = Flow.of(request)
    if flow is not None and flow.claims is not None:
        end(flow)


def django_request(request: HttpRequest) -> HttpRequest:
    """A DRF request wraps Django's."""
    inner: HttpRequest = getattr(request, "_request", request)
    return inner


def _flow(request: HttpRequest) -> Flow:
    flow = Flow.of(request)
    if flow is None:
        raise ImproperlyConfigured(str(MISSING_MIDDLEWARE))
    return flow


def _set_user(request: HttpRequest, inner: HttpRequest, flow: Flow, user: Any) -> None:
    async def auser() -> Any:
        return user

    inner.user = user
    inner.auser = auser
    if request is not inner:
        request.user = user
        request.auth = flow.claims  # type: ignore[attr-defined]
