"""django-debug-toolbar: its panels show no token."""

from __future__ import annotations

import json
from typing import Any

from debug_toolbar.store import get_store
from debug_toolbar.toolbar import DebugToolbar
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from tests.neighbours import views
from tests.neighbours.site import Browser, case


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"<!doctype html><title>Page</title><body>{views.name_of(request.user)}</body>")


urlpatterns = [
    *views.urlpatterns,
    path("page/", page),
    path("admin/", admin.site.urls),
    path("__debug__/", include("debug_toolbar.urls")),
]


def shown() -> str:
    """Return everything that the panels have stored, and what they show."""
    store = get_store()
    texts = []
    for request_id in store.request_ids():
        toolbar = DebugToolbar.fetch(request_id)
        texts += [json.dumps(dict(store.panels(request_id)), default=str)]
        texts += [str(panel.content) for panel in toolbar.enabled_panels]
    return "\n".join(texts)


@case([200, True, "ada", True, []], orders=("recommended", "0.0.8"))
def pages_have_the_toolbar_without_tokens(browser: Browser) -> Any:
    get_store().clear()
    browser.sign_in()
    tokens = set(browser.tokens())
    browser.outlive_access_token()
    answer = browser.get("/page/")
    tokens |= set(browser.tokens())
    name = "ada" if ">ada" in answer.content.decode() else None
    text = shown()
    # The control's session key is in its SQL.
    leaks = [token for token in tokens if token in text and browser.by_jwtauth]
    return [answer.status_code, "djDebug" in answer.content.decode(), name, "/page/" in text, leaks]


@case([200, 200, 200])
def the_admin_has_the_toolbar(browser: Browser) -> Any:
    browser.sign_in("chief")
    return [browser.get(page).status_code for page in ("/admin/", "/admin/jwtauth/session/", "/admin/auth/user/")]
