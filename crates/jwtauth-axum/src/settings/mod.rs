//! The settings, under the names that `JWTAUTH` has in Django.

mod build;
mod error;
mod read;
mod setters;
#[cfg(feature = "toml")]
mod text;

use std::{fmt, time::Duration};

pub use error::SettingsError;
use serde::{Deserialize, Deserializer};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a setting or a login may ask for, some 3 000 years: Django's dates end with the year 9999.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(100_000_000_000);

/// A key or a secret: `Debug` shows none of it.
///
/// ```
/// assert_eq!(format!("{:?}", jwtauth_axum::Secret::from("a key")), "[redacted]");
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Return the text itself.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// The error shows no value: what is not a text may be a key of digits.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::unquoted::<String, D>(deserializer, "a string").map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// One of `VERIFYING_KEYS`: a key for [`ALGORITHM`](Settings::algorithm), or a pair of another algorithm and its key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
#[non_exhaustive]
pub enum VerifyingKeySetting {
    /// A key for the algorithm that signs.
    Key(Secret),
    /// A key for this algorithm.
    Pair(String, Secret),
}

/// The settings, each under the name that it has in Django (`access_token_lifetime` is `ACCESS_TOKEN_LIFETIME`): from
/// code, or by any `serde` format.
///
/// `manage.py jwtauth_settings` prints those of a Django site as TOML. In text, durations are seconds, and what may be
/// `None` in Django is `"none"`.
///
/// ```
/// use std::time::Duration;
///
/// use jwtauth_axum::{Settings, SettingsError};
///
/// let settings = Settings::new("a secret of at least thirty-two bytes")
///     .with_access_token_lifetime(Duration::from_secs(600))
///     .with_cookie_samesite("Sometimes");
/// let wrong = settings.build().expect_err("a browser knows no such value");
/// assert_eq!(wrong.to_string(), "COOKIE_SAMESITE: use \"Strict\", \"Lax\" or \"None\"");
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, with Django's name")]
pub struct Settings {
    /// Django's: signs tokens where there is no `SIGNING_KEY`, and ties sessions to passwords.
    pub secret_key: Secret,
    /// Django's older ones, still accepted.
    #[serde(deserialize_with = "read::secrets")]
    pub secret_key_fallbacks: Vec<Secret>,
    /// Django's: other origins that may use the cookies, as `https://app.example.com` or `https://*.example.com`.
    pub csrf_trusted_origins: Vec<String>,
    /// Life of an access token, in whole seconds. Default: 5 minutes.
    #[serde(deserialize_with = "read::seconds")]
    pub access_token_lifetime: Duration,
    /// Life of a refresh token, started again by each refresh. Default: a day.
    #[serde(deserialize_with = "read::seconds")]
    pub refresh_token_lifetime: Duration,
    /// Life of a session from login on; `"none"` for no limit. Default: 30 days.
    #[serde(deserialize_with = "read::seconds_or_none")]
    pub session_lifetime: Option<Duration>,
    /// Default: `access_token`.
    pub access_token_cookie_name: String,
    /// Default: `refresh_token`.
    pub refresh_token_cookie_name: String,
    /// Default: `true`.
    pub cookie_secure: bool,
    /// `Strict`, `Lax` or `None`. Default: `Strict`.
    pub cookie_samesite: String,
    /// Default: this host alone.
    #[serde(deserialize_with = "read::text_or_none")]
    pub cookie_domain: Option<String>,
    /// Default: `/`.
    pub cookie_path: String,
    /// Default: `false`.
    pub cookie_partitioned: bool,
    /// A JWS algorithm (RFC 7518 §3.1, RFC 8037, RFC 9864). Default: `HS256`.
    pub algorithm: String,
    /// The secret, or a PEM or JWK. Default: `SECRET_KEY`.
    pub signing_key: Option<Secret>,
    /// Older keys still accepted. Default: `SECRET_KEY_FALLBACKS` while the signing key is `SECRET_KEY`, else none.
    #[serde(deserialize_with = "read::verifying_keys")]
    pub verifying_keys: Option<Vec<VerifyingKeySetting>>,
    /// `iss`. Default: none.
    #[serde(deserialize_with = "read::text_or_none")]
    pub issuer: Option<String>,
    /// `aud`, one or several. Default: none.
    #[serde(deserialize_with = "read::texts_or_none")]
    pub audience: Vec<String>,
    /// Clock skew that is allowed for at `exp`. Default: 0.
    #[serde(deserialize_with = "read::seconds")]
    pub leeway: Duration,
    /// The claim that names the user. Default: `sub`.
    pub user_id_claim: String,
    /// How stale a revocation may be: 0 asks the store every time, `"none"` never again. Default: 0.
    #[serde(deserialize_with = "read::fraction_or_none")]
    pub session_check_interval: Option<Duration>,
    /// Default: 30 seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub refresh_token_grace_period: Duration,
    /// Whether a copied refresh token ends all sessions of its user. Default: `false`.
    pub reuse_ends_all_sessions: bool,
    /// Whether `Authorization: Bearer` counts. Default: `true`.
    pub bearer_tokens: bool,
    /// What a server that renders pages proves itself by, one or several. Default: none.
    #[serde(deserialize_with = "read::texts_or_none")]
    pub render_server_secret: Vec<Secret>,
    /// Default: no limit.
    #[serde(deserialize_with = "read::count_or_none")]
    pub max_sessions_per_user: Option<usize>,
    /// `end_oldest` or `refuse`. Default: `end_oldest`.
    pub max_sessions_policy: String,
}

impl Settings {
    /// Make the defaults, with this secret as `SECRET_KEY`.
    pub fn new(secret_key: impl Into<Secret>) -> Self {
        Self { secret_key: secret_key.into(), ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret_key: Secret::default(),
            secret_key_fallbacks: Vec::new(),
            csrf_trusted_origins: Vec::new(),
            access_token_lifetime: Duration::from_secs(300),
            refresh_token_lifetime: DAY,
            session_lifetime: Some(30 * DAY),
            access_token_cookie_name: "access_token".to_owned(),
            refresh_token_cookie_name: "refresh_token".to_owned(),
            cookie_secure: true,
            cookie_samesite: "Strict".to_owned(),
            cookie_domain: None,
            cookie_path: "/".to_owned(),
            cookie_partitioned: false,
            algorithm: "HS256".to_owned(),
            signing_key: None,
            verifying_keys: None,
            issuer: None,
            audience: Vec::new(),
            leeway: Duration::ZERO,
            user_id_claim: "sub".to_owned(),
            session_check_interval: Some(Duration::ZERO),
            refresh_token_grace_period: Duration::from_secs(30),
            reuse_ends_all_sessions: false,
            bearer_tokens: true,
            render_server_secret: Vec::new(),
            max_sessions_per_user: None,
            max_sessions_policy: "end_oldest".to_owned(),
        }
    }
}
