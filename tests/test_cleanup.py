"""Removal of expired sessions: after logins and refreshes, and with the command."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import StringIO

import pytest
from django.apps import apps
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext

from jwtauth import _engine
from jwtauth.internal.store import cleanup
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, IDLE, only_session
from tests.test_websocket import SAME_ORIGIN, open_socket

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600
MILLISECOND = 1_000_000  # nanoseconds


@pytest.fixture
def due(monkeypatch):
    """Make the next login or refresh remove a batch. Return the schedule."""
    schedule = _engine.CleanupSchedule(0, random=0)
    monkeypatch.setattr(cleanup, "_schedule", schedule)
    return schedule


def make_sessions(user, count, ended_ago):
    end = _clock.to_datetime(_clock.now() - ended_ago)
    Session.objects.bulk_create(
        Session(
            id=uuid.uuid4(),
            user=user,
            generation=1,
            rotated_at=end,
            created_at=end,
            expires_at=end,
            last_seen_at=end,
            remember=True,
        )
        for _ in range(count)
    )


def clean(**options):
    out, err = StringIO(), StringIO()
    call_command("jwtauth_clearsessions", stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def test_login_removes_a_batch_of_expired_sessions(browser, ada, clock, due):
    make_sessions(ada, 250, ended_ago=HOUR)
    browser.sign_in(ada)
    assert Session.objects.count() == 51
    assert browser.who() == "ada"


def test_expired_sessions_are_removed_after_the_response_is_sent(ada, rf, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    response = WSGIHandler()(rf.post(f"/login/?user={ada.pk}").environ, lambda status, headers: None)
    assert b"".join(response)
    assert Session.objects.count() == 4
    response.close()
    only_session()


def test_handshake_that_refreshes_removes_expired_sessions(signed_in, ada, clock, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    clock.advance(ACCESS_LIFETIME)
    assert open_socket(signed_in, SAME_ORIGIN) == ["ada"]
    only_session()


def test_request_closed_by_another_thread_removes_no_sessions(ada, rf, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    request = rf.get("/")
    cleanup.remove_after(request)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(request.close).result()
    assert Session.objects.count() == 3
    assert cleanup.is_due()


def test_batch_size_adapts_to_the_time_that_batches_take(ada, due, monkeypatch):
    make_sessions(ada, 700, ended_ago=HOUR)

    def left_after(took):
        monkeypatch.setattr(cleanup.time, "monotonic_ns", iter([0, took]).__next__)
        cleanup.remove_batch()
        return Session.objects.count()

    slow = [left_after(2 * MILLISECOND) for _ in range(9)]
    assert slow == [500, 300, 200, 150, 125, 113, 107, 102, 97]
    assert [left_after(0) for _ in range(5)] == [92, 82, 62, 22, 0]


def test_each_login_and_refresh_removes_a_batch_while_expired_sessions_remain(browser, ada, clock, due):
    make_sessions(ada, 450, ended_ago=HOUR)
    browser.sign_in(ada)
    clock.advance(ACCESS_LIFETIME)
    assert browser.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert browser.who() == "ada"
    assert Session.objects.count() == 51
    clock.advance(ACCESS_LIFETIME)
    assert browser.who() == "ada"
    only_session()


def test_removal_pauses_when_no_expired_session_is_left(browser, ada, clock, due):
    browser.sign_in(ada)
    make_sessions(ada, 3, ended_ago=HOUR)
    browser.sign_in(ada)
    assert Session.objects.count() == 4


@pytest.mark.parametrize("url", ["/me/", "/idle/", "/public/"])
def test_request_without_login_or_refresh_removes_no_sessions(signed_in, ada, statements, due, url):
    make_sessions(ada, 3, ended_ago=HOUR)
    assert "DELETE" not in statements(signed_in.get, url)
    assert Session.objects.count() == 4


def test_live_and_recently_expired_sessions_are_not_removed(browser, ada, clock, due):
    make_sessions(ada, 1, ended_ago=HOUR - 1)
    make_sessions(ada, 1, ended_ago=-IDLE)
    browser.sign_in(ada)
    assert Session.objects.count() == 3


def test_database_error_during_the_removal_does_not_fail_the_login(browser, ada, due, monkeypatch, caplog):
    def fail(limit):
        raise DatabaseError("the database is away")

    monkeypatch.setattr(cleanup, "_remove", fail)
    browser.sign_in(ada)
    assert browser.who() == "ada"
    assert "could not be removed" in caplog.text


def test_deadlock_between_a_login_s_removal_and_the_command_is_not_logged(ada, due, caplog):
    make_sessions(ada, 3, ended_ago=HOUR)

    def fail(execute, sql, *args):
        raise OperationalError(1213, "Deadlock found")

    with connection.execute_wrapper(fail):
        cleanup.remove_batch()
    assert not caplog.records
    assert Session.objects.count() == 3


def test_error_of_a_pre_delete_receiver_does_not_fail_the_login(browser, ada, due, caplog):
    def fail(**kwargs):
        raise ValueError("a bug of the project's")

    make_sessions(ada, 3, ended_ago=HOUR)
    pre_delete.connect(fail, sender=Session)
    try:
        browser.sign_in(ada)
    finally:
        pre_delete.disconnect(fail, sender=Session)
    assert browser.who() == "ada"
    assert "could not be removed" in caplog.text


def test_no_session_is_removed_inside_a_transaction(ada, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    with transaction.atomic():
        cleanup.remove_batch()
    assert Session.objects.count() == 3


def test_login_in_the_view_s_transaction_removes_expired_sessions_after_it(browser, ada, due, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    make_sessions(ada, 3, ended_ago=HOUR)
    browser.sign_in(ada)
    only_session()


def test_clearsessions_removes_all_expired_sessions_only(signed_in, ada):
    make_sessions(ada, 1234, ended_ago=HOUR)
    assert clean() == ("Removed 1234 expired sessions.\n", "")
    assert signed_in.who() == "ada"
    only_session()
    assert clean() == ("Removed 0 expired sessions.\n", "")


def test_two_concurrent_clearsessions_share_the_rows(signed_in, ada):
    make_sessions(ada, 1234, ended_ago=HOUR)
    removed = [0, 0]
    commands = [cleanup.remove_all(), cleanup.remove_all()]
    while any(step := [next(command, None) for command in commands]):
        removed = [new or old for new, old in zip(step, removed, strict=True)]
    assert sum(removed) == 1234
    assert all(removed)
    only_session()


def test_clearsessions_and_logins_remove_concurrently(browser, ada, due):
    make_sessions(ada, 900, ended_ago=HOUR)
    command = cleanup.remove_all()
    removed = next(command)
    browser.sign_in(ada)
    removed = list(command)[-1]
    assert removed == 700
    only_session()


@pytest.mark.parametrize("live_may_be_read", [0, 100, 10_000])
def test_clearsessions_removes_expired_sessions_among_live_ones(ada, monkeypatch, live_may_be_read):
    monkeypatch.setattr(cleanup, "_LIVE", live_may_be_read)
    for ended_ago in (-IDLE, HOUR, -IDLE, HOUR, -IDLE):
        make_sessions(ada, 120, ended_ago)
    assert clean() == ("Removed 240 expired sessions.\n", "")
    assert Session.objects.live().count() == 360


def test_clearsessions_stops_reading_in_order_of_storage_if_few_sessions_have_expired(ada, monkeypatch):
    monkeypatch.setattr(cleanup, "_LIVE", 200)
    make_sessions(ada, 2_000, ended_ago=-IDLE)
    make_sessions(ada, 3, ended_ago=HOUR)
    with CaptureQueriesContext(connection) as queries:
        assert clean() == ("Removed 3 expired sessions.\n", "")
    assert len(queries) < 10
    assert Session.objects.count() == 2_000


@pytest.mark.skipif(connection.vendor == "postgresql", reason="each batch skips locked rows")
def test_clearsessions_continues_after_a_deadlock(ada, monkeypatch):
    make_sessions(ada, 150, ended_ago=HOUR)
    failures = [OperationalError(1213, "Deadlock found"), OperationalError(1213, "Deadlock found")]

    def fail_twice(execute, sql, *args):
        if failures and sql.startswith("DELETE") and Session._meta.db_table in sql:
            raise failures.pop()
        return execute(sql, *args)

    with connection.execute_wrapper(fail_twice):
        assert clean() == ("Removed 150 expired sessions.\n", "")
    assert not failures


def test_clearsessions_dry_run_only_counts(ada):
    make_sessions(ada, 7, ended_ago=HOUR)
    make_sessions(ada, 2, ended_ago=-HOUR)
    assert clean(dry_run=True) == ("7 expired sessions would be removed.\n", "")
    assert Session.objects.count() == 9


def test_clearsessions_with_verbosity_zero_prints_nothing(ada):
    make_sessions(ada, 7, ended_ago=HOUR)
    assert clean(verbosity=0) == ("", "")
    assert not Session.objects.exists()


def test_clearsessions_shows_its_progress_on_a_terminal(ada, monkeypatch):
    make_sessions(ada, 350, ended_ago=HOUR)

    class Terminal(StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    call_command("jwtauth_clearsessions", stdout=StringIO(), stderr=terminal)
    assert terminal.getvalue().startswith("\r100 of 350")
    assert terminal.getvalue().endswith("\r350 of 350\n")


# --- tables of a project that refer to sessions


@pytest.fixture
def dependents(settings):
    """Return the models of `tests.dependents`, installed and with their tables."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.dependents"]
    apps.clear_cache()  # the relations of models that were loaded before
    models = import_module("tests.dependents.models")
    with connection.schema_editor() as editor:
        for model in models.ALL:
            editor.create_model(model)
    yield models
    with connection.schema_editor() as editor:
        for model in reversed(models.ALL):
            editor.delete_model(model)


def in_order():
    return list(Session.objects.order_by("expires_at", "pk"))


def notes_with_lines(models, sessions):
    for session in sessions:
        note = models.Note.objects.create(session=session)
        models.Line.objects.bulk_create(models.Line(note=note) for _ in range(3))


def test_clearsessions_does_not_count_dependent_rows(ada, dependents):
    make_sessions(ada, 150, ended_ago=HOUR)
    notes_with_lines(dependents, Session.objects.all())
    dependents.Visit.objects.bulk_create(dependents.Visit(session=session) for session in Session.objects.all())
    assert clean() == ("Removed 150 expired sessions.\n", "")
    assert not dependents.Line.objects.exists()
    assert dependents.Visit.objects.filter(session=None).count() == 150


def test_end_does_not_count_dependent_rows(ada, dependents):
    make_sessions(ada, 3, ended_ago=-HOUR)
    notes_with_lines(dependents, Session.objects.all())
    assert Session.objects.all()[0].end() == 1
    assert Session.objects.of(ada).end() == 2


def test_each_login_removes_a_batch_with_dependent_rows(browser, ada, clock, due, dependents):
    make_sessions(ada, 450, ended_ago=HOUR)
    notes_with_lines(dependents, in_order()[:3])
    for left in (251, 51, 1):
        browser.sign_in(ada)
        assert Session.objects.count() == left


HOLDS = {
    "protect": lambda models, session: models.Receipt.objects.create(session=session),
    "restrict": lambda models, session: models.Order.objects.create(session=session),
    "do nothing": lambda models, session: models.Trace.objects.create(session=session),
    "a row that is deleted with it": lambda models, session: models.Seal.objects.create(
        note=models.Note.objects.create(session=session)
    ),
}


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
def test_clearsessions_removes_the_rest_if_another_table_protects_some_sessions(ada, dependents, hold):
    make_sessions(ada, 250, ended_ago=HOUR)
    held = [in_order()[at] for at in (0, 1, 2, 120, 249)]
    for session in held:
        hold(dependents, session)
    assert clean() == ("Removed 245 expired sessions.\n", "")
    assert in_order() == held
    assert clean() == ("Removed 0 expired sessions.\n", "")


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
def test_logins_remove_the_rest_if_another_table_protects_some_sessions(browser, ada, clock, due, dependents, hold):
    for _ in range(7):  # slow batches, until their size is 5
        due.end(began=0, now=2 * MILLISECOND, is_full=True)
    make_sessions(ada, 18, ended_ago=HOUR)
    held = in_order()[:12]
    for session in held:
        hold(dependents, session)
    for _ in range(3):
        assert cleanup.is_due()
        browser.sign_in(ada)
    assert in_order()[:-1] == held
    assert not cleanup.is_due()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the table is created with SQLite's SQL")
def test_clearsessions_removes_the_rest_if_an_unmanaged_table_refers_to_some_sessions(ada):
    make_sessions(ada, 250, ended_ago=HOUR)
    held = [in_order()[at] for at in (0, 130)]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE legacy (session REFERENCES jwtauth_session (id))")
        try:
            cursor.executemany("INSERT INTO legacy VALUES (%s)", [(session.pk.hex,) for session in held])
            assert clean() == ("Removed 248 expired sessions.\n", "")
            assert in_order() == held
        finally:
            cursor.execute("DROP TABLE legacy")
