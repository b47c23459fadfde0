"""Number of SQL statements of each flow."""

import pytest
from django.contrib.auth.models import update_last_login
from django.contrib.auth.signals import user_logged_in
from django.db import connection
from django.db.models import CASCADE, ForeignKey, Model
from django.db.models.signals import post_delete
from django.test import override_settings
from django.test.utils import CaptureQueriesContext, isolate_apps

from jwtauth.models import Session, has_dependents
from tests.conftest import ACCESS_LIFETIME, GRACE, only_session, refresh

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def statements():
    """Return the SQL statements of a call, with those that begin and end a transaction."""

    def count(call, *args, **kwargs):
        with CaptureQueriesContext(connection) as captured:
            call(*args, **kwargs)
        return [query["sql"].split()[0] for query in captured]

    return count


@pytest.mark.parametrize("url", ["/me/", "/me/class/", "/me/plain/", "/me/template/", "/me/session/"])
def test_authenticated_request_is_one_query(signed_in, statements, url):
    assert statements(signed_in.get, url) == ["SELECT"]


def test_view_that_does_not_use_request_user_costs_no_query(signed_in, statements):
    assert statements(signed_in.get, "/idle/") == []


@pytest.mark.parametrize("url", ["/me/", "/me/plain/", "/public/", "/idle/"])
def test_anonymous_request_costs_no_query(db, browser, statements, url):
    assert statements(browser.get, url) == []


def test_silent_refresh_is_a_select_with_the_user_and_an_update(signed_in, clock, statements):
    clock.advance(ACCESS_LIFETIME)
    assert statements(signed_in.get, "/me/") == ["SELECT", "UPDATE"]


def test_first_use_of_a_generation_is_one_more_update(signed_in, clock, statements):
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/me/")
    assert statements(signed_in.get, "/me/") == ["SELECT", "UPDATE"]
    assert statements(signed_in.get, "/me/") == ["SELECT"]


def test_request_that_races_with_a_refresh_is_one_query(signed_in, other_browser, clock, statements):
    old = signed_in.tokens()
    clock.advance(ACCESS_LIFETIME)
    signed_in.get("/idle/")
    other_browser.carry(old)
    assert statements(other_browser.get, "/me/") == ["SELECT"]


def test_login_is_an_insert_and_the_update_of_last_login(browser, ada, statements):
    assert statements(browser.get, f"/login/plain/?user={ada.pk}") == [
        "SELECT",
        "INSERT",
        "UPDATE",
    ]  # the first is the view's


def test_login_of_a_site_without_last_login_is_an_insert(browser, ada, statements):
    user_logged_in.disconnect(dispatch_uid="update_last_login")  # as docs/concepts/performance.md says
    try:
        assert statements(browser.get, f"/login/plain/?user={ada.pk}") == ["SELECT", "INSERT"]
    finally:
        user_logged_in.connect(update_last_login, dispatch_uid="update_last_login")


def test_logout_is_a_select_and_a_delete(signed_in, statements):
    assert statements(signed_in.post, "/logout/") == ["SELECT", "DELETE"]


def test_logout_with_a_post_delete_receiver_sends_the_signal(signed_in, statements):
    heard = []

    def receiver(sender, instance, **kwargs):
        heard.append(instance.pk)

    session = only_session()
    post_delete.connect(receiver, Session)
    try:
        assert statements(signed_in.post, "/logout/") == ["SELECT", "SELECT", "BEGIN", "DELETE", "COMMIT"]
    finally:
        post_delete.disconnect(receiver, Session)
    assert heard == [session.pk]


@isolate_apps("tests")
def test_model_that_refers_to_sessions_is_detected(monkeypatch):
    class Note(Model):
        session = ForeignKey(Session, CASCADE)

        class Meta:
            app_label = "tests"

        def __str__(self):
            return str(self.pk)

    assert not has_dependents()
    fields = [*Session._meta.get_fields(include_hidden=True), Note._meta.get_field("session").remote_field]
    monkeypatch.setattr(Session._meta, "get_fields", lambda **options: fields)
    assert has_dependents()


def test_logout_without_cookies_costs_no_query(db, browser, statements):
    assert statements(browser.post, "/logout/") == []


def test_copied_token_is_a_select_and_a_delete(signed_in, clock, statements):
    stolen = signed_in.tokens()
    refresh(signed_in, clock)
    clock.advance(GRACE)
    signed_in.carry(stolen)
    assert statements(signed_in.get, "/me/") == ["SELECT", "DELETE"]


def test_request_within_the_check_interval_costs_no_query(browser, ada, clock, statements):
    with override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 10}):
        browser.sign_in(ada)
        browser.get("/me/")
        assert statements(browser.get, "/public/") == []


def test_logout_within_the_check_interval_is_a_select_and_a_delete(browser, ada, clock, statements):
    with override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 10}):
        browser.sign_in(ada)
        browser.get("/me/")
        assert statements(browser.post, "/logout/") == ["SELECT", "DELETE"]
        assert browser.who() is None
