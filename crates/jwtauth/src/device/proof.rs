//! Proofs: JWS that a browser signs with the key of its device (DBSC §"DBSC Proof JWT Syntax").

use std::{fmt, str};

use serde_json::Value;

use super::{ClientJws, DeviceKey, key::is_of_devices};

const TYPE: &str = "dbsc+jwt";

/// A proof that a browser has the key of its device. It is not verified until
/// [`registration`](Self::registration) or [`verify`](Self::verify) returns the challenge. `Debug` does not show it.
pub struct DeviceProof {
    pub(super) jws: ClientJws,
    pub(super) challenge: String,
}

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The value is too long, or is not a compact JWS. Its header is not an object of only `alg`, `typ` and `jwk`, or
    /// `typ` is not `dbsc+jwt`. Its payload is not an object with a text `jti`. A name occurs twice. Or `jwk` is missing
    /// from a registration, or present in another proof.
    #[error("proof is malformed")]
    Malformed,
    /// `alg` is neither ES256 nor RS256, or is not the algorithm of the device's key (RFC 8725 §3.1).
    #[error("algorithm of the proof is not accepted, or not that of the key")]
    WrongAlgorithm,
    /// The `jwk`, or the stored text, is not a public key for the algorithm. RSA keys have 2048 to 4096 bits.
    #[error("key of the proof is not valid")]
    BadKey,
    /// The key of the device did not make this signature.
    #[error("signature of the proof does not match")]
    BadSignature,
}

impl ProofError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "device_proof_malformed",
            Self::WrongAlgorithm => "device_proof_algorithm",
            Self::BadKey => "device_proof_key",
            Self::BadSignature => "device_proof_signature",
        }
    }
}

impl DeviceProof {
    /// Parse the value of the header `Secure-Session-Response`: a text in double quotes, whose parameters are ignored
    /// (RFC 9651 §3.3.3), or the proof itself. A proof has at most [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH) bytes.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] other than [`BadSignature`](ProofError::BadSignature).
    pub fn parse(value: &[u8]) -> Result<Self, ProofError> {
        let value = str::from_utf8(value).map_err(|_| ProofError::Malformed)?;
        let proof = unquoted(value).ok_or(ProofError::Malformed)?;
        let (jws, mut payload) = ClientJws::parse(proof, TYPE, is_of_devices)?;
        let Some(Value::String(challenge)) = payload.remove("jti") else { return Err(ProofError::Malformed) };
        Ok(Self { jws, challenge })
    }

    /// Verify the proof of a registration with the key that it brings, and return that key and the challenge. Any client
    /// can make such a proof, so the challenge decides whether the key is accepted.
    ///
    /// # Errors
    ///
    /// [`ProofError::Malformed`] without a key, or [`ProofError::BadSignature`].
    pub fn registration(&self) -> Result<(DeviceKey, &str), ProofError> {
        let key = self.jws.key.as_ref().ok_or(ProofError::Malformed)?;
        Ok((key.clone(), self.signed_by(key)?))
    }

    /// Verify the proof with the key of the session's device, and return the challenge.
    ///
    /// # Errors
    ///
    /// [`ProofError::Malformed`] if the proof brings a key, [`ProofError::WrongAlgorithm`] if it is not for this key, or
    /// [`ProofError::BadSignature`].
    pub fn verify(&self, key: &DeviceKey) -> Result<&str, ProofError> {
        if self.jws.key.is_some() {
            return Err(ProofError::Malformed);
        }
        self.signed_by(key)
    }

    fn signed_by(&self, key: &DeviceKey) -> Result<&str, ProofError> {
        self.jws.verify(key).map(|()| &*self.challenge)
    }
}

impl fmt::Debug for DeviceProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceProof({} [redacted])", self.jws.algorithm)
    }
}

/// Return the content of a text in double quotes, or a value without quotes as it is. Escapes stay: no proof has any.
fn unquoted(value: &str) -> Option<&str> {
    let Some(quoted) = value.strip_prefix('"') else { return Some(value) };
    let (proof, parameters) = quoted.split_once('"')?;
    (parameters.is_empty() || parameters.starts_with(';')).then_some(proof)
}

/// Check that no header and no payload cause a panic, and that a key of a header is stored and read as the same key.
#[cfg(fuzzing)]
pub fn fuzz_proof(json: &[u8]) {
    if let Ok((_, Some(key))) = object(json).and_then(|header| parse_header(header, TYPE, is_of_devices)) {
        assert_eq!(DeviceKey::parse(&key.to_text()), Ok(key));
    }
}
