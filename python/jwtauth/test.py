"""Test helpers for projects that use jwtauth: signed-in clients and a controllable clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import load_backend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.client import ClientMixin

from jwtauth.conf import get_config
from jwtauth.internal import pending
from jwtauth.internal.store import clock as _clock
from jwtauth.middleware import JWTAuthMiddleware
from jwtauth.signin import login


def force_login(
    client: ClientMixin,
    user: AbstractBaseUser,
    backend: str | None = None,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
) -> None:
    """Sign in the test client as the user, without a password or a view. The client gets the cookies of `login`.

    Works with Django's ``Client`` and ``AsyncClient`` and DRF's ``APIClient``. ``backend`` defaults to the first
    authentication backend with a ``get_user`` method, as in Django's ``Client.force_login``. ``remember`` and
    ``lifetime`` are those of `login`.
    """
    backends = (path for path in settings.AUTHENTICATION_BACKENDS if hasattr(load_backend(path), "get_user"))
    path = backend or next(backends, None)

    def view(request: object) -> HttpResponse:
        methods = pending.enrolled(user, get_config())  # as if the user had passed every factor
        login(request, user, path, remember=remember, lifetime=lifetime, methods=methods)  # type: ignore[arg-type]
        return HttpResponse()

    request = RequestFactory().post("/")
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    response: Any = JWTAuthMiddleware(view)(request)
    signed_in: Any = client  # the stubs of ClientMixin lack cookies
    signed_in.cookies.update(response.cookies)


async def aforce_login(
    client: ClientMixin,
    user: AbstractBaseUser,
    backend: str | None = None,
    *,
    remember: bool = True,
    lifetime: timedelta | float | None = None,
) -> None:
    """Sign in the test client in async tests, as `force_login` does."""
    await sync_to_async(force_login)(client, user, backend, remember=remember, lifetime=lifetime)


class Clock:
    """Control the time that jwtauth uses, inside `stopped_clock`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def seconds(self) -> int:
        """Return the time in Unix seconds."""
        return int(self.now)

    def milliseconds(self) -> int:
        """Return the time in Unix milliseconds."""
        return round(self.now * 1000)

    def advance(self, seconds: float) -> None:
        """Move the clock forward by this many seconds."""
        self.now = round(self.now + seconds, 3)  # so that ten times 0.1 is 1


@contextmanager
def stopped_clock() -> Iterator[Clock]:
    """Stop the clock that jwtauth uses in this process, and yield it. Tokens expire when the test advances the clock.

    ::

        with stopped_clock() as clock:
            force_login(client, user)
            clock.advance(3600)
            assert client.get("/me/").status_code == 200  # refreshed
    """
    clock = Clock(_clock.now())
    with (
        mock.patch.object(_clock, "now", clock.seconds),
        mock.patch.object(_clock, "monotonic_ms", clock.milliseconds),
    ):
        yield clock
