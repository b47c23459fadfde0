"""Chromium with Device Bound Session Credentials (DBSC), which it has on Linux only with these switches."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import Chromium

FEATURES = (
    "DeviceBoundSessions:RequireOriginTrialTokens/false/RefreshQuota/false/CheckSubdomainRegistration/false",
    # Keys of ES256 in software. Without this, keys need a TPM.
    "EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
)


class BindingChromium(Chromium):
    """Chromium that binds sessions. ``is_recorded``: it records its network events, some 100 KB for each refresh."""

    title = "Chromium, DBSC"

    def __init__(self, certificates: Certificates, *, is_recorded: bool = True) -> None:
        self.is_recorded = is_recorded
        super().__init__(certificates)

    def start(self) -> None:
        self.net_log = self.folder / "net-log.json"
        record = (f"--log-net-log={self.net_log}", "--net-log-capture-mode=IncludeSensitive")
        self.switches = (f"--enable-features={','.join(FEATURES)}", *(record if self.is_recorded else ()))
        super().start()

    def delete_cookie(self, name: str, url: str) -> None:
        """Delete a cookie as its Max-Age does."""
        self.command("chromium", {"cmd": "Network.deleteCookies", "params": {"name": name, "url": url}})

    def events(self) -> list[dict[str, Any]]:
        """Return the DBSC events so far of the browser that runs or ran last, each with its ``name``.

        The browser writes a few of them at a time, so the last ones may be missing.
        """
        if not self.is_recorded:
            return []
        # The file is a JSON object that ends when the browser does: constants on the first line, then one event a line.
        with self.net_log.open(errors="replace") as file:
            constants = json.loads(file.readline().rstrip().removesuffix(",") + "}")["constants"]
            names = {number: name for name, number in constants["logEventTypes"].items() if "DBSC" in name}
            marks = tuple(f'"type":{number}}}' for number in names)
            lines = (line for line in file if any(mark in line for mark in marks))
            events = (read(line) for line in lines)
            return [{"name": names[event["type"]], **event} for event in events if event is not None]

    def results(self) -> Counter[str]:
        """Count the results of registrations and refreshes so far: "registered", "refreshed", "session_ended"..."""
        ended = (event for event in self.events() if event["name"].endswith("_RESULT"))
        return Counter(event["params"]["status"] for event in ended)


def read(line: str) -> dict[str, Any] | None:
    """Return the event of this line, unless it is the last one and not all written."""
    try:
        return json.loads(line.rstrip().removesuffix(",").removesuffix("]}"))
    except ValueError:
        return None
