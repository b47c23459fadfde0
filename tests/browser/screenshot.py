"""Take the pictures of the documentation again: `.venv/bin/python -m pytest tests/browser/screenshot.py`."""

from pathlib import Path

from playwright.sync_api import expect

DOCS = Path(__file__).resolve().parents[2] / "docs"
VIEW = {"color_scheme": "light", "timezone_id": "UTC"}
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_picture_shows_ten_answers_and_a_theft_that_is_found(jar, sign_in):
    phone = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
    sign_in(jar(user_agent=phone))
    page = sign_in(jar(viewport={"width": 1120, "height": 1390}, user_agent=DESKTOP, **VIEW))
    page.get_by_role("button", name="Sign out everywhere else").click()
    sign_in(jar(user_agent=phone))
    while (
        page.locator("#results li.got").count() < 9
    ):  # on a busy machine some leave when the others have been answered
        page.reload()
        page.get_by_role("button", name="Fire ten at expiry").click()
        expect(page.locator("#summary")).to_contain_text("answered")
    page.get_by_role("button", name="Steal my token").click()
    expect(page.locator("#theft-summary")).to_contain_text("Found.")
    page.screenshot(path=DOCS / "demo.png", animations="disabled")


def test_picture_of_the_admin_shows_sessions(demo, jar, sign_in):
    for agent in ("(X11; Linux x86_64; rv:140.0) Gecko/20100101", "(Android 15; Mobile; rv:140.0) Gecko/140.0"):
        sign_in(jar(user_agent=f"Mozilla/5.0 {agent} Firefox/140.0"))
    page = sign_in(jar(viewport={"width": 1280, "height": 460}, **VIEW), "admin")
    page.goto(f"{demo.url}/admin/jwtauth/session/")
    expect(page.get_by_text("Firefox Mobile on Android")).to_be_visible()
    page.screenshot(path=DOCS / "admin.png")


def test_picture_of_the_browsable_api_shows_the_user(demo, jar, sign_in):
    page = sign_in(jar(viewport={"width": 1120, "height": 760}, **VIEW))
    page.goto(f"{demo.url}/auth/me/")
    expect(page.get_by_text('"username": "ada"')).to_be_visible()
    page.screenshot(path=DOCS / "browsable-api.png")
