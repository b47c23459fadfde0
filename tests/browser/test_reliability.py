"""No user is signed out by accident: tabs, reloads, sleep and bad networks, in a real browser."""

import re
import socket
import socketserver
import threading
from contextlib import suppress

import pytest
from playwright.sync_api import Error, expect

from tests.waiting import PATIENCE, wait_until

# The demo site refreshes a session again after this time at the earliest.
GRACE_MS = 5_000
# A page without a script.
QUIET = "/api/ping/"
PING = "fetch('/api/ping/').then((answer) => answer.status)"


class Network(socketserver.ThreadingTCPServer):
    """A proxy between browser and site. ``fate`` decides about each answer, "cut" or "pass", and may wait first."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), Passing)
        self.target = target
        self.fate = lambda request, answer: "pass"
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Passing(socketserver.BaseRequestHandler):
    def handle(self):
        request = b""
        while b"\r\n\r\n" not in request:
            part = self.request.recv(65536)
            if not part:
                return
            request += part
        head, _, body = request.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            part = self.request.recv(65536)
            if not part:
                return
            body += part
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        with socket.create_connection(("127.0.0.1", self.server.target)) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))
            answer = b""
            while part := server.recv(65536):
                answer += part
        if self.server.fate(request, answer) == "pass":
            head, _, body = answer.partition(b"\r\n\r\n")
            self.request.sendall(b"\r\n".join([head, b"Connection: close", b"", body]))


@pytest.fixture
def network(demo):
    with Network(demo.port) as network:
        yield network
        network.shutdown()


@pytest.fixture
def over(network, jar):
    """Return a function that signs a new browser in, behind the network."""

    def sign_in():
        context = jar()
        page = context.new_page()
        page.goto(f"{network.url}/sign-in/")
        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password").fill("ada-demo-pass")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{network.url}/")
        # Leave the dashboard, which sends requests all the time.
        page.goto(f"{network.url}{QUIET}")
        return context, page

    return sign_in


def expire(context, page):
    """Expire the browser's access token, once the session may be refreshed again."""
    page.wait_for_timeout(GRACE_MS + 500)
    context.clear_cookies(name="access_token")


def refreshes(answer):
    return re.search(rb"Set-Cookie: +refresh_token=ey", answer) is not None


def is_signed_in(page):
    """Assert, by a request from this page, that the user is signed in."""
    assert page.evaluate(PING) == 200


def test_storm_of_reloads_at_expiry_keeps_the_user_signed_in(network, over):
    context, page = over()
    refreshed = []
    network.fate = lambda request, answer: refreshed.append(answer) or "pass" if refreshes(answer) else "pass"
    for _ in range(3):
        expire(context, page)
        for _ in range(8):
            with suppress(Error):  # the next reload aborts it
                page.evaluate("location.reload()")
        other = context.new_page()
        other.goto(f"{network.url}{QUIET}")
        is_signed_in(other)
    assert refreshed


def test_back_and_forward_across_an_expiry_keep_the_user_signed_in(network, over):
    context, page = over()
    for name in ("second", "third"):
        page.goto(f"{network.url}{QUIET}?{name}")
    expire(context, page)
    for _ in range(3):
        page.go_back(wait_until="commit")
        is_signed_in(page)
        context.clear_cookies(name="access_token")
        page.go_forward(wait_until="commit")
        is_signed_in(page)


def test_laptop_that_sleeps_through_the_expiry_stays_signed_in(network, over):
    context, page = over()
    other = context.new_page()
    other.goto(f"{network.url}{QUIET}")
    sessions = [context.new_cdp_session(tab) for tab in (page, other)]
    for session in sessions:
        session.send("Page.setWebLifecycleState", {"state": "frozen"})
    # The access token lives for 20 seconds.
    wait_until(lambda: "access_token" not in {cookie["name"] for cookie in context.cookies()})
    for session in sessions:
        session.send("Page.setWebLifecycleState", {"state": "active"})
    for tab in (page, other):
        assert tab.evaluate(f"Promise.all([1, 2, 3, 4, 5].map(() => {PING}))") == [200] * 5
        tab.reload()
        is_signed_in(tab)


def test_refresh_whose_answer_is_cut_off_keeps_the_user_signed_in(network, over):
    context, page = over()
    expire(context, page)
    cut = []

    def cut_the_refresh(request, answer):
        if refreshes(answer) and not cut:
            cut.append(answer)
            return "cut"
        return "pass"

    network.fate = cut_the_refresh
    # The page sees an error, or Chromium repeats the request by itself.
    assert page.evaluate(f"{PING}.catch(() => 'cut off')") in (200, "cut off")
    assert cut, "the refresh was answered, and the answer was lost"
    is_signed_in(page)
    expire(context, page)
    is_signed_in(page)


def test_answers_in_the_wrong_order_keep_the_user_signed_in(network, over):
    context, page = over()
    expire(context, page)
    second_is_through, late = threading.Event(), []

    def delay_the_first(request, answer):
        if refreshes(answer):
            if not late:
                late.append(answer)
                assert second_is_through.wait(PATIENCE)
            else:
                second_is_through.set()
        return "pass"

    network.fate = delay_the_first
    # Use different addresses: the browser's cache sends requests to one address one after the other.
    pings = "Promise.all([1, 2, 3].map((n) => fetch(`/api/ping/?${n}`).then((answer) => answer.status)))"
    assert page.evaluate(pings) == [200, 200, 200]
    assert late
    assert second_is_through.is_set()
    is_signed_in(page)
    expire(context, page)
    is_signed_in(page)


def test_access_cookie_lost_in_one_tab_is_renewed_for_all_tabs(network, over):
    context, page = over()
    other = context.new_page()
    other.goto(f"{network.url}{QUIET}")
    context.clear_cookies(name="access_token")
    is_signed_in(other)
    is_signed_in(page)


def test_cookies_cleared_in_one_tab_sign_the_other_out_without_an_error(network, over):
    context, page = over()
    other = context.new_page()
    other.goto(network.url)
    context.clear_cookies()
    for tab in (page, other):
        answer = tab.goto(network.url)
        assert answer.status == 200
        expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    other.get_by_label("User name").fill("ada")
    other.get_by_label("Password").fill("ada-demo-pass")
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url(f"{network.url}/")
    is_signed_in(other)


def test_late_answer_of_an_ended_session_signs_no_user_in(network, over):
    context, page = over()
    other = context.new_page()
    other.goto(f"{network.url}{QUIET}")
    expire(context, page)
    held, released = threading.Event(), threading.Event()

    def hold_the_refresh(request, answer):
        if refreshes(answer) and b"GET /api/ping/" in request and not held.is_set():
            held.set()
            released.wait(PATIENCE)
        return "pass"

    network.fate = hold_the_refresh
    other.evaluate(f"window.late = {PING}; null")
    assert held.wait(PATIENCE)
    page.goto(network.url)
    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")
    released.set()
    assert other.evaluate("window.late") == 200
    assert "refresh_token" in {cookie["name"] for cookie in context.cookies()}, "the late answer set its cookies"
    for tab in (page, other):
        tab.goto(network.url)
        expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
