"""``POLICY``: the defaults that it gives, what overrides them, and the warnings about what contradicts them."""

import re
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings

from jwtauth import conf
from jwtauth.checks import check_settings
from jwtauth.internal.policies import PRESETS
from tests.conftest import only_session

PAGE = (Path(__file__).parents[1] / "docs/guides/policies.md").read_text()
MINUTE, HOUR, DAY = 60, 3600, 86_400
NAMES = ("ACCESS_TOKEN_COOKIE_NAME", "REFRESH_TOKEN_COOKIE_NAME")
WITHOUT = {
    "ACCESS_TOKEN_LIFETIME": 300,
    "REFRESH_TOKEN_LIFETIME": DAY,
    "SESSION_LIFETIME": 30 * DAY,
    "LOCK_AFTER": None,
    "SENSITIVE_MAX_AGE": None,
    "COOKIE_SECURE": True,
    "COOKIE_SAMESITE": "Strict",
    "ACCESS_TOKEN_COOKIE_NAME": "access_token",
    "REFRESH_TOKEN_COOKIE_NAME": "refresh_token",
}


def using(policy, **settings):
    return override_settings(JWTAUTH={"POLICY": policy, **settings})


def warned(policy, debug=False, **settings):
    """Return the message of each W010, by the name of the setting. There must be no other messages."""
    with using(policy, **settings), override_settings(DEBUG=debug):
        messages = check_settings()
    assert {(message.id, message.is_serious()) for message in messages} <= {("jwtauth.W010", False)}
    assert all("SILENCED_SYSTEM_CHECKS" in message.hint for message in messages)
    return {re.match(r"JWTAUTH\['(\w+)'\] contradicts the policy", message.msg)[1]: message for message in messages}


# --- the page


def of_page(cell):
    """Return the value that a cell of the table shows. An empty one leaves the default."""
    if duration := re.fullmatch(r"(\d+) (minute|hour|day)s?", cell):
        return int(duration[1]) * {"minute": MINUTE, "hour": HOUR, "day": DAY}[duration[2]]
    return {"`True`": True}.get(cell, cell.strip('`"') or None)


def test_the_table_of_the_page_is_that_of_the_code():
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if re.match(r"\| (\[`|Setting )", line)]
    heading, *rows = [[cell.strip() for cell in line] for line in lines]
    assert heading[1:] == [f"`{name}`" for name in PRESETS]
    shown = {name: {} for name in PRESETS}
    for setting, *cells in rows:
        for policy, cell in zip(PRESETS, cells, strict=True):
            if of_page(cell) is not None:
                shown[policy][re.match(r"\[`(\w+)`\]", setting)[1]] = of_page(cell)
    assert shown == PRESETS


def test_the_page_has_a_section_with_a_quotation_for_each_policy():
    sections = dict(re.findall(r"^## `?(\w+)`?\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
    assert [name for name in PRESETS if "\n> " not in sections.get(name, "")] == []


# --- defaults


@pytest.mark.parametrize("policy", [None, *PRESETS])
def test_policy_gives_its_defaults_and_contradicts_none_of_them(policy):
    with using(policy):
        values = conf.values()
        config = conf.get_config()
    assert {name: values[name] for name in WITHOUT} == {**WITHOUT, **PRESETS.get(policy, {})}
    assert (config.policy_name, config.lock_after) == (policy, values["LOCK_AFTER"])
    assert config.sensitive_max_age == values["SENSITIVE_MAX_AGE"]
    assert warned(policy) == {}


@pytest.mark.parametrize("policy", PRESETS)
def test_each_setting_of_a_policy_can_be_overridden(policy):
    own = {
        "ACCESS_TOKEN_LIFETIME": 90,
        "REFRESH_TOKEN_LIFETIME": 10 * HOUR,
        "SESSION_LIFETIME": None,
        "LOCK_AFTER": timedelta(hours=2),
        "SENSITIVE_MAX_AGE": None,
        "COOKIE_SECURE": False,
        "COOKIE_SAMESITE": "Lax",
        "ACCESS_TOKEN_COOKIE_NAME": "a",
        "REFRESH_TOKEN_COOKIE_NAME": "r",
    }
    assert own.keys() >= PRESETS[policy].keys()
    with using(policy, **own):
        values = conf.values()
        conf.get_config()
    assert {name: values[name] for name in own} == {**own, "LOCK_AFTER": 2 * HOUR}


@pytest.mark.parametrize("policy", PRESETS)
@pytest.mark.parametrize(
    "settings", [{"COOKIE_DOMAIN": "example.com"}, {"COOKIE_PATH": "/a"}, {"COOKIE_SECURE": False}]
)
def test_cookies_that_cannot_have_the_prefix_keep_their_names(policy, settings):
    with using(policy, **settings):
        conf.get_config()
        assert {name: conf.values()[name] for name in NAMES} == {name: WITHOUT[name] for name in NAMES}


def test_longer_idle_limit_raises_the_session_lifetime_of_the_policy():
    with using("NIST_AAL1", REFRESH_TOKEN_LIFETIME=90 * DAY):
        assert conf.get_config().session_lifetime == 90 * DAY


@pytest.mark.parametrize("lifetime", [HOUR, 30 * MINUTE])
def test_session_that_ends_before_it_would_lock_does_not_lock(lifetime):
    assert warned("NIST_AAL2", REFRESH_TOKEN_LIFETIME=lifetime) == {}
    with using("NIST_AAL2", REFRESH_TOKEN_LIFETIME=lifetime):
        assert conf.get_config().lock_after is None


def test_settings_printed_for_rust_services_are_those_of_the_policy():
    printed = StringIO()
    with using("NIST_AAL3"):
        call_command("jwtauth_settings", stdout=printed)
    lines = printed.getvalue().splitlines()
    assert {"SESSION_LIFETIME = 43200", 'REFRESH_TOKEN_COOKIE_NAME = "__Host-refresh_token"'} <= set(lines)
    assert not any(line.startswith("POLICY") for line in lines)


# --- what contradicts a policy


@pytest.mark.parametrize(
    ("policy", "settings", "names"),
    [
        ("NIST_AAL1", {"SESSION_LIFETIME": 30 * DAY + 1}, {"SESSION_LIFETIME"}),
        ("NIST_AAL1", {"SESSION_LIFETIME": None}, {"SESSION_LIFETIME"}),
        ("NIST_AAL1", {"REFRESH_TOKEN_LIFETIME": 31 * DAY}, {"REFRESH_TOKEN_LIFETIME"}),
        ("NIST_AAL1", {"REFRESH_TOKEN_LIFETIME": 30 * DAY}, set()),
        ("NIST_AAL1", {"SENSITIVE_MAX_AGE": None}, {"SENSITIVE_MAX_AGE"}),
        ("NIST_AAL2", {"SESSION_LIFETIME": DAY + 1}, {"SESSION_LIFETIME"}),
        ("NIST_AAL2", {"REFRESH_TOKEN_LIFETIME": DAY + 1}, {"REFRESH_TOKEN_LIFETIME"}),
        ("NIST_AAL2", {"SESSION_LIFETIME": 8 * HOUR, "REFRESH_TOKEN_LIFETIME": 8 * HOUR}, set()),
        ("NIST_AAL2", {"LOCK_AFTER": HOUR + 1}, {"LOCK_AFTER"}),
        ("NIST_AAL2", {"LOCK_AFTER": None}, {"LOCK_AFTER"}),
        ("NIST_AAL2", {"LOCK_AFTER": None, "REFRESH_TOKEN_LIFETIME": HOUR}, set()),
        ("NIST_AAL2", {"LOCK_AFTER": 30 * MINUTE, "ACCESS_TOKEN_LIFETIME": 30 * MINUTE}, set()),
        ("NIST_AAL3", {"REFRESH_TOKEN_LIFETIME": 15 * MINUTE + 1}, {"REFRESH_TOKEN_LIFETIME"}),
        ("NIST_AAL3", {"REFRESH_TOKEN_LIFETIME": HOUR, "LOCK_AFTER": 15 * MINUTE}, {"REFRESH_TOKEN_LIFETIME"}),
        ("NIST_AAL3", {"LOCK_AFTER": 10 * MINUTE}, set()),
        ("NIST_AAL3", {"SESSION_LIFETIME": 12 * HOUR + 1}, {"SESSION_LIFETIME"}),
        ("PCI", {"LOCK_AFTER": 16 * MINUTE}, {"LOCK_AFTER"}),
        ("PCI", {"LOCK_AFTER": None}, {"LOCK_AFTER"}),
        ("PCI", {"SESSION_LIFETIME": None, "REFRESH_TOKEN_LIFETIME": 90 * DAY}, set()),
        ("PCI", {"COOKIE_SECURE": False}, {"COOKIE_SECURE"}),
        ("PCI", {"COOKIE_DOMAIN": "example.com"}, {"COOKIE_DOMAIN"}),
        ("PCI", {"COOKIE_PATH": "/app"}, {"COOKIE_PATH"}),
        ("PCI", {"COOKIE_SAMESITE": "None"}, {"COOKIE_SAMESITE"}),
        ("PCI", {"COOKIE_SAMESITE": "Lax"}, set()),
        ("PCI", dict(zip(NAMES, ("a", "__Secure-r"), strict=True)), set(NAMES)),
        ("PCI", dict(zip(NAMES, ("__Host-a", "__Host-Http-r"), strict=True)), set()),
        (None, {"SESSION_LIFETIME": None, "COOKIE_DOMAIN": "example.com"}, set()),
    ],
)
def test_each_explicit_setting_that_contradicts_the_policy_is_named(policy, settings, names):
    messages = warned(policy, **settings)
    assert messages.keys() == names
    assert all(f"the policy {policy}: it " in message.msg for message in messages.values())


def test_plain_http_in_development_does_not_contradict_the_policy():
    assert warned("NIST_AAL2", debug=True, COOKIE_SECURE=False) == {}
    assert warned("NIST_AAL2", debug=False, COOKIE_SECURE=False).keys() == {"COOKIE_SECURE"}


# --- invalid values


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("NIST_AAL4", "NIST_AAL"), ("nist_aal2", "NIST_AAL2"), ("PCI_DSS", "PCI"), ("HIPAA", None), (2, None), ([], None)],
)
def test_unknown_policy_is_an_error_that_names_the_nearest(given, nearest):
    with using(given):
        (message,) = check_settings()
        with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E003"):
            conf.get_config()
    assert (message.id, message.msg[:17]) == ("jwtauth.E003", "JWTAUTH['POLICY']")
    assert "one of 'NIST_AAL1', 'NIST_AAL2', 'NIST_AAL3', 'PCI' and None." in message.hint
    assert ("nearest" in message.hint) is (nearest is not None)
    assert message.hint.startswith(f"Use '{nearest}" if nearest else "Use one of")


@pytest.mark.parametrize("name", ["LOCK_AFTER", "SENSITIVE_MAX_AGE"])
@pytest.mark.parametrize("given", [0, -1, 0.5, "300", True, 10**12])
def test_duration_that_is_not_positive_is_an_error(name, given):
    with override_settings(JWTAUTH={name: given}):
        (message,) = check_settings()
        with pytest.raises(ImproperlyConfigured):
            conf.get_config()
    assert (message.id, name in message.msg) == ("jwtauth.E003", True)


@pytest.mark.parametrize("lock", [299, DAY, DAY + 1])
def test_lock_outside_the_other_lifetimes_is_an_error(lock):
    with override_settings(JWTAUTH={"LOCK_AFTER": lock}):
        (message,) = check_settings()
        with pytest.raises(ImproperlyConfigured):
            conf.get_config()
    assert message.id == "jwtauth.E007"
    assert f"LOCK_AFTER ({lock} s) is not between ACCESS_TOKEN_LIFETIME (300 s) and REFRESH" in message.msg
    assert "ACCESS_TOKEN_LIFETIME <= LOCK_AFTER < REFRESH_TOKEN_LIFETIME" in message.hint


@pytest.mark.parametrize("lock", [300, timedelta(hours=1), DAY - 1, None])
def test_lock_between_the_other_lifetimes_is_accepted(lock):
    with override_settings(JWTAUTH={"LOCK_AFTER": lock}):
        assert check_settings() == []
        assert conf.get_config().lock_after == (HOUR if isinstance(lock, timedelta) else lock)


# --- what a user and a thief see


@pytest.mark.django_db
@pytest.mark.parametrize("policy", PRESETS)
def test_login_under_a_policy_sets_cookies_that_no_other_host_can_overwrite(browser, ada, policy):
    with using(policy):
        response = browser.sign_in(ada)
        assert browser.who() == "ada"
    assert response.cookies.keys() == {"__Host-access_token", "__Host-refresh_token"}
    for cookie in response.cookies.values():
        attributes = (cookie["secure"], cookie["path"], cookie["domain"], cookie["samesite"], cookie["httponly"])
        assert attributes == (True, "/", "", "Strict", True)


@pytest.mark.django_db
def test_idle_session_under_aal3_ends_within_the_limit_and_not_before_the_access_lifetime(browser, ada, clock):
    with using("NIST_AAL3"):
        access, limit = 2 * MINUTE, 15 * MINUTE
        for used in (0, access - 1):  # seconds after the refresh: the last request, which the idle time counts from
            browser.sign_in(ada)
            clock.advance(used)
            assert browser.who() == "ada"
            clock.advance(limit - access)
            assert browser.who() == "ada"
            clock.advance(limit)
            assert browser.who() is None


@pytest.mark.django_db
def test_session_under_aal3_ends_at_its_overall_limit_although_it_is_used(browser, ada, clock):
    with using("NIST_AAL3"):
        browser.sign_in(ada)
        ends = clock.now + 12 * HOUR
        while clock.now < ends - 5 * MINUTE:
            clock.advance(5 * MINUTE)
            assert browser.who() == "ada"
        assert only_session().expires_at.timestamp() == ends
        clock.now = ends
        assert browser.who() is None
