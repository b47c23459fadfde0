//! Public keys as numbers, in the way a JWK stores them: converted for aws-lc-rs to verify with, and published.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use pkcs1::{
    RsaPublicKeyRef,
    der::{Encode as _, asn1::UintRef},
};
use serde::Serialize;

use super::thumbprint;
use crate::{
    Algorithm, KeyError,
    algorithm::{Curve, Family},
    base64url::BASE64URL,
};

/// The allowed size of an RSA modulus in bits (the minimum of RFC 7518 §3.3, the maximum of aws-lc-rs).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The public half of a key pair.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum PublicKey {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// Both coordinates, big-endian and padded to full length.
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8> },
    /// The encoded point (RFC 8032 §5.1.2).
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Read an uncompressed point (SEC 1 §2.3.3).
    pub(super) fn from_point(curve: Curve, point: &[u8]) -> Option<Self> {
        let (x, y) = point.strip_prefix(&[4])?.split_at_checked(curve.coordinate_length())?;
        (y.len() == x.len()).then(|| Self::Ec { curve, x: x.to_owned(), y: y.to_owned() })
    }

    /// Return the name of this kind of key, for error messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "an RSA key",
            Self::Ec { curve: Curve::P256, .. } => "a key on the curve P-256",
            Self::Ec { curve: Curve::P384, .. } => "a key on the curve P-384",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    pub(super) fn check_size(&self) -> Result<(), KeyError> {
        match self.rsa_bits() {
            Some(bits) if !RSA_BITS.contains(&bits) => Err(KeyError::RsaSize { bits }),
            _ => Ok(()),
        }
    }

    /// Return the bits of an RSA key's modulus; `None` for other keys.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        let Self::Rsa { n, .. } = self else { return None };
        Some(n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize))
    }

    /// Parse the key for verifying signatures of this algorithm.
    pub(crate) fn parse(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, KeyError> {
        let parsed = match (algorithm.family(), self) {
            (Family::Rsa { verify, .. }, Self::Rsa { n, e }) => {
                self.check_size()?;
                // Encode as DER first: aws-lc-rs validates the numbers only when it reads DER.
                rsa_der(n, e).and_then(|der| ParsedPublicKey::new(verify, der).ok())
            }
            (Family::Ecdsa(wanted), Self::Ec { curve, x, y }) if wanted == *curve => {
                let point = [&[4], x.as_slice(), y].concat();
                ParsedPublicKey::new(curve.verification(), point).ok()
            }
            (Family::Ed25519, Self::Ed25519(key)) => ParsedPublicKey::new(&ED25519, key).ok(),
            _ => return Err(KeyError::WrongKind { algorithm: algorithm.as_str(), found: self.kind() }),
        };
        parsed.ok_or(KeyError::Malformed { algorithm: algorithm.as_str() })
    }

    /// Write the JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
    pub(super) fn jwk(&self, algorithm: Algorithm, id: &str) -> String {
        #[derive(Serialize)]
        struct Published<'a> {
            #[serde(flatten)]
            numbers: Numbers,
            kid: &'a str,
            #[serde(rename = "use")]
            usage: &'a str,
            alg: &'a str,
        }
        crate::strict_json::text(&Published { numbers: self.numbers(), kid: id, usage: "sig", alg: algorithm.as_str() })
    }

    /// Write the canonical JWK of this algorithm: `alg` and the required members (RFC 7638 §3.2), in lexical order.
    pub(crate) fn canonical_jwk(&self, algorithm: Algorithm) -> String {
        #[derive(Serialize)]
        struct Canonical<'a> {
            alg: &'a str,
            #[serde(flatten)]
            numbers: Numbers,
        }
        crate::strict_json::text(&Canonical { alg: algorithm.as_str(), numbers: self.numbers() })
    }

    /// Return the thumbprint (RFC 7638 §3.2): SHA-256 over the required members in lexical order, the order of
    /// [`Numbers`]' fields.
    pub(crate) fn thumbprint(&self) -> String {
        thumbprint(&crate::strict_json::text(&self.numbers()))
    }

    pub(super) fn numbers(&self) -> Numbers {
        let encode = |bytes: &[u8]| Some(BASE64URL.encode(bytes));
        match self {
            Self::Rsa { n, e } => Numbers { kty: "RSA", n: encode(n), e: encode(e), ..Numbers::default() },
            Self::Ec { curve, x, y } => {
                Numbers { kty: "EC", crv: Some(curve.name()), x: encode(x), y: encode(y), ..Numbers::default() }
            }
            Self::Ed25519(x) => Numbers { kty: "OKP", crv: Some("Ed25519"), x: encode(x), ..Numbers::default() },
        }
    }
}

impl Numbers {
    /// Return the members of a secret, which has no public numbers.
    pub(super) fn secret() -> Self {
        Self { kty: "oct", ..Self::default() }
    }
}

/// Encode an RSA public key as PKCS#1 (RFC 8017 §A.1.1).
fn rsa_der(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    let key = RsaPublicKeyRef { modulus: UintRef::new(n).ok()?, public_exponent: UintRef::new(e).ok()? };
    key.to_der().ok()
}

/// The JWK members of a public key, in lexical order.
#[derive(Default, Serialize)]
pub(super) struct Numbers {
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}
