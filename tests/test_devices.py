"""Devices: their names and addresses."""

import pytest
from django.test import RequestFactory, override_settings

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
def test_a_device_has_a_name_that_people_know(user_agent, name):
    assert devices.name(user_agent) == name


def test_the_session_tells_its_device(db, browser, ada):
    browser.sign_in(ada, HTTP_USER_AGENT=FIREFOX)
    assert only_session().device == "Firefox on Windows"


def address(proxies=0, **headers):
    return devices.ip_address(RequestFactory().get("/", **headers), proxies)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.0.0.1"),  # anybody can send it
        (1, None, "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "192.0.2.66, 203.0.113.9", "203.0.113.9"),  # the first was sent by the client
        (2, "192.0.2.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),  # not through the outer proxy
        (1, "", None),
        (1, "unknown", None),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_forwarded_addresses_count_only_from_proxies_that_we_trust(proxies, forwarded, expected):
    headers = {"REMOTE_ADDR": "10.0.0.1"} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    assert address(proxies, **headers) == expected


@pytest.mark.parametrize(("remote", "expected"), [("", None), ("unix:", None), ("fe80::1%eth0", "fe80::1")])
def test_an_address_that_cannot_be_kept_as_it_is(remote, expected):
    assert address(REMOTE_ADDR=remote) == expected


@override_settings(JWTAUTH={"NUM_PROXIES": 1})
def test_the_setting_counts_at_login(db, browser, ada):
    browser.sign_in(ada, HTTP_X_FORWARDED_FOR="192.0.2.66, 203.0.113.9")
    assert only_session().ip_address == "203.0.113.9"
