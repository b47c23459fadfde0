"""Logins of a browser that has a session but did not send its cookies.

A link or redirect from another site brings no ``SameSite=Strict`` cookie. A login in a provider's callback therefore
cannot see the browser's session, and each such login would leave a session behind. So it also sets a ``Lax`` cookie
with the id of its session, which is not secret and authenticates nothing. The next such login of the same user brings
this cookie and ends that session, as any login ends the session of its cookies. It never ends the session of another
browser. Other logins neither set nor read the cookie.
"""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser

from jwtauth.conf import Config
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import sessions


def cookie_name(config: Config) -> str:
    """Return the name of the cookie. It has the prefix and scope of the refresh token's cookie."""
    return f"{config.refresh_cookie_name}_session"


def may_hide_cookies(flow: Flow) -> bool:
    """Return whether the browser may have a session whose cookies it did not send with this request.

    Only ``GET`` counts: a form posted by another site brings no ``Lax`` cookie either, so setting one would not help.
    """
    request = flow.request
    if flow.config.cookie_samesite != "Strict" or request.method != "GET":
        return False
    # Over plain HTTP, browsers send this header only to localhost.
    return request.META.get("HTTP_SEC_FETCH_SITE") == "cross-site" and not flow.identity.session_ids


def sessions_left_behind(flow: Flow, user: AbstractBaseUser) -> set[object]:
    """Return the session id of this browser's last login from another site, if the session is this user's."""
    value = flow.request.COOKIES.get(cookie_name(flow.config))
    if value is None or not may_hide_cookies(flow):
        return set()
    try:
        session_id = UUID(value)
    except ValueError:
        return set()
    return set(sessions.rows(session_id, user=user.pk).values_list("pk", flat=True))
