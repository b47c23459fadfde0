//! Sign-in sessions carried by rotating JWT cookies: the rules, and nothing but the rules.
//!
//! No Python, web framework, database, I/O or clock lives here. Time comes in as [`UnixTime`], randomness as an
//! [`aws_lc_rs::rand::SecureRandom`], a session's row as a plain [`Session`]; so every rule can be tried at any instant,
//! and the Django app and a Rust service apply the same one.
//!
//! The way of one request is the reading order:
//!
//! 1. [`Verifier::verify`] says whether a cookie holds a token of ours, and what it claims.
//! 2. The caller looks the session up by [`Sid::session_id`]: the database keeps the digest, never the `sid`.
//! 3. A refresh token goes with its row through [`RotationPolicy::decide`], which answers with a [`Decision`]: rotate, hand out
//!    the newest tokens again, refuse, or end the session because a copied token came back.
//! 4. [`OriginPolicy::check`] says whether a request may use cookies at all.
//!
//! ```
//! use std::time::Duration;
//!
//! use aws_lc_rs::rand::SystemRandom;
//! use jwtauth::{
//!     Algorithm, Claims, CustomClaims, Generation, Keyring, Profile, Sid, SigningKey, TokenKind, Tokens, UnixTime,
//! };
//!
//! let key = SigningKey::read(Algorithm::Hs256, b"thirty-two bytes are the least..")?;
//! let tokens = Tokens::new(Keyring::new(key, [])?, Profile::default())?;
//! let now = UnixTime::from_secs(1_700_000_000);
//! let claims = Claims {
//!     subject: "42".to_owned(),
//!     sid: Sid::generate(&SystemRandom::new(), now)?,
//!     generation: Generation::FIRST,
//!     issued_at: now,
//!     expires_at: now + Duration::from_secs(300),
//!     custom: CustomClaims::default(),
//! };
//! let token = tokens.issue(TokenKind::Access, &claims)?;
//! assert_eq!(tokens.verify(TokenKind::Access, &token, now)?, claims);
//! assert!(tokens.verify(TokenKind::Refresh, &token, now).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each error enum answers one question, and each variant has a stable `code()` that is the same in Rust, in Python, in
//! logs and in HTTP bodies. No variant holds a token or a key.
#![forbid(unsafe_code)]

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
pub use origin::{Origin, OriginError, OriginPolicy, OriginPolicyError};
pub use request::{
    Answer, Check, FoundRow, Grant, Grantee, Head, HttpVersion, IdentifyError, Identity, MAX_DUPLICATES, Outcome,
    Refused, SetCookie, Site, Transport,
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
