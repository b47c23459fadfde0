"""The cross-origin table, and what a real browser sends in each of its cases."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, PATIENCE_MS
from tests.databases.servers import free_port
from tests.waiting import PATIENCE, stop

ROOT = Path(__file__).resolve().parents[2]
OURS, SIBLING, FOREIGN, FRIEND = "ours.test", "sibling.ours.test", "foreign.test", "friend.test"


class Site:
    """The site under every name, and what it was sent."""

    def __init__(self, folder, *, same_site="Strict", certificate=None):
        self.port = free_port()
        self.scheme = "http" if certificate is None else "https"
        env = os.environ | {"SITE_DATABASE": str(folder / f"{self.port}.sqlite3"), "SITE_SAMESITE": same_site}
        command = [sys.executable, "-m", "tests.browser.cross_origin_site", str(self.port)]
        if certificate is not None:
            command.append(str(certificate))
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.requests = queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            self.requests.put(json.loads(line))

    def url(self, host, path="/"):
        return f"{self.scheme}://{host}:{self.port}{path}"

    def sent(self, **wanted):
        """The next request of this kind."""
        while True:
            request = self.requests.get(timeout=PATIENCE)
            if all(request[name] == value for name, value in wanted.items()):
                return request

    def stop(self):
        stop(self.process)
        self.listener.join()  # or it may read from what is closed
        self.process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def certificate(folder):
    path = folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ours.test"),
            *("-keyout", folder / "key.pem", "-out", folder / "only.pem"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text((folder / "key.pem").read_text() + (folder / "only.pem").read_text())
    return path


@pytest.fixture(scope="module")
def secure(folder, certificate):
    site = Site(folder, certificate=certificate)
    yield site
    site.stop()


@pytest.fixture(scope="module")
def lax_less(folder, certificate):
    """With ``SameSite=None``, so that cookies travel wherever the browser lets them."""
    site = Site(folder, same_site="None", certificate=certificate)
    yield site
    site.stop()


@pytest.fixture(scope="module")
def plain(folder):
    site = Site(folder)
    yield site
    site.stop()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        arguments = [*ARGUMENTS, "--host-resolver-rules=MAP *.test 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def visit(jar):
    """A page of a browser that is signed in at our site."""

    def visit(site, host, query=""):
        page = jar(ignore_https_errors=True).new_page()
        page.goto(site.url(OURS, "/login/plain/?user=1"))
        assert page.inner_text("body") == "ada"
        page.goto(site.url(host, f"/page/?to={site.url(OURS, '/me/')}{query}"))
        return page

    return visit


def seen(site):
    """The POST as the server saw it: where from, with our cookies or not, and its answer."""
    request = site.sent(REQUEST_METHOD="POST", PATH_INFO="/me/")
    has_cookies = "access_token=" in (request["HTTP_COOKIE"] or "")
    return request["HTTP_SEC_FETCH_SITE"], request["HTTP_ORIGIN"], has_cookies, request["status"]


def send(page):
    """Send the form, and wait for the page that answers: the server notes a request before the browser has it."""
    with page.expect_navigation():
        page.get_by_role("button", name="Send").click()


def still_signed_in(page, site):
    page.goto(site.url(OURS, "/me/plain/"))
    return page.inner_text("body") == "ada"


@pytest.mark.parametrize(
    ("host", "query", "fetch_site", "origin", "cookies", "status"),
    [
        (OURS, "", "same-origin", OURS, True, 200),
        (OURS, "&referrer=no-referrer", "same-origin", None, True, 200),
        (SIBLING, "", "same-site", SIBLING, True, 403),
        (FOREIGN, "", "cross-site", FOREIGN, False, 403),
        (FRIEND, "", "cross-site", FRIEND, False, 403),
    ],
    ids=["own", "own under no-referrer", "sibling", "foreign", "trusted, but Strict keeps its cookies back"],
)
def test_a_form(secure, visit, host, query, fetch_site, origin, cookies, status):
    page = visit(secure, host, query)
    send(page)
    expected_origin = "null" if origin is None else secure.url(origin, "")
    assert seen(secure) == (fetch_site, expected_origin, cookies, status)
    body = page.inner_text("body")
    assert ("CSRF Failed" in body) is (cookies and status == 403)
    assert still_signed_in(page, secure)


@pytest.mark.parametrize("click", [True, False], ids=["clicked", "submitted by script"])
@pytest.mark.parametrize("path", ["/auth/logout/", "/logout/"], ids=["ready-made view", "view of the README"])
@pytest.mark.parametrize("host", [FOREIGN, SIBLING])
def test_a_form_elsewhere_signs_no_visitor_out(secure, jar, host, path, click):
    """Strict cookies stay behind, but a browser takes the cookies that the answer to a top-level POST sets."""
    page = jar(ignore_https_errors=True).new_page()
    page.goto(secure.url(OURS, "/login/plain/?user=1"))
    names = {"access_token", "refresh_token"}
    assert {cookie["name"] for cookie in page.context.cookies()} == names
    page.goto(secure.url(host, f"/page/?to={secure.url(OURS, path)}"))
    with page.expect_navigation():
        if click:
            page.get_by_role("button", name="Send").click()
        else:
            page.evaluate("document.forms[0].submit()")
    request = secure.sent(REQUEST_METHOD="POST", PATH_INFO=path)
    assert request["status"] == 403
    assert ("access_token=" in (request["HTTP_COOKIE"] or "")) is (host == SIBLING)
    assert {cookie["name"] for cookie in page.context.cookies()} == names
    assert still_signed_in(page, secure)


@pytest.mark.parametrize(
    ("host", "fetch_site", "status"),
    [
        (OURS, "same-origin", 200),
        (SIBLING, "same-site", 403),
        (FOREIGN, "cross-site", 403),
        (FRIEND, "cross-site", 200),
    ],
)
def test_a_form_where_cookies_travel_everywhere(lax_less, visit, host, fetch_site, status):
    page = visit(lax_less, host)
    send(page)
    assert seen(lax_less) == (fetch_site, lax_less.url(host, ""), True, status)
    assert still_signed_in(page, lax_less)


@pytest.mark.parametrize(("host", "fetch_site", "status"), [(OURS, "same-origin", 200), (SIBLING, "same-site", 403)])
def test_a_script(secure, visit, host, fetch_site, status):
    page = visit(secure, host)
    page.evaluate(f"fetch('{secure.url(OURS, '/me/')}', {{method: 'POST', mode: 'no-cors', credentials: 'include'}})")
    assert seen(secure) == (fetch_site, secure.url(host, ""), True, status)
    assert still_signed_in(page, secure)


def test_an_own_form_that_comes_back_through_another_site(secure, visit):
    """Strict cookies travel all the way: own POST, a foreign 307, own again."""
    page = visit(secure, OURS)
    there = secure.url(FOREIGN, f"/redirect/?to={secure.url(OURS, '/me/')}")
    page.goto(secure.url(OURS, f"/page/?to={there}"))
    send(page)
    assert seen(secure) == ("cross-site", "null", True, 403)
    assert "CSRF Failed" in page.inner_text("body")
    assert still_signed_in(page, secure)


@pytest.mark.parametrize("host", [OURS, FOREIGN])
def test_a_form_in_a_sandboxed_frame(lax_less, visit, host):
    page = visit(lax_less, host)
    page.frame_locator("iframe").get_by_role("button", name="Send").click()
    fetch_site, origin, _cookies, status = seen(lax_less)
    assert (fetch_site, origin, status) == ("cross-site", "null", 403)
    assert still_signed_in(page, lax_less)


@pytest.mark.parametrize(
    ("host", "cookies", "status"), [(OURS, True, 200), (SIBLING, True, 403), (FOREIGN, False, 200)]
)
def test_a_websocket_handshake(secure, visit, host, cookies, status):
    """No ``Sec-Fetch-*`` at all: the origin decides. 200 is the view's answer to a signed-in or anonymous GET."""
    page = visit(secure, host)
    address = secure.url(OURS, "/me/plain/").replace("https:", "wss:")
    page.evaluate(f"new Promise((done) => {{ const s = new WebSocket('{address}'); s.onclose = s.onerror = done; }})")
    request = secure.sent(HTTP_UPGRADE="websocket")
    assert request["HTTP_SEC_FETCH_SITE"] is None
    assert request["HTTP_ORIGIN"] == secure.url(host, "")
    assert ("access_token=" in (request["HTTP_COOKIE"] or "")) is cookies
    assert request["status"] == status


@pytest.mark.parametrize(("host", "status"), [(OURS, 200), (SIBLING, 403)])
def test_a_form_without_tls(plain, visit, host, status):
    """Plain HTTP outside localhost has no ``Sec-Fetch-*`` either."""
    page = visit(plain, host)
    send(page)
    assert seen(plain) == (None, plain.url(host, ""), True, status)
    assert still_signed_in(page, plain)
