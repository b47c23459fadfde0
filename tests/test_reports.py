"""Django's error reports: they show no password and no token, at any failure in a view that handles them."""

import json
import logging
from urllib.parse import urlencode

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_logged_in
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import include, path
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter, get_default_exception_reporter_filter
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from jwtauth.internal import tokens
from jwtauth.internal.reports import hide_secrets
from jwtauth.models import Session, SessionQuerySet
from jwtauth.serializers import LoginSerializer, RefreshSerializer, RevokeSerializer
from tests.conftest import ACCESS_LIFETIME, Browser
from tests.test_dpop import Client

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
BODIES = {
    "application/json": json.dumps,
    "application/x-www-form-urlencoded": urlencode,
    MULTIPART_CONTENT: lambda data: encode_multipart(BOUNDARY, data),
}


def fail(*args, **kwargs):
    raise RuntimeError("it failed")


class FailingBackend(ModelBackend):
    def authenticate(self, request, username=None, password=None, **kwargs):
        copied = {"of the backend": password}
        fail(copied)


class FailingSerializer(LoginSerializer):
    def validate(self, attrs):
        copied = list(super().validate(attrs).values())
        fail(copied)


class FailingUserSerializer(BaseSerializer):
    def to_representation(self, instance):
        fail()


class FailingRenderer(JSONRenderer):
    def render(self, data, *args):
        copied = str(data)
        fail(copied)


class OwnFilter(SafeExceptionReporterFilter):
    """Hide other cookies too, and substitute hidden values by another text, as a project's filter may."""

    cleansed_substitute = "(hidden by the project)"


def failing_view(request):
    hide_secrets(request)
    form = dict(request.POST)
    return HttpResponse(form["nothing"])


class OwnView(APIView):
    """Sign in with a project's own view."""

    def post(self, request):
        serializer = OwnSerializer(data=request.data, context={"request": request})
        serializer.is_valid()


class OwnSerializer(LoginSerializer):
    def validate(self, attrs):
        fail()


urlpatterns = [path("own/", OwnView.as_view()), path("auth/", include("jwtauth.urls")), path("failing/", failing_view)]


@pytest.fixture(autouse=True)
def _site(settings, db, django_user_model):
    settings.ROOT_URLCONF = __name__
    django_user_model.objects.create_user("ada", password=PASSWORD)


class Reporter(logging.Handler):
    """Create the reports that Django's ``AdminEmailHandler`` sends, as text and as HTML."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        reporter = ExceptionReporter(record.request, *record.exc_info, is_email=True)
        self.found += [reporter.get_traceback_text(), reporter.get_traceback_html()]


@pytest.fixture
def reports():
    reporter, logger = Reporter(), logging.getLogger("django.request")
    logger.addHandler(reporter)
    yield reporter.found
    logger.removeHandler(reporter)


@pytest.fixture
def made(monkeypatch):
    """Record the tokens that the views issue."""
    found, pair = [], tokens.pair

    def kept(*args):
        found.append(pair(*args))
        return found[-1]

    monkeypatch.setattr(tokens, "pair", kept)
    return found


def post(url, data, kind="application/json"):
    browser = Browser()
    status = browser.generic("POST", f"/auth/{url}", BODIES[kind](data), kind).status_code
    return status, browser


def secrets_of(found, **others):
    secrets = [PASSWORD, *others.values(), *(pair[name] for pair in found for name in ("access", "refresh"))]
    return [*secrets, *(secret.rsplit(".", 1)[-1] for secret in secrets)]


def shown(texts, secrets):
    assert {text.lstrip().lower().startswith("<!doctype html>") for text in texts} == {False, True}
    assert all("RuntimeError" in text and "it failed" in text for text in texts)
    return [secret for secret in secrets for text in texts if secret in text]


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("url", ["login/", "token/"])
@pytest.mark.parametrize("what", ["backend", "serializer", "receiver", "claims", "database", "renderer"])
def test_error_report_of_a_login_does_not_show_the_password(settings, monkeypatch, reports, made, url, what, kind):
    if what == "backend":
        settings.AUTHENTICATION_BACKENDS = ["tests.test_reports.FailingBackend"]
    elif what == "serializer":
        settings.JWTAUTH = {"LOGIN_SERIALIZER": "tests.test_reports.FailingSerializer"}
    elif what == "receiver":
        user_logged_in.connect(fail)
    elif what == "claims":
        settings.JWTAUTH = {"ACCESS_TOKEN_CLAIMS": fail}
    elif what == "database":
        monkeypatch.setattr(Session, "save", fail)
    else:
        monkeypatch.setattr(APIView, "renderer_classes", [FailingRenderer])
    try:
        status, browser = post(url, {"username": "ada", "password": PASSWORD}, kind)
    finally:
        user_logged_in.disconnect(fail)
    assert status == 500
    assert not shown(reports, secrets_of(made, **browser.tokens()))


def test_error_report_of_a_project_s_login_view_does_not_show_credentials(reports):
    body = json.dumps({"username": "ada", "password": PASSWORD})
    assert Browser().generic("POST", "/own/", body, "application/json").status_code == 500
    assert not shown(reports, [PASSWORD])


@pytest.mark.parametrize("kind", [LoginSerializer, RefreshSerializer, RevokeSerializer])
def test_repr_of_a_serializer_shows_no_data(kind):
    assert repr(kind(data={"password": PASSWORD, "refresh": PASSWORD, "token": PASSWORD})) == f"<{kind.__name__}>"


@pytest.fixture
def pair(made):
    assert post("token/", {"username": "ada", "password": PASSWORD})[0] == 200
    return made[0]


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("what", ["claims", "database", "renderer"])
def test_error_report_of_a_refresh_shows_no_token(settings, monkeypatch, reports, made, pair, clock, what, kind):
    clock.advance(ACCESS_LIFETIME + 60)
    if what == "claims":
        settings.JWTAUTH = {"ACCESS_TOKEN_CLAIMS": fail}
    elif what == "database":
        monkeypatch.setattr(SessionQuerySet, "update", fail)
    else:
        monkeypatch.setattr(APIView, "renderer_classes", [FailingRenderer])
    assert post("token/refresh/", {"refresh": pair["refresh"]}, kind)[0] == 500
    assert not shown(reports, secrets_of(made))


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("which", ["access", "refresh"])
def test_error_report_of_a_revocation_does_not_show_the_token(monkeypatch, reports, made, pair, kind, which):
    monkeypatch.setattr(SessionQuerySet, "end", fail)
    assert post("token/revoke/", {"token": pair[which]}, kind)[0] == 500
    assert not shown(reports, secrets_of(made))


def test_error_report_shows_no_token_of_cookies_and_headers(settings, reports, made, pair):
    settings.JWTAUTH = {"USER_SERIALIZER": "tests.test_reports.FailingUserSerializer"}
    browser = Browser()
    browser.post("/auth/login/", {"username": "ada", "password": PASSWORD})
    reports.clear()
    assert browser.get("/auth/me/").status_code == 500
    assert not shown(reports, secrets_of(made, **browser.tokens()))
    reports.clear()
    assert Browser().get("/auth/me/", HTTP_AUTHORIZATION=f"Bearer {pair['access']}").status_code == 500
    assert not shown(reports, secrets_of(made))


def test_error_report_of_a_login_does_not_show_the_proof(settings, reports, clock):
    client = Client(clock)
    client.send("POST", "/auth/token/")
    settings.AUTHENTICATION_BACKENDS = ["tests.test_reports.FailingBackend"]
    proof = client.proof("POST", "/auth/token/")
    response = client.send("POST", "/auth/token/", {"username": "ada", "password": PASSWORD}, proof=proof)
    assert response.status_code == 500
    assert not shown(reports, secrets_of([], proof=proof))


def test_error_report_of_a_refresh_before_the_view_does_not_show_the_form(monkeypatch, reports, clock):
    browser = Browser()
    assert browser.post("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code == 200
    clock.advance(ACCESS_LIFETIME + 60)
    monkeypatch.setattr(SessionQuerySet, "update", fail)
    assert browser.post("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code == 500
    assert not shown(reports, secrets_of([], **browser.tokens()))


def test_exception_filter_of_the_project_is_used_too(settings, reports):
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = "tests.test_reports.OwnFilter"
    get_default_exception_reporter_filter.cache_clear()
    try:
        Browser().post("/failing/", {"word": PASSWORD})
    finally:
        get_default_exception_reporter_filter.cache_clear()
    assert all("(hidden by the project)" in text and PASSWORD not in text for text in reports)


def test_error_report_shows_everything_with_debug(settings):
    settings.DEBUG = True
    request = RequestFactory().post("/failing/", {"word": PASSWORD})
    try:
        failing_view(request)
    except KeyError as error:
        page = ExceptionReporter(request, KeyError, error, error.__traceback__).get_traceback_html()
    assert PASSWORD in page
