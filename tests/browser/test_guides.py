"""The scripts of the guides, typed literally into a page of the demo site."""

import re

import pytest

from tests.test_startproject import PASSWORD, ROOT, example

GUIDES = ROOT / "docs/guides"


@pytest.fixture
def page(demo, jar):
    """Return a page of the site's origin that makes no requests itself."""
    page = jar().new_page()
    page.goto(f"{demo.url}/auth/jwks.json")
    return page


def test_function_of_the_spa_guide_signs_in_and_out(page):
    script = example(GUIDES / "spa.md", "call")
    script, calls = re.subn(r"^await (call\(.+?\));", r"said.push(await \1);", script, flags=re.M)
    names = 'const said = [], username = "ada", password = "ada-demo-pass";'
    last = 'said.push(await call("/auth/me/")); return said;'
    said = page.evaluate(f"async () => {{ {names}\n{script}\n{last} }}")
    assert calls == 3
    assert [answer["status"] for answer in said] == [200, 200, 204, 403]
    assert said[1]["data"]["user"]["username"] == "ada"


def test_script_of_the_quickstart_signs_in(page):
    script = example(GUIDES / "quickstart.md", "fetch").replace(PASSWORD, "ada-demo-pass")
    me = page.evaluate(f"async () => {{ {script}; return me; }}")
    assert me["user"]["username"] == "ada"
