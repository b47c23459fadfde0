"""Logins of knox: a token of a page becomes a session; a token of an app admits until it is exchanged."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from knox.views import LoginView
from rest_framework.authentication import BasicAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from jwtauth import JWTAuthentication
from jwtauth.contrib.old_logins import knox
from jwtauth.models import OldLogin, Session
from tests.neighbours.moved import urls
from tests.neighbours.moved.cases import SAME_ORIGIN, make_user, sets_tokens, who
from tests.neighbours.moved.cases import accepting as accepting_logins


def see(request):
    return Response({"user": request.user.get_username(), "auth": type(request.auth).__name__})


def view_with(*classes):
    return api_view(["GET", "POST"])(authentication_classes(classes)(permission_classes([IsAuthenticated])(see)))


urlpatterns = [
    *urls.urlpatterns,
    path("knox/login/", LoginView.as_view(authentication_classes=[BasicAuthentication])),
    path("beside/", view_with(JWTAuthentication, TokenAuthentication)),
    path("knox-first/", view_with(TokenAuthentication, JWTAuthentication)),
]
pytestmark = pytest.mark.urls(__name__)
PATHS = ["/who/", "/plain/", "/beside/"]
HOUR = 3600


def accepting(**settings):
    return accepting_logins("knox", **settings)


def header(token):
    return {"HTTP_AUTHORIZATION": f"Token {token}"}


def page(token):
    """Return the headers of a page that keeps the token in its storage."""
    return {**header(token), **SAME_ORIGIN}


def sign_in(name="ada"):
    basic = {"ada": "YWRhOmEgc2VjcmV0", "bob": "Ym9iOmEgc2VjcmV0"}[name]
    answer = Client().post("/knox/login/", HTTP_AUTHORIZATION=f"Basic {basic}")
    assert answer.status_code == 200, answer.content
    return answer.json()["token"]


def exchange(client, token):
    return client.post("/auth/token/refresh/", {"refresh": token}, content_type="application/json")


@pytest.mark.parametrize("path", PATHS)
def test_an_app_is_admitted_and_starts_no_session(client, ada, path):
    token = sign_in()
    with accepting():
        for _ in range(3):
            response = client.get(path, **header(token))
            assert response.json()["user"] == "ada"
            assert not response.cookies
        assert client.post(path, **header(token)).status_code == 200, "a header needs no CSRF token"
        for site in ("same-site", "cross-site", "none"):
            assert not client.get(path, **header(token), HTTP_SEC_FETCH_SITE=site).cookies
    assert not Session.objects.exists()
    assert AuthToken.objects.count() == 1
    assert who(client, "/plain/", **header(token)) == "", "without the setting"


@pytest.mark.parametrize("path", PATHS)
def test_the_token_of_a_page_becomes_a_session_and_is_deleted_once_the_cookies_are_seen(client, ada, clock, path):
    token = sign_in()
    with accepting():
        lost = [Client().get(path, **page(token)) for _ in range(3)]
        assert all(sets_tokens(response) for response in lost), "parallel requests, or lost responses"
        first = client.get(path, **page(token))
        assert first.json()["user"] == "ada"
        assert {response.cookies["refresh_token"].value for response in (*lost, first)} == {
            first.cookies["refresh_token"].value
        }
        assert Session.objects.get().user == ada
        assert AuthToken.objects.exists(), "the browser may not have received the cookies"
        assert who(client, path, **page(token)) == "ada"
        assert not AuthToken.objects.exists()
        assert who(client, path, **page(token)) == "ada", "the page still sends the token"
        assert who(client, path) == "ada"
        assert sets_tokens(Client().get(path, **page(token))), "a parallel request, within the grace period"
        for _ in range(3):
            clock.tick(2 * HOUR)  # the access token has expired
            assert who(client, path, **page(token)) == "ada"
    assert Session.objects.count() == 1
    assert not OldLogin.objects.exclude(reference="").exists()


def test_a_page_whose_cookies_are_dropped_stays_signed_in(ada, clock):
    with override_settings(REST_KNOX={"TOKEN_TTL": timedelta(days=20)}):
        token = sign_in()
        with accepting():
            for _ in range(5):
                assert who(Client(), **page(token)) == "ada"
                clock.tick(3 * 24 * HOUR)
    assert Session.objects.count() == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", [{}, SAME_ORIGIN], ids=["app", "browser"])
def test_what_knox_refuses_is_refused(client, ada, clock, path, place):
    token, deleted, expired = sign_in(), sign_in(), sign_in()
    AuthToken.objects.filter(token_key=deleted[:15]).delete()
    AuthToken.objects.filter(token_key=expired[:15]).update(expiry=timezone.now() - timedelta(seconds=1))
    wrong = ["", " ", "x", f"{token}x", token[:-1], token[:15], token.upper() + "x", f"{token} {token}", "x" * 100_000]
    wrong += ["\0", f"{token}\0", "💥".encode().decode("latin-1"), "' OR 1=1", "%00"]
    if path != "/beside/":  # knox's class fails with an error, which is answered with 500
        wrong += [f"{token[:15]}\xff\xfe", "\xff", "\x85"]
    with accepting():
        for one in (*wrong, deleted, expired):
            assert who(client, path, **header(one), **place) == "", one
        for one in ("Token", f"Tokens {token}", f"Bearer {token}", token, f"Token\xa0{token}"):
            assert who(client, path, HTTP_AUTHORIZATION=one, **place) == "", one
        ada.is_active = False
        ada.save()
        assert who(client, path, **header(token), **place) == ""
        assert not Session.objects.exists()
        ada.is_active = True
        ada.save()
        clock.tick(9 * HOUR)
        assert who(client, path, **header(token), **place) == "ada"
        clock.tick(2 * HOUR)
        client.cookies.clear()
        assert who(client, path, **header(token), **place) == ""


def test_an_app_exchanges_its_token_for_a_pair(client, ada, clock):
    token = sign_in()
    with accepting():
        pair = exchange(client, token).json()
        assert exchange(client, token).json()["refresh"] == pair["refresh"], "a lost response"
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {pair['access']}"}
        assert who(client, **bearer) == "ada"
        assert AuthToken.objects.exists(), "the app may have dropped the refresh token"
        assert exchange(client, pair["refresh"]).status_code == 200
        assert not AuthToken.objects.exists()
        assert exchange(client, token).status_code == 200, "within the grace period"
        clock.tick(60)
        assert exchange(client, token).status_code == 401
    assert not Session.objects.exists(), "a copy: the session ended"


@pytest.mark.parametrize("text", ["x", "", "\0", "\ud800", "é" * 64, "a" * 15, "G" * 64, "a.b.c", "a" * 64, "a" * 9999])
def test_other_texts_are_not_exchanged(client, ada, text):
    sign_in()
    with accepting():
        assert exchange(client, text).status_code in (400, 401)
    assert not Session.objects.exists()


def test_only_a_text_that_may_be_a_token_is_looked_up(client, ada):
    token, jwt = sign_in(), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    source = knox.Logins()
    with CaptureQueriesContext(connection) as queries:
        assert source.shown_as_refresh_token(token)
        assert source.shown_as_refresh_token(f"prefix_{token}")
        assert token not in repr(source.shown_as_refresh_token(token))
        assert not source.shown_as_refresh_token(jwt)
    assert len(queries) == 0


def test_a_prefix_and_another_keyword(client, ada):
    with override_settings(REST_KNOX={"TOKEN_PREFIX": "site_", "AUTH_HEADER_PREFIX": "Bearer"}):
        token = sign_in()
        assert token.startswith("site_")
        with accepting():
            assert who(client, "/plain/", **header(token)) == ""
            assert who(client, "/plain/", HTTP_AUTHORIZATION=f"bearer {token}") == "ada"
            assert exchange(client, token).status_code == 200


@pytest.mark.parametrize(
    ("knox_settings", "lasts", "is_fixed"),
    [
        ({}, timedelta(hours=10), True),
        ({"TOKEN_TTL": timedelta(days=100)}, timedelta(days=100), True),
        ({"TOKEN_TTL": None}, timedelta(days=14), False),
        ({"AUTO_REFRESH": True}, timedelta(days=14), False),
        ({"AUTO_REFRESH": True, "AUTO_REFRESH_MAX_TTL": timedelta(days=3)}, timedelta(days=3), True),
    ],
    ids=["fixed", "long", "never", "sliding", "sliding to an end"],
)
def test_a_session_lasts_as_long_as_knox_lets_the_token(client, ada, clock, knox_settings, lasts, is_fixed):
    started = timezone.now()
    with override_settings(REST_KNOX=knox_settings):
        token = sign_in()
        clock.tick(HOUR)
        with accepting(days=400, REFRESH_TOKEN_LIFETIME=timedelta(days=14)):
            assert who(client, **page(token)) == "ada"
    session = Session.objects.get()
    begins = started if is_fixed else timezone.now()
    assert abs(session.expires_at - (begins + lasts)) <= timedelta(seconds=1)
    assert session.end_is_fixed == is_fixed


def test_knox_goes_on_extending_the_token_of_an_app(client, ada, clock):
    with override_settings(REST_KNOX={"AUTO_REFRESH": True}), accepting():
        token = sign_in()
        for _ in range(4):
            clock.tick(6 * HOUR)
            assert who(client, **header(token)) == "ada"
        clock.tick(11 * HOUR)
        assert who(client, **header(token)) == ""


def test_before_since_no_session_starts(client, ada):
    token = sign_in()
    with accepting(since="2999-01-01", days=400_000):
        response = client.get("/who/", **page(token))
        assert response.json()["user"] == "ada"
        assert not response.cookies
    assert not Session.objects.exists()


def test_after_until_nothing_is_accepted(client, ada):
    token = sign_in()
    with accepting(days=-1):
        assert who(client, "/plain/", **page(token)) == ""
        assert exchange(client, token).status_code == 401


@pytest.mark.parametrize("is_seen", [False, True])
def test_a_session_that_ended_does_not_come_back(client, ada, is_seen):
    token = sign_in()
    with accepting():
        for _ in range(1 + is_seen):
            assert who(client, **page(token)) == "ada"
        Session.objects.get().end()
        assert not AuthToken.objects.exists(), "it is ended there as well"
        for path in PATHS:
            assert who(client, path, **page(token)) == ""
            assert who(Client(), path, **header(token)) == ""
        assert exchange(client, token).status_code == 401
    assert not Session.objects.exists()


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_new_password_refuses_what_was_issued_before(client, ada, clock, is_moved):
    make_user("bob")
    token, other, elsewhere = sign_in(), sign_in("bob"), sign_in()
    with accepting():
        if is_moved:
            assert who(client, **page(token)) == "ada"
        clock.tick(5)
        ada.set_password("a secret")
        ada.save()
        for one in (token, elsewhere):
            assert who(Client(), "/plain/", **page(one)) == ""
            assert who(Client(), "/plain/", **header(one)) == ""
        assert who(client, "/plain/", **page(token)) == ""
        assert who(Client(), **page(other)) == "bob", "another user's"
        assert who(Client(), **page(sign_in())) == "ada", "issued after it"


def test_a_copy_of_a_spent_token_ends_the_session(client, ada, clock):
    token = sign_in()
    with accepting():
        for _ in range(2):
            assert who(client, **page(token)) == "ada"
        clock.tick(60)
        assert who(Client(), **page(token)) == ""
        assert not Session.objects.exists()
        assert who(client, **page(token)) == ""


@pytest.mark.parametrize("requests", [0, 1, 2], ids=["app", "browser", "cookies seen"])
def test_logout_refuses_the_token_that_it_shows(client, ada, requests):
    make_user("bob")
    token, other = sign_in(), sign_in("bob")
    with accepting():
        for _ in range(requests):
            assert who(client, **page(token)) == "ada"
        answer = client.post("/auth/logout/", **(page(token) if requests else header(token)))
        assert answer.status_code == 204
        assert list(AuthToken.objects.values_list("user__username", flat=True)) == ["bob"]
        for path in PATHS:
            assert who(client, path, **page(token)) == ""
            assert who(Client(), path, **header(token)) == ""
        assert who(Client(), **page(other)) == "bob"


def test_revoking_a_token_ends_it_in_both_packages(client, ada):
    token = sign_in()
    with accepting():
        assert who(client, **page(token)) == "ada"
        answer = client.post("/auth/token/revoke/", {"token": token}, content_type="application/json")
        assert answer.status_code == 200
        assert who(client, **page(token)) == ""
    assert not Session.objects.exists()
    assert not AuthToken.objects.exists()


def test_a_deactivated_user_is_refused_after_the_move(client, ada):
    token = sign_in()
    with accepting():
        for _ in range(2):
            assert who(client, **page(token)) == "ada"
        ada.is_active = False
        ada.save()
        assert who(client, **page(token)) == ""
        assert who(Client(), **header(token)) == ""


def test_each_login_of_a_user_is_a_session_of_its_own(client, ada):
    tokens = [sign_in(), sign_in()]
    with accepting():
        for token in tokens:
            browser = Client()
            for _ in range(2):
                assert who(browser, **page(token)) == "ada"
    assert Session.objects.count() == 2


def test_views_see_the_token_of_knox_until_it_has_moved(client, ada):
    token = sign_in()
    with accepting():
        assert client.get("/beside/", **header(token)).json()["auth"] == "AuthToken"
        assert client.get("/beside/", **page(token)).json()["auth"] == "Claims"


def test_knox_s_class_must_not_be_listed_first(client, ada):
    """It answers 401 to the token that the page still sends, although the cookies are good."""
    token = sign_in()
    with accepting():
        for _ in range(2):
            assert client.get("/knox-first/", **page(token)).json()["auth"] == "AuthToken"
        assert who(client, **page(token)) == "ada"  # the cookies are seen, so the token is spent
        assert client.get("/knox-first/", **page(token)).status_code == 401
        assert client.get("/beside/", **page(token)).status_code == 200


@pytest.mark.parametrize("sources", [("knox", "authtoken"), ("authtoken", "knox")])
def test_tokens_of_both_packages_with_one_keyword(client, ada, sources):
    bob = make_user("bob")
    token, other = sign_in(), Token.objects.create(user=bob).key
    until = (timezone.now() + timedelta(days=30)).isoformat()
    both = [{"source": source, "until": until} for source in sources]
    with override_settings(JWTAUTH={"COOKIE_SECURE": False, "ACCEPT_LOGINS_OF": both}):
        assert who(client, **header(other)) == "bob"
        assert not client.get("/plain/", **page(other)).cookies, "it starts no session"
        assert exchange(client, other).status_code == 401
        assert who(client, **header(token)) == "ada"
        for _ in range(2):
            assert who(client, **page(token)) == "ada"
        assert set(OldLogin.objects.values_list("source", "user__username")) == {("knox", "ada"), ("authtoken", "bob")}
        assert Session.objects.get().user == ada
        assert Client().post("/auth/logout/", **header(other)).status_code == 204
        assert not Token.objects.exists()
        assert who(client, **page(token)) == "ada"


@pytest.mark.django_db(transaction=True)  # records are written after the commit
def test_no_secret_is_stored_or_logged(client, ada, caplog):
    token = sign_in()
    with accepting(), caplog.at_level("DEBUG", "jwtauth"):
        for _ in range(2):
            who(client, **page(token))
    stored = repr([vars(row) for row in (*OldLogin.objects.all(), *Session.objects.all())]) + caplog.text
    assert token not in stored
    assert token[15:] not in stored
    assert "login_moved_in: from knox" in caplog.text


def test_the_command_counts(client, ada, capsys):
    token = sign_in()
    with accepting():
        for _ in range(2):
            who(client, **page(token))
        call_command("jwtauth_moved")
    assert capsys.readouterr().out.startswith("knox: 1 moved in, 1 of them in use")


def test_numbers_of_queries(client, ada):
    token = sign_in()
    with accepting():
        who(client, **header(token))
        with CaptureQueriesContext(connection) as queries:
            who(client, **header(token))
        assert len(queries) == 5
        with CaptureQueriesContext(connection) as queries:
            assert who(client, HTTP_AUTHORIZATION="Basic eA==") == ""
        assert len(queries) == 0
        for _ in range(2):
            who(client, **page(token))
        with CaptureQueriesContext(connection) as queries:
            assert who(client, **page(token)) == "ada"
        assert len(queries) == 1


def test_a_token_that_another_request_deletes_meanwhile_is_refused(ada, rf, clock):
    """knox extends a token after it has read it."""
    source, request = knox.Logins(), rf.get("/")
    with override_settings(REST_KNOX={"AUTO_REFRESH": True}):
        token = sign_in()
        clock.tick(HOUR)
        request.META.update(header(token))
        (shown,) = source.shown(request)
        reads = []

        def delete_after_reading(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith("SELECT") and not reads:
                reads.append(sql)
                AuthToken.objects.all().delete()
            return result

        with connection.execute_wrapper(delete_after_reading):
            assert source.verify(request, shown) is None
    assert len(reads) == 1


def test_a_login_by_knox_replaces_the_user_of_the_browser(client, ada):
    make_user("bob")
    token = sign_in()
    with accepting():
        for _ in range(2):
            assert who(client, **page(token)) == "ada"
        answer = client.post("/knox/login/", HTTP_AUTHORIZATION="Basic Ym9iOmEgc2VjcmV0", **SAME_ORIGIN)
        assert answer.status_code == 200
        assert who(client, **page(answer.json()["token"])) == "bob"


def test_a_copy_that_an_app_shows_ends_the_session(client, ada, clock):
    token = sign_in()
    with accepting():
        for _ in range(2):
            assert who(client, **page(token)) == "ada"
        clock.tick(60)
        assert who(Client(), **header(token)) == ""
    assert not Session.objects.exists()
