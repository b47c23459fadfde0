"""The corpus of requests, ``testdata/requests.json``, replayed through WSGI and ASGI.

Django's test client is not used: the requests are as a server passes them, without the test client's exemptions.
"""

import base64
import hmac
import io
import json
import logging
import subprocess
import sys
import threading
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from jwtauth.asgi import WebSocketAuthMiddleware
from jwtauth.internal.store import clock
from jwtauth.internal.store.admission import auth_hash
from jwtauth.models import Session
from jwtauth.test import stopped_clock
from tests import corpus_site
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
CORPUS = json.loads((ROOT / "testdata/requests.json").read_text())
NOW = CORPUS["now"]
NAMES = {session["id"]: name for name, session in CORPUS["sessions"].items()}
TIMES = {"acknowledged_at", "rotated_at", "created_at", "expires_at", "last_seen_at", "auth_time", "locks_at"}
EMPTY = {"auth_time": None, "locks_at": None, "amr": "", "device_key": None}
"""Columns that the corpus leaves out if they are empty."""


@pytest.fixture(autouse=True)
def hung_up():
    """Close the connections of the threads that ASGI requests use; Django keeps those to a database in memory open."""

    def hang_up(**kwargs):
        if threading.current_thread() is not threading.main_thread():
            BaseDatabaseWrapper.close(connections["default"])

    request_finished.connect(hang_up)
    yield
    request_finished.disconnect(hang_up)


@pytest.fixture
def users(transactional_db):
    """Create the corpus's users, outside of a transaction as requests are."""
    model = get_user_model()
    made = {pk: model(pk=int(pk), username=f"user-{pk}", **user) for pk, user in CORPUS["users"].items()}
    model.objects.bulk_create(made.values())
    return made


@pytest.fixture
def replay(users, settings, caplog):
    """Return a function that replays a case through a face and returns what to compare."""

    def replay(case, send):
        configuration = CORPUS["configurations"][case["configuration"]]
        settings.SECRET_KEY = CORPUS["key"]
        settings.JWTAUTH = configuration["JWTAUTH"]
        settings.CSRF_TRUSTED_ORIGINS = configuration["CSRF_TRUSTED_ORIGINS"]
        settings.ALLOWED_HOSTS = ["own.example"]
        settings.MIDDLEWARE = ["jwtauth.middleware.JWTAuthMiddleware"]
        settings.ROOT_URLCONF = "tests.corpus_site"
        caplog.set_level(logging.INFO, "jwtauth.security")
        caplog.clear()
        Session.objects.all().delete()
        corpus_site.responds[:] = case["request"]["responds"]
        with stopped_clock() as stopped:
            stopped.now = NOW
            for name, row in case["rows"].items():
                insert(CORPUS["sessions"][name]["id"], row, users[row["user"]])
            status, headers, body = send(case["request"], headers_of(case["request"]))
        given = answer(case, status, headers, body)
        given["rows"] = {NAMES.get(str(row.pk), "new"): columns(row) for row in Session.objects.all()}
        given["events"] = [record.event for record in caplog.records if record.name == "jwtauth.security"]
        assert given == expected(case, configuration)

    return replay


def insert(session_id, row, user):
    values = {
        name: value if name not in TIMES or value is None else clock.to_datetime(value) for name, value in row.items()
    }
    Session(id=session_id, **{**values, "user": user}, auth_hash=auth_hash(user)).save(force_insert=True)


def columns(session):
    found = {}
    for name in (*sorted(TIMES), "generation", "end_is_fixed", "remember", "amr", "device_key"):
        value = getattr(session, name)
        found[name] = value if name not in TIMES or value is None else clock.from_datetime(value)
    return {**found, "user": str(session.user_id)}


def headers_of(request):
    """Return the headers with their tokens, with names in lower case, and with `Host`."""
    headers = [("host", urlsplit(request["sent_to"]).netloc)]
    for name, value in request["headers"]:
        for token_name, token in CORPUS["tokens"].items():
            value = value.replace(f"{{{token_name}}}", token)
        headers.append((name.lower(), value))
    return headers


# --- what is compared


def expected(case, configuration):
    wanted = {**case["answer"]}
    attributes = frozenset(configuration["attributes"])
    wanted["cleared"] = {"access": attributes, "refresh": attributes} if wanted["cleared"] else {}
    wanted["rows"] = {}
    for name, after in case["answer"]["rows"].items():
        if after != "gone":
            wanted["rows"][name] = {**EMPTY, **case["rows"].get(name, {}), **({} if after == "unchanged" else after)}
    wanted["set"] = {
        kind: {
            "auth_time": wanted["rows"][cookie["session"]]["created_at"],
            "amr": [],
            **cookie,
            "attributes": attributes,
        }
        for kind, cookie in wanted["set"].items()
    }
    wanted.setdefault("missing", None)
    if case["request"]["method"] == "HEAD":
        del wanted["user"], wanted["code"], wanted["missing"]
    if case["request"]["view"] == "websocket":
        del wanted["code"], wanted["vary"], wanted["cache_control"], wanted["missing"]
    return wanted


def answer(case, status, headers, body):
    """Return the compared parts of a response; ``body`` is ``None`` if there is none."""
    names = {name.lower(): value for name, value in headers if name.lower() != "set-cookie"}
    cookies, cleared = cookies_of(case, [value for name, value in headers if name.lower() == "set-cookie"])
    given = {"status": status, "set": cookies, "cleared": cleared}
    given["headers"] = {name: names.get(name.lower()) for name in case["answer"]["headers"]}
    if case["request"]["view"] == "websocket":
        return {**given, "user": body}
    given["vary"] = [name.strip() for name in names["vary"].split(",")] if "vary" in names else []
    given["cache_control"] = names.get("cache-control")
    if case["request"]["method"] == "HEAD":
        return given
    said = json.loads(body) if names["content-type"] == "application/json" else {}
    missing = {name: said[name] for name in ("max_age", "methods") if name in said} or None
    return {**given, "user": said.get("user"), "code": said.get("code"), "missing": missing}


def cookies_of(case, set_cookies):
    """Return the cookies that are set and cleared, by kind, as the corpus describes them."""
    wanted = CORPUS["configurations"][case["configuration"]]["JWTAUTH"]
    kinds = {wanted.get(f"{kind.upper()}_TOKEN_COOKIE_NAME", f"{kind}_token"): kind for kind in ("access", "refresh")}
    cookies, cleared = {}, {}
    for text in set_cookies:
        pair, *rest = text.strip().split("; ")
        name, _, value = pair.partition("=")
        [morsel] = SimpleCookie(text).values()
        attributes = frozenset(one for one in rest if one.split("=")[0].lower() not in ("max-age", "expires"))
        kind = kinds[name]
        assert kind not in {**cookies, **cleared}, f"{kind} twice"
        if value in ("", '""'):
            assert morsel["max-age"] == "0"
            cleared[kind] = attributes
        else:
            max_age = int(morsel["max-age"]) if morsel["max-age"] else None
            cookies[kind] = {**claims_of(case, kind, value), "max_age": max_age, "attributes": attributes}
    return cookies, cleared


def claims_of(case, kind, token):
    """Return the claims of a token, verified with the standard library."""
    message, _, signature = token.rpartition(".")
    mac = hmac.digest(CORPUS["key"].encode(), message.encode(), "sha256")
    assert base64.urlsafe_b64encode(mac).rstrip(b"=").decode() == signature
    head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in message.split("."))
    assert head == {"alg": "HS256", "typ": {"access": "at+jwt", "refresh": "rt+jwt"}[kind]}
    sids = {session["sid"]: name for name, session in CORPUS["sessions"].items()}
    session = sids.get(claims["sid"], "new")
    row = case["rows"].get(session) or case["answer"]["rows"][session]
    assert claims["sub"] == row["user"]
    return {
        "session": session,
        "generation": claims["gen"],
        "issued_at": claims["iat"],
        "expires_at": claims["exp"],
        "auth_time": claims["auth_time"],
        "amr": claims.get("amr", []),
    }


# --- the faces


def wsgi(request, headers):
    """Build the environment as a server does: repeated headers joined by commas, `Cookie` fields by semicolons."""
    sent_to = urlsplit(request["sent_to"])
    environ = {
        "REQUEST_METHOD": request["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/{request['view']}/",
        "QUERY_STRING": request.get("query", ""),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": f"HTTP/{request['http_version']}",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": sent_to.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
            key = f"HTTP_{key}"
        separator = "; " if name == "cookie" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    started = []
    response = WSGIHandler()(environ, lambda status, headers: started.append((status, headers)))
    body = b"".join(response)
    response.close()
    [(status, answered)] = started
    return int(status.split()[0]), answered, body


def scope_of(request, headers, **more):
    sent_to = urlsplit(request["sent_to"])
    return {
        "asgi": {"version": "3.0"},
        "http_version": request["http_version"],
        "path": f"/{request['view']}/",
        "raw_path": f"/{request['view']}/".encode(),
        "query_string": request.get("query", "").encode(),
        "root_path": "",
        "scheme": sent_to.scheme,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("192.0.2.1", 40_000),
        "server": ("127.0.0.1", 443),
        **more,
    }


def decoded(message):
    return [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]


@async_to_sync
async def asgi(request, headers):
    if request["view"] == "websocket":
        return await handshake(request, headers)
    scope = scope_of(request, headers, type="http", method=request["method"])
    client = ApplicationCommunicator(ASGIHandler(), scope)
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await client.receive_output(PATIENCE)
    body, is_more = b"", True
    while is_more:
        message = await client.receive_output(PATIENCE)
        body, is_more = body + message.get("body", b""), message.get("more_body", False)
    await client.wait(PATIENCE)
    return start["status"], decoded(start), body


async def handshake(request, headers):
    scheme = {"https": "wss", "http": "ws"}[urlsplit(request["sent_to"]).scheme]
    extensions = {"websocket.http.response": {}}
    scope = scope_of(request, headers, type="websocket", scheme=scheme, extensions=extensions, subprotocols=[])
    client = ApplicationCommunicator(WebSocketAuthMiddleware(corpus_site.websocket), scope)
    await client.send_input({"type": "websocket.connect"})
    start = await client.receive_output(PATIENCE)
    if start["type"] == "websocket.http.response.start":
        assert await client.receive_output(PATIENCE) == {"type": "websocket.http.response.body", "body": b""}
        await client.wait(PATIENCE)
        return start["status"], decoded(start), None
    assert start["type"] == "websocket.accept"
    user = (await client.receive_output(PATIENCE))["text"] or None
    await client.send_input({"type": "websocket.disconnect"})
    await client.wait(PATIENCE)
    return 101, decoded({"headers": start.get("headers", [])}), user


def cases(face, rule):
    return [case for case in CORPUS["cases"] if case["rule"] == rule and face not in case["unable"]]


def rules(face):
    return [rule for rule in CORPUS["rules"] if cases(face, rule)]


@pytest.mark.parametrize("rule", rules("wsgi"))
def test_wsgi_gives_the_response_of_every_case_of_the_rule(rule, replay, subtests):
    for case in cases("wsgi", rule):
        with subtests.test(case["name"]):
            replay(case, wsgi)


@pytest.mark.parametrize("rule", rules("asgi"))
def test_asgi_gives_the_response_of_every_case_of_the_rule(rule, replay, subtests):
    for case in cases("asgi", rule):
        with subtests.test(case["name"]):
            replay(case, asgi)


def test_requests_json_is_up_to_date_with_its_script():
    script = [sys.executable, str(ROOT / "scripts/corpus.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
