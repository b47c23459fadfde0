"""The clients of docs/guides/dpop.md sign in at the demo site, and prove with each request that they have the key."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from django.contrib.auth import get_user_model
from django.test import Client as DjangoClient

from jwtauth.models import Session
from jwtauth.test import force_login
from tests.demo import LONG, Demo, served
from tests.seams.clients.table import FOLDER
from tests.seams.clients.typescript import CLIENTS, compile_clients
from tests.test_startproject import PASSWORD, ROOT, example
from tests.waiting import PATIENCE, stop

GUIDE = ROOT / "docs/guides/dpop.md"
LOGIN = ("ada", "ada-demo-pass")
HOUR = 3600


class Refused(Exception):
    """Raised if the client raises this error."""


class Client:
    """A running client at a site, and the requests that its last step took."""

    def __init__(self, command: list[str], log: Path, site: Demo) -> None:
        self.site, self.log = site, log
        with log.open("wb") as out:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": out, "text": True}
            self.process = subprocess.Popen(command, **pipes)

    def do(self, step: str, *values: object) -> object:
        """Let it do this, and return what it says."""
        self.process.stdin.write(json.dumps([step, *values]) + "\n")
        self.process.stdin.flush()
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line, self.log.read_text(errors="replace")[-3000:]
        said = json.loads(line)
        self.requests = [(path.removeprefix("/auth/"), status) for path, status in said["requests"]]
        if "error" in said:
            raise Refused(said["error"])
        return said["result"]

    def start(self, clock: int = 0) -> None:
        """Begin again with what is kept, as a new process or page does, and with a clock that is ahead."""
        self.do("set_clock", clock)
        self.do("start", f"{self.site.url}/auth/")

    def sign_in(self) -> None:
        self.do("sign_in", *LOGIN)

    def call(self, path: str, times: int = 1) -> object:
        return self.do("call", *[self.site.url + path] * times)[0]

    def close(self) -> None:
        self.process.stdin.close()
        stop(self.process)
        self.process.stdout.close()


def in_python(folder: Path) -> list[str]:
    return [sys.executable, str(FOLDER / "with_dpop.py"), str(CLIENTS / "dpop.py"), str(folder / "login.json")]


def in_typescript(folder: Path) -> list[str]:
    compile_clients(folder)
    return ["node", str(FOLDER / "node/dpop.mjs"), str(folder / "dpop.js")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site"), LONG) as site:
        yield site


@pytest.fixture(scope="module", params=[in_python, in_typescript], ids=["Python", "TypeScript"])
def running(request, site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    client = Client(request.param(folder), folder / "client.log", site)
    yield client
    client.close()


@pytest.fixture
def client(running):
    """Return a client that has just signed in."""
    running.start()
    running.sign_in()
    return running


def refused(client: Client, path: str, body: dict | None = None, **headers: str) -> tuple[int, str]:
    """Return how a program without the key is answered."""
    method = "GET" if body is None else "POST"
    answer = requests.request(method, f"{client.site.url}/auth/{path}", json=body, headers=headers)
    return answer.status_code, answer.json()["code"]


def test_client_signs_in_with_the_nonce_of_a_refusal_and_calls_with_it(client):
    assert client.requests == [("token/", 400), ("token/", 200)]
    me = client.call("/auth/me/?page=1")
    assert (me["user"]["username"], me["session"]["is_device_bound"]) == ("ada", True)
    assert client.requests == [("me/?page=1", 200)]


def test_new_process_continues_the_login_and_asks_for_a_nonce_once(client):
    client.start()
    client.call("/auth/me/")
    assert client.requests == [("me/", 401), ("me/", 200)]
    client.call("/auth/me/")
    assert client.requests == [("me/", 200)]


def test_tokens_are_refreshed_before_they_expire(client):
    unit = 1000 if client.process.args[0] == "node" else 1
    for left, refreshes in {60: [], 5: [("token/refresh/", 200)]}.items():
        client.do("change", {"expiresAt": (time.time() + left) * unit})
        client.call("/auth/me/")
        assert client.requests == [*refreshes, ("me/", 200)]
    client.call("/auth/me/")
    assert client.requests == [("me/", 200)]


def test_refresh_without_a_nonce_asks_for_one(client):
    client.start()
    client.do("change", {"expiresAt": 0})
    client.call("/auth/me/")
    assert client.requests == [("token/refresh/", 400), ("token/refresh/", 200), ("me/", 200)]


def test_access_token_that_ends_early_is_replaced(client):
    client.do("change", {"access": "a.b.c"})
    assert client.call("/auth/me/")["user"]["username"] == "ada"
    assert client.requests == [("me/", 401), ("token/refresh/", 200), ("me/", 200)]


@pytest.mark.parametrize("hours", [-1, 1])
def test_wrong_clock_is_corrected(running, hours):
    running.start(clock=hours * HOUR)
    running.sign_in()
    assert running.requests == [("token/", 400), ("token/", 400), ("token/", 200)]
    running.call("/auth/me/")
    assert running.requests == [("me/", 200)]


def test_tokens_are_worth_nothing_without_the_key(client):
    tokens = client.do("tokens")
    access, refresh = tokens["access"], {"refresh": tokens["refresh"]}
    assert refused(client, "me/", Authorization=f"Bearer {access}") == (401, "token_not_valid")
    assert refused(client, "me/", Authorization=f"DPoP {access}") == (401, "invalid_dpop_proof")
    assert refused(client, "token/refresh/", refresh) == (401, "device_proof_required")
    client.call("/auth/me/")
    assert client.requests == [("me/", 200)]


def test_logout_ends_the_session(client):
    tokens = client.do("tokens")
    client.do("sign_out")
    assert client.requests == [("token/revoke/", 200)]
    with pytest.raises(Refused, match="SignInAgain"):
        client.call("/auth/me/")
    assert client.requests == []
    assert refused(client, "token/refresh/", {"refresh": tokens["refresh"]}) == (401, "token_not_valid")


def test_ended_session_asks_the_user_to_sign_in_again(client):
    requests.post(f"{client.site.url}/auth/token/revoke/", json={"token": client.do("tokens")["refresh"]})
    with pytest.raises(Refused, match="SignInAgain"):
        client.call("/auth/me/")
    assert client.requests == [("me/", 401), ("token/refresh/", 401)]


def test_key_can_only_be_read_by_the_user_or_not_at_all(client):
    if client.process.args[0] == "node":
        with pytest.raises(Refused, match="DOMException"):
            client.do("export_key")
    else:
        assert Path(client.process.args[-1]).stat().st_mode & 0o777 == 0o600


def test_calls_at_the_same_time_refresh_once(client):
    client.do("change", {"expiresAt": 0})
    client.call("/auth/me/", times=5)
    assert sorted(client.requests) == [*[("me/", 200)] * 5, ("token/refresh/", 200)]


# Runs the examples of the guide in order, and sets what it says to set.
COMMANDS = r"""
set -e
take() {{ python -c 'import json, sys; print(json.loads(open("login").read().splitlines()[-1])[sys.argv[1]])' $1; }}
{key}
{first} > first
NONCE=$(sed -n 's/^DPoP-Nonce: \([^\r]*\)\r*$/\1/p' first)
{login} > login
ACCESS=$(take access)
REFRESH=$(take refresh)
{call} > call
{refresh} > refresh
"""


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide's commands are curl's; .ci/run installs it")
def test_commands_of_the_guide_are_answered_as_it_says(site, tmp_path):
    shutil.copy(CLIENTS / "dpop.py", tmp_path)
    shown = {name: f"{{\n{example(GUIDE, name)}}}" for name in ("first", "login", "call", "refresh")}
    commands = COMMANDS.format(key=example(GUIDE, "key"), **shown)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for written, real in {"localhost:8000": f"127.0.0.1:{site.port}", PASSWORD: LOGIN[1]}.items():
        assert written in commands
        commands = commands.replace(written, real)
    subprocess.run(["bash", "-c", commands], cwd=tmp_path, env=environment, check=True, capture_output=True)
    first, login, call, refresh = ((tmp_path / name).read_text() for name in ("first", "login", "call", "refresh"))
    assert first.startswith("HTTP/1.1 400 Bad Request")
    assert '"code":"use_dpop_nonce","error":"use_dpop_nonce"' in first
    assert login.startswith("HTTP/1.1 200 OK")
    assert '{"token_type":"DPoP","access":"' in login
    assert '"username":"ada"' in call
    assert "HTTP/1.1 401 Unauthorized" in call
    assert 'WWW-Authenticate: DPoP error="invalid_dpop_proof", error_description="the header DPoP is missing"' in call
    assert '"The DPoP proof is not valid: the header DPoP is missing.", "code": "invalid_dpop_proof"}' in call
    assert refresh.startswith('{"token_type":"DPoP","access":"')
    assert refresh.endswith("{}")


BEHIND_A_PROXY = """
ALLOWED_HOSTS = ["api.example.com"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
FORCE_SCRIPT_NAME = "/prefix"
"""


def test_proof_is_for_the_url_in_front_of_the_proxy(tmp_path):
    spec = importlib.util.spec_from_file_location("dpop", CLIENTS / "dpop.py")
    dpop = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dpop)
    key, passed_on = dpop.ECKey.generate_key("P-256"), {"Host": "api.example.com", "X-Forwarded-Proto": "https"}
    codes = {}
    with served(tmp_path, LONG + BEHIND_A_PROXY) as site:
        for url in ("https://api.example.com/prefix", "http://api.example.com/prefix", "https://api.example.com"):
            headers = {**passed_on, "DPoP": dpop.proof(key, "POST", f"{url}/auth/token/")}
            codes[url] = requests.post(f"{site.url}/auth/token/", headers=headers).json()["code"]
    assert list(codes.values()) == ["use_dpop_nonce", "invalid_dpop_proof", "invalid_dpop_proof"]


@pytest.mark.django_db
def test_share_of_bound_sessions_is_counted(capsys):
    user = get_user_model().objects.create_user("ada")
    for _ in range(3):
        force_login(DjangoClient(), user)
    Session.objects.filter(pk=Session.objects.first().pk).update(device_key=f"dpop:{'A' * 43}")
    exec(example(GUIDE, "share"), {})
    assert capsys.readouterr().out == "1 of 3\n"
