"""Sites with device-bound sessions, and Chromium with a fresh profile for each test."""

import shutil

import pytest

from tests.seams.browsers.certificates import Certificates
from tests.seams.device.bound import BoundSite
from tests.seams.device.browser import BindingChromium


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: apt install openssl")
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def site(certificates, tmp_path_factory):
    """Run a site whose clock tests advance. Chromium refreshes only after expiry, since the cookies live long enough.

    Links from other sites send its cookies.
    """
    with BoundSite(tmp_path_factory.mktemp("bound"), certificates, COOKIE_SAMESITE="Lax") as running:
        yield running


@pytest.fixture(scope="session")
def timed_site(certificates, tmp_path_factory):
    """Run a site in real time, with short access tokens: Chromium refreshes beside nearly every request."""
    names = {"ACCESS_TOKEN_COOKIE_NAME": "access_token", "REFRESH_TOKEN_COOKIE_NAME": "refresh_token"}
    settings = {"ACCESS_TOKEN_LIFETIME": 20, **names}
    with BoundSite(tmp_path_factory.mktemp("timed"), certificates, in_real_time=True, **settings) as running:
        yield running


@pytest.fixture
def browser(certificates):
    """Return Chromium with DBSC. A new one, since deleting all cookies does not delete its device sessions."""
    with started(certificates) as running:
        yield running


@pytest.fixture
def unrecorded_browser(certificates):
    """Return `browser` without a record of its events, which would fill the disk in a long run."""
    with started(certificates, is_recorded=False) as running:
        yield running


def started(certificates, **options):
    if not BindingChromium.is_installed():
        pytest.skip(f"{BindingChromium.name} is not installed: apt install {BindingChromium.packages}")
    return BindingChromium(certificates, **options)
