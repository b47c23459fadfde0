"""A server of small pages on every host name of this machine: it shows what a browser sent, and sets cookies."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote

from tests.seams.browsers.certificates import Certificates


class Echo(BaseHTTPRequestHandler):
    """A handler whose paths are described beside them; their argument is the query."""

    # The headers of the WebSocket handshakes, which are all refused.
    handshakes: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        argument = unquote(query)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if path == "/socket":
            self.handshakes.append(headers)
        kind = "application/json" if path in ("/headers", "/handshakes") else "text/html"
        body = {
            "/headers": json.dumps(headers),
            "/handshakes": json.dumps(self.handshakes),
            "/set": "<p>kept?</p>",  # sets this cookie
            "/frame": f'<iframe src="{argument}"></iframe>',
            "/link": f'<p>hello</p><a href="{argument}">away</a>',
            "/press": '<button onclick="window.trusted = event.isTrusted">press</button>'
            '<iframe srcdoc="<p>inner</p>"></iframe>',
        }.get(path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", kind)
        if path == "/set":
            self.send_header("Set-Cookie", argument)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve(certificates: Certificates | None = None) -> Iterator[int]:
    """Run the server, over TLS if it has certificates, and yield its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.all)
            # The handler does the handshake, so that a browser that aborts it does not stop the others.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
