//! Why something is not a key, and why a key makes no signature.

/// Why something cannot be a key, or keys cannot form a ring.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is not an algorithm that this crate signs with.
    #[error(
        "algorithm is not supported; use HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, \
         EdDSA or Ed25519"
    )]
    UnsupportedAlgorithm,
    /// An HMAC key must be at least as long as its hash (RFC 7518 §3.2).
    #[error("key of {actual} bytes is too short: {algorithm} needs at least {minimum}")]
    TooShort {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
        /// Bytes given.
        actual: usize,
        /// Bytes needed.
        minimum: usize,
    },
    /// An RSA key of fewer than 2048 bits (RFC 7518 §3.3), or of more than 8192.
    #[error("RSA key of {bits} bits: it must have 2048 to 8192")]
    RsaSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// Neither a PEM nor a JWK, or one whose content is not a key.
    #[error("no key could be read: {algorithm} takes a PEM or a JWK")]
    Malformed {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
    },
    /// A key or several keys, in a form that is not read.
    #[error("{algorithm} takes the text of a PEM or of a JWK, not {found}")]
    Form {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A PEM without its BEGIN or END line, or in which they are of different kinds (RFC 7468 §2).
    #[error("the PEM needs a BEGIN line and the END line that belongs to it, each with five dashes on both sides")]
    PemLines,
    /// A PEM in which characters are missing, or which holds others than those of base64.
    #[error("the PEM does not hold whole base64 between its BEGIN and END lines")]
    PemBase64,
    /// A PEM with more than one key, of which it is not clear which one counts.
    #[error("the PEM holds several {found}: give one")]
    SeveralKeys {
        /// `private keys`, or `public keys`, of which a chain of certificates is not one.
        found: &'static str,
    },
    /// A JWK with members that are missing, of the wrong type, or contradict each other (RFC 7518 §6).
    #[error("not a JWK that makes a key")]
    Jwk,
    /// A PEM that a password protects.
    #[error("the PEM is encrypted")]
    Encrypted,
    /// The key is of a kind that the algorithm cannot use.
    #[error("{algorithm} cannot use {found}")]
    WrongKind {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The JWK's `alg` names another algorithm (RFC 7517 §4.4).
    #[error("the JWK is not for {algorithm}")]
    WrongAlgorithm {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
    },
    /// The JWK's `use` or `key_ops` does not allow it (RFC 7517 §4.2, §4.3).
    #[error("the JWK's use or key_ops does not allow this")]
    WrongUse,
    /// A public key cannot sign.
    #[error("a public key cannot sign: {algorithm} needs the private one")]
    NotPrivate {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
    },
    /// A private key, where a public key belongs.
    #[error("a private key, where a public one belongs")]
    NotPublic,
    /// A key of a pair or a published set of keys, in whatever form, given as the secret of HMAC: everyone who knows the
    /// public half could sign (RFC 8725 §2.1).
    #[error("{found} is not an HMAC secret")]
    NotASecret {
        /// What it is.
        found: &'static str,
    },
    /// A `kid` that is empty or too long.
    #[error("a key id must have 1 to {max} bytes", max = crate::MAX_KEY_ID_LENGTH)]
    KeyId,
    /// Two different keys of one ring have one `kid`.
    #[error("two different keys have the same id")]
    DuplicateId,
    /// A ring without a key.
    #[error("there is no key")]
    NoKeys,
    /// More keys than a token without `kid` may be tried against.
    #[error("{0} keys are too many: at most {max} may be accepted at once", max = crate::MAX_KEYS)]
    TooMany(usize),
    /// The operating system gave no random bytes for a new key.
    #[error("no random bytes to be had")]
    Randomness,
}

impl KeyError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::TooShort { .. } => "key_too_short",
            Self::RsaSize { .. } => "key_rsa_size",
            Self::Malformed { .. } => "key_malformed",
            Self::Form { .. } => "key_form",
            Self::PemLines => "key_pem_lines",
            Self::PemBase64 => "key_pem_base64",
            Self::SeveralKeys { .. } => "key_several",
            Self::Jwk => "key_jwk",
            Self::Encrypted => "key_encrypted",
            Self::WrongKind { .. } => "key_wrong_kind",
            Self::WrongAlgorithm { .. } => "key_wrong_algorithm",
            Self::WrongUse => "key_wrong_use",
            Self::NotPrivate { .. } => "key_not_private",
            Self::NotPublic => "key_not_public",
            Self::NotASecret { .. } => "key_not_a_secret",
            Self::KeyId => "key_id",
            Self::DuplicateId => "duplicate_key_id",
            Self::NoKeys => "no_keys",
            Self::TooMany(_) => "too_many_keys",
            Self::Randomness => "no_randomness",
        }
    }
}

/// The library made no signature: no memory, no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no signature could be made")]
#[non_exhaustive]
pub struct SigningError;
