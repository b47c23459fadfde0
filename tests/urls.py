"""URLs of the test project."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie

from tests import views

urlpatterns = [
    path("auth/", include("jwtauth.urls")),
    path("login/", views.login_view),
    path("login/plain/", views.plain_login),
    path("login/rolled-back/", views.rolled_back_login),
    path("login/async/", views.async_login),
    path("logout/", views.logout_view),
    path("logout/rolled-back/", views.rolled_back_logout),
    path("logout/async/", views.async_logout),
    path("password/", views.change_password),
    path("password/async/", views.async_change_password),
    path("others/", views.end_others),
    path("act/", views.act),
    path("stop/", views.stop),
    path("permission/", views.permission),
    path("me/", views.me),
    path("me/class/", views.MeView.as_view()),
    path("me/plain/", views.plain_me),
    path("me/template/", views.template_me),
    path("me/async/", views.async_me),
    path("who/async/", views.async_who),
    path("me/cached/", cache_page(60)(vary_on_cookie(views.plain_me))),
    path("me/session/", views.session_view),
    path("public/", views.public),
    path("upload/", views.upload),
    path("events/", views.events),
    path("events/async/", views.async_events),
    path("idle/", views.idle),
    path("expire/", views.expire),
    path("failing/", views.failing),
]
if apps.is_installed("django.contrib.admin"):
    urlpatterns.append(path("admin/", admin.site.urls))
