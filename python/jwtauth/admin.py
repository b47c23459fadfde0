"""The admin of sessions, where staff can view and end sessions but not edit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.template.backends.django import Template
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from jwtauth.internal.devices import as_ip_address
from jwtauth.internal.store import clock
from jwtauth.models import Session, SessionQuerySet

# Columns that may not be filtered by. Repeated filters such as "starts with" would reveal their values.
_SECRET = {"auth_hash", "device_key"}


class IsLive(admin.SimpleListFilter):
    """Filter live sessions, or expired ones that are not yet removed."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the two states."""
        return [("live", _("Live")), ("expired", _("Expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter by the indexed column ``expires_at``."""
        chosen: QuerySet[Any] = queryset
        now = clock.to_datetime(clock.now())
        if self.value() == "live":
            chosen = queryset.filter(expires_at__gt=now)
        elif self.value() == "expired":
            chosen = queryset.filter(expires_at__lte=now)
        return chosen


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """List, search and end sessions.

    The list is ordered by id, which is the order of logins, so that it stays fast with a million rows. Only the search
    for an IP address uses no index.
    """

    list_display = ("user", "acted_by", "device", "ip_address", "created_at", "last_seen_at", "expires_at")
    list_filter = (IsLive,)
    list_select_related = ("user",)
    search_help_text = _("Search by the start of the username, or by a complete IP address.")
    show_full_result_count = False
    sortable_by = ("expires_at",)
    ordering = ("-id",)
    actions = ("end_sessions",)
    fields = (
        "id",
        "user",
        "acted_by",
        "device",
        "user_agent",
        "ip_address",
        "created_at",
        "last_seen_at",
        "expires_at",
        "end_is_fixed",
        "remember",
        "device_bound",
    )
    readonly_fields = fields

    @admin.display(description=_("device"))
    def device(self, session: Session) -> str:
        """Return the browser and the operating system."""
        return session.device

    @admin.display(description="acting user")
    def acted_by(self, session: Session) -> str:
        """Return the name of the user who acts as the session's user, or a dash."""
        actor = session.actor
        return "-" if actor is None else str(actor)

    @admin.display(description="bound to the device", boolean=True)
    def device_bound(self, session: Session) -> bool:
        """Return whether only a proof of a key of the device refreshes the session."""
        return session.is_device_bound

    def get_urls(self) -> list[Any]:
        """Return Django's URLs, and add the link to the page of a user, now that all models are registered."""
        _link_from_users(self.admin_site)
        return super().get_urls()

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the lookup of the user model's ``USERNAME_FIELD``."""
        return (f"user__{get_user_model().USERNAME_FIELD}__startswith",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for an IP address by equality, since PostgreSQL's text of an address ends with ``/32``."""
        address = as_ip_address(search_term)
        if address is None:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(ip_address=address), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Disallow filters by secret columns in the query string."""
        where = () if request is None else (request,)
        return _SECRET.isdisjoint(lookup.split(LOOKUP_SEP)) and super().lookup_allowed(lookup, value, *where)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return ``False``: only a login adds a session."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False``: sessions cannot be edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the request's user may end sessions, or may delete the user of this session.

        Django also asks this for every object that is deleted together with a user. On the pages of sessions, only the
        permission to delete sessions counts.
        """
        return super().has_delete_permission(request, obj) or (
            obj is not None and not self._is_at(request) and self._may_delete_user(request, obj)
        )

    def _is_at(self, request: HttpRequest) -> bool:
        """Return whether the request is for one of the pages of sessions."""
        match = request.resolver_match
        name = (match and match.url_name) or ""
        return name.startswith(f"{self.opts.app_label}_{self.opts.model_name}_")

    def _may_delete_user(self, request: HttpRequest, session: Session) -> bool:
        user_model = get_user_model()
        if self.admin_site.is_registered(user_model):
            user_admin = self.admin_site.get_model_admin(user_model)
            return bool(user_admin.has_delete_permission(request, session.user))
        # Django checks no permission of unregistered models. Access to the page is enough.
        match = request.resolver_match
        return match is not None and "admin" in match.app_names

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Return Django's actions without "delete selected", which would not send `session_ended`."""
        where = {} if action_location is None else {"action_location": action_location}  # new in Django 6.1
        actions: dict[str, Any] = super().get_actions(request, **where)
        actions.pop("delete_selected", None)
        return actions

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        """End the session."""
        obj.end(request=request)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """End the sessions."""
        queryset.end(request=request)

    @admin.action(permissions=["delete"], description=_("End selected sessions"))
    def end_sessions(self, request: HttpRequest, queryset: Any) -> None:
        """End the sessions and log it in the admin's history, as Django's deletion does."""
        chosen: SessionQuerySet = Session.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        self.log_deletions(request, chosen)
        count = chosen.end(request=request)
        message = ngettext("%(count)d session was ended.", "%(count)d sessions were ended.", count)
        self.message_user(request, message % {"count": count}, messages.SUCCESS)


class SessionsLinkMixin:
    """Add a link to the user's sessions to the change page of a ``ModelAdmin`` of users.

    The page keeps its own template. The ``ModelAdmin`` of ``AUTH_USER_MODEL`` gets the link without this mixin if users
    and sessions are registered with the same admin site. Other models, such as proxies of the user model, need it.
    """

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Return the change page with the link."""
        parent: Any = super()
        model_admin: Any = self
        response: HttpResponse = parent.render_change_form(request, context, add, change, form_url, obj)
        return _with_link(response, request, model_admin.admin_site, obj)


def _link_from_users(site: admin.AdminSite) -> None:
    """Add the link to the change page of users, if the user model is registered with this site."""
    user_model = get_user_model()
    user_admin: Any = site.get_model_admin(user_model) if site.is_registered(user_model) else None
    if user_admin is None or isinstance(user_admin, SessionsLinkMixin) or "render_change_form" in vars(user_admin):
        return
    render: Callable[..., HttpResponse] = user_admin.render_change_form

    def render_change_form(
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        return _with_link(render(request, context, add, change, form_url, obj), request, site, obj)

    user_admin.render_change_form = render_change_form


def _with_link(response: HttpResponse, request: HttpRequest, site: admin.AdminSite, user: Any) -> HttpResponse:
    """Render the page with a template that extends its own template and adds the link."""
    url = None if user is None else _sessions_url(request, site, user)
    if url is None or not isinstance(response, TemplateResponse):
        return response
    template = response.resolve_template(response.template_name)
    if isinstance(template, Template):
        response.context_data = {
            **(response.context_data or {}),
            "jwtauth_change_form": template,
            "jwtauth_sessions_url": url,
        }
        response.template_name = "jwtauth/admin/user_change_form.html"
    return response


def _sessions_url(request: HttpRequest, site: admin.AdminSite, user: Any) -> str | None:
    """Return the URL of the user's sessions on this site, or ``None`` if the request may not view them."""
    if not site.is_registered(Session) or not site.get_model_admin(Session).has_view_permission(request):
        return None
    try:
        sessions = reverse("admin:jwtauth_session_changelist", current_app=site.name)
    except NoReverseMatch:
        return None
    return f"{sessions}?{urlencode({f'user__{user._meta.pk.name}__exact': user.pk})}"
