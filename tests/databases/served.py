"""The site of `site.py` or `asgi.py` behind a web server, its clock, a lossy proxy, and browsers."""

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
from contextlib import suppress
from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path
from uuid import uuid4

from tests.databases.forks import manage
from tests.databases.servers import free_port
from tests.seams.servers.table import GTHREAD, UVICORN, WSGI, Start, WebServer, gunicorn
from tests.waiting import BEFORE_KILL, PATIENCE, answers, stop, wait_until

ROOT = Path(__file__).resolve().parents[2]
ACCESS_LIFETIME, GRACE = 300, 30
START = 1_800_000_000
# Seconds that a server gets to end by itself. gunicorn waits for connections that browsers keep open.
BEFORE_CUT = 5
# Its parent imports the site. Its workers, also those that replace others, are forks of the parent.
PRELOADING = replace(GTHREAD, command=gunicorn("gthread", WSGI, "--preload"))


class Project:
    """The test project on these databases, with a clock that tests set.

    A project `beside` another shares its clock and, on another server of a cluster, its database.
    """

    def __init__(
        self, *, env: dict | None = None, migrated: bool = False, beside: Project | None = None, **databases: dict
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jwtauth-site-"))
        path = self.folder / "clock"
        if beside is None:
            path.write_bytes(struct.pack("q", START))
        else:
            path = Path(beside.env["JWTAUTH_TEST_CLOCK"])
        with path.open("r+b") as file:
            self.clock = mmap.mmap(file.fileno(), 8)
        self.env = os.environ | {
            "JWTAUTH_TEST_CLOCK": str(path),
            "JWTAUTH_TEST_DATABASES": json.dumps(databases),
            "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
            **(env or {}),
        }
        if not migrated and beside is None:
            self.django("migrate", "--verbosity", "0")

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *error: object) -> None:
        self.clock.close()
        shutil.rmtree(self.folder)

    def django(self, *command: str) -> None:
        manage(self.env, *command).check_returncode()

    def create_users(self, count: int) -> list[int]:
        """Create this many users and return their keys."""
        code = (
            "from uuid import uuid4; from django.contrib.auth.models import User;"
            "users = User.objects.using('default');"
            f"users.bulk_create([User(username=str(uuid4())) for _ in range({count})]);"
            f"print(*users.order_by('-pk').values_list('pk', flat=True)[:{count}])"
        )
        done = manage(self.env, "shell", "--no-imports", "--command", code)
        done.check_returncode()
        return [int(word) for word in done.stdout.split()]

    @property
    def now(self) -> int:
        return struct.unpack("q", self.clock[:8])[0]

    def refreshing(self) -> list[str]:
        """Return for each refresh under way the name of its `Pause`, or an empty text."""
        found = []
        for mark in self.folder.glob("refreshing-*"):
            with suppress(FileNotFoundError):  # it has ended meanwhile
                if Path("/proc", mark.name.split("-")[1]).exists():
                    found.append(mark.read_text())
        return found

    def advance(self, seconds: int) -> None:
        self.clock[:8] = struct.pack("q", self.now + seconds)


class Site(Project):
    """The project behind a web server. Most servers replace workers that die."""

    def __init__(
        self,
        *,
        workers: int = 2,
        threads: int = 8,
        asgi: bool = False,
        server: WebServer | None = None,
        pem: Path | None = None,
        env: dict | None = None,
        migrated: bool = False,
        beside: Project | None = None,
        **databases: dict,
    ) -> None:
        self.server = server or (UVICORN if asgi else PRELOADING)
        if self.server.tls:
            env = {"JWTAUTH_TEST_SETTINGS": json.dumps({"COOKIE_SECURE": True}), **(env or {})}
        super().__init__(env=env, migrated=migrated, beside=beside, **databases)
        self.port = free_port()
        self.pem = (pem or certificate(self.folder)) if self.server.tls else None
        self.command = self.server.command(Start(self.port, workers, threads, self.pem))
        self.log = self.folder / "log"
        self.start()
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        self.stop(BEFORE_CUT)
        super().__exit__(*error)

    @property
    def url(self) -> str:
        return f"{'http' if self.pem is None else 'https'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, within: float = BEFORE_KILL) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait(self) -> None:
        wait_until(lambda: answers(f"{self.url}/idle/", self.pem), self.process, self.log)

    def workers(self) -> set[int]:
        """Return the ids of the server's processes that answer requests: its children, or itself if it has none."""
        if not self.server.has_workers:
            return {self.process.pid}
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [child for thread in threads for child in thread.read_text().split()]
        # Python's multiprocessing adds a child.
        return {int(child) for child in children if b"resource_tracker" not in command_of(child)}


def command_of(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def certificate(folder: Path) -> Path:
    """Make a certificate for this machine, and return the path of a file with it and its key."""
    path = folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(path), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    return path


class Pause:
    """A request that waits at one of the steps of `site.py` until it is released."""

    def __init__(self, site: Project, where: str) -> None:
        self.site = site
        self.path = site.folder / f"paused-{uuid4()}"
        self.headers = {"X-Pause-At": where, "X-Pause-File": self.path.name}

    @property
    def worker(self) -> int | None:
        """Return the id of the process in which the request waits, once it waits."""
        return int(self.path.read_text()) if self.path.exists() else None

    @property
    def has_ended(self) -> bool:
        """Return whether its refresh has ended, or the process that ran it."""
        return self.path.name not in self.site.refreshing()

    def let_go(self) -> None:
        """Release the request, also if it does not wait yet: its connection may have been lost before."""
        self.path.with_suffix(".let-go").touch()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        self.cookies = {}
        for header in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}


class Browser:
    """Cookies, and requests by real connections. Each answer's cookies are stored."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def get(self, url: str, *, method: str = "GET", die_at: str | None = None) -> Answer:
        """Make a request and store the cookies of the answer. Raise ``OSError`` if none arrives."""
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
        """Delete the access token, as a browser does at the end of Max-Age."""
        self.cookies.pop("access_token", None)


def signed_in(site: Site, count: int) -> list[Browser]:
    """Return browsers with a new user signed in at each."""
    browsers = []
    for user in site.create_users(count):
        browser = Browser(site.port)
        browser.sign_in(user)
        browsers.append(browser)
    return browsers


class Proxy:
    """A process that forwards requests, and loses a share of the answers after the server has sent them."""

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
    """The result of many refreshes through a proxy that loses answers."""

    def __init__(self) -> None:
        self.refreshes = self.requests = self.lost = 0
        self.signed_out: list[str] = []


def refresh_through(site: Site, proxy: Proxy, browsers: list[Browser], refreshes: int, burst: int = 2) -> Losses:
    """Refresh repeatedly in all browsers at once: each time, a page makes a burst of requests with no access token."""
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
