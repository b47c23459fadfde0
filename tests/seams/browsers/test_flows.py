"""Every user stays signed in whatever a page does at expiry, in Chromium, Firefox and WebKitGTK on the real site."""

import pytest

from tests.seams.browsers.flows import FLOWS, PREFIX, RecordedSite, Visitor, parallel, stream, web_socket


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with RecordedSite(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def secure_site(tmp_path_factory, certificates):
    with RecordedSite(tmp_path_factory.mktemp("secure"), certificates) as running:
        yield running


@pytest.mark.parametrize("flow", FLOWS.values(), ids=lambda flow: flow.__name__)
def test_each_flow_at_expiry_refreshes_once_and_the_user_stays_signed_in(browser, site, flow):
    visitor = Visitor(browser, site)
    visitor.round(flow)
    visitor.sign_out()


def test_host_prefixed_cookies_work_over_tls_and_http2(browser, secure_site):
    visitor = Visitor(browser, secure_site)
    assert visitor.cookie_names() == {f"{PREFIX}access_token", f"{PREFIX}refresh_token"}
    visitor.round(parallel)
    entries = "return performance.getEntriesByType('resource').map((entry) => entry.nextHopProtocol)"
    assert set(browser.run(entries)) == {"h2"}
    visitor.round(web_socket)
    visitor.sign_out()


def test_a_streamed_upload_at_expiry_keeps_the_user_signed_in(browser, secure_site):
    """Only Chromium streams, and only over HTTP/2. The other browsers are tested once they can."""
    visitor = Visitor(browser, secure_site)
    sent = []
    visitor.round(lambda visitor: sent.append(stream(visitor)))
    assert sent == [True] or browser.name != "chromium"
    visitor.sign_out()
