"""What a real browser does with ``SameSite`` cookies after a provider, a payment or a link in a mail."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.databases.servers import free_port
from tests.waiting import stop

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """Our site and the other one, and what ours was sent."""

    def __init__(self, folder, same_site):
        port = free_port()
        self.ours, self.other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        env = os.environ | {"SITE_DATABASE": str(folder / f"{port}.sqlite3"), "SITE_SAMESITE": same_site}
        command = [sys.executable, "-m", "tests.browser.provider_site", str(port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.requests = queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            self.requests.put(json.loads(line))

    def from_other(self, how, path):
        """The address of a page of the other site that goes on to ours: see `provider_site.other_site`."""
        return f"{self.other}/{how}/?{urlencode({'to': self.ours + path})}"

    def requested(self, path):
        """The requests of this path until now, each as where it came from and whether it brought our cookies."""
        found = []
        while not self.requests.empty():
            request = self.requests.get()
            if request["PATH_INFO"] == path:
                found.append((request["HTTP_SEC_FETCH_SITE"], "access_token=" in (request["HTTP_COOKIE"] or "")))
        return found

    def live_sessions(self, page):
        page.goto(f"{self.ours}/sessions/")
        return json.loads(page.inner_text("body"))["live"]

    def stop(self):
        stop(self.process)
        self.listener.join()
        self.process.stdout.close()


@pytest.fixture(params=["Strict", "Lax"])
def either(request, tmp_path):
    site = Site(tmp_path, request.param)
    yield site
    site.stop()


@pytest.fixture
def strict(tmp_path):
    site = Site(tmp_path, "Strict")
    yield site
    site.stop()


@pytest.fixture
def page(jar):
    return jar().new_page()


def text(page, wanted):
    """The page's text, once it is this."""
    page.get_by_text(wanted, exact=True).wait_for()
    return page.inner_text("body")


@pytest.mark.parametrize("how", ["authorize", "post"])
def test_a_provider_signs_in_at_the_first_page(either, page, how):
    page.goto(either.from_other(how, "/callback/?land"))
    assert text(page, "ada at private")
    assert either.requested("/private/") == [("same-origin", True)]
    assert either.live_sessions(page) == 1
    page.go_back()  # over the page in between, whose place the next one has taken
    assert page.url.startswith(either.other)


def test_lax_needs_no_landing(tmp_path, page):
    site = Site(tmp_path, "Lax")
    try:
        page.goto(site.from_other("authorize", "/callback/"))
        assert text(page, "ada at private")
        assert site.requested("/private/") == [("cross-site", True)]
        assert site.live_sessions(page) == 1
    finally:
        site.stop()
