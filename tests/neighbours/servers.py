"""Send requests through the site's WSGI and ASGI applications, as a server does: error trackers wrap these."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from tests.neighbours.site import Browser
from tests.waiting import PATIENCE


def ask(browser: Browser, path: str, body: bytes | None = None, **headers: str) -> int:
    """Return the status of a GET, or of a POST with this JSON."""
    headers["cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.client.cookies.items())
    if body is not None:
        headers["content-type"], headers["content-length"] = "application/json", str(len(body))
    method = "GET" if body is None else "POST"
    call = async_to_sync(_ask_asgi) if browser.is_async else _ask_wsgi
    return call(method, path, body or b"", headers)


def _ask_wsgi(method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    statuses = []
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        name = name.upper().replace("-", "_")
        environ[name if name.startswith("CONTENT_") else f"HTTP_{name}"] = value
    answer = get_wsgi_application()(environ, lambda status, headers, *error: statuses.append(status))
    b"".join(answer)
    answer.close()
    return int(statuses[-1].split()[0])


async def _ask_asgi(method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "root_path": "",
        "headers": [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in headers.items())],
        "client": ("203.0.113.9", 50000),
        "server": ("testserver", 80),
    }
    server = ApplicationCommunicator(get_asgi_application(), scope)
    await server.send_input({"type": "http.request", "body": body, "more_body": False})
    status = (await server.receive_output(PATIENCE))["status"]
    while (await server.receive_output(PATIENCE)).get("more_body"):
        pass
    await server.wait(PATIENCE)
    return int(status)
