"""The Node server of `render_server.mjs`, and browsers whose users open only the pages that it renders."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

from tests.databases.served import ACCESS_LIFETIME, GRACE, Browser, Site
from tests.databases.servers import free_port
from tests.waiting import stop

NODE = shutil.which("node")
SECRET = "the-secret-of-the-render-server-and-Django"
SETTINGS = {"JWTAUTH_TEST_SETTINGS": json.dumps({"RENDER_SERVER_SECRET": SECRET, "SESSION_LIFETIME": None})}
WAYS = ("guide", "next", "nuxt", "sveltekit", "retried", "sparing", "parallel", "dropped", "silent", "lost")
# Seconds between two rounds: within the grace, an access token's lifetime, the limit for uploads, or far longer.
PAUSES = (1, 10, 40, 200, ACCESS_LIFETIME + 1, 14 * 60, 16 * 60, 3600, 6 * 3600)


class RenderServer:
    """A process that renders pages, with or without the secret."""

    def __init__(self, site: Site, *, secret: str = SECRET) -> None:
        self.port = free_port()
        command = [str(NODE), str(Path(__file__).with_name("render_server.mjs")), str(self.port)]
        env = os.environ | {"DJANGO_URL": f"http://127.0.0.1:{site.port}", "RENDER_SERVER_SECRET": secret}
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self) -> RenderServer:
        return self

    def __exit__(self, *error: object) -> None:
        stop(self.process)
        self.process.stdout.close()


class Rendered:
    """The result of many pages."""

    def __init__(self) -> None:
        self.pages = self.fetches = self.lost = 0
        self.late: list[str] = []
        """Fetches that were refused as `late_upload`, each with its way."""
        self.signed_out: list[str] = []
        self.errors: list[str] = []


def render(site: Site, server: RenderServer, browsers: list[Browser], pages: int, ways=WAYS, seed=7519) -> Rendered:
    """Open this many pages: all browsers at once, several pages each, in rounds with pauses between them."""
    return asyncio.run(_render(site, server, browsers, pages, ways, random.Random(seed)))


async def _render(site, server, browsers, pages, ways, chance) -> Rendered:
    result = Rendered()
    at_once = asyncio.Semaphore(16)
    expiry = dict.fromkeys(browsers, site.now + ACCESS_LIFETIME)
    passing = 0  # seconds left to pass while pages load: fewer than the grace

    async def open_page(browser: Browser, way: str) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items() if value)
        async with at_once:
            nonlocal passing
            if passing and chance.random() < 0.5:
                passing -= 1
                site.advance(1)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = f"GET /{way} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookies}\r\n\r\n"
            writer.write(head.encode())
            answer = (await reader.read()).decode()
            writer.close()
        result.pages += 1
        if not answer:
            result.lost += 1
            return
        head, _, body = answer.partition("\r\n\r\n")
        if not head.startswith("HTTP/1.1 200"):
            result.errors.append(f"{way}: {answer}")
            return
        fetches = json.loads(re.search(r"\[.*\]", body)[0])
        result.fetches += len(fetches)
        for status in (status for status in fetches if status != 200):
            kind = result.late if "late_upload" in status else result.signed_out
            (kind if status.startswith("403") else result.errors).append(f"{way}: {status}")
        taken = dict(re.findall(r"set-cookie: (\w+)=([^;]*)", head, re.IGNORECASE))
        browser.cookies |= taken
        if taken:
            assert "no-store" in head, way
        if "access_token" in taken:
            expiry[browser] = site.now + ACCESS_LIFETIME

    while result.pages < pages and not result.signed_out and not result.errors:
        site.advance(chance.choice(PAUSES))
        passing = GRACE // 2
        for browser in browsers:
            if site.now >= expiry[browser]:
                browser.expire()
        opened = [(browser, chance.choice(ways)) for browser in browsers for _ in range(chance.randint(1, 3))]
        chance.shuffle(opened)
        await asyncio.gather(*(open_page(*one) for one in opened))
        if "guide" in ways:  # a user who is active opens some pages
            seen = {browser for browser in browsers if chance.random() < 0.3}
            seen |= {browser for browser in browsers if site.now - expiry[browser] > 8 * 3600}
            await asyncio.gather(*(open_page(browser, "guide") for browser in browsers if browser in seen))
    return result
