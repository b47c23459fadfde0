"""WebSocket handshakes: cookies, the cross-origin rule, and refreshes."""

from http.cookies import SimpleCookie

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator

from jwtauth import asgi
from jwtauth.asgi import WebSocketAuthMiddleware, is_signed_in
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, GRACE, IDLE, only_session, refresh
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

SAME_ORIGIN = ("origin", "http://testserver")


async def echo_user(scope, receive, send):
    """Send the name of the user, and whether the session is valid for each message received."""
    await receive()
    own_headers = scope["extensions"].get("headers of the answer")
    await send({"type": "websocket.accept", **({"headers": own_headers} if own_headers else {})})
    await send({"type": "websocket.send", "text": str(scope["user"])})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": str(await is_signed_in(scope))})


def headers_of(browser, *headers):
    cookies = "; ".join(f"{name}={value}" for name, value in browser.tokens().items())
    pairs = [("host", "testserver"), *([("cookie", cookies)] if cookies else []), *headers]
    return [(name.encode(), value.encode()) for name, value in pairs]


def open_socket(browser, *headers, extensions=(), between=None, answers=None, headers_of_answer=(), **changes):
    """Return what the server sends to a browser that opens a socket, and after ``between`` has run."""

    async def talk():
        scope = {
            "type": "websocket",
            "path": "/ws/",
            "headers": headers_of(browser, *headers),
            "scheme": "ws",
            "extensions": {name: {} for name in extensions} | {"headers of the answer": list(headers_of_answer)},
            **changes,
        }
        if changes.get("scheme", "") is None:
            del scope["scheme"]
        socket = ApplicationCommunicator(WebSocketAuthMiddleware(echo_user), scope)
        await socket.send_input({"type": "websocket.connect"})
        first = await socket.receive_output(PATIENCE)
        if first["type"] != "websocket.accept":
            return first
        if answers is not None:
            answers.append(first)
        said = [(await socket.receive_output(PATIENCE))["text"]]
        if between is not None:
            await sync_to_async(between)()
            await socket.send_input({"type": "websocket.receive", "text": "still?"})
            said.append((await socket.receive_output(PATIENCE))["text"])
        await socket.send_input({"type": "websocket.disconnect"})
        await socket.wait(PATIENCE)
        return said

    return async_to_sync(talk)()


def test_user_of_the_cookies_is_in_the_scope(signed_in):
    assert open_socket(signed_in, SAME_ORIGIN) == ["ada"]


def test_handshake_without_cookies_is_anonymous_from_any_origin(browser):
    assert open_socket(browser) == ["AnonymousUser"]
    assert open_socket(browser, ("origin", "https://elsewhere.example")) == ["AnonymousUser"]


def test_user_of_an_outer_middleware_stays_if_there_is_no_token(other_browser, signed_in):
    assert open_socket(other_browser, user="the session's user") == ["the session's user"]
    assert open_socket(signed_in, SAME_ORIGIN, user="the session's user") == ["ada"]


def test_anonymous_handshake_uses_no_thread(browser, monkeypatch):
    async def no_thread(*args):
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(asgi, "_with_connections", no_thread)
    assert open_socket(browser) == ["AnonymousUser"]


@pytest.mark.parametrize(
    "headers", [[("origin", "https://elsewhere.example")], [("origin", "null")], [("origin", "https://testserver")], []]
)
def test_handshake_of_another_origin_or_without_origin_is_refused(signed_in, headers):
    assert open_socket(signed_in, *headers) == {"type": "websocket.close", "code": 1008}
    refused = open_socket(signed_in, *headers, extensions=["websocket.http.response"])
    assert (refused["type"], refused["status"]) == ("websocket.http.response.start", 403)
    assert signed_in.who() == "ada"


def test_handshake_of_a_trusted_origin_is_accepted(signed_in, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://elsewhere.example"]
    assert open_socket(signed_in, ("origin", "https://elsewhere.example")) == ["ada"]


def test_handshake_refreshes_and_sets_cookies_on_the_accept_message(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    answers = []
    assert open_socket(signed_in, SAME_ORIGIN, answers=answers) == ["ada"]
    assert only_session().generation == 2
    [accepted] = answers
    cookies = SimpleCookie()
    for name, value in accepted["headers"]:
        assert name == b"set-cookie"
        cookies.load(value.decode())
    assert set(cookies) == {"access_token", "refresh_token"}
    signed_in.carry({name: cookie.value for name, cookie in cookies.items()})
    clock.advance(GRACE + 1)
    assert signed_in.who() == "ada"
    assert only_session().acknowledged_at is not None


def test_accept_headers_of_the_application_are_kept(signed_in, clock):
    clock.advance(ACCESS_LIFETIME)
    answers = []
    open_socket(signed_in, SAME_ORIGIN, answers=answers, headers_of_answer=[(b"x-own", b"1")])
    assert (b"x-own", b"1") in answers[0]["headers"]
    assert len(answers[0]["headers"]) == 3


def test_handshake_with_a_valid_access_token_sets_no_cookie(signed_in):
    answers = []
    assert open_socket(signed_in, SAME_ORIGIN, answers=answers) == ["ada"]
    assert "headers" not in answers[0]


def test_copied_refresh_token_in_a_handshake_ends_the_session(signed_in, clock, thefts):
    tokens = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    signed_in.carry(tokens)
    assert open_socket(signed_in, SAME_ORIGIN) == ["AnonymousUser"]
    assert len(thefts) == 1
    assert not Session.objects.exists()


@pytest.mark.parametrize(("secure", "origin"), [(True, "https://testserver"), (False, "http://testserver")])
def test_scheme_is_derived_from_cookie_secure_if_the_server_gives_none(signed_in, settings, secure, origin):
    settings.JWTAUTH = {"COOKIE_SECURE": secure}
    assert open_socket(signed_in, ("origin", origin), scheme=None) == ["ada"]
    other = origin.replace("https", "http") if secure else origin.replace("http", "https")
    assert open_socket(signed_in, ("origin", other), scheme=None) == {"type": "websocket.close", "code": 1008}


def test_handshake_with_several_cookie_headers_is_authenticated(signed_in):
    # HTTP/2 allows several (RFC 9113 section 8.2.3); Django 5.2 joins them with commas.
    tokens = signed_in.tokens()
    signed_in.cookies.clear()
    fields = [("cookie", f"{name}={value}") for name, value in tokens.items()]
    assert open_socket(signed_in, SAME_ORIGIN, ("cookie", "theme=dark"), *fields) == ["ada"]


def test_handshake_with_an_expired_session_is_anonymous(signed_in, clock):
    clock.advance(IDLE)
    assert open_socket(signed_in, SAME_ORIGIN) == ["AnonymousUser"]


def test_handshake_with_a_bearer_token_needs_no_origin_and_an_invalid_one_is_refused(browser, signed_in):
    token = signed_in.token("access_token")
    browser.cookies.clear()
    assert open_socket(browser, ("authorization", f"Bearer {token}")) == ["ada"]
    refused = open_socket(browser, ("authorization", "Bearer x"), extensions=["websocket.http.response"])
    assert refused["status"] == 401


def test_open_socket_can_check_whether_its_session_has_ended(signed_in):
    assert open_socket(signed_in, SAME_ORIGIN, between=lambda: None) == ["ada", "True"]
    assert open_socket(signed_in, SAME_ORIGIN, between=lambda: Session.objects.all().end()) == ["ada", "False"]


def test_anonymous_socket_is_not_signed_in_later(browser):
    assert open_socket(browser, between=lambda: None) == ["AnonymousUser", "False"]


def test_http_requests_pass_the_websocket_middleware_unchanged():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    scope = {"type": "http"}
    async_to_sync(WebSocketAuthMiddleware(app))(scope, None, None)
    assert seen == [scope]
