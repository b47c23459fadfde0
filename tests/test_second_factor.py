"""``SECOND_FACTOR``: a login with one factor only waits, and the second factor completes it."""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth import login as django_login
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, override_settings
from django.urls import include, path
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.response import Response

from jwtauth import alogin, login, logout
from jwtauth.exceptions import SecondFactorRequired
from jwtauth.internal import pending
from jwtauth.internal.flow import Flow
from jwtauth.models import Session
from jwtauth.test import force_login
from jwtauth.views import LoginView, TokenView
from tests import views
from tests.conftest import IDLE, Browser, only_session
from tests.old_logins import Tickets

CODES = {"ada": "123456", "bob": "654321"}


def enrolled(user):
    return {"otp", "hwk"} if user.get_username() in CODES else ()


JWTAUTH = {"SECOND_FACTOR": enrolled}
ADA = {"username": "ada", "password": "old password"}
BOB = {"username": "bob", "password": "another password"}
REQUIRED = {
    "detail": "This login requires a second factor.",
    "code": "second_factor_required",
    "methods": ["hwk", "otp"],
}
COOKIE = "access_token_pending"
HEADER = "HTTP_X_JWTAUTH_PENDING"


class CodeSerializer(serializers.Serializer):
    code = serializers.CharField()

    def validate(self, attrs):
        waiting = self.context["request"].jwtauth.pending
        if waiting is None or attrs["code"] != CODES[waiting.user.get_username()]:
            raise AuthenticationFailed
        return {"user": waiting.user, "methods": ("otp",)}


def password(request):
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    options = {"remember": "forget" not in request.POST}
    if "lifetime" in request.POST:
        options["lifetime"] = timedelta(seconds=int(request.POST["lifetime"]))
    login(request, user, methods=("pwd",), **options)
    return HttpResponse(str(request.user))


def password_in_transaction(request):
    with transaction.atomic():
        return password(request)


@api_view(["POST"])
def password_of_drf(request):
    user = authenticate(request, username=request.data["username"], password=request.data["password"])
    login(request, user, methods=("pwd",))
    return Response()


async def password_async(request):
    user = await sync_to_async(authenticate)(request, **request.POST.dict())
    await alogin(request, user, methods=("pwd",))
    return HttpResponse()


def password_then_shown(request):
    try:
        return password(request)
    except SecondFactorRequired as error:
        auth = request.jwtauth
        return JsonResponse(
            {
                "user": request.user.get_username(),
                "pending": auth.pending.user.get_username(),
                "is_authenticated": auth.is_authenticated,
                "message": str(error),
                "methods": sorted(error.methods),
                "value": error.pending,
            }
        )


def callback(request):
    """Sign in as a provider's callback does."""
    login(request, get_user_model().objects.get(username="ada"), methods=("fed",))


def code(request):
    waiting = request.jwtauth.pending
    if waiting is None:
        return JsonResponse({"pending": None}, status=403)
    if request.POST["code"] != CODES[waiting.user.get_username()]:
        return JsonResponse({"code": "wrong"}, status=403)
    login(request, waiting.user, methods=("otp",))
    return HttpResponse(str(request.user))


def code_then_rolled_back(request):
    with transaction.atomic():
        login(request, request.jwtauth.pending.user, methods=("otp",))
        transaction.set_rollback(True)
    return HttpResponse()


def shown(request):
    waiting = request.jwtauth.pending
    if waiting is None:
        return JsonResponse(None, safe=False)
    return JsonResponse(
        {
            "user": waiting.user.get_username(),
            "methods": sorted(waiting.methods),
            "required": sorted(waiting.required),
        }
    )


def django_s(request):
    """Sign in by Django's own login."""
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    django_login(request, user)
    return HttpResponse()


urlpatterns = [
    path("auth/", include("jwtauth.urls")),
    path("auth/login/code/", LoginView.as_view(serializer_class=CodeSerializer)),
    path("auth/token/code/", TokenView.as_view(serializer_class=CodeSerializer)),
    path("password/", password),
    path("password/atomic/", password_in_transaction),
    path("password/drf/", password_of_drf),
    path("password/async/", password_async),
    path("password/shown/", password_then_shown),
    path("callback/", callback),
    path("code/", code),
    path("code/rolled-back/", code_then_rolled_back),
    path("pending/", shown),
    path("django/", django_s),
    path("login/", views.login_view),
    path("logout/", lambda request: HttpResponse(logout(request))),
    path("me/", views.me),
    path("me/plain/", views.plain_me),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture(autouse=True)
def _second_factor(settings):
    settings.JWTAUTH = JWTAUTH


@pytest.fixture
def browser():
    return Visitor()


@pytest.fixture
def other_browser():
    return Visitor()


class Visitor(Browser):
    """Skip Django's CSRF checks in the plain views, but not jwtauth's check of the origin."""

    def __init__(self):
        super().__init__()
        self.handler.enforce_csrf_checks = False

    def pending(self):
        return self.get("/pending/").json()


@pytest.fixture
def waiting(browser, ada, clock):
    """Return a browser in which ada has given her password."""
    assert browser.post("/password/", ADA).status_code == 403
    return browser


# --- the first factor


@pytest.mark.parametrize("url", ["/password/", "/password/atomic/", "/password/drf/", "/auth/login/"])
def test_password_alone_starts_no_session_and_says_what_is_missing(browser, ada, url):
    response = browser.post(url, ADA)
    assert (response.status_code, response.json()) == (403, REQUIRED)
    assert not Session.objects.exists()
    assert list(response.cookies) == [COOKIE]
    assert (browser.who(), browser.get("/me/plain/").content) == (None, b"AnonymousUser")
    assert browser.pending()["user"] == "ada"


def test_password_alone_in_an_async_view_says_what_is_missing(ada, settings):
    response = async_to_sync(AsyncClient().post)("/password/async/", ADA)
    assert (response.status_code, response.json()) == (403, REQUIRED)
    assert COOKIE in response.cookies


def test_view_may_answer_a_pending_login_itself(browser, ada):
    assert browser.post("/password/shown/", ADA).json() == {
        "user": "",
        "pending": "ada",
        "is_authenticated": False,
        "message": "This login requires a second factor.",
        "methods": ["hwk", "otp"],
        "value": None,
    }


def test_cookie_of_a_pending_login_has_the_attributes_of_the_access_token(browser, ada, clock):
    response = browser.post("/auth/login/", ADA)
    cookie = response.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert cookie["max-age"] == 600
    assert "no-store" in response["Cache-Control"]
    assert "old password" not in cookie.value


@override_settings(
    JWTAUTH=JWTAUTH
    | {"ACCESS_TOKEN_COOKIE_NAME": "__Host-at", "COOKIE_SAMESITE": "None", "COOKIE_PARTITIONED": True, "LEEWAY": 1}
)
def test_cookie_of_a_pending_login_follows_the_settings(browser, ada):
    cookie = browser.post("/auth/login/", ADA).cookies["__Host-at_pending"]
    assert cookie["samesite"] == "None"
    assert cookie.OutputString().endswith("; Partitioned")


def test_user_without_a_second_factor_is_signed_in_at_once(browser, db):
    get_user_model().objects.create_user("eve", password="a password")
    assert browser.post("/auth/login/", {"username": "eve", "password": "a password"}).status_code == 200
    assert browser.who() == "eve"


@pytest.mark.parametrize("methods", [("hwk",), ("pwd", "otp"), frozenset({"otp"})])
def test_login_with_an_enrolled_method_starts_a_session(rf, ada, methods):
    request = rf.post("/")
    Flow.attach(request)
    login(request, ada, methods=methods)
    assert only_session().user == ada


@pytest.mark.parametrize("methods", [(), ("pwd",), ("sms", "pwd")])
def test_login_without_an_enrolled_method_starts_none(rf, ada, methods):
    request = rf.post("/")
    Flow.attach(request)
    with pytest.raises(SecondFactorRequired):
        login(request, ada, methods=methods)
    assert not Session.objects.exists()


def test_string_of_methods_is_refused(rf, ada):
    request = rf.post("/")
    Flow.attach(request)
    with pytest.raises(TypeError, match="sequence of names"):
        login(request, ada, methods="otp")
    with override_settings(JWTAUTH={"SECOND_FACTOR": lambda user: "otp"}):
        Flow.attach(request)
        with pytest.raises(TypeError, match="sequence of names"):
            login(request, ada, methods=("pwd",))
    assert not Session.objects.exists()


@override_settings(JWTAUTH={"SECOND_FACTOR": f"{__name__}.enrolled"})
def test_function_may_be_named_by_its_path(browser, ada):
    assert browser.post("/password/", ADA).status_code == 403


@override_settings(JWTAUTH={})
def test_without_the_setting_nothing_is_pending(browser, ada, clock):
    with override_settings(JWTAUTH=JWTAUTH):
        browser.post("/password/", ADA)
    assert browser.pending() is None
    assert browser.post("/password/", ADA).status_code == 200


def test_pending_login_sends_no_signal_and_leaves_last_login(browser, ada):
    seen = []

    def receiver(sender, user, **kwargs):
        seen.append(user)

    user_logged_in.connect(receiver)
    try:
        browser.post("/password/", ADA)
        ada.refresh_from_db()
        assert (seen, ada.last_login) == ([], None)
        browser.post("/code/", {"code": CODES["ada"]})
        ada.refresh_from_db()
        assert seen == [ada]
        assert ada.last_login is not None
    finally:
        user_logged_in.disconnect(receiver)


def test_force_login_passes_every_factor(browser, ada):
    force_login(browser, ada)
    assert browser.who() == "ada"


# --- the second factor


def test_request_shows_the_pending_login_and_stays_anonymous(waiting):
    assert waiting.pending() == {"user": "ada", "methods": ["pwd"], "required": ["hwk", "otp"]}
    assert waiting.who() is None


@pytest.mark.parametrize("url", ["/code/", "/auth/login/code/"])
def test_code_completes_the_login(waiting, url):
    assert waiting.post(url, {"code": "000000"}).status_code == 403
    assert (waiting.who(), Session.objects.count()) == (None, 0)
    response = waiting.post(url, {"code": CODES["ada"]})
    assert response.status_code == 200
    assert response.cookies[COOKIE].value == ""
    assert response.cookies[COOKIE]["max-age"] == 0
    assert (waiting.who(), only_session().user.username, waiting.pending()) == ("ada", "ada", None)


def test_methods_of_both_factors_are_united(waiting, rf):
    """The second part names a method that is not enrolled; the third one completes the login."""
    seen = []
    with override_settings(JWTAUTH={"SECOND_FACTOR": lambda user: ("sms",)}):
        waiting.post("/code/", {"code": CODES["ada"]})
        seen.append(waiting.pending())
    with override_settings(JWTAUTH={"SECOND_FACTOR": lambda user: ("pwd",)}):
        waiting.post("/code/", {"code": CODES["ada"]})
    assert seen == [{"user": "ada", "methods": ["otp", "pwd"], "required": ["sms"]}]
    assert waiting.who() == "ada"


def test_completed_login_keeps_remember_and_lifetime_and_backend(browser, ada, clock):
    response = browser.post("/password/", ADA | {"forget": "", "lifetime": IDLE // 2})
    assert response.cookies[COOKIE]["max-age"] == ""
    clock.advance(60)
    response = browser.post("/code/", {"code": CODES["ada"]})
    assert response.cookies["access_token"]["max-age"] == ""
    session = only_session()
    assert session.expires_at - session.created_at == timedelta(seconds=IDLE // 2)
    assert session.backend == "django.contrib.auth.backends.ModelBackend"


def test_login_of_another_user_ignores_and_clears_the_pending_login(waiting, db):
    get_user_model().objects.create_user("eve", password="a password")
    response = waiting.post("/password/", {"username": "eve", "password": "a password"})
    assert response.cookies[COOKIE].value == ""
    assert (waiting.who(), waiting.pending()) == ("eve", None)


def test_pending_login_of_another_user_replaces_the_first(waiting, bob):
    assert waiting.post("/password/", BOB).status_code == 403
    assert waiting.pending()["user"] == "bob"
    assert waiting.post("/code/", {"code": CODES["ada"]}).status_code == 403
    assert waiting.who() is None


def test_logout_clears_the_pending_login(waiting):
    response = waiting.post("/logout/")
    assert response.cookies[COOKIE].value == ""
    assert waiting.pending() is None


def test_logout_without_a_pending_login_clears_no_cookie_of_it(browser, db):
    assert COOKIE not in browser.post("/logout/").cookies


@pytest.mark.django_db(transaction=True)
def test_rolled_back_completion_leaves_the_login_pending(waiting):
    assert COOKIE not in waiting.post("/code/rolled-back/").cookies
    assert (waiting.who(), waiting.pending()["user"]) == (None, "ada")


# --- what ends a pending login


def test_pending_login_expires_after_ten_minutes(waiting, clock):
    clock.advance(599)
    assert waiting.pending()["user"] == "ada"
    value = waiting.token(COOKIE)
    clock.advance(1)
    waiting.cookies[COOKIE] = value
    assert waiting.pending() is None


@pytest.mark.parametrize("value", ["", "x", "a:b", "é\x00", "x" * 5000])
def test_forged_cookie_is_ignored(browser, db, value):
    response = browser.get("/pending/", headers={"cookie": f"{COOKIE}={value}"})
    assert (response.status_code, response.json()) == (200, None)


def test_changed_cookie_is_ignored(waiting):
    value = waiting.token(COOKIE)
    for changed in ("x" + value[1:], value[:-1] + ("a" if value[-1] != "a" else "b"), value.partition(":")[0]):
        waiting.cookies[COOKIE] = changed
        assert waiting.pending() is None


def test_value_signed_for_another_purpose_is_ignored(waiting):
    from django.core import signing

    values = signing.Signer(salt=pending._SALT).unsign_object(waiting.token(COOKIE))
    waiting.cookies[COOKIE] = signing.Signer(salt="another").sign_object(values)
    assert waiting.pending() is None


def test_new_password_ends_a_pending_login(waiting, ada):
    ada.set_password("new password")
    ada.save()
    assert waiting.pending() is None
    assert waiting.post("/code/", {"code": CODES["ada"]}).status_code == 403


def test_deactivation_and_deletion_end_a_pending_login(waiting, ada):
    get_user_model().objects.update(is_active=False)
    assert waiting.pending() is None
    ada.delete()
    assert waiting.pending() is None


def test_replaced_secret_key_keeps_a_pending_login_by_its_fallback(waiting, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key for tests, as long as SHA-512 needs an HMAC key to be: 64 bytes"
    assert waiting.pending()["user"] == "ada"
    settings.SECRET_KEY_FALLBACKS = []
    assert waiting.pending() is None


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_value_of_a_pending_login_is_not_a_token(waiting, name):
    value = waiting.token(COOKIE)
    waiting.carry({name: value})
    assert waiting.who() is None
    assert waiting.get("/me/", HTTP_AUTHORIZATION=f"Bearer {value}").status_code == 401


# --- the session that the browser already has


def test_pending_login_of_another_user_ends_the_browser_s_session(browser, other_browser, bob, ada):
    force_login(browser, bob)
    other_browser.carry(browser.tokens())
    response = browser.post("/password/", ADA)
    assert {name: response.cookies[name].value for name in ("access_token", "refresh_token")} == {
        "access_token": "",
        "refresh_token": "",
    }
    assert (browser.who(), other_browser.who(), Session.objects.count()) == (None, None, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/password/atomic/", "/password/drf/"])
def test_session_of_another_user_ends_although_the_transaction_is_rolled_back(browser, bob, ada, url):
    force_login(browser, bob)
    copied = browser.tokens()
    browser.post(url, ADA)
    browser.carry(copied)
    assert browser.who() is None


def test_pending_login_of_the_same_user_keeps_the_browser_s_session(browser, ada):
    force_login(browser, ada)
    assert browser.post("/password/", ADA).status_code == 403
    assert (browser.who(), browser.pending()["user"]) == ("ada", "ada")
    browser.post("/code/", {"code": CODES["ada"]})
    assert (browser.who(), Session.objects.count()) == ("ada", 1)


def test_pending_login_ends_django_s_session_of_another_user(browser, ada, bob):
    browser.force_login(bob)
    browser.post("/password/", ADA)
    assert browser.get("/me/plain/").content == b"AnonymousUser"


def test_pending_login_keeps_django_s_session_of_the_same_user(browser, ada):
    browser.force_login(ada)
    browser.post("/password/", ADA)
    assert browser.get("/me/plain/").content == b"ada"
    assert browser.who() is None


def test_callback_of_a_provider_clears_cookies_that_the_browser_may_have_withheld(browser, ada):
    response = browser.get("/callback/", HTTP_SEC_FETCH_SITE="cross-site")
    assert response.status_code == 403
    assert {"access_token", "refresh_token", COOKIE} <= response.cookies.keys()
    assert (response.cookies["access_token"].value, browser.pending()["user"]) == ("", "ada")
    assert "access_token" not in browser.get("/callback/").cookies


# --- Django's own login


def test_django_s_own_login_asks_for_no_second_factor_and_gives_no_token(browser, ada):
    browser.post("/django/", ADA)
    assert browser.get("/me/plain/").content == b"ada"
    assert (browser.who(), Session.objects.count()) == (None, 0)


def test_receiver_of_django_s_login_that_lacks_a_factor_signs_the_user_out_again(browser, ada):
    def receiver(sender, request, user, **kwargs):
        login(request, user, methods=("pwd",))

    user_logged_in.connect(receiver)
    try:
        response = browser.post("/django/", ADA)
    finally:
        user_logged_in.disconnect(receiver)
    assert (response.status_code, response.json()) == (403, REQUIRED)
    assert browser.get("/me/plain/").content == b"AnonymousUser"
    browser.post("/code/", {"code": CODES["ada"]})
    assert browser.who() == "ada"


def test_django_s_login_of_another_user_clears_the_pending_login(waiting, bob):
    assert waiting.post("/django/", BOB).cookies[COOKIE].value == ""
    assert waiting.pending() is None


def test_django_s_login_of_the_same_user_keeps_the_pending_login(waiting):
    waiting.post("/django/", ADA)
    assert waiting.pending()["user"] == "ada"


# --- logins of other packages


ACCEPTED = {"ACCEPT_LOGINS_OF": [{"source": "tests.old_logins.Tickets", "until": "2999-01-01"}]}


@pytest.fixture
def tickets(monkeypatch):
    for name in ("spent", "ended"):
        monkeypatch.setattr(Tickets, name, [])


@override_settings(JWTAUTH=JWTAUTH | ACCEPTED)
def test_login_that_moves_in_is_not_asked(browser, ada, tickets):
    browser.cookies["ticket"] = "ticket-ada"
    assert browser.who() == "ada"


@override_settings(JWTAUTH=JWTAUTH | ACCEPTED)
def test_pending_login_ends_a_login_of_another_package_by_another_user(browser, ada, bob, tickets):
    browser.cookies["ticket"] = "ticket-bob"
    assert browser.post("/password/", ADA).status_code == 403
    assert (browser.who(), browser.get("/me/plain/").content) == (None, b"AnonymousUser")


# --- other origins


def test_request_of_another_origin_completes_nothing(ada):
    browser = Browser()
    browser.post("/auth/login/", ADA, HTTP_ORIGIN="http://testserver")
    response = browser.post("/auth/login/code/", {"code": CODES["ada"]}, HTTP_ORIGIN="https://evil.example")
    assert (response.status_code, response.json()["code"]) == (403, "cross_origin")
    assert not Session.objects.exists()


def test_request_of_another_origin_has_no_pending_login_of_the_cookie(rf, waiting):
    seen = []
    for origin in ("http://testserver", "https://evil.example"):
        request = rf.post("/", HTTP_ORIGIN=origin)
        request._dont_enforce_csrf_checks = False
        request.COOKIES[COOKIE] = waiting.token(COOKIE)
        seen.append(Flow.attach(request).request.jwtauth.pending is not None)
    assert seen == [True, False]


# --- clients that store their tokens


@pytest.fixture
def value(browser, ada, clock):
    """Return the value of ada's pending login in a client without cookies."""
    response = browser.post("/auth/token/", ADA)
    assert response.status_code == 403
    assert not response.cookies
    body = response.json()
    shown = body.pop("pending")
    assert body == REQUIRED
    return shown


def test_code_with_the_value_returns_tokens(value, other_browser):
    def ask(**headers):
        return other_browser.post("/auth/token/code/", {"code": CODES["ada"]}, **headers)

    assert ask().status_code == 403
    assert ask(HTTP_X_JWTAUTH_PENDING=value[:-1]).status_code == 403
    pair = ask(HTTP_X_JWTAUTH_PENDING=value).json()
    assert other_browser.who(HTTP_AUTHORIZATION=f"Bearer {pair['access']}") == "ada"
    assert not other_browser.cookies


def test_value_in_the_header_is_shown_to_the_views(value, other_browser):
    assert other_browser.get("/pending/", HTTP_X_JWTAUTH_PENDING=value).json()["user"] == "ada"
    assert other_browser.pending() is None


def test_cookie_is_ignored_beside_a_bearer_token(waiting, bob):
    client = Browser()
    force_login(client, bob)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {client.token('access_token')}"}
    assert waiting.get("/pending/", **headers).json() is None


def test_request_with_a_bearer_token_keeps_its_session(browser, bob, ada):
    client = Browser()
    force_login(client, bob)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {client.token('access_token')}"}
    assert browser.post("/password/", ADA, **headers).status_code == 403
    assert client.who() == "bob"


# --- what a pending login costs and counts


@pytest.mark.parametrize("policy", ["refuse", "end_oldest"])
def test_pending_logins_are_not_counted_or_listed(browser, other_browser, ada, settings, policy):
    settings.JWTAUTH = JWTAUTH | {"MAX_SESSIONS_PER_USER": 1, "MAX_SESSIONS_POLICY": policy}
    force_login(browser, ada)
    for _ in range(3):
        assert other_browser.post("/password/", ADA).status_code == 403
    assert len(browser.get("/auth/sessions/").json()) == 1
    response = other_browser.post("/auth/login/code/", {"code": CODES["ada"]})
    assert response.json().get("code") == ("session_limit" if policy == "refuse" else None)
    assert browser.who() == ("ada" if policy == "refuse" else None)


def test_pending_request_costs_no_statement_unless_it_is_used(waiting, statements):
    assert statements(waiting.get, "/me/plain/") == []
    assert statements(waiting.get, "/pending/") == ["SELECT"]


def test_request_without_a_pending_login_costs_no_statement(browser, db, statements):
    assert statements(browser.get, "/pending/") == []


def test_completion_reads_the_user_once(waiting, other_browser, ada, statements):
    with override_settings(JWTAUTH={}):
        plain = statements(other_browser.post, f"/login/?user={ada.pk}")  # the view reads the user
    assert statements(waiting.post, "/code/", {"code": CODES["ada"]}) == plain


def test_response_that_depends_on_a_pending_login_is_not_shared(waiting):
    assert "Cookie" in waiting.get("/pending/")["Vary"]
