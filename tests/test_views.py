"""The views of `jwtauth.urls`: login and logout with cookies, token pairs for apps, and the user's sessions."""

import re
import uuid
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.contrib.auth.signals import user_logged_in
from django.db import connection, transaction
from django.test import Client, override_settings
from django.utils import timezone, translation
from requests.utils import parse_header_links

import jwtauth
from jwtauth.models import Session
from jwtauth.views import SessionListView
from tests.conftest import ACCESS_LIFETIME, GRACE, Browser, only_session

pytestmark = pytest.mark.django_db

ADA = {"username": "ada", "password": "old password"}
CROSS_SITE = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://elsewhere.example"}


def post(browser, url, data=None, **headers):
    return browser.post(f"/auth/{url}", data or {}, content_type="application/json", **headers)


def bearer(pair):
    return {"HTTP_AUTHORIZATION": f"Bearer {pair['access']}"}


def who(browser, **headers):
    response = browser.get("/auth/me/", **headers)
    return response.json()["user"]["username"] if response.status_code == 200 else response.status_code


@pytest.fixture
def pair(browser, ada, clock):
    """Return the token pair of an app in which ada has signed in."""
    response = post(browser, "token/", ADA)
    assert response.status_code == 200
    return response.json()


# --- login and logout


def test_login_sets_cookies_and_returns_user_and_session(browser, ada, clock):
    response = post(browser, "login/", ADA)
    assert response.status_code == 200
    body = response.json()
    assert body["user"] == {"id": ada.pk, "username": "ada"}
    assert body["session"]["id"] == str(only_session().pk)
    assert body["session"]["is_current"] is True
    assert body["access_expires_in"] == ACCESS_LIFETIME
    assert set(browser.tokens()) == {"access_token", "refresh_token"}
    assert browser.who() == "ada"
    ada.refresh_from_db()
    assert ada.last_login is not None


@pytest.mark.parametrize("url", ["login/", "token/"])
def test_error_after_the_password_check_does_not_contain_the_password(ada, url):
    def fail(**kwargs):
        raise RuntimeError

    user_logged_in.connect(fail)
    try:
        with pytest.raises(RuntimeError) as caught:
            post(Client(), url, ADA)
    finally:
        user_logged_in.disconnect(fail)
    package = Path(jwtauth.__file__).parent
    variables = [str(frame.frame.f_locals) for frame in caught.traceback if package in Path(frame.path).parents]
    assert any("ada" in each for each in variables)
    assert not [each for each in variables if ADA["password"] in each]


def test_login_without_remember_sets_session_cookies(browser, ada):
    post(browser, "login/", {**ADA, "remember": False})
    assert browser.cookies["refresh_token"]["max-age"] == ""
    assert not only_session().remember


@pytest.mark.parametrize("url", ["login/", "token/"])
@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}, {"password": "é" * 5000}])
def test_wrong_username_and_wrong_password_get_the_same_401(browser, ada, url, wrong):
    response = post(browser, url, ADA | wrong)
    assert response.status_code == 401
    assert response.json() == {
        "detail": "No active account found with the given credentials.",
        "code": "no_active_account",
    }
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert not browser.tokens()
    assert not Session.objects.exists()


@pytest.mark.parametrize("url", ["login/", "token/"])
def test_login_view_refuses_an_inactive_user(browser, ada, url):
    ada.is_active = False
    ada.save()
    assert post(browser, url, ADA).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "1",
        "null",
        '"x"',
        "{",
        '{"username": "\\u0000", "password": "x"}',
        '{"username": {}, "password": []}',
    ],
)
@pytest.mark.parametrize("url", ["login/", "token/", "token/refresh/", "token/revoke/"])
def test_malformed_body_is_400(browser, url, body):
    response = browser.post(f"/auth/{url}", body, content_type="application/json")
    assert response.status_code == 400


def test_login_ignores_stale_tokens(browser, ada):
    browser.cookies["access_token"] = browser.cookies["refresh_token"] = "nonsense"
    assert post(browser, "login/", ADA, HTTP_AUTHORIZATION="Bearer nonsense").status_code == 200
    assert browser.who() == "ada"


@pytest.mark.parametrize("url", ["login/", "token/"])
def test_cross_origin_login_is_refused(browser, ada, url):
    response = browser.post(f"/auth/{url}", ADA, **CROSS_SITE)
    assert response.status_code == 403
    assert response.json()["code"] == "cross_origin"
    assert not Session.objects.exists()


def test_logout_ends_the_session_and_clears_the_cookies(browser, ada):
    post(browser, "login/", ADA)
    tokens = browser.tokens()
    assert post(browser, "logout/").status_code == 204
    assert browser.tokens() == {}
    assert not Session.objects.exists()
    browser.carry(tokens)
    assert who(browser) == 403


def test_logout_without_cookies_is_204_and_clears_none(browser, db):
    response = post(browser, "logout/")
    assert response.status_code == 204
    assert not response.cookies, "there are no cookies to clear"


def test_cross_origin_logout_is_refused_with_and_without_cookies(browser, ada):
    post(browser, "login/", ADA)
    assert post(browser, "logout/", **CROSS_SITE).status_code == 403
    cookies, browser.cookies = (
        browser.cookies,
        SimpleCookie(),
    )  # browsers withhold SameSite=Strict cookies from such a request
    refused = post(browser, "logout/", **CROSS_SITE)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_origin")
    assert not refused.cookies
    browser.cookies = cookies
    assert browser.who() == "ada"


# --- serializers of the project


@override_settings(JWTAUTH={"LOGIN_SERIALIZER": "tests.serializers.PinSerializer"})
def test_login_serializer_can_be_replaced(browser, ada):
    assert post(browser, "login/", {"pin": ada.pk}).status_code == 200
    assert browser.who() == "ada"


@override_settings(JWTAUTH={"LOGIN_SERIALIZER": "tests.serializers.KioskSerializer"})
@pytest.mark.parametrize("view", ["login", "token"])
def test_login_serializer_can_set_the_lifetime_of_the_session(browser, ada, view):
    assert post(browser, f"{view}/", {"pin": ada.pk}).status_code == 200
    session = only_session()
    assert session.expires_at - session.created_at == timedelta(minutes=20)


@override_settings(JWTAUTH={"USER_SERIALIZER": "tests.serializers.EmailSerializer"})
def test_user_serializer_can_be_replaced(browser, ada):
    assert post(browser, "login/", ADA).json()["user"] == {"email": ""}


# --- me


def test_me_refuses_an_anonymous_request(browser, db):
    response = browser.get("/auth/me/")
    assert response.status_code == 403
    assert response.json() == {
        "detail": "Authentication credentials were not provided.",
        "code": "not_authenticated",
    }


def test_me_response_is_private_and_not_stored(signed_in):
    response = signed_in.get("/auth/me/")
    assert "no-store" in response["Cache-Control"]
    assert "Cookie" in response["Vary"]


# --- token pairs


def test_token_pair_signs_an_app_in_without_cookies(pair, browser):
    assert browser.tokens() == {}
    assert who(Browser(), **bearer(pair)) == "ada"
    assert pair["access_expires_in"] == ACCESS_LIFETIME
    assert pair["refresh_expires_in"] == 86_400


def test_token_view_keeps_the_session_of_the_cookies(signed_in):
    post(signed_in, "token/", ADA)
    assert signed_in.who() == "ada"
    assert Session.objects.count() == 2


def refreshed(browser, token):
    return post(browser, "token/refresh/", {"refresh": token})


def test_refresh_token_returns_a_new_pair(pair, browser, clock):
    clock.advance(ACCESS_LIFETIME)
    second = refreshed(browser, pair["refresh"]).json()
    assert second["refresh"] != pair["refresh"]
    assert who(browser, **bearer(second)) == "ada"
    assert only_session().generation == 2


def test_racing_and_lost_refreshes_return_the_same_pair(pair, browser, clock):
    clock.advance(ACCESS_LIFETIME)
    answers = [refreshed(browser, pair["refresh"]).json() for _ in range(3)]
    clock.advance(3600)
    answers.append(refreshed(browser, pair["refresh"]).json())
    assert len({answer["refresh"] for answer in answers}) == 1
    assert only_session().generation == 2


def test_second_refresh_within_the_grace_returns_the_same_refresh_token(pair, browser, clock):
    clock.advance(GRACE - 1)
    assert refreshed(browser, pair["refresh"]).json()["refresh"] == pair["refresh"]


def test_copied_refresh_token_ends_the_session_of_the_app(pair, browser, clock, thefts):
    clock.advance(ACCESS_LIFETIME)
    second = refreshed(browser, pair["refresh"]).json()
    assert who(browser, **bearer(second)) == "ada"
    clock.advance(GRACE)
    response = refreshed(browser, pair["refresh"])
    assert response.status_code == 401
    assert len(thefts) == 1
    assert refreshed(browser, second["refresh"]).status_code == 401
    assert who(browser, **bearer(second)) == 401


@pytest.mark.django_db(transaction=True)
def test_session_ended_for_a_copied_token_stays_ended_under_atomic_requests(pair, browser, clock, thefts, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    clock.advance(ACCESS_LIFETIME)
    second = refreshed(browser, pair["refresh"]).json()
    assert who(browser, **bearer(second)) == "ada"
    clock.advance(GRACE)
    assert refreshed(browser, pair["refresh"]).status_code == 401  # a transaction would be rolled back here
    assert not Session.objects.exists()


@pytest.mark.parametrize("bad", ["nonsense", "", " ", "x" * 10_000, None, 5, [], {}, "\x00"])
def test_invalid_refresh_token_is_refused(browser, db, bad):
    response = refreshed(browser, bad)
    assert response.status_code in (400, 401)
    if response.status_code == 401:
        assert response.json()["code"] == "token_not_valid"
        assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_access_token_is_refused_as_a_refresh_token(pair, browser):
    assert refreshed(browser, pair["access"]).status_code == 401


def test_response_with_a_token_pair_is_not_stored(pair, browser, clock):
    assert "no-store" in refreshed(browser, pair["refresh"])["Cache-Control"]


# --- revocation


@pytest.mark.parametrize("kind", ["access", "refresh"])
@pytest.mark.parametrize("form", [False, True])
def test_revoking_either_token_ends_the_session(pair, browser, clock, kind, form):
    clock.advance(ACCESS_LIFETIME)  # also when it has expired
    data = {"token": pair[kind], "token_type_hint": f"{kind}_token"}
    body, kind = (urlencode(data), "x-www-form-urlencoded") if form else (data, "json")
    assert browser.post("/auth/token/revoke/", body, content_type=f"application/{kind}").status_code == 200
    assert not Session.objects.exists()


def test_revoking_an_invalid_token_is_200(pair, browser):
    for token in ("nonsense", pair["access"] + "x"):
        assert post(browser, "token/revoke/", {"token": token}).status_code == 200
    assert Session.objects.count() == 1
    assert post(browser, "token/revoke/", {"token": pair["access"]}).status_code == 200
    assert post(browser, "token/revoke/", {"token": pair["access"]}).status_code == 200


# --- sessions


@pytest.fixture
def two_devices(browser, other_browser, ada, clock):
    post(browser, "login/", ADA, HTTP_USER_AGENT="first")
    clock.advance(10)
    post(other_browser, "login/", ADA, HTTP_USER_AGENT="second")
    return browser, other_browser


def test_sessions_of_the_user_are_listed(two_devices, bob):
    browser, _ = two_devices
    stranger = Browser()
    stranger.sign_in(bob)
    found = browser.get("/auth/sessions/").json()
    assert [session["is_current"] for session in found] == [False, True]
    times, whose = {"created_at", "last_seen_at", "expires_at"}, {"is_current", "is_device_bound"}
    assert set(found[0]) == {"id", "device", "ip_address", *times, *whose}
    assert found[0]["ip_address"] == "127.0.0.1"


def test_expired_session_is_not_listed(two_devices):
    browser, _ = two_devices
    Session.objects.filter(user_agent="second").update(expires_at="2000-01-01T00:00:00Z")
    assert len(browser.get("/auth/sessions/").json()) == 1


@pytest.fixture
def many(signed_in, ada):
    """Return ada's browser; ada has 205 more sessions."""
    now = timezone.now() - timedelta(minutes=5)
    times = dict.fromkeys(["rotated_at", "created_at", "last_seen_at"], now) | {"expires_at": now + timedelta(days=1)}
    fixed = {"user": ada, "generation": 1, "auth_hash": ada.get_session_auth_hash(), "remember": True, **times}
    Session.objects.bulk_create(Session(id=uuid.UUID(int=n), **fixed) for n in range(205))
    return signed_in


def links_of(response):
    return {link["rel"]: link["url"] for link in parse_header_links(response.get("Link", ""))}


def test_sessions_are_paginated_with_a_link_header(many):
    pages, url = [], "/auth/sessions/"
    while url:
        response = many.get(url)
        pages.append([session["id"] for session in response.json()])
        url = links_of(response).get("next")
    assert [len(page) for page in pages] == [100, 100, 6]
    assert len({id for page in pages for id in page}) == 206
    assert many.get("/auth/sessions/").json()[0]["is_current"]
    assert links_of(many.get("/auth/sessions/?page=2")) == {
        "prev": "http://testserver/auth/sessions/",
        "next": "http://testserver/auth/sessions/?page=3",
    }
    assert set(links_of(many.get("/auth/sessions/?page=last"))) == {"prev"}


def test_browsable_api_paginates_sessions(many):
    response = many.get("/auth/sessions/", HTTP_ACCEPT="text/html")
    assert response.status_code == 200
    assert b"?page=3" in response.content


def test_single_page_of_sessions_has_no_link_header(signed_in):
    response = signed_in.get("/auth/sessions/")
    assert len(response.json()) == 1
    assert "Link" not in response


@pytest.mark.parametrize("page", ["0", "-1", "3", "1" * 400, "x", "%00", "1.5", "é"])
def test_page_of_sessions_that_does_not_exist_is_404(signed_in, page):
    response = signed_in.get(f"/auth/sessions/?page={page}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_session_on_another_device_can_be_ended(two_devices):
    browser, other = two_devices
    session = Session.objects.get(user_agent="second")
    url = f"/auth/sessions/{session.pk}/"
    assert browser.get(url).json()["id"] == str(session.pk)
    assert browser.delete(url).status_code == 204
    assert other.who() is None
    assert browser.who() == "ada"
    assert browser.delete(url).status_code == 404


def test_ending_the_current_session_is_a_logout(two_devices):
    browser, other = two_devices
    browser.delete(f"/auth/sessions/{Session.objects.get(user_agent='first').pk}/")
    assert browser.tokens() == {}
    assert other.who() == "ada"


def test_session_of_another_user_is_404(two_devices, bob):
    stranger = Browser()
    stranger.sign_in(bob)
    for session in Session.objects.filter(user__username="ada"):
        for method in (stranger.get, stranger.delete):
            response = method(f"/auth/sessions/{session.pk}/")
            assert response.status_code == 404
            assert response.json()["code"] == "not_found"
    assert stranger.delete(f"/auth/sessions/{uuid.uuid4()}/").status_code == 404
    assert stranger.delete("/auth/sessions/nonsense/").status_code == 404
    assert Session.objects.count() == 3


@pytest.mark.parametrize("method", ["delete", "post"])
def test_all_other_sessions_can_be_ended(two_devices, method):
    browser, other = two_devices
    assert getattr(browser, method)("/auth/sessions/others/").json() == {"ended": 1}
    assert other.who() is None
    assert browser.who() == "ada"


def test_cross_origin_request_ends_no_session(two_devices):
    browser, other = two_devices
    assert browser.delete("/auth/sessions/others/", **CROSS_SITE).status_code == 403
    assert other.who() == "ada"


@pytest.mark.parametrize("url", ["me/", "sessions/", "sessions/others/"])
def test_anonymous_request_is_refused_by_the_views_of_sessions(browser, db, url):
    assert browser.get(f"/auth/{url}").status_code in (403, 405)
    assert browser.delete(f"/auth/{url}").status_code in (403, 405)


@pytest.mark.parametrize("url", ["me/", "sessions/"])
def test_safe_methods_write_nothing(signed_in, statements, url):
    signed_in.get("/me/")
    assert set(statements(signed_in.get, f"/auth/{url}")) == {"SELECT"}


@pytest.mark.parametrize("url", ["login/", "logout/", "token/", "token/refresh/", "token/revoke/", "me/", "sessions/"])
def test_browsable_api_shows_each_view(signed_in, url):
    response = signed_in.get(f"/auth/{url}", HTTP_ACCEPT="text/html")
    assert response.status_code in (200, 405)
    assert b"<html" in response.content


@pytest.mark.parametrize(
    ("own_docstring", "shown"), [(None, "List the current user"), ("Their devices.", "Their devices.")]
)
def test_browsable_api_describes_a_subclass_with_its_docstring(own_docstring, shown):
    subclass = type("DeviceList", (SessionListView,), {"__doc__": own_docstring})
    assert subclass().get_view_name() == "Device List"
    assert str(subclass().get_view_description()).startswith(shown)
    assert str(SessionListView().get_view_name()) == "Sessions"


def test_login_form_of_the_browsable_api_has_capitalised_labels(browser):
    page = browser.get("/auth/login/", HTTP_ACCEPT="text/html").content.decode()
    labels = [label.strip() for label in re.findall(r"<label[^>]*>\s*([^<]+)", page)]
    assert "Username" in labels
    assert "Password" in labels
    assert [label for label in labels if label[0].islower()] == []


def test_session_of_a_bearer_token_is_the_current_one(pair, browser):
    (session,) = browser.get("/auth/sessions/", **bearer(pair)).json()
    assert session["is_current"]


def test_views_work_in_a_transaction_of_the_caller(pair, browser):
    with transaction.atomic():
        assert who(browser, **bearer(pair)) == "ada"


def test_messages_are_translated(browser, ada, monkeypatch):
    """Verify that each message is translated into the language of the request."""
    catalogue = translation.trans_real.translation("de")
    german = {
        "No active account found with the given credentials.": "Kein aktives Konto mit diesen Angaben.",
        "The access token is invalid or expired, or its session has ended.": "Das Token gilt nicht mehr.",
        "Too many sessions. Sign out on another device first.": "Zu viele Sitzungen.",
        "The refresh token is invalid or expired, or its session has ended.": "Das Token ist ungültig.",
        "Unknown device": "Unbekanntes Gerät",
        "request from another site": "Anfrage einer anderen Website",
    }
    monkeypatch.setattr(catalogue, "_catalog", {**dict(catalogue._catalog.items()), **german})
    with translation.override("de"):
        assert post(browser, "login/", {**ADA, "password": "wrong"}).json()["detail"] in german.values()
        bad = browser.get("/auth/me/", HTTP_AUTHORIZATION="Bearer x").json()
        assert bad["detail"] in german.values()
        assert post(browser, "token/refresh/", {"refresh": "x"}).json()["detail"] == "Das Token ist ungültig."
        foreign = post(browser, "login/", ADA, **CROSS_SITE).json()
        assert foreign["detail"] == "CSRF Failed: Anfrage einer anderen Website."
        assert post(browser, "login/", ADA).json()["session"]["device"] == "Unbekanntes Gerät"
        with override_settings(JWTAUTH={"MAX_SESSIONS_PER_USER": 1, "MAX_SESSIONS_POLICY": "refuse"}):
            assert post(Browser(), "login/", ADA).json()["detail"] in german.values()
