"""Tenants: a session remembered within ``SESSION_CHECK_INTERVAL`` for one tenant is not used for another."""

from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import RequestFactory
from django.urls import resolve

from jwtauth.internal.flow import Flow
from jwtauth.internal.store import scope
from jwtauth.models import Session
from tests import tenants
from tests.conftest import ACCESS_LIFETIME, GRACE, only_session
from tests.test_websocket import open_socket


@pytest.mark.parametrize("kind", ["database", "manager", "host"])
def test_no_token_of_one_tenant_is_accepted_at_another(kind, tmp_path):
    options = {"init_command": "PRAGMA synchronous = OFF"}  # tests need no protection from power failures
    engine = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}
    sqlite = {name: {**engine, "NAME": str(tmp_path / name)} for name in "ab"}
    databases = {"default": sqlite["a"]} | (sqlite if kind == "database" else {})
    found = tenants.tried(kind, databases)
    tenants.assert_tokens_stay_with_their_tenant(found, remembers=kind != "manager")


# --- the scope


def request_to(host="testserver", **extra):
    return RequestFactory().get("/", HTTP_HOST=host, **extra)


def test_each_host_has_its_own_scope():
    requests = [
        request_to(),
        request_to("other.example"),
        request_to("testserver:8000"),
        request_to(HTTP_X_FORWARDED_HOST="other.example"),
    ]
    numbers = [scope.of(request) for request in requests]
    assert len({*numbers, scope.NOWHERE}) == 5
    assert [scope.of(request) for request in requests] == numbers


def test_scope_of_a_request_without_a_host_is_that_of_the_server_s_name():
    def of(**extra):
        return scope.of(RequestFactory().get("/", **extra))

    assert of() == scope.of(request_to())
    assert len({of(), of(SERVER_NAME="other.example"), of(SERVER_PORT="8000")}) == 3


def test_scope_depends_on_schema_and_database(monkeypatch):
    request = request_to()
    numbers = {scope.of(request)}
    for schema in ("a", "b"):
        monkeypatch.setattr(connections["default"], "schema_name", schema, raising=False)
        numbers.add(scope.of(request))
    assert len(numbers) == 3
    monkeypatch.setattr(scope, "database", lambda: "other")
    monkeypatch.setattr(scope, "connections", {"other": connections["default"]})
    assert scope.of(request) not in {*numbers, scope.NOWHERE}


def test_sessions_are_not_remembered_with_a_manager_that_is_not_plain(monkeypatch):
    users = get_user_model()._meta.default_manager
    plain = scope.of(request_to())

    class Filtering(type(users)):
        def get_queryset(self):
            return super().get_queryset().none()

    assert plain != scope.NOWHERE
    monkeypatch.setattr(get_user_model()._meta, "default_manager", Filtering())
    assert scope.of(request_to()) == scope.NOWHERE
    monkeypatch.setattr(get_user_model()._meta, "default_manager", type(users)())
    assert scope.of(request_to()) not in {plain, scope.NOWHERE}


def test_scopes_are_bounded_and_their_numbers_are_not_reused(monkeypatch):
    monkeypatch.setattr(scope, "_scopes", {})
    monkeypatch.setattr(scope, "_CAPACITY", 10)
    numbers = {scope.of(request_to(f"{index}.example")) for index in range(100)}
    assert len(numbers) == 100
    assert len(scope._scopes) <= 10
    assert scope.of(request_to("0.example")) not in numbers
    assert scope.of(request_to("a" * 400)) == scope.of(request_to(HTTP_X_FORWARDED_HOST="a" * 400)) == scope.NOWHERE


def test_async_code_has_no_scope_if_a_thread_may_hold_the_tenant(monkeypatch):
    async def on_the_loop():
        return scope.of(request_to())

    assert async_to_sync(on_the_loop)() == scope.of(request_to())
    monkeypatch.setitem(scope.router.__dict__, "routers", [object()])
    assert async_to_sync(on_the_loop)() == scope.NOWHERE != scope.of(request_to())


# --- requests in another scope


@pytest.fixture
def remembered(signed_in, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    settings.ALLOWED_HOSTS = ["testserver", ".example"]
    assert signed_in.who() == "ada"
    return signed_in


@contextmanager
def at(request, host):
    """Switch to another tenant, as middleware or a view does."""
    before = request.META["HTTP_HOST"]
    request.META["HTTP_HOST"] = host
    yield
    request.META["HTTP_HOST"] = before


def identified(browser, **extra):
    request = request_to(HTTP_COOKIE=f"access_token={browser.token('access_token')}", **extra)
    Flow.attach(request).identify()
    return request


def test_remembered_session_is_queried_at_another_host(remembered, statements):
    assert statements(remembered.get, "/public/", headers={"host": "testserver"}) == []
    assert statements(remembered.get, "/public/", headers={"host": "other.example"}) == ["SELECT"]
    assert statements(remembered.get, "/public/", headers={"host": "other.example"}) == []


def test_session_ended_at_one_host_is_forgotten_at_every_other(remembered, other_browser):
    other_browser.carry(remembered.tokens())
    assert other_browser.who(headers={"host": "other.example"}) == "ada"
    remembered.post("/logout/", headers={"host": "testserver"})
    for host in ("other.example", "testserver"):
        assert other_browser.who(headers={"host": host}) is None


@pytest.mark.parametrize("ask", ["is_authenticated", "pk", "username"])
def test_remembered_session_is_queried_again_after_middleware_switches_tenants(remembered, ada, ask):
    request = identified(remembered)
    user = request.jwtauth.user
    assert user.is_authenticated
    Session.objects.all()._raw_delete("default")  # another tenant's database has no such session
    assert user.is_authenticated
    with at(request, "other.example"):
        assert request.jwtauth.is_authenticated is False
        assert getattr(user, ask) in (False, None, "")
        assert not user.is_authenticated


def test_view_that_switches_tenants_keeps_its_user(remembered, ada, django_assert_num_queries):
    request = identified(remembered)
    request.resolver_match = resolve("/me/")
    user = request.jwtauth.user
    with at(request, "other.example"), django_assert_num_queries(0):
        assert user.is_authenticated
        assert user.pk == ada.pk
        assert request.jwtauth.is_authenticated


def test_session_remembered_at_its_refresh_is_used_in_its_scope_only(remembered, clock, statements):
    clock.advance(11)
    remembered.forget_access_token()
    assert remembered.who(headers={"host": "other.example"}) == "ada"
    assert statements(remembered.get, "/public/", headers={"host": "other.example"}) == []
    assert statements(remembered.get, "/public/", headers={"host": "testserver"}) == ["SELECT"]


@pytest.mark.django_db(transaction=True)
def test_session_remembered_at_a_handshake_is_used_in_its_scope_only(remembered, statements):
    cookie = f"access_token={remembered.token('access_token')}"
    headers = {"host": "other.example", "origin": "http://other.example", "cookie": cookie}
    headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert open_socket(remembered, headers=headers) == ["ada"]
    assert statements(remembered.get, "/public/", headers={"host": "other.example"}) == []
    assert statements(remembered.get, "/public/", headers={"host": "testserver"}) == ["SELECT"]


def test_query_after_a_refresh_does_not_acknowledge_the_new_tokens(signed_in, clock, monkeypatch):
    # Its response may get lost. Then the client sends the old tokens again.
    manager = get_user_model()._meta.default_manager

    class Filtering(type(manager)):
        def get_queryset(self):
            return super().get_queryset()

    filtering = Filtering()
    filtering.model = get_user_model()
    monkeypatch.setattr(get_user_model()._meta, "default_manager", filtering)
    old = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() == "ada"
    assert only_session().generation == 2
    assert only_session().acknowledged_at is None
    signed_in.carry(old)
    clock.advance(GRACE + 1)
    assert signed_in.who() == "ada"
