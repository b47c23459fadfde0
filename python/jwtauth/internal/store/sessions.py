"""Sessions in the database: found with their user in one query, started, refreshed, acknowledged.

Everything here speaks to the database that takes writes, so that a replica that lags neither revives a session nor
loses one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast
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
from jwtauth.internal.store.instants import InstantField, Stored
from jwtauth.internal.store.prepared import Lookup, Row
from jwtauth.internal.store.retries import retry_on_conflict
from jwtauth.models import Session, SessionQuerySet, columns_of, database, row_of, writes
from jwtauth.signals import session_started

_log = logging.getLogger("jwtauth.security")
_T = TypeVar("_T")

# The columns of a session, of which the key is the first, and the names of the others in the one query: none that a
# field of a user has.
_NAMES = [field.attname for field in Session._meta.concrete_fields]
_TIMES = [field.attname for field in Session._meta.concrete_fields if type(field) is InstantField]
_PREFIX = "jwtauth_session_"
_ANNOTATED = [_PREFIX + name for name in _NAMES[1:]]
# Those of the engine's row, in its order.
_OF_ROW = [
    _PREFIX + name
    for name in ("generation", "end_is_fixed", "acknowledged_at", "rotated_at", "created_at", "expires_at")
]
_OF_LAST_SEEN = [_PREFIX + "last_seen_at"]
_BACKEND = _PREFIX + "backend"
_USER: Any = Session._meta.get_field("user")
_DATABASE_TIME = "jwtauth_database_time"
_BESIDE = [*_ANNOTATED, _DATABASE_TIME]


class SessionAndUser:
    """A session with its user, both as the database had them in one moment.

    Of a session that `find` found, only what is asked for is made of its columns (what that saves: `jwtauth.internal`).
    """

    __slots__ = ("_columns", "_row", "_session", "auth_hash", "session_id", "user")

    def __init__(self, session: Session, user: AbstractBaseUser) -> None:
        self.session_id: UUID = session.pk
        self.user, self.auth_hash = user, session.auth_hash
        self._session: Session | None = session
        self._row: _engine.Session | None = None
        self._columns: Row | Mapping[str, Any] = {}

    @classmethod
    def of_columns(cls, session_id: UUID, user: AbstractBaseUser, columns: Row | Mapping[str, Any]) -> SessionAndUser:
        """Of what the one query brings."""
        found = cls.__new__(cls)
        found.session_id, found.user, found.auth_hash = session_id, user, columns[_PREFIX + "auth_hash"]
        found._columns, found._session, found._row = columns, None, None
        return found

    @property
    def session(self) -> Session:
        """The session, the same one each time."""
        session = self._session
        if session is None:
            values = [self.session_id, *(self._columns[name] for name in _ANNOTATED)]
            session = self._session = Session.from_db(database(), _NAMES, values)
            _USER.set_cached_value(session, self.user)
        return session

    @property
    def row(self) -> _engine.Session:
        """What the engine's rules need of the session, as it was found."""
        row = self._row
        if row is None:
            if self._session is not None:
                row = self._session.row()
            else:
                row = self._read(_engine.Session.stored, _OF_ROW) or row_of(self._column)
            self._row = row
        return row

    @property
    def last_seen_at(self) -> int:
        """When the user was last seen, in Unix seconds."""
        if self._session is not None:
            return clock.from_datetime(self._session.last_seen_at)
        seconds = self._read(_engine.stored_seconds, _OF_LAST_SEEN)
        return clock.from_datetime(self._column("last_seen_at")) if seconds is None else seconds

    def _read(self, read: Callable[..., _T], names: Sequence[str]) -> _T | None:
        """Return what the engine reads of these columns, the last of them a time; ``None`` where it cannot.

        It reads the text of SQLite, in fewer steps than Django makes datetimes of it.
        """
        columns = self._columns
        if type(columns) is Row:
            stored = columns.stored(names)
            if type(stored[-1]) is str:
                try:
                    return read(*stored)
                except ValueError:
                    pass  # the text of another program, which Django may know
        return None

    def _column(self, name: str) -> Any:
        return self._columns[_PREFIX + name]


def rows(*ids: Any, **conditions: Any) -> SessionQuerySet:
    """These sessions, in the database that takes writes, as far as they meet the conditions."""
    # No IN for one id, as in the statements of `writes`.
    conditions |= {"pk": ids[0]} if len(ids) == 1 else {"pk__in": ids}
    found: SessionQuerySet = Session.objects.using(database()).filter(**conditions)
    return found


def find(session_id: UUID) -> SessionAndUser | None:
    """The session of this id and its user, in one query, which also tells the database's time.

    ``None`` where the session has ended, or its user is deleted, hidden by the user model's default manager, of another
    password than at login, or not admitted by the authentication backends (`admit`), which may also answer with an
    object of their own. The rules of time are the engine's; this asks for none of them.
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
    return signed_in if auth_hash_holds(user, signed_in.auth_hash) else None


def _with_session(users: QuerySet[Any], session_id: UUID) -> QuerySet[Any]:
    """The user of this session, annotated with its columns and the database's time."""
    columns: dict[str, Any] = {f"{_PREFIX}{name}": F(f"jwtauth_sessions__{name}") for name in _NAMES[1:]}
    columns |= {f"{_PREFIX}{name}": Stored(columns[f"{_PREFIX}{name}"]) for name in _TIMES}
    time = {_DATABASE_TIME: clock.DatabaseTime()}
    found: QuerySet[Any] = users.filter(jwtauth_sessions__id=session_id).annotate(**columns, **time).order_by()
    return found


_lookup = Lookup(_with_session, Session._meta.pk, _BESIDE)


def start(
    request: HttpRequest,
    user: AbstractBaseUser,
    policy: _engine.RotationPolicy,
    remember: bool,
    lifetime: timedelta | float | None = None,
    predecessor: Session | None = None,
    replaced: Collection[Any] = (),
    backend: str = "",
) -> tuple[Session, _engine.Sid]:
    """A new session of this user, written, and its secret name, which is in no table.

    ``backend`` is the path of the authentication backend that has signed the user in; by default that of the
    predecessor, or the one that Django's ``authenticate`` has left on the user.

    With a predecessor, whose place it takes, it keeps to the absolute limit of that one. The replaced ones, which are
    about to end, do not count for ``MAX_SESSIONS_PER_USER``.

    Raises ``SessionLimitReached``, and ``ValueError`` for a lifetime that is none.
    """
    now = clock.now()
    sid = _engine.Sid.generate(now)
    if predecessor is not None:
        row = policy.succeed(predecessor.row(), now)
    elif lifetime is not None:
        row = policy.start_for(lifetime_seconds(lifetime), now)
    else:
        row = policy.start(now)
    session = Session(
        id=sid.session_id,
        created_at=clock.to_datetime(row.created_at),
        last_seen_at=clock.to_datetime(now),
        end_is_fixed=row.end_is_fixed,
        auth_hash=auth_hash(user),
        backend=backend or (backend_of(user) if predecessor is None else predecessor.backend),
        remember=remember,
        user_agent=devices.user_agent(request),
        ip_address=devices.ip_address(request, get_config().num_proxies),
        **columns_of(row),
    )
    session.user = cast(Any, user)  # of any user model
    retry_on_conflict(lambda: _insert(session, predecessor is not None, replaced), database())

    def tell() -> None:
        log_event("session_started", session)
        session_started.send_robust(Session, request=request, user=user, session=session)

    after_commit(tell, database())
    return session, sid


def _insert(session: Session, succeeds: bool, replaced: Collection[Any]) -> None:
    alias, config = database(), get_config()
    if config.max_sessions is None or succeeds:
        _save(session, alias)
        return
    with transaction.atomic(using=alias):
        # A write that changes nothing lets logins of one user wait for each other, and where transactions see the past,
        # fails for the later one, which is tried again.
        name = get_user_model()._meta.pk.name
        get_user_model()._base_manager.using(alias).filter(pk=session.user_id).update(**{name: F(name)})
        valid = Session.objects.using(alias).valid_for(session.user).exclude(pk__in=replaced)
        others = list(valid.select_for_update().order_by("-created_at", "-pk").values_list("pk", flat=True))
        surplus = others[config.max_sessions - 1 :]
        if surplus and config.refuses_more_sessions:
            raise SessionLimitReached(_("Too many sessions. Sign out on another device first."), "session_limit")
        _save(session, alias)
        if surplus:
            rows(*surplus).end("limit")


def _save(session: Session, alias: str) -> None:
    """Do what ``save(force_insert=True)`` does, by a prepared statement if it can be."""
    if writes.insert(alias, {name: session.__dict__[name] for name in _NAMES}):
        session._state.adding, session._state.db = False, alias
    else:
        session.save(force_insert=True, using=alias)


def log_event(event: str, session: Session) -> None:
    """One of the ordinary events in a session's life."""
    ids = {"session_id": str(session.pk), "user_id": str(session.user_id)}
    _log.info("%s: session %s of user %s", event, session.pk, session.user_id, extra={"event": event, **ids})


def advance(found: SessionAndUser, next_row: _engine.Session) -> bool:
    """The compare-and-swap of a rotation. ``False``: another request was first, so read again and decide again."""
    session = found.session
    changes = {**columns_of(next_row), "last_seen_at": clock.to_datetime(clock.now())}
    current = auth_hash(found.user)
    if session.auth_hash != current:  # made with one of SECRET_KEY_FALLBACKS
        changes["auth_hash"] = current
    if not _update(session, changes, generation=session.generation):
        return False
    for name, value in changes.items():
        setattr(session, name, value)
    return True


def update_last_seen(session: Session) -> None:
    """Notes that the person was here, at most once a minute."""
    now = clock.now()
    stale = clock.to_datetime(now - _engine.LAST_SEEN_INTERVAL)
    _update(session, {"last_seen_at": clock.to_datetime(now)}, last_seen_at__lte=stale)


def acknowledge(session: Session) -> None:
    """Notes when this generation was first seen back from the client, unless another request has."""
    seen = {"acknowledged_at": clock.to_datetime(clock.now())}
    unseen = {"generation": session.generation, "acknowledged_at": None}
    retry_on_conflict(lambda: _update(session, seen, **unseen), database())
    session.acknowledged_at = seen["acknowledged_at"]


def _update(session: Session, changes: Mapping[str, Any], **conditions: Any) -> int:
    """Write these columns of the row, as far as it meets the conditions. Returns how many rows there were."""
    count = writes.update(database(), changes, {"pk": session.pk, **conditions})
    return rows(session.pk, **conditions).update(**changes) if count is None else count
