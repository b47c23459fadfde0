//! Tests of challenges, device keys and proofs.

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    Algorithm, Claims, GeneratedKey, Generation, Keyring, MAX_TOKEN_LENGTH, Profile, Sid, SigningKey, TokenKind,
    Tokens, UnixTime, VerifyError, base64url::BASE64URL, token::Type,
};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const EXP: UnixTime = UnixTime::from_secs(1_700_000_300);

/// A browser with the key of its device.
struct Device {
    algorithm: Algorithm,
    key: SigningKey,
    jwk: Value,
}

impl Device {
    fn new(algorithm: Algorithm) -> Self {
        let made = GeneratedKey::new(algorithm, None).unwrap();
        let mut jwk: Value = serde_json::from_str(made.public_jwk().unwrap()).unwrap();
        for name in ["kid", "use", "alg"] {
            jwk.as_object_mut().unwrap().remove(name);
        }
        Self { algorithm, key: SigningKey::read(algorithm, made.expose_jwk().as_bytes()).unwrap(), jwk }
    }

    fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
        let signature = self.key.sign(message.as_bytes(), |signature| BASE64URL.encode(signature)).unwrap();
        format!("{message}.{signature}")
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm.as_str(), "typ": "dbsc+jwt"})
    }

    fn registration(&self, challenge: &str) -> String {
        let mut header = self.header();
        header["jwk"] = self.jwk.clone();
        self.sign(header.to_string(), json!({"jti": challenge}).to_string())
    }

    fn refresh(&self, challenge: &str) -> String {
        self.sign(self.header().to_string(), json!({"jti": challenge}).to_string())
    }

    fn registered(&self) -> DeviceKey {
        parse(&self.registration("")).unwrap().registration().unwrap().0
    }
}

fn parse(value: &str) -> Result<DeviceProof, ProofError> {
    DeviceProof::parse(value.as_bytes())
}

fn tokens() -> Tokens {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
    Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap()
}

fn challenge() -> Challenge {
    Challenge::new(Sid::from_bytes([7; 20]).session_id(), Generation::new(3), Purpose::Refresh, EXP)
}

mod challenges {
    use super::*;

    #[test]
    fn issued_challenges_are_read() {
        for purpose in [Purpose::Register, Purpose::Refresh] {
            let challenge = Challenge { purpose, ..challenge() };
            assert_eq!(
                tokens().verifier().read_challenge(&tokens().issue_challenge(&challenge).unwrap()),
                Ok(challenge)
            );
        }
    }

    #[test]
    fn challenges_and_tokens_are_not_accepted_in_place_of_each_other() {
        let tokens = tokens();
        let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::new(3), NOW, EXP);
        let text = tokens.issue_challenge(&challenge()).unwrap();
        for kind in [TokenKind::Access, TokenKind::Refresh] {
            assert_eq!(tokens.verify(kind, &text, NOW), Err(VerifyError::WrongType));
            let token = tokens.issue(kind, &claims).unwrap();
            assert_eq!(tokens.verifier().read_challenge(&token), Err(VerifyError::WrongType));
        }
    }

    #[test]
    fn challenges_of_other_keys_are_refused() {
        let other = SigningKey::read(Algorithm::Hs256, &[8; 32]).unwrap();
        let other = Tokens::new(Keyring::new(other, []).unwrap(), Profile::default()).unwrap();
        let text = other.issue_challenge(&challenge()).unwrap();
        assert_eq!(tokens().verifier().read_challenge(&text), Err(VerifyError::BadSignature));
    }

    #[test]
    fn challenges_of_every_accepted_key_are_read() {
        let read = |algorithm: Algorithm| {
            let made = GeneratedKey::new(algorithm, None).unwrap();
            SigningKey::read(algorithm, made.expose_jwk().as_bytes()).unwrap()
        };
        let (old, new) = (read(Algorithm::Es256), read(Algorithm::EdDsa));
        let before = Tokens::new(Keyring::new(old.clone(), []).unwrap(), Profile::default()).unwrap();
        let ring = Keyring::new(new, [old.verifying_key().clone()]).unwrap();
        let after = Tokens::new(ring, Profile::default()).unwrap();
        for tokens in [&before, &after] {
            let text = tokens.issue_challenge(&challenge()).unwrap();
            assert_eq!(after.verifier().read_challenge(&text), Ok(challenge()));
        }
    }

    #[test]
    fn challenge_does_not_contain_the_secret_name_of_the_session() {
        let text = tokens().issue_challenge(&challenge()).unwrap();
        let payload = BASE64URL.decode(text.split('.').nth(1).unwrap()).unwrap();
        let id = challenge().session;
        assert_eq!(payload, format!(r#"{{"sid":"{id}","gen":3,"use":"refresh","exp":{EXP}}}"#).as_bytes());
    }

    #[test]
    fn only_the_written_form_of_a_payload_is_read() {
        let id = "00000000-0000-7e47-89b2-7eb8d300dbb5";
        let written = format!(r#"{{"sid":"{id}","gen":3,"use":"refresh","exp":9}}"#);
        let read = |payload: &str| {
            let text = tokens().sign(Type::Challenge, payload.as_bytes()).unwrap();
            tokens().verifier().read_challenge(&text)
        };
        assert_eq!(read(&written).unwrap().session.to_string(), id);
        for (part, other) in [
            (id, ""),
            (id, "{00000000-0000-7e47-89b2-7eb8d300dbb5}"),
            (id, "00000000-0000-7E47-89B2-7EB8D300DBB5"),
            (id, "000000000000\u{0037}e4789b27eb8d300dbb5"),
            ("refresh", "Refresh"),
            ("refresh", "access"),
            (r#""gen":3"#, r#""gen":3.0"#),
            (r#""gen":3"#, r#""gen":-3"#),
            (r#""gen":3"#, r#""gen":3,"gen":3"#),
            (r#""gen":3"#, r#""gen":3,"iat":1"#),
            (r#""gen":3,"#, ""),
            (r#""gen":3"#, r#""g\u0065n":3"#),
            ("{", " {"),
            ("}", "}}"),
        ] {
            assert_eq!(read(&written.replace(part, other)), Err(VerifyError::MalformedClaims), "{other}");
        }
        let array = format!(r#"["{id}",3,"refresh",9]"#);
        assert_eq!(read(&array), Err(VerifyError::MalformedClaims));
    }

    proptest! {
        #[test]
        fn every_challenge_is_read_as_it_was_issued(id: u128, generation: u64, exp: u64, register: bool) {
            let purpose = if register { Purpose::Register } else { Purpose::Refresh };
            let (generation, end) = (Generation::new(generation), UnixTime::from_secs(exp));
            let challenge = Challenge::new(Uuid::from_u128(id), generation, purpose, end);
            let text = tokens().issue_challenge(&challenge).unwrap();
            prop_assert_eq!(tokens().verifier().read_challenge(&text), Ok(challenge));
        }
    }
}

mod keys {
    use super::*;

    #[test]
    fn key_is_stored_as_its_canonical_jwk() {
        let device = Device::new(Algorithm::Es256);
        let [x, y] = ["x", "y"].map(|name| device.jwk[name].as_str().unwrap());
        let text = format!(r#"dbsc:{{"alg":"ES256","crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        assert_eq!(device.registered().to_text(), text);

        let device = Device::new(Algorithm::Rs256);
        let n = device.jwk["n"].as_str().unwrap();
        let text = format!(r#"dbsc:{{"alg":"RS256","e":"AQAB","kty":"RSA","n":"{n}"}}"#);
        assert_eq!(device.registered().to_text(), text);
    }

    #[test]
    fn stored_key_is_read_as_the_same_key() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let key = Device::new(algorithm).registered();
            assert_eq!(DeviceKey::parse(&key.to_text()).unwrap(), key);
            assert_ne!(Device::new(algorithm).registered(), key);
        }
    }

    #[test]
    fn rsa_keys_have_2048_to_4096_bits() {
        let refused_for = |bits: u32| {
            let mut modulus = vec![0xff; bits.div_ceil(8).try_into().unwrap()];
            modulus[0] >>= (8 - bits % 8) % 8;
            let jwk = json!({"kty": "RSA", "e": "AQAB", "n": BASE64URL.encode(modulus)});
            let header = json!({"alg": "RS256", "typ": "dbsc+jwt", "jwk": jwk}).to_string();
            let proof = Device::new(Algorithm::Es256).sign(header, r#"{"jti":""}"#);
            parse(&proof).and_then(|proof| proof.registration().map(|_| ())).unwrap_err()
        };
        for bits in [2048, 3072, 4096] {
            assert_eq!(refused_for(bits), ProofError::BadSignature, "{bits}");
        }
        for bits in [8, 1024, 2047, 4097, 8192] {
            assert_eq!(refused_for(bits), ProofError::BadKey, "{bits}");
        }
    }

    #[test]
    fn texts_in_another_form_are_refused() {
        let text = Device::new(Algorithm::Es256).registered().to_text();
        let jwk = text.strip_prefix("dbsc:").unwrap();
        for other in [
            "",
            "dbsc:",
            "dbsc:{}",
            "dbsc:[]",
            jwk,
            &format!("dpop:{jwk}"),
            &format!("dbsc: {jwk}"),
            &format!("{text} "),
            &text.replace("ES256", "RS256"),
            &text.replace("ES256", "ES384"),
            &text.replace(r#""kty""#, r#""kid":"a","kty""#),
            &text.replace(r#""kty""#, r#""d":"AA","kty""#),
            &text.replace("kty", "\\u006bty"),
        ] {
            assert_eq!(DeviceKey::parse(other).unwrap_err().code(), "device_proof_key", "{other}");
        }
    }
}

mod proofs {
    use super::*;

    #[test]
    fn registration_returns_the_key_and_the_challenge() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let device = Device::new(algorithm);
            let proof = parse(&device.registration("a challenge")).unwrap();
            let (key, challenge) = proof.registration().unwrap();
            assert_eq!((key.algorithm(), challenge), (algorithm, "a challenge"));
            assert_eq!(parse(&device.refresh("another")).unwrap().verify(&key), Ok("another"));
        }
    }

    #[test]
    fn proof_of_another_device_is_refused() {
        let (device, other) = (Device::new(Algorithm::Es256), Device::new(Algorithm::Es256));
        let proof = parse(&other.refresh("")).unwrap();
        assert_eq!(proof.verify(&device.registered()), Err(ProofError::BadSignature));
        let rsa = Device::new(Algorithm::Rs256).registered();
        assert_eq!(proof.verify(&rsa), Err(ProofError::WrongAlgorithm));
    }

    #[test]
    fn registration_signed_with_a_different_key_is_refused() {
        let mut device = Device::new(Algorithm::Es256);
        device.jwk = Device::new(Algorithm::Es256).jwk;
        assert_eq!(parse(&device.registration("")).unwrap().registration().unwrap_err(), ProofError::BadSignature);
    }

    #[test]
    fn key_is_required_in_a_registration_and_refused_in_other_proofs() {
        let device = Device::new(Algorithm::Es256);
        let (registration, refresh) = (parse(&device.registration("")).unwrap(), parse(&device.refresh("")).unwrap());
        assert_eq!(refresh.registration().unwrap_err(), ProofError::Malformed);
        assert_eq!(registration.verify(&device.registered()), Err(ProofError::Malformed));
    }

    #[test]
    fn value_is_a_proof_or_a_structured_text() {
        let device = Device::new(Algorithm::Es256);
        let (proof, key) = (device.refresh("c"), device.registered());
        for value in [proof.clone(), format!("\"{proof}\""), format!("\"{proof}\";a=1;b=\"\\\"\"")] {
            assert_eq!(parse(&value).unwrap().verify(&key), Ok("c"), "{value}");
        }
        for value in [
            format!("\"{proof}"),
            format!("{proof}\""),
            format!("\"{proof}\"a"),
            format!("\"{proof}\", \"{proof}\""),
            format!("\"\"{proof}\"\""),
            format!("'{proof}'"),
            format!("\"{proof}\\\""),
            format!(":{proof}:"),
            format!(" {proof}"),
            format!("{proof}\n"),
        ] {
            assert_eq!(parse(&value).unwrap_err(), ProofError::Malformed, "{value}");
        }
    }

    #[test]
    fn other_members_of_the_payload_are_ignored() {
        let device = Device::new(Algorithm::Es256);
        let payload = r#"{"aud":"https://a.example","authorization":"ac","iat":1.5,"jti":"c","jwk":{"d":[null]}}"#;
        let proof = parse(&device.sign(device.header().to_string(), payload)).unwrap();
        assert_eq!(proof.verify(&device.registered()), Ok("c"));
    }

    #[test]
    fn proof_longer_than_the_maximum_is_refused() {
        let device = Device::new(Algorithm::Es256);
        let of_length = |length| {
            let of = |count| device.refresh(&"x".repeat(count));
            (2900..3000).map(of).find(|proof| proof.len() == length)
        };
        let longest = (0..3).find_map(|less| of_length(MAX_TOKEN_LENGTH - less)).unwrap();
        assert!(parse(&longest).is_ok() && parse(&format!("\"{longest}\"")).is_ok());
        let longer = (1..4).find_map(|more| of_length(MAX_TOKEN_LENGTH + more)).unwrap();
        assert_eq!(parse(&longer).unwrap_err(), ProofError::Malformed);
    }

    #[test]
    fn longest_challenge_fits_into_the_registration_of_the_largest_key() {
        let site = GeneratedKey::new(Algorithm::Rs512, Some(&"k".repeat(64))).unwrap();
        let site = SigningKey::read(Algorithm::Rs512, site.expose_jwk().as_bytes()).unwrap();
        let tokens = Tokens::new(Keyring::new(site, []).unwrap(), Profile::default()).unwrap();
        let challenge = Challenge::new(Uuid::max(), Generation::new(u64::MAX), Purpose::Register, UnixTime::MAX);
        let challenge = tokens.issue_challenge(&challenge).unwrap();
        let (modulus, signature) = ("A".repeat(683), "A".repeat(683)); // of 4096 bits
        let jwk = json!({"kty": "RSA", "n": modulus, "e": "AQAB"});
        let header = json!({"alg": "RS256", "typ": "dbsc+jwt", "jwk": jwk}).to_string();
        let payload = json!({"jti": challenge}).to_string();
        let proof = format!("{}.{}.{signature}", BASE64URL.encode(header), BASE64URL.encode(payload));
        assert!(proof.len() <= MAX_TOKEN_LENGTH, "{}", proof.len());
    }

    #[test]
    fn debug_does_not_show_the_proof() {
        let device = Device::new(Algorithm::Es256);
        let proof = device.registration("c");
        let shown = format!("{:?} {:?}", parse(&proof).unwrap(), device.registered());
        assert_eq!(shown, "DeviceProof(ES256 [redacted]) DeviceKey(ES256 [redacted])");
    }

    proptest! {
        #[test]
        fn no_bytes_are_accepted_without_a_key(value: Vec<u8>) {
            prop_assert!(DeviceProof::parse(&value).is_err());
        }

        #[test]
        fn every_challenge_is_returned_as_it_was_signed(challenge in "\\PC{0,100}") {
            let device = Device::new(Algorithm::Es256);
            let proof = parse(&device.refresh(&challenge)).unwrap();
            prop_assert_eq!(proof.verify(&device.registered()), Ok(challenge.as_str()));
        }

        #[test]
        fn changed_proof_is_refused(at: prop::sample::Index, change in "[ABab01_=. \\-]", registers: bool) {
            let device = Device::new(Algorithm::Es256);
            let proof = if registers { device.registration("c") } else { device.refresh("c") };
            let at = at.index(proof.len());
            let changed = format!("{}{change}{}", &proof[..at], &proof[at + 1..]);
            prop_assume!(changed != proof);
            let accepted = parse(&changed).is_ok_and(|changed| {
                changed.registration().is_ok() || changed.verify(&device.registered()).is_ok()
            });
            prop_assert!(!accepted);
        }
    }
}
