"""Wait for events in other processes, never for a fixed time."""

from __future__ import annotations

import http.client
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

# Seconds after which a test gives up. Only a failing test waits this long, so a slow machine passes.
PATIENCE = 180
# Seconds that a process has to end by itself. Then it is killed, which does not fail a test.
BEFORE_KILL = 60


def wait_until(
    happened: Callable[[], object], process: subprocess.Popen | None = None, log: Path | None = None
) -> None:
    """Wait until this is true. Fail, with the end of the log, if the process ends first or after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        ended = None if process is None else process.poll()
        if ended is not None or time.monotonic() > deadline:
            what = f"no answer after {PATIENCE} s" if ended is None else f"the process ended with {ended}"
            raise RuntimeError(what if log is None else f"{what}:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)


def stop(process: subprocess.Popen, how: int = signal.SIGTERM, within: float = BEFORE_KILL) -> int:
    """Send this signal and return the exit status, that of SIGKILL if the process has not ended in time.

    A process that is left running fails an unrelated test, with a ResourceWarning: the one in which its object is
    collected.
    """
    process.send_signal(how)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def answers(url: str, certificate: Path | None = None) -> bool:
    """Return whether a server answers a GET of this address, with any status below 500."""
    context = None if certificate is None else ssl.create_default_context(cafile=str(certificate))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        opener.open(url, timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500
    except (OSError, http.client.HTTPException):
        return False
    return True
