//! Tests of verification: each check by example, everything else by property.

use std::collections::BTreeSet;

use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Value, json};

use super::*;
use crate::{
    Algorithm, ClaimsError, MAX_METHODS,
    algorithm::{Curve, Family},
    session::SID_CLAIM_LENGTH,
};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const EXP: UnixTime = UnixTime::from_secs(1_700_000_300);
const SECOND: Duration = Duration::from_secs(1);
const SECRET: [u8; 64] = *b"a secret of sixty-four bytes, which no error and no Debug shows.";
const OLD_SECRET: [u8; 64] = [2; 64];
const FOREIGN_SECRET: [u8; 64] = [3; 64];
const MAX_INTEGER: u64 = 9_007_199_254_740_991;

/// Return an HS256 key with this secret.
fn key(secret: [u8; 64]) -> SigningKey {
    SigningKey::read(Algorithm::Hs256, &secret).unwrap()
}

fn verifying(secret: [u8; 64]) -> VerifyingKey {
    key(secret).verifying_key().clone()
}

fn tokens_with(profile: Profile) -> Tokens {
    Tokens::new(Keyring::new(key(SECRET), []).unwrap(), profile).unwrap()
}

fn tokens() -> Tokens {
    tokens_with(Profile::default())
}

/// Return a ring of two keys, so that headers have a `kid`.
fn two_keys() -> Tokens {
    Tokens::new(Keyring::new(key(SECRET), [verifying(OLD_SECRET)]).unwrap(), Profile::default()).unwrap()
}

fn claims() -> Claims {
    Claims::new("42", Sid::from_bytes([7; 20]), Generation::new(3), NOW, EXP)
}

fn sid_claim() -> String {
    claims().sid.expose_secret(&mut [0; SID_CLAIM_LENGTH]).to_owned()
}

fn payload() -> Value {
    json!({"sub": "42", "sid": sid_claim(), "gen": 3, "iat": NOW.as_secs(), "exp": EXP.as_secs()})
}

/// Return the payload with one claim set.
fn with(claim: &str, value: Value) -> String {
    let mut payload = payload();
    payload[claim] = value;
    payload.to_string()
}

/// Return the payload with one claim written as given, even if [`Value`] cannot represent it.
fn with_raw(claim: &str, value: &str) -> String {
    with(claim, json!("REPLACED")).replace("\"REPLACED\"", value)
}

fn without(claim: &str) -> String {
    let mut payload = payload();
    payload.as_object_mut().unwrap().remove(claim);
    payload.to_string()
}

const HMAC: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

/// Return a key for any algorithm.
fn key_for(algorithm: Algorithm) -> SigningKey {
    match algorithm.family() {
        Family::Hmac(_) => SigningKey::read(algorithm, &SECRET),
        Family::Rsa { .. } => SigningKey::read(algorithm, include_bytes!("../../testdata/keys/rsa-2048.pkcs8.pem")),
        Family::Ecdsa(Curve::P256) => {
            SigningKey::read(algorithm, include_bytes!("../../testdata/keys/p-256.pkcs8.pem"))
        }
        Family::Ecdsa(Curve::P384) => {
            SigningKey::read(algorithm, include_bytes!("../../testdata/keys/p-384.pkcs8.pem"))
        }
        Family::Ed25519 => SigningKey::read(algorithm, include_bytes!("../../testdata/keys/ed25519.pkcs8.pem")),
    }
    .unwrap()
}

const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

/// Return a correctly signed token with any header and payload.
fn forge_with(key: &SigningKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let encode = |part: &[u8]| BASE64URL.encode(part);
    let message = format!("{}.{}", encode(header.as_ref()), encode(payload.as_ref()));
    let signature = key.sign(message.as_bytes(), encode).unwrap();
    format!("{message}.{signature}")
}

fn forge(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    forge_with(&key(SECRET), header, payload)
}

fn verify(token: &str) -> Result<Claims, VerifyError> {
    tokens().verify(TokenKind::Access, token, NOW)
}

/// Return the code of the error, or `ok`.
fn code(token: &str) -> &'static str {
    code_of(&tokens(), token)
}

fn code_of(tokens: &Tokens, token: &str) -> &'static str {
    tokens.verify(TokenKind::Access, token, NOW).as_ref().map_or_else(VerifyError::code, |_| "ok")
}

fn code_of_header(header: impl AsRef<[u8]>) -> &'static str {
    code(&forge(header, payload().to_string()))
}

fn code_of_payload(payload: impl AsRef<[u8]>) -> &'static str {
    code(&forge(HEADER, payload))
}

#[test]
fn issued_tokens_verify() {
    for kind in [TokenKind::Access, TokenKind::Refresh] {
        let token = tokens().issue(kind, &claims()).unwrap();
        assert_eq!(tokens().verify(kind, &token, NOW), Ok(claims()));
    }
}

#[test]
fn issued_token_equals_a_token_made_by_hand() {
    let sid = sid_claim();
    let payload = format!(r#"{{"sub":"42","sid":"{sid}","gen":3,"iat":{NOW},"exp":{EXP}}}"#);
    assert_eq!(tokens().issue(TokenKind::Access, &claims()).unwrap(), forge(HEADER, payload));
}

/// Each token has the defect of its own error and that of the next error.
#[test]
fn checks_run_in_the_order_of_their_errors() {
    let tokens =
        tokens_with(Profile { issuer: Some("us".to_owned()), audience: vec!["us".to_owned()], ..Profile::default() });
    let header = |alg, typ| format!(r#"{{"alg":"{alg}","typ":"{typ}"}}"#);
    let expired = with("exp", json!(NOW.as_secs())).replace('}', r#","iss":"us"}"#);
    let foreign = |header: String| forge_with(&key(FOREIGN_SECRET), header, "{");
    let unknown = r#"{"alg":"none","typ":"at+jwt","kid":"x"}"#;
    let table = [
        ("x".repeat(MAX_TOKEN_LENGTH + 1), "token_too_long"),
        ("e30.=.".to_owned(), "token_malformed"),
        (forge(r#"{"kid":"x"}"#, "{"), "token_header"),
        (forge(unknown, "{"), "token_unknown_key"),
        (forge(header("none", "JWT"), "{"), "token_algorithm"),
        (foreign(header("HS256", "JWT")), "token_wrong_type"),
        (foreign(header("HS256", "at+jwt")), "token_bad_signature"),
        (forge(HEADER, r#"{"iss":1}"#), "token_malformed_claims"),
        (forge(HEADER, r#"{"iss":"them"}"#), "token_missing_claim"),
        (forge(HEADER, with("aud", json!("them"))), "token_wrong_issuer"),
        (forge(HEADER, &expired), "token_wrong_audience"),
        (forge(HEADER, expired.replace('}', &format!(r#","aud":"us","nbf":{EXP}}}"#))), "token_expired"),
    ];
    for (token, code) in table {
        assert_eq!(code_of(&tokens, &token), code, "{token}");
    }
}

mod form {
    use super::*;

    #[test]
    fn tokens_without_three_parts_are_refused() {
        for text in ["", ".", "a", "a.b", "....", "a.b.c.d"] {
            assert_eq!(code(text), "token_malformed", "{text}");
        }
        let token = forge(HEADER, payload().to_string());
        for other in [format!(".{token}"), format!("{token}."), token.replace('.', ".."), token.replace('.', "")] {
            assert_eq!(code(&other), "token_malformed", "{other}");
        }
    }

    #[test]
    fn empty_parts_are_refused() {
        let token = forge(HEADER, payload().to_string());
        let [header, payload, signature] = *token.split('.').collect::<Vec<_>>() else { panic!("three parts") };
        assert_eq!(code(".."), "token_header");
        assert_eq!(code(&format!(".{payload}.{signature}")), "token_header");
        assert_eq!(code(&format!("{header}..{signature}")), "token_bad_signature");
        assert_eq!(code(&format!("{header}.{payload}.")), "token_bad_signature");
        assert_eq!(code(&forge("", "")), "token_header");
        assert_eq!(code(&forge(HEADER, "")), "token_malformed_claims");
    }

    #[test]
    fn token_longer_than_the_maximum_is_refused() {
        // The spaces reach lengths that unpadded base64 skips.
        let of_length = |length| {
            let long = |(spaces, letters)| {
                let header = format!("{HEADER}{}", " ".repeat(spaces));
                forge(header, with("custom", json!("x".repeat(letters))))
            };
            (0..3)
                .flat_map(|spaces| (2850..2950).map(move |letters| (spaces, letters)))
                .map(long)
                .find(|token| token.len() == length)
        };
        assert_eq!(code(&of_length(MAX_TOKEN_LENGTH).unwrap()), "ok");
        assert_eq!(code(&of_length(MAX_TOKEN_LENGTH + 1).unwrap()), "token_too_long");
    }

    #[test]
    fn many_dots_are_refused() {
        assert_eq!(code(&".".repeat(MAX_TOKEN_LENGTH)), "token_malformed");
        assert_eq!(code(&".".repeat(1_000_000)), "token_too_long");
    }

    #[test]
    fn only_the_canonical_encoding_of_a_part_is_accepted() {
        // A token whose standard base64 would contain "+" or "/".
        let token =
            (0..100).map(|n| forge(HEADER, with("n", json!(n)))).find(|token| token.contains(['-', '_'])).unwrap();
        assert_eq!(code(&token), "ok");
        assert_eq!(code(&token.replace('-', "+").replace('_', "/")), "token_malformed");
        for part in 0..3 {
            for stray in ["=", "==", "\n", " ", "%", "\u{e9}", "\0"] {
                let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
                parts[part].push_str(stray);
                assert_eq!(code(&parts.join(".")), "token_malformed", "{stray:?} after part {part}");
            }
        }
    }

    #[test]
    fn stray_bits_are_refused() {
        let alphabet = || ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
        let token = forge(HEADER, payload().to_string());
        let (rest, last) = token.split_at(token.len() - 1);
        let codes: Vec<_> = alphabet().filter(|c| last != c.to_string()).map(|c| code(&format!("{rest}{c}"))).collect();
        // 32 bytes leave two bits of the last character unused. So 16 characters are canonical: the right one and 15
        // others.
        assert_eq!(codes.iter().filter(|code| **code == "token_bad_signature").count(), 15);
        assert_eq!(codes.iter().filter(|code| **code == "token_malformed").count(), 48);
    }

    #[test]
    fn white_space_around_a_token_is_refused() {
        let token = forge(HEADER, payload().to_string());
        for other in [format!(" {token}"), format!("{token} "), format!("{token}\n"), format!("\"{token}\"")] {
            assert_eq!(code(&other), "token_malformed");
        }
    }
}

mod header_parameters {
    use super::*;

    #[test]
    fn alg_that_differs_from_the_key_is_refused() {
        for alg in
            ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "hs256", "RS256", "ES256", "HS256 ", "HS256\\u0000"]
        {
            let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
            assert_eq!(code_of_header(&header), "token_algorithm", "{alg}");
            let unsigned = forge(header, payload().to_string());
            assert_eq!(code(&unsigned[..=unsigned.rfind('.').unwrap()]), "token_algorithm", "{alg} unsigned");
        }
    }

    #[test]
    fn every_algorithm_verifies_its_tokens_and_refuses_others() {
        for algorithm in Algorithm::ALL {
            let key = key_for(algorithm);
            let tokens = Tokens::new(Keyring::new(key.clone(), []).unwrap(), Profile::default()).unwrap();
            assert_eq!(
                tokens.verify(TokenKind::Access, &tokens.issue(TokenKind::Access, &claims()).unwrap(), NOW),
                Ok(claims())
            );
            for other in Algorithm::ALL.into_iter().filter(|other| !algorithm.answers_to(other.as_str())) {
                let header = format!(r#"{{"alg":"{other}","typ":"at+jwt"}}"#);
                assert_eq!(code_of(&tokens, &forge_with(&key, header, payload().to_string())), "token_algorithm");
            }
        }
    }

    #[test]
    fn other_header_parameters_are_refused() {
        let others = [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""b64":true"#,
            r#""b64":false"#,
            r#""jwk":{"kty":"oct","k":"AA"}"#,
            r#""jku":"https://evil.example/jwks.json""#,
            r#""x5u":"https://evil.example/key.pem""#,
            r#""x5c":["AA=="]"#,
            r#""x5t":"AA""#,
            r#""cty":"JWT""#,
            r#""zip":"DEF""#,
            r#""epk":{}"#,
            r#""Alg":"none""#,
            r#""":"""#,
        ];
        for other in others {
            assert_eq!(
                code_of_header(format!(r#"{{"alg":"HS256","typ":"at+jwt",{other}}}"#)),
                "token_header",
                "{other}"
            );
        }
    }

    #[test]
    fn duplicate_and_missing_header_parameters_are_refused() {
        let headers = [
            r#"{"alg":"HS256","alg":"HS256","typ":"at+jwt"}"#,
            r#"{"alg":"none","typ":"at+jwt","alg":"HS256"}"#,
            r#"{"alg":"HS256","\u0061lg":"none","typ":"at+jwt"}"#,
            r#"{"alg":"HS256","typ":"rt+jwt","typ":"at+jwt"}"#,
            r#"{"alg":"HS256","typ":"at+jwt","kid":"a","kid":"a"}"#,
            r#"{"typ":"at+jwt"}"#,
            "{}",
        ];
        for header in headers {
            assert_eq!(code_of_header(header), "token_header", "{header}");
        }
        assert_eq!(code_of_header(r#"{"alg":"HS256"}"#), "token_wrong_type");
    }

    #[test]
    fn header_parameters_that_are_not_strings_are_refused() {
        for value in ["null", "true", "1", "1.5", "[]", r#"["HS256"]"#, "{}", r#"{"alg":"HS256"}"#] {
            let headers = [
                format!(r#"{{"alg":{value},"typ":"at+jwt"}}"#),
                format!(r#"{{"alg":"HS256","typ":{value}}}"#),
                format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":{value}}}"#),
            ];
            for header in headers {
                assert_eq!(code_of_header(&header), "token_header", "{header}");
            }
        }
    }

    #[test]
    fn header_that_is_not_one_json_object_is_refused() {
        let deep = format!(r#"{{"alg":{}"#, "[".repeat(2500));
        let headers: [&[u8]; 15] = [
            b"null",
            b"[]",
            b"\"HS256\"",
            br#"["HS256","at+jwt"]"#,
            b"{",
            b"not json",
            br#"{"alg":"HS256","typ":"at+jwt"}x"#,
            br#"{"alg":"HS256","typ":"at+jwt"}{}"#,
            br#"{"alg":"HS256","typ":"at+jwt",}"#,
            br"{'alg':'HS256','typ':'at+jwt'}",
            br#"{"alg":"HS256",/**/"typ":"at+jwt"}"#,
            b"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}\0",
            b"\xef\xbb\xbf{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
            b"{\"alg\":\"HS256\xff\",\"typ\":\"at+jwt\"}",
            deep.as_bytes(),
        ];
        for header in headers {
            assert_eq!(code_of_header(header), "token_header", "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn header_is_accepted_in_any_json_spelling() {
        let headers = [
            r#"{"typ":"at+jwt","alg":"HS256"}"#,
            "\r\n { \"alg\" : \"HS256\",\t\"typ\":\"at+jwt\" }\n",
            r#"{"\u0061lg":"\u0048S256","typ":"at\u002bjwt"}"#,
        ];
        for header in headers {
            assert_eq!(verify(&forge(header, payload().to_string())), Ok(claims()), "{header}");
        }
    }

    #[test]
    fn typ_must_match_exactly() {
        for typ in ["AT+JWT", "at+JWT", "application/at+jwt", "JWT", "rt+jwt", "at", "", " at+jwt", "at+jwt "] {
            let header = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
            assert_eq!(code_of_header(header), "token_wrong_type", "{typ}");
        }
    }

    #[test]
    fn one_kind_of_token_is_refused_in_place_of_the_other() {
        for (kind, other) in [(TokenKind::Access, TokenKind::Refresh), (TokenKind::Refresh, TokenKind::Access)] {
            for tokens in [tokens(), two_keys()] {
                let refused = tokens.verify(other, &tokens.issue(kind, &claims()).unwrap(), NOW);
                assert_eq!(refused, Err(VerifyError::WrongType));
            }
        }
    }
}

mod keys {
    use super::*;

    fn header_with_kid(kid: &str) -> String {
        format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#)
    }

    fn code_with_kid(signed_by: [u8; 64], kid: &str) -> &'static str {
        code_of(&two_keys(), &forge_with(&key(signed_by), header_with_kid(kid), payload().to_string()))
    }

    #[test]
    fn token_names_its_key_if_the_ring_has_several() {
        let header = |tokens: &Tokens| {
            let token = tokens.issue(TokenKind::Access, &claims()).unwrap();
            String::from_utf8(decode(token.split('.').next().unwrap()).unwrap()).unwrap()
        };
        assert_eq!(header(&tokens()), HEADER);
        assert_eq!(header(&two_keys()), header_with_kid(key(SECRET).id()));
    }

    #[test]
    fn only_the_named_key_verifies() {
        let (new, old) = (key(SECRET), key(OLD_SECRET));
        assert_eq!(code_with_kid(SECRET, new.id()), "ok");
        assert_eq!(code_with_kid(OLD_SECRET, old.id()), "ok");
        assert_eq!(code_with_kid(OLD_SECRET, new.id()), "token_bad_signature");
        assert_eq!(code_with_kid(SECRET, old.id()), "token_bad_signature");
    }

    #[test]
    fn key_outside_the_ring_is_unknown() {
        let foreign = key(FOREIGN_SECRET);
        assert_eq!(code_with_kid(FOREIGN_SECRET, foreign.id()), "token_unknown_key");
        for kid in ["", "../../etc/passwd", "' OR 1=1 --"] {
            assert_eq!(code_with_kid(SECRET, kid), "token_unknown_key", "{kid}");
        }
        assert_eq!(code(&forge(header_with_kid(foreign.id()), payload().to_string())), "token_unknown_key");
    }

    #[test]
    fn every_key_is_tried_without_a_kid() {
        let signed_by = |secret| code_of(&two_keys(), &forge_with(&key(secret), HEADER, payload().to_string()));
        assert_eq!(signed_by(SECRET), "ok");
        assert_eq!(signed_by(OLD_SECRET), "ok");
        assert_eq!(signed_by(FOREIGN_SECRET), "token_bad_signature");
    }

    #[test]
    fn tokens_stay_valid_after_a_change_of_key() {
        let before = Tokens::new(Keyring::new(key(OLD_SECRET), []).unwrap(), Profile::default()).unwrap();
        let token = before.issue(TokenKind::Refresh, &claims()).unwrap();
        assert_eq!(two_keys().verify(TokenKind::Refresh, &token, NOW), Ok(claims()));
        let after = two_keys().issue(TokenKind::Refresh, &claims()).unwrap();
        assert_eq!(tokens().verify(TokenKind::Refresh, &after, NOW), Ok(claims()));
    }

    #[test]
    fn header_with_added_space_is_treated_the_same() {
        for tokens in [tokens(), two_keys()] {
            let header = decode(&tokens.verifier.headers[0].access).unwrap();
            let spaced = [b" ", header.as_slice()].concat();
            assert_eq!(code_of(&tokens, &forge(spaced, payload().to_string())), "ok");
            let foreign = forge_with(&key(FOREIGN_SECRET), &header, payload().to_string());
            let foreign_spaced =
                forge_with(&key(FOREIGN_SECRET), [b" ", header.as_slice()].concat(), payload().to_string());
            assert_eq!(code_of(&tokens, &foreign), "token_bad_signature");
            assert_eq!(code_of(&tokens, &foreign_spaced), "token_bad_signature");
        }
    }

    #[test]
    fn one_secret_can_serve_two_algorithms() {
        let old = SigningKey::read(Algorithm::Hs512, &SECRET).unwrap();
        let tokens =
            Tokens::new(Keyring::new(key(SECRET), [old.verifying_key().clone()]).unwrap(), Profile::default()).unwrap();
        let header = |alg| format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, old.id());
        assert_eq!(code_of(&tokens, &forge_with(&old, header("HS512"), payload().to_string())), "ok");
        assert_eq!(code_of(&tokens, &forge_with(&old, header("HS256"), payload().to_string())), "token_bad_signature");
    }
}

mod without_a_key {
    use super::*;

    fn empty(profile: Profile) -> Verifier {
        Verifier::new(VerifyingKeys::from_jwk_set(br#"{"keys":[]}"#, None).unwrap(), profile).unwrap()
    }

    fn may_be_valid(profile: &Profile, token: &str) -> bool {
        empty(profile.clone()).is_valid_but_for_key(TokenKind::Access, token, NOW)
    }

    fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        forge_with(&key_for(Algorithm::Es256), header, payload)
    }

    const MADE_UP: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"made up"}"#;

    #[test]
    fn empty_ring_refuses_every_token() {
        for algorithm in Algorithm::ALL {
            let tokens = Tokens::new(Keyring::new(key_for(algorithm), []).unwrap(), Profile::default()).unwrap();
            let token = tokens.issue(TokenKind::Access, &claims()).unwrap();
            let verifier = empty(Profile::default());
            assert_eq!(verifier.verify(TokenKind::Access, &token, NOW), Err(VerifyError::UnknownKey), "{algorithm}");
            assert_eq!(may_be_valid(&Profile::default(), &token), !algorithm.is_symmetric(), "{algorithm}");
        }
    }

    #[test]
    fn token_that_no_key_can_make_valid_is_recognised() {
        let profile = Profile::default().with_issuer("https://a.example").with_audience(["api"]);
        let good = with("iss", json!("https://a.example")).replacen('{', r#"{"aud":"api","#, 1);
        assert!(may_be_valid(&profile, &signed(MADE_UP, &good)), "the token may be signed by an unknown key");
        let changed = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replacen(from, to, 1)
        };
        for payload in [
            changed(&EXP.as_secs().to_string(), &NOW.as_secs().to_string()),
            changed("https://a.example", "https://b.example"),
            changed("\"api\"", "\"other\""),
            changed("\"aud\"", "\"x\""),
            changed("\"iss\"", "\"x\""),
            changed("\"42\"", "42"),
            changed("{", &format!(r#"{{"nbf":{},"#, NOW.as_secs() + 1)),
            changed("{", r#"{"gen":3,"#),
            without("sid"),
            "{}".to_owned(),
            "no JSON".to_owned(),
        ] {
            assert!(!may_be_valid(&profile, &signed(MADE_UP, &payload)), "{payload}");
        }
        for header in [
            MADE_UP.replace("at+jwt", "rt+jwt"),
            MADE_UP.replace("ES256", "HS256"),
            MADE_UP.replace("ES256", "ES384"),
            MADE_UP.replace("ES256", "RS256"),
            MADE_UP.replace("ES256", "none"),
            MADE_UP.replace("ES256", "ES256K"),
            MADE_UP.replace("\"kid\"", "\"jku\""),
            MADE_UP.replace("\"made up\"", "1"),
            "{}".to_owned(),
        ] {
            assert!(!may_be_valid(&profile, &signed(&header, &good)), "{header}");
        }
        for token in ["", "..", "a.b.c", "x", &"a.".repeat(3000)] {
            assert!(!may_be_valid(&profile, token), "{token:.9}");
        }
    }

    #[test]
    fn leeway_applies_without_a_key() {
        let late = signed(MADE_UP, with("exp", json!(NOW.as_secs() - 5)));
        assert!(!may_be_valid(&Profile::default().with_leeway(5 * SECOND), &late));
        assert!(may_be_valid(&Profile::default().with_leeway(6 * SECOND), &late));
    }
}

mod signature {
    use super::*;

    /// Return the token with these bytes as its signature.
    fn signed(signature: &[u8]) -> String {
        let token = forge(HEADER, payload().to_string());
        let (message, _) = token.rsplit_once('.').unwrap();
        format!("{message}.{}", BASE64URL.encode(signature))
    }

    fn genuine() -> Vec<u8> {
        decode(forge(HEADER, payload().to_string()).rsplit_once('.').unwrap().1).unwrap()
    }

    #[test]
    fn signature_with_any_changed_bit_is_refused() {
        assert_eq!(code(&signed(&genuine())), "ok");
        for bit in 0..genuine().len() * 8 {
            let mut other = genuine();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(code(&signed(&other)), "token_bad_signature", "bit {bit}");
        }
    }

    #[test]
    fn signature_of_another_length_is_refused() {
        for length in 0..32 {
            assert_eq!(code(&signed(&genuine()[..length])), "token_bad_signature", "{length} bytes");
        }
        assert_eq!(code(&signed(&[genuine(), vec![0]].concat())), "token_bad_signature");
        assert_eq!(code(&signed(&[genuine(), genuine()].concat())), "token_bad_signature");
        assert_eq!(code(&signed(&[0; 32])), "token_bad_signature");
    }

    #[test]
    fn signature_is_checked_before_any_claim() {
        let unsigned = |payload: String| {
            let token = forge_with(&key(FOREIGN_SECRET), HEADER, payload);
            assert_eq!(code(&token), "token_bad_signature");
        };
        unsigned("not json".to_owned());
        unsigned(without("sub"));
        unsigned(with("exp", json!(0)));
    }

    #[test]
    fn signature_covers_the_header() {
        let token = forge(HEADER, payload().to_string());
        let spaced = BASE64URL.encode(format!("{HEADER} "));
        let (_, rest) = token.split_once('.').unwrap();
        assert_eq!(code(&format!("{spaced}.{rest}")), "token_bad_signature");
    }
}

mod claim_types {
    use super::*;

    #[test]
    fn missing_required_claim_is_refused() {
        for claim in ["sub", "sid", "gen", "iat", "exp"] {
            let error = verify(&forge(HEADER, without(claim))).unwrap_err();
            assert_eq!(error, VerifyError::MissingClaim(claim));
            assert_eq!(error.code(), "token_missing_claim");
            assert_eq!(error.to_string(), format!("claim {claim} is missing"));
        }
    }

    #[test]
    fn claim_of_the_wrong_type_is_refused() {
        let values =
            [json!(null), json!(true), json!(1), json!(1.5), json!(-1), json!("1"), json!([]), json!(["1"]), json!({})];
        let takes = |claim, value: &Value| match claim {
            "iss" | "sub" | "jti" => value.is_string(),
            "aud" => value.is_string() || value.is_array(),
            "exp" | "nbf" | "iat" | "gen" => value.is_u64(),
            // "1" is not a valid sid.
            _ => false,
        };
        for claim in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen"] {
            for value in values.iter().filter(|value| !takes(claim, value)) {
                assert_eq!(code_of_payload(with(claim, value.clone())), "token_malformed_claims", "{claim}: {value}");
            }
        }
    }

    #[test]
    fn claim_of_the_right_type_is_accepted() {
        for (claim, value) in [
            ("iss", json!("1")),
            ("sub", json!("")),
            ("jti", json!("1")),
            ("nbf", json!(1)),
            ("iat", json!(0)),
            ("gen", json!(0)),
        ] {
            assert_eq!(code_of_payload(with(claim, value)), "ok", "{claim}");
        }
    }

    #[test]
    fn integers_that_parsers_read_differently_are_refused() {
        for claim in ["exp", "iat", "gen"] {
            assert_eq!(code_of_payload(with(claim, json!(MAX_INTEGER))), "ok", "{claim}");
        }
        for claim in ["exp", "nbf", "iat", "gen"] {
            let others = [
                "9007199254740992",
                "18446744073709551615",
                "18446744073709551616",
                "1e3",
                "1E20",
                "1700000000.0",
                "1e999",
                "-0",
                "-1",
                "01",
                "+1",
                "0x10",
                "1_000",
                "NaN",
                "Infinity",
            ];
            for value in others {
                assert_eq!(code_of_payload(with_raw(claim, value)), "token_malformed_claims", "{claim}: {value}");
            }
        }
    }

    #[test]
    fn only_the_canonical_encoding_of_a_sid_is_accepted() {
        let sid = sid_claim();
        for other in [
            String::new(),
            sid[1..].to_owned(),
            format!("{sid}A"),
            format!("{sid}=="),
            format!(" {sid}"),
            "/".repeat(22),
            "-".repeat(22),
        ] {
            assert_eq!(code_of_payload(with("sid", json!(other))), "token_malformed_claims", "{other}");
        }
    }

    #[test]
    fn duplicate_name_is_refused_at_any_depth() {
        for claim in ["sub", "sid", "gen", "iat", "exp", "nbf", "iss", "aud", "jti"] {
            let value =
                payload().get(claim).map_or_else(|| if claim == "nbf" { json!(1) } else { json!("a") }, Value::clone);
            let twice = with("x", json!("REPLACED"))
                .replace("\"x\":\"REPLACED\"", &format!("\"{claim}\":{value},\"{claim}\":{value}"));
            assert_eq!(code_of_payload(twice), "token_malformed_claims", "{claim}");
        }
        let nested = [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"a":1,"b":{"c":null,"c":null}}]"#,
            r#"[[[{"a":[],"b":[],"a":[]}]]]"#,
        ];
        for value in nested {
            assert_eq!(code_of_payload(with_raw("custom", value)), "token_malformed_claims", "{value}");
        }
        let escaped = payload().to_string().replacen('{', r#"{"\u0073ub":"1","#, 1);
        assert_eq!(code_of_payload(escaped), "token_malformed_claims");
        let custom = payload().to_string().replacen('{', r#"{"custom":1,"custom":2,"#, 1);
        assert_eq!(code_of_payload(custom), "token_malformed_claims");
    }

    #[test]
    fn custom_claims_may_have_any_value() {
        let value = json!([null, true, -1, 1, 1.5, "a", {"a": {"a": []}, "b": {"a": 1}}, []]);
        let custom = |token: &str| verify(token).unwrap().custom;
        assert_eq!(custom(&forge(HEADER, with("custom", value.clone()))).get("custom"), Some(&value));
        assert_eq!(custom(&forge(HEADER, with("", json!(null)))).get(""), Some(&json!(null)));
        assert!(custom(&forge(HEADER, payload().to_string())).is_empty());
    }

    #[test]
    fn deeply_nested_claims_are_refused() {
        let nested = |depth| with_raw("custom", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert_eq!(code_of_payload(nested(100)), "ok");
        assert_eq!(code_of_payload(nested(200)), "token_malformed_claims");
        assert_eq!(code_of_payload(with_raw("custom", &"[".repeat(2500))), "token_malformed_claims");
        assert_eq!(code_of_payload(with_raw("custom", &"{\"a\":".repeat(500))), "token_malformed_claims");
        assert_eq!(code_of_payload(with_raw("sub", &"[".repeat(2500))), "token_malformed_claims");
    }

    #[test]
    fn claims_that_are_not_one_json_object_are_refused() {
        let payload = payload().to_string();
        let others: [Vec<u8>; 9] = [
            b"null".into(),
            b"[]".into(),
            b"\"{}\"".into(),
            b"{".into(),
            format!("{payload}x").into(),
            format!("{payload}{{}}").into(),
            format!("\u{feff}{payload}").into(),
            payload.replace('}', ",}").into(),
            [payload.replace("\"42\"", "\"").as_bytes(), b"\xff\"}"].concat(),
        ];
        for other in others {
            assert_eq!(code_of_payload(&other), "token_malformed_claims", "{}", String::from_utf8_lossy(&other));
        }
        assert_eq!(code_of_payload("{}"), "token_missing_claim");
        assert_eq!(code_of_payload(format!(" {payload}\n")), "ok");
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for claim in ["sub", "custom", "iss"] {
            assert_eq!(code_of_payload(with_raw(claim, r#""\ud800""#)), "token_malformed_claims", "{claim}");
        }
    }
}

mod layout {
    use super::*;

    fn default_layout() -> Layout {
        Layout::new(&Profile::default())
    }

    #[test]
    fn issued_payloads_match_the_layout() {
        let profiles = [
            Profile::default(),
            Profile { issuer: Some("a\"b".to_owned()), ..Profile::default() },
            Profile { audience: vec!["a".to_owned(), "b".to_owned()], ..Profile::default() },
            Profile { subject_claim: "us\\er\"".to_owned(), ..Profile::default() },
        ];
        for profile in profiles {
            let payload = claims::encode(&claims(), &profile);
            assert_eq!(Layout::new(&profile).read(&payload), Some(claims()));
        }
    }

    #[test]
    fn payloads_that_differ_from_the_layout_are_left_to_the_parser() {
        let payload = String::from_utf8(claims::encode(&claims(), &Profile::default())).unwrap();
        let others = [
            payload.replace("42", "4\\u0032"),
            payload.replace("42", "4\u{7}2"),
            payload.replace(":3,", ":03,"),
            payload.replace(":3,", ":-3,"),
            payload.replace(":3,", ":3.0,"),
            payload.replace(":3,", ":,"),
            payload.replace(":3,", ":9007199254740992,"),
            payload.replace(":3,", ":18446744073709551617,"),
            payload.replace(&EXP.to_string(), ""),
            payload.replace('}', r#","x":1}"#),
            payload.replace('}', " }"),
            format!("{payload} "),
            payload[..payload.len() - 1].to_owned(),
            payload.replace(&sid_claim(), "AAAAAAAAAAAAAAAAAAAAAB"),
        ];
        for other in others {
            assert_ne!(other, payload);
            assert_eq!(default_layout().read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(default_layout().read(&payload.replace("42", "\u{fffd}").into_bytes()).unwrap().subject, "\u{fffd}");
        let invalid = payload.into_bytes().into_iter().map(|byte| if byte == b'2' { 0xff } else { byte });
        assert_eq!(default_layout().read(&invalid.collect::<Vec<_>>()), None);
    }
}

mod custom_claims {
    use super::*;

    fn custom(json: &str) -> Claims {
        Claims { custom: CustomClaims::from_json(json).unwrap(), ..claims() }
    }

    #[test]
    fn custom_claims_are_read_back() {
        let json = r#"{"plan":"pro","roles":["a","b"],"tenant":{"id":7,"share":0.5},"trial":null}"#;
        let token = tokens().issue(TokenKind::Access, &custom(json)).unwrap();
        let read = verify(&token).unwrap();
        assert_eq!(read, custom(json));
        assert_eq!(read.custom.to_json(), json);
        assert_eq!(read.custom.iter().count(), 4);
    }

    /// Found by the fuzz target `token`.
    #[test]
    fn fractions_are_read_back_exactly() {
        for number in ["9.33333323333333333333333333333333333334", "0.1", "1e-300", "123456.789012345678"] {
            let read = CustomClaims::from_json(&format!(r#"{{"a":{number}}}"#)).unwrap();
            assert_eq!(read.get("a").unwrap().as_f64(), number.parse().ok(), "{number}");
            assert_eq!(CustomClaims::from_json(&read.to_json()), Ok(read));
        }
    }

    #[test]
    fn reserved_names_are_refused_as_custom_claims() {
        for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "cnf"] {
            let error = CustomClaims::from_json(&format!(r#"{{"{name}":"x"}}"#)).unwrap_err();
            assert_eq!(error, ClaimsError::Reserved(name.to_owned()));
            assert_eq!(error.code(), "reserved_claim");
        }
    }

    #[test]
    fn custom_claims_cannot_name_the_user() {
        let tokens = tokens_with(Profile { subject_claim: "user_id".to_owned(), ..Profile::default() });
        let token = tokens.issue(TokenKind::Access, &custom(r#"{"user_id":"1","plan":"pro"}"#)).unwrap();
        let read = tokens.verify(TokenKind::Access, &token, NOW).unwrap();
        assert_eq!((read.subject.as_str(), read.custom.to_json().as_str()), ("42", r#"{"plan":"pro"}"#));
    }

    #[test]
    fn custom_claims_must_be_one_object_without_inexact_numbers() {
        for text in ["", "[]", "null", "1", r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":1e999}"#, "{} {}"] {
            assert_eq!(CustomClaims::from_json(text).unwrap_err().code(), "claims_not_an_object", "{text}");
        }
        for number in ["9007199254740992", "-9007199254740992", "18446744073709551616", "1e20", "[[9007199254740993]]"]
        {
            let error = CustomClaims::from_json(&format!(r#"{{"a":{number}}}"#)).unwrap_err();
            assert_eq!((error.code(), error), ("claims_number", ClaimsError::Number("a".to_owned())), "{number}");
        }
        assert!(CustomClaims::from_json(r#"{"a":[9007199254740991,-9007199254740991,1.5,1e-7]}"#).is_ok());
    }

    #[test]
    fn token_too_long_for_a_cookie_is_not_issued() {
        let with = |letters| custom(&format!(r#"{{"a":"{}"}}"#, "x".repeat(letters)));
        let longest =
            (0..4000).rev().find(|letters| tokens().issue(TokenKind::Access, &with(*letters)).is_ok()).unwrap();
        let token = tokens().issue(TokenKind::Access, &with(longest)).unwrap();
        assert!((MAX_ISSUED_LENGTH - 3..=MAX_ISSUED_LENGTH).contains(&token.len()));
        assert_eq!(verify(&token), Ok(with(longest)));
        let error = tokens().issue(TokenKind::Access, &with(longest + 1)).unwrap_err();
        assert_eq!(error.code(), "issued_token_too_long");
        assert!(error.to_string().contains("3968"), "{error}");
    }
}

/// The key of a client to which a token is bound (RFC 9449 §6.1).
mod confirmations {
    use super::*;

    /// The thumbprint of RFC 7638 §3.1.
    const JKT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

    fn bound() -> Claims {
        claims().with_confirmation(Thumbprint::parse(JKT))
    }

    fn with_cnf(cnf: &str) -> String {
        forge(HEADER, with_raw("cnf", cnf))
    }

    #[test]
    fn bound_token_names_its_key_and_is_refused_without_a_proof() {
        for kind in [TokenKind::Access, TokenKind::Refresh] {
            let token = tokens().issue(kind, &bound()).unwrap();
            assert_eq!(tokens().verify(kind, &token, NOW), Err(VerifyError::WrongScheme));
            let read = tokens().verifier().verify_at_any_time(kind, &token, NOW);
            assert_eq!(read, Ok((bound(), Ok(()))));
        }
        let payload = tokens().issue(TokenKind::Access, &bound()).unwrap();
        let payload = decode(payload.split('.').nth(1).unwrap()).unwrap();
        let written: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(written["cnf"], json!({ "jkt": JKT }));
    }

    #[test]
    fn reasons_to_refuse_any_token_come_first() {
        let bound = |claim: &str, value: Value| {
            let mut payload = payload();
            payload["cnf"] = json!({ "jkt": JKT });
            payload[claim] = value;
            code_of_payload(payload.to_string())
        };
        assert_eq!(bound("exp", json!(NOW.as_secs())), "token_expired");
        assert_eq!(bound("nbf", json!(NOW.as_secs() + 1)), "token_not_yet_valid");
        assert_eq!(bound("aud", json!("other")), "token_wrong_audience");
        assert_eq!(bound("exp", json!(EXP.as_secs())), "token_wrong_scheme");
    }

    #[test]
    fn escapes_do_not_hide_a_confirmation() {
        for cnf in [&format!(r#"{{"jkt":"{JKT}"}}"#), &format!(r#"{{ "\u006akt" : "\u004e{}" }}"#, &JKT[1..])] {
            assert_eq!(code(&with_cnf(cnf)), "token_wrong_scheme", "{cnf}");
        }
        let escaped = with_raw("cnf", &format!(r#"{{"jkt":"{JKT}"}}"#)).replace(r#""cnf""#, r#""\u0063nf""#);
        assert_eq!(code_of_payload(escaped), "token_wrong_scheme");
    }

    #[test]
    fn confirmation_of_another_shape_is_refused() {
        let shapes = [
            "null".to_owned(),
            "true".to_owned(),
            "1".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!(r#""{JKT}""#),
            format!(r#"[{{"jkt":"{JKT}"}}]"#),
            format!(r#"{{"jkt":["{JKT}"]}}"#),
            r#"{"jkt":1}"#.to_owned(),
            r#"{"jkt":null}"#.to_owned(),
            r#"{"jkt":{}}"#.to_owned(),
            format!(r#"{{"JKT":"{JKT}"}}"#),
            format!(r#"{{"x5t#S256":"{JKT}"}}"#),
            format!(r#"{{"kid":"{JKT}"}}"#),
            r#"{"jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#.to_owned(),
            format!(r#"{{"jkt":"{JKT}","x":1}}"#),
            format!(r#"{{"jkt":"{JKT}","x5t#S256":"{JKT}"}}"#),
            format!(r#"{{"x5t#S256":"{JKT}","jkt":"{JKT}"}}"#),
            format!(r#"{{"jkt":"{JKT}","jkt":"{JKT}"}}"#),
            format!(r#"{{"jkt":"{JKT}","\u006akt":"{JKT}"}}"#),
        ];
        for cnf in &shapes {
            for typ in ["at+jwt", "rt+jwt"] {
                let header = HEADER.replace("at+jwt", typ);
                let kind = if typ == "at+jwt" { TokenKind::Access } else { TokenKind::Refresh };
                let token = forge(header, with_raw("cnf", cnf));
                assert_eq!(tokens().verify(kind, &token, NOW), Err(VerifyError::MalformedClaims), "{cnf}");
            }
        }
    }

    #[test]
    fn thumbprint_is_32_bytes_in_their_only_encoding() {
        let stray = format!("{}t", &JKT[..42]);
        let standard = JKT.replace('-', "+").replace('_', "/");
        for jkt in
            ["", &JKT[1..], &format!("{JKT}A"), &format!("{JKT}="), &format!(" {JKT}"), &stray, &standard, &JKT[..32]]
        {
            assert_eq!(code(&with_cnf(&format!(r#"{{"jkt":"{jkt}"}}"#))), "token_malformed_claims", "{jkt}");
        }
    }

    #[test]
    fn second_confirmation_is_refused() {
        let cnf = format!(r#"{{"jkt":"{JKT}"}}"#);
        for name in ["cnf", r"\u0063nf"] {
            let twice = with_raw("cnf", &cnf).replacen('{', &format!(r#"{{"{name}":{cnf},"#), 1);
            assert_eq!(code_of_payload(twice), "token_malformed_claims", "{name}");
        }
    }

    #[test]
    fn other_names_bind_no_token() {
        for name in ["CNF", "cnf ", "jkt", "confirmation"] {
            let token = forge(HEADER, with(name, json!({ "jkt": JKT })));
            assert_eq!(verify(&token).unwrap().confirmation, None, "{name}");
        }
    }

    #[test]
    fn longest_custom_claims_of_a_cookie_fit_a_bound_token() {
        let with = |claims: Claims, letters: usize| {
            let custom = CustomClaims::from_json(&json!({ "a": "x".repeat(letters) }).to_string()).unwrap();
            tokens().issue(TokenKind::Access, &claims.with_custom(custom))
        };
        let longest = |claims: &Claims| (0..4000).rev().find(|letters| with(claims.clone(), *letters).is_ok()).unwrap();
        let token = with(bound(), longest(&claims())).unwrap();
        assert!(token.len() > MAX_ISSUED_LENGTH, "it would not fit into a cookie");
        let token = with(bound(), longest(&bound())).unwrap();
        assert!((MAX_TOKEN_LENGTH - 3..=MAX_TOKEN_LENGTH).contains(&token.len()));
        assert_eq!(code(&token), "token_wrong_scheme");
        assert_eq!(with(bound(), longest(&bound()) + 1).unwrap_err().code(), "issued_token_too_long");
    }
}

mod profile {
    use super::*;

    fn code_for(profile: &Profile, payload: impl AsRef<[u8]>) -> &'static str {
        code_of(&tokens_with(profile.clone()), &forge(HEADER, payload))
    }

    #[test]
    fn configured_issuer_is_added_and_required() {
        let profile = Profile { issuer: Some("us".to_owned()), ..Profile::default() };
        let tokens = tokens_with(profile.clone());
        assert_eq!(code_of(&tokens, &tokens.issue(TokenKind::Access, &claims()).unwrap()), "ok");
        assert_eq!(code_for(&profile, with("iss", json!("us"))), "ok");
        assert_eq!(code_for(&profile, payload().to_string()), "token_wrong_issuer");
        for other in ["them", "US", "us ", ""] {
            assert_eq!(code_for(&profile, with("iss", json!(other))), "token_wrong_issuer", "{other}");
        }
    }

    #[test]
    fn any_issuer_is_accepted_if_none_is_configured() {
        assert_eq!(code_of_payload(with("iss", json!("them"))), "ok");
    }

    #[test]
    fn tokens_of_former_issuers_are_accepted() {
        let old = || Some("old".to_owned());
        let new = |fallbacks: &[Option<String>]| {
            Profile::default().with_issuer("new").with_issuer_fallbacks(fallbacks.iter().cloned())
        };
        for (fallbacks, bare, of_old) in [
            (&[][..], "token_wrong_issuer", "token_wrong_issuer"),
            (&[None], "ok", "token_wrong_issuer"),
            (&[old()], "token_wrong_issuer", "ok"),
            (&[old(), None], "ok", "ok"),
        ] {
            let profile = new(fallbacks);
            assert_eq!(code_for(&profile, payload().to_string()), bare, "{fallbacks:?}");
            assert_eq!(code_for(&profile, with("iss", json!("old"))), of_old, "{fallbacks:?}");
            assert_eq!(code_for(&profile, with("iss", json!("new"))), "ok", "{fallbacks:?}");
            for other in ["them", "Old", "old ", ""] {
                assert_eq!(code_for(&profile, with("iss", json!(other))), "token_wrong_issuer", "{other}");
            }
            assert_eq!(code_for(&profile, with("iss", json!(null))), "token_malformed_claims");
            let issued = tokens_with(profile).issue(TokenKind::Access, &claims()).unwrap();
            assert_eq!(code_of(&tokens_with(Profile::default().with_issuer("new")), &issued), "ok");
        }
        let none = Profile::default().with_issuer_fallbacks([old()]);
        assert_eq!(code_for(&none, with("iss", json!("them"))), "ok", "without an issuer, any is accepted");
    }

    #[test]
    fn tokens_of_former_audiences_are_accepted() {
        let old = || Some("old".to_owned());
        for (audience, fallbacks, bare, of_old) in [
            (&["new"][..], &[][..], "token_wrong_audience", "token_wrong_audience"),
            (&["new"], &[None], "ok", "token_wrong_audience"),
            (&["new"], &[old()], "token_wrong_audience", "ok"),
            (&["new"], &[None, old()], "ok", "ok"),
            (&[], &[old()], "ok", "ok"),
            (&[], &[None], "ok", "token_wrong_audience"),
        ] {
            let fallbacks = fallbacks.iter().cloned();
            let profile = Profile::default().with_audience(audience.iter().copied()).with_audience_fallbacks(fallbacks);
            assert_eq!(code_for(&profile, payload().to_string()), bare, "{profile:?}");
            assert_eq!(code_for(&profile, with("aud", json!("old"))), of_old, "{profile:?}");
            assert_eq!(code_for(&profile, with("aud", json!(["x", "old"]))), of_old, "{profile:?}");
            for other in [json!("x"), json!("OLD"), json!([]), json!(["x", "olds"])] {
                assert_eq!(code_for(&profile, with("aud", other.clone())), "token_wrong_audience", "{other}");
            }
            let issued = tokens_with(profile).issue(TokenKind::Access, &claims()).unwrap();
            assert_eq!(
                code_of(&tokens_with(Profile::default().with_audience(audience.iter().copied())), &issued),
                "ok"
            );
        }
    }

    #[test]
    fn token_must_name_one_configured_audience() {
        let profile = Profile { audience: vec!["a".to_owned(), "b".to_owned()], ..Profile::default() };
        let tokens = tokens_with(profile.clone());
        assert_eq!(code_of(&tokens, &tokens.issue(TokenKind::Access, &claims()).unwrap()), "ok");
        for named in [json!("a"), json!("b"), json!(["b"]), json!(["x", "a"]), json!(["a", "a"])] {
            assert_eq!(code_for(&profile, with("aud", named.clone())), "ok", "{named}");
        }
        assert_eq!(code_for(&profile, payload().to_string()), "token_wrong_audience");
        for other in [json!("x"), json!("A"), json!("ab"), json!(""), json!([]), json!(["x", "y"])] {
            assert_eq!(code_for(&profile, with("aud", other.clone())), "token_wrong_audience", "{other}");
        }
    }

    #[test]
    fn audience_that_is_not_strings_is_refused() {
        for other in [json!([1]), json!(["a", null]), json!([["a"]]), json!(["a", {}]), json!({"a": 1})] {
            let profile = Profile { audience: vec!["a".to_owned()], ..Profile::default() };
            assert_eq!(code_for(&profile, with("aud", other.clone())), "token_malformed_claims", "{other}");
        }
    }

    #[test]
    fn token_with_an_audience_is_refused_if_none_is_configured() {
        for other in [json!("x"), json!(["x"]), json!([])] {
            assert_eq!(code_of_payload(with("aud", other.clone())), "token_wrong_audience", "{other}");
        }
    }

    #[test]
    fn one_audience_is_written_as_a_string_and_several_as_an_array() {
        let payload = |names: &[&str]| {
            let audience = names.iter().map(ToString::to_string).collect();
            let token =
                tokens_with(Profile { audience, ..Profile::default() }).issue(TokenKind::Access, &claims()).unwrap();
            serde_json::from_slice::<Value>(&decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
        };
        assert_eq!(payload(&[]).get("aud"), None);
        assert_eq!(payload(&["a"])["aud"], json!("a"));
        assert_eq!(payload(&["a", "b"])["aud"], json!(["a", "b"]));
    }

    #[test]
    fn another_claim_can_name_the_user() {
        let profile = Profile { subject_claim: "user_id".to_owned(), ..Profile::default() };
        let tokens = tokens_with(profile.clone());
        assert_eq!(
            tokens.verify(TokenKind::Access, &tokens.issue(TokenKind::Access, &claims()).unwrap(), NOW),
            Ok(claims())
        );
        let both = tokens.verify(TokenKind::Access, &forge(HEADER, with("user_id", json!("43"))), NOW).unwrap();
        assert_eq!(both.subject, "43");
        assert_eq!(code_for(&profile, payload().to_string()), "token_missing_claim");
        let wrong_sub = with("user_id", json!("43")).replace("\"42\"", "42");
        assert_eq!(code_for(&profile, wrong_sub), "token_malformed_claims");
    }

    #[test]
    fn reserved_claim_cannot_name_the_user() {
        for claim in ["iss", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "cnf", ""] {
            let profile = Profile { subject_claim: claim.to_owned(), ..Profile::default() };
            let error = Tokens::new(Keyring::new(key(SECRET), []).unwrap(), profile).unwrap_err();
            assert_eq!(error, ProfileError::ReservedClaim(claim.to_owned()));
            assert_eq!(error.code(), "reserved_claim");
            assert!(error.to_string().contains(&format!("{claim:?}")));
        }
    }

    #[test]
    fn empty_issuer_and_audience_are_refused() {
        let empty = String::new;
        let profiles = [
            Profile { issuer: Some(empty()), ..Profile::default() },
            Profile { audience: vec![empty()], ..Profile::default() },
            Profile { audience: vec!["a".to_owned(), empty()], ..Profile::default() },
            Profile::default().with_issuer_fallbacks([None, Some(empty())]),
            Profile::default().with_audience_fallbacks([Some(empty())]),
        ];
        for profile in profiles {
            let error = Tokens::new(Keyring::new(key(SECRET), []).unwrap(), profile).unwrap_err();
            assert_eq!((error.code(), &error), ("empty_name", &ProfileError::EmptyName));
        }
    }
}

mod time {
    use super::*;

    fn at(leeway: u64, payload: &str, now: UnixTime) -> Result<(), VerifyError> {
        let tokens = tokens_with(Profile { leeway: Duration::from_secs(leeway), ..Profile::default() });
        tokens.verify(TokenKind::Access, &forge(HEADER, payload), now).map(|_| ())
    }

    #[test]
    fn token_expires_at_exp() {
        let payload = payload().to_string();
        assert_eq!(at(0, &payload, EXP - 1 * SECOND), Ok(()));
        assert_eq!(at(0, &payload, EXP), Err(VerifyError::Expired(EXP)));
        assert_eq!(at(5, &payload, EXP + 4 * SECOND), Ok(()));
        assert_eq!(at(5, &payload, EXP + 5 * SECOND), Err(VerifyError::Expired(EXP)));
        let tokens = tokens_with(Profile { leeway: Duration::from_millis(1_999), ..Profile::default() });
        let token = forge(HEADER, &payload);
        assert!(tokens.verify(TokenKind::Access, &token, EXP).is_ok());
        let refused = tokens.verify(TokenKind::Access, &token, EXP + SECOND);
        assert_eq!(refused, Err(VerifyError::Expired(EXP)), "fractions of a second are ignored");
        assert_eq!(at(0, &payload, UnixTime::MAX), Err(VerifyError::Expired(EXP)));
        assert_eq!(VerifyError::Expired(EXP).code(), "token_expired");
    }

    #[test]
    fn token_is_valid_from_nbf() {
        let payload = with("nbf", json!(NOW.as_secs()));
        assert_eq!(at(0, &payload, NOW), Ok(()));
        assert_eq!(at(0, &payload, NOW - 1 * SECOND), Err(VerifyError::NotYetValid(NOW)));
        assert_eq!(at(5, &payload, NOW - 5 * SECOND), Ok(()));
        assert_eq!(at(5, &payload, NOW - 6 * SECOND), Err(VerifyError::NotYetValid(NOW)));
        assert_eq!(VerifyError::NotYetValid(NOW).code(), "token_not_yet_valid");
    }

    #[test]
    fn largest_leeway_does_not_overflow() {
        assert_eq!(at(u64::MAX, &payload().to_string(), UnixTime::MAX - SECOND), Ok(()));
        assert_eq!(at(u64::MAX, &with("nbf", json!(MAX_INTEGER)), UnixTime::EPOCH), Ok(()));
    }

    #[test]
    fn iat_is_never_a_reason_to_reject() {
        assert_eq!(at(0, &with("iat", json!(MAX_INTEGER)), NOW), Ok(()));
        assert_eq!(at(0, &payload().to_string(), UnixTime::EPOCH), Ok(()));
    }

    #[test]
    fn expired_token_is_expired_even_if_it_was_never_valid() {
        assert_eq!(at(0, &with("nbf", json!(EXP.as_secs() + 10)), EXP + 5 * SECOND), Err(VerifyError::Expired(EXP)));
    }

    #[test]
    fn verifying_without_time_still_checks_everything_else() {
        let ignoring_time = |token: &str| tokens().verify_ignoring_time(TokenKind::Access, token);
        assert_eq!(ignoring_time(&forge(HEADER, with("nbf", json!(MAX_INTEGER)))), Ok(claims()));
        assert_eq!(
            ignoring_time(&forge(HEADER, with("exp", json!(0)))),
            Ok(Claims { expires_at: UnixTime::EPOCH, ..claims() })
        );
        assert_eq!(ignoring_time(&forge(HEADER, without("exp"))), Err(VerifyError::MissingClaim("exp")));
        let foreign = forge_with(&key(FOREIGN_SECRET), HEADER, payload().to_string());
        assert_eq!(ignoring_time(&foreign), Err(VerifyError::BadSignature));
        let refresh = tokens().issue(TokenKind::Refresh, &claims()).unwrap();
        assert_eq!(ignoring_time(&refresh), Err(VerifyError::WrongType));
    }
}

mod secrecy {
    use super::*;

    #[test]
    fn debug_shows_neither_sid_nor_key() {
        let shown = format!("{:?} {:?} {:?} {:?}", claims(), claims().sid, tokens(), key(SECRET));
        let secrets = [
            sid_claim(),
            "7, 7".to_owned(),
            "0707".to_owned(),
            String::from_utf8(SECRET.to_vec()).unwrap(),
            BASE64URL.encode(SECRET),
            format!("{}, {}", SECRET[0], SECRET[1]),
            format!("{:02x}{:02x}", SECRET[0], SECRET[1]),
        ];
        for secret in secrets {
            assert!(!shown.contains(&secret), "{secret} in {shown}");
        }
        assert!(shown.contains("42"), "the subject is not secret: {shown}");
    }

    #[test]
    fn errors_show_no_part_of_the_token() {
        let mark = "MARK";
        let refused = [
            forge_with(&key(FOREIGN_SECRET), HEADER, with("sub", json!(mark))),
            forge(HEADER, with("sid", json!(mark))),
            forge(HEADER, with("aud", json!(mark))),
            forge(HEADER, with("exp", json!(mark))),
            forge(format!(r#"{{"alg":"{mark}","typ":"at+jwt"}}"#), payload().to_string()),
            forge(format!(r#"{{"alg":"HS256","typ":"{mark}"}}"#), payload().to_string()),
            forge(format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{mark}"}}"#), payload().to_string()),
            forge(format!(r#"{{"alg":"HS256","typ":"at+jwt","{mark}":""}}"#), payload().to_string()),
            mark.repeat(MAX_TOKEN_LENGTH),
            mark.to_owned(),
            forge(HEADER, with("exp", json!(0))),
            forge(HEADER, with("nbf", json!(EXP.as_secs()))),
        ];
        for token in refused {
            let error = verify(&token).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(mark) && !token.split('.').any(|part| shown.contains(part)), "{shown}");
        }
    }

    #[test]
    fn each_error_has_its_own_code() {
        let errors = [
            VerifyError::TooLong,
            VerifyError::Malformed,
            VerifyError::Header,
            VerifyError::UnknownKey,
            VerifyError::Algorithm,
            VerifyError::WrongType,
            VerifyError::BadSignature,
            VerifyError::MalformedClaims,
            VerifyError::MissingClaim("sub"),
            VerifyError::WrongIssuer,
            VerifyError::WrongAudience,
            VerifyError::Expired(NOW),
            VerifyError::NotYetValid(NOW),
            VerifyError::WrongScheme,
            VerifyError::SessionOver,
        ];
        let codes: BTreeSet<_> = errors.iter().map(VerifyError::code).collect();
        assert_eq!(codes.len(), errors.len());
        assert!(codes.iter().all(|code| code.starts_with("token_")));
    }
}

/// Run the same cases every time; `PROPTEST_CASES` sets their number.
fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7515), failure_persistence: None, ..ProptestConfig::default() }
}

prop_compose! {
    fn any_claims()(subject in ".{0,80}", sid: [u8; 20], generation in 0..=MAX_INTEGER, issued_at in 0..=MAX_INTEGER,
                    expires_at in 1..=MAX_INTEGER, auth_time in prop::option::of(0..=MAX_INTEGER),
                    methods in prop::collection::vec("[a-z0-9.:/_+-]{1,16}", 0..=MAX_METHODS),
                    actor in prop::option::of(".{0,20}")) -> Claims {
        let at = UnixTime::from_secs;
        let claims = Claims::new(subject, Sid::from_bytes(sid), Generation::new(generation), at(issued_at), at(expires_at));
        let (auth_time, methods) = (auth_time.map(at), Methods::new(methods).unwrap());
        Claims { auth_time, methods, actor, ..claims }
    }
}

fn any_fallbacks() -> impl Strategy<Value = Vec<Option<String>>> {
    prop::collection::vec(prop::option::of(".{1,20}"), 0..3)
}

prop_compose! {
    fn any_profile()(issuer in prop::option::of(".{1,40}"), audience in prop::collection::vec(".{1,20}", 0..4),
                     issuer_fallbacks in any_fallbacks(), audience_fallbacks in any_fallbacks(),
                     leeway: Duration, subject_claim in "[a-z_]{4,20}|sub|.{10}") -> Profile {
        Profile { issuer, issuer_fallbacks, audience, audience_fallbacks, leeway, subject_claim }
    }
}

/// Generate any JSON. The names that tokens use, and their usual values, are as likely as others.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["iss|sub|aud|exp|nbf|iat|jti|sid|gen|alg|typ|kid", ".{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "HS256|at\\+jwt|BwcHBwcHBwcHBwcHBwcHBwcHBwc".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn claims_of_these_names_that_a_site_used_before_are_its_own() {
    let mut payload = payload();
    for (name, value) in [
        ("auth_time", json!("yesterday")),
        ("auth_time", json!(1.5)),
        ("amr", json!("pwd")),
        ("amr", json!([])),
        ("amr", json!(["a b"])),
        ("amr", json!(["pwd", 1])),
        ("act", json!("bob")),
        ("act", json!({"sub": 1})),
    ] {
        payload[name] = value.clone();
        let (claims, _) = claims::parse(payload.to_string().as_bytes(), &Profile::default()).unwrap();
        assert_eq!((claims.auth_time, claims.actor), (None, None));
        assert!(claims.methods.is_empty());
        assert_eq!(claims.custom.get(name), Some(&value));
        payload.as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn authentication_and_actor_are_claims_of_open_id_connect_and_rfc_8693() {
    let authentication = Authentication::new(NOW, Methods::new(["pwd", "otp"]).unwrap());
    let claims = claims().with_authentication(authentication).with_actor(Some("7".to_owned()));
    let written: Value = serde_json::from_slice(&claims::encode(&claims, &Profile::default())).unwrap();
    assert_eq!(written["auth_time"], json!(NOW.as_secs()));
    assert_eq!(written["amr"], json!(["otp", "pwd"]));
    assert_eq!(written["act"], json!({"sub": "7"}));
    assert_eq!(claims::parse(written.to_string().as_bytes(), &Profile::default()), Ok((claims, None)));
}

#[test]
fn refresh_token_says_that_it_was_issued_without_activity() {
    let claims = Claims { idle: true, ..claims() };
    let tokens = two_keys();
    let token = tokens.issue(TokenKind::Refresh, &claims).unwrap();
    assert_eq!(tokens.verify(TokenKind::Refresh, &token, NOW), Ok(claims.clone()));
    let custom = CustomClaims::from_json(r#"{"idle": true}"#).unwrap();
    let of_the_site = Claims { idle: false, ..claims }.with_custom(custom);
    let token = tokens.issue(TokenKind::Access, &of_the_site).unwrap();
    assert_eq!(tokens.verify(TokenKind::Access, &token, NOW), Ok(of_the_site));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn tokens_of_any_profile_verify(
        claims in any_claims(), profile in any_profile(), several: bool, kind in prop_oneof![Just(TokenKind::Access), Just(TokenKind::Refresh)],
        algorithm in prop::sample::select(&HMAC),
    ) {
        let key = SigningKey::read(algorithm, &SECRET).unwrap();
        let older = several.then(|| VerifyingKey::read(algorithm, &OLD_SECRET).unwrap());
        let tokens = Tokens::new(Keyring::new(key, older).unwrap(), profile).unwrap();
        let token = tokens.issue(kind, &claims).unwrap();
        prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)));
        prop_assert_eq!(tokens.verify(kind, &token, claims.expires_at - SECOND), Ok(claims));
    }

    #[test]
    fn valid_tokens_are_recognised_without_their_key(
        claims in any_claims(), profile in any_profile(), now in (0..=MAX_INTEGER).prop_map(UnixTime::from_secs),
    ) {
        let ring = Keyring::new(key_for(Algorithm::EdDsa), []).unwrap();
        let tokens = Tokens::new(ring, profile.clone()).unwrap();
        let keys = VerifyingKeys::from_jwk_set(br#"{"keys":[]}"#, None).unwrap();
        let without_keys = Verifier::new(keys, profile).unwrap();
        let token = tokens.issue(TokenKind::Access, &claims).unwrap();
        let is_valid = tokens.verify(TokenKind::Access, &token, now).is_ok();
        prop_assert_eq!(without_keys.is_valid_but_for_key(TokenKind::Access, &token, now), is_valid);
        prop_assert!(!without_keys.is_valid_but_for_key(TokenKind::Refresh, &token, now));
    }

    #[test]
    fn layout_and_parser_read_the_same_claims(
        claims in any_claims(), profile in any_profile(), position in 0..200usize, byte: u8,
    ) {
        let mut payload = claims::encode(&claims, &profile);
        let layout = Layout::new(&profile);
        let escaped = claims.subject.chars().any(|c| c < ' ' || c == '"' || c == '\\');
        let is_written = !escaped && claims.actor.is_none(); // tokens of those who act as others are rare
        prop_assert_eq!(layout.read(&payload), is_written.then_some(claims));
        if let Some(changed) = payload.get_mut(position) {
            *changed = byte;
        }
        if let Some(read) = layout.read(&payload) {
            prop_assert_eq!(claims::parse(&payload, &profile), Ok((read, None)));
        }
    }

    #[test]
    fn arbitrary_text_is_refused(text in ".*", dotted in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,43}") {
        for tokens in [tokens(), two_keys()] {
            for kind in [TokenKind::Access, TokenKind::Refresh] {
                prop_assert!(tokens.verify(kind, &text, NOW).is_err());
                prop_assert!(tokens.verify_ignoring_time(kind, &dotted).is_err());
            }
        }
    }

    #[test]
    fn arbitrary_signature_is_refused(signature in prop::collection::vec(any::<u8>(), 0..70)) {
        let token = forge(HEADER, payload().to_string());
        let message = &token[..token.rfind('.').unwrap()];
        prop_assert_eq!(code(&format!("{message}.{}", BASE64URL.encode(signature))), "token_bad_signature");
    }

    #[test]
    fn arbitrary_bytes_are_refused_as_header_and_claims(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(code_of_header(&bytes), "token_header");
        prop_assert_eq!(code_of_payload(&bytes), "token_malformed_claims");
    }

    #[test]
    fn only_the_exact_header_is_accepted(header in any_json()) {
        let is_exact = header == json!({"alg": "HS256", "typ": "at+jwt"});
        prop_assert_eq!(code_of_header(header.to_string()) == "ok", is_exact, "{}", header);
    }

    #[test]
    fn claims_are_accepted_only_if_each_has_its_type(members in prop::collection::btree_map("iss|sub|exp|nbf|iat|jti|sid|gen|[a-z]{2}", any_json(), 0..3)) {
        let mut claims = payload();
        for (name, value) in members {
            claims[name] = value;
        }
        let integer = |name: &str| claims[name].as_u64().filter(|value| *value <= MAX_INTEGER);
        let optional = |name: &str, is: fn(&Value) -> bool| claims.get(name).is_none_or(is);
        let good = claims["sub"].is_string()
            && claims["sid"].as_str().is_some_and(|sid| Sid::parse(sid.as_bytes()).is_some())
            && integer("gen").is_some()
            && integer("iat").is_some()
            && integer("exp").is_some_and(|exp| exp > NOW.as_secs())
            && (claims.get("nbf").is_none() || integer("nbf").is_some_and(|nbf| nbf <= NOW.as_secs()))
            && optional("iss", Value::is_string)
            && optional("jti", Value::is_string);
        prop_assert_eq!(code_of_payload(claims.to_string()) == "ok", good, "{}", claims);
    }
}

#[test]
fn token_with_any_changed_byte_is_refused() {
    let token = tokens().issue(TokenKind::Access, &claims()).unwrap();
    for position in 0..token.len() {
        for byte in (0..128u8).filter(|byte| *byte != token.as_bytes()[position]) {
            let mut other = token.clone().into_bytes();
            other[position] = byte;
            let other = String::from_utf8(other).unwrap();
            assert!(verify(&other).is_err(), "{other}");
        }
    }
}

#[test]
fn token_with_a_missing_or_added_byte_is_refused() {
    let token = tokens().issue(TokenKind::Access, &claims()).unwrap();
    for position in 0..token.len() {
        let (before, after) = token.split_at(position);
        assert!(verify(&format!("{before}{}", &after[1..])).is_err());
        for stray in ["A", ".", "=", "\0", "\u{e9}"] {
            assert!(verify(&format!("{before}{stray}{after}")).is_err());
        }
    }
}
