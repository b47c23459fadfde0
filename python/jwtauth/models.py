"""The `Session` model: one row for each session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, models, router, transaction
from django.db.models.signals import post_delete, pre_delete
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from jwtauth import _engine
from jwtauth.conf import get_config
from jwtauth.internal import devices
from jwtauth.internal.sources import load
from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import auth_hashes
from jwtauth.internal.store.commits import after_commit
from jwtauth.internal.store.instants import InstantField, of_local
from jwtauth.internal.store.retries import retry_on_conflict
from jwtauth.internal.store.writes import Writes
from jwtauth.signals import session_ended

_log = logging.getLogger("jwtauth.security")


def database() -> str:
    """Return the alias of the database that sessions are read from and written to."""
    # Without routers, the router takes several calls to answer this.
    return router.db_for_write(Session) if router.routers else DEFAULT_DB_ALIAS


class SessionQuerySet(models.QuerySet["Session"]):
    """Select and end sessions.

    Views, the admin and commands end sessions by a filter and `end`: ``Session.objects.of(user).end()``.
    """

    def of(self, user: Any) -> SessionQuerySet:
        """Return the sessions of this user, on all devices."""
        of_user: SessionQuerySet = self.filter(user=user)
        return of_user

    def others(self, request: HttpRequest) -> SessionQuerySet:
        """Return the other sessions of the request's user.

        Returns none if no jwtauth session is signed in, or if another user acts as this one.
        """
        auth: Any = getattr(getattr(request, "_request", request), "jwtauth", None)
        session = None if auth is None else auth.session
        others: SessionQuerySet = self.none()
        if session is not None and session.actor_session_id is None:
            others = self.filter(user=session.user_id).exclude(pk=session.pk)
        return others

    def live(self) -> SessionQuerySet:
        """Return the sessions that have not expired."""
        live: SessionQuerySet = self.filter(expires_at__gt=clock.to_datetime(clock.now()))
        return live

    def valid_for(self, user: Any) -> SessionQuerySet:
        """Return this user's sessions whose tokens are accepted: `live`, and not invalidated by a new password."""
        valid: SessionQuerySet = self.filter(user=user.pk, auth_hash__in=list(auth_hashes(user))).live()
        return valid

    def annotate(self, *args: Any, **kwargs: Any) -> Any:
        """Do as Django does, but give local times to database functions of dates."""
        return super().annotate(*map(of_local, args), **{name: of_local(one) for name, one in kwargs.items()})

    def alias(self, *args: Any, **kwargs: Any) -> Any:
        """Do as Django does, but give local times to database functions of dates."""
        return super().alias(*map(of_local, args), **{name: of_local(one) for name, one in kwargs.items()})

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Do as Django does, but give local times to database functions of dates."""
        return super().aggregate(*map(of_local, args), **{name: of_local(one) for name, one in kwargs.items()})

    def end(self, reason: str = "revoked", *, request: HttpRequest | None = None) -> int:
        """End these sessions and return their number. Their tokens are no longer accepted.

        ``reason`` is passed to the signal `session_ended` and to the log, ``request`` to the signal. With
        ``SESSION_CHECK_INTERVAL`` the end takes effect immediately in this process, and within the interval in others.
        Inside a transaction it takes effect at the commit, when the signal is sent and the log record written.

        Raises ``SessionContention`` if the database kept asking to retry.
        """
        config, alias = get_config(), database()
        found: SessionQuerySet = self.using(alias)  # a router may read from a replica
        if session_ended.has_listeners(Session):
            inner = getattr(request, "_request", request)
            count = sum(_end_one(session, reason, inner, alias) for session in found)
        else:
            needs_ids = config.check_interval_ms != 0 or config.accept_logins_of
            ids = list(found.values_list("pk", flat=True)) if needs_ids else []
            count = retry_on_conflict(lambda: _delete(found, alias), alias)
            _forget(ids, alias)
            _spend(ids, alias)
        if count:
            after_commit(partial(_log_ends, count, reason), alias)
        return count


def _log_ends(count: int, reason: str) -> None:
    _log.info("session_ended: %d, %s", count, reason, extra={"event": "session_ended", "reason": reason})


def _end_one(session: Session, reason: str, request: HttpRequest | None, alias: str) -> int:
    row: SessionQuerySet = Session.objects.using(alias).filter(pk=session.pk)
    count = retry_on_conflict(lambda: _delete(row, alias), alias)
    _forget([session.pk], alias)
    _spend([session.pk], alias)
    if count:  # otherwise another request ended it and sends the signal
        tell = partial(session_ended.send_robust, Session, session=session, reason=reason, request=request)
        after_commit(tell, alias)
    return count


def _spend(ids: Collection[Any], alias: str) -> None:
    """Make other packages refuse the credentials that started these sessions, if logins have moved in."""
    if ids and get_config().accept_logins_of:
        ended: OldLoginQuerySet = OldLogin.objects.using(alias).filter(session_id__in=ids)
        ended.filter(seen_at=None).update(seen_at=clock.to_datetime(clock.now()))  # so that it starts no other
        after_commit(ended.spend, alias)


def has_dependents() -> bool:
    """Return whether other tables refer to sessions, or receivers of deletion signals are connected."""
    refers = len(Session._meta.get_fields(include_hidden=True)) > len(Session._meta.concrete_fields)
    return refers or pre_delete.has_listeners(Session) or post_delete.has_listeners(Session)


def _delete(found: SessionQuerySet, alias: str) -> int:
    """Delete in one statement if sessions have no dependents, without the transaction that ``delete()`` opens.

    `jwtauth.internal` says what this saves.
    """
    query = found.query
    if query.is_sliced or query.distinct or query.combinator or has_dependents():
        return found.delete()[1].get(Session._meta.label, 0)
    with transaction.mark_for_rollback_on_error(using=alias):
        count: int = found.order_by()._raw_delete(alias) or 0  # None for an empty queryset
    return count


def _forget(ids: Collection[Any], alias: str) -> None:
    """Drop these sessions from this process's cache of verified sessions."""
    verified = get_config().verified

    def forget() -> None:
        for session_id in ids:
            verified.forget(session_id)

    forget()
    if ids and transaction.get_connection(alias).in_atomic_block:
        transaction.on_commit(forget, using=alias)  # other threads may cache them until then


if TYPE_CHECKING:
    _Manager = SessionQuerySet
else:
    _Manager = models.Manager.from_queryset(SessionQuerySet)


class SessionManager(_Manager):
    """Manage sessions, as ``Session.objects``, with the methods of `SessionQuerySet`.

    The class is written out for type checkers.
    """


class Session(models.Model):
    """Store a user's session on one device, from login until it ends.

    The row contains neither a token nor the ``sid`` claim. The primary key is a digest of the ``sid`` and is not
    secret. A session exists while its row does: ending it deletes the row. Times are whole seconds.
    """

    id = models.UUIDField(_("id"), primary_key=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="jwtauth_sessions", verbose_name=_("user")
    )
    generation = models.BigIntegerField(_("generation"), help_text=_("Number of refresh tokens issued so far."))
    acknowledged_at = InstantField(
        _("acknowledged at"), null=True, help_text=_("When the client first sent a token of this generation.")
    )
    rotated_at = InstantField(_("rotated at"), help_text=_("When the tokens of this generation were issued."))
    created_at = InstantField(_("signed in"))
    expires_at = InstantField(_("expires"), db_index=True)
    end_is_fixed = models.BooleanField(
        _("fixed expiry"),
        default=False,
        db_default=False,  # workers of the previous version do not set it during a deployment
        help_text=_("Whether the session expires at the time set at login, even if it is refreshed."),
    )
    auth_hash = models.TextField(_("auth hash"), help_text=_("The user's session auth hash, as in Django's sessions."))
    backend = models.TextField(
        _("authentication backend"),
        blank=True,
        default="",
        db_default="",  # workers of the previous version and Rust services do not set it
        help_text=_("Dotted path of the backend that authenticated the user, if known."),
    )
    # Translators: whether the browser keeps the cookies when it is closed ("remember me").
    remember = models.BooleanField(
        _("remember"), help_text=_("Whether to keep the cookies after the browser is closed.")
    )
    user_agent = models.TextField(_("user agent"), blank=True)
    ip_address = models.GenericIPAddressField(_("IP address"), null=True)
    last_seen_at = InstantField(_("last seen"))
    auth_time = InstantField(
        "authenticated",
        null=True,
        help_text="When the user last proved who they are in this session, if not only at login.",
    )
    amr = models.TextField(
        "authentication methods",
        blank=True,
        default="",
        db_default="",  # workers of the previous version and Rust services do not set it
        help_text="How the user has proved who they are in this session, by the names of RFC 8176.",
    )
    locks_at = InstantField("locks", null=True, help_text="When the session locks unless it is used before.")
    actor_session_id = models.UUIDField(
        "session of the actor",
        null=True,
        help_text="The session of the user who acts as this one, if another user does.",
    )

    device_key = models.TextField(  # noqa: DJ001, an empty text says something else than NULL
        "device key",
        null=True,
        help_text="The public key of the device to which the session is bound; empty if it must be bound.",
    )

    objects = SessionManager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        permissions = (("act_as", "Can act as another user"),)

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def device(self) -> str:
        """Return a name for the device, such as ``"Firefox on Windows"``, in the active language."""
        return devices.name(self.user_agent)

    @property
    def actor(self) -> Any:
        """Return the user who acts as the session's user, or ``None``. Makes a query only if there is one."""
        if self.actor_session_id is None:
            return None
        own = Session.objects.using(database()).filter(pk=self.actor_session_id).select_related("user").first()
        return None if own is None else own.user

    @property
    def is_device_bound(self) -> bool:
        """Return whether only a proof of a key, of the user's device or of a client, refreshes the session."""
        return bool(self.device_key)

    def row(self) -> _engine.Session:
        """Return the engine's view of this row."""
        return row_of(partial(getattr, self))

    def end(self, reason: str = "revoked", *, request: HttpRequest | None = None) -> int:
        """End this session, as `SessionQuerySet.end` does. Return 1, or 0 if it had already ended."""
        return end_by_id(self.pk, reason, request)


class OldLoginQuerySet(models.QuerySet["OldLogin"]):
    """Select credentials of other packages."""

    def spend(self) -> None:
        """Make the other packages refuse these credentials. A failure is logged, and ``jwtauth_moved`` tries again."""
        for row in self.exclude(reference=""):
            try:
                load(row.source).spend(row.reference, row.user_id)
                type(row)._base_manager.using(self.db).filter(pk=row.pk).update(reference="")
            except Exception:  # of the other package, whose errors must not fail the request
                _log.warning("the old login of session %s could not be spent", row.session_id, exc_info=True)


class OldLogin(models.Model):
    """Record a credential of another package that was presented here, for ``ACCEPT_LOGINS_OF``.

    The primary key is a digest of the credential, which is not stored. The row outlives the session that the credential
    started, so that it does not start another.
    """

    id = models.UUIDField("id", primary_key=True, editable=False)
    source = models.TextField("source", help_text="The package that issued the credential.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,  # the blacklist of 0.0.8 does not name the user
        related_name="+",
        verbose_name="user",
    )
    session_id = models.UUIDField(
        "session", null=True, db_index=True, help_text="The session that the credential has started."
    )
    reference = models.TextField(
        "reference", blank=True, help_text="What makes the other package refuse the credential; not a secret."
    )
    created_at = InstantField("signed in")
    first_end = InstantField("first expiry", null=True, help_text="When the session expires if it is never refreshed.")
    seen_at = InstantField("acknowledged at", null=True, help_text="When the client first sent a token of the session.")
    last_shown_at = InstantField("last shown", help_text="When a client last sent the credential.")
    expires_at = InstantField("expires", db_index=True)

    objects = OldLoginQuerySet.as_manager()

    class Meta:
        verbose_name = "login of another package"
        verbose_name_plural = "logins of other packages"

    def __str__(self) -> str:
        return str(self.pk)


writes = Writes(Session)


def end_by_id(session_id: Any, reason: str, request: HttpRequest | None = None) -> int:
    """End this session by a prepared statement. Return 1, or 0 if it had already ended."""
    config, alias = get_config(), database()
    if session_ended.has_listeners(Session) or has_dependents():
        found: SessionQuerySet = Session.objects.filter(pk=session_id)
        return found.end(reason, request=request)

    def delete() -> int:
        count = writes.delete(alias, {"pk": session_id})
        return _delete(Session.objects.using(alias).filter(pk=session_id), alias) if count is None else count

    count = retry_on_conflict(delete, alias)
    if config.check_interval_ms != 0:
        _forget([session_id], alias)
    if config.accept_logins_of:
        _spend([session_id], alias)
    if count:
        after_commit(partial(_log_ends, count, reason), alias)
    return count


def row_of(column: Callable[[str], Any]) -> _engine.Session:
    """Return the engine's row of the values that ``column`` returns by name."""
    return _engine.Session(
        generation=column("generation"),
        acknowledged_at=_seconds(column("acknowledged_at")),
        rotated_at=clock.from_datetime(column("rotated_at")),
        created_at=clock.from_datetime(column("created_at")),
        expires_at=clock.from_datetime(column("expires_at")),
        end_is_fixed=column("end_is_fixed"),
        auth_time=_seconds(column("auth_time")),
        locks_at=_seconds(column("locks_at")),
        device_key=column("device_key"),
    )


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else clock.from_datetime(time)


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else clock.to_datetime(seconds)


def columns_of(row: _engine.Session) -> dict[str, Any]:
    """Return the columns that may change after login, with the values of the engine's row."""
    return {
        "generation": row.generation,
        "acknowledged_at": _time(row.acknowledged_at),
        "rotated_at": clock.to_datetime(row.rotated_at),
        "expires_at": clock.to_datetime(row.expires_at),
        "auth_time": _time(row.auth_time),
        "locks_at": _time(row.locks_at),
    }
