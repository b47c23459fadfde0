"""Django behind PgBouncer in transaction mode."""

import pytest

from tests.databases.pgbouncer import PgBouncer, command
from tests.databases.servers import PostgreSQL
from tests.seams.databases.load import Face, accepted
from tests.seams.databases.pooled import WAYS, site, use


@pytest.fixture(scope="module")
def servers():
    if not PostgreSQL.is_installed() or command() is None:
        pytest.skip("PostgreSQL, its driver or PgBouncer 1.21 is not installed (apt install postgresql pgbouncer)")
    with PostgreSQL() as primary, PgBouncer(primary) as pooler:
        yield primary, pooler


@pytest.mark.parametrize("way", ["prepared statements", "ATOMIC_REQUESTS"])
def test_a_site_behind_a_pooler_loses_no_session_and_revives_none(servers, way):
    assert way in WAYS
    with site(*servers, way) as running:
        load = use(running, refreshes=4)
        assert (load.signed_out, load.logins_lost, load.broken) == ([], 0, [])
        assert load.errors() == 0
        assert len(load.ended) > 4
        assert accepted(load.ended, Face(running.port)) == []
