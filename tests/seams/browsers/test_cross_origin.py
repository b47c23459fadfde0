"""Browsers send across origins what the documentation says, and the site accepts no foreign write."""

from contextlib import ExitStack

import pytest

from tests.seams.browsers import sends
from tests.seams.browsers.cross_origin import SAFE, SAME_SITES, Case, Hop, Page, Site, site_of
from tests.seams.browsers.writes import is_accepted, send_all

FORM = "application/x-www-form-urlencoded"
BOB = (("username", "bob"), ("password", "bob-pass"))
# One page of each site; the long run sends the rest.
WRITES = 150


@pytest.fixture(scope="module")
def sites(tmp_path_factory, certificates):
    """Return a function that starts each site when it is first needed."""
    with ExitStack() as stack:
        started = {}

        def site(same_site):
            if same_site not in started:
                folder = tmp_path_factory.mktemp("site")
                started[same_site] = stack.enter_context(site_of(folder, same_site, certificates))
            return started[same_site]

        yield site


def expected_status(case, arrival, friend):
    """Return the status that the rule requires, whatever the browser has sent."""
    if arrival["path"] == "/callback/" and (arrival["method"] == "GET" or "access_token" not in arrival["cookies"]):
        return 302
    if "access_token" not in arrival["cookies"]:
        return 401
    is_write = arrival["method"] not in SAFE or arrival["is_websocket"]
    return 200 if not is_write or case.is_own or arrival["origin"] == friend else 403


def test_requests_across_origins_match_the_rule_and_the_documented_table(browser, sites):
    site = sites("None")  # the browser sends the cookies wherever it may
    facts, came = sends.ask(browser, site)
    wrote = site.ask("/state/")["wrote"]
    friend = site.url("friend", "")
    wrong = []
    for key, case, arrivals in came:
        for arrival in arrivals:
            status = expected_status(case, arrival, friend)
            is_taken = status == 200 and (arrival["method"] not in SAFE or arrival["is_websocket"])
            if arrival["status"] != status or is_accepted(case, arrival, wrote) != is_taken:
                wrong.append((key, arrival))
    assert not wrong
    documented = sends.written()[browser.title]
    differing = {
        key: f"{documented.get(key)} -> {facts.get(key)}"
        for key in documented.keys() | facts.keys()
        if documented.get(key) != facts.get(key)
    }
    assert not differing, "`python -m tests.seams.browsers.sends` writes the table"
    assert site.is_signed_in(browser)


def test_a_form_on_another_site_neither_signs_a_user_in_nor_out(browser, sites):
    """Strict cookies are withheld, but a browser stores the cookies that the answer to a top-level POST sets."""
    site = sites("Strict")
    site.start_over(browser)
    cookies = browser.cookies()
    # Firefox treats this as a request of the user, and sends `Sec-Fetch-Site: none`.
    attack = ("no-referrer", True, (Hop(307, "foreign", "no-referrer"),))
    ways = {
        "/auth/logout/": [("", True, ()), ("", False, ()), attack],
        "/logout/": [("", True, ())],
        "/auth/login/": [("", True, ()), attack],
        "/auth/sessions/others/": [attack],
        "/write/": [attack],
    }
    cases = [
        Case(Page(host, policy, click), "page", type=FORM, hops=hops, target=path, fields=BOB)
        for path in ways
        for policy, click, hops in ways[path]
        for host in ("foreign", "sibling")
    ]
    arrived = [arrival for _, arrivals in site.send(browser, cases) for arrival in arrivals]
    assert len(arrived) == len(cases)
    for arrival in arrived:
        is_anonymous = "access_token" not in arrival["cookies"]
        assert arrival["status"] == (401 if is_anonymous and arrival["path"] == "/write/" else 403), arrival
    if browser.name == "firefox":
        assert "none" in {arrival["site"] for arrival in arrived}
    assert site.is_signed_in(browser)
    for name in ("access_token", "refresh_token"):
        assert browser.cookies()[name]["value"] == cookies[name]["value"]
    assert site.is_untouched()


def test_generated_writes_from_other_origins_are_refused(browser, sites):
    outcome = send_all(browser, map(sites, SAME_SITES), "short", WRITES)
    assert outcome.accepted == []
    assert (outcome.signed_out, outcome.errors) == (0, 0)
    assert outcome.with_cookies > 0


def test_plain_http_outside_localhost_has_no_fetch_metadata(browser, tmp_path):
    """Only the origin decides then, and for a page of the site under ``no-referrer`` it is ``null``."""
    if browser.name == "webkit":
        pytest.skip("WebKitGTK does not resolve the tests' host names")
    cases = {
        Case(Page("own"), "page", type=FORM): 200,
        Case(Page("own", "no-referrer"), "page", type=FORM): 403,
        Case(Page("sibling"), "page", type=FORM): 403,
        Case(Page("port"), "page", type=FORM): 403,
        Case(Page("foreign"), "page", type=FORM): 401,
    }
    with Site(tmp_path, family="test") as site:
        site.start_over(browser)
        sent = site.send(browser, cases)
        assert {case: [(a["site"], a["status"]) for a in arrivals] for case, arrivals in sent} == {
            case: [(None, status)] for case, status in cases.items()
        }
        assert site.is_signed_in(browser)
