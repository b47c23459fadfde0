"""The long run: every flow for many expiries in each browser, over HTTP and over HTTPS, and then the writes."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.seams.browsers import writes
from tests.seams.browsers.certificates import Certificates
from tests.seams.browsers.driver import BROWSERS, Browser, DriverError
from tests.seams.browsers.flows import FLOWS, RecordedSite, Visitor, stream
from tests.seams.rows import Row

EXPIRIES = 25


def rows(part: str = "") -> Iterator[Row]:
    """Yield the rows of every browser; or the flows of those whose name begins with this, without the writes."""
    with tempfile.TemporaryDirectory(prefix="jwtauth-browsers-") as folder:
        yield from of_flows(Path(folder), EXPIRIES, part)
    if not part:
        yield from writes.rows()


def of_flows(folder: Path, expiries: int, part: str = "") -> Iterator[Row]:
    for name in ("certificates", "plain", "secure"):
        (folder / name).mkdir()
    certificates = Certificates(folder / "certificates")
    with RecordedSite(folder / "plain") as plain, RecordedSite(folder / "secure", certificates) as secure:
        for kind in (kind for kind in BROWSERS if kind.title.startswith(part)):
            with kind(certificates) as browser:
                for title, flow in FLOWS.items():
                    yield of_flow(browser, plain, f"{title}, HTTP", flow, expiries)
                for title, flow in FLOWS.items():
                    yield of_flow(browser, secure, f"{title}, HTTP/2", flow, expiries)
                yield of_stream(browser, secure, expiries)


def of_flow(browser: Browser, site: RecordedSite, title: str, flow: Callable[[Visitor], None], expiries: int) -> Row:
    """Sign a new user in, let the access token expire this often during this flow, and sign out."""
    visitor = Visitor(browser, site)
    try:
        for _ in range(expiries):
            visitor.round(flow)
        seen = f"{visitor.generation - 1} refreshes at {expiries} expiries"
    except (AssertionError, DriverError):
        traceback.print_exc()
        seen = "FAILED"
    row = Row(browser.version, title, len(visitor.answered()), visitor.signed_out(), visitor.errors(), seen)
    if seen != "FAILED":
        visitor.sign_out()
    return row


def of_stream(browser: Browser, site: RecordedSite, expiries: int) -> Row:
    """Run `of_flow` with a streamed body. If the browser cannot send one, the row says so."""
    sent: list[bool] = []
    row = of_flow(browser, site, "a streamed upload, HTTP/2", lambda visitor: sent.append(stream(visitor)), expiries)
    return row if all(sent) else row._replace(seen="sends no streams")
