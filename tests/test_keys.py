"""Keys of every algorithm, their replacement while users are signed in, and the published JWK Set."""

import base64
import json
import secrets
from io import StringIO
from itertools import pairwise
from pathlib import Path

import jwt
import pytest
from django.core.management import CommandError, call_command
from django.core.management.utils import get_random_secret_key
from django.test import override_settings

from jwtauth import _engine, conf
from tests.conftest import ACCESS_LIFETIME, Browser, only_session

pytestmark = pytest.mark.django_db

ALGORITHMS = _engine.algorithms()
PAIRS = [algorithm for algorithm in ALGORITHMS if not algorithm.startswith("HS")]
KEYS = Path(__file__).parents[1] / "testdata/keys"
FILES = {"RS": "rsa-2048", "PS": "rsa-2048", "ES256": "p-256", "ES384": "p-384", "Ed": "ed25519"}


def file(algorithm, form):
    stem = FILES.get(algorithm) or FILES[algorithm[:2]]
    return (KEYS / f"{stem}.{form}.pem").read_text()


def signing_key(algorithm):
    return "s" * 64 if algorithm.startswith("HS") else file(algorithm, "pkcs8")


def using(algorithm="HS256", **settings):
    return override_settings(JWTAUTH={"ALGORITHM": algorithm, "SIGNING_KEY": signing_key(algorithm), **settings})


def header(token):
    return jwt.get_unverified_header(token)


def jwk_set(browser):
    response = browser.get("/auth/jwks.json")
    assert response.status_code == 200
    return response, response.json()


# --- every algorithm


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_login_refresh_and_logout_work_with_every_algorithm(algorithm, browser, ada, clock):
    with using(algorithm):
        browser.sign_in(ada)
        assert browser.who() == "ada"
        assert header(browser.token("access_token"))["alg"] == algorithm
        clock.advance(ACCESS_LIFETIME + 1)
        assert browser.get("/me/session/").json()["refreshed"] is True
        assert browser.who() == "ada"
        browser.post("/logout/")
        assert browser.who() is None


@pytest.mark.parametrize("algorithm", PAIRS)
def test_other_libraries_verify_tokens_with_the_published_keys(algorithm, browser, ada):
    with using(algorithm, ISSUER="https://example.com"):
        browser.sign_in(ada)
        token = browser.token("access_token")
        _response, published = jwk_set(browser)
    if algorithm == "Ed25519":  # PyJWT knows the name, but does not find it in a set
        published["keys"][0]["alg"] = "EdDSA"
    key = jwt.PyJWKSet.from_dict(published)[header(token)["kid"]]
    if algorithm == "Ed25519":
        assert header(token)["alg"] == "Ed25519"
        return
    assert jwt.decode(token, key.key, [algorithm], issuer="https://example.com")["sub"] == str(ada.pk)


def test_token_signed_with_another_algorithm_of_the_same_key_is_refused(browser, ada):
    with using("RS256"):
        browser.sign_in(ada)
    with using("PS256"):
        assert browser.who() is None


def test_eddsa_and_ed25519_accept_each_other_s_tokens(browser, ada):
    with using("EdDSA"):
        browser.sign_in(ada)
    with using("Ed25519"):
        assert browser.who() == "ada"


# --- a change of keys


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_replacing_the_key_in_three_steps_signs_no_user_out(algorithm, browser, ada, clock):
    _pem, old, old_public = _engine.generate_key(algorithm, key_id="old")
    _pem, new, new_public = _engine.generate_key(algorithm, key_id="new")
    before = {"ALGORITHM": algorithm, "SIGNING_KEY": old, "VERIFYING_KEYS": []}
    publish = {**before, "VERIFYING_KEYS": [new_public or new]}
    switch = {**before, "SIGNING_KEY": new, "VERIFYING_KEYS": [old_public or old]}
    retire = {**before, "SIGNING_KEY": new}
    with override_settings(JWTAUTH=before):
        browser.sign_in(ada)
    for step, signed_by in [(publish, "old"), (switch, "new"), (retire, "new")]:
        with override_settings(JWTAUTH=step):
            assert browser.who() == "ada"
            clock.advance(ACCESS_LIFETIME + 1)
            assert browser.who() == "ada"  # refreshed: the signing key has now signed both tokens
            if step is not retire or algorithm != "HS256":
                assert {header(token)["kid"] for token in browser.tokens().values()} == {signed_by}
    assert only_session().generation == 4


@pytest.mark.parametrize("names", [{}, {"ISSUER": "https://example.com"}], ids=["keys alone", "with an issuer"])
def test_change_from_secret_key_to_a_key_pair_signs_no_user_out(browser, ada, clock, settings, names):
    browser.sign_in(ada)
    pair = {"ALGORITHM": "EdDSA", "SIGNING_KEY": file("Ed", "pkcs8"), **names}
    older = {"VERIFYING_KEYS": [("HS256", settings.SECRET_KEY)], "ISSUER_FALLBACKS": [None]}
    with override_settings(JWTAUTH={**pair, **older}):
        assert browser.who() == "ada"
        clock.advance(ACCESS_LIFETIME + 1)
        assert browser.who() == "ada"
        assert header(browser.token("refresh_token"))["alg"] == "EdDSA"
    with override_settings(JWTAUTH=pair):
        assert browser.who() == "ada"


def test_token_of_a_retired_key_is_refused(browser, ada):
    with override_settings(JWTAUTH={"SIGNING_KEY": "o" * 32}):
        browser.sign_in(ada)
    with override_settings(JWTAUTH={"SIGNING_KEY": "n" * 32, "VERIFYING_KEYS": ["x" * 32]}):
        assert browser.who() is None


# --- a change of issuer or audience

OLD, NEW = "https://old.example", "https://new.example"
STEPS = {
    "new issuer": [{}, {"ISSUER": NEW, "ISSUER_FALLBACKS": [None]}, {"ISSUER": NEW}],
    "changed issuer": [
        {"ISSUER": OLD},
        {"ISSUER": OLD, "ISSUER_FALLBACKS": [NEW]},
        {"ISSUER": NEW, "ISSUER_FALLBACKS": [OLD]},
        {"ISSUER": NEW},
    ],
    "removed issuer": [{"ISSUER": OLD}, {"ISSUER": OLD, "ISSUER_FALLBACKS": [None]}, {}],
    "new audience": [
        {},
        {"AUDIENCE_FALLBACKS": [NEW]},
        {"AUDIENCE": NEW, "AUDIENCE_FALLBACKS": [None]},
        {"AUDIENCE": NEW},
    ],
    "changed audience": [
        {"AUDIENCE": OLD},
        {"AUDIENCE": OLD, "AUDIENCE_FALLBACKS": [NEW]},
        {"AUDIENCE": [NEW, "shop"], "AUDIENCE_FALLBACKS": [OLD]},
        {"AUDIENCE": [NEW, "shop"]},
    ],
    "removed audience": [
        {"AUDIENCE": OLD},
        {"AUDIENCE": OLD, "AUDIENCE_FALLBACKS": [None]},
        {"AUDIENCE_FALLBACKS": [OLD]},
        {},
    ],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_changing_issuer_or_audience_in_steps_signs_no_user_out(steps, browser, ada, clock):
    with using(**steps[0]):
        browser.sign_in(ada)
    for before, after in pairwise(steps):
        with using(**after):
            assert browser.who() == "ada"  # with the access token of the step before
            clock.advance(ACCESS_LIFETIME + 1)
            assert browser.get("/me/session/").json()["refreshed"] is True
        with using(**before):  # a worker that still has the settings before
            assert browser.who() == "ada"
            clock.advance(ACCESS_LIFETIME + 1)
            assert browser.get("/me/session/").json()["refreshed"] is True
        with using(**after):
            assert browser.who() == "ada"
            clock.advance(ACCESS_LIFETIME + 1)
            assert browser.get("/me/session/").json()["refreshed"] is True


@pytest.mark.parametrize("changed", [{"ISSUER": NEW}, {"AUDIENCE": NEW}], ids=lambda changed: next(iter(changed)))
def test_fallbacks_set_after_a_new_issuer_or_audience_accept_old_tokens_again(changed, browser, ada, clock):
    (name,) = changed
    with using():
        browser.sign_in(ada)
        clock.advance(ACCESS_LIFETIME + 1)
    with using(**changed):
        assert browser.who() is None
    with using(**changed, **{f"{name}_FALLBACKS": [None]}):
        assert browser.who() == "ada"  # the refused cookies were not cleared


def test_bearer_tokens_and_refresh_tokens_of_a_former_issuer_are_accepted(browser, ada):
    credentials = {"username": "ada", "password": "old password"}
    with using():
        pair = browser.post("/auth/token/", credentials, content_type="application/json").json()
    with using(ISSUER=NEW, ISSUER_FALLBACKS=[None]):
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {pair['access']}"}
        assert browser.get("/auth/me/", **bearer).json()["user"]["username"] == "ada"
        refreshed = browser.post("/auth/token/refresh/", {"refresh": pair["refresh"]}, content_type="application/json")
        assert refreshed.status_code == 200
        assert jwt.decode(refreshed.json()["access"], options={"verify_signature": False})["iss"] == NEW


# --- the text of a key, as deployment tools pass it


@pytest.mark.parametrize(
    "carried",
    [
        lambda pem: pem.strip().replace("\n", "\\n"),
        lambda pem: '"' + pem.strip().replace("\n", "\\n") + '"',
        lambda pem: pem.replace("\n", "\r\n").encode(),
        lambda pem: " ".join(pem.split()),
        lambda pem: "".join(pem.split()),
        lambda pem: "".join(f"        {line}  \n" for line in pem.splitlines()),
        lambda pem: "\ufeffBag Attributes\n    friendlyName: a\n" + pem + "# the end\n",
        lambda pem: file("RS256", "certificate") + pem,
        lambda pem: json.dumps({"private_key": pem}),
    ],
)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_key_pair_is_read_in_every_text_form(algorithm, carried, browser, ada):
    private, public = carried(file(algorithm, "pkcs8")), carried(file(algorithm, "certificate"))
    with override_settings(JWTAUTH={"ALGORITHM": algorithm, "SIGNING_KEY": private}):
        browser.sign_in(ada)
        assert browser.who() == "ada"
    if not (isinstance(public, str) and public.count("BEGIN") > 1):
        with override_settings(JWTAUTH={"VERIFYING_KEYS": [(algorithm, public)]}):
            assert browser.who() == "ada"


def test_first_certificate_of_a_chain_verifies(settings):
    chain = "".join((KEYS / f"chain.{name}.pem").read_text() for name in ("leaf", "issuer", "root"))
    with override_settings(JWTAUTH={"VERIFYING_KEYS": [("ES256", chain)]}):
        shown, _ = run("jwtauth_keys")
    leaf = _engine.VerifyingKey.read((KEYS / "chain.leaf-spki.pem").read_bytes(), algorithm="ES256")
    assert leaf.id in shown


@pytest.mark.parametrize("setting", ["SECRET_KEY", "SIGNING_KEY", "VERIFYING_KEYS"])
@pytest.mark.parametrize(
    "key",
    [
        json.dumps({"keys": [json.loads(_engine.generate_key("ES256")[2])]}),
        file("RS256", "spki"),
        "".join(file("RS256", "spki").splitlines()[1:-1]),
        base64.b64encode(file("EdDSA", "certificate").encode()).decode(),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJpwNBhB7l0JFwqjBKyzZ6SJmTJdMSV9fT7kHMJSlA0p me",
    ],
)
def test_public_key_is_refused_as_an_hmac_secret(setting, key):
    jwtauth = {"SECRET_KEY": {}, "SIGNING_KEY": {"SIGNING_KEY": key}, "VERIFYING_KEYS": {"VERIFYING_KEYS": [key]}}
    django = {"SECRET_KEY": key} if setting == "SECRET_KEY" else {}
    with override_settings(JWTAUTH=jwtauth[setting], **django):
        (problem,) = conf.problems()
        assert problem.id == "jwtauth.E004"
        assert " is not an HMAC secret" in problem.message
        assert key not in str(problem)


def test_jwk_set_as_a_dict_is_refused_as_an_hmac_secret():
    published = {"keys": [json.loads(_engine.generate_key("EdDSA")[2])]}
    with override_settings(JWTAUTH={"SIGNING_KEY": published}):
        (problem,) = conf.problems()
        assert problem.message == "JWTAUTH['SIGNING_KEY']: a JWK Set is not an HMAC secret."


@pytest.mark.parametrize(
    "key",
    [
        get_random_secret_key(),
        "django-insecure-" + get_random_secret_key(),
        secrets.token_urlsafe(50),
        secrets.token_hex(64),
        base64.b64encode(secrets.token_bytes(64)).decode(),
        "{" + get_random_secret_key() + "}",
        json.dumps({"SECRET": get_random_secret_key()}),
    ],
    ids=["Django's", "startproject's", "token_urlsafe", "token_hex", "base64", "in braces", "JSON"],
)
def test_random_text_is_accepted_as_an_hmac_secret(key, browser, ada):
    with override_settings(SECRET_KEY=key, JWTAUTH={}):
        assert conf.problems() == []
        browser.sign_in(ada)
        assert browser.who() == "ada"


# --- the published set


def test_jwk_set_is_public_and_cacheable(browser, ada, clock):
    with using("ES256"):
        browser.sign_in(ada)
        for client in (Browser(), browser):
            response, published = jwk_set(client)
            assert response["Content-Type"] == "application/jwk-set+json"
            assert set(response["Cache-Control"].split(", ")) == {"public", "max-age=300"}
            assert response["Access-Control-Allow-Origin"] == "*"
            assert [key["alg"] for key in published["keys"]] == ["ES256"]
        for accept in ("application/json", "application/jwk-set+json", "text/html", "x/y"):
            assert browser.get("/auth/jwks.json", HTTP_ACCEPT=accept).status_code == 200
        assert browser.post("/auth/jwks.json").status_code == 405


def test_jwk_set_response_that_sets_tokens_is_not_cacheable(browser, ada, clock):
    with using("ES256"):
        browser.sign_in(ada)
        clock.advance(ACCESS_LIFETIME + 1)
        response, _ = jwk_set(browser)
    assert "access_token" in response.cookies
    assert "no-store" in response["Cache-Control"]
    assert "public" not in response["Cache-Control"]


def test_jwk_set_contains_no_secret_and_no_private_key(browser):
    with using("HS256", VERIFYING_KEYS=["v" * 32]):
        assert jwk_set(browser)[1] == {"keys": []}
    public = {"alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"}
    for algorithm in PAIRS:
        with using(algorithm, VERIFYING_KEYS=[("HS256", "v" * 32), ("ES384", file("ES384", "spki"))]):
            keys = jwk_set(browser)[1]["keys"]
            assert {key["alg"] for key in keys} == {algorithm, "ES384"}
            assert all(set(key) <= public for key in keys)


# --- commands


def run(*arguments):
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_jwtauth_generate_key_prints_a_key_that_signs_tokens(algorithm, browser, ada):
    private, note = run("jwtauth_generate_key", algorithm)
    with override_settings(JWTAUTH={"ALGORITHM": algorithm, "SIGNING_KEY": private}):
        browser.sign_in(ada)
        assert browser.who() == "ada"
    if algorithm in PAIRS:
        assert private.startswith("-----BEGIN PRIVATE KEY-----\n")
        public = json.loads(note.splitlines()[1])
        assert "d" not in public
        with override_settings(JWTAUTH={"VERIFYING_KEYS": [(algorithm, public)]}):
            assert browser.who() == "ada"
    else:
        assert json.loads(private)["alg"] == algorithm
        assert note == ""


def test_jwtauth_generate_key_uses_the_given_key_id():
    private, note = run("jwtauth_generate_key", "ES256", "--format", "jwk", "--key-id", "2026-11")
    assert json.loads(private)["kid"] == json.loads(note.splitlines()[1])["kid"] == "2026-11"
    assert run("jwtauth_generate_key", "--verbosity", "0")[1] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "ALGORITHM must be one of HS256, "),
        (["HS256", "--format", "pem"], "uses a secret, which has no PEM"),
        (["ES256", "--key-id", "x"], "A PEM has no key id"),
        (["ES256", "--format", "jwk", "--key-id", "x" * 257], "a key id must have 1 to 256 bytes"),
    ],
)
def test_jwtauth_generate_key_refuses_invalid_options(arguments, message):
    with pytest.raises(CommandError, match=message):
        run("jwtauth_generate_key", *arguments)


def test_jwtauth_keys_lists_the_keys_without_secrets():
    with using("ES256", VERIFYING_KEYS=[("HS256", "v" * 32), ("EdDSA", file("Ed", "spki"))]):
        shown, _ = run("jwtauth_keys")
        published, _ = run("jwtauth_keys", "--jwks")
    assert [line.split("  ")[1:] for line in shown.splitlines()] == [
        ["ES256", "signs and verifies, in the JWK Set"],
        ["HS256", "verifies, a secret"],
        ["EdDSA", "verifies, in the JWK Set"],
    ]
    assert "vvv" not in shown
    assert [key["alg"] for key in json.loads(published)["keys"]] == ["ES256", "EdDSA"]
    with override_settings(JWTAUTH={"ALGORITHM": "ES256"}), pytest.raises(CommandError, match=r"jwtauth\.E004"):
        run("jwtauth_keys")
