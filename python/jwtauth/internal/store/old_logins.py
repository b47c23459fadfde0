"""Records of credentials of other packages: which session each has started, and when it was last shown."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError

from jwtauth.conf import get_config
from jwtauth.contrib.old_logins import Login
from jwtauth.internal.store import clock
from jwtauth.internal.store.commits import after_commit
from jwtauth.models import OldLogin, Session, database

_log = logging.getLogger("jwtauth.security")

PASSWORD, SIGNED_OUT = "password", "signed_out"
"""The sources of records of when a user got a new password, and of when all other logins of a user were ended."""

# Records of credentials that do not expire are kept for so many seconds.
_FOREVER = 10 * 365 * 24 * 3600
# A record notes at most once in so many seconds that the credential was shown.
_NOTED = 3600


def id_of(source: str, text: str) -> UUID:
    """Return the id of the record of this credential: a digest, from which the credential cannot be guessed."""
    digest = sha256(f"jwtauth.old_login:{source}:{text}".encode(errors="surrogatepass")).digest()
    return UUID(bytes=digest[:16], version=5)  # derived from a name; MariaDB refuses UUIDs of no version


def find(*ids: UUID) -> dict[UUID, OldLogin]:
    """Return the records with these ids."""
    rows = OldLogin.objects.using(database()).filter(pk__in=ids)
    return {row.pk: row for row in rows}


def of_user(user_id: Any, follows_password: bool) -> list[UUID]:
    """Return the ids of the records that refuse older credentials of this user.

    A new password does not matter for a login of which the other package compares the password itself.
    """
    return [id_of(kind, str(user_id)) for kind in ([SIGNED_OUT] if follows_password else [PASSWORD, SIGNED_OUT])]


def refused_before(rows: Iterable[OldLogin | None]) -> int | None:
    """Return the latest time of these records. Credentials that were issued before are refused."""
    return max((clock.from_datetime(row.created_at) for row in rows if row is not None), default=None)


def add(
    id: UUID,
    source: str,
    login: Login,
    *,
    session: Session | None = None,
    is_ended: bool = False,
) -> None:
    """Record a credential. Raises ``IntegrityError`` if another request has recorded it."""
    now = clock.now()
    at = clock.to_datetime(now)
    OldLogin.objects.using(database()).create(
        id=id,
        source=source,
        user_id=login.user.pk,
        session_id=None if session is None else session.pk,
        reference=login.reference,
        created_at=at if session is None else session.created_at,
        first_end=None if session is None else session.expires_at,
        seen_at=at if is_ended else None,
        last_shown_at=at,
        expires_at=_kept_until(login.expires_at, now),
    )


def _kept_until(expires_at: int | None, now: int) -> datetime:
    return clock.to_datetime(min(now + _FOREVER, max(now, expires_at)) if expires_at is not None else now + _FOREVER)


def restart(row: OldLogin, session: Session) -> bool:
    """Record that the credential has started another session. Return ``False`` if another request was first."""
    rows = OldLogin.objects.using(database()).filter(pk=row.pk, session_id=row.session_id, seen_at=None)
    now = clock.to_datetime(clock.now())
    changes = {"session_id": session.pk, "created_at": session.created_at, "first_end": session.expires_at}
    return bool(rows.update(last_shown_at=now, **changes))


def note_shown(source: str, login: Login, id: UUID, row: OldLogin | None) -> None:
    """Note that a credential was shown, at most once an hour, and how to spend it. The record is kept for a month."""
    now, reference = clock.now(), login.reference
    if row is not None and now - clock.from_datetime(row.last_shown_at) < _NOTED:
        return
    try:
        if row is None:
            add(id, source, login._replace(expires_at=now + 30 * 24 * 3600))
        else:
            changes = {"last_shown_at": clock.to_datetime(now), "reference": reference}
            OldLogin.objects.using(database()).filter(pk=id).update(**changes)
    except IntegrityError:
        pass  # another request has just noted it
    except DatabaseError:
        _log.warning("an old login could not be noted", exc_info=True)


def note_again(id: UUID, row: OldLogin | None) -> None:
    """Note that a credential was shown that has started a session, at most once an hour."""
    now = clock.now()
    if row is None or now - clock.from_datetime(row.last_shown_at) < _NOTED:
        return
    try:
        OldLogin.objects.using(database()).filter(pk=id).update(last_shown_at=clock.to_datetime(now))
    except DatabaseError:
        _log.warning("an old login could not be noted", exc_info=True)


def note_seen(session_id: UUID) -> None:
    """Record that the client has used the new tokens, and spend the credentials that started the session."""
    rows = OldLogin.objects.using(database()).filter(session_id=session_id, seen_at=None)
    if rows.update(seen_at=clock.to_datetime(clock.now())):
        OldLogin.objects.using(database()).filter(session_id=session_id).spend()


def refuse_older(user_id: Any, kind: str = SIGNED_OUT, *, keep: Any = None) -> None:
    """Refuse all credentials of other packages that this user was given before now, and spend what has started one.

    ``keep`` is the id of the session whose credential stays valid.
    """
    alias, now = database(), clock.to_datetime(clock.now())
    id = id_of(kind, str(user_id))
    changes = {"created_at": now, "last_shown_at": now}
    rows = OldLogin.objects.using(alias).filter(pk=id)
    if not rows.update(**changes):
        OldLogin.objects.using(alias).get_or_create(
            pk=id,
            defaults={
                **changes,
                "source": kind,
                "user_id": user_id,
                "expires_at": _kept_until(None, clock.now()),
            },
        )
    older = OldLogin.objects.using(alias).filter(user_id=user_id)
    if keep is not None:
        older = older.exclude(session_id=keep)
    after_commit(older.spend, alias)


def follow_new_password(instance: Any) -> None:
    """Do `refuse_older` if logins of other packages are accepted."""
    if get_config().accept_logins_of:
        refuse_older(instance.pk, PASSWORD)


def remove_expired() -> int:
    """Remove the records of expired credentials of packages that ``ACCEPT_LOGINS_OF`` does not name.

    The other package may have extended a credential since it was recorded.
    """
    cutoff, kept = clock.to_datetime(clock.now()), [name for name, *_ in get_config().accept_logins_of]
    expired = OldLogin.objects.using(database()).filter(expires_at__lte=cutoff).exclude(source__in=kept)
    removed: int = expired.delete()[0]
    return removed
