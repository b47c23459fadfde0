"""What must hold, with the sentence of the documentation that promises it, and the judge that compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from tests.simulation.world import World

SESSIONS, SECURITY, RELIABILITY = (
    "docs/concepts/sessions-and-rotation.md",
    "SECURITY.md",
    "docs/reliability.md",
)
ENDING, SETTINGS = "docs/guides/ending-sessions.md", "docs/reference/settings.md"

# The document and the words that state each oracle.
ORACLES = {
    "signed_out": (
        RELIABILITY,
        "an honest user stays signed in, as long as a request that is not an upload is answered within the grace",
    ),
    "upload_refused": (
        RELIABILITY,
        "It is admitted with the newest token, and within 15 minutes of the last refresh with the one before.",
    ),
    "upload_sets_cookies": (SESSIONS, "It never rotates, sets no cookie, and ends no session."),
    "ended_is_served": (
        ENDING,
        "Ending a session takes effect immediately: the next request that reads the user is anonymous",
    ),
    "ended_comes_back": (RELIABILITY, "no swap or answer that was under way brings the session back"),
    "expired_is_served": (SESSIONS, "A session ends at `REFRESH_TOKEN_LIFETIME` after its last refresh (idle)"),
    "inactive_is_served": (SETTINGS, "take effect here only after the interval"),
    "thief_is_served": (
        SECURITY,
        "When the server has answered the owner with newer tokens twice since the thief's last ordinary request with a "
        "refresh token, and the second ones have been in use for 30 seconds, the thief is locked out",
    ),
    "theft_is_not_found": (
        SECURITY,
        "Once the newest tokens have been in use for 30 seconds, an ordinary request with an older refresh token ends "
        "the session and is logged.",
    ),
    "theft_without_thief": (SESSIONS, "Only an authentic token of that session does this"),
    "theft_told_twice": (SESSIONS, "once, however many requests find it"),
    "rotated_twice": (SESSIONS, "A rotation is one `UPDATE … WHERE generation = g`. Of requests that race, one wins"),
    "not_rotated": (SESSIONS, "| `p = g`, grace over since issue and acknowledgement | a refresh |"),
    "goes_back": (SESSIONS, "`g` becomes `g + 1`; both tokens"),
    "cookies_cleared": (SESSIONS, "A database error, a refused origin or `session_contention` changes no cookie."),
    "left_open": (SESSIONS, "`logout` is not undone by a rollback: the row is deleted again after the view."),
    "server_error": (SESSIONS, "Invalid cookies are ignored"),
    "another_user": (SECURITY, "A token is accepted that was not issued for this session"),
}

UPLOAD_DELAY = 900
# Seconds by which a verdict may differ: times are whole seconds, and a step takes milliseconds.
SLACK = 2


class Claims(NamedTuple):
    """A token's claims."""

    session: UUID
    generation: int
    issued: int
    expires: int


class Row(NamedTuple):
    """The row of a session."""

    generation: int
    acknowledged: int | None
    rotated: int


@dataclass
class User:
    """A user, and what is happening to all their sessions."""

    pk: int
    name: str
    inactive_since: int | None = None
    changed: int = 0
    """When the user was last activated or deactivated."""
    disturbances: list[list[Any]] = field(default_factory=list)
    """What may end other sessions of the user: when it began, when it ended or ``None``, and the client."""


@dataclass
class Track:
    """What an observer knows of a session: all times are milliseconds."""

    number: int
    id: UUID
    user: User
    created: int
    may_end: int | None = None
    """Since when a request is under way that may end it."""
    ended: int | None = None
    """When an answer reported that it has ended."""
    ended_in: Any = None
    """The process in which ``logout`` or ``end()`` ended it."""
    is_stolen: bool = False
    told: int = 0
    """How often its theft was reported."""
    rotated: set[int] = field(default_factory=set)
    renewed: dict[int, int] = field(default_factory=dict)
    """When each generation was first answered with only an access token."""
    row: Row | None = None
    """The row as last seen."""
    # The thief's knowledge, as in crates/jwtauth/tests/model/thief.rs.
    owners: int = 1
    """The newest generation that the server has given the owner."""
    refreshes: list[int] = field(default_factory=list)
    """The newer generations that the owner got since the thief's last ordinary request with a refresh token."""
    acknowledged: dict[int, int] = field(default_factory=dict)
    rotated_at: dict[int, int] = field(default_factory=dict)


class Request:
    """A request of a client, with the tokens that it presents."""

    __slots__ = (
        "access",
        "arrived",
        "client",
        "completed",
        "is_thief",
        "is_upload",
        "judge_reuse",
        "locked_out",
        "path",
        "process",
        "refresh",
        "sent",
        "target",
    )

    def __init__(self, client: Any, path: str, sent: int, *, is_upload: bool = False, is_thief: bool = False) -> None:
        self.client, self.path, self.sent, self.is_upload, self.is_thief = client, path, sent, is_upload, is_thief
        self.access: Claims | None = None
        self.refresh: Claims | None = None
        self.arrived = self.completed = 0
        self.process: Any = None
        self.target: Any = None
        self.judge_reuse = False
        self.locked_out: int | None = None
        """The Unix time of the rotation that locked the thief out."""

    @property
    def claims(self) -> Claims | None:
        """Return the claims that identify the request's user."""
        return self.refresh or self.access


class Judge:
    """Compare the server's answers with the expected ones."""

    def __init__(self, world: World) -> None:
        self.world = world

    def track(self, claims: Claims | None) -> Track | None:
        """Return the session of these claims."""
        return None if claims is None else self.world.tracks.get(claims.session)

    def observe(self, track: Track) -> Row | None:
        """Read the row, and check that it never goes back."""
        row, before = self.world.row(track.id), track.row
        if row is None:
            return None
        if before is not None:
            is_later = row.generation > before.generation or (
                row.generation == before.generation and (before.acknowledged is None or row == before)
            )
            if not is_later:
                self.world.wrong("goes_back", f"session {track.number} from {before} to {row}")
        track.row = row
        track.rotated_at[row.generation] = row.rotated
        if row.acknowledged is not None:
            track.acknowledged[row.generation] = row.acknowledged
        return row

    # A request reaches the server.

    def arrives(self, request: Request, process: Any) -> None:
        """Record what is known before the server does anything."""
        request.arrived, request.process = self.world.now, process
        track = self.track(request.refresh)
        if track is None or not track.is_stolen:
            return
        row, now = self.observe(track), self.world.now / 1000
        if row is None or request.refresh is None:
            return
        uses_refresh = request.access is None or request.access.expires <= now
        in_use = row.acknowledged is not None and now >= row.acknowledged + self.world.grace + SLACK
        is_clear = uses_refresh and now < request.refresh.expires - SLACK
        request.judge_reuse = (
            is_clear and not request.is_upload and in_use and request.refresh.generation < row.generation
        )
        if request.is_thief and len(track.refreshes) >= 2:
            second = track.refreshes[1]
            seen = track.acknowledged.get(second)
            if seen is not None and now >= seen + self.world.grace + SLACK:
                request.locked_out = track.rotated_at.get(second)

    # The server has answered.

    def answered(self, request: Request, answer: Any, is_disturbed: bool) -> None:
        """Judge an answer at the moment when the server gives it."""
        request.completed = self.world.now
        served = self._served(request, answer)
        if answer.status >= 500 and not is_disturbed:
            self.world.wrong("server_error", f"{request.path}: {answer.status} {answer.body[:99]!r} {self.world.error}")
        self._judge_cookies(request, answer)
        self._judge_served(request, answer, served)
        if not request.is_thief and not is_disturbed and answer.status < 500:
            self._judge_honest(request, answer, served)
        track = self.track(request.refresh)
        if track is not None and track.is_stolen:
            self._judge_theft(request, track, answer, served, is_disturbed)

    def _served(self, request: Request, answer: Any) -> Track | None:
        session = answer.data.get("session") if answer.status == 200 and type(answer.data) is dict else None
        if not isinstance(session, str) or request.path == "/password/":  # it has started another session
            return None
        found = self.world.tracks.get(UUID(session))
        if found is None:
            self.world.wrong("another_user", f"{request.path}: an unknown session {session}")
        elif answer.data["user"] != found.user.pk:
            self.world.wrong("another_user", f"{request.path}: user {answer.data['user']}, of {found.user.pk}")
        return found

    def _judge_cookies(self, request: Request, answer: Any) -> None:
        if request.is_upload and answer.cookies and not request.path.startswith("/auth/"):
            self.world.wrong("upload_sets_cookies", f"{request.path}: {list(answer.cookies)}")
        is_cleared = any(not value for value, _ in answer.cookies.values())
        own = self.track(request.claims)
        if is_cleared and request.path != "/auth/logout/" and own not in (request.target or [None]):
            self.world.wrong("cookies_cleared", f"{request.path}: {answer.status}")

    def _judge_served(self, request: Request, answer: Any, served: Track | None) -> None:
        if served is None:
            return
        world, arrived = self.world, request.arrived
        presented = [claims for claims in (request.access, request.refresh) if claims is not None]
        if request.access is None and request.refresh is None:
            return  # a login
        if all(claims.expires < arrived / 1000 - SLACK for claims in presented):
            world.wrong("expired_is_served", f"{request.path}: {presented} at {arrived / 1000}")
        if world.absolute is not None and arrived / 1000 > served.created / 1000 + world.absolute + SLACK:
            world.wrong("expired_is_served", f"{request.path}: session {served.number} beyond its absolute end")
        has_access = request.access is not None and request.access.expires > arrived / 1000 - SLACK
        if served.ended is not None:
            later = 0 if request.process is served.ended_in or not has_access else world.check_ms
            if arrived > served.ended + later:
                what = f"{request.path}: session {served.number}, ended {arrived - served.ended} ms before"
                world.wrong("ended_is_served", what)
        since = served.user.inactive_since
        if since is not None and arrived > since + (world.check_ms if has_access else 0):
            world.wrong("inactive_is_served", f"{request.path}: user {served.user.name}, {arrived - since} ms after")

    def _judge_honest(self, request: Request, answer: Any, served: Track | None) -> None:
        if request.path in ("/auth/login/", "/auth/logout/", "/auth/token/") or served is not None:
            return
        world, claims = self.world, request.claims
        track = self.track(claims)
        if claims is None or track is None or track.may_end is not None or track.is_stolen:
            return
        if (
            request.access is not None
            and request.refresh is not None
            and (request.access.session != request.refresh.session)
        ):
            return  # cookies of a late answer after another login
        user, now = track.user, request.completed / 1000
        if user.inactive_since is not None or user.changed >= request.sent or now >= claims.expires - SLACK:
            return
        if answer.status not in (401, 403):
            return  # of a view that does not name the user
        if request.is_upload:
            self._judge_upload(request, track, now)
        elif request.completed - request.sent < (world.grace - 1) * 1000:
            what = f"{request.path} of {request.client}: {answer.status}, session {track.number}, {world.row(track.id)}"
            world.wrong("signed_out", f"{what}, presented {request.access} {request.refresh}, {answer.body[:200]!r}")

    def _judge_upload(self, request: Request, track: Track, now: float) -> None:
        row, refresh = self.world.row(track.id), request.refresh
        if row is None:
            self.world.wrong("signed_out", f"an upload: session {track.number} is gone")
        elif refresh is not None and (
            refresh.generation == row.generation
            or (refresh.generation == row.generation - 1 and now <= row.rotated + UPLOAD_DELAY - SLACK)
        ):
            self.world.wrong("upload_refused", f"{request.path}: generation {refresh.generation}, {row}")

    # Of stolen sessions.

    def _judge_theft(
        self, request: Request, track: Track, answer: Any, served: Track | None, is_disturbed: bool
    ) -> None:
        world, now = self.world, request.completed / 1000
        row, refresh = self.observe(track), request.refresh
        assert refresh is not None
        if request.judge_reuse and not is_disturbed and row is not None:
            world.wrong("theft_is_not_found", f"{request.path}: generation {refresh.generation}, {row} at {now}")
        new = max((world.claims_of(value).generation for value, _ in answer.refresh_cookies), default=0)
        if not request.is_thief:
            if new > track.owners:
                track.owners = new
                track.refreshes.append(new)
            return
        uses_refresh = request.access is None or request.access.expires <= request.arrived / 1000 + SLACK
        if served is not None:
            world.thief_served(track)
        if served is not None and not request.is_upload and uses_refresh:
            track.refreshes.clear()
        if request.locked_out is not None and served is not None and uses_refresh:
            has_access = request.access is not None and request.access.expires > request.arrived / 1000 - SLACK
            in_time = request.is_upload and request.arrived / 1000 <= request.locked_out + UPLOAD_DELAY + SLACK
            if not has_access and not in_time:
                world.wrong("thief_is_served", f"{request.path}: {refresh}, upload: {request.is_upload}, {row}")

    # Signals.

    def rotated(self, session: Any) -> None:
        """Record that a generation was issued."""
        track = self.world.tracks.get(session.pk)
        if track is None:
            return
        if session.generation in track.rotated:
            self.world.wrong("rotated_twice", f"session {track.number}, generation {session.generation}")
        track.rotated.add(session.generation)

    def reused(self, session: Any) -> None:
        """Record that a theft was reported."""
        track = self.world.tracks.get(session.pk)
        if track is None:
            return
        track.told += 1
        if not track.is_stolen and track.may_end is None:
            self.world.wrong("theft_without_thief", f"session {track.number}")
        if track.told > 1:
            self.world.wrong("theft_told_twice", f"session {track.number}")

    def renewed(self, track: Track, generation: int, request: Request) -> None:
        """Record that only an access token was set, for a generation that the client had."""
        first = track.renewed.setdefault(generation, request.completed)
        if request.arrived > first + (self.world.grace + SLACK) * 1000:
            self.world.wrong("not_rotated", f"session {track.number}, generation {generation}")
