"""Processes of the test project, forked from one that has started, to save the second that Django takes to start.

Each has its own environment, settings, connections and standard streams, as a newly started process has.
Run as a module, this is the process that is forked; it ends with the process that started it.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "tests.databases.settings"
# Large enough for a message that holds an environment.
LONGEST = 1 << 20


class Fork:
    """A fork that calls ``main`` of this module with these arguments in ``sys.argv``, and its standard streams."""

    def __init__(self, env: dict[str, str], module: str, *arguments: str, stderr: int = 2) -> None:
        (its_input, to_it), (from_it, its_output), (status, its_status) = os.pipe(), os.pipe(), os.pipe()
        order = {"env": env, "module": module, "arguments": arguments}
        its_ends = [its_input, its_output, its_status]
        socket.send_fds(_origin(), [json.dumps(order).encode()], [*its_ends, stderr])
        for descriptor in its_ends:
            os.close(descriptor)
        self.stdin, self.stdout, self.status = os.fdopen(to_it, "w"), os.fdopen(from_it), os.fdopen(status)

    def wait(self) -> int:
        """Close its input, and return its exit status: SIGKILL's if it reported none."""
        self.stdin.close()
        ready, _, _ = select.select([self.status], [], [], PATIENCE)
        assert ready, f"it has not ended after {PATIENCE} s"
        with self.stdout, self.status:
            return int(self.status.read() or -signal.SIGKILL)


def manage(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Django's, as `python -m django` does."""
    with tempfile.TemporaryFile("w+") as errors:
        fork = Fork(env, "tests.databases.forks", *command, stderr=errors.fileno())
        said = fork.stdout.read()
        status = fork.wait()
        errors.seek(0)
        return subprocess.CompletedProcess(command, status, said, errors.read())


@cache
def _origin() -> socket.socket:
    """Start the process that is forked, and return the socket that takes its orders."""
    our_end, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.databases.forks", str(its_end.fileno())]
    env = os.environ | {"DJANGO_SETTINGS_MODULE": SETTINGS}
    process = subprocess.Popen(command, cwd=ROOT, env=env, pass_fds=[its_end.fileno()])
    its_end.close()

    def close() -> None:
        our_end.close()
        process.wait()

    atexit.register(close)
    return our_end


# --- in the process that is forked


def serve(asked: socket.socket) -> None:
    import django
    from django.core.exceptions import ImproperlyConfigured

    django.setup()
    for name in ("tests.databases.racer", "tests.urls", "django.core.management.commands.migrate"):
        importlib.import_module(name)
    for engine in ("sqlite3", "postgresql", "mysql"):
        with suppress(ImproperlyConfigured):  # without its driver, no test uses it
            importlib.import_module(f"django.db.backends.{engine}.base")
    gc.freeze()
    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 4)
        if not message:
            return
        if os.fork() == 0:
            asked.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            be(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def reap(*_: object) -> None:
    """Wait for the children that have ended, so that their processor time is counted."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def be(order: dict, its_input: int, its_output: int, its_status: int, its_errors: int) -> None:
    """Become the requested process."""
    status = 1
    try:
        for stream, descriptor in enumerate((its_input, its_output, its_errors)):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        sys.argv = [order["module"], *order["arguments"]]
        start_again(order["env"])
        importlib.import_module(order["module"]).main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(its_status, str(status).encode())
        os._exit(status)


def start_again(env: dict[str, str]) -> None:
    """Read the settings from this environment, and forget the previous databases."""
    from django.conf import Settings, settings
    from django.db import connections, router

    os.environ.clear()
    os.environ.update(env, DJANGO_SETTINGS_MODULE=SETTINGS)
    for name in ("tests.settings", SETTINGS):
        importlib.reload(importlib.import_module(name))
    settings._wrapped = Settings(SETTINGS)
    for handler in (connections, router):
        vars(handler).clear()
        handler.__init__()


def main() -> None:
    from django.core.management import execute_from_command_line

    execute_from_command_line(["django", *sys.argv[1:]])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
