"""The views of `jwtauth.urls` in the URLs and under the settings of any project."""

import pytest
from django.urls import include, path, re_path
from rest_framework import versioning
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from jwtauth.models import Session
from jwtauth.test import force_login
from tests.conftest import Browser

pytestmark = pytest.mark.django_db

ADA = {"username": "ada", "password": "old password"}

ours = include("jwtauth.urls")
urlpatterns = [
    path("auth/", ours),
    path("api/<version>/auth/", ours),
    path("<slug:tenant>/<lang>/auth/", ours),
    re_path(r"^(\d+)/auth/", ours),
    path("extra/auth/", ours, {"tenant": "one", "pk": 1}),
    path("ours/<pk>/<session>/<user>/<token>/auth/", ours),
    path("suffix/<format>/auth/", ours),
    path("space/auth/", include("jwtauth.urls", namespace="v2")),
]

# What a signed-in user's request is answered with; other methods are 405.
ANSWERS = {
    "login/": {"POST": 200},
    "logout/": {"POST": 204},
    "token/": {"POST": 200},
    "token/refresh/": {"POST": 400},
    "token/revoke/": {"POST": 400},
    "jwks.json": {"GET": 200, "HEAD": 200},
    "me/": {"GET": 200, "HEAD": 200},
    "sessions/": {"GET": 200, "HEAD": 200},
    "sessions/others/": {"POST": 200, "DELETE": 200},
    "sessions/{}/": {"GET": 200, "HEAD": 200, "DELETE": 204},
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def framework(settings):
    """Adds to the project's ``REST_FRAMEWORK``."""

    def set_framework(**values):
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | values
        api_settings.reload()

    yield set_framework
    api_settings.reload()


@pytest.fixture
def asked(ada):
    """The status of each method at each view."""

    def ask(prefix, accept="application/json"):
        found = {}
        for url in ANSWERS:
            found[url] = {}
            for method in METHODS:
                browser = Browser()
                force_login(browser, ada)
                where = prefix + url.format(Session.objects.latest("pk").pk)
                headers = {"HTTP_ACCEPT": accept}
                response = browser.generic(
                    method,
                    where,
                    '{"username": "ada", "password": "old password"}',
                    content_type="application/json",
                    **headers,
                )
                found[url][method] = response.status_code
                Session.objects.all().delete()
        return found

    return ask


EXPECTED = {
    url: {method: 200 if method == "OPTIONS" else answers.get(method, 405) for method in METHODS}
    for url, answers in ANSWERS.items()
}


# --- captured arguments


@pytest.mark.parametrize(
    "prefix",
    ["/auth/", "/api/v1/auth/", "/one/de/auth/", "/1/auth/", "/extra/auth/", "/ours/1/2/3/4/auth/", "/space/auth/"],
)
def test_captured_arguments_are_ignored(asked, prefix):
    assert asked(prefix) == EXPECTED


@pytest.mark.parametrize("prefix", ["/auth/", "/api/v1/auth/", "/ours/1/2/3/4/auth/"])
def test_captured_arguments_are_ignored_in_the_browsable_api(asked, prefix):
    shown = {
        url: {method: 200 if status == 204 else status for method, status in answers.items()}
        for url, answers in EXPECTED.items()
    }  # DRF has no page for 204
    assert asked(prefix, "text/html") == shown


def test_a_captured_format_is_drf_s_suffix(asked):
    assert asked("/suffix/json/auth/") == EXPECTED


@pytest.mark.parametrize(
    ("scheme", "prefix", "accept"),
    [
        (versioning.URLPathVersioning, "/api/v1/auth/", "application/json"),
        (versioning.NamespaceVersioning, "/space/auth/", "application/json"),
        (versioning.AcceptHeaderVersioning, "/auth/", "application/json; version=v1"),
        (versioning.QueryParameterVersioning, "/auth/", "application/json"),
    ],
)
def test_each_versioning_of_drf_works(asked, monkeypatch, scheme, prefix, accept):
    monkeypatch.setattr(APIView, "versioning_class", scheme)
    assert asked(prefix, accept) == EXPECTED


def test_an_unknown_version_is_404(monkeypatch, browser):
    scheme = type("Versioning", (versioning.URLPathVersioning,), {"allowed_versions": ["v1"]})
    monkeypatch.setattr(APIView, "versioning_class", scheme)
    assert browser.post("/api/v9/auth/login/", ADA, "application/json").status_code == 404
