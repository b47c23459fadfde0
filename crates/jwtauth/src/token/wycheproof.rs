//! Tests with the vectors of Project Wycheproof, and the table of their results.
//!
//! The JWS vectors have other claims and another `typ` than jwtauth's tokens, so those two checks are skipped.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use wycheproof_ng_ecdsa::TestName as Ecdsa;
use wycheproof_ng_eddsa::TestName as Eddsa;
use wycheproof_ng_kdf_jose::json_web::TestName as JsonWeb;
use wycheproof_ng_rsa_signature::{rsa_pkcs1_verify::TestName as Pkcs1, rsa_pss_verify::TestName as Pss};

use super::*;
use crate::{Algorithm, GeneratedKey, KeyError};

/// Vectors of JWS and JWK whose label differs from the result of a strict verifier, and why.
const EXCEPTIONS: [(&str, u64, &str); 12] = [
    ("JWS", 346, "valid, but the header says PS384 and the key PS256: a key is for one algorithm (RFC 8725 §3.1)"),
    ("JWS", 350, "the same"),
    ("JWS", 347, "valid, with a key of alg ES521, which is not an algorithm"),
    ("JWS", 351, "the same"),
    ("JWS", 367, "labelled invalid, but the token is well-formed and its signature is right"),
    ("JWS", 370, "the same"),
    ("JWS", 372, "labelled valid, but a part contains a question mark, which base64url does not allow"),
    ("JWS", 373, "the same"),
    (
        "JWK",
        1,
        "a secret and a public key in one ring: each is for one algorithm, so neither is accepted in place of the other",
    ),
    ("JWK", 7, "an RSA key with the ROCA weakness, for which the engine does not check"),
    ("crypto", 46, "the key of JWK 7"),
    ("crypto", 47, "the keys of JWK 1"),
];

/// The results for the vectors of one algorithm.
#[derive(Default)]
struct Passed {
    accepted: usize,
    refused: usize,
    exceptions: usize,
}

fn groups(json: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(json).unwrap()["testGroups"].as_array().unwrap().clone()
}

/// Return the verifier of a group, with its public keys or secrets. Each JWK names its algorithm.
fn verifier(group: &Value) -> Result<Verifier, KeyError> {
    let keys = group.get("public").or(group.get("private")).unwrap();
    let keys = keys["keys"].as_array().cloned().unwrap_or_else(|| vec![keys.clone()]);
    let read = |jwk: &Value| VerifyingKey::read(algorithm_of(jwk)?, jwk.to_string().as_bytes());
    let keys = keys.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Verifier::new(VerifyingKeys::new(keys)?, Profile::default()).unwrap())
}

/// Return the JWK's algorithm. If it names none, assume the usual one, so that `use` and `key_ops` are what refuses the
/// key.
fn algorithm_of(jwk: &Value) -> Result<Algorithm, KeyError> {
    let usual = if jwk["kty"] == "EC" { "ES256" } else { "RS256" };
    jwk["alg"].as_str().unwrap_or(usual).parse()
}

/// Verify each vector of these groups of JWS, and compare the result with its label.
fn jws(set: &'static str, groups: &[Value], passed: &mut BTreeMap<&'static str, Passed>) {
    for group in groups {
        let verifier = verifier(group);
        for test in group["tests"].as_array().unwrap() {
            let Some(token) = test["jws"].as_str() else { continue };
            let accepted = verifier.as_ref().is_ok_and(|verifier| verifier.signed_payload(None, token).is_ok());
            let (id, valid) = (test["tcId"].as_u64().unwrap(), test["result"] == "valid");
            let excepted = EXCEPTIONS.iter().any(|(other, number, _)| (*other, *number) == (set, id));
            assert_eq!(accepted == valid, !excepted, "{set} {id}: {} in {}", test["comment"], group["comment"]);
            count(passed, verifier.as_ref().ok(), accepted, excepted);
        }
    }
}

fn count(passed: &mut BTreeMap<&'static str, Passed>, verifier: Option<&Verifier>, accepted: bool, excepted: bool) {
    let name =
        verifier.and_then(|verifier| verifier.keys().iter().next()).map_or("none", |key| key.algorithm().as_str());
    let passed = passed.entry(name).or_default();
    match (excepted, accepted) {
        (true, _) => passed.exceptions += 1,
        (false, true) => passed.accepted += 1,
        (false, false) => passed.refused += 1,
    }
}

/// Verify the vectors of a primitive: signatures over bytes.
fn signatures(algorithm: Algorithm, json: &str, passed: &mut BTreeMap<&'static str, Passed>) {
    let bytes = |value: &Value| {
        let hex = value.as_str().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect::<Vec<_>>()
    };
    for group in groups(json) {
        let key = VerifyingKey::read(algorithm, group["publicKeyPem"].as_str().unwrap().as_bytes()).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let accepted = key.verifies(&bytes(&test["msg"]), &bytes(&test["sig"]));
            // "acceptable" marks PKCS#1 without its NULL, which a verifier may accept.
            if test["result"] != "acceptable" {
                assert_eq!(accepted, test["result"] == "valid", "{algorithm} {}: {}", test["tcId"], test["comment"]);
            }
            let passed = passed.entry(algorithm.as_str()).or_default();
            *(if accepted { &mut passed.accepted } else { &mut passed.refused }) += 1;
        }
    }
}

#[test]
fn vectors_match_their_labels_and_the_documented_table() {
    let (mut tokens, mut primitives) = (BTreeMap::new(), BTreeMap::new());
    jws("JWS", &groups(JsonWeb::JsonWebSignature.json_data()), &mut tokens);
    jws("JWK", &groups(JsonWeb::JsonWebKey.json_data()), &mut tokens);
    jws("crypto", &groups(JsonWeb::JsonWebCrypto.json_data()), &mut tokens);
    for (algorithm, json) in [
        (Algorithm::Rs256, Pkcs1::Rsa2048Sha256.json_data()),
        (Algorithm::Rs384, Pkcs1::Rsa2048Sha384.json_data()),
        (Algorithm::Rs512, Pkcs1::Rsa2048Sha512.json_data()),
        (Algorithm::Ps256, Pss::RsaPss2048Sha256Mgf1SaltLen32.json_data()),
        (Algorithm::Ps384, Pss::RsaPss2048Sha384Mgf1SaltLen48.json_data()),
        (Algorithm::Ps512, Pss::RsaPss4096Sha512Mgf1SaltLen64.json_data()),
        (Algorithm::Es256, Ecdsa::EcdsaSecp256r1Sha256P1363.json_data()),
        (Algorithm::Es384, Ecdsa::EcdsaSecp384r1Sha384P1363.json_data()),
        (Algorithm::EdDsa, Eddsa::Ed25519.json_data()),
        (Algorithm::Ed25519, Eddsa::Ed25519.json_data()),
    ] {
        signatures(algorithm, json, &mut primitives);
    }

    let mut table =
        "| Algorithm | JWS and JWK: accepted, refused | excepted | Primitive: accepted, refused | Own tokens: \
                     signed, verified |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for algorithm in Algorithm::ALL {
        let (tokens, primitive) = (tokens.remove(algorithm.as_str()), primitives.remove(algorithm.as_str()));
        let pair = |passed: &Passed| format!("{}, {}", passed.accepted, passed.refused);
        let tokens = tokens.unwrap_or_default();
        let cell = primitive.as_ref().map_or("–".to_owned(), pair);
        let own = own_tokens(algorithm);
        writeln!(table, "| {algorithm} | {} | {} | {cell} | {own}, {own} |", pair(&tokens), tokens.exceptions).unwrap();
    }
    let Passed { refused, exceptions, .. } = tokens.remove("none").unwrap();
    writeln!(table, "| keys that are refused | 0, {refused} | {exceptions} | – | – |\n\nThe exceptions:\n").unwrap();
    for (set, id, why) in EXCEPTIONS {
        writeln!(table, "- {set} {id}: {why}.").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/vectors-table.md");
    if std::env::var_os("JWTAUTH_WRITE_TABLES").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert!(tokens.is_empty() && primitives.is_empty());
    // A published package contains the vectors but not the documentation. `testdata` is a symbolic link only in a
    // checkout.
    if std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata")).is_symlink() {
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            table,
            "run the test with JWTAUTH_WRITE_TABLES=1 to update the table"
        );
    }
}

/// Issue tokens of both kinds with a new key of this algorithm. They must verify, and must be refused after one bit
/// changes.
fn own_tokens(algorithm: Algorithm) -> usize {
    let made = GeneratedKey::new(algorithm, None).unwrap();
    let key = SigningKey::read(algorithm, made.expose_jwk().as_bytes()).unwrap();
    let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
    let second = UnixTime::from_secs;
    let mut count = 0;
    for kind in [TokenKind::Access, TokenKind::Refresh] {
        for generation in (1..=10).map(Generation::new) {
            let sid = Sid::from_bytes([7; 20]);
            let custom = CustomClaims::from_json(&json!({"plan": "pro"}).to_string()).unwrap();
            let claims = Claims::new("42", sid, generation, second(1), second(3)).with_custom(custom);
            let token = tokens.issue(kind, &claims).unwrap();
            assert_eq!(tokens.verify(kind, &token, second(2)), Ok(claims));
            let (message, signature) = token.rsplit_once('.').unwrap();
            let mut signature = decode(signature).unwrap();
            signature[0] ^= 1;
            let forged = format!("{message}.{}", BASE64URL.encode(signature));
            assert_eq!(tokens.verify(kind, &forged, second(2)), Err(VerifyError::BadSignature));
            count += 1;
        }
    }
    count
}
