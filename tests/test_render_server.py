"""A server that renders pages: it fetches with a browser's cookies, and may drop the cookies that responses set."""

import logging
from datetime import timedelta

import pytest
from django.test import Client
from django.views.debug import SafeExceptionReporterFilter

from jwtauth.models import Session
from jwtauth.signals import late_upload
from tests.conftest import ABSOLUTE, ACCESS_LIFETIME, GRACE, IDLE, only_session

SECRET = "the-secret-of-the-render-server-and-Django"
HEADER = "HTTP_X_JWTAUTH_RENDER_SECRET"
PROVEN = {HEADER: SECRET}
UPLOAD_DELAY = 15 * 60


class RenderServer:
    """Render the pages of a browser with fetches that have its cookies.

    The order of its requests is that of the guide: one ordinary request for the page, whose cookies the page hands on;
    then the fetches, with the cookies that there are now, and with the secret.
    """

    def __init__(self, browser):
        self.browser = browser

    def fetch(self, cookies, url="/me/", **headers):
        client = Client()
        client.cookies.load(cookies)
        response = client.get(url, **headers)
        return response, {name: morsel.value for name, morsel in response.cookies.items()}

    def ask(self, *, is_lost=False):
        """Make the ordinary request, and return the cookies for the fetches."""
        response, new = self.fetch(self.browser.tokens(), "/auth/me/")
        cookies = self.browser.tokens() | new
        if not is_lost:
            self.browser.carry(cookies)
        return response.status_code, cookies

    def page(self, *, is_lost=False):
        """Return the statuses of a page: the ordinary request's, and those of three fetches."""
        status, cookies = self.ask(is_lost=is_lost)
        return [status, *(self.fetch(cookies, **PROVEN)[0].status_code for _ in range(3))]

    def page_without_the_browser(self, **headers):
        """Return the statuses of a page whose new cookies the server keeps and does not pass on."""
        cookies, statuses = self.browser.tokens(), []
        for _ in range(3):
            response, new = self.fetch(cookies, **headers)
            cookies |= new
            statuses.append(response.status_code)
        return statuses


@pytest.fixture(autouse=True)
def secret(settings):
    settings.JWTAUTH = {"RENDER_SERVER_SECRET": SECRET}


@pytest.fixture
def server(signed_in):
    return RenderServer(signed_in)


def expire(server, clock):
    clock.advance(ACCESS_LIFETIME)
    server.browser.forget_access_token()


def test_render_server_that_drops_cookies_signs_no_user_out(server, clock, thefts):
    expire(server, clock)
    assert server.page_without_the_browser(**PROVEN) == [200] * 3
    clock.advance(2 * GRACE)
    assert server.browser.who() == "ada"
    assert thefts == []


def test_render_server_without_the_secret_signs_its_user_out(server, clock, thefts):
    expire(server, clock)
    assert server.page_without_the_browser() == [200] * 3
    clock.advance(2 * GRACE)
    assert server.browser.who() is None
    assert len(thefts) == 1


def test_response_lost_between_render_server_and_browser_signs_no_user_out(server, clock, thefts):
    # The fetches use new tokens that the browser does not receive, and acknowledge nothing.
    for pause in (2 * GRACE, UPLOAD_DELAY, IDLE - 3600):
        expire(server, clock)
        for _ in range(3):
            assert server.page(is_lost=True) == [200] * 4
            clock.advance(GRACE)
        clock.advance(pause - 3 * GRACE)
        assert server.page() == [200] * 4
    assert thefts == []


def test_user_of_rendered_pages_stays_signed_in_until_the_session_expires(server, clock):
    started = clock.now
    while clock.now + 7 * 3600 < started + ABSOLUTE:
        clock.advance(7 * 3600)
        server.browser.forget_access_token()
        assert server.page() == [200] * 4
    clock.advance(started + ABSOLUTE - clock.now)
    assert server.page() == [403] * 4


def test_session_expires_if_the_render_server_makes_no_ordinary_request(server, clock):
    # This is why the front end's middleware makes an ordinary request.
    for _ in range(24):
        assert server.fetch(server.browser.tokens(), **PROVEN)[0].status_code == 200
        clock.advance(3600)
    assert server.fetch(server.browser.tokens(), **PROVEN)[0].status_code == 403


def test_request_with_the_render_secret_rotates_nothing_and_sets_no_cookie(server, clock):
    expire(server, clock)
    before = Session.objects.values().get()
    response, new = server.fetch(server.browser.tokens(), **PROVEN)
    assert (response.status_code, new) == (200, {})
    assert "Cookie" in response.headers["Vary"]
    assert Session.objects.values().get() == before


def test_request_with_the_render_secret_acknowledges_the_newest_refresh_token(server, clock):
    expire(server, clock)
    server.ask()
    server.browser.forget_access_token()
    assert only_session().acknowledged_at is None
    server.fetch(server.browser.tokens(), **PROVEN)
    assert only_session().acknowledged_at is not None


def test_request_with_the_render_secret_does_not_acknowledge_an_access_token(server, clock):
    expire(server, clock)
    _status, cookies = server.ask()
    assert server.fetch(cookies, **PROVEN)[0].status_code == 200
    assert only_session().acknowledged_at is None
    assert server.fetch(cookies)[0].status_code == 200
    assert only_session().acknowledged_at is not None


def test_previous_token_is_admitted_for_15_minutes_with_the_render_secret(server, clock, thefts, security_log):
    expire(server, clock)
    old = server.browser.tokens()
    server.ask()
    assert server.browser.who() == "ada"
    clock.advance(UPLOAD_DELAY)
    assert server.fetch(old, **PROVEN)[0].status_code == 200
    before = Session.objects.values().get()
    clock.advance(1)
    response, new = server.fetch(old, **PROVEN)
    assert (response.status_code, response.json()["code"], new) == (403, "late_upload", {})
    assert "upload" not in response.json()["detail"]
    assert Session.objects.values().get() == before
    assert thefts == []
    assert [record.event for record in security_log()] == ["late_upload"]


def test_late_request_with_the_render_secret_is_logged_and_sends_a_signal(server, clock):
    told = []

    def receiver(sender, **kwargs):
        told.append(kwargs["session"].pk)

    expire(server, clock)
    old = server.browser.tokens()
    server.ask()
    clock.advance(UPLOAD_DELAY + 1)
    late_upload.connect(receiver)
    try:
        server.fetch(old, **PROVEN)
    finally:
        late_upload.disconnect(receiver)
    assert told == [only_session().pk]


@pytest.mark.parametrize("wrong", ["", "x", SECRET[:-1], f"{SECRET},{SECRET}", SECRET.upper(), "é"])
def test_wrong_render_secret_is_ignored_and_logged_without_its_value(server, clock, security_log, wrong):
    expire(server, clock)
    response, new = server.fetch(server.browser.tokens(), **{HEADER: wrong})
    assert (response.status_code, new.keys()) == (200, {"access_token", "refresh_token"})
    [record] = security_log()
    assert (record.event, record.levelname, record.path) == ("wrong_render_secret", "WARNING", "/me/")
    assert not wrong or wrong not in record.getMessage().replace("'/me/'", "").replace("wrong_render_secret", "")
    assert not hasattr(record, "request")


def test_copied_token_with_a_wrong_render_secret_ends_the_session(server, clock, thefts):
    expire(server, clock)
    stolen = server.browser.tokens()
    server.page()
    server.browser.who()
    clock.advance(GRACE)
    response, _new = server.fetch(stolen, **{HEADER: f"{SECRET}x"})
    assert response.status_code == 403
    assert len(thefts) == 1


def test_render_secret_header_is_ignored_without_the_setting(server, clock, settings, security_log):
    settings.JWTAUTH = {}
    expire(server, clock)
    _response, new = server.fetch(server.browser.tokens(), **PROVEN)
    assert new.keys() == {"access_token", "refresh_token"}
    assert security_log() == []


def test_two_render_secrets_are_accepted_while_one_replaces_the_other(server, clock, settings):
    settings.JWTAUTH = {"RENDER_SERVER_SECRET": ["another-secret-that-takes-its-place", SECRET]}
    expire(server, clock)
    for given in (SECRET, "another-secret-that-takes-its-place"):
        assert server.fetch(server.browser.tokens(), **{HEADER: given})[1] == {}


def test_login_and_logout_with_the_render_secret_set_and_clear_cookies(ada, clock):
    client = Client()
    assert client.post(f"/login/?user={ada.pk}", **PROVEN).cookies.keys() == {"access_token", "refresh_token"}
    cleared = client.post("/logout/", **PROVEN)
    assert {morsel["max-age"] for morsel in cleared.cookies.values()} == {0}
    assert not Session.objects.exists()


def test_bearer_request_is_unaffected_by_the_render_secret(server, clock):
    expire(server, clock)
    _status, cookies = server.ask()
    headers = {"HTTP_AUTHORIZATION": f"Bearer {cookies['access_token']}"}
    assert Client().get("/me/", **headers, **PROVEN).status_code == 200
    assert only_session().acknowledged_at is not None


def test_token_refresh_view_ignores_the_render_secret(server, clock):
    expire(server, clock)
    body = {"refresh": server.browser.token("refresh_token")}
    answer = Client().post("/auth/token/refresh/", body, content_type="application/json", **PROVEN)
    assert answer.status_code == 200
    assert only_session().generation == 2


def test_ended_session_is_refused_with_the_render_secret(server, clock):
    for forget in (False, True):
        if forget:
            server.browser.forget_access_token()
        assert server.fetch(server.browser.tokens(), **PROVEN)[0].status_code == 200
    Session.objects.all().end()
    assert server.fetch(server.browser.tokens(), **PROVEN)[0].status_code == 403


def test_check_interval_applies_to_requests_with_the_render_secret(server, clock, settings, statements):
    settings.JWTAUTH = {"RENDER_SERVER_SECRET": SECRET, "SESSION_CHECK_INTERVAL": timedelta(seconds=10)}
    cookies = server.browser.tokens()
    server.fetch(cookies, "/me/plain/", **PROVEN)
    assert len(statements(server.fetch, cookies, "/public/", **PROVEN)) <= 1


def test_error_reports_hide_the_render_secret(rf):
    shown = SafeExceptionReporterFilter().get_safe_request_meta(rf.get("/", **PROVEN))
    assert shown[HEADER] == SafeExceptionReporterFilter.cleansed_substitute
    assert SECRET not in str(SafeExceptionReporterFilter().get_safe_settings())


def test_render_secret_is_in_no_repr_and_no_log(server, clock, caplog):
    from jwtauth.conf import get_config

    caplog.set_level(logging.DEBUG)
    expire(server, clock)
    server.page()
    assert SECRET not in repr(get_config())
    assert SECRET not in caplog.text
