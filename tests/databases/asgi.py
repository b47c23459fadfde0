"""The test project as an ASGI server runs it: the site, and a WebSocket by Channels."""

import json
import os

from tests.databases.site import orders  # sets Django up; isort: skip

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.urls import path

from jwtauth.asgi import WebSocketAuthMiddleware, is_signed_in


class Echo(AsyncWebsocketConsumer):
    """Echo each message with its user's key, for as long as the session lasts."""

    async def connect(self):
        if self.scope["user"].is_authenticated:
            await self.accept()
        else:
            await self.close()

    async def receive(self, text_data=None, bytes_data=None):
        if await is_signed_in(self.scope):
            await self.send(f"{self.scope['user'].pk}: {text_data}")
        else:
            await self.close(code=4001)


django_application = ASGIHandler()


async def http(scope, receive, send):
    headers = dict(scope["headers"])
    order = (headers.get(name) for name in (b"x-die-at", b"x-pause-at", b"x-pause-file"))
    orders.set(tuple(word and word.decode() for word in order))
    await django_application(scope, receive, recorded(scope, send) if "JWTAUTH_TEST_REQUESTS" in os.environ else send)


def recorded(scope, send):
    """Record the status of each response, also of those that no view returns."""

    async def recording(message):
        if message["type"] == "http.response.start":
            line = json.dumps([scope["method"], scope["path"], message["status"]])
            with open(os.environ["JWTAUTH_TEST_REQUESTS"], "a") as file:  # one write, so lines stay whole
                file.write(f"{line}\n")
        await send(message)

    return recording


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": WebSocketAuthMiddleware(URLRouter([path("ws/", Echo.as_asgi())])),
    }
)
