"""Sessions that need other environments than `.venv`; `make matrix`, `make neighbours` and `make lock` run them.

`.venv/bin/nox --list` names them. A Python is looked up on the path and in pyenv. With NOX_DEFAULT_VENV_BACKEND=uv, uv
fetches those that are missing.
"""

import os
import shutil
import sys
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import nox
from python_discovery import get_interpreter

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "scripts"))

import debian  # noqa: E402

REQUIREMENTS = ROOT / "requirements"
TABLE = ROOT / "docs/reference/compatibility-table.md"
MATRIX = ROOT / ".tools/matrix"  # the wheel, and the results of its tests
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
# Those of the classifiers.
PYTHONS = nox.project.python_versions(PROJECT)
# Each with the oldest Python that it supports.
DJANGOS = {"5.2.19": "3.10", "6.0.10": "3.12", "6.1.3": "3.12"}
# Each with the newest Django that it can be imported with.
DRFS = {"3.16.1": "6.0.10", "3.17.2": "6.0.10", "3.18.3": "6.1.3"}
PAIRS = [f"{django}-{drf}" for django, drf in product(DJANGOS, DRFS)]
# Tests that do not depend on these versions: of browsers, servers, the package's build, and minutes of generated
# requests. Tests of other packages, which support fewer Djangos, are left out too.
APART = ("browser", "databases", "neighbours", "seams", "simulation", "test_startproject.py")
# Tests that read pages and run scripts of this checkout, with the checkout's own Python.
OF_THE_CHECKOUT = (
    *("test_act_as_guide.py", "test_device_guide.py", "test_docs.py", "test_guides.py", "test_language.py"),
    *("test_locale.py", "test_notices.py", "test_ports.py", "test_release.py", "test_scripts.py"),
    *("test_supported.py", "test_tutorials.py", "test_waiting.py", "test_wheels.py", "test_workflows.py"),
    "test_works_with.py",
)
LEFT_OUT = [f"--ignore=tests/{path}" for path in (*APART, *OF_THE_CHECKOUT)]
LEFT_OUT += ["--deselect=tests/test_openapi.py::test_the_demo_answers_as_its_schema_says"]
# What is installed in Debian sid.
SID = "python3,python3-venv,python3.15,ca-certificates"

nox.options.envdir = ".tools/nox"
nox.options.sessions = []
# In CI too, a Python that the machine lacks is named and left out.
nox.options.error_on_missing_interpreters = False
# The programs of pyenv start only the versions that this names.
of_pyenv = [path.name for path in Path.home().glob(".pyenv/versions/*") if path.name.rpartition(".")[0] in PYTHONS]
os.environ.setdefault("PYENV_VERSION", ":".join(of_pyenv))


def pairs(python: str) -> list[str]:
    """Return each Django and REST framework that support this Python and each other."""
    order = list(DJANGOS)
    djangos = {django for django, oldest in DJANGOS.items() if PYTHONS.index(oldest) <= PYTHONS.index(python)}
    return [
        f"{django}-{drf}"
        for django, drf in product(DJANGOS, DRFS)
        if django in djangos and order.index(django) <= order.index(DRFS[drf])
    ]


def only_in_sid() -> list[str]:
    """Return the Pythons that this machine lacks and Debian sid has, which root with debootstrap gets under .tools."""
    missing = [python for python in PYTHONS if not get_interpreter(python)]
    if not missing or debian.prefix("sid", SID) is None:
        return []
    return [python for python in missing if (ROOT / f".tools/debian-sid/usr/bin/python{python}").exists()]


@nox.session(python=False)
def wheel(session: nox.Session) -> None:
    """Build the wheel that every Python gets."""
    shutil.rmtree(MATRIX, ignore_errors=True)
    # The interpreter of `make`: with another one, maturin compiles the extension module again.
    options = ("--release", "--quiet", "--interpreter", sys.executable, "--out", str(MATRIX))
    session.run(sys.executable, "-m", "maturin", "build", *options)


@nox.session(python=PYTHONS, requires=["wheel"], allow_parallel=True)
def tests(session: nox.Session) -> None:
    """Run the tests on a Python, with each Django and DRF that it supports or with those given (6.1.3-3.18.3)."""
    session.install("--require-hashes", "--no-deps", "--requirement", REQUIREMENTS / "test.txt")
    session.install("--no-deps", "--force-reinstall", next(MATRIX.glob("*.whl")))
    for pair in session.posargs or pairs(session.python):
        django, drf = pair.split("-")
        session.install("--no-deps", f"Django=={django}", f"djangorestframework=={drf}")
        results = MATRIX / f"{session.python}-{pair}.xml"
        options = ("--no-cov", "-q", "-p", "no:cacheprovider", f"--junit-xml={results}")
        session.run("python", "-m", "pytest", *LEFT_OUT, *options)


@nox.session(python=False, requires=["wheel"], allow_parallel=True)
def sid(session: nox.Session) -> None:
    """Run `tests` on the Pythons that this machine lacks and Debian sid has; if versions are given, on the newest."""
    pythons = only_in_sid()[-1 if session.posargs else 0 :]
    if not pythons:
        session.skip("Debian sid, which root can install with debootstrap, has no Python that this machine lacks")
    inside = (*debian.prefix("sid", SID), "env", "-C", str(debian.CHECKOUT))
    session.run(*inside, "python3", "-m", "venv", ".tools/sid")
    pip = (*inside, ".tools/sid/bin/pip", "install", "--quiet", "--require-hashes", "--no-deps")
    session.run(*pip, "--requirement", "requirements/nox.txt")
    selected = [f"tests-{python}" for python in pythons]
    inside += (".tools/sid/bin/nox", "--default-venv-backend=virtualenv", "--no-dependencies")
    session.run(*inside, "--session", *selected, "--", *session.posargs)


@nox.session(python=False, requires=["wheel"])
def ends(session: nox.Session) -> None:
    """Run `tests` with the oldest versions that this machine has, and with the newest."""
    here = [python for python in PYTHONS if get_interpreter(python)]
    there = only_in_sid()
    for python in PYTHONS:
        if python not in (*here, *there):
            session.warn(f"Left out: Python {python}, which this machine does not have.")
    newest = max(here + there, key=PYTHONS.index)
    session.notify(f"tests-{here[0]}", pairs(here[0])[:1])
    session.notify("sid" if newest in there else f"tests-{newest}", pairs(newest)[-1:])


@nox.session(python=False, requires=[*(f"tests-{python}" for python in PYTHONS), "sid"])
def table(session: nox.Session) -> None:
    """Run `tests` on every Python, and write docs/reference/compatibility-table.md."""
    titles = " | ".join("Django {}, DRF {}".format(*pair.split("-")) for pair in PAIRS)
    lines = ["<!-- Written by `make matrix`. -->", "", f"| CPython | {titles} |", "| --- |" + " --- |" * len(PAIRS)]
    lines += [f"| {' | '.join([python, *(cell(python, pair) for pair in PAIRS)])} |" for python in PYTHONS]
    TABLE.write_text("\n".join([*lines, ""]))
    session.log(TABLE.read_text())


def cell(python: str, pair: str) -> str:
    """Return how many tests have passed."""
    results = MATRIX / f"{python}-{pair}.xml"
    if not results.exists():
        return "not tried" if pair in pairs(python) else "-"
    tests = ElementTree.parse(results).iter("testcase")  # noqa: S314, pytest has written it
    return f"{sum(test.find('skipped') is None for test in tests)} passed"


@nox.session(python="3.13", requires=["wheel"])
def neighbours(session: nox.Session) -> None:
    """Run the test suites of other packages, alone and with jwtauth; arguments name some of them."""
    session.run("python", "scripts/neighbours.py", str(next(MATRIX.glob("*.whl"))), *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Pin the dependency groups in requirements/, each with the hashes of everything that it needs.

    Versions change only where a group needs it, or as the arguments say: ``--upgrade``, ``--upgrade-package NAME``.
    """
    session.install("--require-hashes", "--no-deps", "--requirement", REQUIREMENTS / "uv.txt")
    compiler = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHONS[0], "--generate-hashes")
    compiler += ("--no-strip-extras", "--no-annotate", "--no-emit-index-url", "--custom-compile-command=make lock")
    # pip is in every environment already.
    compiler += ("--no-emit-package", "pip")
    groups = [f"--group={name}" for name in PROJECT["dependency-groups"]]
    # All groups together first: .venv has several, so a package must have one version in all of them.
    together = Path(session.create_tmp()) / "together.txt"
    together.write_text("".join(path.read_text() for path in REQUIREMENTS.glob("*.txt")))
    session.run(*compiler, *groups, "--output-file", together, *session.posargs)
    for name in PROJECT["dependency-groups"]:
        output = REQUIREMENTS / f"{name}.txt"
        session.run(*compiler, f"--group={name}", "--constraint", together, "--output-file", output)
