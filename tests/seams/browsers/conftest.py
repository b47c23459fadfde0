"""The browsers, each started once. A test gets one without cookies and with one empty tab."""

import shutil

import pytest

from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import BROWSERS


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: apt install openssl")
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def running_browsers():
    running = {}
    yield running
    for browser in running.values():
        browser.stop()


@pytest.fixture(params=BROWSERS, ids=lambda kind: kind.name)
def browser(request, running_browsers, certificates):
    """Return each browser, with a single tab and without cookies."""
    kind = request.param
    if not kind.is_installed():
        pytest.skip(f"{kind.name} is not installed: apt install {kind.packages}")
    if kind not in running_browsers:
        running_browsers[kind] = kind(certificates)
    browser = running_browsers[kind]
    browser.leave_frames()
    while len(browser.tabs()) > 1:
        browser.close_tab()
    browser.goto("about:blank")
    browser.forget_all()
    return browser
