"""Clients of the simulated site: browsers with cookies, clients that send a header, and a thief."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation.oracles import UPLOAD_DELAY, Claims, Request, Track, User
from tests.simulation.server import ACCESS_COOKIE, REFRESH_COOKIE
from tests.simulation.settings import PASSWORD

if TYPE_CHECKING:
    from tests.simulation.world import World

# The requests of a page, and how often they occur.
PAGES = ["/who/", "/who/", "/who/", "/api/", "/profile/", "/rolled-back/"]
LOGIN, LOGOUT, OTHERS, SESSIONS = "/auth/login/", "/auth/logout/", "/auth/sessions/others/", "/auth/sessions/"


class Client:
    """What all clients share: requests that take time, get lost, and are given up."""

    def __init__(self, world: World, user: User, name: str) -> None:
        self.world, self.user, self.name = world, user, name
        self.numbers = world.numbers
        self.clicks = 0

    def __str__(self) -> str:
        return self.name

    def after(self, milliseconds: float, action: Any) -> None:
        """Run this later, unless the world is closing then."""

        def act() -> None:
            if not self.world.is_closing:
                action()

        self.world.schedule.at(self.world.now + milliseconds, act)

    def disturb(self) -> Any:
        """Record the start of something that may end the user's other sessions. Return what records its end."""
        disturbance = [self.world.now, None, self]
        self.user.disturbances.append(disturbance)

        def settle() -> None:
            disturbance[1] = self.world.now

        return settle

    def go_on(self, milliseconds: float, action: Any) -> None:
        """Run this next, in place of the action that was planned."""
        self.clicks += 1
        clicks = self.clicks
        self.after(milliseconds, lambda: action() if clicks == self.clicks else None)

    def pause(self) -> int:
        """Return the milliseconds until the user's next click: around every limit, and anywhere between."""
        world, numbers = self.world, self.numbers
        share = numbers.random()
        if share < 0.08:
            return numbers.up_to(2_000)
        if share < 0.14:
            return numbers.up_to((world.grace + 3) * 1000)
        if share < 0.92:
            return world.access * 1000 + numbers.between(-1_500, 2_500)
        bound = numbers.choice([world.grace, 2 * world.grace, world.access + world.grace, UPLOAD_DELAY, world.idle])
        if share < 0.98:
            return max(0, bound * 1000 + numbers.between(-3_000, 3_000))
        return numbers.up_to(min(world.idle, 4 * world.access) * 1000)

    def ways(self, sent: int) -> tuple[int, int]:
        """Return how long an ordinary request takes to the server, and by when it is answered."""
        most = (self.world.grace - 4) * 1000
        way = self.numbers.up_to(most / 2) if self.numbers.chance(0.1) else self.numbers.up_to(30)
        return way, sent + most

    def way_back(self, deadline: int) -> int:
        """Return how long an answer takes: until the deadline at most, except for late ones."""
        world, faults = self.world, self.world.faults
        if self.numbers.chance(faults.late):
            return self.numbers.up_to(faults.late_ms)
        rest = max(0, deadline + 2000 - world.now)
        return self.numbers.up_to(rest) if self.numbers.chance(0.1) else self.numbers.up_to(min(rest, 30))


class Browser(Client):
    """A browser: a cookie jar, tabs with parallel requests, and a user who signs in and out."""

    def __init__(self, world: World, user: User, name: str) -> None:
        super().__init__(world, user, name)
        self.jar: dict[str, tuple[str, int]] = {}
        self.is_busy = False
        """Whether it signs in or out, or changes the password: then it makes no other requests."""

    # The cookie jar.

    def cookies(self) -> dict[str, str]:
        """Return the cookies that have not expired."""
        now = self.world.now
        return {name: value for name, (value, ends) in self.jar.items() if now < ends}

    def take(self, cookies: dict[str, tuple[str, int | None]]) -> None:
        """Apply the ``Set-Cookie`` fields of an answer."""
        for name, (value, age) in cookies.items():
            if age is not None and age <= 0:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value, 2**60 if age is None else self.world.now + age * 1000

    def track(self) -> Track | None:
        """Return the session of the browser's refresh token."""
        token = self.cookies().get(REFRESH_COOKIE)
        return None if token is None else self.world.judge.track(self.world.claims_of(token))

    # The user's actions.

    def begin(self) -> None:
        """Sign in, and continue from there."""
        self.login()

    def click(self) -> None:
        """Make some requests at once, or do something rarer."""
        if self.is_busy:
            return
        if REFRESH_COOKIE not in self.cookies():
            self.login()
            return
        numbers = self.numbers
        share = numbers.random()
        if share < 0.004:
            self.logout()
        elif share < 0.006:
            self.change_password()
        elif share < 0.008:
            self.end_others()
        elif share < 0.010:
            self.end_one()
        else:
            count = numbers.choice([1, 1, 1, 2, 2, 3, 5])
            spread = numbers.choice([0, 5, 50, 3_000])
            for _ in range(count):
                self.after(numbers.up_to(spread), self.ask)
            if numbers.chance(0.4):  # requests after the page has loaded, which show that the new tokens arrived
                self.after(spread + 500 + numbers.up_to(1_000), self.ask)
        self.go_on(self.pause(), self.click)

    def ask(self) -> None:
        """Make one request of a page."""
        if self.is_busy:
            return
        is_upload = self.numbers.chance(0.08)
        self._send(self.numbers.choice(PAGES), is_upload=is_upload)

    def ask_last(self) -> None:
        """Make a request at the end of the world, on a network that loses nothing."""
        self._send("/who/", is_last=True)

    def login(self) -> None:
        """Sign in."""
        if self.user.inactive_since is not None:
            self.go_on(60_000, self.login)
            return
        if self.is_busy:
            return
        self.is_busy = True
        ended = self._named()
        if self.world.max_sessions is not None:
            ended += self._others()
        self._may_end(ended)
        self._send(LOGIN, method="POST", data={"username": self.user.name, "password": PASSWORD})

    def logout(self) -> None:
        """Sign out."""
        self.is_busy = True
        self._may_end(self._named())
        self._send(LOGOUT, method="POST")

    def change_password(self) -> None:
        """Set a new password, which ends the user's other sessions, and replaces this one."""
        self.is_busy = True
        self._may_end([*self._named(), *self._others()])
        self._send("/password/", method="POST")

    def end_others(self) -> None:
        """End the user's other sessions."""
        named = {track.number for track in self._named()}
        targets = [track for track in self._others() if track.number not in named]
        self._may_end(targets)
        self._send(OTHERS, method="DELETE", target=targets)

    def end_one(self) -> None:
        """End another session of the user by its id, or this one."""
        track = self.numbers.choice([*self._named(), *self._others()] or [None])
        if track is not None:
            self._may_end([track])
            self._send(f"{SESSIONS}{track.id}/", method="DELETE", target=[track])

    def _named(self) -> list[Track]:
        claims = [self.world.claims_of(token) for token in self.cookies().values()]
        found = [self.world.judge.track(one) for one in claims]
        return list({track.number: track for track in found if track is not None}.values())

    def _others(self) -> list[Track]:
        return [track for track in self.world.tracks.values() if track.user is self.user and track.ended is None]

    def _may_end(self, tracks: list[Track]) -> None:
        for track in tracks:
            if track.may_end is None:
                track.may_end = self.world.now

    # The browser's requests.

    def _send(
        self,
        path: str,
        *,
        method: str = "GET",
        data: Any = None,
        is_upload: bool = False,
        is_last: bool = False,
        target: Any = None,
    ) -> None:
        world, numbers = self.world, self.numbers
        cookies = self.cookies()
        request = Request(self, path, world.now, is_upload=is_upload)
        request.target = target
        for name, token in cookies.items():
            claims = world.claims_of(token)
            if name == ACCESS_COOKIE:
                request.access = claims
            elif name == REFRESH_COOKIE:
                request.refresh = claims
        way, deadline = self.ways(world.now)
        headers: dict[str, str] = {}
        if is_upload:
            method = "POST"
            way = numbers.up_to(numbers.choice([100, world.access * 1000, (UPLOAD_DELAY + 30) * 1000]))
            deadline = world.now + way + 5_000
            headers = {"CONTENT_LENGTH": "100000"} if numbers.chance(0.7) else {"HTTP_TRANSFER_ENCODING": "chunked"}
        settle = self.disturb() if path in ("/password/", OTHERS) or (path == LOGIN and world.max_sessions) else None
        is_lost = not is_last and numbers.chance(world.faults.lost)

        def gone() -> None:
            if settle is not None:
                settle()
            self._after_failure(path)

        def answered(answer: Any, is_disturbed: bool) -> None:
            if settle is not None:
                settle()
            self._note(request, answer, is_disturbed)
            if not is_last and numbers.chance(world.faults.lost):
                self._after_failure(path)
                return
            world.schedule.at(world.now + self.way_back(deadline), lambda: self._delivered(request, answer))

        if is_lost:
            world.schedule.at(world.now + way, gone)
            return
        world.send(
            request,
            method=method,
            cookies=cookies,
            data=data,
            headers=headers,
            way_ms=way,
            deadline=deadline,
            answered=answered,
            gone=gone,
        )

    def _after_failure(self, path: str) -> None:
        """Continue after a request that got no answer."""
        if path in (LOGIN, LOGOUT, "/password/"):
            self.is_busy = False
            self.go_on(3_000, self.click)

    def _note(self, request: Request, answer: Any, is_disturbed: bool) -> None:
        """Record, at the moment of the answer, how it changes the sessions."""
        world, path = self.world, request.path
        is_good = answer.status in (200, 204)
        for token, _ in answer.refresh_cookies:
            claims = world.claims_of(token)
            if claims.session not in world.tracks and path in (LOGIN, "/password/"):
                track = world.begin_track(claims, self.user, request)
                track.owners = claims.generation
            else:
                track = world.tracks[claims.session]
                if not track.is_stolen:
                    track.owners = max(track.owners, claims.generation)
        if not is_good:
            return
        if path in (LOGIN, LOGOUT):
            self._ended(self._presented(request), request)
        elif path == "/password/":
            others = [track for track in world.tracks.values() if track.user is self.user]
            kept = {world.claims_of(token).session for token, _ in answer.refresh_cookies}
            self._ended([track for track in others if track.id not in kept], request, at_once=False)
        elif request.target is not None:
            self._ended(request.target, request)
        # A value: a request that ends its own session clears both cookies.
        is_renewed = bool(answer.cookies.get(ACCESS_COOKIE, ("", None))[0]) and not answer.refresh_cookies
        track = world.judge.track(request.refresh)
        if is_renewed and track is not None and not is_disturbed and path not in (LOGIN, LOGOUT, "/password/"):
            world.judge.renewed(track, request.refresh.generation, request)

    def _presented(self, request: Request) -> list[Track]:
        found = [self.world.judge.track(claims) for claims in (request.access, request.refresh)]
        return [track for track in found if track is not None]

    def _ended(self, tracks: list[Track], request: Request, at_once: bool = True) -> None:
        for track in tracks:
            if track.ended is None and track.created <= request.arrived:
                track.ended = self.world.now
                track.ended_in = request.process if at_once else None

    def _delivered(self, request: Request, answer: Any) -> None:
        self.take(answer.cookies)
        path = request.path
        if path in (LOGIN, LOGOUT, "/password/"):
            self.is_busy = False
            if path == LOGIN and answer.status != 200:
                self.go_on(self.pause(), self.login)
            else:
                self.go_on(self.pause(), self.click)
        elif answer.status in (401, 403) and not self.is_busy and not request.is_upload:
            track = self.track()
            if track is None or track.may_end is not None or track.is_stolen or track.user.inactive_since is not None:
                self.go_on(self.numbers.up_to(20_000), self.login)


class HeaderClient(Client):
    """A client that stores its tokens itself: the access token goes in a header, the refresh token in a body."""

    def __init__(self, world: World, user: User, name: str) -> None:
        super().__init__(world, user, name)
        self.access = self.refresh = ""
        self.is_refreshing = False

    def begin(self) -> None:
        """Sign in."""
        if self.user.inactive_since is not None:
            self.go_on(60_000, self.begin)
            return
        if self.world.max_sessions is not None:
            for track in self.world.tracks.values():
                if track.user is self.user and track.may_end is None:
                    track.may_end = self.world.now
        self._send("/auth/token/", data={"username": self.user.name, "password": PASSWORD})

    def click(self) -> None:
        """Make requests with the access token until it expires."""
        claims = self.world.claims_of(self.access)
        if claims is not None and self.world.now / 1000 < claims.expires - 5:
            self._send(self.numbers.choice(PAGES))
        elif not self.is_refreshing:
            self._renew()
        self.go_on(self.pause(), self.click)

    def ask_last(self) -> None:
        """Do nothing: the client may have no access token."""

    def _renew(self) -> None:
        self.is_refreshing = True
        self._send("/auth/token/refresh/", data={"refresh": self.refresh})

    def _send(self, path: str, data: Any = None) -> None:
        world = self.world
        request = Request(self, path, world.now)
        headers = {}
        if data is None:
            request.access = world.claims_of(self.access)
            headers["HTTP_AUTHORIZATION"] = f"Bearer {self.access}"
        elif "refresh" in data:
            request.refresh = world.claims_of(self.refresh)
        way, deadline = self.ways(world.now)
        settle = self.disturb() if path == "/auth/token/" and world.max_sessions else None

        def gone() -> None:
            self.is_refreshing = False
            if settle is not None:
                settle()
            if path == "/auth/token/":
                self.go_on(5_000, self.begin)

        def answered(answer: Any, is_disturbed: bool) -> None:
            if settle is not None:
                settle()
            if path == "/auth/token/" and answer.status == 200:
                world.begin_track(world.claims_of(answer.data["refresh"]), self.user, request)
            if self.numbers.chance(world.faults.lost):
                gone()
                return
            way_back = self.way_back(deadline)
            world.schedule.at(world.now + way_back, lambda: delivered(answer))

        def delivered(answer: Any) -> None:
            if data is not None and answer.status == 200:
                self.access, self.refresh = answer.data["access"], answer.data["refresh"]
                self.is_refreshing = False
                if path == "/auth/token/":
                    self.go_on(self.pause(), self.click)
            elif data is not None:
                gone()
                if path != "/auth/token/" and answer.status == 401:
                    self.go_on(5_000, self.begin)

        world.send(
            request,
            method="GET" if data is None else "POST",
            data=data,
            headers=headers,
            way_ms=way,
            deadline=deadline,
            answered=answered,
            gone=gone,
        )


class Thief(Client):
    """A thief, who copies a jar once, keeps every token received, and presents any of them at any time."""

    def __init__(self, world: World) -> None:
        super().__init__(world, world.users[0], "the thief")
        self.tokens: list[tuple[str, str]] = []
        self.victim: Browser | None = None
        self.is_patient = self.numbers.chance(0.5)
        """Whether the thief waits until the owner has refreshed, or keeps up with the owner."""

    def begin(self) -> None:
        """Wait for the moment of the theft."""
        self.after(self.numbers.up_to(20 * self.world.access) * 1000, self.steal)

    def steal(self) -> None:
        """Copy the cookies of a browser."""
        browsers = [client for client in self.world.clients if isinstance(client, Browser)]
        self.victim = self.numbers.choice(browsers)
        track, cookies = self.victim.track(), self.victim.cookies()
        if track is None or REFRESH_COOKIE not in cookies:
            self.after(60_000, self.steal)
            return
        self.world.say(f"the thief copies the cookies of {self.victim}")
        self.world.stolen(track)
        self.tokens.append((cookies.get(ACCESS_COOKIE, ""), cookies[REFRESH_COOKIE]))
        self.after(self.pause(), self.use)

    def use(self) -> None:
        """Present one of the stolen tokens."""
        numbers = self.numbers
        access, refresh = self.tokens[-1] if numbers.chance(0.6) else numbers.choice(self.tokens)
        if numbers.chance(0.7):
            access = ""
        self._present(access, refresh, is_upload=numbers.chance(0.4 if self.is_patient else 0.1))
        rest = self.pause() if not self.is_patient else self.pause() + self.numbers.up_to(3 * self.world.access) * 1000
        track = self.world.judge.track(self.world.claims_of(refresh))
        if (
            track is not None
            and self.world.row(track.id) is None
            and self.world.now > (track.ended or 2**60) + 3_600_000
        ):
            return  # nothing is left to try
        self.go_on(rest, self.use)

    def ask_last(self) -> None:
        """Do nothing: only honest clients make a last request."""

    def _present(self, access: str, refresh: str, *, is_upload: bool) -> None:
        world = self.world
        request = Request(self, self.numbers.choice(["/who/", "/api/"]), world.now, is_upload=is_upload, is_thief=True)
        request.access, request.refresh = world.claims_of(access) if access else None, world.claims_of(refresh)
        cookies = {REFRESH_COOKIE: refresh} | ({ACCESS_COOKIE: access} if access else {})

        def clear() -> None:
            track = world.judge.track(request.refresh)
            if track is not None and not is_upload:
                track.refreshes.clear()

        def answered(answer: Any, is_disturbed: bool) -> None:
            if answer.cookies:
                newer = answer.cookies.get(REFRESH_COOKIE, (refresh, None))[0]
                self.tokens.append((answer.cookies.get(ACCESS_COOKIE, ("", None))[0], newer or refresh))

        world.send(
            request,
            method="POST" if is_upload else "GET",
            cookies=cookies,
            headers={"CONTENT_LENGTH": "100000"} if is_upload else {},
            deadline=world.now + self.numbers.up_to(5_000),
            answered=answered,
            gone=clear,
        )


__all__ = ["Browser", "Claims", "HeaderClient", "Thief"]
