"""Pages that need a second factor, besides those of the package."""

from django.contrib.auth.views import LogoutView
from django.http import HttpResponse
from django.urls import include, path
from django.views import View

from two_factor.gateways.twilio.urls import urlpatterns as twilio
from two_factor.urls import urlpatterns as two_factor
from two_factor.views import OTPRequiredMixin


class SecureView(OTPRequiredMixin, View):
    def get(self, request):
        return HttpResponse("secure")


urlpatterns = [
    path("", include(two_factor)),
    path("", include(twilio)),
    path("account/logout/", LogoutView.as_view(), name="logout"),
    path("secure/", SecureView.as_view()),
    path("secure/raises/", SecureView.as_view(raise_anonymous=True, raise_unverified=True)),
    path("secure/redirect_unverified/", SecureView.as_view(verification_url="/account/login/")),
]
