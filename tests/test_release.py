"""The records of dependencies that `make lint` and `make release-check` need."""

from pathlib import Path

from tests.test_scripts import load

ROOT = Path(__file__).resolve().parents[1]
LOCKED = '[[package]]\nname = "{}"\nversion = "{}"\n'


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
