"""How browsers differ in what they do with a cookie's attributes, as docs/reference/settings.md describes."""

import json

import pytest

from tests.databases.served import ACCESS_LIFETIME
from tests.seams.browsers.echo import serve
from tests.seams.browsers.flows import BURST, FETCH, ME, PARALLEL, RecordedSite


@pytest.fixture(scope="module")
def plain():
    with serve() as port:
        yield port


@pytest.fixture(scope="module")
def secure(certificates):
    with serve(certificates) as port:
        yield port


@pytest.fixture(scope="module")
def framed_site(certificates, tmp_path_factory):
    """Run a site whose pages may be framed by another site."""
    settings = {"COOKIE_SAMESITE": "None", "COOKIE_PARTITIONED": True}
    with RecordedSite(tmp_path_factory.mktemp("framed"), certificates, workers=1, **settings) as running:
        yield running


def sent(browser):
    return set(filter(None, json.loads(browser.text()).get("cookie", "").split("; ")))


@pytest.mark.parametrize("host", ["localhost", "own.localhost", "127.0.0.1"])
def test_secure_cookies_over_http_are_kept_on_this_machine_except_by_webkit(browser, plain, host):
    cookies = {"s=1; Secure", "__Host-s=1; Secure; Path=/", "plain=1; SameSite=Strict"}
    for cookie in cookies:
        browser.goto(f"http://{host}:{plain}/set?{cookie}; HttpOnly")
    browser.goto(f"http://{host}:{plain}/headers")
    assert sent(browser) == ({"plain=1"} if browser.name == "webkit" else {"s=1", "__Host-s=1", "plain=1"})


def test_cookies_set_in_a_cross_site_frame_stay_in_its_partition(browser, secure):
    def cookies_in_frame(of):
        browser.goto(f"https://{of}.localhost:{secure}/frame?https://own.localhost:{secure}/headers")
        browser.enter_frame("iframe")
        browser.wait(lambda: browser.text() != "")
        found = sent(browser)
        browser.leave_frames()
        return found

    for cookie in ("plain=1", "partitioned=1; Partitioned"):
        setting = f"https://own.localhost:{secure}/set?{cookie}; Path=/; Secure; HttpOnly; SameSite=None"
        browser.goto(f"https://foreign.localhost:{secure}/frame?{setting}")
    kept = {
        "chromium": {"partitioned=1"},
        "firefox": {"partitioned=1", "plain=1"},  # in separate jars
        "webkit": set(),
    }
    assert cookies_in_frame("foreign") == kept[browser.name]
    assert cookies_in_frame("friend") == set()
    browser.goto(f"https://own.localhost:{secure}/headers")
    assert sent(browser) == set()


def test_a_session_works_in_a_cross_site_frame_except_in_webkit(browser, secure, framed_site):
    site, first = framed_site, len(framed_site.requests())
    browser.goto(f"https://foreign.localhost:{secure}/frame?{site.visit()}/idle/")
    browser.enter_frame("iframe")
    answer = browser.run(FETCH, f"/login/?user={next(site.users)}", {"method": "POST"})
    name = answer["body"]["user"]
    if browser.name == "webkit":
        assert browser.run(FETCH, ME, {})["status"] == 403
        return
    assert browser.run(FETCH, ME, {})["body"] == {"user": name, "generation": 1}
    site.advance(ACCESS_LIFETIME + 1)
    assert browser.run(f"return {BURST}") == [{"user": name, "generation": 2}] * PARALLEL
    assert browser.run(FETCH, "/logout/", {"method": "POST"})["status"] == 200
    assert browser.run(FETCH, ME, {})["status"] == 403
    statuses = [status for _, path, status in site.requests()[first:] if path != "/favicon.ico"]
    assert statuses == [200] * (len(statuses) - 1) + [403]
