"""Caches in front of the site: no response that sets cookies is kept, no page of one user is served to another."""

import asyncio

import pytest

from tests.seams.proxies.caches import Sequence
from tests.seams.proxies.doors import CACHES

STEPS = 60


@pytest.mark.parametrize("door", CACHES, ids=lambda door: door.id)
def test_every_page_is_made_for_who_is_served(door, behind):
    found = asyncio.run(Sequence(*behind(door).among_users(door), seed=7519).run(STEPS))
    assert found.wrong == []
    assert (found.tally.signed_out, found.tally.errors) == (0, 0)
    assert found.kept, "the cache keeps pages"
    if "as documented" in door.name:
        assert found.tally.seen["copies served to users"] == 0
        assert found.tally.seen["bearers served the anonymous page"] == 0
