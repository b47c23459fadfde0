"""Requests that a browser sends across origins: which page sends them, and what the site's server recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.databases.servers import free_port
from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import Browser
from tests.waiting import stop, wait_until

ROOT = Path(__file__).resolve().parents[3]
POLICIES = (
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
)
SAME_SITES = ("Strict", "Lax", "None")
SAFE = ("GET", "HEAD", "OPTIONS")
# Initiators in a document with an opaque origin: `Origin: null`.
OPAQUE = ("sandbox", "data")
# Initiators that replace the page, so that each needs a separate page.
LEAVES = ("link", "page")


@dataclass(frozen=True)
class Page:
    """The page that sends: its host, its rules, and whether a real click starts it."""

    host: str
    policy: str = ""
    click: bool = False
    is_sandboxed: bool = False
    # The host whose page frames this one.
    frame: str = ""


@dataclass(frozen=True)
class Hop:
    """A redirect on the way to the site."""

    status: int
    host: str
    policy: str = ""


@dataclass(frozen=True)
class Case:
    """A request that the page is told to make."""

    page: Page
    initiator: str
    method: str = "POST"
    # The media type of the body; the browser chooses it if this is None.
    type: str | None = None
    hops: tuple[Hop, ...] = ()
    # Options of fetch: the mode, and whether a header requires a preflight.
    mode: str = "cors"
    header: bool = False
    target: str = "/write/"
    fields: tuple[tuple[str, str], ...] = (("a", "1"),)

    @property
    def is_own(self) -> bool:
        """Return whether only the site's pages are involved, so that the request must work."""
        page = self.page
        hosts = {page.host, page.frame or page.host, *(hop.host for hop in self.hops)}
        return hosts == {"own"} and not page.is_sandboxed and self.initiator not in OPAQUE

    @property
    def is_of_friend(self) -> bool:
        """Return whether a trusted origin takes part, so that the request may work."""
        return "friend" in {self.page.host, *(hop.host for hop in self.hops)}


class Site:
    """The site of `cross_origin_site` with cookies of this ``SameSite``, over TLS if there are certificates."""

    def __init__(
        self,
        folder: Path,
        *,
        same_site: str = "Strict",
        certificates: Certificates | None = None,
        family: str = "localhost",
    ) -> None:
        self.same_site, self.family = same_site, family
        self.scheme = "http" if certificates is None else "https"
        self.port, self.other_port, self.plain_port = free_port(), free_port(), free_port()
        self.numbers = count(1)
        self.seen = 0  # entries of the server's record that were read
        self.sessions: dict[str, int] = {}
        combined = None
        if certificates is not None:
            combined = folder / f"{self.port}.pem"
            combined.write_text(certificates.key.read_text() + certificates.certificate.read_text())
        options = {
            "ports": [self.port, self.other_port],
            "plain": self.plain_port,
            "certificate": combined and str(combined),
            "same_site": same_site,
            "database": str(folder / f"{self.port}.sqlite3"),
            "trusted": [self.url("friend", "")],
        }
        self.log = folder / f"{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.seams.browsers.cross_origin_site"],
                cwd=ROOT,
                env=os.environ | {"SITE": json.dumps(options)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            assert self.process.stdout.readline() == "ready\n", self.log.read_text()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *error: object) -> None:
        stop(self.process)
        self.process.stdout.close()

    def url(self, host: str, path: str = "/") -> str:
        """Return the address of a page; ``host`` is a name that `Page` accepts."""
        if host.startswith("plain "):
            return f"http://{self.name(host.removeprefix('plain '))}:{self.plain_port}{path}"
        port = self.other_port if host == "port" else self.port
        return f"{self.scheme}://{self.name(host)}:{port}{path}"

    def name(self, host: str) -> str:
        names = {"port": "own", "sibling": "sibling.own"}
        return f"{names.get(host, host)}.{self.family}"

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask the server directly, without the browser."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.plain_port}{path}", data)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.loads(answer.read() or b"null")

    def sign_in(self, browser: Browser) -> None:
        """Sign the victim in."""
        browser.goto(self.url("own", "/sign-in/"))
        assert browser.text() == "signed in: ada"
        self.sessions = self.live_sessions()

    def live_sessions(self) -> dict[str, int]:
        """Return how many sessions each user has in the database."""
        return {name: number for name, number in self.ask("/state/").items() if name != "wrote"}

    def is_untouched(self) -> bool:
        """Return whether the users still have the sessions that they had when the victim signed in."""
        return self.live_sessions() == self.sessions

    def start_over(self, browser: Browser) -> None:
        """Sign the victim in, without cookies of another site on this host: a cookie is sent to every port."""
        browser.forget(self.url("own", "/idle/"))
        self.sign_in(browser)

    def is_signed_in(self, browser: Browser) -> bool:
        browser.goto(self.url("own", "/me/plain/"))
        return browser.text() == "ada"

    def send(
        self, browser: Browser, cases: Iterable[Case], *, is_complete: bool = True
    ) -> list[tuple[Case, list[dict]]]:
        """Let the browser send these, page by page, and return each with the requests that arrived.

        ``is_complete``: every browser sends all of them, so wait for each.
        """
        pages: dict[object, list[Case]] = {}
        for number, case in enumerate(cases):
            alone = number if case.initiator in LEAVES else None
            pages.setdefault((case.page, alone), []).append(case)
        return [
            sent
            for (page, _), batch in pages.items()
            for sent in self.send_from(browser, page, batch, is_complete=is_complete)
        ]

    def send_from(
        self, browser: Browser, page: Page, sent: list[Case], *, is_complete: bool
    ) -> list[tuple[Case, list[dict]]]:
        cases = {str(next(self.numbers)): case for case in sent}
        name = f"b{next(self.numbers)}"
        batch = asdict(page) | {
            "cases": [self.told(number, case) for number, case in cases.items()],
            "is_complete": is_complete,
            "arrived": self.url(page.host, f"/arrived/{name}/"),
            "done": self.url(page.host, f"/done/{name}/"),
            "frame": self.url(page.host, f"/page/{name}/"),
        }
        self.ask(f"/batch/{name}/", batch)
        browser.goto(self.url(page.frame, f"/frame/{name}/") if page.frame else self.url(page.host, f"/page/{name}/"))
        if page.click:
            if page.frame:
                browser.enter_frame("iframe")
            browser.click("#go")
            browser.leave_frames()
        leaves = sent[0].initiator in LEAVES
        arrivals: list[dict] = []

        def is_over() -> bool:
            nonlocal arrivals
            record = self.ask(f"/record/?since={self.seen}&batch={name}")
            arrivals = record["arrivals"]
            if leaves:  # the last of them: after a callback, the redirect leads to a page
                return any(of(a) in cases and a["status"] != 302 for a in arrivals)
            return record["is_done"]

        wait_until(is_over, self.process, self.log)
        self.seen += len(arrivals)
        return [(case, [a for a in arrivals if of(a) == number]) for number, case in cases.items()]

    def told(self, number: str, case: Case) -> dict:
        """Return the case in the form that the page's script reads."""
        mark = "&" if "?" in case.target else "?"
        url = self.url("own", f"{case.target}{mark}case={number}")
        for hop in reversed(case.hops):
            query = {"to": url} | ({"policy": hop.policy} if hop.policy else {})
            url = self.url(hop.host, f"/hop/{hop.status}/?{urlencode(query)}")
        return asdict(case) | {"id": number, "url": url, "fields": dict(case.fields)}


def of(arrival: dict) -> str:
    """Return the number of the case that this request belongs to, also for the page after a callback."""
    return arrival["case"].partition(",")[0]


@contextmanager
def site_of(folder: Path, same_site: str, certificates: Certificates) -> Iterator[Site]:
    """Start the site with this ``SameSite``; "None" needs TLS."""
    with Site(folder, same_site=same_site, certificates=certificates if same_site == "None" else None) as site:
        yield site


@contextmanager
def started(kind: type[Browser], *same_sites: str) -> Iterator[tuple[Browser, list[Site]]]:
    """Start a browser, and the site with each ``SameSite``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificates = Certificates(folder)
        sites = [stack.enter_context(site_of(folder, same_site, certificates)) for same_site in same_sites]
        yield stack.enter_context(kind(certificates)), sites
