"""The demo's pages and its two JSON endpoints."""

from demo import views
from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("devices/<uuid:session_id>/end/", views.end_device, name="end-device"),
    path("api/ping/", views.PingView.as_view(), name="ping"),
    path("api/log/", views.log, name="log"),
    # Staff sign in where everybody does. The admin's own form would start a Django session instead.
    path("admin/login/", RedirectView.as_view(pattern_name="sign-in", query_string=True)),
    path("admin/", admin.site.urls),
]
