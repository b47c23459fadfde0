//! Tests with the attack corpus of `testdata/attacks.json`, which the binding's tests read as well.

use serde_json::Value;

use super::*;
use crate::Algorithm;

fn corpus() -> Value {
    serde_json::from_str(include_str!("../../testdata/attacks.json")).unwrap()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

fn pem(name: &str, form: &str) -> Vec<u8> {
    std::fs::read(format!("{}/testdata/keys/{name}.{form}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn tokens(ring: &Value) -> Tokens {
    let algorithm: Algorithm = text(ring, "algorithm").parse().unwrap();
    let key = ring["file"].as_str().map_or_else(|| text(ring, "secret").into(), |name| pem(name, "pkcs8"));
    let others = list(ring, "verifying").iter().map(|pair| {
        let pem = pem(pair[1].as_str().unwrap(), "spki");
        VerifyingKey::read(pair[0].as_str().unwrap().parse().unwrap(), &pem).unwrap()
    });
    let ring_of_keys = Keyring::new(SigningKey::read(algorithm, &key).unwrap(), others).unwrap();
    let audience = ring.get("audience").map(|_| list(ring, "audience")).unwrap_or_default();
    let profile = Profile {
        issuer: ring["issuer"].as_str().map(str::to_owned),
        audience: audience.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        ..Profile::default()
    };
    Tokens::new(ring_of_keys, profile).unwrap()
}

fn kind(case: &Value) -> TokenKind {
    if text(case, "kind") == "refresh" { TokenKind::Refresh } else { TokenKind::Access }
}

#[test]
fn every_attacking_token_is_refused_with_its_code() {
    let corpus = corpus();
    let now = UnixTime::from_secs(corpus["now"].as_u64().unwrap());
    assert!(list(&corpus, "refused").len() > 600);
    for case in list(&corpus, "refused") {
        let tokens = tokens(&corpus["rings"][text(case, "ring")]);
        let token = case["token"].as_str().map_or_else(
            || text(&case["token"], "repeat").repeat(case["token"]["count"].as_u64().unwrap().try_into().unwrap()),
            str::to_owned,
        );
        let code = tokens.verify(kind(case), &token, now).as_ref().map_or_else(VerifyError::code, |_| "accepted");
        assert_eq!(code, text(case, "code"), "row {}, {}: {}", case["row"], text(case, "ring"), text(case, "what"));
        assert!(tokens.verifier().read_challenge(&token).is_err(), "row {}: {}", case["row"], text(case, "what"));
    }
}

#[test]
fn every_ring_accepts_its_valid_tokens() {
    let corpus = corpus();
    for case in list(&corpus, "accepted") {
        let tokens = tokens(&corpus["rings"][text(case, "ring")]);
        let claims = tokens
            .verify(kind(case), text(case, "token"), UnixTime::from_secs(corpus["now"].as_u64().unwrap()))
            .unwrap();
        assert_eq!((claims.subject.as_str(), claims.generation.get()), ("42", 3));
        assert_eq!(tokens.verifier().read_challenge(text(case, "token")), Err(VerifyError::WrongType));
    }
}

#[test]
fn every_attacking_key_is_refused_with_its_code() {
    let corpus = corpus();
    assert!(list(&corpus, "keys").len() > 40);
    for case in list(&corpus, "keys") {
        let (algorithm, key) = (text(case, "algorithm").parse().unwrap(), text(case, "key").as_bytes());
        let refused = match text(case, "use") {
            "sign" => SigningKey::read(algorithm, key).map(|_| ()).unwrap_err(),
            _ => VerifyingKey::read(algorithm, key).map(|_| ()).unwrap_err(),
        };
        if let Some(code) = case["code"].as_str() {
            assert_eq!(refused.code(), code, "row {}: {}", case["row"], text(case, "what"));
        }
    }
}
