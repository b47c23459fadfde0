//! The public key of a device.

use serde_json::Value;

use super::ProofError;
use crate::{Algorithm, VerifyingKey, strict_json::Strict};

/// The largest RSA modulus of a device, in bits. The smallest is that of all keys, 2048 (RFC 7518 §3.3).
const MAX_RSA_BITS: usize = 4096;

/// What the text of a key begins with, to tell it from other kinds of key that a session may have.
const PREFIX: &str = "dbsc:";

/// The public key of a device: on P-256 for ES256, or RSA with 2048 to 4096 bits for RS256.
///
/// The key comes from [`DeviceProof::registration`](crate::DeviceProof::registration), and is stored as text.
#[derive(Clone, Debug)]
pub struct DeviceKey(VerifyingKey);

impl DeviceKey {
    /// Read a key from its text.
    ///
    /// # Errors
    ///
    /// [`ProofError::BadKey`]: [`to_text`](Self::to_text) does not write this text.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let jwk = text.strip_prefix(PREFIX).ok_or(ProofError::BadKey)?;
        let Strict(jwk) = serde_json::from_str(jwk).map_err(|_| ProofError::BadKey)?;
        let algorithm = jwk.get("alg").and_then(Value::as_str).and_then(device_algorithm).ok_or(ProofError::BadKey)?;
        let key = Self::from_jwk(algorithm, &jwk)?;
        if key.to_text() == text { Ok(key) } else { Err(ProofError::BadKey) }
    }

    /// Write the key as text: `dbsc:` and the canonical JWK, which is `alg` and the required members (RFC 7638 §3.2) in
    /// lexical order. Equal keys have equal texts.
    pub fn to_text(&self) -> String {
        let jwk = self.0.canonical_jwk().unwrap_or_default(); // a device key is never a secret
        format!("{PREFIX}{jwk}")
    }

    /// Return the algorithm that the device signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// Return the thumbprint of the key (RFC 7638): the session identifier that its browser knows.
    pub fn thumbprint(&self) -> &str {
        self.0.thumbprint()
    }

    /// Read a public JWK without private members.
    pub(super) fn from_jwk(algorithm: Algorithm, jwk: &Value) -> Result<Self, ProofError> {
        let key = VerifyingKey::from_jwk(algorithm, jwk).map_err(|_| ProofError::BadKey)?;
        if key.rsa_bits().is_some_and(|bits| bits > MAX_RSA_BITS) {
            return Err(ProofError::BadKey);
        }
        Ok(Self(key))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verifies(message, signature)
    }
}

impl PartialEq for DeviceKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl Eq for DeviceKey {}

/// Return the algorithm with this `alg` if devices may use it.
pub(super) fn device_algorithm(name: &str) -> Option<Algorithm> {
    [Algorithm::Es256, Algorithm::Rs256].into_iter().find(|algorithm| algorithm.as_str() == name)
}
