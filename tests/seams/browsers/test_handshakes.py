"""Every browser names the origin of a WebSocket handshake: the rule for handshakes relies only on `Origin`."""

import pytest

from tests.seams.browsers.echo import serve


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_every_handshake_names_its_origin(browser, certificates, is_secure):
    scheme = "https" if is_secure else "http"
    with serve(certificates if is_secure else None) as port:
        for host, site in (("own", "same-origin"), ("sibling.own", "same-site"), ("foreign", "cross-site")):
            browser.goto(f"{scheme}://{host}.localhost:{port}/link")
            browser.run(
                "const socket = new WebSocket(args[0]); await new Promise((done) => { socket.onclose = done; })",
                f"{scheme.replace('http', 'ws')}://own.localhost:{port}/socket",
            )
            said = browser.run("return (await fetch('/handshakes')).json()")[-1]
            assert said["origin"] == f"{scheme}://{host}.localhost:{port}"
            assert said.get("sec-fetch-site") == (None if browser.name == "chromium" else site)
