"""Sites behind PgBouncer in transaction mode, which shares three connections between transactions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.databases.pgbouncer import PgBouncer
from tests.databases.served import Site
from tests.databases.servers import PostgreSQL
from tests.seams.databases.load import ENDLESS, Load

# The differences in the entry of ``DATABASES``.
WAYS = {
    "plain": {},
    "server_side_binding": {"OPTIONS": {"server_side_binding": True}},
    "prepared statements": {"OPTIONS": {"server_side_binding": True, "prepare_threshold": 5}},
    "ATOMIC_REQUESTS": {"ATOMIC_REQUESTS": True},
}

names = (f"jwtauth_{number}" for number in count(1))


@contextmanager
def site(primary: PostgreSQL, pooler: PgBouncer, way: str) -> Iterator[Site]:
    """Start a site that connects in this way."""
    name = next(names)
    primary.create_database(name)
    entry = {**primary.settings(name), "PORT": pooler.port, "CONN_MAX_AGE": 60, "DISABLE_SERVER_SIDE_CURSORS": True}
    with Site(env={"JWTAUTH_TEST_SETTINGS": json.dumps(ENDLESS)}, default=entry | WAYS[way]) as running:
        yield running


def use(running: Site, *, refreshes: int) -> Load:
    """Refresh, sign in and sign out, with more requests at once than the pooler has connections."""
    with Load(running) as load:
        load.wait_for(refreshes)
    return load
