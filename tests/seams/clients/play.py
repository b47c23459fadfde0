"""Clients with cookie jars at one site, each with its own user, which all take the same steps at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.databases.served import ACCESS_LIFETIME, GRACE, Browser, Site
from tests.seams.clients.table import Answer, Client, Program

AT_ONCE = 20
# Connections stay open until the clients end, as a client may send on one while the server closes it.
KEEP_ALIVE = {"GUNICORN_CMD_ARGS": "--keep-alive 3600"}


class Player:
    """A client with a user, and its results. After an `error`, nothing more is tried."""

    def __init__(self, program: Program, user: int, folder: Path) -> None:
        self.program = program
        self.user = user
        self.folder = folder
        self.client: Client | None = None
        self.error: Exception | None = None
        self.version = ""
        self.login = Answer(0, "")
        # For each round: the answers to the simultaneous requests, and to the one after them.
        self.rounds: list[list[Answer]] = []
        # For each round: the status when the previous round's cookies are sent again, within the grace.
        self.replayed: list[int] = []
        self.devices = self.logout = self.after_logout = Answer(0, "")
        # The jar's cookies after logout.
        self.left: dict[str, str] = {}
        # In another session: the cookies before a refresh, the status when they are sent after the grace, and the next
        # answer to the owner.
        self.copy: dict[str, str] = {}
        self.copied = 0
        self.after_copy: list[Answer] = []
        # The hosts at which a login over HTTP works although the cookies are Secure.
        self.secure: set[str] = set()

    def start(self) -> None:
        self.client = Client(self.program, self.folder)
        self.version = self.client.version

    def log_in(self, site: Site) -> None:
        [self.login] = self.ask(site, f"/login/?user={self.user}", method="POST")

    def go_on(self, site: Site, *, expire: bool = False, count: int = AT_ONCE) -> list[Answer]:
        """Make simultaneous requests, with an expired access token if told, and then one with the new cookies."""
        if expire:
            self.ask(site, "/expire/")
        return [*self.ask(site, "/me/", count), *self.ask(site, "/me/")]

    def play_round(self, site: Site, *, expire: bool) -> None:
        copy = dict(self.client.cookies)
        self.rounds.append(self.go_on(site, expire=expire))
        self.replayed.append(replay(site, copy))

    def leave(self, site: Site) -> None:
        [self.devices] = self.ask(site, "/auth/sessions/")
        [self.logout] = self.ask(site, "/auth/logout/", method="POST")
        self.left = dict(self.client.cookies)
        [self.after_logout] = self.ask(site, "/me/")

    def lose_a_copy(self, site: Site) -> None:
        self.copy = dict(self.client.cookies)
        # On a busy machine, SQLite refuses a write now and then: of the refresh, or of what acknowledges it.
        for _ in range(3):
            self.go_on(site, count=1)

    def use_the_copy(self, site: Site) -> None:
        self.copied = replay(site, self.copy)
        self.after_copy = self.ask(site, "/me/")

    def try_secure(self, site: Site) -> None:
        """Log in over HTTP where cookies are Secure. The jar has no cookies of these hosts."""
        for host in ("127.0.0.1", "localhost"):
            self.client.ask("POST", f"http://{host}:{site.port}/login/?user={self.user}", 1)
            [answer] = self.client.ask("GET", f"http://{host}:{site.port}/me/", 1)
            if answer.status == 200:
                self.secure.add(host)

    def ask(self, site: Site, path: str, count: int = 1, method: str = "GET") -> list[Answer]:
        return self.client.ask(method, f"http://{self.program.host}:{site.port}{path}", count)

    @property
    def generations(self) -> list[int]:
        """Return the newest generation that each round saw."""
        return [max(answer.json().get("generation", 0) for answer in answers) for answers in self.rounds]

    @property
    def requests(self) -> int:
        return sum(map(len, self.rounds))

    @property
    def signed_out(self) -> int:
        return sum(map(signed_out, self.rounds))

    @property
    def errors(self) -> int:
        return sum(answer.status >= 500 for answers in self.rounds for answer in answers)


def replay(site: Site, cookies: dict[str, str]) -> int:
    browser = Browser(site.port)
    browser.cookies = cookies
    return browser.get("/me/").status


def signed_out(answers: Sequence[Answer]) -> int:
    """Count the answers that an honest client must not get while its session is alive."""
    return sum(answer.status in (401, 403) for answer in answers)


def play(
    site: Site, programs: Sequence[Program], rounds: int, folder: Path, secure: Site | None = None
) -> dict[str, Player]:
    """Let each client log in, play this many rounds, log out, and lose a copy of its next session's cookies."""
    users = site.create_users(len(programs))
    players = [Player(program, user, folder) for program, user in zip(programs, users, strict=True)]

    def each(step: Callable[[Player], None]) -> None:
        def take(player: Player) -> None:
            try:
                step(player)
            except Exception as error:
                player.error = error

        list(pool.map(take, (player for player in players if player.error is None)))

    with ThreadPoolExecutor(len(players)) as pool:
        try:
            each(Player.start)
            each(partial(Player.log_in, site=site))
            for number in range(rounds):
                site.advance(ACCESS_LIFETIME + 1)
                each(partial(Player.play_round, site=site, expire=number % 2 == 1))
            each(partial(Player.leave, site=site))
            each(partial(Player.log_in, site=site))
            site.advance(ACCESS_LIFETIME + 1)
            each(partial(Player.lose_a_copy, site=site))
            site.advance(GRACE + 1)
            each(partial(Player.use_the_copy, site=site))
            if secure is not None:
                each(partial(Player.ask, site=site, path="/logout/", method="POST"))  # clears the jar
                each(partial(Player.try_secure, site=secure))
        finally:
            for player in players:
                if player.client is not None:
                    player.client.close()
    return {player.program.name: player for player in players}
