"""The attack corpus of ``testdata/attacks.json`` through the binding and the middleware; other libraries as oracles.

The engine's own tests read the same file.
"""

import base64
import json
import subprocess
import sys
import warnings
from pathlib import Path

import jwt
import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk as jose_keys
from joserfc import jws
from joserfc.errors import JoseError

from jwtauth import _engine
from jwtauth.exceptions import EngineConfigurationError, TokenError
from jwtauth.middleware import JWTAuthMiddleware

ROOT = Path(__file__).parents[1]
CORPUS = json.loads((ROOT / "testdata/attacks.json").read_text())
NOW = CORPUS["now"]
KINDS = {"access": _engine.TokenKind.ACCESS, "refresh": _engine.TokenKind.REFRESH}


def pem(name, form):
    return (ROOT / f"testdata/keys/{name}.{form}.pem").read_bytes()


def tokens_of(ring):
    key = pem(ring["file"], "pkcs8") if "file" in ring else ring["secret"].encode()
    signing = _engine.SigningKey.read(key, algorithm=ring["algorithm"])
    others = [_engine.VerifyingKey.read(pem(name, "spki"), algorithm=alg) for alg, name in ring["verifying"]]
    names = {"issuer": ring.get("issuer"), "audience": ring.get("audience", [])}
    return _engine.Tokens(_engine.Keyring(signing, others), **names)


RINGS = {name: tokens_of(ring) for name, ring in CORPUS["rings"].items()}


def token_of(case):
    token = case["token"]
    return token if isinstance(token, str) else token["repeat"] * token["count"]


def rows():
    return sorted({case["row"] for case in CORPUS["refused"]})


@pytest.mark.parametrize("row", rows())
def test_engine_refuses_every_token_of_the_row_with_its_code(row):
    for case in CORPUS["refused"]:
        if case["row"] == row:
            with pytest.raises(TokenError) as refused:
                RINGS[case["ring"]].verify(KINDS[case["kind"]], token_of(case), NOW)
            assert refused.value.code == case["code"], case["what"]
            assert token_of(case)[:50] not in str(refused.value)


@pytest.mark.django_db  # some are valid for another ring, and name a session that does not exist
@pytest.mark.parametrize("row", rows())
@override_settings(JWTAUTH={"SIGNING_KEY": CORPUS["rings"]["secret"]["secret"]})
def test_request_with_a_refused_token_is_anonymous(row):
    middleware = JWTAuthMiddleware(lambda request: HttpResponse(str(request.user)))
    for case in CORPUS["refused"]:
        if case["row"] == row:
            token = token_of(case)[:100_000]
            for name in ("access_token", "refresh_token"):
                request = RequestFactory().get("/")
                request.COOKIES[name] = token
                response = middleware(request)
                assert (response.status_code, response.content) == (200, b"AnonymousUser"), case["what"]
            response = middleware(RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"}))
            assert response.content == b"AnonymousUser", case["what"]


def test_every_ring_accepts_the_valid_tokens_of_the_corpus():
    for case in CORPUS["accepted"]:
        claims = RINGS[case["ring"]].verify(KINDS[case["kind"]], case["token"], NOW)
        assert (claims.subject, claims.generation) == ("42", 3)


def test_every_invalid_key_is_refused_with_its_code():
    for case in CORPUS["keys"]:
        key = _engine.SigningKey if case["use"] == "sign" else _engine.VerifyingKey
        with pytest.raises(EngineConfigurationError) as refused:
            key.read(case["key"].encode(), algorithm=case["algorithm"])
        assert refused.value.code == case["code"] or case["code"] is None, case["what"]


@pytest.mark.parametrize("name", ["attacks.py", "dpop_attacks.py"])
def test_attacks_are_up_to_date_with_their_script(name):
    script = [sys.executable, str(ROOT / "scripts" / name), "--check"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- other libraries


PAIRS = {
    algorithm: _engine.generate_key(algorithm, key_id="k")
    for algorithm in _engine.algorithms()
    if algorithm != "Ed25519"
}
VERIFIERS = {
    algorithm: _engine.Tokens(_engine.Keyring(_engine.SigningKey.read(private.encode(), algorithm=algorithm)))
    for algorithm, (_pem, private, _public) in PAIRS.items()
}
PYJWT = {algorithm: jwt.PyJWK(json.loads(public or private)) for algorithm, (_, private, public) in PAIRS.items()}
JOSE = {
    algorithm: jose_keys.import_key(json.loads(public or private)) for algorithm, (_, private, public) in PAIRS.items()
}
SIGNERS = {algorithm: jwt.PyJWK(json.loads(private)) for algorithm, (_pem, private, _public) in PAIRS.items()}


DECODE = {"verify_exp": False, "verify_nbf": False, "verify_aud": False, "verify_iat": False}


def both_accept(token, algorithm):
    """Return whether PyJWT and joserfc accept the signature."""
    try:
        jwt.decode_complete(token, PYJWT[algorithm].key, [algorithm], options=DECODE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joserfc: EdDSA has another name since RFC 9864
            jws.deserialize_compact(token, JOSE[algorithm], algorithms=[algorithm])
    except (jwt.InvalidTokenError, JoseError, ValueError):
        return False
    return True


@pytest.mark.parametrize("algorithm", PAIRS)
@settings(max_examples=15, deadline=None, database=None)
@given(subject=st.text(max_size=20), generation=st.integers(0, 2**53 - 1), plan=st.text(max_size=10))
def test_tokens_of_the_engine_and_of_pyjwt_are_accepted_by_each_other(algorithm, subject, generation, plan):
    claims = _engine.Claims(
        subject=subject,
        sid=_engine.Sid.generate(NOW),
        generation=generation,
        issued_at=NOW,
        expires_at=NOW + 300,
        custom=json.dumps({"plan": plan}),
    )
    token = VERIFIERS[algorithm].issue(_engine.TokenKind.ACCESS, claims)
    assert both_accept(token, algorithm)
    said = jwt.decode(token, options={"verify_signature": False})
    assert said["plan"] == plan
    header = jwt.get_unverified_header(token)
    signed_by_pyjwt = jwt.encode(said, SIGNERS[algorithm].key, algorithm, headers=header)
    read = VERIFIERS[algorithm].verify(_engine.TokenKind.ACCESS, signed_by_pyjwt, NOW)
    assert (read.subject, read.generation, read.custom) == (subject, generation, {"plan": plan})


@pytest.mark.parametrize("algorithm", PAIRS)
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_changed_token_that_the_engine_accepts_is_accepted_by_other_libraries(algorithm, data):
    claims = {
        "sub": "7",
        "sid": base64.urlsafe_b64encode(bytes(20)).decode()[:27],
        "gen": 1,
        "iat": NOW,
        "exp": NOW + 300,
    }
    header = {"typ": "at+jwt", **({} if algorithm.startswith("HS") else {"kid": "k"})}
    token = jwt.encode(claims, SIGNERS[algorithm].key, algorithm, headers=header)
    assert VERIFIERS[algorithm].verify(_engine.TokenKind.ACCESS, token, NOW).subject == "7"
    changed = list(token)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        change = data.draw(st.sampled_from('ABab01-_.=+/ \n{"' + "é"))
        how = data.draw(st.sampled_from(["replace", "insert", "delete"]))
        changed[at : at + (how != "insert")] = [] if how == "delete" else [change]
    changed = "".join(changed)
    try:
        VERIFIERS[algorithm].verify(_engine.TokenKind.ACCESS, changed, NOW)
    except TokenError:
        return
    assert both_accept(changed, algorithm)
