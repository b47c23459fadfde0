"""The engine: tokens, rotation, lifetimes, origins, cookies. Every rule is in the Rust crate of this name.

Times are Unix seconds. Objects are immutable, shared freely between threads, and cannot be pickled or copied; no
``repr`` shows a token or a key.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, final
from uuid import UUID

__all__ = [
    "LAST_SEEN_INTERVAL",
    "MAX_TOKEN_LENGTH",
    "Answer",
    "Asked",
    "Claims",
    "DatabaseClock",
    "Decision",
    "Grant",
    "Identity",
    "Keyring",
    "OriginPolicy",
    "Outcome",
    "RenderSecrets",
    "RotationPolicy",
    "Session",
    "Sid",
    "SigningKey",
    "Site",
    "TokenKind",
    "Tokens",
    "VerifiedSessions",
    "VerifyingKey",
    "__version__",
    "algorithms",
    "cookie_problems",
    "generate_key",
    "stored_seconds",
]

__version__: Final[str]
"""The version of the package, which is that of the engine."""

MAX_TOKEN_LENGTH: Final[int]
"""The longest token that is looked at, in bytes."""

LAST_SEEN_INTERVAL: Final[int]
"""Seconds between two notes of when a person was last seen."""

@final
class SigningKey:
    """A key that makes signatures, for one algorithm."""

    @staticmethod
    def read(key: bytes, *, algorithm: str) -> SigningKey:
        """A secret for HMAC; else a private key in PEM (RFC 7468: PKCS#8, PKCS#1, SEC1); or either as a JWK (RFC 7517).

        Raises ``EngineConfigurationError``: why it cannot be a key of this algorithm.
        """

    @property
    def algorithm(self) -> str:
        """The ``alg`` (RFC 7518 section 3.1)."""

    @property
    def id(self) -> str:
        """The ``kid``: that of the JWK, or the RFC 7638 thumbprint."""

@final
class VerifyingKey:
    """A key that verifies signatures, for one algorithm: the secret of HMAC, or a public key."""

    @staticmethod
    def read(key: bytes, *, algorithm: str) -> VerifyingKey:
        """A secret for HMAC; else a public key in PEM (RFC 7468: SPKI, PKCS#1, X.509 certificate); or either as a JWK.

        Raises ``EngineConfigurationError``: why it cannot be a key of this algorithm.
        """

    @property
    def algorithm(self) -> str:
        """The ``alg`` (RFC 7518 section 3.1)."""

    @property
    def id(self) -> str:
        """The ``kid``: that of the JWK, or the RFC 7638 thumbprint."""

    @property
    def public_jwk(self) -> str | None:
        """The JWK for others to verify with; ``None`` for a secret."""

@final
class Keyring:
    """One signing key and the keys whose signatures are accepted besides."""

    def __new__(cls, signing: SigningKey, verifying: Sequence[VerifyingKey] = ...) -> Keyring:
        """Raises ``EngineConfigurationError``: too many keys, or one id for two of them."""

    @property
    def keys(self) -> list[VerifyingKey]:
        """Every key that verifies, that of the signing key first."""

    @property
    def jwk_set(self) -> str:
        """The public keys (RFC 7517 section 5), without secrets."""

@final
class Sid:
    """The secret name of a session: the minute it began in, and 128 random bits."""

    @staticmethod
    def generate(now: int) -> Sid:
        """A new name of a session that begins now, in Unix seconds.

        Raises ``OSError``: the operating system gave no random bytes.
        """

    @property
    def session_id(self) -> UUID:
        """The id of the session's row: a digest of the name, which people may see."""

@final
class Session:
    """What the rules need of a session's row."""

    def __new__(
        cls,
        *,
        generation: int,
        acknowledged_at: int | None,
        rotated_at: int,
        created_at: int,
        expires_at: int,
        end_is_fixed: bool,
    ) -> Session: ...
    @staticmethod
    def stored(
        generation: int,
        end_is_fixed: bool,
        acknowledged_at: str | None,
        rotated_at: str,
        created_at: str,
        expires_at: str,
    ) -> Session:
        """Return the row of which Python's sqlite3 has returned these columns.

        Raises ``ValueError`` as `stored_seconds` does.
        """

    @property
    def generation(self) -> int:
        """The newest generation that has been issued."""

    @property
    def acknowledged_at(self) -> int | None:
        """When something of that generation was first seen back from the client."""

    @property
    def rotated_at(self) -> int:
        """When that generation was issued."""

    @property
    def created_at(self) -> int:
        """When the person signed in."""

    @property
    def expires_at(self) -> int:
        """When the session is over unless it is refreshed before."""

    @property
    def end_is_fixed(self) -> bool:
        """Whether that was fixed at login: no refresh moves it, and no other limit holds."""

@final
class TokenKind:
    """The two kinds of token (``typ``, RFC 8725 section 3.11)."""

    ACCESS: Final[TokenKind]
    """``at+jwt``."""
    REFRESH: Final[TokenKind]
    """``rt+jwt``."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __int__(self) -> int: ...

@final
class Claims:
    """What a token says."""

    def __new__(
        cls,
        *,
        subject: str,
        sid: Sid,
        generation: int,
        issued_at: int,
        expires_at: int,
        custom: str | None = None,
    ) -> Claims:
        """``custom`` is a JSON object. Raises ``ClaimsRefused``: a name that has a meaning, too large a number."""

    @property
    def subject(self) -> str:
        """Who: ``sub``, or the claim that ``USER_ID_CLAIM`` names."""

    @property
    def sid(self) -> Sid:
        """The session's secret name."""

    @property
    def session_id(self) -> UUID:
        """The id of the session's row."""

    @property
    def generation(self) -> int:
        """The session's generation, counting the login as 1."""

    @property
    def issued_at(self) -> int:
        """``iat``."""

    @property
    def expires_at(self) -> int:
        """``exp``."""

    @property
    def custom(self) -> dict[str, Any]:
        """Every other claim: those that ``ACCESS_TOKEN_CLAIMS`` has added. A new dictionary each time."""

@final
class Tokens:
    """Issues and verifies tokens with one ring of keys."""

    def __new__(
        cls,
        keyring: Keyring,
        *,
        issuer: str | None = None,
        audience: Sequence[str] = ...,
        leeway: int = 0,
        subject_claim: str = "sub",
    ) -> Tokens:
        """Raises ``EngineConfigurationError``: a claim that cannot name the user, an empty issuer or audience."""

    def issue(self, kind: TokenKind, claims: Claims) -> str:
        """A signed token. Raises ``ClaimsRefused``: with these custom claims, no cookie holds it."""

    def verify(self, kind: TokenKind, token: str, now: int) -> Claims:
        """The claims of a token of this kind. Raises ``TokenExpired``, ``TokenError``."""

    def verify_ignoring_time(self, kind: TokenKind, token: str) -> Claims:
        """The claims of a token however stale. Raises ``TokenError``."""

@final
class RotationPolicy:
    """Lifetimes and grace of rotation, in seconds."""

    def __new__(cls, *, access: int, idle: int, absolute: int | None, grace: int) -> RotationPolicy:
        """Raises ``EngineConfigurationError``: lifetimes are zero or out of order."""

    def start(self, now: int) -> Session:
        """The row of a session that starts now."""

    def start_for(self, lifetime: int, now: int) -> Session:
        """The row of a session that starts now and lives for so many seconds, in use or not."""

    def succeed(self, session: Session, now: int) -> Session:
        """The row of a session that takes the place of this one, and ends no later than this one's absolute limit."""

    def is_over(self, session: Session, now: int) -> bool:
        """Whether the session has reached its idle or its absolute end."""

@final
class Decision:
    """The answer to a refresh token."""

    @property
    def code(self) -> str:
        """``rotate``, ``renew_access``, ``reissue``, ``admit``, ``adopt``; ``session_expired``, ``generation_ahead``,
        ``late_upload``: refused; ``refresh_token_reused``: end the session."""

    @property
    def admits(self) -> bool:
        """Whether the request is the session's, and so its user's."""

    @property
    def acknowledge(self) -> bool:
        """Write ``acknowledged_at = now`` where it is empty."""

    @property
    def warning(self) -> str | None:
        """The name under which a decision that is worth a look is logged."""

    @property
    def next(self) -> Session | None:
        """The row as it is to be written, where the generation that was read still stands."""

@final
class OriginPolicy:
    """The origins besides the site's own that may make requests with cookies."""

    def __new__(cls, trusted: Sequence[str]) -> OriginPolicy:
        """Raises ``EngineConfigurationError``: an entry that can never match, which the message names."""

@final
class RenderSecrets:
    """The secrets that the site shares with its render server."""

    def __new__(cls, secrets: Sequence[str]) -> RenderSecrets:
        """Raises ``EngineConfigurationError``: one of them is too short, or no header field can bring it."""

@final
class Identity:
    """Who the request claims to be, before its session is looked up."""

    def __new__(cls) -> Identity:
        """An anonymous request without cookies."""

    @property
    def access(self) -> Claims | None:
        """The claims of the access token, to be checked against the session's row."""

    @property
    def refresh(self) -> Claims | None:
        """The claims of the refresh token that is to be decided on: there is no access token of its session."""

    @property
    def session_ids(self) -> list[UUID]:
        """The sessions whose authentic tokens the request brought, also expired ones."""

    @property
    def is_disputed(self) -> bool:
        """Whether valid tokens are of more than one user: then all are ignored."""

    @property
    def disputed_session_ids(self) -> list[UUID]:
        """The sessions of their refresh tokens."""

    def settle(self, live: list[UUID]) -> Identity:
        """Return who it is without the refresh tokens of sessions that are not among these."""

    @property
    def is_bearer(self) -> bool:
        """Whether the request names an access token by ``Authorization: Bearer``."""

    @property
    def has_cookies(self) -> bool:
        """Whether the request brought a cookie of either name."""

    @property
    def has_wrong_render_secret(self) -> bool:
        """Whether the request brings another render secret than the site has. It is ignored."""

    @property
    def is_cross_origin(self) -> bool:
        """Whether the request may not use its cookies."""

    def check(self) -> None:
        """Raises ``CrossOriginRefused`` where the request may not use its cookies."""

@final
class Grant:
    """The newest tokens of a session, and which of them the response sets."""

    @property
    def access(self) -> Claims:
        """The claims of the access token."""

    @property
    def refresh(self) -> Claims:
        """The claims of the refresh token."""

    @property
    def sets_cookies(self) -> bool:
        """Whether the response sets any."""

@final
class Outcome:
    """What the request has come to, so far."""

    UNCHANGED: Final[Outcome]
    """No cookie changes."""
    CLEARED: Final[Outcome]
    """The user has signed out: cookies are cleared, if the request brought one."""

    SUPERSEDED: Final[Outcome]
    """Another way of signing in has signed in the browser's user: cookies are cleared, also those it withheld."""

    @staticmethod
    def granted(grant: Grant) -> Outcome:
        """The session's tokens are set."""

@final
class Answer:
    """What the response is to say."""

    @property
    def vary(self) -> str | None:
        """The value of ``Vary``; ``None``: it stays as it is."""

    @property
    def cache_control(self) -> str | None:
        """The value of ``Cache-Control``; ``None``: it stays as it is, and no cookie is set."""

    @property
    def cookies(self) -> list[tuple[str, str, int | None]]:
        """Name, token and ``max_age`` of each cookie to set; to clear one, ``""`` and 0."""

    def removed(self, names: list[str]) -> list[str]:
        """Those of these response headers that are to be removed."""

@final
class Site:
    """What a site has configured, and the steps of a request."""

    def __new__(
        cls,
        tokens: Tokens,
        policy: RotationPolicy,
        origins: OriginPolicy,
        render_secrets: RenderSecrets,
        *,
        access_name: str,
        refresh_name: str,
        bearer: bool,
    ) -> Site: ...
    def identify(
        self,
        meta: dict[str, Any],
        *,
        method: str,
        version: str,
        cookies: Sequence[bytes] | None,
        is_trusted: bool,
        own: Callable[[], str | None],
        now: int,
    ) -> Identity:
        """Verify the tokens of a request and decide whether it may use its cookies.

        ``meta`` is a CGI environment; ``cookies`` the ``Cookie`` fields, where the server has handed on several.
        ``own`` returns the origin that the request was sent to, and is called only where the answer may depend on it. A
        trusted request is not asked for its origin.
        """

    def check_origin(self, meta: dict[str, Any], *, method: str, version: str, own: Callable[[], str | None]) -> None:
        """Raises ``CrossOriginRefused`` where the request may not use cookies, whatever it brings."""

    def refresh(self, identity: Identity, claims: Claims, session: Session, *, now: int) -> Decision:
        """Decide on a refresh token and the row of its session."""

    def check(
        self,
        identity: Identity,
        claims: Claims,
        session: Session,
        *,
        subject: str | None,
        last_seen_at: int,
        now: int,
    ) -> tuple[bool, bool] | None:
        """Check an access token against the row of its session.

        Returns whether to acknowledge the generation and whether to note the user as seen; ``None``: the session does
        not hold. ``subject`` is the row's user, as tokens name them; ``None`` is not compared.
        """

    def fits(self, subject: str, custom: str) -> None:
        """Raises ``ClaimsRefused``: no cookie holds an access token with these custom claims, a JSON object."""

    def grant(
        self,
        sid: Sid,
        subject: str,
        session: Session,
        *,
        decision: Decision | None,
        custom: str | None,
        remember: bool,
        now: int,
    ) -> Grant:
        """The tokens of a session's row. ``decision`` says which the response sets; ``None``: both."""

    def issue(self, grant: Grant, kind: TokenKind) -> str:
        """The signed token. Raises ``ClaimsRefused``."""

    def respond(
        self,
        identity: Identity,
        outcome: Outcome,
        *,
        was_asked: bool,
        vary: str,
        cache_control: str,
        now: int,
    ) -> Answer:
        """The cookies and caching headers of the response, given its ``Vary`` and ``Cache-Control`` without this.

        Raises ``ClaimsRefused``: a token cannot be signed.
        """

@final
class DatabaseClock:
    """How far the database's clock is from this process's. Times are milliseconds since 1970."""

    def __new__(cls) -> DatabaseClock: ...
    def hear(self, *, asked: int, answered: int, theirs: int) -> None:
        """The database read its clock between these two local times."""

    def now(self, local: int) -> int:
        """The database's time at this local time, in whole seconds (``NumericDate``, RFC 7519 section 2)."""

def stored_seconds(text: str) -> int:
    """Return the Unix seconds of the UTC that Django writes into a column of SQLite: ``2026-01-31 23:59:59.25``.

    Raises ``ValueError``: the text has another form, or is of a year before 1970.
    """

@final
class Asked:
    """When the database was asked about a session, and in which scope; made by `VerifiedSessions.asking`."""

@final
class VerifiedSessions:
    """A bounded memory of sessions that the database has accepted. Times are monotonic milliseconds.

    A scope is a number of the caller's for all that the database's answer depends on, besides the claims. What is
    remembered in one scope does not answer in another.
    """

    def __new__(cls, capacity: int) -> VerifiedSessions: ...
    def asking(self, session: UUID, *, scope: int, now: int) -> Asked:
        """Note that the database is about to be asked about this session."""

    def remember(self, claims: Claims, asked: Asked) -> None:
        """Remember that the database accepted the session of these claims, and their subject as its user.

        Does nothing where the session was forgotten since the database was asked.
        """

    def is_fresh(self, claims: Claims, *, scope: int, now: int, interval: int | None) -> bool:
        """Return whether it accepted such claims in this scope less than ``interval`` ago; ``None``: ever."""

    def forget(self, session: UUID) -> None:
        """Forget the session in every scope, since it has ended."""

def algorithms() -> list[str]:
    """The names of all algorithms."""

def generate_key(algorithm: str, *, key_id: str | None = None) -> tuple[str | None, str, str | None]:
    """A new key, to be written down: its PEM, its JWK, and its public JWK. A secret has but the second.

    Raises ``EngineConfigurationError``: no such algorithm, or no such ``kid``.
    """

def cookie_problems(
    *,
    access_name: str,
    refresh_name: str,
    secure: bool,
    same_site: str,
    domain: str | None,
    path: str,
    partitioned: bool,
) -> list[tuple[str, str]] | None:
    """What would make a browser drop these cookies, as messages and codes; ``None``: no such ``SameSite``."""
