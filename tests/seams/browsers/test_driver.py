"""The driver: what the tests of this folder rely on, asserted once in each browser."""

import json
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import DriverError

PAGE = """
<p>hello</p><a href="%s">away</a>
<button onclick="window.trusted = event.isTrusted">press</button><iframe srcdoc="<p>inner</p>"></iframe>
"""


class Echo(BaseHTTPRequestHandler):
    """A page with a link to what its query says, and the headers of each request."""

    def do_GET(self):
        if self.path == "/headers":
            body = json.dumps({name.lower(): value for name, value in self.headers.items()})
        else:
            body = PAGE % self.path.partition("?")[2]
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if self.path == "/headers" else "text/html")
        if self.path != "/favicon.ico":  # which a browser asks for at some time of its own
            self.send_header("Set-Cookie", "hidden=1; HttpOnly; SameSite=Strict")
        if isinstance(self.connection, ssl.SSLSocket):
            self.send_header("Set-Cookie", "__Host-hidden=1; HttpOnly; SameSite=Strict; Secure; Path=/")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


def serve(context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def plain():
    with serve() as server:
        yield server.server_port
        server.shutdown()


@pytest.fixture
def secure():
    """Makes servers with TLS by these certificates."""
    running = []

    def make(certificates):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        running.append(serve(context))
        return running[-1].server_port

    yield make
    for server in running:
        server.shutdown()
        server.server_close()


def test_scripts_clicks_frames_tabs_and_cookies(browser, plain):
    url = f"http://ours.localhost:{plain}"
    browser.goto(url)
    assert "hello" in browser.text()
    assert browser.run("return [args, await fetch('/headers').then((answer) => answer.status)]", 1, [2]) == [
        [1, [2]],
        200,
    ]
    with pytest.raises(DriverError, match="script: Error: oops"):
        browser.run("throw new Error('oops')")
    browser.click("button")
    assert browser.run("return window.trusted") is True
    browser.enter_frame("iframe")
    assert browser.text() == "inner"
    browser.leave_frames()
    assert browser.cookies()["hidden"]["httpOnly"]
    first = browser.tab
    browser.open_tab()
    browser.goto(f"{url}/second")
    assert len(browser.tabs()) == 2
    browser.close_tab()
    assert (browser.tab, browser.url) == (first, f"{url}/")
    browser.forget(url)
    assert browser.cookies() == {}


@pytest.mark.parametrize(
    ("host", "site"),
    [("ours", "same-origin"), ("sibling.ours", "same-site"), ("foreign", "cross-site"), ("friend", "cross-site")],
)
def test_which_of_the_hosts_are_one_site(browser, plain, host, site):
    browser.goto(f"http://{host}.localhost:{plain}/?//ours.localhost:{plain}/headers")
    browser.click("a")
    browser.wait(lambda: browser.url == f"http://ours.localhost:{plain}/headers" and browser.text())
    assert json.loads(browser.text())["sec-fetch-site"] == site
    browser.forget(browser.url)


def test_certificates_of_the_authority_and_of_no_other(browser, secure, certificates, tmp_path):
    trusted, other = secure(certificates), secure(Certificates(tmp_path))
    with suppress(DriverError):  # Firefox says so; the others show a page of their own
        browser.goto(f"https://ours.localhost:{other}/other")
    assert "hello" not in browser.text()
    browser.goto(f"https://ours.localhost:{trusted}/")
    assert "hello" in browser.text()
    assert browser.cookies()["__Host-hidden"]["secure"]
    browser.forget(browser.url)
