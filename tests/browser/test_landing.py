"""What Chromium does with ``SameSite`` cookies after a provider, a payment or a link in a mail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from playwright.sync_api import expect

from tests.databases.servers import free_port
from tests.waiting import stop

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """The site and the other one."""

    def __init__(self, folder, same_site):
        port = free_port()
        self.url, self.other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        env = os.environ | {"SITE_DATABASE": str(folder / f"{port}.sqlite3"), "SITE_SAMESITE": same_site}
        command = [sys.executable, "-m", "tests.browser.provider_site", str(port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def from_other(self, how, path):
        """Return the address of a page of the other site that leads to this path: see `provider_site.other_site`."""
        return f"{self.other}/{how}/?{urlencode({'to': self.url + path})}"

    def requested(self, path):
        """Return the requests of this path so far: ``Sec-Fetch-Site``, and whether the access cookie was sent."""
        received = requests.get(f"{self.other}/received/").json()
        return [(request["site"], request["access_cookie"]) for request in received if request["path"] == path]

    def live_sessions(self, page):
        page.goto(f"{self.url}/sessions/")
        return json.loads(page.inner_text("body"))["live"]

    def stop(self):
        stop(self.process)
        self.process.stdout.close()


@pytest.fixture(params=["Strict", "Lax"])
def either(request, tmp_path):
    site = Site(tmp_path, request.param)
    yield site
    site.stop()


@pytest.fixture
def lax(tmp_path):
    site = Site(tmp_path, "Lax")
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


def reads(page, wanted):
    """Wait until the page shows this text and nothing else."""
    expect(page.locator("body")).to_have_text(wanted)
    return True


@pytest.mark.parametrize("how", ["authorize", "post"])
def test_the_first_page_after_a_provider_is_signed_in(either, page, how):
    page.goto(either.from_other(how, "/callback/?land"))
    assert reads(page, "ada at private")
    assert either.requested("/private/") == [("same-origin", True)]
    assert either.live_sessions(page) == 1


def test_lax_cookies_are_sent_to_the_first_page_without_a_landing(lax, page):
    page.goto(lax.from_other("authorize", "/callback/"))
    assert reads(page, "ada at private")
    assert lax.requested("/private/") == [("cross-site", True)]
    assert lax.live_sessions(page) == 1


def test_strict_cookies_without_a_landing_redirect_forever(strict, page):
    """The page after the callback is anonymous, and redirects its visitor to the provider again."""
    page.goto(strict.from_other("authorize", "/callback/"))
    assert reads(page, "enough")
    assert strict.requested("/private/") == [("cross-site", False)] * 12
    assert strict.live_sessions(page) == 1  # each round has replaced the session of the previous one
    page.goto(f"{strict.url}/private/")
    assert reads(page, "ada at private")


@pytest.fixture
def signed_in(strict, page):
    page.goto(f"{strict.url}/sign-in/local/")
    assert reads(page, "signed in")
    return page


def follow(site, page, path):
    """Click a link to the site on a page of the other one."""
    page.goto(site.from_other("link", path))
    page.get_by_role("link", name="Go").click()


def test_a_user_who_follows_a_link_to_a_landing_is_signed_in(strict, signed_in):
    follow(strict, signed_in, "/go/?next=/orders/")
    assert reads(signed_in, "ada at orders")
    assert strict.requested("/orders/") == [("same-origin", True)]
    signed_in.go_back(wait_until="commit")  # past the landing page, which the next page has replaced
    assert reads(signed_in, "Go")


def test_a_user_who_follows_a_link_to_a_page_is_signed_in_after_the_sign_in_page(strict, signed_in):
    follow(strict, signed_in, "/orders/")
    assert reads(signed_in, "ada at orders")
    assert strict.requested("/orders/") == [("cross-site", False), ("same-origin", True)]


def test_an_anonymous_visitor_who_follows_a_link_sees_the_sign_in_page(strict, page):
    follow(strict, page, "/orders/")
    assert reads(page, "the form")
    assert strict.requested("/sign-in/") == [("cross-site", False), ("same-origin", False)]
