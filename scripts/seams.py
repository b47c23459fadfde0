"""The long version of tests/seams: writes docs/seams.json, and from it docs/seams-table.md.

`make seams` runs every department; ``scripts/seams.py DEPARTMENT...`` runs some, and keeps the rows of the others.
``servers:NAME`` and ``browsers:NAME`` run only the parts whose name begins with this.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import date
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FIGURES = ROOT / "docs/seams.json"
TABLE = ROOT / "docs/seams-table.md"
# Each has a module `long` in its folder under tests/seams, with a function `rows()`.
DEPARTMENTS = ("browsers", "servers", "proxies", "clients", "databases")
HEADINGS = ("Part", "Tried", "Requests", "Signed out", "5xx", "Seen")


def write_table(figures: dict) -> None:
    lines = ["<!-- Written by `make seams`. -->", ""]
    for name in DEPARTMENTS:
        if found := figures.get(name):
            lines += [f"### {name.capitalize()}", "", *table(found["rows"]), "", f"{found['when']}.", ""]
    TABLE.write_text("\n".join(lines))
    print(TABLE.read_text())


def merged(kept: list[list], rows: list[list]) -> list[list]:
    """Return the kept rows, with new ones in place of those of the same part and trial."""
    new = {(row[0], row[1]): row for row in rows}
    found = [new.pop((row[0], row[1]), row) for row in kept]
    return [*found, *new.values()]


def table(rows: list[list]) -> list[str]:
    cells = [HEADINGS, ("---", "---", "---:", "---:", "---:", "---"), *(map(cell, row) for row in rows)]
    return [" | ".join(("", *row, "")).strip() for row in cells]


def cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def main(names: list[str]) -> None:
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for asked in names or DEPARTMENTS:
        name, _, part = asked.partition(":")
        print(f"== {name}", flush=True)
        rows = []
        for row in import_module(f"tests.seams.{name}.long").rows(*filter(None, [part])):
            print(*row, sep=" | ", flush=True)
            rows.append(list(row))
        if part:
            rows = merged(figures[name]["rows"], rows)
        where = f"{os.cpu_count()} cores, CPython {platform.python_version()}"
        figures[name] = {"when": f"{date.today().isoformat()}, {where}", "rows": rows}
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    write_table(figures)


if __name__ == "__main__":
    main(sys.argv[1:])
