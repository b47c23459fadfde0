"""``with_dpop.py dpop.py login.json``: drives examples/clients/dpop.py, which keeps its login in this file.

Each line of input is a list: what to do, and with what. Each line of output has the result or the error, and the
requests that it took.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests

spec = importlib.util.spec_from_file_location("dpop", sys.argv[1])
dpop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dpop)
file = Path(sys.argv[2])


class Recorded(requests.Session):
    """Sends requests, and records their paths and statuses."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        answer = super().request(*args, **options)
        sent.append([answer.request.path_url, answer.status_code])
        return answer


class Steps:
    def start(self, auth: str) -> None:
        self.client = dpop.Client(auth, file)

    def sign_in(self, name: str, password: str) -> None:
        self.client.sign_in(name, password)

    def call(self, *urls: str) -> list:
        return [self.client.call("GET", url).json() for url in urls]

    def sign_out(self) -> None:
        self.client.sign_out()

    def tokens(self) -> dict:
        return self.client.load()[1]

    def change(self, values: dict) -> None:
        """Change what is kept."""
        kept = json.loads(file.read_text())
        kept["pair"] |= values
        kept["pair"]["expires_at"] = kept["pair"].pop("expiresAt", kept["pair"]["expires_at"])
        file.write_text(json.dumps(kept))

    def set_clock(self, seconds: int) -> None:
        dpop.time = SimpleNamespace(time=lambda: time.time() + seconds)


sent: list = []
steps, dpop.requests = Steps(), Recorded()
for line in sys.stdin:
    step, *values = json.loads(line)
    sent.clear()
    try:
        said = {"result": getattr(steps, step)(*values)}
    except Exception as error:
        said = {"error": type(error).__name__}
    print(json.dumps({**said, "requests": sent}), flush=True)
