"""sentry-sdk: events name the user if allowed, and hold no token or password."""

from __future__ import annotations

import json
from typing import Any

import sentry_sdk
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import path
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
from sentry_sdk.transport import Transport

from jwtauth.signals import refresh_token_reused, session_ended
from tests.neighbours import views
from tests.neighbours.servers import ask
from tests.neighbours.site import PASSWORD, TOKEN_START, Browser, case


class Kept(Transport):
    """Keep events in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events += [item.payload.json for item in envelope.items if item.payload.json is not None]


kept = Kept()


def watch(**options: Any) -> None:
    """Restart sentry-sdk with these options."""
    global kept
    kept = Kept()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:1/1",
        transport=kept,
        integrations=[DjangoIntegration(), LoggingIntegration()],
        traces_sample_rate=1.0,
        max_request_body_size="always",
        **options,
    )


def errors() -> list[dict[str, Any]]:
    return [event for event in kept.events if "exception" in event]


def fail(request: HttpRequest) -> None:
    raise RuntimeError(f"for {bool(request.user.is_authenticated)}")


async def async_fail(request: HttpRequest) -> None:
    user = await request.auser()
    raise RuntimeError(f"for {user.is_authenticated}")


class DrfFail(views.View):
    def get(self, request: Any) -> None:
        raise RuntimeError(f"for {request.user.is_authenticated}")


@receiver(user_logged_in)
def fail_at_login(sender: Any, user: Any, **kwargs: Any) -> None:
    if user.get_username() == "eve":
        raise RuntimeError("eve")


@receiver(refresh_token_reused)
@receiver(session_ended)
def fail_at_end(sender: Any, session: Any, **kwargs: Any) -> None:
    if session.user.get_username() == "bob":
        raise RuntimeError("bob")


urlpatterns = [
    *views.urlpatterns,
    path("fail/", fail),
    path("fail/async/", async_fail),
    path("fail/drf/", DrfFail.as_view()),
]
PAGES = ("/fail/", "/fail/async/", "/fail/drf/")


def ask_all(browser: Browser) -> list[int]:
    statuses = []
    for page in PAGES:
        browser.outlive_access_token()
        statuses.append(ask(browser, page))
    return statuses


def leaks(*secrets: str) -> list[str]:
    text = json.dumps(kept.events)
    return [secret for secret in secrets if secret in text]


@case([[500] * 3, ["ada"] * 3])
def events_name_the_user_if_allowed(browser: Browser) -> Any:
    watch(send_default_pii=True)
    browser.sign_in()
    return [ask_all(browser), [event.get("user", {}).get("username") for event in errors()]]


@case([[500] * 3, [None] * 3, []])
def events_have_no_user_and_no_token_by_default(browser: Browser) -> Any:
    watch()
    browser.sign_in()
    statuses = ask_all(browser)
    users = [event.get("user", {}).get("username") for event in errors()]
    return [statuses, users, leaks(*browser.tokens())]


@case([[500] * 3, ["ada"] * 3, []])
def events_name_the_user_without_tokens_if_the_cookies_are_on_the_denylist(browser: Browser) -> Any:
    denylist = [*DEFAULT_DENYLIST, "access_token", "refresh_token"]
    watch(send_default_pii=True, event_scrubber=EventScrubber(denylist, recursive=True, send_default_pii=True))
    browser.sign_in()
    statuses = ask_all(browser)
    users = [event.get("user", {}).get("username") for event in errors()]
    return [statuses, users, leaks(*browser.tokens())]


@case([[500, 500], 2, []], ways=("jwtauth",))
def errors_of_a_login_hold_no_password_and_no_token(browser: Browser) -> Any:
    watch()
    body = json.dumps({"username": "eve", "password": PASSWORD}).encode()
    statuses = [ask(browser, f"/auth/{page}/", body) for page in ("login", "token")]
    return [statuses, len(errors()), leaks(PASSWORD, TOKEN_START)]


@case([True, []], ways=("jwtauth",))
def errors_of_a_logout_hold_no_token(browser: Browser) -> Any:
    watch()
    browser.sign_in("bob")
    ask(browser, "/sign-out/")
    return [bool(errors()), leaks(*browser.tokens(), TOKEN_START)]


@case([[200], True, []], ways=("jwtauth",))
def errors_of_a_refresh_by_cookies_hold_no_token(browser: Browser) -> Any:
    watch()
    browser.sign_in("bob")
    copied = browser.client.cookies["refresh_token"].value
    for _ in range(2):
        browser.outlive_access_token()
        browser.see("/who/")
        browser.see("/who/")
    later = browser.tokens()
    del browser.client.cookies["access_token"]
    browser.client.cookies["refresh_token"] = copied
    return [[ask(browser, "/who/")], bool(errors()), leaks(*later, TOKEN_START)]


@case([[401], True, []], ways=("jwtauth",))
def errors_of_a_refresh_by_the_body_hold_no_token_if_its_field_is_on_the_denylist(browser: Browser) -> Any:
    watch(event_scrubber=EventScrubber([*DEFAULT_DENYLIST, "refresh"]))
    tokens = [browser.post_json("/auth/token/", {"username": "bob", "password": PASSWORD}).json()]
    for _ in range(2):
        browser.outlive_access_token()
        tokens.append(browser.post_json("/auth/token/refresh/", {"refresh": tokens[-1]["refresh"]}).json())
    browser.outlive_access_token()
    body = json.dumps({"refresh": tokens[0]["refresh"]}).encode()
    return [[ask(browser, "/auth/token/refresh/", body)], bool(errors()), leaks(TOKEN_START)]


@case([True, []])
def traces_hold_no_token(browser: Browser) -> Any:
    watch(send_default_pii=False)
    browser.sign_in()
    browser.outlive_access_token()
    for page in ("/who/", "/who/async/", "/who/drf/"):
        ask(browser, page)
    sentry_sdk.flush()
    return [any(event.get("type") == "transaction" for event in kept.events), leaks(*browser.tokens(), TOKEN_START)]
