"""The pinned dependencies, and the versions of Python, Django and Rust that files of this repository name."""

import ast
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, call

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]


def classified(name):
    """Return the versions of the classifiers with this name."""
    found = (re.fullmatch(r"(.+) :: (\d+\.\d+)", one) for one in PROJECT["project"]["classifiers"])
    return [match[2] for match in found if match and match[1] == name]


PYTHONS = classified("Programming Language :: Python")


def members(group):
    """Return the requirements of a group, with those of the groups that it includes."""
    for entry in GROUPS[group]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from members(entry["include-group"])


def blocks(group):
    """Return the lines of each requirement in the lock of this group."""
    text = (ROOT / f"requirements/{group}.txt").read_text().replace("\\\n", "")
    return [line.split() for line in text.splitlines() if not line.startswith("#")]


def pins(group, python):
    """Return the requirement of each package that this Python gets."""
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    found = [Requirement(" ".join(word for word in block if not word.startswith("--"))) for block in blocks(group)]
    return {canonicalize_name(one.name): one for one in found if not one.marker or one.marker.evaluate(environment)}


def test_every_dependency_group_is_locked():
    assert {path.stem for path in ROOT.glob("requirements/*")} == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_lock_has_hashes_and_nothing_of_the_machine_that_wrote_it(group):
    found = blocks(group)
    assert found
    for block in found:
        hashes = [word for word in block if word.startswith("-")]
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)
        assert Requirement(" ".join(word for word in block if word not in hashes)).url is None


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_pin_each_package_once_and_have_all_that_the_groups_name(python):
    versions = {}
    for group in GROUPS:
        found = pins(group, python)
        for wanted in members(group):
            pin = found[canonicalize_name(wanted.name)]
            assert wanted.extras <= pin.extras
            assert wanted.specifier.contains(str(pin.specifier).removeprefix("=="))
        for name, pin in found.items():
            assert re.fullmatch(r"==[\w.]+", str(pin.specifier))
            assert versions.setdefault(name, pin.specifier) == pin.specifier, f"{name}: run make lock"


# --- The versions that the manifests support, wherever else they are named

OLDEST = PYTHONS[0]


def series(versions):
    """Return the versions without their patch number, each once."""
    return list(dict.fromkeys(version.rpartition(".")[0] for version in versions))


def of_noxfile(name):
    """Return a table of `noxfile.py`, whose imports are not installed for all tests."""
    return ast.literal_eval(re.search(rf"^{name} = (\{{.+\}})$", (ROOT / "noxfile.py").read_text(), re.M)[1])


DJANGOS, DRFS = of_noxfile("DJANGOS"), of_noxfile("DRFS")
RUSTS = {
    found[1]
    for path in [ROOT / "Cargo.toml", *ROOT.glob("crates/**/Cargo.toml"), *ROOT.glob("examples/*/Cargo.toml")]
    if (found := re.search(r'^rust-version = "([\d.]+)"', path.read_text(), re.M))
}
SUPPORTED = {
    "Python": (OLDEST, PYTHONS[-1]),
    "Django": (series(DJANGOS)[0], series(DJANGOS)[-1]),
    "DRF": (series(DRFS)[0], series(DRFS)[-1]),
}
STATED = re.compile(
    r"(Python|Django|DRF|REST\sframework)\s(\d\.\d+)\s(?:(?:or|and)\snewer|to\s(?:CPython\s)?(\d\.\d+))"
)
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")),
    *(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts),
    *ROOT.glob("crates/*/README.md"),
]


def test_matrix_has_the_versions_that_the_package_supports():
    dependencies = {one.name: one for one in map(Requirement, PROJECT["project"]["dependencies"])}
    assert PROJECT["project"]["requires-python"] == f">={OLDEST}"
    assert series(DJANGOS) == classified("Framework :: Django")
    assert str(dependencies["Django"].specifier) == f">={series(DJANGOS)[0]}"
    assert str(dependencies["djangorestframework"].specifier) == f">={series(DRFS)[0]}"
    assert set(DJANGOS.values()) <= set(PYTHONS)
    assert set(DRFS.values()) <= set(DJANGOS)


def test_matrix_tests_the_versions_that_are_locked():
    for python in PYTHONS:
        newest = [django for django, oldest in DJANGOS.items() if PYTHONS.index(oldest) <= PYTHONS.index(python)][-1]
        assert str(pins("test", python)["django"].specifier) == f"=={newest}"
        assert str(pins("test", python)["djangorestframework"].specifier) == f"=={[*DRFS][-1]}"


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("pyproject.toml", r'^python_version = "([\d.]+)"', [OLDEST]),
        ("pyproject.toml", r'^pythonVersion = "([\d.]+)"', [OLDEST]),
        ("Cargo.toml", r"abi3-py(\d+)", [OLDEST.replace(".", "")]),
        ("Makefile", r"version_info < \((\d+, \d+)\)", [OLDEST.replace(".", ", ")]),
        ("docs/reference/compatibility-table.md", r"^\| ([\d.]+) \|", PYTHONS),
        (".github/workflows/checks.yml", r"^ +(3\.\d+)$", PYTHONS),
        ("scripts/neighbours.py", r'^DJANGO, DRF = "([\d.]+)"', [[*DJANGOS][-1]]),
        ("scripts/neighbours.py", r'^DJANGO, DRF = .+ "([\d.]+)"', [[*DRFS][-1]]),
    ],
)
def test_tools_are_set_for_the_supported_versions(path, pattern, expected):
    assert re.findall(pattern, (ROOT / path).read_text(), re.M) == expected


def test_documentation_is_built_with_a_supported_python():
    for path in (".readthedocs.yaml", ".github/workflows/docs.yml"):
        assert set(re.findall(r'python(?:-version)?: "([\d.]+)"', (ROOT / path).read_text())) <= set(PYTHONS)


def test_pages_name_the_oldest_and_newest_versions_that_are_supported():
    stated = []
    for path in PAGES:
        for name, oldest, newest in STATED.findall(path.read_text()):
            lowest, highest = SUPPORTED[name if name in SUPPORTED else "DRF"]
            assert oldest == lowest, f"{path}: {name} {oldest}"
            assert newest in ("", highest), f"{path}: {name} {newest}"
            stated.append((path.name, name))
    assert {("README.md", "Python"), ("CONTRIBUTING.md", "Python"), ("compatibility.md", "Python")} <= set(stated)


def test_pages_name_the_oldest_rust_of_the_manifests():
    pages = [*PAGES, *ROOT.glob("crates/*/src/lib.rs")]
    named = {version for path in pages for version in re.findall(r"\bRust\s(1\.\d+)", path.read_text())}
    assert named == RUSTS


# --- noxfile.py, which `make matrix` runs


@pytest.fixture(scope="module")
def noxfile(tmp_path_factory):
    """Load `noxfile.py`, with the results of its tests in a temporary folder."""
    pytest.importorskip("nox", reason="requirements/nox.txt is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYENV_VERSION", "")
        patch.setattr(sys, "path", [*sys.path])
        found = runpy.run_path(str(ROOT / "noxfile.py"))
    found["cell"].__globals__["MATRIX"] = tmp_path_factory.mktemp("matrix")
    return SimpleNamespace(**found, results=found["cell"].__globals__["MATRIX"])


def test_matrix_has_only_pairs_that_support_each_other(noxfile):
    (oldest_django, *_, newest_django), (oldest_drf, *_, newest_drf) = DJANGOS, DRFS
    assert noxfile.pairs(OLDEST) == [f"{oldest_django}-{drf}" for drf in DRFS]
    assert f"{newest_django}-{oldest_drf}" not in noxfile.pairs(PYTHONS[-1])
    assert noxfile.pairs(PYTHONS[-1])[-1] == f"{newest_django}-{newest_drf}"


def test_table_names_the_pairs_that_were_not_tried(noxfile):
    python, (pair, other, *_) = OLDEST, noxfile.pairs(OLDEST)
    cases = '<testcase name="a"/><testcase name="b"/><testcase name="c"><skipped/></testcase>'
    (noxfile.results / f"{python}-{pair}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert noxfile.cell(python, pair) == "2 passed"
    assert noxfile.cell(python, other) == "not tried"
    assert noxfile.cell(python, noxfile.PAIRS[-1]) == "-"


def test_matrix_has_the_pythons_of_the_classifiers(noxfile):
    assert noxfile.tests.python == PYTHONS
    assert noxfile.table.requires == [*(f"tests-{python}" for python in PYTHONS), "sid"]


def test_pythons_that_the_machine_lacks_are_named(noxfile, monkeypatch):
    here, there = [PYTHONS[1], PYTHONS[3]], [PYTHONS[-2]]
    monkeypatch.setitem(noxfile.cell.__globals__, "get_interpreter", here.__contains__)
    monkeypatch.setitem(noxfile.cell.__globals__, "only_in_sid", lambda: there)
    session = Mock()
    noxfile.ends.func(session)
    said = " ".join(str(warning.args) for warning in session.warn.call_args_list)
    assert [python for python in PYTHONS if f"Left out: Python {python}," in said] == [
        python for python in PYTHONS if python not in here + there
    ]
    oldest, newest = noxfile.pairs(here[0])[0], noxfile.pairs(there[0])[-1]
    assert session.notify.call_args_list == [call(f"tests-{here[0]}", [oldest]), call("sid", [newest])]
