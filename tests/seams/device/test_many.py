"""Many refreshes in one browser, some of which the browser does not hear of: no request of the user is anonymous."""

import os
import random

import pytest

from tests.seams.device.bound import PARALLEL_ME, Visitor

# Issue 23 asks for 10,000.
REFRESHES = int(os.environ.get("JWTAUTH_TEST_BOUND_REFRESHES", "100"))
REQUESTS = 50
SEQUENCE = """
const wrong = [];
for (let n = 0; n < args[0]; n++) {
    const response = await fetch(`/me/?format=json&${n}`);
    if (response.status !== 200) wrong.push([response.status, await response.text()]);
}
return wrong;
"""


@pytest.mark.timeout(900 + REFRESHES)
def test_no_request_is_anonymous_in_many_refreshes(unrecorded_browser, timed_site):
    browser = unrecorded_browser
    visitor = Visitor(browser, timed_site, binds=False)
    visitor.wait(lambda: any(timed_site.device_keys(visitor.name)))
    while len(visitor.refreshes()) < REFRESHES:
        assert browser.run(SEQUENCE, REQUESTS) == [], visitor.story()
        assert {tuple(one) for one in browser.run(PARALLEL_ME)} == {(200, visitor.name)}, visitor.story()
        if random.random() < 0.2:  # while the cookie is good, since requests that wait for a refresh need its answer
            with timed_site.fault("lose"):
                assert browser.run(SEQUENCE, 3) == [], visitor.story()
            assert browser.run(SEQUENCE, 3) == [], visitor.story()
            browser.delete_cookie(timed_site.access_name, timed_site.visit())
        if random.random() < 0.5:
            browser.delete_cookie(timed_site.access_name, timed_site.visit())
    visitor.assert_signed_in()
    assert len(timed_site.device_keys(visitor.name)) == 1
    assert len(visitor.registrations()) == 1
