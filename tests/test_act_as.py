"""Acting as another user: who may, what it cannot do, when it ends."""

from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth import login as djangos_login
from django.contrib.auth import update_session_auth_hash as djangos_update
from django.contrib.auth.models import Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient
from django.urls import include, path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response

from jwtauth import (
    NotActing,
    RecentlySignedIn,
    SignedInWith,
    aact_as,
    act_as,
    astop_acting,
    login,
    reauthenticate,
    stop_acting,
    update_session_auth_hash,
)
from jwtauth.conf import get_config
from jwtauth.internal.acting import changes_credentials
from jwtauth.models import Session
from jwtauth.signals import acting_ended, acting_started
from jwtauth.signin import start_session
from tests import views
from tests.conftest import ACCESS_LIFETIME, Browser, refresh

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_act_as")]


def act(request):
    act_as(request, views.user_named(request))
    return HttpResponse(str(request.user))


@api_view(["POST"])
def act_by_drf(request):
    act_as(request, views.user_named(request))
    return Response({"user": str(request.user), "actor": request.auth.actor})


def stop(request):
    stop_acting(request)
    return HttpResponse(str(request.user))


async def act_async(request):
    await aact_as(request, await get_user_model().objects.aget(pk=request.GET["user"]))
    return HttpResponse(str(await request.auser()))


async def stop_async(request):
    await astop_acting(request)
    return HttpResponse(str(await request.auser()))


def rolled_back_act(request):
    with transaction.atomic():
        act_as(request, views.user_named(request))
        transaction.set_rollback(True)
    return HttpResponse(str(request.jwtauth.user))


def rolled_back_stop(request):
    with transaction.atomic():
        stop_acting(request)
        transaction.set_rollback(True)
    return HttpResponse()


def who(request):
    auth = request.jwtauth
    return JsonResponse(
        {
            "user": str(request.user),
            "actor": None if auth.actor is None else str(auth.actor),
            "act": None if auth.claims is None else auth.claims.actor,
            "auth_time": None if auth.auth_time is None else auth.auth_time.timestamp(),
            "said": None if auth.claims is None else auth.claims.auth_time,
            "methods": sorted(auth.methods),
        }
    )


def sign_in(request):
    login(request, views.user_named(request), methods=["pwd", "otp"])
    return HttpResponse()


def token(request):
    start_session(request, request.user)
    return HttpResponse()


def by_django(request):
    djangos_login(
        request, get_user_model().objects.get(pk=request.user.pk), "django.contrib.auth.backends.ModelBackend"
    )
    return HttpResponse()


def again(request):
    reauthenticate(request, request.user, methods=["pwd"])
    return HttpResponse()


def set_password(request):
    """Change the password as any package might."""
    user = get_user_model().objects.get(pk=request.user.pk)
    user.set_password("chosen by staff")
    user.save()
    djangos_update(request, user)
    return HttpResponse()


def keep_session(request):
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def create_user(request):
    get_user_model().objects.create_user("new", password="new password")
    return HttpResponse()


@api_view(["GET"])
@permission_classes([NotActing])
def not_acting(request):
    return Response({})


@api_view(["GET"])
@permission_classes([SignedInWith("otp")])
def with_otp(request):
    return Response({})


urlpatterns = [
    path("auth/", include("jwtauth.urls")),
    path("admin/", admin.site.urls),
    path("act/", act),
    path("act/drf/", act_by_drf),
    path("act/rolled-back/", rolled_back_act),
    path("act/async/", act_async),
    path("stop/async/", stop_async),
    path("stop/", stop),
    path("stop/rolled-back/", rolled_back_stop),
    path("who/", who),
    path("sign-in/", sign_in),
    path("token/", token),
    path("by-django/", by_django),
    path("again/", again),
    path("set-password/", set_password),
    path("keep-session/", keep_session),
    path("create-user/", create_user),
    path("change/", PasswordChangeView.as_view(success_url="/who/")),
    path("not-acting/", not_acting),
    path("not-acting/plain/", NotActing()(who)),
    path("knox/login/", who, name="knox_login"),
    path("recently/", RecentlySignedIn()(who)),
    path("with-otp/", with_otp),
    path("logout/", views.logout_view),
    path("others/", views.end_others),
    path("me/", views.me),
    path("login/", views.login_view),
]


@pytest.fixture
def staff(db):
    user = get_user_model().objects.create_user("sue", password="password of sue", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="act_as"))
    return user


@pytest.fixture
def of_staff(browser, staff, clock):
    """Return the browser of the staff member."""
    browser.get(f"/sign-in/?user={staff.pk}")
    return browser


@pytest.fixture
def acting(of_staff, ada):
    """Return the browser of the staff member, who acts as ada."""
    assert of_staff.get(f"/act/?user={ada.pk}").content == b"ada"
    return of_staff


def told(browser):
    return browser.get("/who/").json()


def own_session(staff):
    return Session.objects.get(user=staff)


def acting_session(ada):
    return Session.objects.get(user=ada)


# Who may.


def test_staff_member_acts_and_both_users_are_known(acting):
    answer = told(acting)
    assert (answer["user"], answer["actor"]) == ("ada", "sue")


def test_access_token_names_both_users(acting, staff, ada):
    claims = get_config().tokens.verify_ignoring_time(_access(), acting.token("access_token"))
    assert (claims.subject, claims.actor) == (str(ada.pk), str(staff.pk))


def _access():
    from jwtauth import _engine

    return _engine.TokenKind.ACCESS


def test_drf_view_starts_acting(of_staff, ada, staff):
    assert of_staff.post(f"/act/drf/?user={ada.pk}").json() == {"user": "ada", "actor": str(staff.pk)}


def refusal(browser, user):
    """Return the status of a refused request, after which the browser still has its own session."""
    before, count = told(browser), Session.objects.count()
    answer = browser.get(f"/act/?user={user.pk}")
    assert told(browser) == before
    assert Session.objects.count() == count
    return answer.status_code


def test_user_without_the_permission_cannot_act(browser, bob, ada):
    bob.is_staff = True
    bob.save()
    browser.sign_in(bob)
    assert refusal(browser, ada) == 403


def test_anonymous_request_cannot_act(browser, ada):
    assert refusal(browser, ada) == 403


@pytest.mark.parametrize("field", ["is_staff", "is_superuser"])
def test_acting_as_staff_or_superusers_is_refused_by_default(of_staff, ada, field):
    setattr(ada, field, True)
    ada.save()
    assert refusal(of_staff, ada) == 403


def test_superuser_cannot_act_as_another_superuser_by_default(browser, clock):
    users = [get_user_model().objects.create_superuser(name) for name in ("one", "two")]
    browser.sign_in(users[0])
    assert refusal(browser, users[1]) == 403


def test_acting_as_oneself_is_refused_even_if_act_as_allows_all(of_staff, staff, settings):
    settings.JWTAUTH = {"ACT_AS": lambda actor, user: True}
    assert refusal(of_staff, staff) == 403


def test_act_as_decides_instead_of_the_default(of_staff, ada, bob, settings):
    settings.JWTAUTH = {"ACT_AS": "tests.test_act_as.allows_only_bob"}
    assert refusal(of_staff, ada) == 403
    assert of_staff.get(f"/act/?user={bob.pk}").content == b"bob"


def allows_only_bob(actor, user):
    return user.username == "bob"


def test_act_as_that_returns_no_bool_allows_nothing(of_staff, ada, settings):
    settings.JWTAUTH = {"ACT_AS": lambda actor, user: "no"}
    assert refusal(of_staff, ada) == 403


def test_inactive_user_cannot_be_acted_as(of_staff, ada):
    ada.is_active = False
    ada.save()
    assert refusal(of_staff, ada) == 403


def test_acting_cannot_be_nested(acting, ada, bob, settings):
    ada.user_permissions.add(Permission.objects.get(codename="act_as"))
    settings.JWTAUTH = {"ACT_AS": lambda actor, user: True}
    assert refusal(acting, bob) == 403


def test_bearer_token_cannot_act(of_staff, ada):
    token = of_staff.token("access_token")
    answer = Browser().get(f"/act/?user={ada.pk}", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403


def test_request_of_another_origin_cannot_act(of_staff, ada):
    answer = of_staff.post(f"/act/?user={ada.pk}", headers={"origin": "https://evil.example"})
    assert answer.json()["code"] == "cross_origin"
    assert Session.objects.filter(user=ada).count() == 0


def test_old_authentication_cannot_act_if_sensitive_max_age_is_set(of_staff, ada, clock, settings):
    settings.JWTAUTH = {"SENSITIVE_MAX_AGE": 60}
    clock.advance(61)
    assert of_staff.get(f"/act/?user={ada.pk}").json()["code"] == "reauthentication_required"
    of_staff.get("/again/")
    assert of_staff.get(f"/act/?user={ada.pk}").content == b"ada"


# The end with the staff member's session.


def test_acting_ends_when_the_staff_members_session_is_revoked(acting, staff):
    own_session(staff).end()
    assert acting.who() is None


def test_acting_ends_when_the_staff_member_is_deactivated(acting, staff):
    staff.is_active = False
    staff.save()
    assert acting.who() is None


def test_acting_ends_with_a_new_password_of_the_staff_member(acting, staff):
    staff.set_password("new")
    staff.save()
    assert acting.who() is None


def test_acting_ends_when_the_user_is_deactivated_and_the_staff_member_gets_their_session_back(acting, ada):
    ada.is_active = False
    ada.save()
    assert acting.who() is None
    assert acting.get("/stop/").content == b"sue"
    assert told(acting)["actor"] is None


def test_acting_ends_at_once_although_sessions_are_remembered(of_staff, ada, staff, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 60}
    of_staff.get(f"/act/?user={ada.pk}")
    assert [of_staff.who() for _ in range(3)] == ["ada"] * 3
    assert told(of_staff)["actor"] == "sue"
    Session.objects.filter(user=staff).delete()  # as another process would
    assert of_staff.who() is None


def test_refresh_is_refused_without_the_permission(acting, staff, clock):
    staff.user_permissions.clear()
    assert acting.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert acting.who() is None


def test_refresh_is_refused_once_the_user_is_staff(acting, ada, clock):
    ada.is_staff = True
    ada.save()
    clock.advance(ACCESS_LIFETIME)
    assert acting.who() is None


def test_refresh_keeps_both_users_and_no_recent_authentication(acting, staff, clock):
    for _ in range(3):
        refresh(acting, clock)
    answer = told(acting)
    assert (answer["user"], answer["actor"], answer["act"]) == ("ada", "sue", str(staff.pk))
    assert (answer["auth_time"], answer["said"], answer["methods"]) == (None, 0, [])


def test_acting_ends_after_its_lifetime_however_it_is_used(acting, clock):
    for _ in range(11):
        refresh(acting, clock)
        assert acting.who() == "ada"
    clock.advance(ACCESS_LIFETIME)
    assert acting.who() is None


def test_lifetime_is_a_setting(of_staff, ada, clock, settings):
    settings.JWTAUTH = {"ACT_AS_LIFETIME": 120}
    of_staff.get(f"/act/?user={ada.pk}")
    clock.advance(119)
    assert of_staff.who() == "ada"
    clock.advance(1)
    assert of_staff.who() is None


def test_acting_does_not_outlive_the_staff_members_session(browser, staff, ada, clock):
    browser.sign_in(staff, "&lifetime=600")
    browser.get(f"/act/?user={ada.pk}")
    assert acting_session(ada).expires_at == own_session(staff).expires_at


# Logout and stop.


def test_logout_ends_both_sessions(acting):
    acting.post("/logout/")
    assert Session.objects.count() == 0
    assert acting.tokens() == {}


def test_logout_ends_both_sessions_when_the_access_token_has_expired(acting, clock):
    clock.advance(ACCESS_LIFETIME)
    acting.post("/logout/")
    assert Session.objects.count() == 0


def test_login_as_another_user_ends_both_sessions(acting, bob):
    acting.sign_in(bob)
    assert [session.user for session in Session.objects.all()] == [bob]


def test_stop_gives_the_session_back(acting, staff):
    assert acting.get("/stop/").content == b"sue"
    answer = told(acting)
    assert (answer["user"], answer["actor"], answer["act"]) == ("sue", None, None)
    assert [session.user for session in Session.objects.all()] == [staff]


@pytest.mark.django_db(transaction=True)
def test_stop_without_a_transaction_gives_the_session_back(acting, staff):
    tokens = acting.tokens()
    assert acting.get("/stop/").content == b"sue"
    acting.carry(tokens)
    assert acting.get("/stop/").content == b"sue"
    assert (told(acting)["user"], told(acting)["actor"]) == ("sue", None)
    assert [session.user for session in Session.objects.all()] == [staff]


def test_session_that_was_given_back_refreshes(acting, clock):
    acting.get("/stop/")
    for _ in range(3):
        refresh(acting, clock)
    assert acting.who() == "sue"


def test_stop_keeps_what_the_tokens_said_of_the_authentication(of_staff, ada, clock):
    before = told(of_staff)
    clock.advance(100)
    of_staff.get(f"/act/?user={ada.pk}")
    clock.advance(100)
    of_staff.get("/stop/")
    after = told(of_staff)
    assert (after["auth_time"], after["methods"]) == (before["auth_time"], ["otp", "pwd"])
    assert before["auth_time"] == clock.now - 200


def test_copied_old_tokens_do_not_become_younger_by_acting(of_staff, ada, clock, other_browser):
    stolen, said = of_staff.tokens(), told(of_staff)["said"]
    clock.advance(100)
    of_staff.get("/again/")
    other_browser.carry(stolen)
    other_browser.get(f"/act/?user={ada.pk}")
    other_browser.get("/stop/")
    assert told(other_browser)["said"] == said


def test_stop_keeps_the_absolute_limit_and_the_time_of_the_login(acting, staff, clock):
    created_at = own_session(staff).created_at
    clock.advance(500)
    acting.get("/stop/")
    assert own_session(staff).created_at == created_at


def test_old_tokens_of_the_staff_member_are_refused_after_the_stop(of_staff, ada, other_browser):
    other_browser.carry(of_staff.tokens())
    of_staff.get(f"/act/?user={ada.pk}")
    of_staff.get("/stop/")
    assert other_browser.who() is None
    assert of_staff.who() == "sue"


def test_lost_response_of_stop_does_not_sign_out(acting):
    tokens = acting.tokens()
    acting.get("/stop/")
    acting.carry(tokens)
    assert acting.who() is None  # acting has ended
    assert acting.get("/stop/").content == b"sue"
    assert acting.who() == "sue"


def test_second_of_two_stops_at_once_gives_the_same_session(acting, other_browser):
    other_browser.carry(acting.tokens())
    acting.get("/stop/")
    other_browser.get("/stop/")
    assert (acting.who(), other_browser.who()) == ("sue", "sue")


def test_lost_response_of_stop_with_an_expired_access_token(acting, clock):
    tokens = acting.tokens()
    acting.get("/stop/")
    acting.carry(tokens)
    clock.advance(ACCESS_LIFETIME)
    assert acting.get("/stop/").content == b"sue"
    assert acting.who() == "sue"


def test_acting_tokens_give_no_session_once_the_given_one_is_used(acting, other_browser):
    other_browser.carry(acting.tokens())
    acting.get("/stop/")
    assert acting.who() == "sue"
    assert other_browser.get("/stop/").status_code == 403
    assert other_browser.who() is None


def test_lost_response_of_act_as_does_not_sign_out(of_staff, ada):
    tokens = of_staff.tokens()
    of_staff.get(f"/act/?user={ada.pk}")
    of_staff.carry(tokens)
    assert of_staff.who() == "sue"


def test_stop_is_refused_without_acting(of_staff):
    assert of_staff.get("/stop/").status_code == 403
    assert of_staff.who() == "sue"


def test_anonymous_request_cannot_stop(browser):
    assert browser.get("/stop/").status_code == 403


def test_stop_after_the_end_of_the_staff_members_session_signs_out(acting, staff):
    own_session(staff).end()
    acting.get("/stop/")
    assert acting.tokens() == {}
    assert Session.objects.count() == 0


def test_locked_acting_session_gives_no_session_back(of_staff, ada, clock, settings):
    settings.JWTAUTH = {"LOCK_AFTER": 900}
    of_staff.get(f"/act/?user={ada.pk}")
    clock.advance(901)
    assert of_staff.get("/stop/").content == b"AnonymousUser"
    assert of_staff.tokens() == {}


def test_request_of_another_origin_cannot_stop(acting):
    answer = acting.post("/stop/", headers={"origin": "https://evil.example"})
    assert answer.json()["code"] == "cross_origin"
    assert acting.who() == "ada"


def test_cookies_of_both_sessions_mixed_authenticate_no_third_way(of_staff, ada, clock):
    """The refresh token of one session beside the access token of the other."""
    own = of_staff.tokens()
    of_staff.get(f"/act/?user={ada.pk}")
    of_staff.carry({"access_token": own["access_token"], "refresh_token": of_staff.token("refresh_token")})
    assert told(of_staff)["user"] in ("sue", "ada", "AnonymousUser")
    assert told(of_staff)["actor"] == (None if told(of_staff)["user"] != "ada" else "sue")


def test_copied_refresh_token_of_acting_ends_both_sessions(acting, other_browser, clock):
    stolen = acting.tokens()
    refresh(acting, clock)
    refresh(acting, clock)
    other_browser.carry(stolen)
    assert other_browser.who() is None
    assert acting.who() is None
    assert Session.objects.count() == 0


# Rollback.


@pytest.mark.django_db(transaction=True)
def test_act_as_that_is_rolled_back_keeps_the_session(of_staff, ada):
    answer = of_staff.get(f"/act/rolled-back/?user={ada.pk}")
    assert not answer.cookies
    assert of_staff.who() == "sue"
    assert Session.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_stop_that_is_rolled_back_keeps_acting(acting):
    answer = acting.get("/stop/rolled-back/")
    assert not answer.cookies
    assert told(acting)["actor"] == "sue"


# What only the user may do.


def test_acting_cannot_authenticate_again(acting):
    assert acting.get("/again/").status_code == 403
    answer = acting.post("/auth/reauthenticate/", {"password": "old password"})
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")


def test_body_with_the_acting_refresh_token_cannot_authenticate_again(acting):
    answer = Browser().post(
        "/auth/reauthenticate/", {"password": "old password", "refresh": acting.token("refresh_token")}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")


@pytest.mark.parametrize("url", ["/recently/", "/with-otp/", "/not-acting/", "/not-acting/plain/"])
def test_sensitive_views_refuse_while_acting(of_staff, ada, url):
    assert of_staff.get(url).status_code == 200
    of_staff.get(f"/act/?user={ada.pk}")
    answer = of_staff.get(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")


def test_not_acting_allows_anonymous_requests(browser):
    assert browser.get("/not-acting/plain/").status_code == 200
    assert browser.get("/not-acting/").status_code == 200


@pytest.mark.parametrize("url", ["/change/", "/admin/password_change/"])
def test_password_change_of_django_is_refused(acting, url):
    answer = acting.get(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")


def test_password_cannot_be_changed_by_any_view(acting, ada):
    answer = acting.get("/set-password/")
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")
    ada.refresh_from_db()
    assert ada.check_password("old password")


@pytest.mark.parametrize("url", ["/change/", "/set-password/", "/recently/", "/knox/login/"])
def test_async_requests_are_refused_alike(acting, ada, url):
    client = AsyncClient()
    client.cookies = acting.cookies
    answer = async_to_sync(client.get)(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")
    ada.refresh_from_db()
    assert ada.check_password("old password")


def test_staff_acts_and_stops_in_async_views(of_staff, staff, ada):
    assert of_staff.get(f"/act/async/?user={ada.pk}").content == b"ada"
    shown = of_staff.get("/who/").json()
    assert (shown["user"], shown["actor"]) == ("ada", str(staff))
    assert of_staff.get("/stop/async/").content == str(staff).encode()
    shown = of_staff.get("/who/").json()
    assert (shown["user"], shown["actor"]) == (str(staff), None)


@pytest.mark.parametrize(
    "name", ["account_email", "headless:browser:account:change_password", "mfa_index", "two_factor:setup", "knox_login"]
)
def test_credential_views_of_other_packages_are_known_by_name(name):
    request = SimpleNamespace(resolver_match=SimpleNamespace(view_name=name))
    assert changes_credentials(request, who)


@pytest.mark.parametrize("name", ["", "home", "account_login", "headless:browser:account:login", "jwtauth:me"])
def test_other_views_are_not_refused(name):
    request = SimpleNamespace(resolver_match=SimpleNamespace(view_name=name))
    assert not changes_credentials(request, who)


def test_password_can_be_changed_after_the_stop(acting, staff):
    acting.get("/stop/")
    assert acting.get("/set-password/").status_code == 200
    staff.refresh_from_db()
    assert staff.check_password("chosen by staff")


def test_password_of_a_new_user_can_be_set_while_acting(acting):
    assert acting.get("/create-user/").status_code == 200
    assert get_user_model().objects.get(username="new").check_password("new password")


def test_session_is_not_kept_by_update_session_auth_hash(acting, ada):
    answer = acting.get("/keep-session/")
    assert (answer.status_code, answer.json()["code"]) == (403, "acting_refused")
    assert acting_session(ada).actor_session_id is not None


@pytest.mark.parametrize("url", ["/token/", "/by-django/"])
def test_acting_does_not_become_a_session_of_the_user(acting, ada, url):
    assert acting.get(url).json()["code"] == "acting_refused"
    assert [session.actor_session_id is None for session in Session.objects.filter(user=ada)] == [False]
    acting.carry({name: value for name, value in acting.tokens().items() if name == "none"})
    assert told(acting)["user"] == "AnonymousUser"


def test_login_as_the_same_user_is_refused_while_acting(acting, ada):
    assert acting.get(f"/sign-in/?user={ada.pk}").json()["code"] == "acting_refused"
    assert told(acting)["actor"] == "sue"


def test_sessions_of_the_user_cannot_be_ended_while_acting(acting, ada, other_browser):
    other_browser.sign_in(ada)
    other = Session.objects.get(user=ada, actor_session_id=None)
    assert acting.delete("/auth/sessions/others/").json()["code"] == "acting_refused"
    assert acting.delete(f"/auth/sessions/{other.pk}/").json()["code"] == "acting_refused"
    assert other_browser.who() == "ada"


def test_other_sessions_of_the_user_are_not_selected_while_acting(acting, ada, other_browser):
    other_browser.sign_in(ada)
    assert acting.post("/others/").json() == {"ended": 0}
    assert other_browser.who() == "ada"


# What others see.


def test_user_sees_who_acts_and_ends_it(acting, ada, other_browser):
    other_browser.sign_in(ada)
    shown = other_browser.get("/auth/sessions/").json()
    assert sorted(session.get("actor", "none") for session in shown) == ["none", "sue"]
    assert other_browser.delete("/auth/sessions/others/").json() == {"ended": 1}
    assert acting.who() is None


def test_acting_is_not_counted_and_not_ended_by_the_limit(of_staff, ada, settings):
    settings.JWTAUTH = {"MAX_SESSIONS_PER_USER": 1}
    one, two = Browser(), Browser()
    one.sign_in(ada)
    of_staff.get(f"/act/?user={ada.pk}")
    assert one.who() == "ada"
    two.sign_in(ada)
    assert (one.who(), two.who(), of_staff.who()) == (None, "ada", "ada")


def test_admin_shows_both_users(acting, staff):
    superuser = get_user_model().objects.create_superuser("root")
    browser = Browser()
    browser.sign_in(superuser)
    page = browser.get("/admin/jwtauth/session/").content.decode()
    assert '<td class="field-acted_by">sue</td>' in page


@pytest.fixture
def heard():
    signals = {"started": acting_started, "ended": acting_ended, "in": user_logged_in, "out": user_logged_out}
    seen = []
    receivers = {}
    for name, signal in signals.items():

        def receiver(sender, name=name, **kwargs):
            actor = kwargs.get("actor")
            seen.append((name, str(kwargs["user"]), None if actor is None else str(actor)))

        receivers[name] = receiver
        signal.connect(receiver)
    yield seen
    for name, signal in signals.items():
        signal.disconnect(receivers[name])


def test_signals_name_both_users_and_the_user_did_not_log_in(of_staff, ada, heard):
    of_staff.get(f"/act/?user={ada.pk}")
    of_staff.get("/stop/")
    assert heard == [("started", "ada", "sue"), ("ended", "ada", "sue")]
    ada.refresh_from_db()
    assert ada.last_login is None


def test_logout_tells_that_acting_has_ended(acting, heard):
    acting.post("/logout/")
    assert heard == [("ended", "ada", "sue"), ("out", "sue", None)]


def test_log_has_the_ids_of_both_users(of_staff, ada, staff, caplog):
    caplog.set_level("INFO", "jwtauth.security")
    of_staff.get(f"/act/?user={ada.pk}")
    (record,) = [record for record in caplog.records if getattr(record, "event", None) == "acting_started"]
    assert (record.user_id, record.actor_id) == (str(ada.pk), str(staff.pk))
    assert record.actor_session_id == str(own_session(staff).pk)


# What it costs.


def test_acting_request_is_one_query_more(acting, statements):
    acting.get("/me/")
    assert statements(acting.get, "/me/") == ["SELECT", "SELECT"]
