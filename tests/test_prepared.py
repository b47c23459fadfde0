"""The session check's statement is compiled once, but only if its manager cannot change it."""

import gc
import weakref
from threading import Thread

import pytest
from django.contrib.auth.models import User, UserManager
from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLCompiler
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from jwtauth.internal.store import admission, prepared, sessions
from jwtauth.models import Session
from tests.conftest import only_session

pytestmark = pytest.mark.django_db


@pytest.fixture
def compiled(monkeypatch):
    """Count the statements about users that Django compiles in a call."""

    def count(call, *args):
        seen = []
        with monkeypatch.context() as patch:
            real = SQLCompiler.as_sql

            def as_sql(compiler, *args, **kwargs):
                seen.append(compiler.query.model is User)
                return real(compiler, *args, **kwargs)

            patch.setattr(SQLCompiler, "as_sql", as_sql)
            call(*args)
        return sum(seen)

    return count


@pytest.fixture
def default_manager(monkeypatch):
    """Set the default manager of users."""

    def use(manager):
        manager.model, manager.name = User, "objects"
        monkeypatch.setattr(User._meta, "default_manager", manager)

    return use


class Moment:
    """Stand in for what a manager depends on: the tenant of this thread, the time, a feature flag."""

    hides = False


class Tenants(UserManager):
    def get_queryset(self):
        return super().get_queryset().exclude(pk__gte=0) if Moment.hides else super().get_queryset()


class Using(UserManager):
    def using(self, alias):
        return super().using(alias).exclude(pk__gte=0) if Moment.hides else super().using(alias)


class FilteringQuerySet(QuerySet):
    def filter(self, *args, **kwargs):
        return super().filter(*args, **kwargs).exclude(pk__gte=0) if Moment.hides else super().filter(*args, **kwargs)


class SiftingQuerySet(QuerySet):
    def _fetch_all(self):
        super()._fetch_all()
        self._result_cache = [] if Moment.hides else self._result_cache


class MoreMethods(QuerySet):
    """Add a method to Django's queryset."""

    def staff(self):
        return self.filter(is_staff=True)


def one_that_is_patched():
    manager = UserManager()
    get_queryset = manager.get_queryset
    manager.get_queryset = lambda: get_queryset().exclude(pk__gte=0) if Moment.hides else get_queryset()
    return manager


DYNAMIC = [
    Tenants,
    Using,
    FilteringQuerySet.as_manager,
    SiftingQuerySet.as_manager,
    UserManager.from_queryset(FilteringQuerySet),
    one_that_is_patched,
]


@pytest.mark.parametrize("make", DYNAMIC, ids=lambda make: getattr(make, "__qualname__", ""))
def test_manager_that_may_change_is_asked_at_each_request(signed_in, default_manager, monkeypatch, make):
    default_manager(make())
    for hides in (False, False, True, False):
        monkeypatch.setattr(Moment, "hides", hides)
        assert signed_in.who() == (None if hides else "ada")


@pytest.mark.parametrize("make", [UserManager, MoreMethods.as_manager, UserManager.from_queryset(MoreMethods)])
def test_statement_of_a_plain_manager_is_compiled_once(signed_in, default_manager, compiled, make):
    default_manager(make())
    assert compiled(signed_in.who) == 2  # compiled with two ids, to find the parameter
    assert compiled(signed_in.who) == 0
    assert signed_in.who() == "ada"


class Aliasing(UserManager):
    def get_queryset(self):
        return super().get_queryset().alias(low=Lower("username")).filter(low="ada")


class Annotating(UserManager):
    def get_queryset(self):
        return super().get_queryset().annotate(label=Value("hi"))


def test_manager_with_an_alias_works(signed_in, default_manager):
    default_manager(Aliasing())
    assert signed_in.who() == "ada"


def test_annotations_of_the_manager_are_on_the_user(signed_in, default_manager):
    default_manager(Annotating())
    found = sessions.find(only_session().pk)
    assert found.user.label == "hi"
    assert not [name for name in vars(found.user) if name.startswith("jwtauth")]


def test_changed_default_manager_is_used(signed_in, default_manager, monkeypatch):
    assert signed_in.who() == "ada"
    default_manager(Tenants())
    monkeypatch.setattr(Moment, "hides", True)
    assert signed_in.who() is None


def test_statement_with_the_id_in_two_places_is_not_prepared(signed_in, other_browser, bob, monkeypatch):
    real = sessions._with_session

    def twice(users, session_id):
        return real(users, session_id).exclude(jwtauth_sessions__id=None).filter(jwtauth_sessions__pk=session_id)

    monkeypatch.setattr(
        sessions, "_lookup", sessions.Lookup(twice, sessions.Session._meta.pk, sessions._BESIDE, sessions._OF_CHECK)
    )
    other_browser.sign_in(bob)
    for _ in range(2):
        assert (signed_in.who(), other_browser.who()) == ("ada", "bob")


@pytest.fixture
def fresh_lookup(monkeypatch):
    """Replace the lookup by one that has prepared no statement."""
    real = sessions._lookup
    lookup = sessions.Lookup(real._queryset_of, real._key, real._names, real._stored)
    monkeypatch.setattr(sessions, "_lookup", lookup)
    return lookup


class Mixin:
    def __getattribute__(self, name):
        return super().__getattribute__(name)


class WithMixin(QuerySet, Mixin):
    pass


class DerivesFromMore(MoreMethods):
    def ordered_by_name(self):
        return self.order_by("username")


@pytest.mark.parametrize(
    ("kind", "is_plain"),
    [
        (QuerySet, True),
        (MoreMethods, True),
        (DerivesFromMore, True),
        (FilteringQuerySet, False),
        (SiftingQuerySet, False),
        (WithMixin, False),
    ],
)
def test_queryset_that_only_adds_methods_is_plain(kind, is_plain):
    assert prepared.is_plain(UserManager.from_queryset(kind)()) is is_plain


UNKNOWN = [
    (SQLCompiler, "get_converters", AttributeError("gone in the next Django")),
    (prepared._Statement, "__init__", KeyError("select_fields")),
    (prepared, "is_plain", AttributeError("_queryset_class")),
]


@pytest.mark.parametrize(("owner", "name", "error"), UNKNOWN, ids=[name for _owner, name, _error in UNKNOWN])
def test_orm_is_used_on_an_unknown_django_with_one_warning(
    signed_in, compiled, fresh_lookup, monkeypatch, caplog, owner, name, error
):
    real, asked = getattr(owner, name), []

    def fail(*args, **kwargs):
        if owner is SQLCompiler and asked:  # the ORM uses it too
            return real(*args, **kwargs)
        asked.append(name)
        raise error

    monkeypatch.setattr(owner, name, fail)
    assert [signed_in.who() for _ in range(3)] == ["ada"] * 3
    assert compiled(signed_in.who) == 1
    assert [record.levelname for record in caplog.records if record.name == "jwtauth"] == ["WARNING"]
    assert "could not be prepared" in caplog.text


def test_session_query_is_prepared_after_a_database_error(signed_in, compiled, fresh_lookup, monkeypatch):
    with monkeypatch.context() as patch:

        def fail(*args):
            raise OperationalError("gone away")

        patch.setattr(fresh_lookup, "_prepared", fail)
        assert signed_in.get("/me/").status_code == 500
    assert signed_in.who() == "ada"
    assert compiled(signed_in.who) == 0


def test_captured_queries_include_the_prepared_session_query(signed_in):
    signed_in.who()
    with CaptureQueriesContext(connection) as captured:
        signed_in.who()
    assert [only_session().pk.hex in query["sql"].replace("-", "") for query in captured] == [True]


def test_execute_wrapper_can_refuse_the_prepared_session_query(signed_in):
    def refuse(execute, sql, params, many, context):
        raise PermissionError("no statements here")

    signed_in.who()
    with connection.execute_wrapper(refuse):
        assert signed_in.get("/me/").status_code == 500
    assert signed_in.who() == "ada"


def test_changed_use_tz_applies_to_prepared_queries(signed_in):
    found = sessions.find(only_session().pk)
    assert found.session.created_at.tzinfo is not None
    with override_settings(USE_TZ=False):
        naive = sessions.find(found.session.pk)
        assert (naive.session.created_at.tzinfo, naive.user.date_joined.tzinfo) == (None, None)


def hang_up():
    """Close the connection, also to a database in memory, which Django keeps open."""
    BaseDatabaseWrapper.close(connections["default"])


@pytest.mark.django_db(transaction=True)
def test_each_thread_converts_values_with_its_own_connection(signed_in):
    expected = sessions.find(only_session().pk)
    found = []

    def work():
        found.append(sessions.find(expected.session.pk))
        hang_up()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    columns = [field.attname for field in expected.session._meta.concrete_fields]
    for one in found:
        assert one.user == expected.user
        assert one.user.date_joined == expected.user.date_joined
        assert [getattr(one.session, name) for name in columns] == [getattr(expected.session, name) for name in columns]
    assert len(found) == 4


@pytest.mark.django_db(transaction=True)
def test_connection_of_a_thread_is_freed_with_the_thread(signed_in):
    session_id, seen = only_session().pk, []

    def work():
        sessions.find(session_id)
        seen.append(weakref.ref(connections["default"]))
        hang_up()

    sessions.find(session_id)
    thread = Thread(target=work)
    thread.start()
    thread.join()
    del thread
    gc.collect()
    assert seen[0]() is None


@pytest.mark.parametrize("is_filled", [False, True], ids=["as started", "all columns filled"])
def test_prepared_query_returns_what_django_s_queryset_returns(signed_in, ada, is_filled):
    if is_filled:
        last = Session.objects.latest("created_at")
        times = dict.fromkeys(["acknowledged_at", "auth_time", "locks_at"], last.expires_at)
        texts = {"device_key": "dpop:é", "ip_address": "2001:db8::1", "amr": "pwd otp", "user_agent": "0"}
        Session.objects.update(end_is_fixed=True, remember=False, generation=2**31 - 1, **times, **texts)
    found, session = sessions.find(only_session().pk), only_session()

    def values(instance):
        return {name: (value, type(value)) for name, value in vars(instance).items() if name != "_state"}

    assert values(found.session) == values(session)
    assert (repr(found.row), found.last_seen_at) == (repr(session.row()), int(session.last_seen_at.timestamp()))
    same = User.objects.get(pk=ada.pk)
    assert {**vars(found.user), "_state": None} == {**vars(same), "_state": None}
    assert (found.user._state.db, found.user._state.adding) == (same._state.db, same._state.adding)


def test_times_have_the_time_zone_of_the_database(signed_in, ada, monkeypatch):
    connection.__dict__.pop("_jwtauth_converters", None)
    monkeypatch.setitem(connection.settings_dict, "TIME_ZONE", "Asia/Tokyo")
    for name in ("timezone", "timezone_name"):
        monkeypatch.delitem(connection.__dict__, name, raising=False)
    found = sessions.find(only_session().pk)
    assert (found.session.created_at, found.user.date_joined) == (
        only_session().created_at,
        User.objects.get(pk=ada.pk).date_joined,
    )
    for name in ("timezone", "timezone_name", "_jwtauth_converters"):
        connection.__dict__.pop(name, None)


# --- the session hash


def test_replaced_session_hash_is_computed_at_each_request(signed_in, monkeypatch, clock):
    mark = {"value": ""}
    monkeypatch.setattr(User, "get_session_auth_hash", lambda user: user.password + mark["value"])
    signed_in.sign_in(User.objects.get())
    assert signed_in.who() == "ada"
    mark["value"] = "signed out everywhere"
    assert signed_in.who() is None


def test_cache_of_session_hashes_is_bounded_and_contains_no_password(ada, bob):
    hashes = admission._AuthHashes(2)
    users = [ada, bob, User(password="third")]
    for _ in range(2):
        assert [hashes.of(user) for user in users] == [user.get_session_auth_hash() for user in users]
        assert len(hashes._known[1]) <= 2
    assert not any(user.password in repr(vars(hashes)) for user in users)


def test_new_secret_key_changes_the_cached_session_hash(ada, settings):
    hashes = admission._AuthHashes(2)
    before = hashes.of(ada)
    settings.SECRET_KEY = "another key, which is long enough for SHA-256"
    assert hashes.of(ada) == ada.get_session_auth_hash() != before


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="other databases have a type for timestamps")
@pytest.mark.parametrize("column", ["created_at", "last_seen_at", "expires_at"])
def test_time_written_by_another_program_is_read_as_django_reads_it(signed_in, clock, column):
    session = only_session()
    expected = getattr(session, column).replace(microsecond=250_000)
    with connection.cursor() as cursor:
        sql = f"UPDATE {Session._meta.db_table} SET {column} = %s"
        cursor.execute(sql, [f"{expected:%Y-%m-%dT%H:%M:%S}.25"])
    found = sessions.find(session.pk)
    assert (found.row.generation, found.last_seen_at) == (1, int(session.last_seen_at.timestamp()))
    assert int(session.created_at.timestamp()) == found.row.created_at
    assert getattr(found.session, column) == expected
    assert signed_in.post("/logout/").status_code == 200
    assert signed_in.who() is None
