"""Checks that each crate compiles with the oldest Rust that it supports; part of `make test`.

A crate supports the `rust-version` of its manifest; with features that need sqlx, sqlx's version. The compilers come
from rustup, if it can install them, or from Debian trixie, if root may run debootstrap. Unavailable ones are reported:
the other checks compile everything with a newer Rust, and clippy reports newer parts of the standard library.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import debian

ROOT = Path(__file__).resolve().parent.parent
DRIVER = "sqlx"
TRIXIE = "rustc,cargo,gcc,libc6-dev"
# Nothing is linked or run, so the C code need not be optimised, and no Python is needed.
FAST = ["--config", "profile.dev.debug=0", "--config", "profile.dev.package.aws-lc-sys.opt-level=0"]
NO_PYTHON = {"PYO3_NO_PYTHON": "1", "PYO3_BUILD_EXTENSION_MODULE": "1"}


@dataclass
class Compiler:
    """A Rust of some version: the prefix of its cargo, and its environment."""

    name: str
    cargo: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def check(self, packages: list[str]) -> bool:
        command = [*self.cargo, "check", "--locked", "--quiet", "--target-dir", "target/msrv", *FAST, *packages]
        environment = {name: value for name, value in os.environ.items() if name != "PYO3_PYTHON"}
        return subprocess.run(command, cwd=ROOT, env=environment | NO_PYTHON | self.environment).returncode == 0


def rustup(version: str) -> Compiler | None:
    """Return rustup's toolchain, installed if possible."""
    if not shutil.which("rustup"):
        return None
    compiler = Compiler("by rustup", ["rustup", "run", version, "cargo"])
    if subprocess.run([*compiler.cargo, "-V"], capture_output=True).returncode:
        try:
            install = ["rustup", "toolchain", "install", version, "--profile", "minimal", "--no-self-update"]
            if subprocess.run(install, capture_output=True, timeout=300).returncode:
                return None
        except subprocess.TimeoutExpired:
            return None
    return compiler


def trixie(version: str) -> Compiler | None:
    """Return Debian's toolchain, which uses the dependency sources of this machine's cargo."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    prefix = debian.prefix("trixie", TRIXIE, {home: Path("/cargo")})
    if prefix is None:
        return None
    subprocess.run(["cargo", "fetch", "--locked", "--quiet"], cwd=ROOT, check=True)
    inside = [*prefix, "env", "-C", str(debian.CHECKOUT)]
    said = subprocess.run([*inside, "rustc", "-V"], capture_output=True, text=True).stdout
    if not said.startswith(f"rustc {version}."):
        return None
    return Compiler("of Debian trixie", [*inside, "cargo"], {"CARGO_HOME": "/cargo", "CARGO_NET_OFFLINE": "true"})


def promises() -> dict[str, list[str]]:
    """Return the packages that each version of Rust must compile, as arguments of cargo."""
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    [driver] = [package["rust_version"] for package in metadata["packages"] if package["name"] == DRIVER]
    found = defaultdict(list)
    for package in metadata["packages"]:
        if package["id"] not in metadata["workspace_members"]:
            continue
        name, features = package["name"], package["features"]
        stores = {feature for feature, enables in features.items() if f"dep:{DRIVER}" in enables}
        others = [f"--features={name}/{feature}" for feature in sorted(features.keys() - stores)]
        found[short(package["rust_version"])] += ["-p", name, *others]
        if stores:
            found[short(driver)] += ["-p", name, *(f"--features={name}/{feature}" for feature in sorted(features))]
    return dict(found)


def short(version: str) -> str:
    return ".".join(version.split(".")[:2])


def main() -> int:
    failed = False
    for version, packages in promises().items():
        compiler = rustup(version) or trixie(version)
        if compiler is None:
            print(
                f"Left out: Rust {version}, which neither rustup nor Debian trixie provides on this machine.",
                flush=True,
            )
            continue
        passed = compiler.check(packages)
        said = "passed" if passed else "FAILED"
        print(f"Rust {version} {compiler.name}: {said}: {' '.join(packages)}", flush=True)
        failed |= not passed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
