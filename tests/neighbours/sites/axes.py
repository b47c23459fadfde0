"""django-axes: a user is locked out after three wrong passwords."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path

from tests.neighbours import views
from tests.neighbours.site import PASSWORD, Browser, case

urlpatterns = [*views.urlpatterns, path("admin/", admin.site.urls)]


def attempt(browser: Browser, password: str, name: str = "chief") -> bool | int:
    """Return whether the password signed in, or 429 if django-axes refused it."""
    credentials = {"username": name, "password": password}
    if browser.by_jwtauth:
        response = browser.post_json("/auth/login/", credentials)
    else:
        response = browser.post("/admin/login/", credentials)
    return 429 if response.status_code == 429 else browser.see("/who/") == name


@case([False, False, 429, 429, None])
def a_user_is_locked_out(browser: Browser) -> Any:
    return [*(attempt(browser, password) for password in ("a", "b", "c", PASSWORD)), browser.see("/who/")]


@case([False, False, True, True])
def a_right_password_in_time_signs_in(browser: Browser) -> Any:
    return [
        *(attempt(browser, password) for password in ("a", "b", PASSWORD)),
        browser.see("/who/required/") == "chief",
    ]


@case(["ada", 403, "ada"])
def a_user_who_is_locked_out_stays_signed_in_elsewhere(browser: Browser) -> Any:
    browser.sign_in()
    before = browser.see("/who/drf/")
    other = Browser("asgi" if browser.is_async else "wsgi", None)
    for password in ("a", "b", "c"):
        attempt(other, password, "ada")
    return [before, other.see("/who/drf/"), browser.see("/who/drf/")]


@case([401, 401, 429, 429], ways=("jwtauth",))
def the_token_view_locks_out_too(browser: Browser) -> Any:
    data = [{"username": "ada", "password": password} for password in ("a", "b", "c", PASSWORD)]
    return [browser.post_json("/auth/token/", each).status_code for each in data]
