"""Transactions of the view: a rollback undoes a login, but neither a refresh nor a logout."""

from contextlib import suppress

import pytest
from django.db import connection, transaction
from django.test import override_settings

from jwtauth.models import Session
from tests.conftest import ACCESS_LIFETIME, only_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def atomic_requests(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


def test_failing_view_does_not_undo_the_refresh(signed_in, clock, atomic_requests):
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


def test_login_that_is_rolled_back_sets_no_cookies_and_leaves_no_session(browser, ada):
    response = browser.get(f"/login/rolled-back/?user={ada.pk}")
    assert not response.cookies
    assert not Session.objects.exists()


def test_login_that_is_rolled_back_keeps_the_older_session(signed_in, bob):
    assert not signed_in.get(f"/login/rolled-back/?user={bob.pk}").cookies
    assert signed_in.who() == "ada"


def test_rollback_does_not_restore_an_ended_session(signed_in, other_browser):
    other_browser.carry(signed_in.tokens())
    response = signed_in.get("/logout/rolled-back/")
    assert response.cookies["refresh_token"]["max-age"] == 0
    assert not Session.objects.exists()
    assert other_browser.who() is None


@override_settings(ROOT_URLCONF="tests.test_transactions")
def test_last_of_login_and_logout_in_one_transaction_takes_effect(browser, ada):
    assert not browser.get(f"/in-and-out/?user={ada.pk}").cookies, "the request had no cookies to clear"
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


@override_settings(ROOT_URLCONF="tests.test_transactions")
def test_two_logins_rolled_back_together_set_no_cookies(signed_in, bob):
    assert not signed_in.get(f"/twice/rolled-back/?user={bob.pk}").cookies
    assert Session.objects.count() == 1
    assert signed_in.who() == "ada"


@override_settings(ROOT_URLCONF="tests.test_transactions")
def test_logout_takes_effect_if_a_later_login_is_rolled_back_with_it(signed_in, other_browser, bob):
    other_browser.carry(signed_in.tokens())
    response = signed_in.get(f"/out-and-in/rolled-back/?user={bob.pk}")
    assert response.cookies["refresh_token"]["max-age"] == 0
    assert not Session.objects.exists()
    assert other_browser.who() is None


@override_settings(ROOT_URLCONF="tests.test_transactions")
def test_second_login_that_is_rolled_back_alone_keeps_the_first(signed_in, other_browser, ada, bob):
    other_browser.carry(signed_in.tokens())
    signed_in.get(f"/nested/rolled-back/?user={bob.pk}")
    assert only_session().user_id == bob.pk, "the first login has replaced the session of the request"
    assert signed_in.who() == "bob"
    assert other_browser.who() is None


@override_settings(ROOT_URLCONF="tests.test_transactions")
@pytest.mark.parametrize("asked", ["", "&asked"])
def test_request_jwtauth_is_restored_after_a_login_that_is_rolled_back(signed_in, ada, bob, settings, asked):
    settings.MIDDLEWARE = ["tests.test_transactions.telling", *settings.MIDDLEWARE]
    signed_in.handler._middleware_chain = None
    told = signed_in.get(f"/once/rolled-back/?user={bob.pk}{asked}")
    assert told.headers["Told"] == f"True {ada.pk} False False"


def telling(get_response):
    """Return middleware before jwtauth's that reads the request after its transaction."""

    def middleware(request):
        response, auth = get_response(request), request.jwtauth
        response["Told"] = f"{auth.is_authenticated} {auth.user.pk} {auth.refreshed} {auth.renewed}"
        return response

    return middleware


class Undone(Exception):
    """Roll a transaction back."""


def once_rolled_back(request):
    from django.http import HttpResponse

    from jwtauth import login
    from tests.views import user_named

    if "asked" in request.GET:
        assert request.jwtauth.is_authenticated
    with suppress(Undone), transaction.atomic():
        login(request, user_named(request))
        raise Undone
    return HttpResponse()


def twice_rolled_back(request):
    from django.http import HttpResponse

    from jwtauth import login
    from tests.views import user_named

    with suppress(Undone), transaction.atomic():
        login(request, user_named(request))
        login(request, user_named(request))
        raise Undone
    return HttpResponse()


def out_and_in_rolled_back(request):
    from django.http import HttpResponse

    from jwtauth import login, logout
    from tests.views import user_named

    with suppress(Undone), transaction.atomic():
        logout(request)
        login(request, user_named(request))
        raise Undone
    return HttpResponse()


def nested_rolled_back(request):
    from django.http import HttpResponse

    from jwtauth import login
    from tests.views import user_named

    with transaction.atomic():
        login(request, user_named(request))
        with suppress(Undone), transaction.atomic():
            login(request, user_named(request))
            raise Undone
    return HttpResponse()


def _urlpatterns():
    from django.urls import include, path

    return [
        path("in-and-out/", in_and_out),
        path("twice/", twice),
        path("once/rolled-back/", once_rolled_back),
        path("twice/rolled-back/", twice_rolled_back),
        path("out-and-in/rolled-back/", out_and_in_rolled_back),
        path("nested/rolled-back/", nested_rolled_back),
        path("", include("tests.urls")),
    ]


urlpatterns = _urlpatterns()
