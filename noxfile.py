"""Sessions that need other environments than `.venv`; `make lock` runs one. `.venv/bin/nox --list` names them."""

from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
# Those of the classifiers.
PYTHONS = nox.project.python_versions(PROJECT)

nox.options.envdir = ".tools/nox"
nox.options.sessions = []


@nox.session
def lock(session: nox.Session) -> None:
    """Pin the dependency groups in requirements/, each with the hashes of everything that it needs.

    Versions change only where a group needs it, or as the arguments say: ``--upgrade``, ``--upgrade-package NAME``.
    """
    session.install("--require-hashes", "--no-deps", "--requirement", REQUIREMENTS / "uv.txt")
    compiler = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHONS[0], "--generate-hashes")
    compiler += ("--no-strip-extras", "--no-annotate", "--no-emit-index-url", "--custom-compile-command=make lock")
    # pip is in every environment already.
    compiler += ("--no-emit-package", "pip")
    groups = [f"--group={name}" for name in PROJECT["dependency-groups"]]
    # All groups together first: .venv has several, so a package must have one version in all of them.
    together = Path(session.create_tmp()) / "together.txt"
    together.write_text("".join(path.read_text() for path in REQUIREMENTS.glob("*.txt")))
    session.run(*compiler, *groups, "--output-file", together, *session.posargs)
    for name in PROJECT["dependency-groups"]:
        output = REQUIREMENTS / f"{name}.txt"
        session.run(*compiler, f"--group={name}", "--constraint", together, "--output-file", output)
