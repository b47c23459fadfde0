//! A JWS that a client signs with a key of its own: the common form of the proofs of devices and of other clients.

use serde_json::{Map, Value};

use super::{DeviceKey, ProofError};
use crate::{
    Algorithm,
    strict_json::Strict,
    token::{self, Parts},
};

/// A JWS in the right form, whose signature is not verified. Its header has only `alg`, `typ` and perhaps `jwk`.
pub(crate) struct ClientJws {
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    /// The key that the header brings.
    pub(crate) key: Option<DeviceKey>,
}

impl ClientJws {
    /// Parse a compact JWS of this type, and return it with its payload. In either object, no name may occur twice.
    pub(crate) fn parse(
        value: &str,
        kind: &str,
        accepts: impl Fn(Algorithm) -> bool,
    ) -> Result<(Self, Map<String, Value>), ProofError> {
        let parts = token::split(value).and_then(|parts| Ok((token::decode(parts.header)?, parts)));
        let (header, Parts { message, payload, signature, .. }) = parts.map_err(|_| ProofError::Malformed)?;
        let (algorithm, key) = parse_header(object(&header)?, kind, accepts)?;
        let payload = object(&payload)?;
        Ok((Self { message: message.as_bytes().to_owned(), signature, algorithm, key }, payload))
    }

    /// Verify the signature.
    pub(crate) fn verify(&self, key: &DeviceKey) -> Result<(), ProofError> {
        if key.algorithm() != self.algorithm {
            return Err(ProofError::WrongAlgorithm);
        }
        if key.verifies(&self.message, &self.signature) { Ok(()) } else { Err(ProofError::BadSignature) }
    }
}

/// Parse an object in which no name occurs twice, at any depth.
pub(super) fn object(json: &[u8]) -> Result<Map<String, Value>, ProofError> {
    match serde_json::from_slice(json) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        _ => Err(ProofError::Malformed),
    }
}

/// Read the algorithm and the key, if the header brings one. No other parameter is accepted.
pub(super) fn parse_header(
    mut header: Map<String, Value>,
    kind: &str,
    accepts: impl Fn(Algorithm) -> bool,
) -> Result<(Algorithm, Option<DeviceKey>), ProofError> {
    let [algorithm, typ, jwk] = ["alg", "typ", "jwk"].map(|name| header.remove(name));
    let (Some(Value::String(algorithm)), Some(Value::String(typ))) = (algorithm, typ) else {
        return Err(ProofError::Malformed);
    };
    if !header.is_empty() || typ != kind {
        return Err(ProofError::Malformed);
    }
    let algorithm = algorithm.parse().ok().filter(|it| accepts(*it)).ok_or(ProofError::WrongAlgorithm)?;
    let key = jwk.map(|jwk| DeviceKey::from_jwk(algorithm, &jwk)).transpose()?;
    Ok((algorithm, key))
}
