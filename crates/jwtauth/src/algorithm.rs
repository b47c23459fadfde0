//! The JWS algorithms (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2) that a key can be for.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use aws_lc_rs::{hmac, signature};

use crate::KeyError;

/// The algorithm of a key. A key is for exactly one algorithm, and the key decides, not the token (RFC 8725 §3.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519 under its first name, `EdDSA` (RFC 8037 §3.1), which every library supports.
    EdDsa,
    /// Ed25519 under its own name (RFC 9864 §2.2). A key with either name verifies tokens with both.
    Ed25519,
}

/// The kind of key that an algorithm takes.
#[derive(Clone, Copy)]
pub(crate) enum Family {
    Hmac(hmac::Algorithm),
    Rsa { verify: &'static signature::RsaParameters, sign: &'static signature::RsaSignatureEncoding },
    Ecdsa(Curve),
    Ed25519,
}

/// The ECDSA curves (RFC 7518 §6.2.1.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Algorithm {
    /// Every algorithm, ordered by family and hash.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Ed25519,
    ];

    /// Return the `alg` value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Return whether the same secret signs and verifies. Otherwise a private key signs, and its public half verifies.
    pub fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Hmac(_))
    }

    /// Return whether a key for this algorithm verifies tokens with this `alg` in their header.
    pub(crate) fn answers_to(self, name: &str) -> bool {
        self.as_str() == name || matches!(self.family(), Family::Ed25519) && matches!(name, "EdDSA" | "Ed25519")
    }

    /// Return the possible lengths of a signature, in bytes.
    pub(crate) fn signature_lengths(self) -> RangeInclusive<usize> {
        let (shortest, longest) = match self.family() {
            Family::Hmac(hash) => (hash.tag_len(), hash.tag_len()),
            Family::Rsa { .. } => (2048 / 8, 8192 / 8),
            Family::Ecdsa(curve) => (2 * curve.coordinate_length(), 2 * curve.coordinate_length()),
            Family::Ed25519 => (64, 64),
        };
        shortest..=longest
    }

    pub(crate) fn family(self) -> Family {
        use signature as s;
        let rsa = |verify, sign| Family::Rsa { verify, sign };
        match self {
            Self::Hs256 => Family::Hmac(hmac::HMAC_SHA256),
            Self::Hs384 => Family::Hmac(hmac::HMAC_SHA384),
            Self::Hs512 => Family::Hmac(hmac::HMAC_SHA512),
            Self::Rs256 => rsa(&s::RSA_PKCS1_2048_8192_SHA256, &s::RSA_PKCS1_SHA256),
            Self::Rs384 => rsa(&s::RSA_PKCS1_2048_8192_SHA384, &s::RSA_PKCS1_SHA384),
            Self::Rs512 => rsa(&s::RSA_PKCS1_2048_8192_SHA512, &s::RSA_PKCS1_SHA512),
            Self::Ps256 => rsa(&s::RSA_PSS_2048_8192_SHA256, &s::RSA_PSS_SHA256),
            Self::Ps384 => rsa(&s::RSA_PSS_2048_8192_SHA384, &s::RSA_PSS_SHA384),
            Self::Ps512 => rsa(&s::RSA_PSS_2048_8192_SHA512, &s::RSA_PSS_SHA512),
            Self::Es256 => Family::Ecdsa(Curve::P256),
            Self::Es384 => Family::Ecdsa(Curve::P384),
            Self::EdDsa | Self::Ed25519 => Family::Ed25519,
        }
    }
}

impl Curve {
    pub(crate) const ALL: [Self; 2] = [Self::P256, Self::P384];

    /// Return the `crv` value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// Return the length of a coordinate, in bytes.
    pub(crate) fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(crate) fn verification(self) -> &'static signature::EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
        }
    }

    pub(crate) fn signing(self) -> &'static signature::EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    /// Parse an `alg` value. Names are case-sensitive (RFC 7515 §4.1.1).
    fn from_str(name: &str) -> Result<Self, KeyError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(KeyError::UnsupportedAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_sensitive_and_exact() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            assert_eq!(algorithm.as_str().to_lowercase().parse::<Algorithm>(), Err(KeyError::UnsupportedAlgorithm));
        }
        for name in ["", "none", "HS1", "RS1", "ES512", "ES256K", "Ed448", " HS256"] {
            assert_eq!(name.parse::<Algorithm>().unwrap_err().code(), "unsupported_algorithm", "{name}");
        }
    }

    #[test]
    fn only_ed25519_has_two_names() {
        for algorithm in Algorithm::ALL {
            let others = Algorithm::ALL.into_iter().filter(|other| *other != algorithm);
            let answered: Vec<_> = others.filter(|other| algorithm.answers_to(other.as_str())).collect();
            match algorithm {
                Algorithm::EdDsa => assert_eq!(answered, [Algorithm::Ed25519]),
                Algorithm::Ed25519 => assert_eq!(answered, [Algorithm::EdDsa]),
                _ => assert_eq!(answered, []),
            }
        }
    }
}
