"""A session is bound to the device, and its user stays signed in, in Chromium with DBSC on the real site."""

import json

import pytest

from tests.seams.browsers.flows import PARALLEL, QUIET
from tests.seams.device.bound import PARALLEL_ME, PASSWORD, REFRESH, REGISTER, Visitor, header

# Requests of a page other than fetch. Each returns what the user is told.
WAYS = {
    "a WebSocket": """
        const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/`);
        return await new Promise((done) => {
            socket.onopen = () => socket.send("hello");
            socket.onmessage = (event) => { socket.close(); done(event.data); };
            socket.onclose = (event) => done(`closed: ${event.code}`);
        });
    """,
    "an EventSource": """
        const source = new EventSource("/events/async/");
        return await new Promise((done) => {
            source.onmessage = (event) => { source.close(); done(event.data); };
            source.onerror = () => { source.close(); done("the stream broke"); };
        });
    """,
    "an upload of 5 MB": """
        const body = new Blob([new Uint8Array(5e6)]);
        return (await (await fetch("/upload/", {method: "POST", body})).json()).user;
    """,
    "a worker": """
        const code = `fetch("${location.origin}/me/?format=json", {credentials: "include"})
            .then((response) => response.json()).then((found) => postMessage(found.user))`;
        const worker = new Worker(URL.createObjectURL(new Blob([code])));
        return await new Promise((done) => { worker.onmessage = (event) => done(event.data); });
    """,
    "a frame": """
        const frame = document.createElement("iframe");
        frame.src = "/me/plain/";
        const loaded = new Promise((done) => { frame.onload = done; });
        document.body.append(frame);
        await loaded;
        return frame.contentDocument.body.innerText;
    """,
}


@pytest.fixture
def visitor(browser, site):
    return Visitor(browser, site)


def test_the_browser_binds_a_new_session_without_code_of_the_page(visitor, site):
    (registration,) = visitor.registrations()
    (key,) = site.device_keys(visitor.name)
    jwk = header(registration.proof)["jwk"]
    assert key.startswith("dbsc:")
    assert {name: json.loads(key.removeprefix("dbsc:"))[name] for name in jwk} == jwk
    visitor.assert_signed_in()


def test_the_session_refreshes_beside_requests_before_the_cookie_expires(browser, timed_site):
    visitor = Visitor(browser, timed_site)
    before = visitor.generation
    visitor.wait(lambda: visitor.who() == visitor.name and visitor.generation > before)
    assert {one.status for one in visitor.exchanges("/me/")} == {200}


def test_the_session_refreshes_after_the_cookie_has_expired(visitor):
    visitor.assert_signed_in()
    for _ in range(3):
        before = len(visitor.refreshes())
        visitor.expire()
        visitor.assert_signed_in()
        assert len(visitor.refreshes()) > before, visitor.story()


def test_parallel_requests_at_expiry_are_all_answered_for_the_user(visitor):
    for _ in range(3):
        visitor.expire()
        assert visitor.browser.run(PARALLEL_ME) == [[200, visitor.name]] * PARALLEL, visitor.story()


def test_a_navigation_at_expiry_is_answered_for_the_user(visitor):
    visitor.expire()
    visitor.open("/me/plain/")
    assert visitor.browser.text() == visitor.name, visitor.story()


def test_every_kind_of_request_at_expiry_is_answered_for_the_user(visitor):
    said = {}
    for way, script in WAYS.items():
        visitor.expire()
        said[way] = visitor.browser.run(script)
    key = visitor.site.user_key(visitor.name)
    assert said == dict.fromkeys(WAYS, visitor.name) | {"a WebSocket": f"{key}: hello"}, visitor.story()


def test_a_beacon_at_expiry_is_answered_for_the_user(visitor):
    visitor.expire()
    visitor.browser.run("addEventListener('pagehide', () => navigator.sendBeacon('/me/', 'bye'))")
    visitor.open(QUIET)
    visitor.wait(lambda: visitor.exchanges("/me/"))
    assert [(one.method, one.status) for one in visitor.exchanges("/me/")] == [("POST", 200)], visitor.story()


def test_the_user_stays_signed_in_although_the_refresh_endpoint_failed_for_a_while(visitor, site):
    visitor.expire()
    with site.fault("refuse"):
        assert [visitor.who(), visitor.who()] == [None, None]
        skipped = [one.sent_header("Secure-Session-Skipped") for one in visitor.exchanges("/me/")]
        assert all(header.startswith("server_error;") for header in skipped), skipped
    visitor.assert_signed_in()
    assert len(site.device_keys(visitor.name)) == 1


@pytest.mark.parametrize("later", [1, 3600], ids=["at once", "an hour later"])
def test_the_user_stays_signed_in_although_an_answer_is_lost(visitor, site, later):
    """The server has rotated, and the browser has the tokens and the challenge of before."""
    visitor.expire()
    visitor.assert_signed_in()  # from now on the browser has a challenge, so that one request refreshes
    visitor.expire()
    with site.fault("lose"):
        assert visitor.who() is None
    assert any(one.lost and one.status == 200 for one in visitor.exchanges(REFRESH)), visitor.story()
    site.advance(later)
    visitor.assert_signed_in()
    visitor.expire()
    visitor.assert_signed_in()


def test_the_session_goes_on_after_a_restart_of_the_browser(visitor):
    visitor.browser.restart()
    visitor.open(QUIET)
    visitor.assert_signed_in()
    visitor.expire()
    visitor.assert_signed_in()
    assert len(visitor.registrations()) == 1


def test_a_session_that_is_not_remembered_ends_with_the_browser_and_its_access_token(browser, site):
    """The access cookie has a Max-Age, without which Chromium would never refresh it, and so outlives the browser."""
    visitor = Visitor(browser, site, remember=False)
    visitor.expire()
    visitor.assert_signed_in()
    browser.restart()
    visitor.open(QUIET)
    assert site.refresh_name not in visitor.jar()
    visitor.expire()
    assert visitor.who() is None
    visitor.sign_in()
    visitor.expire()
    visitor.assert_signed_in()


def test_a_logout_ends_the_session_and_a_new_login_binds_again(visitor, site):
    assert visitor.post("/auth/logout/")["status"] == 204
    assert site.device_keys(visitor.name) == []
    assert visitor.who() is None
    asked = len(visitor.exchanges(REFRESH))
    assert visitor.who() is None
    assert len(visitor.exchanges(REFRESH)) == asked, "the browser has forgotten the device session"
    visitor.sign_in()
    visitor.expire()
    visitor.assert_signed_in()
    assert len({header(one.proof)["jwk"]["x"] for one in visitor.registrations()}) == 2


def test_a_login_in_place_of_another_binds_again(visitor, site):
    """The browser keeps the device session of before, and asks for its refresh with the new session's cookies."""
    visitor.sign_in()
    for _ in range(3):
        visitor.expire()
        visitor.assert_signed_in()
    (key,) = site.device_keys(visitor.name)
    assert key


def test_a_new_password_keeps_the_session_bound_to_the_same_key(visitor, site):
    """The session goes on in another row, which a challenge of before does not name."""
    visitor.expire()
    visitor.assert_signed_in()
    before = site.device_keys(visitor.name)
    assert visitor.fetch("/password/", method="POST")["status"] == 200
    for _ in range(2):
        visitor.expire()
        visitor.assert_signed_in()
    assert site.device_keys(visitor.name) == before


def test_a_session_whose_registration_failed_is_bound_when_the_user_authenticates_again(browser, site):
    with site.fault("refuse", REGISTER):
        visitor = Visitor(browser, site, binds=False)
        visitor.wait(visitor.registrations)
    visitor.expire()
    visitor.assert_signed_in()
    assert site.device_keys(visitor.name) == [None]
    site.advance(60)  # the offer of the login is counted from the end of its minute
    visitor.bind_by("/auth/reauthenticate/", {"password": PASSWORD})
    visitor.expire()
    visitor.assert_signed_in()
    assert len(list(filter(None, site.device_keys(visitor.name)))) == 1


def test_the_user_stays_signed_in_although_the_answer_to_the_registration_is_lost(browser, site):
    """The server knows a key that the browser has thrown away, and Chromium does not register again by itself."""
    with site.fault("lose", REGISTER):
        visitor = Visitor(browser, site, binds=False)
        visitor.wait(visitor.registrations)
    visitor.assert_signed_in()
    assert len(list(filter(None, site.device_keys(visitor.name)))) == 1
    for _ in range(2):
        visitor.expire()
        visitor.assert_signed_in()
        assert site.device_keys(visitor.name) == [None]
    visitor.sign_in()
    visitor.expire()
    visitor.assert_signed_in()
    assert len(list(filter(None, site.device_keys(visitor.name)))) == 1


def test_two_browsers_of_a_user_are_bound_to_two_keys(visitor, site, certificates):
    with type(visitor.browser)(certificates) as other:
        second = Visitor(other, site)
        second.name = visitor.name
        second.sign_in()
        keys = site.device_keys(visitor.name)
        assert len(set(keys)) == 2
        for one in (visitor, second, visitor, second):
            one.expire()
            one.assert_signed_in()


def test_a_link_from_another_site_at_expiry_does_not_end_the_session(visitor, site):
    """Chromium does not refresh for another site's link, so the linked page is anonymous, but its own requests are not.

    Instructions could allow it (``allowed_refresh_initiators``). The refresh would then be a request of another site,
    with which Chromium sends neither ``Lax`` nor ``Strict`` cookies.
    """
    visitor.expire()
    browser = visitor.browser
    browser.goto(f"{site.visit('foreign.localhost')}{QUIET}")
    browser.run("document.body.innerHTML = `<a href='${args[0]}'>link</a>`", f"{site.visit()}/me/plain/")
    browser.click("a")
    browser.wait(lambda: browser.url == f"{site.visit()}/me/plain/" and browser.text())
    assert browser.text() == "AnonymousUser"
    visitor.assert_signed_in()
