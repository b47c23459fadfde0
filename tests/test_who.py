"""``request.user`` in every kind of view, what makes a request anonymous, caches and ``SESSION_CHECK_INTERVAL``."""

import asyncio
from unittest.mock import Mock

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.db import DatabaseError, transaction
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from rest_framework.permissions import IsAuthenticated
from rest_framework.test import APIRequestFactory, force_authenticate

from jwtauth import JWTAuthentication, _engine
from jwtauth.conf import get_config
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import clock as _clock
from jwtauth.internal.store import scope, sessions
from jwtauth.models import Session
from tests import settings as project
from tests.conftest import ACCESS_LIFETIME, only_session
from tests.views import MeView

pytestmark = pytest.mark.django_db

JWTAUTH = "jwtauth.middleware.JWTAuthMiddleware"


@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/"])
def test_plain_views_and_templates_see_the_signed_in_user(signed_in, url):
    assert signed_in.get(url).content == b"ada"


@pytest.mark.parametrize("url", ["/me/", "/me/class/"])
def test_function_and_class_views_of_drf_see_the_signed_in_user(signed_in, url):
    assert signed_in.who(url) == "ada"


def test_request_without_cookies_is_anonymous_in_every_kind_of_view(browser):
    assert browser.get("/me/plain/").content == b"AnonymousUser"
    assert browser.get("/me/template/").content == b"anonymous"
    assert browser.get("/public/").json() == {"is_authenticated": False}
    assert browser.get("/me/session/").json() == {
        "is_authenticated": False,
        "session": None,
        "refreshed": False,
        "renewed": False,
        "expires_at": None,
        "custom": None,
    }


def test_anonymous_request_is_refused_with_403_and_drf_s_message(browser):
    response = browser.get("/me/")
    assert response.status_code == 403
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    assert "WWW-Authenticate" not in response


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/", "/me/"])
def test_middleware_works_at_any_position(signed_in, position, url):
    middleware = [path for path in project.MIDDLEWARE if path != JWTAUTH]
    middleware.insert(position, JWTAUTH)
    with override_settings(MIDDLEWARE=middleware):
        browser = type(signed_in)()
        browser.carry(signed_in.tokens())
        assert b"ada" in browser.get(url).content


@pytest.mark.parametrize("position", [0, 5])
def test_without_a_token_the_user_of_django_s_session_login_stays(bob, position):
    middleware = [path for path in project.MIDDLEWARE if path != JWTAUTH]
    middleware.insert(position, JWTAUTH)
    with override_settings(MIDDLEWARE=middleware):
        client = Client()
        client.force_login(bob)
        assert client.get("/me/plain/").content == b"bob"


def test_view_that_does_not_use_request_user_does_not_read_django_s_session(bob, statements):
    client = Client()
    client.force_login(bob)
    assert statements(client.get, "/idle/") == []


def test_request_of_a_request_factory_is_authenticated_by_its_access_token_only(signed_in, clock):
    request = APIRequestFactory().get("/", HTTP_COOKIE=f"access_token={signed_in.token('access_token')}")
    assert MeView.as_view()(request).data == {"user": "ada"}
    clock.advance(ACCESS_LIFETIME)
    request = APIRequestFactory().get("/", HTTP_COOKIE=f"refresh_token={signed_in.token('refresh_token')}")
    assert MeView.as_view()(request).status_code == 403
    assert only_session().generation == 1


def test_cross_origin_request_of_a_request_factory_is_refused(signed_in):
    cookie = f"access_token={signed_in.token('access_token')}"
    headers = {"HTTP_COOKIE": cookie, "HTTP_ORIGIN": "https://evil.example"}
    request = APIRequestFactory(enforce_csrf_checks=True).post("/", **headers)
    response = MeView.as_view()(request)
    assert (response.status_code, response.data["detail"].code) == (403, "cross_origin")


def test_force_authenticate_of_drf_works(ada):
    request = APIRequestFactory().get("/")
    force_authenticate(request, ada)
    assert MeView.as_view()(request).data == {"user": "ada"}


@override_settings(MIDDLEWARE=[])
def test_authentication_without_the_middleware_names_check_e002():
    class View(MeView):
        authentication_classes = [JWTAuthentication]
        permission_classes = [IsAuthenticated]

    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E002"):
        View.as_view()(RequestFactory().get("/"))


# --- users whose sessions end


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "md5$x$y"}])
def test_user_changed_with_update_is_anonymous_at_the_next_request(signed_in, change):
    User.objects.update(**change)
    assert signed_in.who() is None


def test_new_password_ends_the_session(signed_in, ada):
    ada.set_password("new password")
    ada.save()
    assert signed_in.who() is None
    signed_in.forget_access_token()
    assert signed_in.who() is None


def test_deleting_a_user_deletes_their_sessions(signed_in, ada):
    ada.delete()
    assert signed_in.who() is None
    assert not Session.objects.exists()


def test_user_hidden_by_the_default_manager_is_anonymous(signed_in, monkeypatch):
    manager = type("Manager", (type(User.objects),), {"get_queryset": lambda self: User._base_manager.none()})()
    manager.model = User
    monkeypatch.setattr(User._meta, "default_manager", manager)
    assert signed_in.who() is None


def test_access_token_whose_subject_is_another_user_is_anonymous(signed_in, bob):
    Session.objects.update(user=bob)  # no request does this; a token's sub must be the session's user nevertheless
    assert signed_in.who() is None


def test_new_secret_key_with_fallbacks_signs_no_user_out(signed_in, clock, settings):
    old = settings.SECRET_KEY
    before = only_session().auth_hash
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key, which is long enough for SHA-256", [old]
    assert signed_in.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() == "ada"
    assert only_session().auth_hash != before
    settings.SECRET_KEY_FALLBACKS = []
    assert signed_in.who() == "ada"


def test_new_secret_key_without_fallbacks_signs_the_user_out(signed_in, settings):
    settings.SECRET_KEY = "another key, which is long enough for SHA-256"
    assert signed_in.who() is None


def test_database_error_is_raised_at_each_access_and_not_remembered(signed_in, monkeypatch):
    def fail(*args):
        raise DatabaseError("the database is away")

    request = RequestFactory().get("/", HTTP_COOKIE=f"access_token={signed_in.token('access_token')}")
    Flow.attach(request).identify()
    auth = request.jwtauth
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "find", fail)
        for _ in range(2):
            with pytest.raises(DatabaseError):
                _ = auth.is_authenticated
    assert auth.is_authenticated


# --- async


def on_async(client, method, url):
    return async_to_sync(getattr(client, method))(url)


@pytest.mark.django_db(transaction=True)
def test_async_views_sign_in_refresh_and_sign_out(ada, clock):
    client = AsyncClient()
    assert on_async(client, "get", "/me/async/").content == b"AnonymousUser"
    assert on_async(client, "get", f"/login/async/?user={ada.pk}").content == b"ada"
    assert on_async(client, "get", "/me/async/").content == b"ada"
    clock.advance(ACCESS_LIFETIME)
    refreshed = on_async(client, "get", "/me/async/")
    assert refreshed.content == b"ada"
    assert "refresh_token" in refreshed.cookies
    assert on_async(client, "get", "/me/async/").content == b"ada"
    assert only_session().acknowledged_at is not None
    assert on_async(client, "get", "/logout/async/").content == b"AnonymousUser"
    assert on_async(client, "get", "/me/async/").content == b"AnonymousUser"


@pytest.mark.django_db(transaction=True)
def test_async_views_see_the_user_of_django_s_session_without_a_token(bob):
    client = AsyncClient()
    client.force_login(bob)
    assert on_async(client, "get", "/me/async/").content == b"bob"


@pytest.mark.django_db(transaction=True)
def test_async_view_gets_a_loaded_user_also_within_the_check_interval(ada, clock, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    client = AsyncClient()
    on_async(client, "get", f"/login/async/?user={ada.pk}")
    for _ in range(2):
        assert on_async(client, "get", "/me/async/").content == b"ada"


@pytest.mark.django_db(transaction=True)
def test_cross_origin_request_is_refused_under_asgi(ada, clock):
    client = AsyncClient(enforce_csrf_checks=True)
    on_async(client, "get", f"/login/async/?user={ada.pk}")
    response = async_to_sync(client.post)("/me/", headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403
    assert response.json()["code"] == "cross_origin"


@pytest.fixture
def on_the_event_loop(monkeypatch):
    """Return a function that sends a request to an async server, and fails if a thread is used."""

    async def answer(cookies, headers):
        handler, factory = ASGIHandler(), AsyncRequestFactory()
        factory.cookies.load(cookies)
        request = factory.get("/who/async/", headers=headers)
        no_thread = Mock(side_effect=AssertionError("a thread was asked for"))
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "run_in_executor", no_thread)
            return (await handler.get_response_async(request)).content.decode()

    def get(cookies=(), **headers):
        with override_settings(MIDDLEWARE=[JWTAUTH]):
            return asyncio.run(answer(dict(cookies), headers))

    return get


def test_anonymous_request_uses_no_thread(on_the_event_loop):
    assert on_the_event_loop() == "False None"
    assert on_the_event_loop({"access_token": "nonsense", "refresh_token": "nonsense"}) == "False None"


@pytest.mark.django_db(transaction=True)
def test_request_within_the_check_interval_uses_no_thread(on_the_event_loop, remembered, ada):
    token = remembered.token("access_token")
    assert on_the_event_loop({"access_token": token}) == f"True {ada.pk}"
    assert on_the_event_loop(authorization=f"Bearer {token}") == f"True {ada.pk}"


@pytest.mark.django_db(transaction=True)
def test_request_that_queries_the_database_uses_a_thread(on_the_event_loop, remembered, clock):
    """Verify that the fixture detects threads; two tests rely on it."""
    with pytest.raises(AssertionError, match="a thread was asked for"):
        on_the_event_loop({"refresh_token": remembered.token("refresh_token")})


# --- caches


@pytest.mark.parametrize(
    ("url", "cookies"), [("/me/", "valid"), ("/idle/", "valid"), ("/me/plain/", "none"), ("/idle/", "forged")]
)
def test_response_varies_by_cookie_if_the_cookies_were_read(signed_in, browser, url, cookies):
    if cookies != "valid":
        browser.carry({"access_token": "forged"} if cookies == "forged" else {})
    assert "Cookie" in browser.get(url)["Vary"]


def test_response_does_not_vary_by_cookie_without_cookies_and_use_of_request_user(browser):
    assert "Vary" not in browser.get("/idle/")


def test_only_responses_that_set_or_clear_tokens_forbid_storing(signed_in, clock):
    assert "Cache-Control" not in signed_in.get("/me/")
    clock.advance(ACCESS_LIFETIME)
    for response in (signed_in.get("/me/"), signed_in.post("/logout/")):
        assert {"no-store", "private"} <= set(response["Cache-Control"].split(", "))


def test_cached_page_is_not_served_to_another_user(signed_in, other_browser, bob):
    other_browser.sign_in(bob)
    assert signed_in.get("/me/cached/").content == b"ada"
    assert other_browser.get("/me/cached/").content == b"bob"
    assert type(signed_in)().get("/me/cached/").content == b"AnonymousUser"


SITE_CACHE = [
    "django.middleware.cache.UpdateCacheMiddleware",
    *project.MIDDLEWARE,
    "django.middleware.cache.FetchFromCacheMiddleware",
]


def test_site_cache_stores_no_response_with_tokens(signed_in, bob, clock):
    with override_settings(MIDDLEWARE=SITE_CACHE):
        browser, stranger = type(signed_in)(), type(signed_in)()
        browser.carry(signed_in.tokens())
        clock.advance(ACCESS_LIFETIME)
        assert browser.get("/me/plain/").content == b"ada"
        response = stranger.get("/me/plain/")
        assert response.content == b"AnonymousUser"
        assert not response.cookies


# --- SESSION_CHECK_INTERVAL


@pytest.fixture
def remembered(signed_in, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    assert signed_in.who() == "ada"
    return signed_in


def test_within_the_check_interval_only_user_fields_cost_a_query(remembered, statements):
    assert statements(remembered.get, "/public/") == []
    assert remembered.get("/public/").json() == {"is_authenticated": True}
    assert statements(remembered.get, "/me/") == ["SELECT"]
    assert remembered.who() == "ada"


def test_session_ended_by_another_process_is_noticed_after_the_check_interval(remembered, clock):
    Session.objects.all().delete()  # as another process does it
    clock.advance(9)
    assert remembered.get("/public/").json() == {"is_authenticated": True}
    clock.advance(1)
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_remembered_user_is_anonymous_if_the_session_ended_before_a_field_is_loaded(remembered):
    Session.objects.all().delete()
    assert remembered.get("/me/plain/").content == b"AnonymousUser"
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_session_ended_by_this_process_is_noticed_within_the_check_interval(remembered):
    Session.objects.end()
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_logout_in_this_process_takes_effect_within_the_check_interval(remembered, other_browser):
    other_browser.carry(remembered.tokens())
    remembered.post("/logout/")
    assert other_browser.get("/public/").json() == {"is_authenticated": False}


@pytest.mark.parametrize("end", [lambda _: Session.objects.end(), lambda phone: phone.post("/logout/")])
@pytest.mark.parametrize("token", ["access_token", "refresh_token"])
def test_session_ended_while_another_request_reads_it_is_not_remembered(
    signed_in, other_browser, settings, monkeypatch, end, token
):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    other_browser.carry(signed_in.tokens())
    signed_in.carry({token: signed_in.token(token)})
    find = sessions.find

    def find_and_be_ended(session_id):
        found = find(session_id)
        monkeypatch.setattr(sessions, "find", find)
        end(other_browser)
        return found

    monkeypatch.setattr(sessions, "find", find_and_be_ended)
    signed_in.get("/public/")
    assert not Session.objects.exists()
    assert signed_in.get("/public/").json() == {"is_authenticated": False}


@pytest.mark.django_db(transaction=True)
def test_session_ended_in_a_transaction_is_forgotten_at_its_commit(ada, browser, clock, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    browser.sign_in(ada)
    with transaction.atomic():
        Session.objects.end()
        # Meanwhile another thread reads the session, which is still valid for it.
        config, token = get_config(), browser.token("access_token")
        claims = config.tokens.verify(_engine.TokenKind.ACCESS, token, clock.now)
        place, now = scope.of(RequestFactory().get("/")), _clock.monotonic_ms()
        asked = config.verified.asking(claims.session_id, scope=place, now=now)
        config.verified.remember(claims, asked)
    assert browser.get("/public/").json() == {"is_authenticated": False}


def test_check_interval_of_none_queries_a_session_once(remembered, settings, clock, statements):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": None, "ACCESS_TOKEN_LIFETIME": 3600}
    remembered.get("/public/")
    clock.advance(250)
    assert statements(remembered.get, "/public/") == []


def test_within_the_check_interval_the_first_request_of_a_generation_is_acknowledged(remembered, clock):
    clock.advance(ACCESS_LIFETIME)
    remembered.get("/idle/")
    clock.advance(11)
    remembered.get("/public/")
    assert only_session().acknowledged_at is not None


@pytest.mark.parametrize("interval", [10, None])
def test_session_remembered_at_its_refresh_is_acknowledged_by_the_next_request(remembered, settings, clock, interval):
    # Otherwise a copy of the old token would stay valid while the new one is remembered.
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": interval}
    clock.advance(ACCESS_LIFETIME)
    remembered.get("/public/")
    assert only_session().acknowledged_at is None
    remembered.get("/public/")
    assert only_session().acknowledged_at is not None


def test_identity_of_a_remembered_user_needs_no_query(remembered, ada, django_assert_num_queries):
    request = RequestFactory().get("/", HTTP_COOKIE=f"access_token={remembered.token('access_token')}")
    Flow.attach(request).identify()
    auth = request.jwtauth
    with django_assert_num_queries(0):
        assert auth.user.is_authenticated
        assert not auth.user.is_anonymous
        assert auth.user.pk == ada.pk
        assert auth.user
    with django_assert_num_queries(1):
        assert auth.user.username == "ada"
        assert auth.user.pk == ada.pk
        assert auth.user.is_authenticated
        assert auth.session.user == ada


def test_forged_subject_does_not_use_the_remembered_session_of_another_user(remembered, bob, clock, settings):
    # A thief of the signing key who has a session could try this.
    claims = jwt.decode(remembered.token("access_token"), options={"verify_signature": False})
    forged = jwt.encode(claims | {"sub": str(bob.pk)}, settings.SECRET_KEY, headers={"typ": "at+jwt"})
    remembered.carry({"access_token": forged})
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_user_primary_key_is_queried_with_another_user_id_field(signed_in, ada, settings, django_assert_num_queries):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10, "USER_ID_FIELD": "username"}
    signed_in.sign_in(ada)
    signed_in.who()
    request = RequestFactory().get("/", HTTP_COOKIE=f"access_token={signed_in.token('access_token')}")
    Flow.attach(request).identify()
    auth = request.jwtauth
    assert auth.claims.subject == "ada"
    with django_assert_num_queries(1):
        assert auth.user.pk == ada.pk
