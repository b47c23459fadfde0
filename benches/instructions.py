"""Instructions of the hot paths, counted by valgrind's callgrind, whose counts do not depend on the machine's load.

    python benches/instructions.py [--check | --write]

Prints the counts. With `--check`, fails if one exceeds the count in `instructions.json` by more than a tenth; `--write`
updates that file. Each count of a request excludes the request without authentication. Counts depend on the versions of
Python and Django. Exits with 77 if valgrind, or the counts for this Python, are missing.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE / "instructions.json"
GROWTH = 1.10
NEEDS_MORE = 77
# The paths without authentication, which are subtracted from the others.
FLOORS = "request", "async view"
PATHS = {
    "none": [*FLOORS],
    "jwtauth": [
        *("request", "login", "refresh", "logout"),
        *("async view", "async login", "async refresh", "async logout"),
        *("verify", "sign"),
    ],
    "jwtauth, interval 10 s": ["request", "async view", "async view, the key alone"],
}
REPEATED = 100


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--count", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        count(*arguments.count)
        return 0
    if not shutil.which("valgrind") or not shutil.which("gcc"):
        return NEEDS_MORE
    counts, python = counted(), ".".join(platform.python_version_tuple()[:2])
    kept = json.loads(KEPT.read_text())
    known = kept.get(python, {})
    for name, number in counts.items():
        print(f"{name:40} {number:>10,}", f"{number / known[name] - 1:+.1%}" if name in known else "")
    if arguments.write:
        KEPT.write_text(json.dumps(kept | {python: counts}, indent=1) + "\n")
    if not arguments.check:
        return 0
    if known.keys() != counts.keys():
        print(f"No counts for CPython {python}; run benches/instructions.py --write")
        return NEEDS_MORE
    grown = [name for name, number in counts.items() if number > known[name] * GROWTH]
    print(f"Grown by more than a tenth: {', '.join(grown)}" if grown else "No path has grown by more than a tenth.")
    return bool(grown)


def counted() -> dict[str, int]:
    """Return the instructions of each path."""
    found = {
        (variant, path): number
        for variant, paths in PATHS.items()
        for path, number in by_callgrind(variant, paths, {}).items()
    }
    floors = {path: found.pop(("none", path)) for path in FLOORS}

    def floor(path: str) -> int:
        return 0 if path in ("verify", "sign") else floors["async view" if path.startswith("async") else "request"]

    return {f"{variant}: {path}": number - floor(path) for (variant, path), number in found.items()}


def by_callgrind(variant: str, paths: list[str], more_environment: dict[str, str]) -> dict[str, int]:
    """Return the instructions of these operations with one authentication variant of `variant.py`."""
    with tempfile.TemporaryDirectory(prefix="jwtauth-instructions-") as folder:
        out = Path(folder)
        library = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(out / "callgrind.so"), str(HERE / "instructions.c")]
        subprocess.run(library, check=True)
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out / 'counted'}"]
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(out / "sqlite3")}
        environment = more_environment | {
            "PATH": os.environ["PATH"],
            # Give every dict and set a fixed order.
            "PYTHONHASHSEED": "0",
            "JWTAUTH_BENCH_VARIANT": variant,
            "JWTAUTH_BENCH_INTERVAL": "240",
            "JWTAUTH_BENCH_DATABASE": json.dumps(database),
        }
        command = [*valgrind, sys.executable, __file__, "--count", folder, *paths]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        dumps = [dump.read_text() for dump in out.glob("counted.*")]
    totals: dict[str, int] = {}
    for dump in dumps:
        name = re.search(r"^desc: Trigger: Client Request: (.+)$", dump, re.M)
        if name:
            totals[name[1]] = int(re.search(r"^totals: (\d+)$", dump, re.M)[1]) // REPEATED
    return {path: totals[path] for path in paths}


def count(folder: str, *paths: str) -> None:
    """Run each path many times inside valgrind, and let callgrind count."""
    import variant
    from django.core.management import call_command

    callgrind = ctypes.CDLL(str(Path(folder) / "callgrind.so"))
    call_command("migrate", verbosity=0)
    variant.get_user_model().objects.get_or_create(username="ada")
    headers = variant.sign_in()
    gc.disable()
    for path in paths:
        for times in (20, REPEATED):
            calls = [prepared(variant, path, headers) for _ in range(times)]
            if times == REPEATED:
                callgrind.start()
            for call in calls:
                call()
        callgrind.stop(path.encode())


def prepared(variant, path: str, headers: dict[str, str]) -> Callable[[], object]:
    if path not in ("verify", "sign"):
        return variant.prepare(path, headers)
    from jwtauth import _engine
    from jwtauth.conf import get_config
    from jwtauth.internal.store import clock as _clock

    tokens, kind, now = get_config().tokens, _engine.TokenKind.ACCESS, _clock.now()
    sid = _engine.Sid.generate(now)
    claims = _engine.Claims(subject="42", sid=sid, generation=1, issued_at=now, expires_at=now + 300)
    token = tokens.issue(kind, claims)
    if path == "sign":
        return lambda: tokens.issue(kind, claims)
    return lambda: tokens.verify(kind, token, now)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
