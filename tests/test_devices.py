"""Names of devices."""

import pytest

from jwtauth.internal import devices
from tests.conftest import only_session

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0"
CHROME = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (CHROME, "Chrome on Android"),
        (SAFARI, "Mobile Safari on iOS"),
        ("Mozilla/5.0 (Linux; Android 15)", "Android"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown device"),
        ("nonsense", "Unknown device"),
        ("\x00" * 512, "Unknown device"),
    ],
)
def test_device_is_named_by_browser_and_system(user_agent, name):
    assert devices.name(user_agent) == name


def test_session_has_the_name_of_its_device(db, browser, ada):
    browser.sign_in(ada, HTTP_USER_AGENT=FIREFOX)
    assert only_session().device == "Firefox on Windows"
