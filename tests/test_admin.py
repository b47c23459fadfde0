"""Sessions in the admin: found, looked at and ended; nothing secret, nothing to edit."""

import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from jwtauth.internal.store import clock as _clock
from jwtauth.models import Session
from tests.conftest import only_session

pytestmark = pytest.mark.django_db

LIST = "/admin/jwtauth/session/"


@pytest.fixture
def root(db):
    return get_user_model().objects.create_superuser("root", password="root")


@pytest.fixture
def admin(root):
    client = Client()
    client.force_login(root)
    return client


def test_sessions_are_listed_with_user_and_device(admin, browser, ada):
    browser.sign_in(ada, HTTP_USER_AGENT="curl/8.0")
    page = admin.get(LIST).content.decode()
    assert "ada" in page
    assert "curl" in page
    assert str(only_session().pk) in page


def test_nothing_secret_is_shown(admin, browser, ada):
    browser.sign_in(ada)
    session = only_session()
    pages = [admin.get(url).content.decode() for url in (LIST, f"{LIST}{session.pk}/change/")]
    secrets = [session.auth_hash, *(part for token in browser.tokens().values() for part in token.split(".")[1:])]
    assert not any(secret in page for page in pages for secret in secrets)


def test_nothing_can_be_added_or_edited(admin, browser, ada):
    browser.sign_in(ada)
    session = only_session()
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{session.pk}/change/", {"ip_address": "203.0.113.9"}).status_code == 403
    page = admin.get(f"{LIST}{session.pk}/change/").content.decode()
    assert "_save" not in page


@pytest.mark.parametrize(("query", "found"), [("ad", 1), ("bob", 1), ("127.0.0.1", 2), ("127", 0), ("nobody", 0)])
def test_search_is_by_name_or_address(admin, browser, other_browser, ada, bob, query, found):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    response = admin.get(LIST, {"q": query})
    assert response.context["cl"].result_count == found


@pytest.mark.parametrize(("state", "found"), [("live", 1), ("expired", 1), ("", 2)])
def test_the_filter_knows_what_is_over(admin, browser, other_browser, ada, bob, state, found):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    Session.objects.of(bob).update(expires_at=_clock.to_datetime(1000))
    assert admin.get(LIST, {"state": state} if state else {}).context["cl"].result_count == found


def test_the_action_ends_sessions(admin, browser, other_browser, ada):
    browser.sign_in(ada)
    first = only_session()
    other_browser.sign_in(ada)
    response = admin.post(LIST, {"action": "end_sessions", "_selected_action": [str(first.pk)]}, follow=True)
    assert "1 session was ended." in response.content.decode()
    assert browser.who() is None
    assert other_browser.who() == "ada"


def test_deleting_one_ends_it_at_once_also_in_a_process_that_remembers_it(admin, browser, ada, settings):
    settings.JWTAUTH = {"SESSION_CHECK_INTERVAL": 3600}
    browser.sign_in(ada)
    assert browser.who() == "ada"
    admin.post(f"{LIST}{only_session().pk}/delete/", {"post": "yes"})
    assert browser.who() is None


def test_only_staff_who_may_delete_sessions_end_them(browser, ada, root):
    browser.sign_in(ada)
    looker = get_user_model().objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_session", content_type__app_label="jwtauth"))
    client = Client()
    client.force_login(looker)
    assert client.get(LIST).status_code == 200
    client.post(LIST, {"action": "end_sessions", "_selected_action": [str(only_session().pk)]})
    assert browser.who() == "ada"


def test_the_page_of_a_user_links_to_their_sessions(admin, browser, other_browser, ada, bob):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    link = f"{LIST}?user__id__exact={ada.pk}"
    assert link in admin.get(f"/admin/auth/user/{ada.pk}/change/").content.decode()
    assert admin.get(link).context["cl"].result_count == 1


def test_a_list_is_a_few_queries_however_many_sessions_there_are(admin, ada, django_assert_max_num_queries):
    now = _clock.to_datetime(_clock.now())
    times = dict.fromkeys(("rotated_at", "created_at", "expires_at", "last_seen_at"), now)
    Session.objects.bulk_create(
        Session(id=uuid.uuid4(), user=ada, generation=1, remember=True, **times) for _ in range(300)
    )
    with django_assert_max_num_queries(5):
        assert admin.get(LIST).status_code == 200
