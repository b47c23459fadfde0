"""Generated writes across origins: each browser sends them, and the site must not accept any as its user's.

``python -m tests.seams.browsers.writes`` sends 10,000 from each browser (`JWTAUTH_WRITES`), then writes what browsers
send into docs/concepts/cross-origin.md. ``... writes BROWSER SAMESITE SEED PAGE`` repeats a page that a failure names.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.seams.browsers import sends
from tests.seams.browsers.cross_origin import POLICIES, SAFE, SAME_SITES, Case, Hop, Page, Site, started
from tests.seams.browsers.driver import BROWSERS, Browser
from tests.seams.rows import Row

WRITES = int(os.environ.get("JWTAUTH_WRITES", "10000"))
SEED = os.environ.get("JWTAUTH_WRITES_SEED", "17")

HOSTS = {"sibling": 5, "port": 4, "foreign": 4, "plain own": 1, "plain sibling": 1, "plain foreign": 1, "own": 1}
INITIATORS = {
    **{"form": 8, "fetch": 8, "xhr": 3, "keepalive": 3, "beacon": 3, "worker": 2, "socket": 1},
    **{"sandbox": 2, "data": 1, "srcdoc": 2, "blob": 1, "ping": 1, "report": 1, "window": 1},
}
# Two of these on a page would disturb each other.
ONE_A_PAGE = ("report", "window", "ping")
# A WebSocket has another scope and a report is sent by the page's header; neither follows a redirect.
NO_HOPS = ("socket",)
# Methods that forms cannot send, some unknown to Python's servers and to browsers.
METHODS = ("POST", "POST", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "LOCK", "PURGE", "QUERY", "patch", "X-WRITE")
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
TYPES = (
    *FORM_TYPES,
    *("application/json", "application/vnd.api+json", "application/xml", "application/octet-stream"),
    *("text/plain;charset=utf-8", "text/json", None),
)
BOB = (("username", "bob"), ("password", "bob-pass"))
# The targets, with the form that each expects. The first accepts every method and body.
TARGETS = {
    ("/write/", (("a", "1"),)): 14,
    ("/auth/login/", BOB): 3,
    ("/login/?user=2", BOB): 1,
    ("/me/", (("a", "1"),)): 1,
    ("/auth/logout/", (("a", "1"),)): 1,
    ("/logout/", (("a", "1"),)): 1,
    ("/auth/sessions/others/", (("a", "1"),)): 1,
}


def weighted(rng: random.Random, weights: dict) -> object:
    return rng.choices(list(weights), weights.values())[0]


def cases_of(seed: str, number: int) -> list[Case]:
    """Return the requests of the page with this number."""
    rng = random.Random(f"{seed}/{number}")
    host = weighted(rng, HOSTS)
    is_plain = host.startswith("plain ")
    page = Page(
        host,
        rng.choice(("", "no-referrer", *POLICIES)),
        click=rng.random() < 0.5,
        # Only in a sandbox is a page of the site of another origin.
        is_sandboxed=host == "own" or rng.random() < 0.15,
        # A page over TLS cannot frame one without TLS.
        frame="own" if rng.random() < 0.15 and not is_plain else "",
    )
    if rng.random() < 0.2 and not page.is_sandboxed and not page.frame:
        return [case_of(rng, page, "page")]
    drawn = Counter(weighted(rng, INITIATORS) for _ in range(rng.randint(30, 60)))
    if not page.click:
        del drawn["window"]  # blocked
    if page.is_sandboxed:
        del drawn["blob"]  # cannot store one
    cases = []
    for initiator, times in drawn.items():
        for _ in range(1 if initiator in ONE_A_PAGE else times):
            cases.append(case_of(rng, page, initiator))
    return cases


def case_of(rng: random.Random, page: Page, initiator: str) -> Case:
    target, fields = weighted(rng, TARGETS)
    mode, method, header = "cors", "POST", False
    if initiator in ("fetch", "keepalive", "worker") and rng.random() < 0.4:
        mode = "no-cors"
    if initiator == "socket":
        target, method, type_ = "/write/", "GET", None
    elif initiator in ("xhr", "fetch", "keepalive", "worker") and mode == "cors":
        method, type_, header = rng.choice(METHODS), rng.choice(TYPES), rng.random() < 0.3
    elif initiator == "beacon":
        type_ = rng.choice([kind for kind in TYPES if kind is not None])
    else:
        type_ = rng.choice(FORM_TYPES)
    hops = ()
    if initiator not in NO_HOPS and rng.random() < 0.55:
        hosts = ("foreign", "foreign", "sibling", "port", "own")
        hops = tuple(
            Hop(
                rng.choice((307, 307, 308, 302, 303) if method == "POST" else (307, 308, 302)),
                # Over TLS too: a page over TLS may not load a redirect to HTTP and back.
                rng.choice(hosts),
                rng.choice(("", *POLICIES)),
            )
            for _ in range(rng.choice((1, 1, 1, 2, 3)))
        )
        if method == "POST" and rng.random() < 0.9:  # otherwise it arrives as a GET, which is not a write
            hops = tuple(Hop(307, hop.host, hop.policy) if hop.status in (302, 303) else hop for hop in hops)
    return Case(page, initiator, method, type_, hops, mode, header, target, fields)


@dataclass
class Outcome:
    """The result of the writes of one browser."""

    browser: str
    writes: int = 0
    # Writes that arrived with the victim's cookies.
    with_cookies: int = 0
    # Requests that a redirect or a refused preflight has changed, or that never arrived.
    others: int = 0
    errors: int = 0
    signed_out: int = 0
    pages: int = 0
    accepted: list[str] = field(default_factory=list)
    kinds: Counter = field(default_factory=Counter)

    def row(self) -> Row:
        seen = f"{len(self.accepted)} accepted; {self.with_cookies:,} came with the victim's cookies"
        tried = "generated writes from other origins"
        return Row(self.browser, tried, self.writes, self.signed_out, self.errors, seen)


def is_write(arrival: dict) -> bool:
    return arrival["method"] not in SAFE or arrival["is_websocket"]


def is_accepted(case: Case, arrival: dict, wrote: dict) -> bool:
    """Return whether the site has executed the request."""
    if case.target == "/write/":
        return arrival["case"] in wrote
    return is_write(arrival) and arrival["status"] < 400


def send_page(browser: Browser, site: Site, seed: str, number: int, outcome: Outcome) -> list[tuple[Case, list[dict]]]:
    """Let the browser send a page's writes, and judge them by what the server has recorded and done."""
    found = site.send(browser, cases_of(seed, number), is_complete=False)
    wrote = site.ask("/state/")["wrote"]
    repeat = f"repeat it: python -m tests.seams.browsers.writes {browser.name} {site.same_site} {seed} {number}"
    for case, arrivals in found:
        writes = [arrival for arrival in arrivals if is_write(arrival)]
        outcome.writes += len(writes)
        outcome.others += not writes
        outcome.with_cookies += sum("access_token" in arrival["cookies"] for arrival in writes)
        outcome.errors += sum(arrival["status"] >= 500 for arrival in arrivals)
        outcome.kinds[case.initiator] += len(writes)
        taken = [arrival for arrival in arrivals if is_accepted(case, arrival, wrote)]
        outcome.accepted += [f"{case} {arrival}; {repeat}" for arrival in taken]
    if not site.is_untouched():
        outcome.accepted.append(f"live sessions {site.live_sessions()}; {repeat}")
    outcome.signed_out += not site.is_signed_in(browser)
    outcome.pages += 1
    return found


def send_all(browser: Browser, sites: Iterable[Site], seed: str, wanted: int) -> Outcome:
    """Let the browser, with the victim signed in, send this many writes, spread over the sites."""
    outcome = Outcome(browser.version)
    for share, site in enumerate(sites, 1):
        site.start_over(browser)
        before = set(site.ask("/state/")["wrote"])
        number = 0
        while outcome.writes < wanted * share // len(SAME_SITES):
            send_page(browser, site, f"{seed}/{site.same_site}", number, outcome)
            number += 1
            # Stop if the browser sends nothing, or cannot reach the site.
            assert outcome.writes > number / 2, f"page {number}: {outcome}"
        # Includes what arrived after its page was left.
        if wrote := set(site.ask("/state/")["wrote"]) - before:
            outcome.accepted.append(f"{len(wrote)} writes at the site with SameSite={site.same_site}")
    return outcome


def rows(*names: str) -> Iterator[Row]:
    """Let every browser, or those named, send as many writes as a long run does. Write the documented tables."""
    facts = {}
    for kind in (kind for kind in BROWSERS if not names or kind.name in names):
        with started(kind, *SAME_SITES) as (browser, sites):
            facts[browser.version], _ = sends.ask(browser, sites[-1])
            outcome = send_all(browser, sites, SEED, WRITES)
        for accepted in outcome.accepted:
            print("ACCEPTED", accepted, file=sys.stderr)
        print(browser.name, outcome.pages, "pages", outcome.others, "others", dict(outcome.kinds), file=sys.stderr)
        yield outcome.row()
    if len(facts) == len(BROWSERS):
        sends.write(facts)


def repeat(name: str, same_site: str, seed: str, number: str) -> None:
    """Print the result of one page."""
    (kind,) = (kind for kind in BROWSERS if kind.name == name)
    with started(kind, same_site) as (browser, (site,)):
        site.start_over(browser)
        outcome = Outcome(browser.version)
        for case, arrivals in send_page(browser, site, seed, int(number), outcome):
            print(case, *(arrivals or ["did not come"]), sep="\n    ")
        print(outcome)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        repeat(*sys.argv[1:])
    else:
        for found in rows(*sys.argv[1:]):
            print(*found, sep=" | ", flush=True)
