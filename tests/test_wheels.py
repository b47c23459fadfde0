"""What `make wheels` puts into each wheel besides the code, and what it checks. It builds too long for a test."""

import json
import shutil
from pathlib import Path

import pytest

from tests.test_scripts import load

ROOT = Path(__file__).parents[1]
COMMIT = 1_800_000_001
TIME = (2027, 1, 15, 8, 0, 0)
TOOLS = {"rustc": "1.95.0", "ziglang": "0.17.1"}

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="reads what cargo would compile")


@pytest.fixture(scope="module")
def linked():
    return load("linked")


@pytest.fixture(scope="module")
def wheels():
    return load("wheels")


@pytest.fixture(scope="module")
def bill(linked):
    return linked.sbom(ROOT, "x86_64-unknown-linux-gnu", TOOLS, COMMIT)


def test_licences_of_every_linked_crate_are_in_the_package(linked):
    crates = {name for name, _version in linked.tree(ROOT, "all") if not name.startswith("jwtauth")}
    assert {"aws-lc-sys", "pyo3", "serde_json"} <= crates
    text = (ROOT / linked.NOTICES).read_text()
    assert linked.noticed(text) == crates | {"std"}, "run scripts/linked.py"
    assert "AWS Libcrypto (AWS-LC)" in text
    assert f'license-files = ["LICENSE", "{linked.NOTICES}"]' in (ROOT / "pyproject.toml").read_text()


def test_sbom_names_every_linked_crate_and_the_c_library(linked, bill):
    document = json.loads(bill)
    components = {component["name"]: component for component in document["components"]}
    crates = linked.tree(ROOT, "x86_64-unknown-linux-gnu")
    assert {*components, "jwtauth-python"} == {name for name, _version in crates} | {"AWS-LC"}
    assert all(component["licenses"][0]["expression"] for component in components.values())
    header = next(
        Path(linked.manifests(ROOT)[package]["manifest_path"]) for package in crates if package[0] == "aws-lc-sys"
    )
    assert f'"{components["AWS-LC"]["version"]}"' in (header.parent / "aws-lc/include/openssl/base.h").read_text()
    depends = {one["ref"].split("@")[0]: one["dependsOn"] for one in document["dependencies"]}
    assert components["AWS-LC"]["bom-ref"] in depends["pkg:cargo/aws-lc-sys"]
    assert {ref for refs in depends.values() for ref in refs} <= {one["bom-ref"] for one in components.values()}


def test_sbom_is_cyclonedx(bill):
    bom = pytest.importorskip("cyclonedx.model.bom")
    read = bom.Bom.from_json(json.loads(bill))
    assert "AWS-LC" in {component.name for component in read.components}
    read.validate()


def test_sbom_of_another_folder_is_the_same(linked, bill, tmp_path):
    for name in ("Cargo.toml", "Cargo.lock", "crates", "examples"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    assert linked.sbom(tmp_path, "x86_64-unknown-linux-gnu", TOOLS, COMMIT) == bill


@pytest.fixture
def wheel(linked, bill):
    """Return the arguments of `problems` for a wheel without any."""
    contents = {
        "jwtauth/_engine.abi3.so": b"\x7fELF /cargo/registry/src /build/source/crates",
        "x.dist-info/sboms/jwtauth.cdx.json": bill.encode(),
        f"x.dist-info/licenses/{linked.NOTICES}": (ROOT / linked.NOTICES).read_bytes(),
    }
    crates = {component["name"] for component in json.loads(bill)["components"]}
    return {"contents": contents, "times": {TIME}, "audited": crates, "commit": COMMIT}


def test_wheel_that_has_everything_has_no_problems(wheels, wheel):
    assert wheels.problems(**wheel) == []


@pytest.mark.parametrize("place", [ROOT, Path.home() / ".cargo", Path.home() / ".rustup"])
def test_path_of_the_machine_in_a_wheel_is_reported(wheels, wheel, place):
    wheel["contents"]["jwtauth/_engine.abi3.so"] += f"{place}/registry".encode()
    assert wheels.problems(**wheel) == [f"jwtauth/_engine.abi3.so contains the path {place}"]


def test_time_other_than_the_commit_s_is_reported(wheels, wheel):
    wheel["times"].add((2027, 1, 15, 8, 0, 2))
    assert len(wheels.problems(**wheel)) == 1


def test_missing_crate_in_the_audit_data_is_reported(wheels, wheel):
    wheel["audited"].remove("aws-lc-sys")
    assert wheels.problems(**wheel) == ["aws-lc-sys is not in the list for `cargo audit bin`"]


def test_missing_licence_is_reported(wheels, wheel):
    name = next(name for name in wheel["contents"] if "licenses" in name)
    wheel["contents"][name] = wheel["contents"][name].replace(b"\nmemchr:", b"\nmemory:")
    assert wheels.problems(**wheel) == ["the licence of memchr is missing"]


def test_missing_sbom_is_reported(wheels, wheel):
    del wheel["contents"]["x.dist-info/sboms/jwtauth.cdx.json"]
    assert wheels.problems(**wheel) == ["its SBOM does not name AWS-LC"]


def test_table_lists_the_archives_and_where_they_were_tested(wheels, monkeypatch, tmp_path):
    wheel = "drf_cookie_jwtauth-1.0-cp310-abi3-musllinux_1_2_x86_64.whl"
    (tmp_path / wheel).write_bytes(bytes(1_234_567))
    (tmp_path / "drf_cookie_jwtauth-1.0.tar.gz").write_bytes(b"")
    tried = {"seconds": 12.3, "passed": 150, "failed": 0, "without": ["tests/test_x.py"]}
    (tmp_path / "tried.json").write_text(json.dumps({wheel: {"CPython 3.12.1, musl": tried}}))
    for name, path in {"DIST": tmp_path, "TRIED": tmp_path / "tried.json", "TABLE": tmp_path / "table.md"}.items():
        monkeypatch.setattr(wheels, name, path)
    wheels.write_table()
    assert (tmp_path / "table.md").read_text().splitlines()[4:] == [
        "| `cp310-abi3-musllinux_1_2_x86_64` | 1.23 | CPython 3.12.1, musl: 150 tests, without test_x.py; 12 s |",
        "| source distribution | 0.00 | - |",
    ]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("cp315-abi3-manylinux_2_17_x86_64", True),
        ("cp315-abi3t-manylinux2014_x86_64", True),
        ("cp310-abi3-manylinux2014_x86_64", False),
        ("cp315-abi3-musllinux_1_2_x86_64", False),
    ],
)
def test_wheel_is_found_by_each_of_its_tags(tag, expected):
    name = "drf_cookie_jwtauth-1.0-cp315-abi3.abi3t-manylinux2014_x86_64.manylinux_2_17_x86_64"
    assert load("try_wheel").has_tag(name, tag) is expected
