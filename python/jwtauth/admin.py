"""Sessions in Django's admin: looked at and ended, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from jwtauth.internal.devices import as_ip_address
from jwtauth.internal.store import clock
from jwtauth.models import Session, SessionQuerySet


class IsLive(admin.SimpleListFilter):
    """Sessions that have not reached their end, or that wait to be removed."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Django's."""
        return [("live", _("Live")), ("expired", _("Expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the index on ``expires_at``."""
        chosen: QuerySet[Any] = queryset
        now = clock.to_datetime(clock.now())
        if self.value() == "live":
            chosen = queryset.filter(expires_at__gt=now)
        elif self.value() == "expired":
            chosen = queryset.filter(expires_at__lte=now)
        return chosen


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Quick on a million rows too: by an index, in the order of ids, which is that of logins. Addresses have none."""

    list_display = ("user", "device", "ip_address", "created_at", "last_seen_at", "expires_at")
    list_filter = (IsLive,)
    list_select_related = ("user",)
    search_help_text = _("By the beginning of the user's name, or the whole address.")
    show_full_result_count = False
    sortable_by = ("expires_at",)
    ordering = ("-id",)
    actions = ("end_sessions",)
    fields = (
        "id",
        "user",
        "device",
        "user_agent",
        "ip_address",
        "created_at",
        "last_seen_at",
        "expires_at",
        "end_is_fixed",
        "remember",
    )
    readonly_fields = fields

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Whatever the user model calls its users by."""
        return (f"user__{get_user_model().USERNAME_FIELD}__startswith",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An address is compared as one; Django's search would compare its text, to which PostgreSQL adds ``/32``."""
        address = as_ip_address(search_term)
        if address is None:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(ip_address=address), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Sessions begin by signing in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing about a session can be edited."""
        return False

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Without Django's own deletion, which tells nobody that the session has ended."""
        where = {} if action_location is None else {"action_location": action_location}  # new in Django 6.1
        actions: dict[str, Any] = super().get_actions(request, **where)
        actions.pop("delete_selected", None)
        return actions

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        """Deleting a session ends it."""
        obj.end()

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Deleting sessions ends them."""
        queryset.end()

    @admin.action(permissions=["delete"], description=_("End selected sessions"))
    def end_sessions(self, request: HttpRequest, queryset: Any) -> None:
        """Ends them now."""
        chosen: SessionQuerySet = Session.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        count = chosen.end()
        message = ngettext("%d session was ended.", "%d sessions were ended.", count) % count
        self.message_user(request, message, messages.SUCCESS)


class SessionsLinkMixin:
    """For the admin of a user model of one's own: the link to the user's sessions that `auth.User` has."""

    change_form_template = "admin/auth/user/change_form_with_sessions.html"
