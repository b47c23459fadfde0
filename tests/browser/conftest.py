"""A real browser: Debian's Chromium."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.waiting import PATIENCE

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# In milliseconds, as Playwright expects. Tests wait for what a page does, however slow the machine is.
PATIENCE_MS = PATIENCE * 1000
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items):
    if CHROMIUM is None:
        no_browser = pytest.mark.skip(reason="chromium is not installed; scripts/test.py says so at its end")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(no_browser)


# Not for the whole test run: while Playwright's event loop runs, Django treats every test as asynchronous code.
@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            timeout=PATIENCE_MS,
            # Playwright turns this cache off. Users' browsers have it, and could show a page again after the sign-out.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def jar(chromium):
    """Make browser contexts: each is a separate browser with its own cookies."""
    contexts = []

    def make(**options):
        context = chromium.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def sign_in(demo):
    """Sign a user in on a new page of this context."""

    def sign_in(context, name="ada", *, remember=True):
        page = context.new_page()
        page.goto(f"{demo.url}/sign-in/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(f"{name}-demo-pass")
        page.get_by_label("Stay signed in").set_checked(remember)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{demo.url}/")
        return page

    return sign_in
