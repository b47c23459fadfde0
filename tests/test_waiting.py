"""How tests wait: for events, never for a number of seconds that a slow machine exceeds."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import stop, wait_until

TESTS = Path(__file__).parent
# Methods that give up after so many seconds, or milliseconds.
LIMITS = {"wait", "join", "alarm", "set_default_timeout", "settimeout"}
# Methods of asgiref's ApplicationCommunicator, whose default limit is one second.
LIMITED = {"receive_output", "wait"}
# The only places that may bind a port: `free_port`, the servers of the tests that receive a port from it, and tests
# that keep the port bound while they use it.
MAY_BIND = {
    TESTS / "databases/servers.py",
    TESTS / "test_ports.py",
    TESTS / "test_scripts.py",
    TESTS / "seams/browsers/cross_origin_site.py",
}


def calls(of=""):
    for path in TESTS.rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if of in text else ():
            if isinstance(node, ast.Call):
                yield path, node, node.func.attr if isinstance(node.func, ast.Attribute) else ""


def is_seconds(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value > 0


def test_every_time_limit_is_a_named_constant():
    # `PATIENCE` limits what must happen, and `BEFORE_KILL` what may be killed.
    found = [
        f"{path.name}:{node.lineno}"
        for path, node, name in calls()
        if any(keyword.arg in ("timeout", "within") and is_seconds(keyword.value) for keyword in node.keywords)
        or (name in LIMITS and any(map(is_seconds, node.args)))
    ]
    assert found == []


def test_no_time_limit_is_asgiref_s_default_of_one_second():
    names = {"socket", "client", "server"}  # of communicators, in the files that import the class
    found = [
        f"{path.name}:{node.lineno}"
        for path, node, name in calls(of="import ApplicationCommunicator")
        if name in LIMITED and not node.args and getattr(node.func.value, "id", "") in names
    ]
    assert found == []


def test_ports_for_servers_come_from_free_port():
    assert [
        f"{path.name}:{node.lineno}" for path, node, name in calls() if name == "bind" and path not in MAY_BIND
    ] == []


def test_waiting_fails_when_the_process_ends(tmp_path):
    log = tmp_path / "log"
    with (
        log.open("w") as output,
        subprocess.Popen([sys.executable, "-c", "exit('no port')"], stderr=output) as process,
        pytest.raises(RuntimeError, match="the process ended with 1:\nno port"),
    ):
        wait_until(lambda: False, process, log)


def test_process_that_does_not_stop_is_killed():
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"deaf\n"
        assert stop(process, within=0) == -signal.SIGKILL
