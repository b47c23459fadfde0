"""django-impersonate: a superuser acts as another user, named in Django's session."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from rest_framework.response import Response

from tests.neighbours import views
from tests.neighbours.site import Browser, case


def who(request: HttpRequest) -> JsonResponse:
    return JsonResponse(described(request), safe=False)


def described(request: Any) -> list[Any]:
    impersonator = request.impersonator and request.impersonator.get_username()
    return [views.name_of(request.user), request.user.is_impersonate, impersonator]


class DrfWho(views.View):
    def get(self, request: Any) -> Response:
        return Response(described(request))


urlpatterns = [
    *views.urlpatterns,
    path("impersonating/", who),
    path("impersonating/drf/", DrfWho.as_view()),
    path("impersonate/", include("impersonate.urls")),
]


def pages(browser: Browser) -> list[Any]:
    return [browser.see("/impersonating/"), browser.see("/impersonating/drf/"), browser.see("/who/required/")]


def start(browser: Browser, name: str) -> int:
    return browser.get(f"/impersonate/{get_user_model().objects.get(username=name).pk}/").status_code


ROOT = [["chief", False, None], ["chief", False, None], "chief"]
AS_BOB = [["bob", True, "chief"], ["bob", True, "chief"], "bob"]


@case([ROOT, 302, AS_BOB, 302, ROOT])
def a_superuser_acts_as_another_user_and_stops(browser: Browser) -> Any:
    browser.sign_in("chief")
    before, started, during = pages(browser), start(browser, "bob"), pages(browser)
    return [before, started, during, browser.get("/impersonate/stop/").status_code, pages(browser)]


@case(AS_BOB)
def a_refresh_keeps_the_impersonation(browser: Browser) -> Any:
    browser.sign_in("chief")
    start(browser, "bob")
    seen = []
    for page in ("/impersonating/", "/impersonating/drf/", "/who/required/"):
        browser.outlive_access_token()
        seen.append(browser.see(page))
    return seen


@case([302, [["ada", False, None], ["ada", False, None], "ada"]])
def a_user_without_the_right_stays_the_same(browser: Browser) -> Any:
    browser.sign_in()
    return [start(browser, "bob"), pages(browser)]


@case([[["ada", False, None], ["ada", False, None], "ada"], ROOT])
def a_login_ends_the_impersonation(browser: Browser) -> Any:
    browser.sign_in("chief")
    start(browser, "bob")
    browser.sign_in("ada")
    as_ada = pages(browser)
    browser.sign_out()
    browser.sign_in("chief")
    return [as_ada, pages(browser)]


@case([[200, "chief"], [200, "bob"]], ways=("jwtauth",))
def the_view_of_the_current_user_shows_the_impersonated_one(browser: Browser) -> Any:
    browser.sign_in("chief")
    before = browser.get("/auth/me/")
    start(browser, "bob")
    return [[answer.status_code, answer.json()["user"]["username"]] for answer in (before, browser.get("/auth/me/"))]
