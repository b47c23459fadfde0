"""A virtual clock, and requests that run one at a time from statement to statement, in an order set by a seed.

Each request runs in a greenlet with its own database connection. It stops before and after each statement and
commit; the schedule then continues it after a delay, fails the statement, or lets the worker die.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

GO, FAIL, DIE = "go", "fail", "die"

_current: Schedule | None = None


class Random:
    """A seed's numbers. Use only what is the same in every version of Python's `random`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def up_to(self, most: float) -> int:
        """Return a whole number from 0 to this one."""
        return int(self.random() * (most + 1))

    def between(self, least: float, most: float) -> int:
        """Return a whole number between these two, inclusive."""
        return int(least) + self.up_to(most - least)

    def chance(self, share: float) -> bool:
        """Return ``True`` in this share of the cases."""
        return self.random() < share

    def choice(self, options: Any) -> Any:
        """Return one of these."""
        return options[int(self.random() * len(options))]

    def bytes(self, count: int) -> bytes:
        """Return this many bytes."""
        return bytes(self.up_to(255) for _ in range(count))

    # What `jwtauth.internal.store.retries` and `cleanup` use of `random`.

    def uniform(self, least: float, most: float) -> float:
        """Return a number between these two."""
        return least + self.random() * (most - least)

    def getrandbits(self, count: int) -> int:
        """Return a number of this many bits."""
        return int(self.random() * 2**count)


class Task:
    """A request at the server, from its arrival until it is answered or its worker dies."""

    def __init__(self, number: int, process: Any, work: Callable[[], Any], deadline: int) -> None:
        self.number, self.process, self.deadline = number, process, deadline
        self.greenlet = greenlet(work)
        self.connection: Any = None
        self.is_dead = False
        self.is_disturbed = False
        """Whether the seed has failed one of its statements, or it did not get a lock."""
        self.fate = GO
        self.done: Callable[[Any], None] = lambda answer: None
        self.died: Callable[[], None] = lambda: None


class Schedule:
    """The order of events. ``faults`` decides how often statements fail, and workers die or stall."""

    def __init__(self, numbers: Random, start: int, faults: Any) -> None:
        self.now, self.numbers, self.faults = start, numbers, faults
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.task: Task | None = None
        self.tasks: dict[int, Task] = {}
        self.steps = 0
        self.count = 0
        self.digest = 0
        """A digest of all steps, by which two runs of a seed are compared."""

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Run this at that time, after everything planned earlier for that time."""
        self.count += 1
        heapq.heappush(self.heap, (max(int(when), self.now), self.count, action))

    def run(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Run until nothing is left to do."""
        global _current
        _current = self
        try:
            while self.heap and not is_over():
                when, _, action = heapq.heappop(self.heap)
                self.now = when
                action()
        finally:
            _current = None

    def start(self, task: Task) -> None:
        """Let a process start this request."""
        task.connection = task.process.take_connection()
        self.tasks[task.number] = task
        self._go_on(task)

    def kill(self, task: Task) -> None:
        """Let the worker of a request die: its transaction is rolled back, and the rest is not executed."""
        if self.tasks.pop(task.number, None) is None:
            return
        task.is_dead = True
        raw, task.connection.connection = task.connection.connection, None
        raw.close()
        self.task = task
        task.process.enter(task)
        task.greenlet.throw(GreenletExit)
        self.task = None
        self._note(b"dead")
        task.died()

    def _go_on(self, task: Task) -> None:
        while not task.is_dead:
            self.task = task
            task.process.enter(task)
            where = task.greenlet.switch()
            self.task = None
            if task.greenlet.dead:
                del self.tasks[task.number]
                task.process.give_connection(task.connection)
                self._note(b"done")
                task.done(where)
                return
            self.steps += 1
            self._note(where.encode())
            task.fate, delay = self.faults.of(self, task, where)
            if task.fate == DIE:
                self.kill(task)
                return
            when = self.now + delay
            if self.heap and self.heap[0][0] <= when:
                self.at(when, lambda: self._go_on(task))
                return
            self.now = when

    def _note(self, what: bytes) -> None:
        self.digest = zlib.crc32(what, self.digest ^ (self.now & 0xFFFFFFFF))


# Called by the backend in `tests.simulation.sqlite`, and the clocks.


def stop(where: str) -> str:
    """Let other requests run. Return what happens to the statement."""
    schedule = _current
    task = None if schedule is None else schedule.task
    if task is None:
        return GO
    if task.is_dead:
        raise GreenletExit
    getcurrent().parent.switch(where)
    return task.fate


def is_dead() -> bool:
    """Return whether the calling worker has died."""
    return _current is not None and _current.task is not None and _current.task.is_dead


def wait_for_lock() -> int:
    """Let other requests run, which hold a lock. Return the milliseconds that passed."""
    if _current is None or _current.task is None:
        raise RuntimeError("the database is locked, and nothing is under way")
    task, before = _current.task, _current.now
    task.is_disturbed = True  # as it may wait for too long
    stop("locked")
    return max(1, _current.now - before)


def julian_day(when: str) -> float:
    """Return SQLite's ``julianday('now')``."""
    if when != "now" or _current is None:
        raise ValueError(when)
    return _current.now / 86_400_000 + 2_440_587.5


def now_ms() -> int:
    """Return the milliseconds of the schedule."""
    return _current.now if _current is not None else 0


def sleep(seconds: float) -> None:
    """Sleep in the schedule's time."""
    if _current is not None and _current.task is not None:
        stop("asleep")


# Replaces the module `time`.
TIME = SimpleNamespace(
    monotonic=lambda: now_ms() / 1000,
    monotonic_ns=lambda: now_ms() * 1_000_000,
    sleep=sleep,
    time=lambda: now_ms() / 1000,
)
