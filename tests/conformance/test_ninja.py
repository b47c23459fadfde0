"""What only django-ninja has: several authentication classes, handlers of exceptions, and OpenAPI."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.http import JsonResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from ninja import NinjaAPI
from ninja.errors import AuthenticationError
from ninja.security import APIKeyHeader, HttpBearer, django_auth

from jwtauth import alogin, login
from jwtauth.contrib.ninja import JwtAuth
from jwtauth.models import Session
from jwtauth.test import force_login
from tests.conftest import ACCESS_LIFETIME, only_session

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

NO_CREDENTIALS = {"detail": "Authentication credentials were not provided.", "code": "not_authenticated"}
LATE_UPLOAD = {
    "detail": "The tokens of this request have been replaced. Send an ordinary request, then try again.",
    "code": "late_upload",
}


class ApiKey(APIKeyHeader):
    param_name = "X-Key"

    def authenticate(self, request, key):
        return "machine" if key == "secret" else None


class OpaqueBearer(HttpBearer):
    def authenticate(self, request, token):
        return "machine" if token == "opaque" else None


alone = NinjaAPI(auth=JwtAuth(), urls_namespace="alone")
several = NinjaAPI(auth=[JwtAuth(), ApiKey(), OpaqueBearer()], urls_namespace="several")
handled = NinjaAPI(auth=JwtAuth(), urls_namespace="handled")


@handled.exception_handler(AuthenticationError)
def teapot(request, error):
    return JsonResponse({"short": "and stout"}, status=418)


for api in (alone, several, handled):

    @api.api_operation(["GET", "POST"], "auth/")
    def auth(request):
        return {"auth": str(request.auth)}


@alone.get("async/")
async def auth_async(request):
    return {"auth": str(request.auth), "last_login": request.auth.last_login is not None}


@alone.get("known/")
def known(request):
    return {"pk": request.auth.pk}


@several.get("view/")
def unauthorized(request):
    raise AuthenticationError()


@several.get("public/", auth=None)
def public(request):
    return {"user": str(request.user)}


@several.post("django/", auth=django_auth)
def of_django(request):
    return {"auth": str(request.auth)}


@several.post("sign-in/", auth=None)
def sign_in(request):
    login(request, get_user_model().objects.get(username="ada"), methods=["pwd"])


@several.post("sign-in/async/", auth=None)
async def sign_in_async(request):
    await alogin(request, await get_user_model().objects.aget(username="ada"), methods=["pwd"])


urlpatterns = [path("alone/", alone.urls), path("several/", several.urls), path("handled/", handled.urls)]


@pytest.fixture
def client(ada, clock):
    client = Client(enforce_csrf_checks=True)
    force_login(client, ada)
    return client


def anonymous():
    return Client(enforce_csrf_checks=True)


def test_anonymous_request_gets_drfs_code_and_no_challenge(db):
    response = anonymous().get("/alone/auth/")
    assert (response.status_code, response.json()) == (403, NO_CREDENTIALS)
    assert "WWW-Authenticate" not in response.headers


def test_late_upload_has_its_code(client, clock):
    old = client.cookies.copy()
    for _ in range(2):
        clock.advance(ACCESS_LIFETIME + 1)
        client.get("/alone/auth/")
        client.get("/alone/auth/")
    client.cookies = old
    response = client.post("/alone/auth/", headers={"Transfer-Encoding": "chunked"})
    assert (response.status_code, response.json()) == (403, LATE_UPLOAD)


def test_next_class_is_asked_if_the_request_is_anonymous(client):
    assert client.get("/several/auth/").json() == {"auth": "ada"}
    assert anonymous().get("/several/auth/", headers={"X-Key": "secret"}).json() == {"auth": "machine"}
    assert anonymous().get("/several/auth/", headers={"X-Key": "wrong"}).json() == NO_CREDENTIALS


def test_bearer_tokens_of_another_class_are_left_to_it(client):
    opaque, garbage = {"Authorization": "Bearer opaque"}, {"Authorization": "Bearer garbage"}
    assert anonymous().get("/several/auth/", headers=opaque).json() == {"auth": "machine"}
    refused = anonymous().get("/several/auth/", headers=garbage)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_not_valid")
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert anonymous().get("/several/public/", headers=garbage).json() == {"user": "AnonymousUser"}


def test_handler_of_the_project_takes_precedence(db):
    response = anonymous().get("/handled/auth/")
    assert (response.status_code, response.json()) == (418, {"short": "and stout"})


def test_refusal_of_the_operation_itself_is_unchanged(client):
    for response in (client.get("/several/view/"), anonymous().get("/several/view/", headers={"X-Key": "secret"})):
        assert (response.status_code, response.json()) == (401, {"detail": "Unauthorized"})


def test_length_of_the_response_is_right_if_it_was_already_set(db, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.common.CommonMiddleware"]
    response = anonymous().get("/alone/auth/")
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.json() == NO_CREDENTIALS


def test_csrf_token_is_not_needed_as_the_origin_is_checked(client):
    assert client.post("/alone/auth/", headers={"Origin": "http://testserver"}).json() == {"auth": "ada"}


def test_user_of_djangos_session_is_not_authenticated(db, ada):
    browser = anonymous()
    browser.force_login(ada)
    assert browser.get("/alone/auth/").status_code == 403


def test_djangos_own_class_still_checks_the_csrf_token(client):
    assert client.post("/several/django/").status_code == 403


@override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60})
def test_operation_within_the_check_interval_makes_no_query(client, ada, statements):
    assert client.get("/alone/auth/").json() == {"auth": "ada"}
    assert statements(client.get, "/alone/known/") == []
    assert client.get("/alone/known/").json() == {"pk": ada.pk}


@pytest.mark.parametrize("interval", [0, 60])
def test_async_operation_has_a_loaded_user(ada, clock, interval):
    client = AsyncClient()
    with override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": interval}):
        force_login(client, ada)
        for _ in range(2):
            response = async_to_sync(client.get)("/alone/async/")
            assert response.json() == {"auth": "ada", "last_login": True}


class Impersonate:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        name = request.headers.get("X-As")
        if name:
            request.user = get_user_model().objects.filter(username=name).first()
        return self.get_response(request)


def test_user_that_a_later_middleware_has_set_takes_precedence(client, bob, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Impersonate"]
    assert client.get("/alone/auth/", headers={"X-As": "bob"}).json() == {"auth": "bob"}
    assert client.get("/alone/auth/", headers={"X-As": "missing"}).json() == NO_CREDENTIALS


def test_valid_bearer_token_of_a_user_that_a_later_middleware_has_removed_is_anonymous(client, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Impersonate"]
    headers = {"Authorization": f"Bearer {client.cookies['access_token'].value}", "X-As": "missing"}
    response = anonymous().get("/alone/auth/", headers=headers)
    assert (response.status_code, response.json()) == (403, NO_CREDENTIALS)


@override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60})
def test_async_operation_refuses_a_session_that_another_process_ended_within_the_interval(ada, clock):
    client = AsyncClient()
    force_login(client, ada)
    assert async_to_sync(client.get)("/alone/async/").status_code == 200
    Session.objects.all().delete()
    assert async_to_sync(client.get)("/alone/async/").status_code == 403


def test_request_that_skipped_the_middleware_is_authenticated_by_its_tokens(client, clock):
    cookies = {name: client.cookies[name].value for name in ("access_token", "refresh_token")}
    factory = RequestFactory()
    factory.cookies.load(cookies)
    assert str(JwtAuth()(factory.get("/"))) == "ada"
    assert JwtAuth()(RequestFactory().get("/")) is None
    assert JwtAuth()(factory.post("/", headers={"Sec-Fetch-Site": "cross-site"})) is None
    refresh_only = RequestFactory()
    refresh_only.cookies.load({"refresh_token": cookies["refresh_token"]})
    assert JwtAuth()(refresh_only.get("/")) is None
    assert only_session().generation == 1


@pytest.mark.parametrize("url", ["/several/sign-in/", "/several/sign-in/async/"])
@override_settings(JWTAUTH={"SECOND_FACTOR": lambda user: ["otp"]})
def test_login_without_the_second_factor_has_its_code(ada, url):
    client = Client(enforce_csrf_checks=True)
    response = client.post(url)
    required = {"detail": "This login requires a second factor.", "code": "second_factor_required", "methods": ["otp"]}
    assert (response.status_code, response.json()) == (403, required)
    assert list(response.cookies) == ["access_token_pending"]
    assert client.get("/alone/auth/").status_code == 403


def test_missing_middleware_is_reported(db, settings):
    settings.MIDDLEWARE = []
    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E002"):
        JwtAuth()(RequestFactory().get("/"))


def test_openapi_names_the_cookie():
    schema = alone.get_openapi_schema()
    assert schema["components"]["securitySchemes"] == {
        "JwtAuth": {
            "type": "apiKey",
            "in": "cookie",
            "name": "access_token",
            "description": "The same token is accepted as `Authorization: Bearer`, "
            "and one that is bound to a key as `DPoP`.",
        }
    }
    assert schema["paths"]["/alone/auth/"]["get"]["security"] == [{"JwtAuth": []}]


@override_settings(JWTAUTH={"BEARER_TOKENS": False, "ACCESS_TOKEN_COOKIE_NAME": "__Host-access", "COOKIE_SECURE": True})
def test_openapi_follows_the_settings():
    assert JwtAuth().openapi_security_schema == {"type": "apiKey", "in": "cookie", "name": "__Host-access"}
