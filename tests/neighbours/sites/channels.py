"""Channels: the user of a WebSocket, by its own middleware for Django's session and by jwtauth's."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import URLRouter
from django.urls import path

from jwtauth.asgi import WebSocketAuthMiddleware
from tests.neighbours import views
from tests.neighbours.settings import BY_JWTAUTH
from tests.neighbours.site import Browser, case
from tests.waiting import PATIENCE

urlpatterns = views.urlpatterns


class Who(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send_json(views.name_of(self.scope["user"]))


class SyncWho(JsonWebsocketConsumer):
    def connect(self) -> None:
        self.accept()
        self.send_json(views.name_of(self.scope["user"]))


routes = URLRouter([path("who/", Who.as_asgi()), path("who/sync/", SyncWho.as_asgi())])
BY_SESSION_ALONE, BY_JWTAUTH_ALONE = AuthMiddlewareStack(routes), WebSocketAuthMiddleware(routes)
BY_BOTH = AuthMiddlewareStack(WebSocketAuthMiddleware(routes))
PAGES = ("/who/", "/who/sync/")


def open_at(browser: Browser, page: str, application: Any = None, **headers: str) -> Any:
    """Open a WebSocket, and return its first message, or ``"refused"``."""
    application = application or (BY_JWTAUTH_ALONE if browser.by_jwtauth else BY_SESSION_ALONE)
    headers = {"host": "testserver", "origin": "http://testserver"} | headers
    headers["cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.client.cookies.items())
    return async_to_sync(_open)(application, page, [(name.encode(), value.encode()) for name, value in headers.items()])


async def _open(application: Any, page: str, headers: list[tuple[bytes, bytes]]) -> Any:
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": page,
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
    }
    socket = ApplicationCommunicator(application, scope)
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output(PATIENCE)
    if answer["type"] != "websocket.accept":
        await socket.wait(PATIENCE)
        return "refused"
    said = json.loads((await socket.receive_output(PATIENCE))["text"])
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(PATIENCE)
    return said


@case([[None] * 2, ["ada"] * 2, ["ada"] * 2, [None] * 2], protocols=("asgi",))
def a_websocket_knows_the_user(browser: Browser) -> Any:
    before = [open_at(browser, page) for page in PAGES]
    browser.sign_in()
    during = [open_at(browser, page) for page in PAGES]
    later = []
    for page in PAGES:
        browser.outlive_access_token()
        later.append(open_at(browser, page))
    browser.sign_out()
    return [before, during, later, [open_at(browser, page) for page in PAGES]]


@case([None, "ada", "bob", None], protocols=("asgi",))
def a_websocket_knows_the_user_through_both_middlewares(browser: Browser) -> Any:
    seen = [open_at(browser, "/who/", BY_BOTH)]
    for name in ("ada", "bob"):
        browser.sign_in(name)
        seen.append(open_at(browser, "/who/", BY_BOTH))
    browser.sign_out()
    return [*seen, open_at(browser, "/who/", BY_BOTH)]


@case(["refused", "ada"], protocols=("asgi",), ways=(BY_JWTAUTH,))
def a_websocket_from_a_foreign_page_is_refused(browser: Browser) -> Any:
    browser.sign_in()
    return [open_at(browser, "/who/", origin="https://other.example"), open_at(browser, "/who/")]
