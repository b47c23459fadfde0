"""django-otp as the second factor of jwtauth's own views: a login without a code waits for it."""

from __future__ import annotations

from typing import Any

import django_otp
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django_otp.decorators import otp_required
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed

import jwtauth
from jwtauth.models import Session
from jwtauth.views import LoginView, TokenView
from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case
from tests.neighbours.totp import code_of, device_of, enrol


def enrolled(user: Any) -> tuple[str, ...]:
    return ("otp",) if django_otp.user_has_device(user) else ()


class CodeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()

    def validate(self, attrs: Any) -> Any:
        pending = self.context["request"].jwtauth.pending
        device = None if pending is None else django_otp.match_token(pending.user, attrs["code"])
        if device is None:
            raise AuthenticationFailed
        pending.user.otp_device = device
        return {"user": pending.user, "methods": ("otp",)}


def is_verified(request: HttpRequest) -> JsonResponse:
    return JsonResponse([views.name_of(request.user), request.user.is_verified()], safe=False)


def plain_code(request: HttpRequest) -> JsonResponse:
    pending = request.jwtauth.pending
    device = None if pending is None else django_otp.match_token(pending.user, request.POST["code"])
    if device is None:
        return JsonResponse({}, status=403)
    jwtauth.login(request, pending.user, methods=("otp",))
    return JsonResponse(views.name_of(request.user), safe=False)


urlpatterns = [
    path("auth/login/code/", LoginView.as_view(serializer_class=CodeSerializer)),
    path("auth/token/code/", TokenView.as_view(serializer_class=CodeSerializer)),
    path("code/", plain_code),
    path("verified/", is_verified),
    path("verified/required/", otp_required(login_required(is_verified))),
    *views.urlpatterns,
]
PAGES = ("/who/", "/who/async/", "/who/drf/", "/who/required/")
ANONYMOUS = [None, None, 403, 302]
REQUIRED = [403, "second_factor_required", ["otp"]]


def pages(browser: Browser) -> list[Any]:
    return [browser.see(page) for page in PAGES]


def password(browser: Browser, path: str = "/auth/login/", name: str = "ada") -> Any:
    return browser.post_json(path, {"username": name, "password": PASSWORD})


def refusal(response: Any) -> list[Any]:
    body = response.json()
    return [response.status_code, body["code"], body["methods"]]


@case([REQUIRED, ANONYMOUS, 403, ANONYMOUS, 200, ["ada"] * 4, ["ada", True], 1], ways=(BY_JWTAUTH,))
def the_code_completes_the_login(browser: Browser) -> Any:
    enrol()
    first, between = refusal(password(browser)), pages(browser)
    wrong = browser.post_json("/auth/login/code/", {"code": code_of(wrong=1)}).status_code
    after_wrong = pages(browser)
    device_of("ada").throttle_reset()
    right = browser.post_json("/auth/login/code/", {"code": code_of()}).status_code
    verified = browser.see("/verified/required/")
    return [first, between, wrong, after_wrong, right, pages(browser), verified, Session.objects.count()]


@case([200, ["ada"] * 4], ways=(BY_JWTAUTH,))
def a_plain_view_completes_the_login(browser: Browser) -> Any:
    enrol()
    password(browser)
    return [browser.post("/code/", {"code": code_of()}).status_code, pages(browser)]


@case([403, 403, ANONYMOUS], ways=(BY_JWTAUTH,))
def the_throttle_of_django_otp_refuses_the_right_code_after_a_wrong_one(browser: Browser) -> Any:
    enrol()
    password(browser)
    codes = [code_of(wrong=1), code_of()]
    return [*(browser.post_json("/auth/login/code/", {"code": code}).status_code for code in codes), pages(browser)]


@case([200, 403, 1], ways=(BY_JWTAUTH,))
def one_code_starts_one_session(browser: Browser) -> Any:
    enrol()
    password(browser)
    waiting = browser.client.cookies["access_token_pending"].value
    code, seen = code_of(), []
    for _ in range(2):
        browser.client.cookies.clear()
        browser.client.cookies["access_token_pending"] = waiting
        seen.append(browser.post_json("/auth/login/code/", {"code": code}).status_code)
    return [*seen, Session.objects.count()]


@case([403, ANONYMOUS], ways=(BY_JWTAUTH,))
def the_code_of_another_user_does_not_complete_the_login(browser: Browser) -> Any:
    for name in ("ada", "bob"):
        enrol(name)
    password(browser)
    return [browser.post_json("/auth/login/code/", {"code": code_of("bob")}).status_code, pages(browser)]


@case([REQUIRED, 403, 200, 200], ways=(BY_JWTAUTH,))
def an_app_sends_the_code_with_the_value_that_it_was_given(browser: Browser) -> Any:
    enrol()
    first = password(browser, "/auth/token/")
    data = {"code": code_of()}
    without = browser.post_json("/auth/token/code/", data).status_code
    answer = browser.post_json("/auth/token/code/", data, headers={"X-Jwtauth-Pending": first.json()["pending"]})
    bearer = {"Authorization": f"Bearer {answer.json()['access']}"}
    me = browser.get("/auth/me/", headers=bearer).status_code
    return [refusal(first), without, answer.status_code, me]


@case([200, ["bob"] * 4], ways=(BY_JWTAUTH,))
def a_user_without_a_device_is_signed_in_by_the_password(browser: Browser) -> Any:
    enrol()
    return [password(browser, name="bob").status_code, pages(browser)]


@case([403, ANONYMOUS])
def the_next_user_of_the_browser_does_not_see_the_session_before(browser: Browser) -> Any:
    enrol()
    browser.sign_in("bob")
    return [password(browser).status_code, pages(browser)]
