"""Builds the wheels and the source distribution into dist/, and checks them.

    wheels.py wheels [TARGET ...]   build from the last commit, for these targets or for all (make wheels)
    wheels.py rebuild [TARGET ...]  build again in another folder, and compare with dist/ (make rebuild)
    wheels.py table                 write docs/reference/artifacts-table.md

`zig cc` compiles AWS-LC and links for every target but Windows, for which MinGW does, so one Linux machine builds all
wheels. Two builds of one commit are equal in every bit: times are the commit's, and no path of the machine is in a
wheel. Each extension module carries the list of its crates that `cargo audit bin` reads, and each wheel an SBOM and the
licences of what is linked.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import linked
from tools import installed

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TABLE = ROOT / "docs/reference/artifacts-table.md"
EXTENSION = "jwtauth/_engine."
# What `scripts/try_wheel.py` found out, beside the wheels.
TRIED = DIST / "tried.json"

# Each with the platform tag that its wheels get, if maturin would choose another.
TARGETS = {
    "x86_64-unknown-linux-gnu": "manylinux2014",
    "aarch64-unknown-linux-gnu": "manylinux2014",
    "x86_64-unknown-linux-musl": "musllinux_1_2",
    "aarch64-unknown-linux-musl": "musllinux_1_2",
    "x86_64-apple-darwin": "pypi",
    "aarch64-apple-darwin": "pypi",
    "x86_64-pc-windows-gnu": "pypi",
}
# Debian's gcc-mingw-w64-x86-64. With zig, maturin 1.16 exports a wrong name on Windows, "PyInit_jwtauth._engine".
MINGW = "x86_64-w64-mingw32-gcc"
# One wheel for every CPython from 3.10; one for free-threaded 3.14, which has no stable ABI; one for free-threaded
# CPython from 3.15. maturin knows these interpreters, so they need not be installed.
PYTHONS = ("python3.10", "python3.14t", "python3.15t")


def run(*command: str | Path, **options: object) -> str:
    """Run this command, and return what it printed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def epoch() -> str:
    """Return the time of the last commit, which every file in the archives gets."""
    return run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()


def environment(folder: Path) -> dict[str, str]:
    """Return the variables for a build in this folder, of which nothing in the result shows a trace."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    shortened = {folder: "/build", home: "/cargo", Path(run("rustc", "--print", "sysroot").strip()): "/rust"}
    flags = [f"--remap-path-prefix={path}={name}" for path, name in shortened.items()]
    # `cargo auditable` sets these two variables and calls cargo; maturin calls cargo itself. The wrapper's path would
    # change the hashes of the crates, so it is given by name.
    auditable = Path(installed("cargo-auditable"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "PYO3_", "RUST"))}
    kept = {name: os.environ[name] for name in ("CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN") if name in os.environ}
    return {
        **inherited,
        **kept,
        "AWS_LC_SYS_PREBUILT_NASM": "1",  # for Windows: the crate ships what NASM makes, if that is missing
        "CARGO_AUDITABLE_ORIG_ARGS": json.dumps({"offline": False, "locked": True, "frozen": False, "config": []}),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "CARGO_INCREMENTAL": "0",
        "CARGO_TARGET_DIR": str(folder / "target"),
        # maturin runs `python3 -m ziglang`.
        "PATH": os.pathsep.join(map(str, (auditable.parent, Path(sys.executable).parent, os.environ["PATH"]))),
        "RUSTC_WORKSPACE_WRAPPER": auditable.name,
        "SOURCE_DATE_EPOCH": epoch(),
    }


def build(folder: Path, out: Path, targets: list[str]) -> None:
    """Build everything from the last commit in this empty folder."""
    source = folder / "source"
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "--extract"], cwd=source, input=archive, check=True)
    variables = environment(folder)
    maturin = (sys.executable, "-m", "maturin")
    run(*maturin, "sdist", "--out", out, cwd=source, env=variables)
    tools = {"rustc": run("rustc", "--version", cwd=source).split()[1]}
    tools |= {name: importlib.metadata.version(name) for name in ("maturin", "ziglang")}
    for target in targets:
        run("rustup", "target", "add", target, cwd=source)
        bill = folder / target / "jwtauth.cdx.json"
        bill.parent.mkdir()
        bill.write_text(linked.sbom(source, target, tools, int(variables["SOURCE_DATE_EPOCH"])))
        for python in PYTHONS:
            print(f"== {target}, {python}", flush=True)
            options = ("--release", "--locked", "--target", target, "--interpreter", python)
            options += () if "windows" in target else ("--zig",)
            options += ("--compatibility", TARGETS[target], "--sbom-include", bill, "--out", out)
            run(*maturin, "build", *options, cwd=source, env=variables)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each archive in this folder, by its name."""
    archives = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in archives}


def check(wheel: Path) -> list[str]:
    """Return what is wrong with this wheel."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {member.filename: archive.read(member) for member in archive.infolist()}
        times = {member.date_time for member in archive.infolist()}
    with tempfile.TemporaryDirectory() as folder:
        extension = Path(folder, "extension")
        extension.write_bytes(next(content for name, content in contents.items() if name.startswith(EXTENSION)))
        audited = json.loads(run(installed("rust-audit-info"), extension))
    return problems(contents, times, {package["name"] for package in audited["packages"]}, int(epoch()))


def problems(contents: dict[str, bytes], times: set[tuple], audited: set[str], commit: int) -> list[str]:
    """Return what is wrong with a wheel of these files, whose extension module says that it has these crates."""
    found = []
    built = time.gmtime(commit)
    if times != {(*built[:5], built.tm_sec // 2 * 2)}:  # ZIP counts in steps of two seconds
        found.append(f"its files have the times {sorted(times)}")
    places = (ROOT, Path(tempfile.gettempdir(), "jwtauth-"), Path.home() / ".cargo", Path.home() / ".rustup")
    for name, content in contents.items():
        found += [f"{name} contains the path {place}" for place in places if str(place).encode() in content]
    bills = [json.loads(content) for name, content in contents.items() if "/sboms/" in name]
    crates = {component["name"] for bill in bills for component in bill["components"]} - {"jwtauth"}
    if "AWS-LC" not in crates:
        found.append("its SBOM does not name AWS-LC")
    crates -= {"AWS-LC"}
    licences = b"".join(content for name, content in contents.items() if name.endswith(linked.NOTICES)).decode()
    found += [f"the licence of {name} is missing" for name in sorted(crates - linked.noticed(licences))]
    found += [f"{name} is not in the list for `cargo audit bin`" for name in sorted(crates - audited)]
    return found


def audit(wheel: Path) -> list[str]:
    """Print what the wheel needs of the C library, and return what it uses of CPython beside the stable ABI."""
    tools = Path(sys.executable).parent
    # maturin has checked musllinux wheels by the same rules. auditwheel would compare with this machine's C library.
    if "manylinux" in wheel.name:
        print(run(tools / "auditwheel", "show", wheel), flush=True)
    if "abi3" not in wheel.name:
        return []
    done = subprocess.run([tools / "abi3audit", "--strict", "--report", wheel], stdout=subprocess.PIPE)
    (report,) = json.loads(done.stdout)["specs"].values()
    results = [module["result"] for module in report["wheel"]]
    # PyModExport_* is what CPython calls first from 3.15 on; abi3audit 0.0.26 knows only its predecessor.
    symbols = {symbol for result in results for symbol in result["non_abi3_symbols"]} - {"PyModExport__engine"}
    found = [f"{symbol} is not in the stable ABI" for symbol in sorted(symbols)]
    found += [f"needs CPython {one['computed']}" for one in results if not one["is_abi3_baseline_compatible"]]
    print(f"abi3audit, {wheel.name}: {found or 'no violations'}", flush=True)
    return found


def make(targets: list[str]) -> int:
    """Build into dist/, and check what was built."""
    if any("windows" in target for target in targets) and not shutil.which(MINGW):
        print(f"Wheels for Windows need {MINGW}: apt install gcc-mingw-w64-x86-64, or name other TARGETS.")
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory(prefix="jwtauth-") as folder:
        build(Path(folder), DIST, targets)
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder)
        subprocess.run([*pip, *DIST.glob("*.tar.gz")], check=True)  # as where no wheel fits
    built = sorted(DIST.glob("*.whl"))
    found = [f"{wheel.name}: {problem}" for wheel in built for problem in (*check(wheel), *audit(wheel))]
    (DIST / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests(DIST).items()))
    print((DIST / "SHA256SUMS").read_text(), *found, sep="\n")
    return int(bool(found))


def rebuild(targets: list[str]) -> int:
    """Build again in a folder of another name, and compare the hashes."""
    if not digests(DIST) and make(targets):
        return 1
    with tempfile.TemporaryDirectory(prefix="jwtauth-once-more-") as folder:
        Path(folder, "dist").mkdir()
        build(Path(folder), Path(folder, "dist"), targets)
        again = digests(Path(folder, "dist"))
    first = {name: digest for name, digest in digests(DIST).items() if name in again}
    for name, digest in again.items():
        print(digest, "same" if first.get(name) == digest else f"DIFFERENT from {first.get(name)}", name)
    return int(first != again)


def write_table() -> None:
    """Write what is in dist/, and what `scripts/try_wheel.py` found out about it."""
    tried = json.loads(TRIED.read_text()) if TRIED.exists() else {}
    lines = ["<!-- Written by `scripts/wheels.py table`. -->", "", "| File | MB | Tested |", "| --- | --- | --- |"]
    for name in digests(DIST):
        tags = "-".join(name.removesuffix(".whl").split("-")[2:])
        results = [f"{where}: {described(result)}" for where, result in sorted(tried.get(name, {}).items())]
        size = (DIST / name).stat().st_size / 1e6
        lines.append(
            f"| {f'`{tags}`' if tags else 'source distribution'} | {size:.2f} | {'<br>'.join(results) or '-'} |"
        )
    TABLE.write_text("\n".join([*lines, ""]))


def described(result: dict) -> str:
    """Return how many tests passed, which were left out, and the seconds to the first request."""
    tests = f"{result['passed']} tests" if "passed" in result else "a login"
    failed = f", **{result['failed']} failed**" if result.get("failed") else ""
    names = [Path(name).name for name in result.get("without", ())]
    without = f", without {', '.join(names)}" if names else ""
    return f"{tests}{failed}{without}; {result['seconds']:.0f} s"


def main(action: str, *arguments: str) -> int:
    if action in ("wheels", "rebuild"):
        return {"wheels": make, "rebuild": rebuild}[action](list(arguments) or list(TARGETS))
    if action == "table":
        write_table()
        return 0
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [""]))
