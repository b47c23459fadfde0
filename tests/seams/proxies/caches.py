"""Seeded sequences of visits to a site behind a cache, by users and anonymous browsers; each answer is checked."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import AsyncExitStack

from tests.databases.served import ACCESS_LIFETIME, Site
from tests.seams.proxies.doors import Door, Place
from tests.seams.proxies.scenarios import Tally
from tests.seams.proxies.visitors import Answer, Visitor, claims

# Whether the page names the user that it was made for.
PAGES = {
    "/page/": False,
    "/page/kept/": False,
    "/auth/jwks.json": False,
    "/of-user/": True,
    "/of-user/kept/": True,
    "/of-user/kept/by-all/": True,
    "/of-user/cached/": True,
    "/of-user/form/": True,
    "/of-user/session/": True,
    "/of-user/redirect/": True,
    "/of-user/missing/": True,
    "/of-user/api/": True,
    "/auth/me/": True,
}


class Browsing:
    """A browser, and the user that the test signed in."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.user: int | None = None
        # Each page's ETag, and the user that the page was made for.
        self.tags: dict[str, tuple[str, int | None]] = {}
        self.token: str | None = None


class Sequence:
    """Visits in an order that the seed determines. ``kept`` counts the pages that the cache answered itself."""

    def __init__(self, place: Place, site: Site, door: Door, users: list[int], seed: int) -> None:
        self.place, self.site, self.door, self.users = place, site, door, users
        self.chance = random.Random(seed)
        self.tally = Tally()
        # How often each response was seen, by the number that the site gave it.
        self.given: Counter[str] = Counter()
        self.sets_cookies: set[str] = set()
        self.kept: Counter[str] = Counter()
        # What must not happen.
        self.wrong: list[str] = []

    async def run(self, steps: int) -> Sequence:
        async with AsyncExitStack() as stack:
            *cookies, self.fresh, bearer = [
                Browsing(await stack.enter_async_context(Visitor(self.place, self.door)))
                for _ in range(len(self.users) + 3)
            ]
            for user, browser in zip(self.users, cookies, strict=False):  # the last one stays anonymous for now
                await self.sign_in(browser, user)
            await self.take_bearer(bearer, self.users[0])
            for _ in range(steps):
                await self.step(cookies, bearer)
        return self

    async def step(self, browsers: list[Browsing], bearer: Browsing) -> None:
        browser = self.chance.choice(browsers)
        match self.chance.choices(["visit", "expire", "in", "out", "analytics"], [30, 2, 2, 2, 2])[0]:
            case "expire":
                self.site.advance(ACCESS_LIFETIME + 1)
                for each in browsers:
                    each.visitor.expire()
                await self.take_bearer(bearer, self.chance.choice(self.users))
            case "in":
                await self.sign_in(browser, self.chance.choice(self.users))
            case "out":
                answer = await browser.visitor.ask("/logout/", "POST", b"{}", content_type="application/json")
                self.tally.count(answer, is_user=answer.status == 200)
                browser.user = None
            case "analytics":
                browser.visitor.cookies["_ga"] = str(self.chance.randrange(3))
            case "visit":
                # Few pages, so that they are requested repeatedly, and simultaneously.
                pages = self.chance.sample(sorted(PAGES), 2)
                visits = [self.chance.choice([*browsers, self.fresh, bearer]) for _ in range(self.chance.randint(1, 6))]
                await asyncio.gather(*(self.visit(each, self.chance.choice(pages)) for each in visits))

    async def sign_in(self, browser: Browsing, user: int) -> None:
        answer = await browser.visitor.sign_in(user)
        self.note(answer, "/login/")
        self.tally.count(answer, is_user=answer.status == 200)
        browser.user = user

    async def take_bearer(self, browser: Browsing, user: int) -> None:
        """Sign in as a client without cookies, which sends its access token itself."""
        browser.visitor.headers.pop("authorization", None)
        await browser.visitor.sign_in(user)
        browser.user, browser.token = user, browser.visitor.cookies["access_token"]
        browser.visitor.cookies.clear()
        browser.visitor.headers["authorization"] = f"Bearer {browser.token}"

    async def visit(self, browser: Browsing, page: str) -> None:
        headers, user = {}, browser.user
        tag, made_for = browser.tags.get(page, (None, None))
        if tag and self.chance.random() < 0.5:
            headers["if_none_match"] = tag
        method = "HEAD" if self.chance.random() < 0.1 else "GET"
        if browser.token is not None or browser is self.fresh:
            browser.visitor.cookies.clear()
        answer = await browser.visitor.ask(page, method, **headers)
        is_copy = self.note(answer, page)
        self.check_cookies(answer, page, user)
        if not PAGES[page] or (method == "HEAD" and answer.status != 304):
            made_for = user  # the page does not name it
        elif answer.status != 304:
            made_for = shown(answer)
        if is_copy and user is not None:
            self.tally.seen["copies served to users"] += 1
        is_denied = made_for is None and user is not None
        if is_denied and browser.token is not None:
            self.tally.seen["bearers served the anonymous page"] += 1
            is_denied = False
        elif made_for not in (None, user):
            kept = "kept" if is_copy else "not kept"
            self.wrong.append(f"{page}: made for {made_for}, served to {user}, {kept}")
        self.tally.count(answer, is_user=not is_denied)
        if method == "GET" and (tag := answer.get("etag")):
            browser.tags[page] = tag, made_for

    def note(self, answer: Answer, page: str) -> bool:
        """Record a response, and return whether it is a copy of an earlier one."""
        number = answer.get("x-response-id")
        if number is None:
            return False  # the cache's own answer
        self.given[number] += 1
        if answer.cookies:
            self.sets_cookies.add(number)
        is_copy = self.given[number] > 1
        if is_copy:
            self.kept[page] += 1
            if number in self.sets_cookies:
                self.wrong.append(f"{page}: a response that sets cookies was kept")
        return is_copy

    def check_cookies(self, answer: Answer, page: str, user: int | None) -> None:
        for name in ("access_token", "refresh_token"):
            token = answer.cookies.get(name)
            if token and claims(token)["sub"] != str(user):
                self.wrong.append(f"{page}: {name} of user {claims(token)['sub']} was given to {user}")


def shown(answer: Answer) -> int | None:
    """Return the user that a page names, or ``None``."""
    if answer.status == 302:
        found = answer.get("location").strip("/").split("/")
        return int(found[1]) if found[0] == "of" else None
    found = json.loads(answer.body).get("user")
    return found["id"] if isinstance(found, dict) else found
