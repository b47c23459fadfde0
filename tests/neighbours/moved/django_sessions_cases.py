"""Logins of Django's own sessions: they become sessions of jwtauth, and end with them."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.contrib.sessions.models import Session as DjangoSession
from django.core.cache import cache
from django.db import connection
from django.http import JsonResponse
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

import jwtauth
from jwtauth.models import OldLogin, Session
from tests.neighbours.moved.cases import SAME_ORIGIN, make_user, sets_tokens, who
from tests.neighbours.moved.cases import accepting as accepting_logins
from tests.neighbours.moved.urls import urlpatterns as shared

AUTH = "django.contrib.auth"
DAY = 24 * 3600
NAMES = ["access_token", "refresh_token"]
ENGINES = ["db", "cache", "cached_db", "signed_cookies"]


def accepting(**settings):
    return accepting_logins("django_sessions", **settings)


@csrf_exempt
def users(request):
    """Return the user in each way that a view can ask for it, and what the session holds."""
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "auser": async_to_sync(request.auser)().get_username(),
            "cart": request.session.get("cart"),
            "signed in": SESSION_KEY in request.session,
        }
    )


async def user_async(request):
    return JsonResponse({"user": (await request.auser()).get_username()})


def cart(request):
    request.session["cart"] = request.GET["put"]
    return JsonResponse({})


def csrf(request):
    return JsonResponse({"token": get_token(request)})


def public(request):
    return JsonResponse({})


def sign_in_by_jwtauth(request, name):
    jwtauth.login(request, make_user(name))
    return JsonResponse({})


urlpatterns = [
    path("users/", users),
    path("async/", user_async),
    path("cart/", cart),
    path("csrf/", csrf),
    path("public/", public),
    path("login/", LoginView.as_view()),
    path("login/<name>/", sign_in_by_jwtauth),
    path("logout/", LogoutView.as_view(next_page="/public/")),
    path("password/", PasswordChangeView.as_view(success_url="/who/")),
    path("admin/", admin.site.urls),
    *shared,
    path("auth/", include("jwtauth.urls")),
]


def post(client, url, **data):
    """Post a form as its page does, with the CSRF token."""
    return client.post(url, {**data, "csrfmiddlewaretoken": client.get("/csrf/").json()["token"]})


def sign_in(client, name="ada", password="a secret", url="/login/"):
    assert post(client, url, username=name, password=password).status_code == 302
    return client


def browser(**cookies):
    client = Client(enforce_csrf_checks=True)
    for name, value in cookies.items():
        client.cookies[name] = value
    return client


def session_of(client):
    return client.cookies["sessionid"].value


def only_session_of(client):
    """Return a browser with the cookie of Django's session alone."""
    return browser(sessionid=session_of(client))


@pytest.fixture(params=ENGINES)
def engine(request):
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{request.param}"):
        yield request.param
    cache.clear()


@pytest.mark.parametrize("path", ["/who/", "/plain/"])
def test_a_signed_in_session_becomes_a_session_and_stays_signed_in(engine, client, ada, path):
    sign_in(client)
    key = session_of(client)
    with accepting():
        response = client.get(path)
        assert response.json()["user"] == "ada"
        assert sets_tokens(response) == NAMES
        again = client.get(path)
        assert again.json()["user"] == "ada"
        assert not sets_tokens(again)
        assert client.get("/users/").json() == {"user": "ada", "auser": "ada", "cart": None, "signed in": True}
    assert Session.objects.get().user == ada
    assert Session.objects.get().backend == "django.contrib.auth.backends.ModelBackend"
    assert OldLogin.objects.get().seen_at is not None
    assert client.session["_jwtauth_subject"] == str(ada.pk)
    assert engine == "signed_cookies" or session_of(client) == key, "parallel requests would lose their session"
    assert who(client) == "ada", "without the setting"
    assert who(only_session_of(client), "/plain/") == "ada", "by Django's session"


def test_parallel_requests_start_one_session(engine, client, ada):
    sign_in(client)
    with accepting():
        answers = [only_session_of(client).get("/who/") for _ in range(5)]
        assert len({answer.cookies["refresh_token"].value for answer in answers}) == 1
        client.cookies.update(answers[0].cookies)
        assert who(client) == "ada"
        assert who(only_session_of(client)) == "ada", "within the grace period"
    assert Session.objects.count() == OldLogin.objects.count() == 1


def test_a_second_tab_uses_the_same_session(client, ada, clock):
    sign_in(client)
    with accepting():
        assert who(client) == "ada"
        clock.tick(600)
        tab = browser(**{name: cookie.value for name, cookie in client.cookies.items()})
        assert who(tab) == who(client) == "ada"
    assert Session.objects.count() == 1


def test_a_session_that_ended_on_another_device_ends_in_django_too(engine, client, ada, clock):
    sign_in(client)
    client.get("/cart/?put=apple")
    with accepting():
        assert who(client) == who(client) == "ada"
        key = session_of(client)
        Session.objects.get().end()
        clock.tick(300)
        response = client.get("/users/")
        assert response.json() == {"user": "", "auser": "", "cart": None, "signed in": False}
        assert client.cookies["sessionid"].value == ""
        assert who(browser(sessionid=key), "/plain/") == "", "a copy of the session's cookie"
    assert not Session.objects.exists()
    assert engine == "signed_cookies" or who(browser(sessionid=key), "/plain/") == ""


@pytest.fixture
def staff(ada):
    ada.is_staff = ada.is_superuser = True
    ada.save()
    return ada


@pytest.mark.parametrize("url", ["/auth/logout/", "/logout/", "/admin/logout/"])
def test_logout_ends_both_sessions(engine, client, staff, url):
    sign_in(client)
    with accepting():
        assert who(client) == who(client) == "ada"
        before = only_session_of(client)
        assert post(client, url).status_code in (200, 204, 302)
        assert who(client, "/plain/") == ""
        assert who(before, "/plain/") == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize("url", ["/auth/logout/", "/logout/", "/admin/logout/"])
def test_logout_in_the_first_request_ends_both_sessions(client, staff, url):
    sign_in(client)
    token = client.get("/csrf/").json()["token"]
    before = only_session_of(client)
    with accepting():
        client.post(url, {"csrfmiddlewaretoken": token})
        assert who(client, "/plain/") == who(before, "/plain/") == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize("is_first", [True, False], ids=["first request", "later"])
def test_a_password_change_by_djangos_view_keeps_this_browser_only(engine, client, ada, clock, is_first):
    sign_in(client)
    other, away = sign_in(Client()), sign_in(Client())
    form = {"old_password": "a secret", "new_password1": "another secret 1", "new_password2": "another secret 1"}
    token = client.get("/csrf/").json()["token"]
    with accepting():
        assert who(other) == "ada"
        if not is_first:
            assert who(client) == who(client) == "ada"
        clock.tick(600)
        assert client.post("/password/", {**form, "csrfmiddlewaretoken": token}).status_code == 302
        assert who(client) == who(client) == "ada"
        assert who(other, "/plain/") == "", "its session has ended"
        assert who(away, "/plain/") == "", "its session of Django has the old hash, and it never moved in"
        Session.objects.all().end()
        clock.tick(300)
        assert who(client, "/plain/") == "", "although the key of Django's session has changed"
        assert who(sign_in(client, password="another secret 1")) == "ada"


def test_what_django_refuses_is_refused(engine, client, ada):
    sign_in(client)
    stranger = sign_in(Client(), make_user("eve").username)
    key = session_of(client)
    ada.set_password("another secret")
    ada.save()
    bob = make_user("bob")
    inactive = sign_in(Client(), "bob")
    bob.is_active = False
    bob.save()
    with accepting():
        for each in (client, browser(sessionid=key), inactive, browser(sessionid="x" * 32), browser(sessionid="x")):
            response = each.get("/plain/")
            assert (response.json()["user"], sets_tokens(response)) == ("", [])
        with override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"]):
            assert who(stranger, "/plain/") == "", "its backend has been removed"
    assert not Session.objects.exists()


def test_a_session_of_a_replaced_secret_key_moves_in(client, ada, settings):
    sign_in(client)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 64
    with accepting():
        assert who(client) == who(client) == "ada"
    settings.SECRET_KEY_FALLBACKS = []
    assert who(only_session_of(client), "/plain/") == "ada", "Django has renewed the hash"
    assert Session.objects.count() == 1


def test_a_link_on_another_site_ends_nothing(client, ada, clock):
    """It brings the cookie of Django's session, which is ``Lax``, but not jwtauth's, which are ``Strict``."""
    sign_in(client)
    with accepting():
        assert who(client) == who(client) == "ada"
        for age in (0, 60, 2 * 3600, 3 * DAY):
            clock.tick(age)
            response = only_session_of(client).get("/users/", HTTP_SEC_FETCH_SITE="cross-site")
            assert (response.json()["user"], response.json()["auser"]) == ("ada", "ada")
            assert not sets_tokens(response)
            assert Session.objects.exists()
        assert who(client) == "ada"


@pytest.mark.parametrize("same_site", ["Strict", "Lax"])
def test_an_image_on_another_site_ends_nothing(client, ada, clock, same_site):
    """It brings the cookie of Django's session if that is ``SameSite=None``, but not jwtauth's."""
    with override_settings(SESSION_COOKIE_SAMESITE="None"):
        sign_in(client)
        with accepting(COOKIE_SAMESITE=same_site):
            assert who(client) == who(client) == "ada"
            clock.tick(600)
            only_session_of(client).get("/plain/", HTTP_SEC_FETCH_SITE="cross-site")
            assert Session.objects.exists()


def test_a_copied_cookie_ends_the_session_as_stolen(client, ada, clock):
    sign_in(client)
    with accepting():
        assert who(client) == who(client) == "ada"
        clock.tick(600)
        thief = only_session_of(client)
        thief.get("/users/", **SAME_ORIGIN)
        assert not Session.objects.exists()
        assert who(thief, "/plain/", **SAME_ORIGIN) == who(client, "/plain/") == ""


def test_a_page_of_another_origin_cannot_use_the_session(client, ada):
    sign_in(client)
    evil = {"HTTP_ORIGIN": "https://evil.example"}
    with accepting():
        response = client.post("/users/", **evil)
        assert (response.status_code, response.json()["code"]) == (403, "cross_origin")
        assert not sets_tokens(response)
        assert browser().post("/users/", **evil).status_code == 200, "an anonymous request to an exempt view"
    assert not Session.objects.exists()


@pytest.mark.parametrize("at_close", [True, False])
def test_cookies_are_kept_as_long_as_those_of_django(client, ada, at_close):
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=at_close, SESSION_COOKIE_AGE=3 * DAY):
        sign_in(client)
        with accepting():
            response = client.get("/who/")
            assert [response.cookies[name]["max-age"] == "" for name in NAMES] == [at_close, at_close]
    session = Session.objects.get()
    assert session.remember is not at_close
    assert session.end_is_fixed
    assert 3 * DAY - 5 < session.expires_at.timestamp() - session.created_at.timestamp() <= 3 * DAY


def test_a_session_that_is_saved_at_every_request_keeps_the_limits_of_jwtauth(client, ada):
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        sign_in(client)
        with accepting():
            assert who(client) == who(client) == "ada"
    assert not Session.objects.get().end_is_fixed


def test_an_end_at_a_fixed_time_stays_fixed(client, ada, clock):
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        sign_in(client)
        session = client.session
        session.set_expiry(timedelta(hours=2))
        session.save()
        clock.tick(3600)
        with accepting():
            assert who(client) == who(client) == "ada"
            assert Session.objects.get().end_is_fixed
            clock.tick(3599)
            assert who(client) == "ada"
            clock.tick(1)
            assert who(client, "/plain/") == ""


def test_the_session_is_not_loaded_on_the_event_loop(ada):
    """Django raises ``SynchronousOnlyOperation`` otherwise."""
    key = session_of(sign_in(Client()))
    client = AsyncClient()
    client.cookies["sessionid"] = key

    async def ask():
        return [await client.get("/async/") for _ in range(2)]

    with accepting():
        first, second = async_to_sync(ask)()
    assert first.json() == second.json() == {"user": "ada"}
    assert sets_tokens(first) == NAMES
    assert not sets_tokens(second)


def test_an_anonymous_cart_is_kept_and_costs_one_statement(client, db):
    client.get("/cart/?put=apple")
    with accepting():
        with CaptureQueriesContext(connection) as queries:
            response = client.get("/public/")
        assert len(queries) == 1
        assert not response.cookies
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/users/").json()["cart"] == "apple"
        assert len(queries) == 1, "the view would have loaded the session as well"
        with CaptureQueriesContext(connection) as queries:
            browser().get("/public/")
        assert len(queries) == 0, "without a session"


def test_the_next_user_of_the_browser_cannot_read_the_data(client, ada):
    sign_in(client)
    client.get("/cart/?put=apple")
    with accepting():
        assert client.get("/users/").json()["cart"] == "apple"
        assert client.get("/login/bob/").status_code == 200
        assert client.get("/users/").json() == {"user": "bob", "auser": "bob", "cart": None, "signed in": False}


def test_a_login_by_django_during_the_period_moves_in(client, ada):
    with accepting():
        sign_in(client)
        assert sets_tokens(client.get("/who/")) == NAMES
        assert post(client, "/logout/").status_code == 302
        assert who(client, "/plain/") == ""
        sign_in(client)
        assert sets_tokens(client.get("/who/")) == NAMES
        assert who(client) == "ada"
    assert Session.objects.count() == 1
    assert DjangoSession.objects.count() == 1


def test_the_admin_works_throughout(client, staff):
    sign_in(client, url="/admin/login/?next=/admin/")
    change = f"/admin/auth/user/{staff.pk}/password/"
    with accepting():
        for _ in range(2):
            assert "Site administration" in client.get("/admin/").content.decode()
        assert Session.objects.count() == 1
        form = {"password1": "another secret 1", "password2": "another secret 1", "usable_password": "true"}
        assert post(client, change, **form).status_code == 302
        assert client.get("/admin/").status_code == 200, "signed in after the change of their own password"
        assert post(client, "/admin/logout/").status_code == 200
        assert client.get("/admin/").status_code == 302
        sign_in(client, password="another secret 1", url="/admin/login/?next=/admin/")
        assert client.get("/admin/").status_code == 200
    assert client.get("/admin/").status_code == 200, "without the setting"


def test_without_djangos_session_in_front_nothing_moves_in(client, ada, settings):
    sign_in(client)
    settings.MIDDLEWARE = [settings.MIDDLEWARE[3], *settings.MIDDLEWARE[:3]]
    with accepting():
        below = only_session_of(client)
        assert who(below, "/plain/") == "ada", "by Django's session"
        assert not sets_tokens(below.get("/plain/"))
    assert not Session.objects.exists()


def test_a_user_whom_the_web_server_names_does_not_move_in(client, ada, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE]
    settings.MIDDLEWARE.insert(3, "django.contrib.auth.middleware.RemoteUserMiddleware")
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, f"{AUTH}.backends.RemoteUserBackend"]
    with accepting():
        for _ in range(2):
            assert who(client, "/plain/", REMOTE_USER="ada") == "ada"
        assert who(client, "/plain/") == "", "the server no longer names the user"
        assert who(sign_in(client)) == "ada", "by Django's login"
    assert Session.objects.count() == 1


def test_a_reached_limit_of_sessions_signs_no_user_out(client, ada):
    sign_in(client)
    other = sign_in(Client())
    with accepting(MAX_SESSIONS_PER_USER=1, MAX_SESSIONS_POLICY="refuse"):
        assert who(other) == "ada"
        response = client.get("/who/")
        assert response.json()["user"] == "ada"
        assert not sets_tokens(response)
    assert Session.objects.count() == 1


def test_nothing_starts_before_since_or_after_until(client, ada):
    sign_in(client)
    for entry in ({"since": "2999-01-01", "days": 400_000}, {"days": -1}):
        with accepting(**entry):
            response = client.get("/who/")
            assert not sets_tokens(response)
            assert who(client, "/plain/") == "ada", "by Django's session"
    assert not Session.objects.exists()


def test_a_session_that_ended_on_another_device_ends_in_django_at_once(engine, client, ada):
    sign_in(client)
    with accepting():
        assert who(client) == who(client) == "ada"
        Session.objects.get().end()
        assert client.get("/users/").json() == {"user": "", "auser": "", "cart": None, "signed in": False}


def test_the_request_that_is_told_as_theft_is_anonymous(client, ada, clock):
    sign_in(client)
    with accepting():
        assert who(client) == who(client) == "ada"
        clock.tick(600)
        assert who(only_session_of(client), "/plain/", **SAME_ORIGIN) == ""


def test_a_login_by_django_after_the_end_moves_in(client, ada, clock):
    sign_in(client)
    with accepting():
        assert who(client) == who(client) == "ada"
        token = client.get("/csrf/").json()["token"]
        Session.objects.get().end()
        form = {"username": "ada", "password": "a secret", "csrfmiddlewaretoken": token}
        assert client.post("/login/", form).status_code == 302
        assert who(client, "/plain/") == "ada"
        clock.tick(300)
        assert who(client, "/plain/") == "ada"


def test_signing_out_elsewhere_ends_sessions_that_have_not_moved_in(client, ada, clock):
    sign_in(client)
    away = sign_in(Client())
    clock.tick(60)
    with accepting():
        assert who(client) == who(client) == "ada"
        assert client.delete("/auth/sessions/others/").status_code == 200
        assert who(away, "/plain/") == ""
        sign_in(away)
        assert who(away) == "ada", "signed in after it"


def test_cookies_of_a_bearer_request_are_ignored(client, ada):
    sign_in(client)
    with accepting():
        assert not sets_tokens(client.get("/plain/", HTTP_AUTHORIZATION="Bearer x"))
