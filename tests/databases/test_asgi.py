"""Async views and WebSockets behind a real ASGI server with several workers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.databases.served import ACCESS_LIFETIME, GRACE, Browser, Site, generation
from tests.waiting import PATIENCE


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request, make_database):
    with Site(asgi=True, default=make_database(request.param)) as running:
        yield running


@pytest.fixture
def user(site):
    return site.create_users(1)[0]


@pytest.fixture
def browser(site, user):
    signed_in = Browser(site.port)
    assert signed_in.get(f"/login/async/?user={user}").status == 200
    return signed_in


def who(browser):
    return browser.get("/me/async/").body.decode()


def socket(site, browser, origin=None):
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return connect(
        f"ws://127.0.0.1:{site.port}/ws/",
        origin=origin or f"http://127.0.0.1:{site.port}",
        additional_headers={"Cookie": cookies},
        open_timeout=PATIENCE,
        ping_timeout=PATIENCE,
    )


def test_async_views_sign_in_refresh_and_sign_out(site, browser):
    name = who(browser)
    assert name != "AnonymousUser"
    site.advance(ACCESS_LIFETIME)
    browser.expire()
    old = browser.cookies
    assert who(browser) == name
    assert generation(browser) == 2

    tabs = [Browser(site.port) for _ in range(16)]
    for tab in tabs:
        tab.cookies = dict(old)
    with ThreadPoolExecutor(len(tabs)) as pool:
        assert set(pool.map(who, tabs)) == {name}
    assert {generation(tab) for tab in tabs} == {2}

    assert browser.get("/logout/async/").body == b"AnonymousUser"
    browser.cookies = tabs[0].cookies
    assert who(browser) == "AnonymousUser"


def test_a_websocket_knows_its_user_until_the_session_ends(site, user, browser):
    site.advance(ACCESS_LIFETIME + GRACE)
    with socket(site, browser) as opened:
        for word in ("one", "two"):
            opened.send(word)
            assert opened.recv() == f"{user}: {word}"
        browser.get("/logout/async/")
        opened.send("three")
        with pytest.raises(ConnectionClosedError) as closed:
            opened.recv()
    assert closed.value.rcvd.code == 4001


def test_a_cross_origin_or_anonymous_websocket_is_refused(site, browser):
    for origin in ("https://elsewhere.example", "null"):
        with pytest.raises(InvalidStatus) as refused:
            socket(site, browser, origin)
        assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus):
        socket(site, Browser(site.port))
