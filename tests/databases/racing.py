"""Requests that race for one session: threads and processes, on a database of any kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.databases.forks import Fork

ACCESS_LIFETIME = 300
LOGIN = 1_800_000_000


@dataclass
class Result:
    """The result of some rounds."""

    rounds: int = 0
    requests: int = 0
    writes: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return the milliseconds within which this share of the requests was answered."""
        return sorted(self.seconds)[int((len(self.seconds) - 1) * share)] * 1000


class Race:
    """Racers at the start, one session, and its cookies."""

    def __init__(
        self,
        database: dict[str, object],
        *,
        processes: int,
        threads: int,
        atomic_requests: bool = False,
        persistent: bool = False,
        settings: dict[str, object] | None = None,
    ) -> None:
        entry = {**database, "ATOMIC_REQUESTS": atomic_requests, "CONN_MAX_AGE": 60 if persistent else 0}
        env = os.environ | {"JWTAUTH_TEST_DATABASES": json.dumps({"default": entry})}
        env["JWTAUTH_TEST_SETTINGS"] = json.dumps(settings or {})
        self.threads = threads
        self.now = LOGIN
        self.processes = [Fork(env, "tests.databases.racer", str(threads)) for _ in range(processes)]
        try:
            login = self.ask(do="prepare")
            assert login["status"] == 200, login
        except BaseException:
            self.__exit__()
            raise
        self.cookies = self.first = login["cookies"]

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.wait()

    def ask(self, **order: object) -> dict:
        """Make one request in the first process."""
        self.send(self.processes[0], order)
        return self.receive(self.processes[0])

    def send(self, process, order: dict[str, object]) -> None:
        process.stdin.write(json.dumps({"now": self.now, "cookies": {}, **order}) + "\n")
        process.stdin.flush()

    def receive(self, process):
        line = process.stdout.readline()
        assert line, "a process of racers died"
        return json.loads(line)

    def start(self, urls: Iterable[str]) -> list[dict]:
        """Let every racer make one request at once: the first to these addresses, the others to ``/me/``."""
        urls = iter(urls)
        for process in self.processes:
            order = {"do": "race", "urls": [next(urls, "/me/") for _ in range(self.threads)], "cookies": self.cookies}
            self.send(process, order)
        return [answer for process in self.processes for answer in self.receive(process)]

    def logins(self) -> list[dict]:
        """Let every racer sign the same user in at once, each with a new session."""
        self.cookies = {}
        return self.start(["/login/?user=1"] * len(self.processes) * self.threads)

    def refreshes(self, rounds: int) -> Result:
        """Run rounds in which every racer's access token has expired."""
        result = Result()
        for _ in range(rounds):
            self.now += ACCESS_LIFETIME + 1
            expected = self.generation() + 1
            answers = self.start([])
            result.rounds += 1
            result.requests += len(answers)
            result.writes += sum(answer["writes"] for answer in answers)
            result.seconds += [answer["took"] for answer in answers]
            result.failures += self.complaints(answers, expected)
            self.cookies = {**self.cookies, **next(a["cookies"] for a in answers if "refresh_token" in a["cookies"])}
            seen = self.ask(do="request", url="/me/", cookies=self.cookies)
            if (seen["status"], seen["body"].get("generation")) != (200, expected):
                result.failures.append(f"the new tokens: {seen}")
        return result

    def complaints(self, answers: list[dict], expected: int) -> Iterable[str]:
        for answer in answers:
            if answer["status"] != 200 or answer["body"]["generation"] != expected:
                yield f"{answer['status']} {answer['body']} {answer['error']}"
        if len({answer["cookies"].get("refresh_token") for answer in answers}) != 1:
            yield "the racers were given different refresh tokens"
        if (writes := sum(answer["writes"] for answer in answers)) != 1:
            yield f"{writes} writes in a round"

    def generation(self) -> int:
        """Return the refresh token's generation."""
        import base64

        payload = self.cookies["refresh_token"].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["gen"]

    def logout(self) -> Result:
        """Sign out in one racer while the others refresh; afterwards none of their tokens may be accepted."""
        self.now += ACCESS_LIFETIME + 1
        before = self.cookies
        answers = self.start(["/logout/"])
        result = Result(1, len(answers), sum(answer["writes"] for answer in answers))
        result.failures += [str(answer) for answer in answers if answer["status"] not in (200, 403)]
        handed_out = [before, *(answer["cookies"] for answer in answers if answer["url"] == "/me/")]
        for cookies in {tuple(sorted(cookies.items())) for cookies in handed_out}:
            for passed in (0, ACCESS_LIFETIME):
                self.now += passed
                after = self.ask(do="request", url="/me/", cookies=dict(cookies))
                if after["status"] != 403:
                    result.failures.append(f"accepted after logout: {after}")
        return result
