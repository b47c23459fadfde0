//! Tests with the attack corpus of `testdata/device-attacks.json`, which the binding's tests read as well.

use serde_json::Value;

use super::*;

fn corpus() -> Value {
    serde_json::from_str(include_str!("../../testdata/device-attacks.json")).unwrap()
}

fn value(case: &Value) -> String {
    let value = &case["value"];
    value.as_str().map_or_else(
        || value["repeat"].as_str().unwrap().repeat(value["count"].as_u64().unwrap().try_into().unwrap()),
        str::to_owned,
    )
}

/// Verify a proof with the device's key, or as a registration if the case names none.
fn outcome(corpus: &Value, case: &Value, value: &str) -> Result<(DeviceKey, String), ProofError> {
    let proof = DeviceProof::parse(value.as_bytes())?;
    let Some(device) = case["key"].as_str() else {
        return proof.registration().map(|(key, challenge)| (key, challenge.to_owned()));
    };
    let key = DeviceKey::parse(corpus["keys"][device].as_str().unwrap()).unwrap();
    proof.verify(&key).map(|challenge| (key.clone(), challenge.to_owned()))
}

#[test]
fn every_attacking_proof_is_refused_with_its_code() {
    let corpus = corpus();
    let cases = corpus["refused"].as_array().unwrap();
    assert!(cases.len() > 400);
    for case in cases {
        let value = value(case);
        let code = |value: &str| outcome(&corpus, case, value).as_ref().map_or_else(ProofError::code, |_| "accepted");
        assert_eq!(code(&value), case["code"], "row {}: {}", case["row"], case["what"]);
        if !value.contains('"') {
            assert_eq!(code(&format!("\"{value}\"")), case["code"], "row {} in quotes: {}", case["row"], case["what"]);
        }
    }
}

#[test]
fn valid_proofs_of_the_corpus_return_the_challenge_and_the_key() {
    let corpus = corpus();
    for case in corpus["accepted"].as_array().unwrap() {
        let (key, challenge) = outcome(&corpus, case, &value(case)).unwrap();
        let device = case["key"].as_str().or(case["stored"].as_str()).unwrap();
        assert_eq!(challenge, "a challenge", "{}", case["what"]);
        assert_eq!(key.to_text(), corpus["keys"][device], "{}", case["what"]);
    }
}
