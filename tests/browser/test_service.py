"""What `make run` serves: the Django site and the Rust service at one address, in a browser."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.databases.servers import free_port
from tests.waiting import PATIENCE, stop, wait_until

ROOT = Path(__file__).parents[2]


class Demo:
    def __init__(self, folder):
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "scripts/run.py", self.url.rpartition(":")[2]]
        others = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        environment = others | {"DEMO_DATABASE": str(folder / "db.sqlite3")}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            # As at a terminal. A shell makes background processes ignore SIGINT, and their children inherit that.
            inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            finally:
                signal.signal(signal.SIGINT, inherited)
        try:
            wait_until(lambda: "the Rust service answers" in self.log.read_text(), self.process, self.log)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        return stop(self.process, signal.SIGINT, within=PATIENCE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed, which builds this project")
    # No time limit here: a fresh clone compiles everything, beside other builds.
    subprocess.run(["cargo", "build", "--quiet", "--package", "jwtauth-service"], cwd=ROOT, check=True)
    running = Demo(tmp_path_factory.mktemp("service"))
    yield running
    assert running.stop() == 0, running.log.read_text()


def sign_in_at_the_service(page, password="ada-demo-pass"):
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_sign_in_at_django_is_valid_at_the_rust_service(demo, jar, sign_in):
    page = sign_in(jar())
    expect(page.get_by_text("It knows you as ada")).to_be_visible()
    page.get_by_role("link", name="The page of the Rust service").click()
    expect(page.get_by_text("This service knows you as ada")).to_be_visible()
    expect(page.get_by_text("You are user 1.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("No user is signed in")).to_be_visible()
    page.goto(f"{demo.url}/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_sign_in_at_the_rust_service_is_valid_at_django(demo, jar):
    page = jar().new_page()
    page.goto(f"{demo.url}/rust/")
    sign_in_at_the_service(page)
    expect(page.get_by_text("This service knows you as ada")).to_be_visible()
    page.get_by_role("link", name="Back to the Django site").click()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()
    row = page.locator("#devices tr", has_text="this one")
    expect(row).to_contain_text("127.0.0.1")
    expect(page.locator("#devices")).not_to_contain_text("unknown")


def test_wrong_password_at_the_rust_service_is_reported_beside_the_form(demo, jar):
    context = jar()
    page = context.new_page()
    page.goto(f"{demo.url}/rust/")
    sign_in_at_the_service(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("That user name and password do not match.")
    expect(page.get_by_role("link", name="Back to the Django site")).to_be_visible()
    assert "refresh_token" not in {cookie["name"] for cookie in context.cookies()}
    sign_in_at_the_service(page)
    expect(page.get_by_text("This service knows you as ada")).to_be_visible()


def test_page_of_the_rust_service_fits_a_phone_and_runs_no_inline_script(demo, jar, sign_in):
    context = jar(viewport={"width": 375, "height": 800})
    problems = []
    context.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page = sign_in(context)
    answer = page.goto(f"{demo.url}/rust/")
    expect(page.get_by_text("You are user 1.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert problems == []


def test_token_that_expires_is_refreshed_by_the_rust_service(demo, jar, sign_in):
    context = jar()
    page = sign_in(context)
    context.clear_cookies(name="access_token")
    page.goto(f"{demo.url}/rust/")
    expect(page.get_by_text("This service knows you as ada")).to_be_visible()
    assert "access_token" in {cookie["name"] for cookie in context.cookies()}
    page.goto(f"{demo.url}/")
    expect(page.get_by_text("Signed in as ada")).to_be_visible()


def test_stolen_token_is_found_behind_the_rust_service_too(jar, sign_in):
    page = sign_in(jar())
    page.get_by_role("button", name="Steal my token").click()
    expect(page.locator("#theft-summary")).to_contain_text("Found.")
    expect(page.locator("#theft-log")).to_contain_text("refresh_token_reused")
