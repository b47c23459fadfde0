//! Fuzzes tokens: whatever a cookie or `Authorization` holds, and claims behind a valid signature.
#![no_main]

use std::sync::LazyLock;

use jwtauth::{
    Algorithm, CustomClaims, Keyring, Profile, SigningKey, TokenKind, Tokens, UnixTime, VerifyError, VerifyingKey,
};
use libfuzzer_sys::fuzz_target;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let pem = include_bytes!("../../testdata/keys/p-256.spki.pem");
    let old = VerifyingKey::read(Algorithm::Es256, pem).expect("a valid key of the test data");
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).expect("the key is long enough");
    Tokens::new(Keyring::new(key, [old]).expect("two keys are a valid ring"), Profile::default())
        .expect("the default profile is valid")
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for kind in [TokenKind::Access, TokenKind::Refresh] {
        // A token that was not signed is refused, at any time.
        let refused = TOKENS.verify(kind, &text, NOW).expect_err("the token is not signed");
        assert!(!matches!(refused, VerifyError::Expired(_) | VerifyError::NotYetValid(_)));
        assert_eq!(TOKENS.verify_ignoring_time(kind, &text), Err(refused));
        let _ = TOKENS.verifier().is_valid_but_for_key(kind, &text, NOW);
    }
    if let Ok(custom) = CustomClaims::from_json(&text) {
        assert_eq!(CustomClaims::from_json(&custom.to_json()), Ok(custom));
    }
    jwtauth::fuzzing::claims(data);
    jwtauth::fuzzing::header(data);
});
