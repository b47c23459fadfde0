"""The checks of the project: all, as `make test` runs them, or with the argument ``quick`` those of `make check`.

Arguments name some steps of `make test` instead: ``scripts/test.py rust fuzz``.

Make has built the extension module and set up `.venv`. Checks that need a program this machine lacks are left out and
named at the end; with CI=true that is a failure. A line says when each step starts and ends, and what runs is named at
least once a minute.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import installed  # noqa: E402

from tests.databases.clusters import Galera  # noqa: E402
from tests.databases.pgbouncer import PgBouncer, unpack  # noqa: E402
from tests.databases.servers import MariaDB, PostgreSQL, Server  # noqa: E402
from tests.seams.browsers.driver import BROWSERS  # noqa: E402
from tests.seams.proxies import proxies  # noqa: E402
from tests.seams.servers.table import UWSGI  # noqa: E402

VENV = ROOT / ".venv"
# The exit status of a script if the machine lacks a program.
NEEDS_MORE = 77
SERVERS = (PostgreSQL, MariaDB)
# Each is a separate step, without coverage: the other tests cover the same lines.
APART = ("seams", "databases", "neighbours", "simulation")
# Tests that start their own databases, and tests that need none.
ONLY_ON_SQLITE = (
    *APART,
    "browser",
    "plain",
    "test_act_as_guide.py",
    "test_conf.py",
    "test_device_guide.py",
    "test_engine_binding.py",
    "test_guides.py",
    "test_language.py",
    "test_locale.py",
    "test_notices.py",
    "test_openapi.py",
    "test_package.py",
    "test_ports.py",
    "test_release.py",
    "test_scripts.py",
    "test_startproject.py",
    "test_subinterpreters.py",
    "test_tutorials.py",
    "test_users.py",
    "test_waiting.py",
    "test_wheels.py",
    "test_workflows.py",
    "test_works_with.py",
)
RUST_COVERAGE = 95  # percent of lines; that of Python is in pyproject.toml

# Minutes after which a step has hung: the longest has taken 43, on a machine that did as much besides.
LONGEST = 75

# Seconds after which a line says what runs, if nothing else was printed.
SILENCE = 45

# What `make check` leaves out: tests that need more than Django and this package, and those that take longest.
SLOW_TESTS = (
    *APART,
    "browser",
    "plain",
    "test_corpus.py",
    "test_docs.py",
    "test_guides.py",
    "test_tutorials.py",
    "test_openapi.py",
    "test_ports.py",
    "test_release.py",
    "test_scripts.py",
    "test_startproject.py",
    "test_tenants.py",
    "test_use_tz.py",
    "test_waiting.py",
)
LEFT_OUT_OF_QUICK = (
    "browsers, databases, servers and proxies, other packages, the simulation, slow tests",
    "coverage, the Rust tests of the axum layer, documentation, fuzzing, instructions",
    "stubs, pyright, advisories, older Rusts, Pythons and Djangos",
)

# The steps that failed, each with the names of its failed tests.
failed: dict[str, list[str]] = {}
left_out: list[str] = []
# What each step took, in seconds: by the clock, and of processors.
took: dict[str, tuple[float, float]] = {}
# The steps that run: when each began, and the last line that it printed.
running_steps: dict[str, tuple[float, str]] = {}
began_all = last_said = time.monotonic()
_saying = Lock()


def say(text: str, end: str = "\n") -> None:
    """Print this at once."""
    global last_said
    with _saying:
        print(text, end=end, flush=True)
        last_said = time.monotonic()


def minutes(since: float) -> str:
    return f"{(time.monotonic() - since) / 60:.1f} min"


def still_running() -> str:
    """Return a line about each step that runs, with the last line that it printed."""
    lines = [f"-- after {minutes(began_all)}:"]
    for name, (began, line) in list(running_steps.items()):
        lines.append(f"     {name} has run for {minutes(began)}{f': {line[:90]}' if line else ''}")
    return "\n".join(lines)


def break_silence(done: Event) -> None:
    """Say what runs when nothing has been said for a while, until this is done."""
    while not done.wait(1):
        if time.monotonic() - last_said > SILENCE:
            say(still_running())


def check(name: str, *command: str, env: dict[str, str] | None = None, aside: bool = False) -> int:
    """Run a step. ``aside``: beside others, so print its output when it is done."""
    heading = f"\n== {name}: {' '.join(command)}"
    say(f"-- started: {name}" if aside else heading)
    lines = []
    began = time.monotonic()
    running_steps[name] = began, ""
    options = {"text": True, "errors": "replace", "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    limited = ("timeout", "--foreground", "--verbose", "--kill-after=60", f"{LONGEST}m", *command)
    with subprocess.Popen(limited, cwd=ROOT, env=os.environ | (env or {}), **options) as running:
        for line in running.stdout:
            lines.append(line)
            if line.strip():
                running_steps[name] = began, line.strip()
            if not aside:
                say(line, end="")
        # Unlike Popen.wait, this says what the process and those that it waited for have used.
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    took[name] = time.monotonic() - began, used.ru_utime + used.ru_stime
    del running_steps[name]
    if aside:
        say(f"{heading}\n{''.join(lines)}")
    outcome = {0: "passed", NEEDS_MORE: "left out"}.get(running.returncode, "FAILED")
    say(f"-- {outcome}: {name}, after {minutes(began)}")
    if outcome == "FAILED":
        failed[name] = list(failures(lines))
    return running.returncode


def failures(lines: Iterable[str]) -> Iterator[str]:
    """Yield the failed tests that pytest's summary and cargo's lists name in this output."""
    section = ""
    for line in (re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in lines):
        if "short test summary info" in line or line == "failures:":
            section = line
        elif section == "failures:":
            if line.startswith("    "):
                yield line.strip()
            else:
                section = ""
        elif section and re.match(r"(FAILED|ERROR) \S", line):
            yield line
        elif section and re.match(r"=|\d+ \w+", line):
            section = ""


def compiled() -> None:
    """Run the checks that compile, one after another: two would wait for each other."""
    lint()
    rust()
    oldest_rust()
    packages()
    fuzz()
    instructions()


def others() -> list[Callable[[], None]]:
    """Return the other checks, longest first. Those on databases and servers wait more than they compute."""
    seams, databases, *short = (partial(folder, name) for name in APART)
    return [python, servers, seams, databases, matrix, *short]


def lint() -> None:
    check("lint", "make", "--no-print-directory", "lint", aside=True)


def folder(name: str) -> None:
    """Run the tests of a folder that is left out of the coverage."""
    check(f"Python tests: {name}", sys.executable, "-m", "pytest", "-q", f"tests/{name}", aside=True)


def rust() -> None:
    with ExitStack() as stack:
        environment = {}
        if PostgreSQL.is_installed():
            running = stack.enter_context(PostgreSQL())
            running.create_database("rust")
            found = running.settings("rust")
            environment["POSTGRES_TEST_URL"] = "postgres://{USER}@{HOST}:{PORT}/{NAME}".format(**found)
            if unpack():
                pooler = stack.enter_context(PgBouncer(running))
                environment["PGBOUNCER_TEST_URL"] = f"postgres://jwtauth@127.0.0.1:{pooler.port}/rust"
            else:
                left_out.append("a test behind PgBouncer in transaction mode (no 1.21 or later: apt install pgbouncer)")
        if MariaDB.is_installed():
            running = stack.enter_context(MariaDB())
            running.create_database("rust")
            found = running.settings("rust")
            environment["MARIADB_TEST_URL"] = "mysql://{USER}@{HOST}:{PORT}/{NAME}".format(**found)
        tools = llvm_tools()
        if tools is None:
            left_out.append("Rust coverage (no llvm-cov as new as rustc's LLVM: apt install llvm-NN, see `rustc -vV`)")
            check("Rust tests", "cargo", "test", "--workspace", "--all-features", env=environment, aside=True)
            return
        path = {"PATH": f"{Path(installed('cargo-llvm-cov')).parent}{os.pathsep}{os.environ['PATH']}"}
        check(
            "Rust tests and coverage",
            *("cargo", "llvm-cov", "--workspace", "--all-features", "--exclude-from-report", "jwtauth-python"),
            *("--fail-under-lines", str(RUST_COVERAGE)),
            env=environment | tools | path,
            aside=True,
        )
    packages = ("-p", "jwtauth", "-p", "jwtauth-axum", "--all-features")
    check("Rust examples in documentation", "cargo", "test", *packages, "--doc", aside=True)


def oldest_rust() -> None:
    """Compile each crate with the oldest Rust that its manifest promises."""
    check("oldest Rust of each crate", sys.executable, "scripts/msrv.py", aside=True)


def packages() -> None:
    """Build and test what crates.io would get, as unpacked."""
    check("packages of the crates", sys.executable, "scripts/package.py", aside=True)


def fuzz() -> None:
    """Give random bytes to everything that reads bytes from the network, for a moment. `make fuzz` does it for long."""
    if check("fuzzing", sys.executable, "scripts/fuzz.py", "4", aside=True) == NEEDS_MORE:
        left_out.append("fuzzing (no nightly Rust: rustup toolchain install nightly)")


def instructions() -> None:
    """Count the instructions of the hot paths: the same number on a busy machine."""
    if check("instructions", sys.executable, "benches/instructions.py", "--check", aside=True) == NEEDS_MORE:
        left_out.append("instructions of the hot paths (apt install valgrind gcc; or none kept for this Python)")


def llvm_tools() -> dict[str, str] | None:
    """Find an llvm-cov and llvm-profdata that can read what this rustc writes: its own, or as new as its LLVM."""
    verbose = subprocess.check_output(["rustc", "-vV"], text=True)
    host, major = (re.search(pattern, verbose)[1] for pattern in (r"host: (\S+)", r"LLVM version: (\d+)"))
    sysroot = subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip()
    rustup = Path(sysroot, "lib/rustlib", host, "bin")
    suffixes = [f"-{version}" for version in range(int(major), int(major) + 10)]
    for cov, profdata in [
        (str(rustup / "llvm-cov"), str(rustup / "llvm-profdata")),
        *((f"llvm-cov{suffix}", f"llvm-profdata{suffix}") for suffix in suffixes),
    ]:
        paths = shutil.which(cov), shutil.which(profdata)
        if all(paths):
            return {"LLVM_COV": paths[0], "LLVM_PROFDATA": paths[1]}
    return None


def missing_programs() -> None:
    """Install the driver of MariaDB, and note the tests that are left out because this machine lacks a program."""
    mariadb_driver()
    if not shutil.which("chromium"):
        left_out.append("browser tests (no chromium: apt install chromium)")
    for browser in BROWSERS:
        if not browser.is_installed():
            left_out.append(f"the flows in {browser.title} (apt install {browser.packages})")
    if not shutil.which("node"):
        left_out.append("tests with a render server (no node: apt install nodejs)")
    for program, package in {"npm": "npm", "go": "golang-go", "javac": "default-jdk-headless", "curl": "curl"}.items():
        if not shutil.which(program):
            left_out.append(f"clients that need {program} (apt install {package})")
    if UWSGI.lacks:
        left_out.append(f"the site on uWSGI ({UWSGI.lacks})")
    for proxy in proxies.PROGRAMS:
        if proxies.program(proxy) is None:
            left_out.append(f"tests behind {proxy} (apt install {proxy})")
    for server in SERVERS:
        if not server.is_installed():
            left_out.append(f"tests on {server.name} (apt install {server.packages})")
    if not Galera.is_installed():
        left_out.append(f"tests on a Galera cluster (apt install {Galera.packages})")


def python() -> None:
    """Run the tests whose lines are counted."""
    apart = [f"--ignore=tests/{path}" for path in APART]
    check("Python tests and coverage", sys.executable, "-m", "pytest", "--cov", "--cov-report=term", *apart)


def matrix() -> None:
    """Test the oldest and the newest pair of Python and Django that this machine has."""
    nox = (sys.executable, "-m", "nox", "--session", "ends")
    check("Python tests on the oldest and the newest pair", *nox, aside=True)


def mariadb_driver() -> None:
    """Install it if it can be built. It is not in requirements/test.txt, which every contributor needs."""
    installed = VENV / ".installed-mariadb"
    requirements = ROOT / "requirements/mariadb.txt"
    is_new = not installed.exists() or installed.stat().st_mtime < requirements.stat().st_mtime
    if MariaDB.program and is_new and shutil.which("pkg-config") and Path("/usr/include/mariadb/mysql.h").exists():
        say("-- installing the driver of MariaDB, which is built here")
        pip = [sys.executable, "-m", "pip", "install", "--requirement", str(requirements)]
        subprocess.run(pip, check=True)
        installed.touch()


def servers() -> None:
    """Test the flows again, on each database server that this machine has."""
    for server in SERVERS:
        if server.is_installed():
            on_server(server)


def on_server(server: type[Server]) -> None:
    """Test the flows again, on another database than SQLite."""
    with server() as running:
        running.create_database("jwtauth")
        databases = {"default": running.settings("jwtauth")}
        check(
            f"Python tests on {server.name}",
            *(sys.executable, "-m", "pytest", "-q", *(f"--ignore=tests/{path}" for path in ONLY_ON_SQLITE)),
            env={"JWTAUTH_TEST_DATABASES": json.dumps(databases)},
            aside=True,
        )


# What `make test STEPS="rust fuzz"` can name: every step of `make test`.
STEPS: dict[str, Callable[[], None]] = {
    "lint": lint,
    "rust": rust,
    "oldest-rust": oldest_rust,
    "packages": packages,
    "fuzz": fuzz,
    "instructions": instructions,
    "matrix": matrix,
    "python": python,
    "servers": servers,
    **{name: partial(folder, name) for name in APART},
}


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in STEPS] if names != ["quick"] else []:
        print(f"No such step: {' '.join(unknown)}. The steps are {' '.join(STEPS)}.", file=sys.stderr)
        return 2
    done = Event()
    Thread(target=break_silence, args=(done,), daemon=True).start()
    try:
        return quick() if names == ["quick"] else some(names) if names else everything()
    finally:
        done.set()


def everything() -> int:
    missing_programs()
    waiting = others()

    def one_by_one() -> None:
        with suppress(IndexError):
            while True:
                to_the_end(waiting.pop(0))

    in_lanes(one_by_one, one_by_one, compiled)
    return report()


def some(names: list[str]) -> int:
    """Run these steps, one after another."""
    if {"python", "servers", *APART} & set(names):
        missing_programs()
    for name in names:
        STEPS[name]()
    return report()


def in_lanes(first: Callable[[], None], *beside: Callable[[], None]) -> None:
    """Run the first of these here and the others in threads beside it, and return when all are done."""
    threads = [Thread(target=to_the_end, args=(lane,)) for lane in beside]
    for thread in threads:
        thread.start()
    first()
    for thread in threads:
        thread.join()


def quick() -> int:
    """Run what finds most mistakes in under three minutes."""
    in_lanes(quick_python, quick_rust)
    status = report()
    print("make check leaves out what only make test runs:", *LEFT_OUT_OF_QUICK, sep="\n    ")
    return status


def quick_rust() -> None:
    check("Rust format", "cargo", "fmt", "--check", aside=True)
    check(
        "clippy",
        "cargo",
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
        aside=True,
    )
    check("Rust tests of the engine", "cargo", "test", "--package", "jwtauth", "--lib", aside=True)


def quick_python() -> None:
    check("Python format", str(VENV / "bin/ruff"), "format", "--check")
    check("ruff", str(VENV / "bin/ruff"), "check")
    check("mypy", sys.executable, "-m", "mypy")
    check("fast Python tests", sys.executable, "-m", "pytest", "-q", *(f"--ignore=tests/{path}" for path in SLOW_TESTS))


def to_the_end(lane: Callable[[], None]) -> None:
    """Run these steps. A lane that raises has failed; a thread alone would not report that."""
    try:
        lane()
    except Exception:
        traceback.print_exc()
        failed[str(getattr(lane, "__name__", lane))] = []


def report() -> int:
    """Print what a reader of the last lines needs to know, and return the exit status."""
    print("\nMinutes, and minutes of processors:")
    for name, (elapsed, used) in took.items():
        print(f"{elapsed / 60:6.1f} {used / 60:6.1f}  {name}")
    print()
    for what in left_out:
        print(f"Left out: {what}.")
    if failed:
        for name, tests in failed.items():
            print(f"FAILED: {name}{':' if tests else ', which names no test; see its output above.'}")
            for test in tests:
                print(f"    {test}")
        return 1
    if left_out and os.environ.get("CI") == "true":
        print("FAILED: CI=true and not everything was checked.")
        return 1
    print("Everything passed." if not left_out else "Everything else passed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
