"""Pages that need a second factor, variants of the package's views, and the package's own URLs."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.http import HttpResponse
from django.urls import include, path
from django.views import View

from two_factor.gateways.twilio.urls import urlpatterns as twilio
from two_factor.urls import urlpatterns as two_factor
from two_factor.views import LoginView, OTPRequiredMixin, SetupView


def plain(request):
    return HttpResponse("plain")


class SecureView(OTPRequiredMixin, View):
    def get(self, request):
        return HttpResponse("secure")


urlpatterns = [
    path("", include(two_factor)),
    path("", include(twilio)),
    path("plain/", plain, name="plain"),
    path("account/login/", LoginView.as_view(), name="login"),
    path("account/logout/", LogoutView.as_view(), name="logout"),
    path("login/field/", LoginView.as_view(redirect_field_name="next_page"), name="custom-field-name-login"),
    path(
        "login/host/",
        LoginView.as_view(success_url_allowed_hosts={"test.allowed-success-url.com"}),
        name="custom-allowed-success-url-login",
    ),
    path(
        "login/authenticated/",
        LoginView.as_view(redirect_authenticated_user=True),
        name="custom-redirect-authenticated-user-login",
    ),
    path(
        "setup/tokens/",
        SetupView.as_view(success_url="two_factor:backup_tokens"),
        name="setup-backup_tokens-redirect",
    ),
    path("secure/", SecureView.as_view()),
    path("secure/raises/", SecureView.as_view(raise_anonymous=True, raise_unverified=True)),
    path("secure/redirect_unverified/", SecureView.as_view(verification_url="/account/login/")),
    path("admin/", admin.site.urls),
]
