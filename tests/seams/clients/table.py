"""The programs of the folder `programs`: how each is built and started, and what it requires."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tests.databases import rust
from tests.waiting import PATIENCE, stop

FOLDER = Path(__file__).with_name("programs")


class Program(NamedTuple):
    name: str
    # Build it in this folder and return its command.
    command: Callable[[Path], list[str]]
    # What it requires: a Python package, or a command of a Debian package.
    needs: str
    package: str = ""
    host: str = "127.0.0.1"
    # The cookies that stay in curl's jar at logout because of its bugs.
    may_keep: frozenset[str] = frozenset()
    # Whether it sends Secure cookies to this machine over HTTP.
    secure_here: bool = False

    def lacks(self) -> str | None:
        """Return what is missing on this machine, if anything."""
        if not self.package:
            return None if find_spec(self.needs) else f"no {self.needs}: see requirements/seams.txt"
        return None if shutil.which(self.needs) else f"no {self.needs}: apt install {self.package}"


def python(file: str, *arguments: str) -> Callable[[Path], list[str]]:
    return lambda folder: [sys.executable, str(FOLDER / file), *arguments]


def node(name: str) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        install()
        return ["node", str(FOLDER / "node/client.mjs"), name]

    return command


def install() -> None:
    """Install what package-lock.json names, unless it is installed."""
    lock = FOLDER / "node/package-lock.json"
    installed = FOLDER / "node/node_modules/.package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # threads and other test runs wait
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            run("npm", "ci", cwd=lock.parent)


def go(folder: Path) -> list[str]:
    run("go", "build", "-o", str(folder / "client"), str(FOLDER / "client.go"))
    return [str(folder / "client")]


def java(folder: Path) -> list[str]:
    return ["java", str(FOLDER / "Client.java")]


def reqwest(folder: Path) -> list[str]:
    return [str(rust.build().with_name("jwtauth-reqwest"))]


def run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


PROGRAMS = (
    Program("requests", python("with_requests.py"), "requests"),
    Program("httpx", python("with_httpx.py"), "httpx"),
    Program("httpx async", python("with_httpx_async.py"), "httpx"),
    Program("aiohttp", python("with_aiohttp.py"), "aiohttp", host="localhost"),
    Program("aiohttp unsafe", python("with_aiohttp.py", "unsafe"), "aiohttp"),
    Program("fetch", node("fetch"), "npm", "npm"),
    Program("axios", node("axios"), "npm", "npm"),
    Program("got", node("got"), "npm", "npm"),
    Program("Go", go, "go", "golang-go"),
    Program("Java", java, "javac", "default-jdk-headless"),
    Program("reqwest", reqwest, "cargo", "cargo", secure_here=True),
    Program("curl", python("with_curl.py"), "curl", "curl", may_keep=frozenset({"access_token"}), secure_here=True),
)


class Answer(NamedTuple):
    status: int
    body: str

    def json(self) -> dict:
        return json.loads(self.body)


class Client:
    """A running program, and the cookies of its jar."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.cookies: dict[str, str] = {}
        self.log = folder / f"{program.name}.log"
        command = program.command(folder)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.version = self._read().strip()

    def ask(self, method: str, url: str, count: int) -> list[Answer]:
        """Let it send this many of these requests at once, and return the answers."""
        self.process.stdin.write(f"{method} {url} {count}\n")
        self.process.stdin.flush()
        found = json.loads(self._read())
        self.cookies = found["cookies"]
        return [Answer(**answer) for answer in found["answers"]]

    def close(self) -> None:
        self.process.stdin.close()
        stop(self.process)
        self.process.stdout.close()

    def _read(self) -> str:
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"the program ended:\n{self.log.read_text(errors='replace')[-3000:]}")
        return line
