"""WebSockets: who opened one, by the cookies of the handshake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpResponse

from jwtauth.conf import get_config
from jwtauth.exceptions import CrossOriginRefused, SessionContention
from jwtauth.internal.flow import Flow
from jwtauth.internal.refresh import refresh
from jwtauth.internal.response import write
from jwtauth.internal.store import clock, sessions
from jwtauth.request import RequestAuth

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_T = TypeVar("_T")

# ws and wss are http and https before the upgrade (RFC 6455 section 3).
_SCHEMES = {"ws": "http", "wss": "https"}
# The messages that carry the response's headers.
_ANSWERS = {"websocket.accept", "websocket.http.response.start"}


class WebSocketAuthMiddleware:
    """ASGI middleware that puts ``user`` and ``jwtauth`` into the scope of a WebSocket.

    For Channels and any other ASGI application. A handshake with cookies must come from the site's own or a trusted
    origin, or it is refused with 403; one with an invalid ``Authorization: Bearer`` with 401. A handshake refreshes the
    session as any request does, and its cookies are set by the message that accepts it. Other scopes pass.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        flow = Flow.attach(request := _handshake(scope))
        auth: RequestAuth = request.jwtauth
        try:
            flow.identify()
            asks = flow.needs_refresh or not flow.is_resolved
            user = await _with_connections(_who, flow, auth) if asks else auth.user
        except CrossOriginRefused:
            await _refuse(scope, receive, send, 403)
        except SessionContention:
            await _refuse(scope, receive, send, 503)
        else:
            if auth.is_bearer and not user.is_authenticated:
                await _refuse(scope, receive, send, 401)
            else:
                if not user.is_authenticated:
                    user = scope.get("user", user)
                await self.app({**scope, "user": user, "jwtauth": auth}, receive, _with_cookies(flow, send))


async def is_signed_in(scope: Scope) -> bool:
    """Whether the session that opened this WebSocket is still live: asks the database.

    A WebSocket may stay open for days. Ask before what matters, or now and then, and close it where the answer is no.
    """
    flow = scope["jwtauth"]._flow
    return flow.claims is not None and await _with_connections(_is_live, flow, flow.claims.session_id)


async def _with_connections(function: Callable[..., _T], *args: Any) -> _T:
    """In a thread, with connections to the database as a request has them: nobody else closes those that are old."""

    def call() -> _T:
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()

    return await sync_to_async(call)()


def _is_live(flow: Flow, session_id: Any) -> bool:
    found = sessions.find(session_id)
    return found is not None and not flow.config.policy.is_over(found.row, clock.now())


def _who(flow: Flow, auth: RequestAuth) -> Any:
    refresh(flow)
    found = flow.found
    flow.run_deferred()
    flow.request.close()  # as Django does after a response: removes expired sessions, if a refresh is to
    return auth.user if found is None else found.user


def _handshake(scope: Scope) -> Any:
    # daphne names no scheme: cookies that are ``Secure`` have come by TLS.
    scheme = scope.get("scheme") or ("wss" if get_config().cookie_secure else "ws")
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": _SCHEMES.get(scheme, scheme)}, BytesIO())
    request.META["HTTP_UPGRADE"] = "websocket"
    return request


def _with_cookies(flow: Flow, send: Send) -> Send:
    """Put the cookies of a refresh on the message that answers the handshake."""
    response = HttpResponse()
    write(flow, response)
    headers = [(b"set-cookie", cookie.OutputString().encode()) for cookie in response.cookies.values()]
    if not headers:
        return send

    async def send_with_cookies(message: Any) -> None:
        if message["type"] in _ANSWERS:
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_with_cookies


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    """Before it is accepted: the client sees this status, or 403 where the server cannot say another."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})
