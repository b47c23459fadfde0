//! Fuzzes keys in PEM, and the DER inside.
#![no_main]

use jwtauth::{Algorithm, SigningKey, VerifyingKey};
use libfuzzer_sys::fuzz_target;

const PAIRS: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

fuzz_target!(|data: &[u8]| {
    let is_secret = SigningKey::read(Algorithm::Hs256, data).is_ok();
    assert_eq!(is_secret, VerifyingKey::read(Algorithm::Hs256, data).is_ok());
    assert!(!is_secret || !data.windows(11).any(|window| window == b"-----BEGIN "));
    for algorithm in PAIRS {
        let signs = SigningKey::read(algorithm, data).is_ok();
        let verifies = VerifyingKey::read(algorithm, data).is_ok();
        // One half of a key pair is never accepted as the other half, and neither half as a secret.
        assert!(u8::from(signs) + u8::from(verifies) + u8::from(is_secret) <= 1);
    }
});
