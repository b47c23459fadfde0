"""A staff member who acts as another user.

The staff member gets a second session, whose row names the first. The strict check accepts it only while the first is
valid, and its access tokens name both users (``act``, RFC 8693 section 4.1). Its tokens never say that a user has
authenticated recently.

At the end, the staff member's session is replaced by a new one, whose name is derived from a token of the ended one. If
the response is lost, the same request therefore gets the same session again, until one of its tokens is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from jwtauth import _engine
from jwtauth.exceptions import ActingRefused
from jwtauth.internal import django_session, tokens
from jwtauth.internal.flow import Flow, security_log
from jwtauth.internal.store import cleanup, clock, sessions
from jwtauth.internal.store.commits import after_commit
from jwtauth.internal.store.retries import LostSwap, retry_on_conflict
from jwtauth.internal.store.sessions import SessionAndUser
from jwtauth.models import Session, database
from jwtauth.signals import acting_ended, acting_started

PERMISSION = "jwtauth.act_as"

# Names of URLs of Django, jwtauth, dj-rest-auth, djoser, allauth and knox where users change how they sign in, or get
# tokens.
_CREDENTIAL_URLS = frozenset(
    {
        "password_change",
        "reauthenticate",
        "rest_password_change",
        "user-set-password",
        "user-set-username",
        "account_change_password",
        "account_set_password",
        "account_change_phone",
        "account_email",
        "account_reauthenticate",
        "socialaccount_connections",
        "usersessions_list",
        "change_password",
        "manage_email",
        "manage_phone",
        "manage_providers",
        "redirect_to_provider",
        "provider_token",
        "manage_recovery_codes",
        "manage_totp",
        "manage_webauthn",
        "knox_login",
        "knox_logoutall",
    }
)
# allauth's second factors, and all of django-two-factor-auth and django-oauth-toolkit.
_CREDENTIAL_PREFIXES = ("mfa_", "two_factor:", "oauth2_provider:", "social:")
# allauth's views that connect an account at a provider, whose names depend on the provider.
_CREDENTIAL_MODULES = "allauth.socialaccount.providers."

# The subject of the user as whom another user acts in this request.
_subject: ContextVar[str | None] = ContextVar("jwtauth_acting_subject", default=None)


# The rules.


def is_allowed(actor: Any, user: Any) -> bool:
    """Return whether ``actor`` has the permission to act as ``user``, and ``ACT_AS`` allows it."""
    if actor.pk == user.pk or not getattr(actor, "has_perm", lambda _name: False)(PERMISSION):
        return False
    function = _config_of_act_as()
    return function(actor, user) is True


def is_acting(flow: Flow | None) -> bool:
    """Return whether another user acts as the user of this request."""
    return flow is not None and flow.lazy_user is None and flow.found is not None and flow.found.actor is not None


def is_said(flow: Flow | None) -> bool:
    """Return whether the access token says that another user acts. Makes no query."""
    return flow is not None and flow.claims is not None and flow.claims.actor is not None


def refuse(flow: Flow | None) -> None:
    """Raise `ActingRefused` if another user acts as the user of this request."""
    if is_acting(flow):
        raise refusal()


def refusal() -> ActingRefused:
    """Return the exception for what only the user may do."""
    return ActingRefused(_("Only the user can do this."))


def _config_of_act_as() -> Callable[[Any, Any], object]:
    from jwtauth.conf import get_config

    function = get_config().act_as
    if function is None:
        return _is_ordinary
    found: Callable[[Any, Any], object] = import_string(function) if isinstance(function, str) else function
    return found


def _is_ordinary(actor: Any, user: Any) -> bool:
    """Return whether the user is neither staff nor superuser: the default of ``ACT_AS``."""
    return not getattr(user, "is_staff", False) and not getattr(user, "is_superuser", False)


# Beginning and end.


def start(flow: Flow, user: AbstractBaseUser, backend: str) -> None:
    """Start the session in which the request's user acts as this user. See `jwtauth.act_as`."""
    own = flow.found
    if own is None or flow.claims is None or flow.identity.is_bearer or own.actor is not None:
        raise PermissionDenied(_("Sign in first."))
    if not is_allowed(own.user, user):
        raise PermissionDenied(_("You may not act as this user."))
    said, request = flow.claims, flow.request
    custom = tokens.custom_claims(request, user, flow.config)
    state, waiting, before = flow.state(), list(flow.deferred), django_session.before(request)
    now, policy = clock.now(), flow.config.policy
    found, sid = sessions.start(
        request,
        user,
        policy,
        own.session.remember,
        taken_over=(
            _engine.Sid.generate(now),
            policy.start_acting(own.row.as_shown_by(said.generation), said, flow.config.act_as_lifetime, now),
        ),
        backend=backend,
        acting=own.session_id,
        methods=_engine.stored_methods(said.methods),
        device_key=sessions.key_shown_by(own.session, said.generation),
    )
    found.actor = own
    flow.set_tokens(found, sid, custom, not_after=said.expires_at)
    flow.offers_device = flow.config.device_bound_sessions != "off" and not found.column("device_key")
    _undo_after_rollback(flow, found, state, waiting, before)
    _announce("acting_started", acting_started, flow, user, own.user, found.session)
    cleanup.remove_after(request)


def stop(flow: Flow) -> AbstractBaseUser | None:
    """End the session in which a user acts as another one, and set tokens of a new session of the first user.

    Returns that user, or ``None`` if their own session has ended or locked. See `jwtauth.stop_acting`.
    """
    presented = flow.claims or flow.identity.access or flow.identity.refresh
    if presented is None or flow.identity.is_bearer:
        raise PermissionDenied(_("You do not act as another user."))
    state, waiting, before = flow.state(), list(flow.deferred), django_session.before(flow.request)
    given = retry_on_conflict(lambda: _give_back(flow, presented), database())
    if given is None:
        return None
    found, sid, custom, ended = given
    flow.set_tokens(found, sid, custom, not_after=presented.expires_at)
    flow.refusal, flow.locked = None, None
    _undo_after_rollback(flow, found, state, waiting, before)
    if ended is not None:
        _announce("acting_ended", acting_ended, flow, ended.user, found.user, ended)
    return found.user


_Given = tuple[SessionAndUser, _engine.Sid, str | None, Session | None]


def _give_back(flow: Flow, presented: _engine.Claims) -> _Given | None:
    """Replace the staff member's session. Returns ``None`` if it has ended, or if the acting session is locked."""
    name, now, policy = presented.sid, clock.now(), flow.config.policy
    acting = sessions.rows(presented.session_id).select_related("user").exclude(actor_session_id=None).first()
    if acting is None:
        # The response to an earlier request may be lost. Its token was of the newest generation, or the one before.
        for sid in (name.after_acting(presented.generation + more) for more in (0, 1)):
            again = sessions.find(sid.session_id)
            if again is not None:
                break
        is_unproven = again is not None and again.row.needs_device and flow.identity.access is None
        if again is None or is_unproven or not again.row.is_unused:
            raise PermissionDenied(_("You do not act as another user."))
        if policy.is_over(again.row, now) or policy.is_locked(again.row, now):
            return None
        return again, sid, tokens.custom_claims(flow.request, again.user, flow.config), None
    row = acting.row()
    is_unproven = row.needs_device and flow.claims is None
    if is_unproven or policy.is_over(row, now) or not row.may_stop_acting(presented.generation):
        raise PermissionDenied(_("You do not act as another user."))
    sid = name.after_acting(acting.generation)
    own = sessions.find(acting.actor_session_id)
    if own is None or policy.is_over(own.row, now) or policy.is_locked(row, now):
        return None
    custom = tokens.custom_claims(flow.request, own.user, flow.config)
    with transaction.atomic(using=database()):
        if not acting.end("acting_ended", request=flow.request):
            raise LostSwap  # a concurrent request has ended it
        # It may have been bound while acting. Acting began with a token that has confirmed its own binding, if any has.
        key, own_key = sessions.key_shown_by(acting, presented.generation), sessions.key_shown_by(own.session, 0)
        own.session.device_key = key or own_key
        own.session.amr = acting.amr  # the new tokens must not say more than those with which acting began
        started, _sid = sessions.start(
            flow.request,
            own.user,
            policy,
            own.session.remember,
            predecessor=own.session,
            taken_over=(sid, policy.stop_acting(own.row.as_shown_by(0), row, now)),
        )
        own.session.end("replaced", request=flow.request)
    return started, sid, custom, acting


def _undo_after_rollback(
    flow: Flow,
    found: SessionAndUser,
    state: dict[str, Any],
    waiting: list[Callable[[], None]],
    before: django_session.Before,
) -> None:
    """Take the new tokens back if the view's transaction is rolled back."""

    def settle() -> None:
        if not sessions.rows(found.session_id).exists():
            flow.restore(state)
            django_session.restore(flow.request, before)

    if transaction.get_connection(database()).in_atomic_block:
        flow.deferred[:] = [settle, *waiting]  # such as what confirms the binding of the user's own session


def tell_end(flow: Flow, found: SessionAndUser, actor: SessionAndUser) -> None:
    """Tell that a logout has ended this session, in which the user of ``actor`` acted."""
    _announce("acting_ended", acting_ended, flow, found.user, actor.user, found.session)


def _announce(event: str, signal: Any, flow: Flow, user: Any, actor: Any, session: Session) -> None:
    extra = {
        "event": event,
        "session_id": str(session.pk),
        "user_id": str(user.pk),
        "actor_session_id": str(session.actor_session_id),
        "actor_id": str(actor.pk),
    }

    def tell() -> None:
        security_log.info("%s: user %s as user %s, session %s", event, actor.pk, user.pk, session.pk, extra=extra)
        signal.send_robust(Session, request=flow.request, user=user, actor=actor, session=session)

    after_commit(tell, database())


# What only the user may do.


def changes_credentials(request: HttpRequest, view: Any) -> bool:
    """Return whether this is a view of Django or of a known package where users change how they sign in."""
    match = request.resolver_match
    name = "" if match is None else match.view_name or ""
    if name.rpartition(":")[2] in _CREDENTIAL_URLS or name.startswith(_CREDENTIAL_PREFIXES):
        return True
    if getattr(view, "__module__", "").startswith(_CREDENTIAL_MODULES):
        return True
    views: Any = sys.modules.get("django.contrib.auth.views")
    kind = getattr(view, "view_class", None)
    return views is not None and isinstance(kind, type) and issubclass(kind, views.PasswordChangeView)


@contextmanager
def protecting(flow: Flow) -> Iterator[None]:
    """Refuse to save a new password of the user while the request is answered, whichever view does it."""
    token = _subject.set(None if flow.claims is None else flow.claims.subject)
    try:
        yield
    finally:
        _subject.reset(token)


def refuse_new_password(instance: Any) -> None:
    """Raise `ActingRefused` if another user acts as this user, who is about to be saved with a new password."""
    subject = _subject.get()
    if subject is None:
        return
    from jwtauth.conf import get_config

    if tokens.subject_of(instance, get_config()) == subject and _has_new_password(instance):
        raise refusal()


def _has_new_password(instance: Any) -> bool:
    if getattr(instance, "_password", None) is not None:
        return True  # of ``set_password``
    stored = type(instance)._base_manager.using(database()).filter(pk=instance.pk).values_list("password", flat=True)
    return bool(stored.first() != instance.password)
