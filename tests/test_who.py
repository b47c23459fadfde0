"""``request.user`` wherever Django and DRF have one, and who is out at once."""

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

OURS = "jwtauth.middleware.JWTAuthMiddleware"


@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/"])
def test_plain_views_and_templates_know_the_person(signed_in, url):
    assert signed_in.get(url).content == b"ada"


@pytest.mark.parametrize("url", ["/me/", "/me/class/"])
def test_function_and_class_views_of_drf_know_the_person(signed_in, url):
    assert signed_in.who(url) == "ada"


def test_nobody_is_anonymous_everywhere(browser):
    assert browser.get("/me/plain/").content == b"AnonymousUser"
    assert browser.get("/me/template/").content == b"nobody"
    assert browser.get("/public/").json() == {"is_authenticated": False}
    assert browser.get("/me/session/").json() == {
        "is_authenticated": False,
        "session": None,
        "refreshed": False,
        "renewed": False,
        "expires_at": None,
        "custom": None,
    }


def test_a_permission_refused_is_403_in_drf_s_words(browser):
    response = browser.get("/me/")
    assert response.status_code == 403
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    assert "WWW-Authenticate" not in response


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/", "/me/"])
def test_the_middleware_may_stand_anywhere(signed_in, position, url):
    middleware = [path for path in project.MIDDLEWARE if path != OURS]
    middleware.insert(position, OURS)
    with override_settings(MIDDLEWARE=middleware):
        browser = type(signed_in)()
        browser.carry(signed_in.tokens())
        assert b"ada" in browser.get(url).content


@pytest.mark.parametrize("position", [0, 5])
def test_who_is_signed_in_by_django_s_session_stays_where_there_is_no_token(bob, position):
    middleware = [path for path in project.MIDDLEWARE if path != OURS]
    middleware.insert(position, OURS)
    with override_settings(MIDDLEWARE=middleware):
        client = Client()
        client.force_login(bob)
        assert client.get("/me/plain/").content == b"bob"


def test_a_view_that_asks_for_nobody_leaves_django_s_session_alone(bob, statements):
    client = Client()
    client.force_login(bob)
    assert statements(client.get, "/idle/") == []


def test_a_factory_s_request_is_authenticated_by_its_access_token(signed_in, clock):
    request = APIRequestFactory().get("/", HTTP_COOKIE=f"access_token={signed_in.token('access_token')}")
    assert MeView.as_view()(request).data == {"user": "ada"}
    clock.advance(ACCESS_LIFETIME)
    request = APIRequestFactory().get("/", HTTP_COOKIE=f"refresh_token={signed_in.token('refresh_token')}")
    assert MeView.as_view()(request).status_code == 403
    assert only_session().generation == 1


def test_a_factory_s_request_of_another_origin_is_refused(signed_in):
    cookie = f"access_token={signed_in.token('access_token')}"
    headers = {"HTTP_COOKIE": cookie, "HTTP_ORIGIN": "https://evil.example"}
    request = APIRequestFactory(enforce_csrf_checks=True).post("/", **headers)
    response = MeView.as_view()(request)
    assert (response.status_code, response.data["detail"].code) == (403, "cross_origin")


def test_force_authenticate_is_left_alone(ada):
    request = APIRequestFactory().get("/")
    force_authenticate(request, ada)
    assert MeView.as_view()(request).data == {"user": "ada"}


@override_settings(MIDDLEWARE=[])
def test_without_the_middleware_the_authentication_says_what_is_missing():
    class View(MeView):
        authentication_classes = [JWTAuthentication]
        permission_classes = [IsAuthenticated]

    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E002"):
        View.as_view()(RequestFactory().get("/"))


# --- who is out


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "md5$x$y"}])
def test_a_change_by_update_takes_effect_at_once(signed_in, change):
    User.objects.update(**change)
    assert signed_in.who() is None


def test_a_new_password_ends_the_session(signed_in, ada):
    ada.set_password("new password")
    ada.save()
    assert signed_in.who() is None
    signed_in.forget_access_token()
    assert signed_in.who() is None


def test_a_deleted_person_is_out_and_leaves_no_session(signed_in, ada):
    ada.delete()
    assert signed_in.who() is None
    assert not Session.objects.exists()


def test_who_the_default_manager_hides_is_out(signed_in, monkeypatch):
    manager = type("Manager", (type(User.objects),), {"get_queryset": lambda self: User._base_manager.none()})()
    manager.model = User
    monkeypatch.setattr(User._meta, "default_manager", manager)
    assert signed_in.who() is None


def test_an_access_token_of_another_person_s_key_is_nobody(signed_in, bob):
    Session.objects.update(user=bob)  # no request does this; a token's sub must still be the session's user
    assert signed_in.who() is None


def test_a_new_secret_key_keeps_people_in_with_fallbacks(signed_in, clock, settings):
    old = settings.SECRET_KEY
    before = only_session().auth_hash
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key, which is long enough for SHA-256", [old]
    assert signed_in.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() == "ada"
    assert only_session().auth_hash != before
    settings.SECRET_KEY_FALLBACKS = []
    assert signed_in.who() == "ada"


def test_a_new_secret_key_without_fallbacks_signs_out(signed_in, settings):
    settings.SECRET_KEY = "another key, which is long enough for SHA-256"
    assert signed_in.who() is None


def test_a_database_error_is_an_error_each_time_somebody_asks(signed_in, monkeypatch):
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
def test_async_views_know_the_person(ada, clock):
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
def test_async_views_know_django_s_session_where_there_is_no_token(bob):
    client = AsyncClient()
    client.force_login(bob)
    assert on_async(client, "get", "/me/async/").content == b"bob"


@pytest.mark.django_db(transaction=True)
def test_an_async_view_gets_a_person_whose_fields_are_loaded_also_within_the_check_interval(ada, clock, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    client = AsyncClient()
    on_async(client, "get", f"/login/async/?user={ada.pk}")
    for _ in range(2):
        assert on_async(client, "get", "/me/async/").content == b"ada"


@pytest.mark.django_db(transaction=True)
def test_the_cross_origin_rule_holds_under_async(ada, clock):
    client = AsyncClient(enforce_csrf_checks=True)
    on_async(client, "get", f"/login/async/?user={ada.pk}")
    response = async_to_sync(client.post)("/me/", headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403
    assert response.json()["code"] == "cross_origin"


@pytest.fixture
def on_the_event_loop(monkeypatch):
    """What an async server answers, with our middleware alone, to whom any step into a thread is an error."""

    async def answer(cookies, headers):
        handler, factory = ASGIHandler(), AsyncRequestFactory()
        factory.cookies.load(cookies)
        request = factory.get("/who/async/", headers=headers)
        no_thread = Mock(side_effect=AssertionError("a thread was asked for"))
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "run_in_executor", no_thread)
            return (await handler.get_response_async(request)).content.decode()

    def get(cookies=(), **headers):
        with override_settings(MIDDLEWARE=[OURS]):
            return asyncio.run(answer(dict(cookies), headers))

    return get


def test_nobody_s_request_does_not_leave_the_event_loop(on_the_event_loop):
    assert on_the_event_loop() == "False None"
    assert on_the_event_loop({"access_token": "nonsense", "refresh_token": "nonsense"}) == "False None"


@pytest.mark.django_db(transaction=True)
def test_a_request_within_the_check_interval_does_not_leave_the_event_loop(on_the_event_loop, remembered, ada):
    token = remembered.token("access_token")
    assert on_the_event_loop({"access_token": token}) == f"True {ada.pk}"
    assert on_the_event_loop(authorization=f"Bearer {token}") == f"True {ada.pk}"


@pytest.mark.django_db(transaction=True)
def test_a_question_to_the_database_leaves_it(on_the_event_loop, remembered, clock):
    """So that the two tests above can fail."""
    with pytest.raises(AssertionError, match="a thread was asked for"):
        on_the_event_loop({"refresh_token": remembered.token("refresh_token")})


# --- caches


@pytest.mark.parametrize(
    ("url", "who"), [("/me/", "somebody"), ("/idle/", "somebody"), ("/me/plain/", "nobody"), ("/idle/", "forged")]
)
def test_a_response_to_cookies_that_were_looked_at_varies_by_them(signed_in, browser, url, who):
    if who != "somebody":
        browser.carry({"access_token": "forged"} if who == "forged" else {})
    assert "Cookie" in browser.get(url)["Vary"]


def test_a_page_that_asks_for_nobody_is_everybody_s(browser):
    assert "Vary" not in browser.get("/idle/")


def test_only_responses_with_tokens_forbid_storing(signed_in, clock):
    assert "Cache-Control" not in signed_in.get("/me/")
    clock.advance(ACCESS_LIFETIME)
    for response in (signed_in.get("/me/"), signed_in.post("/logout/")):
        assert {"no-store", "private"} <= set(response["Cache-Control"].split(", "))


def test_a_cached_page_is_never_another_person_s(signed_in, other_browser, bob):
    other_browser.sign_in(bob)
    assert signed_in.get("/me/cached/").content == b"ada"
    assert other_browser.get("/me/cached/").content == b"bob"
    assert type(signed_in)().get("/me/cached/").content == b"AnonymousUser"


SITE_CACHE = [
    "django.middleware.cache.UpdateCacheMiddleware",
    *project.MIDDLEWARE,
    "django.middleware.cache.FetchFromCacheMiddleware",
]


def test_a_site_s_cache_never_hands_out_another_person_s_tokens(signed_in, bob, clock):
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


def test_within_the_interval_the_database_is_asked_for_fields_only(remembered, statements):
    assert statements(remembered.get, "/public/") == []
    assert remembered.get("/public/").json() == {"is_authenticated": True}
    assert statements(remembered.get, "/me/") == ["SELECT"]
    assert remembered.who() == "ada"


def test_a_revocation_elsewhere_is_effective_within_the_interval(remembered, clock):
    Session.objects.all().delete()  # as another process does it
    clock.advance(9)
    assert remembered.get("/public/").json() == {"is_authenticated": True}
    clock.advance(1)
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_a_field_of_somebody_who_is_gone_is_nobody_s(remembered):
    Session.objects.all().delete()
    assert remembered.get("/me/plain/").content == b"AnonymousUser"
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_an_end_by_this_process_is_effective_at_once(remembered):
    Session.objects.end()
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_a_logout_by_this_process_is_effective_at_once(remembered, other_browser):
    other_browser.carry(remembered.tokens())
    remembered.post("/logout/")
    assert other_browser.get("/public/").json() == {"is_authenticated": False}


@pytest.mark.parametrize("end", [lambda _: Session.objects.end(), lambda phone: phone.post("/logout/")])
@pytest.mark.parametrize("token", ["access_token", "refresh_token"])
def test_an_end_while_another_request_asks_the_database_is_effective_at_once(
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
def test_an_end_in_a_transaction_is_effective_with_its_commit(ada, browser, clock, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10}
    browser.sign_in(ada)
    with transaction.atomic():
        Session.objects.end()
        # Another thread asks meanwhile, and for it the session lives.
        config, token = get_config(), browser.token("access_token")
        claims = config.tokens.verify(_engine.TokenKind.ACCESS, token, clock.now)
        place, now = scope.of(RequestFactory().get("/")), _clock.monotonic_ms()
        asked = config.verified.asking(claims.session_id, scope=place, now=now)
        config.verified.remember(claims, asked)
    assert browser.get("/public/").json() == {"is_authenticated": False}


def test_none_asks_once(remembered, settings, clock, statements):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": None, "ACCESS_TOKEN_LIFETIME": 3600}
    remembered.get("/public/")
    clock.advance(250)
    assert statements(remembered.get, "/public/") == []


def test_the_first_request_of_a_generation_asks_and_acknowledges(remembered, clock):
    clock.advance(ACCESS_LIFETIME)
    remembered.get("/idle/")
    clock.advance(11)
    remembered.get("/public/")
    assert only_session().acknowledged_at is not None


@pytest.mark.parametrize("interval", [10, None])
def test_a_refresh_does_not_keep_the_first_request_from_asking(remembered, settings, clock, interval):
    """Else a copy of the old token would be good for as long as the new one is remembered."""
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": interval}
    clock.advance(ACCESS_LIFETIME)
    remembered.get("/public/")
    assert only_session().acknowledged_at is None
    remembered.get("/public/")
    assert only_session().acknowledged_at is not None


def test_who_a_remembered_person_is_needs_no_query(remembered, ada, django_assert_num_queries):
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


def test_a_remembered_session_is_no_other_person_s(remembered, bob, clock, settings):
    """As one could try who has stolen the signing key and has a session of their own."""
    claims = jwt.decode(remembered.token("access_token"), options={"verify_signature": False})
    forged = jwt.encode(claims | {"sub": str(bob.pk)}, settings.SECRET_KEY, headers={"typ": "at+jwt"})
    remembered.carry({"access_token": forged})
    assert remembered.get("/public/").json() == {"is_authenticated": False}


def test_with_another_user_id_field_the_key_is_loaded(signed_in, ada, settings, django_assert_num_queries):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 10, "USER_ID_FIELD": "username"}
    signed_in.sign_in(ada)
    signed_in.who()
    request = RequestFactory().get("/", HTTP_COOKIE=f"access_token={signed_in.token('access_token')}")
    Flow.attach(request).identify()
    auth = request.jwtauth
    assert auth.claims.subject == "ada"
    with django_assert_num_queries(1):
        assert auth.user.pk == ada.pk
