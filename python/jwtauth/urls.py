"""The URL patterns, included with ``path("auth/", include("jwtauth.urls"))``. They need Django REST Framework."""

from django.core.exceptions import ImproperlyConfigured
from django.urls import path

try:
    import rest_framework  # noqa: F401
except ImportError as error:
    raise ImproperlyConfigured(
        "jwtauth.urls needs Django REST Framework: install djangorestframework. Without it, call jwtauth.login() and "
        "jwtauth.logout() in the site's own views."
    ) from error

from jwtauth import views

app_name = "jwtauth"

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("reauthenticate/", views.ReauthenticateView.as_view(), name="reauthenticate"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("token/", views.TokenView.as_view(), name="token"),
    path("token/refresh/", views.TokenRefreshView.as_view(), name="token-refresh"),
    path("token/revoke/", views.TokenRevokeView.as_view(), name="token-revoke"),
    path("device/register/", views.DeviceRegisterView.as_view(), name="device-register"),
    path("device/refresh/", views.DeviceRefreshView.as_view(), name="device-refresh"),
    path("jwks.json", views.JwkSetView.as_view(), name="jwks"),
    path("me/", views.MeView.as_view(), name="me"),
    path("sessions/", views.SessionListView.as_view(), name="sessions"),
    path("sessions/others/", views.OtherSessionsView.as_view(), name="other-sessions"),
    path("sessions/<pk>/", views.SessionView.as_view(), name="session"),
]
