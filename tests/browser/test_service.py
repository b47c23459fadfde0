"""What `make run` serves: the Django site and the Rust service on one origin, in a browser."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.databases.servers import free_port
from tests.waiting import PATIENCE, answers, stop, wait_until

ROOT = Path(__file__).parents[2]


class Demo:
    def __init__(self, folder):
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "scripts/run.py", self.url.rpartition(":")[2]]
        others = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        environment = others | {"DEMO_DATABASE": str(folder / "db.sqlite3")}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            # As at a terminal. A shell lets what it starts in the background ignore SIGINT, and children inherit that.
            inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            finally:
                signal.signal(signal.SIGINT, inherited)
        try:
            wait_until(lambda: answers(f"{self.url}/sign-in/"), self.process, self.log)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        return stop(self.process, signal.SIGINT, within=PATIENCE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed, without which nothing of this project is built")
    # Here, where it may take as long as it takes: a fresh clone compiles everything, beside other builds.
    subprocess.run(["cargo", "build", "--quiet", "--package", "jwtauth-service"], cwd=ROOT, check=True)
    running = Demo(tmp_path_factory.mktemp("service"))
    yield running
    assert running.stop() == 0, running.log.read_text()


def test_who_signs_in_at_django_is_known_to_the_rust_service(demo, jar, sign_in):
    page = sign_in(jar())
    expect(page.get_by_text("It knows you as user 1")).to_be_visible()
    page.get_by_role("link", name="Its page").click()
    expect(page.get_by_text("This service knows you as user 1")).to_be_visible()
    expect(page.get_by_text("The WebSocket says: You are user 1.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("Nobody is signed in")).to_be_visible()
    page.goto(f"{demo.url}/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_who_signs_in_at_the_rust_service_is_known_to_django(demo, jar):
    page = jar().new_page()
    page.goto(f"{demo.url}/rust/")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Name and password do not belong together.")).to_be_visible()
    page.goto(f"{demo.url}/rust/")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("ada-demo-pass")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This service knows you as user 1")).to_be_visible()
    page.get_by_role("link", name="The Django site").click()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()


def test_a_token_that_expires_is_refreshed_by_the_rust_service(demo, jar, sign_in):
    context = jar()
    page = sign_in(context)
    context.clear_cookies(name="access_token")
    page.goto(f"{demo.url}/rust/")
    expect(page.get_by_text("This service knows you as user 1")).to_be_visible()
    assert "access_token" in {cookie["name"] for cookie in context.cookies()}
    page.goto(f"{demo.url}/")
    expect(page.get_by_text("Signed in as ada")).to_be_visible()
