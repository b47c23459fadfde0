"""Writes `testdata/requests.json`: requests, the rows they meet, and the answers that every implementation must give.

`testdata/README.md` describes the format. Each answer is written here by hand, from the tables in the documentation;
this file never calls the engine. Tokens are signed with the standard library alone, and proofs of clients with
`cryptography`. Every signature is deterministic, so the output is reproducible; `python scripts/corpus.py --check`
compares it with the file.
"""

import hashlib
import hmac
import json
import sys
import uuid
from pathlib import Path

from corpus_dpop import NONCE_LIFETIME, TOLERANCE, Client, b64, compact, digest, refused

TARGET = Path(__file__).resolve().parent.parent / "testdata/requests.json"

T = 1_800_000_000
"""The time of every request."""
KEY = "the key of the corpus of requests, long enough for any hash that there is: 64 bytes"
DAY = 86_400
ACCESS, IDLE, ABSOLUTE, GRACE = 300, DAY, 30 * DAY, 30
OWN = "https://own.example"

USERS = {"1": {"is_active": True}, "2": {"is_active": True}, "3": {"is_active": False}}

RENDER_SECRET = "a-secret-of-the-render-server-of-this-corpus"
OLD_RENDER_SECRET = "an-older-secret-of-the-same-render-server"

PLAIN = ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"]
TRUSTED = ["https://trusted.example", "https://*.wild.example:8443"]
CONFIGURATIONS = {
    "default": {"JWTAUTH": {}, "CSRF_TRUSTED_ORIGINS": TRUSTED, "attributes": PLAIN},
    "host names": {
        "JWTAUTH": {
            "ACCESS_TOKEN_COOKIE_NAME": "__Host-access_token",
            "REFRESH_TOKEN_COOKIE_NAME": "__Host-refresh_token",
        },
        "CSRF_TRUSTED_ORIGINS": [],
        "attributes": PLAIN,
    },
    "scoped": {
        "JWTAUTH": {
            "COOKIE_PATH": "/app/",
            "COOKIE_DOMAIN": "own.example",
            "COOKIE_SAMESITE": "Lax",
            "ACCESS_TOKEN_LIFETIME": 600,
            "REFRESH_TOKEN_LIFETIME": 7 * DAY,
        },
        "CSRF_TRUSTED_ORIGINS": [],
        "attributes": ["HttpOnly", "Secure", "SameSite=Lax", "Path=/app/", "Domain=own.example"],
    },
    "no bearer": {"JWTAUTH": {"BEARER_TOKENS": False}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
    "no grace": {"JWTAUTH": {"REFRESH_TOKEN_GRACE_PERIOD": 0}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
    "long grace": {"JWTAUTH": {"REFRESH_TOKEN_GRACE_PERIOD": 1000}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
    "no limit": {"JWTAUTH": {"SESSION_LIFETIME": None}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
    "two days": {"JWTAUTH": {"SESSION_LIFETIME": 2 * DAY}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
    "render server": {
        "JWTAUTH": {"RENDER_SERVER_SECRET": [RENDER_SECRET, OLD_RENDER_SECRET]},
        "CSRF_TRUSTED_ORIGINS": [],
        "attributes": PLAIN,
    },
    "locks": {"JWTAUTH": {"LOCK_AFTER": 3600}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
    "reuse ends all": {"JWTAUTH": {"REUSE_ENDS_ALL_SESSIONS": True}, "CSRF_TRUSTED_ORIGINS": [], "attributes": PLAIN},
}

RULES = {
    "refresh": "rotation: the newest generation, after the grace since it was issued and since it was acknowledged",
    "renew": "rotation: the newest generation, within the grace or not acknowledged",
    "reissue": "rotation: the previous generation, while the newest is not acknowledged or within the grace after that",
    "ahead": "rotation: a generation ahead of the row",
    "reuse": "rotation: any other generation; one event per theft",
    "over": "rotation and strict check: the session has expired, was ended, or its user may not sign in",
    "lifetimes": "rotation: when the new tokens expire",
    "remember": "cookies that outlive the browser, and cookies that do not",
    "upload": "uploads: which requests are uploads",
    "upload current": "uploads: the newest generation",
    "upload previous": "uploads: the previous generation, for 15 minutes, decided by time alone",
    "upload late": "uploads: any other generation",
    "render": "render server: decided as uploads are; an access token acknowledges nothing",
    "render secret": "render server: without the secret, a request is an ordinary request",
    "activity": "activity: a poll rotates only the refresh token, and moves no end",
    "lock": "locks: a session that was not used for LOCK_AFTER is locked until its user authenticates again",
    "device": "devices: no token alone refreshes or ends a session that is, or must be, bound to a device",
    "unbind": "devices: an older token makes a session unbound until a token is seen that answered its registration",
    "reauthenticate": "re-authentication: the same session with new tokens, which say the new time and all methods",
    "older": "re-authentication: tokens from before it never say the new time, and take nothing back",
    "recent": "views that need a recent authentication, or a method: decided by the request's tokens",
    "origin websocket": "cross-origin: WebSocket handshake",
    "origin safe": "cross-origin: GET, HEAD, OPTIONS",
    "origin same-origin": "cross-origin: Sec-Fetch-Site: same-origin",
    "origin none": "cross-origin: Sec-Fetch-Site: none",
    "origin other site": "cross-origin: any other Sec-Fetch-Site, or several",
    "origin alone": "cross-origin: an Origin without Sec-Fetch-Site",
    "origin neither": "cross-origin: neither header",
    "origin not asked": "cross-origin: not checked if the cookies name no user",
    "login": "a login ends the sessions that the request's cookies name, even if expired",
    "login origin": "a login checks the origin, with and without cookies",
    "logout": "a logout ends the sessions that the request's cookies name, even if expired",
    "logout origin": "a logout checks the origin, with and without cookies",
    "clear": "cookies are cleared only if the request had one",
    "names": "cookie names are matched exactly",
    "octets": "non-ASCII octets are opaque",
    "fields": "several Cookie fields are one list",
    "eight": "at most eight cookies with one name are read",
    "newest": "of several tokens of one user, the newest counts",
    "two users": "tokens of two users are ignored",
    "invalid": "invalid cookies are ignored",
    "sessions": "an access token and a refresh token of two sessions of one user",
    "bearer": "Authorization: Bearer",
    "dpop": "Authorization: DPoP, with a proof of the key to which the token is bound",
    "dpop proof": "DPoP: a proof is for one method, URL and token, and by the key of the token",
    "dpop nonce": "DPoP: a proof needs a nonce of the server, and a response brings one in time",
    "dpop bound": "DPoP: a bound token, or a token of a bound session, is accepted in no other way",
    "check": "the strict check",
    "acknowledge": "the strict check acknowledges the newest generation",
    "last seen": "unsafe requests update the time last seen, at most once a minute",
    "vary": "Vary is one list, and names the headers that were read",
    "cache": "Cache-Control if cookies are set, merged with the view's own directives",
    "targeted": "cache headers for specific caches are removed if cookies are set",
    "websocket": "a WebSocket handshake follows the rotation table and sets its cookies",
}

WSGI_HAS_NO_WEBSOCKETS = {"wsgi": "WSGI has no WebSockets"}


# --- tokens


def sid_of(name, began=T - 5000):
    """Return the minute that the session began in, and 16 bytes derived from its name."""
    return (began // 60).to_bytes(4, "big") + hashlib.sha256(name.encode()).digest()[:16]


def session_id_of(sid):
    """Return a version-7 UUID: 48 bits of milliseconds, and 74 bits of the SHA-256 of the name."""
    milliseconds = int.from_bytes(sid[:4], "big") * 60_000
    digest = int.from_bytes(hashlib.sha256(sid).digest()[:10], "big")
    low = digest & (1 << 62) - 1
    high = digest >> 64 & (1 << 12) - 1
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low))


class Sessions(dict):
    """The named sessions, each with its `sid` and the id of its row."""

    def __missing__(self, name):
        sid = sid_of(name)
        self[name] = {"sid": b64(sid), "id": session_id_of(sid)}
        return self[name]


sessions, tokens = Sessions(), {}


def signed(kind, claims, key=KEY):
    types = {"access": "at+jwt", "refresh": "rt+jwt", "nonce": "dn+jwt"}
    head = b64(compact({"alg": "HS256", "typ": types[kind]}))
    message = f"{head}.{b64(compact(claims))}"
    return f"{message}.{b64(hmac.digest(key.encode(), message.encode(), 'sha256'))}"


def token(name, kind, session, generation, issued_at, expires_at, user, key=KEY, **more):
    claims = {
        "sub": user,
        "sid": sessions[session]["sid"],
        "gen": generation,
        "iat": issued_at,
        "exp": expires_at,
        **more,
    }
    made = signed(kind, claims, key)
    assert tokens.setdefault(name, made) == made, f"two tokens have the name {name}"
    return f"{{{name}}}"


OWNERS = {"eve": "2", "retired": "3"}


def access(session="laptop", generation=7, *, issued_at=T - 100, expires_at=T + 200, user=None, **more):
    user = user or OWNERS.get(session, "1")
    name = f"access {session} {generation} {issued_at - T:+} {expires_at - T:+} {user}{suffix(**more)}"
    return token(name, "access", session, generation, issued_at, expires_at, user, **more)


def expired(session="laptop", generation=7):
    return access(session, generation, issued_at=T - 400, expires_at=T - 100)


def refresh(session="laptop", generation=7, *, issued_at=T - 1000, expires_at=T + 80_000, user=None, **more):
    user = user or OWNERS.get(session, "1")
    name = f"refresh {session} {generation} {issued_at - T:+} {expires_at - T:+} {user}{suffix(**more)}"
    return token(name, "refresh", session, generation, issued_at, expires_at, user, **more)


def suffix(auth_time=None, amr=(), idle=False, cnf=None):
    """Return what the name of a token says of its other claims."""
    said = ["" if auth_time is None else f"since {auth_time - T:+}", *amr, "idle" if idle else ""]
    said += [] if cnf is None else [f"bound to {cnf['jkt'][:4]}"]
    return "".join(f" {one}" for one in said if one)


def a(*arguments, **options):
    """Return a cookie with an access token."""
    return f"access_token={access(*arguments, **options)}"


def r(*arguments, **options):
    """Return a cookie with a refresh token."""
    return f"refresh_token={refresh(*arguments, **options)}"


# --- rows


def row(
    user="1",
    generation=7,
    acknowledged_at=T - 990,
    rotated_at=T - 1000,
    created_at=T - 5000,
    expires_at=T + 80_000,
    end_is_fixed=False,
    remember=True,
    last_seen_at=T - 1000,
    **more,
):
    """Return a row. `more`: `auth_time`, `locks_at`, `amr` and `device_key`, if they are not empty."""
    return {**{name: value for name, value in locals().items() if name != "more"}, **more}


def laptop(**changes):
    return {"laptop": row(**changes)}


# --- answers


def cookie(generation, issued_at, expires_at, session="laptop", remember=True, **more):
    """Return a cookie that is set. `more`: `auth_time`, if it is not the time of the login, and `amr`."""
    return {
        "session": session,
        "generation": generation,
        "issued_at": issued_at,
        "expires_at": expires_at,
        "max_age": expires_at - T if remember else None,
        **more,
    }


PRIVATE = "no-store, private"
SIGNED_IN = {"status": 200, "user": "1"}
ANONYMOUS = {"status": 403, "code": "not_authenticated"}
NO_USER = {"status": 200, "user": None}
FOREIGN = {"status": 403, "code": "cross_origin", "events": ["cross_origin"]}
BAD_BEARER = {
    "status": 401,
    "code": "token_not_valid",
    "headers": {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    "vary": ["Authorization"],
}
LATE = {"status": 403, "code": "late_upload", "events": ["late_upload"]}
STOLEN = {**ANONYMOUS, "rows": {"laptop": "gone"}, "events": ["session_ended", "refresh_token_reused"]}
OPEN = {"status": 101, "user": "1", "vary": None}
OPEN_TO_ALL = {"status": 101, "user": None, "vary": None}
CLOSED = {"status": 403, "code": "cross_origin", "events": ["cross_origin"], "vary": None}

ROTATED = {
    **SIGNED_IN,
    "set": {"access": cookie(8, T, T + ACCESS), "refresh": cookie(8, T, T + IDLE)},
    "cache_control": PRIVATE,
    "rows": {
        "laptop": {
            "generation": 8,
            "acknowledged_at": None,
            "rotated_at": T,
            "expires_at": T + IDLE,
            "last_seen_at": T,
        }
    },
    "events": ["session_refreshed"],
}
RENEWED = {**SIGNED_IN, "set": {"access": cookie(7, T, T + ACCESS)}, "cache_control": PRIVATE}
RENEWED_AND_SEEN = {**RENEWED, "rows": {"laptop": {"acknowledged_at": T}}}


def reissued(rotated_at=T - 1000):
    return {
        **SIGNED_IN,
        "set": {"access": cookie(7, T, T + ACCESS), "refresh": cookie(7, rotated_at, T + 80_000)},
        "cache_control": PRIVATE,
    }


def rotated_until(expires_at, access_end):
    return {
        **ROTATED,
        "set": {"access": cookie(8, T, access_end), "refresh": cookie(8, T, expires_at)},
        "rows": {"laptop": {**ROTATED["rows"]["laptop"], "expires_at": expires_at}},
    }


def adopted(generation):
    return {
        **SIGNED_IN,
        "set": {"access": cookie(generation, T, T + ACCESS)},
        "cache_control": PRIVATE,
        "rows": {
            "laptop": {
                "generation": generation,
                "acknowledged_at": T,
                "rotated_at": T,
                "expires_at": T + IDLE,
                "last_seen_at": T,
            }
        },
        "events": ["generation_adopted"],
    }


def logged_in(gone=(), events=("session_started",), expires_at=T + IDLE, **changes):
    remember = changes.get("remember", True)
    return {
        **SIGNED_IN,
        "set": {
            "access": cookie(1, T, T + ACCESS, "new", remember),
            "refresh": cookie(1, T, expires_at, "new", remember),
        },
        "cache_control": PRIVATE,
        "rows": {
            **dict.fromkeys(gone, "gone"),
            "new": row(
                **{
                    "generation": 1,
                    "acknowledged_at": T,
                    "rotated_at": T,
                    "created_at": T,
                    "expires_at": expires_at,
                    "last_seen_at": T,
                    **changes,
                }
            ),
        },
        "events": list(events),
    }


def logged_out(*gone, events=None, cleared=True):
    return {
        **NO_USER,
        "cleared": cleared,
        "cache_control": PRIVATE if cleared else None,
        "rows": dict.fromkeys(gone, "gone"),
        "events": ["session_ended"] if events is None and gone else list(events or ()),
    }


# --- cases

cases = []


def case(
    rule,
    name,
    answer,
    *,
    cookies=(),
    headers=(),
    view="me",
    method="GET",
    version="1.1",
    sent_to=OWN,
    query="",
    responds=(),
    rows=None,
    configuration="default",
    unable=None,
):
    """Add a case. `cookies`: one Cookie field, or a list. `headers`: the other fields. `answer`: what differs from an
    empty answer.
    """
    assert rule in RULES, rule
    fields = [cookies] if isinstance(cookies, str) else list(cookies)
    rows = laptop() if rows is None else rows
    known = {
        "status",
        "code",
        "user",
        "set",
        "cleared",
        "vary",
        "cache_control",
        "headers",
        "rows",
        "events",
        "missing",
    }
    assert answer.keys() <= known, answer.keys() - known
    for one in (*rows, *answer.get("rows", ())):
        if one != "new":
            sessions[one]  # creates it
    cases.append(
        {
            "name": f"{rule}: {name}",
            "rule": rule,
            "configuration": configuration,
            "unable": unable or (WSGI_HAS_NO_WEBSOCKETS if view == "websocket" else {}),
            "rows": rows,
            "request": {
                "view": view,
                "method": method,
                "http_version": version,
                "sent_to": sent_to,
                "headers": [*([list(header) for header in headers]), *(["Cookie", field] for field in fields)],
                "responds": [list(header) for header in responds],
                **({"query": query} if query else {}),
            },
            "answer": {
                "status": answer["status"],
                "code": answer.get("code"),
                "user": answer.get("user"),
                "set": answer.get("set", {}),
                "cleared": answer.get("cleared", False),
                "vary": answer.get("vary", ["Cookie"]),
                "cache_control": answer.get("cache_control"),
                "headers": answer.get("headers", {}),
                "rows": {**dict.fromkeys(rows, "unchanged"), **answer.get("rows", {})},
                "events": answer.get("events", []),
                **({"missing": answer["missing"]} if "missing" in answer else {}),
            },
        }
    )


def rotation():
    def at(rule, name, answer, generation=7, **changes):
        case(rule, name, answer, cookies=r("laptop", generation), rows=laptop(**changes))

    at("refresh", "the newest token long after the grace", ROTATED)
    at("refresh", "the grace ends in this second", ROTATED, rotated_at=T - GRACE, acknowledged_at=T - GRACE)
    at("renew", "a second before the grace since its issue ends", RENEWED, rotated_at=T - 29, acknowledged_at=T - 30)
    at(
        "renew",
        "a second before the grace since its acknowledgement ends",
        RENEWED,
        rotated_at=T - 1000,
        acknowledged_at=T - 29,
    )
    at("renew", "issued and acknowledged in this second", RENEWED, rotated_at=T, acknowledged_at=T)
    at("renew", "not acknowledged, long after its issue", RENEWED_AND_SEEN, rotated_at=T - 1000, acknowledged_at=None)
    at("renew", "not acknowledged, issued in this second", RENEWED_AND_SEEN, rotated_at=T, acknowledged_at=None)
    at("renew", "acknowledged in the future, by a clock that is ahead", RENEWED, acknowledged_at=T + 5)
    at("renew", "issued in the future, by a clock that is ahead", RENEWED, rotated_at=T + 5, acknowledged_at=T - 900)

    at("reissue", "the previous token, the newest not acknowledged", reissued(), 6, acknowledged_at=None)
    long_ago = T - 79_000
    at(
        "reissue",
        "the previous token, the newest not acknowledged for most of a day",
        reissued(long_ago),
        6,
        acknowledged_at=None,
        rotated_at=long_ago,
        created_at=T - 2 * DAY,
    )
    at("reissue", "the previous token, the newest acknowledged in this second", reissued(), 6, acknowledged_at=T)
    at("reissue", "the previous token, a second before the grace ends", reissued(), 6, acknowledged_at=T - 29)
    at("reissue", "the previous token, the newest acknowledged in the future", reissued(), 6, acknowledged_at=T + 5)

    at("reuse", "the previous token, the grace ends in this second", STOLEN, 6, acknowledged_at=T - GRACE)
    at("reuse", "the previous token, long after", STOLEN, 6)
    at("reuse", "two generations old, the newest not acknowledged", STOLEN, 5, acknowledged_at=None)
    at("reuse", "two generations old, within the grace", STOLEN, 5, rotated_at=T - 1, acknowledged_at=T)
    at("reuse", "the first token", STOLEN, 1)

    at("ahead", "one generation ahead", adopted(8), 8)
    at("ahead", "sixteen generations ahead", adopted(23), 23, acknowledged_at=None)
    at("ahead", "seventeen generations ahead", {**ANONYMOUS, "events": ["generation_ahead"]}, 24)

    at("over", "the session expires in this second", ANONYMOUS, expires_at=T)
    at("over", "an old token of an expired session is not reuse", ANONYMOUS, 5, expires_at=T - 1)
    at("over", "the absolute limit is reached", ANONYMOUS, created_at=T - ABSOLUTE)
    at("over", "a fixed end is reached", ANONYMOUS, expires_at=T, end_is_fixed=True)
    case("over", "a refresh token without a row", ANONYMOUS, cookies=r(), rows={})
    retired = {"retired": row("3")}
    case("over", "a refresh token of an inactive user", ANONYMOUS, cookies=r("retired"), rows=retired)
    case("over", "an expired refresh token", ANONYMOUS, cookies=r(expires_at=T))

    at("lifetimes", "refreshed in its last second", ROTATED, expires_at=T + 1)
    last = ABSOLUTE - 1000
    at("lifetimes", "the absolute limit is near", rotated_until(T + 1000, T + 300), created_at=T - last)
    at(
        "lifetimes",
        "the absolute limit is a second away",
        rotated_until(T + 1, T + 1),
        created_at=T - ABSOLUTE + 1,
    )
    fixed = {"end_is_fixed": True, "created_at": T - 400 * DAY}
    at(
        "lifetimes",
        "a fixed end stays, whatever the limit",
        rotated_until(T + 9000, T + 300),
        **fixed,
        expires_at=T + 9000,
    )
    at("lifetimes", "a fixed end bounds the access token", rotated_until(T + 100, T + 100), **fixed, expires_at=T + 100)
    old = laptop(created_at=T - 400 * DAY)
    case("lifetimes", "without an absolute limit", ROTATED, cookies=r(), rows=old, configuration="no limit")
    over = laptop(created_at=T - 2 * DAY)
    case(
        "lifetimes", "a shorter limit applies immediately", ANONYMOUS, cookies=r(), rows=over, configuration="two days"
    )
    scoped = {
        **ROTATED,
        "set": {"access": cookie(8, T, T + 600), "refresh": cookie(8, T, T + 7 * DAY)},
        "rows": {"laptop": {**ROTATED["rows"]["laptop"], "expires_at": T + 7 * DAY}},
    }
    case("lifetimes", "lifetimes and cookie scope from the settings", scoped, cookies=r(), configuration="scoped")

    def grace(rule, name, answer, configuration, generation, seen):
        rows = laptop(rotated_at=seen, acknowledged_at=seen)
        case(rule, name, answer, cookies=r("laptop", generation), rows=rows, configuration=configuration)

    grace("refresh", "no grace: refreshed in the second of the token's issue", ROTATED, "no grace", 7, T)
    grace("reuse", "no grace: the previous token is reuse immediately", STOLEN, "no grace", 6, T)
    grace("renew", "no grace: issued in the future, by a clock that is ahead", RENEWED, "no grace", 7, T + 5)
    grace("reissue", "no grace: the newest acknowledged in the future", reissued(T + 5), "no grace", 6, T + 5)
    grace("renew", "a grace longer than the access lifetime, within that lifetime", RENEWED, "long grace", 7, T - 299)
    grace("refresh", "a grace longer than the access lifetime is cut to it", ROTATED, "long grace", 7, T - 300)
    grace(
        "reissue",
        "a grace longer than the access lifetime, the previous token",
        reissued(T - 299),
        "long grace",
        6,
        T - 299,
    )
    grace("reuse", "a grace longer than the access lifetime, after that lifetime", STOLEN, "long grace", 6, T - 300)

    forgotten = laptop(remember=False)
    brief = {"access": cookie(8, T, T + ACCESS, remember=False), "refresh": cookie(8, T, T + IDLE, remember=False)}
    case("remember", "a refresh for a browser session", {**ROTATED, "set": brief}, cookies=r(), rows=forgotten)
    renewed = {**RENEWED, "set": {"access": cookie(7, T, T + ACCESS, remember=False)}}
    recent = laptop(remember=False, acknowledged_at=T)
    case("remember", "a new access token for a browser session", renewed, cookies=r(), rows=recent)

    others = {"laptop": row(), "phone": row(), "eve": row("2")}
    case("reuse", "a theft ends one session", STOLEN, cookies=r("laptop", 5), rows=others)
    everything = {
        **STOLEN,
        "rows": {"laptop": "gone", "phone": "gone"},
        "events": ["session_ended", "refresh_token_reused", "session_ended"],
    }
    case(
        "reuse",
        "a theft ends all sessions of the user if configured",
        everything,
        cookies=r("laptop", 5),
        rows=others,
        configuration="reuse ends all",
    )
    stolen_quietly = {**STOLEN, "status": 200, "code": None, "user": None}
    case("reuse", "a theft on a public page", stolen_quietly, cookies=r("laptop", 5), view="public")
    case(
        "reuse",
        "a theft with an unsafe request",
        STOLEN,
        cookies=r("laptop", 5),
        method="POST",
        headers=[("Content-Length", "9")],
    )
    case("reuse", "a theft if the view does not use the user", stolen_quietly, cookies=r("laptop", 5), view="idle")
    failed = {**ROTATED, "status": 500, "user": None}
    case("refresh", "a refresh is kept if the view fails", failed, cookies=r(), view="failing")
    case(
        "refresh",
        "an expired access token with the newest refresh token",
        ROTATED,
        cookies=f"{expired_cookie()}; {r()}",
    )
    case("refresh", "a public page refreshes too", ROTATED, cookies=r(), view="public")
    case(
        "refresh",
        "a page that does not use the user refreshes too",
        {**ROTATED, "user": None},
        cookies=r(),
        view="idle",
    )


def expired_cookie(*arguments):
    return f"access_token={expired(*arguments)}"


def uploads():
    length = [("Content-Length", "65537")]
    chunked = [("Transfer-Encoding", "chunked")]
    at_65536 = [("Content-Length", "65536")]

    def is_upload(name, **request):
        case("upload", f"{name} is an upload", SIGNED_IN, cookies=r(), **request)

    def is_not(name, **request):
        case("upload", f"{name} is not an upload", ROTATED, cookies=r(), **request)

    for method in ("POST", "PUT", "PATCH"):
        is_upload(f"{method} of 65537 bytes", method=method, headers=length)
        is_upload(f"{method} in chunks", method=method, headers=chunked)
        is_not(f"{method} of 65536 bytes", method=method, headers=at_65536)
        is_not(f"{method} without a body over HTTP/1.1", method=method)
    for version in ("2", "3"):
        is_upload(f"POST without a length over HTTP/{version}", method="POST", version=version)
        is_not(
            f"POST of 10 bytes over HTTP/{version}", method="POST", version=version, headers=[("Content-Length", "10")]
        )
        is_not(f"GET without a length over HTTP/{version}", version=version)
        is_not(f"DELETE without a length over HTTP/{version}", version=version, method="DELETE")
    is_not("POST without a body over HTTP/1.0", method="POST", version="1.0")
    is_upload("POST in chunks that also has a short length", method="POST", headers=[("Content-Length", "1"), *chunked])
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        is_not(f"{method} in chunks", method=method, headers=chunked)
        is_not(f"{method} of 65537 bytes", method=method, headers=length)

    def send(rule, name, answer, generation, headers=length, view="me", **changes):
        case(
            rule,
            name,
            answer,
            cookies=r("laptop", generation),
            rows=laptop(**changes),
            method="POST",
            headers=headers,
            view=view,
        )

    seen = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    send("upload current", "the newest token, not acknowledged", seen, 7, acknowledged_at=None)
    send("upload current", "the newest token, acknowledged in this second", SIGNED_IN, 7, acknowledged_at=T)
    send(
        "upload previous",
        "the previous token, not acknowledged, 15 minutes",
        SIGNED_IN,
        6,
        acknowledged_at=None,
        rotated_at=T - 900,
    )
    send(
        "upload previous",
        "the previous token, acknowledged, 15 minutes",
        SIGNED_IN,
        6,
        acknowledged_at=T - 899,
        rotated_at=T - 900,
    )
    send(
        "upload previous",
        "the previous token, acknowledged in this second",
        SIGNED_IN,
        6,
        acknowledged_at=T,
        rotated_at=T,
    )
    send("upload previous", "the previous token, in chunks", SIGNED_IN, 6, chunked, rotated_at=T - 500)
    send(
        "upload previous", "the previous token, issued in the future", SIGNED_IN, 6, rotated_at=T + 9, acknowledged_at=T
    )
    send(
        "upload late",
        "the previous token, not acknowledged, after 15 minutes",
        LATE,
        6,
        acknowledged_at=None,
        rotated_at=T - 901,
    )
    send(
        "upload late",
        "the previous token, acknowledged, after 15 minutes",
        LATE,
        6,
        acknowledged_at=T - 900,
        rotated_at=T - 901,
    )
    send(
        "upload late",
        "the previous token, acknowledged just now, after 15 minutes",
        LATE,
        6,
        acknowledged_at=T,
        rotated_at=T - 901,
    )
    send("upload late", "a token two generations old", LATE, 5, rotated_at=T, acknowledged_at=None)
    send("upload late", "a token one generation ahead", LATE, 8)
    quiet = {**LATE, "status": 200, "code": None}
    send("upload late", "a late token on a public page", quiet, 5, view="public")
    send("over", "the newest token of an expired session", ANONYMOUS, 7, expires_at=T)
    case(
        "upload late",
        "an upload with an old token without a row",
        ANONYMOUS,
        cookies=r("laptop", 5),
        rows={},
        method="POST",
        headers=length,
    )
    case(
        "upload previous",
        "an upload with an expired access token and the previous token",
        SIGNED_IN,
        cookies=f"{expired_cookie('laptop', 6)}; {r('laptop', 6)}",
        rows=laptop(rotated_at=T - 800, acknowledged_at=T - 790),
        method="PUT",
        headers=chunked,
    )
    noticed = {**SIGNED_IN, "rows": {"laptop": {"last_seen_at": T}}}
    case(
        "upload late",
        "an upload with a valid access token does not use the refresh token",
        noticed,
        cookies=f"{a()}; {r('laptop', 3)}",
        method="POST",
        headers=length,
    )
    case(
        "upload late",
        "an upload over HTTP/2 without a length, late",
        LATE,
        cookies=r("laptop", 5),
        method="POST",
        version="2",
    )
    case("reuse", "an old token in a GET in chunks is a theft", STOLEN, cookies=r("laptop", 5), headers=chunked)


def renderings():
    def proven(secret=RENDER_SECRET):
        return "X-Jwtauth-Render-Secret", secret

    def render(name, answer, cookies, method="GET", view="me", headers=(), rows=None, **options):
        options = {"configuration": "render server", **options}
        case(
            "render",
            name,
            answer,
            cookies=cookies,
            rows=rows,
            method=method,
            view=view,
            **options,
            headers=[proven(), *headers],
        )

    seen = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    unseen = {"acknowledged_at": None}
    quarter = {"rotated_at": T - 900}
    later = {"rotated_at": T - 901}
    render("the newest token, long after the grace", SIGNED_IN, r())
    render("the newest token, not acknowledged", seen, r(), rows=laptop(**unseen))
    render("the newest token, within the grace", SIGNED_IN, r(), rows=laptop(rotated_at=T, acknowledged_at=T))
    render(
        "the previous token, not acknowledged, 15 minutes", SIGNED_IN, r("laptop", 6), rows=laptop(**unseen, **quarter)
    )
    render(
        "the previous token, acknowledged, 15 minutes",
        SIGNED_IN,
        r("laptop", 6),
        rows=laptop(acknowledged_at=T - 899, **quarter),
    )
    render(
        "the previous token, acknowledged in this second",
        SIGNED_IN,
        r("laptop", 6),
        rows=laptop(acknowledged_at=T, rotated_at=T),
    )
    render(
        "the previous token, not acknowledged, after 15 minutes", LATE, r("laptop", 6), rows=laptop(**unseen, **later)
    )
    render(
        "the previous token, acknowledged, after 15 minutes",
        LATE,
        r("laptop", 6),
        rows=laptop(acknowledged_at=T - 900, **later),
    )
    render("a token two generations old", LATE, r("laptop", 5), rows=laptop(rotated_at=T, **unseen))
    render("a token one generation ahead", LATE, r("laptop", 8))
    render("a late token on a public page", {**LATE, "status": 200, "code": None}, r("laptop", 5), view="public")
    render("a late token with an unsafe request", LATE, r("laptop", 5), method="POST")
    render("the newest token of an expired session", ANONYMOUS, r(), rows=laptop(expires_at=T))
    render("a token without a row", ANONYMOUS, r(), rows={})
    for method in ("HEAD", "OPTIONS", "POST", "DELETE"):
        render(f"the newest token with {method}", SIGNED_IN, r(), method=method)
    render(
        "an expired access token with the previous token",
        SIGNED_IN,
        f"{expired_cookie('laptop', 6)}; {r('laptop', 6)}",
        rows=laptop(rotated_at=T - 800, acknowledged_at=T - 790),
    )
    render("an access token of the newest generation, not acknowledged", SIGNED_IN, a(), rows=laptop(**unseen))
    render("both tokens of the newest generation, not acknowledged", SIGNED_IN, f"{a()}; {r()}", rows=laptop(**unseen))
    render("an access token of an ended session", ANONYMOUS, a(), rows={})
    noted = {**SIGNED_IN, "rows": {"laptop": {"last_seen_at": T}}}
    render("an access token with an unsafe request", noted, a(), method="POST")
    render(
        "an unsafe request from another site",
        FOREIGN,
        r(),
        method="POST",
        headers=[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")],
    )
    bearer = {**seen, "vary": ["Authorization"]}
    render(
        "a bearer token works as in any other request",
        bearer,
        (),
        rows=laptop(**unseen),
        headers=[("Authorization", f"Bearer {access()}")],
    )
    render(
        "a login sets cookies",
        logged_in(["laptop"], ["session_started", "session_ended"]),
        r(),
        view="login",
        method="POST",
    )
    render("a logout clears cookies", logged_out("laptop"), r(), view="logout", method="POST")
    handshake = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Origin", OWN)]
    opened = {**ROTATED, "status": 101, "vary": None, "cache_control": None}
    render("a WebSocket handshake refreshes and sets cookies", opened, r(), view="websocket", headers=handshake)

    def brings(name, answer, *headers, cookies=None, **options):
        options = {"configuration": "render server", **options}
        case("render secret", name, answer, cookies=r() if cookies is None else cookies, headers=headers, **options)

    def ignored(answer):
        return {**answer, "events": ["wrong_render_secret", *answer.get("events", ())]}

    brings("the older secret of two", SIGNED_IN, proven(OLD_RENDER_SECRET))
    brings("the header in lower case", SIGNED_IN, (proven()[0].lower(), RENDER_SECRET))
    brings("no header", ROTATED)
    for name, value in (
        ("another secret", "another-secret-of-a-render-server-that-is-no-more"),
        ("an empty secret", ""),
        ("without its last character", RENDER_SECRET[:-1]),
        ("with one more character", f"{RENDER_SECRET}s"),
        ("in upper case", RENDER_SECRET.upper()),
        ("both, in one field", f"{RENDER_SECRET},{OLD_RENDER_SECRET}"),
        ("the secret and a comma", f"{RENDER_SECRET},"),
        ("non-ASCII octets", "\xff\xe9"),
    ):
        brings(name, ignored(ROTATED), proven(value))
    brings("the secret twice", ignored(ROTATED), proven(), proven())
    brings("both, in two fields", ignored(ROTATED), proven(), proven(OLD_RENDER_SECRET))
    wrong = proven("another-secret-of-a-render-server-that-is-no-more")
    brings("another secret with a stolen token", ignored(STOLEN), wrong, cookies=r("laptop", 5))
    brings("another secret with an access token", ignored(seen), wrong, cookies=a(), rows=laptop(**unseen))
    brings("another secret without a token cookie", ANONYMOUS, wrong, cookies="theme=dark")
    brings("another secret without cookies", ANONYMOUS, wrong, cookies=())
    authorization = ("Authorization", f"Bearer {access()}")
    brings("another secret with a bearer token", {**SIGNED_IN, "vary": ["Authorization"]}, wrong, authorization)
    brings("a secret if the site has none", ROTATED, proven(), configuration="default")
    brings("another secret if the site has none", ROTATED, wrong, configuration="default")


def activities():
    poll = [("X-Jwtauth-Activity", "none")]
    rotated = {
        **SIGNED_IN,
        "set": {"refresh": cookie(8, T, T + 80_000)},
        "cache_control": PRIVATE,
        "rows": {"laptop": {"generation": 8, "acknowledged_at": None, "rotated_at": T, "last_seen_at": T}},
        "events": ["session_refreshed"],
    }
    seen = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    extended = {
        **SIGNED_IN,
        "set": {"access": cookie(7, T, T + ACCESS), "refresh": cookie(7, T - 10, T + IDLE)},
        "cache_control": PRIVATE,
        "rows": {"laptop": {"acknowledged_at": T, "expires_at": T + IDLE, "last_seen_at": T}},
    }

    def at(name, answer, *, cookies=None, headers=poll, rows=None, **options):
        case("activity", name, answer, cookies=cookies or r(), headers=headers, rows=rows, **options)

    at("the newest token", rotated)
    at("in other letters, with spaces", rotated, headers=[("x-jwtauth-activity", " None ")])
    at("any other value is an activity", ROTATED, headers=[("X-Jwtauth-Activity", "no")])
    recent = T - ACCESS + 1
    at("an access token could still be valid", SIGNED_IN, rows=laptop(rotated_at=recent, acknowledged_at=recent))
    at("the newest token, not acknowledged", seen, rows=laptop(acknowledged_at=None))
    at(
        "the previous token, the newest not acknowledged",
        reissued(),
        cookies=r(generation=6),
        rows=laptop(acknowledged_at=None),
    )
    at("a copied token", STOLEN, cookies=r(generation=6))
    at("an access token", SIGNED_IN, cookies=a(), method="POST")
    idle = r(issued_at=T - 10, idle=True)
    unseen = laptop(rotated_at=T - 10, acknowledged_at=None)
    at("the user's request with the token of a poll", extended, cookies=idle, headers=(), rows=unseen)
    at("a poll with the token of a poll", seen, cookies=idle, rows=unseen)


def locks():
    lock = 3600
    locked = {"status": 403, "code": "session_locked"}

    def at(name, answer, *, cookies=None, rows=None, **options):
        cookies = r() if cookies is None else cookies
        case("lock", name, answer, cookies=cookies, rows=rows, configuration="locks", **options)

    at("in this second", locked, rows=laptop(locks_at=T))
    at("long ago", locked, rows=laptop(locks_at=T - 1000))
    at("a view that asks for the user", NO_USER, rows=laptop(locks_at=T), view="public")
    at("an upload", locked, rows=laptop(locks_at=T), method="POST", headers=[("Transfer-Encoding", "chunked")])
    at("a poll", locked, rows=laptop(locks_at=T), headers=[("X-Jwtauth-Activity", "none")])
    at("a copied token", STOLEN, cookies=r(generation=6), rows=laptop(locks_at=T))
    at("an expired session", ANONYMOUS, rows=laptop(locks_at=T, expires_at=T))
    unlocked = {**ROTATED, "rows": {"laptop": {**ROTATED["rows"]["laptop"], "locks_at": T + lock}}}
    at("in a second", unlocked, rows=laptop(locks_at=T + 1))
    at("a row from before the setting", unlocked)
    cut = {**RENEWED, "set": {"access": cookie(7, T, T + 100)}}
    at("access tokens expire with it", cut, rows=laptop(rotated_at=T - 10, acknowledged_at=T - 10, locks_at=T + 100))
    case(
        "lock",
        "without the setting",
        ROTATED | {"rows": {"laptop": {**ROTATED["rows"]["laptop"], "locks_at": None}}},
        cookies=r(),
        rows=laptop(locks_at=T),
    )
    at("a login", logged_in(locks_at=T + lock), cookies=(), rows={}, view="login", method="POST")
    at(
        "its user authenticates again",
        reauthenticated(locks_at=T + lock),
        rows=laptop(locks_at=T),
        view="reauthenticate",
        method="POST",
    )
    at("a logout", logged_out("laptop"), rows=laptop(locks_at=T), view="logout", method="POST")


def devices():
    unproven = {"status": 403, "code": "device_proof_required"}
    for what, key in (("bound", 'dbsc:{"alg":"ES256"}'), ("not yet bound", "")):

        def at(name, answer, *, cookies=None, what=what, key=key, row=None, **options):
            rows = laptop(device_key=key, **(row or {}))
            case("device", f"{what}, {name}", answer, cookies=r() if cookies is None else cookies, rows=rows, **options)

        at("a refresh token", unproven)
        at("a view that asks for the user", NO_USER, view="public")
        for generation in (1, 5, 6, 8, 9, 100):
            at(f"a refresh token of generation {generation}", unproven, cookies=r(generation=generation))
        at("a refresh token within the grace", unproven, row={"rotated_at": T - 10, "acknowledged_at": T - 5})
        at("a parallel request", unproven, cookies=r(generation=6), row={"rotated_at": T - 10, "acknowledged_at": None})
        chunked = [("Transfer-Encoding", "chunked")]
        at("an upload", unproven, method="POST", headers=chunked)
        at("an upload with the former token", unproven, cookies=r(generation=6), method="POST", headers=chunked)
        at("a poll", unproven, headers=[("X-Jwtauth-Activity", "none")])
        at("an access token", SIGNED_IN, cookies=a())
        at("both tokens", SIGNED_IN, cookies=f"{a()}; {r()}")
        at("an expired session", ANONYMOUS, row={"expires_at": T})
        at("a logout", logged_out("laptop"), view="logout", method="POST")
        at("a login", logged_in(["laptop"], ["session_started", "session_ended"]), view="login", method="POST")
    unbindings(unproven)


def unbindings(unproven):
    key = 'dbsc:{"alg":"ES256"}'

    def at(name, answer, *, cookies=None, key=key, row=None, **options):
        rows = laptop(device_key=key, **{"acknowledged_at": None, **(row or {})})
        case("unbind", name, answer, cookies=cookies or r(generation=6), rows=rows, **options)

    unbound = {**reissued(), "rows": {"laptop": {"device_key": None}}, "events": ["session_unbound"]}
    at("the former token", unbound)
    at("the former token, after the grace", {**unbound, **reissued(T - GRACE)}, row={"rotated_at": T - GRACE})
    at("the former token, within the grace", unproven, row={"rotated_at": T - GRACE + 1})
    at("the former token, after the newest was seen", unproven, row={"acknowledged_at": T - 1})
    for generation in (1, 5, 7, 8, 100):
        at(f"a refresh token of generation {generation}", unproven, cookies=r(generation=generation))
    at("a session that must be bound", unproven, key="")
    at("a session that is not bound", reissued(), key=None)
    seen = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    at("an access token of the newest generation", seen, cookies=a())
    at("an access token of the former generation", SIGNED_IN, cookies=a(generation=6))
    chunked = [("Transfer-Encoding", "chunked")]
    upload = {"method": "POST", "headers": chunked}
    at("an upload with the former token", SIGNED_IN, row={"rotated_at": T - 900}, **upload)
    at("a late upload", LATE, row={"rotated_at": T - 901}, **upload)
    at("a poll with the former token", unbound, headers=[("X-Jwtauth-Activity", "none")])
    locked = {"status": 403, "code": "session_locked"}
    at("a locked session", locked, configuration="locks", row={"locks_at": T})


def reauthenticated(amr=("otp",), **changes):
    more = {"auth_time": T, "amr": list(amr)}
    return {
        **SIGNED_IN,
        "set": {"access": cookie(8, T, T + ACCESS, **more), "refresh": cookie(8, T, T + IDLE, **more)},
        "cache_control": PRIVATE,
        "rows": {"laptop": {**ROTATED["rows"]["laptop"], "auth_time": T, "amr": " ".join(amr), **changes}},
        "events": ["session_reauthenticated"],
    }


def reauthentications():
    refused = {"status": 403, "code": "permission_denied"}

    def at(name, answer, *, cookies=None, **options):
        cookies = a() if cookies is None else cookies
        case("reauthenticate", name, answer, cookies=cookies, view="reauthenticate", method="POST", **options)

    at("with an access token", reauthenticated())
    again = {**reauthenticated(), "events": ["session_refreshed", "session_reauthenticated"]}
    at("after a refresh in the same request, whose token the client has not received", again, cookies=r())
    at("methods are added", reauthenticated(["otp", "pwd"]), cookies=a(amr=["pwd"]), rows=laptop(amr="pwd"))
    seen = {"rows": {"eve": {"last_seen_at": T}}}
    at("another user's session", {**refused, **seen}, cookies=a("eve"), rows={"eve": row("2")})
    at("an ended session", refused, rows={})
    at("without cookies", refused, cookies=(), rows={})
    at("from another site", FOREIGN, headers=[("Sec-Fetch-Site", "cross-site")])

    def older(name, answer, *, cookies=None, **changes):
        cookies = cookies or r(generation=6, auth_time=T - 5000)
        case(
            "older",
            name,
            answer,
            cookies=cookies,
            rows=laptop(**{"auth_time": T - 10, "rotated_at": T - 10, **changes}),
        )

    older("of the previous generation, in the grace", SIGNED_IN, acknowledged_at=None)
    older("the newest acknowledged", SIGNED_IN, acknowledged_at=T - 5)
    older("without the claim, as of an earlier version", SIGNED_IN, cookies=r(generation=6), acknowledged_at=None)
    older("the response was lost", reissued(), acknowledged_at=None, auth_time=T - 1000, rotated_at=T - 1000)
    older("the newest in use", STOLEN, acknowledged_at=T - GRACE, auth_time=T - 1000, rotated_at=T - 1000)
    newer = {"auth_time": T - 1000, "amr": ["otp"]}
    kept = {
        **ROTATED,
        "set": {"access": cookie(8, T, T + ACCESS, **newer), "refresh": cookie(8, T, T + IDLE, **newer)},
    }
    older(
        "a refresh of the newer tokens keeps their time",
        kept,
        cookies=r(**newer),
        auth_time=T - 1000,
        rotated_at=T - 1000,
        acknowledged_at=T - 990,
        amr="otp",
    )


def requirements():
    def at(name, answer, cookies, view="recent", **changes):
        case("recent", name, answer, cookies=cookies, view=view, rows=laptop(**changes))

    def missing(max_age=None, methods=()):
        body = {"missing": {"max_age": max_age, "methods": list(methods)}}
        return {"status": 403, "code": "reauthentication_required", **body}

    for age, answer in [(299, SIGNED_IN), (300, missing(300))]:
        at(f"{age} seconds ago", answer, a(auth_time=T - age), auth_time=T - age)
        at(f"a login {age} seconds ago", answer, a(), created_at=T - age)
    at("an older token", missing(300), a(auth_time=T - 5000), auth_time=T - 10)
    at("the row has lost it", missing(300), a(auth_time=T - 10))
    at("a refresh does not count", {**ROTATED, "user": None, **missing(300)}, r())
    at("without cookies", ANONYMOUS, ())
    at("with the method", SIGNED_IN, a(amr=["otp", "pwd"]), view="otp")
    at("without the method", missing(methods=["otp"]), a(amr=["pwd"]), view="otp", amr="otp pwd")


def origins():
    good = laptop(last_seen_at=T)

    def write(rule, name, is_let_in, *headers, method="POST", cookies=None, sent_to=OWN):
        answer = SIGNED_IN if is_let_in else FOREIGN
        case(rule, name, answer, cookies=cookies or a(), rows=good, method=method, headers=headers, sent_to=sent_to)

    def origin(value):
        return "Origin", value

    def site(value):
        return "Sec-Fetch-Site", value

    evil, trusted, wild = "https://evil.example", "https://trusted.example", "https://a.wild.example:8443"

    for method in ("GET", "HEAD", "OPTIONS"):
        write("origin safe", f"{method} from another site", True, site("cross-site"), origin(evil), method=method)
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
        write(
            "origin other site", f"{method} from another site", False, site("cross-site"), origin(evil), method=method
        )

    same = site("same-origin")
    write("origin same-origin", "same-origin without Origin", True, same)
    write("origin same-origin", "same-origin with Origin: null", True, same, origin("null"))
    write("origin same-origin", "same-origin with its own Origin", True, same, origin(OWN))

    none = site("none")
    write("origin none", "none with its own Origin", True, none, origin(OWN))
    write("origin none", "none with a trusted Origin", True, none, origin(trusted))
    write("origin none", "none with an Origin under a wildcard", True, none, origin(wild))
    write("origin none", "none with Origin: null", False, none, origin("null"))
    write("origin none", "none without Origin", False, none)
    write("origin none", "none with a foreign Origin", False, none, origin(evil))
    write("origin none", "none with its own host under another scheme", False, none, origin("http://own.example"))
    case("origin safe", "none without Origin with GET", SIGNED_IN, cookies=a(), rows=good, headers=[none])

    for value in ("same-site", "cross-site"):
        write("origin other site", f"{value} without Origin", False, site(value))
        write("origin other site", f"{value} with Origin: null", False, site(value), origin("null"))
        write("origin other site", f"{value} with its own Origin", False, site(value), origin(OWN))
        write("origin other site", f"{value} with a trusted Origin", True, site(value), origin(trusted))
        write("origin other site", f"{value} with an Origin under a wildcard", True, site(value), origin(wild))
    for value in ("", "Same-Origin", "nonsense"):
        write("origin other site", f"Sec-Fetch-Site: {value!r}", False, site(value), origin(OWN))
    write("origin other site", "same-origin with a non-ASCII octet", False, site("same-origin\xff"), origin(OWN))
    write("origin other site", "same-origin twice", False, same, same, origin(OWN))
    write("origin other site", "same-origin, then cross-site", False, same, site("cross-site"), origin(OWN))
    write("origin other site", "several with a trusted Origin", True, same, site("cross-site"), origin(trusted))

    for text in (OWN, "https://own.example:443", "https://OWN.example", trusted, wild):
        write("origin alone", f"Origin {text}", True, origin(text))
    write("origin alone", "Origin https://wild.example:8443", True, origin("https://wild.example:8443"))
    write("origin alone", "Origin https://a.b.wild.example:8443", True, origin("https://a.b.wild.example:8443"))
    for text in (
        "null",
        "",
        evil,
        "http://own.example",
        "https://own.example:8443",
        "https://www.own.example",
        "https://own.example.evil.example",
        "https://own.example/",
        "https://user@own.example",
        "https://a.wild.example",
        "http://a.wild.example:8443",
        "https://evilwild.example:8443",
        "https://sub.trusted.example",
    ):
        write("origin alone", f"Origin {text!r}", False, origin(text))
    write("origin alone", "a non-ASCII Origin", False, origin("https://own.example\xe9"))
    write("origin alone", "its own Origin twice", False, origin(OWN), origin(OWN))
    at_port = "https://own.example:8443"
    write("origin alone", "another port, sent to that port", True, origin(at_port), sent_to=at_port)
    write("origin alone", "the default port, sent to another", False, origin(OWN), sent_to=at_port)
    write("origin neither", "neither header", True)
    write("origin other site", "a refresh token from another site", False, site("cross-site"), cookies=r())
    write(
        "origin other site", "an old refresh token from another site", False, site("cross-site"), cookies=r("laptop", 5)
    )
    write("origin alone", "a refresh token from a foreign Origin", False, origin(evil), cookies=r())

    def unasked(name, cookies, rows=good):
        case(
            "origin not asked",
            name,
            {**NO_USER, "vary": ["Cookie"]},
            cookies=cookies,
            rows=rows,
            view="public",
            method="POST",
            headers=[site("cross-site"), origin(evil)],
        )

    unasked("without cookies", ())
    unasked("with an invalid cookie", "access_token=x")
    unasked("with an expired token", expired_cookie())
    unasked("with tokens of two users", f"{a()}; {r('eve')}", {"laptop": row(), "eve": row("2")})
    two = f"{a()}; {r('eve')}"
    write("origin other site", "with a token of an ended session", False, site("cross-site"), cookies=two)

    upgrade = ("Upgrade", "websocket")
    case("origin websocket", "a foreign handshake at a view", FOREIGN, cookies=a(), headers=[upgrade, origin(evil)])
    case("origin websocket", "a handshake without Origin at a view", FOREIGN, cookies=a(), headers=[upgrade])
    case("origin websocket", "its own handshake at a view", SIGNED_IN, cookies=a(), headers=[upgrade, origin(OWN)])

    def handshake(name, is_let_in, *headers, cookies=None):
        answer = OPEN if is_let_in else CLOSED
        case("origin websocket", name, answer, cookies=cookies or a(), headers=[upgrade, *headers], view="websocket")

    handshake("with its own Origin", True, origin(OWN))
    handshake("with its own Origin and port", True, origin("https://own.example:443"))
    handshake("with a trusted Origin", True, origin(trusted))
    handshake("with an Origin under a wildcard", True, origin(wild))
    handshake("without Origin", False)
    handshake("that is same-origin, without Origin", False, same)
    handshake("that is same-origin, with a foreign Origin", False, same, origin(evil))
    handshake("with Origin: null", False, origin("null"))
    handshake("with a foreign Origin", False, origin(evil))
    handshake("with its own host under another scheme", False, origin("http://own.example"))
    handshake("with its own Origin twice", False, origin(OWN), origin(OWN))
    handshake("from another origin with a refresh token", False, origin(evil), cookies=r())
    handshake("from another origin with an old refresh token", False, origin(evil), cookies=r("laptop", 5))
    open_to_all = [upgrade, origin(evil)]
    case("origin websocket", "a foreign handshake without cookies", OPEN_TO_ALL, headers=open_to_all, view="websocket")


def websockets():
    own = [("Upgrade", "websocket"), ("Origin", OWN)]

    def handshake(name, answer, cookies, rows=None, headers=own):
        answer = {**answer, "vary": None, "cache_control": None}
        if answer["status"] == 200:
            answer["status"] = 101
        case("websocket", name, answer, cookies=cookies, rows=rows, headers=headers, view="websocket")

    open_to_all = {**NO_USER, "status": 101}
    handshake("with the newest refresh token", ROTATED, r())
    handshake("within the grace", RENEWED, r(), laptop(acknowledged_at=T))
    handshake("with the newest refresh token, not acknowledged", RENEWED_AND_SEEN, r(), laptop(acknowledged_at=None))
    handshake("with the previous token, not acknowledged", reissued(), r("laptop", 6), laptop(acknowledged_at=None))
    stolen = {**STOLEN, "status": 101, "code": None, "user": None}
    handshake("with a stolen token", stolen, r("laptop", 5))
    handshake(
        "with an old token and a body in chunks",
        stolen,
        r("laptop", 5),
        headers=[*own, ("Transfer-Encoding", "chunked")],
    )
    handshake("ahead of the row", adopted(8), r("laptop", 8))
    handshake("with an access token", SIGNED_IN, a())
    seen = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    handshake("with an access token, not acknowledged", seen, a(), laptop(acknowledged_at=None))
    handshake("of an ended session", open_to_all, a(), {})
    handshake("without cookies", open_to_all, ())
    handshake("with tokens of two users", open_to_all, f"{a()}; {a('eve')}", {"laptop": row(), "eve": row("2")})
    foreign = [("Upgrade", "websocket"), ("Origin", "https://evil.example")]
    bearer = ("Authorization", f"Bearer {access()}")
    handshake("with a bearer token from another origin", SIGNED_IN, (), headers=[*foreign, bearer])
    refused = {"status": 401, "code": "token_not_valid"}
    handshake("with an invalid bearer token", refused, a(), headers=[*own, ("Authorization", "Bearer x")])
    handshake("with a bearer token of an ended session", refused, (), {}, headers=[*own, bearer])


def logins():
    cross = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")]
    own = [("Sec-Fetch-Site", "same-origin"), ("Origin", OWN)]

    def login(rule, name, answer, headers=own, cookies=(), rows=None, view="login"):
        case(
            rule,
            name,
            answer,
            headers=headers,
            cookies=cookies,
            rows={} if rows is None else rows,
            view=view,
            method="POST",
        )

    login("login", "a login", logged_in())
    login("login", "a login from a non-browser client", logged_in(), headers=[])
    login("remember", "a login for a browser session", logged_in(remember=False), view="login-forget")
    fixed = logged_in(expires_at=T + 3600, end_is_fixed=True)
    login("login", "a login with a lifetime", fixed, view="login-hour")
    both = ["session_started", "session_ended"]
    replaced = logged_in(["laptop"], both)
    login("login", "a login over the same user's session", replaced, cookies=f"{a()}; {r()}", rows=laptop())
    login("login", "a login over an expired access token", replaced, cookies=expired_cookie(), rows=laptop())
    stale = f"refresh_token={refresh(expires_at=T)}"
    login("login", "a login over an expired refresh token", replaced, cookies=stale, rows=laptop())
    login("login", "a login over an ended session", logged_in(), cookies=a())
    eve = {"eve": row("2")}
    login("login", "a login over another user's session", logged_in(["eve"], both), cookies=a("eve"), rows=eve)
    two = {"laptop": row(), "eve": row("2")}
    named = f"{a()}; {a('eve')}"
    login("login", "a login over tokens of two users", logged_in(["laptop", "eve"], both), cookies=named, rows=two)
    refreshed = logged_in(["laptop"], ["session_refreshed", *both])
    login("login", "a login with only a refresh token", refreshed, cookies=r(), rows=laptop())
    theft = logged_in(["laptop"], ["session_ended", "refresh_token_reused", "session_started"])
    login("login", "a login with a stolen token", theft, cookies=r("laptop", 5), rows=laptop())
    phone = {"laptop": row(), "phone": row()}
    login("login", "a login leaves other sessions alone", replaced, cookies=a(), rows=phone)
    by_bearer = {**logged_in(["phone"], both), "vary": ["Cookie", "Authorization"]}
    authorization = [*own, ("Authorization", f"Bearer {access('phone')}")]
    login(
        "login", "a login with a bearer token leaves the cookies' session alone", by_bearer, authorization, a(), phone
    )

    unmarked = {**FOREIGN, "vary": []}
    login("login origin", "a login from another site", unmarked, cross)
    none = [("Sec-Fetch-Site", "none"), ("Origin", "null")]
    login("login origin", "a login from Sec-Fetch-Site: none and Origin: null", unmarked, none)
    login("login origin", "a login from a foreign Origin", unmarked, [("Origin", "https://evil.example")])
    login("login origin", "a login from Origin: null", unmarked, [("Origin", "null")])
    login(
        "login origin",
        "a login from a sibling host",
        unmarked,
        [("Sec-Fetch-Site", "same-site"), ("Origin", "https://www.own.example")],
    )
    login(
        "login origin",
        "a login from a trusted origin",
        logged_in(),
        [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://trusted.example")],
    )
    login("login origin", "a login with valid cookies from another site", FOREIGN, cross, a(), laptop())
    login("login origin", "a login with expired cookies from another site", FOREIGN, cross, expired_cookie(), laptop())
    login("login origin", "a login with tokens of two users from another site", FOREIGN, cross, named, two)
    login("login origin", "a login that any origin may make", logged_in(), cross, view="login-callback")

    def logout(rule, name, answer, cookies=(), rows=None, headers=own, configuration="default"):
        case(
            rule,
            name,
            answer,
            headers=headers,
            cookies=cookies,
            rows=laptop() if rows is None else rows,
            view="logout",
            method="POST",
            configuration=configuration,
        )

    logout("logout", "a logout", logged_out("laptop"), f"{a()}; {r()}")
    logout("logout", "a logout with only the access token", logged_out("laptop"), a())
    logout("logout", "a logout with an expired access token", logged_out("laptop"), expired_cookie())
    logout("logout", "a logout with an expired refresh token", logged_out("laptop"), stale)
    refreshed = logged_out("laptop", events=["session_refreshed", "session_ended"])
    logout("logout", "a logout with only the refresh token", refreshed, r())
    logout("logout", "a logout with tokens of two users", logged_out("laptop", "eve"), named, two)
    logout(
        "logout",
        "a logout with tokens of two sessions",
        logged_out("laptop", "phone"),
        f"{a()}; {r('phone')}",
        {
            "laptop": row(),
            "phone": row(acknowledged_at=T),
        },
    )
    logout("logout", "a logout of an ended session", logged_out(), a(), {})
    logout("logout", "a logout leaves other sessions alone", logged_out("laptop"), a(), phone)
    logout("logout", "a logout with non-ASCII octets", logged_out("laptop"), f"name=JosÃ©; {a()}")
    spread = [f"many-{number}" for number in range(1, 10)]
    cookies = "; ".join(f"access_token={expired(name)}" for name in spread)
    logout(
        "eight",
        "a logout reads eight cookies with one name",
        logged_out(*spread[:8]),
        cookies,
        dict.fromkeys(spread, row()),
    )
    eight = logged_in(spread[:8], both)
    login("eight", "a login reads eight cookies with one name", eight, own, cookies, dict.fromkeys(spread, row()))
    late = logged_out("laptop", events=["late_upload", "session_ended"])
    large = [*own, ("Content-Length", "65537")]
    logout("logout", "a logout with an upload and an old token", late, r("laptop", 5), headers=large)
    stolen = logged_out(events=["session_ended", "refresh_token_reused"])
    stolen["rows"] = {"laptop": "gone"}
    logout("logout", "a logout with a stolen token", stolen, r("laptop", 5))
    by_bearer = {**logged_out("phone", cleared=False), "vary": ["Authorization"]}
    logout("logout", "a logout with a bearer token leaves the cookies alone", by_bearer, a(), phone, authorization)

    silent = logged_out(cleared=False)
    logout("clear", "a logout without cookies", silent)
    logout("clear", "a logout with other cookies", silent, "theme=dark; access_tokens=1")
    logout("clear", "a logout with an invalid cookie", logged_out(), "access_token=x")
    logout("clear", "a logout with an empty cookie", logged_out(), "refresh_token=")
    planted = f"\xe2\x80\x80__Host-access_token={access()}"
    logout("clear", "a logout with a planted cookie", silent, planted, configuration="host names")
    logout("clear", "a logout clears within the settings' scope", logged_out("laptop"), a(), configuration="scoped")
    logout(
        "clear",
        "a logout with other cookie names",
        logged_out("laptop"),
        f"__Host-access_token={access()}",
        configuration="host names",
    )

    logout("logout origin", "a logout from another site", unmarked, headers=cross)
    logout("logout origin", "a logout from a foreign Origin", unmarked, headers=[("Origin", "https://evil.example")])
    logout("logout origin", "a logout from Sec-Fetch-Site: none and Origin: null", unmarked, headers=none)
    logout("logout origin", "a logout with valid cookies from another site", FOREIGN, a(), headers=cross)
    logout("logout origin", "a logout with expired cookies from another site", FOREIGN, expired_cookie(), headers=cross)
    logout(
        "logout origin", "a logout with an invalid cookie from another site", FOREIGN, "access_token=x", headers=cross
    )
    logout(
        "logout origin",
        "a logout from a trusted origin",
        logged_out("laptop"),
        a(),
        headers=[("Origin", "https://trusted.example")],
    )


def cookies():
    host, eve = "host names", {"laptop": row(), "eve": row("2")}
    mine, hers = f"__Host-access_token={access()}", f"__Host-access_token={access('eve')}"

    def named(name, answer, field):
        case("names", name, answer, cookies=field, rows=eve, configuration=host)

    named("a cookie with the prefix", SIGNED_IN, mine)
    named("a cookie without the prefix", ANONYMOUS, a())
    spaces = {
        "U+2000": "\xe2\x80\x80",
        "U+00A0": "\xc2\xa0",
        "U+0085": "\xc2\x85",
        "U+3000": "\xe3\x80\x80",
        "octet A0": "\xa0",
        "octet 85": "\x85",
    }
    for space, octets in spaces.items():
        named(f"a cookie planted with {space}", ANONYMOUS, f"{octets}{hers}")
        named(f"a cookie planted with {space} before the real one", SIGNED_IN, f"{octets}{hers}; {mine}")
    named("a cookie planted after the real one", SIGNED_IN, f"{mine}; \xe2\x80\x80{hers}")
    named("a no-break space after the name", ANONYMOUS, f"__Host-access_token\xc2\xa0={access('eve')}")
    case(
        "names", "space and tab around name and value", SIGNED_IN, cookies=f"a=b;\t access_token \t= {access()} \t; c=d"
    )
    case("names", "a name in another case", ANONYMOUS, cookies=f"Access_Token={access()}")
    case("names", "a longer name", ANONYMOUS, cookies=f"access_token2={access()}; xaccess_token={access()}")
    case("names", "a value in quotes", SIGNED_IN, cookies=f'access_token="{access()}"')
    case("names", "a value in two pairs of quotes", ANONYMOUS, cookies=f'access_token=""{access()}""')
    case("names", "no space between cookies", SIGNED_IN, cookies=f"a=b;{a()};c=d")

    case("octets", "UTF-8 in another cookie", SIGNED_IN, cookies=f"name=JosÃ©; {a()}")
    case("octets", "UTF-8 in a later cookie", SIGNED_IN, cookies=f"{a()}; name=JosÃ©")
    case("octets", "Latin-1 in another cookie", SIGNED_IN, cookies=f"name=Jos\xe9; {a()}")
    case("octets", "octets that are not text", SIGNED_IN, cookies=f"name=\xff\xfe; {a()}")
    case("octets", "octets in another cookie's name", SIGNED_IN, cookies=f"\xc3\xa9=1; {a()}")
    case("octets", "a refresh token with non-ASCII octets", ROTATED, cookies=f"name=JosÃ©; {r()}")
    case("octets", "octets after a token", ANONYMOUS, cookies=f"{a()}\xe9")

    case("fields", "one cookie per field", SIGNED_IN, cookies=["a=b", a(), "c=d"], version="2")
    case("fields", "tokens in two fields", SIGNED_IN, cookies=[a(), r()], version="2")
    case("fields", "a refresh token in a separate field", ROTATED, cookies=["a=b", r()], version="2")
    case("fields", "several fields over HTTP/1.1", SIGNED_IN, cookies=["a=b", a(), r()])
    case("fields", "octets in another field", SIGNED_IN, cookies=["name=JosÃ©", a()], version="2")
    case("fields", "two users in two fields", ANONYMOUS, cookies=[a(), a("eve")], rows=eve, version="2")

    def junk(count, name="access_token"):
        return "; ".join([f"{name}=x"] * count)

    case("eight", "seven invalid cookies before a valid one", SIGNED_IN, cookies=f"{junk(7)}; {a()}")
    case("eight", "eight invalid cookies before a valid one", ANONYMOUS, cookies=f"{junk(8)}; {a()}")
    case("eight", "eight invalid cookies after a valid one", SIGNED_IN, cookies=f"{a()}; {junk(8)}")
    case("eight", "eight invalid access cookies before a refresh token", ROTATED, cookies=f"{junk(8)}; {r()}")
    case(
        "eight",
        "seven invalid refresh cookies before a valid one",
        ROTATED,
        cookies=f"{junk(7, 'refresh_token')}; {r()}",
    )
    case(
        "eight",
        "eight invalid refresh cookies before a valid one",
        ANONYMOUS,
        cookies=f"{junk(8, 'refresh_token')}; {r()}",
    )
    spread = "; ".join(["access_token=x"] * 4)
    case("eight", "eight invalid cookies in two fields", ANONYMOUS, cookies=[spread, spread, a()], version="2")

    def orders(rule, name, answer, one, other, rows=None):
        case(rule, f"{name}, the one first", answer, cookies=f"{one}; {other}", rows=rows)
        case(rule, f"{name}, the other first", answer, cookies=f"{other}; {one}", rows=rows)

    both = {"laptop": row(last_seen_at=T), "phone": row(acknowledged_at=None)}
    newer = {**SIGNED_IN, "rows": {"phone": {"acknowledged_at": T}}}
    orders("newest", "access tokens of two sessions", newer, a(), a("phone", issued_at=T - 50), both)
    unseen = laptop(acknowledged_at=None)
    newest = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    orders("newest", "access tokens of two generations", newest, a("laptop", 6, issued_at=T - 50), a(), unseen)
    orders("newest", "refresh tokens of two generations, as from two cookie paths", ROTATED, r("laptop", 6), r())
    orders("newest", "a valid and an expired access token", SIGNED_IN, expired_cookie(), a())
    late = {
        **ROTATED,
        "rows": {"phone": ROTATED["rows"]["laptop"]},
        "set": {
            "access": cookie(8, T, T + ACCESS, "phone"),
            "refresh": cookie(8, T, T + IDLE, "phone"),
        },
    }
    two = {"laptop": row(), "phone": row()}
    orders("newest", "refresh tokens of two sessions", late, r(), r("phone", issued_at=T - 900), two)

    two = {"laptop": row(), "eve": row("2")}
    orders("two users", "access tokens of two users", ANONYMOUS, a(), a("eve"), two)
    orders("two users", "the later of two users' access tokens", ANONYMOUS, a(), a("eve", issued_at=T - 1), two)
    orders("two users", "refresh tokens of two users", ANONYMOUS, r(), r("eve"), two)
    orders("two users", "an access and a refresh token of two users", ANONYMOUS, a(), r("eve"), two)
    orders("two users", "a stolen refresh token of another user", ANONYMOUS, a(), r("eve", 5), two)
    orders("two users", "an expired token of another user does not count", SIGNED_IN, a(), expired_cookie("eve"), two)
    pairs = f"{a()}; {r()}; {a('eve')}; {r('eve')}"
    case("two users", "two pairs", ANONYMOUS, cookies=pairs, rows=two)
    alone = {"laptop": row()}
    over = {"laptop": row(), "eve": row("2", expires_at=T)}
    orders("two users", "an access token of an ended session, while it is valid", ANONYMOUS, a(), a("eve"), alone)
    orders("two users", "a refresh token of an ended session does not count", SIGNED_IN, a(), r("eve"), alone)
    orders("two users", "a refresh token of an expired session does not count", SIGNED_IN, a(), r("eve"), over)
    orders("two users", "a refresh with a token of an ended session", ROTATED, r(), r("eve"), alone)
    orders("two users", "refresh tokens of two ended sessions", ANONYMOUS, r(), r("eve"), {})

    for name, value in (
        ("an empty cookie", "access_token="),
        ("a word", "access_token=deleted"),
        ("empty quotes", 'access_token=""'),
        ("octets", "access_token=\xff\xfe\x80; refresh_token=\xff"),
        ("a cookie without a value", "access_token; refresh_token"),
        ("three dots", "refresh_token=..."),
        ("an oversized cookie", f"access_token={'x' * 5000}"),
        ("a refresh token as access token", f"access_token={refresh()}"),
        ("an access token as refresh token", f"refresh_token={access()}"),
        ("a token that expires in this second", a(issued_at=T - 300, expires_at=T)),
        ("a token signed with another key", f"access_token={forged()}"),
        ("a token without its last character", "access_token={truncated}"),
    ):
        case("invalid", name, ANONYMOUS, cookies=value)
    case("invalid", "no cookie", ANONYMOUS)
    case("invalid", "an empty Cookie field", ANONYMOUS, cookies="")
    case("invalid", "a token in its last second", SIGNED_IN, cookies=a(issued_at=T - 299, expires_at=T + 1))
    case(
        "invalid",
        "a forged access token with a valid refresh token",
        ROTATED,
        cookies=f"access_token={forged()}; {r()}",
    )

    def two_sessions(name, answer, access_cookie, refresh_cookie, rows):
        case("sessions", name, answer, cookies=f"{access_cookie}; {refresh_cookie}", rows=rows)

    both = {"laptop": row(), "phone": row()}
    case(
        "sessions",
        "with an access token, an old refresh token of its session is not used",
        SIGNED_IN,
        cookies=f"{a()}; {r('laptop', 3)}",
    )
    two_sessions("a refresh token of another session takes its place", late, a(), r("phone"), both)
    ends = {**STOLEN, "rows": {"phone": "gone"}}
    two_sessions("a stolen token of another session makes the request anonymous", ends, a(), r("phone", 5), both)
    two_sessions("a refresh token without a row leaves the access token", SIGNED_IN, a(), r("phone"), laptop())
    two_sessions("an access token without a row leaves the refresh token", late, a(), r("phone"), {"phone": row()})


def forged():
    claims = {"sub": "1", "sid": sessions["laptop"]["sid"], "gen": 7, "iat": T - 100, "exp": T + 200}
    tokens["forged"] = signed("access", claims, "another key, which is as long as the key of the corpus")
    access()
    tokens["truncated"] = tokens["access laptop 7 -100 +200 1"][:-1]
    return "{forged}"


def bearers():
    cross = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")]
    welcome = {**SIGNED_IN, "vary": ["Authorization"]}

    def bearer(name, answer, token, *headers, scheme="Bearer ", **options):
        case("bearer", name, answer, headers=[("Authorization", f"{scheme}{token}"), *headers], **options)

    bearer("a bearer token", welcome, access())
    bearer("a bearer token with a lower-case scheme", welcome, access(), scheme="bearer ")
    bearer("a bearer token after several spaces", welcome, access(), scheme="Bearer   ")
    seen = {**welcome, "rows": {"laptop": {"last_seen_at": T}}}
    bearer("a bearer token from another site", seen, access(), *cross, method="POST")
    eve = {"laptop": row(), "eve": row("2")}
    bearer("a bearer token with another user's cookies", welcome, access(), cookies=a("eve"), rows=eve)
    bearer("a bearer token with a stolen refresh token", welcome, access(), cookies=r("laptop", 3))
    bearer("a bearer token of an older generation", welcome, access("laptop", 6))
    unseen = laptop(acknowledged_at=None)
    acknowledged = {**welcome, "rows": {"laptop": {"acknowledged_at": T}}}
    bearer("a bearer token acknowledges", acknowledged, access(), rows=unseen)
    bearer("an invalid bearer token", BAD_BEARER, "x")
    bearer("an empty bearer token", BAD_BEARER, "")
    bearer("a non-ASCII bearer token", BAD_BEARER, "\xe9")
    bearer("two bearer tokens", BAD_BEARER, access(), ("Authorization", f"Bearer {access()}"))
    bearer("an expired bearer token", BAD_BEARER, expired())
    bearer("a refresh token as bearer token", BAD_BEARER, refresh())
    bearer("an invalid bearer token with valid cookies", BAD_BEARER, "x", cookies=f"{a()}; {r()}")
    bearer("an invalid bearer token on a public page", BAD_BEARER, "x", view="public")
    bearer("an invalid bearer token from another site", BAD_BEARER, "x", *cross, method="POST")
    bearer("a bearer token of an ended session", BAD_BEARER, access(), rows={})
    bearer("a bearer token of an expired session", BAD_BEARER, access(), rows=laptop(expires_at=T))
    bearer("a bearer token of an inactive user", BAD_BEARER, access("retired"), rows={"retired": row("3")})
    bearer("a bearer token that names another user", BAD_BEARER, access(user="2"))
    bearer("a bearer token if they are disabled", ANONYMOUS, access(), configuration="no bearer")
    bearer("an invalid bearer token if they are disabled", SIGNED_IN, "x", cookies=a(), configuration="no bearer")
    bearer("another scheme", SIGNED_IN, "eDp5", cookies=a(), scheme="Basic ")
    bearer("another scheme without cookies", ANONYMOUS, access(), scheme="Token ")


# --- clients with keys

APP, THIEF = Client("app"), Client("thief")
DPOP_VARY = ["Authorization", "DPoP"]


def app(**changes):
    """Return the row of a session that is bound to the key of `APP`."""
    return {"app": row(**{"device_key": APP.device_key, **changes})}


def bound(*arguments, to=APP, **options):
    """Return an access token that is bound to this key."""
    return access(*(arguments or ("app",)), cnf={"jkt": to.thumbprint}, **options)


def nonce(age=0, key=KEY, kind="nonce"):
    return signed(kind, {"exp": T + NONCE_LIFETIME - age}, key)


def proof(name, of, by=APP, header=(), **changes):
    """Add a proof for `GET /me/` with the token `of`, with other claims in place of some, and return its place."""
    token = tokens.get(of.strip("{}"), of)
    claims = {
        "jti": "1",
        "htm": "GET",
        "htu": f"{OWN}/me/",
        "iat": T,
        "ath": b64(digest(token)),
        "nonce": nonce(),
        **changes,
    }
    made = by.sign(claims, **dict(header))
    assert tokens.setdefault(f"proof {name}", made) == made, f"two proofs have the name {name}"
    return f"{{proof {name}}}"


def with_nonce(answer, cache_control=PRIVATE):
    """Return the answer with a new nonce. No cache stores it."""
    vary = ["Cookie", *DPOP_VARY]
    headers = {**answer["headers"], "DPoP-Nonce": nonce()}
    return {**answer, "headers": headers, "vary": vary, "cache_control": cache_control}


def proven():
    """Return what all requests with a DPoP token have in common: a function that adds a case, and answers."""

    def at(rule, name, answer, *, token=None, scheme="DPoP ", proofs=None, rows=None, headers=(), **options):
        """Add a case. `proofs`: the claims and the parameters that differ in the proof, or the values of `DPoP`."""
        token = bound() if token is None else token
        method, view = options.setdefault("method", "GET"), options.get("view", "me")
        if proofs is None or isinstance(proofs, dict):
            changes = {"htm": method, "htu": f"{OWN}/{view}/", **(proofs or {})}
            proofs = [proof(name, token, **changes)]
        fields = [("Authorization", f"{scheme}{token}"), *(("DPoP", one) for one in proofs), *headers]
        case(rule, name, answer, headers=fields, rows=app() if rows is None else rows, **options)

    welcome = {**SIGNED_IN, "vary": DPOP_VARY, "headers": {"DPoP-Nonce": None}}

    def no(what):
        return {**refused(what), "vary": DPOP_VARY}

    return at, welcome, no


def dpop_requests():
    at, welcome, no = proven()
    cross = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")]
    seen = {**welcome, "rows": {"app": {"last_seen_at": T}}}
    over = no("token")

    at("dpop", "a bound token with a proof", welcome)
    at("dpop", "a lower-case scheme", welcome, scheme="dpop ")
    at("dpop", "several spaces after the scheme", welcome, scheme="DPoP   ")
    at("dpop", "a view for everyone", welcome, view="public")
    for method in ("HEAD", "OPTIONS"):
        at("dpop", f"{method}", welcome, method=method)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        at("dpop", f"{method}", seen, method=method)
        at("dpop", f"{method} from another site", seen, method=method, headers=cross)
    at("dpop", "an upload", seen, method="POST", headers=[("Transfer-Encoding", "chunked")])
    at("dpop", "HTTP/2", welcome, version="2")
    at("dpop", "a token of an older generation", welcome, token=bound("app", 6))
    acknowledged = {**welcome, "rows": {"app": {"acknowledged_at": T}}}
    at("dpop", "a token of the newest generation acknowledges", acknowledged, rows=app(acknowledged_at=None))

    both = {**app(), **laptop()}
    at("dpop", "with cookies of another session", welcome, cookies=f"{a()}; {r()}", rows=both)
    at("dpop", "with another user's cookies", welcome, cookies=a("eve"), rows={**app(), "eve": row("2")})
    at("dpop", "with a stolen refresh token in the cookies", welcome, cookies=r("laptop", 3), rows=both)

    at("dpop", "an invalid token", over, token="x")
    at("dpop", "an empty token", over, token="")
    at("dpop", "an invalid token with valid cookies", over, token="x", cookies=f"{a()}; {r()}", rows=both)
    at("dpop", "an invalid token on a view for everyone", over, token="x", view="public")
    at("dpop", "an invalid token from another site", over, token="x", method="POST", headers=cross)
    at("dpop", "two tokens", over, headers=[("Authorization", f"DPoP {bound()}")])
    at("dpop", "a refresh token", over, token=refresh("app"))
    at("dpop", "an expired token", over, token=bound("app", issued_at=T - 400, expires_at=T - 100))
    at("dpop", "a token that expires in this second", over, token=bound("app", issued_at=T - 300, expires_at=T))
    at("dpop", "an ended session", over, rows={})
    at("dpop", "an ended session on a view for everyone", over, rows={}, view="public")
    at("dpop", "an ended session with valid cookies", over, rows=laptop(), cookies=f"{a()}; {r()}")
    at("dpop", "an expired session", over, rows=app(expires_at=T))
    at("dpop", "an inactive user", over, rows=app(user="3"), token=bound("app", user="3"))
    at("dpop", "a token that names another user", over, token=bound("app", user="2"))
    at("dpop", "a session that is bound to another key", over, rows=app(device_key=THIEF.device_key))
    at("dpop", "a session that is bound to no key", over, rows=app(device_key=None))
    at("dpop", "a session that is bound to a browser", over, rows=app(device_key='dbsc:{"alg":"ES256"}'))
    at("dpop", "a session that must be bound", over, rows=app(device_key=""))

    out = {**logged_out("app", cleared=False), "vary": DPOP_VARY}
    at("dpop", "a logout", out, view="logout", method="POST")
    entered = {**logged_in(["app"], ["session_started", "session_ended"]), "vary": ["Cookie", *DPOP_VARY]}
    at("dpop", "a login, whose session has cookies", entered, view="login", method="POST")

    at("dpop", "if bearer tokens are disabled", ANONYMOUS, configuration="no bearer")
    at("dpop", "disabled, with cookies", SIGNED_IN, cookies=a(), rows=both, configuration="no bearer")
    at("dpop", "another scheme with a proof", SIGNED_IN, scheme="Token ", cookies=a(), rows=both)


def dpop_proofs():
    at, welcome, no = proven()

    def by(name, answer, rule="dpop proof", token=None, **changes):
        at(rule, name, answer, token=token, proofs=changes)

    at("dpop proof", "of a request with a query", welcome, query="page=2")
    other = {"htu": f"{OWN}/me/?page=3"}
    at("dpop proof", "with another query than the request", welcome, query="page=2", proofs=other)
    own = OWN.removeprefix("https://")
    for htu in (
        f"{OWN}/me/?page=2",
        f"{OWN}/me/#top",
        f"HTTPS://{own.upper()}:443/me/",
        f"{OWN}/%6de/",
    ):
        by(f"htu {htu}", welcome, htu=htu)
    for htu in (
        f"{OWN}/me",
        f"{OWN}/ME/",
        f"{OWN}/me/x",
        f"{OWN}//me/",
        f"{OWN}/x/../me/",
        f"{OWN}/public/",
        OWN,
        f"http://{own}/me/",
        f"{OWN}:8443/me/",
        f"https://user@{own}/me/",
        "https://evil.example/me/",
        "https://own.example.evil.example/me/",
        "//own.example/me/",
        "/me/",
        "",
    ):
        by(f"htu {htu or 'empty'}", no("htu"), htu=htu)
    evil = "https://evil.example"
    at("dpop proof", "for another name of the server", no("htu"), sent_to=evil, proofs={"htu": f"{evil}/me/"})
    for htm in ("POST", "HEAD", "get", "GET ", ""):
        by(f"htm {htm!r}", no("htm"), htm=htm)
    at("dpop proof", "of GET with HEAD", no("htm"), method="HEAD", proofs={"htm": "GET"})
    at("dpop proof", "of GET with POST", no("htm"), method="POST", proofs={"htm": "GET"})

    for seconds in (-TOLERANCE, TOLERANCE):
        by(f"iat {seconds:+}", welcome, iat=T + seconds)
        further = seconds + seconds // TOLERANCE
        by(f"iat {further:+}", no("iat"), iat=T + further)
    by("iat with a fraction", welcome, iat=T + 0.5)
    for claim in ("jti", "htm", "htu", "iat"):
        by(f"without {claim}", no("claims"), **{claim: None})
        by(f"{claim} is an array", no("claims"), **{claim: [1]})
    by("iat is text", no("claims"), iat=str(T))
    by("iat is negative", no("claims"), iat=-1)
    by("jti is empty", no("claims"), jti="")
    by("an unknown claim", welcome, extra=[1])

    by("without ath", no("ath"), ath=None)
    by("ath is the token", no("ath"), ath=tokens[bound().strip("{}")])
    by("ath of another token of the key", no("ath"), ath=b64(digest(tokens[bound("app", 6).strip("{}")])))
    by("ath in hexadecimal digits", no("ath"), ath=digest(tokens[bound().strip("{}")]).hex())

    by("by another key", no("key"), by=THIEF)
    by("by another key, with the token's key in the header", no("jws"), by=THIEF, header={"jwk": APP.jwk})
    by("with another key in the header", no("jws"), header={"jwk": THIEF.jwk})
    private = {**APP.jwk, "d": b64(digest("a private key"))}
    for name, header in (
        ("without a key", {"jwk": None}),
        ("with a private key", {"jwk": private}),
        ("with a shared secret as the key", {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
        ("without an algorithm", {"alg": None}),
        ("by the algorithm none", {"alg": "none"}),
        ("by an algorithm of other keys", {"alg": "ES256"}),
        ("without a type", {"typ": None}),
        ("of the type of an access token", {"typ": "at+jwt"}),
        ("of the type of a browser's proof", {"typ": "dbsc+jwt"}),
        ("with a key ID", {"kid": "1"}),
        ("with a critical extension", {"crit": ["b64"], "b64": False}),
    ):
        by(name, no("jws"), header=header)

    good = proof("that is good", bound())
    text = tokens["proof that is good"]
    tokens["proof that is cut"] = text[:-2]
    tokens["proof without a signature"] = text.rpartition(".")[0] + "."
    for name, fields in (
        ("two of them", [good, good]),
        ("two in one header", [f"{good},{good}"]),
        ("a proof and an empty one", [good, ""]),
        ("in quotes", [f'"{good}"']),
        ("cut", ["{proof that is cut}"]),
        ("without its signature", ["{proof without a signature}"]),
        ("a token", [bound()]),
        ("a word", ["x"]),
        ("empty", [""]),
    ):
        at("dpop proof", name, no("jws"), proofs=fields)
    at("dpop proof", "none", no("missing"), proofs=[])
    at("dpop proof", "none, on a view for everyone", no("missing"), proofs=[], view="public")
    at("dpop proof", "none, with valid cookies", no("missing"), proofs=[], cookies=a(), rows={**app(), **laptop()})
    at("dpop proof", "none, of an ended session", no("missing"), proofs=[], rows={})


def dpop_nonces():
    at, welcome, no = proven()

    def by(name, answer, value, **options):
        at("dpop nonce", name, answer, proofs={"nonce": value}, **options)

    half = NONCE_LIFETIME // 2
    again, renewed = with_nonce(no("nonce")), with_nonce(welcome)
    for age, answer in (
        (0, welcome),
        (half - 1, welcome),
        (half, renewed),
        (NONCE_LIFETIME - 1, renewed),
        (NONCE_LIFETIME, again),
        (DAY, again),
    ):
        by(f"{age} seconds old", answer, nonce(age))
    by("from the future, by a clock that is ahead", welcome, nonce(-60))
    for name, value in (
        ("none", None),
        ("empty", ""),
        ("a word", "x"),
        ("a number", 1),
        ("of another server", nonce(key="another key, which is as long as the key of the corpus")),
        ("of another type", nonce(kind="access")),
        ("the access token", tokens[bound().strip("{}")]),
        ("cut", nonce()[:-1]),
    ):
        by(name, again, value)
    by("none, on a view for everyone", again, None, view="public")
    by("none, with POST from another site", again, None, method="POST", headers=[("Sec-Fetch-Site", "cross-site")])
    by("none, with valid cookies", again, None, cookies=f"{a()}; {r()}", rows={**app(), **laptop()})
    by("none, of an ended session", again, None, rows={})
    by("old, with POST", {**renewed, "rows": {"app": {"last_seen_at": T}}}, nonce(half), method="POST")
    by("old, of an ended session", with_nonce(no("token")), nonce(half), rows={})
    by("none, if bearer tokens are disabled", ANONYMOUS, None, configuration="no bearer")

    at("dpop nonce", "none, by another key", no("key"), proofs={"nonce": None, "by": THIEF})
    at("dpop nonce", "none, for another URL", no("htu"), proofs={"nonce": None, "htu": f"{OWN}/public/"})
    at("dpop nonce", "none, with an invalid token", no("token"), token="x", proofs={"nonce": None})

    public = [("Cache-Control", "public, max-age=60"), ("CDN-Cache-Control", "max-age=60"), ("Vary", "Accept")]
    kept = {
        **welcome,
        "cache_control": "public, max-age=60",
        "vary": ["Accept", *DPOP_VARY],
        "headers": {**welcome["headers"], "CDN-Cache-Control": "max-age=60"},
    }
    by("fresh, with a response for caches", kept, nonce(), responds=public)
    private = with_nonce(welcome, "no-store, private, max-age=60")
    private["vary"] = ["Accept", *private["vary"]]
    private["headers"]["CDN-Cache-Control"] = None
    by("old, with a response for caches", private, nonce(half), responds=public)


def dpop_handshakes():
    at, welcome, no = proven()
    upgrade = [("Upgrade", "websocket"), ("Origin", "https://evil.example")]

    def handshake(name, answer, **options):
        answer = {**answer, "vary": None, "cache_control": None}
        at("websocket", name, answer, view="websocket", headers=upgrade, **options)

    accepted = {**welcome, "status": 101}
    handshake("with a bound token and its proof, from another origin", accepted)
    handshake("with an old nonce", with_nonce(accepted), proofs={"nonce": nonce(NONCE_LIFETIME // 2)})
    handshake("without a nonce", with_nonce(no("nonce")), proofs={"nonce": None})
    handshake("without a proof", no("missing"), proofs=[])
    handshake("with a proof for another URL", no("htu"), proofs={"htu": f"{OWN}/me/"})
    handshake("with a proof for the scheme of WebSockets", no("htu"), proofs={"htu": "wss://own.example/websocket/"})
    handshake("with a bound token of an ended session", no("token"), rows={})


def dpop_bound():
    at, _, no = proven()
    at("dpop bound", "an unbound token of an unbound session", no("token"), token=access(), rows=laptop())
    at("dpop bound", "an unbound token of a bound session", no("token"), token=access("app"))
    other = bound(to=THIEF)
    at("dpop bound", "a token that is bound to another key than the session", no("key"), token=other)
    by_thief = {"by": THIEF}
    at("dpop bound", "a token of another key, and a proof by it", no("token"), token=other, proofs=by_thief)
    for name, proofs in (("", []), (" and its proof", None)):
        at("dpop bound", f"a bearer token that is bound{name}", BAD_BEARER, scheme="Bearer ", proofs=proofs)
    unbound = {"token": access("app"), "scheme": "Bearer ", "proofs": []}
    at("dpop bound", "a bearer token of a bound session", BAD_BEARER, **unbound)

    def cookies(name, answer, value, rows=None, headers=(), **options):
        rows = app() if rows is None else rows
        case("dpop bound", name, answer, cookies=value, rows=rows, headers=headers, **options)

    both = {**app(), **laptop()}
    cookie_of_app = f"access_token={bound()}"
    proofs = [("DPoP", proof("beside cookies", bound()))]
    unproven = {"status": 403, "code": "device_proof_required"}
    cookies("a bound token in a cookie", ANONYMOUS, cookie_of_app)
    cookies("a bound token in a cookie, on a view for everyone", NO_USER, cookie_of_app, view="public")
    cookies("a bound token in a cookie, with its proof", ANONYMOUS, cookie_of_app, headers=proofs)
    cookies("a bound token in a cookie, with cookies of another session", SIGNED_IN, f"{cookie_of_app}; {a()}", both)
    cookies("an unbound token of a bound session in a cookie", ANONYMOUS, a("app"))
    for generation in (1, 5, 6, 7, 8, 100):
        cookies(f"a refresh token of generation {generation} in a cookie", unproven, r("app", generation))
    cookies("a refresh token in a cookie, with a proof", unproven, r("app"), headers=proofs)
    cookies("a refresh token in a cookie, on a view for everyone", NO_USER, r("app"), view="public")
    cookies("a logout with a bound token in a cookie", logged_out("app"), cookie_of_app, view="logout", method="POST")
    cookies("a logout with a refresh token in a cookie", logged_out("app"), r("app"), view="logout", method="POST")
    ended = logged_in(["app"], ["session_started", "session_ended"])
    cookies("a login with a bound token in a cookie", ended, cookie_of_app, view="login", method="POST")
    cookies("cookies and a proof", SIGNED_IN, a(), both, headers=proofs)
    cookies("cookies and a proof that is a word", SIGNED_IN, a(), both, headers=[("DPoP", "x")])


def checks():
    def seen(rule, name, answer, cookies=None, method="GET", view="me", **changes):
        case(rule, name, answer, cookies=cookies or a(), rows=laptop(**changes), method=method, view=view)

    case("check", "an access token of an ended session", ANONYMOUS, cookies=a(), rows={})
    case("check", "an access token of an ended session on a public page", NO_USER, cookies=a(), rows={}, view="public")
    case(
        "check",
        "an access token of an ended session if the view does not use the user",
        NO_USER,
        cookies=a(),
        rows={},
        view="idle",
    )
    case("check", "both tokens of an ended session", ANONYMOUS, cookies=f"{a()}; {r()}", rows={})
    seen("check", "an access token of a live session", SIGNED_IN)
    seen("check", "the session expires in this second", ANONYMOUS, expires_at=T)
    seen("check", "the session expires in the next second", SIGNED_IN, expires_at=T + 1)
    seen("check", "the session's absolute limit is reached", ANONYMOUS, created_at=T - ABSOLUTE)
    seen("check", "the session's fixed end outlasts the limit", SIGNED_IN, created_at=T - ABSOLUTE, end_is_fixed=True)
    seen("check", "the session belongs to another user", ANONYMOUS, user="2")
    retired = {"retired": row("3")}
    case("over", "an access token of an inactive user", ANONYMOUS, cookies=a("retired"), rows=retired)

    noted = {**SIGNED_IN, "rows": {"laptop": {"acknowledged_at": T}}}
    seen("acknowledge", "the newest generation, not acknowledged", noted, acknowledged_at=None)
    seen(
        "acknowledge",
        "the newest generation, not acknowledged, on a public page",
        noted,
        acknowledged_at=None,
        view="public",
    )
    seen("acknowledge", "the previous generation", SIGNED_IN, a("laptop", 6), acknowledged_at=None)
    seen("acknowledge", "a generation ahead", SIGNED_IN, a("laptop", 8), acknowledged_at=None)
    seen("acknowledge", "the newest generation, acknowledged", SIGNED_IN)
    seen("acknowledge", "the view does not use the user", NO_USER, acknowledged_at=None, view="idle")

    written = {**SIGNED_IN, "rows": {"laptop": {"last_seen_at": T}}}
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
        seen("last seen", f"{method} after a minute", written, method=method, last_seen_at=T - 60)
        seen("last seen", f"{method} within the minute", SIGNED_IN, method=method, last_seen_at=T - 59)
    for method in ("GET", "HEAD", "OPTIONS"):
        seen("last seen", f"{method} after an hour", SIGNED_IN, method=method, last_seen_at=T - 3600)
    seen(
        "last seen", "last seen in the future, by a clock that is ahead", SIGNED_IN, method="POST", last_seen_at=T + 600
    )
    once = {**SIGNED_IN, "rows": {"laptop": {"last_seen_at": T, "acknowledged_at": T}}}
    seen("last seen", "updated and acknowledged by one request", once, method="POST", acknowledged_at=None)
    seen("last seen", "the view does not use the user", NO_USER, method="POST", view="idle")


def responses():
    def respond(rule, name, answer, responds=(), cookies=(), view="public", **options):
        case(rule, name, answer, cookies=cookies, responds=responds, view=view, **options)

    def vary(value):
        return "Vary", value

    respond("vary", "without cookies, the user not used", {**NO_USER, "vary": []}, view="idle")
    respond("vary", "without cookies, the user used", NO_USER)
    respond("vary", "an invalid cookie, the user not used", NO_USER, cookies="access_token=x", view="idle")
    respond("vary", "other cookies, the user not used", {**NO_USER, "vary": []}, cookies="theme=dark", view="idle")
    respond("vary", "the view's value is kept", {**NO_USER, "vary": ["Accept"]}, [vary("Accept")], view="idle")
    respond("vary", "joined with the view's value", {**SIGNED_IN, "vary": ["Accept", "Cookie"]}, [vary("Accept")], a())
    respond(
        "vary", "already named by the view", {**SIGNED_IN, "vary": ["cookie", "Accept"]}, [vary("cookie, Accept")], a()
    )
    respond("vary", "an asterisk is kept", {**SIGNED_IN, "vary": ["*"]}, [vary("*")], a())
    both = {**SIGNED_IN, "vary": ["Origin", "Authorization"]}
    respond("vary", "with a bearer token", both, [vary("Origin")], headers=[("Authorization", f"Bearer {access()}")])
    respond("vary", "joined if cookies are set", {**ROTATED, "vary": ["Accept", "Cookie"]}, [vary("Accept")], r())
    respond(
        "vary",
        "another scheme, the user not used",
        {**NO_USER, "vary": []},
        view="idle",
        headers=[("Authorization", "Basic eDp5")],
    )

    def control(value):
        return "Cache-Control", value

    for name, present, merged in (
        ("other directives are kept", "max-age=60, no-transform", "no-store, private, max-age=60, no-transform"),
        ("public is removed", "public, max-age=60", "no-store, private, max-age=60"),
        ("each directive once", "No-Store, PRIVATE, must-revalidate", "no-store, private, must-revalidate"),
        ("a quoted list is kept intact", 'no-cache="a, private, b"', 'no-store, private, no-cache="a, private, b"'),
    ):
        respond("cache", f"if cookies are set, {name}", {**ROTATED, "cache_control": merged}, [control(present)], r())
    kept = {**SIGNED_IN, "cache_control": "public, max-age=60"}
    respond("cache", "if no cookie is set, it is kept", kept, [control("public, max-age=60")], a())
    respond(
        "cache",
        "if the user was not used, it is kept",
        {**NO_USER, "vary": [], "cache_control": "public"},
        [control("public")],
        view="idle",
    )
    respond("cache", "if no cookie is set, none is added", SIGNED_IN, (), a())
    renewed = {**RENEWED, "cache_control": "no-store, private, max-age=60"}
    respond(
        "cache",
        "only one cookie is set",
        renewed,
        [control("public, max-age=60")],
        r(),
        rows=laptop(acknowledged_at=T),
    )
    cleared = {**logged_out("laptop"), "cache_control": "no-store, private, max-age=60"}
    respond(
        "cache",
        "if cookies are cleared",
        cleared,
        [control("public, max-age=60")],
        a(),
        view="logout",
        method="POST",
    )
    entered = {**logged_in(), "cache_control": "no-store, private, max-age=60"}
    respond(
        "cache",
        "if a login sets cookies",
        entered,
        [control("public, max-age=60")],
        view="login",
        method="POST",
        rows={},
    )
    not_cleared = {**logged_out(cleared=False), "cache_control": "public"}
    respond("cache", "a logout that clears nothing", not_cleared, [control("public")], view="logout", method="POST")

    names = (
        "CDN-Cache-Control",
        "Cloudflare-CDN-Cache-Control",
        "Surrogate-Control",
        "Edge-Control",
        "X-Accel-Expires",
    )
    for name in names:
        removed = {**ROTATED, "headers": {name: None, "ETag": '"1"'}}
        respond("targeted", f"{name} if cookies are set", removed, [(name, "max-age=60"), ("ETag", '"1"')], r())
    left = {**SIGNED_IN, "headers": dict.fromkeys(names, "max-age=60")}
    respond("targeted", "if no cookie is set, they are kept", left, [(name, "max-age=60") for name in names], a())
    gone = {**logged_out("laptop"), "headers": {"CDN-Cache-Control": None}}
    respond(
        "targeted",
        "if cookies are cleared",
        gone,
        [("CDN-Cache-Control", "max-age=60")],
        a(),
        view="logout",
        method="POST",
    )


def text(corpus):
    """Format each case in a few lines, so that a change of one case changes only those lines."""

    def line(value):
        return json.dumps(value, ensure_ascii=True)

    def block(name, entries):
        return (
            f"{line(name)}: {{\n" + ",\n".join(f"{line(key)}: {line(value)}" for key, value in entries.items()) + "\n}"
        )

    def one(entry):
        head = {key: entry[key] for key in ("name", "rule", "configuration", "unable")}
        parts = [line(head)[1:-1], *(f"{line(key)}: {line(entry[key])}" for key in ("rows", "request", "answer"))]
        return "{" + ",\n".join(parts) + "}"

    parts = [f"{line(name)}: {line(corpus[name])}" for name in ("now", "key")]
    parts += [block(name, corpus[name]) for name in ("users", "rules", "configurations", "sessions", "tokens")]
    parts.append('"cases": [\n' + ",\n".join(map(one, corpus["cases"])) + "\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    for family in (rotation, uploads, renderings, activities, locks, devices, reauthentications, requirements):
        family()
    for family in (origins, websockets, logins, cookies, bearers, checks, responses):
        family()
    for family in (dpop_requests, dpop_proofs, dpop_nonces, dpop_handshakes, dpop_bound):
        family()
    names = [entry["name"] for entry in cases]
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}
    assert {entry["rule"] for entry in cases} == set(RULES), set(RULES) - {entry["rule"] for entry in cases}
    corpus = {
        "now": T,
        "key": KEY,
        "users": USERS,
        "rules": RULES,
        "configurations": CONFIGURATIONS,
        "sessions": dict(sorted(sessions.items())),
        "tokens": dict(sorted(tokens.items())),
        "cases": cases,
    }
    written = text(corpus)
    assert json.loads(written) == corpus
    if "--check" in sys.argv:
        sys.exit(
            None
            if TARGET.read_text() == written
            else "testdata/requests.json differs from the output of scripts/corpus.py"
        )
    TARGET.write_text(written)
    print(f"{len(cases)} cases, {len(tokens)} tokens")


if __name__ == "__main__":
    main()
