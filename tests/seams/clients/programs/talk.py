"""What the programs of this folder have in common, in each language: they do as they are told on their standard input.

A program prints its version. Then each line that it reads is a method, a URL and how many such requests to make at
once, and it prints a line of JSON, with the cookies that its jar then has for the URL:

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
