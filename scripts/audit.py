"""Checks licences, advisories, duplicates, sources and records of the dependencies; part of `make lint`.

Advisories come from the RustSec database and from OSV. If these are unreachable, the output says so.
"""

import re
import subprocess
import sys
from pathlib import Path

from tools import installed

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "supply-chain"
# A record of cargo-vet: the crate's name, and its lines.
RECORD = r"^\[\[(?:[\w-]+\.)*(?:audits|exemptions)\.([\w-]+)\]\]\n((?:.+\n)+)"


def main() -> int:
    deny = [installed("cargo-deny"), "--workspace", "--log-level", "error", "check"]
    failed = subprocess.run([*deny, "licenses", "bans", "sources"], cwd=ROOT).returncode != 0
    failed |= not advisories("Rust", [*deny, "advisories"], "fetch")
    pins = [argument for path in sorted((ROOT / "requirements").glob("*.txt")) for argument in ("-r", str(path))]
    audit = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--vulnerability-service", "osv", *pins]
    failed |= not advisories("Python", audit, "ConnectionError")
    missing = unrecorded((ROOT / "Cargo.lock").read_text(), [path.read_text() for path in RECORDS.glob("*")])
    print(f"Crates without a record in supply-chain: {', '.join(missing) or 'none'}.")
    return int(failed or bool(missing))


def unrecorded(lock: str, records: list[str]) -> list[str]:
    """Return the crates, with their versions, that have neither an audit nor an exemption.

    `make release-check` runs `cargo vet`, which knows more about records, and takes minutes to compile.
    """
    recorded = set()
    for name, record in re.findall(RECORD, "\n".join(records), re.M):
        versions = re.findall(r'^(?:version|delta) = "(?:.+ -> )?(.+)"$', record, re.M)
        recorded |= {(name, version) for version in versions}
    locked = re.findall(r'^name = "(.+)"\nversion = "(.+)"\nsource = ', lock, re.M)
    return [f"{name} {version}" for name, version in locked if (name, version) not in recorded]


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
