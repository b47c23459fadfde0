"""Users of several sites who continue, all at once, while a database fails: what they see, and what holds then."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

from tests.databases.served import GRACE, Answer, Browser, Site
from tests.waiting import wait_until

DAY = 86_400
# Settings with expiries that no test reaches, although each refresh advances the clock beyond the grace.
ENDLESS = {"COOKIE_SECURE": False, "REFRESH_TOKEN_LIFETIME": 3_650 * DAY, "SESSION_LIFETIME": None}
# Seconds after which a client that met an error tries again.
PAUSE = 0.05
# A browser waits for the slowest one when it is ahead by this many refreshes.
AHEAD = 4


class Face(NamedTuple):
    """Where a site or a Rust service listens, and the address that names the current user."""

    port: int
    who: str = "/me/"

    def knows(self, answer: Answer) -> bool:
        """Return whether this answer of `who` recognises a user."""
        return answer.status == 200 and answer.body != b"nobody"


class Load:
    """Some users refresh repeatedly, the others sign in and out; each request goes to any of the faces.

    A request that gets no answer or a 5xx is repeated, as the user or a load balancer does. ``site`` has the clock
    and the users.
    """

    def __init__(self, site: Site, *faces: Face, refreshing: int = 6, leaving: int = 2) -> None:
        self.site, self.faces = site, faces or (Face(site.port),)
        self.refreshing, self.leaving = refreshing, leaving
        self.over, self.lock = threading.Event(), threading.Lock()
        # By face and status; a request without an answer has status 0.
        self.answers: Counter[tuple[int, int]] = Counter()
        self.refreshes: Counter[int] = Counter()
        # How many refreshes a browser may make, if that is limited.
        self.limits: dict[int, int] = {}
        self.signed_out: list[str] = []
        # New sessions that the next request did not find.
        self.logins_lost = 0
        # The cookies of sessions whose end was acknowledged.
        self.ended: list[dict[str, str]] = []
        self.broken: list[Exception] = []

    def __enter__(self) -> Load:
        users = self.site.create_users(self.refreshing + self.leaving)
        self.browsers = [Browser(self.site.port) for _ in range(self.refreshing)]
        for browser, user in zip(self.browsers, users, strict=False):
            browser.sign_in(user)
        work = [(self.keep_refreshing, one) for one in enumerate(self.browsers)]
        work += [(self.keep_leaving, (user,)) for user in users[self.refreshing :]]
        self.threads = [threading.Thread(target=self.run, args=one) for one in work]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, work: Callable[..., None], args: Iterable) -> None:
        try:
            work(*args)
        except Exception as error:
            self.broken.append(error)
            raise

    def wait_for(self, refreshes: int, since: Counter[int] | None = None) -> None:
        """Wait until each browser has made this many more refreshes, counted from now or from these."""
        before = Counter(self.refreshes) if since is None else since
        every_browser = range(self.refreshing)
        wait_until(lambda: self.has_failed or all(self.refreshes[n] >= before[n] + refreshes for n in every_browser))

    def limit(self, refreshes: int) -> Counter[int]:
        """Let each browser make at most this many more, until `limits` is cleared. Return the counts so far."""
        before = Counter(self.refreshes)
        self.limits = {n: before[n] + refreshes for n in range(self.refreshing)}
        return before

    @property
    def has_failed(self) -> bool:
        return bool(self.broken or self.signed_out)

    @property
    def requests(self) -> int:
        return sum(self.answers.values())

    def errors(self, *faces: int) -> int:
        """Return how many requests to these faces, or to all, got a 5xx or no answer."""
        wanted = faces or range(len(self.faces))
        return sum(n for (face, status), n in self.answers.items() if face in wanted and (status >= 500 or not status))

    def keep_refreshing(self, number: int, browser: Browser) -> None:
        while not self.over.is_set():
            if self.is_ahead(number):
                self.over.wait(PAUSE)
                continue
            with self.lock:
                self.site.advance(GRACE + 1)
            browser.expire()
            for _ in range(2):  # with the second request, the new tokens are acknowledged
                if not self.is_known(browser):
                    self.signed_out.append(f"after {self.refreshes[number]} refreshes")
                    return
            self.refreshes[number] += 1

    def is_ahead(self, number: int) -> bool:
        made, slowest = self.refreshes[number], min(self.refreshes[n] for n in range(self.refreshing))
        return made > slowest + AHEAD or made >= self.limits.get(number, made + 1)

    def keep_leaving(self, user: int) -> None:
        browser = Browser(self.site.port)
        while not self.over.is_set():
            browser.cookies = {}
            _, answer = self.ask(browser, lambda face: f"/login/?user={user}", "POST")
            assert answer.status == 200, answer.body
            self.logins_lost += not self.is_known(browser)
            cookies = dict(browser.cookies)
            _, answer = self.ask(browser, lambda face: "/logout/", "POST")
            assert answer.status == 200, answer.body
            self.ended.append(cookies)

    def is_known(self, browser: Browser) -> bool:
        face, answer = self.ask(browser, lambda face: face.who)
        return face.knows(answer)

    def ask(self, browser: Browser, url: Callable[[Face], str], method: str = "GET") -> tuple[Face, Answer]:
        """Return the first answer that is not an error, and the face that gave it."""
        while True:
            number = random.randrange(len(self.faces))
            face = self.faces[number]
            browser.port = face.port
            try:
                answer = browser.get(url(face), method=method)
            except OSError:
                answer = None
            with self.lock:
                self.answers[number, answer.status if answer is not None else 0] += 1
            if answer is not None and answer.status < 500:
                return face, answer
            self.over.wait(PAUSE)


def accepted(ended: Sequence[dict[str, str]], *faces: Face) -> list[dict[str, str]]:
    """Return those of these cookies that a face still accepts, with the access token or with the refresh token only."""

    def is_accepted(cookies: dict[str, str]) -> bool:
        for face, names in product(faces, (("access_token", "refresh_token"), ("refresh_token",))):
            browser = Browser(face.port)
            browser.cookies = {name: cookies.get(name, "") for name in names}
            answer = browser.get(face.who)
            assert answer.status < 500, answer.body
            if face.knows(answer):
                return True
        return False

    with ThreadPoolExecutor(8) as pool:
        return [cookies for cookies, found in zip(ended, pool.map(is_accepted, ended), strict=True) if found]
