"""Django's own session, whose key is cycled at login and which is flushed at logout, as Django's functions do.

A session is never created here. A key in the session records the user who was signed in when its data was written, so
that the next user of the browser cannot read it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, cast

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth import update_session_auth_hash as update_django_session
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest

# The subject (``sub``) of the user whose data the session holds.
_OWNER = "_jwtauth_subject"
# The name of a login that has moved in, for `jwtauth.contrib.old_logins.django_sessions`, and when Django's own login
# signed the user in.
OLD_LOGIN, SIGNED_IN_AT = "_jwtauth_old_login", "_jwtauth_signed_in_at"
_OF_DJANGO = {SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY, SIGNED_IN_AT}


class Before(NamedTuple):
    """Hold the session before a login, for `restore` if the login is rolled back."""

    session: SessionBase | None
    key: str | None


def of(request: HttpRequest | None) -> SessionBase | None:
    """Return the request's session, or ``None`` without Django's sessions."""
    session = getattr(request, "session", None)
    return session if isinstance(session, SessionBase) else None


def before(request: HttpRequest) -> Before:
    """Return the state of the session for `restore`."""
    session = of(request)
    return Before(session, None if session is None else session.session_key)


def signs_in(request: HttpRequest, user: AbstractBaseUser) -> bool:
    """Return whether Django's own login has signed this user in."""
    session = of(request)
    return session is not None and user.pk is not None and session.get(SESSION_KEY) == _key_of(user)


def user_of(request: HttpRequest) -> Any:
    """Return the user signed in by Django's own login, or ``None``."""
    session = of(request)
    user = None if session is None or SESSION_KEY not in session else get_user(request)
    return user if user is not None and user.is_authenticated else None


def sign_in(request: HttpRequest, user: AbstractBaseUser, subject: str, predecessor: str | None) -> None:
    """Cycle the key of the session, or flush the session if it belongs to another user.

    ``subject`` is the ``sub`` claim of the user, and ``predecessor`` that of the request's previous user.
    """
    session = of(request)
    if session is None:
        return
    signed_in = session.get(SESSION_KEY)
    if signed_in not in (None, _key_of(user)) or any(
        other not in (None, subject) for other in (session.get(_OWNER), predecessor)
    ):
        session.flush()
    elif signed_in is None and not session.is_empty():
        session.cycle_key()
    if not session.is_empty():
        session[_OWNER] = subject


def may_wait(request: HttpRequest, user: AbstractBaseUser, subject: str) -> bool:
    """Return whether the session may stay while a login of this user waits for a second factor.

    It may not if it belongs to another user, or if this request has signed in the user there.
    """
    session = of(request)
    if session is None:
        return True
    signed_in = session.get(SESSION_KEY)
    is_of_user = signed_in in (None, _key_of(user)) and session.get(_OWNER) in (None, subject)
    return is_of_user and (signed_in is None or not session.modified)


def sign_in_elsewhere(request: HttpRequest, subject: str) -> None:
    """Remove another user's data from the session after Django's own login, keeping Django's own keys."""
    session = of(request)
    if session is not None and session.pop(_OWNER, subject) != subject:
        for name in set(session.keys()) - _OF_DJANGO:
            del session[name]


def note_login(request: HttpRequest, at: int) -> None:
    """Record when Django's own login has signed the user in, under another name than an earlier login of the user."""
    session = of(request)
    if session is not None:
        if session.pop(OLD_LOGIN, None) is not None:
            session.cycle_key()
        session[SIGNED_IN_AT] = at


def change_password(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Keep the session after a password change, under a new key."""
    session = of(request)
    if session is None:
        return
    if signs_in(request, user):
        update_django_session(request, cast(Any, user))  # any user model
    elif not session.is_empty():
        session.cycle_key()


def changed_password(request: HttpRequest) -> str | None:
    """Return the session's auth hash if this request has modified the session, else ``None``."""
    session = of(request)
    return session.get(HASH_SESSION_KEY) if session is not None and session.modified else None


def sign_out(request: HttpRequest) -> Callable[[], None] | None:
    """Flush the session. Return a function that deletes its row again after a rollback."""
    session = of(request)
    if session is None:
        return None
    key = session.session_key
    session.flush()
    return None if key is None else partial(session.delete, key)


def is_modified(request: HttpRequest) -> bool:
    """Return whether this request has modified the session, without loading it."""
    session = of(request)
    return session is not None and session.modified


def note_owner(request: HttpRequest, subject: str) -> bool:
    """Record the user whose data this request wrote to the session, unless Django's login is in the session.

    Returns whether the session was changed.
    """
    session = of(request)
    if session is None or session.is_empty() or SESSION_KEY in session or session.get(_OWNER) == subject:
        return False
    session[_OWNER] = subject
    return True


def save_again(request: HttpRequest) -> None:
    """Save the session again, since Django's middleware saved it before jwtauth's changed it."""
    session = of(request)
    if session is not None and session.session_key is not None:
        with suppress(UpdateError):  # another request deleted it
            session.save()


def restore(request: HttpRequest, known: Before) -> None:
    """Restore the previous session of the request if a rollback has restored its row."""
    session = of(request)
    if session is None or session.session_key == known.key:
        return
    if known.key is None:
        again = type(session)()
        again.update({name: value for name, value in session.items() if name != _OWNER})
    elif session.exists(known.key):
        again = type(session)(known.key)
    else:
        return  # the session is not in a database, so nothing was rolled back
    request.session = again


def _key_of(user: AbstractBaseUser) -> str:
    return str(user._meta.pk.value_to_string(user))
