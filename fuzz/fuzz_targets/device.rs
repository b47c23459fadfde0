//! Fuzzes the header with the proof of a device, stored keys, and the JSON behind valid signatures.
#![no_main]

use std::sync::LazyLock;

use jwtauth::{Algorithm, DeviceKey, DeviceProof, Keyring, Profile, SigningKey, Tokens};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<DeviceKey> = LazyLock::new(|| {
    let text = concat!(
        r#"dbsc:{"alg":"ES256","crv":"P-256","kty":"EC","#,
        r#""x":"xRVJYvuCLkqWNuEjKnCbIcQFAKNkN4GUJrgHuljLm-U","#,
        r#""y":"UanTvAqzb2ABXRK-yBGrU59W0oifpS31iHagU5o6soI"}"#
    );
    DeviceKey::parse(text).expect("a valid key of the test data")
});

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).expect("the key is long enough");
    Tokens::new(Keyring::new(key, []).expect("one key is a valid ring"), Profile::default())
        .expect("the default profile is valid")
});

fuzz_target!(|data: &[u8]| {
    if let Ok(proof) = DeviceProof::parse(data) {
        // A proof that brings its key is a registration, and no other is. The seeds are signed.
        assert!(proof.registration().is_err() || proof.verify(&KEY).is_err());
        if let Ok((key, _)) = proof.registration() {
            assert_eq!(DeviceKey::parse(&key.to_text()), Ok(key));
        }
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = DeviceKey::parse(&text) {
        assert_eq!(key.to_text(), text);
    }
    assert!(TOKENS.verifier().read_challenge(&text).is_err(), "the challenge is not signed");
    jwtauth::fuzzing::challenge(data);
    jwtauth::fuzzing::proof(data);
});
