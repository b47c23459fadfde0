"""``RECORD_IP_ADDRESS`` and ``RECORD_USER_AGENT``: what is stored of a client, and that nothing else shows it."""

import logging

import pytest
from django.test import RequestFactory
from django.utils import translation

from jwtauth.internal import devices
from jwtauth.signals import client_of
from tests.conftest import ACCESS_LIFETIME, GRACE, only_session
from tests.test_devices import COMMON, FIREFOX, without_ua_parser  # noqa: F401

ADDRESS = "203.0.113.9"
NETWORKS = {
    ADDRESS: "203.0.113.0",
    "2001:db8:1:2::9": "2001:db8:1::",
    "::ffff:203.0.113.9": "203.0.113.0",
    "64:ff9b::203.0.113.9": "64:ff9b::",
    "2002:cb00:7109::1": "2002:cb00:7100::",  # 203.0.113.9 by 6to4
}


@pytest.fixture
def recorded(settings, browser, ada):
    """Sign in with these settings and return the session."""

    def sign_in(address="full", user_agent="full", remote=ADDRESS, header=FIREFOX):
        settings.JWTAUTH = {"RECORD_IP_ADDRESS": address, "RECORD_USER_AGENT": user_agent}
        browser.sign_in(ada, REMOTE_ADDR=remote, HTTP_USER_AGENT=header)
        return only_session()

    return sign_in


@pytest.mark.parametrize(("record", "stored"), [("full", ADDRESS), ("truncated", "203.0.113.0"), ("off", None)])
def test_address_is_stored_as_the_setting_says(recorded, record, stored):
    assert recorded(address=record).ip_address == stored


@pytest.mark.parametrize(("address", "network"), NETWORKS.items())
def test_truncated_address_is_the_network(recorded, address, network):
    assert recorded(address="truncated", remote=address).ip_address == network


@pytest.mark.parametrize("record", ["truncated", "off"])
def test_missing_address_stays_missing(recorded, record):
    assert recorded(address=record, remote="unix:").ip_address is None


@pytest.mark.parametrize(
    ("record", "stored", "device"),
    [
        ("full", FIREFOX, "Firefox on Windows"),
        ("truncated", "Firefox\nWindows", "Firefox on Windows"),
        ("off", "", "Unknown device"),
    ],
)
def test_user_agent_is_stored_as_the_setting_says(recorded, record, stored, device):
    session = recorded(user_agent=record)
    assert (session.user_agent, session.device) == (stored, device)


def truncated(header):
    return devices.user_agent(RequestFactory().get("/", HTTP_USER_AGENT=header), "truncated")


HEADERS = {**COMMON, "Mozilla/5.0 Firefox/144.0": "Firefox"}


@pytest.mark.parametrize("header", HEADERS)
def test_truncated_user_agent_names_the_same_device(header):
    assert devices.name(truncated(header)) == devices.name(header) == HEADERS[header]


@pytest.mark.parametrize("header", HEADERS)
def test_truncated_user_agent_names_the_same_device_without_ua_parser(without_ua_parser, header):  # noqa: F811
    assert devices.name(truncated(header)) == devices.name(header) == HEADERS[header]


def test_truncated_user_agent_keeps_its_name_when_ua_parser_is_removed(request):
    stored = truncated("curl/8.5.0")
    request.getfixturevalue("without_ua_parser")
    assert devices.name(stored) == "curl"


def test_truncated_user_agent_is_translated():
    stored = truncated(FIREFOX)
    with translation.override("de"):
        assert devices.name(stored) == "Firefox unter Windows"


def test_header_cannot_name_the_device_itself(recorded):
    header = "Sign in at evil.example\nWindows"
    assert recorded(user_agent="full", header=header).device == "Windows"


def test_client_without_an_address_on_record_is_throttled_by_its_address(recorded, browser, other_browser):
    recorded(address="off")
    data = {"username": "ada", "password": "wrong"}
    for _ in range(31):
        last = browser.post("/auth/login/", data, content_type="application/json", REMOTE_ADDR=ADDRESS)
    other = other_browser.post("/auth/login/", data, content_type="application/json", REMOTE_ADDR="203.0.113.10")
    assert (last.status_code, other.status_code) == (429, 401)


# The attributes of every log record.
ORDINARY = vars(logging.makeLogRecord({})).keys()


def test_log_records_show_neither_address_nor_user_agent(recorded, browser, other_browser, ada, clock, caplog):
    caplog.set_level(logging.DEBUG, "jwtauth")
    client = {"REMOTE_ADDR": ADDRESS, "HTTP_USER_AGENT": FIREFOX}
    recorded(address="off", user_agent="off")
    stolen = browser.tokens()
    clock.advance(ACCESS_LIFETIME + 1)
    for _ in range(2):  # the second acknowledges the new tokens
        browser.get("/me/", **client)
    clock.advance(GRACE)
    other_browser.carry({"refresh_token": stolen["refresh_token"]})
    other_browser.get("/me/", **client)
    browser.sign_in(ada, **client)
    browser.post("/me/", HTTP_ORIGIN="https://elsewhere.example", HTTP_SEC_FETCH_SITE="cross-site", **client)
    browser.post("/logout/", **client)
    records = [record for record in caplog.records if record.name.startswith("jwtauth")]
    assert {record.event for record in records} >= {
        "session_started",
        "session_refreshed",
        "refresh_token_reused",
        "cross_origin",
        "session_ended",
    }
    shown = [record.getMessage() for record in records]
    shown += [str(value) for record in records for name, value in vars(record).items() if name not in ORDINARY]
    assert not [text for text in shown if ADDRESS in text or "Firefox" in text or "WSGIRequest" in text]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("full", (ADDRESS, FIREFOX, "Firefox on Windows")),
        ("truncated", ("203.0.113.0", "Firefox\nWindows", "Firefox on Windows")),
        ("off", (None, "", "Unknown device")),
    ],
)
def test_client_of_a_request_is_what_a_session_would_store(settings, rf, record, expected):
    settings.JWTAUTH = {"NUM_PROXIES": 1, "RECORD_IP_ADDRESS": record, "RECORD_USER_AGENT": record}
    client = client_of(rf.get("/", HTTP_X_FORWARDED_FOR=f"192.0.2.66, {ADDRESS}", HTTP_USER_AGENT=FIREFOX))
    assert (client.ip_address, client.user_agent, client.device) == expected
