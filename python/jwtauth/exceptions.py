"""The exceptions of this package, one class for each way to handle an error.

::

    JwtAuthError
    ├── TokenError                   the token is invalid: the request is anonymous
    │   └── TokenExpired             the token was valid but has expired
    ├── ProofRefused                 the header DPoP of a client is not a valid proof: 400
    ├── CrossOriginRefused           the request comes from another origin and may not use cookies: 403
    ├── SessionContention            the database was too busy to update the session: 503
    ├── SessionLimitReached          the user already has MAX_SESSIONS_PER_USER sessions: 403
    ├── ReauthenticationRequired     the user must prove again who they are: 403
    ├── SecondFactorRequired         the user has enrolled a second factor, which the login lacks: 403
    ├── ActingRefused                another user acts as the user, who alone may do this: 403
    ├── ClaimsRefused                a token cannot hold what ACCESS_TOKEN_CLAIMS returns: a bug of the site
    └── EngineConfigurationError     invalid or contradictory keys, lifetimes or names
"""

from collections.abc import Collection, Iterable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _


class JwtAuthError(Exception):
    """Base class of the exceptions of this package.

    ``code`` is a stable string, the same in Rust, in logs and in HTTP bodies. Messages never contain a token or a key.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class TokenError(JwtAuthError):
    """Raised if a token's form, signature, type or claims are invalid (RFC 7519 section 7.2)."""


class TokenExpired(TokenError):
    """Raised if a token is valid but has expired (RFC 7519 section 4.1.4)."""


class ProofRefused(JwtAuthError):
    """Raised if a client starts or refreshes a session with a header ``DPoP`` that is not valid (RFC 9449 section 5).

    ``code`` is ``invalid_dpop_proof`` or ``use_dpop_nonce``. ``body`` is the content of the response: 400, in every
    view that does not catch this exception.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code)
        self.body = {"detail": message, "code": code, "error": code}


class CrossOriginRefused(JwtAuthError):
    """Raised if a request from another origin may not use cookies. The middleware answers 403."""


class SessionContention(JwtAuthError):
    """Raised if every attempt to write a session met a database conflict or a concurrent change.

    Nothing was written and no cookie is changed. The middleware answers 503 with ``Retry-After``.
    """


class SessionLimitReached(JwtAuthError, PermissionDenied):
    """Raised by a login beyond ``MAX_SESSIONS_PER_USER`` if ``MAX_SESSIONS_POLICY`` is ``"refuse"``."""


class ReauthenticationRequired(JwtAuthError, PermissionDenied):
    """Raised if the user must prove again who they are, for example by their password. The middleware answers 403.

    ``max_age`` is the most seconds that may have passed since the user last did, or ``None`` if any time will do.
    ``methods`` are the methods that the user has not used and must use (RFC 8176). ``body`` is the content of the
    response.
    """

    def __init__(self, message: str, *, max_age: int | None, methods: Collection[str] = ()) -> None:
        super().__init__(message, "reauthentication_required")
        self.max_age, self.methods = max_age, sorted(methods)
        self.body: dict[str, Any] = {
            "detail": message,
            "code": self.code,
            "max_age": max_age,
            "methods": self.methods,
        }
        self.args = (self.body,)  # from which DRF makes the content of its response

    def __str__(self) -> str:
        return str(self.body["detail"])


class SecondFactorRequired(JwtAuthError, PermissionDenied):
    """Raised by a login that lacks a second factor which the user has enrolled (``SECOND_FACTOR``).

    No session has started. ``methods`` are the enrolled methods, of which one is needed. ``pending`` is the value that
    a client without cookies sends back, or ``None`` if the response sets it as a cookie. ``body`` is the content of the
    response: 403, in every view that does not catch this exception.
    """

    def __init__(self, methods: Iterable[str], pending: str | None = None) -> None:
        message = _("This login requires a second factor.")
        super().__init__(message, "second_factor_required")
        self.methods = frozenset(methods)
        self.pending = pending
        self.body: dict[str, Any] = {"detail": message, "code": self.code, "methods": sorted(self.methods)}
        if pending is not None:
            self.body["pending"] = pending
        self.args = (self.body,)  # from which DRF makes the content of its response

    def __str__(self) -> str:
        return str(self.body["detail"])


class ActingRefused(JwtAuthError, PermissionDenied):
    """Raised if another user acts as the user, for what only the user may do. The middleware answers 403.

    ``body`` is the content of the response.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, "acting_refused")
        self.body: dict[str, Any] = {"detail": message, "code": self.code}
        self.args = (self.body,)  # from which DRF makes the content of its response

    def __str__(self) -> str:
        return str(self.body["detail"])


class ClaimsRefused(JwtAuthError):
    """Raised if ``ACCESS_TOKEN_CLAIMS`` returns a reserved name, or more than a cookie holds. Nothing is written."""


class EngineConfigurationError(JwtAuthError):
    """Raised if keys, lifetimes or names are invalid or contradict each other."""
