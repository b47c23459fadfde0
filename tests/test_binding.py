"""Sessions that are bound to a key of the user's device (DEVICE_BOUND_SESSIONS), with a device made of software."""

import json
import logging
import re

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.db import transaction
from django.http import HttpResponse
from django.urls import include, path

from jwtauth import act_as, login, reauthenticate, stop_acting, update_session_auth_hash
from jwtauth.internal.flow import Flow
from jwtauth.internal.store import sessions
from jwtauth.models import Session
from jwtauth.signals import device_proof_failed, session_bound, session_ended
from tests.conftest import ACCESS_LIFETIME, GRACE, Browser, only_session
from tests.urls import urlpatterns as usual

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

LOGIN = {"username": "ada", "password": "old password"}
REQUIRED = "device_proof_required"


def sign_in(request):
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(username="ada")
    if "rollback" in request.GET:
        with transaction.atomic():
            login(request, user)
            transaction.set_rollback(True)
    else:
        login(request, user, device_bound="required" in request.GET)
    return HttpResponse()


def new_password(request):
    user = request.user
    user.set_password("new password")
    user.save()
    update_session_auth_hash(request, user)
    return HttpResponse()


def confirm(request):
    reauthenticate(request, request.user, methods=["pwd"])
    return HttpResponse()


def act(request):
    from django.contrib.auth import get_user_model

    act_as(request, get_user_model().objects.get(username="bob"))
    return HttpResponse()


def stop(request):
    stop_acting(request)
    return HttpResponse()


urlpatterns = [
    *usual,
    path("tenant/<slug:tenant>/auth/", include("jwtauth.urls", namespace="tenant")),
    path("bound/login/", sign_in),
    path("bound/password/", new_password),
    path("bound/confirm/", confirm),
    path("bound/act/", act),
    path("bound/atomic/act/", transaction.atomic(act)),
    path("bound/stop/", stop),
]


class Device:
    """A browser over TLS, with a key pair that no one copies."""

    def __init__(self, algorithm="ES256", at="/auth/"):
        self.browser, self.algorithm, self.at = Browser(), algorithm, at
        self.browser.handler.enforce_csrf_checks = False
        self.key = _new_key(algorithm)
        self.id = self.challenge = None
        self.proofs = []

    def get(self, url, **headers):
        return self.browser.get(url, secure=True, headers=headers)

    def post(self, url, body=None, **headers):
        return self.browser.post(url, body, content_type="application/json", secure=True, headers=headers)

    def who(self):
        response = self.get("/me/")
        return response.json()["user"] if response.status_code == 200 else None

    def sign_in(self):
        """Sign in, and return the value of the offer's header."""
        response = self.post(f"{self.at}login/", LOGIN)
        assert response.status_code == 200
        return response.headers.get("Secure-Session-Registration")

    def proof(self, challenge, *, jwk=False, key=None, typ="dbsc+jwt"):
        header = {"typ": typ, **({"jwk": self.jwk} if jwk else {})}
        proof = jwt.encode({"jti": challenge}, key or self.key, self.algorithm, header)
        self.proofs.append(proof)
        return proof

    @property
    def jwk(self):
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        made = algorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {name: made[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in made}

    def register(self, offer, **changes):
        where, challenge = re.fullmatch(r'\(ES256 RS256\);path="(.+)";challenge="(.+)"', offer).groups()
        proof = self.proof(challenge, jwk=True, **changes)
        response = self.post(where, **{"secure-session-response": proof})
        if response.status_code == 200:
            self.id = response.json()["session_identifier"]
        return response

    def enrol(self):
        assert self.register(self.sign_in()).status_code == 200
        return self

    def refresh(self, proof=None, id=None):
        headers = {"sec-secure-session-id": id or self.id}
        if proof is not None:
            headers["secure-session-response"] = proof
        response = self.post(f"{self.at}device/refresh/", **headers)
        value = response.headers.get("Secure-Session-Challenge")
        if value:
            challenge, named = re.fullmatch(r'"(.+)";id="(.+)"', value).groups()
            assert named == self.id
            self.challenge = challenge
        return response

    def prove(self):
        """Refresh as a browser does: with the challenge that it has, or in two steps."""
        if self.challenge is None:
            assert self.refresh().status_code == 403
        response = self.refresh(self.proof(self.challenge))
        return response if response.status_code != 403 else self.refresh(self.proof(self.challenge))

    def tokens(self):
        return self.browser.tokens()


def _new_key(algorithm):
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


def copy_of(device):
    """Return the browser of a thief who has copied every cookie and seen every header, but has another key."""
    thief = Device(device.algorithm)
    thief.browser.carry(device.tokens())
    thief.id, thief.challenge = device.id, device.challenge
    return thief


def events(caplog):
    return [record.event for record in caplog.records if hasattr(record, "event")]


@pytest.fixture(autouse=True)
def _offered(settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer"}
    settings.CSRF_COOKIE_SECURE = True


@pytest.fixture
def device(ada, clock):
    return Device().enrol()


# --- binding


def test_login_over_tls_offers_to_bind_the_session(ada, clock):
    offer = Device().sign_in()
    assert offer.startswith('(ES256 RS256);path="/auth/device/register/";challenge="')
    assert not only_session().is_device_bound


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_browser_binds_the_session_without_code(ada, clock, algorithm):
    device = Device(algorithm)
    response = device.register(device.sign_in())
    assert only_session().is_device_bound
    said = response.json()
    assert said["refresh_url"] == "/auth/device/refresh/"
    assert said["scope"] == {"include_site": False, "scope_specification": []}
    (credential,) = said["credentials"]
    assert (credential["type"], credential["name"]) == ("cookie", "access_token")
    cookie = response.cookies["access_token"]
    assert credential["attributes"] == f"Path={cookie['path']}; Secure; HttpOnly; SameSite={cookie['samesite']}"
    assert (bool(cookie["secure"]), bool(cookie["httponly"])) == (True, True)
    assert device.who() == "ada"


def test_nothing_is_offered_without_tls_or_by_default(ada, clock, settings):
    response = Browser().post("/auth/login/", LOGIN, content_type="application/json")
    assert (response.status_code, "Secure-Session-Registration" in response.headers) == (200, False)
    settings.JWTAUTH = {}
    assert Device().sign_in() is None


def test_nothing_is_offered_by_other_responses(ada, clock):
    device = Device()
    device.sign_in()
    for _ in range(3):
        assert "Secure-Session-Registration" not in device.get("/me/").headers
        clock.advance(ACCESS_LIFETIME + 1)
    assert "Secure-Session-Registration" not in device.post("/auth/logout/").headers


def test_login_that_is_rolled_back_offers_nothing(ada, clock):
    assert "Secure-Session-Registration" not in Device().post("/bound/login/?rollback").headers


def test_offer_names_the_path_of_the_urls_that_were_asked(ada, clock):
    device = Device(at="/tenant/blue/auth/")
    offer = device.sign_in()
    assert 'path="/tenant/blue/auth/device/register/"' in offer
    assert device.register(offer).json()["refresh_url"] == "/tenant/blue/auth/device/refresh/"
    clock.advance(ACCESS_LIFETIME)
    assert device.prove().status_code == 200


def test_offer_is_good_for_five_minutes(ada, clock):
    device = Device()
    offer = device.sign_in()
    clock.advance(300)
    assert device.register(offer).status_code == 403
    assert not only_session().is_device_bound
    offer = device.sign_in()
    clock.advance(ACCESS_LIFETIME - 1)
    assert device.register(offer).status_code == 200


def test_lost_answer_is_given_again(ada, clock):
    device = Device()
    offer = device.sign_in()
    first, again = device.register(offer), device.register(offer)
    assert (again.status_code, again.json()) == (200, first.json())
    assert device.who() == "ada"


def lose_registration(device, offer):
    """Register, but let the answer get lost. Return the offer's cookies, which the browser then still has."""
    before = device.tokens()
    assert device.register(offer).status_code == 200
    assert only_session().is_device_bound
    device.browser.carry(before)
    return before


def test_browser_that_has_lost_the_answer_goes_on_by_its_cookies(ada, clock, caplog):
    device = Device()
    before = lose_registration(device, device.sign_in())
    assert device.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    for _ in range(2):  # the next answer is lost, too
        device.browser.carry(before)
        assert device.who() == "ada"
        assert not only_session().is_device_bound
    (record,) = [record for record in caplog.records if getattr(record, "event", None) == "session_unbound"]
    assert (record.levelname, record.name) == ("WARNING", "jwtauth.security")
    assert (record.session_id, record.presented, record.current) == (str(only_session().pk), 1, 2)
    for _ in range(3):
        clock.advance(ACCESS_LIFETIME)
        assert device.who() == "ada"


def test_answer_is_waited_for_before_the_session_is_unbound(ada, clock):
    device = Device()
    offer = device.sign_in()
    clock.advance(ACCESS_LIFETIME - 1)
    lose_registration(device, offer)
    clock.advance(GRACE - 1)
    assert device.get("/me/").json()["code"] == REQUIRED
    assert only_session().is_device_bound
    clock.advance(1)
    assert device.who() == "ada"


def test_binding_that_is_confirmed_meanwhile_is_kept(ada, clock, monkeypatch):
    device = Device()
    lose_registration(device, device.sign_in())
    unbind = sessions.unbind

    def late(found):
        sessions.acknowledge(Session.objects.get())  # by another tab, which has the answer after all
        return unbind(found)

    monkeypatch.setattr(sessions, "unbind", late)
    assert device.get("/bound/confirm/").status_code == 200
    assert only_session().is_device_bound


@pytest.mark.django_db(transaction=True)
def test_acting_in_a_transaction_confirms_the_binding(ada, bob, clock):
    ada.is_superuser = True
    ada.save()
    device = Device()
    offer = device.sign_in()
    thief = copy_of(device)
    device.register(offer)
    assert device.get("/bound/atomic/act/").status_code == 200
    assert Session.objects.get(actor_session_id=None).acknowledged_at is not None
    clock.advance(ACCESS_LIFETIME)
    assert thief.who() is None


def test_older_cookies_are_worth_nothing_once_the_newest_are_seen(ada, clock):
    device = Device()
    offer = device.sign_in()
    thief = copy_of(device)
    device.register(offer)
    assert device.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert thief.get("/me/").json()["code"] == REQUIRED
    assert device.prove().status_code == 200
    assert only_session().is_device_bound


def test_browser_whose_session_is_unbound_by_a_copy_goes_on_by_its_cookies(ada, clock):
    """Its page has sent nothing since the registration. From then on, a copy is found as in any unbound session."""
    device = Device()
    offer = device.sign_in()
    thief = copy_of(device)
    device.register(offer)
    clock.advance(ACCESS_LIFETIME)
    assert thief.who() == "ada"
    assert device.refresh().json() == {"session_identifier": device.id, "continue": False}
    for _ in range(3):
        assert device.who() == "ada"
        clock.advance(ACCESS_LIFETIME)
    assert thief.who() is None
    assert not Session.objects.exists()


def test_registration_binds_no_session_that_was_unbound(ada, clock, settings):
    settings.JWTAUTH = {**settings.JWTAUTH, "ACCESS_TOKEN_LIFETIME": 60}
    device = Device()
    offer = device.sign_in()
    lose_registration(device, offer)
    clock.advance(60)
    assert device.who() == "ada"
    assert device.register(offer).json()["code"] == "device_proof_not_valid"
    assert not only_session().is_device_bound


@pytest.mark.parametrize("urls", [("confirm",), ("password",), ("act",), ("act", "stop")])
def test_browser_that_has_lost_the_answer_may_do_what_issues_tokens(ada, bob, clock, caplog, urls):
    ada.is_superuser = True
    ada.save()
    device = Device()
    lose_registration(device, device.sign_in())
    for url in urls:
        assert device.get(f"/bound/{url}/").status_code == 200
    for _ in range(2):
        clock.advance(ACCESS_LIFETIME)
        assert device.who() == ("bob" if urls == ("act",) else "ada")
    assert ("session_unbound" in events(caplog)) == (urls == ("confirm",)), "the others start another session"


@pytest.mark.parametrize("urls", [("confirm",), ("password",), ("act",), ("act", "stop")])
def test_first_request_after_the_registration_keeps_the_binding(ada, bob, clock, urls):
    ada.is_superuser = True
    ada.save()
    device = Device()
    device.register(device.sign_in())
    for url in urls:
        assert device.get(f"/bound/{url}/").status_code == 200
    clock.advance(ACCESS_LIFETIME)
    assert device.who() is None
    assert device.prove().status_code == 200
    assert device.who() is not None


def test_session_that_was_unbound_is_offered_a_key_when_the_user_authenticates_again(ada, clock):
    device = Device()
    lose_registration(device, device.sign_in())
    clock.advance(ACCESS_LIFETIME + 60)
    assert device.register(device.get("/bound/confirm/").headers["Secure-Session-Registration"]).status_code == 200
    assert device.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert device.prove().status_code == 200
    assert only_session().is_device_bound


def test_session_that_must_be_bound_stays_bound_when_the_answer_is_lost(ada, clock):
    device = Device()
    lose_registration(device, device.post("/bound/login/?required").headers["Secure-Session-Registration"])
    assert device.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert device.get("/me/").json()["code"] == REQUIRED
    assert only_session().is_device_bound


def test_copied_registration_gets_no_token_after_the_first_refresh(ada, clock):
    device = Device()
    offer = device.sign_in()
    device.register(offer)
    copied = device.proofs[-1]
    clock.advance(ACCESS_LIFETIME)
    device.prove()
    thief = copy_of(device)
    answer = thief.post("/auth/device/register/", **{"secure-session-response": copied})
    assert (answer.status_code, answer.json()["code"], len(answer.cookies)) == (403, "device_proof_not_valid", 0)
    assert device.who() == "ada"


def test_second_key_ends_the_session(ada, clock, caplog):
    caplog.set_level(logging.WARNING, "jwtauth.security")
    device = Device()
    offer = device.sign_in()
    thief = copy_of(device)
    assert device.register(offer).status_code == 200
    answer = thief.register(offer)
    assert (answer.status_code, answer.json()["code"]) == (403, "device_proof_failed")
    assert not Session.objects.exists()
    assert events(caplog) == ["device_proof_failed"]


def test_challenge_of_another_session_binds_nothing(ada, bob, clock):
    device, other = Device(), Device()
    device.sign_in()
    offer = other.sign_in()
    assert device.register(offer).status_code == 403
    assert [session.is_device_bound for session in Session.objects.all()] == [False, False]


def test_challenge_of_a_refresh_binds_nothing_and_that_of_an_offer_refreshes_nothing(device, clock):
    device.refresh()
    refresh, other = device.challenge, Device()
    offer = other.sign_in()
    challenge = re.search('challenge="(.+)"', offer)[1]
    assert other.register(offer.replace(challenge, refresh)).status_code == 403
    answer = device.refresh(device.proof(challenge))
    assert answer.json()["code"] == REQUIRED


@pytest.mark.parametrize("proof", ["", "x", "a.b.c", "é", '"', "x" * 9000, "\x00", "null", "e30.e30.e30"])
def test_proof_that_is_none_changes_nothing(ada, clock, proof):
    device = Device()
    device.sign_in()
    proof = proof.encode().decode("latin-1")
    answer = device.post("/auth/device/register/", **{"secure-session-response": proof})
    assert (answer.status_code, answer.json()["code"]) == (403, "device_proof_not_valid")
    bound = Device().enrol()
    answer = bound.refresh(proof)
    assert (answer.status_code, answer.json()["code"]) == (403, REQUIRED)
    assert bound.who() == "ada"
    assert Session.objects.count() == 2


def test_access_token_in_place_of_a_proof_changes_nothing(device, clock):
    assert device.refresh(device.tokens()["access_token"]).status_code == 403
    assert device.who() == "ada"


def test_request_without_a_session_binds_none(db, ada, clock):
    device, other = Device(), Device()
    offer = other.sign_in()
    assert device.register(offer).status_code == 401
    other.post("/auth/logout/")
    assert other.register(offer).status_code == 401


def test_binding_is_told_once(ada, clock, caplog, django_capture_on_commit_callbacks):
    told = []
    session_bound.connect(lambda session, user, **_: told.append((session, user)), weak=False, dispatch_uid="told")
    caplog.set_level(logging.INFO, "jwtauth.security")
    try:
        with django_capture_on_commit_callbacks(execute=True):
            device = Device()
            offer = device.sign_in()
            device.register(offer)
            device.register(offer)
    finally:
        session_bound.disconnect(dispatch_uid="told")
    assert told == [(only_session(), ada)]
    assert events(caplog).count("session_bound") == 1


def test_bound_cookie_expires_although_the_session_is_not_remembered(ada, clock):
    """A browser refreshes no cookie without Max-Age. The refresh token's ends with the browser, as asked."""
    device = Device()
    response = device.post("/auth/login/", {**LOGIN, "remember": False})
    assert [cookie["max-age"] for cookie in response.cookies.values()] == ["", ""]
    answer = device.register(response.headers["Secure-Session-Registration"])
    assert answer.cookies["access_token"]["max-age"] == ACCESS_LIFETIME
    answer = device.prove()
    assert [answer.cookies[name]["max-age"] for name in device.tokens()] == [ACCESS_LIFETIME, ""]


# --- refreshing


def test_browser_refreshes_by_its_key_before_and_after_expiry(device, clock):
    before = device.tokens()
    clock.advance(ACCESS_LIFETIME - 60)
    answer = device.prove()
    assert answer.status_code == 200
    assert device.tokens() != before
    assert only_session().generation == 3
    for expected in (4, 5, 6):
        clock.advance(ACCESS_LIFETIME)
        assert device.who() is None, "its access token has expired"
        assert device.prove().status_code == 200
        assert (device.who(), only_session().generation) == ("ada", expected)


def test_challenge_of_the_last_answer_saves_a_request(device, clock):
    device.prove()
    clock.advance(ACCESS_LIFETIME)
    assert device.refresh(device.proof(device.challenge)).status_code == 200
    clock.advance(ACCESS_LIFETIME + 60)
    answer = device.refresh(device.proof(device.challenge))
    assert answer.status_code == 403, "the challenge is too old"
    assert device.refresh(device.proof(device.challenge)).status_code == 200


def test_refresh_takes_two_statements(device, clock, django_assert_num_queries):
    device.prove()
    clock.advance(ACCESS_LIFETIME)
    proof = device.proof(device.challenge)
    with django_assert_num_queries(2):
        assert device.refresh(proof).status_code == 200
    clock.advance(ACCESS_LIFETIME - 100)
    proof = device.proof(device.challenge)
    with django_assert_num_queries(2):
        assert device.refresh(proof).status_code == 200
    with django_assert_num_queries(1):
        assert device.who() == "ada", "nothing is left to acknowledge"


def test_session_without_binding_refreshes_as_before(ada, clock, django_assert_num_queries):
    device = Device()
    device.sign_in()
    clock.advance(ACCESS_LIFETIME)
    with django_assert_num_queries(2):
        assert device.who() == "ada"


def test_cookies_alone_are_refused_and_end_nothing(device, clock):
    device.prove()
    clock.advance(ACCESS_LIFETIME)
    device.prove()
    old = device.tokens()
    for _ in range(3):
        clock.advance(ACCESS_LIFETIME)
        device.prove()
    clock.advance(ACCESS_LIFETIME)
    row = Session.objects.values().get()
    for tokens in (old, device.tokens(), {"refresh_token": device.tokens()["refresh_token"]}):
        thief = copy_of(device)
        thief.browser.carry(tokens)
        answer = thief.get("/me/")
        assert (answer.status_code, answer.json()["code"]) == (403, REQUIRED)
        assert not answer.cookies
        assert thief.post("/auth/sessions/others/").status_code == 403
        upload = thief.browser.post("/me/", "x" * 70_000, content_type="text/plain", secure=True)
        assert upload.status_code == 403
    assert Session.objects.values().get() == row
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_refresh_token_of_a_bound_session_is_refused_at_the_token_endpoint(device, clock):
    answer = device.post("/auth/token/refresh/", {"refresh": device.tokens()["refresh_token"]})
    assert (answer.status_code, answer.json()["code"]) == (401, REQUIRED)
    assert device.who() == "ada"


def test_replayed_proof_gets_no_later_end(device, clock):
    clock.advance(ACCESS_LIFETIME)
    device.prove()
    end = jwt.decode(device.tokens()["access_token"], options={"verify_signature": False})["exp"]
    thief = copy_of(device)
    for seconds in (0, 10, GRACE - 11):
        clock.advance(seconds)
        answer = thief.refresh(device.proofs[-1])
        assert answer.status_code == 200
        token = thief.tokens()["access_token"]
        assert jwt.decode(token, options={"verify_signature": False})["exp"] == end
    clock.advance(1)
    for proof in device.proofs:
        answer = thief.refresh(proof)
        assert (answer.status_code, answer.json()["code"]) == (403, REQUIRED)
    clock.advance(ACCESS_LIFETIME - GRACE)
    assert thief.who() is None
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_wrong_signature_ends_the_session_and_is_told_as_theft(device, clock, caplog, settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer", "REUSE_ENDS_ALL_SESSIONS": True}
    Device().sign_in()
    caplog.set_level(logging.WARNING, "jwtauth.security")
    told = []
    for signal, name in ((device_proof_failed, "failed"), (session_ended, "ended")):
        signal.connect(lambda name=name, **of: told.append((name, of.get("reason"))), weak=False, dispatch_uid=name)
    try:
        thief = copy_of(device)
        thief.refresh()
        answer = thief.refresh(thief.proof(thief.challenge))
    finally:
        device_proof_failed.disconnect(dispatch_uid="failed")
        session_ended.disconnect(dispatch_uid="ended")
    assert (answer.status_code, answer.json()["code"]) == (403, "device_proof_failed")
    assert ("failed", None) in told
    assert {reason for name, reason in told if name == "ended"} in ({"device_proof_failed"}, set())
    assert not Session.objects.exists()
    assert events(caplog) == ["device_proof_failed"]
    assert device.who() is None


def test_wrong_signature_without_its_cookies_ends_nothing(device, clock):
    thief = Device()
    thief.id = device.id
    answer = thief.refresh(thief.proof("x"))
    assert answer.json() == {"session_identifier": device.id, "continue": False}
    assert device.who() == "ada"


def test_key_of_an_earlier_session_of_the_browser_ends_nothing(device, clock):
    """Until its refresh says so, a browser also knows the session that a new login has replaced."""
    earlier = Device()
    earlier.browser, earlier.id = device.browser, device.id
    earlier.key, device.key = device.key, _new_key("ES256")
    device.enrol()
    answer = earlier.refresh(earlier.proof("x"))
    assert answer.json() == {"session_identifier": earlier.id, "continue": False}
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_browser_is_told_to_forget_the_key_after_logout(device, clock):
    cookies = device.tokens()
    device.post("/auth/logout/")
    assert device.refresh().json() == {"session_identifier": device.id, "continue": False}
    device.browser.carry(cookies)
    assert device.refresh().json()["continue"] is False
    assert not Session.objects.exists()


def test_request_of_another_origin_refreshes_nothing(device, clock):
    device.refresh()
    clock.advance(ACCESS_LIFETIME)
    device.browser.handler.enforce_csrf_checks = True  # otherwise Django's test client is trusted
    headers = {"sec-secure-session-id": device.id, "secure-session-response": device.proof(device.challenge)}
    answer = device.post("/auth/device/refresh/", origin="https://evil.example", **headers)
    assert answer.status_code == 403
    assert not answer.cookies
    assert only_session().generation == 2


def test_locked_session_is_revived_by_a_password_only(ada, clock, settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer", "LOCK_AFTER": 900}
    device = Device().enrol()
    clock.advance(900)
    answer = device.prove()
    # Chromium forgets its key after 403 without a challenge, and after four proofs in a row.
    assert (answer.status_code, dict(answer.cookies)) == (200, {})
    assert device.get("/me/").json()["code"] == "session_locked"
    assert device.post("/auth/reauthenticate/", {"password": "wrong"}).status_code == 401
    assert device.post("/auth/reauthenticate/", {"password": "old password"}).status_code == 200
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_no_proof_or_key_is_logged(device, clock, caplog):
    caplog.set_level(logging.DEBUG)
    thief = copy_of(device)
    device.prove()
    device.prove()
    thief.refresh(thief.proof(device.challenge))
    assert caplog.records
    for secret in [*device.proofs, *thief.proofs, device.challenge, device.jwk["x"]]:
        assert secret not in caplog.text


# --- sessions that must be bound


@pytest.mark.parametrize("mode", ["require", "offer"])
def test_session_that_must_be_bound_ends_with_its_first_access_token(ada, clock, settings, mode):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": mode}
    device = Device()
    offer = device.post("/bound/login/?required").headers["Secure-Session-Registration"]
    assert device.who() == "ada"
    clock.advance(ACCESS_LIFETIME - 1)
    assert device.who() == "ada"
    clock.advance(1)
    assert device.get("/me/").json()["code"] == REQUIRED
    clock.advance(-1)
    assert device.register(offer).status_code == 200
    clock.advance(1)
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_binding_cannot_be_required_where_it_is_off(ada, clock, settings):
    settings.JWTAUTH = {}
    assert Device().post("/bound/login/?required").status_code == 500
    assert not Session.objects.exists()


def test_require_holds_for_the_login_view(ada, clock, settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "require"}
    device = Device()
    device.sign_in()
    clock.advance(ACCESS_LIFETIME)
    assert device.who() is None


# --- beside other features


def test_new_password_keeps_the_binding(device, clock):
    clock.advance(100)
    assert device.get("/bound/password/").status_code == 200
    assert only_session().is_device_bound
    clock.advance(ACCESS_LIFETIME - 100)
    assert device.who() is None
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_new_password_offers_to_bind_a_session_that_is_not(ada, clock):
    device = Device()
    device.sign_in()
    offer = device.get("/bound/password/").headers["Secure-Session-Registration"]
    assert device.register(offer).status_code == 200


def test_another_authentication_offers_to_bind_but_not_twice_at_once(ada, clock):
    device = Device()
    device.sign_in()
    assert "Secure-Session-Registration" not in device.get("/bound/confirm/").headers
    clock.advance(360)
    offer = device.get("/bound/confirm/").headers["Secure-Session-Registration"]
    assert "Secure-Session-Registration" not in device.get("/bound/confirm/").headers
    assert device.register(offer).status_code == 200
    clock.advance(ACCESS_LIFETIME)
    device.prove()
    assert "Secure-Session-Registration" not in device.get("/bound/confirm/").headers


def test_no_chain_of_requests_leads_past_the_last_proof(device, ada, bob, clock):
    """A thief with a copied access token may do what its user may, but gets no later one."""
    ada.is_superuser = True
    ada.save()
    thief = copy_of(device)
    for url in ("act", "stop", "act", "stop", "confirm", "password"):
        clock.advance(ACCESS_LIFETIME // 8)
        assert thief.get(f"/bound/{url}/").status_code == 200
    clock.advance(ACCESS_LIFETIME)
    assert thief.who() is None
    assert thief.get("/bound/act/").status_code == 403


def test_no_exchange_of_an_older_access_token_leads_to_a_later_one(device, ada, bob, clock):
    """The thief has the token from before a refresh, which the browser made early."""
    ada.is_superuser = True
    ada.save()
    thieves = [copy_of(device) for _ in range(2)]
    clock.advance(ACCESS_LIFETIME - 120)
    device.prove()
    clock.advance(60)
    assert thieves[0].get("/bound/act/").status_code == 200
    device.prove()
    clock.advance(10)
    assert thieves[0].get("/bound/stop/").status_code == 200
    clock.advance(50)
    assert [thief.who() for thief in thieves] == [None, None]


def test_browser_that_acts_as_another_user_refreshes_by_its_key(device, ada, bob, clock):
    ada.is_superuser = True
    ada.save()
    device.get("/bound/act/")
    assert device.who() == "bob"
    clock.advance(ACCESS_LIFETIME)
    thief = copy_of(device)
    assert thief.get("/bound/stop/").status_code == 403
    assert device.prove().status_code == 200
    assert device.who() == "bob"
    device.get("/bound/stop/")
    clock.advance(ACCESS_LIFETIME)
    assert device.prove().status_code == 200
    assert device.who() == "ada"


def test_user_sees_which_session_is_bound(device, ada, clock):
    Device().sign_in()
    shown = device.get("/auth/sessions/").json()
    assert sorted((one["is_current"], one["is_device_bound"]) for one in shown) == [(False, False), (True, True)]
    stored = Session.objects.exclude(device_key=None).get()
    key = json.loads(stored.device_key.removeprefix("dbsc:"))
    assert {name: key[name] for name in ("kty", "crv", "x", "y")} == device.jwk


def test_tokens_come_from_the_row_as_it_is_stored(device, ada, clock, monkeypatch):
    """A refresh does not read the row again that it has just written."""
    seen = []
    set_tokens = Flow.set_tokens

    def compare(flow, found, *args, **changed):
        seen.append((repr(found.current_row), repr(Session.objects.get(pk=found.session_id).row())))
        return set_tokens(flow, found, *args, **changed)

    monkeypatch.setattr(Flow, "set_tokens", compare)
    clock.advance(ACCESS_LIFETIME)
    assert device.prove()
    Session.objects.all().end()
    unbound = Browser()
    unbound.sign_in(ada)
    clock.advance(ACCESS_LIFETIME)
    assert unbound.who() == "ada"
    assert len(seen) == 3
    assert all(kept == stored for kept, stored in seen), seen
