"""adrf: async views of DRF."""

from __future__ import annotations

from typing import Any

from adrf.decorators import api_view
from adrf.views import APIView
from django.contrib.auth import aauthenticate
from django.urls import path
from rest_framework.decorators import permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

import jwtauth
from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case


class AsyncView(views.View, APIView):
    async def get(self, request: Any) -> Response:
        return Response([views.name_of(request.user), views.name_of(await request.auser())])


class SyncView(views.View, APIView):
    def get(self, request: Any) -> Response:
        return Response([views.name_of(request.user)] * 2)


@api_view(["POST"])
@permission_classes([])
async def sign_in(request: Any) -> Response:
    user = await aauthenticate(request._request, username=request.data["username"], password=PASSWORD)
    await jwtauth.alogin(request, user)
    return Response([views.name_of(request.user)])


@api_view(["POST"])
@permission_classes([IsAuthenticated])
async def sign_out(request: Any) -> Response:
    await jwtauth.alogout(request)
    return Response([views.name_of(request.user)])


urlpatterns = [
    *views.urlpatterns,
    path("async/", AsyncView.as_view()),
    path("sync/", SyncView.as_view()),
    path("async/sign-in/", sign_in),
    path("async/sign-out/", sign_out),
]
PAGES = ("/async/", "/sync/")


@case([[403] * 2, [["ada", "ada"]] * 2, [403] * 2], orders=("recommended", "0.0.8"))
def async_views_know_the_user(browser: Browser) -> Any:
    before = [browser.see(page) for page in PAGES]
    browser.sign_in()
    seen = []
    for page in PAGES:
        browser.outlive_access_token()
        seen.append(browser.see(page))
    browser.sign_out()
    return [before, seen, [browser.see(page) for page in PAGES]]


@case([["ada"], ["ada", "ada"], [None], 403], ways=(BY_JWTAUTH,))
def async_views_sign_in_and_out(browser: Browser) -> Any:
    signed_in = browser.post_json("/async/sign-in/", {"username": "ada"}).json()
    page = browser.see("/async/")
    return [signed_in, page, browser.post_json("/async/sign-out/").json(), browser.see("/async/")]


@case([401, ["ada", "ada"]], ways=(BY_JWTAUTH,))
def async_views_take_bearer_tokens(browser: Browser) -> Any:
    token = browser.post_json("/auth/token/", {"username": "ada", "password": PASSWORD}).json()["access"]
    headers = [{"authorization": f"Bearer {value}"} for value in ("made up", token)]
    return [browser.see("/async/", headers=each) for each in headers]
