"""Logins of dj-rest-auth: its cookie of a refresh token becomes a session, its cookie of an access token admits."""

from contextlib import contextmanager
from datetime import datetime, timezone
from unittest.mock import patch

import jwt
import pytest
from dj_rest_auth.app_settings import api_settings
from dj_rest_auth.jwt_auth import JWTCookieAuthentication
from django.test import Client
from django.urls import include, path
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings as of_simplejwt
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from jwtauth.contrib.old_logins.dj_rest_auth import TokenRefreshView
from jwtauth.models import OldLogin, Session
from tests.neighbours.moved import urls
from tests.neighbours.moved.cases import SAME_ORIGIN, TOKENS, make_user, sets_tokens, who
from tests.neighbours.moved.cases import accepting as accepting_logins

OLD = ("old-access", "old-refresh")
ACCESS, REFRESH = OLD
NAMES = pytest.mark.parametrize("names", [OLD, TOKENS], ids=["other-names", "same-names"])
CROSS_SITE = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}


@api_view()
@authentication_classes([JWTCookieAuthentication])
def old_who(request):
    return Response({"user": request.user.get_username()})


urlpatterns = [
    path("rest/token/refresh/", TokenRefreshView.as_view(), name="token_refresh"),
    path("rest/", include("dj_rest_auth.urls")),
    path("old/", include("dj_rest_auth.urls")),
    path("old/who/", old_who),
    *urls.urlpatterns,
]
pytestmark = pytest.mark.urls(__name__)


@contextmanager
def accepting(names=OLD, **settings):
    """Accept the cookies with these names. dj-rest-auth reads its settings once."""
    named = {"JWT_AUTH_COOKIE": names[0], "JWT_AUTH_REFRESH_COOKIE": names[1]}
    with patch.multiple(api_settings, **named), accepting_logins("dj_rest_auth", **settings):
        yield


def sign_in(name="ada"):
    """Return the cookies that dj-rest-auth's own login sets: an access token and a refresh token."""
    answer = Client().post("/rest/login/", {"username": name, "password": "a secret"})
    assert answer.status_code == 200, answer.content
    return [answer.cookies[cookie].value for cookie in OLD]


def browser(*cookies, names=OLD):
    """Return a browser with these cookies: an access token and a refresh token, either of which may be ``None``."""
    client = Client(enforce_csrf_checks=True)
    for name, value in zip(names, cookies, strict=True):
        if value is not None:
            client.cookies[name] = str(value)
    return client


def refresh(client, **headers):
    """Refresh as the page does: the refresh token is in a cookie, which scripts cannot read."""
    return client.post("/rest/token/refresh/", {}, content_type="application/json", **headers)


def is_accepted(token):
    """Return whether dj-rest-auth accepts this refresh token, by its own view."""
    status = Client().post("/old/token/refresh/", {"refresh": str(token)}).status_code
    assert status in (200, 401)
    return status == 200


@NAMES
@pytest.mark.parametrize("page", ["/who/", "/plain/"])
def test_the_cookies_become_one_session_and_the_old_token_is_spent_once_the_new_ones_are_seen(ada, clock, names, page):
    access, old = sign_in()
    with accepting(names):
        client = browser(access, old, names=names)
        answer = client.get(page, **SAME_ORIGIN)
        assert answer.json()["user"] == "ada"
        assert sets_tokens(answer) == list(TOKENS)
        assert Session.objects.get().user == ada
        lost = browser(access, old, names=names).get(page, **SAME_ORIGIN)
        assert [lost.cookies[name].value for name in TOKENS] == [answer.cookies[name].value for name in TOKENS]
        assert is_accepted(old), "the browser may not have the new cookies yet"
        assert not sets_tokens(client.get(page, **SAME_ORIGIN)), "it brings the new cookies"
        assert not is_accepted(old)
        late = browser(access, old, names=names)
        assert who(late, page, **SAME_ORIGIN) == "ada", "a parallel request that was sent before"
        assert who(late, page, **SAME_ORIGIN) == "ada", "with its cookies"
        assert Session.objects.count() == 1
        clock.tick(301)
        assert who(browser(access, old, names=names), page, **SAME_ORIGIN) == ""
        assert not Session.objects.exists(), "a copy: the session ended"
        assert who(client, page, **SAME_ORIGIN) == ""
    assert OldLogin.objects.get().reference == ""


@NAMES
def test_the_new_cookies_replace_the_old_ones_of_the_same_names(ada, names):
    access, old = sign_in()
    with accepting(names):
        client = browser(access, old, names=names)
        answer = client.get("/who/")
        kept = {name: morsel.value for name, morsel in client.cookies.items() if name in names}
        assert {morsel["path"] for morsel in answer.cookies.values()} == {"/"}
        assert {morsel["domain"] for morsel in answer.cookies.values()} == {""}
        assert (kept == dict(zip(names, (access, old), strict=True))) == (names == OLD)


@NAMES
def test_cookies_that_dj_rest_auth_refuses_are_refused_and_kept(ada, names):
    _, old = sign_in()
    expired, blacklisted, stale = RefreshToken.for_user(ada), RefreshToken.for_user(ada), AccessToken.for_user(ada)
    expired.set_exp(lifetime=-expired.lifetime)
    stale.set_exp(lifetime=-stale.lifetime)
    blacklisted.blacklist()
    refused = [expired, blacklisted, f"{old}x", "x" * 5000, "", RefreshToken.for_user(ada).access_token]
    with accepting(names):
        for token in refused:
            answer = browser(stale, token, names=names).get("/who/")
            assert answer.json()["user"] == ""
            assert not answer.cookies, "nothing is cleared"
            assert refresh(browser(stale, token, names=names)).status_code == 401
        assert who(browser(old, None, names=names)) == "", "a refresh token is not an access token"
        ada.is_active = False
        ada.save()
        assert who(browser(None, old, names=names)) == ""
        assert refresh(browser(None, old, names=names)).status_code == 401
    assert not Session.objects.exists()


@NAMES
def test_an_access_cookie_admits_until_it_expires_and_starts_no_session(ada, clock, names):
    access, _ = sign_in()
    with accepting(names):
        client = browser(access, None, names=names)
        for _ in range(2):
            answer = client.get("/who/")
            assert answer.json()["user"] == "ada"
            assert not answer.cookies
        assert refresh(client).status_code == 401, "a copy of an access token never becomes a session"
        clock.tick(301)
        assert who(client) == ""
    assert not Session.objects.exists()


def test_the_header_counts_alone_as_in_dj_rest_auth(ada):
    access, old = sign_in()
    with accepting():
        assert who(browser(None, None), HTTP_AUTHORIZATION=f"Bearer {access}") == "ada"
        assert who(browser(access, old), HTTP_AUTHORIZATION=f"Bearer {access}x") == ""
        assert Client().post("/rest/token/refresh/", {"refresh": old}).status_code == 200, "an app's, in the body"
    assert Session.objects.count() == 1


@NAMES
def test_a_foreign_origin_may_not_use_the_old_cookies(ada, names):
    foreign = {"HTTP_ORIGIN": "https://evil.example", "HTTP_SEC_FETCH_SITE": "cross-site"}
    access, old = sign_in()
    with accepting(names):
        for cookies in ((access, old), (access, None), (None, old)):
            client = browser(*cookies, names=names)
            for answer in (client.post("/who/", **foreign), refresh(client, **foreign)):
                assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
                assert not answer.cookies
        assert not OldLogin.objects.exists()
        assert not Session.objects.exists()
        assert client.post("/who/", **SAME_ORIGIN).status_code == 200


def test_a_link_on_another_site_ends_nothing(ada, clock):
    """Such a request brings cookies of ``SameSite=Lax``, dj-rest-auth's, and none of ``SameSite=Strict``."""
    access, old = sign_in()
    with accepting():
        client = browser(access, old)
        assert client.get("/who/", **CROSS_SITE).json()["user"] == "ada", "it may be the first one"
        assert who(client, **SAME_ORIGIN) == "ada"
        clock.tick(600)
        assert who(client, **SAME_ORIGIN) == "ada"
        linked = browser(access, old).get("/who/", **CROSS_SITE)
        assert (linked.json()["user"], dict(linked.cookies)) == ("ada", {}), "admitted, as a late upload is"
        clock.tick(600)
        linked = browser(access, old).get("/who/", **CROSS_SITE)
        assert (linked.json()["user"], dict(linked.cookies)) == ("", {})
        assert Session.objects.count() == 1
        assert not is_accepted(old)


def test_a_session_that_ended_does_not_come_back(ada):
    _, old = sign_in()
    with accepting():
        client = browser(None, old)
        assert who(client) == "ada"
        Session.objects.get().end()
        assert who(client) == ""
        assert who(browser(None, old)) == ""
        assert refresh(browser(None, old)).status_code == 401
        assert not is_accepted(old), "it is ended there as well"
    assert not Session.objects.exists()


@NAMES
@pytest.mark.parametrize("has_moved", [False, True])
def test_logout_ends_what_the_request_shows(ada, names, has_moved):
    access, old = sign_in()
    with accepting(names):
        client = browser(access, old, names=names)
        if has_moved:
            assert who(client) == "ada"
        assert client.post("/auth/logout/", **SAME_ORIGIN).status_code == 204
        assert who(client) == ""
        assert not is_accepted(old)
        assert who(browser(None, old, names=names)) == ""
        if names == OLD or not has_moved:  # otherwise the new cookie had replaced that of the old access token
            assert who(browser(access, old, names=names)) == ""
    assert not Session.objects.exists()


def test_a_new_password_refuses_older_cookies(ada):
    make_user("bob")
    older, access = RefreshToken.for_user(ada), AccessToken.for_user(ada)
    for token in (older, access):
        token.set_iat(at_time=token.current_time.replace(year=2020))
    with accepting():
        ada.set_password("another secret")
        ada.save()
        assert who(browser(access, older)) == ""
        assert who(browser(*sign_in("bob"))) == "bob", "another user's"
        assert who(browser(None, RefreshToken.for_user(ada))) == "ada", "issued after it"


def test_after_until_nothing_is_accepted(ada):
    cookies = sign_in()
    with accepting(days=-1):
        assert who(browser(*cookies)) == ""
        assert refresh(browser(*cookies)).status_code == 401
        assert is_accepted(cookies[1])


@pytest.mark.parametrize("rotates", [False, True])
def test_before_since_dj_rest_auth_renews(ada, rotates):
    cookies = sign_in()
    rotation = {"ROTATE_REFRESH_TOKENS": rotates, "BLACKLIST_AFTER_ROTATION": rotates}
    with accepting(since="2999-01-01", days=400_000), patch.multiple(of_simplejwt, **rotation):
        client = browser(*cookies)
        assert not sets_tokens(client.get("/who/"))
        answer = refresh(client)
        assert sorted(answer.json()) == ["access", "access_expiration"]
        assert client.cookies[ACCESS].value == answer.json()["access"]
        assert (client.cookies[REFRESH].value != cookies[1]) == rotates
        assert AccessToken(client.cookies[ACCESS].value)["user_id"] == str(ada.pk)
        assert who(client, "/old/who/") == who(client) == "ada", "old workers and new ones"
        assert refresh(browser(cookies[0], None)).status_code == 401
    assert not Session.objects.exists()


def test_a_page_that_refreshes_is_told_when_to_refresh_again(ada, clock):
    """Before and after the login has moved in, and while the access token is valid."""
    access, old = sign_in()
    now = datetime.now(timezone.utc)
    with accepting():
        client = browser(access, old)
        answers = [refresh(client, **SAME_ORIGIN), refresh(client, **SAME_ORIGIN)]
        late = refresh(browser(access, old))
        clock.tick(200)
        answers.append(refresh(client, **SAME_ORIGIN))
        clock.tick(200)
        answers.append(refresh(client, **SAME_ORIGIN))
        assert [answer.status_code for answer in (*answers, late)] == [200] * 5
        assert {answer.json()["access"] for answer in (*answers, late)} == {""}
        ends = [datetime.fromisoformat(answer.json()["access_expiration"]) for answer in (*answers, late)]
        assert [int((end - now).total_seconds()) for end in ends] == [300, 300, 300, 700, 300]
        assert [sets_tokens(answer) for answer in answers] == [list(TOKENS), [], [], list(TOKENS)]
        assert not sets_tokens(late), "it may come from another site, as far as the server knows"
        assert who(client) == "ada"
    assert Session.objects.count() == 1


def test_a_page_without_a_login_gets_401_as_from_dj_rest_auth(db):
    with accepting():
        for client in (Client(), browser("x", "y")):
            answer = refresh(client)
            assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
            assert not answer.cookies
        for body, status in (({"refresh": "x"}, 401), ({"refresh": ""}, 401), (["refresh"], 400)):
            answer = Client().post("/rest/token/refresh/", body, content_type="application/json")
            assert answer.status_code == status


def test_after_the_limit_of_sessions_is_reached_dj_rest_auth_renews(ada):
    with accepting(MAX_SESSIONS_PER_USER=1, MAX_SESSIONS_POLICY="refuse"):
        assert who(browser(*sign_in())) == "ada"
        client = browser(*sign_in())
        assert who(client) == "ada"
        assert AccessToken(refresh(client).json()["access"])
    assert Session.objects.count() == 1


def test_the_path_of_the_refresh_cookie_may_be_that_of_the_view(ada):
    access, old = sign_in()
    with accepting():
        page = browser(access, None)
        assert who(page) == "ada"
        answer = refresh(browser(access, old), **SAME_ORIGIN)
        assert (answer.status_code, sets_tokens(answer)) == (200, list(TOKENS))


@pytest.mark.parametrize("rotates", [False, True])
def test_a_session_lasts_as_long_as_dj_rest_auth_would_have_let_it(ada, rotates):
    with patch.multiple(of_simplejwt, ROTATE_REFRESH_TOKENS=rotates), accepting():
        old = sign_in()[1]
        assert who(browser(None, old)) == "ada"
    session = Session.objects.get()
    assert session.end_is_fixed != rotates
    assert rotates or abs(session.expires_at.timestamp() - RefreshToken(old)["exp"]) < 2


def test_a_forged_token_of_another_key_is_refused(ada):
    key = "another key, as long as an HMAC key of SHA-256"
    access, old = (jwt.encode(kind.for_user(ada).payload, key, "HS256") for kind in (AccessToken, RefreshToken))
    with pytest.raises(TokenError):
        RefreshToken(old)
    with accepting():
        assert who(browser(access, old)) == ""
    assert not OldLogin.objects.exists()
    assert not BlacklistedToken.objects.exists()


def test_after_a_theft_the_old_access_cookie_admits_no_request(ada, clock):
    access, refresh = sign_in()
    with accepting():
        owner = browser(access, refresh)
        assert who(owner, **SAME_ORIGIN) == who(owner, **SAME_ORIGIN) == "ada"
        clock.tick(60)
        assert [who(browser(access, refresh), **SAME_ORIGIN) for _ in range(2)] == ["", ""]
