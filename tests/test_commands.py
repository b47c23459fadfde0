"""Management commands but `jwtauth_clean`, which is in test_expiry."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from jwtauth import conf
from jwtauth.models import Session

pytestmark = pytest.mark.django_db


def run(*arguments, **options):
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def both(browser, other_browser, ada, bob):
    browser.sign_in(ada)
    other_browser.sign_in(bob)
    return browser, other_browser


def test_the_sessions_of_a_user_end(both):
    assert run("jwtauth_end", "ada") == ("Ended 1 sessions.\n", "")
    assert [browser.who() for browser in both] == [None, "bob"]


def test_the_sessions_of_everybody_end(both):
    assert run("jwtauth_end", "--all") == ("Ended 2 sessions.\n", "")
    assert [browser.who() for browser in both] == [None, None]


def test_a_dry_run_only_counts(both):
    assert run("jwtauth_end", "ada", "bob", "--dry-run") == ("2 sessions would be ended.\n", "")
    assert [browser.who() for browser in both] == ["ada", "bob"]


def test_it_can_be_silent(both):
    assert run("jwtauth_end", "--all", verbosity=0) == ("", "")
    assert not Session.objects.exists()


@pytest.mark.parametrize("arguments", [[], ["ada", "--all"], ["nobody"]])
def test_wrong_arguments_are_an_error_and_end_nothing(both, arguments):
    with pytest.raises(CommandError):
        run("jwtauth_end", *arguments)
    assert [browser.who() for browser in both] == ["ada", "bob"]


def test_on_a_terminal_it_shows_how_far_it_is(both, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    call_command("jwtauth_end", "--all", stdout=StringIO(), stderr=terminal)
    assert terminal.getvalue() == "\r2 of 2\n"


def test_the_settings_in_force_are_shown_without_keys(settings):
    settings.JWTAUTH = {"ACCESS_TOKEN_LIFETIME": 120, "SIGNING_KEY": "k" * 40, "VERIFYING_KEYS": ["v" * 40]}
    out, err = run("jwtauth_check")
    assert [line.split(" = ")[0] for line in out.splitlines()] == list(conf.SETTINGS)
    assert "ACCESS_TOKEN_LIFETIME = 120\n" in out
    assert "SIGNING_KEY = <a key>\n" in out
    assert "VERIFYING_KEYS = <1 keys>\n" in out
    assert "kkk" not in out + err
    assert "vvv" not in out + err
    assert "jwtauth.W003" in err  # as for a deployment


def test_a_wrong_configuration_fails(settings):
    settings.JWTAUTH = {"ALGORITHM": "none"}
    with pytest.raises(CommandError):
        run("jwtauth_check")
