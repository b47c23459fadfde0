"""Proving again who one is: `reauthenticate`, and views that ask for it."""

import json

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.response import Response

from jwtauth import RecentlySignedIn, SignedInWith, areauthenticate, login, reauthenticate
from jwtauth.conf import get_config
from jwtauth.models import Session
from jwtauth.reauthentication import ReauthenticationMixin
from jwtauth.signals import session_reauthenticated
from tests.conftest import ACCESS_LIFETIME, GRACE, Browser, only_session, refresh
from tests.urls import urlpatterns as usual

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

PASSWORD = "old password"
REQUIRED = "reauthentication_required"


@RecentlySignedIn(300)
def sensitive(request):
    return JsonResponse({"user": request.user.username})


@RecentlySignedIn(300)
async def sensitive_async(request):
    return JsonResponse({"user": (await request.auser()).username})


@api_view()
@permission_classes([IsAuthenticated, RecentlySignedIn(300)])
def sensitive_api(request):
    return Response({"user": request.user.username})


@api_view()
@permission_classes([IsAdminUser | SignedInWith("otp")])
def either(request):
    return Response({"user": request.user.username})


@api_view()
@permission_classes([SignedInWith("pwd", "otp") & RecentlySignedIn(300)])
def both(request):
    return Response({"user": request.user.username})


class Page(ReauthenticationMixin, View):
    requires = (SignedInWith("otp"),)
    reauthentication_url = "/confirm/"

    def get(self, request):
        return HttpResponse("page")


@method_decorator(RecentlySignedIn(), name="dispatch")
class ByDefault(View):
    def get(self, request):
        return HttpResponse("page")


def otp(request):
    reauthenticate(request, request.user, methods=["otp"])
    return JsonResponse({"user": request.user.username, "methods": sorted(request.jwtauth.methods)})


async def otp_async(request):
    await areauthenticate(request, await request.auser(), methods=["otp"])
    return JsonResponse({})


def as_another(request):
    from django.contrib.auth import get_user_model

    reauthenticate(request, get_user_model().objects.get(username="bob"))
    return JsonResponse({})


def rolled_back(request):
    with transaction.atomic():
        reauthenticate(request, request.user, methods=["otp"])
        transaction.set_rollback(True)
    return JsonResponse({"methods": sorted(request.jwtauth.methods)})


def twice(request):
    reauthenticate(request, request.user, methods=["pwd"])
    reauthenticate(request, request.user, methods=["otp"])
    return JsonResponse({})


def with_methods(request):
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(username="ada")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend", methods=["otp", "pwd"])
    return JsonResponse({"methods": sorted(request.jwtauth.methods)})


def facts(request):
    auth = request.jwtauth
    at = None if auth.auth_time is None else int(auth.auth_time.timestamp())
    return JsonResponse({"auth_time": at, "methods": sorted(auth.methods), "is_locked": auth.is_locked})


urlpatterns = [
    *usual,
    path("sensitive/", sensitive),
    path("sensitive/async/", sensitive_async),
    path("sensitive/api/", sensitive_api),
    path("sensitive/either/", either),
    path("sensitive/both/", both),
    path("sensitive/page/", Page.as_view()),
    path("sensitive/default/", ByDefault.as_view()),
    path("otp/", otp),
    path("otp/async/", otp_async),
    path("otp/another/", as_another),
    path("otp/rolled-back/", rolled_back),
    path("login/methods/", with_methods),
    path("otp/twice/", twice),
    path("facts/", facts),
    path("again/", include(("jwtauth.urls", "again"))),
]

VIEWS = ["/sensitive/", "/sensitive/async/", "/sensitive/api/"]


def confirm(browser, password=PASSWORD):
    return browser.post("/auth/reauthenticate/", {"password": password})


@pytest.mark.parametrize("url", VIEWS)
def test_view_needs_a_recent_login(signed_in, clock, url):
    assert signed_in.get(url).status_code == 200
    clock.advance(299)
    assert signed_in.get(url).status_code == 200
    clock.advance(1)
    refused = signed_in.get(url)
    assert refused.status_code == 403
    assert refused.json() == {
        "detail": "Confirm that it is you.",
        "code": REQUIRED,
        "max_age": 300,
        "methods": [],
    }
    assert confirm(signed_in).status_code == 200
    assert signed_in.get(url).json() == {"user": "ada"}


@pytest.mark.parametrize("url", VIEWS)
def test_view_refuses_an_anonymous_request(browser, url):
    assert browser.get(url).status_code == 403


def test_refreshes_do_not_make_a_login_recent(signed_in, clock):
    for _ in range(3):
        refresh(signed_in, clock)
    assert signed_in.get("/sensitive/").json()["code"] == REQUIRED


def test_session_goes_on(signed_in, clock):
    before = only_session()
    clock.advance(1000)
    signed_in.get("/me/")
    signed_in.get("/me/")
    clock.advance(1000)
    assert confirm(signed_in).status_code == 200
    after = only_session()
    assert (after.pk, after.created_at) == (before.pk, before.created_at)
    assert int(after.auth_time.timestamp()) == clock.now
    assert after.amr == "pwd"


def test_methods_are_united(browser, ada, clock):
    assert browser.post("/auth/login/", {"username": "ada", "password": PASSWORD}).status_code == 200
    assert browser.get("/facts/").json() == {"auth_time": clock.now, "methods": ["pwd"], "is_locked": False}
    refused = browser.get("/sensitive/both/").json()
    assert (refused["code"], refused["max_age"], refused["methods"]) == (REQUIRED, None, ["otp"])
    assert browser.get("/sensitive/either/").status_code == 403
    assert browser.get("/otp/").json() == {"user": "ada", "methods": ["otp", "pwd"]}
    assert browser.get("/sensitive/both/").status_code == browser.get("/sensitive/either/").status_code == 200
    refresh(browser, clock)
    assert browser.get("/facts/").json()["methods"] == ["otp", "pwd"]


def test_login_says_its_methods(browser, ada, clock):
    assert browser.get("/login/methods/").json() == {"methods": ["otp", "pwd"]}
    assert browser.get("/sensitive/both/").status_code == 200
    claims = get_config().tokens.verify(_access(), browser.token("access_token"), clock.now)
    assert (claims.auth_time, claims.methods) == (clock.now, ["otp", "pwd"])


def _access():
    from jwtauth import _engine

    return _engine.TokenKind.ACCESS


def test_invalid_methods_are_refused_before_anything_is_written(signed_in, rf):
    before = only_session().generation
    request = rf.get("/")
    for methods in (["a b"], [""], list("abcdefg")):
        with pytest.raises(ValueError, match="method"):
            reauthenticate(_passed(request), None, methods=methods)
    assert only_session().generation == before


def _passed(request):
    from jwtauth.middleware import JWTAuthMiddleware

    JWTAuthMiddleware(lambda request: HttpResponse())(request)
    return request


def test_page_redirects_to_where_the_user_confirms(browser, ada, clock):
    assert browser.get("/sensitive/page/")["Location"].startswith("/accounts/login/?next=")
    browser.sign_in(ada)
    assert browser.get("/sensitive/page/")["Location"] == "/confirm/?next=/sensitive/page/"
    browser.get("/otp/")
    assert browser.get("/sensitive/page/").content == b"page"


def test_async_view_can_reauthenticate(signed_in, clock):
    clock.advance(400)
    assert signed_in.get("/otp/async/").status_code == 200
    assert signed_in.get("/sensitive/").status_code == 200


def test_default_limit_is_a_setting(signed_in, clock, settings):
    clock.advance(1000)
    assert signed_in.get("/sensitive/default/").status_code == 200
    settings.JWTAUTH = {"SENSITIVE_MAX_AGE": 900}
    assert signed_in.get("/sensitive/default/").json()["max_age"] == 900
    confirm(signed_in)
    assert signed_in.get("/sensitive/default/").status_code == 200


def test_default_without_the_setting_asks_nothing_of_other_users(rf, ada):
    request = rf.get("/")
    request.user = ada
    RecentlySignedIn().check(request)
    with pytest.raises(PermissionDenied):
        RecentlySignedIn(300).check(request)


def test_ending_other_sessions_can_need_it(signed_in, other_browser, ada, clock):
    other_browser.sign_in(ada)
    other = Session.objects.order_by("created_at", "pk").last().pk
    clock.advance(1000)
    with override_settings(JWTAUTH={"SENSITIVE_MAX_AGE": 900}):
        mine = signed_in.get("/auth/me/").json()["session"]["id"]
        another = next(str(pk) for pk in Session.objects.values_list("pk", flat=True) if str(pk) != mine)
        for url in ("/auth/sessions/others/", f"/auth/sessions/{another}/"):
            refused = signed_in.delete(url)
            assert (refused.status_code, refused.json()["code"]) == (403, REQUIRED)
        assert Session.objects.count() == 2
        confirm(signed_in)
        assert signed_in.delete("/auth/sessions/others/").json() == {"ended": 1}
        clock.advance(1000)
        assert signed_in.delete(f"/auth/sessions/{mine}/").status_code == 204, "signing out needs nothing"
    assert other is not None


# Who may, and what a wrong password does.


def test_wrong_password_changes_nothing(signed_in, clock):
    before, generation = signed_in.tokens(), only_session().generation
    clock.advance(250)
    refused = confirm(signed_in, "wrong")
    assert (refused.status_code, refused.json()["code"]) == (401, "no_active_account")
    assert signed_in.tokens() == before
    assert only_session().generation == generation
    assert signed_in.who() == "ada"


def test_password_of_another_user_is_wrong(signed_in, bob):
    assert confirm(signed_in, "another password").status_code == 401


def test_another_user_is_refused(signed_in, bob):
    assert signed_in.get("/otp/another/").status_code == 403
    assert only_session().auth_time is None


def test_anonymous_request_is_refused(browser, ada):
    refused = confirm(browser)
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    assert not browser.tokens()


def test_ended_session_is_not_revived(signed_in):
    only_session().end()
    assert confirm(signed_in).status_code == 401
    assert not Session.objects.exists()


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_other_origins_are_refused(signed_in, origin):
    refused = signed_in.post("/auth/reauthenticate/", {"password": PASSWORD}, headers={"origin": origin})
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_origin")


def test_attempts_are_limited(signed_in):
    statuses = [confirm(signed_in, "wrong").status_code for _ in range(31)]
    assert statuses == [401] * 30 + [429]


# Other tabs, lost responses, and copies.


def test_no_other_tab_is_signed_out(signed_in, clock):
    tab = Browser()
    tab.carry(signed_in.tokens())
    clock.advance(10)
    confirm(signed_in)
    assert signed_in.who() == "ada"
    assert tab.who() == "ada"
    assert tab.get("/sensitive/").status_code == 200, "it is as recent as the login was"
    clock.advance(GRACE - 1)
    tab.forget_access_token()
    response = tab.get("/me/")
    assert response.status_code == 200
    assert not response.cookies, "it would take away what the other tab has been given"
    assert signed_in.who() == "ada"


def test_lost_response_signs_no_user_out(signed_in, clock):
    tokens = signed_in.tokens()
    confirm(signed_in)
    signed_in.carry(tokens)
    for _ in range(3):
        clock.advance(ACCESS_LIFETIME)
        assert signed_in.who() == "ada"
        signed_in.get("/me/")
    assert signed_in.get("/sensitive/").json()["code"] == REQUIRED


def test_lost_response_after_a_lost_refresh_signs_no_user_out(signed_in, clock):
    clock.advance(ACCESS_LIFETIME - 1)
    tokens = signed_in.tokens()
    signed_in.forget_access_token()
    signed_in.get("/me/")  # generation 2, whose response is lost
    signed_in.carry(tokens)
    confirm(signed_in)
    assert only_session().generation == 2
    signed_in.carry(tokens)  # and that one as well
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() == "ada"


def test_lost_response_to_a_request_that_was_refreshed_signs_no_user_out(signed_in, clock):
    clock.advance(ACCESS_LIFETIME + 1)
    tokens = signed_in.tokens()
    confirm(signed_in)
    assert only_session().generation == 2
    signed_in.carry(tokens)
    clock.advance(GRACE)
    assert signed_in.who() == "ada"


def test_slow_request_from_before_a_refresh_signs_no_user_out(signed_in, clock, thefts):
    clock.advance(ACCESS_LIFETIME)
    slow = Browser()
    slow.carry(signed_in.tokens())
    signed_in.get("/me/")
    signed_in.get("/me/")
    clock.advance(5)
    confirm(signed_in)
    signed_in.get("/me/")
    clock.advance(5)
    response = slow.get("/me/")
    assert (response.status_code, list(response.cookies)) == (200, [])
    assert not thefts
    assert signed_in.get("/sensitive/").status_code == 200
    assert signed_in.who() == "ada"


def test_two_factors_in_one_request_whose_response_is_lost_sign_no_user_out(browser, ada, clock, thefts):
    browser.sign_in(ada)
    tokens = browser.tokens()
    browser.get("/otp/twice/")
    browser.carry(tokens)
    clock.advance(ACCESS_LIFETIME + GRACE)
    assert browser.who() == "ada"
    assert thefts == []


def test_copied_tokens_never_become_recent(signed_in, clock, thefts):
    clock.advance(250)
    thief = Browser()
    thief.carry(signed_in.tokens())
    confirm(signed_in)
    clock.advance(60)
    assert signed_in.get("/sensitive/").status_code == 200
    assert thief.get("/sensitive/").json()["code"] == REQUIRED
    clock.advance(GRACE)
    thief.forget_access_token()
    assert thief.get("/sensitive/").status_code == 403, "the copy ends the session"
    assert len(thefts) == 1
    assert signed_in.who() is None


def test_copy_used_at_once_never_becomes_recent(signed_in, clock):
    clock.advance(250)
    thief = Browser()
    thief.carry(signed_in.tokens())
    confirm(signed_in)
    clock.advance(20)
    thief.forget_access_token()
    assert thief.who() == "ada", "as any other tab"
    clock.advance(40)
    thief.get("/me/")
    assert thief.get("/sensitive/").status_code == 403


def test_new_password_keeps_the_age_of_the_login(signed_in, clock):
    clock.advance(200)
    signed_in.post("/password/")
    assert signed_in.get("/facts/").json()["auth_time"] == clock.now - 200
    clock.advance(100)
    assert signed_in.get("/sensitive/").json()["code"] == REQUIRED


def test_rollback_takes_it_back(signed_in, clock):
    clock.advance(100)
    before = signed_in.tokens()
    response = signed_in.get("/otp/rolled-back/")
    assert response.status_code == 200
    assert signed_in.tokens() == before
    assert only_session().auth_time is None
    assert signed_in.get("/facts/").json()["methods"] == []


# Clients that store their tokens.


def test_header_client_gets_its_tokens_in_the_body(client, ada, clock):
    pair = client.post("/auth/token/", {"username": "ada", "password": PASSWORD}).json()
    clock.advance(299)
    bearer = {"authorization": f"Bearer {pair['access']}"}
    new = client.post("/auth/reauthenticate/", {"password": PASSWORD}, headers=bearer)
    assert new.status_code == 200
    assert not new.cookies
    clock.advance(299)
    bearer = {"authorization": f"Bearer {new.json()['access']}"}
    assert client.get("/sensitive/api/", headers=bearer).status_code == 200
    again = client.post("/auth/token/refresh/", {"refresh": new.json()["refresh"]})
    assert again.status_code == 200


def test_refresh_token_in_the_body_names_the_session(client, ada, clock):
    pair = client.post("/auth/token/", {"username": "ada", "password": PASSWORD}).json()
    clock.advance(1000)
    body = {"password": PASSWORD, "refresh": pair["refresh"]}
    new = client.post("/auth/reauthenticate/", body).json()
    bearer = {"authorization": f"Bearer {new['access']}"}
    assert client.get("/sensitive/api/", headers=bearer).status_code == 200
    for token in ("", "broken", pair["access"]):
        assert client.post("/auth/reauthenticate/", {**body, "refresh": token}).status_code in (400, 401)


# What is told.


def test_signal_and_log_tell_of_it(signed_in, caplog):
    seen = []
    session_reauthenticated.connect(lambda **facts: seen.append(facts), weak=False, dispatch_uid="test")
    caplog.set_level("INFO", "jwtauth.security")
    try:
        confirm(signed_in)
    finally:
        session_reauthenticated.disconnect(dispatch_uid="test")
    assert [(facts["user"].username, facts["methods"]) for facts in seen] == [("ada", ["pwd"])]
    events = [record.event for record in caplog.records if record.name == "jwtauth.security"]
    assert events == ["session_reauthenticated"]
    assert PASSWORD not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_it_takes_one_read_and_one_write(signed_in, statements):
    assert statements(signed_in.get, "/otp/") == ["SELECT", "SELECT", "UPDATE"]


def test_requests_that_ask_nothing_take_no_statement_more(signed_in, statements):
    assert statements(signed_in.get, "/me/") == ["SELECT"]
    assert statements(signed_in.get, "/sensitive/") == ["SELECT"]


def test_requirements_are_checked_when_they_are_made():
    with pytest.raises(ValueError, match="at least"):
        RecentlySignedIn(0)
    with pytest.raises(ValueError, match="name"):
        SignedInWith()
    assert repr(RecentlySignedIn(300)) == "RecentlySignedIn(300)"
    assert repr(SignedInWith("otp")) == "SignedInWith('otp')"


def test_request_outside_the_middleware_is_refused(rf, ada):
    request = rf.get("/")
    request.user = ada
    with pytest.raises(PermissionDenied):
        RecentlySignedIn(300).check(request)


# Locks, and requests that are not an activity.

LOCKING = {"LOCK_AFTER": 3600}
POLL = {"x-jwtauth-activity": "none"}


@pytest.fixture
def locking(settings):
    settings.JWTAUTH = LOCKING


def test_idle_session_locks_until_the_password_revives_it(locking, signed_in, clock):
    before, session = signed_in.tokens(), only_session().pk
    clock.advance(3600)
    for url, status in (("/me/", 403), ("/auth/me/", 403)):
        refused = signed_in.get(url)
        assert (refused.status_code, refused.json()["code"]) == (status, "session_locked")
    assert signed_in.get("/facts/").json() == {"auth_time": None, "methods": [], "is_locked": True}
    assert signed_in.tokens() == before, "no cookie is cleared"
    assert confirm(signed_in, "wrong").status_code == 401
    assert signed_in.get("/me/").json()["code"] == "session_locked"
    revived = confirm(signed_in)
    assert revived.status_code == 200
    assert revived.json()["session"]["id"] == str(session)
    assert signed_in.who() == "ada"


def test_session_in_use_does_not_lock(locking, signed_in, clock):
    for _ in range(20):
        clock.advance(1800)
        assert signed_in.who() == "ada"
        signed_in.get("/me/")


def test_access_token_does_not_outlive_the_lock(locking, signed_in, clock):
    clock.advance(3590)
    assert signed_in.who() == "ada"
    signed_in.get("/me/")
    Session.objects.update(locks_at=only_session().rotated_at)
    assert only_session().locks_at is not None
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() is None


def test_locked_app_is_told_and_can_revive_its_session(locking, client, ada, clock):
    pair = client.post("/auth/token/", {"username": "ada", "password": PASSWORD}).json()
    clock.advance(3600)
    refused = client.post("/auth/token/refresh/", {"refresh": pair["refresh"]})
    assert (refused.status_code, refused.json()["code"]) == (401, "session_locked")
    revived = client.post("/auth/reauthenticate/", {"password": PASSWORD, "refresh": pair["refresh"]})
    assert revived.status_code == 200
    assert client.post("/auth/token/refresh/", {"refresh": revived.json()["refresh"]}).status_code == 200


def test_another_user_s_password_does_not_revive_it(locking, signed_in, bob, clock):
    clock.advance(3600)
    assert confirm(signed_in, "another password").status_code == 401
    assert signed_in.who() is None


def test_login_replaces_a_locked_session(locking, signed_in, bob, clock):
    clock.advance(3600)
    signed_in.sign_in(bob)
    assert signed_in.who() == "bob"
    assert [session.user_id for session in Session.objects.all()] == [bob.pk]


def test_logout_ends_a_locked_session(locking, signed_in, clock):
    clock.advance(3600)
    assert signed_in.post("/auth/logout/").status_code == 204
    assert not Session.objects.exists()
    assert not signed_in.tokens()


@pytest.mark.parametrize("how", ["header", "/poll/", "/poll/class/", "/poll/api/"])
@pytest.mark.parametrize("settings_", [LOCKING, {}], ids=["locks", "ends"])
def test_page_that_polls_does_not_keep_the_session_open(signed_in, clock, settings, settings_, how, polled):
    settings.JWTAUTH = settings_
    signed_in.post("/logout/")
    polled.browser(signed_in)
    limit = settings_.get("LOCK_AFTER", 86_400)
    passed = 0
    while passed < limit - 1800:
        clock.advance(1800)
        passed += 1800
        response = polled.poll(signed_in, how)
        assert response.status_code == 200
        assert set(response.cookies) <= {"refresh_token"}
    clock.advance(1800)
    assert polled.poll(signed_in, how).status_code == 403


@pytest.fixture
def polled(ada):
    class Polled:
        @staticmethod
        def browser(browser):
            browser.sign_in(ada)

        @staticmethod
        def poll(browser, how):
            if how == "header":
                return browser.get("/me/", headers={"x-jwtauth-activity": "none"})
            with override_settings(ROOT_URLCONF="tests.polling_urls"):
                return browser.get(how)

    return Polled


def test_user_beside_a_page_that_polls_stays_signed_in(locking, signed_in, clock):
    """The poll comes first when the access token has expired. It must not take the refresh from the user's request."""
    for wait in [600, 20, 301, 31, 5] * 12:
        clock.advance(wait)
        assert signed_in.get("/me/", headers=POLL).status_code == 200
        assert signed_in.who() == "ada"
        assert only_session().locks_at.timestamp() >= clock.now + 3600 - ACCESS_LIFETIME
        assert signed_in.get("/me/", headers=POLL).status_code == 200


def test_copy_that_polls_is_detected(locking, signed_in, clock, thefts):
    thief = Browser()
    thief.carry(signed_in.tokens())
    for _ in range(3):
        clock.advance(ACCESS_LIFETIME)
        assert thief.get("/me/", headers=POLL).status_code == 200
    assert signed_in.who() is None, "the copy and the owner's token cannot be told apart, so the session ends"
    assert len(thefts) == 1
    assert thief.get("/me/", headers=POLL).status_code == 403


def test_poll_whose_response_is_lost_signs_no_user_out(locking, signed_in, clock):
    tokens = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/me/", headers=POLL)
    signed_in.carry(tokens)
    refresh(signed_in, clock)
    refresh(signed_in, clock)
    assert signed_in.who() == "ada"
    assert only_session().locks_at.timestamp() == only_session().rotated_at.timestamp() + 3600


def test_poll_is_not_when_the_user_was_last_seen(signed_in, clock):
    before = only_session().last_seen_at
    clock.advance(200)
    signed_in.post("/upload/", headers={"x-jwtauth-activity": "none"})
    assert only_session().last_seen_at == before
    signed_in.post("/upload/")
    assert only_session().last_seen_at > before


def test_body_is_json(signed_in, clock):
    clock.advance(300)
    assert json.loads(signed_in.get("/sensitive/").content)["max_age"] == 300
