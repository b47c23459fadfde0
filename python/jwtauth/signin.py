"""``login``, ``logout`` and ``update_session_auth_hash``, for Django's requests and DRF's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from jwtauth import _engine
from jwtauth.checks import MISSING_MIDDLEWARE, middleware_is_installed
from jwtauth.internal import django_session
from jwtauth.internal.flow import Flow
from jwtauth.internal.login import (
    SIGNED_IN,
    end,
    flush_django_session,
    replace_session,
    start,
    start_token_session,
    supersede,
)
from jwtauth.internal.store.admission import backend_of, user_can_authenticate


def login(
    request: HttpRequest,
    user: AbstractBaseUser,
    backend: str | None = None,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    cross_origin: bool = False,
) -> None:
    """Sign this user in: start a session, and end the one that the request came with.

    ``request.user`` is the user at once, and the response sets the cookies. ``remember=False`` lets them go when the
    browser is closed. With a ``lifetime``, a ``timedelta`` or seconds, this session ends so long after now, in use or
    not, in place of ``REFRESH_TOKEN_LIFETIME`` and ``SESSION_LIFETIME``. ``backend`` is the dotted path of the
    authentication backend that has found the user, by default ``user.backend``, where ``authenticate`` leaves it.
    Inside a transaction that is rolled back, the login never happened.

    Django's session, if the request has one, gets another key, or is flushed if it is of another user. Sends Django's
    ``user_logged_in``, but not again for a user whom Django's own login has just announced. A receiver of that signal
    may call this function: for the same user it does nothing while `login` itself is sending the signal.

    A request from another origin is refused, as with Django's CSRF check: a form elsewhere could sign the visitor in
    as another user. ``cross_origin=True`` lets it pass, for callbacks that check the request in their own way (SAML,
    OpenID Connect's ``form_post``).

    Raises ``ValueError`` for an anonymous or unsaved user, a lifetime under a second, or a backend that is not in
    ``AUTHENTICATION_BACKENDS``; ``PermissionDenied`` for a user whom the backend does not let in, as Django's does not
    an inactive one; ``SessionLimitReached`` beyond their limit; ``CrossOriginRefused`` for a foreign origin, which the
    middleware answers with 403; and ``ImproperlyConfigured`` where the middleware has not seen the request.
    """
    inner = django_request(request)
    flow = Flow.of(inner)
    if flow is None and user is not None and middleware_is_installed() and django_session.signs_in(inner, user):
        return  # in a receiver, for a login without a response: that of Django's test client
    flow = _flow(inner)
    path = _check(user, backend)
    if flow.announcing == user.pk:
        return
    if not cross_origin:
        flow.check_origin()
    start(flow, user, remember=remember, lifetime=lifetime, backend=path)
    _set_user(request, inner, flow, user)
    if "CSRF_COOKIE" in inner.META:
        rotate_token(inner)
    announced, flow.announced = flow.announced, None
    if announced != user.pk:
        _announce(flow, user)


def start_session(
    request: HttpRequest, user: AbstractBaseUser, *, lifetime: timedelta | float | None = None
) -> _engine.Grant:
    """`login` for a client that stores its tokens itself: no cookie is set, and the request's own session stays.

    Raises what `login` raises, but ``CrossOriginRefused``: an answer that sets no cookie signs no visitor in.
    """
    inner = django_request(request)
    flow = _flow(inner)
    grant = start_token_session(inner, user, lifetime, _check(user))
    _announce(flow, user)
    return grant


def _announce(flow: Flow, user: AbstractBaseUser) -> None:
    """Send ``user_logged_in``. Meanwhile `login` does nothing for this user."""
    before, flow.announcing = flow.announcing, user.pk
    try:
        user_logged_in.send(sender=user.__class__, request=flow.request, user=user)
    finally:
        flow.announcing = before


def _backend(user: AbstractBaseUser, backend: str | None = None) -> str:
    """Return the path of the backend that has found the user, ``""`` if it is not known."""
    if not backend:
        return backend_of(user)
    if not isinstance(backend, str):
        raise TypeError("backend must be a dotted import path, as a string")
    if backend not in settings.AUTHENTICATION_BACKENDS:
        raise ValueError("backend is not in AUTHENTICATION_BACKENDS")
    return backend


def _check(user: AbstractBaseUser | None, backend: str | None = None) -> str:
    """Return the path of the user's backend, if they may sign in."""
    if user is None or user.is_anonymous or user.pk is None:
        raise ValueError("login() needs a user that is saved")
    path = _backend(user, backend)
    if not user_can_authenticate(user, path):
        raise PermissionDenied("this account is not active")
    return path


def logout(request: HttpRequest) -> None:
    """Sign out: end the session now, also one that only expired cookies name, and have the response clear the cookies.

    Cookies are cleared only if the request brought one. ``request.user`` is ``AnonymousUser`` at once, and Django's
    session is flushed, if the request has one. Sends Django's ``user_logged_out``, whose receivers may call this
    function. A transaction that is rolled back does not bring the session back.

    Raises ``CrossOriginRefused`` for a foreign origin, which the middleware answers with 403, and
    ``ImproperlyConfigured`` where the middleware has not seen the request.
    """
    inner = django_request(request)
    flow = _flow(inner)
    if flow.is_signing_out:
        return
    flow.check_origin()
    found = flow.found
    user = django_session.user_of(inner) if found is None else found.user
    end(flow)
    _set_user(request, inner, flow, AnonymousUser())
    flow.is_signing_out = True
    try:
        user_logged_out.send(sender=user.__class__, request=inner, user=user)
    finally:
        flow.is_signing_out = False
        flush_django_session(flow)


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
        django_session.change_password(inner, user)
        _set_user(request, inner, flow, user)


async def aupdate_session_auth_hash(request: HttpRequest, user: AbstractBaseUser) -> None:
    """`update_session_auth_hash` for async views."""
    await sync_to_async(update_session_auth_hash)(request, user)


async def alogin(
    request: HttpRequest,
    user: AbstractBaseUser,
    backend: str | None = None,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    cross_origin: bool = False,
) -> None:
    """`login` for async views."""
    await sync_to_async(login)(request, user, backend, remember=remember, lifetime=lifetime, cross_origin=cross_origin)


async def alogout(request: HttpRequest) -> None:
    """`logout` for async views."""
    await sync_to_async(logout)(request)


def follow_django_login(request: HttpRequest | None, user: AbstractBaseUser) -> None:
    """Follow a login by Django's own function: as another user, it ends this browser's session.

    What the session's user has left in Django's session is removed, too.
    """
    if request is None:
        return
    inner = django_request(request)
    if not django_session.signs_in(inner, user):
        return  # not by Django's login, which signs in with its session
    flow = Flow.of(inner)
    if flow is None:
        vars(inner)[SIGNED_IN] = user  # the middleware comes later
    elif flow.announcing != user.pk:
        flow.announced = user.pk
        supersede(flow, user)


def follow_django_logout(request: HttpRequest | None) -> None:
    """Follow a logout by Django's own function, say in the admin: it ends this session as well."""
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
