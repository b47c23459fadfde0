"""The processing of one request by the steps of the engine.

`Flow.identify` verifies the tokens without a query. `jwtauth.internal.refresh` decides on a refresh token if there is
no valid access token. `Flow.found` looks up the session and the user once, when they are first needed.
`jwtauth.internal.login` starts and ends sessions, and `jwtauth.internal.response` writes the cookies. The engine's
``Site`` holds all rules. Python does the queries, retries, transactions, signals and logging.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.exceptions import CrossOriginRefused, SessionContention
from jwtauth.internal import tokens
from jwtauth.internal.lazy_user import SessionUser, state_of
from jwtauth.internal.pending import PendingLogin
from jwtauth.internal.store import clock, scope, sessions
from jwtauth.internal.store.admission import admit
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, end_by_id
from jwtauth.request import RequestAuth

security_log = logging.getLogger("jwtauth.security")

_ANONYMOUS, UNCHANGED = _engine.Identity(), _engine.Outcome.UNCHANGED

# The attributes that a login changes and a rollback restores.
_STATE = (
    "claims",
    "outcome",
    "refreshed",
    "renewed",
    "_lazy_user",
    "is_resolved",
    "resolved",
    "grant",
    "_refreshed_in",
    "visitor",
    "refusal",
    "locked",
    "pending",
    "pending_is_known",
    "pending_cookie",
    "offers_device",
)


class Visitor(NamedTuple):
    """Hold a user who is admitted by a credential of another package, without a session."""

    user: AbstractBaseUser
    auth: Any
    """The value of ``request.auth``."""
    ask_again: Callable[[], Visitor | None] = lambda: None
    """Verify the credential again, in another tenant."""


class Flow:
    """Hold the state of one request and of its response."""

    # Defaults that most requests keep are class attributes, so that they are not set for each request.

    identity = _ANONYMOUS
    claims: _engine.Claims | None = None
    """The claims of the current access token."""
    refresh_claims: _engine.Claims | None = None
    """The claims of a refresh token that is not yet decided on."""
    outcome = UNCHANGED
    refusal: str | None = None
    """The code for which a refresh token was refused, if the client can act on it: an upload, or a locked session."""
    locked: tuple[_engine.Claims, SessionAndUser] | None = None
    """The claims of a refresh token whose session is locked, and that session."""
    unproven: tuple[_engine.Claims, SessionAndUser] | None = None
    """The claims of a refresh token without a proof of its session's device key, and that session."""
    client: _engine.Identity | None = None
    """The client at a token endpoint, with the key that it proves, if it was asked for."""
    needs_nonce = False
    """Whether the response brings a nonce for the client's next proof."""
    offers_device = False
    """Whether the response offers the browser to bind the session."""
    was_asked = False
    refreshed = False
    renewed = False
    is_resolved = True
    announcing: Any = None
    """The primary key of the user for whom jwtauth's login is sending ``user_logged_in``."""
    announced: Any = None
    """The primary key of the user for whom Django's login has sent ``user_logged_in``."""
    is_signing_out = False
    on_response: Callable[[Flow, HttpResponseBase], None] | None = None
    """The function that changes the response if an API's authentication class did not authenticate the request."""
    on_ended: Callable[[Flow], None] | None = None
    """The function to call if the session of a valid access token has ended."""
    resolved: SessionAndUser | None = None
    """The session and its user, if they have been looked up."""
    grant: _engine.Grant | None = None
    """The newest tokens of the session, if this request was given any."""
    visitor: Visitor | None = None
    """The user of a request that is admitted without a session."""
    pending: PendingLogin | None = None
    """The login of the request that waits for a second factor, if it has been looked up."""
    pending_is_known = False
    pending_cookie: str | None = None
    """The new value of its cookie, ``""`` to clear it, or ``None`` to leave it unchanged."""
    _lazy_user: SessionUser | None = None
    _refreshed_in: int | None = None
    """The scope in which a refresh found the user, until the view uses the user."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.config = get_config()
        self.deferred: list[Callable[[], None]] = []
        """The work to do at the response, after the view's transaction has ended."""

    @classmethod
    def attach(cls, request: HttpRequest) -> Flow:
        """Return a new flow of this request, and set ``request.jwtauth``."""
        flow = cls(request)
        request.jwtauth = RequestAuth(flow)  # type: ignore[attr-defined]
        return flow

    @staticmethod
    def of(request: HttpRequest | None) -> Flow | None:
        """Return the flow of this request, or ``None`` if it did not pass the middleware."""
        auth = getattr(request, "jwtauth", None)
        flow = auth._flow if isinstance(auth, RequestAuth) else None
        return flow if isinstance(flow, Flow) else None

    # Steps of every request.

    def identify(self) -> None:
        """Verify the tokens. Raises ``CrossOriginRefused`` if the request may not use its cookies."""
        request, meta = self.request, self.request.META
        if "HTTP_COOKIE" not in meta and "HTTP_AUTHORIZATION" not in meta:
            return  # anonymous
        version, cookies = _of_server(request)
        self.identity = identity = self.config.site.identify(
            meta,
            request.method or "",
            version,
            cookies,
            getattr(request, "_dont_enforce_csrf_checks", False),
            self.own_origin,
            clock.now(),
            request.path,
        )
        if identity.is_notable:
            self._note(identity)
        self._adopt(identity)

    def _note(self, identity: _engine.Identity) -> None:
        """Log what is wrong with the request. Raises ``CrossOriginRefused`` if it may not use its cookies."""
        path = self.request.path
        try:
            identity.check()
        except CrossOriginRefused as error:
            self._log_cross_origin(error)
            raise
        if identity.has_wrong_render_secret:
            extra = {"event": "wrong_render_secret", "path": path}  # without the request, which holds the secret
            security_log.warning("wrong_render_secret: the secret of a request for %r is ignored", path, extra=extra)
        self.needs_nonce = identity.needs_dpop_nonce
        code, reason = identity.dpop_error or (None, "")
        if code == "invalid_dpop_proof":  # the token is valid, so that it may have been copied
            extra = {"event": code, "path": path, "reason": reason}
            security_log.warning("%s: %s: %r", code, reason, path, extra=extra)

    def settle_dispute(self) -> None:
        """Ignore the refresh tokens of ended sessions if the valid tokens belong to more than one user.

        A cookie with another domain or path may outlive its session. It must not keep the browser's next user out.
        Raises ``CrossOriginRefused`` as `identify` does.
        """
        policy, now = self.config.policy, clock.now()
        found = ((id, sessions.find(id)) for id in self.identity.disputed_session_ids)
        live = [id for id, session in found if session is not None and not policy.is_over(session.row, now)]
        identity = self.identity.settle(live)
        if identity.access is not None or identity.refresh is not None:
            self.check_origin()
        self._adopt(identity)

    def _adopt(self, identity: _engine.Identity) -> None:
        request = self.request
        self.identity = identity
        self.refresh_claims = identity.refresh
        self.claims = claims = identity.access
        if claims is None:
            return
        if identity.is_bearer:
            # A page of another origin can add this header only if CORS allows it, so no CSRF check is needed.
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        self.is_resolved = False

    def check_origin(self) -> None:
        """Raise ``CrossOriginRefused`` if this request may not use cookies, even if it has none."""
        if self._is_trusted:
            return
        request, (version, _cookies) = self.request, _of_server(self.request)
        try:
            self.config.site.check_origin(
                request.META, method=request.method or "", version=version, own=self.own_origin
            )
        except CrossOriginRefused as error:
            self._log_cross_origin(error)
            raise

    @property
    def needs_refresh(self) -> bool:
        """Return whether there is a refresh token to decide on, or tokens of several users."""
        if self.claims is not None:
            return self.refresh_claims is not None
        return self.refresh_claims is not None or self.identity.is_disputed

    @property
    def found(self) -> SessionAndUser | None:
        """Return the session and its user, or ``None``. The first call makes one query, the strict check."""
        self.was_asked = True
        if not self.is_resolved:
            self._resolve()
        elif self._refreshed_in is not None and not scope.is_on_event_loop():
            self.look_again()  # in async code the middleware has done it
        return self.resolved

    @property
    def lazy_user(self) -> SessionUser | None:
        """Return the lazy user of the access token, if this process verified the session within the check interval."""
        interval, claims, user = self.config.check_interval_ms, self.claims, self._lazy_user
        if self.is_resolved or claims is None or interval == 0:
            return None
        if user is None or self.has_moved_from(state_of(user)["_jwtauth_place"]):
            user, place = None, scope.of(self.request)
            if place != scope.NOWHERE and self.config.verified.is_fresh(
                claims, scope=place, now=clock.monotonic_ms(), interval=interval
            ):
                user = SessionUser(self, claims.subject, place)
            self._lazy_user = user
        return user

    @property
    def user(self) -> Any:
        """Return the user whom the tokens, or a credential of another package, identify, or ``None``."""
        self.was_asked = True
        user = self.lazy_user
        if user is not None:
            return user
        found = self.found or self.visitor
        return None if found is None else found.user

    @property
    def is_known(self) -> bool:
        """Return whether the user is known without a query."""
        return self.is_resolved or self.lazy_user is not None

    def run_deferred(self) -> None:
        """Do the work that was deferred until the view's transaction ended."""
        while self.deferred:
            self.deferred.pop(0)()

    # Steps of login, logout and the token endpoints.

    @property
    def named_sessions(self) -> set[object]:
        """Return the ids of the sessions of the request's tokens, even expired ones, and of its current session."""
        named: set[object] = set(self.identity.session_ids)
        claims = self.claims
        if claims is None:
            return named
        named.add(claims.session_id)
        if claims.actor is not None:  # also the session of the user who acts as this one
            named |= set(sessions.rows(claims.session_id).values_list("actor_session_id", flat=True)) - {None}
        return named

    def settle(self, found: SessionAndUser | None, claims: _engine.Claims | None) -> None:
        """Record the resolved identity; no further query is needed."""
        self.resolved, self.claims, self.visitor = found, claims, None
        self.is_resolved, self._lazy_user, self._refreshed_in = True, None, None

    def state(self) -> dict[str, Any]:
        """Return the state that a login changes, for `restore` after a rollback."""
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state that `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)

    def set_tokens(
        self,
        found: SessionAndUser,
        sid: _engine.Sid,
        custom: str | None,
        decision: _engine.Decision | None = None,
        *,
        presented: _engine.Claims | None = None,
        auth_time: int | None = None,
        not_after: int | None = None,
    ) -> _engine.Grant:
        """Make this the request's session. The response sets the tokens that the decision names, by default both.

        The tokens say of the user's authentication what the token with the claims ``presented`` says. Without it, they
        say that it is the newest of the session, or an older one at ``auth_time``. ``not_after`` is when the access
        token expires that the request exchanges for these, without a proof of the session's device.
        """
        actor, methods = None, found.column("amr")
        if found.actor is not None:  # neither user has authenticated in this session
            actor, methods, auth_time = tokens.subject_of(found.actor.user, self.config), "", 0
        self.grant = grant = self.config.site.grant(
            sid,
            tokens.subject_of(found.user, self.config),
            found.current_row,
            decision=decision,
            custom=custom,
            remember=found.column("remember"),
            presented=presented,
            methods=methods,
            auth_time=auth_time,
            actor=actor,
            not_after=not_after,
            now=clock.now(),
        )
        self.outcome = _engine.Outcome.granted(grant)
        self.renewed = grant.sets_cookies
        self.settle(found, grant.access)
        return grant

    def end(self, ids: set[object], reason: str) -> None:
        """End these sessions and drop them from this process's cache of verified sessions."""
        if len(ids) == 1:
            end_by_id(next(iter(ids)), reason, self.request)
        elif ids:
            sessions.rows(*ids).end(reason, request=self.request)
        for session_id in ids:  # including those whose rows were already gone
            self.config.verified.forget(session_id)  # type: ignore[arg-type]

    # The strict check.

    def _resolve(self) -> None:
        claims = self.claims
        if claims is None:
            self.settle(None, None)
            return
        asked = self.asking(claims)
        found = sessions.find(claims.session_id)  # a database error is raised again by each call
        check = None
        if found is not None:
            check = self.config.site.check(
                self.identity,
                claims,
                found.row,
                tokens.comparable_subject_of(found.user, self.config),
                found.last_seen_at,
                clock.now(),
            )
        if found is None or check is None:
            self.settle(None, None)
            self.config.verified.forget(claims.session_id)
            if self.on_ended is not None and not self.identity.is_bearer:
                self.on_ended(self)
            return
        self.settle(found, claims)
        is_first_sight, is_to_be_noted = check
        is_first_sight &= self.grant is None  # otherwise this request issued the token, and no client has it yet
        if asked is not None:
            self.remember(asked, is_acknowledged=is_first_sight or found.row.acknowledged_at is not None)
        if is_first_sight:
            self.deferred.append(lambda: acknowledge(found.session))
            if not self.identity.is_bearer:  # otherwise the client may have dropped the refresh token
                self.deferred.append(lambda: note_seen(found))
        if is_to_be_noted:
            self.deferred.append(lambda: _update_last_seen(found.session))

    def asking(self, claims: _engine.Claims) -> _engine.Asked | None:
        """Announce a query about this session to the cache of verified sessions, if it is in use."""
        if self.config.check_interval_ms == 0:
            return None
        place = scope.of(self.request)
        if place == scope.NOWHERE:
            return None
        return self.config.verified.asking(claims.session_id, scope=place, now=clock.monotonic_ms())

    def remember(self, asked: _engine.Asked | None, *, is_acknowledged: bool) -> None:
        """Remember that the database accepted the session, in the scope of the query.

        A generation that is not yet acknowledged is not remembered, since its first request must acknowledge it.
        """
        found, claims = self.resolved, self.claims
        if asked is None or found is None or claims is None or not is_acknowledged:
            return
        if found.actor is not None:
            return  # so that the end of the other user's session takes effect immediately
        if claims.subject == tokens.subject_of(found.user, self.config):
            self.config.verified.remember(claims, asked)

    # A later middleware may switch to another tenant. A view that switches keeps its user.

    def has_moved_from(self, place: int) -> bool:
        """Return whether a middleware has switched to another scope."""
        return self.request.resolver_match is None and scope.of(self.request) != place

    def note_refresh(self) -> None:
        """Record the scope in which a refresh found the user, before later middleware runs."""
        self._refreshed_in = scope.of(self.request)

    @property
    def is_found_by_refresh(self) -> bool:
        """Return whether a refresh found the user and no view has used the user yet."""
        return self._refreshed_in is not None

    def look_again(self) -> None:
        """Query again if a middleware may have switched to another tenant since the refresh."""
        place, found = self._refreshed_in, self.resolved or self.visitor
        if place is None or found is None:
            return
        if self.request.resolver_match is not None:
            self._refreshed_in = None  # the view keeps its user
        is_here = place != scope.NOWHERE and scope.of(self.request) == place
        if isinstance(found, Visitor):
            self.visitor = found if is_here else found.ask_again()
        elif not is_here or admit(found.user, found.column("backend")) is None:
            self._resolve()

    # Properties of the request.

    @property
    def _is_trusted(self) -> bool:
        """Return whether Django's CSRF checks are off, as in its test client."""
        return getattr(self.request, "_dont_enforce_csrf_checks", False)

    def own_origin(self) -> str | None:
        """Return the origin that the request was sent to, if it is one of ``ALLOWED_HOSTS``."""
        try:
            return f"{self.request.scheme}://{self.request.get_host()}"
        except DisallowedHost:
            return None

    def _log_cross_origin(self, error: CrossOriginRefused) -> None:
        path, origin = self.request.path, self.request.META.get("HTTP_ORIGIN", "")
        extra = {"event": "cross_origin", "code": error.code, "path": path, "origin": origin}
        extra |= {"status_code": 403}  # without the request: a mail handler would send its cookies and body
        security_log.warning("cross_origin: %s: %r from %r", error, path, origin, extra=extra)


def _of_server(request: HttpRequest) -> tuple[str, list[bytes] | None]:
    """Return the HTTP version, and the ``Cookie`` fields if the server passed on several.

    Under ASGI, Django 5.2 joins them with commas, which makes them one broken cookie.
    """
    scope = request.__dict__.get("scope")
    if scope is None:
        return request.META.get("SERVER_PROTOCOL", ""), None
    fields = [value for name, value in scope.get("headers", ()) if name.lower() == b"cookie"]
    return scope.get("http_version", ""), fields if len(fields) > 1 else None


def acknowledge(session: Session) -> None:
    """Acknowledge the session's generation. A database error is only logged."""
    try:
        sessions.acknowledge(session)
    except (DatabaseError, SessionContention):
        # The next request of this generation tries again.
        security_log.warning("session %s could not be acknowledged", session.pk, exc_info=True)


def note_seen(found: SessionAndUser) -> None:
    """Spend the credential of another package that has started the session, now that its refresh token is seen."""
    if not get_config().accept_logins_of:
        return
    from jwtauth.internal.store import old_logins  # an import that most sites do not need

    try:
        old_logins.note_seen(found.session_id)
    except DatabaseError:
        security_log.warning("the old login of session %s could not be spent", found.session_id, exc_info=True)


def _update_last_seen(session: Session) -> None:
    try:
        sessions.update_last_seen(session)
    except DatabaseError:
        security_log.warning("last_seen_at of session %s could not be updated", session.pk, exc_info=True)
