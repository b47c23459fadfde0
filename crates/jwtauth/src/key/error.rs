//! The errors of reading keys and of signing.

/// Why a key cannot be read, or why keys cannot form a ring.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is not an algorithm that this crate supports.
    #[error(
        "algorithm is not supported; use HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, \
         EdDSA or Ed25519"
    )]
    UnsupportedAlgorithm,
    /// The HMAC key is shorter than its hash (RFC 7518 §3.2).
    #[error("key of {actual} bytes is too short: {algorithm} needs at least {minimum}")]
    TooShort {
        /// The `alg` that the key was read for.
        algorithm: &'static str,
        /// The length of the key in bytes.
        actual: usize,
        /// The minimum length in bytes.
        minimum: usize,
    },
    /// The RSA key has fewer than 2048 bits (RFC 7518 §3.3), or more than 8192.
    #[error("RSA key has {bits} bits; it must have 2048 to 8192")]
    RsaSize {
        /// The bits of the modulus.
        bits: usize,
    },
    /// The text is neither a PEM nor a JWK, or its content is not a key.
    #[error("no key could be read: {algorithm} takes a PEM or a JWK")]
    Malformed {
        /// The `alg` that the key was read for.
        algorithm: &'static str,
    },
    /// The text is a key, or several keys, in a form that this crate does not read.
    #[error("{algorithm} takes the text of a PEM or a JWK, not {found}")]
    Form {
        /// The `alg` that the key was read for.
        algorithm: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// The PEM lacks its BEGIN or END line, or their labels differ (RFC 7468 §2).
    #[error("the PEM needs a BEGIN line and a matching END line, each with five dashes on both sides")]
    PemLines,
    /// The base64 of the PEM is incomplete, or contains invalid characters.
    #[error("the PEM does not contain complete base64 between its BEGIN and END lines")]
    PemBase64,
    /// The PEM holds more than one key, so it is ambiguous.
    #[error("the PEM contains several {found}; give only one")]
    SeveralKeys {
        /// `private keys` or `public keys`. A chain of certificates counts as one public key.
        found: &'static str,
    },
    /// The JWK's members are missing, have the wrong type, or contradict each other (RFC 7518 §6).
    #[error("the JWK is not a valid key")]
    Jwk,
    /// The PEM is encrypted with a password.
    #[error("the PEM is encrypted")]
    Encrypted,
    /// The algorithm cannot use this kind of key.
    #[error("{algorithm} cannot use {found}")]
    WrongKind {
        /// The `alg` that the key was read for.
        algorithm: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// The JWK's `alg` names another algorithm (RFC 7517 §4.4).
    #[error("the JWK is not for {algorithm}")]
    WrongAlgorithm {
        /// The `alg` that the key was read for.
        algorithm: &'static str,
    },
    /// The JWK's `use` or `key_ops` does not allow the operation (RFC 7517 §4.2, §4.3).
    #[error("the JWK's use or key_ops does not allow this operation")]
    WrongUse,
    /// A public key was given where a private key is required to sign.
    #[error("a public key cannot sign: {algorithm} needs the private key")]
    NotPrivate {
        /// The `alg` that the key was read for.
        algorithm: &'static str,
    },
    /// A private key was given where a public key is required.
    #[error("a private key was given where a public key is required")]
    NotPublic,
    /// Half of a key pair, or a published set of keys, was given as an HMAC secret, in whatever form. Any holder of the
    /// public half could then sign (RFC 8725 §2.1).
    #[error("{found} is not an HMAC secret")]
    NotASecret {
        /// What was found.
        found: &'static str,
    },
    /// The `kid` is empty or too long.
    #[error("a key id must have 1 to {max} bytes", max = crate::MAX_KEY_ID_LENGTH)]
    KeyId,
    /// Two different keys of a ring have the same `kid`.
    #[error("two different keys have the same id")]
    DuplicateId,
    /// The ring is empty.
    #[error("the key ring is empty")]
    NoKeys,
    /// The ring has more keys than a token without `kid` may be tried against.
    #[error("{0} keys are too many: at most {max} may be accepted at once", max = crate::MAX_KEYS)]
    TooMany(usize),
    /// The operating system supplied no random bytes for a new key.
    #[error("the operating system supplied no random bytes")]
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

/// The signature could not be created: memory or random bytes were not available.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature could not be created")]
#[non_exhaustive]
pub struct SigningError;
