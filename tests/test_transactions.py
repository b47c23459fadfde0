"""Transactions of the view: they undo neither a refresh nor a logout, and a login that was rolled back never was."""

import pytest
from django.db import connection
from django.test import override_settings

from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, only_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def atomic_requests(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


def test_a_view_that_fails_does_not_undo_the_refresh(signed_in, clock, atomic_requests):
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.get("/failing/").status_code == 500
    assert only_session().generation == 2
    assert signed_in.who() == "ada"
    assert only_session().acknowledged_at is not None


def test_login_and_logout_work_in_the_view_s_transaction(browser, ada, bob, atomic_requests):
    browser.sign_in(ada)
    first = only_session()
    browser.sign_in(bob)
    assert only_session().pk != first.pk
    assert browser.who() == "bob"
    browser.post("/logout/")
    assert not Session.objects.exists()


def test_a_login_that_was_rolled_back_never_was(browser, ada):
    response = browser.get(f"/login/rolled-back/?user={ada.pk}")
    assert not response.cookies
    assert not Session.objects.exists()


def test_a_login_that_was_rolled_back_leaves_the_older_session(signed_in, bob):
    assert not signed_in.get(f"/login/rolled-back/?user={bob.pk}").cookies
    assert signed_in.who() == "ada"


def test_a_rollback_does_not_bring_a_session_back(signed_in, other_browser):
    other_browser.carry(signed_in.tokens())
    response = signed_in.get("/logout/rolled-back/")
    assert response.cookies["refresh_token"]["max-age"] == 0
    assert not Session.objects.exists()
    assert other_browser.who() is None


@override_settings(ROOT_URLCONF="tests.test_transactions")
def test_the_last_of_login_and_logout_in_one_transaction_counts(browser, ada):
    assert not browser.get(f"/in-and-out/?user={ada.pk}").cookies, "the request brought none to clear"
    assert not Session.objects.exists()
    assert browser.get(f"/twice/?user={ada.pk}").cookies["refresh_token"].value
    assert Session.objects.count() == 1


def in_and_out(request):
    from django.db import transaction
    from django.http import HttpResponse

    from jwtauth import login, logout
    from tests.views import user_named

    with transaction.atomic():
        login(request, user_named(request))
        logout(request)
    return HttpResponse()


def twice(request):
    from django.db import transaction
    from django.http import HttpResponse

    from jwtauth import login
    from tests.views import user_named

    with transaction.atomic():
        login(request, user_named(request))
        login(request, user_named(request))
    return HttpResponse()


def _urlpatterns():
    from django.urls import path

    return [path("in-and-out/", in_and_out), path("twice/", twice)]


urlpatterns = _urlpatterns()
