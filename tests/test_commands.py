"""Management commands but `jwtauth_clearsessions`, which is in test_cleanup."""

import json
import os
import re
import stat
from datetime import datetime, timedelta, timezone
from io import StringIO

import pytest
from django.conf import settings
from django.core.checks.registry import registry
from django.core.management import CommandError, call_command, load_command_class
from django.core.management.base import SystemCheckError
from django.test import override_settings

from jwtauth import checks, conf
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
    assert run("jwtauth_logout", "ada") == ("Ended 1 session.\n", "")
    assert [browser.who() for browser in both] == [None, "bob"]


def test_the_sessions_of_everybody_end(both):
    assert run("jwtauth_logout", "--all") == ("Ended 2 sessions.\n", "")
    assert [browser.who() for browser in both] == [None, None]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("jwtauth_logout", ["ada", "--dry-run"], "1 session would be ended.\n"),
        ("jwtauth_clearsessions", ["--dry-run"], "1 expired session would be removed.\n"),
        ("jwtauth_clearsessions", [], "Removed 1 expired session.\n"),
    ],
)
def test_one_session_is_reported_in_the_singular(both, ada, command, arguments, message):
    expired = datetime(2020, 1, 1, tzinfo=timezone.utc)
    Session.objects.exclude(user=ada).update(expires_at=expired)
    assert run(command, *arguments) == (message, "")


def test_a_dry_run_only_counts(both):
    assert run("jwtauth_logout", "ada", "bob", "--dry-run") == ("2 sessions would be ended.\n", "")
    assert [browser.who() for browser in both] == ["ada", "bob"]


def test_one_session_is_counted_in_the_singular(both):
    assert run("jwtauth_logout", "ada", "--dry-run") == ("1 session would be ended.\n", "")
    Session.objects.update(expires_at=datetime(2000, 1, 1, tzinfo=timezone.utc))
    assert run("jwtauth_clearsessions", "--dry-run") == ("2 expired sessions would be removed.\n", "")
    Session.objects.all()[0].delete()
    assert run("jwtauth_clearsessions", "--dry-run") == ("1 expired session would be removed.\n", "")
    assert run("jwtauth_clearsessions") == ("Removed 1 expired session.\n", "")


def test_it_can_be_silent(both):
    assert run("jwtauth_logout", "--all", verbosity=0) == ("", "")
    assert not Session.objects.exists()


@pytest.mark.parametrize("arguments", [[], ["ada", "--all"], ["nobody"]])
def test_wrong_arguments_are_an_error_and_end_nothing(both, arguments):
    with pytest.raises(CommandError):
        run("jwtauth_logout", *arguments)
    assert [browser.who() for browser in both] == ["ada", "bob"]


def test_on_a_terminal_it_shows_how_far_it_is(both, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    call_command("jwtauth_logout", "--all", stdout=StringIO(), stderr=terminal)
    assert terminal.getvalue() == "\r2 of 2\n"


def test_the_settings_in_force_are_shown_without_keys(settings):
    settings.JWTAUTH = {"ACCESS_TOKEN_LIFETIME": 120, "SIGNING_KEY": "k" * 40, "VERIFYING_KEYS": ["v" * 40]}
    out, err = run("jwtauth_check")
    assert [line.split(" = ")[0] for line in out.splitlines()] == list(conf.SETTINGS)
    assert "ACCESS_TOKEN_LIFETIME = 120\n" in out
    assert "SIGNING_KEY = <a key>\n" in out
    assert "VERIFYING_KEYS = <1 key>\n" in out
    assert "kkk" not in out + err
    assert "vvv" not in out + err
    assert "jwtauth.W003" in err  # as for a deployment


def test_a_wrong_configuration_fails(settings):
    settings.JWTAUTH = {"ALGORITHM": "none"}
    with pytest.raises(CommandError):
        run("jwtauth_check")


@pytest.mark.parametrize(
    "wrong",
    [
        {"JWTAUTH": {"LOGIN_SERIALIZER": "tests.no_such_module.Serializer"}},
        {"JWTAUTH": {"ACCESS_TOKEN_CLAIMS": "tests.no_such_module.claims"}},
        {"JWTAUTH": {"USER_ID_FIELD": "no_such_field"}},
        {"MIDDLEWARE": [path for path in settings.MIDDLEWARE if "jwtauth" not in path]},
    ],
)
def test_it_fails_where_check_fails(wrong):
    with override_settings(**wrong):
        with pytest.raises(SystemCheckError) as of_check:
            call_command("check", stdout=StringIO(), stderr=StringIO())
        (error,) = set(re.findall(r"jwtauth\.E\d+", str(of_check.value)))
        err = StringIO()
        with pytest.raises(CommandError):
            call_command("jwtauth_check", verbosity=0, stdout=StringIO(), stderr=err)
        assert error in err.getvalue()
        with override_settings(SILENCED_SYSTEM_CHECKS=[error]):
            call_command("check", stdout=StringIO(), stderr=StringIO())
            call_command("jwtauth_check", verbosity=0, stdout=StringIO(), stderr=StringIO())


def test_every_check_is_found_by_its_tag():
    registered = [*registry.registered_checks, *registry.deployment_checks]
    ours = {check.__name__: check.tags for check in registered if check.__module__.startswith("jwtauth.")}
    assert ours.keys() == {name for name in vars(checks) if name.startswith("check_")}
    kinds = {name: "database" if name == "check_columns" else "security" for name in ours}
    assert all({"jwtauth", kinds[name]} <= set(tags) for name, tags in ours.items())


# --- jwtauth_settings, which the tests of the Rust service read as well


def settings_printed():
    printed, _said = run("jwtauth_settings")
    lines = [line.partition(" = ") for line in printed.splitlines() if not line.startswith("#")]
    return {name: json.loads(value) for name, _is, value in lines}


@override_settings(
    JWTAUTH={
        "SESSION_LIFETIME": None,
        "AUDIENCE": ["one", 'an "other" \u00e9'],
        "ISSUER_FALLBACKS": [None, "former"],
        "VERIFYING_KEYS": ["k" * 32, ("HS512", "l" * 64)],
        "SESSION_CHECK_INTERVAL": 2.5,
        "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
        "RENDER_SERVER_SECRET": "r" * 32,
    },
    SECRET_KEY_FALLBACKS=["an older key of this site, of forty bytes"],
)
def test_the_settings_are_printed_as_the_rust_side_reads_them():
    printed = settings_printed()
    assert printed["SECRET_KEY"] == settings.SECRET_KEY
    assert printed["SECRET_KEY_FALLBACKS"] == settings.SECRET_KEY_FALLBACKS
    assert (printed["SESSION_LIFETIME"], printed["SESSION_CHECK_INTERVAL"]) == ("none", 2.5)
    assert (printed["ACCESS_TOKEN_LIFETIME"], printed["MAX_SESSIONS_PER_USER"]) == (600, "none")
    assert printed["AUDIENCE"] == ["one", 'an "other" \u00e9']
    assert printed["VERIFYING_KEYS"] == ["k" * 32, ["HS512", "l" * 64]]
    assert printed["RENDER_SERVER_SECRET"] == ["r" * 32]
    assert (printed["ISSUER_FALLBACKS"], printed["AUDIENCE_FALLBACKS"]) == (["none", "former"], [])
    assert "ISSUER" not in printed


def test_every_setting_is_printed_or_django_s_own():
    of_rust = {name: one for name, one in conf.SETTINGS.items() if one.rust}
    absent = {name for name, one in of_rust.items() if conf.values()[name] is None and not one.none_differs}
    assert settings_printed().keys() & conf.SETTINGS.keys() == of_rust.keys() - absent
    assert conf.SETTINGS.keys() - of_rust.keys() == {
        "ACCESS_TOKEN_CLAIMS",
        "USER_ID_FIELD",
        "NUM_PROXIES",
        "LOGIN_SERIALIZER",
        "USER_SERIALIZER",
    }


def test_without_keys_they_are_left_out():
    printed, _said = run("jwtauth_settings", public=True)
    assert settings.SECRET_KEY not in printed
    assert "ALGORITHM = " in printed
    keys = {"SECRET_KEY", "SIGNING_KEY", "VERIFYING_KEYS", "RENDER_SERVER_SECRET"}
    assert not keys & set(re.findall(r"^\w+", printed, re.M))


@override_settings(JWTAUTH={"USER_ID_FIELD": "username"})
def test_what_the_rust_side_cannot_have_is_an_error():
    with pytest.raises(CommandError, match="primary key"):
        run("jwtauth_settings")


@override_settings(JWTAUTH={"ACCESS_TOKEN_CLAIMS": "tests.views.me"})
def test_a_function_of_the_site_s_is_pointed_out():
    assert "ACCESS_TOKEN_CLAIMS" in run("jwtauth_settings")[1]


def test_a_file_that_differs_names_its_lines(tmp_path):
    path = tmp_path / "jwtauth.toml"
    path.write_text(run("jwtauth_settings")[0])
    assert run("jwtauth_settings", check=path) == (f"{path} matches the current settings.\n", "")
    with (
        override_settings(JWTAUTH={"ISSUER": "site", "ALGORITHM": "HS384", "ACCESS_TOKEN_COOKIE_NAME": "other"}),
        pytest.raises(CommandError) as differs,
    ):
        run("jwtauth_settings", check=path)
    said = str(differs.value)
    assert re.findall(r":(\d+): (\w+) differs from the settings", said) == [
        (str(number), name)
        for number, name in enumerate(re.findall(r"^# Made|^\w+", path.read_text(), re.M), 1)
        if name in {"ALGORITHM", "ACCESS_TOKEN_COOKIE_NAME"}
    ]
    assert "ISSUER is missing" in said
    another = "quite another key, of forty bytes or so."
    with override_settings(SECRET_KEY=another), pytest.raises(CommandError) as differs:
        run("jwtauth_settings", check=path)
    assert settings.SECRET_KEY not in str(differs.value)
    assert "SECRET_KEY differs from the settings" in str(differs.value)
    with pytest.raises(CommandError, match="nowhere"):
        run("jwtauth_settings", check=tmp_path / "nowhere")


# --- files that hold keys


@pytest.fixture
def permissive_umask():
    before = os.umask(0)
    yield
    os.umask(before)


WRITING = [["jwtauth_generate_key"], ["jwtauth_generate_key", "HS256"], ["jwtauth_settings"]]


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_file_of_keys_is_created_for_its_owner_alone(command, tmp_path, permissive_umask):
    path = tmp_path / "file"
    printed, _notes = run(*command, "--output", str(path))
    assert printed == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.endswith("\n")
    assert text[:10] in {"-----BEGIN", '{"kty":"oc', "# Made by "}


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_an_existing_file_is_not_overwritten(command, tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("an older key")
    link.symlink_to(tmp_path / "elsewhere")
    for existing in (path, link):
        with pytest.raises(CommandError, match="already exists and is not overwritten"):
            run(*command, "--output", str(existing))
    assert path.read_text() == "an older key"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_file_that_cannot_be_created_is_named(command, tmp_path):
    with pytest.raises(CommandError, match="file: No such file or directory"):
        run(*command, "--output", str(tmp_path / "nowhere" / "file"))


def test_a_key_written_to_a_file_can_be_read_back(tmp_path):
    path = tmp_path / "key.pem"
    note = run("jwtauth_generate_key", "--output", str(path))[1]
    assert "VERIFYING_KEYS" in note
    with override_settings(JWTAUTH={"ALGORITHM": "EdDSA", "SIGNING_KEY": path.read_text()}):
        assert conf.problems() == []


def test_settings_written_to_a_file_pass_their_check(tmp_path):
    path = tmp_path / "jwtauth.toml"
    assert run("jwtauth_settings", output=path) == ("", "")
    assert path.read_text() == run("jwtauth_settings")[0]
    assert run("jwtauth_settings", check=path)[0] == f"{path} matches the current settings.\n"


def test_settings_are_either_checked_or_written(tmp_path):
    with pytest.raises(CommandError, match="not allowed with"):
        run("jwtauth_settings", "--check", "a", "--output", "b")


@pytest.mark.parametrize(
    ("alias", "name"), [("jwtauth_clean", "jwtauth_clearsessions"), ("jwtauth_end", "jwtauth_logout")]
)
def test_the_old_name_of_a_command_is_an_alias(alias, name):
    assert issubclass(*(type(load_command_class("jwtauth", command)) for command in (alias, name)))


def test_the_alias_ends_sessions_as_well(signed_in):
    assert run("jwtauth_end", "ada") == ("Ended 1 session.\n", "")
    assert signed_in.who() is None
