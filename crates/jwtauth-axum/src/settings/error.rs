//! What is wrong with settings.

use jwtauth::{CookieError, KeyError, LifetimesError, ProfileError};

/// What is wrong with [`Settings`](crate::Settings). Each names the setting to change; none shows a key.
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
        #[source]
        error: KeyError,
    },
    /// `ACCESS_TOKEN_LIFETIME`, `REFRESH_TOKEN_LIFETIME` and `SESSION_LIFETIME` contradict each other.
    #[error("ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME, SESSION_LIFETIME: {0}")]
    Lifetimes(#[from] LifetimesError),
    /// A browser would drop the cookies, or mix them up.
    #[error("ACCESS_TOKEN_COOKIE_NAME, REFRESH_TOKEN_COOKIE_NAME, COOKIE_…: {0}")]
    Cookies(CookieError),
    /// `USER_ID_CLAIM`, `ISSUER` or `AUDIENCE`.
    #[error("USER_ID_CLAIM, ISSUER, AUDIENCE: {0}")]
    Profile(#[from] ProfileError),
    /// The text is no settings: an unknown name, or a value of the wrong type.
    #[cfg(feature = "figment")]
    #[error("{0}")]
    Text(#[from] Box<figment::Error>),
}
