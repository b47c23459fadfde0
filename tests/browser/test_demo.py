"""What a person sees and does with a browser on the demo site."""

import http.server
import os
import threading

import pytest
from playwright.sync_api import expect

TOKENS = {"access_token", "refresh_token"}
# Longer than an access token lives on the demo site.
EXPIRY_MS = 45_000


def cookies(context):
    return {cookie["name"]: cookie for cookie in context.cookies()}


def generation(page):
    return int(page.locator("#generation").inner_text())


def test_a_person_signs_in_is_refreshed_without_noticing_and_signs_out(demo, jar, sign_in):
    context = jar()
    page = sign_in(context)
    addresses = []
    page.on("framenavigated", lambda frame: addresses.append(frame.url))
    assert generation(page) == 1
    expect(page.locator("#generation")).to_have_text("2", timeout=EXPIRY_MS)
    page.reload()
    assert generation(page) == 2
    assert page.get_by_text("Signed in as ada").is_visible()
    assert set(addresses) == {f"{demo.url}/"}, "the sign-in page was never seen"

    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")
    assert not TOKENS & set(cookies(context))
    page.goto(f"{demo.url}/")
    assert "/sign-in/" in page.url
    page.go_back()
    page.reload()
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_a_page_load_after_expiry_is_refreshed_in_the_same_request(demo, jar, sign_in):
    context = jar(java_script_enabled=False)  # nothing on the page can help
    page = sign_in(context)
    context.clear_cookies(name="access_token")
    page.reload()
    assert page.get_by_text("Signed in as ada").is_visible()
    assert set(cookies(context)) >= TOKENS


def test_ten_requests_at_expiry_are_all_answered_and_one_refreshes(jar, sign_in):
    page = sign_in(jar())
    page.get_by_role("button", name="Fire ten at expiry").click()
    expect(page.locator("#results li")).to_have_count(10, timeout=EXPIRY_MS)
    answers = page.locator("#results li").all_inner_texts()
    assert sum("refreshed" in answer for answer in answers) == 1
    assert all("200" in answer for answer in answers)
    assert generation(page) == 2
    page.reload()
    assert page.get_by_text("Signed in as ada").is_visible()


def test_two_tabs_that_expire_together_stay_signed_in(jar, sign_in):
    context = jar()
    first = sign_in(context)
    second = context.new_page()
    second.goto(first.url)
    for tab in (first, second):
        expect(tab.locator("#generation")).not_to_have_text("1", timeout=EXPIRY_MS)
    for tab in (first, second):
        tab.reload()
        assert tab.get_by_text("Signed in as ada").is_visible()


def test_a_script_on_the_page_sees_no_token(jar, sign_in):
    context = jar()
    page = sign_in(context)
    seen = page.evaluate("document.cookie")
    assert all(name not in seen for name in TOKENS)
    for name in TOKENS:
        assert cookies(context)[name]["httpOnly"]
        assert cookies(context)[name]["sameSite"] == "Strict"


def test_cookies_saved_before_sign_out_are_worthless_after(demo, jar, sign_in):
    owner, thief = jar(), jar()
    page = sign_in(owner)
    thief.add_cookies(owner.cookies())
    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")
    stolen = thief.new_page()
    stolen.goto(f"{demo.url}/")
    assert "/sign-in/" in stolen.url


def test_a_device_that_is_signed_out_from_another_is_out_at_its_next_click(demo, jar, sign_in):
    phone = sign_in(jar(user_agent="Mozilla/5.0 (Linux; Android 15) Firefox/140.0"))
    laptop = sign_in(jar())
    row = laptop.locator("#devices tr", has_text="Firefox on Android").first
    row.get_by_role("button").click()
    laptop.wait_for_load_state()
    assert laptop.get_by_text("Signed in as ada").is_visible()
    phone.goto(f"{demo.url}/")
    assert "/sign-in/" in phone.url


@pytest.mark.parametrize("remember", [True, False])
def test_cookies_outlive_the_browser_only_where_the_person_asked_for_it(jar, sign_in, remember):
    context = jar()
    sign_in(context, remember=remember)
    assert {cookies(context)[name]["expires"] == -1 for name in TOKENS} == {not remember}


def test_a_wrong_password_says_so_and_signs_nobody_in(demo, jar):
    context = jar()
    page = context.new_page()
    page.goto(f"{demo.url}/sign-in/")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "do not match" in page.get_by_role("alert").inner_text()
    assert not TOKENS & set(cookies(context))


def test_staff_sign_in_once_for_the_admin_as_well(demo, jar, sign_in):
    page = sign_in(jar(), "admin")
    page.get_by_role("link", name="Admin").click()
    assert page.get_by_role("heading", name="Site administration").is_visible()
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{demo.url}/")
    assert "/sign-in/" in page.url


class EvilPage(http.server.BaseHTTPRequestHandler):
    """A page of another origin, whose form signs the visitor out of the demo site: same host, so SameSite allows it."""

    target = ""

    def do_GET(self):
        body = f'<form method="post" action="{self.target}"><button>Win a prize</button></form>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_a_form_of_another_origin_is_refused_and_changes_nothing(demo, jar, sign_in):
    context = jar()
    page = sign_in(context)
    EvilPage.target = f"{demo.url}/sign-out/"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EvilPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        evil = context.new_page()
        evil.goto(f"http://127.0.0.1:{server.server_port}/")
        with evil.expect_navigation() as navigation:
            evil.get_by_role("button").click()
        server.shutdown()
    assert navigation.value.status == 403
    assert navigation.value.json()["code"] == "cross_origin"
    page.reload()
    assert page.get_by_text("Signed in as ada").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_asks_no_other_host(demo, jar, sign_in, scheme):
    context = jar(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    hosts, problems = set(), []
    context.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    context.on("weberror", lambda error: problems.append(str(error.error)))
    page = sign_in(context)
    expect(page.locator("#log tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert hosts == {f"127.0.0.1:{demo.port}"}
    assert problems == []


@pytest.mark.skipif("JWTAUTH_SCREENSHOT" not in os.environ, reason="a picture is taken only when asked for")
def test_screenshot(jar, sign_in):
    page = sign_in(jar(viewport={"width": 1120, "height": 1420}, color_scheme="light", timezone_id="UTC"))
    page.get_by_role("button", name="Fire ten at expiry").click()
    expect(page.locator("#results li")).to_have_count(10, timeout=EXPIRY_MS)
    page.wait_for_timeout(4000)
    page.screenshot(path=os.environ["JWTAUTH_SCREENSHOT"])
