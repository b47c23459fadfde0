"""One world: a site of several processes, users with browsers and other clients, and a thief, set by a seed."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.simulation import server
from tests.simulation.clients import Browser, HeaderClient, Thief
from tests.simulation.oracles import Claims, Judge, Request, Row, Track, User
from tests.simulation.schedule import DIE, FAIL, GO, Random, Schedule, Task
from tests.simulation.server import Answer, Patches, Process

START = 1_800_000_000_000
MINUTE, HOUR, DAY = 60, 3600, 86_400


@dataclass
class Result:
    """The result of one world."""

    seed: int
    refreshes: int = 0
    requests: int = 0
    steps: int = 0
    digest: int = 0
    seconds: int = 0
    """Of the virtual clock."""
    wrong: list[str] = field(default_factory=list)
    """The oracles that failed, with what was seen."""
    thefts: int = 0
    thief_served: list[int] = field(default_factory=list)
    """For each stolen session, for how many seconds the thief was served."""


@dataclass(frozen=True)
class Faults:
    """How often faults occur, as shares of the steps and messages."""

    fail: float
    die: float
    stall: float
    lost: float
    late: float
    late_ms: int
    """The most milliseconds by which a late answer is late."""

    def of(self, schedule: Schedule, task: Task, where: str) -> tuple[str, int]:
        """Return what happens to a request at this step, and after how many milliseconds."""
        numbers = schedule.numbers
        share = numbers.random()
        if share < self.die:
            return DIE, 0
        if share < self.die + self.fail and where[0] in "ba" and where != "after BEGIN":
            task.is_disturbed = True
            return FAIL, 0
        if where == "locked":
            return GO, numbers.between(1, 100)
        if schedule.now >= task.deadline:
            return GO, 0
        share = numbers.random()
        if share < self.stall:
            return GO, min(numbers.up_to(20_000), task.deadline - schedule.now)
        if share < 0.5:
            return GO, 0
        return GO, numbers.up_to(3 if share < 0.9 else 40)


class World:
    """Everything that a seed determines."""

    def __init__(self, seed: int, refreshes: int = 150, late_ms: int | None = None, trace: Any = None) -> None:
        self.seed, self.goal, self.trace = seed, refreshes, trace
        self.result = Result(seed)
        numbers = self.numbers = Random(seed)
        self.access, self.grace = numbers.choice([(300, 30), (300, 30), (300, 10), (120, 30), (90, 15)])
        self.idle = numbers.choice([DAY, DAY, HOUR, max(900, self.access)])
        self.absolute = numbers.choice([None, 30 * DAY, 30 * DAY, 6 * HOUR, 2 * HOUR])
        if self.absolute is not None:
            self.idle = min(self.idle, self.absolute)
        interval = numbers.choice([0, 0, 0, 0.5, 5, 60, None])
        self.check_ms = self.access * 1000 if interval is None else int(interval * 1000)
        self.max_sessions = numbers.choice([None, None, None, None, None, 2, 4])
        self.settings: dict[str, Any] = {
            "ACCESS_TOKEN_LIFETIME": self.access,
            "REFRESH_TOKEN_GRACE_PERIOD": self.grace,
            "REFRESH_TOKEN_LIFETIME": self.idle,
            "SESSION_LIFETIME": self.absolute,
            "SESSION_CHECK_INTERVAL": interval,
            "MAX_SESSIONS_PER_USER": self.max_sessions,
            "REUSE_ENDS_ALL_SESSIONS": numbers.chance(0.15),
        }
        self.is_atomic = numbers.chance(0.25)
        safe = max(0, (self.access - self.grace) * 500 - 3000)
        calm = numbers.chance(0.2)
        self.faults = Faults(
            fail=0 if calm else numbers.choice([0, 0, 0.002, 0.01, 0.04]),
            die=0 if calm else numbers.choice([0, 0, 0.002, 0.01, 0.04]),
            stall=numbers.choice([0, 0.01, 0.05]),
            lost=0 if calm else numbers.choice([0, 0.02, 0.1, 0.3]),
            late=numbers.choice([0, 0, 0.05, 0.3]),
            late_ms=safe if late_ms is None else late_ms,
        )
        self.has_thief = numbers.chance(0.4)
        self.process_count = numbers.choice([1, 2, 2, 3])
        self.schedule = Schedule(numbers, START + numbers.up_to(999), self.faults)
        self.judge = Judge(self)
        self.tracks: dict[UUID, Track] = {}
        self.users: list[User] = []
        self.clients: list[Any] = []
        self.is_closing = False
        self._claims: dict[str, Claims | None] = {}
        self._first_theft: dict[int, int] = {}
        self._served: dict[int, int] = {}
        self.numbers_given = 0
        self.error = ""
        """The last exception of a view or a middleware."""

    @property
    def now(self) -> int:
        """Return the milliseconds of the virtual clock."""
        return self.schedule.now

    def wrong(self, oracle: str, what: str) -> None:
        """Record that an oracle has failed."""
        self.result.wrong.append(f"{oracle}: {what} [at {(self.now - START) / 1000:.3f} s]")
        self.say(self.result.wrong[-1])

    def say(self, what: str) -> None:
        """Print a line if the seed is traced."""
        if self.trace is not None:
            print(f"{(self.now - START) / 1000:12.3f} {what}", file=self.trace)

    def run(self) -> Result:
        """Play the world to its end, or to the first failure."""
        server.set_up()
        with Patches(self.numbers, self.settings, self.is_atomic):
            self._populate()
            _receive(self)
            self.schedule.run(self._is_over)
            self.is_closing = True
            self.schedule.run(lambda: bool(self.result.wrong))
            if not self.result.wrong:
                for client in self.clients:
                    client.ask_last()
                self.schedule.run()
                self._compare_rows()
            for task in list(self.schedule.tasks.values()):
                self.schedule.kill(task)
        result = self.result
        result.steps, result.digest = self.schedule.steps, self.schedule.digest
        result.seconds = (self.now - START) // 1000
        result.thefts = len(self._first_theft)
        result.thief_served = [
            (self._served.get(number, since) - since) // 1000 for number, since in self._first_theft.items()
        ]
        return result

    def _is_over(self) -> bool:
        done = self.result.refreshes >= self.goal or self.now > START + 40 * DAY * 1000
        return done or bool(self.result.wrong) or self.result.requests > 30 * self.goal

    def _populate(self) -> None:
        from django.contrib.auth.models import User as DjangoUser

        from tests.simulation.settings import PASSWORD

        for table in ("jwtauth_session", "django_session", "auth_user"):
            self._execute(f"DELETE FROM {table}")
        numbers = self.numbers
        self.processes = [Process(0, 0, self.is_atomic)]
        self.processes[0].use_connection()
        for index in range(numbers.choice([1, 2, 3])):
            made = DjangoUser(pk=index + 1, username=f"user{index + 1}")
            made.set_password(PASSWORD)
            made.save(force_insert=True)
            self.users.append(User(made.pk, made.username))
        for user in self.users:
            count = numbers.choice([1, 1, 2])
            self.clients += [Browser(self, user, f"{user.name}/browser{number + 1}") for number in range(count)]
            if numbers.chance(0.3):
                self.clients.append(HeaderClient(self, user, f"{user.name}/app"))
        if self.has_thief:
            self.clients.append(Thief(self))
        for client in self.clients:
            self.schedule.at(self.now + numbers.up_to(2000), client.begin)
        self.schedule.at(self.now + numbers.between(1, self.access) * 1000, self._deploy)
        if numbers.chance(0.4):
            self.schedule.at(self.now + numbers.up_to(2 * self.idle) * 1000, self._administer)

    # The site's processes.

    def _deploy(self) -> None:
        """Start the other processes, whose clocks are minutes off, and which have learned the database's."""
        from jwtauth.internal.store import sessions

        live = [track for track in self.tracks.values() if self.row(track.id) is not None]
        if not live and not self.is_closing:
            self.schedule.at(self.now + 60_000, self._deploy)
            return
        while len(self.processes) < self.process_count:
            process = Process(len(self.processes), self.numbers.between(-300_000, 300_000), self.is_atomic)
            process.use_connection()
            sessions.find(live[0].id)  # of an inactive user too: the time is learned in any case
            self.processes.append(process)
        if self.faults.die:
            self.schedule.at(self.now + self.numbers.up_to(20 * self.access) * 1000, self._crash)

    def _crash(self) -> None:
        """Kill a process, with its requests and memory."""
        if self.is_closing:
            return
        place = self.numbers.up_to(len(self.processes) - 1)
        crashed = self.processes[place]
        self.say(f"process {place} dies")
        for task in [task for task in self.schedule.tasks.values() if task.process is crashed]:
            self.schedule.kill(task)
        self.processes[place] = Process(place, 0, self.is_atomic)
        self.schedule.at(self.now + self.numbers.up_to(20 * self.access) * 1000, self._crash)

    def _administer(self) -> None:
        """Deactivate a user, or reactivate them."""
        import sqlite3

        if self.is_closing:
            return
        user = self.numbers.choice(self.users)
        try:
            self._execute("UPDATE auth_user SET is_active = ? WHERE id = ?", user.inactive_since is not None, user.pk)
        except sqlite3.OperationalError:  # another transaction writes
            self.schedule.at(self.now + 100, self._administer)
            return
        user.inactive_since = self.now if user.inactive_since is None else None
        user.changed = self.now
        self.say(f"{user.name} {'is active' if user.inactive_since is None else 'is inactive'}")
        rest = self.numbers.up_to(self.idle if user.inactive_since is None else self.access * 3)
        self.schedule.at(self.now + rest * 1000, self._administer)

    # Queries of the oracles.

    def _execute(self, query: str, *parameters: Any) -> Any:
        return server.look().execute(query, parameters)

    def row(self, session: UUID) -> Row | None:
        """Return the current row of a session."""
        from datetime import datetime, timezone

        def seconds(value: Any) -> int | None:
            if value is None:
                return None
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            return int(moment.replace(tzinfo=timezone.utc).timestamp())

        query = "SELECT generation, acknowledged_at, rotated_at FROM jwtauth_session WHERE id = ?"
        found = self._execute(query, session.hex).fetchone()
        if found is None:
            return None
        return Row(found[0], seconds(found[1]), seconds(found[2]) or 0)

    def claims_of(self, token: str) -> Claims | None:
        """Return a token's claims, even if it has expired."""
        from jwtauth import _engine
        from jwtauth.exceptions import TokenError

        if token in self._claims:
            return self._claims[token]
        found = None
        for kind in (_engine.TokenKind.REFRESH, _engine.TokenKind.ACCESS):
            try:
                claims = self.processes[0].config.tokens.verify_ignoring_time(kind, token)
            except TokenError:
                continue
            found = Claims(claims.session_id, claims.generation, claims.issued_at, claims.expires_at)
            break
        self._claims[token] = found
        return found

    def thief_served(self, track: Track) -> None:
        """Record that the thief was served."""
        self._served[track.number] = self.now

    def stolen(self, track: Track) -> None:
        """Record that a thief has copied the cookies of this session."""
        track.is_stolen = True
        track.refreshes.clear()
        self._first_theft.setdefault(track.number, self.now)
        if self.settings["REUSE_ENDS_ALL_SESSIONS"]:
            for other in self.tracks.values():
                if other.user is track.user:
                    other.may_end = self.now

    def begin_track(self, claims: Claims, user: User, request: Request) -> Track:
        """Record a new session."""
        track = Track(len(self.tracks) + 1, claims.session, user, request.completed)
        self.tracks[claims.session] = track
        track.rotated_at[1] = claims.issued
        if any(
            end is None or end >= request.sent for _, end, client in user.disturbances if client is not request.client
        ):
            track.may_end = self.now
        if self.settings["REUSE_ENDS_ALL_SESSIONS"] and any(
            other.is_stolen for other in self.tracks.values() if other.user is user
        ):
            track.may_end = self.now
        return track

    def _compare_rows(self) -> None:
        for track in self.tracks.values():
            if track.ended_in is not None and self.row(track.id) is not None:  # not by a password: such rows stay
                self.wrong(
                    "ended_comes_back",
                    f"session {track.number}, {track.id}, ended at {(track.ended - START) / 1000:.3f} s",
                )

    # Sending of requests.

    def send(
        self,
        request: Request,
        *,
        method: str = "GET",
        cookies: dict[str, str] | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
        way_ms: int = 0,
        deadline: int | None = None,
        answered: Any,
        gone: Any,
    ) -> None:
        """Let a request arrive after this many milliseconds. Call ``answered`` or ``gone``, depending on its fate."""
        body = b"" if data is None else json.dumps(data).encode()
        fields = {"HTTP_SEC_FETCH_SITE": "same-origin", **(headers or {})}
        if body:
            fields["CONTENT_TYPE"] = "application/json"
        text = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
        environ = server.environ_of(method, request.path, text, body, fields)

        def arrive() -> None:
            process = self.numbers.choice(self.processes)
            self.numbers_given += 1
            limit = self.now + 10_000 if deadline is None else deadline
            task = Task(self.numbers_given, process, lambda: server.serve(environ), limit)
            self.judge.arrives(request, process)
            self.result.requests += 1
            self.say(f"#{task.number} {request.client} {method} {request.path} at {process.number}: {_shown(request)}")

            def done(answer: Answer) -> None:
                self.say(f"#{task.number} {answer.status} {list(answer.cookies)}")
                if task.connection.connection.in_transaction:
                    self.wrong("left_open", request.path)
                self.judge.answered(request, answer, task.is_disturbed)
                answered(answer, task.is_disturbed)

            def died() -> None:
                self.say(f"#{task.number} dies")
                gone()

            task.done, task.died = done, died
            self.schedule.start(task)

        self.schedule.at(self.now + way_ms, arrive)


def _shown(request: Request) -> str:
    def one(claims: Claims | None) -> str:
        return "-" if claims is None else f"{claims.session.hex[-4:]}/{claims.generation} to {claims.expires % 10**6}"

    return f"{one(request.access)}, {one(request.refresh)}{', upload' if request.is_upload else ''}"


_world: World | None = None
_is_receiving = False


def _receive(world: World) -> None:
    """Report the signals to this world."""
    global _world, _is_receiving
    _world = world
    if _is_receiving:
        return
    from django.core.signals import got_request_exception

    from jwtauth.signals import refresh_token_reused, session_refreshed

    got_request_exception.connect(_failed, weak=False)
    session_refreshed.connect(_refreshed, weak=False)
    refresh_token_reused.connect(_reused, weak=False)
    _is_receiving = True


def _failed(sender: Any, **kwargs: Any) -> None:
    assert _world is not None
    _world.error = traceback.format_exc()
    _world.say(_world.error)


def _refreshed(sender: Any, session: Any, **kwargs: Any) -> None:
    assert _world is not None
    _world.result.refreshes += 1
    _world.judge.rotated(session)


def _reused(sender: Any, session: Any, **kwargs: Any) -> None:
    assert _world is not None
    _world.judge.reused(session)
