"""What a site's pages do when the access token has expired, in a real browser on the real site."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.databases.served import ACCESS_LIFETIME, Site
from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import Browser, DriverError
from tests.seams.servers.table import HYPERCORN_2
from tests.waiting import PATIENCE

HOST = "own.localhost"
PREFIX = "__Host-"
# A page that does not use the user, and a path that answers 403 to anonymous requests.
QUIET, ME = "/idle/", "/me/?format=json"
PARALLEL = 20
UPLOAD = 5 * 1024 * 1024

FETCH = """
const [path, options] = args;
const response = await fetch(path, options);
return {status: response.status, body: await response.json().catch(() => null)};
"""
BURST = f"Promise.all(Array.from({{length: {PARALLEL}}}, (_, n) => fetch(`/me/?${{n}}`).then((r) => r.json())))"
# Whether fetch streams a body: browsers that do not never read `duplex`, and send the stream as a string.
STREAMS = """
let asked = false;
const options = {method: "POST", body: new ReadableStream(), get duplex() { asked = true; return "half"; }};
const request = new Request("/", options);
return asked && !request.headers.has("Content-Type");
"""


class RecordedSite(Site):
    """The site, which records its answers. With certificates, it uses HTTPS and ``__Host-`` names."""

    def __init__(
        self, folder: Path, certificates: Certificates | None = None, *, workers: int = 2, **settings: object
    ) -> None:
        self.record = folder / "requests"
        self.record.touch()
        if certificates is not None:
            names = {f"{kind}_TOKEN_COOKIE_NAME": f"{PREFIX}{kind.lower()}_token" for kind in ("ACCESS", "REFRESH")}
            settings = {"COOKIE_SECURE": True, **names, **settings}
        env = {"JWTAUTH_TEST_REQUESTS": str(self.record), "JWTAUTH_TEST_SETTINGS": json.dumps(settings)}
        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(folder / "db.sqlite3"),
            "OPTIONS": {"timeout": PATIENCE},
        }
        server = {"server": HYPERCORN_2, "pem": certificates.all} if certificates else {"asgi": True}
        super().__init__(env=env, workers=workers, default=database, **server)
        self.users = iter(self.create_users(100))

    def requests(self) -> list[tuple[str, str, int]]:
        """Return method, path and status of each response so far."""
        return [tuple(json.loads(line)) for line in self.record.read_text().splitlines()]

    def visit(self, host: str = HOST) -> str:
        """Return the site's address under this host name."""
        return f"{'http' if self.pem is None else 'https'}://{host}:{self.port}"


class Visitor:
    """A new user of the site in this browser, signed in by a form."""

    def __init__(self, browser: Browser, site: RecordedSite) -> None:
        self.browser, self.site, self.user, self.url = browser, site, next(site.users), site.visit()
        self.prefix = "" if site.pem is None else PREFIX
        self.first = len(site.requests())
        browser.forget(f"{self.url}{QUIET}")
        form = '<form method="post" action="/login/?user=%d&format=json"><button>Sign in</button></form>'
        browser.run("document.body.innerHTML = args[0]", form % self.user)
        browser.click("button")
        browser.wait(lambda: "auth" in browser.text())
        self.name = json.loads(browser.text())["user"]
        self.open(QUIET)

    def open(self, path: str) -> None:
        self.browser.goto(f"{self.url}{path}")

    def fetch(self, path: str, **options: object) -> dict[str, Any]:
        """Return the status and JSON of a request that the current page makes."""
        return self.browser.run(FETCH, path, options)

    def cookie_names(self) -> set[str]:
        """Return the names of the token cookies that the browser keeps for the current page."""
        names = {f"{self.prefix}{kind}_token" for kind in ("access", "refresh")}
        return names & self.browser.cookies().keys()

    @property
    def generation(self) -> int:
        """Return the generation of the browser's refresh token."""
        payload = self.browser.cookies()[f"{self.prefix}refresh_token"]["value"].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["gen"]

    def is_answered(self, answers: list[dict], count: int = PARALLEL) -> None:
        """Assert that each of these answers was given to the user."""
        assert [answer.get("user") for answer in answers] == [self.name] * count, answers

    def assert_signed_in(self) -> None:
        answer = self.fetch(ME)
        assert (answer["status"], answer["body"].get("user")) == (200, self.name), answer

    def sign_out(self) -> None:
        """Sign out, and check that the browser has no tokens and that requests are anonymous."""
        assert self.fetch("/logout/", method="POST")["status"] == 200
        # Firefox may give its driver the cookies of a moment ago.
        self.browser.wait(lambda: not self.cookie_names())
        self.check()
        answer = self.fetch(ME)
        assert answer["status"] in (401, 403), answer
        self.open("/me/plain/")
        assert self.browser.text().strip() == "AnonymousUser"

    def answered(self) -> list[tuple[str, str, int]]:
        """Return the site's answers to this visitor."""
        return self.site.requests()[self.first :]

    def signed_out(self) -> int:
        return sum(status in (401, 403) for _, _, status in self.answered())

    def errors(self) -> int:
        return sum(status >= 500 for _, _, status in self.answered())

    def check(self) -> None:
        """Assert that the site recognised the user in every request so far, and that none failed."""
        assert (self.signed_out(), self.errors()) == (0, 0), self.answered()

    def round(self, flow: Callable[[Visitor], None]) -> None:
        """Run this flow with an expired access token; check that it refreshes once and the user stays signed in."""
        before = self.generation
        self.site.advance(ACCESS_LIFETIME + 1)
        flow(self)
        self.assert_signed_in()
        self.assert_signed_in()  # the server has now seen the new tokens, so the next round may follow
        assert self.generation == before + 1
        self.check()


def parallel(visitor: Visitor) -> None:
    visitor.is_answered(visitor.browser.run(f"return {BURST}"))


def two_tabs(visitor: Visitor) -> None:
    """Send requests from two tabs, started by the same message."""
    browser = visitor.browser
    first = browser.tab
    browser.run(
        f"""
        const channel = new BroadcastChannel("go");
        window.burst = new Promise((done) => {{ channel.onmessage = () => done({BURST}); }});
        """
    )
    browser.open_tab()
    try:
        visitor.open(QUIET)
        visitor.is_answered(browser.run(f"new BroadcastChannel('go').postMessage(1); return {BURST}"))
        browser.close_tab()
        visitor.is_answered(browser.run("return window.burst"))
    finally:
        browser.tab = first


def reloads(visitor: Visitor) -> None:
    """Reload a page before it has loaded."""
    browser = visitor.browser
    visitor.open(ME)
    for _ in range(8):
        with suppress(DriverError):  # the next one aborts it
            browser.run("location.reload()")
    visitor.open(ME)
    visitor.is_answered([json.loads(browser.text())], 1)


def beacon(visitor: Visitor) -> None:
    """Send a beacon as the page is left."""
    sent = ("POST", "/me/", 200)
    before = visitor.answered().count(sent)
    visitor.browser.run("addEventListener('pagehide', () => navigator.sendBeacon('/me/', 'bye'))")
    visitor.open(QUIET)
    visitor.browser.wait(lambda: visitor.answered().count(sent) > before)


def event_source(visitor: Visitor) -> None:
    """Open an event stream at expiry, which sends a second event when the clock advances."""
    visitor.browser.run(
        """
        const source = new EventSource("/events/async/");
        window.said = [];
        window.second = new Promise((done, failed) => {
            source.onmessage = (event) => {
                window.said.push(event.data);
                if (window.said.length === 2) { source.close(); done(window.said); }
                window.first?.();
            };
            source.onerror = () => failed("the stream broke");
        });
        await Promise.race([window.second, new Promise((done) => { window.first = done; })]);
        """
    )
    visitor.site.advance(1)
    assert visitor.browser.run("return window.second") == [visitor.name] * 2


def upload(visitor: Visitor) -> None:
    """Upload 5 MB: an upload never refreshes."""
    before = visitor.generation
    answer = visitor.browser.run(
        """
        const response = await fetch("/upload/", {method: "POST", body: new Blob([new Uint8Array(args[0])])});
        return {status: response.status, body: await response.json()};
        """,
        UPLOAD,
    )
    assert answer == {"status": 200, "body": {"user": visitor.name, "bytes": UPLOAD}}
    assert visitor.generation == before


def web_socket(visitor: Visitor) -> None:
    """Open a WebSocket at expiry: the response that accepts it sets the new tokens."""
    before = visitor.generation
    said = visitor.browser.run(
        """
        const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/`);
        return await new Promise((done) => {
            socket.onopen = () => socket.send("hello");
            socket.onmessage = (event) => { socket.close(); done(event.data); };
            socket.onclose = (event) => done(`closed: ${event.code}`);
        });
        """
    )
    assert said == f"{visitor.user}: hello"
    assert visitor.generation == before + 1


# The flows at expiry, by their names in tables.
FLOWS: dict[str, Callable[[Visitor], None]] = {
    f"{PARALLEL} parallel requests": parallel,
    f"two tabs, {PARALLEL} requests each": two_tabs,
    "a page reloaded 8 times": reloads,
    "a beacon": beacon,
    "an EventSource": event_source,
    "an upload of 5 MB": upload,
    "a WebSocket": web_socket,
}


def stream(visitor: Visitor) -> bool:
    """Stream a body without a length. Return whether this browser can."""
    if not visitor.browser.run(STREAMS):
        return False
    before = visitor.generation
    answer = visitor.browser.run(
        """
        let left = 64;
        const body = new ReadableStream({
            pull(controller) { left-- ? controller.enqueue(new Uint8Array(16384)) : controller.close(); },
        });
        const response = await fetch("/upload/", {method: "POST", body, duplex: "half"});
        return {status: response.status, body: await response.json()};
        """
    )
    assert answer == {"status": 200, "body": {"user": visitor.name, "bytes": 64 * 16384}}
    assert visitor.generation == before
    return True
