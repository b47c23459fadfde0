"""django-allauth: its account pages, with receivers that call jwtauth."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.urls import include, path

import jwtauth
from tests.neighbours import site, views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case

user_logged_in.connect(views.hand_on)


@receiver(password_changed)
def stay_signed_in(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    if site.signed_in_by == BY_JWTAUTH:
        jwtauth.update_session_auth_hash(request, user)


ORDERS = ("recommended", "0.0.8")
urlpatterns = [*views.urlpatterns, path("accounts/", include("allauth.urls"))]
PAGES = ("/who/", "/who/async/", "/who/drf/", "/who/required/")
ANONYMOUS = [None, None, 403, 302]
NEW_PASSWORD = "staple battery horse"


def pages(browser: Browser) -> list[Any]:
    return [browser.see(page) for page in PAGES]


def sign_in(browser: Browser, name: str = "ada", password: str = PASSWORD) -> int:
    return browser.post("/accounts/login/", {"login": name, "password": password}).status_code


@case([200, ANONYMOUS, 302, ["ada"] * 4, 302, ANONYMOUS], orders=ORDERS)
def the_login_and_logout_pages_sign_in_and_out(browser: Browser) -> Any:
    refused, before = sign_in(browser, password="wrong"), pages(browser)
    signed_in, during = sign_in(browser), pages(browser)
    return [refused, before, signed_in, during, browser.post("/accounts/logout/").status_code, pages(browser)]


@case(["ada"] * 4, orders=ORDERS)
def the_user_stays_signed_in_when_tokens_are_refreshed(browser: Browser) -> Any:
    sign_in(browser)
    seen = []
    for page in PAGES:
        browser.outlive_access_token()
        seen.append(browser.see(page))
    return seen


@case([302, ["new"] * 4], orders=ORDERS)
def the_sign_up_page_signs_in(browser: Browser) -> Any:
    data = {"username": "new", "email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}
    return [browser.post("/accounts/signup/", data).status_code, pages(browser)]


@case([302, ["ada"] * 4, ANONYMOUS], orders=ORDERS)
def the_password_page_ends_only_the_sessions_of_other_browsers(browser: Browser) -> Any:
    other = Browser("asgi" if browser.is_async else "wsgi", None)
    for each in (browser, other):
        sign_in(each)
    data = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    return [browser.post("/accounts/password/change/", data).status_code, pages(browser), pages(other)]


@case([ANONYMOUS, ANONYMOUS], orders=ORDERS)
def an_inactive_user_is_signed_out(browser: Browser) -> Any:
    sign_in(browser)
    get_user_model().objects.filter(username="ada").update(is_active=False)
    seen = pages(browser)
    sign_in(browser)
    return [seen, pages(browser)]
