"""django-hijack: a superuser becomes another user by Django's login, and then returns to their own account.

It reads the backend of a login from Django's session. So this site signs in by Django's login, and a receiver of
``user_logged_in`` signs in by jwtauth as well; or it names the backend itself.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from hijack.views import AcquireUserView
from rest_framework.response import Response

from tests.neighbours import views
from tests.neighbours.site import Browser, case

user_logged_in.connect(views.hand_on)


def django_sign_in(request: HttpRequest, name: str) -> JsonResponse:
    views.django_login(request, get_user_model().objects.get(username=name), views.BACKEND)
    return JsonResponse(described(request), safe=False)


def described(request: Any) -> list[Any]:
    return [views.name_of(request.user), getattr(request.user, "is_hijacked", None)]


def who(request: HttpRequest) -> JsonResponse:
    return JsonResponse(described(request), safe=False)


class DrfWho(views.View):
    def get(self, request: Any) -> Response:
        return Response(described(request))


class Acquire(AcquireUserView):
    """Put the backend into a session that does not name it, for users signed in only by tokens."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        request.session.setdefault(BACKEND_SESSION_KEY, views.BACKEND)
        return super().post(request, *args, **kwargs)


ORDERS = ("recommended", "0.0.8")
urlpatterns = [
    path("sign-in/alone/<name>/", views.sign_in),
    path("sign-in/<name>/", django_sign_in),
    *views.urlpatterns,
    path("hijacked/", who),
    path("hijacked/drf/", DrfWho.as_view()),
    path("acquire/", Acquire.as_view()),
    path("hijack/", include("hijack.urls")),
]


def pages(browser: Browser) -> list[Any]:
    return [browser.see("/hijacked/"), browser.see("/hijacked/drf/"), browser.see("/who/required/")]


def acquire(browser: Browser, name: str, url: str = "/hijack/acquire/") -> int:
    return browser.post(url, {"user_pk": get_user_model().objects.get(username=name).pk}).status_code


CHIEF, BOB = ([[name, hijacked], [name, hijacked], name] for name, hijacked in (("chief", False), ("bob", True)))


@case([CHIEF, 302, BOB, 302, CHIEF], orders=ORDERS)
def a_superuser_becomes_another_user_and_comes_back(browser: Browser) -> Any:
    browser.sign_in("chief")
    before, acquired, during = pages(browser), acquire(browser, "bob"), pages(browser)
    return [before, acquired, during, browser.post("/hijack/release/").status_code, pages(browser)]


@case([BOB, CHIEF], orders=ORDERS)
def a_superuser_stays_another_user_when_tokens_are_refreshed(browser: Browser) -> Any:
    browser.sign_in("chief")
    acquire(browser, "bob")
    browser.outlive_access_token()
    during = pages(browser)
    browser.outlive_access_token()
    browser.post("/hijack/release/")
    browser.outlive_access_token()
    return [during, pages(browser)]


@case([403, [["ada", False], ["ada", False], "ada"]], orders=ORDERS)
def a_user_without_the_right_stays_the_same(browser: Browser) -> Any:
    browser.sign_in()
    return [acquire(browser, "bob"), pages(browser)]


@case([[[None, False], 403, 302], [["ada", False], ["ada", False], "ada"]], orders=ORDERS)
def a_sign_out_ends_the_hijack(browser: Browser) -> Any:
    browser.sign_in("chief")
    acquire(browser, "bob")
    browser.sign_out()
    signed_out = pages(browser)
    browser.sign_in()
    return [signed_out, pages(browser)]


@case([CHIEF, 302, BOB, 302, CHIEF])
def a_superuser_without_a_session_becomes_another_user_and_comes_back(browser: Browser) -> Any:
    browser.post("/sign-in/alone/chief/")
    before, acquired, during = pages(browser), acquire(browser, "bob", "/acquire/"), pages(browser)
    return [before, acquired, during, browser.post("/hijack/release/").status_code, pages(browser)]
