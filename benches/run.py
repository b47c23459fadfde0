"""What it costs beside the alternatives, in one run: `make bench`.

Every way to authenticate runs in a process of its own, and the measurements take turns, so that a machine's moods are
everybody's. A figure is the median over rounds of the median within a round; `±` is half the range between the
quartiles of the rounds. Cost is what the request takes beyond the same request without authentication.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / ".tools"
PROTOTYPE = TOOLS / "prototype-0.0.8"
VARIANTS = ["none", "jwtauth", "jwtauth, interval 10 s", "prototype 0.0.8", "simplejwt", "Django sessions"]
# What a variant has no such operation for.
WITHOUT = {("none", "login"), ("none", "logout"), ("simplejwt", "logout")}
OPERATIONS = {"request": 400, "login": 100, "logout": 100}
ROUNDS = 15


def main() -> None:
    calls()
    requests()


def calls() -> None:
    """Verifying one HS256 access token from Python."""
    import jwt
    from joserfc import jwt as jose
    from joserfc.jwk import OctKey

    from jwtauth import _engine

    secret, now = b"a key for benchmarks only, long enough for SHA-256", int(time.time())
    key = _engine.SigningKey.read(secret, algorithm="HS256")
    tokens = _engine.Tokens(_engine.Keyring(key))
    claims = _engine.Claims(
        subject="42", sid=_engine.Sid.generate(now), generation=1, issued_at=now, expires_at=now + 3600
    )
    token = tokens.issue(_engine.Kind.ACCESS, claims)
    jose_key = OctKey.import_key(secret)
    ways = {
        "jwtauth": lambda: tokens.verify(_engine.Kind.ACCESS, token, now),
        "PyJWT": lambda: jwt.decode(token, secret, algorithms=["HS256"]),
        "joserfc": lambda: jose.decode(token, jose_key, algorithms=["HS256"]),
    }
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in range(1000):
                way()
            rounds[name].append((time.perf_counter() - start) * 1000)
    print("\n| verify HS256 from Python | µs | times jwtauth |\n| --- | ---: | ---: |")
    for name, values in rounds.items():
        print(f"| {name} | {spread(values, 2)} | {median(values) / median(rounds['jwtauth']):.1f} |")


def requests() -> None:
    """A DRF request through the WSGI application, on SQLite."""
    install_prototype()
    workers = {name: start(name) for name in VARIANTS}
    results: dict[tuple[str, str], list[float]] = {}
    statements: dict[tuple[str, str], int] = {}
    for _ in range(ROUNDS):
        for operation, count in OPERATIONS.items():
            for name, worker in workers.items():
                if (name, operation) not in WITHOUT:
                    answer = ask(worker, f"{operation} {count}")
                    results.setdefault((name, operation), []).append(answer["us"])
                    statements[name, operation] = answer["statements"]
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    floor = median(results["none", "request"])
    print(
        f"\nA DRF request through WSGI on SQLite takes {floor:.0f} µs without authentication. Cost in µs [queries]:\n"
    )
    print("| | request | login | logout |\n| --- | ---: | ---: | ---: |")
    for name in VARIANTS[1:]:
        cells = [
            f"{spread([value - floor for value in results[name, operation]], 0)} [{statements[name, operation]}]"
            if (name, operation) in results
            else "-"
            for operation in OPERATIONS
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def spread(values: list[float], digits: int) -> str:
    low, _, high = quantiles(values, n=4)
    return f"{median(values):.{digits}f} ± {(high - low) / 2:.{digits}f}"


def install_prototype() -> None:
    """The prototype has our import name, so it lives in a folder of its own."""
    if not PROTOTYPE.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(PROTOTYPE), "drf-cookie-jwtauth==0.0.8"], check=True)


def start(name: str) -> subprocess.Popen:
    env = os.environ | ({"PYTHONPATH": str(PROTOTYPE)} if "prototype" in name else {})
    command = [sys.executable, str(HERE / "variant.py"), name]
    return subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(worker: subprocess.Popen, line: str) -> dict:
    print(line, file=worker.stdin, flush=True)
    return json.loads(worker.stdout.readline())


if __name__ == "__main__":
    main()
