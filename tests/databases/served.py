"""The site of `site.py` behind gunicorn, its clock, a proxy that loses answers, and browsers."""

from __future__ import annotations

import http.client
import json
import mmap
import os
import random
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path

from tests.databases.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
ACCESS_LIFETIME, GRACE = 300, 30
START = 1_800_000_000
PATIENCE = 30


class Site:
    """Gunicorn, with workers that it replaces when they die."""

    def __init__(self, *, workers: int = 2, threads: int = 8, **databases: dict) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="jwtauth-site-"))
        path = self.folder / "clock"
        path.write_bytes(struct.pack("q", START))
        self.clock = mmap.mmap(os.open(path, os.O_RDWR), 8)
        self.env = os.environ | {
            "JWTAUTH_TEST_CLOCK": str(path),
            "JWTAUTH_TEST_DATABASES": json.dumps(databases),
            "DJANGO_SETTINGS_MODULE": "tests.databases.settings",
        }
        self.django("migrate", "--verbosity", "0")
        self.log = self.folder / "log"
        command = [
            *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--log-level", "warning"),
            *("--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads)),
            *("--no-control-socket", "tests.databases.site:application"),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self.wait()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.clock.close()
        shutil.rmtree(self.folder)

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if Browser(self.port).get("/idle/").status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the site did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def django(self, *command: str) -> None:
        subprocess.run([sys.executable, "-m", "django", *command], cwd=ROOT, env=self.env, check=True)

    def people(self, count: int) -> list[int]:
        """Makes that many users: their keys."""
        code = (
            "from django.contrib.auth.models import User;"
            f"users = [User(username=f'user {{n}}') for n in range({count})];"
            "User.objects.using('default').bulk_create(users);"
            "print(*User.objects.using('default').values_list('pk', flat=True))"
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
        self.expires_at = 0
        self.lock = threading.Lock()

    def get(self, url: str, *, method: str = "GET", die_at: str | None = None, late: bool = False) -> Answer:
        """``late``: does not take the cookies. Raises ``OSError`` where no answer comes."""
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
        if not late:
            self.take(answer)
        return answer

    def take(self, answer: Answer) -> None:
        with self.lock:
            self.cookies |= answer.cookies

    def sign_in(self, user: int) -> None:
        assert self.get(f"/login/?user={user}", method="POST").status == 200

    def expire(self) -> None:
        """What a browser does at the end of Max-Age."""
        self.cookies.pop("access_token", None)


class Proxy(socketserver.ThreadingTCPServer):
    """Passes each request on, and loses a share of the answers, after the server has given them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, lost: float) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.port, self.target, self.lost = self.server_address[1], port, lost
        self.passed = self.dropped = 0
        self.random = random.Random(7519)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            part = self.request.recv(65536)
            if not part:
                return
            request += part
        with socket.create_connection(("127.0.0.1", self.server.target), timeout=PATIENCE) as server:
            server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            answer = b""
            while part := server.recv(65536):
                answer += part
        if self.server.random.random() < self.server.lost:
            self.server.dropped += 1
        else:
            self.server.passed += 1
            self.request.sendall(answer)


class Losses:
    """What came of many refreshes through a proxy that loses answers."""

    def __init__(self) -> None:
        self.refreshes = self.requests = self.lost = 0
        self.signed_out: list[str] = []


def refresh_through(site: Site, proxy: Proxy, browsers: list[Browser], refreshes: int, burst: int = 3) -> Losses:
    """All browsers at once, again and again: the access token has expired, and a page makes a burst of requests."""
    result = Losses()
    guard = threading.Lock()

    def request(browser: Browser) -> None:
        try:
            answer = browser.get("/me/")
        except OSError:
            with guard:
                result.requests += 1
                result.lost += 1
            return
        with guard:
            result.requests += 1
            if answer.status != 200:
                result.signed_out.append(f"{answer.status} {answer.body[:200]!r}")

    before = [generation(browser) for browser in browsers]
    with ThreadPoolExecutor(16) as pool:
        while result.refreshes < refreshes:
            site.advance(ACCESS_LIFETIME + 1)
            for browser in browsers:
                browser.expire()
            list(pool.map(request, [browser for browser in browsers for _ in range(burst)]))
            list(pool.map(request, browsers))  # with the new cookies, which acknowledges them
            result.refreshes = sum(map(generation, browsers)) - sum(before)
    return result


def generation(browser: Browser) -> int:
    import base64

    payload = browser.cookies["refresh_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["gen"]
