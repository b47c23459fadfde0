"""Logins of allauth's headless API for apps: session tokens and refresh tokens become sessions, access tokens admit."""

import time
from contextlib import contextmanager
from datetime import timedelta

import jwt
import pytest
from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication, XSessionTokenAuthentication
from allauth.headless.tokens.strategies.jwt import internal
from django.conf import settings
from django.contrib.sessions.models import Session as DjangoSession
from django.test import Client, override_settings
from django.urls import include, path
from django.utils import timezone
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.response import Response

from jwtauth.contrib.old_logins.allauth import TokenRefreshView
from jwtauth.models import OldLogin, Session
from tests.neighbours.moved import urls
from tests.neighbours.moved.cases import SAME_ORIGIN, TOKENS, make_user, sets_tokens, who
from tests.neighbours.moved.cases import accepting as accepting_logins

APP = "/_allauth/app/v1"
JWT_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"
KINDS = pytest.mark.parametrize("kind", ["session_token", "refresh_token"])
STATEFUL = pytest.mark.parametrize("stateful", [False, True], ids=["stateless", "stateful"])


@api_view()
@authentication_classes([XSessionTokenAuthentication, JWTTokenAuthentication])
def old_who(request):
    return Response({"user": request.user.get_username()})


urlpatterns = [
    path("moved/tokens/refresh", TokenRefreshView.as_view()),
    path("_allauth/", include("allauth.headless.urls")),
    path("old/who/", old_who),
    *urls.urlpatterns,
]
pytestmark = pytest.mark.urls(__name__)


@contextmanager
def strategy(kind, **jwt_settings):
    """Issue tokens of this kind, as the site did before."""
    named = {} if kind == "session_token" else {"HEADLESS_TOKEN_STRATEGY": JWT_STRATEGY}
    with override_settings(**named, **{f"HEADLESS_JWT_{name}": value for name, value in jwt_settings.items()}):
        yield


@contextmanager
def accepting(kind="refresh_token", *, jwt_settings=None, **entry):
    with strategy(kind, **(jwt_settings or {})), accepting_logins("allauth", **entry):
        yield


def post(url, body, client=None, **headers):
    return (client or Client()).post(url, body, content_type="application/json", **headers)


def sign_in(kind="refresh_token", name="ada", **jwt_settings):
    """Return the tokens that allauth's own login gives to an app."""
    with strategy(kind, **jwt_settings):
        answer = post(f"{APP}/auth/login", {"username": name, "password": "a secret"})
    assert answer.status_code == 200, answer.content
    return answer.json()["meta"]


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def session_token(token):
    return {"HTTP_X_SESSION_TOKEN": token}


def refresh(token, client=None):
    return post("/auth/token/refresh/", {"refresh": token}, client)


def is_accepted(kind, token):
    """Return whether allauth accepts this token, by its own view or authentication class."""
    if kind == "session_token":
        return who(Client(), "/old/who/", **session_token(token)) == "ada"
    with strategy(kind):
        status = post(f"{APP}/tokens/refresh", {"refresh_token": token}).status_code
    assert status in (200, 400)
    return status == 200


@KINDS
def test_a_token_becomes_a_session_and_is_spent_once_its_successor_is_seen(ada, clock, kind):
    old = sign_in(kind)[kind]
    with accepting(kind, jwt_settings={"ROTATE_REFRESH_TOKEN": False}):
        pair = refresh(old).json()
        assert who(Client(), **bearer(pair["access"])) == "ada"
        assert Session.objects.get().user == ada
        assert refresh(old).json()["refresh"] == pair["refresh"], "a lost response: the same tokens again"
        assert is_accepted(kind, old), "the app may still have dropped the new tokens"
        assert refresh(pair["refresh"]).status_code == 200
        assert not is_accepted(kind, old)
        assert not DjangoSession.objects.exists()
        assert refresh(old).status_code == 200, "a parallel request, within the grace period"
        assert Session.objects.count() == 1
        clock.tick(60)
        assert refresh(old).status_code == 401
        assert not Session.objects.exists(), "a copy: the session ended"
    assert OldLogin.objects.get().reference == ""


def test_a_page_that_sends_the_session_token_gets_cookies(ada, clock):
    old = session_token(sign_in("session_token")["session_token"])
    with accepting("session_token"):
        page = Client(enforce_csrf_checks=True)
        answer = page.post("/who/", **old, **SAME_ORIGIN)
        assert (answer.json()["user"], sets_tokens(answer)) == ("ada", list(TOKENS))
        lost = Client().get("/plain/", **old, **SAME_ORIGIN)
        assert [lost.cookies[name].value for name in TOKENS] == [answer.cookies[name].value for name in TOKENS]
        assert who(Client(), "/old/who/", **old) == "ada"
        assert not sets_tokens(page.get("/who/", **old, **SAME_ORIGIN)), "it brings the new cookies"
        assert who(Client(), "/old/who/", **old) == ""
        assert who(Client(), **old, **SAME_ORIGIN) == "ada", "a parallel request that was sent before"
        clock.tick(60)
        assert who(Client(), **old, **SAME_ORIGIN) == ""
        assert not Session.objects.exists(), "a copy: the session ended"


def test_an_app_that_sends_the_session_token_is_admitted(ada, clock):
    """It ignores cookies, so no session starts."""
    old = session_token(sign_in("session_token")["session_token"])
    with accepting("session_token"):
        for page in ("/who/", "/plain/"):
            answer = Client(enforce_csrf_checks=True).get(page, **old)
            assert (answer.json()["user"], dict(answer.cookies)) == ("ada", {})
        assert Client(enforce_csrf_checks=True).post("/who/", **old).status_code == 200, "a header needs no CSRF token"
        clock.tick(settings.SESSION_COOKIE_AGE)
        assert who(Client(), **old) == ""
    assert not Session.objects.exists()
    assert who(Client(), **old) == "", "without the setting"


@STATEFUL
@pytest.mark.parametrize("page", ["/who/", "/plain/"])
def test_an_access_token_admits_until_it_expires_and_starts_no_session(ada, clock, page, stateful):
    access = sign_in()["access_token"]
    with accepting(jwt_settings={"STATEFUL_VALIDATION_ENABLED": stateful}):
        for _ in range(2):
            answer = Client().get(page, **bearer(access), **SAME_ORIGIN)
            assert (answer.json()["user"], dict(answer.cookies)) == ("ada", {})
        assert refresh(access).status_code == 401, "a copy of an access token never becomes a session"
        clock.tick(301)
        assert who(Client(), page, **bearer(access)) == ""
    assert not Session.objects.exists()
    assert who(Client(), page, **bearer(access)) == "", "without the setting"


def test_a_page_that_sends_both_goes_on_with_the_access_token(ada):
    """jwtauth ignores the cookies of a request with such a header, so they would never be seen."""
    tokens = sign_in()
    with accepting():
        both = {**bearer(tokens["access_token"]), **session_token(tokens["session_token"]), **SAME_ORIGIN}
        answer = Client().get("/who/", **both)
        assert (answer.json()["user"], dict(answer.cookies)) == ("ada", {})
        both = {**both, **bearer(f"{tokens['access_token']}x")}
        assert who(Client(), **both) == ""
        assert who(Client(), **session_token(tokens["session_token"])) == "ada"


@STATEFUL
def test_what_allauth_refuses_is_refused(ada, stateful):
    jwts, other, forged = sign_in(), sign_in("session_token"), sign_in()
    key = "another key, as long as an HMAC key of SHA-256"
    forged = {
        name: jwt.encode(internal.decode_token(forged[f"{name}_token"], name), key, "HS256")
        for name in ("access", "refresh")
    }
    DjangoSession.objects.filter(pk=other["session_token"]).update(expire_date=timezone.now() - timedelta(seconds=1))
    refused = [
        other["session_token"],
        forged["refresh"],
        f"{jwts['refresh_token']}x",
        "x",
        "x" * 5000,
        "",
        "../../x",
        "é",
    ]
    with accepting(jwt_settings={"STATEFUL_VALIDATION_ENABLED": stateful}):
        for token in refused:
            assert refresh(token).status_code == 401
            assert who(Client(), **session_token(token)) == ""
            assert who(Client(), **session_token(token), **SAME_ORIGIN) == ""
        assert who(Client(), **bearer(forged["access"])) == ""
        assert who(Client(), **bearer(jwts["refresh_token"])) == "", "a refresh token is not an access token"
        assert is_accepted("refresh_token", jwts["refresh_token"])
        assert refresh(jwts["refresh_token"]).status_code == 401, "allauth has replaced it"
        ada.is_active = False
        ada.save()
        assert who(Client(), **bearer(jwts["access_token"])) == ""
        assert who(Client(), **session_token(jwts["session_token"])) == ""
        assert refresh(jwts["session_token"]).status_code == 401
        ada.delete()
        assert who(Client(), **bearer(jwts["access_token"])) == ""
    assert not Session.objects.exists()


@KINDS
def test_an_expired_token_is_refused(ada, clock, kind):
    old = sign_in(kind)[kind]
    with accepting(kind):
        clock.tick(settings.SESSION_COOKIE_AGE if kind == "session_token" else 24 * 3600)
        assert refresh(old).status_code == 401


def test_a_token_of_an_allauth_session_that_ended_is_refused(ada):
    tokens = sign_in()
    with accepting(jwt_settings={"STATEFUL_VALIDATION_ENABLED": True}):
        logged_out = Client().delete(f"{APP}/auth/session", **session_token(tokens["session_token"]))
        assert logged_out.status_code == 401
        assert refresh(tokens["refresh_token"]).status_code == 401
        assert refresh(tokens["session_token"]).status_code == 401
        assert who(Client(), **bearer(tokens["access_token"])) == ""


def test_a_login_that_is_not_complete_is_refused(ada):
    """An app has a session token before its user has signed in."""
    session = internal.lookup_session(sign_in("session_token")["session_token"])
    session.flush()
    session["account_login"] = {}
    session.save()
    with accepting("session_token"):
        assert who(Client(), **session_token(session.session_key)) == ""
        assert refresh(session.session_key).status_code == 401
    assert not OldLogin.objects.exists()


@KINDS
def test_a_session_that_ended_does_not_come_back(ada, kind):
    tokens = sign_in(kind)
    with accepting(kind):
        pair = refresh(tokens[kind]).json()
        Session.objects.get().end()
        assert who(Client(), **bearer(pair["access"])) == ""
        assert refresh(tokens[kind]).status_code == 401
        assert not is_accepted(kind, tokens[kind]), "it is ended there as well"
        assert who(Client(), **session_token(tokens["session_token"])) == "", "with all that belongs to it"
    assert not Session.objects.exists()


@KINDS
def test_a_new_password_refuses_older_tokens(ada, clock, kind):
    make_user("bob")
    old, other = sign_in(kind), sign_in(kind, "bob")
    clock.tick(5)
    with accepting(kind):
        ada.set_password("another secret")
        ada.save()
        assert refresh(old[kind]).status_code == 401
        assert who(Client(), **session_token(old["session_token"])) == ""
        if kind == "refresh_token":
            assert who(Client(), **bearer(old["access_token"])) == ""
        assert refresh(other[kind]).status_code == 200, "another user's"
        ada.set_password("a secret")
        ada.save()
        assert refresh(sign_in(kind)[kind]).status_code == 200, "issued after it"


@KINDS
def test_signing_out_elsewhere_refuses_older_tokens(ada, clock, kind):
    old = sign_in(kind)
    clock.tick(5)
    with accepting(kind):
        browser = Client()
        assert post("/auth/login/", {"username": "ada", "password": "a secret"}, browser).status_code == 200
        assert browser.delete("/auth/sessions/others/").status_code == 200
        assert refresh(old[kind]).status_code == 401
        assert who(Client(), **session_token(old["session_token"])) == ""


@KINDS
def test_after_until_nothing_is_accepted(ada, kind):
    old = sign_in(kind)
    with accepting(kind, days=-1):
        assert refresh(old[kind]).status_code == 401
        assert who(Client(), **session_token(old["session_token"])) == ""
        assert is_accepted(kind, old[kind])


@pytest.mark.parametrize("rotates", [False, True])
def test_before_since_allauth_renews(ada, rotates):
    tokens = sign_in()
    with accepting(since="2999-01-01", days=400_000, jwt_settings={"ROTATE_REFRESH_TOKEN": rotates}):
        answer = refresh(tokens["refresh_token"]).json()
        assert (answer["refresh"] != tokens["refresh_token"]) == rotates
        assert who(Client(), "/old/who/", **bearer(answer["access"])) == "ada"
        assert who(Client(), **bearer(answer["access"])) == "ada"
        answer = post("/moved/tokens/refresh", {"refresh_token": answer["refresh"]}).json()["data"]
        assert who(Client(), "/old/who/", **bearer(answer["access_token"])) == "ada"
        header = {**session_token(tokens["session_token"]), **SAME_ORIGIN}
        assert not Client().get("/who/", **header).cookies
        assert who(Client(), **header) == "ada"
        assert refresh(tokens["session_token"]).status_code == 401, "there is nothing to renew: allauth accepts it"
        assert who(Client(), "/old/who/", **header) == "ada"
    assert not Session.objects.exists()


def test_logout_refuses_what_it_shows(ada):
    by_session, by_jwt = sign_in("session_token")["session_token"], sign_in()
    with accepting():
        for headers in (session_token(by_session), bearer(by_jwt["access_token"])):
            assert who(Client(), **headers) == "ada"
            assert Client().post("/auth/logout/", **headers).status_code == 204
            assert who(Client(), **headers) == ""
        assert not is_accepted("session_token", by_session)
        assert not is_accepted("refresh_token", by_jwt["refresh_token"]), "as at allauth's own logout"
        assert refresh(by_jwt["refresh_token"]).status_code == 401
    assert not DjangoSession.objects.exists()


@KINDS
@pytest.mark.parametrize("has_moved", [False, True])
def test_revoking_a_token_ends_it_in_both_packages(ada, kind, has_moved):
    old = sign_in(kind)[kind]
    with accepting(kind):
        if has_moved:
            assert refresh(old).status_code == 200
        assert post("/auth/token/revoke/", {"token": old}).status_code == 200
        assert refresh(old).status_code == 401
        assert not is_accepted(kind, old)
    assert not Session.objects.exists()


@KINDS
@pytest.mark.parametrize("extends", [False, True])
def test_a_session_lasts_as_long_as_allauth_would_have_let_it(ada, clock, kind, extends):
    """allauth saves the session of an app when it changes, even with ``SESSION_SAVE_EVERY_REQUEST``."""
    with override_settings(SESSION_SAVE_EVERY_REQUEST=extends):
        tokens = sign_in(kind)
        clock.tick(3600)
        before = DjangoSession.objects.get().expire_date
        client = Client()
        with strategy(kind):
            assert client.get(f"{APP}/auth/session", **session_token(tokens["session_token"])).status_code == 200
        assert DjangoSession.objects.get().expire_date == before
        with accepting(kind, jwt_settings={"ROTATE_REFRESH_TOKEN": extends}):
            assert refresh(tokens[kind]).status_code == 200
    session = Session.objects.get()
    end = before.timestamp() if kind == "session_token" else time.time() - 3600 + 24 * 3600
    assert session.end_is_fixed == (kind == "session_token" or not extends)
    assert not session.end_is_fixed or abs(session.expires_at.timestamp() - end) < 2


def test_an_app_may_go_on_with_the_url_of_allauth(ada, clock):
    old = sign_in()["refresh_token"]
    with accepting():
        answer = post("/moved/tokens/refresh", {"refresh_token": old})
        tokens = answer.json()["data"]
        assert (answer.json()["status"], sorted(tokens)) == (200, ["access_token", "refresh_token"])
        assert who(Client(), **bearer(tokens["access_token"])) == "ada"
        again = post("/moved/tokens/refresh", {"refresh_token": tokens["refresh_token"]})
        assert again.status_code == 200
        clock.tick(60)
        for body in ({"refresh_token": old}, {"refresh_token": "x"}, {"refresh_token": ""}, {}, []):
            answer = post("/moved/tokens/refresh", body)
            assert answer.status_code == 400
    assert not Session.objects.exists()


@pytest.mark.parametrize("scheme", ["Bearer", "Token"])
def test_the_scheme_of_the_header_is_allauths(ada, scheme):
    access = sign_in()["access_token"]
    with accepting(jwt_settings={"AUTHORIZATION_HEADER_SCHEME": scheme}):
        for shown in ("Bearer", "Token"):
            seen = who(Client(), HTTP_AUTHORIZATION=f"{shown} {access}")
            assert seen == ("ada" if shown == scheme else "")


@pytest.mark.django_db(transaction=True)  # records are written after the commit
@KINDS
def test_no_secret_is_stored_or_logged(kind, caplog):
    make_user()
    tokens = sign_in(kind)
    with accepting(kind), caplog.at_level("INFO", "jwtauth"):
        pair = refresh(tokens[kind]).json()
        stored = repr([vars(row) for row in (*OldLogin.objects.all(), *Session.objects.all())]) + caplog.text
        assert OldLogin.objects.get().reference
        refresh(pair["refresh"])
    stored += repr([vars(row) for row in (*OldLogin.objects.all(), *Session.objects.all())]) + caplog.text
    for secret in (*(tokens[name] for name in tokens if name.endswith("_token")), pair["refresh"]):
        assert secret.rpartition(".")[2] not in stored
    assert "login_moved_in: from allauth" in caplog.text


def test_after_a_change_of_secret_key_the_old_session_is_kept(ada, clock):
    """Its key is stored encrypted by ``SECRET_KEY``, without the fallbacks. Its token is refused here all the same."""
    old = sign_in("session_token")["session_token"]
    with accepting("session_token"):
        pair = refresh(old).json()
        with override_settings(SECRET_KEY="x" * 64, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            assert refresh(pair["refresh"]).status_code == 200
            assert DjangoSession.objects.count() == 1
            clock.tick(1000)
            assert who(Client(), **session_token(old)) == ""
        assert not Session.objects.exists(), "a copy: the session ended"
