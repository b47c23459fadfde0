//! Keys: one secret for one algorithm.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{Algorithm, KeyError};

/// A key that signs and verifies with one algorithm. Neither `Debug` nor any method shows the secret.
#[derive(Clone)]
pub struct Key {
    algorithm: Algorithm,
    id: String,
    hmac: hmac::Key,
}

impl Key {
    /// An HMAC key from the bytes of a secret.
    ///
    /// The key's id is the RFC 7638 thumbprint of the secret as a JWK of type `oct`.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooShort`]: the secret is shorter than the hash (RFC 7518 §3.2).
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let minimum = algorithm.min_key_length();
        if secret.len() < minimum {
            return Err(KeyError::TooShort { algorithm: algorithm.name(), actual: secret.len(), minimum });
        }
        Ok(Self { algorithm, id: oct_thumbprint(secret), hmac: hmac::Key::new(algorithm.hmac(), secret) })
    }

    /// What this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` (RFC 7515 §4.1.4).
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.hmac, message)
    }

    /// Compares in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.hmac, message, signature).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} [redacted])", self.algorithm)
    }
}

/// RFC 7638 §3: SHA-256 over the required members in lexical order.
fn oct_thumbprint(secret: &[u8]) -> String {
    let k = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(secret));
    let jwk = Zeroizing::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, *k));
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, jwk.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyring, Kind, Profile, Tokens, VerifyError};

    #[test]
    fn a_key_is_at_least_as_long_as_its_hash() {
        for (algorithm, minimum) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
            assert!(Key::from_secret(algorithm, &vec![7; minimum]).is_ok());
            let error = Key::from_secret(algorithm, &vec![7; minimum - 1]).unwrap_err();
            assert_eq!(error.code(), "key_too_short");
            assert_eq!(
                error.to_string(),
                format!("key of {} bytes is too short: {algorithm} needs at least {minimum}", minimum - 1)
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = Key::from_secret(Algorithm::Hs256, &[b'x'; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "Key(HS256 [redacted])");
    }

    fn rfc_7515_a1() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../testdata/rfc7515-a1.json")).unwrap()
    }

    fn rfc_7515_a1_key() -> Key {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(rfc_7515_a1()["k"].as_str().unwrap()).unwrap();
        Key::from_secret(Algorithm::Hs256, &secret).unwrap()
    }

    /// The thumbprint made by Python's hashlib over the canonical JWK of that key.
    #[test]
    fn the_id_is_the_rfc_7638_thumbprint() {
        assert_eq!(rfc_7515_a1_key().id(), "y_x3gCJnL6oKGBBIXScabduwxTVy2Wd2bzRVEUbdUzc");
    }

    #[test]
    fn rfc_7515_a1_is_signed_as_printed() {
        let vector = rfc_7515_a1();
        let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(vector[part].as_str().unwrap());
        let message = format!("{}.{}", encode("header"), encode("payload"));
        let signature = rfc_7515_a1_key().sign(message.as_bytes());
        assert_eq!(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)), vector["token"]);
        assert!(rfc_7515_a1_key().verifies(message.as_bytes(), signature.as_ref()));
        assert!(!rfc_7515_a1_key().verifies(b"another message", signature.as_ref()));
    }

    /// It has no `sid`, and its `typ` is none of ours.
    #[test]
    fn rfc_7515_a1_is_no_token_of_ours() {
        let tokens = Tokens::new(Keyring::new(rfc_7515_a1_key(), []).unwrap(), Profile::default()).unwrap();
        let refused = tokens.verify_ignoring_time(Kind::Access, rfc_7515_a1()["token"].as_str().unwrap());
        assert_eq!(refused, Err(VerifyError::WrongType));
    }
}
