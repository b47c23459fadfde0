//! Fuzzes JWKs and JWK Sets, which a service may fetch from other services.
#![no_main]

use jwtauth::{Algorithm, SigningKey, VerifyingKey, VerifyingKeys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for algorithm in Algorithm::ALL {
        if let Ok(key) = VerifyingKey::read(algorithm, data) {
            // A published key is read back as the same key, and is never a secret.
            match key.public_jwk() {
                None => assert!(algorithm.is_symmetric()),
                Some(jwk) => {
                    let again = VerifyingKey::read(algorithm, jwk.as_bytes()).expect("a published key is valid");
                    assert_eq!((again.id(), again.public_jwk()), (key.id(), Some(jwk)));
                }
            }
        }
        let _ = SigningKey::read(algorithm, data);
    }
    for default in [None, Some(Algorithm::Rs256)] {
        if let Ok(keys) = VerifyingKeys::from_jwk_set(data, default) {
            assert!(keys.iter().all(|key| !key.algorithm().is_symmetric()));
            let again =
                VerifyingKeys::from_jwk_set(keys.to_jwk_set().as_bytes(), None).expect("a published key is valid");
            assert_eq!(again.to_jwk_set(), keys.to_jwk_set());
        }
    }
});
