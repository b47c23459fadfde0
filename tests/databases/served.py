"""The site of `site.py` behind gunicorn, or of `asgi.py` behind uvicorn, its clock, a lossy proxy, and browsers."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from http.cookies import SimpleCookie
from pathlib import Path

from tests.databases.servers import free_port
from tests.waiting import BEFORE_KILL, PATIENCE, answers, stop, wait_until

ROOT = Path(__file__).resolve().parents[2]
ACCESS_LIFETIME, GRACE = 300, 30
START = 1_800_000_000


class Site:
    """Gunicorn or uvicorn, with workers that it replaces when they die."""

    def __init__(
        self, *, workers: int = 2, threads: int = 8, asgi: bool = False, env: dict | None = None, **databases: dict
    ) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="jwtauth-site-"))
        path = self.folder / "clock"
        path.write_bytes(struct.pack("q", START))
        with path.open("r+b") as file:
            self.clock = mmap.mmap(file.fileno(), 8)
        self.env = os.environ | {
            "JWTAUTH_TEST_CLOCK": str(path),
            "JWTAUTH_TEST_DATABASES": json.dumps(databases),
            "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
            **(env or {}),
        }
        self.django("migrate", "--verbosity", "0")
        self.log = self.folder / "log"
        gunicorn = [
            *("gunicorn", "--bind", f"127.0.0.1:{self.port}", "--log-level", "warning", "--no-control-socket"),
            *("--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads)),
            *("--timeout", str(PATIENCE)),  # or a worker that gets no processor for half a minute is killed
            "tests.databases.site:application",
        ]
        uvicorn = [
            *("uvicorn", "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"),
            *("--timeout-worker-healthcheck", str(PATIENCE)),
            *("--workers", str(workers), "tests.databases.asgi:application"),
        ]
        command = [sys.executable, "-m", *(uvicorn if asgi else gunicorn)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(BEFORE_KILL)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.clock.close()
        shutil.rmtree(self.folder)

    def wait(self) -> None:
        wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/idle/"), self.process, self.log)

    def django(self, *command: str) -> None:
        subprocess.run([sys.executable, "-m", "django", *command], cwd=ROOT, env=self.env, check=True)

    def people(self, count: int) -> list[int]:
        """Makes that many users: their keys."""
        code = (
            "from uuid import uuid4; from django.contrib.auth.models import User;"
            "users = User.objects.using('default');"
            f"users.bulk_create([User(username=str(uuid4())) for _ in range({count})]);"
            f"print(*users.order_by('-pk').values_list('pk', flat=True)[:{count}])"
        )
        command = [sys.executable, "-m", "django", "shell", "--no-imports", "--command", code]
        done = subprocess.run(command, cwd=ROOT, env=self.env, check=True, capture_output=True, text=True)
        return [int(word) for word in done.stdout.split()]

    @property
    def now(self) -> int:
        return struct.unpack("q", self.clock[:8])[0]

    def advance(self, seconds: int) -> None:
        self.clock[:8] = struct.pack("q", self.now + seconds)


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        self.cookies = {}
        for header in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}


class Browser:
    """Cookies, and requests by real connections. Each answer's cookies are taken as it comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def get(self, url: str, *, method: str = "GET", die_at: str | None = None) -> Answer:
        """Takes the cookies of the answer. Raises ``OSError`` where none comes."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value)}
        if die_at is not None:
            headers["X-Die-At"] = die_at
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, url, headers=headers)
            answer = Answer(connection.getresponse())
        except http.client.HTTPException as error:
            raise ConnectionError(f"no answer: {error!r}") from None
        finally:
            connection.close()
        self.cookies |= answer.cookies
        return answer

    def sign_in(self, user: int) -> None:
        assert self.get(f"/login/?user={user}", method="POST").status == 200

    def expire(self) -> None:
        """What a browser does at the end of Max-Age."""
        self.cookies.pop("access_token", None)


def signed_in(site: Site, people: int) -> list[Browser]:
    """That many new people, each with a browser."""
    browsers = []
    for user in site.people(people):
        browser = Browser(site.port)
        browser.sign_in(user)
        browsers.append(browser)
    return browsers


class Proxy:
    """A process that passes requests on, and loses a share of the answers after the server has given them."""

    def __init__(self, port: int, lost: float) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "tests.databases.proxy", str(self.port), str(port), str(lost)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        stop(self.process)
        self.process.stdout.close()


class Losses:
    """What came of many refreshes through a proxy that loses answers."""

    def __init__(self) -> None:
        self.refreshes = self.requests = self.lost = 0
        self.signed_out: list[str] = []


def refresh_through(site: Site, proxy: Proxy, browsers: list[Browser], refreshes: int, burst: int = 2) -> Losses:
    """All browsers at once, again and again: the access token has expired, and a page makes a burst of requests."""
    return asyncio.run(_refresh_through(site, proxy, browsers, refreshes, burst))


async def _refresh_through(site: Site, proxy: Proxy, browsers: list[Browser], refreshes: int, burst: int) -> Losses:
    result = Losses()
    at_once = asyncio.Semaphore(32)

    async def request(browser: Browser) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items() if value)
        async with at_once:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(f"GET /me/ HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
        result.requests += 1
        if not answer:
            result.lost += 1
        elif not answer.startswith(b"HTTP/1.1 200"):
            result.signed_out.append(answer[:100].decode() + answer[-100:].decode())
        browser.cookies |= dict(re.findall(r"Set-Cookie: (\w+)=([^;]*)", answer.decode()))

    first = sum(map(generation, browsers))
    while result.refreshes < refreshes and not result.signed_out:
        site.advance(ACCESS_LIFETIME + 1)
        for browser in browsers:
            browser.expire()
        await asyncio.gather(*(request(browser) for browser in browsers for _ in range(burst)))
        await asyncio.gather(*map(request, browsers))  # with the new cookies, which acknowledges them
        result.refreshes = sum(map(generation, browsers)) - first
    return result


def generation(browser: Browser) -> int:
    payload = browser.cookies["refresh_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["gen"]
