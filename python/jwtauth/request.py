"""``request.jwtauth``: who made this request, and which cookies its response takes.

The way of one request: `identify` verifies the cookies and asks no database; `refresh` goes by the rotation table where
the access token is gone; `found` asks for session and user, once, when somebody wants to know; `finish` writes what had
to wait for the end of the view's transaction and puts the cookies on the response.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.module_loading import import_string

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.exceptions import SessionContention, TokenError
from jwtauth.internal import bearer, cookies
from jwtauth.internal.lazy_user import SessionUser
from jwtauth.internal.store import cleanup, clock, sessions
from jwtauth.internal.store.retries import LostSwap, retry_on_conflict
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, database
from jwtauth.signals import refresh_token_reused, session_refreshed

security_log = logging.getLogger("jwtauth.security")

_REUSED = "refresh_token_reused"

_ACCESS, _REFRESH = _engine.Kind.ACCESS, _engine.Kind.REFRESH


class RequestAuth:
    """What this package knows about one request."""

    def __init__(self, request: HttpRequest) -> None:
        self.config = get_config()
        self.claims: _engine.Claims | None = None
        """The claims of the access token in force, which for a refreshed request is the new one. Asks no database."""
        self.refreshed = False
        """Whether this request has rotated the refresh token."""
        self.renewed = False
        """Whether this request got a new access token, by a rotation or without one."""
        self.is_bearer = False
        """Whether the request names an access token by ``Authorization: Bearer``; its cookies are not looked at."""
        self._request = request
        self._refresh_claims: _engine.Claims | None = None
        self._found: SessionAndUser | None = None
        self._is_resolved = True
        self._lazy_user: SessionUser | None = None
        self._was_asked = False
        self._newest: dict[_engine.Kind, _engine.Claims] = {}
        self._issued: dict[_engine.Kind, _engine.Claims] = {}
        self._is_cleared = False
        # What waits for the response, by which time the view's transaction is over.
        self._duties: list[Callable[[], None]] = []

    @classmethod
    def attach(cls, request: HttpRequest) -> RequestAuth:
        """Makes it, as ``request.jwtauth``."""
        auth = cls(request)
        request.jwtauth = auth  # type: ignore[attr-defined]
        return auth

    @staticmethod
    def of(request: HttpRequest | None) -> RequestAuth | None:
        """The one of this request, if the middleware has seen it."""
        auth = getattr(request, "jwtauth", None)
        return auth if isinstance(auth, RequestAuth) else None

    # --- what views may ask

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is signed in by our cookies."""
        self._was_asked = True
        return self._lazy_user is not None or self.found is not None

    @property
    def user(self) -> AbstractBaseUser | AnonymousUser | SessionUser:
        """The user, or ``AnonymousUser``."""
        self._was_asked = True
        if self._lazy_user is not None:
            return self._lazy_user
        found = self.found
        return AnonymousUser() if found is None else found.user

    @property
    def session(self) -> Session | None:
        """The session, or ``None``."""
        found = self.found
        return None if found is None else found.session

    @property
    def found(self) -> SessionAndUser | None:
        """Session and user: asks the database once, by the strict check, the first time that it is needed."""
        self._was_asked = True
        if not self._is_resolved:
            self._resolve()
        return self._found

    @property
    def needs_query(self) -> bool:
        """Whether `found` has yet to ask the database."""
        return not self._is_resolved

    @property
    def is_known(self) -> bool:
        """Whether `is_authenticated` is known without asking the database."""
        return self._is_resolved or self._lazy_user is not None

    # --- the way of a request

    def identify(self) -> bool:
        """Verifies the tokens; asks no database. Returns whether cookies sign somebody in, while the session lasts."""
        now = clock.now()
        token = bearer.token(self._request) if self.config.bearer_tokens else None
        if token is not None:
            self.is_bearer = True
            self._expect(bearer.verify(token, self.config, now))
            if self.claims is not None:
                # No page of another origin can add this header unless CORS lets it, so Django's check asks for nothing.
                self._request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
            return False
        self.claims = cookies.read(self._request, self.config, _ACCESS, now)
        self._refresh_claims = cookies.read(self._request, self.config, _REFRESH, now)
        if self.claims is not None and self._refresh_claims is not None:
            access, refresh = _engine.believed(access=self.claims, refresh=self._refresh_claims)
            self.claims = self.claims if access else None
            self._refresh_claims = self._refresh_claims if refresh else None
        self._expect(self.claims)
        return self.claims is not None or self._refresh_claims is not None

    def _expect(self, claims: _engine.Claims | None) -> None:
        """Whoever these claims are of is asked for when somebody wants to know."""
        self.claims = claims
        if claims is not None:
            self._is_resolved = False
            if self._is_remembered(claims):
                self._lazy_user = SessionUser(self, claims.subject)

    @property
    def needs_refresh(self) -> bool:
        """Whether `refresh` has something to do: there is a refresh token and no access token of the same session."""
        return self._refresh_claims is not None

    def check_origin(self) -> None:
        """Raises ``CrossOriginRefused`` where this request may not use cookies."""
        if getattr(self._request, "_dont_enforce_csrf_checks", False):
            return
        meta = self._request.META
        self.config.origins.check(
            method=self._request.method or "",
            websocket="websocket" in meta.get("HTTP_UPGRADE", "").lower(),  # a list of protocols (RFC 9110, 7.8)
            sec_fetch_site=meta.get("HTTP_SEC_FETCH_SITE"),
            origin=meta.get("HTTP_ORIGIN"),
            own=self._own_origin,
        )

    def refresh(self) -> None:
        """Decides on the refresh token by the engine's table and writes what it says."""
        claims, self._refresh_claims = self._refresh_claims, None
        if claims is None:
            return
        upload = _engine.is_upload(
            content_length=self._request.META.get("CONTENT_LENGTH"),
            transfer_encoding=self._request.META.get("HTTP_TRANSFER_ENCODING"),
        )
        self._refresh_by(claims, upload)

    def look(self) -> None:
        """As `refresh`, for who cannot set cookies: lets a good refresh token in, rotates nothing, judges nothing."""
        claims, self._refresh_claims = self._refresh_claims, None
        if claims is not None:
            self._refresh_by(claims, upload=True)

    def is_over(self, session: Session) -> bool:
        """Whether this session has reached its end."""
        return self.config.policy.is_over(session.row(), clock.now())

    def _refresh_by(self, claims: _engine.Claims, upload: bool) -> None:
        decided = retry_on_conflict(lambda: self._decide(claims, upload), database())
        if decided is not None:
            self._apply(claims, *decided)

    def _decide(
        self, claims: _engine.Claims, upload: bool
    ) -> tuple[_engine.Decision, SessionAndUser, str | None, _engine.Asked | None] | None:
        """Reads, decides and writes the row; with the decision, the custom claims of the access token and when the
        database was asked.

        Raises `LostSwap` where another request was first. Then the row is in a state that mostly needs no swap.
        """
        asked = self._asking(claims)
        found = sessions.find(claims.session_id)
        if found is None:
            return None
        row = found.row
        decision = self.config.policy.decide(row, claims.generation, upload=upload, now=clock.now())
        custom = self._custom_claims(found.user) if decision.admits else None  # before anything is written
        if decision.next is not None and not sessions.advance(found, decision.next):
            raise LostSwap
        return decision, found, custom, asked

    def _apply(
        self,
        claims: _engine.Claims,
        decision: _engine.Decision,
        found: SessionAndUser,
        custom: str | None,
        asked: _engine.Asked | None,
    ) -> None:
        session = found.session
        if decision.code == _REUSED:
            self._end_reused(found, claims)
            return
        if decision.warning is not None:
            self._log(decision.warning, session, claims)
        if decision.acknowledge:
            self._acknowledge(session)
        if decision.admits:
            self.refreshed = decision.code == "rotate"
            self._sign_in(found, claims.sid, decision.issues, custom, clock.now())
            self._remember(asked)
        if self.refreshed:
            sessions.log_event("session_refreshed", session)
            session_refreshed.send_robust(Session, request=self._request, user=found.user, session=session)
        if self.refreshed and cleanup.is_due():
            self._duties.append(cleanup.remove_batch)

    def _end_reused(self, found: SessionAndUser, claims: _engine.Claims) -> None:
        """A copied token: ends the session, or all of its user where the settings say so.

        Only the request that ended it tells, so that one theft is one event.
        """
        session = found.session
        self._settle(None, None)
        if not sessions.rows(session.pk).end("reused"):
            return
        self._log(_REUSED, session, claims)
        if self.config.reuse_ends_all_sessions:
            Session.objects.of(found.user).end("reused")
        refresh_token_reused.send_robust(Session, request=self._request, user=found.user, session=session)

    # --- clients that keep their tokens themselves

    @classmethod
    def started(
        cls, request: HttpRequest, user: AbstractBaseUser, lifetime: timedelta | float | None = None
    ) -> RequestAuth:
        """A new session of this user, apart from the request's own, and its `pair` of tokens."""
        auth = cls(request)
        custom = auth._custom_claims(user)
        session, sid = sessions.start(request, user, auth.config.policy, remember=True, lifetime=lifetime)
        auth._sign_in(SessionAndUser(session, user), sid, [_ACCESS, _REFRESH], custom, clock.now())
        auth._remove_expired()
        return auth

    @classmethod
    def exchanged(cls, request: HttpRequest, refresh_token: str) -> RequestAuth | None:
        """The rotation table's answer to a refresh token in the request's body; ``None``: it is not good."""
        auth = cls(request)
        try:
            claims = auth.config.tokens.verify(_REFRESH, refresh_token, clock.now())
        except TokenError:
            return None
        auth._refresh_by(claims, upload=False)  # no proxy holds back a token that is the body
        auth._remove_expired()
        return None if auth._found is None else auth

    def pair(self) -> dict[_engine.Kind, _engine.Claims]:
        """The claims of the newest access and refresh token, after `started` and `exchanged`."""
        return self._newest

    def _remove_expired(self) -> None:
        if cleanup.is_due():
            cleanup.remove_batch()
        self._duties.clear()

    def _settle(self, found: SessionAndUser | None, claims: _engine.Claims | None) -> None:
        """Who is there is known from now on, and nobody needs to be asked."""
        self._found, self.claims = found, claims
        self._is_resolved, self._lazy_user = True, None

    def _sign_in(
        self, found: SessionAndUser, sid: _engine.Sid, kinds: list[_engine.Kind], custom: str | None, now: int
    ) -> None:
        """Makes this the request's session and issues tokens of these kinds for it."""
        row = found.session.row()
        subject = self._subject(found.user)
        access = _engine.Claims(
            subject=subject,
            sid=sid,
            generation=row.generation,
            issued_at=now,
            expires_at=self.config.policy.access_end(now, row.expires_at),
            custom=custom,
        )
        refresh = _engine.Claims(
            subject=subject,
            sid=sid,
            generation=row.generation,
            issued_at=row.rotated_at,
            expires_at=row.expires_at,
        )
        self._settle(found, access)
        self.renewed = self.renewed or bool(kinds)
        self._is_cleared = False
        self._newest = {_ACCESS: access, _REFRESH: refresh}
        self._issued = {kind: self._newest[kind] for kind in kinds}

    def _resolve(self) -> None:
        """The strict check of a verified access token."""
        claims = self.claims
        if claims is None:
            self._settle(None, None)
            return
        asked = self._asking(claims)
        found = sessions.find(claims.session_id)  # an error of the database is one each time that somebody asks
        if found is None or not self._is_of(claims, found.user):
            self._settle(None, None)
            self.config.verified.forget(claims.session_id)
            return
        row = found.row
        if self.config.policy.is_over(row, clock.now()):
            self._settle(None, None)
            return
        self._settle(found, claims)
        self._remember(asked)
        if self.config.policy.acknowledges(row, claims.generation):
            self._duties.append(lambda: self._acknowledge(found.session))
        if self._request.method not in ("GET", "HEAD", "OPTIONS") and sessions.is_stale(found.session):
            self._duties.append(lambda: self._touch(found.session))

    # --- login and logout

    def named_sessions(self) -> set[Any]:
        """The ids of the sessions that this request is of: those its cookies name, however stale, and its own."""
        read = [] if self.is_bearer else cookies.read_ignoring_time(self._request, self.config)
        named = {claims.session_id for claims in read}
        return named if self.claims is None else {*named, self.claims.session_id}

    def login(
        self, user: AbstractBaseUser, *, remember: bool = True, lifetime: timedelta | float | None = None
    ) -> None:
        """See `jwtauth.login`."""
        self._start(user, remember, lifetime=lifetime)

    def succeed(self, user: AbstractBaseUser) -> bool:
        """See `jwtauth.update_session_auth_hash`. ``False``: this request is not of a session of this user's."""
        claims = self.claims
        if claims is None:
            return False
        # Not by the strict check, which would miss the password that this session was started with.
        session = sessions.rows(claims.session_id, user=user.pk).first()
        if session is None or self.config.policy.is_over(session.row(), clock.now()):
            return False
        self._start(user, session.remember, predecessor=session)
        return True

    def _start(
        self,
        user: AbstractBaseUser,
        remember: bool,
        *,
        lifetime: timedelta | float | None = None,
        predecessor: Session | None = None,
    ) -> None:
        older = self.named_sessions()
        custom = self._custom_claims(user)
        previous = (self._found, self.claims, self._issued, self._is_cleared)
        session, sid = sessions.start(self._request, user, self.config.policy, remember, lifetime, predecessor, older)
        self._duties.clear()
        self._sign_in(SessionAndUser(session, user), sid, [_ACCESS, _REFRESH], custom, clock.now())
        if transaction.get_connection(database()).in_atomic_block:
            # The view may yet roll back, and then this login never was: what it replaces ends when it is certain.
            self._duties.append(lambda: self._settle_start(session, older, previous))
        else:
            self._end(older, "replaced")
        if cleanup.is_due():
            self._duties.append(cleanup.remove_batch)

    def _settle_start(self, session: Session, older: set[Any], previous: tuple[Any, ...]) -> None:
        if sessions.rows(session.pk).exists():
            self._end(older, "replaced")
        else:
            self._found, self.claims, self._issued, self._is_cleared = previous

    def logout(self) -> None:
        """See `jwtauth.logout`."""
        named = self.named_sessions()
        self._end(named, "logout")
        self._duties.clear()
        if named and transaction.get_connection(database()).in_atomic_block:
            # Again, where the view's rollback has brought them back.
            self._duties.append(lambda: self._end(named, "logout"))
        self._refresh_claims = None
        self._settle(None, None)
        self._issued, self._is_cleared = {}, True
        self.refreshed = self.renewed = False

    def _end(self, ids: set[Any], reason: str) -> None:
        if ids:
            sessions.rows(*ids).end(reason)
            for session_id in ids:  # also those that were in no table any more
                self.config.verified.forget(session_id)

    # --- the response

    @property
    def has_duties(self) -> bool:
        """Whether `finish` will ask the database."""
        return bool(self._duties)

    def fulfil(self) -> None:
        """Writes what waited for the end of the view's transaction."""
        while self._duties:
            self._duties.pop(0)()

    def finish(self, response: HttpResponseBase) -> None:
        """Puts cookies and caching headers on the response. Asks no database."""
        if self._was_asked or self._issued or self._is_cleared or cookies.are_present(self._request, self.config):
            _vary_by(response, "Cookie")
        if self.is_bearer:
            _vary_by(response, "Authorization")
        if self._is_cleared:
            cookies.clear(response, self.config)
        for kind, claims in self._issued.items():
            remember = self._found is not None and self._found.session.remember
            max_age = max(0, claims.expires_at - clock.now()) if remember else None
            cookies.set_token(response, self.config, kind, self.config.tokens.issue(kind, claims), max_age)
        if self._is_cleared or self._issued:
            patch_cache_control(response, no_store=True, private=True)

    # --- helpers

    def _acknowledge(self, session: Session) -> None:
        try:
            sessions.acknowledge(session)
        except (DatabaseError, SessionContention):
            # Upkeep: the next request of this generation acknowledges it as well.
            security_log.warning("session %s was not acknowledged", session.pk, exc_info=True)

    def _touch(self, session: Session) -> None:
        try:
            sessions.update_last_seen(session)
        except DatabaseError:
            security_log.warning("session %s: when it was last seen was not noted", session.pk, exc_info=True)

    def _is_remembered(self, claims: _engine.Claims) -> bool:
        interval = self.config.check_interval_ms
        if interval == 0:
            return False
        now = clock.monotonic_ms()
        return self.config.verified.is_fresh(claims, now=now, interval=interval)

    def _asking(self, claims: _engine.Claims) -> _engine.Asked | None:
        if self.config.check_interval_ms == 0:
            return None
        return self.config.verified.asking(claims.session_id, clock.monotonic_ms())

    def _remember(self, asked: _engine.Asked | None) -> None:
        found, claims = self._found, self.claims
        if asked is None or found is None or claims is None:
            return
        if claims.subject == self._subject(found.user):
            self.config.verified.remember(claims, asked)

    def _custom_claims(self, user: AbstractBaseUser) -> str | None:
        """What ``ACCESS_TOKEN_CLAIMS`` adds, as a JSON object. Raises ``ClaimsRefused``, also for too much."""
        function = self.config.access_token_claims
        if function is None:
            return None
        if isinstance(function, str):
            function = import_string(function)
        custom = json.dumps(function(self._request, user), cls=DjangoJSONEncoder, allow_nan=False)
        now = clock.now()
        longest = _engine.Claims(
            subject=self._subject(user),
            sid=_engine.Sid.generate(now),
            generation=2**53 - 1,
            issued_at=now,
            expires_at=now,
            custom=custom,
        )
        self.config.tokens.issue(_ACCESS, longest)
        return custom

    def _subject(self, user: AbstractBaseUser) -> str:
        return str(getattr(user, self.config.user_id_field or "pk"))

    def _is_of(self, claims: _engine.Claims, user: AbstractBaseUser) -> bool:
        """Other fields than the key may have changed since the token was issued, and are not compared."""
        return self.config.user_id_field not in (None, "pk") or claims.subject == str(user.pk)

    def _own_origin(self) -> str | None:
        try:
            return f"{self._request.scheme}://{self._request.get_host()}"
        except DisallowedHost:
            return None

    def _log(self, event: str, session: Session, claims: _engine.Claims) -> None:
        security_log.warning(
            "%s: session %s of user %s, presented generation %d, current %d",
            event,
            session.pk,
            session.user_id,
            claims.generation,
            session.generation,
            extra={"event": event, "session_id": str(session.pk), "user_id": str(session.user_id)},
        )


def _vary_by(response: HttpResponseBase, header: str) -> None:
    response.headers["Vary"] = _varying(response.headers.get("Vary"), header)


@lru_cache(maxsize=100)
def _varying(vary: str | None, header: str) -> str:
    """A ``Vary`` header that names this one as well. A site has few, so Django takes each apart once."""
    response = HttpResponse(headers={} if vary is None else {"Vary": vary})
    patch_vary_headers(response, [header])
    return response.headers["Vary"]
