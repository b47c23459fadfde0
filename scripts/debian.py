"""Installs another Debian release into a folder under .tools, for checks with its packages."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The path of this checkout inside the other Debian.
CHECKOUT = Path("/checkout")


def prefix(suite: str, packages: str, mounts: dict[Path, Path] | None = None) -> tuple[str, ...] | None:
    """Return the prefix of a command that runs in this release, or None if the release is not available.

    Needs root, and debootstrap the first time. ``mounts`` maps folders of this machine to their paths inside.
    """
    folder = ROOT / f".tools/debian-{suite}"
    if os.geteuid() or not (folder.exists() or shutil.which("debootstrap")):
        return None
    if not (folder / ".complete").exists() and not install(suite, packages, folder):
        return None
    for name in ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(name).exists() and (folder / name[1:]).parent.is_dir():
            shutil.copy(name, folder / name[1:])
    # The mounts are in a separate namespace, so they disappear with the command.
    commands = [f"mount -t proc proc {folder}/proc"]
    for here, there in {ROOT: CHECKOUT, **(mounts or {})}.items():
        (folder / there.relative_to("/")).mkdir(parents=True, exist_ok=True)
        commands.append(f"mount --bind {here} {folder}{there}")
    return ("unshare", "--mount", "--", "sh", "-c", f'{" && ".join(commands)} && exec chroot {folder} "$@"', "sh")


def install(suite: str, packages: str, folder: Path) -> bool:
    """Install the release and these packages with debootstrap. Return whether this succeeded."""
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
