"""django-allauth with its MFA beside ``SECOND_FACTOR``: its pages ask for both factors, other logins wait."""

from __future__ import annotations

import time
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.contrib.auth import get_user_model
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

import jwtauth
from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case

guide = views.run_example("second-factor.md", "allauth")
enrolled = guide["enrolled"]


def code_view(request: HttpRequest) -> JsonResponse:
    """Complete a login of jwtauth's own views with allauth's code."""
    pending = request.jwtauth.pending
    found = Authenticator.objects.filter(user=pending.user, type=Authenticator.Type.TOTP).first()
    if found is None or not found.wrap().validate_code(request.POST["code"]):
        return JsonResponse({}, status=403)
    jwtauth.login(request, pending.user, methods=("otp",))
    return JsonResponse(views.name_of(request.user), safe=False)


ORDERS = ("recommended", "0.0.8")
urlpatterns = [*views.urlpatterns, path("code/", code_view), path("accounts/", include("allauth.urls"))]
PAGES = ("/who/", "/who/async/", "/who/drf/", "/who/required/")
ANONYMOUS = [None, None, 403, 302]
SECRET = "JBSWY3DPEHPK3PXP"


def pages(browser: Browser) -> list[Any]:
    return [browser.see(page) for page in PAGES]


def enrol() -> None:
    TOTP.activate(get_user_model().objects.get(username="ada"), SECRET)


def code_of(wrong: int = 0) -> str:
    value = hotp_value(SECRET, int(time.time()) // app_settings.TOTP_PERIOD)
    return format_hotp_value((value + wrong) % 10**6)


def password(browser: Browser) -> list[Any]:
    response = browser.post("/accounts/login/", {"login": "ada", "password": PASSWORD})
    return [response.status_code, response.get("Location")]


def code(browser: Browser, text: str) -> int:
    return browser.post("/accounts/2fa/authenticate/", {"code": text}).status_code


ASKED = [302, "/accounts/2fa/authenticate/"]


@case([ASKED, ANONYMOUS, 200, ANONYMOUS], orders=ORDERS)
def the_pages_do_not_sign_in_with_the_password_or_a_wrong_code(browser: Browser) -> Any:
    enrol()
    first, between = password(browser), pages(browser)
    return [first, between, code(browser, code_of(wrong=1)), pages(browser)]


@case([ASKED, 302, ["ada"] * 4], orders=ORDERS)
def the_pages_sign_in_with_both_factors(browser: Browser) -> Any:
    enrol()
    return [password(browser), code(browser, code_of()), pages(browser)]


@case([[302, "/who/"], ["ada"] * 4], orders=ORDERS)
def the_pages_sign_in_a_user_who_has_enrolled_nothing(browser: Browser) -> Any:
    return [password(browser), pages(browser)]


@case([403, ANONYMOUS, 403, 200, ["ada"] * 4], orders=ORDERS, ways=(BY_JWTAUTH,))
def another_login_waits_for_a_code_of_allauth(browser: Browser) -> Any:
    enrol()
    other = browser.post_json("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code
    between = pages(browser)
    codes = [browser.post("/code/", {"code": text}).status_code for text in (code_of(wrong=1), code_of())]
    return [other, between, *codes, pages(browser)]


@case([403, ANONYMOUS, 302, ["ada"] * 4], orders=ORDERS, ways=(BY_JWTAUTH,))
def another_login_waits_and_the_pages_complete_it(browser: Browser) -> Any:
    enrol()
    other = browser.post_json("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code
    between = pages(browser)
    password(browser)
    return [other, between, code(browser, code_of()), pages(browser)]
