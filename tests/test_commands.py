"""Management commands, except `jwtauth_clearsessions`, which is in test_cleanup."""

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


def test_jwtauth_logout_ends_the_sessions_of_a_user(both):
    assert run("jwtauth_logout", "ada") == ("Ended 1 session.\n", "")
    assert [browser.who() for browser in both] == [None, "bob"]


def test_jwtauth_logout_all_ends_the_sessions_of_all_users(both):
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
def test_commands_report_one_session_in_the_singular(both, ada, command, arguments, message):
    expired = datetime(2020, 1, 1, tzinfo=timezone.utc)
    Session.objects.exclude(user=ada).update(expires_at=expired)
    assert run(command, *arguments) == (message, "")


def test_jwtauth_logout_dry_run_only_counts(both):
    assert run("jwtauth_logout", "ada", "bob", "--dry-run") == ("2 sessions would be ended.\n", "")
    assert [browser.who() for browser in both] == ["ada", "bob"]


def test_dry_runs_count_one_session_in_the_singular(both):
    assert run("jwtauth_logout", "ada", "--dry-run") == ("1 session would be ended.\n", "")
    Session.objects.update(expires_at=datetime(2000, 1, 1, tzinfo=timezone.utc))
    assert run("jwtauth_clearsessions", "--dry-run") == ("2 expired sessions would be removed.\n", "")
    Session.objects.all()[0].delete()
    assert run("jwtauth_clearsessions", "--dry-run") == ("1 expired session would be removed.\n", "")
    assert run("jwtauth_clearsessions") == ("Removed 1 expired session.\n", "")


def test_jwtauth_logout_with_verbosity_zero_prints_nothing(both):
    assert run("jwtauth_logout", "--all", verbosity=0) == ("", "")
    assert not Session.objects.exists()


@pytest.mark.parametrize("arguments", [[], ["ada", "--all"], ["unknown"]])
def test_jwtauth_logout_with_wrong_arguments_is_an_error_and_ends_no_session(both, arguments):
    with pytest.raises(CommandError):
        run("jwtauth_logout", *arguments)
    assert [browser.who() for browser in both] == ["ada", "bob"]


def test_jwtauth_logout_shows_its_progress_on_a_terminal(both, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    call_command("jwtauth_logout", "--all", stdout=StringIO(), stderr=terminal)
    assert terminal.getvalue() == "\r2 of 2\n"


def test_jwtauth_check_shows_the_settings_without_keys(settings):
    settings.JWTAUTH = {"ACCESS_TOKEN_LIFETIME": 120, "SIGNING_KEY": "k" * 40, "VERIFYING_KEYS": ["v" * 40]}
    out, err = run("jwtauth_check")
    assert [line.split(" = ")[0] for line in out.splitlines()] == list(conf.SETTINGS)
    assert "ACCESS_TOKEN_LIFETIME = 120\n" in out
    assert "SIGNING_KEY = <a key>\n" in out
    assert "VERIFYING_KEYS = <1 key>\n" in out
    assert "kkk" not in out + err
    assert "vvv" not in out + err
    assert "jwtauth.W003" in err  # with deployment checks


def test_jwtauth_check_fails_on_an_invalid_setting(settings):
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
def test_jwtauth_check_fails_if_django_s_check_fails(wrong):
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


def test_every_check_is_registered_with_its_tags():
    registered = [*registry.registered_checks, *registry.deployment_checks]
    registered_tags = {check.__name__: check.tags for check in registered if check.__module__.startswith("jwtauth.")}
    assert registered_tags.keys() == {name for name in vars(checks) if name.startswith("check_")}
    kinds = {name: "database" if name == "check_columns" else "security" for name in registered_tags}
    assert all({"jwtauth", kinds[name]} <= set(tags) for name, tags in registered_tags.items())


# --- jwtauth_settings, whose output the tests of the Rust service read too


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
def test_jwtauth_settings_prints_toml_that_the_rust_service_reads():
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


def test_jwtauth_settings_prints_every_setting_except_django_only_ones():
    of_rust = {name: one for name, one in conf.SETTINGS.items() if one.rust}
    absent = {name for name, one in of_rust.items() if conf.values()[name] is None and not one.none_differs}
    assert settings_printed().keys() & conf.SETTINGS.keys() == of_rust.keys() - absent
    assert conf.SETTINGS.keys() - of_rust.keys() == {
        "POLICY",
        "ACCEPT_LOGINS_OF",
        "ACCESS_TOKEN_CLAIMS",
        "USER_ID_FIELD",
        "SECOND_FACTOR",
        "ACT_AS",
        "NUM_PROXIES",
        "LOGIN_SERIALIZER",
        "USER_SERIALIZER",
    }


def test_jwtauth_settings_public_omits_keys_and_secrets():
    printed, _said = run("jwtauth_settings", public=True)
    assert settings.SECRET_KEY not in printed
    assert "ALGORITHM = " in printed
    keys = {"SECRET_KEY", "SIGNING_KEY", "VERIFYING_KEYS", "RENDER_SERVER_SECRET"}
    assert not keys & set(re.findall(r"^\w+", printed, re.M))


@override_settings(JWTAUTH={"USER_ID_FIELD": "username"})
def test_jwtauth_settings_refuses_a_setting_that_rust_does_not_support():
    with pytest.raises(CommandError, match="primary key"):
        run("jwtauth_settings")


@override_settings(JWTAUTH={"ACCESS_TOKEN_CLAIMS": "tests.views.me"})
def test_jwtauth_settings_warns_of_a_function_in_the_settings():
    assert "ACCESS_TOKEN_CLAIMS" in run("jwtauth_settings")[1]


def test_jwtauth_settings_check_names_the_lines_that_differ(tmp_path):
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
def test_key_file_is_readable_by_its_owner_only(command, tmp_path, permissive_umask):
    path = tmp_path / "file"
    printed, _notes = run(*command, "--output", str(path))
    assert printed == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.endswith("\n")
    assert text[:10] in {"-----BEGIN", '{"kty":"oc', "# Made by "}


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_existing_key_file_is_not_overwritten(command, tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("an older key")
    link.symlink_to(tmp_path / "elsewhere")
    for existing in (path, link):
        with pytest.raises(CommandError, match="already exists and is not overwritten"):
            run(*command, "--output", str(existing))
    assert path.read_text() == "an older key"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_key_file_that_cannot_be_created_is_reported_by_name(command, tmp_path):
    with pytest.raises(CommandError, match="file: No such file or directory"):
        run(*command, "--output", str(tmp_path / "nowhere" / "file"))


def test_key_file_can_be_used_as_the_signing_key(tmp_path):
    path = tmp_path / "key.pem"
    note = run("jwtauth_generate_key", "--output", str(path))[1]
    assert "VERIFYING_KEYS" in note
    with override_settings(JWTAUTH={"ALGORITHM": "EdDSA", "SIGNING_KEY": path.read_text()}):
        assert conf.problems() == []


def test_jwtauth_settings_check_accepts_the_file_that_it_wrote(tmp_path):
    path = tmp_path / "jwtauth.toml"
    assert run("jwtauth_settings", output=path) == ("", "")
    assert path.read_text() == run("jwtauth_settings")[0]
    assert run("jwtauth_settings", check=path)[0] == f"{path} matches the current settings.\n"


def test_jwtauth_settings_check_and_output_exclude_each_other(tmp_path):
    with pytest.raises(CommandError, match="not allowed with"):
        run("jwtauth_settings", "--check", "a", "--output", "b")


@pytest.mark.parametrize(
    ("alias", "name"), [("jwtauth_clean", "jwtauth_clearsessions"), ("jwtauth_end", "jwtauth_logout")]
)
def test_old_names_of_commands_are_aliases(alias, name):
    assert issubclass(*(type(load_command_class("jwtauth", command)) for command in (alias, name)))


def test_alias_of_jwtauth_logout_ends_sessions(signed_in):
    assert run("jwtauth_end", "ada") == ("Ended 1 session.\n", "")
    assert signed_in.who() is None
