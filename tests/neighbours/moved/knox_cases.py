"""Logins of knox: a page's token in the header becomes a session, an app exchanges it or goes on with it."""

from datetime import timedelta

import pytest
from django.test import Client, override_settings
from knox.models import AuthToken

from jwtauth.models import Session
from tests.neighbours.moved.cases import SAME_ORIGIN, make_user, sets_tokens, who
from tests.neighbours.moved.cases import accepting as accepting_logins


def accepting(**settings):
    return accepting_logins("knox", **settings)


def header(token):
    return {"HTTP_AUTHORIZATION": f"Token {token}"}


def page(token):
    return {**header(token), **SAME_ORIGIN}


def exchange(client, token):
    return client.post("/auth/token/refresh/", {"refresh": token}, content_type="application/json")


@pytest.fixture
def token(ada):
    return AuthToken.objects.create(ada)[1]


@pytest.mark.parametrize("path", ["/who/", "/plain/"])
def test_an_app_is_admitted_and_keeps_its_token(client, token, path):
    with accepting():
        for _ in range(2):
            response = client.get(path, **header(token))
            assert response.json()["user"] == "ada"
            assert not sets_tokens(response)
        assert client.post("/who/", **header(token)).status_code == 200, "a header needs no CSRF token"
    assert not Session.objects.exists()
    assert AuthToken.objects.count() == 1


def test_a_page_moves_in_and_its_token_is_deleted_once_its_cookies_are_seen(client, token):
    with accepting():
        first = client.get("/who/", **page(token))
        assert len(sets_tokens(first)) == 2
        lost = Client().get("/who/", **page(token))
        assert lost.cookies["refresh_token"].value == first.cookies["refresh_token"].value
        assert Session.objects.count() == 1
        assert AuthToken.objects.count() == 1
        assert who(client, **page(token)) == "ada"
        assert not AuthToken.objects.exists()
        assert who(client, **page(token)) == "ada", "the page goes on sending the header"


def test_a_copied_token_ends_the_session(client, token, clock):
    with accepting():
        who(client, **page(token))
        who(client, **page(token))
        clock.tick(60)
        assert who(Client(), **header(token)) in ("ada", ""), "an app cannot have the cookies"
        assert Session.objects.exists()
        assert who(Client(), **page(token)) == ""
        assert not Session.objects.exists()
        assert who(client, **page(token)) == ""


def test_an_app_exchanges_its_token(client, token):
    with accepting():
        pair = exchange(client, token).json()
        assert who(client, HTTP_AUTHORIZATION=f"Bearer {pair['access']}") == "ada"
        assert AuthToken.objects.exists()
        assert exchange(client, pair["refresh"]).status_code == 200
        assert not AuthToken.objects.exists()


def test_what_knox_refuses_is_refused(client, ada, token):
    other = AuthToken.objects.create(make_user("bob"))[1]
    AuthToken.objects.create(ada, expiry=timedelta(seconds=-1))
    expired = AuthToken.objects.create(ada, expiry=timedelta(seconds=-1))[1]
    with accepting():
        for bad in (expired, token[:-1], token + "0", f"{token} x", "", "é", "\udcff", "x" * 10_000, "0" * 64):
            assert who(client, **page(bad)) == "", bad
            assert exchange(client, bad).status_code in (400, 401)
        ada.is_active = False
        ada.save()
        assert who(client, **page(token)) == ""
        assert who(client, **page(other)) == "bob"
    assert Session.objects.count() == 1


@pytest.mark.parametrize(
    ("settings", "is_fixed", "seconds"),
    [
        ({"TOKEN_TTL": timedelta(hours=5)}, True, 5 * 3600),
        ({"TOKEN_TTL": timedelta(hours=5), "AUTO_REFRESH": True}, False, 24 * 3600),
        (
            {"TOKEN_TTL": timedelta(hours=5), "AUTO_REFRESH": True, "AUTO_REFRESH_MAX_TTL": timedelta(days=9)},
            True,
            9 * 24 * 3600,
        ),
    ],
)
def test_the_session_lasts_as_long_as_the_token(client, ada, clock, settings, is_fixed, seconds):
    with override_settings(REST_KNOX=settings), accepting():
        token = AuthToken.objects.create(ada)[1]
        assert exchange(client, token).status_code == 200
    session = Session.objects.get()
    assert session.end_is_fixed == is_fixed
    assert (session.expires_at - session.created_at).total_seconds() == seconds


@pytest.mark.parametrize("is_seen", [False, True])
def test_an_ended_session_does_not_come_back(client, token, is_seen):
    with accepting():
        who(client, **page(token))
        if is_seen:
            who(client, **page(token))
        Session.objects.get().end()
        assert who(client, **page(token)) == ""
        assert who(Client(), **header(token)) == ""
    assert not AuthToken.objects.exists(), "it is ended there as well"


def test_logout_deletes_the_token_that_it_shows(client, token):
    with accepting():
        assert client.post("/auth/logout/", **header(token)).status_code == 204
        assert who(client, **header(token)) == ""
    assert not AuthToken.objects.exists()


def test_a_new_password_refuses_older_tokens(client, ada, token, clock):
    with accepting():
        clock.tick(1)
        ada.set_password("another secret")
        ada.save()
        assert who(client, **header(token)) == ""
        assert who(client, **header(AuthToken.objects.create(ada)[1])) == "ada"


def test_after_until_nothing_is_accepted(client, token):
    with accepting(days=-1):
        assert who(client, **page(token)) == ""
        assert exchange(client, token).status_code == 401


def test_before_since_nothing_moves(client, token):
    with accepting(since="2999-01-01", days=400_000):
        assert not sets_tokens(client.get("/who/", **page(token)))
        assert who(client, **page(token)) == "ada"
        assert exchange(client, token).status_code == 401, "knox has no refresh tokens"
    assert not Session.objects.exists()


def test_beside_authtoken_each_reads_its_own_tokens(client, ada, token):
    from rest_framework.authtoken.models import Token

    other = Token.objects.create(user=make_user("bob"))
    until = "2999-01-01"
    for names in (("knox", "authtoken"), ("authtoken", "knox")):
        sources = [{"source": name, "until": until} for name in names]
        with override_settings(JWTAUTH={"COOKIE_SECURE": False, "ACCEPT_LOGINS_OF": sources}):
            assert who(client, **header(token)) == "ada"
            assert who(client, **header(other.key)) == "bob"
    assert Token.objects.exists()
    assert AuthToken.objects.exists()
