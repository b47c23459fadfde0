"""Packages that sign users in through a provider, joined to jwtauth by docs/guides/providers.md, in a browser."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CHROMIUM, chromium, jar  # noqa: F401 - fixtures
from tests.databases.servers import free_port
from tests.waiting import stop

ROOT = Path(__file__).resolve().parents[2]
# How each is joined, and the module that must be installed.
JOINED = {"allauth": "allauth", "social": "social_django", "mozilla": "mozilla_django_oidc", "receiver": "allauth"}
SIGNED_IN = "ada@example.com at private"


class Site:
    """The site of `provider_site`, and a browser page that visits it."""

    def __init__(self, folder, page, package, same_site, *, lands):
        port = free_port()
        self.url, self.page = f"http://127.0.0.1:{port}", page
        env = os.environ | {"SITE_FOLDER": str(folder), "SITE_SAMESITE": same_site, "NO_PROXY": "localhost,127.0.0.1"}
        if not lands:
            env["SITE_WITHOUT_LANDING"] = "1"
        command = [sys.executable, "-m", "tests.neighbours.provider_site", str(port), package]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def visit(self):
        """Request the page that needs a user, and return what the browser finally shows."""
        self.page.goto(f"{self.url}/private/", wait_until="commit")
        body = self.page.locator("body")
        expect(body).to_have_text(re.compile("at private$|^enough$"))
        return body.inner_text()

    def sessions(self):
        """Return the live sessions, and Django's sessions that sign a user in."""
        return json.loads(self.page.request.get(f"{self.url}/sessions/").text())

    def stop(self):
        stop(self.process)
        self.process.stdout.close()


@pytest.fixture(params=["allauth", "social", "mozilla"])
def start(request, tmp_path, jar):  # noqa: F811 - the fixture
    """Start the site with a package; each visitor has a new browser."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    if find_spec(JOINED[request.param]) is None:
        pytest.skip(f"{JOINED[request.param]} is not installed: requirements/neighbours.txt")
    sites = []

    def start(same_site, *, lands):
        sites.append(Site(tmp_path, jar().new_page(), request.param, same_site, lands=lands))
        return sites[-1]

    yield start
    for site in sites:
        site.stop()


@pytest.mark.parametrize(("same_site", "lands"), [("Strict", True), ("Lax", False), ("Lax", True)])
def test_the_first_page_after_the_provider_is_signed_in(start, same_site, lands):
    site = start(same_site, lands=lands)
    assert site.visit() == SIGNED_IN
    assert site.sessions() == {"live": 1, "django": 0}
    assert site.visit() == SIGNED_IN


@pytest.mark.parametrize("start", ["receiver"], indirect=True)
@pytest.mark.parametrize("same_site", ["Strict", "Lax"])
def test_a_receiver_signs_in_beside_djangos_session(start, same_site):
    site = start(same_site, lands=False)
    assert site.visit() == SIGNED_IN
    assert site.sessions() == {"live": 1, "django": 1}
    assert site.visit() == SIGNED_IN


def test_strict_cookies_without_landing_redirect_forever_and_leave_one_session(start):
    """The test's provider gives up; a real one does not."""
    site = start("Strict", lands=False)
    assert site.visit() == "enough"
    assert site.sessions() == {"live": 1, "django": 0}
    assert site.visit() == SIGNED_IN
