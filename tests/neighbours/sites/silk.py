"""django-silk: requests are recorded without tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

from django.core import serializers
from django.urls import include, path
from silk.config import SilkyConfig
from silk.models import Request, Response, SQLQuery

from tests.neighbours import views
from tests.neighbours.site import PASSWORD, Browser, case

urlpatterns = [*views.urlpatterns, path("silk/", include("silk.urls", namespace="silk"))]


def recorded() -> str:
    rows = [*Request.objects.all(), *Response.objects.all(), *SQLQuery.objects.all()]
    bodies = [base64.b64decode(response.raw_body).decode() for response in Response.objects.all()]
    return "\n".join([serializers.serialize("json", rows), *bodies])


@case([["ada", "ada", "ada"], 5, []])
def requests_are_recorded_without_tokens(browser: Browser) -> Any:
    browser.sign_in()
    tokens = set(browser.tokens())
    browser.outlive_access_token()
    seen = [browser.see(page) for page in ("/who/", "/who/async/", "/who/drf/")]
    tokens |= set(browser.tokens())
    browser.sign_out()
    text = recorded()
    # The control's session key is in its SQL.
    leaks = [token for token in tokens if token in text and browser.by_jwtauth]
    return [seen, Request.objects.count(), leaks]


@case([200, 200, 1, []], ways=("jwtauth",))
def a_login_is_recorded_without_password_and_tokens(browser: Browser) -> Any:
    status = browser.post_json("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code
    text = recorded()
    secrets = [PASSWORD, *browser.tokens()]
    rows = Request.objects.count()
    return [status, browser.get("/silk/requests/").status_code, rows, [one for one in secrets if one in text]]


@case([200, 200, 0, []], ways=("jwtauth",))
def token_views_are_not_recorded_if_ignored(browser: Browser) -> Any:
    """django-silk stores each response's body unmasked, and the bodies of these views contain the tokens."""
    SilkyConfig().attrs["SILKY_IGNORE_PATHS"] = ["/auth/token/", "/auth/token/refresh/"]
    try:
        first = browser.post_json("/auth/token/", {"username": "ada", "password": PASSWORD})
        refresh_token = json.loads(first.content)["refresh"]
        second = browser.post_json("/auth/token/refresh/", {"refresh": refresh_token})
    finally:
        SilkyConfig().attrs["SILKY_IGNORE_PATHS"] = []
    text, rows = recorded(), Request.objects.count()
    leaks = [
        value for answer in (first, second) for value in map(str, json.loads(answer.content).values()) if value in text
    ]
    return [first.status_code, second.status_code, rows, leaks]
