"""The sites behind the proxies, and each proxy, started when a test first needs it."""

from contextlib import ExitStack

import pytest

pytest.importorskip("httpx", reason="requirements/seams.txt is not installed")
pytest.importorskip("aioquic", reason="requirements/seams.txt is not installed")

from tests.seams.proxies.behind import Behind
from tests.seams.proxies.proxies import program


@pytest.fixture(scope="session")
def all_doors(tmp_path_factory):
    with ExitStack() as stack:
        yield stack, stack.enter_context(Behind(tmp_path_factory.mktemp("proxies")))


@pytest.fixture(scope="session")
def behind(all_doors):
    """Return a function that returns what is behind a door, once its proxy runs."""
    stack, sites = all_doors
    opened = set()

    def open_for(door):
        if program(door.package) is None:
            pytest.skip(f"{door.package} is not installed (apt install {door.package})")
        if door.package not in opened:
            stack.enter_context(sites.place.opened(door.package))
            opened.add(door.package)
        return sites

    return open_for
