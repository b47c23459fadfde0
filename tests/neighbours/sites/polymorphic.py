"""django-polymorphic: a user model of several classes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.response import Response

from tests.neighbours import views
from tests.neighbours.members.models import Student
from tests.neighbours.site import PASSWORD, Browser, case


def described(user: Any) -> list[Any]:
    return [user.__class__.__name__, isinstance(user, Student), getattr(user, "number", None)]


def kind(request: HttpRequest) -> JsonResponse:
    return JsonResponse(described(request.user), safe=False)


async def async_kind(request: HttpRequest) -> JsonResponse:
    return JsonResponse(described(await request.auser()), safe=False)


class DrfKind(views.View):
    def get(self, request: Any) -> Response:
        return Response(described(request.user))


urlpatterns = [
    *views.urlpatterns,
    path("kind/", kind),
    path("kind/async/", async_kind),
    path("kind/drf/", DrfKind.as_view()),
]
PAGES = ("/kind/", "/kind/async/", "/kind/drf/")
STUDENT, MEMBER = ["Student", True, "4711"], ["Member", False, None]


@case([[STUDENT] * 3, [MEMBER] * 3], orders=("recommended", "0.0.8"))
def the_user_is_of_the_class_of_their_row(browser: Browser) -> Any:
    Student.objects.create_user("sue", password=PASSWORD, number="4711")
    seen = []
    for name in ("sue", "ada"):
        browser.sign_in(name)
        seen.append([])
        for page in PAGES:
            browser.outlive_access_token()
            seen[-1].append(browser.see(page))
    return seen


@case([[200, STUDENT, 204, 403], [200, MEMBER, 204, 403]], ways=("jwtauth",))
def the_login_view_signs_in_users_of_every_class(browser: Browser) -> Any:
    Student.objects.create_user("sue", password=PASSWORD, number="4711")
    seen = []
    for name in ("sue", "ada"):
        signed_in = browser.post_json("/auth/login/", {"username": name, "password": PASSWORD}).status_code
        page = browser.see("/kind/drf/")
        seen.append([signed_in, page, browser.post("/auth/logout/").status_code, browser.see("/kind/drf/")])
    return seen
