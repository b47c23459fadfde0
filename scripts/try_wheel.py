"""Installs the wheel that pip selects from dist/, signs in to a new project with it, and runs the tests.

    try_wheel.py [--brief] PYTHON ...   the interpreters, by name or path; --brief leaves the tests out

Needs nothing but Python, so it runs in a chroot too. Writes what it found out to dist/tried.json, from which
`scripts/wheels.py table` makes a page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"

# Tests that need other programs, or this checkout and its environment.
LEFT_OUT = ("browser", "databases", "neighbours", "seams", "simulation", "test_startproject.py", "test_docs.py")
LEFT_OUT += ("test_guides.py", "test_language.py", "test_locale.py", "test_tutorials.py", "test_ports.py")
LEFT_OUT += ("test_scripts.py", "test_waiting.py", "test_wheels.py", "test_works_with.py")
LEFT_OUT += ("test_release.py", "test_supported.py", "test_workflows.py")


def run(*command: str | Path, **options: object) -> str:
    """Run this command, and return what it printed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def try_with(python: str, brief: bool) -> int:
    """Install the wheel that this interpreter selects, sign in to a new project with it, and run the tests."""
    (version,) = {path.name.split("-")[1] for path in DIST.glob("*.whl")}
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder, "environment")
        run(python, "-m", "venv", environment)
        inside = environment / ("bin/python" if os.name == "posix" else "Scripts/python.exe")
        began = time.monotonic()
        pip = (inside, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary", ":all:")
        run(*pip, "--find-links", DIST, f"drf-cookie-jwtauth=={version}")
        sign_in(inside, Path(folder))
        seconds = time.monotonic() - began
        described = run(inside, "-c", DESCRIBE, environment.name).splitlines()
        where, tag = described[0], described[1]
        wheel = next(path.name for path in DIST.glob("*.whl") if has_tag(path.stem, tag))
        passed = {} if brief else test(inside, pip, Path(folder))
    tried = DIST / "tried.json"
    found = json.loads(tried.read_text()) if tried.exists() else {}
    found.setdefault(wheel, {})[where] = {"seconds": round(seconds, 1), **passed}
    tried.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(wheel, where, found[wheel][where], sep="\n", flush=True)
    return passed.get("failed", 0)


def has_tag(name: str, tag: str) -> bool:
    """Return whether a wheel of this name has the tag. A name may have several, as in ``cp315-abi3.abi3t-linux``."""
    return all(part in parts.split(".") for part, parts in zip(tag.split("-"), name.split("-")[-3:], strict=True))


# Prints the interpreter and its system, and the tag of the wheel that is installed.
DESCRIBE = """
import importlib.metadata, platform, sys, sysconfig
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
libc = "musl" if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "") else " ".join(platform.libc_ver())
print(f"CPython {platform.python_version()}{threads}, {libc}, {platform.machine()}")
wheel = importlib.metadata.distribution("drf-cookie-jwtauth").read_text("WHEEL")
print(next(line.split()[1] for line in wheel.splitlines() if line.startswith("Tag:")))
"""


def sign_in(python: Path, folder: Path) -> None:
    """Follow the README in a new project, and make the first request that is signed in."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^<!-- example: (settings|urls) -->\n```python\n(.*?)^```$", readme, re.M | re.S))
    run(python, "-m", "django", "startproject", "mysite", cwd=folder)
    project = folder / "mysite"
    with (project / "mysite/settings.py").open("a") as settings:
        settings.write(blocks["settings"])
    (project / "mysite/urls.py").write_text(blocks["urls"])
    manage = (python, "manage.py")
    run(*manage, "migrate", cwd=project)
    user = {"DJANGO_SUPERUSER_PASSWORD": "correct horse battery"}
    name = ("--noinput", "--username", "ada", "--email", "ada@example.org")
    run(*manage, "createsuperuser", *name, cwd=project, env=os.environ | user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [*manage, "runserver", "--noreload", str(port)], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
        url, body = f"http://127.0.0.1:{port}/auth", {"username": "ada", "password": "correct horse battery"}
        login = urllib.request.Request(f"{url}/login/", json.dumps(body).encode(), {"Content-Type": "application/json"})
        for _attempt in range(600):
            try:
                opener.open(login).close()
                break
            except urllib.error.URLError:
                assert server.poll() is None, server.stderr.read()
                time.sleep(0.1)
        with opener.open(f"{url}/me/") as answer:
            assert json.load(answer)["user"]["username"] == "ada"
    finally:
        server.terminate()
        server.communicate()


def test(python: Path, pip: tuple, folder: Path) -> dict:
    """Run the tests of the package that need no other programs, and return what came of them."""
    source = folder / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "dist", "target"))
    # `python/` is not on the path of the tests: they import what is installed.
    required = source / "requirements/test.txt"
    if subprocess.run([*pip, "--requirement", required], stderr=subprocess.DEVNULL).returncode:
        # A package has no wheel for this platform. The tests that import it are left out, and named in the result.
        for requirement in re.findall(r"^(\w[^\\\n]+==[^\\\n]+)", required.read_text(), re.M):
            subprocess.run([*pip, requirement], stderr=subprocess.DEVNULL)
    options = ("-q", "--no-cov", "-p", "no:cacheprovider", *(f"--ignore=tests/{name}" for name in LEFT_OUT))
    command = [python, "-m", "pytest", *options]
    done = subprocess.run([*command, "--collect-only"], cwd=source, capture_output=True, text=True)
    unimportable = sorted(set(re.findall(r"^ERROR (tests/\S+\.py)", done.stdout, re.M)))
    done = subprocess.run(
        [*command, *(f"--ignore={name}" for name in unimportable)], cwd=source, text=True, capture_output=True
    )
    print(done.stdout[-6000:], done.stderr[-2000:])
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)", last)}
    passed = counts.pop("passed", 0)
    # pytest's status says more than its last line: that no test ran, for one.
    failed = sum(counts.values()) or int(done.returncode != 0)
    return {"passed": passed, "failed": failed, "without": unimportable}


if __name__ == "__main__":
    brief = sys.argv[1:2] == ["--brief"]
    failed = [python for python in sys.argv[1 + brief :] if try_with(python, brief)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
