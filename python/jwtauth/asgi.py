"""WebSocket authentication by the cookies or the bearer token of the handshake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from io import BytesIO
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.http import HttpResponse

from jwtauth.conf import get_config
from jwtauth.exceptions import CrossOriginRefused, SessionContention
from jwtauth.internal import bearer
from jwtauth.internal.flow import Flow
from jwtauth.internal.refresh import refresh
from jwtauth.internal.response import write
from jwtauth.internal.store import clock, sessions
from jwtauth.request import RequestAuth

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
_T = TypeVar("_T")

# ws and wss start as http and https (RFC 6455 section 3).
_SCHEMES = {"ws": "http", "wss": "https"}
# The messages that carry the response's headers.
_ANSWERS = {"websocket.accept", "websocket.http.response.start"}


class WebSocketAuthMiddleware:
    """Set ``user`` and ``jwtauth`` in the scope of a WebSocket, as ASGI middleware.

    Works with Channels and any other ASGI application. A handshake with cookies is refused with 403 unless it comes
    from the site's own origin or a trusted one. A handshake with an invalid token in ``Authorization`` is refused with
    401. Like any request, a handshake may refresh the session. The message that accepts it sets the cookies. Other
    scopes are passed on unchanged.
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
                challenge = flow.identity.challenge or bearer.CHALLENGE
                headers = [(b"www-authenticate", challenge.encode()), *_headers(flow)]
                await _refuse(scope, receive, send, 401, headers)
            else:
                if not user.is_authenticated:
                    user = scope.get("user", user)
                await self.app({**scope, "user": user, "jwtauth": auth}, receive, _with_headers(flow, send))


async def is_signed_in(scope: Scope) -> bool:
    """Return whether the session that opened this WebSocket is still live. Makes one query.

    A WebSocket may stay open for days. Call this before sensitive operations or at intervals, and close the WebSocket
    if it returns ``False``.
    """
    flow = scope["jwtauth"]._flow
    return flow.claims is not None and await _with_connections(_is_live, flow, flow.claims.session_id)


async def _with_connections(function: Callable[..., _T], *args: Any) -> _T:
    """Call the function in a thread, and close old database connections before and after, as for a request."""

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
    flow.request.close()  # as Django does after a response: a refresh may then remove expired sessions
    return auth.user if found is None else found.user


def _handshake(scope: Scope) -> Any:
    # daphne does not set the scheme. ``Secure`` cookies arrive by TLS only.
    scheme = scope.get("scheme") or ("wss" if get_config().cookie_secure else "ws")
    request = ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": _SCHEMES.get(scheme, scheme)}, BytesIO())
    request.META["HTTP_UPGRADE"] = "websocket"
    return request


def _headers(flow: Flow) -> Headers:
    """Return the cookies of a refresh, and the nonce for a client's next proof."""
    response = HttpResponse()
    write(flow, response)
    nonce = response.headers.get("DPoP-Nonce")
    headers = [] if nonce is None else [(b"dpop-nonce", nonce.encode())]
    return headers + [(b"set-cookie", cookie.OutputString().encode()) for cookie in response.cookies.values()]


def _with_headers(flow: Flow, send: Send) -> Send:
    """Return a ``send`` that adds cookies and a nonce to the answer of the handshake."""
    headers = _headers(flow)
    if not headers:
        return send

    async def send_with_headers(message: Any) -> None:
        if message["type"] in _ANSWERS:
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_with_headers


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, headers: Headers = ()) -> None:
    """Refuse the handshake with this status, or with 403 if the server supports no other."""
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})
