"""One row of docs/seams-table.md, which `make seams` writes."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What was tried with one part (a browser, server, proxy, client or database), and the result."""

    # With its version, as the part states it: "nginx 1.22.1".
    part: str
    # In a few words.
    tried: str
    requests: int
    # Requests of an honest client that were anonymous although its session was alive.
    signed_out: int
    # Responses with a 5xx, except those of a connection or process that the test itself killed.
    errors: int
    # Other facts for the reader, such as "12 connections cut".
    seen: str = ""
