//! Tests with Project Wycheproof's vectors of the primitives: proofs of devices, and of other clients (DPoP), are as strict
//! about signatures and keys.

use serde_json::Value;
use wycheproof_ng_ecdsa::TestName as Ecdsa;
use wycheproof_ng_eddsa::TestName as Eddsa;
use wycheproof_ng_rsa_signature::{rsa_pkcs1_verify::TestName as Pkcs1, rsa_pss_verify::TestName as Pss};

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

fn signed(algorithm: Algorithm, test: &Value, key: Option<&DeviceKey>) -> ClientJws {
    ClientJws { message: bytes(&test["msg"]), signature: bytes(&test["sig"]), algorithm, key: key.cloned() }
}

/// Compare the result for each vector with its label.
fn check(algorithm: Algorithm, json: &str, is_accepted: impl Fn(&DeviceKey, &Value) -> bool) {
    let (mut accepted, mut refused) = (0, 0);
    let set: Value = serde_json::from_str(json).unwrap();
    for group in set["testGroups"].as_array().unwrap() {
        let key = key(algorithm, group).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let is_accepted = is_accepted(&key, test);
            // "acceptable" marks PKCS#1 without its NULL, which a verifier may accept.
            if test["result"] != "acceptable" {
                assert_eq!(is_accepted, test["result"] == "valid", "{algorithm} {}: {}", test["tcId"], test["comment"]);
            }
            *(if is_accepted { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(accepted > 5 && refused > 40, "{algorithm}: {accepted}, {refused}");
}

/// Verify each vector as the proof of a device that registers, and as one of a device that is known.
fn check_devices(algorithm: Algorithm, json: &str) {
    check(algorithm, json, |key, test| {
        let stored = DeviceKey::parse(&key.to_text()).unwrap();
        let proof = |key| DeviceProof { jws: signed(algorithm, test, key), challenge: String::new() };
        let registers = proof(Some(key)).registration().is_ok();
        assert_eq!(registers, proof(None).verify(&stored).is_ok(), "{algorithm} {}", test["tcId"]);
        registers
    });
}

#[test]
fn signatures_match_their_labels() {
    check_devices(Algorithm::Es256, Ecdsa::EcdsaSecp256r1Sha256P1363.json_data());
    for vectors in [Pkcs1::Rsa2048Sha256, Pkcs1::Rsa3072Sha256, Pkcs1::Rsa4096Sha256] {
        check_devices(Algorithm::Rs256, vectors.json_data());
    }
}

#[test]
fn signatures_of_clients_match_their_labels() {
    for (algorithm, json) in [
        (Algorithm::Es256, Ecdsa::EcdsaSecp256r1Sha256P1363.json_data()),
        (Algorithm::Es384, Ecdsa::EcdsaSecp384r1Sha384P1363.json_data()),
        (Algorithm::EdDsa, Eddsa::Ed25519.json_data()),
        (Algorithm::Ed25519, Eddsa::Ed25519.json_data()),
        (Algorithm::Rs384, Pkcs1::Rsa2048Sha384.json_data()),
        (Algorithm::Rs512, Pkcs1::Rsa2048Sha512.json_data()),
        (Algorithm::Ps256, Pss::RsaPss2048Sha256Mgf1SaltLen32.json_data()),
        (Algorithm::Ps384, Pss::RsaPss2048Sha384Mgf1SaltLen48.json_data()),
        (Algorithm::Ps512, Pss::RsaPss4096Sha512Mgf1SaltLen64.json_data()),
    ] {
        check(algorithm, json, |key, test| signed(algorithm, test, Some(key)).verify(key).is_ok());
    }
}

#[test]
fn rsa_keys_of_8192_bits_are_refused() {
    let set: Value = serde_json::from_str(Pkcs1::Rsa8192Sha256.json_data()).unwrap();
    assert_eq!(key(Algorithm::Rs256, &set["testGroups"][0]).unwrap_err(), ProofError::BadKey);
}
