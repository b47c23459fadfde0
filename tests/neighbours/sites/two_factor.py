"""django-two-factor-auth: its login wizard, with a receiver of ``user_logged_in`` that calls jwtauth."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django_otp.decorators import otp_required
from django_otp.oath import TOTP
from rest_framework.response import Response
from two_factor.urls import urlpatterns as two_factor_patterns

from tests.neighbours import views
from tests.neighbours.site import PASSWORD, Browser, case

user_logged_in.connect(views.hand_on)


def is_verified(request: HttpRequest) -> JsonResponse:
    return JsonResponse([views.name_of(request.user), request.user.is_verified()], safe=False)


class DrfIsVerified(views.View):
    def get(self, request: Any) -> Response:
        return Response([views.name_of(request.user), request.user.is_verified()])


ORDERS = ("recommended", "0.0.8")
urlpatterns = [
    *views.urlpatterns,
    path("verified/", is_verified),
    path("verified/drf/", DrfIsVerified.as_view()),
    path("verified/required/", otp_required(is_verified)),
    path("", include(two_factor_patterns)),
]


def pages(browser: Browser) -> list[Any]:
    return [browser.see(page) for page in ("/verified/", "/verified/drf/", "/verified/required/")]


def first_step(browser: Browser) -> int:
    data = {"login_view-current_step": "auth", "auth-username": "ada", "auth-password": PASSWORD}
    return browser.post("/account/login/", data).status_code


def second_step(browser: Browser, wrong: int = 0) -> int:
    device = get_user_model().objects.get(username="ada").totpdevice_set.get()
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
    totp.time = time.time()
    data = {"login_view-current_step": "token", "token-otp_token": f"{(totp.token() + wrong) % 10**6:06}"}
    return browser.post("/account/login/", data).status_code


def give_device() -> None:
    get_user_model().objects.get(username="ada").totpdevice_set.create(name="default")


ANONYMOUS = [[None, False], 403, 302]


@case([200, ANONYMOUS, 302, [["ada", True]] * 3], orders=ORDERS)
def the_wizard_signs_in_with_both_steps(browser: Browser) -> Any:
    give_device()
    first, between = first_step(browser), pages(browser)
    return [first, between, second_step(browser), pages(browser)]


@case([200, 200, ANONYMOUS], orders=ORDERS)
def a_wrong_second_step_does_not_sign_in(browser: Browser) -> Any:
    give_device()
    return [first_step(browser), second_step(browser, wrong=1), pages(browser)]


@case([302, [["ada", False], ["ada", False], 302]], orders=ORDERS)
def the_wizard_signs_in_without_a_device(browser: Browser) -> Any:
    return [first_step(browser), pages(browser)]


@case([[["ada", True]] * 3, ANONYMOUS], orders=ORDERS)
def the_second_factor_lasts_as_long_as_the_session(browser: Browser) -> Any:
    give_device()
    first_step(browser)
    second_step(browser)
    seen = []
    for page in ("/verified/", "/verified/drf/", "/verified/required/"):
        browser.outlive_access_token()
        seen.append(browser.see(page))
    browser.sign_out()
    return [seen, pages(browser)]


@case([302, [["ada", True]] * 3], orders=ORDERS)
def the_wizard_replaces_the_session_of_another_user(browser: Browser) -> Any:
    give_device()
    browser.sign_in("bob")
    first_step(browser)
    return [second_step(browser), pages(browser)]
