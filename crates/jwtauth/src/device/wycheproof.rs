//! Tests with Project Wycheproof's vectors of the two primitives: a proof is as strict about signatures and keys.

use serde_json::Value;
use wycheproof_ng_ecdsa::TestName as Ecdsa;
use wycheproof_ng_rsa_signature::rsa_pkcs1_verify::TestName as Pkcs1;

use super::*;
use crate::{Algorithm, VerifyingKey};

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn key(algorithm: Algorithm, group: &Value) -> Result<DeviceKey, ProofError> {
    let pem = group["publicKeyPem"].as_str().unwrap();
    let jwk = VerifyingKey::read(algorithm, pem.as_bytes()).unwrap().public_jwk().unwrap();
    DeviceKey::from_jwk(algorithm, &serde_json::from_str(&jwk).unwrap())
}

/// Compare the result for each vector with its label.
fn check(algorithm: Algorithm, json: &str) {
    let (mut accepted, mut refused) = (0, 0);
    let set: Value = serde_json::from_str(json).unwrap();
    for group in set["testGroups"].as_array().unwrap() {
        let key = key(algorithm, group).unwrap();
        let stored = DeviceKey::parse(&key.to_text()).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let (message, signature) = (bytes(&test["msg"]), bytes(&test["sig"]));
            let signed = |key| DeviceProof {
                jws: ClientJws { message: message.clone(), signature: signature.clone(), algorithm, key },
                challenge: String::new(),
            };
            let registers = signed(Some(key.clone())).registration().is_ok();
            assert_eq!(registers, signed(None).verify(&stored).is_ok(), "{algorithm} {}", test["tcId"]);
            // "acceptable" marks PKCS#1 without its NULL, which a verifier may accept.
            if test["result"] != "acceptable" {
                assert_eq!(registers, test["result"] == "valid", "{algorithm} {}: {}", test["tcId"], test["comment"]);
            }
            *(if registers { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(accepted > 5 && refused > 80, "{algorithm}: {accepted}, {refused}");
}

#[test]
fn signatures_match_their_labels() {
    check(Algorithm::Es256, Ecdsa::EcdsaSecp256r1Sha256P1363.json_data());
    for vectors in [Pkcs1::Rsa2048Sha256, Pkcs1::Rsa3072Sha256, Pkcs1::Rsa4096Sha256] {
        check(Algorithm::Rs256, vectors.json_data());
    }
}

#[test]
fn rsa_keys_of_8192_bits_are_refused() {
    let set: Value = serde_json::from_str(Pkcs1::Rsa8192Sha256.json_data()).unwrap();
    assert_eq!(key(Algorithm::Rs256, &set["testGroups"][0]).unwrap_err(), ProofError::BadKey);
}
