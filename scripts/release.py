"""Does everything of a release but publish it; `make release-check`. docs/releasing.md has the steps around it.

First it checks the state of the checkout, and refuses what must not be released. Then it builds and checks in a clean
clone of the commit what would be uploaded, and lists these files. The clone stays in target/release-check.
"""

import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools import FOLDER, installed

ROOT = Path(__file__).resolve().parent.parent
# What is compiled: one folder for the checkout and the clone, so that a dependency is compiled once.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# The crate whose version maturin gives to the Python distribution.
BINDING = "jwtauth-python"
# Requirements in the documentation, which a new minor version outdates.
PIN = re.compile(
    r'(?:drf-cookie-jwtauth~=|jwtauth(?:-axum)? = (?:\{ )?(?:version = )?"|^\| `version = ")([\d.]+)', re.M
)


def main() -> int:
    packages = cargo_packages(ROOT)
    version = next(package["version"] for package in packages if package["name"] == BINDING)
    refused = list(refusals(ROOT, packages, version, datetime.date.today()))
    if refused:
        print(f"Version {version} cannot be released:", *refused, sep="\n    ")
        return 1
    clone = TARGET / "release-check"
    shutil.rmtree(clone, ignore_errors=True)
    git(ROOT, "clone", "--quiet", "--no-local", str(ROOT), str(clone))
    FOLDER.mkdir(exist_ok=True)
    (clone / ".tools").symlink_to(FOLDER)  # compiled once
    began = time.time()
    failed = [name for name, command in steps(last_tag(ROOT)) if not run(name, command, clone)]
    distributions = sorted([*clone.glob("dist/*.tar.gz"), *clone.glob("dist/*.whl")])
    failed += unexpected([path.name for path in distributions], version)
    published = [f"{package['name']}-{version}.crate" for package in packages if package["publish"] != []]
    crates = [path for name in published for path in newest(name, began)]
    failed += [f"{name} was not packaged" for name in published if name not in {path.name for path in crates}]
    print(f"\nVersion {version}, commit {git(ROOT, 'rev-parse', 'HEAD')}: nothing was uploaded. A release would upload")
    show("to the Python package index", distributions)
    show("to crates.io", crates)
    print(*(f"FAILED: {name}" for name in failed) if failed else ["Every step passed."], sep="\n")
    return int(bool(failed))


# What must not be released. Each function yields the reasons, for readers.


def refusals(root: Path, packages: list[dict], version: str, today: datetime.date) -> Iterator[str]:
    if changed := git(root, "status", "--porcelain", "--untracked-files=all").splitlines():
        yield from (f"{line[2:].strip()} is not committed" for line in changed)
        return
    yield from taken(root, version)
    for place, stated in statements(root, packages):
        if stated != version:
            yield f"{place} says {stated}"
    yield from outdated_pins(root, version)
    yield from undated((root / "CHANGELOG.md").read_text(), version, today)
    yield from overdue(root, version)


def taken(root: Path, version: str) -> Iterator[str]:
    """Check the version against the tags."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"{version} is not of the form 1.2.3"
    elif git(root, "tag", "--list", f"v{version}", version):
        yield f"{version} has a tag: raise the version"
    elif (last := last_tag(root)) and numbers(last[1:]) > numbers(version):
        yield f"{last} is newer: raise the version"


def statements(root: Path, packages: list[dict]) -> Iterator[tuple[str, str]]:
    """Yield each place that states the version, and what it states."""
    names = {package["name"] for package in packages}
    for package in packages:
        yield f"the crate {package['name']}", package["version"]
        for dependency in package["dependencies"]:
            if dependency["name"] in names and dependency["req"] != "*":
                yield f"the dependency of {package['name']} on {dependency['name']}", dependency["req"].lstrip("^")
    for lock in git(root, "ls-files", "*Cargo.lock").splitlines():
        for name, stated in re.findall(r'^name = "(.+)"\nversion = "(.+)"$', (root / lock).read_text(), re.M):
            if name in names:
                yield f"{lock}, for {name},", stated
    for stated in re.findall(r'^version = "(.+)"$', (root / "pyproject.toml").read_text(), re.M):
        yield "pyproject.toml, which should leave it to Cargo.toml,", stated


def outdated_pins(root: Path, version: str) -> Iterator[str]:
    for page in git(root, "ls-files", "*.md").splitlines():
        for pin in PIN.findall((root / page).read_text()):
            if numbers(pin)[:2] != numbers(version)[:2]:
                yield f"{page} says {pin}"


def undated(changelog: str, version: str, today: datetime.date) -> Iterator[str]:
    """Check that the newest section is that of the version, with a date and entries."""
    _, *parts = re.split(r"^## (.+)$", changelog, flags=re.M)
    sections = [(heading.strip(), body.strip()) for heading, body in zip(parts[::2], parts[1::2], strict=True)]
    if sections and sections[0][0].strip("[]") == "Unreleased" and sections.pop(0)[1]:
        yield f"CHANGELOG.md has entries under Unreleased: move them to {version}"
    heading, body = sections[0] if sections else ("", "")
    found = re.fullmatch(rf"\[?{re.escape(version)}\]? - (\d{{4}}-\d\d-\d\d)", heading)
    if not found:
        yield f"CHANGELOG.md has no section '## {version} - {today}' at the top"
        return
    try:
        is_future = datetime.date.fromisoformat(found[1]) > today
    except ValueError:
        is_future = True
    if is_future:
        yield f"CHANGELOG.md has the date {found[1]}, today is {today}"
    if not body:
        yield f"CHANGELOG.md has no entries for {version}"


def overdue(root: Path, version: str) -> Iterator[str]:
    """Check that the names whose last version has come are removed, as their warning classes announce."""
    sources = git(root, "ls-files", "python/*.py").splitlines()
    text = "".join((root / source).read_text() for source in sources)
    for name, major, minor in sorted(set(re.findall(r"\b(RemovedInJwtauth(\d)(\d+)Warning)\b", text))):
        if (int(major), int(minor)) <= numbers(version)[:2]:
            yield f"{name} is used: remove what it announces"


# What is built and checked.


def steps(since: str) -> Iterator[tuple[str, list[str]]]:
    yield "documentation", ["make", "docs"]
    yield "crates", ["make", "package"]
    yield "distributions", ["make", "wheels"]
    yield "metadata", [sys.executable, "-m", "twine", "check", "--strict", "dist/*.tar.gz", "dist/*.whl"]
    yield "licenses and advisories", [sys.executable, "scripts/audit.py"]
    installed("cargo-vet")
    yield "audits of crates", ["cargo", "vet", "--locked"]
    if since:
        yield f"API since {since}", [sys.executable, "scripts/api.py", since]
    else:
        print("The API is not compared: no version has a tag.")


def run(name: str, command: list[str], folder: Path) -> bool:
    print(f"\n== {name}: {' '.join(command)}", flush=True)
    path = f"{FOLDER / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"CI": "true", "CARGO_TARGET_DIR": str(TARGET), "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment).returncode == 0


def unexpected(names: list[str], version: str) -> Iterator[str]:
    """Check that these are one source distribution and wheels, of this version and as the index accepts them."""
    stem = f"drf_cookie_jwtauth-{version}"
    wheels = [name for name in names if name.startswith(f"{stem}-") and name.endswith(".whl")]
    others = [name for name in names if name not in wheels]
    if others != [f"{stem}.tar.gz"] or not wheels:
        yield f"dist should have {stem}.tar.gz and wheels, and has {', '.join(names) or 'nothing'}"
    yield from (f"the index refuses {name}" for name in wheels if re.search(r"-linux_\w+\.whl$", name))


def newest(name: str, began: float) -> list[Path]:
    """Return the newest package of this name, if one was made since then."""
    # Which folder it is in depends on the version of cargo.
    made = [(path.stat().st_mtime, path) for path in TARGET.glob(f"package/**/{name}")]
    return [path for modified, path in sorted(made) if modified >= began][-1:]


def show(where: str, files: Iterable[Path]) -> None:
    print(f"{where}:")
    for path in files:
        data = path.read_bytes()
        print(f"    {os.path.relpath(path)}\n        {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


# Facts about the repository.


def cargo_packages(root: Path) -> list[dict]:
    command = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    return json.loads(subprocess.check_output(command, cwd=root, text=True))["packages"]


def git(root: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=root, text=True).rstrip()


def last_tag(root: Path) -> str:
    """Return the newest tag of a version before this commit, or an empty string."""
    done = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*.[0-9]*.[0-9]*"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


if __name__ == "__main__":
    sys.exit(main())
