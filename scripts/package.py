"""Packages the crates as `cargo publish` does, and builds and tests each unpacked package; `make package`.

Nothing is uploaded. The packages are in target/package.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The metadata that crates.io and readers expect.
FIELDS = ("description", "license", "repository", "homepage", "documentation", "readme", "rust_version")
FIELDS += ("keywords", "categories")
FILES = ("LICENSE", "README.md")


def main() -> int:
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--no-deps"]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    forget_unpacked(Path(metadata["target_directory"]))
    # Most dependencies are already compiled with all features, in the profiles of the checkout.
    shared = ["--config", str(ROOT / "Cargo.toml")]
    # --allow-dirty is safe, because nothing is uploaded.
    publish = ["cargo", "publish", "--workspace", "--dry-run", "--locked", "--allow-dirty", "--all-features", *shared]
    if status := subprocess.run(publish, cwd=ROOT).returncode:
        return status
    published = [package for package in metadata["packages"] if package["publish"] != []]
    failed = [f"{package['name']}: no {field}" for package in published for field in FIELDS if not package[field]]
    # Test outside the checkout, of which only the profiles are visible then.
    shared += ["--target-dir", metadata["target_directory"]]
    with tempfile.TemporaryDirectory() as folder:
        unpacked = {
            package["name"]: unpack(package, Path(metadata["target_directory"]), folder) for package in published
        }
        patches = [f'--config=patch.crates-io.{name}.path="{path}"' for name, path in unpacked.items()]
        for name, path in unpacked.items():
            failed += [f"{name}: no {file}" for file in FILES if not (path / file).is_file()]
            others = [patch for patch in patches if f".{name}." not in patch]
            for command in (
                ["check"],
                ["check", "--all-features", "--all-targets"],
                ["test", "--all-features", "--lib", "--quiet"],
            ):
                cargo = ["cargo", *command, *shared, *others]
                if subprocess.run(cargo, cwd=path).returncode:
                    failed.append(f"{name}: {' '.join(cargo)}")
    print(*failed, f"{len(published) - len({line.split(':')[0] for line in failed})} passed", sep="\n")
    return int(bool(failed))


def forget_unpacked(target: Path) -> None:
    """Remove what earlier dry runs have unpacked and compiled: cargo compares its names and versions alone."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    for folder in home.glob("registry/src/-*/jwtauth*"):
        shutil.rmtree(folder)
    for sources in target.glob("debug/deps/jwtauth-*.d"):
        if "/registry/src/-" in sources.read_text():
            shutil.rmtree(target / "debug/.fingerprint" / sources.stem, ignore_errors=True)


def untimed(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Leave out the time, which is of 2006 in every package: cargo would take what it compiled before to be newer."""
    return tarfile.data_filter(member, folder).replace(mtime=None, deep=False)


def unpack(package: dict, target: Path, folder: str) -> Path:
    name = f"{package['name']}-{package['version']}"
    # Which folder it is in depends on the version of cargo.
    newest = max(target.glob(f"package/**/{name}.crate"), key=lambda path: path.stat().st_mtime)
    with tarfile.open(newest) as archive:
        archive.extractall(folder, filter=untimed)
    return Path(folder, name)


if __name__ == "__main__":
    sys.exit(main())
