//! Keys in PEM, and the DER within.
#![no_main]

use jwtauth::{Algorithm, SigningKey, VerifyingKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for algorithm in
        [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]
    {
        let signs = SigningKey::read(algorithm, data).is_ok();
        let verifies = VerifyingKey::read(algorithm, data).is_ok();
        // No half of a pair passes for the other.
        assert!(algorithm.is_symmetric() || !(signs && verifies));
        assert!(!algorithm.is_symmetric() || !data.windows(11).any(|window| window == b"-----BEGIN ") || !signs);
    }
});
