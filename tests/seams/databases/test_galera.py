"""Three Galera nodes, with a site each."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.databases.served import Browser, signed_in
from tests.seams.databases.galera import LEVELS, SYNC_WAIT, lag, lose_a_node, race, sites
from tests.seams.databases.load import Face, accepted
from tests.waiting import wait_until

MIXED = [LEVELS[0], LEVELS[3], LEVELS[1]]


@pytest.fixture(scope="module")
def running(galera):
    """Run a site on each node, each with another isolation level."""
    with sites(galera, MIXED) as found:
        yield found


def test_a_refresh_at_all_nodes_at_once_rotates_once_and_logout_ends_it_at_all(galera, running):
    result, revived = race(galera, running, rounds=6, racers=12)
    assert result.failures == []
    assert revived == []
    assert galera.conflicts > 0, "writes of the nodes conflicted"


def test_a_node_lost_under_load_loses_no_session_and_revives_none(galera, running):
    load = lose_a_node(galera, running, refreshes=4)
    assert load.signed_out == []
    assert (load.logins_lost, load.broken) == (0, [])
    assert load.errors(0, 1) == 0, "only the site of the lost node"
    assert load.errors(2) > 0, "it was under load"
    assert len(load.ended) > 4
    assert accepted(load.ended, *(Face(site.port) for site in running)) == []


def test_a_delayed_node_waits_for_its_rows_with_wsrep_sync_wait(galera, running):
    first = running[0]
    with lag(galera, first, SYNC_WAIT) as behind, ThreadPoolExecutor() as pool:
        leaver, newcomer, other = signed_in(first, 3)
        old = copy_of(leaver)
        with behind.frozen():
            assert leaver.get("/logout/", method="POST").status == 200
            for browser, user in zip((newcomer, other), first.create_users(2), strict=True):
                browser.sign_in(user)
            waiting = [pool.submit(behind.ask, old), pool.submit(behind.ask, newcomer)]
            waiting.append(pool.submit(behind.ask, other, "/logout/", "POST"))
            wait_until(lambda: behind.waiting() == len(waiting))
        assert [one.result() for one in waiting] == [403, 200, 200]
        assert other.get("/me/").status == 403, "a session that the node had not received has ended"


def test_a_delayed_node_uses_its_old_rows_without_wsrep_sync_wait(galera, running):
    """The guide warns of this: a logout is not yet known, and neither is a login."""
    first = running[0]
    with lag(galera, first, "SET SESSION wsrep_sync_wait = 0") as behind:
        leaver, newcomer = signed_in(first, 2)
        old, (user,) = copy_of(leaver), first.create_users(1)
        wait_until(lambda: behind.ask(old) == 200)
        with behind.frozen():
            assert leaver.get("/logout/", method="POST").status == 200
            newcomer.sign_in(user)
            assert (behind.ask(old), behind.ask(newcomer)) == (200, 403)
        wait_until(lambda: (behind.ask(old), behind.ask(newcomer)) == (403, 200))


def copy_of(browser):
    other = Browser(browser.port)
    other.cookies = dict(browser.cookies)
    return other
