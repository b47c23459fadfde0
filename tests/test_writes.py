"""Statements that write session rows are compiled once, and equal those of Django's ORM."""

import pytest
from django.core.signals import setting_changed
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models.signals import post_save, pre_save
from django.db.models.sql import compiler
from django.test.utils import CaptureQueriesContext

from jwtauth.conf import get_config
from jwtauth.internal.store import sessions
from jwtauth.internal.store.writes import Writes
from jwtauth.models import Session, SessionQuerySet, writes
from tests.conftest import ACCESS_LIFETIME, only_session, refresh

pytestmark = pytest.mark.django_db(transaction=True)

COMPILERS = [compiler.SQLInsertCompiler, compiler.SQLUpdateCompiler, compiler.SQLDeleteCompiler]


@pytest.fixture
def compiled(monkeypatch):
    """Count the statements that write sessions and that Django compiles in a call."""

    def count(call, *args, **kwargs):
        seen = []
        with monkeypatch.context() as patch:
            for kind in COMPILERS:

                def as_sql(self, *args, real=kind.as_sql, **kwargs):
                    seen.append(self.query.model is Session)
                    return real(self, *args, **kwargs)

                patch.setattr(kind, "as_sql", as_sql)
            call(*args, **kwargs)
        return sum(seen)

    return count


@pytest.fixture
def unprepared(monkeypatch):
    """Forget the prepared statements."""
    monkeypatch.setattr(writes, "_statements", {})


def whole_life(browser, user, clock):
    """Log in, refresh, acknowledge, update `last_seen_at`, and log out."""
    browser.sign_in(user)
    refresh(browser, clock)
    browser.get("/me/")
    clock.advance(61)
    browser.post("/me/")
    browser.post("/logout/")


def test_second_session_compiles_no_statement(browser, ada, clock, compiled, unprepared):
    assert compiled(whole_life, browser, ada, clock) == 5
    assert compiled(whole_life, browser, ada, clock) == 0


def test_prepared_writes_equal_those_of_the_orm(browser, ada, clock, monkeypatch):
    def written():
        with CaptureQueriesContext(connection) as captured:
            whole_life(browser, ada, clock)
        texts = (query["sql"].partition(" RETURNING ")[0] for query in captured if "SELECT" not in query["sql"])
        return [text for text in texts if Session._meta.db_table in text]

    def shape(text):
        return [word for word in text.replace(",", " ").replace("(", " ").split() if word.isupper() or '"' in word]

    prepared = written()
    monkeypatch.setattr(Writes, "_execute", lambda *args: None)
    assert [shape(text) for text in prepared] == [shape(text) for text in written()]
    assert [text.split()[0] for text in prepared] == ["INSERT", "UPDATE", "UPDATE", "UPDATE", "DELETE"]


def test_prepared_writes_set_each_column_to_its_value(browser, ada, clock, monkeypatch):
    def row():
        session = only_session()
        return {name: session.__dict__[name] for name in sessions._NAMES if name != "id"}

    def rows():
        clock.now = 1_700_000_000
        browser.sign_in(ada)
        begun = row()
        refresh(browser, clock)
        refreshed = row()
        clock.advance(61)
        browser.post("/me/")
        return begun, refreshed, row()

    prepared = rows()
    browser.post("/logout/")
    monkeypatch.setattr(Writes, "_execute", lambda *args: None)
    assert prepared == rows()


@pytest.mark.parametrize(("owner", "name"), [(Session, "save"), (SessionQuerySet, "update")])
def test_replaced_method_of_a_project_is_called_at_a_write(browser, ada, clock, monkeypatch, owner, name):
    called, real = [], getattr(owner, name)

    def replaced(self, *args, **kwargs):
        called.append(name)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, replaced)
    whole_life(browser, ada, clock)
    assert called == [name] * (1 if owner is Session else 3)


@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_receivers_of_pre_save_and_post_save_are_called_for_a_session(browser, ada, signal):
    told = []

    def receiver(sender, instance, **kwargs):
        told.append((instance.pk, kwargs.get("created")))

    signal.connect(receiver, Session)
    try:
        browser.sign_in(ada)
    finally:
        signal.disconnect(receiver, Session)
    assert told == [(only_session().pk, True if signal is post_save else None)]


def test_new_session_is_marked_as_stored(rf, ada):
    started, _sid = sessions.start(rf.get("/"), ada, get_config().policy, remember=True)
    session = started.session
    assert (session._state.adding, session._state.db) == (False, "default")
    session.refresh_from_db()


def test_orm_writes_on_an_unknown_django_with_a_warning(browser, ada, clock, compiled, unprepared, monkeypatch, caplog):
    monkeypatch.setattr(Writes, "_prepared", lambda *args: {}["gone in the next Django"])
    for _ in range(2):
        assert compiled(whole_life, browser, ada, clock) == 5
    assert [record.message for record in caplog.records if record.name == "jwtauth"] == [
        "a statement could not be prepared, so it is compiled each time"
    ] * 5


def test_write_with_ambiguous_parameters_is_not_prepared(browser, ada, clock, compiled, unprepared, monkeypatch):
    monkeypatch.setattr("jwtauth.internal.store.writes._Probe.of", lambda self, name, value: value)
    for _ in range(2):
        assert compiled(browser.sign_in, ada)
        browser.cookies.clear()
    assert Session.objects.count() == 2


def test_write_is_prepared_after_a_database_error(browser, ada, compiled, unprepared, monkeypatch):
    with monkeypatch.context() as patch:

        def fail(*args):
            raise OperationalError("gone away")

        patch.setattr(Writes, "_prepared", fail)
        assert browser.post(f"/login/?user={ada.pk}").status_code == 500
    assert compiled(browser.sign_in, ada) == 1
    browser.cookies.clear()
    assert compiled(browser.sign_in, ada) == 0


def test_changed_settings_discard_prepared_writes(browser, ada, compiled):
    browser.sign_in(ada)
    setting_changed.send(None, setting="USE_TZ", value=True, enter=True)
    assert compiled(browser.sign_in, ada) == 2  # the insert, and the deletion of the session before


def test_write_error_inside_a_transaction_marks_it_as_broken(ada):
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            writes.insert("default", dict.fromkeys(sessions._NAMES))
        assert connection.needs_rollback
        transaction.set_rollback(True)


def test_execute_wrapper_can_refuse_a_prepared_write(signed_in, clock):
    def refuse(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            raise PermissionError("no statements here")
        return execute(sql, params, many, context)

    clock.advance(ACCESS_LIFETIME)
    with connection.execute_wrapper(refuse):
        assert signed_in.get("/me/").status_code == 500
    assert signed_in.who() == "ada"
