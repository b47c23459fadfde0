"""The table cleans itself: after logins and refreshes, and by the command."""

import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import StringIO

import pytest
from django.apps import apps
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models.signals import pre_delete

from jwtauth.internal.store import cleanup
from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, IDLE, only_session
from tests.test_websocket import SAME_ORIGIN, open_socket

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600


@pytest.fixture
def due(monkeypatch):
    """The next login or refresh removes a batch."""
    monkeypatch.setattr(cleanup, "_next_at", 0.0)


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


def test_a_login_removes_a_batch_of_what_is_over(browser, ada, clock, due):
    make_sessions(ada, 250, ended_ago=HOUR)
    browser.sign_in(ada)
    assert Session.objects.count() == 51
    assert browser.who() == "ada"


def test_the_response_is_sent_before_a_batch_is_removed(ada, rf, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    response = WSGIHandler()(rf.post(f"/login/?user={ada.pk}").environ, lambda status, headers: None)
    assert b"".join(response)
    assert Session.objects.count() == 4
    response.close()
    only_session()


def test_a_handshake_that_refreshes_removes_a_batch(signed_in, ada, clock, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    clock.advance(ACCESS_LIFETIME)
    assert open_socket(signed_in, SAME_ORIGIN) == ["ada"]
    only_session()


def test_a_request_that_another_thread_closes_removes_nothing(ada, rf, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    request = rf.get("/")
    cleanup.remove_after(request)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(request.close).result()
    assert Session.objects.count() == 3
    assert cleanup.is_due()


@pytest.mark.parametrize(
    ("longest", "size", "left"),
    [
        pytest.param(0.0, 200, [500, 300, 200, 150, 125, 113, 107, 102, 97], id="smaller where batches take longer"),
        pytest.param(math.inf, 50, [650, 550, 350, 150, 0], id="larger again where they do not"),
    ],
)
def test_the_size_of_batches_goes_by_the_time_that_they_take(ada, due, monkeypatch, longest, size, left):
    make_sessions(ada, 700, ended_ago=HOUR)
    monkeypatch.setattr(cleanup, "_BATCH_SECONDS", longest)
    monkeypatch.setattr(cleanup, "_size", size)
    found = []
    for _ in left:
        cleanup.remove_batch()
        found.append(Session.objects.count())
    assert found == left


def test_while_there_is_more_every_login_and_refresh_goes_on(browser, ada, clock, due):
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


def test_when_nothing_is_left_it_rests(browser, ada, clock, due):
    browser.sign_in(ada)
    make_sessions(ada, 3, ended_ago=HOUR)
    browser.sign_in(ada)
    assert Session.objects.count() == 4


@pytest.mark.parametrize("url", ["/me/", "/idle/", "/public/"])
def test_an_ordinary_request_removes_nothing(signed_in, ada, statements, due, url):
    make_sessions(ada, 3, ended_ago=HOUR)
    assert "DELETE" not in statements(signed_in.get, url)
    assert Session.objects.count() == 4


def test_what_is_alive_or_has_just_ended_stays(browser, ada, clock, due):
    make_sessions(ada, 1, ended_ago=HOUR - 1)
    make_sessions(ada, 1, ended_ago=-IDLE)
    browser.sign_in(ada)
    assert Session.objects.count() == 3


def test_an_error_of_the_upkeep_is_no_error_of_the_login(browser, ada, due, monkeypatch, caplog):
    def fail(limit):
        raise DatabaseError("the database is away")

    monkeypatch.setattr(cleanup, "_remove", fail)
    browser.sign_in(ada)
    assert browser.who() == "ada"
    assert "could not be removed" in caplog.text


def test_nor_is_one_of_a_receiver_s(browser, ada, due, caplog):
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


def test_inside_somebody_s_transaction_it_holds_no_locks(ada, due):
    make_sessions(ada, 3, ended_ago=HOUR)
    with transaction.atomic():
        cleanup.remove_batch()
    assert Session.objects.count() == 3


def test_a_login_in_the_view_s_transaction_cleans_after_it(browser, ada, due, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    make_sessions(ada, 3, ended_ago=HOUR)
    browser.sign_in(ada)
    only_session()


def test_the_command_removes_all_that_is_over_and_nothing_else(signed_in, ada):
    make_sessions(ada, 1234, ended_ago=HOUR)
    assert clean() == ("Removed 1234 expired sessions.\n", "")
    assert signed_in.who() == "ada"
    only_session()
    assert clean() == ("Removed 0 expired sessions.\n", "")


def test_two_commands_at_once_share_the_rows(signed_in, ada):
    make_sessions(ada, 1234, ended_ago=HOUR)
    removed = [0, 0]
    commands = [cleanup.remove_all(), cleanup.remove_all()]
    while any(step := [next(command, None) for command in commands]):
        removed = [new or old for new, old in zip(step, removed, strict=True)]
    assert sum(removed) == 1234
    assert all(removed)
    only_session()


def test_the_command_and_logins_clean_at_once(browser, ada, due):
    make_sessions(ada, 900, ended_ago=HOUR)
    command = cleanup.remove_all()
    removed = next(command)
    browser.sign_in(ada)
    removed = list(command)[-1]
    assert removed == 700
    only_session()


def test_a_dry_run_counts_and_removes_nothing(ada):
    make_sessions(ada, 7, ended_ago=HOUR)
    make_sessions(ada, 2, ended_ago=-HOUR)
    assert clean(dry_run=True) == ("7 expired sessions would be removed.\n", "")
    assert Session.objects.count() == 9


def test_the_command_can_be_silent(ada):
    make_sessions(ada, 7, ended_ago=HOUR)
    assert clean(verbosity=0) == ("", "")
    assert not Session.objects.exists()


def test_on_a_terminal_it_shows_how_far_it_is(ada, monkeypatch):
    make_sessions(ada, 350, ended_ago=HOUR)

    class Terminal(StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    call_command("jwtauth_clearsessions", stdout=StringIO(), stderr=terminal)
    assert terminal.getvalue().startswith("\r100 of 350")
    assert terminal.getvalue().endswith("\r350 of 350\n")


# --- tables of the project that refer to sessions


@pytest.fixture
def dependents(settings):
    """The models of `tests.dependents`, installed and with their tables."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.dependents"]
    apps.clear_cache()  # the relations of models that were there before
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


def test_what_goes_with_a_session_is_not_counted_as_one(ada, dependents):
    make_sessions(ada, 150, ended_ago=HOUR)
    notes_with_lines(dependents, Session.objects.all())
    dependents.Visit.objects.bulk_create(dependents.Visit(session=session) for session in Session.objects.all())
    assert clean() == ("Removed 150 expired sessions.\n", "")
    assert not dependents.Line.objects.exists()
    assert dependents.Visit.objects.filter(session=None).count() == 150


def test_an_end_counts_sessions_alone(ada, dependents):
    make_sessions(ada, 3, ended_ago=-HOUR)
    notes_with_lines(dependents, Session.objects.all())
    assert Session.objects.all()[0].end() == 1
    assert Session.objects.of(ada).end() == 2


def test_with_dependents_every_login_goes_on_as_well(browser, ada, clock, due, dependents):
    make_sessions(ada, 450, ended_ago=HOUR)
    notes_with_lines(dependents, in_order()[:3])
    for left in (251, 51, 1):
        browser.sign_in(ada)
        assert Session.objects.count() == left


HOLDS = {
    "protect": lambda models, session: models.Receipt.objects.create(session=session),
    "restrict": lambda models, session: models.Order.objects.create(session=session),
    "do nothing": lambda models, session: models.Trace.objects.create(session=session),
    "a row that goes with it": lambda models, session: models.Seal.objects.create(
        note=models.Note.objects.create(session=session)
    ),
}


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
def test_what_another_table_holds_does_not_keep_the_rest(ada, dependents, hold):
    make_sessions(ada, 250, ended_ago=HOUR)
    held = [in_order()[at] for at in (0, 1, 2, 120, 249)]
    for session in held:
        hold(dependents, session)
    assert clean() == ("Removed 245 expired sessions.\n", "")
    assert in_order() == held
    assert clean() == ("Removed 0 expired sessions.\n", "")


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
def test_nor_does_it_beside_logins(browser, ada, clock, due, dependents, hold, monkeypatch):
    monkeypatch.setattr(cleanup, "_BATCH", 5)
    make_sessions(ada, 18, ended_ago=HOUR)
    held = in_order()[:12]
    for session in held:
        hold(dependents, session)
    for _ in range(4):
        assert cleanup.is_due()
        browser.sign_in(ada)
    assert in_order()[:-1] == held
    assert not cleanup.is_due()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the table is written in SQLite's SQL")
def test_nor_does_a_table_that_django_does_not_know(ada):
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
