//! The errors of issuing and verifying tokens.

use crate::{SigningError, UnixTime};

/// Why a token was rejected. The variants are in the order of the checks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH), and was not read.
    #[error("token is too long")]
    TooLong,
    /// The token does not have three parts of canonical base64url (RFC 7515 §7.1).
    #[error("not a compact JWS")]
    Malformed,
    /// The header is not a JSON object with only `alg`, `typ` and `kid`. `crit`, `jwk`, `jku`, `x5u`, `b64` and all
    /// other parameters are refused, as are duplicate names and values that are not strings.
    #[error("header is not a JSON object with only alg, typ and kid")]
    Header,
    /// No key of the ring has this `kid` (RFC 7515 §4.1.4).
    #[error("key id is unknown")]
    UnknownKey,
    /// `alg` is not the algorithm of the key (RFC 8725 §3.1).
    #[error("algorithm does not match the key")]
    Algorithm,
    /// `typ` names a different kind of token (RFC 8725 §3.11).
    #[error("token has a different type")]
    WrongType,
    /// The signature matches no key (RFC 7515 §5.2).
    #[error("signature does not match")]
    BadSignature,
    /// The claims are not a JSON object, a name occurs twice, or a claim has the wrong JSON type (RFC 7519 §4).
    #[error("claims are malformed")]
    MalformedClaims,
    /// A required claim is missing. `sub` also stands for the claim that names the user instead.
    #[error("claim {0} is missing")]
    MissingClaim(&'static str),
    /// `iss` is neither the configured issuer nor one of its fallbacks (RFC 7519 §4.1.1).
    #[error("token comes from another issuer")]
    WrongIssuer,
    /// `aud` names neither a configured audience nor a fallback (RFC 7519 §4.1.3).
    #[error("token is meant for another audience")]
    WrongAudience,
    /// The token has expired: `now >= exp + leeway` (RFC 7519 §4.1.4). Holds `exp`.
    #[error("token expired at {0}")]
    Expired(UnixTime),
    /// The token is not valid yet: `now + leeway < nbf` (RFC 7519 §4.1.5). Holds `nbf`.
    #[error("token is not valid before {0}")]
    NotYetValid(UnixTime),
    /// The token is bound to a client's key, and came without a proof of it; or it is not bound, and came with the scheme
    /// `DPoP` (RFC 9449 §7.1).
    #[error("token was presented by the wrong scheme")]
    WrongScheme,
    /// The session of the token has ended.
    #[error("session of the token has ended")]
    SessionOver,
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
            Self::WrongScheme => "token_wrong_scheme",
            Self::SessionOver => "token_session_over",
        }
    }
}

/// Why a profile cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The claim that should name the user is empty or reserved.
    #[error("the claim {0:?} is reserved and cannot name the user")]
    ReservedClaim(String),
    /// An issuer or audience is the empty string.
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
    /// The text is not a JSON object, or a name occurs twice.
    #[error("custom claims must be a JSON object in which each name occurs once")]
    NotAnObject,
    /// The name is reserved.
    #[error("the claim {0:?} is reserved")]
    Reserved(String),
    /// An integer is beyond 2⁵³ - 1, so JSON implementations read it differently (RFC 8259 §6).
    #[error("the claim {0:?} contains an integer beyond 2^53 - 1, which some readers round: make it a string")]
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

/// Why a token was not issued.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The token does not fit into a cookie beside its name (RFC 6265bis §5.5), because of its custom claims.
    #[error("token of {length} bytes is too long: a cookie holds at most {maximum}")]
    TooLong {
        /// The length of the token in bytes.
        length: usize,
        /// The maximum length in bytes.
        maximum: usize,
    },
    /// The signature could not be created.
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
