"""A Node server that renders pages with browsers' cookies, in front of a real site."""

import pytest

from tests.databases.rendering import NODE, SETTINGS, RenderServer, render
from tests.databases.served import Site, signed_in

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed; scripts/test.py says so at its end")


@pytest.fixture
def site(make_database):
    with Site(env=SETTINGS, default=make_database("sqlite")) as running:
        yield running


def test_users_who_open_only_rendered_pages_stay_signed_in(site):
    browsers = signed_in(site, 8)
    with RenderServer(site) as server:
        result = render(site, server, browsers, 120)
    assert (result.signed_out, result.errors) == ([], [])
    assert result.lost > 0
    assert {way.partition(":")[0] for way in result.late} <= {"silent", "sparing", "parallel"}
    assert all(browser.get("/me/").status == 200 for browser in browsers)


def test_a_server_without_the_secret_that_keeps_new_cookies_signs_users_out(site):
    browsers = signed_in(site, 4)
    with RenderServer(site, secret="") as server:
        result = render(site, server, browsers, 400, ways=("dropped",))
    assert result.errors == []
    assert result.signed_out != []
