"""What a user sees and does in a browser on the demo site."""

import http.client
import http.server
import re
import threading

import pytest
from playwright.sync_api import expect

from tests.waiting import PATIENCE

TOKENS = {"access_token", "refresh_token"}


def cookies(context):
    return {cookie["name"]: cookie for cookie in context.cookies()}


def sign_out(page):
    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")


def generation(page):
    return int(page.locator("#generation").inner_text())


def test_user_signs_in_is_refreshed_without_noticing_and_signs_out(demo, jar, sign_in):
    context = jar()
    page = sign_in(context)
    addresses = []
    page.on("framenavigated", lambda frame: addresses.append(frame.url))
    assert generation(page) == 1
    expect(page.locator("#generation")).to_have_text("2")
    page.reload()
    assert generation(page) >= 2
    expect(page.get_by_text("Signed in as ada")).to_be_visible()
    assert set(addresses) == {f"{demo.url}/"}, "the sign-in page must not appear"

    sign_out(page)
    assert not TOKENS & set(cookies(context))
    page.go_back()  # to where the dashboard was
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{demo.url}/")
    assert "/sign-in/" in page.url


def test_page_load_after_expiry_is_refreshed_in_the_same_request(demo, jar, sign_in):
    context = jar(java_script_enabled=False)  # nothing on the page can help
    page = sign_in(context)
    context.clear_cookies(name="access_token")
    page.reload()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()
    assert set(cookies(context)) >= TOKENS


def test_ten_requests_at_expiry_are_all_answered_and_one_refreshes(jar, sign_in):
    page = sign_in(jar())
    before = generation(page)
    page.get_by_role("button", name="Fire ten at expiry").click()
    expect(page.locator("#summary")).to_have_text(re.compile("of 10 answered"))
    assert most_at_once(page) > 1, "the browser sent one after the other, so no requests raced"
    answers = page.locator("#results li").all_inner_texts()
    assert sum("refreshed" in answer for answer in answers) == 1
    assert all("200" in answer for answer in answers)
    assert page.locator("#summary").inner_text() == "10 of 10 answered, 1 refreshed, none signed out."
    assert generation(page) > before
    page.reload()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()


def most_at_once(page):
    """How many of the page's pings were under way at one time: sent, and not answered yet."""
    spans = page.evaluate(
        """performance.getEntriesByType("resource").filter((entry) => entry.name.endsWith("/api/ping/"))
            .map((entry) => [entry.requestStart, entry.responseStart])"""
    )
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


def test_two_tabs_that_expire_together_stay_signed_in(jar, sign_in):
    context = jar()
    first = sign_in(context)
    second = context.new_page()
    second.goto(first.url)
    for tab in (first, second):
        expect(tab.locator("#generation")).not_to_have_text("1")
    for tab in (first, second):
        tab.reload()
        expect(tab.get_by_text("Signed in as ada")).to_be_visible()


def test_script_on_the_page_sees_no_token(jar, sign_in):
    context = jar()
    page = sign_in(context)
    seen = page.evaluate("document.cookie")
    assert all(name not in seen for name in TOKENS)
    for name in TOKENS:
        assert cookies(context)[name]["httpOnly"]
        assert cookies(context)[name]["sameSite"] == "Strict"


def test_cookies_saved_before_sign_out_are_refused_after(demo, jar, sign_in):
    owner, thief = jar(), jar()
    page = sign_in(owner)
    thief.add_cookies(owner.cookies())
    sign_out(page)
    stolen = thief.new_page()
    stolen.goto(f"{demo.url}/")
    assert "/sign-in/" in stolen.url


def test_device_that_another_device_signs_out_is_out_at_its_next_request(demo, jar, sign_in):
    phone = sign_in(jar(user_agent="Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"))
    laptop = sign_in(jar())
    row = laptop.locator("#devices tr", has_text="Firefox Mobile on Android")
    row.get_by_role("button").click()
    expect(row).to_have_count(0)
    expect(laptop.get_by_text("Signed in as ada")).to_be_visible()
    phone.goto(f"{demo.url}/")
    assert "/sign-in/" in phone.url


def test_signing_out_this_device_in_the_list_clears_its_cookies(jar, sign_in):
    context = jar()
    page = sign_in(context)
    page.locator("#devices tr", has_text="this one").get_by_role("button").click()
    page.wait_for_url("**/sign-in/")
    assert not TOKENS & set(cookies(context))


@pytest.mark.parametrize("remember", [True, False])
def test_cookies_outlive_the_browser_only_if_the_user_asks_for_it(jar, sign_in, remember):
    context = jar()
    sign_in(context, remember=remember)
    assert {cookies(context)[name]["expires"] == -1 for name in TOKENS} == {not remember}


def test_wrong_password_is_reported_and_sets_no_tokens(demo, jar):
    context = jar()
    page = context.new_page()
    page.goto(f"{demo.url}/sign-in/")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "do not match" in page.get_by_role("alert").inner_text()
    assert not TOKENS & set(cookies(context))


def test_admin_redirects_to_the_site_sign_in_and_back(demo, jar):
    context = jar()
    page = context.new_page()
    page.goto(f"{demo.url}/admin/auth/user/")
    for name in ("ada", "admin"):  # ada may not see it, and the page says so
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(f"{name}-demo-pass")
        page.get_by_role("button", name="Sign in").click()
        if name == "ada":
            expect(page.get_by_text("ada may not see that page")).to_be_visible()
    page.wait_for_url(f"{demo.url}/admin/auth/user/")
    assert "sessionid" not in cookies(context)


def test_sign_in_page_redirects_to_no_other_site(demo, jar):
    page = jar().new_page()
    page.goto(f"{demo.url}/sign-in/?next=//elsewhere.example/")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("ada-demo-pass")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{demo.url}/")


def test_request_for_another_host_is_a_bad_request(demo):
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=PATIENCE)
    connection.request("GET", "/", headers={"Host": "elsewhere.example"})
    assert connection.getresponse().status == 400
    connection.close()


def test_page_asks_rarely_while_the_server_does_not_answer_and_recovers(demo, jar, sign_in):
    context = jar()
    context.clock.install()
    page = sign_in(context)
    asked = []

    def no_answer(route):
        asked.append(route.request.url)
        route.abort()

    context.route("**/api/ping/", no_answer)
    context.clock.run_for(40_000)
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    assert 1 <= len(asked) <= 6
    context.unroute("**/api/ping/")
    context.clock.run_for(6_000)
    expect(page.get_by_text("Valid.")).to_be_visible()


def test_staff_sign_in_once_for_the_site_and_the_admin(demo, jar, sign_in):
    page = sign_in(jar(), "admin")
    page.get_by_role("link", name="Admin", exact=True).click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Logged out")).to_be_visible()
    page.goto(f"{demo.url}/")
    assert "/sign-in/" in page.url


class EvilPage(http.server.BaseHTTPRequestHandler):
    """A page of another origin, whose form signs the visitor out of the demo site."""

    target = ""

    def do_GET(self):
        body = f'<form method="post" action="{self.target}"><button>Win a prize</button></form>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


# To the same host with another port the browser sends the cookies in spite of SameSite; to another host it does not.
@pytest.mark.parametrize(("host", "code"), [("127.0.0.1", "cross_origin"), ("localhost", None)])
def test_form_of_another_origin_is_refused_and_changes_nothing(demo, jar, sign_in, host, code):
    context = jar()
    page = sign_in(context)
    EvilPage.target = f"{demo.url}/sign-out/"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EvilPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        evil = context.new_page()
        evil.goto(f"http://{host}:{server.server_port}/")
        with evil.expect_navigation() as navigation:
            evil.get_by_role("button").click()
        server.shutdown()
    assert navigation.value.status == 403
    if code is not None:
        assert navigation.value.json()["code"] == code
    page.reload()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()


PAGES = ("/", "/schema/", "/sign-in/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_loads_from_no_other_host(demo, jar, sign_in, scheme):
    context = jar(viewport={"width": 375, "height": 800}, color_scheme=scheme)
    hosts, problems = set(), []
    context.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page = sign_in(context)
    expect(page.locator("#log tr").first).to_be_visible()
    for path in PAGES:
        page.goto(f"{demo.url}{path}")
        assert off_screen(page) == []
    assert hosts == {f"127.0.0.1:{demo.port}"}
    assert problems == []


def off_screen(page):
    """Return the visible elements of which a part is beyond the sides of the window."""
    return page.evaluate(
        """[...document.querySelectorAll("body *")].filter((element) => {
            const box = element.getBoundingClientRect();
            const isShown = box.width > 1 && box.height > 1 && element.checkVisibility();
            return isShown && (box.left < 0 || box.right > window.innerWidth);
        }).map((element) => element.outerHTML)"""
    )


def test_policy_of_the_pages_lets_no_inline_script_run(demo, jar, sign_in):
    page = sign_in(jar())
    for path in PAGES:
        policy = page.goto(f"{demo.url}{path}").headers["content-security-policy"]
        assert policy == "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def test_sign_in_page_says_what_the_demo_is_and_how_to_sign_in(demo, jar):
    page = jar().new_page()
    page.goto(f"{demo.url}/")
    expect(page.get_by_text("This demo signs you in with jwtauth")).to_be_visible()
    for text in ("ada", "ada-demo-pass", "admin", "admin-demo-pass"):
        expect(page.get_by_text(text, exact=True)).to_be_visible()


def test_stolen_token_is_found_when_it_is_used_and_ends_the_session(demo, jar, sign_in):
    context = jar()
    page, other = sign_in(context), sign_in(jar())
    stolen = generation(page)
    page.get_by_role("button", name="Steal my token").click()
    expect(page.locator("#theft-copied")).to_have_text(f"The thief has a copy of your refresh tokenNo.\u00a0{stolen}")
    expect(page.locator("#theft-summary")).to_have_text(re.compile("Found.* the session has ended"))
    assert page.locator("#theft-request").inner_text().startswith("GET /auth/me/\n403 ")
    log = page.locator("#theft-log").inner_text()
    assert "jwtauth.security: refresh_token_reused: session " in log
    assert f"presented generation {stolen}, current {stolen + 1}" in log
    assert "\n" not in log, "one theft is one event"
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{demo.url}/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    other.reload()
    expect(other.get_by_text("Signed in as ada")).to_be_visible()


def test_theft_of_a_client_without_a_refresh_token_is_refused(demo, jar, sign_in):
    context = jar()
    sign_in(context)
    context.clear_cookies(name="refresh_token")
    for address in ("copy", "use"):
        answer = context.request.post(f"{demo.url}/api/theft/{address}/", headers={"Origin": demo.url})
        assert answer.status == 409
        assert answer.json()["detail"]


def test_stolen_cookies_of_a_bound_session_are_worth_nothing_after_the_access_token_s_end(demo, jar, sign_in):
    page = sign_in(jar())
    page.get_by_role("button", name="Steal both").click()
    for name in ("free", "bound"):
        expect(page.locator(f"#binding-{name}-now")).to_have_text("200: signed in")
        expect(page.locator(f"#binding-{name}-later")).to_have_text(re.compile(r"in \d+ s"))
    expect(page.locator("#binding-free-later")).to_have_text("200: signed in, with new tokens")
    expect(page.locator("#binding-bound-later")).to_have_text("403: device_proof_required")
    expect(page.locator("#binding-summary")).to_have_text(re.compile("nothing of the other"))
    page.reload()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()


def test_copies_that_were_not_made_are_not_used(demo, jar, sign_in):
    context = jar()
    sign_in(context)
    assert context.request.post(f"{demo.url}/api/binding/use/", headers={"Origin": demo.url}).status == 409


def test_signing_out_everywhere_else_leaves_this_session_alone(demo, jar, sign_in):
    other, page = sign_in(jar()), sign_in(jar())
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(page.get_by_role("button", name="Sign out everywhere else")).to_have_count(0)
    expect(page.locator("#devices tbody tr")).to_have_count(1)
    expect(page.locator("#devices tbody tr")).to_contain_text("this one")
    other.goto(f"{demo.url}/")
    assert "/sign-in/" in other.url


def test_links_of_the_page_show_json_schema_and_admin(demo, jar, sign_in):
    page = sign_in(jar())
    for link, text in [
        ("/auth/me/", '"username": "ada"'),
        ("/auth/sessions/", '"is_current": true'),
        ("/schema/", "POST /auth/login/"),
        ("/schema/", "Signed in as ada"),
        ("/admin/jwtauth/session/", "ada may not see that page"),
    ]:
        page.goto(f"{demo.url}/")
        page.get_by_role("link", name=link, exact=True).click()
        expect(page.get_by_text(text)).to_be_visible()
