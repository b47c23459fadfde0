"""The pinned dependencies, and the versions of Python, Django and Rust that files of this repository name."""

import re
from pathlib import Path

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
CLASSIFIED = re.compile(r"(.+) :: (\d+\.\d+)")
PYTHONS = [
    match[2]
    for name in PROJECT["project"]["classifiers"]
    if (match := CLASSIFIED.fullmatch(name)) and match[1] == "Programming Language :: Python"
]


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
