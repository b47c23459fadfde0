"""Bound sessions: what browsers, proxies, the project's settings and thieves do with the answers.

What browsers do is Chromium's: session_error.cc, registration_fetcher.cc, session.cc. The draft is of February 2026.
"""

import json
import re
import sys

import pytest
from django.core.signals import got_request_exception
from django.core.signing import Signer
from django.http import HttpResponse
from django.urls import path
from django.views.debug import get_exception_reporter_class
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.throttling import AnonRateThrottle
from rest_framework.views import APIView

from jwtauth import login, reauthenticate
from jwtauth.internal import binding
from tests.conftest import ACCESS_LIFETIME
from tests.old_logins import Tickets
from tests.test_binding import LOGIN, Device
from tests.test_binding import urlpatterns as usual

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def login_and_confirm(request):
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(username="ada")
    login(request, user)
    reauthenticate(request, user, methods=["otp"])
    return HttpResponse()


urlpatterns = [
    *usual,
    path("bound/both/", login_and_confirm),
]


def keeps_its_key(answer):
    """Return whether the browser still knows its key after this answer of the refresh URL.

    Chromium: 403 without a challenge is kInvalidChallenge, another 3xx or 4xx except 407 is kPersistentHttpError; both
    are fatal (SessionError::GetDeletionReason).
    """
    if answer.status_code == 403:
        return "Secure-Session-Challenge" in answer.headers
    if answer.status_code == 200:
        return not answer.content or answer.json().get("continue", True)
    return answer.status_code >= 500


@pytest.fixture(autouse=True)
def _offered(settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer"}
    settings.CSRF_COOKIE_SECURE = True


@pytest.fixture
def device(ada, clock):
    return Device().enrol()


# --- honest browsers


def test_browser_keeps_its_key_while_the_session_is_locked(ada, clock, settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer", "LOCK_AFTER": 900}
    device = Device().enrol()
    clock.advance(900)
    first = device.refresh()
    answer = device.refresh(device.proof(device.challenge))
    assert [keeps_its_key(first), keeps_its_key(answer)] == [True, True]
    assert answer.status_code == 503, "it would come back with another proof, and give up after four"
    assert device.post("/auth/reauthenticate/", {"password": "old password"}).status_code == 200
    assert device.who() == "ada", "before its next proof"


def test_projects_throttles_do_not_take_the_key_from_browsers(device, clock, monkeypatch):
    """The requests are anonymous for DRF, and a browser makes 288 a day. 429 is fatal in Chromium."""

    class Rare(AnonRateThrottle):
        rate = "3/day"

    monkeypatch.setattr(APIView, "throttle_classes", [Rare])
    for _ in range(4):
        clock.advance(ACCESS_LIFETIME)
        assert keeps_its_key(device.refresh())


@pytest.mark.parametrize("url", ["register", "refresh"])
def test_projects_renderers_do_not_change_what_browsers_read(ada, clock, monkeypatch, url):
    """As djangorestframework-camel-case does, or a site whose first renderer is HTML."""
    monkeypatch.setattr(APIView, "renderer_classes", [BrowsableAPIRenderer])
    device = Device()
    offer = device.sign_in()
    where, challenge = re.fullmatch(r'\(ES256 RS256\);path="(.+)";challenge="(.+)"', offer).groups()
    answer = device.post(where, **{"secure-session-response": device.proof(challenge, jwk=True)})
    if url == "refresh":
        answer = device.refresh(id="x")
    assert answer.headers["Content-Type"] == "application/json"
    assert "session_identifier" in json.loads(answer.content)


@pytest.mark.parametrize("domain", ["example.com", ".example.com"])
@pytest.mark.parametrize(("host", "is_whole_site"), [("example.com", True), ("app.example.com", False)])
def test_scope_of_cookies_for_a_domain_is_one_that_browsers_accept(ada, clock, settings, host, is_whole_site, domain):
    """DBSC, create session: with include_site, the origin's host must be the registrable domain."""
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer", "COOKIE_DOMAIN": domain}
    settings.ALLOWED_HOSTS = ["*"]
    device = Device()
    device.browser.defaults["HTTP_HOST"] = host
    said = device.register(device.sign_in()).json()
    assert said["scope"]["include_site"] is is_whole_site
    assert f"Domain={domain}" in said["credentials"][0]["attributes"]


def test_scope_does_not_depend_on_the_host_that_a_proxy_sends(ada, clock, settings):
    """Behind a proxy that sends another Host, the browser would drop the session, but the row is bound."""
    settings.ALLOWED_HOSTS = ["*"]
    device = Device()
    device.browser.defaults["HTTP_HOST"] = "backend:8000"
    headers = {"origin": "https://www.example.com", "sec-fetch-site": "same-origin"}
    offer = device.post("/auth/login/", LOGIN, **headers).headers["Secure-Session-Registration"]
    assert "backend" not in json.dumps(device.register(offer).json())


def test_identifier_may_be_a_structured_string(device, clock):
    """DBSC, Sec-Secure-Session-Id: "Its value must be a string", in quotes. Chromium 156 sends it bare."""
    assert keeps_its_key(device.refresh(id=f'"{device.id}"'))


def test_login_that_is_confirmed_in_the_same_request_offers_to_bind(ada, clock):
    response = Device().get("/bound/both/")
    assert response.status_code == 200
    assert "Secure-Session-Registration" in response.headers


def test_new_password_and_another_authentication_do_not_offer_twice_at_once(ada, clock):
    """The browser answers both with a key of its own, and the second ends the session as theft."""
    device = Device()
    device.sign_in()
    clock.advance(400)
    offers = [
        device.get(f"/bound/{url}/").headers.get("Secure-Session-Registration") for url in ("password", "confirm")
    ]
    for offer in filter(None, offers):
        device.key = Device().key
        device.register(offer)
    assert device.who() == "ada"


def test_user_who_acts_before_the_browser_has_bound_the_session_can_still_bind_it(ada, bob, clock, settings):
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "require"}
    ada.is_superuser = True
    ada.save()
    device = Device()
    offer = device.sign_in()
    response = device.get("/bound/act/")
    offer = response.headers.get("Secure-Session-Registration", offer)
    assert device.register(offer).status_code == 200


def test_user_who_stops_acting_is_signed_in(device, ada, bob, clock):
    ada.is_superuser = True
    ada.save()
    device.get("/bound/act/")
    clock.advance(ACCESS_LIFETIME)
    assert device.prove().status_code == 200
    assert device.who() == "bob"
    device.get("/bound/stop/")
    assert device.who() == "ada", "the device has just proven its key"


def test_pending_login_of_the_version_before_is_no_error(ada, clock, settings):
    settings.JWTAUTH = {"SECOND_FACTOR": lambda user: {"otp"}}
    value = Signer(salt="jwtauth.pending.1").sign_object([str(ada.pk), ["pwd"], True, None, "", "x", clock.now + 600])
    device = Device()
    device.browser.cookies["access_token_pending"] = value
    assert device.post("/auth/login/", LOGIN).status_code == 403


# --- thieves


def test_error_report_shows_neither_proof_nor_cookies(device, clock, monkeypatch, settings):
    settings.DEBUG = False
    reports = []

    def report(request, **_):
        reporter = get_exception_reporter_class(request)(request, *sys.exc_info(), is_email=True)
        reports.append(reporter.get_traceback_text() + reporter.get_traceback_html())

    got_request_exception.connect(report)
    device.refresh()
    proof = device.proof(device.challenge)
    monkeypatch.setattr(binding.sessions, "advance", lambda *_: 1 / 0)
    secrets = [*device.tokens().values(), proof]
    assert device.refresh(proof).status_code == 500
    (shown,) = reports
    assert "ZeroDivisionError" in shown
    assert [secret for secret in secrets if secret[-40:] in shown] == []


# --- logins of other packages


@pytest.fixture
def tickets(clock, monkeypatch, settings):
    for name, value in {"spent": [], "ended": [], "fails": False, "slides": False}.items():
        monkeypatch.setattr(Tickets, name, value)
    monkeypatch.setattr(Tickets, "issued_at", clock.now - 86_400)
    monkeypatch.setattr(Tickets, "expires_at", clock.now + 7 * 86_400)
    entry = {"source": "tests.old_logins.Tickets", "until": "2999-01-01"}
    settings.JWTAUTH = {"DEVICE_BOUND_SESSIONS": "offer", "ACCEPT_LOGINS_OF": [entry]}


def test_copied_login_of_another_package_ends_no_bound_session(ada, clock, tickets, settings):
    device = Device()
    device.browser.cookies["ticket"] = "ticket-ada"
    device.get("/me/")
    clock.advance(400)
    offer = device.get("/bound/confirm/").headers["Secure-Session-Registration"]
    assert device.register(offer).status_code == 200
    clock.advance(ACCESS_LIFETIME)
    device.prove()
    assert device.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    thief = Device()
    thief.browser.cookies["ticket"] = "ticket-ada"
    assert thief.who() is None
    device.prove()
    assert device.who() == "ada"
