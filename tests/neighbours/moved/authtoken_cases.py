"""Logins of rest_framework.authtoken: a token admits, in any number of requests, and starts no session."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from jwtauth import JWTAuthentication
from jwtauth.contrib.old_logins import authtoken
from jwtauth.models import OldLogin, Session
from tests.neighbours.moved import urls
from tests.neighbours.moved.cases import SAME_ORIGIN, make_user, who
from tests.neighbours.moved.cases import accepting as accepting_logins


class Keyword(TokenAuthentication):
    keyword = "Key"


class KeywordLogins(authtoken.Logins):
    authentication_class = f"{__name__}.Keyword"


@api_view(["GET"])
@authentication_classes([JWTAuthentication, TokenAuthentication])
@permission_classes([IsAuthenticated])
def beside(request):
    return Response({"user": request.user.get_username(), "auth": request.auth.key})


urlpatterns = [*urls.urlpatterns, path("beside/", beside), path("authtoken/login/", obtain_auth_token)]
pytestmark = pytest.mark.urls(__name__)
PATHS = ["/who/", "/plain/", "/beside/"]


def accepting(**settings):
    return accepting_logins("authtoken", **settings)


def header(token):
    return {"HTTP_AUTHORIZATION": f"Token {token}"}


def sign_in(name="ada", password="a secret"):
    answer = Client().post("/authtoken/login/", {"username": name, "password": password})
    assert answer.status_code == 200, answer.content
    return answer.json()["token"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", [{}, SAME_ORIGIN], ids=["app", "browser"])
def test_a_token_admits_and_starts_no_session(client, ada, path, place):
    token = sign_in()
    with accepting():
        for _ in range(3):
            response = client.get(path, **header(token), **place)
            assert response.json()["user"] == "ada"
            assert not response.cookies
        assert client.post("/who/", **header(token), **place).status_code == 200, "a header needs no CSRF token"
        answer = client.post("/auth/token/refresh/", {"refresh": token}, content_type="application/json")
        assert answer.status_code == 401, "it is for all devices of the user"
    assert not Session.objects.exists()
    assert Token.objects.filter(key=token).exists()
    assert who(client, "/plain/", **header(token)) == "", "without the setting"


def test_views_see_the_token_of_the_package(client, ada):
    token = sign_in()
    with accepting():
        assert client.get("/beside/", **header(token)).json()["auth"] == token


@pytest.mark.parametrize("path", PATHS)
def test_what_the_package_refuses_is_refused(client, ada, path):
    token = sign_in()
    Token.objects.filter(user=make_user("bob")).delete()
    wrong = ["", " ", "x", f"{token}x", token[:-1], f"{token} {token}", "x" * 100_000, "\0", f"{token}\0", "\xff\xfe"]
    wrong += ["é".encode().decode("latin-1"), "ÿ", "%00", "\x85", "💥".encode().decode("latin-1"), "' OR 1=1"]
    with accepting():
        for one in wrong:
            assert who(client, path, **header(one)) == "", one
        for one in ("Token", f"Tokens {token}", f"Bearer {token}", token, f"Token\xa0{token}"):
            assert who(client, path, HTTP_AUTHORIZATION=one) == "", one
        ada.is_active = False
        ada.save()
        assert who(client, path, **header(token)) == ""
        ada.is_active = True
        ada.save()
        assert who(client, path, **header(token)) == "ada"
        Token.objects.all().delete()
        assert who(client, path, **header(token)) == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize("written", ["token {}", "TOKEN {}", "Token  {} ", "Token\t{}"])
def test_a_header_is_read_as_the_package_reads_it(client, ada, written):
    token = sign_in()
    with accepting():
        assert who(client, "/plain/", HTTP_AUTHORIZATION=written.format(token)) == "ada"


def test_a_subclass_with_another_keyword_is_a_source_of_its_own(client, ada):
    token = sign_in()
    with accepting_logins(f"{__name__}.KeywordLogins"):
        assert who(client, "/plain/", HTTP_AUTHORIZATION=f"Key {token}") == "ada"
        assert who(client, "/plain/", **header(token)) == ""


def test_a_token_is_accepted_until_the_end_of_the_period(client, ada, clock):
    token = sign_in()
    with accepting(days=30):
        clock.tick(29 * 24 * 3600)
        assert who(client, "/plain/", **header(token)) == "ada"
        clock.tick(2 * 24 * 3600)
        assert who(client, "/plain/", **header(token)) == ""


def test_a_new_password_refuses_what_was_issued_before(client, ada, clock):
    token, other = sign_in(), Token.objects.create(user=make_user("bob"))
    with accepting():
        clock.tick(5)
        ada.set_password("another secret")
        ada.save()
        assert who(client, "/plain/", **header(token)) == ""
        assert who(client, "/plain/", **header(other)) == "bob"
        Token.objects.filter(user=ada).delete()
        assert who(client, "/plain/", **header(sign_in(password="another secret"))) == "ada", "issued after it"


def test_logout_deletes_the_token_that_it_shows(client, ada, clock):
    token, other = sign_in(), Token.objects.create(user=make_user("bob"))
    with accepting():
        assert client.post("/auth/logout/", **header(token)).status_code == 204
        assert not Token.objects.filter(user=ada).exists()
        assert who(client, "/plain/", **header(token)) == ""
        assert who(client, "/plain/", **header(other)) == "bob"
        clock.tick(1)
        assert who(client, "/plain/", **header(sign_in())) == "ada", "a later login"
        assert who(client, "/plain/", **header(token)) == ""
    assert not OldLogin.objects.filter(seen_at__isnull=False).exclude(reference="").exists(), "it is spent"


def test_a_token_that_was_given_since_is_not_deleted(ada):
    source = authtoken.Logins()
    older = Token.objects.create(user=ada).created
    Token.objects.all().delete()
    newer = Token.objects.create(user=ada)
    source.spend(older.isoformat(), ada.pk)
    assert Token.objects.get().key == newer.key
    source.spend(newer.created.isoformat(), ada.pk)
    source.spend(newer.created.isoformat(), ada.pk)
    assert not Token.objects.exists()


def test_the_key_is_not_stored_or_logged(client, ada, caplog):
    token = sign_in()
    with accepting(), caplog.at_level("DEBUG", "jwtauth"):
        who(client, **header(token))
        client.post("/auth/logout/", **header(token))
    assert OldLogin.objects.count() == 2
    assert token not in repr([vars(row) for row in OldLogin.objects.all()]) + caplog.text


def test_cookies_of_jwtauth_take_precedence(client, ada):
    make_user("bob")
    token = sign_in()
    with accepting():
        browser = Client()
        bob = {"username": "bob", "password": "a secret"}
        assert browser.post("/auth/login/", bob, content_type="application/json").status_code == 200
        assert who(browser, **header(token)) == "bob"
        assert Session.objects.get().user.username == "bob"


def test_an_admitted_request_makes_two_queries(client, ada):
    token = sign_in()
    with accepting():
        who(client, **header(token))
        with CaptureQueriesContext(connection) as queries:
            assert who(client, **header(token)) == "ada"
    assert len(queries) == 2


def test_a_request_without_a_token_makes_no_query(client, db):
    with accepting(), CaptureQueriesContext(connection) as queries:
        for headers in ({}, {"HTTP_AUTHORIZATION": "Basic eA=="}, header("")):
            assert who(client, **headers) == ""
    assert len(queries) == 0


def test_the_command_counts(client, ada, capsys):
    token = sign_in()
    with accepting():
        who(client, **header(token))
        call_command("jwtauth_moved")
    assert "authtoken: 0 moved in" in capsys.readouterr().out


@override_settings(USE_TZ=False)
def test_a_site_without_time_zones(client, ada):
    token = sign_in()
    with accepting():
        assert who(client, **header(token)) == "ada"
        assert client.post("/auth/logout/", **header(token)).status_code == 204
    assert not Token.objects.exists()


def test_a_user_with_a_new_password_signs_in_again(client, ada, clock):
    with accepting():
        old = sign_in()
        assert who(client, **header(old)) == "ada"
        clock.tick(5)
        ada.set_password("another secret")
        ada.save()
        assert who(client, **header(old)) == ""
        assert who(client, **header(sign_in(password="another secret"))) == "ada"
