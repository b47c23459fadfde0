//! Tokens: whatever a cookie or `Authorization` holds, and claims behind a signature that is right.
#![no_main]

use std::sync::LazyLock;

use jwtauth::{
    Algorithm, CustomClaims, Keyring, Profile, SigningKey, TokenKind, Tokens, UnixTime, VerifyError, VerifyingKey,
};
use libfuzzer_sys::fuzz_target;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let pem = include_bytes!("../../testdata/keys/p-256.spki.pem");
    let old = VerifyingKey::read(Algorithm::Es256, pem).expect("a key of the test data");
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).expect("it is long enough");
    Tokens::new(Keyring::new(key, [old]).expect("two keys"), Profile::default()).expect("the default")
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for kind in [TokenKind::Access, TokenKind::Refresh] {
        // Nothing that was not signed is ever believed, and no time makes it good.
        let refused = TOKENS.verify(kind, &text, NOW).expect_err("nobody has signed this");
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
