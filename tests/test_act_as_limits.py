"""Acting as another user: passwords, copies, locks and accounts at providers."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.http import HttpResponse
from django.urls import path

from jwtauth.models import Session
from tests import test_act_as as acts
from tests.conftest import ACCESS_LIFETIME, Browser, refresh
from tests.test_act_as import acting, of_staff, staff  # noqa: F401  fixtures

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_act_as_limits")]


def hash_directly(request):
    """Change the password as serializers do that hash it themselves."""
    user = get_user_model().objects.get(pk=request.user.pk)
    user.password = make_password("chosen by staff")
    user.save()
    return HttpResponse()


def provider(request):
    return HttpResponse()


provider.__module__ = "allauth.socialaccount.providers.oauth2.views"  # as allauth's are


urlpatterns = [
    *acts.urlpatterns,
    path("hash/", hash_directly),
    path("google/callback/", provider, name="google_callback"),
    path("google/login/", provider, name="google_login"),
]


def password_of_ada():
    return get_user_model().objects.get(username="ada").check_password("chosen by staff")


def test_password_that_a_view_hashes_itself_is_refused_while_acting(acting, ada):  # noqa: F811
    assert acting.get("/hash/").status_code == 403
    assert not password_of_ada()


def test_logout_of_a_locked_acting_session_ends_both_sessions(of_staff, ada, clock, settings):  # noqa: F811
    settings.JWTAUTH = {"LOCK_AFTER": 900}
    of_staff.get(f"/act/?user={ada.pk}")
    clock.advance(901)
    of_staff.post("/logout/")
    assert Session.objects.count() == 0


def test_logout_without_the_permission_to_act_ends_both_sessions(acting, staff, clock):  # noqa: F811
    staff.user_permissions.clear()
    clock.advance(ACCESS_LIFETIME)
    acting.post("/logout/")
    assert Session.objects.count() == 0


def test_stop_of_a_locked_acting_session_ends_both_sessions(of_staff, ada, clock, settings):  # noqa: F811
    settings.JWTAUTH = {"LOCK_AFTER": 900}
    of_staff.get(f"/act/?user={ada.pk}")
    clock.advance(901)
    of_staff.get("/stop/")
    assert Session.objects.count() == 0


def test_replaced_acting_tokens_give_no_session_although_the_given_one_is_unused(acting, clock):  # noqa: F811
    thief = Browser()
    thief.carry(acting.tokens())
    refresh(acting, clock)
    refresh(acting, clock)
    refresh(acting, clock)
    acting.get("/stop/")  # the staff member then closes the browser
    thief.get("/stop/")
    assert thief.who() is None


def test_repeated_stop_gives_no_session_that_has_locked(of_staff, ada, clock, settings):  # noqa: F811
    settings.JWTAUTH = {"LOCK_AFTER": 900}
    of_staff.get(f"/act/?user={ada.pk}")
    tokens = of_staff.tokens()
    of_staff.get("/stop/")
    of_staff.carry(tokens)
    clock.advance(901)
    assert of_staff.get("/stop/").content == b"AnonymousUser"


@pytest.mark.parametrize("url", ["/google/callback/", "/google/login/?process=connect"])
def test_account_at_a_provider_cannot_be_connected_while_acting(acting, url):  # noqa: F811
    assert acting.get(url).status_code == 403
