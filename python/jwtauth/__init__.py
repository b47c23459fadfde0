"""Cookie and JWT authentication for Django REST Framework, with rotating refresh tokens in HttpOnly cookies.

``login(request, user)`` starts a session and ``logout(request)`` ends it immediately. ``JWTAuthentication`` gives DRF
the user of the request. ``jwtauth.middleware.JWTAuthMiddleware`` verifies and refreshes the tokens. DRF is imported by
the parts that are for it, and by nothing else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jwtauth.authentication import JWTAuthentication, JwtAuthentication
    from jwtauth.internal.activity import no_activity
    from jwtauth.internal.landing import landing
    from jwtauth.reauthentication import NotActing, RecentlySignedIn, SignedInWith
    from jwtauth.signin import (
        aact_as,
        act_as,
        alogin,
        alogout,
        areauthenticate,
        astop_acting,
        aupdate_session_auth_hash,
        login,
        logout,
        reauthenticate,
        stop_acting,
        update_session_auth_hash,
    )

__version__: str

__all__ = [
    "JWTAuthentication",
    "JwtAuthentication",
    "NotActing",
    "RecentlySignedIn",
    "SignedInWith",
    "aact_as",
    "act_as",
    "alogin",
    "alogout",
    "areauthenticate",
    "astop_acting",
    "aupdate_session_auth_hash",
    "landing",
    "login",
    "logout",
    "no_activity",
    "reauthenticate",
    "stop_acting",
    "update_session_auth_hash",
]

# Django imports this module before its apps are loaded, and pytest imports it in projects that do not use it. Names
# that need models are therefore imported at first use (PEP 562).
_HOMES = {
    "__version__": "jwtauth._engine",
    "JWTAuthentication": "jwtauth.authentication",
    "JwtAuthentication": "jwtauth.authentication",
    "NotActing": "jwtauth.reauthentication",
    "RecentlySignedIn": "jwtauth.reauthentication",
    "SignedInWith": "jwtauth.reauthentication",
    "aact_as": "jwtauth.signin",
    "act_as": "jwtauth.signin",
    "alogin": "jwtauth.signin",
    "alogout": "jwtauth.signin",
    "areauthenticate": "jwtauth.signin",
    "astop_acting": "jwtauth.signin",
    "aupdate_session_auth_hash": "jwtauth.signin",
    "landing": "jwtauth.internal.landing",
    "login": "jwtauth.signin",
    "logout": "jwtauth.signin",
    "no_activity": "jwtauth.internal.activity",
    "reauthenticate": "jwtauth.signin",
    "stop_acting": "jwtauth.signin",
    "update_session_auth_hash": "jwtauth.signin",
}
_OF_DRF = {"JWTAuthentication", "JwtAuthentication"}


def _can_load() -> bool:
    """Return whether Django has loaded this app. Imports nothing, since Django itself may not be loaded."""
    registry = sys.modules.get("django.apps")
    return registry is not None and registry.apps.apps_ready and registry.apps.is_installed(__name__)


def _lacks_drf(name: str) -> bool:
    """Return whether this name needs DRF, which is not installed. Imports nothing."""
    try:
        return name in _OF_DRF and find_spec("rest_framework") is None
    except ImportError:  # from an import hook
        return True


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # An import statement fails with Django's own error. Other lookups raise AttributeError, such as those of a tool
    # that inspects the attributes of every module.
    is_imported = sys._getframe(1).f_code.co_name == "_handle_fromlist"
    if name in __all__ and not is_imported and not _can_load():
        raise AttributeError(f"{__name__}.{name} needs Django's apps, with {__name__!r} in INSTALLED_APPS")
    if not is_imported and _lacks_drf(name):
        raise AttributeError(f"{__name__}.{name} needs Django REST Framework: install djangorestframework")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    names = [name for name in __all__ if not _lacks_drf(name)] if _can_load() else []
    return sorted({*globals(), *names})
