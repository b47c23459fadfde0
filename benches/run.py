"""Compares jwtauth with its alternatives: `make bench` measures all parts and writes docs/performance/.

    python benches/run.py [--quick] [PART ...]

The figures of a part go to `docs/performance/results.json`, from which the page and its plots are made; the figures of
other parts are kept. Alternatives take turns in one run, so changes in the machine's load affect all of them. A figure
is the median over rounds of the median within a round; `±` is half the interquartile range over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import asgi  # noqa: E402
import instructions as counting  # noqa: E402
import report  # noqa: E402
import services  # noqa: E402

from jwtauth import _engine  # noqa: E402
from tests.databases.servers import MariaDB, PostgreSQL, Server, free_port  # noqa: E402
from tests.waiting import answers, stop, wait_until  # noqa: E402

PROTOTYPE = ROOT / ".tools/prototype-0.0.8"
RESULTS = ROOT / "docs/performance/results.json"
VARIANTS = [
    "none",
    "jwtauth",
    "jwtauth, interval 10 s",
    "the floor in Python",
    "prototype 0.0.8",
    "simplejwt",
    "dj-rest-auth cookies",
    "knox",
    "Django sessions",
]
PREPARED = "jwtauth, prepared"
# The repetitions per round, and the variants that lack an operation.
OPERATIONS = {"request": 40, "login": 10, "refresh": 10, "logout": 10}
WITHOUT = {
    "none": {"login", "refresh", "logout"},
    "simplejwt": {"logout"},
    "dj-rest-auth cookies": {"logout"},
    "knox": {"refresh"},
    "Django sessions": {"refresh"},
}
SERVED = ["none", "jwtauth", "jwtauth, interval 10 s", "simplejwt", "Django sessions"]
SQLITE_OPTIONS = {"init_command": "PRAGMA journal_mode=wal; PRAGMA synchronous=normal;"}


def summary(rounds: list[float]) -> dict[str, float]:
    low, _, high = quantiles(rounds, n=4) if len(rounds) > 1 else rounds * 3
    return {"median": median(rounds), "spread": (high - low) / 2}


# --- (a) the engine


def engine(quick: bool) -> dict:
    """Measure the engine against the raw primitive and other crates."""
    command = ["cargo", "run", "--quiet", "--release", "--manifest-path", str(HERE / "engine/Cargo.toml")]
    target = ["--target-dir", str(ROOT / "target/engine-bench")]
    measured = subprocess.check_output([*command, *target, "--", "3" if quick else "25"], cwd=ROOT, text=True)
    return {
        group: {name: summary(rounds) for name, rounds in contenders}
        for group, contenders in json.loads(measured).items()
    }


# --- (b) a call from Python


def calls(quick: bool) -> dict:
    """Measure verifying and signing an access token from Python, with each algorithm."""
    # Ed25519 is another name of EdDSA.
    return {
        f"{operation} {algorithm}": _turns(ways, quick)
        for algorithm in _engine.algorithms()
        if algorithm != "Ed25519"
        for operation, ways in _calls(algorithm).items()
    }


def _calls(algorithm: str) -> dict:
    import jwt
    from joserfc import jwk, jws
    from joserfc import jwt as jose

    _pem, private, public = _engine.generate_key(algorithm, key_id="k")
    now = int(time.time())
    tokens = _engine.Tokens(_engine.Keyring(_engine.SigningKey.read(private.encode(), algorithm=algorithm)))
    sid = _engine.Sid.generate(now)
    claims = _engine.Claims(subject="42", sid=sid, generation=1, issued_at=now, expires_at=now + 3600)
    token = tokens.issue(_engine.TokenKind.ACCESS, claims)
    # Parsed keys, as a site would keep them.
    signs, verifies = jwt.PyJWK(json.loads(private)).key, jwt.PyJWK(json.loads(public or private)).key
    jose_signs, jose_verifies = jwk.import_key(json.loads(private)), jwk.import_key(json.loads(public or private))
    said = jwt.decode(token, verifies, algorithms=[algorithm])
    header = {"alg": algorithm, "typ": "at+jwt"}
    allowed = jws.JWSRegistry(algorithms=[algorithm])
    return {
        "verify": {
            "jwtauth": lambda: tokens.verify(_engine.TokenKind.ACCESS, token, now),
            "PyJWT": lambda: jwt.decode(token, verifies, algorithms=[algorithm]),
            "joserfc": lambda: jose.decode(token, jose_verifies, registry=allowed),
        },
        "sign": {
            "jwtauth": lambda: tokens.issue(_engine.TokenKind.ACCESS, claims),
            "PyJWT": lambda: jwt.encode(said, signs, algorithm, headers=header),
            "joserfc": lambda: jose.encode(header, said, jose_signs, registry=allowed),
        },
    }


def _turns(ways: dict, quick: bool) -> dict:
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns about EdDSA, which RFC 9864 renamed
        for _ in range(3 if quick else 15):
            for name, way in ways.items():
                calls, start = 0, time.perf_counter()
                while time.perf_counter() - start < 0.01:
                    for _ in range(4):
                        way()
                    calls += 4
                rounds[name].append((time.perf_counter() - start) / calls * 1e6)
    return {name: summary(values) for name, values in rounds.items()}


# --- (c) requests


def requests(quick: bool) -> dict:
    """Measure a DRF request through the WSGI application, on SQLite and PostgreSQL."""
    results = {}
    for vendor, database in databases():
        with database as new:
            results[vendor] = _requests(new, quick, VARIANTS + ([PREPARED] if vendor == "PostgreSQL" else []))
    return results


def _requests(new, quick: bool, variants: list[str]) -> dict:
    rounds: dict[str, dict[str, list[float]]] = {}
    statements: dict[str, dict[str, int]] = {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(worker(name, new(name) | options(name))) for name in variants}
        for _ in range(2 if quick else 75):
            for operation, count in OPERATIONS.items():
                for name, ask in workers.items():
                    if operation not in WITHOUT.get(name, set()):
                        answer = ask(operation, count)
                        rounds.setdefault(name, {}).setdefault(operation, []).append(median(answer["us"]))
                        statements.setdefault(name, {})[operation] = answer["statements"]
    floors = rounds["none"]["request"]
    return {
        "floor": summary(floors),
        "added": {
            name: {
                operation: summary([value - floor for value, floor in zip(values, floors, strict=True)])
                | {"statements": statements[name][operation]}
                for operation, values in operations.items()
            }
            for name, operations in rounds.items()
            if name != "none"
        },
    }


def options(name: str) -> dict:
    """Return Django's database options with which PostgreSQL keeps the plans of statements."""
    return {"OPTIONS": {"server_side_binding": True, "prepare_threshold": 5}} if name == PREPARED else {}


def served(quick: bool) -> dict:
    """Measure the same request through gunicorn with one worker process, sent by wrk over four connections."""
    if not shutil.which("wrk"):
        print("Left out: requests through a server (apt install wrk).")
        return {}
    results = {}
    for vendor, database in databases():
        with database as new, ExitStack() as stack:
            rounds: dict[str, list[float]] = {}
            servers = {name: stack.enter_context(server(name, new(name))) for name in SERVED}
            for _ in range(2 if quick else 7):
                for name, rate in servers.items():
                    rounds.setdefault(name, []).append(rate(1 if quick else 3))
            results[vendor] = {name: summary(values) for name, values in rounds.items()}
    return results


@contextmanager
def server(name: str, database: dict):
    """Run gunicorn, and yield a function that measures its requests per second."""
    with worker(name, database) as ask:
        headers = ask("headers", 0)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers=1", f"--bind=127.0.0.1:{port}", "--log-level=error"]
    environment = variant_environment(name, database) | {"JWTAUTH_BENCH_VARIANT": name}
    process = subprocess.Popen([*command, f"--chdir={HERE}", "variant:application"], env=environment)
    sent = [f"-H{key.removeprefix('HTTP_').title()}: {value}" for key, value in headers.items()]

    def rate(seconds: int) -> float:
        url = f"http://127.0.0.1:{port}/me"
        said = subprocess.check_output(["wrk", "-t1", "-c4", f"-d{seconds}s", *sent, url], text=True)
        assert "Non-2xx" not in said, said
        return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])

    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), process)
        yield rate
    finally:
        stop(process)


def asynchronous(quick: bool) -> dict:
    """Measure requests under ASGI servers with one process each, sent by wrk over eight connections."""
    if not shutil.which("wrk"):
        print("Left out: requests under ASGI servers (apt install wrk).")
        return {}
    rounds, seconds = (1, 1) if quick else (7, 2)
    results = {}
    for vendor, database in databases():
        with database as new:
            # Django's documentation advises against persistent connections under ASGI.
            ways = {f"uvicorn, {vendor}": ("uvicorn", {"CONN_MAX_AGE": 0})}
            if vendor == "SQLite":
                ways[f"granian, {vendor}"] = ("granian", {"CONN_MAX_AGE": 0})
            else:
                ways[f"uvicorn, {vendor} with Django's pool"] = (
                    "uvicorn",
                    {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": True}},
                )
            for title, (server_name, more) in ways.items():
                sites = {}
                for name in SERVED:
                    entry = new(name + "x" * len(results)) | more
                    with worker(name, entry) as ask:
                        told = ask("headers", 0)
                    sent = {key.removeprefix("HTTP_").title(): value for key, value in told.items()}
                    sites[name] = (variant_environment(name, entry) | {"JWTAUTH_BENCH_VARIANT": name}, sent)
                found = asgi.measure(server_name, sites, rounds, seconds)
                results[title] = {
                    view: {
                        way: {what: summary(values) for what, values in asked.items()} for way, asked in ways.items()
                    }
                    for view, ways in found.items()
                }
    return results


def steps(quick: bool) -> dict:
    """Measure what the steps of the strict check add to a request on SQLite."""
    _vendor, database = next(databases())
    rounds: dict[str, list[float]] = {}
    with database as new:
        for number in range(3 if quick else 7):
            environment = variant_environment("jwtauth", new("steps" + "x" * number))
            command = [sys.executable, str(HERE / "steps.py"), "200" if quick else "1000"]
            found = json.loads(subprocess.check_output(command, env=environment, text=True))
            for name, microseconds in found.items():
                rounds.setdefault(name, []).append(microseconds)
    return {name: summary(values) for name, values in rounds.items()}


def service(quick: bool) -> dict:
    """Measure an axum service on each database, with wrk over few and many connections."""
    if not shutil.which("wrk"):
        print("Left out: the axum service (apt install wrk).")
        return {}
    results: dict[str, dict] = {"loads": {}}
    rounds, seconds, sizes = (2, 1, services.GROWTH[:2]) if quick else (7, 2, services.GROWTH)
    for vendor, database in databases(MariaDB):
        with database as new:
            entry = new("service")
            with worker("jwtauth", entry):
                pass  # the worker migrates it and creates user 1
            found, grown = services.measure(entry, rounds, seconds, sizes if vendor == "SQLite" else [])
        results["loads"][vendor] = {str(connections): ways(part) for connections, part in found.items()}
        if grown:
            results["growth"] = {str(size): ways(part) for size, part in grown.items()}
    return results


def processor(quick: bool) -> dict:
    """Measure the processor time of a request to an axum service, without a socket, on SQLite."""
    _vendor, database = next(databases())
    with database as new:
        entry = new("processor")
        with worker("jwtauth", entry):
            pass  # the worker migrates it and creates user 1
        found = services.alone(entry, *((2, 5_000) if quick else (7, 50_000)))
    return {way: summary(rounds) for way, rounds in found.items()}


def ways(found: dict[str, dict[str, list[float]]]) -> dict:
    return {way: summaries(values) for way, values in found.items()}


def summaries(values: dict[str, list[float]]) -> dict:
    return {name: summary(rounds) for name, rounds in values.items()}


# --- (d) growth


def growth(quick: bool) -> dict:
    """Measure the cost as the table grows, in turns with a table that does not."""
    results: dict[str, dict] = {}
    for vendor, database in databases():
        with database as new:
            small, large = new("small"), new("large")
            filled = 0
            _filled(small, 0, 1_000)
            for size in [10**n for n in range(3, 5 if quick else 8)]:
                found = _filled(large, filled, size)
                # New workers, whose access tokens are not older than the time that filling takes.
                with worker("jwtauth", small) as ask_small, worker("jwtauth", large) as ask_large:
                    for operation, count in OPERATIONS.items():
                        rounds = [
                            [median(ask(operation, count)["us"]) for ask in (ask_small, ask_large)]
                            for _ in range(3 if quick else 25)
                        ]
                        found[operation] = summary([of_large for _, of_large in rounds])
                        found[operation]["ratio"] = summary([of_large / of_small for of_small, of_large in rounds])
                filled, results.setdefault(vendor, {})[str(size)] = size, found
    return results


def _filled(table: dict, filled: int, size: int) -> dict:
    command = [sys.executable, str(HERE / "growth.py"), str(filled), str(size)]
    environment = os.environ | {"JWTAUTH_BENCH_DATABASE": json.dumps(table)}
    return json.loads(subprocess.check_output(command, env=environment, text=True))


def cleaning(quick: bool) -> dict:
    """Measure cleaning a realistic table: half of it is live, and in no order of key, user or expiry."""
    results = {}
    for vendor, database in databases(MariaDB):
        with database as new:
            environment = os.environ | {"JWTAUTH_TEST_DATABASES": json.dumps({"default": new("cleaning")})}
            command = [sys.executable, "-m", "tests.databases.cleaning", "10000" if quick else "1000000"]
            results[vendor] = json.loads(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))
    return results


# --- (e) instructions


def instructions(quick: bool) -> dict:
    """Count the instructions of a request, with callgrind, and of the hot paths."""
    if not shutil.which("valgrind"):
        print("Left out: instructions (apt install valgrind).")
        return {}
    requests = {}
    for name in VARIANTS:
        environment = {"PYTHONPATH": str(PROTOTYPE)} if "prototype" in name else {}
        requests[name] = counting.by_callgrind(name, ["request"], environment)["request"]
    floor = requests.pop("none")
    return {"added": {name: count - floor for name, count in requests.items()}, "paths": counting.counted()}


# --- (f) memory, size, start


def size(quick: bool) -> dict:
    """Measure memory, the size of the wheel, and the import time."""
    return json.loads(subprocess.check_output([sys.executable, str(HERE / "size.py")], text=True))


# --- where and how


def databases(*more: type[Server]) -> Iterator[tuple[str, object]]:
    """Yield SQLite, PostgreSQL and ``more``, each with a context of a function that creates a database by name."""

    @contextmanager
    def sqlite():
        with tempfile.TemporaryDirectory(prefix="jwtauth-bench-") as folder:
            yield lambda name: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(folder) / f"{re.sub(r'[^a-z]', '', name.lower())}.sqlite3"),
                "OPTIONS": SQLITE_OPTIONS,
            }

    @contextmanager
    def of(server: type[Server]):
        with server() as running:

            def new(name: str) -> dict:
                database = re.sub(r"[^a-z]", "", name.lower())
                running.create_database(database)
                return running.settings(database)

            yield new

    yield "SQLite", sqlite()
    for server in (PostgreSQL, *more):
        if server.is_installed():
            yield server.name, of(server)
        else:
            print(f"Left out: {server.name} (apt install {server.packages}, and its Python driver).")


def variant_environment(name: str, database: dict) -> dict[str, str]:
    environment = os.environ | {"JWTAUTH_BENCH_DATABASE": json.dumps(database)}
    return environment | ({"PYTHONPATH": str(PROTOTYPE)} if "prototype" in name else {})


@contextmanager
def worker(name: str, database: dict):
    """Run a process of `variant.py`, and yield a function that sends it requests."""
    command = [sys.executable, str(HERE / "variant.py"), name]
    environment = variant_environment(name, database)
    process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(operation: str, count: int) -> dict:
        print(operation, count, file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


def install_prototype() -> None:
    """Install the prototype into a separate folder, because its import name is the same."""
    if not PROTOTYPE.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(PROTOTYPE), "drf-cookie-jwtauth==0.0.8"], check=True)


def machine() -> dict[str, object]:
    import django
    import rest_framework

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "django": django.__version__,
        "drf": rest_framework.__version__,
        "day": time.strftime("%Y-%m-%d"),
    }


# In the order of the page, which has a section of the same name for each.
PARTS = {name: globals()[name] for name in report.SECTIONS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few rounds and small tables, to try the benchmarks")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    arguments = parser.parse_args()
    install_prototype()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in arguments.parts or PARTS:
        print(f"== {name}: {PARTS[name].__doc__}", flush=True)
        results[name] = {"results": PARTS[name](arguments.quick), "machine": machine()}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, RESULTS.parent)
    print((RESULTS.parent / "index.md").read_text())


if __name__ == "__main__":
    main()
