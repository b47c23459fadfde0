"""The test project as a server runs it, with a clock that tests set and workers that die where they are told to."""

import contextvars
import mmap
import os
import signal
import struct
import sys
import traceback

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.databases.settings"
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.signals import got_request_exception  # noqa: E402

from jwtauth import middleware  # noqa: E402
from jwtauth.internal.store import clock as _clock  # noqa: E402
from jwtauth.internal.store import retries, sessions  # noqa: E402
from jwtauth.models import SessionQuerySet  # noqa: E402
from tests.waiting import PATIENCE  # noqa: E402

clock = mmap.mmap(os.open(os.environ["JWTAUTH_TEST_CLOCK"], os.O_RDONLY), 8, prot=mmap.PROT_READ)
die_at = contextvars.ContextVar("die_at", default=None)
handler = WSGIHandler()


def now():
    return struct.unpack("q", clock[:8])[0]


def step(owner, name, label):
    """Lets this worker be killed just before or just after this call."""
    call = getattr(owner, name)

    def stepped(*args, **kwargs):
        die_if_asked(f"before {label}")
        result = call(*args, **kwargs)
        die_if_asked(f"after {label}")
        return result

    setattr(owner, name, stepped)


def die_if_asked(where):
    if die_at.get() == where:
        os.kill(os.getpid(), signal.SIGKILL)


def application(environ, start_response):
    die_at.set(environ.get("HTTP_X_DIE_AT"))
    return handler(environ, start_response)


def report(**kwargs):
    traceback.print_exc(file=sys.stderr)


if "JWTAUTH_TEST_SKEW" in os.environ:  # a machine whose clock is wrong, and time that passes by itself
    right_ms, skew_ms = _clock.local_ms, 1000 * int(os.environ["JWTAUTH_TEST_SKEW"])
    _clock.local_ms = lambda: right_ms() + skew_ms
else:
    _clock.now = now
retries._PATIENCE = PATIENCE  # the attempts are bounded by their number alone, not by how fast this machine is
step(sessions, "find", "reading")
step(sessions, "advance", "writing")
step(SessionQuerySet, "end", "ending")
step(middleware, "write", "the cookies")
got_request_exception.connect(report)
