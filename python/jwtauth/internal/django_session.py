"""Django's session beside jwtauth's: renewed at login and emptied at logout, as Django's own functions do it.

Only a session that the request has is touched: none is created. Its data belong to the user who was signed in when they
were written, which a key of the session notes, so that the next user of a browser never reads them.
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

# The user whose data the session holds, as tokens name them.
_OWNER = "_jwtauth_subject"
_OF_DJANGO = {SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY}


class Before(NamedTuple):
    """The session before a login, to be put back by `restore` if the login is rolled back."""

    session: SessionBase | None
    key: str | None


def of(request: HttpRequest | None) -> SessionBase | None:
    """Return the request's session, if its site has Django's sessions."""
    session = getattr(request, "session", None)
    return session if isinstance(session, SessionBase) else None


def before(request: HttpRequest) -> Before:
    """Return what `restore` needs."""
    session = of(request)
    return Before(session, None if session is None else session.session_key)


def signs_in(request: HttpRequest, user: AbstractBaseUser) -> bool:
    """Return whether Django's own login has signed in this user."""
    session = of(request)
    return session is not None and user.pk is not None and session.get(SESSION_KEY) == _key_of(user)


def user_of(request: HttpRequest) -> Any:
    """Return the user whom Django's own login has signed in, or ``None``."""
    session = of(request)
    user = None if session is None or SESSION_KEY not in session else get_user(request)
    return user if user is not None and user.is_authenticated else None


def sign_in(request: HttpRequest, user: AbstractBaseUser, subject: str, predecessor: str | None) -> None:
    """Give the session another key, or flush it if it is of another user than this one.

    ``subject`` is the user's, as tokens name them; ``predecessor`` that of the user whom the request was of.
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


def sign_in_elsewhere(request: HttpRequest, subject: str) -> None:
    """Remove what another user has left in the session, after Django's own login of this one, which keeps its own."""
    session = of(request)
    if session is not None and session.pop(_OWNER, subject) != subject:
        for name in set(session.keys()) - _OF_DJANGO:
            del session[name]


def change_password(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Keep the session through a new password of its user, under another key."""
    session = of(request)
    if session is None:
        return
    if signs_in(request, user):
        update_django_session(request, cast(Any, user))  # of any user model
    elif not session.is_empty():
        session.cycle_key()


def changed_password(request: HttpRequest) -> str | None:
    """Return the auth hash that Django's ``update_session_auth_hash`` may have put into the session in this request."""
    session = of(request)
    return session.get(HASH_SESSION_KEY) if session is not None and session.modified else None


def sign_out(request: HttpRequest) -> Callable[[], None] | None:
    """Flush the session. Return what removes its row again, if a rollback has brought it back."""
    session = of(request)
    if session is None:
        return None
    key = session.session_key
    session.flush()
    return None if key is None else partial(session.delete, key)


def is_modified(request: HttpRequest) -> bool:
    """Return whether this request has written the session. Loads nothing: it may only have been marked."""
    session = of(request)
    return session is not None and session.modified


def note_owner(request: HttpRequest, subject: str) -> bool:
    """Note whose data the session holds, which this request has written, if Django's login has not said so.

    Returns whether that has changed the session.
    """
    session = of(request)
    if session is None or session.is_empty() or SESSION_KEY in session or session.get(_OWNER) == subject:
        return False
    session[_OWNER] = subject
    return True


def save_again(request: HttpRequest) -> None:
    """Save the session, which Django's middleware has saved before jwtauth's has written to it."""
    session = of(request)
    if session is not None and session.session_key is not None:
        with suppress(UpdateError):  # another request has removed it
            session.save()


def restore(request: HttpRequest, known: Before) -> None:
    """Put back the session that the request had, if a rollback has brought its row back."""
    session = of(request)
    if session is None or session.session_key == known.key:
        return
    if known.key is None:
        again = type(session)()
        again.update({name: value for name, value in session.items() if name != _OWNER})
    elif session.exists(known.key):
        again = type(session)(known.key)
    else:
        return  # no database holds it, so nothing was rolled back
    request.session = again


def _key_of(user: AbstractBaseUser) -> str:
    return str(user._meta.pk.value_to_string(user))
