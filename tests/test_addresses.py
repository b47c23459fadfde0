"""The client's address: one rule for sessions, attempts and the admin."""

import pytest
from django.test import RequestFactory, override_settings

from jwtauth.internal import devices
from tests.conftest import only_session


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


SPELLINGS = [
    ("203.0.113.9:22272", "203.0.113.9"),
    ("[2001:db8::9]:443", "2001:db8::9"),
    ("[2001:db8::9]", "2001:db8::9"),
    ("2001:DB8:0::9", "2001:db8::9"),
    ('"[2001:db8::9]:443"', "2001:db8::9"),
    ('"203.0.113.9"', "203.0.113.9"),
    ("fe80::1%eth0", "fe80::1"),
    ("[fe80::1%25eth0]:80", "fe80::1"),
    ("::ffff:203.0.113.9", "203.0.113.9"),
    ("[::ffff:203.0.113.9]:8080", "203.0.113.9"),
    ("\t 203.0.113.9 ", "203.0.113.9"),
    ("203.0.113.9:_hidden", "203.0.113.9"),
    ("2001:db8::9:443", "2001:db8::9:443"),  # without brackets, a port looks like the rest
]
NOT_ADDRESSES = [
    "unknown",
    "_hidden",
    "",
    " ",
    ":",
    ":80",
    "[]",
    "[]:80",
    "[unknown]:80",
    "203.0.113.999",
    "203.0.113.09",
    "localhost:80",
    "1",
    "0x7f000001",
    "\x00",
    "\ud800",
    "203.0.113.9\x00",
    "9" * 5000,
    ":" * 5000,
    "[" * 5000,
]


@pytest.mark.parametrize(("text", "expected"), [*SPELLINGS, *((text, None) for text in NOT_ADDRESSES)])
def test_an_address_is_kept_without_what_surrounds_it(text, expected):
    assert devices.as_ip_address(text) == expected
    assert address(REMOTE_ADDR=text) == expected
    assert address(1, HTTP_X_FORWARDED_FOR=f"192.0.2.66, {text}") == expected


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (1, "192.0.2.66,", None),  # what the proxy has added counts, though it is empty
        (1, "192.0.2.66, ,203.0.113.9", "203.0.113.9"),
        (2, "192.0.2.66,,203.0.113.9", None),
        (9, ",", None),
    ],
)
def test_empty_entries_keep_their_places(proxies, forwarded, expected):
    assert address(proxies, HTTP_X_FORWARDED_FOR=forwarded) == expected


def test_a_server_may_know_no_address():
    request = RequestFactory().get("/")
    del request.META["REMOTE_ADDR"]  # as under ASGI on a Unix socket
    assert devices.ip_address(request, 0) is None
    assert devices.client(request, 0) == "unknown"


@override_settings(JWTAUTH={"NUM_PROXIES": 1})
@pytest.mark.parametrize(("text", "expected"), SPELLINGS)
def test_the_session_has_the_address(db, browser, ada, text, expected):
    browser.sign_in(ada, HTTP_X_FORWARDED_FOR=text)
    assert only_session().ip_address == expected


@pytest.mark.parametrize("text", ["203.0.113.9", "203.0.113.9:22272", "::ffff:203.0.113.9", '"[::ffff:203.0.113.9]:1"'])
def test_the_admin_finds_it_in_any_spelling(browser, ada, admin_client, text):
    browser.sign_in(ada, REMOTE_ADDR="::ffff:203.0.113.9")
    found = admin_client.get("/admin/jwtauth/session/", {"q": text}).context["cl"].queryset
    assert list(found) == [only_session()]
