"""Takes the README's picture anew: `.venv/bin/python -m pytest tests/browser/screenshot.py`."""

from pathlib import Path

from playwright.sync_api import expect

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "demo.png"


def test_the_picture_shows_ten_answers(jar, sign_in):
    page = sign_in(jar(viewport={"width": 1120, "height": 1420}, color_scheme="light", timezone_id="UTC"))
    page.get_by_role("button", name="Fire ten at expiry").click()
    expect(page.locator("#results li")).to_have_count(10, timeout=45_000)
    expect(page.locator("#left")).to_have_text("15")
    page.screenshot(path=PICTURE)
