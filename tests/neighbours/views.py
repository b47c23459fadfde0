"""Views of every site: sign-in and sign-out by Django's session or by jwtauth, and pages that name the user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth import login as django_login
from django.contrib.auth import logout as django_logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

import jwtauth
from tests.neighbours import site
from tests.neighbours.settings import BY_JWTAUTH

GUIDES = Path(__file__).parents[2] / "docs/guides"
BACKEND = "django.contrib.auth.backends.ModelBackend"


class View(APIView):
    """Authenticate only in the way that the case signs in."""

    permission_classes = [IsAuthenticated]

    def get_authenticators(self) -> list[Any]:
        by_jwtauth = site.signed_in_by == BY_JWTAUTH
        return [jwtauth.JWTAuthentication() if by_jwtauth else SessionAuthentication()]


def hand_on(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """Sign the user in by jwtauth as well, as a receiver of ``user_logged_in``."""
    if site.signed_in_by == BY_JWTAUTH:
        jwtauth.login(request, user)


def run_example(page: str, name: str) -> dict[str, Any]:
    """Run an example of a guide and return its names. Its ``login`` signs in only if the case signs in by jwtauth."""
    text = (GUIDES / page).read_text()
    (code,) = re.findall(rf"^<!-- example: {name} -->\n+```python\n(.*?)^```$", text, re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)

    def login(request: HttpRequest, user: Any, **options: Any) -> None:
        if site.signed_in_by == BY_JWTAUTH:
            jwtauth.login(request, user, **options)

    names["login"] = login
    return names


def sign_in(request: HttpRequest, name: str) -> JsonResponse:
    user = get_user_model().objects.get(username=name)
    if site.signed_in_by == BY_JWTAUTH:
        jwtauth.login(request, user)
    else:
        django_login(request, user, BACKEND)
    return JsonResponse(name_of(request.user), safe=False)


def sign_out(request: HttpRequest) -> JsonResponse:
    (jwtauth.logout if site.signed_in_by == BY_JWTAUTH else django_logout)(request)
    return JsonResponse(name_of(request.user), safe=False)


def name_of(user: Any) -> str | None:
    return user.get_username() or None


def who(request: HttpRequest) -> JsonResponse:
    return JsonResponse(name_of(request.user), safe=False)


async def async_who(request: HttpRequest) -> JsonResponse:
    return JsonResponse(name_of(await request.auser()), safe=False)


class DrfWho(View):
    def get(self, request: Any) -> Response:
        return Response(name_of(request.user))


urlpatterns = [
    path("sign-in/<name>/", sign_in),
    path("sign-out/", sign_out),
    path("who/", who),
    path("who/async/", async_who),
    path("who/drf/", DrfWho.as_view()),
    path("who/required/", login_required(who)),
    path("auth/", include("jwtauth.urls")),
]
