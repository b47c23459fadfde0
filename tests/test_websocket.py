"""WebSockets: the same cookies, the rule of origin, and no rotation."""

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator

from jwtauth import asgi
from jwtauth.asgi import WebSocketAuthMiddleware, is_signed_in
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, GRACE, IDLE, only_session, refresh

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("origin", "http://testserver")


async def echo_user(scope, receive, send):
    """Says who is there, and again whenever it is asked."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(scope["user"])})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": str(await is_signed_in(scope))})


def headers_of(browser, *headers):
    cookies = "; ".join(f"{name}={value}" for name, value in browser.tokens().items())
    pairs = [("host", "testserver"), *([("cookie", cookies)] if cookies else []), *headers]
    return [(name.encode(), value.encode()) for name, value in pairs]


def open_socket(browser, *headers, extensions=(), between=None):
    """What the server sends when this browser opens a socket, and once more if something happens in between."""

    async def talk():
        scope = {
            "type": "websocket",
            "path": "/ws/",
            "headers": headers_of(browser, *headers),
            "scheme": "ws",
            "extensions": {name: {} for name in extensions},
        }
        socket = ApplicationCommunicator(WebSocketAuthMiddleware(echo_user), scope)
        await socket.send_input({"type": "websocket.connect"})
        first = await socket.receive_output()
        if first["type"] != "websocket.accept":
            return first
        said = [(await socket.receive_output())["text"]]
        if between is not None:
            await sync_to_async(between)()
            await socket.send_input({"type": "websocket.receive", "text": "still?"})
            said.append((await socket.receive_output())["text"])
        await socket.send_input({"type": "websocket.disconnect"})
        await socket.wait()
        return said

    return async_to_sync(talk)()


def test_the_person_of_the_cookies_is_in_the_scope(signed_in):
    assert open_socket(signed_in, OURS) == ["ada"]


def test_without_cookies_it_is_nobody(browser):
    assert open_socket(browser) == ["AnonymousUser"]
    assert open_socket(browser, ("origin", "https://elsewhere.example")) == ["AnonymousUser"]


def test_nobody_s_handshake_does_not_leave_the_event_loop(browser, monkeypatch):
    async def no_thread(*args):
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(asgi, "_with_connections", no_thread)
    assert open_socket(browser) == ["AnonymousUser"]


@pytest.mark.parametrize(
    "headers", [[("origin", "https://elsewhere.example")], [("origin", "null")], [("origin", "https://testserver")], []]
)
def test_another_origin_or_none_is_refused(signed_in, headers):
    assert open_socket(signed_in, *headers) == {"type": "websocket.close", "code": 1008}
    refused = open_socket(signed_in, *headers, extensions=["websocket.http.response"])
    assert (refused["type"], refused["status"]) == ("websocket.http.response.start", 403)
    assert signed_in.who() == "ada"


def test_a_trusted_origin_is_let_in(signed_in, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://elsewhere.example"]
    assert open_socket(signed_in, ("origin", "https://elsewhere.example")) == ["ada"]


def test_an_expired_access_token_is_no_obstacle_and_nothing_is_rotated(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    assert open_socket(signed_in, OURS) == ["ada"]
    assert only_session().generation == 1
    assert signed_in.who() == "ada"


def test_nobody_is_signed_out_or_let_in_by_an_old_token(signed_in, clock):
    tokens = signed_in.tokens()
    refresh(signed_in, clock)
    newest = signed_in.tokens()
    clock.advance(GRACE)
    signed_in.carry(tokens)
    assert open_socket(signed_in, OURS) == ["AnonymousUser"]
    signed_in.carry(newest)
    assert signed_in.who() == "ada"


def test_an_expired_session_is_nobody(signed_in, clock):
    clock.advance(IDLE)
    assert open_socket(signed_in, OURS) == ["AnonymousUser"]


def test_a_bearer_needs_no_origin_and_a_bad_one_is_refused(browser, signed_in):
    token = signed_in.token("access_token")
    browser.cookies.clear()
    assert open_socket(browser, ("authorization", f"Bearer {token}")) == ["ada"]
    refused = open_socket(browser, ("authorization", "Bearer x"), extensions=["websocket.http.response"])
    assert refused["status"] == 401


def test_an_open_socket_can_ask_whether_the_session_is_still_live(signed_in):
    assert open_socket(signed_in, OURS, between=lambda: None) == ["ada", "True"]
    assert open_socket(signed_in, OURS, between=lambda: Session.objects.all().end()) == ["ada", "False"]


def test_somebody_who_was_nobody_stays_nobody(browser):
    assert open_socket(browser, between=lambda: None) == ["AnonymousUser", "False"]


def test_http_passes_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    scope = {"type": "http"}
    async_to_sync(WebSocketAuthMiddleware(app))(scope, None, None)
    assert seen == [scope]
