//! Why a token is not issued, and why one is rejected.

use crate::{SigningError, UnixTime};

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
    /// A header that is not a JSON object of `alg`, `typ` and `kid` alone: `crit`, `jwk`, `jku`, `x5u`, `b64` and all
    /// others are refused, and so are duplicate names and values that are not strings.
    #[error("header is not a JSON object of alg, typ and kid alone")]
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
    /// The claims are not a JSON object, a name occurs twice, or a claim has the wrong JSON type (RFC 7519 §4).
    #[error("claims are malformed")]
    MalformedClaims,
    /// A claim that every token has is absent; `sub` also stands for the claim that names the user instead.
    #[error("claim {0} is missing")]
    MissingClaim(&'static str),
    /// `iss` is neither the issuer that was configured nor one of its fallbacks (RFC 7519 §4.1.1).
    #[error("token comes from another issuer")]
    WrongIssuer,
    /// `aud` names none of the configured audiences and fallbacks (RFC 7519 §4.1.3).
    #[error("token is meant for another audience")]
    WrongAudience,
    /// `now >= exp + leeway` (RFC 7519 §4.1.4); holds `exp`.
    #[error("token expired at {0}")]
    Expired(UnixTime),
    /// `now + leeway < nbf` (RFC 7519 §4.1.5); holds `nbf`.
    #[error("token is not valid before {0}")]
    NotYetValid(UnixTime),
}

impl VerifyError {
    /// Return the stable name of this error.
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

/// Why a profile cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The claim that names the user would collide with one that has a meaning already.
    #[error("the claim {0:?} has a meaning of its own and cannot name the user")]
    ReservedClaim(String),
    /// An issuer or audience that is the empty string.
    #[error("issuer and audience must not be empty strings")]
    EmptyName,
}

impl ProfileError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReservedClaim(_) => "reserved_claim",
            Self::EmptyName => "empty_name",
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
    /// A name that has a meaning already.
    #[error("the claim {0:?} has a meaning of its own")]
    Reserved(String),
    /// A number that not every JSON implementation reads alike (RFC 8259 §6): an integer beyond 2⁵³ - 1.
    #[error("the claim {0:?} holds an integer beyond 2^53 - 1, which not every reader gets right: make it a string")]
    Number(String),
}

impl ClaimsError {
    /// Return the stable name of this error.
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
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "issued_token_too_long",
            Self::Signing(_) => "signing_failed",
        }
    }
}
