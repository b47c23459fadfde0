#![doc = include_str!("../README.md")]
//!
//! # The flow of a request
//!
//! To read the crate, follow one request. A [`Site`] holds the configuration, and each step is a function of values:
//!
//! 1. [`Site::identify`] verifies the tokens in a request's [`Head`] and decides whether the request may use its
//!    cookies. It returns an [`Identity`], or [`Refused`].
//! 2. The caller reads the session's row by [`Sid::session_id`]. The database stores this digest, never the `sid`.
//! 3. [`Site::check`] tells whether the session of an access token is still valid. [`Site::refresh`] decides about a
//!    refresh token. Its [`Decision`] is to rotate the token, to issue the newest tokens again, to refuse, or to end
//!    the session because a copied token was presented. The caller writes the row.
//! 4. [`Site::grant`] builds the claims of the session's newest tokens.
//! 5. [`Site::respond`] signs them. The [`Answer`] holds the cookies and caching headers of the response.
//!
//! A service that recognises users but does not sign them in needs only the first step: [`Transport::identify`] with a
//! [`Verifier`] of public keys.
//!
//! Each error enum answers one question. Each variant has a stable `code()`, which is the same in Rust, Python, logs
//! and HTTP bodies. No variant holds a token or a key.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod acting;
mod algorithm;
mod auth_hash;
mod authentication;
mod base64url;
mod client;
mod cookie;
mod device;
mod dpop;
mod key;
mod keyring;
mod old_login;
mod origin;
mod request;
mod rotation;
mod session;
mod strict_json;
mod time;
mod token;

/// Parsers of signed content, for the fuzz targets: signing each input would slow them down.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{
        device::{fuzz_challenge as challenge, fuzz_proof as proof},
        token::{fuzz_claims as claims, fuzz_header as header},
    };
}

pub use algorithm::Algorithm;
pub use auth_hash::AuthHasher;
pub use authentication::{Authentication, MAX_METHODS, Methods, MethodsError};
pub use client::Recorded;
pub use cookie::{CookieError, CookiePolicy, MAX_COOKIE_NAME_LENGTH, SameSite, UnknownSameSite, cookie_pairs};
pub use device::{Challenge, DeviceKey, DeviceProof, ProofError, Purpose};
pub use dpop::{DPOP_NONCE_LIFETIME, DpopError, MAX_DPOP_AGE, MAX_DPOP_AGE_WITHOUT_NONCE, Thumbprint};
pub use key::{GeneratedKey, KeyError, MAX_KEY_ID_LENGTH, SigningError, SigningKey, VerifyingKey};
pub use keyring::{Keyring, MAX_KEYS, VerifyingKeys};
pub use old_login::{MovedLogin, OldCredential, OldLoginDecision, OldLoginPeriod};
pub use origin::{InvalidOrigin, Origin, OriginError, OriginPolicy, OriginPolicyError};
pub use request::{
    ACTIVITY_HEADER, Answer, Check, FoundRow, Grant, Grantee, Head, HttpVersion, IdentifyError, Identity,
    MAX_DUPLICATES, MAX_REGISTRATION_DELAY, MIN_RENDER_SECRET, Outcome, Proof, RENDER_SECRET_HEADER, Refused,
    Registration, RenderSecretError, RenderSecrets, Scheme, SetCookie, Site, Transport,
};
pub use rotation::{Decision, MAX_ADOPTION, MAX_UPLOAD_DELAY, Presented, Refusal, RotationPolicy, RowUpdate};
pub use session::{
    Asked, CleanupSchedule, DatabaseClock, DeviceBinding, Generation, LAST_SEEN_INTERVAL, Lifetimes, LifetimesError,
    RandomnessError, Session, Sid, VerifiedSessions, is_last_seen_stale,
};
pub use time::UnixTime;
pub use token::{
    Claims, ClaimsError, CustomClaims, IssueError, MAX_TOKEN_LENGTH, Profile, ProfileError, TokenKind, Tokens,
    Verifier, VerifyError,
};
