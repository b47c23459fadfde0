"""Names of devices, with ua-parser and without."""

import sys

import pytest
from django.utils import translation

from jwtauth.internal import devices
from tests.conftest import only_session

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0"
CHROME = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (CHROME, "Chrome on Android"),
        (SAFARI, "Mobile Safari on iOS"),
        ("Mozilla/5.0 (Linux; Android 15)", "Android"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown device"),
        ("nonsense", "Unknown device"),
        ("\x00" * 512, "Unknown device"),
    ],
)
def test_device_is_named_by_browser_and_system(user_agent, name):
    assert devices.name(user_agent) == name


@pytest.fixture
def without_ua_parser(monkeypatch):
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    devices._names.cache_clear()
    yield
    devices._names.cache_clear()


LINUX, WINDOWS, MAC = "X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
# Headers of common browsers, whose names do not depend on ua-parser.
COMMON = {
    FIREFOX: "Firefox on Windows",
    CHROME: "Chrome on Android",
    f"Mozilla/5.0 ({LINUX}; rv:144.0) Gecko/20100101 Firefox/144.0": "Firefox on Linux",
    f"Mozilla/5.0 ({WINDOWS}) {WEBKIT} Chrome/142.0 Safari/537.36": "Chrome on Windows",
    f"Mozilla/5.0 ({WINDOWS}) {WEBKIT} Chrome/142.0 Safari/537.36 Edg/142.0": "Edge on Windows",
    f"Mozilla/5.0 ({MAC}) {WEBKIT} Chrome/142.0 Safari/537.36 OPR/125.0.0.0": "Opera on Mac OS X",
    f"Mozilla/5.0 ({MAC}) {WEBKIT} Version/26.0 Safari/605.1.15": "Safari on Mac OS X",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/142.0 Safari/537.36": "Chrome on Chrome OS",
    f"Mozilla/5.0 (Linux; Android 15; SM-S931B) {WEBKIT} SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36": (
        "Samsung Internet on Android"
    ),
    "Mozilla/5.0 (Linux; Android 15)": "Android",
    "": "Unknown device",
    "nonsense": "Unknown device",
}


@pytest.mark.parametrize(("user_agent", "name"), COMMON.items())
def test_common_browsers_have_the_same_name_with_ua_parser(user_agent, name):
    assert devices.name(user_agent) == name


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        *COMMON.items(),
        (SAFARI, "Safari on iOS"),
        (
            f"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) {WEBKIT} CriOS/142.0 Mobile/15E148 Safari/604.1",
            "Chrome on iOS",
        ),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {WEBKIT} FxiOS/144.0 Mobile", "Firefox on iOS"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0", "Firefox on Android"),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/142.0 Mobile Safari/537.36 EdgA/142.0", "Edge on Android"),
        ("curl/8.5.0", "Unknown device"),
    ],
)
def test_common_browsers_have_a_name_without_ua_parser(without_ua_parser, user_agent, name):
    assert devices.name(user_agent) == name


def test_name_is_translated_without_ua_parser(without_ua_parser):
    with translation.override("de"):
        assert devices.name("nonsense") == "Unbekanntes Gerät"


def test_session_has_the_name_of_its_device(db, browser, ada):
    browser.sign_in(ada, HTTP_USER_AGENT=FIREFOX)
    assert only_session().device == "Firefox on Windows"
