"""The ``JWTAUTH`` settings: defaults, types, read at use, and what is refused."""

from datetime import date, datetime, timedelta
from types import MappingProxyType

import jwt
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from jwtauth import _engine, conf, login
from jwtauth.checks import check_settings
from jwtauth.exceptions import TokenError
from jwtauth.internal.settings_parsers import MAX_SECONDS
from jwtauth.middleware import JWTAuthMiddleware
from tests.waiting import PATIENCE

DAY = 86_400
NOW = 1_800_000_000
SECRET = "the words of this key must not appear in any message, whatever is wrong 1"
OTHER = "the words of this key must not appear in any message, whatever is wrong 2"

DEFAULTS = {
    "POLICY": None,
    "ACCESS_TOKEN_LIFETIME": 300,
    "REFRESH_TOKEN_LIFETIME": DAY,
    "SESSION_LIFETIME": 30 * DAY,
    "LOCK_AFTER": None,
    "SENSITIVE_MAX_AGE": None,
    "ACCESS_TOKEN_COOKIE_NAME": "access_token",
    "REFRESH_TOKEN_COOKIE_NAME": "refresh_token",
    "COOKIE_SECURE": True,
    "COOKIE_SAMESITE": "Strict",
    "COOKIE_DOMAIN": None,
    "COOKIE_PATH": "/",
    "COOKIE_PARTITIONED": False,
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET.encode(),
    "VERIFYING_KEYS": [OTHER.encode()],
    "ISSUER": None,
    "ISSUER_FALLBACKS": [],
    "AUDIENCE": [],
    "AUDIENCE_FALLBACKS": [],
    "LEEWAY": 0,
    "ACCESS_TOKEN_CLAIMS": None,
    "USER_ID_FIELD": None,
    "USER_ID_CLAIM": "sub",
    "SESSION_CHECK_INTERVAL": 0,
    "REFRESH_TOKEN_GRACE_PERIOD": 30,
    "REUSE_ENDS_ALL_SESSIONS": False,
    "BEARER_TOKENS": True,
    "RENDER_SERVER_SECRET": [],
    "MAX_SESSIONS_PER_USER": None,
    "MAX_SESSIONS_POLICY": "end_oldest",
    "SECOND_FACTOR": None,
    "ACT_AS": None,
    "ACT_AS_LIFETIME": 3600,
    "NUM_PROXIES": 0,
    "DEVICE_BOUND_SESSIONS": "off",
    "RECORD_IP_ADDRESS": "full",
    "RECORD_USER_AGENT": "full",
    "ACCEPT_LOGINS_OF": [],
    "LOGIN_SERIALIZER": "jwtauth.serializers.LoginSerializer",
    "USER_SERIALIZER": "jwtauth.serializers.UserSerializer",
}


def using(**settings):
    """Override ``JWTAUTH`` with these settings."""
    return override_settings(JWTAUTH=settings)


def value(name, given):
    with using(**{name: given}):
        assert conf.problems() == []
        return conf.values()[name]


def issue(kind=_engine.TokenKind.ACCESS, subject="7", expires_at=NOW + 300):
    """Return a token issued with the current settings."""
    claims = _engine.Claims(
        subject=subject, sid=_engine.Sid.generate(NOW), generation=1, issued_at=NOW, expires_at=expires_at
    )
    return conf.get_config().tokens.issue(kind, claims)


def verify(token, now=NOW):
    return conf.get_config().tokens.verify(_engine.TokenKind.ACCESS, token, now)


def code_of_refusal(token, now=NOW):
    with pytest.raises(TokenError) as refusal:
        verify(token, now)
    return refusal.value.code


# --- defaults


@pytest.mark.parametrize("name", conf.SETTINGS)
@override_settings(JWTAUTH={}, SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=[OTHER], DEBUG=False)
def test_default_value_of_each_setting(name):
    assert conf.values()[name] == DEFAULTS[name]


@override_settings(JWTAUTH=None)
def test_missing_settings_use_the_defaults():
    assert conf.problems() == []
    assert conf.values()["ACCESS_TOKEN_LIFETIME"] == 300


def test_cookies_are_secure_unless_in_debug():
    for debug in (True, False):
        with override_settings(DEBUG=debug, JWTAUTH={}):
            assert conf.get_config().cookie_secure is not debug


def test_session_lifetime_is_at_least_the_refresh_token_s():
    assert conf.values()["SESSION_LIFETIME"] == 30 * DAY
    with using(REFRESH_TOKEN_LIFETIME=timedelta(days=29)):
        assert conf.values()["SESSION_LIFETIME"] == 30 * DAY
    with using(REFRESH_TOKEN_LIFETIME=timedelta(days=90)):
        assert conf.values()["SESSION_LIFETIME"] == 90 * DAY
        conf.get_config()


def test_fallback_secret_keys_verify_only_if_secret_key_signs():
    with override_settings(SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=[OTHER]):
        assert conf.values()["VERIFYING_KEYS"] == [OTHER.encode()]
        with using(SIGNING_KEY=SECRET):
            assert conf.values()["VERIFYING_KEYS"] == [OTHER.encode()]
        with using(SIGNING_KEY="x" * 64):
            assert conf.values()["VERIFYING_KEYS"] == []


def test_token_of_a_rotated_secret_key_is_accepted():
    with override_settings(SECRET_KEY=OTHER):
        token = issue()
    with override_settings(SECRET_KEY=SECRET):
        assert code_of_refusal(token) == "token_bad_signature"
        with override_settings(SECRET_KEY_FALLBACKS=[OTHER]):
            assert verify(token).subject == "7"
            with using(VERIFYING_KEYS=[]):
                assert code_of_refusal(token) == "token_bad_signature"


def test_fallback_secret_key_too_short_to_sign_is_skipped():
    with override_settings(SECRET_KEY_FALLBACKS=["short"]):
        assert conf.problems() == []
        conf.get_config()


# --- types


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("ACCESS_TOKEN_LIFETIME", timedelta(minutes=2), 120),
        ("ACCESS_TOKEN_LIFETIME", 120, 120),
        ("ACCESS_TOKEN_LIFETIME", 120.9, 120),
        ("REFRESH_TOKEN_LIFETIME", timedelta(days=2), 2 * DAY),
        ("REFRESH_TOKEN_LIFETIME", 2 * DAY, 2 * DAY),
        ("SESSION_LIFETIME", timedelta(days=2), 2 * DAY),
        ("SESSION_LIFETIME", 2 * DAY, 2 * DAY),
        ("SESSION_LIFETIME", None, None),
        ("LEEWAY", timedelta(seconds=5), 5),
        ("LEEWAY", 5, 5),
        ("REFRESH_TOKEN_GRACE_PERIOD", timedelta(0), 0),
        ("REFRESH_TOKEN_GRACE_PERIOD", 10, 10),
        ("SESSION_CHECK_INTERVAL", timedelta(milliseconds=250), 250),
        ("SESSION_CHECK_INTERVAL", 0.25, 250),
        ("SESSION_CHECK_INTERVAL", None, None),
        ("SIGNING_KEY", "é" * 32, ("é" * 32).encode()),
        ("SIGNING_KEY", b"\xff" * 32, b"\xff" * 32),
        ("SIGNING_KEY", {"kty": "oct", "k": "A" * 43}, b'{"kty": "oct", "k": "' + b"A" * 43 + b'"}'),
        ("VERIFYING_KEYS", [("HS512", "x" * 64), "y" * 32], [("HS512", b"x" * 64), b"y" * 32]),
        ("ACCESS_TOKEN_CLAIMS", "tests.claims.plan", "tests.claims.plan"),
        ("ACCESS_TOKEN_CLAIMS", issue, issue),
        ("ACCESS_TOKEN_CLAIMS", None, None),
        ("SECOND_FACTOR", "tests.factors.enrolled", "tests.factors.enrolled"),
        ("VERIFYING_KEYS", ("x" * 32, b"y" * 32), [b"x" * 32, b"y" * 32]),
        ("AUDIENCE", "shop", ["shop"]),
        ("AUDIENCE", ("shop", "mail"), ["shop", "mail"]),
        ("AUDIENCE", None, []),
        ("RENDER_SERVER_SECRET", "r" * 32, ["r" * 32]),
        ("RENDER_SERVER_SECRET", ["r" * 32, "s" * 32], ["r" * 32, "s" * 32]),
        ("RENDER_SERVER_SECRET", None, []),
        ("ACCEPT_LOGINS_OF", [{"source": "knox", "until": "2027-03-01"}], [("knox", 0, 1_803_859_200)]),
        ("ACCEPT_LOGINS_OF", ({"source": "a.B", "until": date(2027, 3, 1)},), [("a.B", 0, 1_803_859_200)]),
        (
            "ACCEPT_LOGINS_OF",
            [{"source": "knox", "since": "2027-03-01T00:00:00+01:00", "until": datetime(2027, 3, 1, 0, 0, 1)}],
            [("knox", 1_803_855_600, 1_803_859_201)],
        ),
        ("RECORD_IP_ADDRESS", "truncated", "truncated"),
        ("RECORD_USER_AGENT", "off", "off"),
        ("COOKIE_SAMESITE", "lax", "Lax"),
        ("COOKIE_DOMAIN", "example.org", "example.org"),
        ("USER_ID_FIELD", "username", "username"),
    ],
)
def test_setting_accepts_each_form_of_its_value(name, given, expected):
    assert value(name, given) == expected


def test_jwtauth_setting_may_be_any_mapping():
    with override_settings(JWTAUTH=MappingProxyType({"LEEWAY": 3})):
        assert conf.values()["LEEWAY"] == 3


# --- read at use


def test_settings_are_read_at_use():
    with using(ACCESS_TOKEN_COOKIE_NAME="one"):
        assert conf.get_config().access_cookie_name == "one"
        with using(ACCESS_TOKEN_COOKIE_NAME="two"):
            assert conf.get_config().access_cookie_name == "two"
        assert conf.get_config().access_cookie_name == "one"
    assert conf.get_config().access_cookie_name == "access_token"


def test_setting_changed_in_place_takes_effect():
    with override_settings(JWTAUTH={"COOKIE_PATH": "/one"}):
        from django.conf import settings

        assert conf.get_config().cookie_path == "/one"
        settings.JWTAUTH["COOKIE_PATH"] = "/two"
        assert conf.get_config().cookie_path == "/two"
        del settings.JWTAUTH["COOKIE_PATH"]
        assert conf.get_config().cookie_path == "/"


def test_key_removed_from_a_list_in_place_no_longer_verifies():
    keys = [OTHER]
    with using(SIGNING_KEY=OTHER):
        token = issue()
    with using(SIGNING_KEY=SECRET, VERIFYING_KEYS=keys):
        assert verify(token).subject == "7"
        keys.clear()
        assert code_of_refusal(token) == "token_bad_signature"


@pytest.mark.parametrize("other", [{"DEBUG": True}, {"SECRET_KEY": SECRET}, {"CSRF_TRUSTED_ORIGINS": ["https://a.b"]}])
def test_django_s_own_settings_are_read_at_use(other):
    before = conf.get_config()
    with override_settings(**other):
        assert conf.get_config() is not before


def test_unchanged_settings_are_not_parsed_again():
    assert conf.get_config() is conf.get_config()


# --- what is refused

BAD = {
    "no dictionary": ["ACCESS_TOKEN_LIFETIME"],
    "unknown key": {"ACCESS_TOKEN_LIFETIM": 1},
    "unknown key that is not text": {3: 1},
    "duration of text": {"ACCESS_TOKEN_LIFETIME": "300"},
    "duration of True": {"REFRESH_TOKEN_GRACE_PERIOD": True},
    "duration that is not a number": {"REFRESH_TOKEN_LIFETIME": float("nan")},
    "duration without end": {"REFRESH_TOKEN_LIFETIME": float("inf")},
    "duration past the calendar": {"REFRESH_TOKEN_LIFETIME": timedelta.max},
    "duration in seconds past the calendar": {"SESSION_LIFETIME": 10**12 - 1},
    "negative leeway": {"LEEWAY": -1},
    "negative grace": {"REFRESH_TOKEN_GRACE_PERIOD": -1},
    "negative interval": {"SESSION_CHECK_INTERVAL": -1},
    "lifetime None": {"ACCESS_TOKEN_LIFETIME": None},
    "flag of text": {"COOKIE_SECURE": "no"},
    "partitioned of text": {"COOKIE_PARTITIONED": "no"},
    "same site": {"COOKIE_SAMESITE": "Sometimes"},
    "same site False": {"COOKIE_SAMESITE": False},
    "path None": {"COOKIE_PATH": None},
    "domain": {"COOKIE_DOMAIN": 3},
    "name of bytes": {"ACCESS_TOKEN_COOKIE_NAME": b"access"},
    "address half": {"RECORD_IP_ADDRESS": "half"},
    "address False": {"RECORD_IP_ADDRESS": False},
    "user agent None": {"RECORD_USER_AGENT": None},
    "user agent of a list": {"RECORD_USER_AGENT": ["off"]},
    "audience": {"AUDIENCE": [1]},
    "issuer": {"ISSUER": 1},
    "empty issuer": {"ISSUER": ""},
    "empty audience": {"AUDIENCE": ["shop", ""]},
    "empty issuer among the fallbacks": {"ISSUER_FALLBACKS": [None, ""]},
    "the text none among the fallbacks": {"ISSUER_FALLBACKS": ["none"]},
    "empty audience among the fallbacks": {"AUDIENCE_FALLBACKS": [""]},
    "issuer that is not Unicode": {"ISSUER": "\ud800"},
    "key that is not Unicode": {"SIGNING_KEY": SECRET + "\ud800"},
    "key of a number": {"SIGNING_KEY": 10**40},
    "key None": {"SIGNING_KEY": None},
    "logins of a name": {"ACCEPT_LOGINS_OF": ["knox"]},
    "logins without an end": {"ACCEPT_LOGINS_OF": [{"source": "knox"}]},
    "logins until a word": {"ACCEPT_LOGINS_OF": [{"source": "knox", "until": "spring"}]},
    "logins until a number": {"ACCEPT_LOGINS_OF": [{"source": "knox", "until": 2027}]},
    "logins with another key": {"ACCEPT_LOGINS_OF": [{"source": "knox", "until": "2027-03-01", "from": "2027-01-01"}]},
    "claims of a class": {"ACCESS_TOKEN_CLAIMS": dict},
    "claims of a number": {"ACCESS_TOKEN_CLAIMS": 1},
    "pair of three": {"VERIFYING_KEYS": [("HS256", SECRET, SECRET)]},
    "keys as one string": {"VERIFYING_KEYS": SECRET},
    "short key": {"SIGNING_KEY": SECRET[:31]},
    "short verifying key": {"VERIFYING_KEYS": [SECRET, SECRET[:31]]},
    "key short for the hash": {"SIGNING_KEY": SECRET[:63], "ALGORITHM": "HS512"},
    "too many keys": {"VERIFYING_KEYS": [f"{SECRET} {n}" for n in range(16)]},
    "algorithm none": {"ALGORITHM": "none"},
    "algorithm": {"ALGORITHM": "HS257"},
    "reserved claim": {"USER_ID_CLAIM": "exp"},
    "claim without a name": {"USER_ID_CLAIM": ""},
    "field that the user model does not have": {"USER_ID_FIELD": "nickname"},
    "render secret of bytes": {"RENDER_SERVER_SECRET": b"r" * 32},
    "short render secret": {"RENDER_SERVER_SECRET": ["r" * 32, "r" * 31]},
    "render secret that a header cannot contain": {"RENDER_SERVER_SECRET": SECRET},
    "zero lifetime": {"ACCESS_TOKEN_LIFETIME": 0},
    "less than a second": {"ACCESS_TOKEN_LIFETIME": 0.5},
    "negative lifetime": {"ACCESS_TOKEN_LIFETIME": timedelta(seconds=-1)},
    "access over refresh": {"ACCESS_TOKEN_LIFETIME": timedelta(days=2)},
    "refresh over session": {"SESSION_LIFETIME": timedelta(hours=1)},
    "one name twice": {"ACCESS_TOKEN_COOKIE_NAME": "refresh_token"},
    "cookie name": {"ACCESS_TOKEN_COOKIE_NAME": "access token"},
    "empty cookie name": {"ACCESS_TOKEN_COOKIE_NAME": ""},
    "cookie name of an attribute": {"REFRESH_TOKEN_COOKIE_NAME": "Path"},
    "cookie path": {"COOKIE_PATH": "/; Secure"},
    "cookie domain": {"COOKIE_DOMAIN": "example.org\r\n"},
    "SameSite=None": {"COOKIE_SAMESITE": "None", "COOKIE_SECURE": False},
    "__Host- with a domain": {"ACCESS_TOKEN_COOKIE_NAME": "__Host-a", "COOKIE_DOMAIN": "example.org"},
    "__Secure- without Secure": {"ACCESS_TOKEN_COOKIE_NAME": "__Secure-a", "COOKIE_SECURE": False},
    "Partitioned without Secure": {"COOKIE_PARTITIONED": True, "COOKIE_SECURE": False},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_invalid_setting_raises_the_message_of_its_check(bad):
    with override_settings(JWTAUTH=bad):
        message, *_ = check_settings()
        with pytest.raises(ImproperlyConfigured) as error:
            conf.get_config()
    assert str(error.value) == f"{message.msg} ({message.id}) {message.hint}"
    assert message.msg.startswith("JWTAUTH")
    assert message.hint.endswith((".", "?"))


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_messages_of_invalid_settings_show_no_key(bad):
    signing = {} if not isinstance(bad, dict) or "SIGNING_KEY" in bad else {"SIGNING_KEY": SECRET}
    with override_settings(JWTAUTH=bad if isinstance(bad, list) else {**signing, **bad}):
        shown = repr(conf.problems()) + "".join(map(str, conf.problems()))
    assert shown
    assert "words of this key" not in shown
    assert "ud800" not in shown
    assert str(10**40) not in shown


def test_corrected_settings_are_used():
    with using(LEEWAY=-1), pytest.raises(ImproperlyConfigured):
        conf.get_config()
    with using(LEEWAY=1):
        conf.get_config()


def test_all_invalid_settings_are_reported_together():
    with using(LEEWAY="x", NAME=1, ALGORITHM="RS1", ACCESS_TOKEN_LIFETIME=0, COOKIE_PATH=";"):
        found = {problem.id for problem in conf.problems()}
    assert found == {"jwtauth.E001", "jwtauth.E003", "jwtauth.E007", "jwtauth.E008", "jwtauth.E009"}


@override_settings(SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=[OTHER])
def test_repr_of_the_configuration_shows_no_key():
    config = conf.get_config()
    for thing in (config, config.tokens, config.policy, config.site, config.verified, conf._state()):
        for text in (repr(thing), str(thing)):
            assert "words of this key" not in text


# --- the content of tokens


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_tokens_are_signed_with_the_algorithm_of_the_settings(algorithm):
    with using(ALGORITHM=algorithm, SIGNING_KEY=SECRET):
        token = issue()
        assert verify(token).subject == "7"
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "at+jwt"}
    options = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, SECRET, [algorithm], options=options)["sub"] == "7"


def test_a_token_of_another_algorithm_is_refused():
    with using(ALGORITHM="HS384", SIGNING_KEY=SECRET):
        token = issue()
    with using(ALGORITHM="HS512", SIGNING_KEY=SECRET):
        assert code_of_refusal(token) == "token_algorithm"


def payload(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_tokens_have_only_the_required_claims_by_default():
    assert set(payload(issue())) == {"sub", "sid", "gen", "iat", "exp"}


def test_issuer_is_added_to_tokens_and_required():
    bare = issue()
    with using(ISSUER="https://example.org"):
        token = issue()
        assert payload(token)["iss"] == "https://example.org"
        assert verify(token).subject == "7"
        assert code_of_refusal(bare) == "token_wrong_issuer"
    with using(ISSUER="https://example.com"):
        assert code_of_refusal(token) == "token_wrong_issuer"


def test_audience_is_added_to_tokens_and_one_entry_is_required():
    bare = issue()
    with using(AUDIENCE=["shop", "mail"]):
        token = issue()
    assert payload(token)["aud"] == ["shop", "mail"]
    with using(AUDIENCE="mail"):
        assert verify(token).subject == "7"
        assert code_of_refusal(bare) == "token_wrong_audience"
    with using(AUDIENCE="news"):
        assert code_of_refusal(token) == "token_wrong_audience"


OLD, NEW = "https://old.example", "https://new.example"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"ISSUER": NEW, "ISSUER_FALLBACKS": [None]}, id="new issuer"),
        pytest.param({"ISSUER": OLD}, {"ISSUER": NEW, "ISSUER_FALLBACKS": [OLD]}, id="changed issuer"),
        pytest.param({}, {"AUDIENCE": NEW, "AUDIENCE_FALLBACKS": [None]}, id="new audience"),
        pytest.param({"AUDIENCE": OLD}, {"AUDIENCE": NEW, "AUDIENCE_FALLBACKS": [OLD]}, id="changed audience"),
        pytest.param({"AUDIENCE": [OLD, "x"]}, {"AUDIENCE_FALLBACKS": [OLD]}, id="removed audience"),
    ],
)
def test_tokens_of_fallback_issuers_and_audiences_are_accepted(before, after):
    with using(**before):
        old = issue()
    with using(**after):
        assert verify(old).subject == "7"
        new = issue()
    with using(**{name: value for name, value in after.items() if not name.endswith("_FALLBACKS")}):
        assert verify(new).subject == "7"  # tokens contain the new names only
        assert code_of_refusal(old) in {"token_wrong_issuer", "token_wrong_audience"}


def test_tokens_with_an_issuer_are_accepted_after_issuer_is_unset():
    with using(ISSUER=OLD):
        old = issue()
    with using():
        assert verify(old).subject == "7"


def test_leeway_extends_the_expiry():
    token = issue(expires_at=NOW + 300)
    assert code_of_refusal(token, NOW + 300) == "token_expired"
    with using(LEEWAY=timedelta(seconds=10)):
        assert verify(token, NOW + 309).subject == "7"
        assert code_of_refusal(token, NOW + 310) == "token_expired"


def test_user_id_claim_names_the_claim_of_the_user():
    bare = issue()
    with using(USER_ID_CLAIM="user_id"):
        token = issue()
        assert payload(token)["user_id"] == "7"
        assert "sub" not in payload(token)
        assert verify(token).subject == "7"
        assert code_of_refusal(bare) == "token_missing_claim"


@pytest.mark.django_db
@pytest.mark.parametrize(("field", "attribute"), [(None, "pk"), ("pk", "pk"), ("username", "username")])
def test_user_id_field_provides_the_subject(field, attribute):
    user = User.objects.create_user("ada")

    def view(request):
        login(request, user)
        return HttpResponse()

    with using(USER_ID_FIELD=field):
        response = JWTAuthMiddleware(view)(RequestFactory().post("/"))
    assert payload(response.cookies["access_token"].value)["sub"] == str(getattr(user, attribute))


@pytest.mark.django_db
def test_longest_lifetime_does_not_overflow_the_calendar():
    user = User.objects.create_user("ada")

    def view(request):
        login(request, user)
        return HttpResponse()

    with using(REFRESH_TOKEN_LIFETIME=MAX_SECONDS):
        response = JWTAuthMiddleware(view)(RequestFactory().post("/"))
    # Some seconds may pass between the login and the response.
    assert MAX_SECONDS - PATIENCE <= response.cookies["refresh_token"]["max-age"] <= MAX_SECONDS
