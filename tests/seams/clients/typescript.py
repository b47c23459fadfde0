"""Compiles the clients of examples/clients that are in TypeScript."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.demo import SITE
from tests.seams.clients.table import FOLDER, install, run

CLIENTS = SITE.parent / "clients"
OPTIONS = ("--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom")


def compile_clients(folder: Path) -> None:
    """Compile them into this folder, strictly, as a project does that has installed jose."""
    if not shutil.which("npm"):
        pytest.skip("no npm: apt install npm")
    install()
    (folder / "node_modules").symlink_to(FOLDER / "node/node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    files = [shutil.copy(path, folder) for path in sorted(CLIENTS.glob("*.ts"))]
    run("node_modules/.bin/tsc", *OPTIONS, *(Path(file).name for file in files), cwd=folder)
