"""The test project as a server runs it, with a clock that tests set, and workers that stop or wait at a given step."""

import contextvars
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from pathlib import Path
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.databases.settings")
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.signals import got_request_exception  # noqa: E402

from jwtauth import middleware  # noqa: E402
from jwtauth.internal.flow import Flow  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.internal.store import retries, sessions  # noqa: E402
from tests.waiting import PATIENCE  # noqa: E402

CLOCK = Path(os.environ["JWTAUTH_TEST_CLOCK"])
clock = mmap.mmap(os.open(CLOCK, os.O_RDONLY), 8, prot=mmap.PROT_READ)
# What the request orders: the step at which to die, the step at which to wait, and the file that shows that it waits.
orders = contextvars.ContextVar("orders", default=(None, None, None))
# The files of the requests that have waited in this process.
paused = set()
handler = WSGIHandler()


def now():
    return struct.unpack("q", clock[:8])[0]


def step(owner, name, label):
    """Let this worker be killed or wait just before or just after this call."""
    call = getattr(owner, name)

    def stepped(*args, **kwargs):
        obey(f"before {label}")
        result = call(*args, **kwargs)
        obey(f"after {label}")
        return result

    setattr(owner, name, stepped)


def obey(where):
    die_at, pause_at, file = orders.get()
    if die_at == where:
        os.kill(os.getpid(), signal.SIGKILL)
    if pause_at == where and file not in paused:  # once: a request that loses a race decides again
        paused.add(file)
        path = CLOCK.with_name(file)
        made = path.with_suffix(".new")
        made.write_text(str(os.getpid()))
        made.rename(path)
        while not path.with_suffix(".let-go").exists():
            time.sleep(0.01)


def track(owner, name):
    """Mark, in a file, that this call is under way; it may go on after its client has left."""
    call = getattr(owner, name)

    def tracked(*args, **kwargs):
        mark = CLOCK.with_name(f"refreshing-{os.getpid()}-{uuid4()}")
        mark.write_text(orders.get()[2] or "")
        try:
            return call(*args, **kwargs)
        finally:
            mark.unlink()

    setattr(owner, name, tracked)


def application(environ, start_response):
    orders.set(tuple(environ.get(f"HTTP_X_{name}") for name in ("DIE_AT", "PAUSE_AT", "PAUSE_FILE")))
    return handler(environ, start_response)


def report(**kwargs):
    traceback.print_exc(file=sys.stderr)


if "JWTAUTH_TEST_SKEW" in os.environ:  # a machine whose clock is wrong, and time that passes by itself
    right_ms, skew_ms = _clock.local_ms, 1000 * int(os.environ["JWTAUTH_TEST_SKEW"])
    _clock.local_ms = lambda: right_ms() + skew_ms
else:
    _clock.now = now
retries._PATIENCE = PATIENCE  # only the number of attempts limits them, not the speed of this machine
step(sessions, "find", "reading")
step(sessions, "advance", "writing")
step(Flow, "end", "ending")
step(middleware, "write", "the cookies")
track(middleware, "_settle")
got_request_exception.connect(report)
