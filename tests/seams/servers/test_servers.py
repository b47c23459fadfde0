"""The site on every server: every user stays signed in, and only what the test itself cuts off fails."""

import asyncio

import pytest

from tests.databases.served import Project, Site
from tests.seams.servers import scenarios
from tests.seams.servers.client import Tally
from tests.seams.servers.table import GEVENT, SERVERS, UVICORN
from tests.waiting import PATIENCE

USERS, ROUNDS = 3, 2


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    name = str(tmp_path_factory.mktemp("servers") / "db.sqlite3")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": {"timeout": PATIENCE}}


@pytest.fixture(scope="module")
def users(database):
    """Create users for each server: the process that creates them takes longer than a server to start."""
    with Project(default=database) as project:
        found = iter(project.create_users(USERS * len(SERVERS)))
    return {server.name: [next(found) for _ in range(USERS)] for server in SERVERS}


@pytest.mark.parametrize("server", [pytest.param(server, id=server.name) for server in SERVERS])
def test_every_user_stays_signed_in(server, database, users):
    if server.lacks:
        pytest.skip(server.lacks)
    tally = Tally()
    with Site(server=server, migrated=True, default=database) as site:
        asyncio.run(everything(site, users[server.name], tally))
    assert (tally.signed_out, tally.errors) == ([], [])


async def everything(site, users, tally):
    async with scenarios.signed_in(site, tally, users) as browsers:
        await scenarios.bursts(site, browsers, ROUNDS)
        await scenarios.uploads(site, browsers[0])
        await scenarios.stream(site, browsers[0])
        if site.server.asgi:
            await scenarios.websockets(site, browsers[0])
        # With twenty processes for each core, gevent was seen to lose connections; the reason is unknown.
        if site.server is not GEVENT:
            assert tally.again == tally.unanswered == tally.refused == 0, "only connections that were cut are lost"
        # `make seams` does this with the others: gunicorn's threads may leave a request unanswered meanwhile.
        if site.server is UVICORN:
            await scenarios.reload(site, browsers, 1)
            await scenarios.kill(site, browsers, 1)
