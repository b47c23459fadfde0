"""URLs of several admin sites: with users and sessions, with one of them, and with another `ModelAdmin` of users."""

from django.contrib import admin
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.urls import path

from jwtauth.admin import SessionAdmin, SessionsLinkMixin
from jwtauth.models import Session

User = get_user_model()


class WithTemplate(UserAdmin):
    """Set a template for the change page, as mixins of other packages do."""

    change_form_template = "another/change_form.html"


class WithMixin(SessionsLinkMixin, WithTemplate):
    pass


class OtherSessions(ModelAdmin):
    """Replace jwtauth's `ModelAdmin` of sessions by a project's."""


users = AdminSite("users")
users.register(User, UserAdmin)

both = AdminSite("both")
both.register(Session, SessionAdmin)
both.register(User, UserAdmin)

template = AdminSite("template")
template.register(User, WithTemplate)
template.register(Session, SessionAdmin)

mixin = AdminSite("mixin")
mixin.register(User, WithMixin)
mixin.register(Session, OtherSessions)

sessions = AdminSite("sessions")
sessions.register(Session, SessionAdmin)
sessions.register(Group)

SITES = [users, both, template, mixin, sessions]

urlpatterns = [path("admin/", admin.site.urls), *(path(f"{site.name}/", site.urls) for site in SITES)]
