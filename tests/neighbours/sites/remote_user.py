"""Django's ``RemoteUserMiddleware``, on either side of jwtauth's: a web server names the user."""

from __future__ import annotations

from typing import Any

from tests.neighbours import views
from tests.neighbours.site import Browser, case

urlpatterns = views.urlpatterns
PAGES = ("/who/", "/who/async/", "/who/required/")
POSITIONS = ("before jwtauth's", "after jwtauth's", "0.0.8")


def named(browser: Browser, name: str) -> dict[str, Any]:
    """Return how the server names a user: in the environment of WSGI, in a header of ASGI."""
    return {"headers": {"remote-user": name}} if browser.is_async else {"REMOTE_USER": name}


def pages(browser: Browser, name: str | None = None) -> list[Any]:
    return [browser.see(page, **named(browser, name) if name else {}) for page in PAGES]


@case([["eve"] * 3, [None, None, 302]], orders=POSITIONS)
def the_user_that_the_server_names_is_signed_in(browser: Browser) -> Any:
    return [pages(browser, "eve"), pages(browser)]


@case([["ada"] * 3, "ada"], orders=POSITIONS)
def a_user_stays_signed_in_if_the_server_names_none(browser: Browser) -> Any:
    browser.sign_in()
    seen = []
    for page in PAGES:
        browser.outlive_access_token()
        seen.append(browser.see(page))
    return [seen, browser.see("/who/drf/")]


@case([["ada"] * 3, ["ada"] * 3, "ada"], orders=POSITIONS)
def a_user_stays_signed_in_if_the_server_names_the_same(browser: Browser) -> Any:
    browser.sign_in()
    return [pages(browser, "ada"), pages(browser, "ada"), browser.see("/who/drf/", **named(browser, "ada"))]


@case([["eve"] * 3, [None, None, 302]], orders=POSITIONS)
def a_user_named_by_the_server_replaces_the_signed_in_user(browser: Browser) -> Any:
    browser.sign_in()
    return [pages(browser, "eve"), pages(browser)]
