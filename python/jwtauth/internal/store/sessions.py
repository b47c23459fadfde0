"""Finding a session with its user in one query, and starting, refreshing and acknowledging sessions.

All queries go to the database that takes writes, since a lagging replica could revive or lose a session.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.exceptions import SessionLimitReached
from jwtauth.internal import devices
from jwtauth.internal.settings_parsers import lifetime_seconds
from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import admit, auth_hash, auth_hash_holds, backend_of
from jwtauth.internal.store.commits import after_commit
from jwtauth.internal.store.prepared import Lookup, Row, Stored
from jwtauth.internal.store.retries import retry_on_conflict
from jwtauth.models import Session, SessionQuerySet, columns_of, database, row_of, writes
from jwtauth.signals import session_started

_log = logging.getLogger("jwtauth.security")

# The columns of a session, with the key first. In the query of the strict check the other columns have a prefix, so
# that they do not clash with fields of the user model.
_NAMES = [field.attname for field in Session._meta.concrete_fields]
_PREFIX = "jwtauth_session_"
_ANNOTATED = [_PREFIX + name for name in _NAMES[1:]]
# The columns of the engine's row, in the engine's order, and those that only the strict check reads.
_OF_CHECK = [
    _PREFIX + name
    for name in (
        "generation",
        "end_is_fixed",
        "acknowledged_at",
        "auth_time",
        "locks_at",
        "device_key",
        "rotated_at",
        "created_at",
        "expires_at",
        "last_seen_at",
        "actor_session_id",
    )
]
_BACKEND = _PREFIX + "backend"
_USER: Any = Session._meta.get_field("user")
_DATABASE_TIME = "jwtauth_database_time"
_BESIDE = [*_ANNOTATED, _DATABASE_TIME]


class SessionAndUser:
    """Hold a session and its user, both read by the same query.

    The columns of a session returned by `find` are converted when they are read. `jwtauth.internal` says what this
    saves. So `column` and `write` do without an instance of the session, which a refresh needs for receivers only.
    """

    __slots__ = (
        "_columns",
        "_current",
        "_last_seen_at",
        "_row",
        "_session",
        "_written",
        "actor",
        "auth_hash",
        "session_id",
        "user",
    )

    def __init__(self, session: Session, user: AbstractBaseUser) -> None:
        self.session_id: UUID = session.pk
        self.user, self.auth_hash = user, session.auth_hash
        self._session: Session | None = session
        self._row: _engine.Session | None = None
        self._current: _engine.Session | None = None
        self._last_seen_at = 0
        self._columns: Row | Mapping[str, Any] = {}
        self._written: Mapping[str, Any] = {}
        self.actor: SessionAndUser | None = None
        """The session of the user who acts as this one."""

    @classmethod
    def of_columns(cls, session_id: UUID, user: AbstractBaseUser, columns: Row | Mapping[str, Any]) -> SessionAndUser:
        """Return an instance from the columns of the query."""
        found = cls.__new__(cls)
        found.session_id, found.user, found.auth_hash = session_id, user, columns[_PREFIX + "auth_hash"]
        found._columns, found._session, found._row, found.actor = columns, None, None, None
        found._current, found._written = None, {}
        return found

    @classmethod
    def started(cls, session_id: UUID, user: AbstractBaseUser, columns: Mapping[str, Any]) -> SessionAndUser:
        """Return an instance for a session whose row has just been written with these columns."""
        found = cls.__new__(cls)
        found.session_id, found.user, found.auth_hash = session_id, user, columns["auth_hash"]
        found._columns, found._session, found._row, found.actor = {}, None, None, None
        found._current, found._written = None, columns
        return found

    @property
    def session(self) -> Session:
        """Return the session. Every call returns the same instance."""
        session = self._session
        if session is None:
            values = [self.session_id, *(self.column(name) for name in _NAMES[1:])]
            session = self._session = Session.from_db(database(), _NAMES, values)
            _USER.set_cached_value(session, self.user)
        return session

    def column(self, name: str) -> Any:
        """Return the value of this column, as it is now."""
        if self._session is not None:
            return getattr(self._session, name)
        return self._written[name] if name in self._written else self._columns[_PREFIX + name]

    def write(self, columns: Mapping[str, Any], row: _engine.Session | None = None) -> None:
        """Set the values of these columns, which have been written, and the engine's view of all, if it is known."""
        self._current = row
        if self._session is None:
            self._written = {**self._written, **columns}
        else:
            for name, value in columns.items():
                setattr(self._session, name, value)

    @property
    def current_row(self) -> _engine.Session:
        """Return the engine's view of the session as it is now."""
        return row_of(self.column) if self._current is None or self._session is not None else self._current

    @property
    def row(self) -> _engine.Session:
        """Return the engine's view of the session as it was read."""
        return self._row or self._read()

    @property
    def last_seen_at(self) -> int:
        """Return when the user was last seen, in Unix seconds."""
        if self._row is None:
            self._read()
        return self._last_seen_at

    @property
    def is_acting(self) -> bool:
        """Return whether another user acts as this one. Converts no value."""
        columns = self._columns
        return (columns.stored[-1] if type(columns) is Row else self.column("actor_session_id")) is not None

    def _read(self) -> _engine.Session:
        """Read the values of `row` and `last_seen_at`."""
        columns, session = self._columns, self._session
        if session is not None:
            self._row, self._last_seen_at = session.row(), clock.from_datetime(session.last_seen_at)
            return self._row
        if type(columns) is Row and columns.are_times_clear:  # the engine reads them faster than Django
            *stored, last_seen_at, _actor = columns.stored
            try:
                self._last_seen_at = _engine.stored_seconds(last_seen_at)
                self._row = row = _engine.Session.stored(*stored)
            except ValueError:
                pass  # written in another format, which Django may understand
            else:
                return row
        column = (lambda name: columns[_PREFIX + name]) if columns else self.column
        self._last_seen_at = clock.from_datetime(column("last_seen_at"))
        self._row = row = row_of(column)
        return row


def rows(*ids: Any, **conditions: Any) -> SessionQuerySet:
    """Return these sessions, filtered by the conditions, in the database that takes writes."""
    # Use "=" instead of "IN" for a single id, as the statements of `writes` do.
    conditions |= {"pk": ids[0]} if len(ids) == 1 else {"pk__in": ids}
    found: SessionQuerySet = Session.objects.using(database()).filter(**conditions)
    return found


def find(session_id: UUID) -> SessionAndUser | None:
    """Return the session of this id and its user, in one query that also reads the database's time.

    If another user acts as this one, a second query finds that user's session, which must be valid as well.

    Returns ``None`` if the session has ended, or if its user is deleted, hidden by the user model's default manager,
    not admitted by the authentication backends (see `admit`), or has changed their password since the login. Expiry is
    not checked here: that is done by the engine.
    """
    alias = database()
    asked = clock.local_ms()
    found = _lookup.find(_USER.related_model._default_manager, alias, session_id)
    if found is None:
        return None
    user, columns = found
    clock.hear(asked, columns[_DATABASE_TIME])
    user = admit(user, columns[_BACKEND])
    if user is None:
        return None
    signed_in = SessionAndUser.of_columns(session_id, user, columns)
    if not auth_hash_holds(user, signed_in.auth_hash):
        return None
    return signed_in if not signed_in.is_acting or _find_actor(signed_in) else None


def _find_actor(found: SessionAndUser) -> bool:
    """Find the session of the user who acts as this one. Return ``False`` if it is not valid."""
    actor = find(found.column("actor_session_id"))
    if actor is None or actor.actor is not None or get_config().policy.is_over(actor.row, clock.now()):
        return False
    found.actor = actor
    return True


def _with_session(users: QuerySet[Any], session_id: UUID) -> QuerySet[Any]:
    """Return the user of this session, annotated with its columns and the database's time."""
    columns: dict[str, Any] = {f"{_PREFIX}{name}": Stored(F(f"jwtauth_sessions__{name}")) for name in _NAMES[1:]}
    time = {_DATABASE_TIME: clock.DatabaseTime()}
    found: QuerySet[Any] = users.filter(jwtauth_sessions__id=session_id).annotate(**columns, **time).order_by()
    return found


_lookup = Lookup(_with_session, Session._meta.pk, _BESIDE, _OF_CHECK)


def start(
    request: HttpRequest,
    user: AbstractBaseUser,
    policy: _engine.RotationPolicy,
    remember: bool,
    lifetime: timedelta | float | None = None,
    predecessor: Session | None = None,
    replaced: Collection[Any] = (),
    backend: str = "",
    taken_over: tuple[_engine.Sid, _engine.Session] | None = None,
    methods: str = "",
    acting: UUID | None = None,
    device_key: str | None = None,
) -> tuple[SessionAndUser, _engine.Sid]:
    """Create a session of this user. Return it and its secret ``sid``, which is not stored.

    ``backend`` is the path of the authentication backend that authenticated the user. It defaults to the backend of the
    predecessor, or to the one that Django's ``authenticate`` set on the user. With a ``predecessor``, the session keeps
    its absolute limit. The sessions in ``replaced`` are about to end and do not count for ``MAX_SESSIONS_PER_USER``.
    ``taken_over`` is the ``sid`` and the row of a session that continues a login of another package. ``methods`` are
    those by which the user has signed in, as stored; with a ``predecessor``, they are its own. ``acting`` is the id of
    the session of the user who acts as this one. Such a session is not counted.
    ``device_key`` is that of the model; with a ``predecessor``, it is its own.

    Raises ``SessionLimitReached``, ``SessionContention``, and ``ValueError`` if ``lifetime`` is less than a second.
    """
    now = clock.now()
    if taken_over is not None:
        sid, row = taken_over
    else:
        sid, row = _engine.Sid.generate(now), _row(policy, lifetime, predecessor, now)
    client = devices.client_of(request)
    columns: dict[str, Any] = {
        "id": sid.session_id,
        "user_id": user.pk,
        "created_at": clock.to_datetime(row.created_at),
        "last_seen_at": clock.to_datetime(now),
        "end_is_fixed": row.end_is_fixed,
        "auth_hash": auth_hash(user),
        "backend": backend or (backend_of(user) if predecessor is None else predecessor.backend),
        "remember": remember,
        "user_agent": client.user_agent,
        "ip_address": client.ip_address,
        "amr": methods if predecessor is None else predecessor.amr,
        "actor_session_id": acting,
        "device_key": device_key if predecessor is None else predecessor.device_key,
        **columns_of(row),
    }
    counts = predecessor is None and acting is None
    started = retry_on_conflict(lambda: _insert(request, user, columns, counts, replaced), database())

    def tell() -> None:
        log_event("session_started", started)
        if session_started.has_listeners(Session):
            session_started.send_robust(Session, request=request, user=user, session=started.session)

    after_commit(tell, database())
    return started, sid


def _row(
    policy: _engine.RotationPolicy, lifetime: timedelta | float | None, predecessor: Session | None, now: int
) -> _engine.Session:
    if predecessor is not None:
        return policy.succeed(predecessor.row(), now)
    if lifetime is not None:
        return policy.start_for(lifetime_seconds(lifetime), now)
    return policy.start(now)


def _insert(
    request: HttpRequest, user: AbstractBaseUser, columns: Mapping[str, Any], counts: bool, replaced: Collection[Any]
) -> SessionAndUser:
    alias, config = database(), get_config()
    if config.max_sessions is None or not counts:
        return _save(user, columns, alias)
    with transaction.atomic(using=alias):
        # This write changes nothing, but makes concurrent logins of one user wait for each other. With snapshot
        # isolation, the later one fails and is retried.
        name = get_user_model()._meta.pk.name
        get_user_model()._base_manager.using(alias).filter(pk=user.pk).update(**{name: F(name)})
        own = Session.objects.using(alias).valid_for(user).filter(actor_session_id=None)
        valid = own.exclude(pk__in=replaced)
        others = list(valid.select_for_update().order_by("-created_at", "-pk").values_list("pk", flat=True))
        surplus = others[config.max_sessions - 1 :]
        if surplus and config.refuses_more_sessions:
            raise SessionLimitReached(_("Too many sessions. Sign out on another device first."), "session_limit")
        started = _save(user, columns, alias)
        if surplus:
            rows(*surplus).end("limit", request=request)
    return started


def _save(user: AbstractBaseUser, columns: Mapping[str, Any], alias: str) -> SessionAndUser:
    """Save as ``save(force_insert=True)`` does, by a prepared statement if possible."""
    if writes.insert(alias, {name: columns[name] for name in _NAMES}):
        return SessionAndUser.started(columns["id"], user, columns)
    session = Session(**columns)
    _USER.set_cached_value(session, user)
    session.save(force_insert=True, using=alias)
    return SessionAndUser(session, user)


def log_event(event: str, session: Session | SessionAndUser) -> None:
    """Log an ordinary event of a session at level INFO."""
    if not _log.isEnabledFor(logging.INFO):  # as by default: spares 1 % of a refresh
        return
    if isinstance(session, SessionAndUser):
        session = session.session
    ids = {"session_id": str(session.pk), "user_id": str(session.user_id)}
    _log.info("%s: session %s of user %s", event, session.pk, session.user_id, extra={"event": event, **ids})


def advance(found: SessionAndUser, next_row: _engine.Session, **changed: Any) -> bool:
    """Write a rotation by compare-and-swap. Return ``False`` if another request was first.

    The caller must then read the row and decide again. ``changed`` are values of other columns.
    """
    changes = {**columns_of(next_row), "last_seen_at": clock.to_datetime(clock.now()), **changed}
    current = auth_hash(found.user)
    if found.column("auth_hash") != current:  # computed with one of SECRET_KEY_FALLBACKS
        changes["auth_hash"] = current
    known = {name: found.column(name) for name in ("generation", "auth_time", "device_key")}
    if not _update(found.session_id, changes, **known):
        return False
    found.write(changes, None if changed else next_row)
    return True


def key_shown_by(session: Session, presented: int) -> str | None:
    """Return the ``device_key`` for a request with a token of the generation ``presented``.

    It is ``None`` if the browser may not know the key. See ``as_shown_by`` of the engine's ``Session``.
    """
    return session.device_key if session.row().as_shown_by(presented).needs_device else None


def unbind(found: SessionAndUser) -> bool:
    """Remove the key of the device by compare-and-swap. Return ``False`` if the row has changed or is acknowledged."""
    known = {name: found.column(name) for name in ("generation", "device_key")}
    if not _update(found.session_id, {"device_key": None}, **known, acknowledged_at=None):
        return False
    found.write({"device_key": None})
    return True


def update_last_seen(session: Session) -> None:
    """Update ``last_seen_at``, at most once a minute."""
    now = clock.now()
    stale = clock.to_datetime(now - _engine.LAST_SEEN_INTERVAL)
    _update(session.pk, {"last_seen_at": clock.to_datetime(now)}, last_seen_at__lte=stale)


def acknowledge(session: Session) -> None:
    """Record that the client has used a token of this generation, unless another request has already done so."""
    seen = {"acknowledged_at": clock.to_datetime(clock.now())}
    unseen = {"generation": session.generation, "acknowledged_at": None}
    retry_on_conflict(lambda: _update(session.pk, seen, **unseen), database())
    session.acknowledged_at = seen["acknowledged_at"]


def _update(session_id: UUID, changes: Mapping[str, Any], **conditions: Any) -> int:
    """Update these columns of the row if it meets the conditions. Return the number of updated rows."""
    count = writes.update(database(), changes, {"pk": session_id, **conditions})
    return rows(session_id, **conditions).update(**changes) if count is None else count
