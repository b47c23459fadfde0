"""System checks: each id, with its message and its hint."""

import base64
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection
from django.test import override_settings

import jwtauth
from jwtauth import _engine, checks, conf
from jwtauth.contrib.old_logins import OldLogins
from jwtauth.middleware import JWTAuthMiddleware

JWTAUTH_MIDDLEWARE = "jwtauth.middleware.JWTAuthMiddleware"
UPDATE_CACHE = "django.middleware.cache.UpdateCacheMiddleware"
NEEDED = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]


class Subclass(JWTAuthMiddleware):
    """Stand in for a project's middleware."""


class Elsewhere:
    """Store sessions in another database than users."""

    def db_for_write(self, model, **hints):
        return "sessions" if model._meta.app_label == "jwtauth" else "default"


def found(deploy=False):
    """Return jwtauth's messages, by id."""
    messages = [m for m in run_checks(include_deployment_checks=deploy) if m.id.startswith("jwtauth.")]
    return {message.id: message for message in messages}


def found_with(deploy=False, **settings):
    with override_settings(JWTAUTH=settings):
        return found(deploy)


def test_default_project_has_no_messages():
    assert found() == {}


def test_project_with_prefixed_cookies_has_no_deployment_messages():
    names = {"ACCESS_TOKEN_COOKIE_NAME": "__Host-access_token", "REFRESH_TOKEN_COOKIE_NAME": "__Host-refresh_token"}
    assert found_with(deploy=True, **names) == {}


def pem(name):
    return (Path(__file__).parents[1] / f"testdata/keys/{name}.pem").read_text()


ES256 = {"ALGORITHM": "ES256", "SIGNING_KEY": pem("p-256.pkcs8")}


def jwk(**members):
    """Return a public JWK with these members changed."""
    key = _engine.VerifyingKey.read(pem("p-256.spki").encode(), algorithm="ES256")
    return {**json.loads(key.public_jwk), **members}


def jwk_of(byte):
    """Return a secret as a JWK whose id is not the secret's thumbprint."""
    return {"kty": "oct", "kid": "a", "k": base64.urlsafe_b64encode(byte * 32).decode().rstrip("=")}


@pytest.mark.parametrize(
    ("id", "settings", "message", "hint"),
    [
        ("E001", {"ACESS_TOKEN_LIFETIME": 1}, "unknown key 'ACESS_TOKEN_LIFETIME'", "'ACCESS_TOKEN_LIFETIME'?"),
        ("E001", {"cookie_secure": 1}, "unknown key 'cookie_secure'", "Did you mean 'COOKIE_SECURE'?"),
        ("E001", {"XYZ": 1}, "unknown key 'XYZ'", ", ".join(conf.SETTINGS)),
        ("E003", {"LEEWAY": "1"}, "JWTAUTH['LEEWAY'] has a value of the wrong type", "a timedelta, or a number"),
        ("E003", {"USER_ID_CLAIM": "exp"}, 'the claim "exp"', "another USER_ID_CLAIM"),
        ("E003", {"ISSUER": ""}, "must not be empty", "Leave ISSUER and AUDIENCE out"),
        ("E003", {"VERIFYING_KEYS": [f"{i:064}" for i in range(16)]}, "17 keys are too many", "Remove the oldest"),
        ("E004", {"SIGNING_KEY": "x" * 31}, "key of 31 bytes is too short: HS256 needs at least 32", "SECRET_KEY"),
        ("E004", {"VERIFYING_KEYS": ["x" * 31]}, "JWTAUTH['VERIFYING_KEYS']: key of 31 bytes", "Remove it"),
        ("E005", {"COOKIE_SAMESITE": "None", "COOKIE_SECURE": False}, "SameSite=None needs Secure", "COOKIE_SECURE"),
        ("E006", {"ACCESS_TOKEN_COOKIE_NAME": "__Host-a", "COOKIE_PATH": "/a"}, '"__Host-a"', "COOKIE_PATH out"),
        ("E006", {"ACCESS_TOKEN_COOKIE_NAME": "__Secure-a", "COOKIE_SECURE": False}, "needs Secure", "COOKIE_SECURE"),
        ("E007", {"ACCESS_TOKEN_LIFETIME": 0}, "at least one second", "ACCESS_TOKEN_LIFETIME <= REFRESH"),
        ("E007", {"ACCESS_TOKEN_LIFETIME": -1}, "a lifetime is negative", "ACCESS_TOKEN_LIFETIME <= REFRESH"),
        ("E007", {"ACCESS_TOKEN_LIFETIME": 86401}, "(86401 s) is longer than", "ACCESS_TOKEN_LIFETIME <= REFRESH"),
        ("E007", {"SESSION_LIFETIME": 86399}, "longer than the session's (86399 s)", "<= SESSION_LIFETIME"),
        ("E004", {"ALGORITHM": "RS256"}, "no key could be read: RS256 takes a PEM or a JWK", "jwtauth_generate_key"),
        (
            "E004",
            {"ALGORITHM": "RS256", "SIGNING_KEY": pem("rsa-1024.pkcs8")},
            "RSA key has 1024 bits",
            "generates a new",
        ),
        ("E004", {"ALGORITHM": "ES256", "SIGNING_KEY": pem("p-384.pkcs8")}, "ES256 cannot use a key on", "Change ALG"),
        ("E004", {"ALGORITHM": "EdDSA", "SIGNING_KEY": pem("ed25519.spki")}, "a public key cannot sign", "the private"),
        ("E004", {"ALGORITHM": "RS256", "SIGNING_KEY": pem("rsa-2048.encrypted")}, "PEM is encrypted", "openssl pkey"),
        ("E004", {"SIGNING_KEY": pem("p-256.spki")}, "a PEM is not an HMAC secret", "Set ALGORITHM to that"),
        ("E004", {"SIGNING_KEY": f'{{"keys":[{{"kty":"{"x" * 32}"}}]}}'}, "a JWK Set is not an HMAC secret", "Set ALG"),
        ("E004", {**ES256, "SIGNING_KEY": "/run/secrets/key.pem"}, "no key could be read", "not the path of its file"),
        (
            "E004",
            {**ES256, "SIGNING_KEY": base64.b64encode(pem("p-256.sec1").encode())},
            "not the base64 of a PEM",
            "Convert",
        ),
        ("E004", {**ES256, "SIGNING_KEY": pem("p-256.sec1")[:200]}, "the PEM needs a BEGIN line and", "first dash"),
        ("E004", {**ES256, "SIGNING_KEY": pem("p-256.pkcs8").replace("M", "%4D")}, "complete base64", "Copy it again"),
        ("E004", {**ES256, "SIGNING_KEY": pem("p-256.pkcs8") * 2}, "contains several private keys", "must begin with"),
        ("E004", {**ES256, "VERIFYING_KEYS": [pem("p-256.sec1")]}, "where a public key is required", "-pubout"),
        ("E004", {**ES256, "VERIFYING_KEYS": [jwk(y=None)]}, "the JWK is not a valid key", "RFC 7518"),
        ("E004", {**ES256, "VERIFYING_KEYS": [jwk(use="enc")]}, "use or key_ops does not allow", "Remove use"),
        ("E004", {**ES256, "VERIFYING_KEYS": [jwk(alg="ES384")]}, "the JWK is not for ES256", "(algorithm, key)"),
        ("E004", {**ES256, "VERIFYING_KEYS": [jwk(kid="")]}, "a key id must have 1 to 256 bytes", "leave it out"),
        ("E004", {**ES256, "VERIFYING_KEYS": [("HS1", "x" * 32)]}, "algorithm is not supported", "comes first"),
        (
            "E003",
            {"VERIFYING_KEYS": [jwk_of(b"x"), jwk_of(b"y")]},
            "two different keys have the same id",
            "its own kid",
        ),
        (
            "E003",
            {"SIGNING_KEY": {"kty": object()}},
            "JWTAUTH['SIGNING_KEY'] has a value of the wrong",
            "a JWK as a dict",
        ),
        ("E008", {"ALGORITHM": "none"}, "JWTAUTH['ALGORITHM'] must be one of HS256, HS384, HS512, RS256", "'HS256'"),
        ("E009", {"ACCESS_TOKEN_COOKIE_NAME": "refresh_token"}, "different names", "REFRESH_TOKEN_COOKIE_NAME"),
        ("E009", {"ACCESS_TOKEN_COOKIE_NAME": "a b"}, '"a b" is not a cookie name', "Use letters"),
        ("E009", {"COOKIE_PATH": "/;"}, "Domain or Path contains a character", "Check COOKIE_DOMAIN and COOKIE_PATH"),
        ("E010", {"COOKIE_PARTITIONED": True, "COOKIE_SECURE": False}, "Partitioned needs Secure", "PARTITIONED to F"),
        ("E012", {"USER_ID_FIELD": "nickname"}, "no field 'nickname'", "Name a field of AUTH_USER_MODEL"),
        ("E012", {"USER_ID_FIELD": "groups"}, "no field 'groups'", "Name a field of AUTH_USER_MODEL"),
        ("E015", {"ACCESS_TOKEN_CLAIMS": "tests.nowhere.claims"}, "No module named 'tests.nowhere'", "dotted path"),
        ("E015", {"ACCESS_TOKEN_CLAIMS": "tests.settings.SECRET_KEY"}, "it is not a function", "dotted path"),
        ("E015", {"SECOND_FACTOR": "tests.nowhere.enrolled"}, "No module named 'tests.nowhere'", "takes the user"),
        ("E015", {"ACT_AS": "tests.nowhere.may_act_as"}, "No module named 'tests.nowhere'", "the other user"),
        ("E017", {"RENDER_SERVER_SECRET": "r" * 31}, "secret of 31 characters is too short", "token_urlsafe(32)"),
        ("E017", {"RENDER_SERVER_SECRET": "r " * 32}, "visible ASCII characters without commas", "token_urlsafe(32)"),
        ("W001", {"ACCESS_TOKEN_LIFETIME": 59}, "below 60 seconds", "Use 60 s or more"),
    ],
)
def test_invalid_setting_is_reported_with_its_message_and_hint(id, settings, message, hint):
    messages = found_with(**settings)
    assert list(messages) == [f"jwtauth.{id}"]
    only = messages[f"jwtauth.{id}"]
    assert message in only.msg
    assert hint in only.hint
    assert only.is_serious() is id.startswith("E")


@override_settings(JWTAUTH=[("LEEWAY", 1)])
def test_settings_that_are_not_a_dictionary_are_reported():
    message = found()["jwtauth.E001"]
    assert message.msg == "JWTAUTH is not a dictionary."
    assert message.hint == "Set JWTAUTH to a dict, or remove it."


def test_secret_key_too_short_to_sign_is_reported():
    with override_settings(SECRET_KEY="x" * 31):
        assert "JWTAUTH['SIGNING_KEY']: key of 31 bytes" in found()["jwtauth.E004"].msg


def test_access_lifetime_of_a_minute_is_not_reported():
    assert found_with(ACCESS_TOKEN_LIFETIME=60) == {}


@pytest.mark.parametrize("name", ["pk", "id", "username", None])
def test_user_id_field_that_exists_is_not_reported(name):
    assert found_with(USER_ID_FIELD=name) == {}


# --- middleware


def test_missing_middleware_is_reported():
    with override_settings(MIDDLEWARE=NEEDED):
        messages = found()
    assert list(messages) == ["jwtauth.E002"]
    assert "not in MIDDLEWARE" in messages["jwtauth.E002"].msg
    assert JWTAUTH_MIDDLEWARE in messages["jwtauth.E002"].hint


@pytest.mark.parametrize("index", [2, 3])
def test_middleware_after_django_s_is_not_reported(index):
    with override_settings(MIDDLEWARE=[*NEEDED[:index], JWTAUTH_MIDDLEWARE, *NEEDED[index:]]):
        assert found() == {}


PATHS = [JWTAUTH_MIDDLEWARE, "jwtauth.middleware.AuthenticationMiddleware", f"{__name__}.Subclass"]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("path", PATHS)
def test_middleware_before_django_s_is_reported_with_the_recommended_order(index, path):
    with override_settings(MIDDLEWARE=[*NEEDED[:index], path, *NEEDED[index:], f"{__name__}.Elsewhere"]):
        messages = found()
    assert list(messages) == ["jwtauth.W006"]
    assert "does not see users" in messages["jwtauth.W006"].msg
    assert f"right after '{NEEDED[1]}'" in messages["jwtauth.W006"].hint


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("path", PATHS)
def test_middleware_order_of_0_0_8_is_reported_by_the_deployment_check_only(index, path):
    with override_settings(MIDDLEWARE=[*NEEDED[:index], path, *NEEDED[index:]]):
        assert found() == {}
        messages = found(deploy=True)
    assert "jwtauth.W006" in messages
    assert f"right after '{NEEDED[1]}'" in messages["jwtauth.W006"].hint


@pytest.mark.parametrize(
    "path",
    [
        "django_otp.middleware.OTPMiddleware",
        "hijack.middleware.HijackUserMiddleware",
        "impersonate.middleware.ImpersonateMiddleware",
    ],
)
def test_middleware_after_one_that_decorates_the_user_is_reported(path):
    with override_settings(MIDDLEWARE=[*NEEDED[:2], JWTAUTH_MIDDLEWARE, path]):
        assert found() == {}
    with override_settings(MIDDLEWARE=[*NEEDED[:2], path, JWTAUTH_MIDDLEWARE]):
        messages = found()
    assert list(messages) == ["jwtauth.W006"]
    assert path in messages["jwtauth.W006"].msg


@pytest.mark.parametrize("remote_user", ["RemoteUserMiddleware", "PersistentRemoteUserMiddleware"])
def test_remote_user_middleware_after_jwtauth_s_is_reported_if_another_decorates_the_user(remote_user):
    remote_user, path = f"django.contrib.auth.middleware.{remote_user}", "django_otp.middleware.OTPMiddleware"
    for middleware in ([JWTAUTH_MIDDLEWARE, remote_user], [remote_user, JWTAUTH_MIDDLEWARE, path]):
        with override_settings(MIDDLEWARE=[*NEEDED[:2], *middleware]):
            assert found() == {}
    for middleware in ([JWTAUTH_MIDDLEWARE, remote_user, path], [JWTAUTH_MIDDLEWARE, path, remote_user]):
        with override_settings(MIDDLEWARE=[*NEEDED[:2], *middleware]):
            messages = found()
        assert list(messages) == ["jwtauth.W006"]
        assert path in messages["jwtauth.W006"].msg
        assert remote_user in messages["jwtauth.W006"].hint


def test_alias_of_the_middleware_is_recognised():
    alias = "jwtauth.middleware.AuthenticationMiddleware"
    with override_settings(MIDDLEWARE=[*NEEDED, alias]):
        assert found() == {}
    with override_settings(MIDDLEWARE=[*NEEDED, alias, UPDATE_CACHE]):
        assert list(found()) == ["jwtauth.W004"]


def test_subclass_of_the_middleware_is_recognised():
    with override_settings(MIDDLEWARE=[*NEEDED, f"{__name__}.Subclass"]):
        assert found() == {}
    with override_settings(MIDDLEWARE=[*NEEDED, f"{__name__}.Elsewhere"]):
        assert list(found()) == ["jwtauth.E002"]


def test_middleware_that_cannot_be_imported_is_left_to_django():
    with override_settings(MIDDLEWARE=["no.such.Middleware", *NEEDED, JWTAUTH_MIDDLEWARE, "no.such.other.Middleware"]):
        assert found() == {}


def test_middleware_before_update_cache_middleware_is_reported():
    with override_settings(MIDDLEWARE=[UPDATE_CACHE, *NEEDED, JWTAUTH_MIDDLEWARE]):
        assert found() == {}
    with override_settings(MIDDLEWARE=[*NEEDED, JWTAUTH_MIDDLEWARE, UPDATE_CACHE]):
        messages = found()
    assert list(messages) == ["jwtauth.W004"]
    assert "before UpdateCacheMiddleware" in messages["jwtauth.W004"].msg
    assert f"below '{UPDATE_CACHE}'" in messages["jwtauth.W004"].hint


# --- origins


@pytest.mark.parametrize("entry", ["https:/app.example.com", "https://app.example.com/", "https://app.*.com"])
def test_trusted_origin_that_can_never_match_is_reported(entry):
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://fine.example.com", entry]):
        message = found()["jwtauth.E016"]
    assert repr(entry).strip("'") in message.msg
    assert "no request can come from it" in message.hint


# --- databases


def test_sessions_in_another_database_than_users_are_reported():
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.Elsewhere"]):
        messages = found()
    assert list(messages) == ["jwtauth.E011"]
    assert "different databases" in messages["jwtauth.E011"].msg
    assert "AUTH_USER_MODEL" in messages["jwtauth.E011"].hint


def test_database_without_autocommit_is_reported(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    messages = found()
    assert list(messages) == ["jwtauth.E013"]
    assert "DATABASES['default']['AUTOCOMMIT']" in messages["jwtauth.E013"].msg
    assert "Leave AUTOCOMMIT out" in messages["jwtauth.E013"].hint


# The column types that the migrations create.
TAKEN_FOR_LOCAL = {
    "sqlite": {"datetime": ("datetime", "another")},
    "postgresql": {1184: ("timestamp with time zone", "another")},
    "mysql": {12: ("datetime(6)", "another")},
}


@pytest.mark.django_db
def test_column_of_local_times_is_reported_if_the_database_may_be_queried(monkeypatch):
    # Only the message; tests/databases/test_zones.py tests the types on database servers.
    monkeypatch.setattr(checks, "_LOCAL_TIMES", TAKEN_FOR_LOCAL)
    assert checks.check_columns(databases=None) == checks.check_columns(databases=["other"]) == []
    messages = checks.check_columns(databases=["default"])
    assert {message.id for message in messages} == {"jwtauth.E018"}
    assert sorted(re.search(r"column (\w+)", message.msg)[1] for message in messages) == [
        "acknowledged_at",
        "auth_time",
        "created_at",
        "expires_at",
        "last_seen_at",
        "locks_at",
        "rotated_at",
    ]
    assert all("Change the type to 'another'" in message.hint for message in messages)


@pytest.mark.django_db
def test_database_that_cannot_be_queried_reports_no_columns(monkeypatch):
    def fail(cursor):
        raise OperationalError("gone")

    monkeypatch.setattr(checks, "_LOCAL_TIMES", TAKEN_FOR_LOCAL)
    for table_names in (fail, lambda cursor: []):
        monkeypatch.setattr(connection.introspection, "table_names", table_names)
        assert checks.check_columns(databases=["default"]) == []


def test_columns_are_queried_only_in_databases_named_in_the_check(monkeypatch):
    # Since Django 6.1, every check receives all databases.
    monkeypatch.setattr(checks, "_LOCAL_TIMES", TAKEN_FOR_LOCAL)
    monkeypatch.setattr(connection, "cursor", lambda: pytest.fail("opened"))
    assert "jwtauth.E018" not in {message.id for message in run_checks()}
    with pytest.raises(pytest.fail.Exception, match="opened"):
        run_checks(databases=["default"])


def test_database_without_types_of_local_times_is_not_opened(monkeypatch):
    # In SQLite, opening the database would create the file.
    monkeypatch.setattr(checks, "_LOCAL_TIMES", {})
    monkeypatch.setattr(connection, "cursor", lambda: pytest.fail("opened"))
    assert checks.check_columns(databases=["default"]) == []


@pytest.mark.parametrize("name", ["LOGIN_SERIALIZER", "USER_SERIALIZER"])
def test_serializer_that_cannot_be_imported_is_reported(name):
    message = found_with(**{name: "tests.serializers.Missing"})["jwtauth.E014"]
    assert name in message.msg
    assert "dotted path" in message.hint


# --- pages reached from another site


def found_in_names(*, apps=(), middleware=(), backends=(), **jwtauth):
    """Return the messages of settings with these names added, none of which is imported."""
    added = {"INSTALLED_APPS": apps, "MIDDLEWARE": middleware, "AUTHENTICATION_BACKENDS": backends}
    with override_settings(JWTAUTH=jwtauth):
        wrapped = {name: [*getattr(settings, name), *names] for name, names in added.items()}
        with patch.multiple(settings, **wrapped):
            return checks.check_same_site()


PROVIDERS = [
    {"apps": ["allauth", "allauth.account", "allauth.socialaccount"]},
    {"apps": ["allauth.socialaccount.apps.SocialAccountConfig"]},
    {"apps": ["social_django"]},
    {"apps": ["mozilla_django_oidc"]},
    {"apps": ["djangosaml2"]},
    {"apps": ["django_saml2_auth"]},
    {"apps": ["oauth2_provider"]},
    {"apps": ["django_google_sso"]},
    {"middleware": ["django.contrib.auth.middleware.LoginRequiredMiddleware"]},
    {"middleware": ["site.middleware.LoginRequiredMiddleware"]},
    {"middleware": ["mozilla_django_oidc.middleware.SessionRefresh"]},
    {"backends": ["social_core.backends.google.GoogleOAuth2"]},
    {"backends": ["sesame.backends.ModelBackend"]},
]


@pytest.mark.parametrize("names", PROVIDERS, ids=str)
def test_strict_cookies_with_a_login_provider_are_reported(names):
    [message] = found_in_names(**names)
    assert message.id == "jwtauth.W005"
    assert not message.is_serious()
    assert f"'{next(iter(names.values()))[0]}'" in message.msg
    assert "'Lax'" in message.hint
    assert "jwtauth.landing" in message.hint


@pytest.mark.parametrize("same_site", ["Lax", "None"])
@pytest.mark.parametrize("names", PROVIDERS[:1] + PROVIDERS[8:9], ids=str)
def test_other_samesite_values_with_a_login_provider_are_not_reported(names, same_site):
    assert found_in_names(**names, COOKIE_SAMESITE=same_site) == []


@pytest.mark.parametrize(
    "names",
    [
        {"apps": ["dj_rest_auth", "lessons", "image_processors", "site.social", "django.contrib.sites"]},
        {"middleware": ["django.contrib.auth.middleware.AuthenticationMiddleware"]},
        {"backends": ["django.contrib.auth.backends.RemoteUserBackend"]},
    ],
    ids=str,
)
def test_strict_cookies_with_other_packages_are_not_reported(names):
    assert found_in_names(**names) == []


def test_strict_cookies_check_can_be_silenced():
    middleware = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=middleware):
        assert list(found()) == ["jwtauth.W005"]
        with override_settings(SILENCED_SYSTEM_CHECKS=["jwtauth.W005"]):
            call_command("check", tags=[Tags.security], fail_level="WARNING")


# --- deployment


def test_insecure_cookies_are_reported_by_the_deployment_check_only():
    assert found_with(COOKIE_SECURE=False) == {}
    message = found_with(deploy=True, COOKIE_SECURE=False)["jwtauth.W002"]
    assert "plain HTTP" in message.msg
    assert "Leave COOKIE_SECURE out" in message.hint


def test_hint_for_cookies_that_debug_makes_insecure_names_debug():
    with override_settings(DEBUG=True):
        message = found_with(deploy=True)["jwtauth.W002"]
        assert "Set DEBUG to False" in message.hint
        assert "Leave" not in message.hint
        message = found_with(deploy=True, COOKIE_SECURE=False)["jwtauth.W002"]
        assert "Leave COOKIE_SECURE out" in message.hint
        assert "jwtauth.W002" not in found_with(deploy=True, COOKIE_SECURE=True)


@pytest.mark.parametrize("scope", [{"COOKIE_DOMAIN": "example.com"}, {"COOKIE_PATH": "/api"}])
def test_following_the_hint_for_cookie_prefixes_passes_the_checks(scope):
    names = {"ACCESS_TOKEN_COOKIE_NAME": "__Host-access_token", "REFRESH_TOKEN_COOKIE_NAME": "__Host-refresh_token"}
    hint = found_with(deploy=True, **scope)["jwtauth.W003"].hint
    assert "Leave COOKIE_DOMAIN and COOKIE_PATH out" in hint
    assert "jwtauth.E006" in found_with(**scope, **names)
    assert found_with(deploy=True, **names) == {}
    assert "COOKIE_DOMAIN" not in found_with(deploy=True)["jwtauth.W003"].hint


@pytest.mark.parametrize(
    ("algorithm", "length", "other"),
    [
        ("HS256", 31, None),
        ("HS384", 31, None),
        ("HS384", 47, "HS256"),
        ("HS512", 31, None),
        ("HS512", 47, "HS256"),
        ("HS512", 63, "HS384"),
    ],
)
def test_hint_for_a_short_key_names_an_algorithm_that_accepts_it(algorithm, length, other):
    key = "x" * length
    hint = found_with(ALGORITHM=algorithm, SIGNING_KEY=key)["jwtauth.E004"].hint
    assert re.findall(r"HS\d+", hint) == ([] if other is None else [other])
    assert "longer random value" in hint
    if other is not None:
        assert found_with(ALGORITHM=other, SIGNING_KEY=key) == {}


# --- a new issuer or audience

OLDER_KEY = {"VERIFYING_KEYS": ["k" * 64]}


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE"])
def test_issuer_set_with_older_keys_is_reported_unless_fallbacks_are_set(name):
    message = found_with(**{name: "new"}, **OLDER_KEY)["jwtauth.W008"]
    assert f"JWTAUTH['{name}'] is set and older keys are accepted" in message.msg
    assert f"list its former value in {name}_FALLBACKS" in message.hint
    for fallbacks in ([], [None], ["old"]):
        assert found_with(**{name: "new", f"{name}_FALLBACKS": fallbacks}, **OLDER_KEY) == {}
    with override_settings(SECRET_KEY_FALLBACKS=["k" * 64]):
        assert "jwtauth.W008" in found_with(**{name: "new"})
    assert found_with(**OLDER_KEY) == found_with(**{name: "new"}) == {}


def found_at_a_database(databases=("default",), **settings):
    with override_settings(JWTAUTH=settings):
        messages = run_checks(tags=["jwtauth"], include_deployment_checks=True, databases=[*databases])
    return {message.id: message.msg for message in messages}


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE"])
def test_issuer_set_with_valid_sessions_is_reported_unless_fallbacks_are_set(name, signed_in, clock):
    assert f"JWTAUTH['{name}'] is set and sessions are live" in found_at_a_database(**{name: "new"})["jwtauth.W008"]
    assert "jwtauth.W008" not in found_at_a_database(**{name: "new", f"{name}_FALLBACKS": [None]})
    assert "jwtauth.W008" not in found_at_a_database()
    assert "jwtauth.W008" not in found_at_a_database(databases=(), **{name: "new"})
    clock.advance(86_400)
    assert "jwtauth.W008" not in found_at_a_database(**{name: "new"})


def test_issuer_is_not_reported_if_the_sessions_table_is_missing(monkeypatch, db):
    monkeypatch.setattr(connection.introspection, "table_names", lambda *args, **kwargs: [])
    assert "jwtauth.W008" not in found_at_a_database(ISSUER="new")


def test_cookie_names_without_a_prefix_are_reported_by_the_deployment_check_only():
    assert found() == {}
    assert list(found(deploy=True)) == ["jwtauth.W003"]
    message = found_with(deploy=True, ACCESS_TOKEN_COOKIE_NAME="__Host-access_token")["jwtauth.W003"]
    assert "__Host-" in message.msg
    assert "__Host-refresh_token" in message.hint


# --- as a command


def test_check_command_passes_on_the_default_project(capsys):
    call_command("check", tags=[Tags.security], fail_level="WARNING")
    assert "no issues" in capsys.readouterr().out


@override_settings(JWTAUTH={"ALGORITHM": "none"})
def test_check_command_fails_on_an_invalid_setting():
    with pytest.raises(SystemCheckError, match=r"jwtauth\.E008"):
        call_command("check")


def test_check_ids_have_no_gaps_and_belong_to_one_module_each():
    homes = {}
    for path in Path(jwtauth.__file__).parent.rglob("*.py"):
        for id in re.findall(r'"jwtauth\.([EW]\d+)"', path.read_text()):
            homes.setdefault(id, set()).add({"engine_config.py": "conf.py"}.get(path.name, path.name))
    expected = {f"E{n:03}" for n in range(1, 22)} | {f"W{n:03}" for n in range(1, 12)}
    assert set(homes) == expected
    assert all(len(modules) == 1 for modules in homes.values())


@pytest.mark.parametrize("name", ["SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT"])
def test_unset_num_proxies_is_reported_by_the_deployment_check_only(settings, name):
    setattr(settings, name, ("HTTP_X_FORWARDED_PROTO", "https") if name.endswith("HEADER") else True)
    assert "jwtauth.W007" not in found()
    message = found(deploy=True)["jwtauth.W007"]
    assert "NUM_PROXIES is not set" in message.msg
    assert "JWTAUTH['NUM_PROXIES']" in message.hint


@pytest.mark.parametrize(("own", "of_drf"), [(0, None), (2, None), (None, 0), (None, 1)])
def test_num_proxies_in_either_setting_is_not_reported(settings, own, of_drf):
    settings.USE_X_FORWARDED_HOST = True
    settings.JWTAUTH = {} if own is None else {"NUM_PROXIES": own}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": of_drf}
    assert "jwtauth.W007" not in found(deploy=True)


# --- logins of other packages


def accepting(**entry):
    until = (datetime.now(timezone.utc) + timedelta(days=30)).isoformat()
    return {"ACCEPT_LOGINS_OF": [{"source": "tests.test_checks.OtherLogins", "until": until, **entry}]}


class OtherLogins(OldLogins):
    """Read the logins of a package that is installed."""

    package = "django"

    def shown(self, request):
        return []

    def verify(self, request, shown):
        return None


class MissingLogins(OtherLogins):
    """Read the logins of a package that is not installed."""

    package = "no_such_package"


def test_accepted_logins_of_an_installed_package_have_no_messages():
    assert found_with(**accepting()) == {}


@pytest.mark.parametrize("source", ["simple_jwt", "no.such.Logins", "tests.test_checks.MissingLogins"])
def test_source_that_cannot_be_used_is_an_error(source):
    message = found_with(**accepting(source=source))["jwtauth.E019"]
    assert repr(source) in message.msg
    assert "simplejwt" in message.hint


def test_logins_that_are_accepted_after_they_are_refused_are_an_error():
    message = found_with(**accepting(since="2999-01-01"))["jwtauth.E019"]
    assert "is after 'until'" in message.msg


@pytest.mark.parametrize(("days", "words"), [(13, "will be refused from"), (-1, "have been refused since")])
def test_the_end_of_old_logins_is_warned_of_before_and_after(days, words):
    until = datetime.now(timezone.utc) + timedelta(days=days)
    message = found_with(**accepting(until=until))["jwtauth.W009"]
    assert f"{words} {until:%Y-%m-%d %H:%M} UTC" in message.msg
    assert "jwtauth_moved" in message.hint


@pytest.mark.parametrize(
    ("settings", "id"),
    [
        ({"DEVICE_BOUND_SESSIONS": "offer", "COOKIE_PARTITIONED": True}, "jwtauth.E020"),
        ({"DEVICE_BOUND_SESSIONS": "require", "COOKIE_SECURE": False}, "jwtauth.E020"),
        ({"DEVICE_BOUND_SESSIONS": "offer", "ACCESS_TOKEN_LIFETIME": 239}, "jwtauth.W011"),
        ({"DEVICE_BOUND_SESSIONS": "require", "POLICY": "PCI"}, "jwtauth.W011"),
        ({"DEVICE_BOUND_SESSIONS": True}, "jwtauth.E003"),
    ],
)
def test_settings_with_which_browsers_bind_no_session_are_reported(settings, id):
    assert id in found_with(**settings)


@pytest.mark.parametrize("mode", ["off", "offer", "require"])
def test_binding_is_fine_with_the_defaults(mode):
    assert not {"jwtauth.E020", "jwtauth.W011"} & set(found_with(DEVICE_BOUND_SESSIONS=mode, COOKIE_SECURE=True))


@pytest.mark.parametrize(
    ("urls", "is_reported"), [("tests.urls", False), ("tests.test_binding", False), ("jwtauth.urls", True)]
)
def test_sessions_that_must_be_bound_need_the_views(settings, urls, is_reported):
    settings.ROOT_URLCONF = urls
    assert ("jwtauth.E021" in found_with(DEVICE_BOUND_SESSIONS="require", COOKIE_SECURE=True)) is is_reported
    assert "jwtauth.E021" not in found_with(DEVICE_BOUND_SESSIONS="offer")
