"""Clients that keep their tokens themselves, and prove a key with each request (DPoP, RFC 9449)."""

import base64
import hashlib
import json
import logging
import uuid

import jwt
import pytest
from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient
from django.urls import path
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.vary import vary_on_headers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth import JWTAuthentication, login, update_session_auth_hash
from jwtauth.internal.tokens import pair
from jwtauth.models import Session
from jwtauth.signals import session_bound
from jwtauth.signin import start_session
from tests.conftest import ABSOLUTE, ACCESS_LIFETIME, GRACE, Browser, only_session
from tests.urls import urlpatterns as usual

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

LOGIN = {"username": "ada", "password": "old password"}
HOST = "http://testserver"
ALGORITHMS = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519"
NOT_VALID = {"detail": "The access token is invalid or expired, or its session has ended.", "code": "token_not_valid"}


@csrf_exempt
def own_view(request):
    from django.contrib.auth import get_user_model

    from jwtauth.conf import get_config

    user = get_user_model().objects.get(username="ada")
    return JsonResponse(pair(start_session(request, user), get_config()))


@csrf_exempt
def new_password(request):
    request.user.set_password("new password")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def into_cookies(request):
    login(request, request.user)
    return JsonResponse({})


@cache_page(60)
@vary_on_headers("Cookie", "Authorization")
@api_view(["GET"])
@permission_classes([IsAuthenticated])
def cached(request):
    return HttpResponse(str(request.user))


@cache_page(60)
@vary_on_headers("Cookie", "Authorization")
def plain_cached(request):
    return HttpResponse(str(request.user))


class Own(BaseAuthentication):
    def authenticate(self, request):
        from django.contrib.auth import get_user_model

        is_own = request.META.get("HTTP_AUTHORIZATION") == "DPoP of-another-package"
        return (get_user_model().objects.get(username="ada"), None) if is_own else None


class Me(APIView):
    permission_classes = (IsAuthenticated,)
    authentication_classes = (JWTAuthentication,)

    def get(self, request):
        return Response(str(request.user))


stored = vary_on_headers("Cookie", "Authorization")(Me.as_view(authentication_classes=[SessionAuthentication]))
urlpatterns = [
    *usual,
    path("cached/session/", cache_page(60)(stored)),
    path("others/", Me.as_view()),
    path("others/own/", Me.as_view(authentication_classes=[Own, JWTAuthentication])),
    path("cached/", cached),
    path("cached/plain/", plain_cached),
    path("own/token/", own_view),
    path("own/cookies/", into_cookies),
    path("own/password/", new_password),
]


class Client:
    """A client with a key pair that no one copies, which remembers its tokens and the server's newest nonce."""

    def __init__(self, clock, key=None):
        self.clock, self.browser = clock, Browser()
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.algorithm = "EdDSA" if isinstance(self.key, ed25519.Ed25519PrivateKey) else "ES256"
        self.tokens, self.nonce = {}, None

    def proof(self, method, url, token=None, **other):
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        jwk = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        jwk = {name: value for name, value in jwk.items() if name not in ("key_ops", "kid")}
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": HOST + url.split("?")[0], "iat": self.clock.now}
        if token is not None:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.nonce is not None:
            claims["nonce"] = self.nonce
        headers = {"typ": "dpop+jwt", "jwk": jwk}
        return jwt.encode(claims | other, self.key, algorithm=self.algorithm, headers=headers)

    def send(self, method, url, body=None, token=None, proof=None, **other):
        """Send a request with a proof, and take the nonce of the response."""
        headers = {"DPoP": self.proof(method, url, token, **other) if proof is None else proof}
        if token is not None:
            headers["Authorization"] = f"DPoP {token}"
        body = None if body is None else json.dumps(body)
        response = self.browser.generic(method, url, body or "", "application/json", headers=headers)
        self.nonce = response.get("DPoP-Nonce", self.nonce)
        return response

    def twice(self, method, url, *args, **others):
        """Send a request, and once more if the server asks for its nonce."""
        response = self.send(method, url, *args, **others)
        if response.status_code in (400, 401) and response.json()["code"] == "use_dpop_nonce":
            response = self.send(method, url, *args, **others)
        return response

    def sign_in(self, url="/auth/token/"):
        response = self.twice("POST", url, LOGIN)
        assert response.status_code == 200, response.content
        self.tokens = response.json()
        return response

    def get(self, url="/me/", **other):
        return self.twice("GET", url, token=self.tokens["access"], **other)

    def refresh(self, refresh=None, **other):
        response = self.twice("POST", "/auth/token/refresh/", {"refresh": refresh or self.tokens["refresh"]}, **other)
        if response.status_code == 200:
            self.tokens = response.json()
        return response


@pytest.fixture
def client(ada, clock):
    client = Client(clock)
    client.sign_in()
    return client


@pytest.fixture
def thief(clock):
    """Return a client of another user's, with a key of its own."""
    return Client(clock)


def assert_refused(response, code, error=None):
    assert (response.status_code, response.json()["code"]) == (401, code)
    challenge = response["WWW-Authenticate"]
    assert challenge.startswith(f'DPoP error="{error or code}", error_description="'), challenge
    assert challenge.endswith(f'algs="{ALGORITHMS}"')


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_client_without_a_nonce_is_given_one_and_signs_in(ada, clock):
    client = Client(clock)
    response = client.send("POST", "/auth/token/", LOGIN)
    assert response.status_code == 400
    assert response.json() == {
        "detail": "The DPoP proof is not valid: the proof needs the nonce of this response.",
        "code": "use_dpop_nonce",
        "error": "use_dpop_nonce",
    }
    assert response["DPoP-Nonce"] == client.nonce
    assert response["Cache-Control"] == "no-store, private"
    assert not Session.objects.exists()

    response = client.send("POST", "/auth/token/", LOGIN)
    assert response.status_code == 200
    assert response.json()["token_type"] == "DPoP"
    assert "DPoP-Nonce" not in response
    assert only_session().is_device_bound


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
@pytest.mark.parametrize("url", ["/me/", "/me/class/"])
def test_token_with_a_proof_signs_in(ada, clock, key, url):
    client = Client(clock, key)
    client.sign_in()
    response = client.get(url)
    assert response.json()["user"] == "ada"
    assert not response.cookies
    assert "Authorization" in response["Vary"]
    assert "Cookie" not in response["Vary"]


@pytest.mark.parametrize("url", ["/me/plain/", "/me/template/", "/me/async/"])
def test_plain_views_see_the_user(client, url):
    assert client.get(url).content == b"ada"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/me/plain/", "/me/async/"])
def test_asgi_requests_with_and_without_a_proof(client, url):
    get, token = async_to_sync(AsyncClient().get), client.tokens["access"]
    authorization = {"Authorization": f"DPoP {token}"}
    response = get(url, headers=authorization | {"DPoP": client.proof("GET", url, token)})
    assert response.content == b"ada"
    assert_refused(get(url, headers=authorization), "invalid_dpop_proof")
    client.nonce = None
    response = get(url, headers=authorization | {"DPoP": client.proof("GET", url, token)})
    assert_refused(response, "use_dpop_nonce")
    assert response["DPoP-Nonce"]


@pytest.mark.parametrize("url", ["/me/", "/public/", "/me/plain/", "/idle/"])
def test_bound_token_is_refused_as_a_bearer_token_and_as_a_cookie(client, url):
    token = client.tokens["access"]
    for extra in ({}, {"DPoP": client.proof("GET", url, token)}):
        response = Browser().get(url, headers=bearer(token) | extra)
        assert (response.status_code, response.json()) == (401, NOT_VALID)
        assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    browser = Browser()
    browser.carry({"access_token": token, "refresh_token": client.tokens["refresh"]})
    assert browser.who() is None
    assert client.get().status_code == 200, "the client stays signed in"


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("method", {"htm": "POST"}),
        ("path", {"htu": f"{HOST}/auth/me/"}),
        ("scheme", {"htu": "https://testserver/me/"}),
        ("host", {"htu": "http://elsewhere/me/"}),
        ("token", {"ath": "x"}),
        ("time", {"iat": 1}),
        ("no id", {"jti": ""}),
    ],
)
@pytest.mark.parametrize("url", ["/me/", "/me/plain/"])
def test_proof_of_another_request_is_refused(client, what, other, url, caplog):
    if what in ("scheme", "host"):
        other = {"htu": other["htu"].replace("/me/", url)}
    with caplog.at_level(logging.WARNING, "jwtauth.security"):
        response = client.get(url, **other)
    assert_refused(response, "invalid_dpop_proof")
    assert response.json()["detail"].startswith("The DPoP proof is not valid: ")
    assert [record.event for record in caplog.records if record.name == "jwtauth.security"] == ["invalid_dpop_proof"]
    assert client.tokens["access"] not in caplog.text
    assert client.get(url).status_code == 200


def test_proof_of_another_key_or_none_is_refused(client, thief):
    token = client.tokens["access"]
    thief.nonce = client.nonce
    for proof in (thief.proof("GET", "/me/", token), "", "x", "a.b.c", client.proof("GET", "/me/", token) + ",x"):
        assert_refused(client.send("GET", "/me/", token=token, proof=proof), "invalid_dpop_proof")
    assert_refused(Browser().get("/me/", headers={"Authorization": f"DPoP {token}"}), "invalid_dpop_proof")


@pytest.mark.parametrize("url", ["/cached/", "/cached/plain/", "/cached/session/"])
def test_stored_page_is_not_served_without_a_proof(client, url, clock):
    assert client.get(url).status_code == 200
    copied = {"Authorization": f"DPoP {client.tokens['access']}"}
    assert_refused(Browser().get(url, headers=copied), "invalid_dpop_proof")
    clock.advance(ACCESS_LIFETIME)
    assert_refused(Browser().get(url, headers=copied), "token_not_valid", "invalid_token")


def test_token_of_another_package_reaches_its_class(ada):
    headers = {"Authorization": "DPoP of-another-package"}
    assert Browser().get("/others/own/", headers=headers).status_code == 200
    assert Browser().get("/others/", headers=headers).status_code == 401


@pytest.mark.parametrize("is_expired", [False, True])
def test_views_without_authentication_ignore_a_token_that_is_refused(client, clock, is_expired):
    clock.advance(ACCESS_LIFETIME if is_expired else 0)
    headers = {"Authorization": f"DPoP {client.tokens['access']}", "DPoP": client.proof("POST", "/auth/token/refresh/")}
    body = {"refresh": client.tokens["refresh"]}
    response = Browser().post("/auth/token/refresh/", body, content_type="application/json", headers=headers)
    if response.status_code == 400:
        client.nonce = response["DPoP-Nonce"]
        headers["DPoP"] = client.proof("POST", "/auth/token/refresh/")
        response = Browser().post("/auth/token/refresh/", body, content_type="application/json", headers=headers)
    assert response.status_code == 200


def test_preflight_of_the_login_needs_no_proof(ada, settings):
    settings.JWTAUTH = {**getattr(settings, "JWTAUTH", {}), "DEVICE_BOUND_SESSIONS": "require"}
    assert Browser().options("/auth/token/").status_code == 200
    assert Browser().get("/auth/token/").status_code == 405


def test_plain_token_is_refused_by_the_scheme_dpop(ada, clock):
    client = Client(clock)
    client.tokens = Browser().post("/auth/token/", LOGIN).json()
    assert "token_type" not in client.tokens
    assert_refused(client.get(), "token_not_valid", "invalid_token")
    assert Browser().get("/me/", headers=bearer(client.tokens["access"])).status_code == 200


@pytest.mark.parametrize("bad", ["", " ", "nonsense", "a.b.c", "\x00", "é", "x" * 5000])
@pytest.mark.parametrize("url", ["/me/", "/public/", "/me/plain/"])
def test_invalid_tokens_are_refused_also_with_valid_cookies(signed_in, client, url, bad):
    response = signed_in.get(url, headers={"Authorization": f"DPoP {bad}", "DPoP": client.proof("GET", url, bad)})
    assert_refused(response, "token_not_valid", "invalid_token")
    assert response.json() == NOT_VALID
    assert signed_in.who() == "ada"


def test_token_of_an_ended_session_and_an_expired_one_are_refused(client, clock):
    clock.advance(ACCESS_LIFETIME)
    assert_refused(client.get(), "token_not_valid", "invalid_token")
    assert client.refresh().status_code == 200
    assert client.get().status_code == 200
    Session.objects.all().end()
    assert_refused(client.get(), "token_not_valid", "invalid_token")
    assert client.refresh().status_code == 401


def test_response_renews_the_nonce_in_time(client, clock):
    first = client.nonce
    clock.advance(149)
    assert "DPoP-Nonce" not in client.get()
    clock.advance(1)
    response = client.get()
    assert response.status_code == 200
    assert response["DPoP-Nonce"] != first
    assert "no-store" in response["Cache-Control"]
    assert "DPoP-Nonce" not in client.get()


def test_session_is_refreshed_by_its_key_for_as_long_as_any_other(client, clock):
    for _ in range(5):
        clock.advance(ACCESS_LIFETIME + GRACE)
        assert client.refresh().json()["token_type"] == "DPoP"
        assert client.get().json()["user"] == "ada"
    assert only_session().generation > 1


def test_thief_with_every_token_and_every_proof_gets_nothing(client, thief, clock, caplog):
    token, refresh = client.tokens["access"], client.tokens["refresh"]
    copied = client.proof("POST", "/auth/token/refresh/")
    body = {"refresh": refresh}
    clock.advance(ACCESS_LIFETIME + GRACE)
    post = Browser().post

    def tried(**headers):
        response = post("/auth/token/refresh/", body, content_type="application/json", headers=headers)
        return response.status_code, response.json()["code"]

    assert tried() == (401, "device_proof_required")
    assert tried(DPoP=copied) == (400, "invalid_dpop_proof")
    thief.nonce = client.nonce
    with caplog.at_level(logging.WARNING, "jwtauth.security"):
        assert thief.refresh(refresh).json()["code"] == "device_proof_required"
    assert [record.event for record in caplog.records if record.name == "jwtauth.security"] == ["device_proof_failed"]
    thief.tokens = {"access": token}
    assert thief.get().status_code == 401
    browser = Browser()
    browser.carry({"refresh_token": refresh})
    assert browser.who() is None
    assert client.refresh().status_code == 200, "the client stays signed in"


def test_old_refresh_token_with_a_proof_of_the_key_is_theft_as_with_any_session(client, clock):
    old = client.tokens["refresh"]
    clock.advance(ACCESS_LIFETIME + GRACE)
    client.refresh()
    client.get()
    clock.advance(GRACE)
    assert client.refresh(old).status_code == 401
    assert not Session.objects.exists()


def test_answer_that_was_lost_is_given_again(client, clock):
    old = client.tokens
    clock.advance(ACCESS_LIFETIME + GRACE)
    assert client.refresh().status_code == 200
    clock.advance(10 * GRACE)
    assert client.refresh(old["refresh"]).status_code == 200
    assert client.get().status_code == 200


@pytest.mark.parametrize(
    "other", [{"htm": "GET"}, {"htu": f"{HOST}/auth/token/"}, {"iat": 1}, {"jti": None}, {"htu": 1}]
)
def test_bad_proof_at_a_token_endpoint_is_a_bad_request(client, other):
    response = client.refresh(**other)
    assert response.status_code == 400
    assert response.json()["code"] == response.json()["error"] == "invalid_dpop_proof"
    assert client.refresh().status_code == 200


def test_bad_proof_is_refused_before_the_password_is_tried(ada, clock, monkeypatch):
    monkeypatch.setattr("django.contrib.auth.hashers.check_password", lambda *args: pytest.fail("tried"))
    response = Client(clock).send("POST", "/auth/token/", LOGIN, proof="x")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_dpop_proof")


def test_client_without_a_nonce_uses_up_no_attempt(ada, clock):
    for _ in range(30):
        client = Client(clock)
        assert client.sign_in().status_code == 200
    response = client.twice("POST", "/auth/token/", LOGIN)
    assert response.status_code == 429


def test_proof_without_a_nonce_uses_up_no_attempt_to_confirm_a_password(client):
    for _ in range(40):
        client.nonce = None
        response = client.send("POST", "/auth/reauthenticate/", {"password": "x", "refresh": client.tokens["refresh"]})
        assert response.json()["code"] == "use_dpop_nonce"


def test_login_with_a_proof_tells_that_the_session_is_bound(ada, clock):
    told = []

    def receive(session, user, **others):
        told.append((session.pk, user))

    session_bound.connect(receive)
    try:
        Client(clock).sign_in()
        Browser().post("/auth/token/", LOGIN)
    finally:
        session_bound.disconnect(receive)
    bound = [session.pk for session in Session.objects.all() if session.is_device_bound]
    assert told == [(pk, ada) for pk in bound]
    assert len(bound) == 1


def test_own_view_binds_the_session_and_refuses_bad_proofs(ada, clock):
    client = Client(clock)
    response = client.send("POST", "/own/token/", {})
    assert (response.status_code, response.json()["code"]) == (400, "use_dpop_nonce")
    client.sign_in("/own/token/")
    assert client.get().json()["user"] == "ada"
    assert client.send("POST", "/own/token/", {}, proof="x").status_code == 400
    plain = Browser().post("/own/token/")
    assert plain.json().keys() == client.tokens.keys() - {"token_type"}


def test_session_that_must_be_bound_needs_a_proof(ada, clock, settings):
    settings.JWTAUTH = {**getattr(settings, "JWTAUTH", {}), "DEVICE_BOUND_SESSIONS": "require"}
    for url in ("/auth/token/", "/own/token/"):
        response = Browser().post(url, LOGIN)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_dpop_proof")
    Client(clock).sign_in()


def test_site_without_bearer_tokens_reads_no_proof(client, settings):
    settings.JWTAUTH = {**getattr(settings, "JWTAUTH", {}), "BEARER_TOKENS": False}
    response = client.get()
    assert response.status_code == 403
    assert "WWW-Authenticate" not in response


def test_password_is_confirmed_by_a_client(client, clock):
    clock.advance(GRACE)
    body = {"password": LOGIN["password"]}
    response = client.twice("POST", "/auth/reauthenticate/", body, client.tokens["access"])
    assert response.json()["token_type"] == "DPoP"
    client.tokens = response.json()
    assert client.get().status_code == 200


def test_locked_session_is_unlocked_with_a_proof_only(ada, clock, settings):
    settings.JWTAUTH = {**getattr(settings, "JWTAUTH", {}), "LOCK_AFTER": 600}
    client, thief = Client(clock), Client(clock)
    client.sign_in()
    clock.advance(700)
    assert client.refresh().json()["code"] == "session_locked"
    body = {"password": LOGIN["password"], "refresh": client.tokens["refresh"]}
    for response in (
        Browser().post("/auth/reauthenticate/", body, content_type="application/json"),
        thief.twice("POST", "/auth/reauthenticate/", body),
    ):
        assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    response = client.twice("POST", "/auth/reauthenticate/", body)
    assert response.json()["token_type"] == "DPoP"


def test_login_with_cookies_in_a_request_with_a_proof_is_not_bound(client):
    response = client.twice("POST", "/own/cookies/", {}, client.tokens["access"])
    assert response.status_code == 200
    browser = Browser()
    browser.carry({name: response.cookies[name].value for name in ("access_token", "refresh_token")})
    assert browser.who() == "ada"


@pytest.mark.parametrize("scheme", ["DPoP", "Bearer"])
def test_new_password_of_a_client_sets_no_cookies_and_ends_its_session(ada, clock, scheme):
    client = Client(clock)
    if scheme == "DPoP":
        client.sign_in()
        response = client.twice("POST", "/own/password/", {}, client.tokens["access"])
    else:
        client.tokens = Browser().post("/auth/token/", LOGIN).json()
        response = Browser().post("/own/password/", headers=bearer(client.tokens["access"]))
    assert response.status_code == 200
    assert not response.cookies
    assert client.refresh().status_code == 401


def test_token_is_revoked_without_a_proof(client):
    assert (
        Browser()
        .post("/auth/token/revoke/", {"token": client.tokens["refresh"]}, content_type="application/json")
        .status_code
        == 200
    )
    assert not Session.objects.exists()


def test_session_ends_at_its_absolute_limit(client, clock):
    clock.advance(ABSOLUTE)
    assert client.refresh().status_code == 401


def test_escaped_path_and_query_are_the_same_url(client):
    assert client.get("/me/?page=2", htu=f"{HOST}/%6De/?page=1#x").status_code == 200
