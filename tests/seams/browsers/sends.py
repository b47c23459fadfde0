"""What each browser sends across origins, for docs/concepts/cross-origin.md: measured, written and read again.

``python -m tests.seams.browsers.sends`` measures every installed browser, and writes the tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from tests.seams.browsers.cross_origin import LEAVES, POLICIES, ROOT, SAME_SITES, Case, Hop, Page, Site, started
from tests.seams.browsers.driver import BROWSERS, Browser

DOCUMENT = ROOT / "docs/concepts/cross-origin.md"
START, END = "<!-- what browsers send: written by `make seams` -->", "<!-- end of what browsers send -->"
QUOTED = [f"`{policy}`" for policy in POLICIES]
HEADINGS = ("From", "How")
NAMES = {
    "own": "own page",
    "sibling": "sibling host",
    "port": "other port",
    "foreign": "foreign site",
    "friend": "trusted site",
}
# A row's place: the title of its table, where the request is from, and how it is made.
Key = tuple[str, str, str]
Facts = dict[Key, str]


def cases() -> Iterator[tuple[Key, Case]]:
    """Yield the requests for each browser, with their places in the tables."""
    yield from navigations()
    yield from forms()
    yield from policies()
    yield from scripts()


def navigations() -> Iterator[tuple[Key, Case]]:
    title = "Links and redirects to a page (`GET`)"

    def link(host: str, *hops: Hop) -> Case:
        return Case(Page(host, click=True), "link", "GET", hops=hops)

    for host in ("own", "sibling", "port", "foreign"):
        yield (title, NAMES[host], "link"), link(host)
    for status in (302, 307):
        yield (title, NAMES["own"], f"link, {status} of a foreign site"), link("own", Hop(status, "foreign"))
        yield (title, NAMES["foreign"], f"link, own {status}"), link("foreign", Hop(status, "own"))
    yield (title, NAMES["own"], "form, 302 of a foreign site"), top("own", Hop(302, "foreign"))
    yield (title, NAMES["foreign"], "form, own 302"), top("foreign", Hop(302, "own"))
    provider = replace(link("own", Hop(302, "own"), Hop(302, "foreign")), target="/callback/")
    yield (title, NAMES["own"], "link, own 302, a provider's 302"), provider
    post = replace(top("foreign", click=False), target="/callback/")
    yield ("Writes (`POST`)", NAMES["foreign"], "a provider's form (`form_post`)"), post


def top(host: str, *hops: Hop, click: bool = True) -> Case:
    """Return a form that replaces the page."""
    return Case(Page(host, click=click), "page", type="application/x-www-form-urlencoded", hops=hops)


def forms() -> Iterator[tuple[Key, Case]]:
    title = "Writes (`POST`)"
    for host in NAMES:
        for click, how in ((True, "form, clicked"), (False, "form, by script")):
            yield (title, NAMES[host], how), top(host, click=click)
        yield (title, NAMES[host], "form in a frame"), Case(Page(host), "srcdoc", type="text/plain")
        yield (title, NAMES[host], "form in a sandboxed frame"), Case(Page(host), "sandbox", type="text/plain")
        yield (title, NAMES[host], "form in a frame of `data:`"), Case(Page(host), "data", type="text/plain")
    for host in ("sibling", "foreign"):
        place = f"{NAMES[host]}, framed in an own page"
        yield (title, place, "form"), Case(Page(host, frame="own"), "form", type="text/plain")
        yield (title, place, "`fetch`"), Case(Page(host, frame="own"), "fetch", type="text/plain")


def policies() -> Iterator[tuple[Key, Case]]:
    title = "Forms under each Referrer-Policy (`POST`)"
    ways = {
        "": (),
        ", 307 of a foreign site": (Hop(307, "foreign"),),
        # Firefox treats the result, after a click, as a request of the user.
        ", 307 of a foreign site under `no-referrer`": (Hop(307, "foreign", "no-referrer"),),
    }
    for host, click in (("own", False), ("sibling", False), ("foreign", False), ("foreign", True)):
        for way, hops in ways.items():
            place = f"{NAMES[host]}{', clicked' if click else ''}{way}"
            for policy in POLICIES:
                page = Page(host, policy, click)
                yield (title, place, f"`{policy}`"), Case(page, "form", type="text/plain", hops=hops)


def scripts() -> Iterator[tuple[Key, Case]]:
    title = "Scripts (`POST`, and the handshake of a WebSocket)"
    for host in NAMES:
        page = Page(host)
        ways = {
            "`fetch`, no-cors": Case(page, "fetch", type="text/plain", mode="no-cors"),
            "`fetch`": Case(page, "fetch", type="text/plain"),
            "`fetch` of JSON": Case(page, "fetch", type="application/json"),
            "`fetch` with a header": Case(page, "fetch", type="text/plain", header=True),
            "`fetch`, keepalive": Case(page, "keepalive", type="text/plain"),
            "`fetch` in a worker": Case(page, "worker", type="text/plain"),
            "`XMLHttpRequest`": Case(page, "xhr", type="text/plain"),
            "`sendBeacon`": Case(page, "beacon", type="text/plain"),
            "report of a policy": Case(page, "report"),
            "WebSocket": Case(page, "socket", "GET"),
        }
        for status in (302, 307):
            hops = (Hop(status, "foreign"),)
            method = "PUT" if status == 302 else "POST"
            for name, initiator in (("`fetch`", "fetch"), ("`XMLHttpRequest`", "xhr")):
                what = f"{name} of {method}, {status} of a foreign site"
                ways[what] = Case(page, initiator, method, "text/plain", hops)
        for how, case in ways.items():
            yield (title, NAMES[host], how), case


def told(case: Case, arrival: dict, origin: str) -> str:
    """Return the table's text for a request from a page of this origin."""
    site = f"`{arrival['site']}`" if arrival["site"] else "no `Sec-Fetch-Site`"
    sent = {origin: "own `Origin`", None: "no `Origin`"}.get(arrival["origin"], f"`{arrival['origin']}`")
    cookies = ", ".join(marker for marker in SAME_SITES if marker in arrival["cookies"])
    if cookies in ("", "None") and arrival["site"] not in ("same-origin", "same-site") and case.initiator not in LEAVES:
        cookies = "third-party"  # sending them may vary within a run: Firefox sometimes opens their partition
    return f"{site}; {sent}; {'all' if cookies == 'Strict, Lax, None' else cookies or 'no'} cookies"


def ask(browser: Browser, site: Site) -> tuple[Facts, list[tuple[Key, Case, list[dict]]]]:
    """Return what this browser sends to the site, as the tables show it and as it arrived."""
    site.start_over(browser)
    wanted = list(cases())
    # `Site.send` sends page by page, so it returns the cases in another order than it is given.
    keys = {id(case): key for key, case in wanted}
    came = [(keys[id(case)], case, arrivals) for case, arrivals in site.send(browser, [case for _, case in wanted])]
    facts = {}
    for (title, place, how), case, arrivals in came:
        for arrival in arrivals:
            then = ", then own 302" if arrival["case"].endswith(", then") else ""
            facts.setdefault((title, place, how + then), told(case, arrival, site.url(case.page.host, "")))
    return facts, came


def render(found: dict[str, Facts]) -> str:
    """Return the tables of what each browser, by name and version, sends."""
    lines = [START, "", f"Written by a run on {date.today().isoformat()}, over HTTPS. {', '.join(found)}.", ""]
    keys = list(dict.fromkeys(key for facts in found.values() for key in facts))
    for title in dict.fromkeys(title for title, *_ in keys):
        lines += [f"### {title}", ""]
        lines += row(*HEADINGS, *(name.split()[0] for name in found)) + row(*["---"] * (len(HEADINGS) + len(found)))
        # Requests that are sent alike share a line.
        merged: dict[tuple, list[str]] = {}
        for _, place, how in (key for key in keys if key[0] == title):
            cells = tuple(facts.get((title, place, how), "not sent") for facts in found.values())
            merged.setdefault((place, cells), []).append(how)
        for (place, cells), ways in merged.items():
            lines += row(place, listed(ways), *cells)
        lines.append("")
    return "\n".join([*lines, END])


def listed(ways: list[str]) -> str:
    """List the ways or, if they are most of the policies, the exceptions."""
    others = [policy for policy in QUOTED if policy not in ways]
    if set(ways) <= set(QUOTED) and len(others) < len(ways):
        return f"any but {', '.join(others)}" if others else "any"
    return "; ".join(ways)


def unlisted(cell: str) -> list[str]:
    if cell == "any" or cell.startswith("any but "):
        return [policy for policy in QUOTED if policy not in cell]
    return cell.split("; ")


def row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def written() -> dict[str, Facts]:
    """Return what the document states for each browser, by its name without a version."""
    found: dict[str, Facts] = {}
    title, browsers = "", []
    for line in between(DOCUMENT.read_text()).splitlines():
        if line.startswith("### "):
            title = line.removeprefix("### ")
        elif line.startswith("| "):
            place, ways, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            if place == HEADINGS[0]:
                browsers = cells
            elif place != "---":
                for browser, cell in zip(browsers, cells, strict=True):
                    if cell != "not sent":
                        found.setdefault(browser, {}).update({(title, place, how): cell for how in unlisted(ways)})
    return found


def between(text: str) -> str:
    return re.search(f"{re.escape(START)}(.*){re.escape(END)}", text, re.DOTALL)[1]


def write(found: dict[str, Facts]) -> None:
    """Write the tables into the document."""
    before, rest = DOCUMENT.read_text().split(START)
    DOCUMENT.write_text(before + render(found) + rest.split(END)[1])


if __name__ == "__main__":
    found = {}
    for kind in BROWSERS:
        with started(kind, "None") as (browser, (site,)):
            found[browser.version], _ = ask(browser, site)
    write(found)
