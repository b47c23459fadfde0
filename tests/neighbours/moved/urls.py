"""The URLs of the sites whose logins move in: who is signed in, in a DRF view and in a plain one, and jwtauth's own."""

from django.http import JsonResponse
from django.urls import include, path
from rest_framework.decorators import api_view
from rest_framework.response import Response

from jwtauth.views import TokenRefreshView


@api_view(["GET", "POST"])
def who(request):
    return Response({"user": request.user.get_username(), "auth": request.auth is not None})


def plain(request):
    return JsonResponse({"user": request.user.get_username()})


urlpatterns = [
    path("who/", who),
    path("plain/", plain),
    path("api/token/refresh/", TokenRefreshView.as_view(), name="token_refresh"),  # where simplejwt's view was
    path("auth/", include("jwtauth.urls")),
]
