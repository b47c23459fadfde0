"""The protocol that the programs of this folder share: they execute the orders on standard input.

A program prints its version. Each line that it reads is a method, a URL and the number of such requests to make at
once. It answers with a line of JSON, which has the cookies that its jar then holds for the URL:

    {"answers": [{"status": 200, "body": "..."}, ...], "cookies": {"name": "value", ...}}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping


def tell(version: str) -> None:
    print(version, flush=True)


def told() -> Iterator[tuple[str, str, int]]:
    for line in sys.stdin:
        method, url, count = line.split()
        yield method, url, int(count)


def report(answers: Iterable[tuple[int, str]], cookies: Mapping[str, str]) -> None:
    found = [{"status": status, "body": body} for status, body in answers]
    print(json.dumps({"answers": found, "cookies": dict(cookies)}), flush=True)
