"""Checks licences, advisories, duplicates and sources of the dependencies; part of `make lint`.

Advisories come from the RustSec database and from OSV. If these are unreachable, the output says so.
"""

import subprocess
import sys
from pathlib import Path

from tools import installed

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    deny = [installed("cargo-deny"), "--workspace", "--log-level", "error", "check"]
    failed = subprocess.run([*deny, "licenses", "bans", "sources"], cwd=ROOT).returncode != 0
    failed |= not advisories("Rust", [*deny, "advisories"], "fetch")
    pins = [argument for path in sorted((ROOT / "requirements").glob("*.txt")) for argument in ("-r", str(path))]
    audit = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--vulnerability-service", "osv", *pins]
    failed |= not advisories("Python", audit, "ConnectionError")
    return int(failed)


def advisories(language: str, command: list[str], unreachable: str) -> bool:
    """Return whether the database, if it is reachable, has no advisory for the dependencies."""
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode and unreachable in done.stdout:
        print(f"{language} advisories: not checked, the database is unreachable.")
        return True
    print(f"{language} advisories: {'none.' if done.returncode == 0 else done.stdout}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
