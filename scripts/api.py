"""Checks the published crates for exposed types of other crates, and for breaking changes; part of `make lint`.

Types of other crates must be listed in the manifest under `cargo_check_external_types`: for each of them, a major
release of its crate is a breaking release here. A crate is compared with its last release on crates.io, if there is
one; `make semver SINCE=REVISION` compares it with a commit.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import installed

ROOT = Path(__file__).resolve().parent.parent
# Both tools read rustdoc's JSON, which is unstable. It gets a separate target folder, because the variable would cause
# rebuilds.
UNSTABLE = {"RUSTC_BOOTSTRAP": "1", "CARGO_TARGET_DIR": str(ROOT / "target/api")}


def main(since: str = "") -> int:
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--no-deps"]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    published = [package for package in metadata["packages"] if package["publish"] != []]
    if since:
        passed = [compare(package["name"], "--baseline-rev", since) for package in published]
    else:
        passed = [exposes_what_it_says(package) for package in published]
        passed += [compare_with_release(package["name"]) for package in published]
    return int(not all(passed))


def exposes_what_it_says(package: dict) -> bool:
    tool = installed("cargo-check-external-types")
    command = [tool, "check-external-types", "--all-features", "--manifest-path", package["manifest_path"]]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | UNSTABLE, capture_output=True, text=True)
    if "JSON format version" in done.stderr:
        print(f"{package['name']}: types of other crates: not checked, the JSON of this rustdoc has another format.")
        return True
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n")
    print(
        f"{package['name']}: types of other crates: {'as listed in its manifest' if not done.returncode else 'FAILED'}."
    )
    return done.returncode == 0


def compare_with_release(name: str) -> bool:
    with tempfile.TemporaryDirectory() as outside:  # inside the workspace, cargo would find the local crate
        done = subprocess.run(["cargo", "info", "--quiet", name], cwd=outside, capture_output=True, text=True)
    if done.returncode == 0:
        return compare(name)
    if "could not find" in done.stderr:
        print(f"{name}: breaking changes: not checked, no version is on crates.io.")
    else:
        print(f"{name}: breaking changes: not checked, crates.io is unreachable.")
    return True


def compare(name: str, *baseline: str) -> bool:
    tool = installed("cargo-semver-checks")
    command = [tool, "semver-checks", "--package", name, "--all-features", *baseline]
    return subprocess.run(command, cwd=ROOT, env=os.environ | UNSTABLE).returncode == 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
