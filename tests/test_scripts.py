"""The scripts behind `make test` and `make run`, and `scripts/api.py`."""

import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.databases.servers import free_port
from tests.waiting import PATIENCE, stop, wait_until

ROOT = Path(__file__).resolve().parents[1]

TESTS = """
import pytest

@pytest.mark.parametrize("word", ["a word", "two"])
def test_of(word):
    assert word == "two", "not - this"

@pytest.fixture
def broken():
    raise LookupError("FAILED tests/none.py::test_none")

def test_with(broken):
    pass
"""
CARGO = """
running 3 tests
test tests::good ... ok
test tests::bad ... FAILED
test tests::worse ... FAILED

failures:

---- tests::bad stdout ----
    failures: of another kind

failures:
    tests::bad
    crates/jwtauth/src/lib.rs - Keyring::new (line 12)

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s

    Doc-tests jwtauth
"""


def load(name):
    sys.path.insert(0, str(ROOT / "scripts"))  # as Python does for the script that it runs
    spec = importlib.util.spec_from_file_location(f"make_{name}", ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


@pytest.fixture
def script():
    """Load `scripts/test.py`, which has run no step."""
    return load("test")


@pytest.mark.parametrize("aside", [False, True])
def test_failed_tests_are_named_in_the_last_lines(script, tmp_path, capfd, aside):
    (tmp_path / "test_tiny.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ("-p", "no:randomly", "-p", "no:django", "-p", "no:cacheprovider", "--no-cov")
    pytest_run = (sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path / "test_tiny.py"))
    assert script.check("Tiny tests", *pytest_run, env={"COLUMNS": "500"}, aside=aside) == 1
    assert script.check("Nothing", sys.executable, "-c", "", aside=aside) == 0
    assert script.check("Rust", sys.executable, "-c", f"print({CARGO!r}); exit(101)", aside=aside) == 101
    assert script.check("lint", sys.executable, "-c", "exit(2)", aside=aside) == 2
    before = capfd.readouterr().out
    assert "1 passed" in before
    assert "== Tiny tests: " in before

    assert script.report() == 1
    last = [re.sub(r"\S+/test_tiny", "test_tiny", line) for line in capfd.readouterr().out.splitlines()]
    assert [line.split()[2:] for line in last[2:6]] == [["Tiny", "tests"], ["Nothing"], ["Rust"], ["lint"]]
    assert last[7:] == [
        "FAILED: Tiny tests:",
        "    FAILED test_tiny.py::test_of[a word] - AssertionError: not - this",
        "    ERROR test_tiny.py::test_with - LookupError: FAILED tests/none.py::test_none",
        "FAILED: Rust:",
        "    tests::bad",
        "    crates/jwtauth/src/lib.rs - Keyring::new (line 12)",
        "FAILED: lint, which names no test; see its output above.",
    ]


def test_lane_that_stops_at_an_error_has_failed(script, capfd):
    def lane():
        raise OSError("no such program")

    script.to_the_end(lane)
    assert script.report() == 1
    said = capfd.readouterr()
    assert "FAILED: lane, which names no test" in said.out
    assert "OSError: no such program" in said.err


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize(("status", "outcome"), [(0, "passed"), (3, "FAILED"), (77, "left out")])
def test_each_step_has_a_line_when_it_starts_and_when_it_ends(script, capfd, aside, status, outcome):
    script.check("tiny", sys.executable, "-c", f"print('hello'); exit({status})", aside=aside)
    lines = [line for line in capfd.readouterr().out.splitlines() if line]
    assert lines[0] == "-- started: tiny" if aside else lines[0].startswith("== tiny: ")
    assert "hello" in lines
    assert re.fullmatch(rf"-- {outcome}: tiny, after \d+\.\d min", lines[-1])


def test_steps_that_run_are_named_when_nothing_is_printed(script, capfd, monkeypatch):
    monkeypatch.setattr(script, "SILENCE", 0)
    done = threading.Event()
    monkeypatch.setattr(script, "say", lambda text: (said.append(text), done.set()))
    said = []
    script.running_steps["lint"] = script.began_all, "Compiling cargo-deny v1"
    script.break_silence(done)
    first, second = said[0].splitlines()
    assert re.fullmatch(r"-- after \d+\.\d min:", first)
    assert re.fullmatch(r" +lint has run for \d+\.\d min: Compiling cargo-deny v1", second)


@pytest.mark.parametrize("aside", [False, True])
def test_last_line_of_a_running_step_is_known_before_the_step_ends(script, tmp_path, aside):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    code = f"print('compiling', flush=True); open({str(fifo)!r}).read()"
    step = threading.Thread(target=script.check, args=("slow", sys.executable, "-c", code), kwargs={"aside": aside})
    step.start()
    wait_until(lambda: "compiling" in script.still_running())
    fifo.write_text("")
    step.join()
    assert "slow" not in script.still_running()


def test_program_from_crates_io_is_announced_before_it_is_compiled(monkeypatch, tmp_path, capsys):
    tools = load("tools")
    monkeypatch.setattr(tools, "FOLDER", tmp_path)
    ran = []
    monkeypatch.setattr(tools.subprocess, "run", lambda command, **options: ran.append(command))
    assert tools.installed("cargo-deny") == str(tmp_path / "bin/cargo-deny")
    assert capsys.readouterr().out.startswith("Compiling cargo-deny ")
    [command] = ran
    assert "--quiet" not in command


@pytest.fixture
def ran(script, monkeypatch):
    """Replace every step by a note that it ran, and return the notes."""
    notes = []
    for name, step in script.STEPS.items():
        if name not in script.APART:
            monkeypatch.setattr(script, step.__name__, lambda name=name: notes.append(name))
            monkeypatch.setitem(script.STEPS, name, getattr(script, step.__name__))
    monkeypatch.setattr(script, "check", lambda name, *command, **options: notes.append(name.split()[-1]))
    for preparation in ("missing_programs", "mariadb_driver"):
        monkeypatch.setattr(script, preparation, lambda: None)
    return notes


def test_make_test_runs_every_step_once(script, ran):
    script.main([])
    assert sorted(ran) == sorted(script.STEPS)


def test_named_steps_run_alone_in_their_order(script, ran):
    assert script.main(["seams", "fuzz", "databases"]) == 0
    assert ran == ["seams", "fuzz", "databases"]


def test_unknown_step_is_refused_before_another_runs(script, ran, capfd):
    assert script.main(["fuzz", "fuz"]) == 2
    assert capfd.readouterr().err.startswith("No such step: fuz. The steps are lint rust ")
    assert ran == []


@pytest.mark.parametrize(
    ("ci", "status", "last_line"),
    [("", 0, "Everything else passed."), ("true", 1, "FAILED: CI=true and not everything was checked.")],
)
def test_missing_program_fails_the_run_in_ci_only(script, capfd, monkeypatch, ci, status, last_line):
    monkeypatch.setenv("CI", ci)
    assert script.check("fuzzing", sys.executable, "-c", f"exit({script.NEEDS_MORE})") == script.NEEDS_MORE
    script.left_out.append("fuzzing (no nightly Rust)")
    assert script.report() == status
    assert f"Left out: fuzzing (no nightly Rust).\n{last_line}\n" in capfd.readouterr().out


@pytest.mark.parametrize("names", [[], ["databases"]], ids=["all steps", "some steps"])
def test_database_whose_driver_is_installed_here_is_not_left_out(script, monkeypatch, names):
    installed = []
    monkeypatch.setattr(script, "mariadb_driver", lambda: installed.append("driver"))
    for server in (script.MariaDB, script.Galera):
        monkeypatch.setattr(server, "is_installed", lambda: "driver" in installed)
    monkeypatch.setattr(script, "in_lanes", lambda *lanes: None)
    monkeypatch.setitem(script.STEPS, "databases", lambda: None)
    script.main(names)
    assert installed == ["driver"]
    assert [what for what in script.left_out if "MariaDB" in what or "Galera" in what] == []


@pytest.mark.parametrize(
    ("error", "status", "passed", "line"),
    [
        ("", 0, True, "as listed in its manifest."),
        ("error: type `other::Thing` not allowed", 1, False, "FAILED."),
        (
            "rustdoc produces JSON format version 99, but this tool requires format version 57.",
            1,
            True,
            "not checked",
        ),
    ],
)
def test_external_types_are_checked_with_the_rustdoc_that_the_tool_reads(
    monkeypatch, tmp_path, capsys, error, status, passed, line
):
    api, tool = load("api"), tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho '{error}' >&2\nexit {status}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(api, "installed", lambda name: str(tool))
    assert api.exposes_what_it_says({"name": "one", "manifest_path": "Cargo.toml"}) is passed
    said = capsys.readouterr().out
    assert line in said.splitlines()[-1]
    assert passed or error in said


# --- scripts/run.py, which `make run` calls


class Checkout:
    """Make a checkout in which the programs that `make run` starts are stand-ins."""

    def __init__(self, folder):
        self.folder, self.log, self.process = folder, folder / "log", None
        for name in ("Makefile", "scripts/run.py", "tests/waiting.py", "tests/databases/servers.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml", "requirements/run.txt", "requirements/build.txt"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        for name in ("crates/jwtauth", "crates/jwtauth-python", "bin", ".venv/bin"):
            (folder / name).mkdir(parents=True)
        (folder / ".venv/.created").touch()
        for name in (".venv/bin/python", ".venv/bin/pip", ".venv/bin/maturin", "bin/cargo"):
            program = folder / name
            stand_in = f"{sys.executable} {ROOT}/tests/stand_ins.py {folder} {program.name}"
            program.write_text(
                f'#!/bin/sh\n[ "$1" != scripts/run.py ] || exec {sys.executable} "$@"\nexec {stand_in} "$@"\n'
            )
            program.chmod(0o755)

    def allow(self, *names):
        for name in names:
            (self.folder / name).touch()

    def make_run(self, port):
        """Start `make run` as a visitor does on a terminal: background processes of a shell ignore SIGINT."""
        names = ("CARGO_TARGET_DIR", "CI", "DEMO_DATABASE", "MAKEFLAGS", "MAKELEVEL")
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        command = ["make", "run", f"PORT={port}", f"PYTHON={sys.executable}"]
        with self.log.open("wb") as log:
            inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
            finally:
                signal.signal(signal.SIGINT, inherited)
        return self.process

    def started(self):
        """Return every process started so far, as process id and command line."""
        path = self.folder / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        return {int(line.partition(" ")[0]): line.partition(" ")[2] for line in lines}

    def running(self):
        return {pid: command for pid, command in self.started().items() if is_running(pid)}


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def checkout(tmp_path):
    if not shutil.which("make"):
        pytest.skip("make is not installed, so nothing calls this script")
    made = Checkout(tmp_path)
    yield made
    if made.process is not None:
        stop(made.process)
    for pid in made.running():
        os.kill(pid, signal.SIGKILL)


def body(url):
    """Return the body of the response at this address, if there is one."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.read().decode()
    except OSError:
        return None


def test_make_run_serves_the_site_and_hands_its_address_to_the_service_when_that_is_built(checkout):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    process = checkout.make_run(port)
    wait_until(lambda: "maturin develop --release" in checkout.started().values(), process, checkout.log)
    assert body(url) is None, "503 until the site is there"
    checkout.allow("engine-may-be-built")
    wait_until(lambda: body(url) == "the site", process, checkout.log)
    wait_until(lambda: url in checkout.log.read_text(), process, checkout.log)
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    kept.request("GET", "/")
    assert kept.getresponse().read() == b"the site"

    checkout.allow("service-may-be-built")
    wait_until(lambda: body(url) == "the service", process, checkout.log)
    assert kept.sock.recv(1) == b"", "a kept connection would stay with Django"
    kept.close()
    wait_until(lambda: "service answers" in checkout.log.read_text(), process, checkout.log)
    printed = checkout.log.read_text()
    assert re.findall(r"^\d of 3", printed, re.M) == ["1 of 3", "2 of 3", "3 of 3", "3 of 3"]
    assert re.findall(r"http://\S+", printed) == [url]
    assert "Sign in as ada." in printed


BUILD_SERVICE = "cargo build --package jwtauth-service"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
@pytest.mark.parametrize("stage", ["while the engine is built", "while the service is built", "when all is served"])
def test_everything_ends_when_make_is_killed(checkout, name, stage):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    if stage != "while the engine is built":
        checkout.allow("engine-may-be-built")
    if stage == "when all is served":
        checkout.allow("service-may-be-built")
    process = checkout.make_run(port)
    if stage == "while the engine is built":
        wait_until(lambda: "maturin develop --release" in checkout.running().values(), process, checkout.log)
    elif stage == "while the service is built":
        wait_until(lambda: BUILD_SERVICE in checkout.running().values(), process, checkout.log)
    else:
        wait_until(lambda: body(url) == "the service", process, checkout.log)
    assert checkout.running()
    process.send_signal(getattr(signal, name))
    process.wait(PATIENCE)
    wait_until(lambda: not checkout.running())
    assert body(url) is None


def test_site_goes_on_if_the_service_cannot_be_built(checkout):
    port = free_port()
    checkout.allow("engine-may-be-built", "service-may-be-built", "service-fails")
    process = checkout.make_run(port)
    wait_until(lambda: "goes on without it" in checkout.log.read_text(), process, checkout.log)
    assert "error: could not compile" in checkout.log.read_text()
    assert body(f"http://127.0.0.1:{port}/") == "the site"


@pytest.mark.parametrize("port", ["abc", "", "0", "65536", "-1", "80 81", "8000;true", "\uff18000", "taken"])
def test_port_is_checked_before_anything_is_built(checkout, port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        process = checkout.make_run(taken if port == "taken" else port)
        assert process.wait(PATIENCE) == 2, "make's own status for a recipe that failed"
    first, *others = checkout.log.read_text().splitlines()
    assert first.startswith(f"Port {taken} is in use: " if port == "taken" else f"PORT={port} is not a port: ")
    assert all(line.startswith("make: *** ") for line in others)
    assert checkout.started() == {}


def test_make_check_leaves_out_only_tests_that_exist(script):
    assert [path for path in script.SLOW_TESTS if not (ROOT / "tests" / path).exists()] == []
