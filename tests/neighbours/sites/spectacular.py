"""drf-spectacular: the schema of a versioned API, and the views that it describes."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import PASSWORD, Browser, case

urlpatterns = [
    *views.urlpatterns,
    path("api/<version>/auth/", include("jwtauth.urls", namespace="versioned")),
    path("api/<version>/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("schema/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
]


@case([200, True, True, True], ways=(BY_JWTAUTH,))
def the_schema_lists_the_views_of_its_version(browser: Browser) -> Any:
    answer = browser.get("/api/v1/schema/?format=json")
    schema = answer.json()
    paths = schema["paths"]
    return [
        answer.status_code,
        "/api/v1/auth/login/" in paths and "/api/v1/auth/sessions/{id}/" in paths,
        not any("version" in path for path in paths),
        bool(schema["components"]["securitySchemes"]),
    ]


@case([200, 200, 200, 204, 403], ways=(BY_JWTAUTH,))
def the_versioned_views_answer(browser: Browser) -> Any:
    credentials = {"username": "ada", "password": PASSWORD}
    token = browser.post_json("/api/v1/auth/token/", credentials).status_code
    signed_in = browser.post_json("/api/v1/auth/login/", credentials).status_code
    me = browser.get("/api/v2/auth/me/").status_code
    signed_out = browser.post_json("/api/v2/auth/logout/").status_code
    return [token, signed_in, me, signed_out, browser.get("/api/v1/auth/me/").status_code]
