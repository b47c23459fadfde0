"""Caches in front of the site: they keep no response that sets cookies, and serve no user's page to another user."""

import asyncio

import pytest

from tests.seams.proxies.caches import Sequence
from tests.seams.proxies.doors import CACHES

STEPS = 60


@pytest.mark.parametrize("door", CACHES, ids=lambda door: door.id)
def test_a_cache_serves_no_page_made_for_another_user(door, behind):
    found = asyncio.run(Sequence(*behind(door).among_users(door), seed=7519).run(STEPS))
    assert found.wrong == []
    assert (found.tally.signed_out, found.tally.errors) == (0, 0)
    assert found.kept, "the cache keeps pages"
    if "as documented" in door.name:
        assert found.tally.seen["copies served to users"] == 0
        assert found.tally.seen["bearers served the anonymous page"] == 0
