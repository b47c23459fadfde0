"""django-simple-history: each version of a row names the user who wrote it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.response import Response
from simple_history.models import HistoricalRecords

from tests.neighbours import views
from tests.neighbours.site import Browser, case


class Poll(models.Model):
    question = models.CharField(max_length=9)
    history = HistoricalRecords(app="neighbours")

    class Meta:
        app_label = "neighbours"

    def __str__(self) -> str:
        return self.question


def ask(request: HttpRequest) -> JsonResponse:
    Poll.objects.create(question="why")
    return JsonResponse("asked", safe=False)


async def async_ask(request: HttpRequest) -> JsonResponse:
    await Poll.objects.acreate(question="why")
    return JsonResponse("asked", safe=False)


class DrfAsk(views.View):
    permission_classes = []

    def post(self, request: Any) -> Response:
        Poll.objects.create(question="why")
        return Response("asked")


urlpatterns = [
    *views.urlpatterns,
    path("ask/", ask),
    path("ask/async/", async_ask),
    path("ask/drf/", DrfAsk.as_view()),
]
PAGES = ("/ask/", "/ask/async/", "/ask/drf/")


def users() -> list[str | None]:
    versions = Poll.history.order_by("history_id")
    return [version.history_user and version.history_user.get_username() for version in versions]


@case(["ada"] * 3, orders=("recommended", "0.0.8"))
def a_version_names_the_user(browser: Browser) -> Any:
    browser.sign_in()
    for page in PAGES:
        browser.post(page)
    return users()


@case(["ada"] * 3, orders=("recommended", "0.0.8"))
def a_version_names_the_user_of_a_request_that_refreshes(browser: Browser) -> Any:
    browser.sign_in()
    for page in PAGES:
        browser.outlive_access_token()
        browser.post(page)
    return users()


@case(["ada", None, "bob", None], orders=("recommended", "0.0.8"))
def a_signed_out_user_is_not_named(browser: Browser) -> Any:
    for name in ("ada", "bob"):
        browser.sign_in(name)
        browser.post("/ask/drf/")
        browser.sign_out()
        browser.post("/ask/drf/")
    return users()
