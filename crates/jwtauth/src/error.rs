//! One enum for each question asked of the engine, and one stable [`code`](VerifyError::code) for each answer.
//!
//! A code is the same in Rust, in Python, in logs and in HTTP bodies. No variant holds a token or a key.

use crate::NumericDate;

/// Why something cannot be a key, or keys cannot form a ring.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is no algorithm that this crate signs with.
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
    /// There is no PEM that could be read.
    #[error("no key could be read: {algorithm} takes a PEM or a JWK")]
    Malformed {
        /// The `alg` the key was meant for.
        algorithm: &'static str,
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
    /// A private key is nothing to verify with.
    #[error("a private key, where a public one belongs")]
    NotPublic,
    /// A key of a pair, given as the secret of HMAC: whoever knows its public half could sign (RFC 8725 §2.1).
    #[error("a key of a pair is no HMAC secret")]
    NotASecret,
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
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::TooShort { .. } => "key_too_short",
            Self::RsaSize { .. } => "key_rsa_size",
            Self::Malformed { .. } => "key_malformed",
            Self::Jwk => "key_jwk",
            Self::Encrypted => "key_encrypted",
            Self::WrongKind { .. } => "key_wrong_kind",
            Self::WrongAlgorithm { .. } => "key_wrong_algorithm",
            Self::WrongUse => "key_wrong_use",
            Self::NotPrivate { .. } => "key_not_private",
            Self::NotPublic => "key_not_public",
            Self::NotASecret => "key_not_a_secret",
            Self::KeyId => "key_id",
            Self::DuplicateId => "duplicate_key_id",
            Self::NoKeys => "no_keys",
            Self::TooMany(_) => "too_many_keys",
            Self::Randomness => "no_randomness",
        }
    }
}

/// Why custom claims cannot be put into a token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Not a JSON object, or a name occurs twice.
    #[error("custom claims are not a JSON object in which each name occurs once")]
    NotAnObject,
    /// A name that a registered claim or one of ours has.
    #[error("the claim {0:?} has a meaning of its own")]
    Reserved(String),
    /// A number that not every JSON implementation reads alike (RFC 8259 §6): an integer beyond 2⁵³ - 1.
    #[error("the claim {0:?} holds an integer beyond 2^53 - 1, which not every reader gets right: make it a string")]
    Number(String),
}

impl ClaimsError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "claims_not_an_object",
            Self::Reserved(_) => "reserved_claim",
            Self::Number(_) => "claims_number",
        }
    }
}

/// Why no token was issued.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// It would be longer than what a cookie holds beside its name (RFC 6265bis §5.5), because of its custom claims.
    #[error("token of {length} bytes is too long: a cookie holds {maximum}")]
    TooLong {
        /// Bytes of the token.
        length: usize,
        /// Bytes that a cookie holds.
        maximum: usize,
    },
    /// The key made no signature.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl IssueError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "issued_token_too_long",
            Self::Signing(_) => "signing_failed",
        }
    }
}

/// The library made no signature: no memory, no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no signature could be made")]
pub struct SigningError;

/// Why a profile cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The claim that names the user would collide with a registered claim or one of ours.
    #[error("the claim {0:?} has a meaning of its own and cannot name the user")]
    ReservedClaim(String),
    /// An issuer or audience that is the empty string.
    #[error("issuer and audience must not be empty strings")]
    EmptyName,
}

impl ProfileError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReservedClaim(_) => "reserved_claim",
            Self::EmptyName => "empty_name",
        }
    }
}

/// Why lifetimes do not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimesError {
    /// A lifetime is not at least one second.
    #[error("every lifetime must be at least one second")]
    Zero,
    /// The access token would outlive the refresh token.
    #[error("the access token's lifetime ({access} s) is longer than the refresh token's ({idle} s)")]
    AccessOverIdle {
        /// Lifetime of the access token in seconds.
        access: u64,
        /// Idle lifetime, that of the refresh token, in seconds.
        idle: u64,
    },
    /// The refresh token would outlive the session.
    #[error("the refresh token's lifetime ({idle} s) is longer than the session's ({absolute} s)")]
    IdleOverAbsolute {
        /// Idle lifetime, that of the refresh token, in seconds.
        idle: u64,
        /// Absolute lifetime of the session in seconds.
        absolute: u64,
    },
}

impl LifetimesError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Zero => "lifetime_zero",
            Self::AccessOverIdle { .. } => "access_over_idle",
            Self::IdleOverAbsolute { .. } => "idle_over_absolute",
        }
    }
}

/// Why cookies with these attributes would be dropped by a browser, or could not be told apart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// A name is empty, longer than [`MAX_COOKIE_NAME_LENGTH`](crate::MAX_COOKIE_NAME_LENGTH), or has a byte outside RFC
    /// 6265 §4.1.1 `token`.
    #[error("{0:?} is not a cookie name")]
    InvalidName(String),
    /// Both tokens would go into one cookie.
    #[error("access and refresh token need cookies of different names, not {0:?} twice")]
    SameName(String),
    /// `SameSite=None` is honoured with `Secure` only (RFC 6265bis §5.7).
    #[error("SameSite=None needs Secure")]
    NoneWithoutSecure,
    /// A cookie named `__Secure-` or `__Host-` is dropped without `Secure` (RFC 6265bis §4.1.3).
    #[error("a cookie named {0:?} needs Secure")]
    PrefixWithoutSecure(String),
    /// A cookie named `__Host-` is dropped with a `Domain` or a `Path` other than `/` (RFC 6265bis §4.1.3.2).
    #[error("a cookie named {0:?} may have no Domain, and its Path must be \"/\"")]
    HostPrefixWithScope(String),
    /// `Partitioned` is honoured with `Secure` only (CHIPS).
    #[error("Partitioned needs Secure")]
    PartitionedWithoutSecure,
    /// A domain or path holds a character that would end the attribute.
    #[error("Domain or Path holds a character that a cookie attribute cannot hold")]
    InvalidScope,
}

impl CookieError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "cookie_name_invalid",
            Self::SameName(_) => "cookie_names_equal",
            Self::NoneWithoutSecure => "samesite_none_without_secure",
            Self::PrefixWithoutSecure(_) => "cookie_prefix_without_secure",
            Self::HostPrefixWithScope(_) => "host_prefix_with_scope",
            Self::PartitionedWithoutSecure => "partitioned_without_secure",
            Self::InvalidScope => "cookie_scope_invalid",
        }
    }
}

/// Why a token was rejected. The order of the variants is the order of the checks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH); not looked at.
    #[error("token is too long")]
    TooLong,
    /// Not three parts of canonical base64url (RFC 7515 §7.1).
    #[error("not a compact JWS")]
    Malformed,
    /// A header that is no JSON object of `alg`, `typ` and `kid` alone: `crit`, `jwk`, `jku`, `x5u`, `b64` and all
    /// others are refused, and so are duplicate names and values that are no strings.
    #[error("header is not one of ours")]
    Header,
    /// No key of the ring has this `kid` (RFC 7515 §4.1.4).
    #[error("key id is not known")]
    UnknownKey,
    /// `alg` is not that of the key (RFC 8725 §3.1).
    #[error("algorithm does not match the key")]
    Algorithm,
    /// `typ` names another kind of token (RFC 8725 §3.11).
    #[error("token is of another type")]
    WrongType,
    /// No key made this signature (RFC 7515 §5.2).
    #[error("signature does not match")]
    BadSignature,
    /// The claims are no JSON object, a name occurs twice, or a claim has the wrong JSON type (RFC 7519 §4).
    #[error("claims are malformed")]
    MalformedClaims,
    /// A claim that every token of ours has is absent; `sub` also stands for the claim that names the user instead.
    #[error("claim {0} is missing")]
    MissingClaim(&'static str),
    /// `iss` is not the issuer that was configured (RFC 7519 §4.1.1).
    #[error("token comes from another issuer")]
    WrongIssuer,
    /// `aud` does not name us (RFC 7519 §4.1.3).
    #[error("token is meant for another audience")]
    WrongAudience,
    /// `now >= exp + leeway` (RFC 7519 §4.1.4); holds `exp`.
    #[error("token expired at {0}")]
    Expired(NumericDate),
    /// `now + leeway < nbf` (RFC 7519 §4.1.5); holds `nbf`.
    #[error("token is not valid before {0}")]
    NotYetValid(NumericDate),
}

impl VerifyError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Header => "token_header",
            Self::Algorithm => "token_algorithm",
            Self::WrongType => "token_wrong_type",
            Self::UnknownKey => "token_unknown_key",
            Self::BadSignature => "token_bad_signature",
            Self::MalformedClaims => "token_malformed_claims",
            Self::MissingClaim(_) => "token_missing_claim",
            Self::WrongIssuer => "token_wrong_issuer",
            Self::WrongAudience => "token_wrong_audience",
            Self::Expired(_) => "token_expired",
            Self::NotYetValid(_) => "token_not_yet_valid",
        }
    }
}

/// Why a request may not use cookies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// A WebSocket handshake whose `Origin` is absent, not ours, and not trusted.
    #[error("WebSocket handshake from an origin that is not trusted")]
    WebSocket,
    /// `Sec-Fetch-Site` says that another site or a sibling made the request, and its `Origin` is not trusted.
    #[error("request from another site")]
    CrossSite,
    /// There is no `Sec-Fetch-Site`, and `Origin` is neither ours nor trusted.
    #[error("origin does not match")]
    ForeignOrigin,
}

impl OriginError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WebSocket => "websocket_origin",
            Self::CrossSite => "cross_site",
            Self::ForeignOrigin => "foreign_origin",
        }
    }
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no random bytes to be had")]
pub struct RandomnessError;
