"""Logins of Django's own sessions, by ``django.contrib.auth``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY, load_backend
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils import timezone

from jwtauth.conf import get_config
from jwtauth.contrib.old_logins import Login, OldLogins, Place, Shown
from jwtauth.internal import django_session, tokens
from jwtauth.internal.django_session import OLD_LOGIN, SIGNED_IN_AT
from jwtauth.internal.store import clock


class Logins(OldLogins):
    """Accept the sessions that Django's own login has signed in. They are kept, since they hold other data as well.

    Accepts none if jwtauth's middleware is listed before Django's ``SessionMiddleware``, as 0.0.8 allowed.
    """

    def cookie_domain(self) -> str | None:
        """Return ``SESSION_COOKIE_DOMAIN``."""
        return settings.SESSION_COOKIE_DOMAIN

    def may_show(self, request: HttpRequest) -> bool:
        """Return whether the request has the cookie of a session, without loading the session."""
        return settings.SESSION_COOKIE_NAME in request.COOKIES and django_session.of(request) is not None

    def shown(self, request: HttpRequest) -> Sequence[Shown]:
        """Return the login that the session holds, if any. Loads the session."""
        session = django_session.of(request)
        key = None if session is None else session.session_key
        if session is None or key is None or SESSION_KEY not in session:
            return []
        return [Shown(session.get(OLD_LOGIN) or _name_of(key), Place.COOKIE, is_renewable=True)]

    def verify(self, request: HttpRequest, shown: Shown) -> Login | None:
        """Verify the session as Django does: its backend, its user, and its hash, also with the fallback keys."""
        session = request.session
        backend = session.get(BACKEND_SESSION_KEY, "")
        user = django_session.user_of(request)
        if user is None or _is_named_by_server(backend):
            return None
        expires_at, is_fixed = _end_of(session)
        login = Login(
            user,
            issued_at=session.get(SIGNED_IN_AT),
            expires_at=expires_at,
            slides=settings.SESSION_SAVE_EVERY_REQUEST and not is_fixed,
            remember=not session.get_expire_at_browser_close(),
            backend=backend,
            follows_password=True,
        )
        if OLD_LOGIN not in session:
            # As jwtauth.login does; the key is not cycled, since the user was signed in before.
            django_session.sign_in(request, user, tokens.subject_of(user, get_config()), predecessor=None)
            if SESSION_KEY in session:
                # The key of a session changes when its user gets a new password, and with ``signed_cookies`` whenever
                # it is saved. Under another name, an ended login would move in again.
                session[OLD_LOGIN] = shown.secret
        return login

    def end(self, request: HttpRequest) -> None:
        """Flush the session if it is still signed in, and make this request anonymous."""
        from django.contrib.auth.models import AnonymousUser

        session = django_session.of(request)
        if session is None or SESSION_KEY not in session:
            return
        session.flush()
        anonymous = AnonymousUser()

        async def auser() -> AnonymousUser:
            return anonymous

        request.user = anonymous
        request.auser = auser


def _name_of(key: str) -> str:
    return sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]


def _is_named_by_server(backend: str) -> bool:
    """Return whether the web server names the user with each request. Such a login ends when it no longer does."""
    from django.contrib.auth.backends import RemoteUserBackend

    return isinstance(load_backend(backend), RemoteUserBackend)


def _end_of(session: SessionBase) -> tuple[int, bool]:
    """Return when the session expires if it is saved now, and whether that is the same if it is saved later."""
    now = timezone.now()
    end, later = (session.get_expiry_date(modification=at) for at in (now, now + timedelta(days=1)))
    return clock.from_datetime(end), end == later
