"""``login``, ``logout``, ``reauthenticate`` and ``update_session_auth_hash``, for requests of Django and DRF."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils.translation import gettext as _

from jwtauth import _engine
from jwtauth.checks import MISSING_MIDDLEWARE, middleware_is_installed
from jwtauth.conf import get_config
from jwtauth.exceptions import SecondFactorRequired
from jwtauth.internal import acting, binding, client_proof, django_session, old_logins, pending, tokens
from jwtauth.internal.flow import Flow
from jwtauth.internal.login import (
    SIGNED_IN,
    end,
    end_for_pending,
    flush_django_session,
    replace_session,
    start,
    start_token_session,
    supersede,
)
from jwtauth.internal.pending import PendingLogin
from jwtauth.internal.reauthentication import reauthenticate as authenticate_again
from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import backend_of, user_can_authenticate
from jwtauth.models import database


def login(
    request: HttpRequest,
    user: AbstractBaseUser,
    backend: str | None = None,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    cross_origin: bool = False,
    methods: Collection[str] = (),
    device_bound: bool = False,
) -> None:
    """Sign in the user: start a session and end the previous session of the request.

    ``request.user`` is set immediately, and the response sets the cookies. If the surrounding transaction is rolled
    back, the login is undone.

    - ``backend``: dotted path of the authentication backend that authenticated the user. Defaults to ``user.backend``,
      which ``authenticate`` sets.
    - ``remember``: if ``False``, the browser deletes the cookies when it is closed.
    - ``lifetime``: a ``timedelta`` or seconds. The session expires this long after the login, whether it is used or
      not. It replaces ``REFRESH_TOKEN_LIFETIME`` and ``SESSION_LIFETIME`` for this session.
    - ``cross_origin``: if ``True``, accept a request from another origin, for callbacks that validate the request
      themselves (SAML, OpenID Connect's ``form_post``). By default such a request is refused, since a form on another
      site could sign the visitor in as another user.
    - ``methods``: how the user has proved who they are, by the names of RFC 8176, such as ``["pwd", "otp"]``, or other
      names of up to 16 letters, digits and ``-_.:/+``. They become the claim ``amr``.
    - ``device_bound``: if ``True``, the browser must bind the session to a key of its device within 5 minutes, or the
      session ends with its first access token, as with ``DEVICE_BOUND_SESSIONS = "require"``.

    If the user has enrolled other factors (``SECOND_FACTOR``), the login is pending: no session starts, the response
    sets a cookie, and this function raises ``SecondFactorRequired``. The next login of the same user in this browser
    completes it. It then has the methods of both, the ``backend``, ``remember`` and ``lifetime`` of the first, and
    ``device_bound`` if one of them has it.

    If the request has a Django session, its key is cycled, or the session is flushed if it belongs to another user.
    Sends Django's ``user_logged_in``, unless Django's own login has just sent it for this user. A receiver of that
    signal may call this function: it does nothing while `login` is sending the signal for the same user.

    Raises:

    - ``ValueError``: the user is anonymous or unsaved, ``lifetime`` is less than a second, ``backend`` is not in
      ``AUTHENTICATION_BACKENDS``, or ``methods`` are more than 6 or not valid.
    - ``PermissionDenied``: the backend does not allow the user to sign in, for example because they are inactive.
    - ``SecondFactorRequired``: the login is pending. The middleware and DRF answer 403.
    - ``SessionLimitReached``: the user already has ``MAX_SESSIONS_PER_USER`` sessions.
    - ``CrossOriginRefused``: the request comes from another origin. The middleware answers 403.
    - ``ImproperlyConfigured``: the request did not pass the middleware, or ``device_bound`` is set and
      ``DEVICE_BOUND_SESSIONS`` is "off".
    """
    inner = django_request(request)
    flow = Flow.of(inner)
    if flow is None and user is not None and middleware_is_installed() and django_session.signs_in(inner, user):
        return  # called by a receiver for a login without a response, as by Django's test client
    flow = _flow(inner)
    path = _check(user, backend)
    if flow.announcing == user.pk:
        return
    if not cross_origin:
        flow.check_origin()
    _refuse_escape(flow, user)
    if device_bound and flow.config.device_bound_sessions == "off":
        raise ImproperlyConfigured("device_bound needs JWTAUTH['DEVICE_BOUND_SESSIONS'].")
    names, seconds = pending.names(methods), pending.lifetime_seconds(lifetime)
    attempt = _complete(request, flow, PendingLogin(user, names, remember, seconds, path, device_bound))
    start(
        flow,
        user,
        remember=attempt.remember,
        lifetime=attempt.lifetime,
        backend=attempt.backend,
        methods=attempt.amr,
        device_key=binding.key_of_login(flow.config, attempt.device_bound),
    )
    pending.clear(flow)
    _set_user(request, inner, flow, user)
    if "CSRF_COOKIE" in inner.META:
        rotate_token(inner)
    announced, flow.announced = flow.announced, None
    if announced != user.pk:
        _announce(flow, user)


def start_session(
    request: HttpRequest,
    user: AbstractBaseUser,
    *,
    lifetime: timedelta | float | None = None,
    methods: Collection[str] = (),
) -> _engine.Grant:
    """Start a session for a client that stores its tokens itself, and return the tokens.

    No cookie is set, and the request's own session is kept. Raises what `login` raises, except ``CrossOriginRefused``.
    ``SecondFactorRequired`` has the value that the client sends back.

    If the request has a header ``DPoP`` (RFC 9449), the session is bound to the key which that proves. Raises
    ``ProofRefused`` if the proof is not valid, or is missing although ``DEVICE_BOUND_SESSIONS`` is "require". The
    middleware answers 400.
    """
    inner = django_request(request)
    flow = _flow(inner)
    device_key = client_proof.key_of_login(client_proof.identify(inner), flow.config)
    _refuse_escape(flow, user)
    attempt = PendingLogin(user, pending.names(methods), True, pending.lifetime_seconds(lifetime), _check(user))
    attempt = pending.join(flow, attempt)
    missing = pending.missing(flow, attempt)
    if missing:
        raise SecondFactorRequired(missing, attempt.sign())
    grant = start_token_session(inner, user, attempt.lifetime, attempt.backend, attempt.amr, device_key)
    _announce(flow, user)
    return grant


def _complete(request: HttpRequest, flow: Flow, attempt: PendingLogin) -> PendingLogin:
    """Return the login together with the pending login that it completes. Raises ``SecondFactorRequired``."""
    attempt = pending.join(flow, attempt)
    missing = pending.missing(flow, attempt)
    if missing:
        if end_for_pending(flow, attempt.user):
            _set_user(request, flow.request, flow, AnonymousUser())
        pending.keep(flow, attempt)
        raise SecondFactorRequired(missing)
    return attempt


def _announce(flow: Flow, user: AbstractBaseUser) -> None:
    """Send ``user_logged_in``, during which `login` does nothing for this user."""
    before, flow.announcing = flow.announcing, user.pk
    try:
        user_logged_in.send(sender=user.__class__, request=flow.request, user=user)
    finally:
        flow.announcing = before


def _backend(user: AbstractBaseUser, backend: str | None = None) -> str:
    """Return the path of the backend that authenticated the user, or ``""`` if it is unknown."""
    if not backend:
        return backend_of(user)
    if not isinstance(backend, str):
        raise TypeError("backend must be a dotted import path, as a string")
    if backend not in settings.AUTHENTICATION_BACKENDS:
        raise ValueError("backend is not in AUTHENTICATION_BACKENDS")
    return backend


def _check(user: AbstractBaseUser | None, backend: str | None = None) -> str:
    """Return the path of the user's backend. Raises an exception if the user may not sign in."""
    if user is None or user.is_anonymous or user.pk is None:
        raise ValueError("login() requires a saved user that is not anonymous")
    path = _backend(user, backend)
    if not user_can_authenticate(user, path):
        raise PermissionDenied(_("This account is inactive."))
    return path


def logout(request: HttpRequest) -> None:
    """Sign out: end the session immediately and clear the cookies that the request brought.

    The session also ends if the cookies have expired. ``request.user`` is set to ``AnonymousUser``, and Django's
    session is flushed if the request has one. Sends Django's ``user_logged_out``, whose receivers may call this
    function. If the surrounding transaction is rolled back, the session still ends.

    Raises:

    - ``CrossOriginRefused``: the request comes from another origin. The middleware answers 403.
    - ``SessionContention``: the database kept asking to retry. The middleware answers 503.
    - ``ImproperlyConfigured``: the request did not pass the middleware.
    """
    inner = django_request(request)
    flow = _flow(inner)
    if flow.is_signing_out:
        return
    flow.check_origin()
    found = flow.found or flow.visitor
    user = django_session.user_of(inner) if found is None else found.user
    acted = flow.found
    if acted is not None and acted.actor is not None:
        user = acted.actor.user  # who logs out
    end(flow)
    if acted is not None and acted.actor is not None:
        acting.tell_end(flow, acted, acted.actor)
    if flow.config.accept_logins_of:
        old_logins.end_shown(flow)
        if transaction.get_connection(database()).in_atomic_block:
            flow.deferred.append(lambda: old_logins.end_shown(flow))  # in case of a rollback
    pending.clear(flow)
    _set_user(request, inner, flow, AnonymousUser())
    flow.is_signing_out = True
    try:
        user_logged_out.send(sender=user.__class__, request=inner, user=user)
    finally:
        flow.is_signing_out = False
        flush_django_session(flow)


def reauthenticate(request: HttpRequest, user: AbstractBaseUser, *, methods: Collection[str] = ()) -> _engine.Grant:
    """Record that the user of the request's session has just proved again who they are, for example by their password.

    The session goes on with new tokens, which say the new time and all ``methods`` used so far. Copies of the older
    tokens never say so, and requests of other tabs stay signed in. A locked session is unlocked. A client that stores
    its tokens itself must be given those of the returned grant; for others, the response sets the cookies.

    Raises:

    - ``PermissionDenied``: the session has ended or belongs to another user, or another user acts in it.
    - ``ValueError``: ``methods`` are not valid, or more than 6 with those used before.
    - ``CrossOriginRefused``: the request comes from another origin. The middleware answers 403.
    - ``SessionContention``: the database kept asking to retry. The middleware answers 503.
    - ``ImproperlyConfigured``: the request did not pass the middleware.
    """
    inner = django_request(request)
    flow = _flow(inner)
    _engine.stored_methods(list(methods))  # before anything is read
    flow.check_origin()
    grant = authenticate_again(flow, user, list(methods))
    _set_user(request, inner, flow, user)
    return grant


def act_as(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Let the request's user act as another user, until `stop_acting`, `logout` or ``ACT_AS_LIFETIME``.

    The request's user needs the permission ``jwtauth.act_as``, and ``ACT_AS`` must allow it, by default for users who
    are neither staff nor superusers. The response sets the cookies of a session of its own: ``request.user`` is the
    other user, and ``request.jwtauth.actor`` the one who acts. That session ends with the session of the one who acts,
    cannot authenticate again, and cannot change a password. Sends `acting_started`, but not Django's
    ``user_logged_in``.

    Raises:

    - ``PermissionDenied``: it is not allowed, the user is inactive, or the request has no cookies of jwtauth or acts
      already.
    - ``ReauthenticationRequired``: the request's user must authenticate again first, by ``SENSITIVE_MAX_AGE``.
    - ``CrossOriginRefused``: the request comes from another origin. The middleware answers 403.
    - ``SessionContention``: the database kept asking to retry. The middleware answers 503.
    - ``ImproperlyConfigured``: the request did not pass the middleware.
    """
    from jwtauth.reauthentication import RecentlySignedIn

    inner = django_request(request)
    flow = _flow(inner)
    flow.check_origin()
    if flow.found is None:
        raise PermissionDenied(_("Sign in first."))
    RecentlySignedIn().check(inner)
    acting.start(flow, user, _check(user))
    _change_user(request, inner, flow, user)


def stop_acting(request: HttpRequest) -> None:
    """Sign the user who acts as another one in as themselves again.

    The response sets the cookies of a new session, which replaces the one from which `act_as` was called and says
    nothing younger about its user's authentication. The call can be repeated if the response is lost. If the session
    has ended or locked since, the user is signed out. Sends `acting_ended`.

    Raises:

    - ``PermissionDenied``: the request's user does not act as another user.
    - ``CrossOriginRefused``: the request comes from another origin. The middleware answers 403.
    - ``SessionContention``: the database kept asking to retry. The middleware answers 503.
    - ``ImproperlyConfigured``: the request did not pass the middleware.
    """
    inner = django_request(request)
    flow = _flow(inner)
    flow.check_origin()
    user = acting.stop(flow)
    if user is None:
        logout(request)
    else:
        _change_user(request, inner, flow, user)


def _change_user(request: HttpRequest, inner: HttpRequest, flow: Flow, user: AbstractBaseUser) -> None:
    """Set the user, and change the secrets that the previous user of this browser knows."""
    django_session.sign_in(inner, user, _subject(flow, user), "")
    _set_user(request, inner, flow, user)
    if "CSRF_COOKIE" in inner.META:
        rotate_token(inner)


def _refuse_escape(flow: Flow, user: AbstractBaseUser) -> None:
    if _is_escape(flow, user):
        raise acting.refusal()


def _is_escape(flow: Flow, user: AbstractBaseUser) -> bool:
    """Return whether a user who acts as this one would get a session without the limits of acting."""
    claims = flow.claims
    return claims is not None and claims.actor is not None and claims.subject == _subject(flow, user)


def _subject(flow: Flow, user: AbstractBaseUser) -> str:
    return tokens.subject_of(user, flow.config)


def update_session_auth_hash(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Keep the current session of a user who has just changed their password, as Django's function of this name does.

    Call it after the new password is saved. The session is replaced by a new one with new tokens and the same absolute
    limit, so that copied tokens stop working. All other sessions of the user have ended with the old password. Does
    nothing unless the request's jwtauth tokens are this user's.

    Raises ``ImproperlyConfigured`` if the request did not pass the middleware, and ``ActingRefused`` if another user
    acts as this one.
    """
    inner = django_request(request)
    flow = _flow(inner)
    if acting.is_said(flow):
        raise acting.refusal()
    if replace_session(flow, user):
        django_session.change_password(inner, user)
        _set_user(request, inner, flow, user)


async def aupdate_session_auth_hash(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Keep the current session after a password change in async views, as `update_session_auth_hash` does."""
    await sync_to_async(update_session_auth_hash)(request, user)


async def alogin(
    request: HttpRequest,
    user: AbstractBaseUser,
    backend: str | None = None,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
    cross_origin: bool = False,
    methods: Collection[str] = (),
    device_bound: bool = False,
) -> None:
    """Sign in the user in async views, as `login` does."""
    await sync_to_async(login)(
        request,
        user,
        backend,
        remember=remember,
        lifetime=lifetime,
        cross_origin=cross_origin,
        methods=methods,
        device_bound=device_bound,
    )


async def areauthenticate(
    request: HttpRequest, user: AbstractBaseUser, *, methods: Collection[str] = ()
) -> _engine.Grant:
    """Authenticate the user again in async views, as `reauthenticate` does."""
    return await sync_to_async(reauthenticate)(request, user, methods=methods)


async def aact_as(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Act as another user in async views, as `act_as` does."""
    await sync_to_async(act_as)(request, user)


async def astop_acting(request: HttpRequest) -> None:
    """Stop acting as another user in async views, as `stop_acting` does."""
    await sync_to_async(stop_acting)(request)


async def alogout(request: HttpRequest) -> None:
    """Sign out in async views, as `logout` does."""
    await sync_to_async(logout)(request)


def follow_django_login(request: HttpRequest | None, user: AbstractBaseUser) -> None:
    """End this browser's session if Django's own login signs in another user.

    The previous user's data in Django's session is removed as well. So does the login of a package whose logins are
    accepted, which then move in.
    """
    if request is None:
        return
    inner = django_request(request)
    flow = Flow.of(inner)
    if not django_session.signs_in(inner, user):  # not a login by Django, which stores the user in its session
        if flow is not None and flow.announcing is None and flow.config.accept_logins_of:
            supersede(flow, user)
        return
    if flow is not None and flow.announcing == user.pk:
        return
    if flow is not None and _is_escape(flow, user):
        django_session.sign_out(inner)
        raise acting.refusal()
    if get_config().accept_logins_of:
        django_session.note_login(inner, clock.now())
    if flow is None:
        vars(inner)[SIGNED_IN] = user  # for the middleware, which runs later
    else:
        flow.announced = user.pk
        supersede(flow, user)
        waiting = pending.of(flow)
        if waiting is not None and waiting.user.pk != user.pk:
            pending.clear(flow)


def follow_django_logout(request: HttpRequest | None) -> None:
    """End this browser's session if Django's own logout signs the user out, for example in the admin."""
    flow = Flow.of(request)
    if flow is not None:
        pending.clear(flow)
    if flow is not None and flow.claims is not None:
        end(flow)


def django_request(request: HttpRequest) -> HttpRequest:
    """Return Django's request, which a DRF request wraps."""
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
