//! The public key of a device.

use std::{fmt, sync::Arc};

use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::Value;

use super::ProofError;
use crate::{Algorithm, KeyError, key::Jwk};

/// The largest RSA modulus of a device, in bits. The smallest is that of all keys, 2048 (RFC 7518 §3.3).
const MAX_RSA_BITS: usize = 4096;

/// What the text of a key begins with, to tell it from other kinds of key that a session may have.
const PREFIX: &str = "dbsc:";

/// The public key of a device: on P-256 for ES256, or RSA with 2048 to 4096 bits for RS256.
///
/// The key comes from [`DeviceProof::registration`](crate::DeviceProof::registration), and is stored as text.
#[derive(Clone)]
pub struct DeviceKey {
    algorithm: Algorithm,
    text: Arc<str>,
    parsed: Arc<ParsedPublicKey>,
}

impl DeviceKey {
    /// Read a key from its text.
    ///
    /// # Errors
    ///
    /// [`ProofError::BadKey`]: [`to_text`](Self::to_text) does not write this text.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let key = text.strip_prefix(PREFIX).and_then(|jwk| {
            let jwk = Jwk::detect(jwk.as_bytes()).ok()??;
            Self::new(jwk.algorithm(None).filter(|it| is_of_devices(*it))?, &jwk).ok()
        });
        key.filter(|key| *key.text == *text).ok_or(ProofError::BadKey)
    }

    /// Return the key as text: `dbsc:` and the canonical JWK, which is `alg` and the required members (RFC 7638 §3.2) in
    /// lexical order. Equal keys have equal texts.
    pub fn to_text(&self) -> String {
        (*self.text).to_owned()
    }

    /// Return the algorithm that the device signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Return the thumbprint of the key (RFC 7638), which is the session identifier that its browser knows.
    pub fn thumbprint(&self) -> String {
        let jwk = self.text.strip_prefix(PREFIX).unwrap_or_default();
        let jwk = Jwk::detect(jwk.as_bytes()).ok().flatten();
        let public = jwk.and_then(|jwk| jwk.public(self.algorithm).ok());
        public.map(|public| public.thumbprint()).unwrap_or_default()
    }

    /// Read a public JWK without private members.
    pub(super) fn from_jwk(algorithm: Algorithm, jwk: &Value) -> Result<Self, ProofError> {
        Jwk::from_value(jwk).and_then(|jwk| Self::new(algorithm, &jwk)).map_err(|_| ProofError::BadKey)
    }

    fn new(algorithm: Algorithm, jwk: &Jwk<'_>) -> Result<Self, KeyError> {
        Jwk::demand(Some(jwk), algorithm, "verify")?;
        let public = jwk.public(algorithm)?;
        if let Some(bits) = public.rsa_bits().filter(|bits| *bits > MAX_RSA_BITS) {
            return Err(KeyError::RsaSize { bits });
        }
        let text = format!("{PREFIX}{}", public.canonical_jwk(algorithm));
        Ok(Self { algorithm, text: text.into(), parsed: Arc::new(public.parse(algorithm)?) })
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({} [redacted])", self.algorithm)
    }
}

impl PartialEq for DeviceKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DeviceKey {}

/// Return whether devices may use this algorithm.
pub(super) fn is_of_devices(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Es256 | Algorithm::Rs256)
}
