//! The settings, under their names in Django's `JWTAUTH`.

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

/// The longest duration that a setting or a login accepts, about 3 000 years: Django's dates end with the year 9999.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(100_000_000_000);

/// A key or another secret. `Debug` does not show it.
///
/// ```
/// assert_eq!(format!("{:?}", jwtauth_axum::Secret::from("a key")), "[redacted]");
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Return the secret.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Errors do not show the value: a value of the wrong type may be a key made of digits.
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

/// An entry of `VERIFYING_KEYS`: a key for [`ALGORITHM`](Settings::algorithm), or a pair of another algorithm and its
/// key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
#[non_exhaustive]
pub enum VerifyingKeySetting {
    /// A key for the signing algorithm.
    Key(Secret),
    /// A key for this algorithm.
    Pair(String, Secret),
}

/// The settings, under their names in Django (`access_token_lifetime` is `ACCESS_TOKEN_LIFETIME`). Set them in code, or
/// deserialize them from any `serde` format.
///
/// `manage.py jwtauth_settings` prints those of a Django site as TOML. In text formats, durations are seconds, and
/// `"none"` stands for Django's `None`.
///
/// ```
/// use std::time::Duration;
///
/// use jwtauth_axum::{Settings, SettingsError};
///
/// let settings = Settings::new("a secret of at least thirty-two bytes")
///     .with_access_token_lifetime(Duration::from_secs(600))
///     .with_cookie_samesite("Sometimes");
/// let wrong = settings.build().expect_err("an unknown value");
/// assert_eq!(wrong.to_string(), "COOKIE_SAMESITE: use \"Strict\", \"Lax\" or \"None\"");
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate setting with Django's name")]
pub struct Settings {
    /// Django's secret: signs tokens unless `SIGNING_KEY` is set, and ties sessions to passwords.
    pub secret_key: Secret,
    /// Django's older secrets, still accepted.
    #[serde(deserialize_with = "read::secrets")]
    pub secret_key_fallbacks: Vec<Secret>,
    /// Django's setting: other origins that may use the cookies, for example `https://app.example.com` or
    /// `https://*.example.com`.
    pub csrf_trusted_origins: Vec<String>,
    /// The origins of this service, by which clients reach it, for example `https://api.example.com`: their proofs (`DPoP`, RFC
    /// 9449) must be for one of them. Name one scheme for each host. Django has `ALLOWED_HOSTS` instead. Default: none, so that no proof is accepted.
    pub dpop_origins: Vec<String>,
    /// Lifetime of an access token, in whole seconds. Default: 5 minutes.
    #[serde(deserialize_with = "read::seconds")]
    pub access_token_lifetime: Duration,
    /// Lifetime of a refresh token; restarted by each refresh. Default: one day.
    #[serde(deserialize_with = "read::seconds")]
    pub refresh_token_lifetime: Duration,
    /// Lifetime of a session, counted from login; `"none"` for no limit. Default: 30 days.
    #[serde(deserialize_with = "read::seconds_or_none")]
    pub session_lifetime: Option<Duration>,
    /// How long after its last refresh a session locks, until the user authenticates again; `"none"` to never lock. From
    /// `ACCESS_TOKEN_LIFETIME` up to less than `REFRESH_TOKEN_LIFETIME`. Default: `"none"`.
    #[serde(deserialize_with = "read::seconds_or_none")]
    pub lock_after: Option<Duration>,
    /// The age of an authentication after which the user must authenticate again to end other sessions, and where
    /// [`RecentlySignedIn`](crate::RecentlySignedIn) names no other limit; `"none"` for no limit. Default: `"none"`.
    #[serde(deserialize_with = "read::seconds_or_none")]
    pub sensitive_max_age: Option<Duration>,
    /// How long a user may [act as another one](crate::Auth::act_as). Default: one hour.
    #[serde(deserialize_with = "read::seconds")]
    pub act_as_lifetime: Duration,
    /// How much of the client's address is stored with a session: `full`, `truncated` (the network) or `off`. Default:
    /// `full`.
    pub record_ip_address: String,
    /// How much of the `User-Agent` is stored with a session: `full`, `truncated` (the names of the browser and of the
    /// operating system) or `off`. Default: `full`.
    pub record_user_agent: String,
    /// Default: `access_token`.
    pub access_token_cookie_name: String,
    /// Default: `refresh_token`.
    pub refresh_token_cookie_name: String,
    /// Default: `true`.
    pub cookie_secure: bool,
    /// `Strict`, `Lax` or `None`. Default: `Strict`.
    pub cookie_samesite: String,
    /// Default: the current host only.
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
    /// Former issuers whose tokens are still accepted; `"none"` for tokens without `iss`. Default: none.
    #[serde(deserialize_with = "read::fallbacks")]
    pub issuer_fallbacks: Vec<Option<String>>,
    /// `aud`, one or several. Default: none.
    #[serde(deserialize_with = "read::texts_or_none")]
    pub audience: Vec<String>,
    /// Former audiences whose tokens are still accepted; `"none"` for tokens without `aud`. Default: none.
    #[serde(deserialize_with = "read::fallbacks")]
    pub audience_fallbacks: Vec<Option<String>>,
    /// Clock skew allowed at `exp`. Default: 0.
    #[serde(deserialize_with = "read::seconds")]
    pub leeway: Duration,
    /// The claim that names the user. Default: `sub`.
    pub user_id_claim: String,
    /// How long a revocation may go unnoticed: 0 queries the store every time, `"none"` only once. Default: 0.
    #[serde(deserialize_with = "read::fraction_or_none")]
    pub session_check_interval: Option<Duration>,
    /// Default: 30 seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub refresh_token_grace_period: Duration,
    /// Whether a copied refresh token ends all sessions of the user. Default: `false`.
    pub reuse_ends_all_sessions: bool,
    /// Whether access tokens in `Authorization` are accepted, by the schemes `Bearer` and `DPoP`. Default: `true`.
    pub bearer_tokens: bool,
    /// Whether browsers are offered to bind sessions to a key of the user's device, which then refreshes them: `off`,
    /// `offer` or `require`. Default: `off`. See [`Config::with_device_paths`](crate::Config::with_device_paths).
    pub device_bound_sessions: String,
    /// The secrets with which a page-rendering server authenticates, one or several. Default: none.
    #[serde(deserialize_with = "read::texts_or_none")]
    pub render_server_secret: Vec<Secret>,
    /// Default: no limit.
    #[serde(deserialize_with = "read::count_or_none")]
    pub max_sessions_per_user: Option<usize>,
    /// `end_oldest` or `refuse`. Default: `end_oldest`.
    pub max_sessions_policy: String,
}

impl Settings {
    /// Create the default settings with this secret as `SECRET_KEY`.
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
            dpop_origins: Vec::new(),
            access_token_lifetime: Duration::from_secs(300),
            refresh_token_lifetime: DAY,
            session_lifetime: Some(30 * DAY),
            lock_after: None,
            sensitive_max_age: None,
            record_ip_address: "full".to_owned(),
            record_user_agent: "full".to_owned(),
            act_as_lifetime: Duration::from_secs(3600),
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
            issuer_fallbacks: Vec::new(),
            audience: Vec::new(),
            audience_fallbacks: Vec::new(),
            leeway: Duration::ZERO,
            user_id_claim: "sub".to_owned(),
            session_check_interval: Some(Duration::ZERO),
            refresh_token_grace_period: Duration::from_secs(30),
            reuse_ends_all_sessions: false,
            bearer_tokens: true,
            device_bound_sessions: "off".to_owned(),
            render_server_secret: Vec::new(),
            max_sessions_per_user: None,
            max_sessions_policy: "end_oldest".to_owned(),
        }
    }
}
