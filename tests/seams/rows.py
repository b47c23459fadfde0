"""One row of docs/seams-table.md, which `make seams` writes."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What one part (a browser, server, proxy, client or database) was put through, and what came of it."""

    # With its version, as the part itself states it: "nginx 1.22.1".
    part: str
    # In a few words.
    tried: str
    requests: int
    # Requests of an honest client that were anonymous although its session was alive.
    signed_out: int
    # Responses with a 5xx, those aside of a connection or process that the test itself killed.
    errors: int
    # What else a reader wants to know, as "12 connections cut".
    seen: str = ""
