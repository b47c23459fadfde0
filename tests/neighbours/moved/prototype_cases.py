"""Logins of jwtauth 0.0.8: two cookies with the names of jwtauth's own, which become a session."""

import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from jwt.utils import base64url_encode

from jwtauth.internal.store.old_logins import id_of
from jwtauth.models import OldLogin, Session
from tests.neighbours.moved.cases import SAME_ORIGIN, make_user, sets_tokens, who
from tests.neighbours.moved.cases import accepting as accepting_logins

NAMES = ("access_token", "refresh_token")
DAY = 24 * 3600


def accepting(**settings):
    return accepting_logins("prototype", **settings)


def cookies_of(user, *, age=0, lifetime=DAY, key=settings.SECRET_KEY, algorithm="HS256", token_string="a" * 30):
    """Return both cookies as 0.0.8 sets them at login, so many seconds ago: its ``Token.encode`` is these lines."""
    iat = int(time.time()) - age
    access = {"user_id": user.pk, "iat": iat, "exp": iat + 300}
    refresh = {"token_string": token_string, "user_id": user.pk, "iat": iat, "exp": iat + lifetime}
    return [jwt.encode(claims, key, algorithm=algorithm) for claims in (access, refresh)]


def bring(client, cookies):
    for name, token in zip(NAMES, cookies, strict=True):
        client.cookies[name] = token


def browser_with(cookies):
    client = Client(enforce_csrf_checks=True)
    bring(client, cookies)
    return client


@pytest.mark.parametrize("path", ["/who/", "/plain/"])
@pytest.mark.parametrize("age", [0, 3600], ids=["valid access token", "expired access token"])
def test_a_browser_moves_in_at_its_next_request(ada, path, age):
    old = cookies_of(ada, age=age)
    client = browser_with(old)
    with accepting():
        response = client.get(path)
        assert response.json()["user"] == "ada"
        assert sets_tokens(response) == list(NAMES), "the new cookies replace the old ones, which have the same names"
        assert not {response.cookies[name].value for name in NAMES} & set(old)
        assert {response.cookies[name]["max-age"] for name in NAMES} == {""}, "deleted with the browser, as before"
        assert {response.cookies[name]["path"] for name in NAMES} == {"/"}
        again = client.get(path)
        assert again.json()["user"] == "ada"
        assert not sets_tokens(again)
    assert OldLogin.objects.get().seen_at is not None
    assert who(browser_with(old)) == "", "without the setting"


def test_the_session_ends_with_the_old_login_and_lives_without_the_setting(ada, clock):
    old = cookies_of(ada, age=3600)
    client = browser_with(old)
    with accepting():
        assert who(client) == "ada"
    session = Session.objects.get()
    assert session.end_is_fixed
    assert not session.remember
    assert session.expires_at.timestamp() == jwt.decode(old[1], options={"verify_signature": False})["exp"]
    clock.tick(DAY - 3601)
    assert who(client) == "ada"
    clock.tick(1)
    assert who(client) == ""


def test_parallel_requests_start_one_session(ada):
    old = cookies_of(ada, age=3600)
    with accepting():
        answers = [browser_with(old).get("/who/") for _ in range(5)]
        refresh_tokens = {answer.cookies["refresh_token"].value for answer in answers}
        assert len(refresh_tokens) == 1
        client = browser_with(old)
        client.cookies.update(answers[0].cookies)
        assert who(client) == "ada"
        assert who(browser_with(old)) == "ada", "within the grace period"
    assert Session.objects.count() == 1


def test_cookies_that_come_back_late_end_the_session_as_stolen(ada, clock):
    old = cookies_of(ada)
    client = browser_with(old)
    with accepting():
        assert who(client) == who(client) == "ada"
        clock.tick(60)
        thief = browser_with(old)
        assert who(thief, HTTP_SEC_FETCH_SITE="cross-site") == "ada", "no sign of a theft: Strict cookies stay away"
        assert Session.objects.exists()
        assert who(thief, **SAME_ORIGIN) == ""
        assert not Session.objects.exists()
        assert who(client) == ""


def refused(ada):
    """Yield cookies that 0.0.8 refuses, or that it should have refused, by name."""
    access, refresh = cookies_of(ada)
    claims = jwt.decode(refresh, options={"verify_signature": False})
    bob = cookies_of(make_user("bob"), token_string="b" * 30)
    private_key = rsa.generate_private_key(65537, 2048)
    public_key = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    yield "expired", cookies_of(ada, age=DAY)
    yield "forged", cookies_of(ada, key="x" * 64)
    yield "changed", (access, f"{refresh[:-4]}AAAA")
    yield "none", cookies_of(ada, key=None, algorithm="none")
    yield "RS256", cookies_of(ada, key=private_key, algorithm="RS256")
    yield "HS256 with a public key", cookies_of(ada, key=public_key.replace("-----", "").strip())
    yield "HS512", cookies_of(ada, algorithm="HS512")
    yield "two users", (bob[0], refresh)
    yield "two users, access token expired", (cookies_of(get_user_model().objects.get(pk=2), age=600)[0], refresh)
    yield "access token alone", (access, "")
    yield "refresh token alone", ("", refresh)
    yield "access token as refresh token", (access, access)
    yield "refresh token as access token", (refresh, refresh)
    yield "another package's", (access, jwt.encode({**claims, "token_type": "refresh"}, settings.SECRET_KEY))
    yield "no user", cookies_of(get_user_model()(pk=10**30))
    yield "no JWT", ("x", "x" * 4000)
    yield "deep header", (access, "W1tb" * 1300 + ".e30.x")
    yield "not ASCII", (access, f"{refresh}é")


@pytest.mark.parametrize("number", range(18))
def test_what_0_0_8_refuses_is_refused(ada, number):
    cases = dict(refused(ada))
    assert len(cases) == 18
    name, cookies = list(cases.items())[number]
    with accepting():
        response = browser_with(cookies).get("/who/")
        assert (response.json()["user"], sets_tokens(response)) == ("", []), name
    assert not Session.objects.exists()
    assert not OldLogin.objects.exists()


def test_a_forged_cookie_costs_no_query(ada):
    client = browser_with(cookies_of(ada, key="x" * 64))
    with accepting(), CaptureQueriesContext(connection) as queries:
        client.get("/plain/")
    assert len(queries) == 0


def signed_with_public_key(claims, public_key):
    """Sign with HMAC as an attacker does who knows the public key. PyJWT refuses to do that."""
    parts = [base64url_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(parts)
    return b".".join([text, base64url_encode(hmac.digest(public_key.encode(), text, "sha256"))]).decode()


def test_a_public_key_verifies_no_hmac(ada):
    private_key = rsa.generate_private_key(65537, 2048)
    signing_key = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public_key = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    claims = {"user_id": ada.pk, "iat": 1, "exp": 2**40}
    tokens = [signed_with_public_key(each, public_key) for each in (claims, {**claims, "token_string": "a" * 30})]
    with accepting(ALGORITHM="RS256", SIGNING_KEY=signing_key, VERIFYING_KEYS=[public_key]):
        assert who(browser_with(tokens)) == ""
    with accepting(VERIFYING_KEYS=[("RS256", public_key)]):
        assert who(browser_with(tokens)) == ""
    assert not Session.objects.exists()


def test_a_replaced_key_is_accepted_as_long_as_jwtauth_accepts_it(ada):
    with override_settings(SECRET_KEY="n" * 64, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]), accepting():
        assert who(browser_with(cookies_of(ada, key="n" * 64, token_string="n" * 30))) == "ada"
    with override_settings(SECRET_KEY="n" * 64, SECRET_KEY_FALLBACKS=["o" * 64]), accepting():
        assert who(browser_with(cookies_of(ada, key="o" * 64, token_string="o" * 30))) == "ada"
        assert who(browser_with(cookies_of(ada, key=settings.SECRET_KEY[:-1] + "x"))) == ""


def test_the_cookie_names_of_0_0_8_are_read_from_its_settings(ada):
    access, refresh = cookies_of(ada)
    client = Client()
    client.cookies["a"], client.cookies["r"] = access, refresh
    with accepting(ACCESS_TOKEN_COOKIE_NAME="a", REFRESH_TOKEN_COOKIE_NAME="r", SIGNING_KEY=settings.SECRET_KEY):
        response = client.get("/who/")
        assert response.json()["user"] == "ada"
        assert {"a", "r"} <= set(response.cookies)


def test_the_blacklist_that_the_migration_kept_is_honoured(ada):
    old_rows = {"source": "prototype", "created_at": ada.date_joined, "last_shown_at": ada.date_joined}
    OldLogin.objects.create(
        id=id_of("prototype", "a" * 30), seen_at=ada.date_joined, expires_at=ada.date_joined, **old_rows
    )
    with accepting():
        for age in (0, 600, DAY - 10):
            assert who(browser_with(cookies_of(ada, age=age))) == ""
        assert who(browser_with(cookies_of(ada, token_string="b" * 30))) == "ada", "another login"


def test_the_last_access_token_outlives_the_refresh_token_as_in_0_0_8(ada, clock):
    refresh = cookies_of(ada, age=DAY)[1]
    access = cookies_of(ada, age=100)[0]
    client = browser_with((access, refresh))
    with accepting():
        response = client.get("/who/")
        assert response.json()["user"] == "ada"
        assert not sets_tokens(response)
        clock.tick(200)
        assert who(client) == ""
    assert not Session.objects.exists()


def test_an_inactive_user_is_refused(ada):
    ada.is_active = False
    ada.save()
    with accepting():
        assert who(browser_with(cookies_of(ada))) == ""
    assert not Session.objects.exists()


def test_a_new_password_refuses_what_was_issued_before(ada):
    with accepting():
        ada.set_password("another secret")
        ada.save()
        assert who(browser_with(cookies_of(ada, age=3600))) == ""
        assert who(browser_with(cookies_of(ada, token_string="n" * 30))) == "ada", "issued after it"


def test_logout_ends_the_old_login_too(ada):
    old = cookies_of(ada, age=600)
    client = browser_with(old)
    with accepting():
        assert client.post("/auth/logout/").status_code == 204
        assert not Session.objects.exists()
        assert who(client) == ""
        assert who(browser_with(old)) == "", "a copy of the old cookies"


def test_a_session_that_ended_elsewhere_does_not_come_back(ada):
    old = cookies_of(ada)
    with accepting():
        client = browser_with(old)
        assert who(client) == "ada"
        Session.objects.get().end()
        assert who(client) == ""
        assert who(browser_with(old)) == ""


def test_a_page_of_another_origin_cannot_use_the_cookies(ada):
    client = browser_with(cookies_of(ada))
    with accepting():
        assert client.post("/who/", HTTP_ORIGIN="https://evil.example").json()["code"] == "cross_origin"
        assert not Session.objects.exists()
        assert client.post("/who/", HTTP_ORIGIN="http://testserver").status_code == 200


def test_nothing_is_accepted_after_until_and_nothing_starts_before_since(ada):
    client = browser_with(cookies_of(ada))
    with accepting(days=-1):
        assert who(client) == ""
    with accepting(since="2999-01-01", days=400_000):
        assert who(client) == "ada"
    assert not Session.objects.exists()
