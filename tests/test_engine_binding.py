"""The Python binding of the engine: conversion of values, errors and threads; no call panics."""

import base64
import copy
import hashlib
import hmac
import json
import os
import pickle
import signal
import uuid
import warnings
from calendar import timegm
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Event

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtauth import _engine
from jwtauth.exceptions import (
    ClaimsRefused,
    CrossOriginRefused,
    EngineConfigurationError,
    JwtAuthError,
    TokenError,
    TokenExpired,
)
from tests.waiting import PATIENCE

RENDER_SECRET = "a-render-secret-of-enough-characters"
SECRET = b"the words of this key are in no repr, and it is long enough for any hash"
NOW = 1_800_000_000
ACCESS, REFRESH = _engine.TokenKind.ACCESS, _engine.TokenKind.REFRESH
KEY = _engine.SigningKey.read(SECRET, algorithm="HS256")
PUBLIC = json.loads(_engine.generate_key("ES256")[2])
VERIFYING = _engine.VerifyingKey.read(json.dumps(PUBLIC).encode(), algorithm="ES256")
TOKENS = _engine.Tokens(_engine.Keyring(KEY))
SID = _engine.Sid.generate(NOW)
POLICY = _engine.RotationPolicy(access=300, idle=86_400, absolute=None, grace=30)


SITE = _engine.Site(
    TOKENS,
    POLICY,
    _engine.OriginPolicy(["https://trusted.example"]),
    _engine.RenderSecrets([RENDER_SECRET]),
    access_name="access_token",
    refresh_name="refresh_token",
    bearer=True,
)


def identify(meta, own=None, **changes):
    """Return the identity of a request with this environment."""
    request = {"method": "GET", "version": "HTTP/1.1", "cookies": None, "is_trusted": False, "now": NOW, **changes}
    return SITE.identify(meta, own=own or (lambda: "https://own.example"), **request)


def grant(row, decision=None, custom=None):
    return SITE.grant(SID, "7", row, decision=decision, custom=custom, remember=True, now=NOW)


def respond(identity, outcome, *, was_asked=False, vary="", cache_control=""):
    headers = {"vary": vary, "cache_control": cache_control}
    return SITE.respond(identity, outcome, was_asked=was_asked, now=NOW, **headers)


def decide(row, generation, now):
    return SITE.refresh(_engine.Identity(), claims(generation=generation), row, now=now)


def claims(**changes):
    said = {"subject": "7", "sid": SID, "generation": 1, "issued_at": NOW, "expires_at": NOW + 300, **changes}
    return _engine.Claims(**said)


def said(claims):
    """Return the values of these claims."""
    return (claims.subject, claims.session_id, claims.generation, claims.issued_at, claims.expires_at)


def one_of_each():
    """Return an object of every class."""
    session = POLICY.start(NOW)
    return [
        KEY,
        VERIFYING,
        _engine.Keyring(KEY),
        SID,
        session,
        ACCESS,
        claims(),
        TOKENS,
        POLICY,
        SITE.refresh(_engine.Identity(), claims(), session, now=NOW),
        _engine.OriginPolicy(["https://example.org"]),
        _engine.RenderSecrets([RENDER_SECRET]),
        SITE,
        identify({"HTTP_COOKIE": f"access_token={TOKENS.issue(ACCESS, claims())}"}),
        grant(session),
        _engine.Outcome.granted(grant(session)),
        respond(_engine.Identity(), _engine.Outcome.granted(grant(session))),
        _engine.VerifiedSessions(4),
        _engine.VerifiedSessions(4).asking(SID.session_id, scope=1, now=0),
        _engine.DatabaseClock(),
        _engine.CleanupSchedule(NOW, random=0),
    ]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, payload):
    """Return a signed token with this header and payload, valid or not."""
    message = f"{base64url(header.encode())}.{base64url(payload.encode())}"
    return f"{message}.{base64url(hmac.digest(SECRET, message.encode(), 'sha256'))}"


# --- errors


def test_each_token_error_has_the_engine_s_code():
    token = TOKENS.issue(ACCESS, claims())
    other = _engine.Tokens(_engine.Keyring(_engine.SigningKey.read(b"x" * 64, algorithm="HS256")))
    for call, code in [
        (lambda: TOKENS.verify(ACCESS, "", NOW), "token_malformed"),
        (lambda: TOKENS.verify(ACCESS, "x" * (_engine.MAX_TOKEN_LENGTH + 1), NOW), "token_too_long"),
        (lambda: TOKENS.verify(REFRESH, token, NOW), "token_wrong_type"),
        (lambda: other.verify(ACCESS, token, NOW), "token_bad_signature"),
        (lambda: other.verify_ignoring_time(ACCESS, token), "token_bad_signature"),
        (lambda: TOKENS.verify(ACCESS, signed('{"alg":"HS256","typ":"at+jwt"}', "{}"), NOW), "token_missing_claim"),
    ]:
        with pytest.raises(TokenError) as error:
            call()
        assert (type(error.value), error.value.code) == (TokenError, code)


def test_expired_token_raises_token_expired():
    token = TOKENS.issue(ACCESS, claims())
    with pytest.raises(TokenExpired) as error:
        TOKENS.verify(ACCESS, token, NOW + 300)
    assert error.value.code == "token_expired"
    assert str(NOW + 300) in str(error.value)
    assert said(TOKENS.verify_ignoring_time(ACCESS, token)) == said(claims())


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: _engine.SigningKey.read(b"", algorithm="HS256"), "key_too_short"),
        (lambda: _engine.SigningKey.read(SECRET, algorithm="none"), "unsupported_algorithm"),
        (lambda: _engine.Tokens(_engine.Keyring(KEY), subject_claim="exp"), "reserved_claim"),
        (lambda: _engine.Tokens(_engine.Keyring(KEY), issuer=""), "empty_name"),
        (lambda: _engine.OriginPolicy(["https://own.example", "own.example"]), "trusted_origin"),
        (lambda: _engine.RenderSecrets(["short"]), "render_secret_too_short"),
        (lambda: _engine.RenderSecrets([f"{RENDER_SECRET} "]), "render_secret_malformed"),
        (lambda: _engine.RotationPolicy(access=0, idle=1, absolute=1, grace=0), "lifetime_zero"),
        (lambda: _engine.RotationPolicy(access=2, idle=1, absolute=None, grace=0), "access_over_idle"),
        (lambda: _engine.RotationPolicy(access=1, idle=3, absolute=2, grace=0), "idle_over_absolute"),
    ],
)
def test_contradictory_options_raise_a_configuration_error(make, code):
    with pytest.raises(EngineConfigurationError) as error:
        make()
    assert error.value.code == code


def check_origin(own, method="POST", **meta):
    return SITE.check_origin({"HTTP_ORIGIN": "https://a.b", **meta}, method=method, version="HTTP/1.1", own=own)


def test_foreign_origin_is_refused_with_its_code():
    for method, meta, code in [
        ("POST", {}, "foreign_origin"),
        ("POST", {"HTTP_SEC_FETCH_SITE": "cross-site"}, "cross_site"),
        ("POST", {"HTTP_SEC_FETCH_SITE": "none"}, "foreign_origin"),
        ("GET", {"HTTP_UPGRADE": "websocket"}, "websocket_origin"),
        ("POST", {"HTTP_ORIGIN": "https://\ud800"}, "foreign_origin"),
    ]:
        with pytest.raises(CrossOriginRefused) as error:
            check_origin(lambda: "https://example.org", method, **meta)
        assert error.value.code == code
        if meta.get("HTTP_ORIGIN") is None:
            cookie = {"HTTP_COOKIE": f"access_token={TOKENS.issue(ACCESS, claims())}", "HTTP_ORIGIN": "https://a.b"}
            refused = identify(meta | cookie, method=method)
            assert (refused.access, refused.has_cookies) == (None, True)
            with pytest.raises(CrossOriginRefused) as error:
                refused.check()
            assert error.value.code == code
            assert said(identify(meta | cookie, method=method, is_trusted=True).access) == said(claims())
    assert check_origin(lambda: "https://a.b") is None


def test_exception_of_the_own_origin_callback_is_raised():
    def own():
        raise LookupError("no host")

    with pytest.raises(LookupError, match="no host"):
        check_origin(own)
    with pytest.raises(TypeError):
        check_origin(lambda: 3)
    cookie = f"access_token={TOKENS.issue(ACCESS, claims())}"
    with pytest.raises(LookupError, match="no host"):
        identify({"HTTP_COOKIE": cookie, "HTTP_ORIGIN": "https://a.b"}, own, method="POST")


def test_own_origin_callback_is_called_only_if_needed():
    assert check_origin(None, "GET") is None


# --- the steps of a request


def test_request_is_identified_by_cookies_or_bearer_token():
    access, refresh = TOKENS.issue(ACCESS, claims()), TOKENS.issue(REFRESH, claims())
    cookies = identify({"HTTP_COOKIE": f"a=\ud800; access_token={access}; refresh_token={refresh}"})
    assert (said(cookies.access), cookies.refresh, cookies.is_bearer) == (said(claims()), None, False)
    assert cookies.session_ids == [SID.session_id]
    cookies.check()
    assert said(identify({"HTTP_COOKIE": f"refresh_token={refresh}"}).refresh) == said(claims())
    bearer = identify({"HTTP_AUTHORIZATION": f"Bearer {access}", "HTTP_COOKIE": "access_token=x"})
    assert (said(bearer.access), bearer.is_bearer, bearer.has_cookies) == (said(claims()), True, False)
    refused = identify({"HTTP_AUTHORIZATION": "Bearer x"})
    assert (refused.access, refused.is_bearer) == (None, True)
    refused.check()  # another authentication class of the site may read the header
    nothing = identify({})
    assert (nothing.access, nothing.refresh, nothing.session_ids, nothing.has_cookies) == (None, None, [], False)


def test_separate_cookie_fields_replace_the_joined_header():
    fields = [b"theme=dark", b"name=Jos\xc3\xa9", f"access_token={TOKENS.issue(ACCESS, claims())}".encode()]
    joined = b",".join(fields).decode("latin-1")
    assert identify({"HTTP_COOKIE": joined}).access is None
    assert said(identify({"HTTP_COOKIE": joined}, cookies=fields).access) == said(claims())


def test_content_length_that_is_not_text_is_read():
    refresh = {"HTTP_COOKIE": f"refresh_token={TOKENS.issue(REFRESH, claims())}"}
    late = NOW + 299
    row = _engine.Session(
        generation=1, acknowledged_at=NOW, rotated_at=NOW, created_at=NOW, expires_at=NOW + 9999, end_is_fixed=False
    )
    for length, code in [(None, "rotate"), (5, "rotate"), (70_000, "admit")]:
        identity = identify({**refresh, "CONTENT_LENGTH": length}, method="POST")
        assert SITE.refresh(identity, identity.refresh, row, now=late).code == code


def test_check_returns_what_to_write_to_the_row():
    row = _engine.Session(
        generation=1, acknowledged_at=None, rotated_at=NOW, created_at=NOW, expires_at=NOW + 9999, end_is_fixed=False
    )

    def check(identity, **changes):
        return SITE.check(identity, claims(), row, **{"subject": "7", "last_seen_at": NOW - 60, "now": NOW} | changes)

    cookie = {"HTTP_COOKIE": "a=b"}
    assert check(identify(cookie)) == (True, False)
    assert check(identify(cookie, method="POST")) == (True, True)
    assert check(identify(cookie, method="POST"), last_seen_at=NOW) == (True, False)
    assert check(identify(cookie), subject="8") is None
    assert check(identify(cookie), subject=None) == (True, False)
    assert check(identify(cookie), now=NOW + 9999) is None


def test_response_sets_the_tokens_of_its_grant():
    row = POLICY.start(NOW)
    granted = grant(row, custom='{"plan":"pro"}')
    assert (granted.access.custom, granted.refresh.custom, granted.sets_cookies) == ({"plan": "pro"}, {}, True)
    headers = {"vary": "Accept", "cache_control": "max-age=60"}
    answer = respond(_engine.Identity(), _engine.Outcome.granted(granted), **headers)
    tokens = {"access_token": SITE.issue(granted, ACCESS), "refresh_token": SITE.issue(granted, REFRESH)}
    assert answer.cookies == [
        ("access_token", tokens["access_token"], 300),
        ("refresh_token", tokens["refresh_token"], 86_400),
    ]
    assert (answer.vary, answer.cache_control) == ("Accept, Cookie", "no-store, private, max-age=60")
    assert answer.removed(["Age", "CDN-Cache-Control", "Vary"]) == ["CDN-Cache-Control"]
    assert not any(token in repr(answer) for token in tokens.values())
    renewed = grant(row, decide(row, 1, NOW))
    answer = respond(_engine.Identity(), _engine.Outcome.granted(renewed))
    assert [name for name, _token, _age in answer.cookies] == ["access_token"]


def test_cookies_are_cleared_only_if_the_request_had_one():
    def cleared(identity):
        return respond(identity, _engine.Outcome.CLEARED).cookies

    assert cleared(identify({"HTTP_COOKIE": "refresh_token="})) == [("access_token", "", 0), ("refresh_token", "", 0)]
    assert cleared(identify({"HTTP_COOKIE": "other=1"})) == []
    unchanged = respond(identify({}), _engine.Outcome.UNCHANGED)
    assert (unchanged.cookies, unchanged.vary, unchanged.cache_control) == ([], None, None)


@pytest.mark.parametrize("cookie", ["access_token=", "other=1"])
@pytest.mark.parametrize("was_asked", [True, False])
@pytest.mark.parametrize("vary", ["", "Accept", "Accept, cookie", "*"])
def test_unchanged_cookies_vary_as_an_answer_does(cookie, was_asked, vary):
    identity = identify({"HTTP_COOKIE": cookie})
    answer = respond(identity, _engine.Outcome.UNCHANGED, was_asked=was_asked, vary=vary)
    assert SITE.vary(identity, was_asked, vary) == answer.vary


def test_custom_claims_too_large_for_a_cookie_are_refused():
    SITE.fits("7", json.dumps({"a": "x" * 2500}))
    with pytest.raises(ClaimsRefused) as error:
        SITE.fits("7", json.dumps({"a": "x" * 3000}))
    assert error.value.code == "issued_token_too_long"


# --- objects


@pytest.mark.parametrize("thing", one_of_each(), ids=lambda thing: type(thing).__name__)
def test_objects_cannot_be_pickled_copied_changed_or_subclassed(thing):
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            take(thing)
    for name in ["new", *(name for name in dir(thing) if not name.startswith("_"))]:
        with pytest.raises(AttributeError):
            setattr(thing, name, 1)
    with pytest.raises(TypeError):
        type("Subclass", (type(thing),), {})


@pytest.mark.parametrize("thing", one_of_each(), ids=lambda thing: type(thing).__name__)
def test_repr_of_no_object_shows_a_secret(thing):
    sid = jwt.decode(TOKENS.issue(ACCESS, claims()), options={"verify_signature": False})["sid"]
    for shown in (repr(thing), str(thing)):
        assert type(thing).__name__ in shown or type(thing) is _engine.Decision
        assert "words of this key" not in shown
        assert RENDER_SECRET not in shown
        assert sid not in shown


def test_errors_show_no_secret():
    token = TOKENS.issue(ACCESS, claims())
    for bad in (token[:-2], token + ".", token.swapcase(), f"x{token}"):
        with pytest.raises(TokenError) as error:
            TOKENS.verify(ACCESS, bad, NOW)
        assert token[40:60] not in repr(error.value)
    with pytest.raises(EngineConfigurationError) as error:
        _engine.SigningKey.read(b"words of this key", algorithm="HS256")
    assert "words" not in repr(error.value)
    with pytest.raises(EngineConfigurationError) as error:
        _engine.RenderSecrets([RENDER_SECRET[:31]])
    assert RENDER_SECRET[:31] not in repr(error.value)


def test_token_kinds_are_comparable_and_hashable():
    assert ACCESS == ACCESS
    assert ACCESS != REFRESH
    assert len({ACCESS, REFRESH, ACCESS}) == 2
    assert int(ACCESS) != int(REFRESH)


def test_key_has_its_algorithm_and_id():
    assert KEY.algorithm == "HS256"
    thumbprint = json.dumps({"k": base64url(SECRET), "kty": "oct"}, separators=(",", ":"))
    assert KEY.id == base64url(hashlib.sha256(thumbprint.encode()).digest())


def test_jwk_set_has_public_keys_only():
    pem, jwk, public = _engine.generate_key("ES256", key_id="2026-11")
    ring = _engine.Keyring(_engine.SigningKey.read(pem.encode(), algorithm="ES256"), [VERIFYING])
    assert [key.algorithm for key in ring.keys] == ["ES256", "ES256"]
    assert json.loads(ring.jwk_set)["keys"][1] == PUBLIC == json.loads(VERIFYING.public_jwk)
    assert json.loads(public)["kid"] == "2026-11" == _engine.SigningKey.read(jwk.encode(), algorithm="ES256").id
    assert "d" in json.loads(jwk)
    assert "d" not in json.loads(public)
    assert not any(json.loads(jwk)["d"] in repr(thing) for thing in (ring, *ring.keys))
    assert _engine.Keyring(KEY).jwk_set == '{"keys":[]}'
    assert _engine.generate_key("HS256")[::2] == (None, None)


def test_custom_claims_are_issued_verified_and_limited():
    issued = claims(custom='{"plan":"pro","roles":["a"],"limits":{"seats":3}}')
    read = TOKENS.verify(ACCESS, TOKENS.issue(ACCESS, issued), NOW)
    assert read.custom == issued.custom == {"plan": "pro", "roles": ["a"], "limits": {"seats": 3}}
    assert claims().custom == {}
    for custom, code in [
        ("[]", "claims_not_an_object"),
        ('{"exp":1}', "reserved_claim"),
        (f'{{"a":{2**53}}}', "claims_number"),
    ]:
        with pytest.raises(ClaimsRefused) as error:
            claims(custom=custom)
        assert error.value.code == code
    with pytest.raises(ClaimsRefused) as error:
        TOKENS.issue(ACCESS, claims(custom=json.dumps({"a": "x" * 4000})))
    assert error.value.code == "issued_token_too_long"


def test_session_returns_its_columns():
    times = {"acknowledged_at": None, "rotated_at": 2, "created_at": 1, "expires_at": 2**64 - 1}
    columns = {"generation": 3, **times, "end_is_fixed": True}
    session = _engine.Session(**columns)
    assert {name: getattr(session, name) for name in columns} == columns


def test_decision_has_a_code_a_next_row_and_a_warning():
    row = POLICY.start(NOW)
    rotate = decide(row, 1, NOW + 301)
    assert (rotate.code, rotate.admits, rotate.acknowledge) == ("rotate", True, False)
    assert (rotate.next.generation, rotate.next.created_at, rotate.next.expires_at) == (2, NOW, NOW + 301 + 86_400)
    assert rotate.warning is None
    ahead = decide(row, 18, NOW)
    assert (ahead.code, ahead.warning) == ("generation_ahead", "generation_ahead")
    over = decide(row, 1, NOW + 86_400)
    assert (over.code, over.admits, over.next) == ("session_expired", False, None)


def test_decision_keeps_a_fixed_end():
    row = POLICY.start_for(1000, NOW)
    following = decide(row, 1, NOW + 301).next
    assert (following.expires_at, following.end_is_fixed) == (NOW + 1000, True)


def test_verified_sessions_are_remembered_for_the_check_interval():
    sessions, ada = _engine.VerifiedSessions(10), claims()
    sessions.remember(ada, sessions.asking(ada.session_id, scope=1, now=1000))
    assert sessions.is_fresh(ada, scope=1, now=1999, interval=1000)
    assert not sessions.is_fresh(ada, scope=1, now=2000, interval=1000)
    assert not sessions.is_fresh(ada, scope=2, now=1000, interval=1000)
    asked = sessions.asking(ada.session_id, scope=1, now=1000)
    sessions.forget(ada.session_id)
    assert not sessions.is_fresh(ada, scope=1, now=1000, interval=None)
    sessions.remember(ada, asked)
    assert not sessions.is_fresh(ada, scope=1, now=1000, interval=None), "the row was read before the session ended"


def test_schedule_of_the_cleanup_continues_after_a_full_batch():
    minute = 60_000_000_000
    schedule = _engine.CleanupSchedule(NOW, random=2**32 - 1)
    assert schedule.begin(NOW + minute - 1, random=0) is None
    for is_full in (True, False):
        assert schedule.is_due(NOW + minute)
        assert schedule.begin(NOW + minute, random=0) == 200
        schedule.end(began=NOW, now=NOW, is_full=is_full)
    assert not schedule.is_due(NOW + minute)


# --- invalid text and numbers


def test_token_with_lone_surrogates_is_malformed():
    good = TOKENS.issue(ACCESS, claims())
    for bad in ("\ud800", good + "\udfff", "\udc80" + good):
        with pytest.raises(TokenError) as error:
            TOKENS.verify(ACCESS, bad, NOW)
        assert error.value.code == "token_malformed"
        with pytest.raises(TokenError):
            TOKENS.verify_ignoring_time(ACCESS, bad)
    cookies = f"access_token=\ud800; \ud800=1; access_token={good}; access_token={good}\udfff"
    assert said(identify({"HTTP_COOKIE": cookies}).access) == said(claims())


@pytest.mark.parametrize("number", [-1, 2**64, -(2**200), 2**200])
def test_integers_out_of_range_raise_overflow_error(number):
    row = POLICY.start(NOW)
    for call in (
        lambda: POLICY.start(number),
        lambda: POLICY.is_over(row, number),
        lambda: SITE.refresh(_engine.Identity(), claims(), row, now=number),
        lambda: _engine.RotationPolicy(access=number, idle=1, absolute=None, grace=0),
        lambda: _engine.Tokens(_engine.Keyring(KEY), leeway=number),
        lambda: _engine.VerifiedSessions(number),
        lambda: _engine.VerifiedSessions(1).asking(SID.session_id, scope=number, now=1),
        lambda: _engine.VerifiedSessions(1).asking(SID.session_id, scope=1, now=number),
        lambda: _engine.CleanupSchedule(1, random=number),
        lambda: _engine.CleanupSchedule(number, random=1),
        lambda: claims(generation=number),
        lambda: TOKENS.verify(ACCESS, TOKENS.issue(ACCESS, claims()), number),
    ):
        with pytest.raises(OverflowError):
            call()


texts = st.text(st.characters(exclude_categories=()), max_size=60)
integers = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, NOW, 2**53, 2**63, 2**64 - 1]), st.integers())
anything = st.one_of(
    texts,
    integers,
    st.binary(max_size=80),
    st.none(),
    st.booleans(),
    st.floats(),
    st.lists(texts, max_size=3),
    st.uuids(),
    st.sampled_from(one_of_each()),
)
tokens = st.one_of(texts, st.binary(max_size=40).map(base64url), st.just(TOKENS.issue(ACCESS, claims())))
rows = st.builds(
    _engine.Session,
    generation=st.integers(0, 2**64 - 1),
    acknowledged_at=st.none() | st.integers(0, 2**64 - 1),
    rotated_at=st.integers(0, 2**64 - 1),
    created_at=st.integers(0, 2**64 - 1),
    expires_at=st.integers(0, 2**64 - 1),
    end_is_fixed=st.booleans(),
)
ALGORITHMS = st.sampled_from(_engine.algorithms())
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
).map(json.dumps)
KEY_FILES = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "testdata/keys").glob("*.pem"))]
key_texts = (
    st.binary(max_size=80)
    | st.sampled_from(KEY_FILES)
    | st.dictionaries(
        st.sampled_from([*PUBLIC, "d", "k"]), st.text(max_size=4) | st.sampled_from(list(PUBLIC.values()))
    ).map(lambda members: json.dumps({**PUBLIC, **members}).encode())
)
MEMORY, CLEANUP = _engine.VerifiedSessions(4), _engine.CleanupSchedule(0, random=0)
METAS = st.dictionaries(
    st.sampled_from(
        [
            "CONTENT_LENGTH",
            "HTTP_AUTHORIZATION",
            "HTTP_COOKIE",
            "HTTP_ORIGIN",
            "HTTP_SEC_FETCH_SITE",
            "HTTP_TRANSFER_ENCODING",
            "HTTP_UPGRADE",
            "HTTP_X_JWTAUTH_RENDER_SECRET",
        ]
    ),
    texts
    | st.builds("access_token={}; refresh_token={}".format, tokens, tokens)
    | st.builds("Bearer {}".format, tokens)
    | st.sampled_from(["same-origin", "cross-site", "none", "https://a.b", "websocket", "70000", RENDER_SECRET])
    | st.integers(),
)
HEADS = {
    "method": texts | st.sampled_from(["GET", "POST"]),
    "version": texts | st.sampled_from(["HTTP/1.1", "2"]),
    "own": (st.none() | texts).map(lambda own: lambda: own),
}
IDENTITIES = st.builds(identify, METAS)
DECISIONS = st.builds(decide, rows, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
OUTCOMES = st.sampled_from([_engine.Outcome.UNCHANGED, _engine.Outcome.CLEARED]) | st.builds(
    _engine.Outcome.granted, st.builds(grant, rows, st.none() | DECISIONS)
)
ANSWER = respond(_engine.Identity(), _engine.Outcome.granted(grant(POLICY.start(NOW))))

# Every function, with values of the right types for its positional and keyword arguments.
STORED = texts | st.datetimes(datetime(1970, 1, 1)).map(str) | st.datetimes(timezones=st.none() | st.timezones())
CALLS = {
    "SigningKey.read": (_engine.SigningKey.read, [key_texts], {"algorithm": texts | ALGORITHMS}),
    "VerifyingKey.read": (_engine.VerifyingKey.read, [key_texts], {"algorithm": texts | ALGORITHMS}),
    "Keyring": (_engine.Keyring, [st.just(KEY), st.lists(st.just(VERIFYING), max_size=20)], {}),
    "generate_key": (
        _engine.generate_key,
        [texts | st.sampled_from(["HS256", "ES256", "ES384", "EdDSA"])],
        {"key_id": st.none() | texts},
    ),
    "Session": (
        _engine.Session,
        [],
        {
            "generation": integers,
            "acknowledged_at": st.none() | integers,
            "rotated_at": integers,
            "created_at": integers,
            "expires_at": integers,
            "end_is_fixed": st.booleans(),
        },
    ),
    "Claims": (
        _engine.Claims,
        [],
        {
            "subject": texts,
            "sid": st.just(SID),
            "generation": integers,
            "issued_at": integers,
            "expires_at": integers,
            "custom": st.none() | texts | json_texts,
        },
    ),
    "Tokens": (
        _engine.Tokens,
        [st.just(_engine.Keyring(KEY))],
        {
            "issuer": st.none() | texts,
            "audience": st.lists(texts, max_size=3),
            "leeway": integers,
            "subject_claim": texts,
        },
    ),
    "Tokens.issue": (
        TOKENS.issue,
        [
            st.sampled_from([ACCESS, REFRESH]),
            st.builds(claims, subject=st.text(), generation=st.integers(0, 2**64 - 1)),
        ],
        {},
    ),
    "Tokens.verify": (TOKENS.verify, [st.sampled_from([ACCESS, REFRESH]), tokens, integers], {}),
    "Tokens.verify_ignoring_time": (TOKENS.verify_ignoring_time, [st.sampled_from([ACCESS, REFRESH]), tokens], {}),
    "RotationPolicy": (
        _engine.RotationPolicy,
        [],
        {
            "access": integers,
            "idle": integers,
            "absolute": st.none() | integers,
            "grace": integers,
            "lock_after": st.none() | integers,
        },
    ),
    "RotationPolicy.start": (POLICY.start, [integers], {}),
    "RotationPolicy.start_for": (POLICY.start_for, [integers, integers], {}),
    "RotationPolicy.succeed": (POLICY.succeed, [rows, integers], {}),
    "RotationPolicy.start_acting": (POLICY.start_acting, [rows, st.just(claims()), integers, integers], {}),
    "RotationPolicy.stop_acting": (POLICY.stop_acting, [rows, rows, integers], {}),
    "Session.as_shown_by": (POLICY.start(NOW).as_shown_by, [integers], {}),
    "Session.may_stop_acting": (POLICY.start(NOW).may_stop_acting, [integers], {}),
    "Sid.after_acting": (SID.after_acting, [integers], {}),
    "RotationPolicy.reauthenticate": (POLICY.reauthenticate, [rows, integers], {}),
    "RotationPolicy.take_over": (POLICY.take_over, [st.none() | integers, integers], {}),
    "RotationPolicy.decide_old_login": (
        POLICY.decide_old_login,
        [IDENTITIES],
        {
            "since": integers,
            "until": integers,
            "credential": st.none() | st.tuples(st.none() | integers, st.none() | integers, st.booleans()),
            "moved": st.none() | st.tuples(integers, integers, st.none() | integers, st.booleans()),
            "password_changed_at": st.none() | integers,
            "is_certain": st.booleans(),
            "now": integers,
        },
    ),
    "RotationPolicy.is_locked": (POLICY.is_locked, [rows, integers], {}),
    "RotationPolicy.is_over": (POLICY.is_over, [rows, integers], {}),
    "Sid.derived": (_engine.Sid.derived, [st.binary(min_size=16, max_size=16), integers], {}),
    "DatabaseClock": (_engine.DatabaseClock, [], {}),
    "DatabaseClock.hear": (
        _engine.DatabaseClock().hear,
        [],
        {"asked": integers, "answered": integers, "reported": integers},
    ),
    "DatabaseClock.now": (_engine.DatabaseClock().now, [integers], {}),
    "CleanupSchedule": (_engine.CleanupSchedule, [integers], {"random": integers}),
    "CleanupSchedule.is_due": (CLEANUP.is_due, [integers], {}),
    "CleanupSchedule.begin": (CLEANUP.begin, [integers], {"random": integers}),
    "CleanupSchedule.end": (CLEANUP.end, [], {"began": integers, "now": integers, "is_full": st.booleans()}),
    "OriginPolicy": (_engine.OriginPolicy, [st.lists(texts, max_size=3)], {}),
    "RenderSecrets": (_engine.RenderSecrets, [st.lists(texts, max_size=3)], {}),
    "Site": (
        _engine.Site,
        [st.just(TOKENS), st.just(POLICY), st.just(_engine.OriginPolicy([])), st.just(_engine.RenderSecrets([]))],
        {"access_name": texts, "refresh_name": texts, "bearer": st.booleans()},
    ),
    "Site.identify": (
        SITE.identify,
        [METAS],
        {
            **HEADS,
            "cookies": st.none() | st.lists(st.binary(max_size=30), max_size=3),
            "is_trusted": st.booleans(),
            "now": integers,
            "path": texts,
        },
    ),
    "Site.identify_client": (SITE.identify_client, [METAS, texts, texts, st.just(lambda: None), integers], {}),
    "Site.check_origin": (SITE.check_origin, [METAS], HEADS),
    "Site.refresh": (
        SITE.refresh,
        [IDENTITIES, st.just(claims()), rows],
        {"no_activity": st.booleans(), "now": integers},
    ),
    "Site.check": (
        SITE.check,
        [IDENTITIES, st.just(claims()), rows],
        {"subject": st.none() | texts, "last_seen_at": integers, "now": integers},
    ),
    "Site.offer": (SITE.offer, [st.uuids(), rows, integers], {}),
    "Site.may_offer": (SITE.may_offer, [st.uuids(), rows, integers], {}),
    "Site.challenge": (SITE.challenge, [st.uuids(), rows, integers], {}),
    "Site.register": (SITE.register, [st.uuids(), rows, st.none() | texts, tokens, integers], {}),
    "Site.prove": (SITE.prove, [st.uuids(), rows, st.none() | texts, st.none() | texts, tokens, integers], {}),
    "device_identifier": (_engine.device_identifier, [texts], {}),
    "Site.fits": (SITE.fits, [texts, texts | json_texts], {}),
    "Site.grant": (
        SITE.grant,
        [st.just(SID), texts, rows],
        {
            "decision": st.none() | DECISIONS,
            "custom": st.none() | texts | json_texts,
            "remember": st.booleans(),
            "presented": st.none() | st.just(claims()),
            "methods": texts,
            "auth_time": st.none() | integers,
            "actor": st.none() | texts,
            "not_after": st.none() | integers,
            "now": integers,
        },
    ),
    "Site.issue": (SITE.issue, [st.builds(grant, rows), st.sampled_from([ACCESS, REFRESH])], {}),
    "Site.respond": (
        SITE.respond,
        [IDENTITIES, OUTCOMES],
        {"was_asked": st.booleans(), "vary": texts, "cache_control": texts, "now": integers},
    ),
    "Site.vary": (SITE.vary, [IDENTITIES, st.booleans(), texts], {}),
    "Outcome.granted": (_engine.Outcome.granted, [st.builds(grant, rows)], {}),
    "Identity.proving": (_engine.Identity().proving, [IDENTITIES], {}),
    "Identity.settle": (_engine.Identity().settle, [st.lists(st.uuids(), max_size=9)], {}),
    "Answer.removed": (ANSWER.removed, [st.lists(texts, max_size=3)], {}),
    "VerifiedSessions": (_engine.VerifiedSessions, [integers], {}),
    "VerifiedSessions.asking": (MEMORY.asking, [st.uuids()], {"scope": integers, "now": integers}),
    "VerifiedSessions.remember": (
        MEMORY.remember,
        [st.just(claims()), st.builds(MEMORY.asking, st.uuids(), scope=st.just(1), now=st.integers(0, 2**64 - 1))],
        {},
    ),
    "VerifiedSessions.is_fresh": (
        MEMORY.is_fresh,
        [st.just(claims())],
        {"scope": integers, "now": integers, "interval": st.none() | integers},
    ),
    "VerifiedSessions.forget": (MEMORY.forget, [st.uuids()], {}),
    "Session.stored": (
        _engine.Session.stored,
        [integers, st.booleans() | integers, *[st.none() | STORED] * 3, st.none() | texts, STORED, STORED, STORED],
        {},
    ),
    "Session.auth_time_of": (POLICY.start(NOW).auth_time_of, [st.just(claims())], {}),
    "Session.is_recent": (POLICY.start(NOW).is_recent, [st.just(claims()), integers, integers], {}),
    "stored_methods": (_engine.stored_methods, [st.lists(texts | st.sampled_from(["pwd", "otp"]), max_size=9)], {}),
    "stored_seconds": (_engine.stored_seconds, [STORED], {}),
    "cookie_problems": (
        _engine.cookie_problems,
        [],
        {
            "access_name": texts,
            "refresh_name": texts,
            "secure": st.booleans(),
            "same_site": texts | st.sampled_from(["Strict", "lax", "NONE"]),
            "domain": st.none() | texts,
            "path": texts,
            "partitioned": st.booleans(),
        },
    ),
}


def test_server_clock_follows_the_database_s():
    clock = _engine.DatabaseClock()
    assert clock.now(NOW * 1000 + 999) == NOW
    clock.hear(asked=NOW * 1000, answered=NOW * 1000 + 2, reported=(NOW - 300) * 1000 + 1)
    assert clock.now(NOW * 1000 + 60_500) == NOW - 240


def test_session_after_a_password_change_keeps_the_start_of_the_old_one():
    first = POLICY.start(NOW)
    successor = POLICY.succeed(first, NOW + 1000)
    assert (successor.created_at, successor.rotated_at, successor.generation) == (NOW, NOW + 1000, 1)


def public_functions():
    """Return every function and constructor of the module that takes arguments."""
    without_arguments = {
        "Asked",
        "SigningKey",
        "VerifyingKey",
        "algorithms",
        "Sid",
        "Sid.generate",
        "TokenKind",
        "Decision",
        "Proof",
        "Registration",
    }
    without_arguments |= {"Grant", "Identity", "Identity.check", "Outcome", "Answer"}
    found = set()
    for name in _engine.__all__:
        thing = getattr(_engine, name)
        if isinstance(thing, type):
            methods = [method for method in vars(thing) if not method.startswith("_")]
            found |= {name, *(f"{name}.{method}" for method in methods if callable(getattr(thing, method)))}
        elif callable(thing):
            found.add(name)
    return found - without_arguments


def test_every_public_function_is_fuzzed():
    assert set(CALLS) == public_functions()


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=30, deadline=None, database=None)
@given(data=st.data())
def test_no_argument_makes_the_engine_panic(name, data):
    function, positional, named = CALLS[name]
    wild = data.draw(st.integers(0, 3)) == 0

    def draw(strategy):
        return data.draw(anything | strategy if wild else strategy)

    arguments = [draw(strategy) for strategy in positional]
    keywords = {key: draw(strategy) for key, strategy in named.items()}
    # Any other exception, above all a PanicException, fails the test.
    with suppress(JwtAuthError, TypeError, ValueError, OverflowError):
        repr(function(*arguments, **keywords))


@settings(max_examples=100, deadline=None, database=None)
@given(rows, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), IDENTITIES)
def test_every_session_row_has_a_decision(row, generation, now, identity):
    decision = SITE.refresh(identity, claims(generation=generation), row, now=now)
    assert decision.admits or decision.next is None
    assert decision.admits or not grant(row, decision).sets_cookies


# --- threads


def test_threads_verify_with_the_same_keys():
    workers = 8
    barrier = Barrier(workers)
    memory = _engine.VerifiedSessions(workers)

    def work(worker):
        mine = claims(subject=str(worker), sid=_engine.Sid.generate(NOW))
        token = TOKENS.issue(ACCESS, mine)
        forged = token[:-6] + "AAAAAA"
        barrier.wait(timeout=PATIENCE)
        for index in range(300):
            assert said(TOKENS.verify(ACCESS, token, NOW)) == said(mine)
            memory.remember(mine, memory.asking(mine.session_id, scope=1, now=index))
            with pytest.raises(TokenError):
                TOKENS.verify(ACCESS, forged, NOW)
        return worker

    with ThreadPoolExecutor(workers) as pool:
        assert list(pool.map(work, range(workers))) == list(range(workers))


def test_forked_child_does_not_wait_for_locks_of_other_threads():
    memory, ada, over = _engine.VerifiedSessions(4), claims(), Event()
    ids = [uuid.uuid4() for _ in range(256)]

    def work():
        while not over.is_set():
            for session_id in ids:
                memory.forget(session_id)
            memory.remember(ada, memory.asking(ada.session_id, scope=1, now=1))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(work)
        try:
            for _ in range(20):
                child = fork()
                if child == 0:
                    signal.alarm(PATIENCE)  # end a child that waits for a lock whose owner does not exist in it
                    for session_id in ids:
                        memory.forget(session_id)
                    memory.remember(ada, memory.asking(ada.session_id, scope=1, now=2))
                    os._exit(0 if memory.is_fresh(ada, scope=1, now=3, interval=2) else 1)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            over.set()


def fork():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads, from Python 3.12
        return os.fork()


# --- PyJWT as the oracle

DECODE = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}


def same(claims, token):
    """Return whether PyJWT verifies this token and reads the same claims."""
    read = jwt.decode(token, SECRET, ["HS256"], options=DECODE)
    name = base64.urlsafe_b64decode(read["sid"] + "=")
    milliseconds = int.from_bytes(name[:4], "big") * 60_000
    session_id = uuid.UUID(bytes=milliseconds.to_bytes(6, "big") + hashlib.sha256(name).digest()[:10], version=4)
    session_id = uuid.UUID(int=session_id.int & ~(0xF << 76) | 7 << 76)
    return said(claims) == (read["sub"], session_id, read["gen"], read["iat"], read["exp"])


exact = st.integers(0, 2**53 - 1)


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(max_size=30), exact, exact, exact)
def test_engine_and_pyjwt_read_each_other_s_tokens(subject, generation, issued_at, expires_at):
    issued = claims(subject=subject, generation=generation, issued_at=issued_at, expires_at=expires_at)
    token = TOKENS.issue(REFRESH, issued)
    assert same(issued, token)
    read = jwt.decode(token, SECRET, ["HS256"], options=DECODE)
    signed_by_pyjwt = jwt.encode(read, SECRET, "HS256", headers={"typ": "rt+jwt"})
    assert said(TOKENS.verify_ignoring_time(REFRESH, signed_by_pyjwt)) == said(issued)


values = st.one_of(
    exact,
    st.integers(),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.none(),
    st.booleans(),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
GOOD = {"sub": "7", "sid": base64url(bytes(20)), "gen": 1, "iat": NOW, "exp": NOW + 300}


@st.composite
def objects(draw, good):
    """Return a JSON object as text: a valid one with a few members added, changed, removed or repeated."""
    names = st.sampled_from([*good, "nbf", "iss", "aud", "jti", "kid", "crit", "alg", "x"])
    members = list(good.items())
    for change in draw(st.lists(st.sampled_from(["add", "change", "drop", "double"]), max_size=2)):
        at = draw(st.integers(0, max(0, len(members) - 1)))
        if change == "add":
            members.insert(at, (draw(names), draw(values)))
        elif members and change == "change":
            members[at] = (members[at][0], draw(values))
        elif members and change == "drop":
            del members[at]
        elif members:
            members.append(members[at])
    space = draw(st.sampled_from(["", " ", "\n"]))
    return "{" + f",{space}".join(f"{json.dumps(name)}:{space}{json.dumps(value)}" for name, value in members) + "}"


@settings(max_examples=300, deadline=None, database=None)
@given(objects({"alg": "HS256", "typ": "at+jwt"}), objects(GOOD))
def test_pyjwt_reads_the_same_claims_in_every_accepted_token(header, payload):
    token = signed(header, payload)
    try:
        accepted = TOKENS.verify(ACCESS, token, NOW)
    except TokenError:
        return
    assert same(accepted, token)


def test_pyjwt_reads_a_valid_token_with_spaces():
    token = signed('{"alg":"HS256", "typ":"at+jwt"}', json.dumps(GOOD))
    assert same(TOKENS.verify(ACCESS, token, NOW), token)


def test_session_row_is_read_as_sqlite_stores_it():
    stored = _engine.Session.stored(
        3, True, None, None, None, None, "2026-01-31 23:59:59", "2024-02-29 00:00:00", "2026-02-28 00:00:01.5"
    )
    assert (stored.generation, stored.end_is_fixed, stored.acknowledged_at) == (3, True, None)
    times = [
        datetime.fromtimestamp(at, timezone.utc) for at in (stored.rotated_at, stored.created_at, stored.expires_at)
    ]
    assert [f"{at:%Y-%m-%d %H:%M:%S}" for at in times] == [
        "2026-01-31 23:59:59",
        "2024-02-29 00:00:00",
        "2026-02-28 00:00:01",
    ]
    assert (stored.auth_time, stored.locks_at) == (None, None)
    optional = ["1970-01-01 00:00:09", "1970-01-01 00:00:08", "1970-01-01 00:00:07"]
    seen = _engine.Session.stored(1, False, *optional, "", *["1970-01-01 00:00:00"] * 3)
    assert (seen.acknowledged_at, seen.auth_time, seen.locks_at, seen.expires_at) == (9, 8, 7, 0)
    assert (stored.needs_device, seen.needs_device) == (False, True)


@pytest.mark.parametrize("flag", [0, 1])
def test_session_row_is_read_as_other_drivers_return_it(flag):
    moment = datetime(2026, 1, 31, 23, 59, 59, 999_999)
    aware = moment.replace(tzinfo=timezone(timedelta(hours=-5)))
    stored = _engine.Session.stored(3, flag, None, moment, aware, None, moment, aware, moment)
    assert (stored.generation, stored.end_is_fixed) == (3, bool(flag))
    utc, later = timegm(moment.timetuple()), timegm(moment.timetuple()) + 5 * 3600
    assert (stored.acknowledged_at, stored.auth_time, stored.locks_at) == (None, utc, later)
    assert (stored.rotated_at, stored.created_at, stored.expires_at) == (utc, later, utc)


@pytest.mark.parametrize("flag", [None, 2, -1, "1"])
def test_another_value_than_a_boolean_is_refused(flag):
    with pytest.raises(ValueError, match="not a boolean as Django stores it"):
        _engine.Session.stored(1, flag, None, None, None, None, *["1970-01-01 00:00:00"] * 3)


DAY = 86_400
zones = st.none() | st.integers(1 - DAY, DAY - 1).map(lambda seconds: timezone(timedelta(seconds=seconds)))


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), zones)
def test_every_time_as_a_driver_returns_it_is_read(moment, zone):
    assert _engine.stored_seconds(str(moment)) == timegm(moment.timetuple())
    moment = moment.replace(tzinfo=zone)
    assert _engine.stored_seconds(moment) == timegm(moment.utctimetuple())


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-01-31",
        "2026-02-29 00:00:00",
        "2026-01-31 24:00:00",
        "2026-01-31 23:59:59.5x",
        "2026-01-31 23:59:59.5+02:00",
        "2026-01-31 23:59:59+00:00",
        "2026-1-31 23:59:59Z",
        "1969-12-31 23:59:59",
        "2026-01-31 23:59:5é",
        "\ud800",
        datetime(1969, 12, 31, 23, 59, 59),
        datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        date(2026, 1, 31),
        1_800_000_000,
        None,
    ],
)
def test_time_in_another_format_is_refused(value):
    with pytest.raises(ValueError, match=r"a time as Django stores it|surrogates not allowed"):
        _engine.stored_seconds(value)


@pytest.mark.parametrize("method", ["GET", "POST", "CONNECT"])
def test_request_without_cookie_and_authorization_is_anonymous(method):
    # The middleware relies on this and does not call the engine.
    meta = {"HTTP_ORIGIN": "https://elsewhere.example", "HTTP_UPGRADE": "websocket", "CONTENT_LENGTH": "x"}
    meta |= {"HTTP_X_JWTAUTH_RENDER_SECRET": "wrong", "HTTP_SEC_FETCH_SITE": "cross-site"}
    options = {"version": "HTTP/2", "cookies": None, "is_trusted": False, "own": lambda: None, "now": NOW}
    assert repr(SITE.identify(meta, method=method, **options)) == repr(_engine.Identity())
