"""The OpenAPI schema that drf-spectacular generates for the views, and the demo site's, checked by requests."""

import re

import pytest
import requests
import schemathesis
from django.conf import settings as project
from django.test import override_settings
from django.urls import include, path
from django.utils import translation
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.serializers import Serializer
from schemathesis import GenerationMode

from jwtauth import views
from tests.waiting import PATIENCE

AUTH_URLS = [path("auth/", include("jwtauth.urls"))]
ANSWERS = {
    ("POST", "/auth/login/"): [200, 400, 401, 403, 429, 503],
    ("POST", "/auth/reauthenticate/"): [200, 400, 401, 403, 429, 503],
    ("POST", "/auth/logout/"): [204, 401, 403, 503],
    ("POST", "/auth/token/"): [200, 400, 401, 403, 429, 503],
    ("POST", "/auth/token/refresh/"): [200, 400, 401, 403, 503],
    ("POST", "/auth/token/revoke/"): [200, 400, 401, 403, 503],
    ("POST", "/auth/device/register/"): [200, 401, 403, 503],
    ("POST", "/auth/device/refresh/"): [200, 401, 403, 503],
    ("GET", "/auth/jwks.json"): [200, 401, 403, 503],
    ("GET", "/auth/me/"): [200, 401, 403, 503],
    ("GET", "/auth/sessions/"): [200, 401, 403, 404, 503],
    ("GET", "/auth/sessions/{id}/"): [200, 401, 403, 404, 503],
    ("DELETE", "/auth/sessions/{id}/"): [204, 401, 403, 404, 503],
    ("POST", "/auth/sessions/others/"): [200, 401, 403, 503],
    ("DELETE", "/auth/sessions/others/"): [200, 401, 403, 503],
}
OF_THE_DEMO = [*ANSWERS, ("GET", "/api/ping/"), ("GET", "/api/log/")]


def generated(patterns=AUTH_URLS):
    """Return the schema, which must be valid and generated without a warning."""
    GENERATOR_STATS.reset()
    schema = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    validate_schema(schema)
    return schema


def operations(schema):
    return {
        (method.upper(), path): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_schema_has_every_view_with_its_responses():
    found = operations(generated())
    assert {key: [int(status) for status in operation["responses"]] for key, operation in found.items()} == ANSWERS


@pytest.mark.parametrize("url", ["auth/", ".well-known/", "api/v1.0/"])
@pytest.mark.parametrize("position", ["PRE", "POST"])
def test_operation_ids_are_identifiers_in_any_prefix(url, position):
    others = path("others/", views.MeView.as_view())  # a second path, so that the schema keeps the prefix
    with patched_settings({"OPERATION_ID_METHOD_POSITION": position}):
        found = operations(generated([path(url, include("jwtauth.urls")), others]))
    names = [operation["operationId"] for operation in found.values()]
    assert [name for name in names if not name.isidentifier()] == []
    assert len(set(names)) == len(names)


def test_schema_class_of_a_project_keeps_its_operation_ids():
    class Dotted(AutoSchema):
        def get_operation_id(self):
            return f"site.{self.method.lower()}.{self.path}"

    with override_settings(REST_FRAMEWORK=project.REST_FRAMEWORK | {"DEFAULT_SCHEMA_CLASS": Dotted}):
        found = operations(generated())
    assert found["GET", "/auth/jwks.json"]["operationId"] == "site.get./auth/jwks.json"


def test_subclass_of_a_view_keeps_the_operation_id_that_it_sets():
    class Keys(views.JwkSetView):
        @extend_schema(operation_id="site.keys.json")
        def get(self, request):
            return super().get(request)

    (operation,) = operations(generated([path("keys.json", Keys.as_view())])).values()
    assert operation["operationId"] == "site.keys.json"


@override_settings(JWTAUTH={"ACCESS_TOKEN_COOKIE_NAME": "mine"})
def test_schema_lists_each_way_to_authenticate():
    schema = generated()
    assert schema["components"]["securitySchemes"] == {
        "jwtauthCookie": {"type": "apiKey", "in": "cookie", "name": "mine"},
        "jwtauthBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "jwtauthDPoP": {
            "type": "http",
            "scheme": "DPoP",
            "description": "With a proof of the key to which the token is bound, in the header `DPoP` (RFC 9449).",
        },
    }
    either = [{"jwtauthCookie": []}, {"jwtauthBearer": []}, {"jwtauthDPoP": []}]
    security = {key: operation["security"] for key, operation in operations(schema).items()}
    assert security["GET", "/auth/me/"] == either
    assert security["POST", "/auth/logout/"] == [*either, {}]
    assert security["POST", "/auth/login/"] == [{}]


@override_settings(JWTAUTH={"BEARER_TOKENS": False})
def test_schema_omits_tokens_in_authorization_if_they_are_disabled():
    schema = generated()
    assert list(schema["components"]["securitySchemes"]) == ["jwtauthCookie"]
    assert operations(schema)["GET", "/auth/me/"]["security"] == [{"jwtauthCookie": []}]


def test_component_names_do_not_collide_with_a_project_s():
    assert set(generated()["components"]["schemas"]) == {
        "JwtauthEnded",
        "JwtauthError",
        "JwtauthLogin",
        "JwtauthMe",
        "JwtauthMeOrTokenPair",
        "JwtauthReauthenticate",
        "JwtauthRefresh",
        "JwtauthRevoke",
        "JwtauthSession",
        "JwtauthTokenPair",
        "JwtauthUser",
    }


@override_settings(
    JWTAUTH={
        "LOGIN_SERIALIZER": "tests.serializers.PinSerializer",
        "USER_SERIALIZER": "tests.serializers.EmailSerializer",
    }
)
def test_schema_describes_serializers_of_the_project():
    schemas = generated()["components"]["schemas"]
    assert list(schemas["Pin"]["properties"]) == ["pin"]
    assert schemas["JwtauthMe"]["properties"]["user"] == {"$ref": "#/components/schemas/Email"}


def test_schema_descriptions_are_translated(monkeypatch):
    catalogue = translation.trans_real.translation("de")
    german = {
        "List the current user's sessions, most recently seen first.": "Sitzungen",
        "`not_found`: there is no such page.": "Keine solche Seite",
        "Page number, from 1. A page holds 100 sessions.": "Seite",
        "Number of sessions that were ended.": "Anzahl",
    }
    monkeypatch.setattr(catalogue, "_catalog", {**dict(catalogue._catalog.items()), **german})
    with translation.override("de"):
        schema = generated()
    listed = operations(schema)["GET", "/auth/sessions/"]
    assert listed["description"] == "Sitzungen"
    assert listed["responses"]["404"]["description"] == "Keine solche Seite"
    assert listed["parameters"][0]["description"] == "Seite"
    assert schema["components"]["schemas"]["JwtauthEnded"]["properties"]["ended"]["description"] == "Anzahl"


def test_schema_describes_a_subclass_as_its_view():
    class Here(views.LogoutView):
        serializer_class = Serializer

    found = operations(generated([path("out/", Here.as_view())]))
    assert list(found["POST", "/out/"]["responses"]) == ["204", "401", "403", "503"]


def test_schema_describes_pagination_of_sessions():
    listed = operations(generated())["GET", "/auth/sessions/"]
    assert [parameter["name"] for parameter in listed["parameters"]] == ["page"]
    answer = listed["responses"]["200"]
    assert list(answer["headers"]) == ["Link"]
    assert answer["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/JwtauthSession"},
    }


@pytest.mark.parametrize(
    ("pagination", "parameters", "kind"),
    [
        (None, [], "array"),
        (LimitOffsetPagination, ["limit", "offset"], "object"),
        (views.SessionPagination, ["page"], "array"),
    ],
)
def test_schema_describes_another_pagination_class(pagination, parameters, kind):
    class Here(views.SessionListView):
        pagination_class = pagination

    schema = generated([path("mine/", Here.as_view())])
    listed = operations(schema)["GET", "/mine/"]
    assert [parameter["name"] for parameter in listed.get("parameters", [])] == parameters
    answer = listed["responses"]["200"]["content"]["application/json"]["schema"]
    if "$ref" in answer:
        answer = schema["components"]["schemas"][answer["$ref"].rsplit("/", 1)[1]]
    assert answer["type"] == kind


def test_schema_describes_views_below_a_captured_prefix():
    found = operations(generated([path("<slug:tenant>/auth/", include("jwtauth.urls"))]))
    assert len(found) == len(ANSWERS)


# --- the demo site


LOGOUT = "/auth/logout/"


def bearer_of_a_new_user(url):
    """Return the token of a user who signs in with the form of the demo site."""
    with requests.Session() as browser:
        csrf = re.search('name="csrfmiddlewaretoken" value="(.+?)"', browser.get(f"{url}/sign-in/").text)[1]
        form = {"username": "ada", "password": "ada-demo-pass", "csrfmiddlewaretoken": csrf}
        assert browser.post(f"{url}/sign-in/", form).status_code == 200
        return browser.cookies["access_token"]


@pytest.fixture(scope="session")
def demo_schema(demo):
    answer = requests.get(f"{demo.url}/schema/?format=json")
    validate_schema(answer.json())
    schema = schemathesis.openapi.from_dict(answer.json())
    schema.config.update(base_url=demo.url, request_timeout=PATIENCE)

    class Bearer:
        def get(self, case, context):
            return bearer_of_a_new_user(demo.url)

        def set(self, case, token, context):
            case.headers["Authorization"] = f"Bearer {token}"

    schema.auth(refresh_interval=10).skip_for(path=LOGOUT)(Bearer)  # the demo's tokens live for 20 seconds
    schema.auth(refresh_interval=None).apply_to(path=LOGOUT)(Bearer)
    return schema


def test_every_operation_of_the_demo_is_fuzzed(demo_schema):
    assert {(found.ok().method.upper(), found.ok().path) for found in demo_schema.get_all_operations()} == set(
        OF_THE_DEMO
    )


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "url"), OF_THE_DEMO)
def test_the_demo_answers_as_its_schema_says(demo_schema, method, url, mode):
    operation = demo_schema[url][method]

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode, auth_storage=demo_schema.auth))
    def answers(case):
        if mode is GenerationMode.POSITIVE:
            case.headers.pop("DPoP", None)  # no text that a schema describes is a valid proof
        case.call_and_validate()

    try:
        answers()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "no request to it can be invalid"
