"""The driver does what the tests of this folder rely on, in each browser."""

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


def test_the_driver_runs_scripts_clicks_frames_tabs_and_cookies(browser, plain):
    url = f"http://own.localhost:{plain}"
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
    """Otherwise a test would see the cookies of the test before it."""
    with serve(certificates) as port:

        def sent_to(of, frame=""):
            browser.goto(f"https://{of}.localhost:{port}/{frame}headers")
            if frame:
                browser.enter_frame("iframe")
            browser.wait(lambda: browser.text() != "")
            found = json.loads(browser.text()).get("cookie", "")
            browser.leave_frames()
            return found

        framed = f"frame?https://own.localhost:{port}/"
        for of in ("own", "foreign"):
            browser.goto(f"https://{of}.localhost:{port}/set?own=1; HttpOnly")
        for cookie in ("other=1", "partitioned=1; Partitioned"):
            browser.goto(f"https://foreign.localhost:{port}/{framed}set?{cookie}; Secure; SameSite=None")
        assert sent_to("own") == sent_to("foreign") == "own=1"
        assert browser.name == "webkit" or "partitioned=1" in sent_to("foreign", framed)

        browser.forget_all()
        assert [sent_to("own"), sent_to("foreign"), sent_to("foreign", framed)] == ["", "", ""]


@pytest.mark.parametrize(
    ("host", "site"),
    [("own", "same-origin"), ("sibling.own", "same-site"), ("foreign", "cross-site"), ("friend", "cross-site")],
)
def test_each_host_has_the_expected_relation_to_the_site(browser, plain, host, site):
    browser.goto(f"http://{host}.localhost:{plain}/link?//own.localhost:{plain}/headers")
    browser.click("a")
    browser.wait(lambda: browser.url == f"http://own.localhost:{plain}/headers" and browser.text())
    assert json.loads(browser.text())["sec-fetch-site"] == site


def test_only_certificates_of_the_authority_are_trusted(browser, certificates, tmp_path):
    with serve(certificates) as trusted, serve(Certificates(tmp_path)) as other:
        with suppress(DriverError):  # Firefox raises; the others show an error page
            browser.goto(f"https://own.localhost:{other}/link")
        assert "hello" not in browser.text()
        browser.goto(f"https://own.localhost:{trusted}/link")
        assert "hello" in browser.text()
