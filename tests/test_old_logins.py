"""Live logins of another package move in, by the stand-in of `tests.old_logins`."""

import logging

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.test import AsyncClient, override_settings

from jwtauth.models import OldLogin, Session
from jwtauth.signals import refresh_token_reused
from tests.conftest import ACCESS_LIFETIME, GRACE, IDLE, Browser
from tests.old_logins import Tickets

SAME_ORIGIN, CROSS_SITE = {"HTTP_SEC_FETCH_SITE": "same-origin"}, {"HTTP_SEC_FETCH_SITE": "cross-site"}
DAY = 86_400


def accepting(clock, **settings):
    entry = {"source": "tests.old_logins.Tickets", "until": "2999-01-01", **settings.pop("entry", {})}
    return override_settings(JWTAUTH={"COOKIE_SECURE": False, "ACCEPT_LOGINS_OF": [entry], **settings})


@pytest.fixture(autouse=True)
def _accepting(clock, monkeypatch):
    for name, value in {"spent": [], "ended": [], "fails": False, "slides": False}.items():
        monkeypatch.setattr(Tickets, name, value)
    monkeypatch.setattr(Tickets, "issued_at", clock.now - DAY)
    monkeypatch.setattr(Tickets, "expires_at", clock.now + 7 * DAY)
    with accepting(clock):
        yield


@pytest.fixture
def ticket(ada):
    return f"ticket-{ada.username}"


@pytest.fixture
def page(ticket):
    """Return a browser with the other package's cookie."""
    browser = Browser()
    browser.cookies["ticket"] = ticket
    return browser


URL = "/me/class/"


def app(kind, ticket):
    return {"HTTP_AUTHORIZATION": f"{kind} {ticket}"}


def exchange(client, token):
    return client.post("/auth/token/refresh/", {"refresh": token}, content_type="application/json")


# --- cookies


def test_the_first_request_signs_in_and_sets_the_cookies(page, ada):
    response = page.get(URL)
    assert response.json()["user"] == "ada"
    assert page.tokens().keys() == {"access_token", "refresh_token"}
    assert "no-store" in response.headers["Cache-Control"]
    assert "Cookie" in response.headers["Vary"]
    assert Session.objects.get().user == ada
    assert page.who(URL) == "ada"


@pytest.mark.parametrize("url", ["/me/plain/", "/me/async/", "/me/template/"])
def test_every_view_sees_the_user(page, url):
    assert b"ada" in page.get(url).content
    assert page.who(URL) == "ada"
    assert Session.objects.count() == 1


def test_parallel_and_repeated_requests_start_one_session(ticket, clock):
    tokens = []
    for _ in range(3):
        browser = Browser()
        browser.cookies["ticket"] = ticket
        assert browser.who(URL) == "ada"
        tokens.append(browser.token("refresh_token"))
        clock.advance(100)
    assert len(set(tokens)) == 1
    assert Session.objects.count() == 1
    assert Tickets.spent == []


def test_the_ticket_is_spent_when_the_new_cookies_are_seen(page, ticket, clock):
    page.get(URL)
    assert Tickets.spent == []
    page.get(URL)
    assert Tickets.spent == [ticket]
    clock.advance(GRACE - 1)
    late = Browser()
    late.cookies["ticket"] = ticket
    assert late.who(URL, **SAME_ORIGIN) == "ada", "a slow request"


def test_a_copied_ticket_that_comes_back_ends_the_session(page, ticket, clock, caplog):
    stolen = []
    refresh_token_reused.connect(lambda user, **kwargs: stolen.append(user.username), weak=False, dispatch_uid="old")
    try:
        page.get(URL)
        page.get(URL)
        clock.advance(GRACE)
        thief = Browser()
        thief.cookies["ticket"] = ticket
        with caplog.at_level(logging.WARNING, "jwtauth.security"):
            assert thief.who(URL, **SAME_ORIGIN) is None
    finally:
        refresh_token_reused.disconnect(dispatch_uid="old")
    assert stolen == ["ada"]
    assert [record.presented for record in caplog.records if hasattr(record, "presented")] == [0]
    assert page.who(URL) is None
    assert thief.who(URL, **SAME_ORIGIN) is None


def test_a_page_that_another_site_opens_is_not_taken_for_theft(page, ticket, clock):
    """Its request brings the old cookie of SameSite=Lax, but not the new ones of SameSite=Strict."""
    page.get(URL)
    page.get(URL)
    for seconds, expected in ((600, "ada"), (600, None)):
        clock.advance(seconds)
        opened = Browser()
        opened.cookies["ticket"] = ticket
        response = opened.get(URL, **CROSS_SITE)
        assert (response.json()["user"] if response.status_code == 200 else None) == expected
        assert not opened.tokens()
    assert page.who(URL) == "ada"


def test_a_foreign_page_cannot_use_the_ticket(page):
    response = page.post("/auth/logout/", HTTP_ORIGIN="https://evil.example", HTTP_SEC_FETCH_SITE="cross-site")
    assert response.status_code == 403
    assert response.json()["code"] == "cross_origin"
    assert not Session.objects.exists()


def test_the_session_lasts_as_long_as_the_old_login(page, clock):
    page.get(URL)
    assert Session.objects.get().end_is_fixed
    clock.advance(7 * DAY - 1)
    page.cookies["access_token"] = ""
    assert page.who(URL) == "ada"
    clock.advance(2)
    assert page.who(URL) is None


def test_a_login_that_use_extends_gets_jwtauths_limits(page, monkeypatch):
    monkeypatch.setattr(Tickets, "slides", True)
    page.get(URL)
    assert not Session.objects.get().end_is_fixed


def test_a_session_that_expired_unseen_starts_again(ticket, clock, monkeypatch):
    monkeypatch.setattr(Tickets, "slides", True)
    for _ in range(2):
        browser = Browser()
        browser.cookies["ticket"] = ticket
        assert browser.who(URL) == "ada"
        clock.advance(IDLE + 1)
    call_command("jwtauth_clearsessions", verbosity=0)
    assert OldLogin.objects.count() == 1


@pytest.mark.parametrize("how", ["logout", "revoked", "password", "inactive"])
@pytest.mark.parametrize("is_seen", [False, True])
def test_what_ended_does_not_come_back(page, ticket, ada, clock, how, is_seen):
    page.get(URL)
    if is_seen:
        page.get(URL)
    if how == "logout":
        assert page.post("/auth/logout/", **SAME_ORIGIN).status_code == 204
    elif how == "revoked":
        Session.objects.get().end()
    elif how == "password":
        clock.advance(1)
        ada.set_password("another secret")
        ada.save()
    else:
        ada.is_active = False
        ada.save()
    clock.advance(GRACE)
    assert page.who(URL) is None
    again = Browser()
    again.cookies["ticket"] = ticket
    assert again.who(URL) is None
    assert not again.tokens()
    if how != "inactive":
        assert Tickets.spent == [ticket], "it is ended in the other package as well"


def test_ended_sessions_are_ended_in_the_other_package(page):
    page.get(URL)
    Session.objects.get().end()
    page.cookies["access_token"] = page.cookies["refresh_token"] = ""
    assert page.who(URL) is None
    assert Tickets.ended == [URL]


def test_a_session_that_ended_unseen_does_not_start_again_after_its_end(page, ticket, clock, monkeypatch):
    """The other package may be unable to refuse the credential, and extend it."""
    monkeypatch.setattr(Tickets, "slides", True)
    monkeypatch.setattr(Tickets, "spend", lambda *args: None)
    page.get(URL)
    Session.objects.get().end()
    clock.advance(IDLE + 1)
    again = Browser()
    again.cookies["ticket"] = ticket
    assert again.who(URL) is None
    assert not Session.objects.exists()


def test_a_lost_record_of_the_first_use_does_not_hide_a_theft(page, ticket, clock):
    page.get(URL)
    page.get(URL)
    OldLogin.objects.update(seen_at=None)
    Tickets.spent.clear()
    clock.advance(ACCESS_LIFETIME + 1)
    assert page.who(URL) == "ada"
    thief = Browser()
    thief.cookies["ticket"] = ticket
    assert thief.who(URL, **SAME_ORIGIN) is None
    assert not Session.objects.exists()


def test_a_page_of_another_host_that_shares_the_old_cookie_ends_nothing(page, ticket, clock, monkeypatch):
    monkeypatch.setattr(Tickets, "cookie_domain", lambda self: "example.org")
    page.get(URL)
    page.get(URL)
    clock.advance(1000)
    other_host = Browser()
    other_host.cookies["ticket"] = ticket
    assert other_host.who(URL, **SAME_ORIGIN) is None
    assert page.who(URL) == "ada"


def test_a_page_over_plain_http_ends_nothing(page, ticket, clock):
    """It brings the other package's cookie, without jwtauth's, which are ``Secure``."""
    with accepting(clock, COOKIE_SECURE=True):
        page.get(URL, secure=True)
        page.get(URL, secure=True)
        clock.advance(1000)
        plain = Browser()
        plain.cookies["ticket"] = ticket
        assert plain.who(URL, **SAME_ORIGIN) is None
        assert page.get(URL, secure=True).json()["user"] == "ada"


def test_a_request_whose_ticket_is_spent_meanwhile_is_admitted(page, ticket, monkeypatch):
    page.get(URL)
    verify = Tickets.verify

    def spent_before(self, request, shown):
        monkeypatch.setattr(Tickets, "verify", verify)
        assert page.who(URL) == "ada"  # a parallel request brings the new cookies
        return verify(self, request, shown)

    monkeypatch.setattr(Tickets, "verify", spent_before)
    late = Browser()
    late.cookies["ticket"] = ticket
    assert late.who(URL, **SAME_ORIGIN) == "ada"


def test_a_late_request_of_the_render_server_is_not_taken_for_theft(page, ticket, clock):
    secret = "r" * 32
    with accepting(clock, RENDER_SERVER_SECRET=secret):
        page.get(URL)
        first = page.token("refresh_token")
        for _ in range(4):
            page.get(URL)
            clock.advance(ACCESS_LIFETIME + 1)
        rendering = Browser()
        rendering.carry({"ticket": ticket, "refresh_token": first})
        assert rendering.who(URL, **SAME_ORIGIN, HTTP_X_JWTAUTH_RENDER_SECRET=secret) is None
        assert page.who(URL) == "ada"


@pytest.mark.usefixtures("db")
def test_refused_credentials_leave_the_request_anonymous():
    browser = Browser()
    for ticket in ("ticket-no_user", "ticket-", "é", "x" * 5000):
        browser.cookies["ticket"] = ticket
        assert browser.who(URL) is None
    assert not OldLogin.objects.exists()


def test_after_until_nothing_is_accepted(page, ticket, clock):
    with accepting(clock, entry={"until": "2020-01-01"}):
        assert page.who(URL) is None
        assert exchange(Browser(), ticket).status_code == 401


def test_after_a_change_of_the_secret_key_a_lost_response_still_keeps_the_user_signed_in(page, ticket, settings):
    page.get(URL)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, as long as SHA-256 needs it to be, for tests only"
    other = Browser()
    other.cookies["ticket"] = ticket
    assert other.who(URL) == "ada"
    assert Session.objects.count() == 1


# --- headers


@pytest.mark.parametrize("kind", ["Pass", "Ticket"])
def test_an_app_is_admitted_and_gets_no_cookie(ticket, kind):
    client = Browser()
    response = client.get(URL, **app(kind, ticket))
    assert response.json()["user"] == "ada"
    assert not client.tokens()
    assert client.post("/upload/", b"x", content_type="text/plain", **app(kind, ticket)).status_code == 200
    assert not Session.objects.exists()


def test_an_asynchronous_view_sees_the_user_of_a_header(ticket):
    response = async_to_sync(AsyncClient().get)("/me/async/", headers={"Authorization": f"Pass {ticket}"})
    assert b"ada" in response.content


def test_a_page_that_sends_a_header_moves_in(ticket):
    browser = Browser()
    assert browser.get(URL, **app("Ticket", ticket), **SAME_ORIGIN).json()["user"] == "ada"
    assert browser.tokens()
    assert browser.get(URL, **app("Ticket", ticket), **SAME_ORIGIN).json()["user"] == "ada"
    assert Tickets.spent == [ticket]


def test_logout_refuses_the_header_that_it_shows(ticket):
    client = Browser()
    assert client.post("/auth/logout/", **app("Pass", ticket), **SAME_ORIGIN).status_code == 204
    assert client.get(URL, **app("Pass", ticket)).status_code == 403


def test_a_client_that_keeps_its_old_token_is_counted(ticket, clock, capsys):
    for kind in ("app", "refresh token"):
        client = Browser()
        if kind == "app":
            client.get(URL, **app("Ticket", ticket))
        else:
            exchange(client, ticket)
            clock.advance(2 * DAY)
            exchange(client, ticket)
        call_command("jwtauth_moved")
        assert "1 old credentials shown in the last day" in capsys.readouterr().out


def test_a_header_is_noted_once_an_hour(ticket, clock, capsys):
    client = Browser()
    for _ in range(3):
        client.get(URL, **app("Pass", ticket))
        clock.advance(3601)
    assert OldLogin.objects.count() == 1
    call_command("jwtauth_moved")
    assert "1 old credentials shown in the last day" in capsys.readouterr().out


# --- the token endpoint


def test_a_refresh_token_is_exchanged_until_its_successor_comes_back(ticket, clock):
    client = Browser()
    pair = exchange(client, ticket).json()
    assert exchange(client, ticket).json()["refresh"] == pair["refresh"]
    assert client.get(URL, HTTP_AUTHORIZATION=f"Bearer {pair['access']}").json()["user"] == "ada"
    assert Tickets.spent == [], "the client may have dropped the new refresh token"
    clock.advance(ACCESS_LIFETIME)
    assert exchange(client, pair["refresh"]).status_code == 200
    assert Tickets.spent == [ticket]


def test_before_since_the_other_package_renews(ticket, page, clock):
    with accepting(clock, entry={"since": "2998-01-01"}):
        assert exchange(Browser(), ticket).json() == {"access": "renewed by the other package"}
        assert page.who(URL) == "ada"
        assert not page.tokens()
    assert not Session.objects.exists()


def test_a_limit_of_sessions_that_is_reached_keeps_the_user_signed_in(ada, page, clock):
    with accepting(clock, MAX_SESSIONS_PER_USER=1, MAX_SESSIONS_POLICY="refuse"):
        Browser().sign_in(ada)
        assert page.who(URL) == "ada"
        assert not page.tokens()


def test_revoking_a_ticket_ends_its_session(ticket):
    client = Browser()
    exchange(client, ticket)
    assert client.post("/auth/token/revoke/", {"token": ticket}, content_type="application/json").status_code == 200
    assert not Session.objects.exists()
    assert exchange(client, ticket).status_code == 401


# --- the operator


def test_a_package_that_fails_is_asked_again_by_the_command(page, ticket, caplog, capsys):
    Tickets.fails = True
    page.get(URL)
    with caplog.at_level(logging.WARNING, "jwtauth.security"):
        assert page.who(URL) == "ada"
    assert "could not be spent" in caplog.text
    assert ticket not in caplog.messages[-1]
    Tickets.fails = False
    call_command("jwtauth_moved")
    assert Tickets.spent == [ticket]
    assert "1 moved in, 1 of them in use" in capsys.readouterr().out


def test_the_command_says_that_nothing_was_shown(capsys, db):
    call_command("jwtauth_moved")
    assert capsys.readouterr().out == "No login of another package has been shown yet.\n"


def test_signing_a_user_out_refuses_their_old_credentials(page, ada, clock, capsys):
    clock.advance(1)
    call_command("jwtauth_logout", "ada", verbosity=0)
    assert page.who(URL) is None
    call_command("jwtauth_logout", "--all", verbosity=0)
    assert "remove ACCEPT_LOGINS_OF" in capsys.readouterr().err


def test_ending_the_other_sessions_refuses_older_credentials(ada, ticket, page, clock):
    browser = Browser()
    browser.sign_in(ada)
    clock.advance(1)
    assert browser.delete("/auth/sessions/others/", **SAME_ORIGIN).status_code == 200
    assert page.who(URL) is None
    assert browser.who(URL) == "ada"


def test_records_of_expired_credentials_are_removed(page, clock):
    page.get(URL)
    call_command("jwtauth_clearsessions", verbosity=0)
    assert OldLogin.objects.count() == 1
    clock.advance(8 * DAY)
    call_command("jwtauth_clearsessions", verbosity=0)
    assert OldLogin.objects.count() == 1, "the other package may have extended it"
    with override_settings(JWTAUTH={}):
        call_command("jwtauth_clearsessions", verbosity=0)
    assert OldLogin.objects.count() == 0


@pytest.mark.usefixtures("ada")
def test_requests_that_show_nothing_ask_nothing(statements):
    assert statements(Browser().get, "/public/") == []
