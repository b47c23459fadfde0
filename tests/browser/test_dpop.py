"""A page on another site than the API, which keeps its login as docs/guides/dpop.md describes, in a real browser."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.demo import LONG, served
from tests.seams.clients.typescript import compile_clients
from tests.test_startproject import ROOT, example

GUIDE = ROOT / "docs/guides/dpop.md"
PAGE = """<!doctype html>
<title>An app</title>
<script type="importmap">{"imports": {"jose": "/node_modules/jose/dist/webapi/index.js"}}</script>
"""
CLIENT = """
    const { Client } = await import("/dpop.js");
    const { indexedDb } = await import("/indexed_db.js");
    const client = new Client(api + "/auth/", indexedDb);
    const me = async () => (await (await client.call(api + "/auth/me/")).json()).user.username;
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and prints nothing."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Serve the page of an app with the compiled client, and return its origin."""
    folder = tmp_path_factory.mktemp("app")
    compile_clients(folder)
    (folder / "index.html").write_text(PAGE)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def api(app, tmp_path_factory):
    pytest.importorskip("corsheaders", reason="no django-cors-headers: see requirements/neighbours.txt")
    settings = example(GUIDE, "cors")
    assert settings.count("https://app.example.net") == 2
    with served(tmp_path_factory.mktemp("api"), LONG + settings.replace("https://app.example.net", app)) as site:
        yield site.url


@pytest.fixture
def page(app, api, jar):
    page = jar().new_page()
    page.goto(app)
    return page


def do(page, api, script):
    """Run this script with a new client, as after the page was loaded."""
    return page.evaluate(f"async (api) => {{ {CLIENT} {script} }}", api)


def test_page_on_another_site_signs_in_and_out(page, api):
    said = do(page, api, 'await client.signIn("ada", "ada-demo-pass"); return [await me(), await me()];')
    assert said == ["ada", "ada"]
    gone = do(page, api, "await client.signOut(); return me().catch((error) => error.constructor.name);")
    assert gone == "SignInAgain"


def test_login_is_there_in_another_tab_and_after_a_reload(page, app, api):
    do(page, api, 'await client.signIn("ada", "ada-demo-pass");')
    tab = page.context.new_page()
    tab.goto(app)
    page.reload()
    assert [do(place, api, "return me();") for place in (tab, page)] == ["ada", "ada"]


def test_page_corrects_a_wrong_clock(page, api):
    page.clock.install(time=0)
    assert do(page, api, 'await client.signIn("ada", "ada-demo-pass"); return me();') == "ada"


def test_script_can_use_the_key_and_not_copy_it(page, api):
    do(page, api, 'await client.signIn("ada", "ada-demo-pass");')
    script = """
    const { key } = await indexedDb.load();
    return crypto.subtle.exportKey("jwk", key.privateKey).catch((error) => error.name);
    """
    assert do(page, api, script) == "InvalidAccessError"


def test_browser_has_no_cookie_of_the_api(page, api):
    do(page, api, 'await client.signIn("ada", "ada-demo-pass"); return me();')
    assert page.context.cookies() == []
