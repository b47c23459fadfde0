"""The test project as an ASGI server runs it, with a record of all headers, and a path whose requests can fail."""

import json
import os
from pathlib import Path

from tests.databases.asgi import application as project

RECORD = Path(os.environ["JWTAUTH_TEST_RECORD"])
# Empty, or a fault and its path: "refuse PATH" (503) or "lose PATH" (the answer is lost, and a proxy says 502).
FAULT = Path(os.environ["JWTAUTH_TEST_FAULT"])


async def application(scope, receive, send):
    if scope["type"] != "http":
        await project(scope, receive, send)
        return
    fault, _, path = FAULT.read_text().partition(" ")
    recorded = recording(scope, send)
    if path != scope["path"]:
        await project(scope, receive, recorded)
    elif fault == "refuse":
        await fail(recorded, 503)
    else:
        await project(scope, receive, recording(scope, swallow, lost=True))
        await fail(recorded, 502)


def recording(scope, send, *, lost=False):
    """Return this ``send``, which records each response with its request: one line of JSON."""

    async def record(message):
        if message["type"] == "http.response.start":
            line = {
                "method": scope["method"],
                "path": scope["path"],
                "status": message["status"],
                "lost": lost,
                "sent": text(scope["headers"]),
                "got": text(message.get("headers", ())),
            }
            with RECORD.open("a") as file:  # one write, so lines stay whole
                file.write(f"{json.dumps(line)}\n")
        await send(message)

    return record


def text(headers):
    return [[name.decode().lower(), value.decode("latin-1")] for name, value in headers]


async def swallow(message):
    pass


async def fail(send, status):
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
