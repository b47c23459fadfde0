"""The engine: tokens, rotation, lifetimes, origins and cookies, implemented by the Rust crate ``jwtauth``.

Times are Unix seconds. Objects are immutable, can be shared between threads, and cannot be pickled or copied. No
``repr`` shows a token or a key.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, final
from uuid import UUID

__all__ = [
    "LAST_SEEN_INTERVAL",
    "MAX_TOKEN_LENGTH",
    "Answer",
    "Asked",
    "Claims",
    "CleanupSchedule",
    "DatabaseClock",
    "Decision",
    "Grant",
    "Identity",
    "Keyring",
    "OriginPolicy",
    "Outcome",
    "Proof",
    "Registration",
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
    "device_identifier",
    "generate_key",
    "stored_methods",
    "stored_seconds",
]

__version__: Final[str]
"""The version of the package and of the engine."""

MAX_TOKEN_LENGTH: Final[int]
"""The maximum length of a token, in bytes. Longer ones are rejected unread."""

LAST_SEEN_INTERVAL: Final[int]
"""The minimum number of seconds between two updates of ``last_seen_at``."""

@final
class SigningKey:
    """Hold a key that signs, for one algorithm."""

    @staticmethod
    def read(key: bytes, *, algorithm: str) -> SigningKey:
        """Read an HMAC secret, a private key in PEM (RFC 7468: PKCS#8, PKCS#1, SEC1), or either as a JWK (RFC 7517).

        Raises ``EngineConfigurationError`` if it cannot be a key of this algorithm.
        """

    @property
    def algorithm(self) -> str:
        """Return the ``alg`` (RFC 7518 section 3.1)."""

    @property
    def id(self) -> str:
        """Return the ``kid``: that of the JWK, or the thumbprint of the key (RFC 7638)."""

@final
class VerifyingKey:
    """Hold a key that verifies signatures, for one algorithm: an HMAC secret or a public key."""

    @staticmethod
    def read(key: bytes, *, algorithm: str) -> VerifyingKey:
        """Read an HMAC secret, a public key in PEM (RFC 7468: SPKI, PKCS#1, X.509 certificate), or either as a JWK.

        Raises ``EngineConfigurationError`` if it cannot be a key of this algorithm.
        """

    @property
    def algorithm(self) -> str:
        """Return the ``alg`` (RFC 7518 section 3.1)."""

    @property
    def id(self) -> str:
        """Return the ``kid``: that of the JWK, or the thumbprint of the key (RFC 7638)."""

    @property
    def public_jwk(self) -> str | None:
        """Return the public JWK, for other services to verify with, or ``None`` for a secret."""

@final
class Keyring:
    """Hold a signing key, and all keys whose signatures are accepted."""

    def __new__(cls, signing: SigningKey, verifying: Sequence[VerifyingKey] = ...) -> Keyring:
        """Create a ring of keys.

        Raises ``EngineConfigurationError`` for more than 16 keys, or if two different keys have the same id.
        """

    @property
    def keys(self) -> list[VerifyingKey]:
        """Return all keys that verify, beginning with that of the signing key."""

    @property
    def jwk_set(self) -> str:
        """Return the public keys as a JWK Set (RFC 7517 section 5). Secrets are left out."""

@final
class Sid:
    """Hold the secret ``sid`` of a session: the minute of its login and 128 random bits."""

    @staticmethod
    def generate(now: int) -> Sid:
        """Return a new ``sid`` for a session that starts at ``now``.

        Raises ``OSError`` if the operating system provides no random bytes.
        """

    @staticmethod
    def derived(secret: bytes, now: int) -> Sid:
        """Return the ``sid`` of a session that starts at ``now``, from 16 bytes that the caller can derive again."""

    def after_acting(self, generation: int) -> Sid:
        """Return the name of the session that replaces the acting session of this name, if it ends in a generation.

        Only who has a token of the acting session can derive it.
        """

    @property
    def session_id(self) -> UUID:
        """Return the id of the session's row: a digest of the ``sid``, which is not secret."""

@final
class Session:
    """Hold the columns of a session's row that the rules use."""

    def __new__(
        cls,
        *,
        generation: int,
        acknowledged_at: int | None,
        rotated_at: int,
        created_at: int,
        expires_at: int,
        end_is_fixed: bool,
        auth_time: int | None = None,
        locks_at: int | None = None,
        device_key: str | None = None,
    ) -> Session: ...
    @staticmethod
    def stored(
        generation: int,
        end_is_fixed: bool | int,
        acknowledged_at: str | datetime | None,
        auth_time: str | datetime | None,
        locks_at: str | datetime | None,
        device_key: str | None,
        rotated_at: str | datetime,
        created_at: str | datetime,
        expires_at: str | datetime,
    ) -> Session:
        """Return the row with these columns as the database driver returns them.

        Raises ``ValueError`` as `stored_seconds` does, and for a boolean that is none.
        """

    @property
    def generation(self) -> int:
        """Return the number of refresh tokens issued so far, beginning with 1 at login."""

    @property
    def acknowledged_at(self) -> int | None:
        """Return when the client first sent a token of this generation, or ``None``."""

    @property
    def rotated_at(self) -> int:
        """Return when the tokens of this generation were issued."""

    @property
    def created_at(self) -> int:
        """Return when the user signed in."""

    @property
    def expires_at(self) -> int:
        """Return when the session expires unless it is refreshed before."""

    @property
    def auth_time(self) -> int | None:
        """Return when the user last authenticated, or ``None`` if that was at login."""

    def auth_time_of(self, claims: Claims) -> int:
        """Return when the user authenticated according to tokens with these claims, which may be older copies."""

    def is_recent(self, claims: Claims, within: int, now: int) -> bool:
        """Return whether that was less than ``within`` seconds ago."""

    @property
    def locks_at(self) -> int | None:
        """Return when the session locks unless it is refreshed before, or ``None``."""

    def as_shown_by(self, presented: int) -> Session:
        """Return the session as a request shows it that brings a token of the generation ``presented``.

        If that is older than an unconfirmed binding to a device, the session is not bound.
        """

    def may_stop_acting(self, presented: int) -> bool:
        """Return whether a token of the generation ``presented`` may stop acting in this session."""

    @property
    def is_unused(self) -> bool:
        """Return whether no token of this session, which started without being acknowledged, was used yet."""

    @property
    def needs_device(self) -> bool:
        """Return whether the session is, or must be, bound to a device, so that only a proof refreshes it."""

    @property
    def end_is_fixed(self) -> bool:
        """Return whether the expiry was fixed at login, so that refreshes and other limits do not change it."""

@final
class TokenKind:
    """Distinguish the kinds of token, by their header ``typ`` (RFC 8725 section 3.11)."""

    ACCESS: Final[TokenKind]
    """``at+jwt``."""
    REFRESH: Final[TokenKind]
    """``rt+jwt``."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __int__(self) -> int: ...

@final
class Claims:
    """Hold the claims of a token (RFC 7519 section 4)."""

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
        """Create claims. ``custom`` is a JSON object with more claims.

        Raises ``ClaimsRefused`` for a reserved claim name or a number that is too large.
        """

    @property
    def subject(self) -> str:
        """Return the subject: ``sub``, or the claim named by ``USER_ID_CLAIM``."""

    @property
    def sid(self) -> Sid:
        """Return the secret ``sid`` of the session."""

    @property
    def session_id(self) -> UUID:
        """Return the id of the session's row."""

    @property
    def generation(self) -> int:
        """Return the generation of the token, beginning with 1 at login."""

    @property
    def issued_at(self) -> int:
        """Return ``iat``, when the token was issued."""

    @property
    def expires_at(self) -> int:
        """Return ``exp``, when the token expires."""

    @property
    def auth_time(self) -> int | None:
        """Return ``auth_time``, when the user authenticated, or ``None`` in tokens of earlier versions."""

    @property
    def methods(self) -> list[str]:
        """Return ``amr``, the methods that the user has authenticated by (RFC 8176)."""

    @property
    def confirmation(self) -> str | None:
        """Return ``cnf.jkt``, the thumbprint of the key to which the token is bound (RFC 9449 section 6.1)."""

    @property
    def actor(self) -> str | None:
        """Return the subject of the user who acts as this one (RFC 8693 section 4.1), or ``None``."""

    @property
    def custom(self) -> dict[str, Any]:
        """Return the claims added by ``ACCESS_TOKEN_CLAIMS``, as a new dictionary for each call."""

@final
class Tokens:
    """Issue and verify tokens with a ring of keys."""

    def __new__(
        cls,
        keyring: Keyring,
        *,
        issuer: str | None = None,
        issuer_fallbacks: Sequence[str | None] = ...,
        audience: Sequence[str] = ...,
        audience_fallbacks: Sequence[str | None] = ...,
        leeway: int = 0,
        subject_claim: str = "sub",
    ) -> Tokens:
        """Create a verifier and issuer of tokens.

        ``leeway`` is in seconds. ``issuer_fallbacks`` and ``audience_fallbacks`` are former values that are still
        accepted, where ``None`` accepts tokens without the claim. ``subject_claim`` names the claim of the user.

        Raises ``EngineConfigurationError`` for a reserved ``subject_claim``, or an empty issuer or audience.
        """

    def issue(self, kind: TokenKind, claims: Claims) -> str:
        """Return a signed token. Raises ``ClaimsRefused`` if the custom claims make it too long for a cookie."""

    def verify(self, kind: TokenKind, token: str, now: int) -> Claims:
        """Verify a token of this kind and return its claims. Raises ``TokenExpired`` or ``TokenError``."""

    def verify_ignoring_time(self, kind: TokenKind, token: str) -> Claims:
        """Verify a token except for its age, and return its claims. Raises ``TokenError``."""

@final
class RotationPolicy:
    """Hold the lifetimes and the grace period of rotation, in seconds."""

    def __new__(
        cls, *, access: int, idle: int, absolute: int | None, grace: int, lock_after: int | None = None
    ) -> RotationPolicy:
        """Create a policy. Raises ``EngineConfigurationError`` if lifetimes are zero or out of order."""

    def start(self, now: int) -> Session:
        """Return the row of a session that starts at ``now``."""

    def start_for(self, lifetime: int, now: int) -> Session:
        """Return the row of a session that starts at ``now`` and expires after ``lifetime`` seconds, used or not."""

    def succeed(self, session: Session, now: int) -> Session:
        """Return the row of a session that replaces this one and keeps its absolute limit."""

    def start_acting(self, own: Session, claims: Claims, lifetime: int, now: int) -> Session:
        """Return the row of a session in which the user of ``own``, with these claims, acts as another user.

        It ends after ``lifetime`` seconds, whether it is used or not, and with ``own``.
        """

    def stop_acting(self, own: Session, acting: Session, now: int) -> Session:
        """Return the row that replaces ``own`` when its user stops acting."""

    def reauthenticate(self, session: Session, now: int) -> Session | None:
        """Return the row of a session whose user authenticates again, or ``None`` if the session has ended."""

    def take_over(self, end: int | None, now: int) -> Session:
        """Return the row of a session that continues a login of another package, whose tokens are not yet seen.

        ``end`` is when the old login would have ended, or ``None`` if it was extended by use.
        """

    def decide_old_login(
        self,
        identity: Identity,
        *,
        since: int,
        until: int,
        credential: tuple[int | None, int | None, bool] | None,
        moved: tuple[int, int, int | None, bool] | None,
        password_changed_at: int | None,
        is_certain: bool,
        now: int,
    ) -> str:
        """Decide what to do with a credential of another package.

        - ``since``, ``until``: from when on it starts sessions, and from when on it is refused.
        - ``credential``: when it was issued and when it expires, if known, and whether it may start a session. ``None``
          if the other package refuses it.
        - ``moved``: when its session started and would first have expired, when its tokens were first seen, and whether
          it is still valid. ``None`` if it has started none.
        - ``password_changed_at``: when the user last got a new password, if known.
        - ``is_certain``: whether the request would bring the new tokens if the client had them.

        Returns ``"start"``, ``"reissue"``, ``"admit"``, ``"refuse"``, or ``"refresh_token_reused"`` if the session must
        end.
        """

    def is_locked(self, session: Session, now: int) -> bool:
        """Return whether the session is locked until its user authenticates again."""

    def is_over(self, session: Session, now: int) -> bool:
        """Return whether the session has passed its idle or absolute limit."""

@final
class Decision:
    """Describe the decision on a refresh token."""

    @property
    def code(self) -> str:
        """Return the code of the decision.

        The token is accepted: ``rotate``, ``rotate_idle``, ``extend``,
        ``renew_access``, ``reissue``, ``unbind``, ``admit``, ``adopt``. It is refused:
        ``session_expired``, ``session_locked``, ``generation_ahead``, ``late_upload``. The session must end:
        ``refresh_token_reused``.
        """

    @property
    def admits(self) -> bool:
        """Return whether the token is accepted, so that the request is authenticated."""

    @property
    def acknowledge(self) -> bool:
        """Return whether to write ``acknowledged_at = now`` if it is empty."""

    @property
    def warning(self) -> str | None:
        """Return the name of the event to log as a warning, or ``None``."""

    @property
    def next(self) -> Session | None:
        """Return the row to write if the generation has not changed since it was read, or ``None``."""

@final
class OriginPolicy:
    """Hold the origins that may make requests with cookies, in addition to the site's own."""

    def __new__(cls, trusted: Sequence[str]) -> OriginPolicy:
        """Create a policy. Raises ``EngineConfigurationError`` for an entry that can never match."""

@final
class RenderSecrets:
    """Hold the secrets that the site shares with its render server."""

    def __new__(cls, secrets: Sequence[str]) -> RenderSecrets:
        """Accept these secrets.

        Raises ``EngineConfigurationError`` for a secret that is too short or cannot be sent in a header.
        """

@final
class Registration:
    """Hold the decision about a request to bind a session to a device."""

    @property
    def code(self) -> str:
        """Return ``"bind"``, ``"again"`` (the response was lost), ``"refuse"`` or ``"stolen"`` (by another key)."""

    @property
    def key(self) -> str | None:
        """Return the key to which the session is then bound, as stored, or ``None``."""

    @property
    def decision(self) -> Decision | None:
        """Return the decision to carry out if the session is then bound."""

@final
class Proof:
    """Hold the decision about a request to refresh a session that is bound to a device."""

    @property
    def code(self) -> str:
        """Return ``"good"``, ``"challenge"``, ``"elsewhere"`` (the browser means another session) or ``"stolen"``."""

    @property
    def decision(self) -> Decision | None:
        """Return the decision to carry out if the key is proven."""

@final
class Identity:
    """Hold the verified tokens of a request, before its session is looked up."""

    def __new__(cls) -> Identity:
        """Create the identity of an anonymous request without cookies."""

    @property
    def access(self) -> Claims | None:
        """Return the claims of the access token, which must still be checked against the session's row."""

    @property
    def refresh(self) -> Claims | None:
        """Return the claims of the refresh token to decide on, if its session's access token is missing or invalid."""

    @property
    def session_ids(self) -> list[UUID]:
        """Return the sessions of all authentic tokens of the request, even expired ones."""

    @property
    def is_disputed(self) -> bool:
        """Return whether valid tokens belong to more than one user. They are then all ignored."""

    @property
    def disputed_session_ids(self) -> list[UUID]:
        """Return the sessions of the refresh tokens of more than one user."""

    def settle(self, live: list[UUID]) -> Identity:
        """Return the identity without the refresh tokens of sessions that are not in ``live``."""

    @property
    def is_bearer(self) -> bool:
        """Return whether the request has an access token in ``Authorization``, by ``Bearer`` or ``DPoP``."""

    @property
    def is_notable(self) -> bool:
        """Return whether the request has an error or a wrong render server secret, or needs a nonce."""

    @property
    def client_key(self) -> str | None:
        """Return the key that the client has proved, as stored in ``device_key``."""

    @property
    def needs_dpop_nonce(self) -> bool:
        """Return whether the response must bring a nonce for the client's next proof."""

    def proving(self, client: Identity) -> Identity:
        """Return this identity with the key and the need of a nonce of ``client``."""

    @property
    def dpop_error(self) -> tuple[str, str] | None:
        """Return the code and the reason for which a proof, or the token that it is for, was refused."""

    @property
    def refuses_own_token(self) -> bool:
        """Return whether a token of this site was refused that needs a proof. No other scheme can accept it."""

    @property
    def challenge(self) -> str | None:
        """Return ``WWW-Authenticate`` for a token in ``Authorization`` that was refused, or whose session has ended."""

    @property
    def has_cookies(self) -> bool:
        """Return whether the request has a cookie of either name."""

    @property
    def has_wrong_render_secret(self) -> bool:
        """Return whether the request has a wrong render server secret, which is ignored."""

    def check(self) -> None:
        """Raise ``CrossOriginRefused`` if the request may not use its cookies."""

@final
class Grant:
    """Hold the newest tokens of a session, and which of them the response sets as cookies."""

    @property
    def access(self) -> Claims:
        """Return the claims of the access token."""

    @property
    def refresh(self) -> Claims:
        """Return the claims of the refresh token."""

    @property
    def sets_cookies(self) -> bool:
        """Return whether the response sets any cookie."""

@final
class Outcome:
    """Describe what the response does with the cookies."""

    UNCHANGED: Final[Outcome]
    """No cookie is changed."""
    CLEARED: Final[Outcome]
    """The user has signed out: cookies are cleared if the request brought one."""

    SUPERSEDED: Final[Outcome]
    """Another login has signed in the browser's user: cookies are cleared, even if the browser withheld them."""

    @staticmethod
    def granted(grant: Grant) -> Outcome:
        """Return the outcome that sets the tokens of the grant."""

@final
class Answer:
    """Hold the cookies and caching headers of the response."""

    @property
    def vary(self) -> str | None:
        """Return the value of ``Vary``, or ``None`` to leave it unchanged."""

    @property
    def cache_control(self) -> str | None:
        """Return the value of ``Cache-Control``, or ``None`` to leave it unchanged. ``None`` also means no cookies."""

    @property
    def cookies(self) -> list[tuple[str, str, int | None]]:
        """Return name, token and ``max_age`` of each cookie to set. A cookie to clear has ``""`` and 0."""

    @property
    def dpop_nonce(self) -> str | None:
        """Return ``DPoP-Nonce``, the nonce of the client's next proof."""

    def removed(self, names: list[str]) -> list[str]:
        """Return which of these response headers must be removed."""

@final
class Site:
    """Hold the configuration of a site, and do the steps of a request."""

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
        method: str,
        version: str,
        cookies: Sequence[bytes] | None,
        is_trusted: bool,
        own: Callable[[], str | None],
        now: int,
        path: str = "",
    ) -> Identity:
        """Verify the tokens of a request and decide whether it may use its cookies.

        ``meta`` is a CGI environment. ``cookies`` are the ``Cookie`` fields if the server passed on several. ``own``
        returns the origin that the request was sent to, and is only called if the result may depend on it. The origin
        of a trusted request is not checked. ``path`` is decoded, and needed with ``Authorization: DPoP``.
        """

    def identify_client(
        self, meta: dict[str, Any], method: str, path: str, own: Callable[[], str | None], now: int
    ) -> Identity:
        """Identify the client at a token endpoint by the proof in its header ``DPoP``, if it has one."""

    def check_origin(self, meta: dict[str, Any], *, method: str, version: str, own: Callable[[], str | None]) -> None:
        """Raise ``CrossOriginRefused`` if the request may not use cookies, even if it has none."""

    def refresh(
        self, identity: Identity, claims: Claims, session: Session, *, no_activity: bool = False, now: int
    ) -> Decision:
        """Decide on a refresh token by the row of its session.

        ``no_activity`` says that the site does not count requests to this path as activity of the user.
        """

    def check(
        self,
        identity: Identity,
        claims: Claims,
        session: Session,
        subject: str | None,
        last_seen_at: int,
        now: int,
    ) -> tuple[bool, bool] | None:
        """Check an access token against the row of its session.

        Returns whether to acknowledge the generation and whether to update ``last_seen_at``, or ``None`` if the session
        is not valid. ``subject`` is the subject of the row's user. ``None`` is not compared.
        """

    def fits(self, subject: str, custom: str) -> None:
        """Raise ``ClaimsRefused`` if no cookie can hold an access token with these custom claims, a JSON object."""

    def grant(
        self,
        sid: Sid,
        subject: str,
        session: Session,
        *,
        decision: Decision | None,
        custom: str | None,
        remember: bool,
        presented: Claims | None = None,
        methods: str = "",
        auth_time: int | None = None,
        actor: str | None = None,
        not_after: int | None = None,
        now: int,
    ) -> Grant:
        """Return the tokens of a session's row. ``decision`` says which the response sets. ``None`` means both.

        ``not_after`` is when the access token expires with which the request asks for them, unless it proves a key.
        """

    def issue(self, grant: Grant, kind: TokenKind) -> str:
        """Return the signed token. Raises ``ClaimsRefused``."""

    def offer(self, session_id: UUID, session: Session, now: int) -> str:
        """Return the challenge with which a browser may bind this session to a key, for 5 minutes."""

    def may_offer(self, session_id: UUID, before: Session, now: int) -> bool:
        """Return whether to offer that when the user of this session authenticates again."""

    def challenge(self, session_id: UUID, session: Session, now: int) -> str:
        """Return a challenge for the next proof of the session's key."""

    def register(
        self, session_id: UUID, session: Session, device_key: str | None, proof: str, now: int
    ) -> Registration:
        """Decide about a request to bind a session to the key in ``proof``. ``device_key`` is that of the row."""

    def prove(
        self,
        session_id: UUID,
        session: Session,
        device_key: str | None,
        named: str | None,
        proof: str | None,
        now: int,
    ) -> Proof:
        """Decide about a request to refresh a bound session. ``named`` is the identifier that the browser sent."""

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
        """Return the cookies and caching headers of the response, given its own ``Vary`` and ``Cache-Control``.

        Raises ``ClaimsRefused`` if a token cannot be signed.
        """

    def vary(self, identity: Identity, was_asked: bool, present: str) -> str | None:
        """Return the value of ``Vary`` if no cookie is changed, given its own, or ``None`` to leave it unchanged."""

@final
class DatabaseClock:
    """Track the offset between the clocks of the database and this process. Times are Unix milliseconds."""

    def __new__(cls) -> DatabaseClock: ...
    def hear(self, asked: int, answered: int, reported: int) -> None:
        """Record that the database reported this time between the local times ``asked`` and ``answered``."""

    def now(self, local: int) -> int:
        """Return the database's time at this local time, in whole seconds (``NumericDate``, RFC 7519 section 2)."""

def stored_methods(names: Sequence[str]) -> str:
    """Return these names of methods (RFC 8176) as a session stores them: sorted, and separated by spaces.

    Raises ``ValueError`` if a name is not valid, or if there are more than 6.
    """

def stored_seconds(time: str | datetime) -> int:
    """Return the Unix seconds of a time as the database driver returns it. Without a time zone it is UTC.

    Text is as Django stores it in SQLite: ``2026-01-31 23:59:59.25``. Raises ``ValueError`` for any other value, and if
    the year is before 1970.
    """

@final
class Asked:
    """Hold the time and scope of a query about a session, created by `VerifiedSessions.asking`."""

@final
class VerifiedSessions:
    """Cache the sessions that the database has accepted, up to a capacity. Times are monotonic milliseconds.

    A scope is a number that the caller chooses for everything that the result of the query depends on except the
    claims. An entry is only valid in its own scope.
    """

    def __new__(cls, capacity: int) -> VerifiedSessions: ...
    def asking(self, session: UUID, *, scope: int, now: int) -> Asked:
        """Announce a query about this session."""

    def remember(self, claims: Claims, asked: Asked) -> None:
        """Remember that the database accepted the session of these claims, with their subject as its user.

        Does nothing if the session was forgotten after ``asked``.
        """

    def is_fresh(self, claims: Claims, *, scope: int, now: int, interval: int | None) -> bool:
        """Return whether such claims were accepted in this scope less than ``interval`` ago, or ever if ``None``."""

    def forget(self, session: UUID) -> None:
        """Forget a session that has ended, in every scope."""

@final
class CleanupSchedule:
    """Decide when a process removes expired sessions, and how many at once. Times are monotonic nanoseconds.

    ``random`` is a number of 32 bits, drawn anew for each call, so that processes do not remove together.
    """

    MARGIN: Final[int]
    """How many seconds after its expiry a session is removed."""

    def __new__(cls, now: int, *, random: int) -> CleanupSchedule:
        """Create the schedule of a process that starts at ``now``. The first batch is due within a minute."""

    def is_due(self, now: int) -> bool:
        """Return whether a batch is due."""

    def begin(self, now: int, *, random: int) -> int | None:
        """Return the size of the next batch if one is due, and schedule the one after it."""

    def end(self, *, began: int, now: int, is_full: bool) -> None:
        """Record the end of a batch that began at ``began``. A batch that failed was not full."""

def algorithms() -> list[str]:
    """Return the names of all algorithms (RFC 7518 section 3.1)."""

def generate_key(algorithm: str, *, key_id: str | None = None) -> tuple[str | None, str, str | None]:
    """Generate a key, and return its PEM, its JWK and its public JWK. A secret has only the JWK.

    Raises ``EngineConfigurationError`` for an unknown algorithm or an invalid ``kid``.
    """

def device_identifier(device_key: str) -> str | None:
    """Return the session identifier that a browser knows for a session with this key, as stored."""

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
    """Return the reasons why browsers would drop these cookies, as messages and codes.

    Returns ``None`` for an invalid ``same_site``.
    """
