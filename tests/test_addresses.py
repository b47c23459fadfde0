"""The client's address: one rule for sessions, login attempts and the admin."""

import pytest
from django.test import RequestFactory, override_settings

from jwtauth.internal import devices
from tests.conftest import only_session


def address(proxies=0, **headers):
    return devices.ip_address(RequestFactory().get("/", **headers), proxies)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.0.0.1"),  # any client can send this header
        (1, None, "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "192.0.2.66, 203.0.113.9", "203.0.113.9"),  # the first was sent by the client
        (2, "192.0.2.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),  # the request did not pass the outer proxy
        (1, "", None),
        (1, "unknown", None),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_forwarded_address_is_used_only_behind_trusted_proxies(proxies, forwarded, expected):
    headers = {"REMOTE_ADDR": "10.0.0.1"} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    assert address(proxies, **headers) == expected


@pytest.mark.parametrize(("remote", "expected"), [("", None), ("unix:", None), ("fe80::1%eth0", "fe80::1")])
def test_address_that_the_column_cannot_store_is_converted(remote, expected):
    assert address(REMOTE_ADDR=remote) == expected


@override_settings(JWTAUTH={"NUM_PROXIES": 1})
def test_num_proxies_applies_to_the_address_of_the_session(db, browser, ada):
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
    ("2001:db8::9:443", "2001:db8::9:443"),  # without brackets, the port looks like part of the address
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
def test_address_is_stored_without_port_brackets_and_zone(text, expected):
    assert devices.as_ip_address(text) == expected
    assert address(REMOTE_ADDR=text) == expected
    assert address(1, HTTP_X_FORWARDED_FOR=f"192.0.2.66, {text}") == expected


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (1, "192.0.2.66,", None),  # the entry that the proxy added is used although it is empty
        (1, "192.0.2.66, ,203.0.113.9", "203.0.113.9"),
        (2, "192.0.2.66,,203.0.113.9", None),
        (9, ",", None),
    ],
)
def test_empty_forwarded_entries_are_counted(proxies, forwarded, expected):
    assert address(proxies, HTTP_X_FORWARDED_FOR=forwarded) == expected


def test_address_is_null_if_the_server_has_none():
    request = RequestFactory().get("/")
    del request.META["REMOTE_ADDR"]  # as under ASGI on a Unix socket
    assert devices.ip_address(request, 0) is None
    assert devices.client(request, 0) == "unknown"


@override_settings(JWTAUTH={"NUM_PROXIES": 1})
@pytest.mark.parametrize(("text", "expected"), SPELLINGS)
def test_session_stores_the_normalised_address(db, browser, ada, text, expected):
    browser.sign_in(ada, HTTP_X_FORWARDED_FOR=text)
    assert only_session().ip_address == expected


@pytest.mark.parametrize("text", ["203.0.113.9", "203.0.113.9:22272", "::ffff:203.0.113.9", '"[::ffff:203.0.113.9]:1"'])
def test_admin_finds_the_address_in_any_spelling(browser, ada, admin_client, text):
    browser.sign_in(ada, REMOTE_ADDR="::ffff:203.0.113.9")
    found = admin_client.get("/admin/jwtauth/session/", {"q": text}).context["cl"].queryset
    assert list(found) == [only_session()]


def test_long_header_of_a_client_is_not_kept(rf, monkeypatch):
    kept = []
    monkeypatch.setattr(devices, "_as_ip_address", lambda text: kept.append(len(text)))
    request = rf.get("/", headers={"x-forwarded-for": "203.0.113.9" * 10_000})
    assert devices.ip_address(request, proxies=1) is None
    assert kept[0] <= 100


def test_spaces_around_an_address_do_not_count(rf):
    request = rf.get("/", headers={"x-forwarded-for": " " * 5_000 + "203.0.113.9" + " " * 5_000})
    assert devices.ip_address(request, proxies=1) == "203.0.113.9"
