"""The demo's pages, its JSON endpoints, the ready-made views and the OpenAPI schema of both."""

from demo import views
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("devices/<uuid:session_id>/end/", views.end_device, name="end-device"),
    path("api/ping/", views.PingView.as_view(), name="ping"),
    path("api/log/", views.log, name="log"),
    # The ready-made views, which other programs use: with curl, or a browser at /auth/me/.
    path("auth/", include("jwtauth.urls")),
    path("schema/", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    # Staff sign in where everybody does. The admin's own form would start a Django session instead.
    path("admin/login/", RedirectView.as_view(pattern_name="sign-in", query_string=True)),
    path("admin/", admin.site.urls),
]
