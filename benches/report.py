"""Writes the page and the plots of docs/performance/ from the figures that `run.py` measured."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
# Equal figures give equal bytes.
matplotlib.rcParams |= {
    "svg.hashsalt": "jwtauth",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

import matplotlib.pyplot as plt  # noqa: E402

COLOR, OTHER_COLOR = "#1f6feb", "#9aa4af"
OPERATIONS = ("request", "login", "refresh", "logout")
INTRODUCTION = """# Measurements

`make bench` measures and writes this page; do not edit it by hand. All rows of a table took turns in one run. `±` is
half the interquartile range over the rounds. The times depend on the machine; the ratios carry over.
"""


def write(results: dict, folder: Path) -> None:
    """Write index.md and an SVG for each measured part."""
    sections = [INTRODUCTION]
    for name, section in SECTIONS.items():
        part = results.get(name, {})
        if part.get("results"):
            sections.append(section(part["results"], folder) + "\n" + where(part["machine"]))
    (folder / "index.md").write_text("\n".join(sections))


def where(machine: dict) -> str:
    return (
        f"{machine['day']}: {machine['processor']}, {machine['cores']} cores, CPython {machine['python']}, "
        f"Django {machine['django']}, DRF {machine['drf']}.\n"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figure(value: dict, digits: int = 0) -> str:
    return f"{value['median']:.{digits}f} ± {value['spread']:.{digits}f}"


def bars(title: str, unit: str, values: dict[str, dict], path: Path) -> str:
    """Save a bar chart, and return the Markdown that shows it."""
    names = list(values)
    plot, axes = plt.subplots(figsize=(7, 0.4 * len(names) + 1))
    axes.barh(
        names,
        [values[name]["median"] for name in names],
        xerr=[values[name]["spread"] for name in names],
        color=[COLOR if "jwtauth" in name else OTHER_COLOR for name in names],
    )
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left")
    save(plot, path)
    return f"![{title}]({path.name})\n"


def save(plot, path: Path) -> None:
    plot.tight_layout()
    plot.savefig(path, metadata={"Date": None})
    plt.close(plot)


def engine(results: dict, folder: Path) -> str:
    text = (
        "## The engine\n\nMicroseconds in Rust. The raw primitive is the same library with a parsed key, over the same "
        "bytes; × is the ratio to its time.\n\n"
    )
    for operation in ("verify", "sign"):
        rows = []
        for algorithm in algorithms(results, operation):
            contenders = results[f"{operation} {algorithm}"]
            raw = contenders["raw primitive"]["median"]
            cells = [
                f"{figure(scaled(contenders[name]), 2)} ×{contenders[name]['median'] / raw:.2f}"
                if name in contenders
                else "–"
                for name in ("jwtauth", "jsonwebtoken", "jwt-simple")
            ]
            rows.append([algorithm, figure(scaled(contenders["raw primitive"]), 2), *cells])
        text += table([operation, "raw primitive", "jwtauth", "jsonwebtoken", "jwt-simple"], rows) + "\n"
    rows = [[name, f"{value['median']:.0f} ns"] for name, value in results["rules"].items()]
    text += table(["", ""], rows) + "\n"
    hs256 = {name: scaled(value) for name, value in results["verify HS256"].items()}
    return text + bars("Verify HS256 in Rust", "µs", hs256, folder / "engine.svg")


def scaled(value: dict) -> dict:
    """Convert nanoseconds to microseconds."""
    return {name: number / 1000 for name, number in value.items()}


def algorithms(results: dict, operation: str) -> list[str]:
    order = ("HS", "RS", "PS", "ES", "Ed")
    names = [group.split()[1] for group in results if group.startswith(operation)]
    return sorted(names, key=lambda name: (order.index(name[:2]), name))


def calls(results: dict, folder: Path) -> str:
    text = "## A call from Python\n\nMicroseconds, with parsed keys; × is the ratio to jwtauth's time.\n\n"
    for operation in ("verify", "sign"):
        rows = []
        for algorithm in algorithms(results, operation):
            contenders = results[f"{operation} {algorithm}"]
            own = contenders["jwtauth"]["median"]
            others = [
                f"{figure(contenders[name], 1)} ×{contenders[name]['median'] / own:.1f}"
                for name in ("PyJWT", "joserfc")
            ]
            rows.append([algorithm, figure(contenders["jwtauth"], 1), *others])
        text += table([operation, "jwtauth", "PyJWT", "joserfc"], rows) + "\n"
    return text + bars("Verify HS256 from Python", "µs", results["verify HS256"], folder / "calls.svg")


def requests(results: dict, folder: Path) -> str:
    text = (
        "## A request\n\nMicroseconds that authentication adds to a DRF request through WSGI, and in brackets the "
        "number of SQL statements.\n\n"
    )
    for vendor, part in results.items():
        text += f"{vendor}: without authentication, the request takes {figure(part['floor'])} µs.\n\n"
        rows = [
            [name, *(cell(operations.get(operation)) for operation in OPERATIONS)]
            for name, operations in part["added"].items()
        ]
        text += table(["", *OPERATIONS], rows) + "\n"
        simplejwt = part["added"]["simplejwt"]["request"]["median"]
        text += "Time added to a request, relative to simplejwt: " + ", ".join(
            f"{name} {operations['request']['median'] / simplejwt:.2f}"
            for name, operations in part["added"].items()
            if "jwtauth" in name
        )
        text += ".\n\n"
        floor = part["added"].get("the floor in Python")
        if floor is not None:
            own = part["added"]["jwtauth"]
            times = [f"{own[name]['median'] / floor[name]['median']:.2f} ({name})" for name in floor]
            text += (
                "`the floor in Python` is the minimum work of each operation, without the rules of jwtauth "
                "(benches/floor.py); "
                f"jwtauth takes {', '.join(times)} times as long.\n\n"
            )
        if "jwtauth, prepared" in part["added"]:
            text += "`prepared` uses Django's options `server_side_binding` and `prepare_threshold`.\n\n"
        if "knox" in part["added"]:
            text += "In each request, knox reads every token of the user, and the only user here has hundreds.\n\n"
        values = {name: operations["request"] for name, operations in part["added"].items()}
        path = folder / f"requests-{vendor.lower()}.svg"
        text += bars(f"Added to a request, {vendor}", "µs", values, path) + "\n"
    return text


def steps(results: dict, folder: Path) -> str:
    text = (
        "## Where the strict check spends its time\n\nMicroseconds that each step adds to a request on SQLite, "
        "compared to a request without authentication. The statement alone, on Django's cursor, is the minimum for any "
        "check that queries the database.\n\n"
    )
    return text + table(["", "µs"], [[name, figure(value)] for name, value in results.items()])


def cell(value: dict | None) -> str:
    return "–" if value is None else f"{figure(value)} [{value['statements']}]"


def served(results: dict, folder: Path) -> str:
    text = (
        "## Through a server\n\nRequests per second: gunicorn with one worker process and wrk with four connections, "
        "both on this machine.\n\n"
    )
    names = list(next(iter(results.values())))
    rows = [[name, *(figure(part[name]) for part in results.values())] for name in names]
    return text + table(["", *results], rows)


def asynchronous(results: dict, folder: Path) -> str:
    text = (
        "## Under ASGI\n\nRequests per second, and the 99th percentile of the latency in milliseconds: one server "
        "process and wrk with eight connections, both on this machine. The async view awaits `request.auser()`, which "
        "loads the user; within `SESSION_CHECK_INTERVAL`, `request.user.pk` alone needs no query and no thread.\n\n"
    )
    for title, views in results.items():
        rows = [
            [f"{view}: {way}", figure(found["rate"]), f"{found['p99']['median'] / 1000:.0f}"]
            for view, ways in views.items()
            for way, found in ways.items()
        ]
        text += table([title, "requests/s", "99 %, ms"], rows) + "\n"
    return text


def service(results: dict, folder: Path) -> str:
    text = (
        "## A Rust service\n\nRequests per second of an axum service, and their latency: the median and the 99th "
        "percentile. wrk runs on the same machine with 8, 64 and 512 connections; the more requests wait at once, the "
        "longer each takes. `one query` is a handler without authentication that queries the user by primary key, and "
        "`the check's query` one that queries a session and its user as jwtauth's strict check does. "
        "Every variant with a database uses sqlx's pool of ten connections; in `no ping`, the pool's "
        "`test_before_acquire` is off. × is the ratio of the request's time to that of the bare handler "
        "(`no authentication`), and to that of `one query`.\n\n"
    )
    by_vendor = results["loads"]
    for vendor, loads in by_vendor.items():
        rows = [
            [
                f"{name}, {connections} connections",
                figure(way["rate"]),
                *(f"{way[latency]['median']:.0f}" for latency in ("latency", "p99")),
                *(
                    f"×{ways[floor]['rate']['median'] / way['rate']['median']:.2f}"
                    for floor in ("no authentication", "one query")
                ),
            ]
            for connections, ways in loads.items()
            for name, way in ways.items()
        ]
        text += table([vendor, "requests/s", "median, µs", "99 %, µs", "× bare", "× one query"], rows) + "\n"
    rows = [
        [thousands(int(size)), *(figure(part[name]["rate"]) for name in ("one query", "jwtauth"))]
        for size, part in results["growth"].items()
    ]
    text += "Requests per second on SQLite as the table grows, over 8 connections:\n\n"
    text += table(["sessions", "one query", "jwtauth"], rows) + "\n"
    values = {name: way["rate"] for name, way in by_vendor["SQLite"]["8"].items()}
    return text + bars("An axum service, requests per second", "requests/s", values, folder / "service.svg")


def processor(results: dict, folder: Path) -> str:
    text = (
        "## A Rust service, without a socket\n\nMicroseconds of processor time that a request takes in the service, "
        "which makes the requests itself, one after the other. The rows are those of the section before, on SQLite.\n\n"
    )
    bare, one = (results[name]["median"] for name in ("no authentication", "one query"))
    rows = [
        [name, figure(way, 2), f"×{way['median'] / bare:.2f}", f"×{way['median'] / one:.2f}"]
        for name, way in results.items()
    ]
    return text + table(["", "µs", "× bare", "× one query"], rows) + "\n"


def growth(results: dict, folder: Path) -> str:
    text = (
        "## As the table grows\n\nMicroseconds for the whole request; × is the ratio to a table of some thousand "
        "sessions, measured in turns. The sizes were measured one after the other, so only × compares them. On "
        "PostgreSQL, both tables are in databases of one server. `cleaned` is the removal of one expired session.\n\n"
    )
    operations = ("request", "login", "refresh", "logout")
    plot, axes = plt.subplots(1, len(results), figsize=(4.5 * len(results), 3.2), sharey=True, squeeze=False)
    for axis, (vendor, sizes) in zip(axes[0], results.items(), strict=True):
        rows = [
            [
                thousands(int(size)),
                *(f"{figure(found[name])} ×{figure(found[name]['ratio'], 2)}" for name in operations),
                f"{found['cleaned']:.1f}",
                f"{found['bytes'] / 2**20:.1f}",
            ]
            for size, found in sizes.items()
        ]
        text += table([f"sessions, {vendor}", *operations, "cleaned", "MiB"], rows) + "\n"
        for name in operations:
            values = [found[name]["ratio"]["median"] for found in sizes.values()]
            axis.plot([int(size) for size in sizes], values, marker="o", label=name)
        axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.set_title(vendor, loc="left")
        axis.set_xlabel("sessions")
    axes[0][0].set_ylabel("ratio to a small table")
    axes[0][-1].legend(frameon=False)
    save(plot, folder / "growth.svg")
    return text + "![Cost of a request as the table grows](growth.svg)\n"


def cleaning(results: dict, folder: Path) -> str:
    text = (
        "## Removing expired sessions\n\nFrom a realistic table: half of it is live, and its rows are in no order of "
        "key, user or expiry. `jwtauth_clearsessions` uses small statements, and pauses between them on SQLite. "
        "Django's `clearsessions` is one statement, run on another table with the same expiry times. While there are "
        "expired rows, a login takes longer: until the client has its response, and until the process accepts another "
        "request.\n\n"
    )
    columns = {
        "rows removed": lambda found: thousands(found["removed"]),
        "µs per row": lambda found: f"{found['row_us']:.1f}",
        "slowest statement, ms": lambda found: f"{found['slowest_ms']:.0f}",
        "additional memory, MiB": lambda found: f"{found['grown_mib']:.1f}",
        "`clearsessions`, µs per row": lambda found: f"{found['clearsessions_row_us']:.1f}",
        "`clearsessions`, statement, ms": lambda found: f"{found['clearsessions_ms']:.0f}",
        "login, ms": lambda found: f"{found['login_ms']:.1f}",
        "added for the client, ms": lambda found: slower(found, "login"),
        "added for the process, ms": lambda found: slower(found, "process"),
    }
    rows = [[name, *(cell(found) for found in results.values())] for name, cell in columns.items()]
    return text + table(["", *results], rows)


def slower(found: dict, whom: str) -> str:
    """Format the added time: the median and the 99th percentile."""
    return f"{found[f'{whom}_more_ms']:.1f}, 99 %: {found[f'{whom}_more_p99_ms']:.1f}"


def instructions(results: dict, folder: Path) -> str:
    text = (
        "## Instructions\n\nInstructions that authentication adds to a request on SQLite, counted by valgrind's "
        "callgrind. The machine's load does not affect them.\n\n"
    )
    rows = [[name, thousands(count)] for name, count in results["added"].items()]
    text += table(["", "instructions"], rows) + "\n"
    text += (
        "`make test` repeats these counts and fails if one has grown by more than a tenth (`benches/instructions.py` "
        "keeps them):\n\n"
    )
    return text + table(["", "instructions"], [[name, thousands(count)] for name, count in results["paths"].items()])


def thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def size(results: dict, folder: Path) -> str:
    rows = [
        ["a cached session (`SESSION_CHECK_INTERVAL`)", f"{results['session_bytes']:.0f} bytes"],
        ["wheel", f"{results['wheel_bytes'] / 1e6:.2f} MB"],
        ["site startup, in addition to Django and DRF", f"{results['import_ms']:.0f} ms"],
    ]
    return "## Memory, size, startup\n\n" + table(["", ""], rows)


SECTIONS = {
    section.__name__: section
    for section in (
        requests,
        steps,
        served,
        asynchronous,
        service,
        processor,
        growth,
        cleaning,
        instructions,
        engine,
        calls,
        size,
    )
}
