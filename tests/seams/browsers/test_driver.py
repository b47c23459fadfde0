"""The driver: what the tests of this folder rely on, asserted once in each browser."""

import json
from contextlib import suppress

import pytest

from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import DriverError
from tests.seams.browsers.echo import serve


@pytest.fixture(scope="module")
def plain():
    with serve() as port:
        yield port


def test_scripts_clicks_frames_tabs_and_cookies(browser, plain):
    url = f"http://ours.localhost:{plain}"
    browser.goto(f"{url}/press")
    answer = browser.run("return [args, await fetch('/headers').then((answer) => answer.status)]", 1, [2])
    assert answer == [[1, [2]], 200]
    with pytest.raises(DriverError, match="script: Error: oops"):
        browser.run("throw new Error('oops')")
    browser.click("button")
    assert browser.run("return window.trusted") is True
    browser.enter_frame("iframe")
    assert browser.text() == "inner"
    browser.leave_frames()
    first = browser.tab
    browser.open_tab()
    browser.goto(f"{url}/set?hidden=1; HttpOnly; SameSite=Strict")
    assert len(browser.tabs()) == 2
    browser.close_tab()
    assert (browser.tab, browser.url) == (first, f"{url}/press")
    assert browser.cookies()["hidden"]["httpOnly"]
    browser.forget(f"{url}/press")
    assert browser.cookies() == {}


def test_all_cookies_of_all_sites_are_forgotten(browser, certificates):
    """Or a test would see the cookies of the one before, by the order in which they run."""
    with serve(certificates) as port:

        def sent_to(of, frame=""):
            browser.goto(f"https://{of}.localhost:{port}/{frame}headers")
            if frame:
                browser.enter_frame("iframe")
            browser.wait(lambda: browser.text() != "")
            found = json.loads(browser.text()).get("cookie", "")
            browser.leave_frames()
            return found

        framed = f"frame?https://ours.localhost:{port}/"
        for of in ("ours", "foreign"):
            browser.goto(f"https://{of}.localhost:{port}/set?own=1; HttpOnly")
        for cookie in ("other=1", "partitioned=1; Partitioned"):
            browser.goto(f"https://foreign.localhost:{port}/{framed}set?{cookie}; Secure; SameSite=None")
        assert sent_to("ours") == sent_to("foreign") == "own=1"
        assert browser.name == "webkit" or "partitioned=1" in sent_to("foreign", framed)

        browser.forget_all()
        assert [sent_to("ours"), sent_to("foreign"), sent_to("foreign", framed)] == ["", "", ""]


@pytest.mark.parametrize(
    ("host", "site"),
    [("ours", "same-origin"), ("sibling.ours", "same-site"), ("foreign", "cross-site"), ("friend", "cross-site")],
)
def test_which_of_the_hosts_are_one_site(browser, plain, host, site):
    browser.goto(f"http://{host}.localhost:{plain}/link?//ours.localhost:{plain}/headers")
    browser.click("a")
    browser.wait(lambda: browser.url == f"http://ours.localhost:{plain}/headers" and browser.text())
    assert json.loads(browser.text())["sec-fetch-site"] == site


def test_certificates_of_the_authority_and_of_no_other(browser, certificates, tmp_path):
    with serve(certificates) as trusted, serve(Certificates(tmp_path)) as other:
        with suppress(DriverError):  # Firefox says so; the others show a page of their own
            browser.goto(f"https://ours.localhost:{other}/link")
        assert "hello" not in browser.text()
        browser.goto(f"https://ours.localhost:{trusted}/link")
        assert "hello" in browser.text()
