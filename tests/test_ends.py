"""Every way to end a session. Each takes effect at the next request, with any token."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission, User
from django.test import override_settings

from jwtauth.models import Session
from tests.conftest import ABSOLUTE, ACCESS_LIFETIME, Browser, only_session, refresh

pytestmark = pytest.mark.django_db


class BanList(ModelBackend):
    """Admit users by a project's own rule."""

    banned = False

    def user_can_authenticate(self, user):
        return super().user_can_authenticate(user) and not self.banned


ENDS = {
    "its row": lambda user: user.jwtauth_sessions.get().end(),
    "a filter": lambda user: Session.objects.filter(pk=user.jwtauth_sessions.get().pk).end(),
    "all sessions of the user": lambda user: Session.objects.of(user).end(),
    "everybody's": lambda user: Session.objects.end(),
    "deactivated": lambda user: setattr(user, "is_active", False) or user.save(),
    "deactivated by update()": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "a new password": lambda user: user.set_password("new password") or user.save(),
    "a password by update()": lambda user: User.objects.filter(pk=user.pk).update(password="!"),
    "deleted": lambda user: user.delete(),
    "deleted by a queryset": lambda user: User.objects.filter(pk=user.pk).delete(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("stage", ["access token", "refresh token", "unseen generation"])
def test_ended_session_is_refused_at_the_next_request(signed_in, bob, ada, clock, end, stage):
    elsewhere = Browser()
    elsewhere.sign_in(bob)
    if stage != "access token":
        clock.advance(ACCESS_LIFETIME)
    if stage == "unseen generation":
        signed_in.get("/idle/")
    end(ada)
    response = signed_in.get("/me/")
    assert response.status_code == 403
    assert not response.cookies
    if Session.objects.filter(user=bob).exists():  # unless all sessions were ended
        assert elsewhere.who() == "bob"


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_ended_session_is_refused_with_tokens_of_a_late_response(signed_in, ada, clock, end):
    # A response that arrives late sets cookies of the ended session, of its newest generation.
    clock.advance(ACCESS_LIFETIME)
    late = {name: morsel.value for name, morsel in signed_in.get("/idle/").cookies.items()}
    end(ada)
    for tokens in (late, {"refresh_token": late["refresh_token"]}, {"access_token": late["access_token"]}):
        signed_in.carry(tokens)
        assert signed_in.who() is None
        clock.advance(ACCESS_LIFETIME)
        assert signed_in.who() is None


def test_other_sessions_of_the_user_end_and_the_current_one_stays(signed_in, ada, bob, other_browser):
    phone = Browser()
    phone.sign_in(ada)
    other_browser.sign_in(bob)
    assert signed_in.post("/others/").json() == {"ended": 1}
    assert signed_in.who() == "ada"
    assert phone.who() is None
    assert other_browser.who() == "bob"


def test_ending_other_sessions_of_an_anonymous_request_ends_none(signed_in, browser):
    stranger = Browser()
    assert stranger.post("/others/").json() == {"ended": 0}
    assert signed_in.who() == "ada"


# --- password changes


@pytest.mark.parametrize("url", ["/password/", "/password/async/"])
def test_password_change_keeps_the_current_session_and_ends_all_others(signed_in, ada, url):
    phone = Browser()
    phone.sign_in(ada)
    copies = signed_in.tokens()
    before = {session.pk for session in ada.jwtauth_sessions.all()}
    response = signed_in.post(url)
    assert response.status_code == 200
    assert b"ada" in response.content
    assert set(response.cookies) == {"access_token", "refresh_token"}
    assert signed_in.who() == "ada"
    assert phone.who() is None
    thief = Browser()
    thief.carry(copies)
    assert thief.who() is None
    thief.forget_access_token()
    assert thief.who() is None
    assert signed_in.who() == "ada"
    assert ada.jwtauth_sessions.exclude(pk__in=before).count() == 1


def test_password_change_does_not_move_the_absolute_limit(signed_in, clock):
    started = only_session().created_at
    clock.advance(ACCESS_LIFETIME)
    signed_in.post("/password/")
    assert only_session().created_at == started
    clock.advance(ABSOLUTE)
    assert signed_in.who() is None


def test_password_change_keeps_remember(browser, ada):
    browser.sign_in(ada, "&forget")
    cookie = browser.post("/password/").cookies["refresh_token"]
    assert cookie["max-age"] == ""
    assert not only_session().remember


def test_password_change_within_the_check_interval_keeps_the_session(browser, ada, clock):
    with override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60}):
        browser.sign_in(ada)
        assert browser.who() == "ada"
        assert browser.post("/password/").status_code == 200
        assert browser.who() == "ada"


def test_password_change_of_another_user_does_not_change_the_current_session(signed_in, bob, other_browser):
    other_browser.sign_in(bob)
    before = signed_in.tokens()
    response = signed_in.post(f"/password/?user={bob.pk}")
    assert response.json()["user"] == "ada"
    assert not response.cookies
    assert signed_in.tokens() == before
    assert signed_in.who() == "ada"
    assert other_browser.who() is None


def test_password_change_does_not_renew_an_ended_session(signed_in, ada, monkeypatch):
    """End the session elsewhere while the view changes the password."""
    save = User.save

    def save_and_be_signed_out(user, *args, **kwargs):
        save(user, *args, **kwargs)
        Session.objects.of(user).end()

    monkeypatch.setattr(User, "save", save_and_be_signed_out)
    assert not signed_in.post("/password/").cookies
    assert signed_in.who() is None


def test_new_secret_key_with_its_fallback_ends_no_session(signed_in, clock, settings):
    old = settings.SECRET_KEY
    with override_settings(SECRET_KEY="the newest key of this project, of more than enough characters: 70.."):
        assert signed_in.who() is None
        with override_settings(SECRET_KEY_FALLBACKS=[old]):
            assert signed_in.who() == "ada"
            refresh(signed_in, clock)
            assert signed_in.who() == "ada"
        assert signed_in.who() == "ada", "the refresh has stored a session hash of the new key"


# --- permissions and backends


def test_removed_permission_is_denied_at_the_next_request(signed_in, ada):
    permission = Permission.objects.get(codename="view_session", content_type__app_label="jwtauth")
    ada.user_permissions.add(permission)
    ada.is_staff = True
    ada.save()
    assert signed_in.get("/permission/").json() == {"may": True}
    ada.user_permissions.remove(permission)
    assert signed_in.get("/permission/").json() == {"may": False}


@override_settings(AUTHENTICATION_BACKENDS=["tests.test_ends.BanList"])
def test_user_can_authenticate_of_a_backend_is_applied_at_every_request(signed_in, ada, clock, monkeypatch):
    assert signed_in.who() == "ada"
    monkeypatch.setattr(BanList, "banned", True)
    assert signed_in.who() is None
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() is None
    assert signed_in.post(f"/login/?user={ada.pk}").status_code == 403
    monkeypatch.setattr(BanList, "banned", False)
    assert signed_in.who() == "ada", "the ban did not delete the session"


@override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"])
def test_inactive_user_is_anonymous_after_a_change_of_the_backend(signed_in):
    get_user_model().objects.update(is_active=False)
    assert signed_in.who() is None


@override_settings(AUTHENTICATION_BACKENDS=[])
def test_active_user_stays_signed_in_without_backends(signed_in):
    assert signed_in.who() == "ada"
