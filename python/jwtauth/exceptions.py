"""What can go wrong, one class per decision of the caller.

::

    JwtAuthError
    ├── TokenError                   the token is not one of ours, or not good now: the request is anonymous
    │   └── TokenExpired             it was good once
    ├── CrossOriginRefused           the request comes from elsewhere and may not use cookies: 403
    ├── SessionContention            the session's row kept changing while it was refreshed: an error response
    ├── SessionLimitReached          the user has as many sessions as MAX_SESSIONS_PER_USER lets them: 403
    ├── ClaimsRefused                ACCESS_TOKEN_CLAIMS gives what no token can hold: a mistake of the site
    └── EngineConfigurationError     keys, lifetimes or names that contradict each other
"""

from django.core.exceptions import PermissionDenied


class JwtAuthError(Exception):
    """Any error of this package.

    ``code`` is stable, and the same in Rust, in logs and in HTTP bodies. No message holds a token or a key.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class TokenError(JwtAuthError):
    """A token was rejected."""


class TokenExpired(TokenError):
    """A token of ours was rejected for its age alone (RFC 7519 section 4.1.4)."""


class CrossOriginRefused(JwtAuthError):
    """A request from another origin may not use cookies."""


class SessionContention(JwtAuthError):
    """A session's row changed under every attempt to refresh it. Nothing was written and no cookie is touched."""


class SessionLimitReached(JwtAuthError, PermissionDenied):
    """The user has as many sessions as ``MAX_SESSIONS_PER_USER`` lets them, and the policy is to refuse."""


class ClaimsRefused(JwtAuthError):
    """``ACCESS_TOKEN_CLAIMS`` gives a name that has a meaning, or more than a cookie holds. Nothing is written."""


class EngineConfigurationError(JwtAuthError):
    """Keys, lifetimes or names that contradict each other."""
