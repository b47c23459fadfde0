"""Defects put into jwtauth on purpose, each of which the simulator must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db import connections

from jwtauth.internal import flow, refresh
from jwtauth.internal.login import Flow
from jwtauth.internal.store import clock, retries, sessions
from jwtauth.models import SessionQuerySet
from tests.simulation import server

MUTANTS: dict[str, Callable[[], Any]] = {}
# The seed of the first world in which each is searched for (1 unless listed), and the number of worlds.
FIRST = {
    "end_is_rolled_back": 2,
    "refusals_clear_cookies": 2,
    "memory_outlives_the_interval": 55,
    "thefts_are_ignored": 4,
}
WORLDS = 40


def _mutant(make: Callable[[], Any]) -> Callable[[], Any]:
    MUTANTS[make.__name__] = make
    return make


@_mutant
def no_acknowledgement() -> Any:
    """Never record that the client has sent the new tokens."""
    return mock.patch.object(sessions, "acknowledge", return_value=None)


@_mutant
def no_grace() -> Any:
    """Treat an old token as copied as soon as the new one was seen."""
    original = server.Process.__init__

    def without(self: Any, *args: Any) -> None:
        from django.conf import settings

        with mock.patch.object(settings, "JWTAUTH", {**settings.JWTAUTH, "REFRESH_TOKEN_GRACE_PERIOD": 0}):
            original(self, *args)
        state = self._current[0]
        object.__setattr__(state, "user", dict(settings.JWTAUTH))

    return mock.patch.object(server.Process, "__init__", without)


@_mutant
def no_compare_and_swap() -> Any:
    """Write a refresh whatever the row's generation is by then."""

    def advance(found: Any, next_row: Any) -> bool:
        session = found.session
        changes = {**sessions.columns_of(next_row), "last_seen_at": clock.to_datetime(clock.now())}
        sessions.rows(session.pk).update(**changes)
        for name, value in changes.items():
            setattr(session, name, value)
        return True

    return mock.patch.object(sessions, "advance", advance)


@_mutant
def no_second_look() -> Any:
    """Give up if another request was first."""
    return mock.patch.object(retries, "_ATTEMPTS", 1)


@_mutant
def impatience_with_lost_swaps() -> Any:
    """Give up after three seconds even if the database was not waited for, as jwtauth once did."""
    return mock.patch.object(retries, "DatabaseError", Exception)


@_mutant
def uploads_are_ordinary() -> Any:
    """Treat uploads like any other request."""
    original = Flow.identify

    def identify(self: Any) -> None:
        names = ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")
        kept = {name: self.request.META.pop(name) for name in names if name in self.request.META}
        original(self)
        self.request.META.update(kept)

    return mock.patch.object(Flow, "identify", identify)


@_mutant
def logout_ends_nothing() -> Any:
    """Clear the cookies, and keep the row."""
    return mock.patch.object(Flow, "end", return_value=None)


@_mutant
def end_is_rolled_back() -> Any:
    """Leave a logout to the view's transaction, which is rolled back."""
    original = SessionQuerySet.end

    def end(self: Any, reason: str = "revoked") -> int:
        count = original(self, reason)
        connection = connections["default"]
        if connection.in_atomic_block:
            connection.set_rollback(True)
        return count

    return mock.patch.object(SessionQuerySet, "end", end)


@_mutant
def thefts_are_ignored() -> Any:
    """Answer a copied token as an anonymous request, and keep the session."""
    return mock.patch.object(refresh, "end_reused", lambda flow, found, presented: flow.settle(None, None))


@_mutant
def refusals_clear_cookies() -> Any:
    """Clear the cookies of a refused request."""
    original = refresh._apply

    def apply(of: Any, claims: Any, decided: Any) -> None:
        original(of, claims, decided)
        if not decided.decision.admits:
            of.outcome = flow._engine.Outcome.CLEARED

    return mock.patch.object(refresh, "_apply", apply)


@_mutant
def workers_go_by_their_own_clocks() -> Any:
    """Ignore the database's time."""
    return mock.patch.object(clock, "hear", return_value=None)


@_mutant
def memory_outlives_the_interval() -> Any:
    """Trust a session for ten times ``SESSION_CHECK_INTERVAL``."""
    original = Flow.__init__

    def init(self: Any, request: Any) -> None:
        original(self, request)
        interval = self.config.check_interval_ms
        if interval:
            self.config = _Lasting(self.config, interval * 10)

    return mock.patch.object(Flow, "__init__", init)


class _Lasting:
    """A configuration with another interval."""

    def __init__(self, config: Any, interval: int) -> None:
        self._config, self.check_interval_ms = config, interval

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


@contextmanager
def defect(name: str) -> Iterator[None]:
    """Put this defect into jwtauth."""
    with MUTANTS[name]():
        yield
