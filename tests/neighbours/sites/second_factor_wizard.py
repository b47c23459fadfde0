"""django-two-factor-auth beside ``SECOND_FACTOR``: its wizard asks for both factors, other logins wait."""

from __future__ import annotations

from typing import Any

import django_otp
from django.urls import include, path
from two_factor.urls import urlpatterns as two_factor_patterns

from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case
from tests.neighbours.totp import code_of, enrol

guide = views.run_example("second-factor.md", "wizard")


def enrolled(user: Any) -> list[str]:
    return ["otp"] if django_otp.user_has_device(user) else []


ORDERS = ("recommended", "0.0.8")
urlpatterns = [*views.urlpatterns, path("", include(two_factor_patterns))]
PAGES = ("/who/", "/who/async/", "/who/drf/", "/who/required/")
ANONYMOUS = [None, None, 403, 302]


def pages(browser: Browser) -> list[Any]:
    return [browser.see(page) for page in PAGES]


def password(browser: Browser) -> int:
    data = {"login_view-current_step": "auth", "auth-username": "ada", "auth-password": PASSWORD}
    return browser.post("/account/login/", data).status_code


def code(browser: Browser, text: str) -> int:
    data = {"login_view-current_step": "token", "token-otp_token": text}
    return browser.post("/account/login/", data).status_code


@case([200, ANONYMOUS, 200, ANONYMOUS], orders=ORDERS)
def the_wizard_does_not_sign_in_with_the_password_or_a_wrong_code(browser: Browser) -> Any:
    enrol()
    first, between = password(browser), pages(browser)
    return [first, between, code(browser, code_of(wrong=1)), pages(browser)]


@case([200, 302, ["ada"] * 4], orders=ORDERS)
def the_wizard_signs_in_with_both_factors(browser: Browser) -> Any:
    enrol()
    return [password(browser), code(browser, code_of()), pages(browser)]


@case([302, ["ada"] * 4], orders=ORDERS)
def the_wizard_signs_in_a_user_without_a_device(browser: Browser) -> Any:
    return [password(browser), pages(browser)]


@case([403, ANONYMOUS, 302, ["ada"] * 4], orders=ORDERS, ways=(BY_JWTAUTH,))
def another_login_waits_and_the_wizard_completes_it(browser: Browser) -> Any:
    enrol()
    other = browser.post_json("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code
    between = pages(browser)
    password(browser)
    return [other, between, code(browser, code_of()), pages(browser)]
