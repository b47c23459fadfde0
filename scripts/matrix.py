"""Runs the test suite on every supported Python, Django and Django REST framework that this machine has.

``scripts/matrix.py`` runs all combinations and writes docs/reference/compatibility-table.md; ``scripts/matrix.py
ends``, which `make test` calls, runs the oldest and the newest. A Python is looked up on the path and in pyenv. If it
is missing, and root may run debootstrap, Debian's newest Python is installed under .tools.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import debian

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/reference/compatibility-table.md"
FOLDER = ROOT / ".tools/matrix"

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Each with the oldest Python that it supports.
DJANGOS = {"5.2.19": "3.10", "6.0.10": "3.12", "6.1.3": "3.12"}
# Each with the newest Django that it can be imported with.
DRFS = {"3.16.1": "6.0.10", "3.17.2": "6.0.10", "3.18.3": "6.1.3"}
# Some Python installations lack these.
WORKS = "import ensurepip, sqlite3, ssl"
# Tests that do not depend on these versions: of browsers, servers, the package's build, and minutes of generated
# requests. Tests of other packages, which support fewer Djangos, are left out too.
APART = ("browser", "databases", "neighbours", "seams", "simulation", "test_startproject.py")
# Tests that read pages and run scripts of this checkout, with the checkout's own Python.
OF_THE_CHECKOUT = (
    "test_docs.py",
    "test_guides.py",
    "test_language.py",
    "test_locale.py",
    "test_tutorials.py",
    "test_ports.py",
    "test_release.py",
    "test_scripts.py",
    "test_waiting.py",
    "test_works_with.py",
)
LEFT_OUT = [f"--ignore=tests/{path}" for path in (*APART, *OF_THE_CHECKOUT)]
LEFT_OUT += ["--deselect=tests/test_openapi.py::test_the_demo_answers_as_its_schema_says", "--no-cov", "-q"]


@dataclass
class Python:
    """An interpreter, and the prefix of its commands."""

    version: str
    command: str
    prefix: tuple[str, ...] = ()
    root: Path = ROOT  # the path of this checkout for the interpreter

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    @property
    def environment(self) -> str:
        return str(self.root / FOLDER.relative_to(ROOT) / self.version)

    def prepare(self, wheel: Path) -> str:
        """Create a virtual environment with everything but Django and DRF. Return the error, if any."""
        pip = [f"{self.environment}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        wheel = self.root / wheel.relative_to(ROOT)
        for command in (
            [self.command, "-m", "venv", "--clear", self.environment],
            [*pip, "--requirement", str(self.root / "requirements/test.txt")],
            [*pip, "--no-deps", "--force-reinstall", str(wheel)],
        ):
            done = self.run(*command)
            if done.returncode:
                return done.stderr[-2000:]
        return ""

    def test(self, django: str, drf: str) -> tuple[bool, str]:
        """Return whether all tests passed, with their number or the output."""
        python = f"{self.environment}/bin/python"
        packages = [f"Django=={django}", f"djangorestframework=={drf}"]
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        installed = self.run(*pip, *packages)
        if installed.returncode:
            return False, installed.stderr[-2000:]
        tests = [python, "-m", "pytest", *LEFT_OUT, f"--rootdir={self.root}", "-p", "no:cacheprovider"]
        done = self.run(*self.in_root(*tests))
        found = re.search(r"^(\d+) passed", done.stdout.splitlines()[-1] if done.stdout else "", re.M)
        if done.returncode or found is None:
            return False, done.stdout[-6000:] + done.stderr[-2000:]
        return True, f"{found[1]} passed"

    def in_root(self, *command: str) -> list[str]:
        """Start the command in the checkout: `chroot` starts in /."""
        return ["env", "-C", str(self.root), *command] if self.prefix else list(command)


def python(version: str) -> Python | None:
    """Return an interpreter of this version, if there is one."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    on_path = shutil.which(f"python{version}")  # this may be pyenv's shim for a version that is not selected
    for found in [*([on_path] if on_path else []), *map(str, reversed(pyenv))]:
        if subprocess.run([found, "-c", WORKS], capture_output=True).returncode == 0:
            return Python(version, found)
    return sid(version)


def sid(version: str) -> Python | None:
    """Return Debian's newest Python, if it has this version."""
    prefix = debian.prefix("sid", "python3,python3-venv,python3-pip,ca-certificates")
    if prefix is None or not (ROOT / f".tools/debian-sid/usr/bin/python{version}").exists():
        return None
    found = Python(version, f"python{version}", prefix, debian.CHECKOUT)
    return found if found.run(found.command, "-c", WORKS).returncode == 0 else None


def wheel() -> Path:
    """Build the wheel once, for every Python."""
    target = FOLDER / "wheel"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "maturin", "build", "--release", "--quiet", "--out", str(target)]
    subprocess.run(command, cwd=ROOT, check=True)
    return next(target.glob("*.whl"))


def pairs(python: Python) -> list[tuple[str, str]]:
    """Return every Django and DRF for this Python."""
    return [(django, drf) for django, drf in product(DJANGOS, DRFS) if is_pair(python.version, django, drf)]


def is_pair(version: str, django: str, drf: str) -> bool:
    """Return whether these versions support each other."""
    order = list(DJANGOS)
    is_old_enough = order.index(django) <= order.index(DRFS[drf])
    return is_old_enough and PYTHONS.index(version) >= PYTHONS.index(DJANGOS[django])


def try_all(found: Python, wanted: list[tuple[str, str]], built: Path) -> dict[tuple[str, str, str], tuple[bool, str]]:
    problem = found.prepare(built)
    results = {}
    for django, drf in wanted:
        result = (False, problem) if problem else found.test(django, drf)
        results[found.version, django, drf] = result
        print(f"Python {found.version}, Django {django}, DRF {drf}: {result[1]}", flush=True)
    return results


def main(which: str) -> int:
    pythons = [found for version in PYTHONS if (found := python(version))]
    missing = [version for version in PYTHONS if version not in {found.version for found in pythons}]
    work = [(found, pairs(found)) for found in pythons]
    if which == "ends" and len(work) > 1:
        work = [(work[0][0], work[0][1][:1]), (work[-1][0], work[-1][1][-1:])]
    elif which == "ends":
        work = [(found, list(dict.fromkeys((wanted[0], wanted[-1])))) for found, wanted in work]
    built = wheel()
    results = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda one: try_all(*one, built), work):
            results |= found
    if which != "ends":
        write_table(results, missing)
    for version in missing:
        print(f"Left out: Python {version}, which this machine does not have.")
    return int(not all(passed for passed, _ in results.values()))


def write_table(results: dict[tuple[str, str, str], tuple[bool, str]], missing: list[str]) -> None:
    columns = [(django, drf) for django in DJANGOS for drf in DRFS]
    titles = " | ".join(f"Django {django}, DRF {drf}" for django, drf in columns)
    lines = ["<!-- Written by `make matrix`. -->", "", f"| CPython | {titles} |", "| --- |" + " --- |" * len(columns)]
    for version in PYTHONS:
        cells = [cell(version, *column, results, missing) for column in columns]
        lines.append(f"| {version} | {' | '.join(cells)} |")
    TABLE.write_text("\n".join([*lines, ""]))
    print(TABLE.read_text())


def cell(version: str, django: str, drf: str, results: dict, missing: list[str]) -> str:
    if not is_pair(version, django, drf):
        return "-"
    if version in missing:
        return "not tried"
    passed, said = results[version, django, drf]
    return said if passed else "**failed**"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["all"]))
