#![doc = include_str!("../README.md")]
//!
//! # The flow of a request
//!
//! Follow one request to read the crate. A [`Site`] holds what is configured, and each step is a function of values:
//!
//! 1. [`Site::identify`] verifies the tokens in a request's [`Head`] and decides whether it may use its cookies. The
//!    result is an [`Identity`], or [`Refused`].
//! 2. The caller reads the session's row by [`Sid::session_id`]: the database keeps this digest, never the `sid`.
//! 3. [`Site::check`] says whether the session of an access token still holds. [`Site::refresh`] decides on a refresh
//!    token; its [`Decision`] is to rotate, to issue the newest tokens again, to refuse, or to end the session because a
//!    copied token came back. The caller writes the row.
//! 4. [`Site::grant`] makes the claims of the session's newest tokens.
//! 5. [`Site::respond`] signs them: the [`Answer`] holds the cookies and caching headers of the response.
//!
//! A service that recognises users and signs none in needs the first step only: [`Transport::identify`] with a
//! [`Verifier`] of public keys.
//!
//! Each error enum answers one question, and each variant has a stable `code()` that is the same in Rust, in Python, in
//! logs and in HTTP bodies. No variant holds a token or a key.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod algorithm;
mod auth_hash;
mod base64url;
mod cookie;
mod key;
mod keyring;
mod origin;
mod request;
mod rotation;
mod session;
mod strict_json;
mod time;
mod token;

/// What stands behind a signature, for the fuzz targets: they cannot sign what they make up as fast.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::token::{fuzz_claims as claims, fuzz_header as header};
}

pub use algorithm::Algorithm;
pub use auth_hash::AuthHasher;
pub use cookie::{CookieError, CookiePolicy, MAX_COOKIE_NAME_LENGTH, SameSite, UnknownSameSite, cookie_pairs};
pub use key::{GeneratedKey, KeyError, MAX_KEY_ID_LENGTH, SigningError, SigningKey, VerifyingKey};
pub use keyring::{Keyring, MAX_KEYS, VerifyingKeys};
pub use origin::{InvalidOrigin, Origin, OriginError, OriginPolicy, OriginPolicyError};
pub use request::{
    Answer, Check, FoundRow, Grant, Grantee, Head, HttpVersion, IdentifyError, Identity, MAX_DUPLICATES,
    MIN_RENDER_SECRET, Outcome, RENDER_SECRET_HEADER, Refused, RenderSecretError, RenderSecrets, SetCookie, Site,
    Transport,
};
pub use rotation::{Decision, MAX_ADOPTION, MAX_UPLOAD_DELAY, Presented, Refusal, RotationPolicy, RowUpdate};
pub use session::{
    Asked, DatabaseClock, Generation, LAST_SEEN_INTERVAL, Lifetimes, LifetimesError, RandomnessError, Session, Sid,
    VerifiedSessions, is_last_seen_stale,
};
pub use time::UnixTime;
pub use token::{
    Claims, ClaimsError, CustomClaims, IssueError, MAX_TOKEN_LENGTH, Profile, ProfileError, TokenKind, Tokens,
    Verifier, VerifyError,
};
