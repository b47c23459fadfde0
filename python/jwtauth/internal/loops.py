"""Logins of a browser that did not send the cookies of the session that it has.

A link or redirect from another site brings no ``SameSite=Strict`` cookie, so a login in a provider's callback cannot
see the session of the browser, and each one would leave a session behind. Such a login therefore also sets a ``Lax``
cookie with the id of its session, which is not a secret and authenticates nothing. The next such login of the same user
brings the cookie and ends that session, as any login ends the session whose cookies it sees. It never ends the session
of another browser. Other logins neither set the cookie nor read it.
"""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser

from jwtauth.conf import Config
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import sessions


def cookie_name(config: Config) -> str:
    """Return the name of the cookie, which shares prefix and scope with the refresh token's."""
    return f"{config.refresh_cookie_name}_session"


def may_hide_cookies(flow: Flow) -> bool:
    """Return whether a login of this request may be of a browser that has a session but did not send its cookies.

    A form that another site posts brings no ``Lax`` cookie either, so it would be in vain to set one.
    """
    request = flow.request
    if flow.config.cookie_samesite != "Strict" or request.method != "GET" or flow.identity.session_ids:
        return False
    # Over plain HTTP browsers leave the header out, except on localhost.
    return bool(request.META.get("HTTP_SEC_FETCH_SITE") == "cross-site")


def sessions_left_behind(flow: Flow, user: AbstractBaseUser) -> set[object]:
    """Return the id of the session that this browser's last login from another site started, if it is this user's."""
    value = flow.request.COOKIES.get(cookie_name(flow.config))
    if value is None or not may_hide_cookies(flow):
        return set()
    try:
        session_id = UUID(value)
    except ValueError:
        return set()
    return set(sessions.rows(session_id, user=user.pk).values_list("pk", flat=True))
