"""Installs programs from crates.io that the checks use; each is compiled into .tools on first use."""

import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".tools"
VERSIONS = {
    "cargo-auditable": "0.7.7",
    "cargo-check-external-types": "0.5.0",  # reads format 57 of rustdoc's JSON
    "cargo-deny": "0.20.2",
    "cargo-fuzz": "0.13.2",
    "cargo-llvm-cov": "0.9.1",
    "cargo-semver-checks": "0.51.0",
    "cargo-vet": "0.10.3",
    "rust-audit-info": "0.5.4",
}


def installed(name: str) -> str:
    """Return the path of this program.

    Without optimisation it compiles in half the time, and its runs take seconds. Debug information is left out.
    """
    program = FOLDER / "bin" / name
    if not program.exists():
        print(f"Compiling {name} {VERSIONS[name]}, once: this takes some minutes.", flush=True)
        quick = ["--debug", "--config", "profile.dev.debug=false"]
        install = ["cargo", "install", "--locked", *quick, "--root", str(FOLDER)]
        subprocess.run([*install, f"{name}@{VERSIONS[name]}"], check=True)
    return str(program)
