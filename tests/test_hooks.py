"""Django's hooks, called as Django's own session login calls them. That login is the control in these tests."""

import json
import logging
import subprocess
import sys
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from django.apps.registry import Apps
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth import login as django_login
from django.contrib.auth.backends import (
    AllowAllUsersModelBackend,
    AllowAllUsersRemoteUserBackend,
    BaseBackend,
    ModelBackend,
    RemoteUserBackend,
)
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import AnonymousUser, Group, User, UserManager
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError
from django.db.models import Count, Value
from django.db.models.functions import Concat, Lower, Upper
from django.http import HttpResponse, JsonResponse
from django.test import Client, override_settings
from django.urls import include, path
from django.utils.functional import LazyObject
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.response import Response

from jwtauth import login, update_session_auth_hash
from jwtauth.internal.store import admission
from jwtauth.models import Session
from jwtauth.signals import session_refreshed
from jwtauth.test import force_login
from tests.conftest import ACCESS_LIFETIME, Browser, only_session

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

PASSWORD = "correct horse"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


# --- a site with hooks of each kind


class Member(User):
    """End sessions also when the email address changes."""

    class Meta:
        proxy = True
        app_label = "auth"
        apps = Apps()  # of this module alone

    def get_session_auth_hash(self):
        return sha256(f"{self.password} {self.email}".encode()).hexdigest()


class Members(ModelBackend):
    """Sign members in, and find no suspended member."""

    def authenticate(self, request, username=None, password=None):
        member = Member.objects.filter(username=username).first()
        return member if member is not None and member.check_password(password) else None

    def get_user(self, user_id):
        return Member.objects.filter(pk=user_id).exclude(last_name="suspended").first()


class Staff(ModelBackend):
    """Admit every user who is not banned, active or not."""

    def user_can_authenticate(self, user):
        return user.last_name != "banned"


class Lenient(ModelBackend):
    """Admit every user, and authenticate none."""

    def authenticate(self, request, **credentials):
        return None

    def user_can_authenticate(self, user):
        return True


class Directory:
    """Add data from a directory to the user, as LDAP backends do."""

    def authenticate(self, request, username=None, password=None):
        return self.get_user(User.objects.get(username=username).pk)

    def get_user(self, user_id):
        user = User.objects.get(pk=user_id)
        user.directory = f"cn={user.username}"
        return user


class Strategy:
    def get_user(self, user_id):
        return User.objects.filter(pk=user_id).first()


class Social:
    """Delegate to a strategy, as social login backends do."""

    strategy = None

    def authenticate(self, request, token=None):
        return User.objects.filter(username=token).first()

    def get_user(self, user_id):
        return self.strategy.get_user(user_id)


class Wrapped:
    """Delegate every call to another backend."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return getattr(self._backend, name)


def wrapped_members():
    """Return a backend: ``AUTHENTICATION_BACKENDS`` may name a function."""
    return Wrapped(Members())


class SignsInOnly:
    """Authenticate without a ``get_user``, which Django's session login requires."""

    def authenticate(self, request, username=None, password=None):
        return User.objects.filter(username=username).first()


class SignsInOnlyOfDjango(BaseBackend):
    """Authenticate with the ``get_user`` of Django's base class, which finds no user."""

    def authenticate(self, request, username=None, password=None):
        return User.objects.filter(username=username).first()


class Permissions(BaseBackend):
    """Grant permissions, and authenticate no users."""


class NeedsArguments:
    def __init__(self, strategy):
        raise AssertionError("instantiated with a strategy")

    def get_user(self, user_id):
        raise AssertionError("this backend cannot be instantiated")


class Failing(Members):
    error = None

    def get_user(self, user_id):
        if self.error is not None:
            raise self.error
        return super().get_user(user_id)


def backends(*kinds):
    return override_settings(
        AUTHENTICATION_BACKENDS=[
            kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}" for kind in kinds
        ]
    )


@csrf_exempt
def sign_in(request):
    """Authenticate by the credentials in the query, and start a session of Django or of jwtauth."""
    credentials = request.GET.dict()
    start = {"django": django_login, "jwtauth": login}[credentials.pop("by")]
    user = authenticate(request, **credentials)
    if user is None:
        return HttpResponse(status=401)
    start(request, user)
    return HttpResponse()


@csrf_exempt
def sign_in_by_form(request):
    """Sign in as Django's `LoginView` does."""
    form = AuthenticationForm(request, request.POST)
    if not form.is_valid():
        return HttpResponse(status=401)
    django_login(request, form.get_user())
    return HttpResponse()


@csrf_exempt
def sign_in_without_backend(request):
    login(request, User.objects.get(username="ada"))
    return HttpResponse()


@csrf_exempt
def change_password(request):
    request.user.set_password("new password")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def described(user):
    found = {"name": user.get_username()}
    if user.is_authenticated:
        found |= {"kind": user.__class__.__name__, "directory": getattr(user, "directory", None)}
    return found


def who(request):
    return JsonResponse(described(request.user))


@api_view()
def who_in_api(request):
    return Response(described(request.user))


def whose_session(request):
    auth = request.jwtauth
    return JsonResponse({"same": auth.session.user is auth.user, **described(auth.session.user)})


def state(request):
    name = request.user.get_username()
    user = request.user
    while isinstance(user, LazyObject):
        user = user._wrapped
    fields = {field.attname for field in user._meta.concrete_fields}
    return JsonResponse(
        {
            "name": name,
            "deferred": sorted(user.get_deferred_fields()),
            "prefetched": sorted(getattr(user, "_prefetched_objects_cache", ())),
            "more": {key: value for key, value in vars(user).items() if key not in fields and key[0] != "_"},
            "database": user._state.db,
            "adding": user._state.adding,
        }
    )


urlpatterns = [
    path("auth/", include("jwtauth.urls")),
    path("sign-in/", sign_in),
    path("sign-in/form/", sign_in_by_form),
    path("sign-in/without-backend/", sign_in_without_backend),
    path("password/", change_password),
    path("who/", who),
    path("who/api/", who_in_api),
    path("who/session/", whose_session),
    path("who/state/", state),
]


# --- ways to sign in


class Visitor(Browser):
    headers = {}

    def who(self, url="/who/"):
        response = self.get(url, headers=self.headers)
        assert response.status_code == 200, response.content
        return response.json()

    @property
    def name(self):
        return self.who()["name"] or None

    @property
    def kind(self):
        return self.who().get("kind")


class ByDjango(Visitor):
    def log_in(self, **credentials):
        return self.post("/sign-in/", query_params={"by": "django", **credentials}).status_code


class ByCookies(Visitor):
    def log_in(self, **credentials):
        return self.post("/sign-in/", query_params={"by": "jwtauth", **credentials}).status_code


class ByLoginView(Visitor):
    def log_in(self, **credentials):
        return self.post("/auth/login/", credentials).status_code


class ByBearer(Visitor):
    def log_in(self, **credentials):
        response = self.post("/auth/token/", credentials)
        if response.status_code == 200:
            self.headers = {"Authorization": f"Bearer {response.json()['access']}"}
        return response.status_code

    def who(self, url="/who/"):
        response = self.get(url, headers=self.headers)
        return {"name": ""} if response.status_code == 401 else response.json()


WAYS = [ByDjango, ByCookies, ByLoginView, ByBearer]


@pytest.fixture(autouse=True)
def ada(db):
    return User.objects.create_user("ada", "ada@site.example", PASSWORD)


@pytest.fixture(params=WAYS)
def visitor(request):
    """Return a visitor for each way to sign in by name and password."""
    return request.param()


@pytest.fixture(params=[ByDjango, ByCookies])
def any_visitor(request):
    """Return a visitor for each way to sign in by any credentials."""
    return request.param()


def change(**values):
    assert User.objects.update(**values) == 1


# --- sessions that store their backend


@pytest.mark.parametrize("backend", [Members, wrapped_members])
def test_request_user_is_the_object_that_get_user_returns(visitor, backend):
    with backends(backend, MODEL_BACKEND):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        assert (visitor.name, visitor.kind) == ("ada", "Member")


def test_request_is_anonymous_while_get_user_does_not_find_the_user(visitor):
    with backends(Members, MODEL_BACKEND):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        change(last_name="suspended")
        assert visitor.name is None
        change(last_name="")
        assert visitor.kind == "Member"


def test_session_hash_is_that_of_the_object_that_get_user_returns(visitor):
    with backends(Members, MODEL_BACKEND):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        change(first_name="Ada")
        assert visitor.name == "ada"
        change(email="new@site.example")
        assert visitor.name is None


def test_user_can_authenticate_of_the_backend_is_called_at_each_request(visitor):
    with backends(Staff):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        change(last_name="banned")
        assert visitor.name is None
        change(last_name="")
        assert visitor.name == "ada"


def test_only_the_backend_of_the_login_is_asked(visitor):
    with backends(Lenient, Staff, AllowAllUsersModelBackend):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        change(last_name="banned")
        assert visitor.name is None


@pytest.mark.parametrize("kind", [AllowAllUsersModelBackend, Staff], ids=["of Django", "of the project"])
def test_inactive_user_stays_signed_in_if_the_backend_allows_it(visitor, kind):
    with backends(kind):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        change(is_active=False)
        assert visitor.name == "ada"


def test_request_is_anonymous_while_the_backend_of_its_session_is_not_configured(visitor):
    with backends(Members, MODEL_BACKEND):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
    with backends(MODEL_BACKEND):
        assert visitor.name is None
    with backends(MODEL_BACKEND, Members):
        assert visitor.kind == "Member"


def test_attributes_that_get_user_adds_are_on_request_user(visitor):
    with backends(Directory):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        assert visitor.who()["directory"] == "cn=ada"


def test_social_login_backend_is_called_with_its_strategy(any_visitor, monkeypatch):
    monkeypatch.setattr(Social, "strategy", Strategy())
    with backends(Social, MODEL_BACKEND):
        assert any_visitor.log_in(token="ada") == 200
        assert any_visitor.name == "ada"
        monkeypatch.setattr(Strategy, "get_user", lambda self, user_id: None)
        assert any_visitor.name is None


@pytest.mark.parametrize(
    ("kind", "name_of_inactive"), [(RemoteUserBackend, None), (AllowAllUsersRemoteUserBackend, "ada")]
)
def test_remote_user_backends_decide_whether_inactive_users_stay_signed_in(any_visitor, kind, name_of_inactive):
    with backends(kind):
        assert any_visitor.log_in(remote_user="ada") == 200
        assert any_visitor.name == "ada"
        change(is_active=False)
        assert any_visitor.name == name_of_inactive


def by_django(client, user, *backend):
    client.force_login(user, *backend)


@pytest.mark.parametrize("sign_in", [by_django, force_login])
@pytest.mark.parametrize(
    ("kinds", "named", "model"),
    [
        ([Members, MODEL_BACKEND], [], Member),
        ([SignsInOnly, Members, MODEL_BACKEND], [], Member),
        ([MODEL_BACKEND, Members], [], User),
        ([MODEL_BACKEND, Members], [f"{__name__}.Members"], Member),
    ],
)
def test_force_login_uses_the_same_backend_as_django_s_force_login(sign_in, kinds, named, model):
    client = Visitor()
    with backends(*kinds):
        sign_in(client, model.objects.get(), *named)
        assert client.kind == model.__name__


# --- jwtauth alone, where Django's session login has no counterpart


@pytest.fixture(params=WAYS[1:])
def visitor_by_jwtauth(request):
    return request.param()


@pytest.mark.parametrize("url", ["/who/", "/who/api/", "/who/session/"])
def test_request_user_drf_s_user_and_session_user_are_the_backend_s_object(visitor_by_jwtauth, url):
    with backends(Members):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        assert visitor_by_jwtauth.who(url)["kind"] == "Member"
        assert visitor_by_jwtauth.who("/who/session/")["same"] is True


def test_refresh_calls_get_user_of_the_backend(clock):
    visitor, told = ByCookies(), []

    def receiver(user, **kwargs):
        told.append(user.__class__.__name__)

    session_refreshed.connect(receiver)
    try:
        with backends(Members):
            visitor.log_in(username="ada", password=PASSWORD)
            clock.advance(ACCESS_LIFETIME + 1)
            assert visitor.kind == "Member"
            assert told == ["Member"]
            clock.advance(ACCESS_LIFETIME + 1)
            change(last_name="suspended")
            assert visitor.name is None
            assert only_session().generation == 2
            change(last_name="")
            assert visitor.kind == "Member"
    finally:
        session_refreshed.disconnect(receiver)


@override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60})
def test_within_the_check_interval_a_loaded_user_is_the_backend_s_object(visitor_by_jwtauth, clock):
    with backends(Members):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        assert [visitor_by_jwtauth.kind, visitor_by_jwtauth.kind, visitor_by_jwtauth.who("/who/session/")["kind"]] == [
            "Member"
        ] * 3


def test_a_new_password_keeps_the_backend_of_the_session():
    visitor = ByCookies()
    with backends(Members, MODEL_BACKEND):
        visitor.log_in(username="ada", password=PASSWORD)
        before = only_session().pk
        assert visitor.post("/password/").status_code == 200
        assert visitor.kind == "Member"
    session = only_session()
    assert session.pk != before
    assert session.backend == f"{__name__}.Members"


@pytest.mark.parametrize("kind", [SignsInOnly, SignsInOnlyOfDjango])
def test_user_model_is_queried_if_the_backend_has_no_get_user(visitor_by_jwtauth, kind):
    with backends(kind):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        assert visitor_by_jwtauth.name == "ada"
        change(is_active=False)
        assert visitor_by_jwtauth.name is None


def test_inactive_user_is_anonymous_if_get_user_does_not_check_is_active(visitor_by_jwtauth):
    with backends(Directory):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        change(is_active=False)
        assert visitor_by_jwtauth.name is None


@pytest.mark.parametrize("error", [AttributeError("no strategy"), TypeError("1 argument")])
def test_request_is_anonymous_after_an_attribute_or_type_error_of_get_user_which_is_logged(
    visitor_by_jwtauth, caplog, monkeypatch, error
):
    with backends(Failing, MODEL_BACKEND):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        monkeypatch.setattr(Failing, "error", error)
        assert visitor_by_jwtauth.name is None
        (record,) = [record for record in caplog.records if record.name == "jwtauth"]
        assert record.levelno == logging.ERROR
        assert "Failing.get_user() failed" in record.getMessage()
        monkeypatch.setattr(Failing, "error", None)
        assert visitor_by_jwtauth.kind == "Member"


def test_request_is_anonymous_if_get_user_raises_does_not_exist(visitor_by_jwtauth, caplog, monkeypatch):
    with backends(Failing):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        monkeypatch.setattr(Failing, "error", User.DoesNotExist())
        assert visitor_by_jwtauth.name is None
    assert not [record for record in caplog.records if record.name == "jwtauth"]


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionError("no server")])
def test_other_errors_of_get_user_are_raised_and_end_no_session(visitor, monkeypatch, error):
    with backends(Failing):
        assert visitor.log_in(username="ada", password=PASSWORD) == 200
        monkeypatch.setattr(Failing, "error", error)
        assert visitor.get("/who/", headers=visitor.headers).status_code == 500
        monkeypatch.setattr(Failing, "error", None)
        assert visitor.kind == "Member"


def test_request_is_anonymous_if_get_user_returns_another_user(visitor_by_jwtauth, monkeypatch):
    other = User.objects.create_user("bob")
    with backends(Members):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        monkeypatch.setattr(Members, "get_user", lambda self, user_id: other)
        assert visitor_by_jwtauth.name is None


@pytest.mark.parametrize(("kinds", "count"), [([MODEL_BACKEND], 1), ([Staff], 1), ([Members], 2)])
def test_only_a_get_user_of_the_project_costs_another_query(visitor_by_jwtauth, statements, kinds, count):
    with backends(*kinds):
        assert visitor_by_jwtauth.log_in(username="ada", password=PASSWORD) == 200
        assert visitor_by_jwtauth.name == "ada"
        assert statements(visitor_by_jwtauth.who) == ["SELECT"] * count


# --- sessions without a stored backend: made by an older version, by a Rust service, or without authenticate()


@pytest.fixture
def visitor_without_backend():
    visitor = Visitor()
    assert visitor.post("/sign-in/without-backend/").status_code == 200
    Session.objects.update(backend="")
    return visitor


def test_backend_of_returns_configured_paths_only():
    user = User(username="ada")
    for value in ("", "other.Backend", 1, None, ModelBackend()):
        user.backend = value
        assert admission.backend_of(user) == ""
    user.backend = MODEL_BACKEND
    assert admission.backend_of(user) == MODEL_BACKEND


@pytest.mark.parametrize(
    "kinds",
    [[Members], [Permissions, Members], [Members, Directory], [Social, Members], [NeedsArguments, Members]],
    ids=lambda kinds: " ".join(kind.__name__ for kind in kinds),
)
def test_without_a_stored_backend_the_first_get_user_that_finds_the_user_is_used(kinds, ada):
    with backends(*kinds):
        assert admission.admit(ada, "").__class__ is Member


def test_without_a_stored_backend_the_next_is_asked_if_the_first_finds_no_user(visitor_without_backend):
    with backends(Members, Directory):
        change(email="")
        change(last_name="suspended")
        assert visitor_without_backend.who() == {"name": "ada", "kind": "User", "directory": "cn=ada"}
    with backends(Members):
        assert visitor_without_backend.name is None


def test_session_hash_is_checked_without_a_stored_backend(visitor_without_backend):
    with backends(Members):  # their session hash differs from the one that this session started with
        assert visitor_without_backend.name is None


@pytest.mark.parametrize("kinds", [[], [Permissions], [SignsInOnly], [Social, MODEL_BACKEND], [MODEL_BACKEND, Members]])
def test_without_a_stored_backend_the_user_is_an_instance_of_the_user_model(visitor_without_backend, kinds):
    with backends(*kinds):
        assert visitor_without_backend.kind == "User"


@pytest.mark.parametrize("kinds", [[], [MODEL_BACKEND], [Directory], [Staff], [Lenient]])
def test_inactive_user_is_anonymous_without_a_stored_backend(visitor_without_backend, kinds):
    with backends(*kinds):
        assert visitor_without_backend.name == "ada"
        change(is_active=False)
        assert visitor_without_backend.name is None


def test_without_a_stored_backend_one_user_can_authenticate_must_agree(visitor_without_backend):
    change(last_name="banned")
    with backends(Staff):
        assert visitor_without_backend.name is None
    with backends(Staff, Permissions):
        assert visitor_without_backend.name is None
    with backends(Staff, Lenient):
        assert visitor_without_backend.name == "ada"


def test_backend_that_cannot_be_instantiated_is_skipped_and_logged(visitor_without_backend, caplog):
    with backends(NeedsArguments, MODEL_BACKEND):
        assert visitor_without_backend.name == "ada"
    assert "NeedsArguments could not be instantiated" in caplog.text


def test_session_without_a_stored_backend_stays_valid(ada):
    with backends(MODEL_BACKEND):
        visitor = ByCookies()
        visitor.log_in(username="ada", password=PASSWORD)
        assert only_session().backend == MODEL_BACKEND
        Session.objects.update(backend="")
        assert visitor.name == "ada"
        assert get_user_model().objects.get() == ada


# --- credentials, as Django's login form passes them


class Asked(ModelBackend):
    """Record the calls of ``authenticate``, with the documented signature."""

    calls = []

    def authenticate(self, request, username=None, password=None):
        self.calls.append((request, username, password))
        return super().authenticate(request, username=username, password=password)


class Locking(BaseBackend):
    """Refuse locked names before other backends are asked, as django-axes does."""

    def authenticate(self, request, username=None, password=None, **credentials):
        if request is None:
            raise ValueError("needs the request")
        if username == "locked":
            raise PermissionDenied


class ByDjangosForm(Visitor):
    """Sign in by Django's own form: the control."""

    def log_in(self, **credentials):
        return self.post("/sign-in/form/", credentials).status_code


@pytest.fixture(params=[ByDjangosForm, ByLoginView, ByBearer])
def by_password(request):
    """Return a visitor for each way to submit a username and a password."""
    return request.param()


@pytest.fixture
def failures():
    """Record the signal ``user_login_failed``."""
    told = []

    def receiver(credentials, request, **kwargs):
        told.append((credentials, type(request)))

    user_login_failed.connect(receiver)
    yield told
    user_login_failed.disconnect(receiver)


def test_backends_receive_django_s_request_username_and_password(by_password, monkeypatch):
    monkeypatch.setattr(Asked, "calls", calls := [])
    with backends(Asked):
        assert by_password.log_in(username=" ada ", password=f" {PASSWORD}") in (200, 401)
        assert by_password.log_in(username="ada", password=PASSWORD) == 200
    assert [call[1:] for call in calls] == [("ada", f" {PASSWORD}"), ("ada", PASSWORD)]
    assert {type(call[0]) for call in calls} == {WSGIRequest}


NAMES = {
    "composed": ("amélie", "ame\N{COMBINING ACUTE ACCENT}lie"),
    "full width": ("ada1", "\N{FULLWIDTH LATIN SMALL LETTER A}da\N{SUPERSCRIPT ONE}"),
    "ligature": ("office", "o\N{LATIN SMALL LIGATURE FFI}ce"),
    "longer when it is composed": ("ff" * 75, "\N{LATIN SMALL LIGATURE FF}" * 75),
    "as long as the field": ("f" * 149 + "1", "f" * 149 + "\N{SUPERSCRIPT ONE}"),
}


@pytest.mark.parametrize(("stored", "typed"), NAMES.values(), ids=NAMES)
def test_usernames_are_normalised_at_login(by_password, stored, typed):
    assert stored != typed
    User.objects.create_user(stored, password=PASSWORD)
    assert by_password.log_in(username=typed, password=PASSWORD) == 200
    assert by_password.name == stored


def test_username_longer_than_the_field_is_not_normalised(by_password, monkeypatch):
    typed = "f" * 150 + "\N{SUPERSCRIPT ONE}"
    monkeypatch.setattr(Asked, "calls", calls := [])
    with backends(Asked):
        assert by_password.log_in(username=typed, password=PASSWORD) == 401
    assert [call[1] for call in calls] == [typed]


@pytest.mark.parametrize("backend", [MODEL_BACKEND, AllowAllUsersModelBackend, Directory])
def test_login_of_an_inactive_user_is_401(by_password, backend):
    change(is_active=False)
    with backends(backend):
        assert by_password.log_in(username="ada", password=PASSWORD) == 401
    assert by_password.name is None


def test_permission_denied_of_a_backend_ends_the_login_attempt(by_password, failures):
    User.objects.create_user("locked", password=PASSWORD)
    with backends(Locking, MODEL_BACKEND):
        assert by_password.log_in(username="locked", password=PASSWORD) == 401
        assert by_password.log_in(username="ada", password=PASSWORD) == 200
    assert failures == [({"username": "locked", "password": "*" * 20}, WSGIRequest)]


def test_failed_login_sends_user_login_failed_once(by_password, failures):
    assert by_password.log_in(username="ada", password="wrong") == 401
    assert failures == [({"username": "ada", "password": "*" * 20}, WSGIRequest)]


# --- login serializers of the project


class AnyUser(serializers.Serializer):
    """Find any user, without a password."""

    name = serializers.CharField()

    def validate(self, attrs):
        return {"user": User.objects.filter(username=attrs["name"]).first()}


class UserOfBackend(AnyUser):
    """Find any user, authenticated by a backend that admits inactive users."""

    def validate(self, attrs):
        (user,) = super().validate(attrs).values()
        user.backend = "django.contrib.auth.backends.AllowAllUsersModelBackend"
        return {"user": user}


class Visitors(AnyUser):
    def validate(self, attrs):
        return {"user": AnonymousUser()}


class Nothing(AnyUser):
    def validate(self, attrs):
        return {"remember": True}


class NoMapping(AnyUser):
    def validate(self, attrs):
        return [attrs["name"]]


def post(view, name="ada", **options):
    return Browser(**options).post(f"/auth/{view}/", {"name": name})


@contextmanager
def serializer(kind):
    with override_settings(JWTAUTH={"LOGIN_SERIALIZER": f"{__name__}.{kind.__name__}"}):
        yield


@pytest.fixture(params=["login", "token"])
def view(request):
    return request.param


def is_refused(response):
    return (response.status_code, response.json()["code"]) == (401, "no_active_account") and not response.cookies


@pytest.mark.parametrize("kind", [AnyUser, UserOfBackend])
@pytest.mark.parametrize("kinds", [[MODEL_BACKEND], [AllowAllUsersModelBackend], [Members, AllowAllUsersModelBackend]])
def test_inactive_user_of_any_login_serializer_is_401(view, kind, kinds):
    with backends(*kinds), serializer(kind):
        change(is_active=False)
        assert is_refused(post(view))
        assert not Session.objects.exists()
        change(is_active=True)
        assert post(view).status_code == 200


def test_user_of_a_login_serializer_whom_the_backends_refuse_is_401(view):
    change(last_name="banned")
    with backends(Staff), serializer(AnyUser):
        assert is_refused(post(view))


@pytest.mark.parametrize("kind", [AnyUser, Visitors])
def test_login_serializer_that_finds_no_user_is_401(view, kind):
    with serializer(kind):
        assert is_refused(post(view, "unknown"))


@pytest.mark.parametrize("kind", [Nothing, NoMapping])
def test_login_serializer_that_sets_no_user_is_improperly_configured(view, kind):
    client = Client()
    with serializer(kind), pytest.raises(ImproperlyConfigured, match=r'must set validated_data\["user"\]'):
        client.post(f"/auth/{view}/", {"name": "ada"})


# --- default managers and `from_db` of the user model


class Annotating(UserManager):
    def get_queryset(self):
        return super().get_queryset().annotate(greeting=Concat(Value("Hello "), "username"))


class Aliasing(UserManager):
    def get_queryset(self):
        return super().get_queryset().alias(low=Lower("username")).filter(low="ada").annotate(loud=Upper("low"))


class Counting(UserManager):
    def get_queryset(self):
        return super().get_queryset().annotate(count=Count("groups"))


class Deferring(UserManager):
    def get_queryset(self):
        return super().get_queryset().defer("last_name", "email")


class Only(UserManager):
    def get_queryset(self):
        return super().get_queryset().only("username", "password", "is_active")


class Prefetching(UserManager):
    def get_queryset(self):
        return super().get_queryset().prefetch_related("groups").distinct()


MANAGERS = {
    Annotating: {"greeting": "Hello ada"},
    Aliasing: {"loud": "ADA"},
    Counting: {"count": 2},
    Deferring: {},
    Only: {},
    Prefetching: {},
}


@pytest.mark.parametrize(("manager", "more"), MANAGERS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_user_is_loaded_as_the_default_manager_loads_it(visitor, ada, monkeypatch, manager, more):
    ada.groups.set([Group.objects.create(name=name) for name in ("red", "blue")])
    assert visitor.log_in(username="ada", password=PASSWORD) == 200
    assert type(visitor)().log_in(username="ada", password=PASSWORD) == 200  # a second session of the user
    default = manager()
    default.model, default.name = User, "objects"
    monkeypatch.setattr(User._meta, "default_manager", default)
    expected = User._default_manager.get(username="ada")
    assert visitor.who("/who/state/") == {
        "name": "ada",
        "deferred": sorted(expected.get_deferred_fields()),
        "prefetched": sorted(getattr(expected, "_prefetched_objects_cache", ())),
        "more": more,
        "database": "default",
        "adding": False,
    }


@pytest.mark.parametrize("manager", [UserManager, Annotating])
def test_user_is_built_by_from_db_of_the_user_model(visitor, monkeypatch, manager):
    def from_db(model, db, field_names, values, **kwargs):  # a fetch_mode since Django 6.1
        user = super(User, model).from_db(db, field_names, values, **kwargs)
        user.loaded = sorted(field_names) == sorted(field.attname for field in model._meta.concrete_fields)
        return user

    monkeypatch.setattr(User, "from_db", classmethod(from_db))
    default = manager()
    default.model, default.name = User, "objects"
    monkeypatch.setattr(User._meta, "default_manager", default)
    assert visitor.log_in(username="ada", password=PASSWORD) == 200
    assert visitor.who("/who/state/")["more"]["loaded"] is True


# --- a user model with another USERNAME_FIELD


def test_users_with_another_username_field_sign_in_as_with_django_s_form():
    command = [sys.executable, "-W", "error", "-m", "tests.project_of_emails"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers["backends"]) == 4
    for ways in answers["backends"].values():
        # The correct password, a username to normalise, a wrong password, an inactive user; a joined row.
        assert ways["django"] == [200, 200, 401, 401, "red", 1]
        assert ways["login"] == ways["token"] == ways["django"]
    assert answers["username"] == [400, ["email"]], "the API's field is named after USERNAME_FIELD"
