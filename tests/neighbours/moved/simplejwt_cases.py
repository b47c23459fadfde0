"""Logins of simplejwt: access tokens admit until they expire, refresh tokens become sessions."""

import pytest
from django.core.management import call_command
from django.test import Client, override_settings
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from jwtauth.models import OldLogin, Session
from tests.neighbours.moved.cases import accepting as accepting_logins
from tests.neighbours.moved.cases import make_user, sets_tokens, who

URLS = ("/api/token/refresh/", "/auth/token/refresh/")


def accepting(**settings):
    return accepting_logins("simplejwt", **settings)


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def refresh(client, token, url=URLS[0]):
    return client.post(url, {"refresh": str(token)}, content_type="application/json")


@pytest.mark.parametrize("path", ["/who/", "/plain/"])
def test_an_access_token_admits_and_starts_no_session(client, ada, path):
    token = RefreshToken.for_user(ada).access_token
    with accepting():
        response = client.get(path, **bearer(token))
        assert response.json()["user"] == "ada"
        assert not sets_tokens(response)
        assert client.post("/who/", **bearer(token)).status_code == 200, "a header needs no CSRF token"
        assert refresh(client, token).status_code == 401, "a copy of an access token never becomes a session"
    assert not Session.objects.exists()
    assert client.get(path, **bearer(token)).status_code == 401, "without the setting"


def test_what_simplejwt_refuses_is_refused(client, ada):
    good = RefreshToken.for_user(ada)
    expired, blacklisted = RefreshToken.for_user(ada), RefreshToken.for_user(ada)
    expired.set_exp(lifetime=-expired.lifetime)
    blacklisted.blacklist()
    old = AccessToken.for_user(ada)
    old.set_exp(lifetime=-old.lifetime)
    with accepting():
        for token in (str(expired), str(blacklisted), f"{good}x", "", "x" * 10_000):
            assert refresh(client, token).status_code == 401
        assert who(client, **bearer(old)) == ""
        assert who(client, **bearer(good)) == "", "a refresh token is not an access token"
        ada.is_active = False
        ada.save()
        assert refresh(client, good).status_code == 401
        assert who(client, **bearer(good.access_token)) == ""
    assert not Session.objects.exists()


@pytest.mark.parametrize("url", URLS)
def test_a_refresh_token_becomes_a_session_and_is_spent_once_its_successor_is_seen(client, ada, clock, url):
    old = RefreshToken.for_user(ada)
    with accepting():
        pair = refresh(client, old, url).json()
        assert who(client, **bearer(pair["access"])) == "ada"
        assert Session.objects.get().user == ada
        lost = refresh(client, old, url).json()
        assert lost["refresh"] == pair["refresh"], "a lost response: the same tokens again"
        assert not BlacklistedToken.objects.exists(), "the client may still have dropped the new refresh token"
        assert refresh(client, pair["refresh"], url).status_code == 200
        assert BlacklistedToken.objects.get().token.jti == old["jti"]
        assert refresh(client, old, url).status_code == 200, "a parallel request, within the grace period"
        clock.tick(60)
        assert refresh(client, old, url).status_code == 401
        assert not Session.objects.exists(), "a copy: the session ended"
    assert OldLogin.objects.get().reference == ""


def test_a_client_that_keeps_its_old_refresh_token_stays_signed_in(client, ada, clock):
    """Without ``ROTATE_REFRESH_TOKENS``, clients do not look for a new refresh token in the answer."""
    old = RefreshToken.for_user(ada)
    with accepting():
        for _ in range(5):
            access = refresh(client, old).json()["access"]
            assert who(client, **bearer(access)) == "ada"
            with pytest.raises(TokenError):
                AccessToken(access)  # it is jwtauth's
            clock.tick(600)
    assert Session.objects.get().generation == 1
    assert Session.objects.get().end_is_fixed
    assert abs(Session.objects.get().expires_at.timestamp() - old["exp"]) < 2, "it ends with the old token"


def test_a_rotating_site_keeps_jwtauths_limits(client, ada):
    with override_settings(SIMPLE_JWT={"ROTATE_REFRESH_TOKENS": True}), accepting():
        assert refresh(client, RefreshToken.for_user(ada)).status_code == 200
    assert not Session.objects.get().end_is_fixed


def test_before_since_simplejwt_itself_renews(client, ada):
    old = RefreshToken.for_user(ada)
    with accepting(since="2999-01-01", days=400_000):
        answer = refresh(client, old).json()
        assert list(answer) == ["access"]
        assert AccessToken(answer["access"])["user_id"] == str(ada.pk)
    assert not Session.objects.exists()


def test_after_until_nothing_is_accepted(client, ada):
    old = RefreshToken.for_user(ada)
    with accepting(days=-1):
        assert refresh(client, old).status_code == 401
        assert who(client, **bearer(old.access_token)) == ""


def test_a_session_that_ended_does_not_come_back(client, ada):
    old = RefreshToken.for_user(ada)
    with accepting():
        pair = refresh(client, old).json()
        Session.objects.get().end()
        assert who(client, **bearer(pair["access"])) == ""
        assert refresh(client, old).status_code == 401
        assert BlacklistedToken.objects.get().token.jti == old["jti"], "it is ended there as well"


def test_a_new_password_refuses_what_was_issued_before(client, ada):
    old, other = RefreshToken.for_user(ada), RefreshToken.for_user(make_user("bob"))
    old.set_iat(at_time=old.current_time.replace(year=2020))
    with accepting():
        assert who(client, **bearer(old.access_token)) == "ada"
        ada.set_password("another secret")
        ada.save()
        assert refresh(client, old).status_code == 401
        assert refresh(client, other).status_code == 200, "another user's"
        assert refresh(client, RefreshToken.for_user(ada)).status_code == 200, "issued after it"


def test_logout_refuses_the_access_token_that_it_shows(client, ada):
    token = bearer(RefreshToken.for_user(ada).access_token)
    with accepting():
        assert who(client, **token) == "ada"
        assert client.post("/auth/logout/", **token).status_code == 204
        assert who(client, **token) == ""


def test_signing_out_elsewhere_refuses_older_tokens(client, ada):
    old = RefreshToken.for_user(ada)
    old.set_iat(at_time=old.current_time.replace(year=2020))
    with accepting():
        browser = Client()
        signed_in = {"username": "ada", "password": "a secret"}
        assert browser.post("/auth/login/", signed_in, content_type="application/json").status_code == 200
        assert browser.delete("/auth/sessions/others/").status_code == 200
        assert refresh(client, old).status_code == 401


def test_the_command_counts(client, ada, capsys):
    old = RefreshToken.for_user(ada)
    with accepting():
        who(client, **bearer(old.access_token))
        refresh(client, refresh(client, old).json()["refresh"])
        call_command("jwtauth_moved")
    assert capsys.readouterr().out == (
        "simplejwt: 1 moved in, 1 of them in use; 2 old credentials shown in the last day\n"
    )


def test_a_reached_limit_of_sessions_keeps_the_user_signed_in(client, ada):
    """The other package knew no limit: its access token goes on, and its refresh token is not lost."""
    old = RefreshToken.for_user(ada)
    with accepting(MAX_SESSIONS_PER_USER=1, MAX_SESSIONS_POLICY="refuse"):
        assert refresh(Client(), RefreshToken.for_user(ada)).status_code == 200
        answer = refresh(client, old)
        assert answer.status_code == 200
        assert AccessToken(answer.json()["access"])
    assert Session.objects.count() == 1


def test_views_see_a_user_without_a_session(client, ada):
    token = bearer(RefreshToken.for_user(ada).access_token)
    with accepting():
        me = client.get("/auth/me/", **token).json()
        assert (me["user"], me["session"], me["access_expires_in"]) == ({"id": ada.pk, "username": "ada"}, None, None)
        assert client.get("/auth/sessions/", **token).json() == []


@pytest.mark.parametrize("is_moved", [False, True])
def test_revoking_a_refresh_token_ends_it_in_both_packages(client, ada, is_moved):
    old = RefreshToken.for_user(ada)
    with accepting():
        if is_moved:
            assert refresh(client, old).status_code == 200
        answer = client.post("/auth/token/revoke/", {"token": str(old)}, content_type="application/json")
        assert answer.status_code == 200
        assert refresh(client, old).status_code == 401
    assert not Session.objects.exists()
    assert BlacklistedToken.objects.get().token.jti == old["jti"]


def test_the_command_that_signs_users_out_refuses_their_old_tokens(client, ada):
    old, other = RefreshToken.for_user(ada), RefreshToken.for_user(make_user("bob"))
    old.set_iat(at_time=old.current_time.replace(year=2020))
    with accepting():
        call_command("jwtauth_logout", "ada", verbosity=0)
        assert refresh(client, old).status_code == 401
        assert refresh(client, other).status_code == 200


def test_refresh_tokens_of_parallel_requests_start_one_session(client, ada):
    old = RefreshToken.for_user(ada)
    with accepting():
        pairs = {refresh(Client(), old).json()["refresh"] for _ in range(5)}
    assert len(pairs) == 1
    assert Session.objects.count() == 1


@pytest.mark.django_db(transaction=True)  # records are written after the commit
def test_no_secret_is_stored_or_logged(client, ada, caplog):
    old = RefreshToken.for_user(ada)
    with accepting(), caplog.at_level("INFO", "jwtauth"):
        pair = refresh(client, old).json()
        refresh(client, pair["refresh"])
    stored = repr([vars(row) for row in (*OldLogin.objects.all(), *Session.objects.all())]) + caplog.text
    assert str(old).rpartition(".")[2] not in stored
    assert pair["refresh"].rpartition(".")[2] not in stored
    assert "login_moved_in: from simplejwt" in caplog.text
