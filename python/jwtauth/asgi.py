"""WebSockets: who opened one, by the cookies of the handshake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections

from jwtauth.exceptions import CrossOriginRefused, SessionContention
from jwtauth.internal.store import sessions
from jwtauth.request import RequestAuth, security_log

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_T = TypeVar("_T")

# ws and wss are http and https before the upgrade (RFC 6455 section 3).
_SCHEMES = {"ws": "http", "wss": "https"}


class WebSocketAuthMiddleware:
    """ASGI middleware that puts ``user`` and ``jwtauth`` into the scope of a WebSocket.

    For Channels and any other ASGI application. A handshake with cookies must come from our own or a trusted origin,
    or it is refused with 403; one with a bad ``Authorization: Bearer`` as well. An access token that has expired is no
    obstacle while the refresh token is good, but nothing is rotated: a handshake sets no cookies. Other scopes pass.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        auth = RequestAuth.attach(_handshake(scope))
        try:
            if auth.identify():
                auth.check_origin()
            asks = auth.needs_refresh or auth.needs_query
            user = await _with_connections(_who, auth) if asks else auth.user
        except CrossOriginRefused as error:
            security_log.warning("cross_origin: %s", error, extra={"event": "cross_origin", "code": error.code})
            await _refuse(scope, receive, send, 403)
        except SessionContention:
            await _refuse(scope, receive, send, 503)
        else:
            if auth.is_bearer and not user.is_authenticated:
                await _refuse(scope, receive, send, 401)
            else:
                await self.app({**scope, "user": user, "jwtauth": auth}, receive, send)


async def is_signed_in(scope: Scope) -> bool:
    """Whether the session that opened this WebSocket is still live: asks the database.

    A WebSocket may stay open for days. Ask before what matters, or now and then, and close it where the answer is no.
    """
    claims = scope["jwtauth"].claims
    return claims is not None and await _with_connections(_is_live, scope["jwtauth"], claims.session_id)


async def _with_connections(function: Callable[..., _T], *args: Any) -> _T:
    """In a thread, with connections to the database as a request has them: nobody else closes those that are old."""

    def call() -> _T:
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()

    return await sync_to_async(call)()


def _is_live(auth: RequestAuth, session_id: Any) -> bool:
    found = sessions.find(session_id)
    return found is not None and not auth.is_over(found.session)


def _who(auth: RequestAuth) -> Any:
    auth.look()
    found = auth.found
    auth.fulfil()
    return auth.user if found is None else found.user


def _handshake(scope: Scope) -> ASGIRequest:
    scheme = _SCHEMES.get(scope.get("scheme", "ws"), "http")
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, BytesIO())
    request.META["HTTP_UPGRADE"] = "websocket"
    return request


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    """Before it is accepted: the client sees this status, or 403 where the server cannot say another."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})
