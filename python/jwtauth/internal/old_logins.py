"""Logins of other packages that move in: a request with a credential of another package, and no tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from jwtauth import _engine
from jwtauth.contrib.old_logins import Login, Place, Shown
from jwtauth.exceptions import CrossOriginRefused, SessionLimitReached
from jwtauth.internal import tokens
from jwtauth.internal.flow import Flow, Visitor
from jwtauth.internal.refresh import end_reused
from jwtauth.internal.sources import Accepted, accepted, configured
from jwtauth.internal.store import cleanup, clock, old_logins, sessions
from jwtauth.internal.store.admission import user_can_authenticate
from jwtauth.internal.store.commits import after_commit
from jwtauth.internal.store.old_logins import id_of
from jwtauth.internal.store.retries import LostSwap, retry_on_conflict
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import OldLogin, Session, database, end_by_id

_log = logging.getLogger("jwtauth.security")


def may_be_shown(flow: Flow) -> bool:
    """Return whether the request may show a credential of another package. Makes no query."""
    return any(one.logins.may_show(flow.request) for one in configured())


def move_in(flow: Flow) -> None:
    """Sign the request in by a credential of another package, if it shows one. A renewable one starts a session.

    Raises ``CrossOriginRefused`` if it is in a cookie that the request's origin may not use, and ``SessionContention``.
    """
    # Django's session outlives ``until``, and by itself signs the user in.
    _end_remembered(flow, [one for one in configured() if one.until <= clock.now()])
    for one in accepted():
        for shown in one.logins.shown(flow.request):
            if shown.place is Place.COOKIE:
                if flow.identity.is_bearer:
                    continue  # as jwtauth's own cookies
                try:
                    flow.check_origin()
                except CrossOriginRefused:
                    if one.logins.verify(flow.request, shown) is None:
                        continue  # an expired or invalid cookie changes nothing, as one of jwtauth's own
                    raise
            verdict = _take(flow, one, shown)
            if verdict is Verdict.ENDED:
                break  # an access token beside it is of the same login
            if verdict is Verdict.ADMITTED:
                if shown.place is Place.HEADER:
                    flow.request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
                if flow.visitor is not None:
                    flow.note_refresh()  # a later middleware may switch to another tenant
                    flow.visitor = flow.visitor._replace(ask_again=partial(_visitor_again, flow, one, shown))
                return


def end_remembered(flow: Flow) -> None:
    """End what other packages remember of a login whose session has ended, although the access token is still valid.

    Starts no session, since the view may have begun a transaction.
    """
    _end_remembered(flow, accepted())


def _end_remembered(flow: Flow, sources: Iterable[Accepted]) -> None:
    for one in sources:
        for shown in one.logins.shown(flow.request):
            found = _decide(flow, one, shown) if shown.is_renewable else None
            if found is not None and found.has_ended and (found.row is not None or clock.now() < one.until):
                one.logins.end(flow.request)


def exchange(request: HttpRequest, text: str) -> _engine.Grant | dict[str, Any] | None:
    """Exchange another package's refresh token for tokens, or for that package's answer before ``since``.

    Returns ``None`` if it is refused.
    """
    for one in accepted():
        shown = one.logins.shown_as_refresh_token(text)
        if shown is None:
            continue
        flow = Flow(request)
        verdict = _take(flow, one, shown)
        if verdict is Verdict.ENDED:
            return None  # another source may read the same token
        if verdict is Verdict.ADMITTED:
            return flow.grant or one.logins.renew(request, shown)
    return None


def end_shown(flow: Flow) -> None:
    """Refuse the credentials of other packages that this request shows, since its user signs out."""
    for one in accepted():
        for shown in one.logins.shown(flow.request):
            _end(flow.request, one, shown, "logout")


def revoke(request: HttpRequest, text: str) -> None:
    """Refuse this refresh token of another package, and end the session that it has started."""
    for one in accepted():
        shown = one.logins.shown_as_refresh_token(text)
        if shown is not None:
            _end(request, one, shown, "revoked")


def _end(request: HttpRequest, one: Accepted, shown: Shown, reason: str) -> None:
    id = id_of(one.name, shown.login_name)
    row = old_logins.find(id).get(id)
    if row is not None and row.session_id is not None:
        end_by_id(row.session_id, reason, request)
        return
    login = None if row is not None else one.logins.verify(request, shown)
    if login is None:
        return
    try:
        with transaction.atomic(using=database()):
            old_logins.add(id, one.name, login, is_ended=True)
    except IntegrityError:  # another request has ended it, or it has just started a session
        row = old_logins.find(id).get(id)
        if row is not None and row.session_id is not None:
            end_by_id(row.session_id, reason, request)
    after_commit(OldLogin.objects.using(database()).filter(pk=id).spend, database())


class _Found(NamedTuple):
    """Hold what is known of a credential."""

    id: UUID
    row: OldLogin | None
    session: SessionAndUser | None
    """The session that the credential has started, if it is valid."""
    login: Login | None
    """The login, if the other package was asked and accepts the credential."""
    decision: str

    def row_is_stale(self) -> bool:
        """Return whether the new tokens have been seen since the row was read."""
        if self.login is not None or (self.row is not None and self.row.seen_at is not None):
            return False
        row = old_logins.find(self.id).get(self.id)
        return row is not None and row.seen_at is not None

    @property
    def has_ended(self) -> bool:
        """Return whether jwtauth refuses the credential although the other package may accept it."""
        is_known = self.row is not None or self.login is not None
        return self.decision == "refuse" and is_known and self.session is None


class Verdict(Enum):
    """Say what became of a credential."""

    ADMITTED = "admitted"
    """The request is authenticated."""
    REFUSED = "refused"
    ENDED = "ended"
    """The session that it started here has ended."""


def _take(flow: Flow, one: Accepted, shown: Shown) -> Verdict:
    """Do what the engine decides about the credential."""
    if not shown.is_renewable:
        return Verdict.ADMITTED if _admit(flow, one, shown) else Verdict.REFUSED
    found = retry_on_conflict(lambda: _move(flow, one, shown), database())
    if found.decision == "refresh_token_reused" and found.session is not None:
        if found.session.row.needs_device:  # a copy neither admits nor signs out
            return Verdict.REFUSED
        end_reused(flow, found.session, 0)
        one.logins.end(flow.request)
        return Verdict.ENDED
    if found.has_ended:
        one.logins.end(flow.request)
        return Verdict.ENDED
    is_admitted = flow.resolved is not None or flow.visitor is not None
    return Verdict.ADMITTED if is_admitted else Verdict.REFUSED


def _move(flow: Flow, one: Accepted, shown: Shown) -> _Found:
    """Decide about a renewable credential, and write a session if it starts one.

    Raises `LostSwap` if another request started it first. The next decision then repeats that session's tokens.
    """
    found = _decide(flow, one, shown)
    if found.decision == "refuse" and found.row_is_stale():
        raise LostSwap  # another request has seen the new tokens meanwhile, and spent the credential
    login, session = found.login, found.session
    if found.decision == "start" and login is not None:
        if not user_can_authenticate(login.user, login.backend):
            flow.visitor = Visitor(login.user, login.auth)
        else:
            _start(flow, one, shown, found, login)
    elif found.decision == "reissue" and session is not None:
        _reissue(flow, shown, found, session)
        old_logins.note_again(found.id, found.row)
    elif found.decision == "admit":
        if login is not None:
            flow.visitor = Visitor(login.user, login.auth)
            if found.row is None:
                of_user = id_of(f"{one.name}:access", str(login.user.pk))
                old_logins.note_shown(one.name, login, of_user, old_logins.find(of_user).get(of_user))
        elif session is not None:
            flow.visitor = Visitor(session.user, None)
    return found


def _decide(flow: Flow, one: Accepted, shown: Shown) -> _Found:
    id, policy, now = id_of(one.name, shown.login_name), flow.config.policy, clock.now()
    row = old_logins.find(id).get(id)
    session = None if row is None or row.session_id is None else sessions.find(row.session_id)
    if session is not None and policy.is_over(session.row, now):
        session = None
    # Once the new tokens have been seen, the other package has been told to refuse the credential.
    login = one.logins.verify(flow.request, shown) if row is None or row.seen_at is None else None
    changed = None
    if login is not None and session is None:  # a live session has outlived the new password, or was kept
        changed = old_logins.refused_before(
            old_logins.find(*old_logins.of_user(login.user.pk, login.follows_password)).values()
        )
    decision = policy.decide_old_login(
        flow.identity,
        since=one.since,
        until=one.until,
        credential=None if login is None else (login.issued_at, login.expires_at, _keeps_cookies(flow, shown)),
        moved=None if row is None else _moved(row, session, _has_cookies(flow, shown)),
        password_changed_at=changed,
        is_certain=_brings_all_cookies(flow, one, shown),
        now=now,
    )
    return _Found(id, row, session, login, decision)


def _moved(row: OldLogin, session: SessionAndUser | None, has_cookies: bool) -> tuple[int, int, int | None, bool]:
    moved_at, first_end = (clock.from_datetime(at) for at in (row.created_at, row.first_end or row.created_at))
    seen_at = None if row.seen_at is None else clock.from_datetime(row.seen_at)
    if session is not None and session.row.generation > 1:
        seen_at = moved_at  # a refresh needs the grace period after the new tokens were seen, recorded or not
    elif session is not None and seen_at is None and has_cookies:
        seen_at = session.row.acknowledged_at  # by another service, or a write was lost
    return moved_at, first_end, seen_at, session is not None


def _has_cookies(flow: Flow, shown: Shown) -> bool:
    """Return whether the client stores the new tokens as cookies. An app may have the access token alone."""
    return shown.place is not Place.BODY and _keeps_cookies(flow, shown)


def _keeps_cookies(flow: Flow, shown: Shown) -> bool:
    """Return whether the client will keep the new tokens: not an app that sends a header and ignores cookies."""
    return shown.place is not Place.HEADER or _is_same_origin(flow)


def _brings_all_cookies(flow: Flow, one: Accepted, shown: Shown) -> bool:
    """Return whether the client would have sent the new tokens as well, if it had them.

    A page that is opened by a link on another site brings cookies of ``SameSite=Lax``, as many packages set, but not
    those of ``SameSite=Strict``. An image on another site brings those of ``SameSite=None`` only. A page of another
    host may have the other package's cookie alone.
    """
    config, request = flow.config, flow.request
    if shown.place is Place.BODY:
        return True
    if shown.place is Place.HEADER:
        return _is_same_origin(flow) or "HTTP_SEC_FETCH_SITE" not in request.META  # a page of this origin, or an app
    has_same_scope = config.cookie_domain == one.logins.cookie_domain() and config.cookie_path == "/"
    is_sent = has_same_scope and (request.is_secure() or not config.cookie_secure)
    return is_sent and (config.cookie_samesite == "None" or _is_same_origin(flow))


def _is_same_origin(flow: Flow) -> bool:
    site: object = flow.request.META.get("HTTP_SEC_FETCH_SITE")
    return site == "same-origin"


def _start(flow: Flow, one: Accepted, shown: Shown, found: _Found, login: Login) -> None:
    user, now, alias = login.user, clock.now(), database()
    custom = tokens.custom_claims(flow.request, user, flow.config)
    sid = _sid(shown, now)
    row = flow.config.policy.take_over(None if login.slides else login.expires_at, now)
    try:
        with transaction.atomic(using=alias):
            started, _ = sessions.start(
                flow.request, user, flow.config.policy, login.remember, backend=login.backend, taken_over=(sid, row)
            )
            if found.row is None:
                old_logins.add(found.id, one.name, login, session=started.session)
            elif not old_logins.restart(found.row, started.session):
                raise LostSwap
            if shown.place is not Place.BODY:
                _join(flow, started.session, user)
            after_commit(partial(_log_moved, one.name, started.session_id, user.pk), alias)
    except SessionLimitReached:
        flow.visitor = Visitor(user, login.auth)  # as the other package would
        return
    except IntegrityError as error:
        if found.id in old_logins.find(found.id):
            raise LostSwap from error
        raise
    _set_tokens(flow, shown, started, sid, custom)
    cleanup.remove_after(flow.request)


def _join(flow: Flow, session: Session, user: Any) -> None:
    """Let the other renewable credentials of this user that the request shows belong to the session as well."""
    for one in accepted():
        for shown in one.logins.shown(flow.request):
            id = id_of(one.name, shown.login_name)
            if not shown.is_renewable or id in old_logins.find(id):
                continue
            login = one.logins.verify(flow.request, shown)
            if login is None or login.user.pk != user.pk:
                continue
            with suppress(IntegrityError), transaction.atomic(using=database()):  # another request may have moved it
                old_logins.add(id, one.name, login, session=session)


def _log_moved(source: str, session_id: UUID, user_id: Any) -> None:
    extra = {"event": "login_moved_in", "source": source, "session_id": str(session_id), "user_id": str(user_id)}
    _log.info("login_moved_in: from %s, session %s of user %s", source, session_id, user_id, extra=extra)


def _reissue(flow: Flow, shown: Shown, found: _Found, session: SessionAndUser) -> None:
    sid = _sid(shown, session.row.created_at)
    if sid.session_id != session.session_id:  # SECRET_KEY has changed
        flow.visitor = Visitor(session.user, None)
        return
    _set_tokens(flow, shown, session, sid, tokens.custom_claims(flow.request, session.user, flow.config))


def _set_tokens(flow: Flow, shown: Shown, found: SessionAndUser, sid: _engine.Sid, custom: str | None) -> None:
    flow.set_tokens(found, sid, custom, auth_time=0)  # when the user authenticated is not known
    if shown.place is not Place.BODY:
        flow.note_refresh()


def _sid(shown: Shown, now: int) -> _engine.Sid:
    """Return the name of the session: the same for each request with this credential."""
    digest = salted_hmac("jwtauth.old_login", shown.login_name, algorithm="sha256").digest()
    return _engine.Sid.derived(digest[:16], now)


def _visitor_again(flow: Flow, one: Accepted, shown: Shown) -> Visitor | None:
    """Return the user of the credential in the tenant that a later middleware has chosen. Starts no session."""
    flow.visitor = None
    if not shown.is_renewable:
        return flow.visitor if _admit(flow, one, shown) else None
    found = _decide(flow, one, shown)
    is_admitted = found.login is not None and found.decision in ("start", "admit")
    return Visitor(found.login.user, found.login.auth) if found.login is not None and is_admitted else None


def _admit(flow: Flow, one: Accepted, shown: Shown) -> bool:
    """Admit the request by a credential that starts no session, such as an access token."""
    login = one.logins.verify(flow.request, shown)
    if login is None:
        return False
    id, key = id_of(one.name, shown.login_name), str(login.user.pk)
    ends, of_user = old_logins.of_user(login.user.pk, login.follows_password), id_of(f"{one.name}:access", key)
    rows = old_logins.find(id, of_user, *ends)
    decision = flow.config.policy.decide_old_login(
        flow.identity,
        since=one.since,
        until=one.until,
        credential=(login.issued_at, login.expires_at, False),
        moved=_moved(rows[id], None, False) if id in rows else None,
        password_changed_at=old_logins.refused_before(map(rows.get, ends)),
        is_certain=True,
        now=clock.now(),
    )
    if decision != "admit":
        return False
    flow.visitor = Visitor(login.user, login.auth)
    old_logins.note_shown(one.name, login, of_user, rows.get(of_user))
    return True
