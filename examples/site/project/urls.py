"""The demo's pages, its JSON endpoints, the ready-made views and the OpenAPI schema of both."""

from demo import binding, theft, views
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("devices/others/end/", views.end_other_devices, name="end-other-devices"),
    path("devices/<uuid:session_id>/end/", views.end_device, name="end-device"),
    path("api/ping/", views.PingView.as_view(), name="ping"),
    path("api/log/", views.log, name="log"),
    path("api/theft/copy/", theft.copy, name="theft-copy"),
    path("api/theft/use/", theft.use, name="theft-use"),
    path("api/binding/copy/", binding.copy, name="binding-copy"),
    path("api/binding/use/", binding.use, name="binding-use"),
    # The ready-made views, for curl and other programs. A browser shows DRF's pages, as at /auth/me/.
    path("auth/", include("jwtauth.urls")),
    path("schema/", views.SchemaView.as_view(), name="schema"),
    # Until the Rust service answers below this path.
    path("rust/", views.service_page, name="service"),
    path("rust/me", views.service_state),
    # Staff sign in with the same form as other users. The admin's own form would start a Django session instead.
    path("admin/login/", RedirectView.as_view(pattern_name="sign-in", query_string=True)),
    path("admin/", admin.site.urls),
]
