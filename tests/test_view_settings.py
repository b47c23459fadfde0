"""The views of `jwtauth.urls` in the URLs and under the settings of any project."""

import json

import pytest
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import Client, override_settings
from django.urls import include, path, re_path
from django.utils.html import escape
from rest_framework import versioning
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.filters import BaseFilterBackend, OrderingFilter, SearchFilter
from rest_framework.generics import GenericAPIView
from rest_framework.metadata import SimpleMetadata
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import CursorPagination, LimitOffsetPagination
from rest_framework.parsers import BaseParser, FileUploadParser, JSONParser, MultiPartParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.schemas.openapi import AutoSchema, SchemaGenerator
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView, exception_handler

from jwtauth.authentication import JWTAuthentication
from jwtauth.internal.flow import Flow
from jwtauth.middleware import JWTAuthMiddleware
from jwtauth.models import Session
from jwtauth.test import force_login
from tests.conftest import Browser

pytestmark = pytest.mark.django_db

ADA = {"username": "ada", "password": "old password"}
CROSS_SITE = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://elsewhere.example"}

auth_urls = include("jwtauth.urls")
urlpatterns = [
    path("auth/", auth_urls),
    path("api/<version>/auth/", auth_urls),
    path("<slug:tenant>/<lang>/auth/", auth_urls),
    re_path(r"^(\d+)/auth/", auth_urls),
    path("extra/auth/", auth_urls, {"tenant": "one", "pk": 1}),
    path("many/<pk>/<session>/<user>/<token>/auth/", auth_urls),
    path("suffix/<format>/auth/", auth_urls),
    path("space/auth/", include("jwtauth.urls", namespace="v2")),
]

# The status of each method for a signed-in user; other methods are 405.
ANSWERS = {
    "login/": {"POST": 200},
    "reauthenticate/": {"POST": 200},
    "logout/": {"POST": 204},
    "token/": {"POST": 200},
    "token/refresh/": {"POST": 400},
    "token/revoke/": {"POST": 400},
    "device/register/": {"POST": 403},
    "device/refresh/": {"POST": 200},
    "jwks.json": {"GET": 200, "HEAD": 200},
    "me/": {"GET": 200, "HEAD": 200},
    "sessions/": {"GET": 200, "HEAD": 200},
    "sessions/others/": {"POST": 200, "DELETE": 200},
    "sessions/{}/": {"GET": 200, "HEAD": 200, "DELETE": 204},
}


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def framework(settings):
    """Add settings to the project's ``REST_FRAMEWORK``."""

    def set_framework(**values):
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | values
        api_settings.reload()

    yield set_framework
    api_settings.reload()


# DRF's browsable API has no page for 204.
SHOWN = {url: {method: 200 if status == 204 else status for method, status in ANSWERS[url].items()} for url in ANSWERS}


@pytest.fixture
def asked(ada):
    """Return the status of each method at each view."""

    def ask(prefix, accept="application/json", others=()):
        found = {}
        for url, answers in ANSWERS.items():
            found[url] = {}
            for method in [*answers, *others]:
                browser = Browser()
                force_login(browser, ada)
                where = prefix + url.format(Session.objects.latest("pk").pk)
                body = {} if method in ("GET", "HEAD") else {"data": json.dumps(ADA)}
                kind = {"content_type": "application/json", "HTTP_ACCEPT": accept}
                found[url][method] = browser.generic(method, where, **body, **kind).status_code
                Session.objects.all().delete()
        return found

    return ask


# --- captured arguments


@pytest.mark.parametrize(
    "prefix",
    ["/auth/", "/api/v1/auth/", "/one/de/auth/", "/1/auth/", "/extra/auth/", "/many/1/2/3/4/auth/", "/space/auth/"],
)
def test_captured_url_arguments_are_ignored(asked, prefix):
    assert asked(prefix, others=["OPTIONS"]) == {url: answers | {"OPTIONS": 200} for url, answers in ANSWERS.items()}


@pytest.mark.parametrize("prefix", ["/auth/", "/api/v1/auth/", "/many/1/2/3/4/auth/"])
def test_captured_url_arguments_are_ignored_in_the_browsable_api(asked, prefix):
    assert asked(prefix, "text/html") == SHOWN


def test_captured_format_selects_the_renderer_as_in_drf(asked):
    assert asked("/suffix/json/auth/") == ANSWERS


@pytest.mark.parametrize(
    ("scheme", "prefix", "accept"),
    [
        (versioning.URLPathVersioning, "/api/v1/auth/", "application/json"),
        (versioning.NamespaceVersioning, "/space/auth/", "application/json"),
        (versioning.AcceptHeaderVersioning, "/auth/", "application/json; version=v1"),
        (versioning.QueryParameterVersioning, "/auth/", "application/json"),
    ],
)
def test_each_versioning_class_of_drf_works(asked, monkeypatch, scheme, prefix, accept):
    monkeypatch.setattr(APIView, "versioning_class", scheme)
    assert asked(prefix, accept) == ANSWERS


def test_unknown_api_version_is_404(monkeypatch, browser):
    scheme = type("Versioning", (versioning.URLPathVersioning,), {"allowed_versions": ["v1"]})
    monkeypatch.setattr(APIView, "versioning_class", scheme)
    assert browser.post("/api/v9/auth/login/", ADA, "application/json").status_code == 404


# --- exception handlers


class Frozen(dict):
    def __setitem__(self, name, value):
        raise TypeError("frozen")

    setdefault = update = __setitem__


def handler_of(answer):
    """Return an ``EXCEPTION_HANDLER`` that builds its response from DRF's."""

    def handler(exc, context):
        response = exception_handler(exc, context)
        return None if response is None else answer(response, context)

    return handler


def template(response, context):
    return TemplateResponse(context["request"], engines["django"].from_string("sorry"), status=response.status_code)


HANDLERS = {
    "JsonResponse": lambda response, context: JsonResponse({"error": 1}, status=response.status_code),
    "HttpResponse": lambda response, context: HttpResponse("sorry", status=response.status_code),
    "StreamingHttpResponse": lambda response, context: StreamingHttpResponse([b"x"], status=response.status_code),
    "TemplateResponse": template,
    "a list": lambda response, context: Response(["sorry"], response.status_code),
    "bytes": lambda response, context: Response(b"sorry", response.status_code),
    "a string": lambda response, context: Response("sorry", response.status_code),
    "nothing": lambda response, context: Response(None, response.status_code),
    "a frozen dict": lambda response, context: Response(Frozen(response.data), response.status_code),
    "an envelope": lambda response, context: Response({"errors": [response.data]}, response.status_code),
    "another detail": lambda response, context: Response({"detail": ["sorry"]}, response.status_code),
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", HANDLERS)
def test_exception_handlers_may_return_any_response(browser, ada, framework, settings, name, debug):
    settings.DEBUG = debug
    framework(EXCEPTION_HANDLER=handler_of(HANDLERS[name]))
    asked = {
        "me/": browser.get("/auth/me/"),
        "login/": browser.post("/auth/login/", ADA | {"password": "wrong"}),
        "token/": browser.post("/auth/token/", ADA, **CROSS_SITE),
        "token/refresh/": browser.post("/auth/token/refresh/", {"refresh": "nonsense"}),
        "jwks.json": browser.post("/auth/jwks.json"),
        "logout/": browser.post("/auth/logout/", HTTP_ACCEPT="text/html", **CROSS_SITE),
    }
    statuses = {url: response.status_code for url, response in asked.items()}
    assert statuses == {
        "me/": 403,
        "login/": 401,
        "token/": 403,
        "token/refresh/": 401,
        "jwks.json": 405,
        "logout/": 403,
    }
    assert not any(b'"code"' in response.getvalue() for response in asked.values() if name != "an envelope")


def test_exception_handler_that_extends_drf_s_response_keeps_the_code(browser, framework):
    def add_status(response, context):
        response.data["status_code"] = response.status_code
        return response

    framework(EXCEPTION_HANDLER=handler_of(add_status))
    answer = browser.get("/auth/me/").json()
    assert (answer["code"], answer["status_code"]) == ("not_authenticated", 403)


def test_code_set_by_an_exception_handler_is_kept(browser, framework):
    def own_code(response, context):
        response.data["code"] = 4711
        return response

    framework(EXCEPTION_HANDLER=handler_of(own_code))
    assert browser.get("/auth/me/").json()["code"] == 4711


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("headers", [{}, CROSS_SITE], ids=["refused by the view", "from elsewhere"])
def test_exception_handler_that_returns_none_leaves_the_exception_to_django(ada, framework, settings, headers, debug):
    settings.DEBUG = debug
    framework(EXCEPTION_HANDLER=lambda exc, context: None)
    with pytest.raises(APIException):
        Client(enforce_csrf_checks=True).post("/auth/login/", ADA | {"password": "wrong"}, **headers)


@pytest.mark.parametrize("name", HANDLERS)
def test_exception_handler_may_return_any_response_to_a_late_upload(browser, rf, framework, name):
    """Verify that the middleware adds the reason to DRF's own response only."""
    data = HANDLERS[name](
        Response({"detail": ErrorDetail("sorry", "not_authenticated")}, 403), {"request": rf.get("/")}
    )
    request = rf.get("/")
    Flow.attach(request).refusal = "late_upload"
    before = getattr(data, "data", None)
    response = JWTAuthMiddleware(lambda request: data).process_template_response(request, data)
    assert getattr(response, "data", None) == before


# --- classes of the project


class EnvelopeRenderer(JSONRenderer):
    """Render in the project's format: `{"data": ..., "isError": ...}`."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        failed = renderer_context["response"].exception
        return super().render({"data": data, "isError": failed}, accepted_media_type, renderer_context)


class XMLRenderer(BaseRenderer):
    media_type, format = "application/xml", "xml"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return f"<answer>{escape(str(data))}</answer>"


class PlainTextParser(BaseParser):
    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        return stream.read().decode()


class NothingParser(PlainTextParser):
    def parse(self, stream, media_type=None, parser_context=None):
        return None


class PatientThrottle(BaseThrottle):
    """Throttle without scope, rate and waiting time."""

    def allow_request(self, request, view):
        return request.method != "POST" or "HTTP_X_OFTEN" not in request.META


class OwnerFilter(BaseFilterBackend):
    def filter_queryset(self, request, queryset, view):
        return queryset.filter(owner=request.user)


class FirstRenderer(BaseContentNegotiation):
    def select_parser(self, request, parsers):
        return parsers[0]

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class Deny(BasePermission):
    def has_permission(self, request, view):
        return False


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (APIView, "renderer_classes", [EnvelopeRenderer]),
        (APIView, "renderer_classes", [XMLRenderer, JSONRenderer]),
        (APIView, "renderer_classes", [BrowsableAPIRenderer, JSONRenderer]),
        (APIView, "parser_classes", [JSONParser]),
        (APIView, "throttle_classes", [PatientThrottle]),
        (APIView, "permission_classes", [Deny]),
        (APIView, "content_negotiation_class", FirstRenderer),
        (GenericAPIView, "filter_backends", [OwnerFilter, SearchFilter, OrderingFilter]),
        (GenericAPIView, "pagination_class", LimitOffsetPagination),
        (GenericAPIView, "pagination_class", CursorPagination),
        (APIView, "schema", None),
    ],
)
def test_views_work_with_default_classes_of_the_project(asked, monkeypatch, owner, name, value):
    monkeypatch.setattr(owner, name, value)
    assert asked("/auth/") == ANSWERS


@pytest.mark.parametrize(("metadata", "status"), [(SimpleMetadata, 200), (None, 405)])
def test_options_response_uses_the_metadata_class_of_the_project(asked, monkeypatch, metadata, status):
    monkeypatch.setattr(APIView, "metadata_class", metadata)
    assert asked("/auth/", others=["OPTIONS"]) == {
        url: answers | {"OPTIONS": status} for url, answers in ANSWERS.items()
    }


def test_methods_that_a_view_does_not_handle_are_405(asked):
    others = ["TRACE", "PUT", "PATCH"]
    expected = {url: answers | dict.fromkeys(others, 405) for url, answers in ANSWERS.items()}
    assert asked("/one/de/auth/", others=others) == expected


@pytest.mark.parametrize("parser", [MultiPartParser, PlainTextParser, NothingParser, FileUploadParser])
@pytest.mark.parametrize("url", ["login/", "token/", "token/refresh/", "token/revoke/", "logout/"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_request_body_may_be_read_by_any_parser(browser, ada, monkeypatch, parser, url, kind):
    monkeypatch.setattr(APIView, "parser_classes", [parser])
    status = browser.generic("POST", f"/auth/{url}", '{"username": "ada"}', content_type=kind).status_code
    assert status in ((204,) if url == "logout/" else (400, 415))


def test_login_works_with_a_form_parser_only(browser, ada, monkeypatch):
    monkeypatch.setattr(APIView, "parser_classes", [MultiPartParser])
    assert browser.post("/auth/login/", ADA).status_code == 200
    assert browser.who("/auth/me/") == {"id": ada.pk, "username": "ada"}


def test_throttle_of_the_project_applies_to_the_views(browser, db, monkeypatch):
    monkeypatch.setattr(APIView, "throttle_classes", [PatientThrottle])
    response = browser.post("/auth/token/refresh/", {"refresh": "x"}, HTTP_X_OFTEN="1")
    assert (response.status_code, response.json()["code"]) == (429, "throttled")


@pytest.mark.parametrize(
    "values",
    [
        {"UNAUTHENTICATED_USER": None, "UNAUTHENTICATED_TOKEN": None},
        {"DEFAULT_THROTTLE_RATES": None},
        {"DEFAULT_THROTTLE_RATES": {}},
        {"NON_FIELD_ERRORS_KEY": "detail"},
        {"NON_FIELD_ERRORS_KEY": "code", "SEARCH_PARAM": "page", "ORDERING_PARAM": "page", "PAGE_SIZE": 1},
        {"DATETIME_FORMAT": None},
        {"DATETIME_FORMAT": "%s"},
        {"FORMAT_SUFFIX_KWARG": None},
        {"URL_FORMAT_OVERRIDE": "page"},
        {"UNICODE_JSON": False, "COMPACT_JSON": False, "STRICT_JSON": False},
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_views_work_with_other_rest_framework_settings(asked, framework, values, accept):
    framework(**values)
    assert asked("/auth/", accept) == (ANSWERS if accept == "application/json" else SHOWN)


@pytest.mark.parametrize("search", ["ordering=device", "ordering=-is_current", "search=x", "limit=x&offset=-1"])
def test_default_filter_backends_do_not_filter_sessions(browser, ada, monkeypatch, search):
    monkeypatch.setattr(GenericAPIView, "filter_backends", [SearchFilter, OrderingFilter])
    force_login(browser, ada)
    assert len(browser.get(f"/auth/sessions/?{search}").json()) == 1


@override_settings(JWTAUTH={"USER_SERIALIZER": "tests.test_view_settings.NosySerializer"})
def test_user_serializer_receives_the_request(browser, ada):
    expected = {"asked_by": "ada", "view": "LoginView"}
    assert browser.post("/auth/login/", ADA).json()["user"] == expected
    assert browser.get("/auth/me/").json()["user"] == expected | {"view": "MeView"}


class NosySerializer(BaseSerializer):
    def to_representation(self, instance):
        return {"asked_by": str(self.context["request"].user), "view": type(self.context["view"]).__name__}


@pytest.mark.filterwarnings("ignore:You have a duplicated operationId:UserWarning")  # of two views with one serializer
@pytest.mark.parametrize("at", [0, 1])
def test_schema_of_drf_describes_the_views(monkeypatch, at):
    monkeypatch.setattr(APIView, "schema", AutoSchema())
    pattern = urlpatterns[at]
    schema = SchemaGenerator(title="Site", patterns=[pattern]).get_schema()
    prefix = ["/auth/", "/api/{version}/auth/"][at]
    assert {path.removeprefix(prefix) for path in schema["paths"]} == {url.format("{id}") for url in ANSWERS}


# --- with DRF's SessionAuthentication, in a view of the project


class Both(APIView):
    authentication_classes = (JWTAuthentication, SessionAuthentication)

    def post(self, request):
        return Response(f"{request.user} {type(request.auth).__name__}")


urlpatterns.append(path("both/", Both.as_view()))


def test_session_authentication_may_be_listed_after_jwt_authentication(browser, ada):
    force_login(browser, ada)
    assert browser.post("/both/").json() == "ada Claims"
    by_session = Client()
    by_session.force_login(ada)
    assert by_session.post("/both/").json() == "ada NoneType"
