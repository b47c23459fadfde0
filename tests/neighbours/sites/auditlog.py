"""django-auditlog: entries name the user who changed a row."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.db import models
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.response import Response

from tests.neighbours import views
from tests.neighbours.site import Browser, case


@auditlog.register()
class Order(models.Model):
    title = models.CharField(max_length=9)

    class Meta:
        app_label = "neighbours"

    def __str__(self) -> str:
        return self.title


def order(request: HttpRequest) -> JsonResponse:
    Order.objects.create(title="tea")
    return JsonResponse("ordered", safe=False)


async def async_order(request: HttpRequest) -> JsonResponse:
    await Order.objects.acreate(title="tea")
    return JsonResponse("ordered", safe=False)


class DrfOrder(views.View):
    permission_classes = []

    def post(self, request: Any) -> Response:
        Order.objects.create(title="tea")
        return Response("ordered")


urlpatterns = [
    *views.urlpatterns,
    path("order/", order),
    path("order/async/", async_order),
    path("order/drf/", DrfOrder.as_view()),
]
PAGES = ("/order/", "/order/async/", "/order/drf/")


def actors() -> list[str | None]:
    entries = LogEntry.objects.get_for_model(Order).order_by("pk")
    return [entry.actor and entry.actor.get_username() for entry in entries]


@case(["ada"] * 3)
def an_entry_names_the_user(browser: Browser) -> Any:
    browser.sign_in()
    for page in PAGES:
        browser.post(page)
    return actors()


@case(["ada"] * 3)
def an_entry_names_the_user_of_a_request_that_refreshes(browser: Browser) -> Any:
    browser.sign_in()
    for page in PAGES:
        browser.outlive_access_token()
        browser.post(page)
    return actors()


@case(["ada", None, "bob", None])
def a_signed_out_user_is_not_named(browser: Browser) -> Any:
    for name in ("ada", "bob"):
        browser.sign_in(name)
        browser.post("/order/drf/")
        browser.sign_out()
        browser.post("/order/drf/")
    return actors()
