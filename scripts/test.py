"""Every check of the project, as `make test` runs it; that has built the extension module and set up `.venv`.

Checks that need a program this machine lacks are left out and named at the end; with CI=true that is a failure.
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
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

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
# What a script exits with where the machine lacks a program.
NEEDS_MORE = 77
SERVERS = (PostgreSQL, MariaDB)
# Each a step of its own, without coverage: their lines are covered by the other tests.
APART = ("neighbours", "seams", "simulation")
# Those that start databases of their own, and those that need none.
ONLY_ON_SQLITE = (
    *APART,
    "browser",
    "databases",
    "test_engine_binding.py",
    "test_startproject.py",
    "test_conf.py",
    "test_openapi.py",
    "test_ports.py",
    "test_scripts.py",
    "test_waiting.py",
)
RUST_COVERAGE = 95  # percent of lines; that of Python is in pyproject.toml

# Minutes after which a step has hung: the longest has taken 43, on a machine that did as much besides.
LONGEST = 75

# The steps that failed, each with the names of its failed tests.
failed: dict[str, list[str]] = {}
left_out: list[str] = []
# What each step took, in seconds: by the clock, and of processors.
took: dict[str, tuple[float, float]] = {}


def check(name: str, *command: str, env: dict[str, str] | None = None, aside: bool = False) -> int:
    """Run a step. ``aside``: beside others, so print its output when it is done."""
    heading = f"\n== {name}: {' '.join(command)}"
    if not aside:
        print(heading, flush=True)
    lines = []
    began = time.monotonic()
    options = {"text": True, "errors": "replace", "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    limited = ("timeout", "--foreground", "--verbose", "--kill-after=60", f"{LONGEST}m", *command)
    with subprocess.Popen(limited, cwd=ROOT, env=os.environ | (env or {}), **options) as running:
        for line in running.stdout:
            lines.append(line)
            if not aside:
                print(line, end="", flush=True)
        # Unlike Popen.wait, this says what the process and those that it waited for have used.
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    took[name] = time.monotonic() - began, used.ru_utime + used.ru_stime
    if aside:
        print(f"{heading}\n{''.join(lines)}", flush=True)
    if running.returncode and running.returncode != NEEDS_MORE:
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


def beside_python() -> None:
    """What Python's tests, which mostly wait, leave a processor for."""
    check("lint", "make", "--no-print-directory", "lint", aside=True)
    rust()
    oldest_rust()
    packages()
    fuzz()
    instructions()
    matrix()


def apart() -> None:
    """Browsers, servers, other packages and databases: they wait for each other as often as for a processor."""
    for name in APART:
        check(f"Python tests: {name}", sys.executable, "-m", "pytest", "-q", f"tests/{name}", aside=True)
    for server in SERVERS:
        if server.is_installed():
            on_server(server)


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
    """What each crate promises: it says by which compilers, and what it could not try."""
    check("oldest Rust of each crate", sys.executable, "scripts/msrv.py", aside=True)


def packages() -> None:
    """What crates.io would get, built and tested as unpacked."""
    check("packages of the crates", sys.executable, "scripts/package.py", aside=True)


def fuzz() -> None:
    """Everything that reads bytes from the network, on random ones for a moment; `make fuzz` does it for long."""
    if check("fuzzing", sys.executable, "scripts/fuzz.py", "4", aside=True) == NEEDS_MORE:
        left_out.append("fuzzing (no nightly Rust: rustup toolchain install nightly)")


def instructions() -> None:
    """What the hot paths cost, as a count that is the same on a busy machine."""
    if check("instructions", sys.executable, "benches/instructions.py", "--check", aside=True) == NEEDS_MORE:
        left_out.append("instructions of the hot paths (apt install valgrind gcc; or none kept for this Python)")


def llvm_tools() -> dict[str, str] | None:
    """Where llvm-cov and llvm-profdata are that can read what this rustc writes: its own, or as new as its LLVM."""
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


def python() -> None:
    """Note what is left out, and run the tests whose lines are counted."""
    if not shutil.which("chromium"):
        left_out.append("browser tests (no chromium: apt install chromium)")
    for browser in BROWSERS:
        if not browser.is_installed():
            left_out.append(f"the flows in {browser.title} (apt install {browser.packages})")
    if not shutil.which("node"):
        left_out.append("tests with a render server (no node: apt install nodejs)")
    for program, package in {"npm": "npm", "go": "golang-go", "javac": "default-jdk-headless", "curl": "curl"}.items():
        if not shutil.which(program):
            left_out.append(f"clients with cookie jars that need {program} (apt install {package})")
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
    apart = [f"--ignore=tests/{path}" for path in APART]
    check("Python tests and coverage", sys.executable, "-m", "pytest", "--cov", "--cov-report=term", *apart)


def matrix() -> None:
    """The oldest and the newest pair of Python and Django that this machine has."""
    check("Python tests on the oldest and the newest pair", sys.executable, "scripts/matrix.py", "ends", aside=True)


def mariadb_driver() -> None:
    """Installs it where it can be built: not in requirements/test.txt, which everybody needs."""
    installed = VENV / ".installed-mariadb"
    requirements = ROOT / "requirements/mariadb.txt"
    is_new = not installed.exists() or installed.stat().st_mtime < requirements.stat().st_mtime
    if MariaDB.program and is_new and shutil.which("pkg-config") and Path("/usr/include/mariadb/mysql.h").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
        subprocess.run(pip, check=True)
        installed.touch()


def on_server(server: type[Server]) -> None:
    """The flows once more, on another database than SQLite."""
    with server() as running:
        running.create_database("jwtauth")
        databases = {"default": running.settings("jwtauth")}
        check(
            f"Python tests on {server.name}",
            *(sys.executable, "-m", "pytest", "-q", *(f"--ignore=tests/{path}" for path in ONLY_ON_SQLITE)),
            env={"JWTAUTH_TEST_DATABASES": json.dumps(databases)},
            aside=True,
        )


def main() -> int:
    mariadb_driver()
    threads = [Thread(target=to_the_end, args=(lane,)) for lane in (beside_python, apart)]
    for thread in threads:
        thread.start()
    python()
    for thread in threads:
        thread.join()
    return report()


def to_the_end(lane: Callable[[], None]) -> None:
    """Run these steps. A lane that stops at an error of its own has failed; a thread alone would not say so."""
    try:
        lane()
    except Exception:
        traceback.print_exc()
        failed[lane.__name__] = []


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
    sys.exit(main())
