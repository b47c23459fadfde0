"""Every way in which a session ends, and that it ends now: at the next request, with whatever token."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission, User
from django.test import override_settings

from jwtauth.models import Session
from tests.conftest import ABSOLUTE, ACCESS_LIFETIME, Browser, only_session, refresh

pytestmark = pytest.mark.django_db


class BanList(ModelBackend):
    """A project's own rule about who may be signed in."""

    banned = False

    def user_can_authenticate(self, user):
        return super().user_can_authenticate(user) and not self.banned


ENDS = {
    "its row": lambda user: user.jwtauth_sessions.get().end(),
    "a filter": lambda user: Session.objects.filter(pk=user.jwtauth_sessions.get().pk).end(),
    "all of a person": lambda user: Session.objects.of(user).end(),
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
def test_the_session_is_over_at_the_next_request(signed_in, bob, ada, clock, end, stage):
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
    if Session.objects.filter(user=bob).exists():  # not after everybody's end
        assert elsewhere.who() == "bob"


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_brings_it_back(signed_in, ada, clock, end):
    """A response that was under way brings cookies of the ended session: of its newest generation."""
    clock.advance(ACCESS_LIFETIME)
    late = {name: morsel.value for name, morsel in signed_in.get("/idle/").cookies.items()}
    end(ada)
    for tokens in (late, {"refresh_token": late["refresh_token"]}, {"access_token": late["access_token"]}):
        signed_in.carry(tokens)
        assert signed_in.who() is None
        clock.advance(ACCESS_LIFETIME)
        assert signed_in.who() is None


def test_the_others_of_a_person_end_and_this_one_stays(signed_in, ada, bob, other_browser):
    phone = Browser()
    phone.sign_in(ada)
    other_browser.sign_in(bob)
    assert signed_in.post("/others/").json() == {"ended": 1}
    assert signed_in.who() == "ada"
    assert phone.who() is None
    assert other_browser.who() == "bob"


def test_nobody_has_no_others(signed_in, browser):
    stranger = Browser()
    assert stranger.post("/others/").json() == {"ended": 0}
    assert signed_in.who() == "ada"


# --- one's own password


@pytest.mark.parametrize("url", ["/password/", "/password/async/"])
def test_whoever_changes_their_own_password_stays_and_every_other_session_ends(signed_in, ada, url):
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


def test_a_new_password_does_not_move_the_absolute_limit(signed_in, clock):
    started = only_session().created_at
    clock.advance(ACCESS_LIFETIME)
    signed_in.post("/password/")
    assert only_session().created_at == started
    clock.advance(ABSOLUTE)
    assert signed_in.who() is None


def test_a_new_password_keeps_remember(browser, ada):
    browser.sign_in(ada, "&forget")
    cookie = browser.post("/password/").cookies["refresh_token"]
    assert cookie["max-age"] == ""
    assert not only_session().remember


def test_a_password_within_the_check_interval_is_changed_by_one_s_own_session(browser, ada, clock):
    with override_settings(JWTAUTH={"SESSION_CHECK_INTERVAL": 60}):
        browser.sign_in(ada)
        assert browser.who() == "ada"
        assert browser.post("/password/").status_code == 200
        assert browser.who() == "ada"


def test_somebody_else_s_new_password_signs_nobody_in(signed_in, bob, other_browser):
    other_browser.sign_in(bob)
    before = signed_in.tokens()
    response = signed_in.post(f"/password/?user={bob.pk}")
    assert response.json()["user"] == "ada"
    assert not response.cookies
    assert signed_in.tokens() == before
    assert signed_in.who() == "ada"
    assert other_browser.who() is None


def test_a_session_that_has_ended_is_not_revived_by_a_new_password(signed_in, ada, monkeypatch):
    """Signed out from elsewhere while the view was at work."""
    save = User.save

    def save_and_be_signed_out(user, *args, **kwargs):
        save(user, *args, **kwargs)
        Session.objects.of(user).end()

    monkeypatch.setattr(User, "save", save_and_be_signed_out)
    assert not signed_in.post("/password/").cookies
    assert signed_in.who() is None


def test_a_new_secret_key_with_its_fallback_ends_nothing(signed_in, clock, settings):
    old = settings.SECRET_KEY
    with override_settings(SECRET_KEY="the newest key of this project, of more than enough characters: 70.."):
        assert signed_in.who() is None
        with override_settings(SECRET_KEY_FALLBACKS=[old]):
            assert signed_in.who() == "ada"
            refresh(signed_in, clock)
            assert signed_in.who() == "ada"
        assert signed_in.who() == "ada", "the refresh has moved the session to the new key"


# --- permissions and backends


def test_a_permission_that_is_taken_away_is_gone_at_the_next_request(signed_in, ada):
    permission = Permission.objects.get(codename="view_session", content_type__app_label="jwtauth")
    ada.user_permissions.add(permission)
    ada.is_staff = True
    ada.save()
    assert signed_in.get("/permission/").json() == {"may": True}
    ada.user_permissions.remove(permission)
    assert signed_in.get("/permission/").json() == {"may": False}


@override_settings(AUTHENTICATION_BACKENDS=["tests.test_ends.BanList"])
def test_a_backend_s_own_rule_holds_at_every_request(signed_in, ada, clock, monkeypatch):
    assert signed_in.who() == "ada"
    monkeypatch.setattr(BanList, "banned", True)
    assert signed_in.who() is None
    clock.advance(ACCESS_LIFETIME)
    assert signed_in.who() is None
    assert signed_in.post(f"/login/?user={ada.pk}").status_code == 403
    monkeypatch.setattr(BanList, "banned", False)
    assert signed_in.who() == "ada", "the ban did not delete the session"


@override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"])
def test_no_backend_lets_an_inactive_user_stay(signed_in):
    get_user_model().objects.update(is_active=False)
    assert signed_in.who() is None


@override_settings(AUTHENTICATION_BACKENDS=[])
def test_without_backends_being_active_is_enough(signed_in):
    assert signed_in.who() == "ada"
