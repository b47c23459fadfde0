"""What is linked into the extension module: as an SBOM (CycloneDX) and as licence texts.

``scripts/linked.py`` writes the licence texts to crates/jwtauth-python/LICENSES; a test reports a crate that is not
in it. ``scripts/wheels.py`` puts an SBOM for the platform into each wheel. maturin's own SBOM names the crates by paths
of the machine that builds, so that two builds differ, and does not name AWS-LC, the C code in the crate aws-lc-sys.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATE = "jwtauth-python"
NOTICES = f"crates/{CRATE}/LICENSES"
HEADING = """\
The extension module jwtauth._engine contains compiled code of these Rust crates, and of Rust's standard library (std).
The crate aws-lc-sys contains the C library AWS-LC. Where a crate may be used under the MIT licence or another one, the
MIT licence is used, and its text is below. Written by scripts/linked.py.
"""
RULE = "=" * 100

Package = tuple[str, str]  # name and version


def tree(root: Path, target: str) -> dict[Package, list[Package]]:
    """Return the packages that are linked for this target (or "all"), each with its dependencies, the binding first."""
    edges = ("--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", "{p}", "--no-dedupe")
    command = ["cargo", "tree", "--locked", "--package", CRATE, "--target", target, *edges]
    found: dict[Package, set[Package]] = defaultdict(set)
    above: list[Package] = []
    for line in subprocess.check_output(command, cwd=root, text=True).splitlines():
        depth, name, version = re.match(r"(\d+)(\S+) v(\S+)", line).groups()
        package = name, version
        del above[int(depth) :]
        found[package].update()
        if above:
            found[above[-1]].add(package)
        above.append(package)
    return {package: sorted(needed) for package, needed in found.items()}


def manifests(root: Path) -> dict[Package, dict]:
    """Return what the manifest of each package says."""
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    packages = json.loads(subprocess.check_output(command, cwd=root, text=True))["packages"]
    return {(package["name"], package["version"]): package for package in packages}


def sbom(root: Path, target: str, tools: dict[str, str], epoch: int) -> str:
    """Return the SBOM of the extension module for this target, built with these tools, as CycloneDX JSON."""
    linked, said = tree(root, target), manifests(root)
    lock = (root / "Cargo.lock").read_text()
    pattern = r'name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"'
    checksums = {(name, version): checksum for name, version, checksum in re.findall(pattern, lock)}
    (first, *_), components = linked, []
    for package in linked:
        name, version = package
        component = {"type": "library", "bom-ref": purl(package), "name": name, "version": version}
        component |= {"licenses": [{"expression": said[package]["license"]}], "purl": purl(package)}
        if package in checksums:
            component["hashes"] = [{"alg": "SHA-256", "content": checksums[package]}]
        components.append(component)
    wrapper = next(package for package in linked if package[0] == "aws-lc-sys")
    c_library = aws_lc(said[wrapper])
    needed = {purl(package): [purl(other) for other in others] for package, others in linked.items()}
    needed[purl(wrapper)].append(c_library["bom-ref"])
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).isoformat(),
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version} for name, version in tools.items()
                ]
            },
            "component": components[0],
            "properties": [{"name": "target", "value": target}],
        },
        "components": [*components[1:], c_library],
        "dependencies": [
            {"ref": ref, "dependsOn": refs} for ref, refs in (needed | {c_library["bom-ref"]: []}).items()
        ],
    }
    assert purl(first) == document["metadata"]["component"]["bom-ref"]
    return json.dumps(document, indent=1) + "\n"


def purl(package: Package) -> str:
    return "pkg:cargo/{}@{}".format(*package)


def aws_lc(wrapper: dict) -> dict:
    """Return AWS-LC, the C library in this crate, as a separate component: its advisories name its own version."""
    header = Path(wrapper["manifest_path"]).parent / "aws-lc/include/openssl/base.h"
    version = re.search(r'define AWSLC_VERSION_NUMBER_STRING "(.+)"', header.read_text())[1]
    name = f"pkg:github/aws/aws-lc@v{version}"
    return {
        "type": "library",
        "bom-ref": name,
        "name": "AWS-LC",
        "version": version,
        "licenses": [{"expression": wrapper["license"]}],
        "cpe": f"cpe:2.3:a:amazon:aws-lc:{version}:*:*:*:*:*:*:*",
        "purl": name,
        "externalReferences": [{"type": "vcs", "url": "https://github.com/aws/aws-lc"}],
    }


def notices(root: Path) -> str:
    """Return the licence texts of the crates that are linked on any platform, each text once."""
    said, users = manifests(root), defaultdict(list)
    for package in tree(root, "all"):
        if package[0].startswith("jwtauth"):
            continue  # has the project's own licence
        folder = Path(said[package]["manifest_path"]).parent
        files = sorted(path for path in folder.iterdir() if re.match(r"licen[cs]e", path.name, re.I))
        files = [path for path in files if path.name.lower() == "license-mit"] or files
        assert files, f"{package[0]} has no licence text"
        for file in files:
            text = "\n".join(line.rstrip() for line in file.read_text().strip().splitlines())
            users[text].append(f"{package[0]}: {said[package]['license']}")
    # The standard library's text of the MIT licence is the one without names, which many crates have too.
    users[next(text for text in users if text.startswith("Permission is hereby"))].append("std: MIT OR Apache-2.0")
    blocks = sorted((sorted(set(names)), text) for text, names in users.items())
    return "\n".join([HEADING, *(f"{RULE}\n" + "\n".join(names) + f"\n\n{text}\n" for names, text in blocks)])


def noticed(text: str) -> set[str]:
    """Return the names of the crates in these licence texts."""
    heads = [block.strip().split("\n\n")[0] for block in text.split(RULE)[1:]]
    return {line.split(":")[0] for head in heads for line in head.splitlines()}


if __name__ == "__main__":
    (ROOT / NOTICES).write_text(notices(ROOT))
    sys.exit()
