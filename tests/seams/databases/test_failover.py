"""A standby replaces its primary under load."""

import pytest

from tests.databases.clusters import Standby
from tests.seams.databases.failover import fail_over_with_all, fail_over_with_loss, pair
from tests.seams.databases.load import Face, accepted

pytestmark = pytest.mark.skipif(
    not Standby.is_installed(), reason=f"PostgreSQL or its driver is not installed (apt install {Standby.packages})"
)


def test_promoting_a_synchronous_standby_loses_no_session_and_revives_none(program):
    with pair(synchronous=True, program=program) as running:
        load = fail_over_with_all(running, refreshes=4)
        assert load.signed_out == []
        assert (load.logins_lost, load.broken) == (0, [])
        assert load.errors() > 0, "it was under load"
        assert all(load.answers[number, 200] > 0 for number in range(len(running.faces)))
        assert len(load.ended) > 4
        assert accepted(load.ended, *running.faces) == []
        assert running.adopted() == [], "no refresh was lost"


def test_promoting_an_asynchronous_standby_undoes_only_the_last_logins_and_logouts():
    """The documented exception: writes that only the primary had acknowledged are lost."""
    with pair(synchronous=False) as running:
        lost = fail_over_with_loss(running, refreshes=3)
        assert lost.load.signed_out == []
        assert lost.load.broken == []
        assert lost.load.logins_lost <= lost.load.leaving, "at most the logins of that moment"
        assert len(running.adopted()) >= lost.load.refreshing, "each browser was ahead of its session"
        assert min(running.adopted()) >= 1
        face = Face(running.site.port)
        assert accepted(lost.ended_before, face) == []
        assert accepted(lost.started_after, face) == [], "logins that are lost"
        assert accepted(lost.ended_after, face) == lost.ended_after, "ends that are lost, as the documentation says"
