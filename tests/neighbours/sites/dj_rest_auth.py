"""dj-rest-auth under another prefix: each package accepts its own tokens only."""

from __future__ import annotations

import json
from typing import Any

from dj_rest_auth.jwt_auth import JWTCookieAuthentication
from django.urls import include, path
from rest_framework.response import Response

from tests.neighbours import views
from tests.neighbours.site import PASSWORD, Browser, case


class OtherWho(views.DrfWho):
    """Authenticate by dj-rest-auth only."""

    authentication_classes = [JWTCookieAuthentication]

    def get_authenticators(self) -> list[Any]:
        return [JWTCookieAuthentication()]

    def get(self, request: Any) -> Response:
        return Response(views.name_of(request.user))


urlpatterns = [
    *views.urlpatterns,
    path("other/who/", OtherWho.as_view()),
    path("other/", include("dj_rest_auth.urls")),
]


def foreign_token(browser: Browser, name: str) -> str:
    """Return a token of dj-rest-auth, requested by another client."""
    other = Browser("asgi" if browser.is_async else "wsgi", None)
    answer = other.post_json("/other/login/", {"username": name, "password": PASSWORD})
    return json.loads(answer.content)["access"]


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"authorization": f"Bearer {token}"}}


@case(["bob", "bob", "bob", "bob"])
def a_later_login_by_dj_rest_auth_wins(browser: Browser) -> Any:
    browser.sign_in()
    browser.post_json("/other/login/", {"username": "bob", "password": PASSWORD})
    return [browser.see(page) for page in ("/who/", "/who/async/", "/who/required/", "/other/who/")]


@case([403, 401, "bob"], ways=("jwtauth",))
def tokens_of_dj_rest_auth_count_in_its_views_only(browser: Browser) -> Any:
    token = foreign_token(browser, "bob")
    browser.client.cookies["their-auth"] = token
    by_cookie = browser.see("/who/drf/")
    return [by_cookie, browser.see("/who/drf/", **bearer(token)), browser.see("/other/who/")]


@case(["bob", 401, "ada", "ada"], ways=("jwtauth",))
def a_foreign_bearer_token_leaves_the_cookies_alone(browser: Browser) -> Any:
    browser.sign_in()
    token = bearer(foreign_token(browser, "bob"))
    seen = [browser.see("/other/who/", **token), browser.see("/who/drf/", **token)]
    return [*seen, browser.see("/who/drf/"), browser.see("/who/")]


@case([401, "ada"], ways=("jwtauth",))
def tokens_of_jwtauth_do_not_count_in_views_of_dj_rest_auth(browser: Browser) -> Any:
    answer = browser.post_json("/auth/token/", {"username": "ada", "password": PASSWORD})
    token = bearer(json.loads(answer.content)["access"])
    return [browser.see("/other/who/", **token), browser.see("/who/drf/", **token)]
