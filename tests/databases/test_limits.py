"""`MAX_SESSIONS_PER_USER` with racing logins, on every database and isolation level."""

import pytest

from tests.databases.racing import Race
from tests.databases.test_races import DATABASES

LIMIT = 3


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
@pytest.mark.parametrize("name", DATABASES)
def test_racing_logins_do_not_exceed_the_session_limit(make_database, name, policy):
    kind, options = DATABASES[name]
    settings = {"MAX_SESSIONS_PER_USER": LIMIT, "MAX_SESSIONS_POLICY": policy}
    with Race(make_database(kind, **options), processes=2, threads=4, settings=settings) as race:
        answers = race.logins()
        # 503: the database asked for more attempts than jwtauth makes, and nothing was written.
        assert {answer["status"] for answer in answers} <= ({200, 503} if policy == "end_oldest" else {200, 403, 503})
        signed_in = [answer["cookies"] for answer in answers if answer["status"] == 200]
        seen = [race.ask(do="request", url="/auth/sessions/", cookies=cookies) for cookies in [race.first, *signed_in]]
        live = [answer["body"] for answer in seen if answer["status"] == 200]
        assert len(live) == LIMIT
        assert all(len(sessions) == LIMIT for sessions in live)
