//! Errors in the settings.

use jwtauth::{
    CookieError, InvalidOrigin, KeyError, LifetimesError, OriginPolicyError, ProfileError, RenderSecretError,
};

/// An error in the [`Settings`](crate::Settings). Every variant names the setting to change; none shows a key.
///
/// The message includes the cause, so [`source`](std::error::Error::source) returns nothing further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The setting does not accept this value.
    #[error("{setting}: use {expected}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What it accepts.
        expected: &'static str,
    },
    /// A key is invalid for its algorithm.
    #[error("{setting}: {error}")]
    Key {
        /// `SIGNING_KEY`, `SECRET_KEY` or `VERIFYING_KEYS`.
        setting: &'static str,
        /// What is wrong with the key.
        error: KeyError,
    },
    /// `ACCESS_TOKEN_LIFETIME`, `REFRESH_TOKEN_LIFETIME` and `SESSION_LIFETIME` contradict each other.
    #[error("ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME, SESSION_LIFETIME: {0}")]
    Lifetimes(LifetimesError),
    /// A browser would drop the cookies or confuse them.
    #[error("ACCESS_TOKEN_COOKIE_NAME, REFRESH_TOKEN_COOKIE_NAME, COOKIE_…: {0}")]
    Cookies(CookieError),
    /// An entry of `CSRF_TRUSTED_ORIGINS` that can never match.
    #[error("CSRF_TRUSTED_ORIGINS: {0}")]
    Origins(OriginPolicyError),
    /// An entry of `DPOP_ORIGINS` that is not an origin.
    #[error("DPOP_ORIGINS: {0}")]
    OwnOrigins(InvalidOrigin),
    /// `RENDER_SERVER_SECRET`.
    #[error("RENDER_SERVER_SECRET: {0}")]
    RenderSecret(RenderSecretError),
    /// `USER_ID_CLAIM`, `ISSUER`, `AUDIENCE`, or a fallback of these two.
    #[error("USER_ID_CLAIM, ISSUER, AUDIENCE: {0}")]
    Profile(ProfileError),
    /// A file or the environment contains something other than settings: an unknown name, or a value of the wrong type.
    /// The message says which and where.
    #[error("{0}")]
    Text(String),
}

impl From<LifetimesError> for SettingsError {
    fn from(error: LifetimesError) -> Self {
        Self::Lifetimes(error)
    }
}

impl From<ProfileError> for SettingsError {
    fn from(error: ProfileError) -> Self {
        Self::Profile(error)
    }
}
