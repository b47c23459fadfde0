"""A Debian of another release in a folder under .tools, for checks with what that release has."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where a command in the other Debian finds this checkout.
CHECKOUT = Path("/checkout")


def prefix(suite: str, packages: str, mounts: dict[Path, Path] | None = None) -> tuple[str, ...] | None:
    """Return what comes before a command that is to run in this release; None where the release cannot be had.

    It takes root, and debootstrap the first time. ``mounts`` names folders of this machine, and where they are there.
    """
    folder = ROOT / f".tools/debian-{suite}"
    if os.geteuid() or not (folder.exists() or shutil.which("debootstrap")):
        return None
    if not (folder / ".complete").exists() and not install(suite, packages, folder):
        return None
    for name in ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(name).exists() and (folder / name[1:]).parent.is_dir():
            shutil.copy(name, folder / name[1:])
    # A namespace of its own for the mounts: nothing is left of them once the command has ended.
    commands = [f"mount -t proc proc {folder}/proc"]
    for here, there in {ROOT: CHECKOUT, **(mounts or {})}.items():
        (folder / there.relative_to("/")).mkdir(parents=True, exist_ok=True)
        commands.append(f"mount --bind {here} {folder}{there}")
    return ("unshare", "--mount", "--", "sh", "-c", f'{" && ".join(commands)} && exec chroot {folder} "$@"', "sh")


def install(suite: str, packages: str, folder: Path) -> bool:
    """Whether debootstrap could put the release there, with these packages."""
    targets = subprocess.check_output(["apt-get", "indextargets", "--format", "$(REPO_URI)"], text=True).split()
    mirror = next((uri for uri in targets if uri.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        return False
    print(f"== Debian {suite} into {folder.relative_to(ROOT)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(folder), mirror]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(*done.stdout.splitlines()[-5:], sep="\n", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        return False
    (folder / ".complete").touch()
    return True
