"""Transient database errors are retried, within limits. After that, the response is an error that keeps the cookies."""

import sqlite3
from contextlib import ExitStack

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from jwtauth.exceptions import SessionContention
from jwtauth.internal.store import retries
from jwtauth.internal.store.retries import LostSwap
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, only_session

# Only statements outside a transaction are retried, since the rest of a transaction would have to be repeated too.
pytestmark = pytest.mark.django_db(transaction=True)


def locked():
    """Return Django's error for a database file that another connection has locked."""
    error = OperationalError("database is locked")
    error.__cause__ = sqlite3.OperationalError("database is locked")
    return error


@pytest.fixture
def unlucky():
    """Make the next statements of a kind on sessions fail."""
    with ExitStack() as wrappers:

        def fail(word, times):
            left = [times]

            def statement(execute, sql, *args):
                if left[0] and sql.replace("`", '"').startswith(f'{word} "jwtauth_session"'):
                    left[0] -= 1
                    raise locked()
                return execute(sql, *args)

            wrappers.enter_context(connection.execute_wrapper(statement))
            return left

        yield fail


def test_refresh_is_retried_after_a_lock(signed_in, clock, unlucky):
    clock.advance(ACCESS_LIFETIME)
    left = unlucky("UPDATE", 3)
    assert signed_in.who() == "ada"
    assert left == [0]
    assert only_session().generation == 2


def test_refresh_that_does_not_get_the_lock_is_an_error_that_keeps_the_cookies(signed_in, clock, unlucky):
    clock.advance(ACCESS_LIFETIME)
    before = signed_in.tokens()
    left = unlucky("UPDATE", 1000)
    response = signed_in.get("/me/")
    assert (response.status_code, response.json()["code"]) == (503, "session_contention")
    assert response["Retry-After"] == "1"
    assert not response.cookies
    assert 0 < 1000 - left[0] < 10, "bounded"
    left[0] = 0
    assert signed_in.tokens() == before
    assert signed_in.who() == "ada"


@pytest.mark.parametrize("times", [2, 1000])
def test_logout_that_cannot_end_the_session_is_an_error(signed_in, unlucky, times):
    left = unlucky("DELETE FROM", times)
    response = signed_in.post("/logout/")
    if times == 2:
        assert response.status_code == 200
        assert not Session.objects.exists()
    else:
        assert (response.status_code, response.json()["code"]) == (503, "session_contention")
        left[0] = 0
        assert signed_in.who() == "ada"


def test_login_is_retried_after_a_lock(browser, ada, monkeypatch):
    real, left = Session.save, [2]

    def save(session, **options):
        if left[0]:
            left[0] -= 1
            raise locked()
        return real(session, **options)

    monkeypatch.setattr(Session, "save", save)
    browser.sign_in(ada)
    assert browser.who() == "ada"
    left[0] = 1000
    response = browser.post(f"/login/?user={ada.pk}")
    assert response.status_code == 503
    assert not response.cookies
    assert browser.who() == "ada", "the session before has not ended"


def test_acknowledgement_that_does_not_get_the_lock_does_not_fail_the_request(signed_in, clock, unlucky):
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    left = unlucky("UPDATE", 1000)
    assert signed_in.who() == "ada"
    assert left[0] < 1000
    assert only_session().acknowledged_at is None


@pytest.mark.parametrize("atomic", [False, True])
def test_login_that_cannot_end_the_session_before_sets_no_cookies(browser, ada, unlucky, monkeypatch, atomic):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    browser.sign_in(ada)
    before = browser.tokens()
    unlucky("DELETE FROM", 1000)
    response = browser.post(f"/login/?user={ada.pk}")
    assert (response.status_code, response["Vary"]) == (503, "Cookie")
    assert not response.cookies
    assert browser.tokens() == before
    assert browser.who() == "ada"


# --- which errors are retried


def test_lock_of_sqlite_is_a_transient_error(tmp_path):
    path = tmp_path / "db.sqlite3"
    one, other = (sqlite3.connect(path, timeout=0, isolation_level=None) for _ in range(2))
    one.execute("CREATE TABLE t (n)")
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as raised:
        other.execute("INSERT INTO t VALUES (1)")
    error = OperationalError(*raised.value.args)
    error.__cause__ = raised.value
    assert retries.is_transient(error)
    one.close()
    other.close()


class Psycopg(Exception):
    def __init__(self, sqlstate):
        self.sqlstate = sqlstate


class Psycopg2(Exception):
    def __init__(self, pgcode):
        self.pgcode = pgcode


def error(*args, cause=None):
    made = DatabaseError(*args)
    made.__cause__ = cause
    return made


@pytest.mark.parametrize(
    ("raised", "transient"),
    [
        (error("could not serialize access", cause=Psycopg("40001")), True),
        (error("deadlock detected", cause=Psycopg("40P01")), True),
        (error("could not serialize access", cause=Psycopg2("40001")), True),
        (error("the database system is shutting down", cause=Psycopg("57P03")), False),
        (error("duplicate key", cause=Psycopg("23505")), False),
        (error(1213, "Deadlock found when trying to get lock"), True),
        (error(1205, "Lock wait timeout exceeded"), True),
        (error(1020, "Record has changed since last read"), True),
        (error(2006, "Server has gone away"), False),
        (error("no such table: jwtauth_session"), False),
        (error("database table is locked"), True),
        (error(), False),
    ],
)
def test_only_errors_of_locks_and_serialization_are_transient(raised, transient):
    assert retries.is_transient(raised) is transient


def test_other_database_errors_are_not_retried():
    calls = []

    def work():
        calls.append(1)
        raise IntegrityError("UNIQUE constraint failed")

    with pytest.raises(IntegrityError):
        retries.retry_on_conflict(work, "default")
    assert len(calls) == 1


def test_statement_inside_a_transaction_is_not_retried():
    from django.db import transaction

    with pytest.raises(OperationalError), transaction.atomic():
        retries.retry_on_conflict(lambda: raise_(locked()), "default")


def test_slow_database_is_not_asked_six_times(monkeypatch):
    ticks = iter(range(0, 100, 2))
    monkeypatch.setattr(retries.time, "monotonic", lambda: next(ticks))
    calls = []
    with pytest.raises(SessionContention) as raised:
        retries.retry_on_conflict(lambda: calls.append(1) or raise_(locked()), "default")
    assert len(calls) == 2
    assert isinstance(raised.value.__cause__, OperationalError)


def test_lost_race_is_decided_again_after_any_delay(monkeypatch):
    # The time in which a worker was suspended between reading and writing is not waiting time.
    ticks = iter(range(0, 100, 10))
    monkeypatch.setattr(retries.time, "monotonic", lambda: next(ticks))
    calls = []
    assert retries.retry_on_conflict(lambda: calls.append(1) or len(calls) > 1 or raise_(LostSwap()), "default")
    assert len(calls) == 2


def raise_(exception):
    raise exception
