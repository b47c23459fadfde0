"""`make release-check`: what it refuses, and what this checkout states."""

import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.test_scripts import load

ROOT = Path(__file__).resolve().parents[1]
TODAY = datetime.date(2020, 11, 26)
CRATES = {"jwtauth": "", "jwtauth-axum": "jwtauth", "jwtauth-python": "jwtauth"}
LOCKED = '[[package]]\nname = "{}"\nversion = "{}"\n'
CHANGELOG = """# Changelog

## Unreleased

## 0.2.0 - 2020-11-25

### Added

- An entry.

## 0.1.0

- An older entry.
"""

release = load("release")


def commit(root, subject="Change something"):
    for command in (["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message", subject]):
        release.git(root, "-c", "user.name=ada", "-c", "user.email=ada@example.com", *command)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a repository whose version 0.2.0 can be released."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # no signatures
    root = tmp_path / "project"
    files = {
        "Cargo.toml": '[workspace]\nresolver = "3"\nmembers = ["crates/*"]\n[workspace.package]\nversion = "0.2.0"\n'
        '[workspace.dependencies]\njwtauth = { path = "crates/jwtauth", version = "0.2.0" }\n',
        "Cargo.lock": "\n".join(LOCKED.format(name, "0.2.0") for name in CRATES) + LOCKED.format("serde", "1.0.0"),
        "fuzz/Cargo.lock": LOCKED.format("jwtauth", "0.2.0") + LOCKED.format("jwtauth-fuzz", "0.0.0"),
        "pyproject.toml": '[project]\nname = "drf-cookie-jwtauth"\ndynamic = ["version"]\n',
        "CHANGELOG.md": CHANGELOG,
        "docs/versions.md": "`drf-cookie-jwtauth~=0.2.0`, and 0.0.8: `pip install drf-cookie-jwtauth==0.0.8`\n",
        "docs/rust.md": 'jwtauth-axum = { version = "0.2", features = ["toml"] }\n| `version = "0.2"` | one day |\n',
        "python/jwtauth/warnings.py": "class RemovedInJwtauth03Warning(DeprecationWarning):\n    pass\n",
        ".gitignore": "/target/\n__pycache__/\n",
    }
    for name, needs in CRATES.items():
        dependency = f"[dependencies]\n{needs}.workspace = true\n" if needs else ""
        package = f'[package]\nname = "{name}"\nversion.workspace = true\nedition = "2024"\n'
        package += "publish = false\n" if name == release.BINDING else ""
        files |= {f"crates/{name}/Cargo.toml": package + dependency, f"crates/{name}/src/lib.rs": ""}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    release.git(root, "init", "--quiet")
    commit(root)
    return root


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusals(root, version="0.2.0"):
    return list(release.refusals(root, release.cargo_packages(root), version, TODAY))


def test_project_with_one_version_and_its_entries_is_not_refused(project):
    assert refusals(project) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda root: (root / "new.py").touch(), "new.py"),
        (lambda root: (root / "python/new/deep.py").parent.mkdir(), None),
        (lambda root: (root / "CHANGELOG.md").write_text("# Changelog"), "CHANGELOG.md"),
        (lambda root: (root / "docs/rust.md").unlink(), "docs/rust.md"),
        (lambda root: release.git(root, "mv", "docs/rust.md", "docs/axum.md"), "docs/rust.md -> docs/axum.md"),
        (lambda root: (root / "target").mkdir(), None),
    ],
    ids=["new file", "empty folder", "changed file", "removed file", "staged file", "ignored folder"],
)
def test_file_that_is_not_committed_is_refused(project, change, name):
    change(project)
    assert refusals(project) == ([f"{name} is not committed"] if name else [])


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("v0.2.0", ["0.2.0 has a tag: raise the version"]),
        ("0.2.0", ["0.2.0 has a tag: raise the version"]),
        ("v0.10.0", ["v0.10.0 is newer: raise the version"]),
        ("v0.2.1", ["v0.2.1 is newer: raise the version"]),
        ("v0.1.9", []),
        ("demo", []),
    ],
)
def test_version_with_a_tag_or_below_the_last_one_is_refused(project, tag, reason):
    release.git(project, "tag", tag)
    commit(project)
    assert refusals(project) == reason


def test_newer_version_of_another_branch_is_not_in_the_way_of_a_backport(project):
    release.git(project, "tag", "v0.1.9")
    release.git(project, "checkout", "--quiet", "-b", "newer")
    commit(project)
    release.git(project, "tag", "v0.3.0")
    release.git(project, "checkout", "--quiet", "-")
    assert refusals(project) == []
    assert release.last_tag(project) == "v0.1.9"


@pytest.mark.parametrize("version", ["0.2.0-rc.1", "0.2", "0.2.0+local"])
def test_version_of_another_form_is_refused(project, version):
    assert list(release.taken(project, version)) == [f"{version} is not of the form 1.2.3"]


@pytest.mark.parametrize(
    ("path", "old", "new", "reasons"),
    [
        (
            "crates/jwtauth-axum/Cargo.toml",
            "version.workspace = true",
            'version = "0.1.9"',
            ["the crate jwtauth-axum says 0.1.9"],
        ),
        (
            "Cargo.toml",
            'crates/jwtauth", version = "0.2.0"',
            'crates/jwtauth", version = "0.1.0"',
            [f"the dependency of {name} on jwtauth says 0.1.0" for name in ("jwtauth-axum", "jwtauth-python")],
        ),
        (
            "Cargo.lock",
            'name = "jwtauth-axum"\nversion = "0.2.0"',
            'name = "jwtauth-axum"\nversion = "0.1.0"',
            ["Cargo.lock, for jwtauth-axum, says 0.1.0"],
        ),
        ("fuzz/Cargo.lock", "0.2.0", "0.1.0", ["fuzz/Cargo.lock, for jwtauth, says 0.1.0"]),
        (
            "pyproject.toml",
            'dynamic = ["version"]',
            'version = "0.2.1"',
            ["pyproject.toml, which should leave it to Cargo.toml, says 0.2.1"],
        ),
        ("docs/versions.md", "~=0.2.0", "~=0.1.0", ["docs/versions.md says 0.1.0"]),
        ("docs/rust.md", '{ version = "0.2"', '"0.1"', ["docs/rust.md says 0.1"]),
        ("docs/rust.md", '| `version = "0.2"`', '| `version = "0.1"`', ["docs/rust.md says 0.1"]),
    ],
)
def test_place_that_states_another_version_is_refused(project, path, old, new, reasons):
    replace(project / path, old, new)
    commit(project)
    assert refusals(project) == reasons


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("## 0.2.0 - 2020-11-25", "## 0.2.0", "no section '## 0.2.0 - 2020-11-26' at the top"),
        ("## 0.2.0 - 2020-11-25", "## 0.2.0 - soon", "no section '## 0.2.0 - 2020-11-26' at the top"),
        ("## 0.2.0 - 2020-11-25", "## 0.2.1 - 2020-11-25", "no section '## 0.2.0 - 2020-11-26' at the top"),
        ("## 0.2.0 - 2020-11-25", "## 0.3.0 - 2020-11-25\n\n## 0.2.0 - 2020-11-25", "no section"),
        ("## Unreleased\n\n## 0.2.0 - 2020-11-25", "## Unreleased", "entries under Unreleased: move them to 0.2.0"),
        ("## Unreleased", "## Unreleased\n\n- A late entry.", "entries under Unreleased: move them to 0.2.0"),
        ("2020-11-25", "2020-11-27", "the date 2020-11-27, today is 2020-11-26"),
        ("2020-11-25", "2020-02-30", "the date 2020-02-30, today is 2020-11-26"),
        ("### Added\n\n- An entry.\n\n", "", "no entries for 0.2.0"),
        (CHANGELOG, "# Changelog\n", "no section '## 0.2.0 - 2020-11-26' at the top"),
    ],
)
def test_changelog_without_a_dated_section_for_the_version_is_refused(old, new, reason):
    found = list(release.undated(CHANGELOG.replace(old, new), "0.2.0", TODAY))
    assert found
    assert reason in found[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Unreleased\n\n", ""),
        ("## 0.2.0 -", "## [0.2.0] -"),
        ("## Unreleased", "## [Unreleased]"),
        ("11-25", "11-26"),
    ],
)
def test_other_forms_of_the_changelog_are_accepted(old, new):
    assert list(release.undated(CHANGELOG.replace(old, new), "0.2.0", TODAY)) == []


@pytest.mark.parametrize(
    ("version", "is_refused"), [("0.2.9", False), ("0.3.0", True), ("0.3.1", True), ("0.10.0", True), ("1.0.0", True)]
)
def test_name_that_was_to_be_removed_by_now_is_refused(project, version, is_refused):
    reason = "RemovedInJwtauth03Warning is used: remove what it announces"
    assert list(release.overdue(project, version)) == [reason] * is_refused


def test_refused_version_is_neither_built_nor_packaged(project):
    (project / "scripts").mkdir()
    for name in ("release.py", "tools.py"):
        shutil.copy(ROOT / "scripts" / name, project / "scripts")
    done = subprocess.run([sys.executable, "scripts/release.py"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "Version 0.2.0 cannot be released:",
        "    scripts/release.py is not committed",
        "    scripts/tools.py is not committed",
    ]
    assert not (project / "target").exists()


SDIST, WHEEL = "drf_cookie_jwtauth-0.2.0.tar.gz", "drf_cookie_jwtauth-0.2.0-cp310-abi3-manylinux_2_28_x86_64.whl"
PACKAGES = ("jwtauth-0.2.0.crate", "jwtauth-axum-0.2.0.crate")


@pytest.mark.parametrize(
    ("made", "status", "failed"),
    [
        ([SDIST, WHEEL, *PACKAGES], 0, []),
        ([SDIST, WHEEL, PACKAGES[0]], 1, ["jwtauth-axum-0.2.0.crate was not packaged"]),
        ([WHEEL, *PACKAGES], 1, [f"dist should have {SDIST} and wheels, and has {WHEEL}"]),
    ],
)
def test_files_of_the_clean_clone_are_listed_and_not_uploaded(project, monkeypatch, capfd, made, status, failed):
    target = project / "target"
    monkeypatch.setattr(release, "ROOT", project)
    monkeypatch.setattr(release, "TARGET", target)

    def steps(since):
        clone = target / "release-check"
        assert (clone / "CHANGELOG.md").read_text() == CHANGELOG
        for name in made:
            folder = target / "package" if name.endswith(".crate") else clone / "dist"
            yield name, ["sh", "-c", f"mkdir -p {folder}; echo {name} > {folder / name}"]
        yield "docs", ["sh", "-c", f"exit {status}"]

    monkeypatch.setattr(release, "steps", steps)
    assert release.main() == status
    printed = capfd.readouterr().out
    for name in made:
        content = f"{name}\n".encode()
        assert f"{name}\n        {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}\n" in printed
    failed = ["docs", *failed] if status else []
    assert re.findall(r"^FAILED: (.+)$", printed, re.M) == failed
    assert ("Every step passed." in printed) is (failed == [])


def test_places_of_this_checkout_state_one_version():
    packages = release.cargo_packages(ROOT)
    stated = dict(release.statements(ROOT, packages))
    assert {"the crate jwtauth", "the crate jwtauth-axum", "the dependency of jwtauth-axum on jwtauth"} < stated.keys()
    (version,) = set(stated.values())
    assert list(release.outdated_pins(ROOT, version)) == []
    assert release.PIN.findall((ROOT / "docs/reference/versions.md").read_text())
    assert release.PIN.findall((ROOT / "docs/guides/rust.md").read_text())


def test_files_of_another_version_or_kind_are_not_uploaded():
    assert list(release.unexpected([SDIST, WHEEL], "0.2.0")) == []
    for names in ([], [SDIST], [WHEEL], [SDIST, WHEEL, WHEEL.replace("0.2.0", "0.1.0")]):
        (reason,) = release.unexpected(names, "0.2.0")
        assert re.match(r"dist should have drf_cookie_jwtauth-0\.2\.0\.tar\.gz and wheels, and has ", reason)
    local = "drf_cookie_jwtauth-0.2.0-cp310-abi3-linux_x86_64.whl"
    assert list(release.unexpected([SDIST, local], "0.2.0")) == [f"the index refuses {local}"]


def test_crate_compiled_from_an_earlier_package_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    unpacked = tmp_path / "cargo/registry/src/-1a2b/jwtauth-0.2.0"
    other = tmp_path / "cargo/registry/src/index.crates.io-3c4d/jwt-1.0.0"
    compiled = {name: tmp_path / f"target/debug/.fingerprint/jwtauth-{name}" for name in ("packaged", "checkout")}
    for folder in (unpacked, other, *compiled.values(), tmp_path / "target/debug/deps"):
        folder.mkdir(parents=True)
    for name, source in {"packaged": unpacked, "checkout": ROOT / "crates/jwtauth"}.items():
        (tmp_path / f"target/debug/deps/jwtauth-{name}.d").write_text(f"jwtauth.d: {source}/src/lib.rs\n")
    load("package").forget_unpacked(tmp_path / "target")
    assert [path.exists() for path in (unpacked, other)] == [False, True]
    assert {name: path.exists() for name, path in compiled.items()} == {"packaged": False, "checkout": True}


def test_files_of_a_package_are_unpacked_as_new(tmp_path):
    (tmp_path / "lib.rs").touch()
    os.utime(tmp_path / "lib.rs", (0, 0))
    crate = tmp_path / "package/jwtauth-0.2.0.crate"
    crate.parent.mkdir()
    with tarfile.open(crate, "w:gz") as archive:
        archive.add(tmp_path / "lib.rs", "jwtauth-0.2.0/src/lib.rs")
    began = time.time()
    unpacked = load("package").unpack({"name": "jwtauth", "version": "0.2.0"}, tmp_path, tmp_path / "folder")
    assert (unpacked / "src/lib.rs").stat().st_mtime > began - 60


def test_crate_without_a_record_is_reported():
    lock = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = "registry"\n\n'
        for name, version in [("serde", "1.0.2"), ("serde_json", "1.0.2"), ("http", "1.5.0"), ("bytes", "1.0.0")]
    )
    lock += LOCKED.format("jwtauth", "0.2.0")
    records = [
        '# cargo-vet\n\n[[exemptions.serde]]\nversion = "1.0.2"\ncriteria = "safe-to-deploy"\n',
        '[[audits.http]]\nwho = "ada"\ndelta = "1.4.0 -> 1.5.0"\n\n[[exemptions.serde_json]]\nversion = "1.0.1"\n',
        '[[audits.others.audits.bytes]]\nversion = "1.0.0"\n',
    ]
    assert load("audit").unrecorded(lock, records) == ["serde_json 1.0.2"]


def test_every_crate_of_this_checkout_has_a_record():
    lock = (ROOT / "Cargo.lock").read_text()
    audit = load("audit")
    assert audit.unrecorded(lock, [path.read_text() for path in audit.RECORDS.glob("*")]) == []
    assert audit.unrecorded(lock, []) != []
