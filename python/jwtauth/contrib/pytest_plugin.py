"""Fixtures for pytest, which the package registers as a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jwtauth.test import Clock


@pytest.fixture
def jwtauth_login() -> Callable[..., None]:
    """Return `jwtauth.test.force_login`, to call as ``jwtauth_login(client, user)``."""
    from jwtauth.test import force_login

    def sign_in(client: Any, user: Any, **options: Any) -> None:
        force_login(client, user, **options)

    return sign_in


@pytest.fixture
def jwtauth_clock() -> Iterator[Clock]:
    """Stop the clock for the test, as `jwtauth.test.stopped_clock`: ``jwtauth_clock.advance(seconds)``."""
    from jwtauth.test import stopped_clock

    with stopped_clock() as clock:
        yield clock
