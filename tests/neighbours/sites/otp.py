"""django-otp: a second factor, remembered in Django's session."""

from __future__ import annotations

from typing import Any

import django_otp
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django_otp.decorators import otp_required
from django_otp.plugins.otp_static.models import StaticDevice
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.response import Response

import jwtauth
from tests.neighbours import site, views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import Browser, case


def is_verified(request: HttpRequest) -> JsonResponse:
    return JsonResponse([views.name_of(request.user), request.user.is_verified()], safe=False)


async def async_is_verified(request: HttpRequest) -> JsonResponse:
    user = await request.auser()
    return JsonResponse([views.name_of(user), user.is_verified()], safe=False)


class IsVerified(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return request.user.is_verified()


class DrfIsVerified(views.View):
    permission_classes = [IsAuthenticated, IsVerified]

    def get(self, request: Any) -> Response:
        return Response([views.name_of(request.user), request.user.is_verified()])


def verify(request: HttpRequest, token: str) -> JsonResponse:
    (device,) = django_otp.devices_for_user(request.user)
    found = django_otp.verify_token(request.user, device.persistent_id, token)
    django_otp.login(request, found)
    return JsonResponse(found is not None, safe=False)


def sign_in_with_device(request: HttpRequest, name: str) -> JsonResponse:
    """Sign in as django-otp's login form does: the user object carries the device."""
    (device,) = StaticDevice.objects.filter(user__username=name)
    user = device.user
    user.otp_device = device
    if site.signed_in_by == BY_JWTAUTH:
        jwtauth.login(request, user)
    else:
        views.django_login(request, user, views.BACKEND)
    return JsonResponse(views.name_of(request.user), safe=False)


urlpatterns = [
    path("sign-in/device/<name>/", sign_in_with_device),
    *views.urlpatterns,
    path("verified/", is_verified),
    path("verified/async/", async_is_verified),
    path("verified/drf/", DrfIsVerified.as_view()),
    path("verified/required/", otp_required(is_verified)),
    path("verify/<token>/", verify),
]
PAGES = ("/verified/", "/verified/async/", "/verified/drf/", "/verified/required/")


def pages(browser: Browser) -> list[Any]:
    return [browser.see(page) for page in PAGES]


def device_of(name: str, *tokens: str) -> None:
    from django.contrib.auth import get_user_model

    device = StaticDevice.objects.create(user=get_user_model().objects.get(username=name), name="paper")
    for token in tokens:
        device.token_set.create(token=token)


ANONYMOUS = [[None, False], [None, False], 403, 302]
BEFORE = [["ada", False], ["ada", False], 403, 302]
AFTER = [["ada", True]] * 4


@case(ANONYMOUS)
def a_visitor_is_not_verified(browser: Browser) -> Any:
    return pages(browser)


@case([BEFORE, True, AFTER])
def a_user_is_verified_by_a_second_factor(browser: Browser) -> Any:
    device_of("ada", "one")
    browser.sign_in()
    return [pages(browser), browser.see("/verify/one/"), pages(browser)]


@case(["ada", AFTER])
def a_login_with_a_second_factor_verifies(browser: Browser) -> Any:
    device_of("ada", "one")
    return [browser.post("/sign-in/device/ada/").json(), pages(browser)]


@case([False, BEFORE])
def a_wrong_second_factor_does_not_verify(browser: Browser) -> Any:
    device_of("ada", "one")
    browser.sign_in()
    return [browser.see("/verify/two/"), pages(browser)]


@case([["ada", True]] * 4)
def a_refresh_keeps_the_user_verified(browser: Browser) -> Any:
    device_of("ada", "one")
    browser.sign_in()
    browser.see("/verify/one/")
    seen = []
    for page in PAGES:
        browser.outlive_access_token()
        seen.append(browser.see(page))
    return seen


@case([BEFORE, ANONYMOUS])
def a_second_factor_ends_with_the_session(browser: Browser) -> Any:
    device_of("ada", "one")
    browser.sign_in()
    browser.see("/verify/one/")
    browser.sign_out()
    signed_out = pages(browser)
    browser.sign_in()
    return [pages(browser), signed_out]


@case([["bob", False], ["bob", False], 403, 302])
def the_next_user_of_the_browser_is_not_verified(browser: Browser) -> Any:
    device_of("ada", "one")
    device_of("bob", "two")
    browser.sign_in()
    browser.see("/verify/one/")
    browser.sign_in("bob")
    return pages(browser)
