//! What is wrong with settings.

use jwtauth::{CookieError, KeyError, LifetimesError, OriginPolicyError, ProfileError, RenderSecretError};

/// What is wrong with [`Settings`](crate::Settings). Each names the setting to change; none shows a key.
///
/// The message says all of it, so there is no [`source`](std::error::Error::source) to print as well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The value is none of those that the setting takes.
    #[error("{setting}: use {expected}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A key is not one of its algorithm.
    #[error("{setting}: {error}")]
    Key {
        /// `SIGNING_KEY`, `SECRET_KEY` or `VERIFYING_KEYS`.
        setting: &'static str,
        /// What is wrong with it.
        error: KeyError,
    },
    /// `ACCESS_TOKEN_LIFETIME`, `REFRESH_TOKEN_LIFETIME` and `SESSION_LIFETIME` contradict each other.
    #[error("ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME, SESSION_LIFETIME: {0}")]
    Lifetimes(LifetimesError),
    /// A browser would drop the cookies, or mix them up.
    #[error("ACCESS_TOKEN_COOKIE_NAME, REFRESH_TOKEN_COOKIE_NAME, COOKIE_…: {0}")]
    Cookies(CookieError),
    /// An entry of `CSRF_TRUSTED_ORIGINS` that can never match.
    #[error("CSRF_TRUSTED_ORIGINS: {0}")]
    Origins(OriginPolicyError),
    /// `RENDER_SERVER_SECRET`.
    #[error("RENDER_SERVER_SECRET: {0}")]
    RenderSecret(RenderSecretError),
    /// `USER_ID_CLAIM`, `ISSUER` or `AUDIENCE`.
    #[error("USER_ID_CLAIM, ISSUER, AUDIENCE: {0}")]
    Profile(ProfileError),
    /// A file or the environment holds other things than settings: an unknown name, or a value of the wrong type. Says
    /// which, and where.
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
