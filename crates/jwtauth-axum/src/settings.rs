//! The settings, under the names that `JWTAUTH` has in Django, and what is wrong with them.

use std::fmt;

use jwtauth::{
    Algorithm, AuthHasher, CookieError, CookiePolicy, KeyError, Keyring, Lifetimes, LifetimesError, OriginPolicy,
    Policy, Profile, ProfileError, SigningKey, Tokens, VerifyingKey,
};
use serde::{Deserialize, Deserializer, de};

use crate::{Config, LimitPolicy, config::Transport};

const DAY: u64 = 24 * 60 * 60;

/// A key or a secret: `Debug` shows none of it.
///
/// ```
/// assert_eq!(format!("{:?}", jwtauth_axum::Secret::from("a key")), "[redacted]");
/// ```
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
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
pub enum VerifyingKeySetting {
    /// A key for the algorithm that signs.
    Key(Secret),
    /// A key for this algorithm.
    Pair(String, Secret),
}

/// The settings, each under the name that it has in Django (`access_token_lifetime` is `ACCESS_TOKEN_LIFETIME`): from
/// code, or by any `serde` format.
///
/// `manage.py jwtauth_settings` prints those of a Django site as TOML. Durations are seconds. What may be `None` in Django
/// is `"none"` in text.
///
/// ```
/// use jwtauth_axum::{Settings, SettingsError};
///
/// let settings = Settings {
///     secret_key: "a secret of at least thirty-two bytes".into(),
///     access_token_lifetime: 600,
///     cookie_samesite: "Sometimes".to_owned(),
///     ..Settings::default()
/// };
/// let wrong = settings.build().expect_err("a browser knows no such value");
/// assert_eq!(wrong.to_string(), "COOKIE_SAMESITE: use \"Strict\", \"Lax\" or \"None\"");
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, with Django's name")]
pub struct Settings {
    /// Django's: signs tokens where there is no `SIGNING_KEY`, and ties sessions to passwords.
    pub secret_key: Secret,
    /// Django's older ones, still accepted.
    pub secret_key_fallbacks: Vec<Secret>,
    /// Django's: other origins that may use the cookies, as `https://app.example.com` or `https://*.example.com`.
    pub csrf_trusted_origins: Vec<String>,
    /// Life of an access token. Default: 300.
    pub access_token_lifetime: u64,
    /// Life of a refresh token, started again by each refresh. Default: a day.
    pub refresh_token_lifetime: u64,
    /// Life of a session from login on; `"none"` for no limit. Default: 30 days.
    #[serde(deserialize_with = "or_none")]
    pub session_lifetime: Option<u64>,
    /// Default: `access_token`.
    pub access_token_cookie_name: String,
    /// Default: `refresh_token`.
    pub refresh_token_cookie_name: String,
    /// Default: `true`.
    pub cookie_secure: bool,
    /// `Strict`, `Lax` or `None`. Default: `Strict`.
    pub cookie_samesite: String,
    /// Default: this host alone.
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
    pub verifying_keys: Option<Vec<VerifyingKeySetting>>,
    /// `iss`. Default: none.
    pub issuer: Option<String>,
    /// `aud`, one or several. Default: none.
    #[serde(deserialize_with = "one_or_several")]
    pub audience: Vec<String>,
    /// Clock skew that is allowed for at `exp`. Default: 0.
    pub leeway: u64,
    /// The claim that names the user. Default: `sub`.
    pub user_id_claim: String,
    /// How stale a revocation may be: 0 asks the store every time, `"none"` never again. Default: 0.
    #[serde(deserialize_with = "or_none")]
    pub session_check_interval: Option<f64>,
    /// Default: 30.
    pub refresh_token_grace_period: u64,
    /// Whether a copied refresh token ends all sessions of its user. Default: `false`.
    pub reuse_ends_all_sessions: bool,
    /// Whether `Authorization: Bearer` counts. Default: `true`.
    pub bearer_tokens: bool,
    /// Default: no limit.
    #[serde(deserialize_with = "or_none")]
    pub max_sessions_per_user: Option<usize>,
    /// `end_oldest` or `refuse`. Default: `end_oldest`.
    pub max_sessions_policy: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret_key: Secret::default(),
            secret_key_fallbacks: Vec::new(),
            csrf_trusted_origins: Vec::new(),
            access_token_lifetime: 300,
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
            leeway: 0,
            user_id_claim: "sub".to_owned(),
            session_check_interval: Some(0.0),
            refresh_token_grace_period: 30,
            reuse_ends_all_sessions: false,
            bearer_tokens: true,
            max_sessions_per_user: None,
            max_sessions_policy: "end_oldest".to_owned(),
        }
    }
}

/// What is wrong with [`Settings`]. Each names the setting to change; none shows a key.
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

impl Settings {
    /// What the layer needs of them.
    ///
    /// # Errors
    ///
    /// The first [`SettingsError`].
    pub fn build(&self) -> Result<Config, SettingsError> {
        let lifetimes = Lifetimes::new(self.access_token_lifetime, self.refresh_token_lifetime, self.session_lifetime)?;
        Ok(Config {
            transport: self.transport()?,
            tokens: Tokens::new(self.keyring()?, self.profile())?,
            policy: Policy::new(lifetimes, self.refresh_token_grace_period),
            check_interval: self.check_interval()?,
            reuse_ends_all: self.reuse_ends_all_sessions,
            limit: self.limit()?,
        })
    }

    /// How tokens travel.
    pub(crate) fn transport(&self) -> Result<Transport, SettingsError> {
        let cookies = self.cookies()?;
        if let Some(problem) = cookies.problems().into_iter().next() {
            return Err(SettingsError::Cookies(problem));
        }
        let origins = OriginPolicy::new(self.csrf_trusted_origins.iter().map(String::as_str));
        Ok(Transport { cookies, origins, bearer: self.bearer_tokens })
    }

    /// What tokens say, and how strictly their times are read.
    pub(crate) fn profile(&self) -> Profile {
        Profile {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway,
            subject_claim: self.user_id_claim.clone(),
        }
    }

    /// What ties sessions to passwords in Django's user table.
    pub fn auth_hasher(&self) -> AuthHasher {
        let fallbacks = self.secret_key_fallbacks.iter().map(Secret::expose_secret);
        AuthHasher::new(self.secret_key.expose_secret().as_bytes(), fallbacks)
    }

    fn cookies(&self) -> Result<CookiePolicy, SettingsError> {
        let expected = "\"Strict\", \"Lax\" or \"None\"";
        let value = || SettingsError::Value { setting: "COOKIE_SAMESITE", expected };
        Ok(CookiePolicy {
            access_name: self.access_token_cookie_name.clone(),
            refresh_name: self.refresh_token_cookie_name.clone(),
            secure: self.cookie_secure,
            same_site: self.cookie_samesite.parse().map_err(|()| value())?,
            domain: self.cookie_domain.clone(),
            path: self.cookie_path.clone(),
            partitioned: self.cookie_partitioned,
        })
    }

    pub(crate) fn keyring(&self) -> Result<Keyring, SettingsError> {
        let (setting, secret) = match &self.signing_key {
            Some(key) => ("SIGNING_KEY", key),
            None => ("SECRET_KEY", &self.secret_key),
        };
        let algorithm = algorithm("ALGORITHM", &self.algorithm)?;
        let signing = SigningKey::read(algorithm, secret.expose_secret().as_bytes())
            .map_err(|error| SettingsError::Key { setting, error })?;
        let verifying = match &self.verifying_keys {
            Some(keys) => keys.iter().map(|key| key.read(algorithm)).collect::<Result<Vec<_>, _>>()?,
            None if *secret == self.secret_key => self.fallbacks(algorithm),
            None => Vec::new(),
        };
        Keyring::new(signing, verifying).map_err(|error| SettingsError::Key { setting: "VERIFYING_KEYS", error })
    }

    /// One that is too short has never signed a token, so none is lost.
    fn fallbacks(&self, algorithm: Algorithm) -> Vec<VerifyingKey> {
        let keys = self.secret_key_fallbacks.iter().map(|key| key.expose_secret().as_bytes());
        keys.filter_map(|key| VerifyingKey::read(algorithm, key).ok()).collect()
    }

    fn check_interval(&self) -> Result<Option<u64>, SettingsError> {
        let milliseconds = |seconds: f64| {
            let valid = (0.0..=1e11).contains(&seconds);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within these bounds")]
            valid.then_some((seconds * 1000.0) as u64).ok_or(SettingsError::Value {
                setting: "SESSION_CHECK_INTERVAL",
                expected: "0 or more seconds, or \"none\"",
            })
        };
        self.session_check_interval.map(milliseconds).transpose()
    }

    fn limit(&self) -> Result<Option<(usize, LimitPolicy)>, SettingsError> {
        let policy = match self.max_sessions_policy.as_str() {
            "end_oldest" => LimitPolicy::EndOldest,
            "refuse" => LimitPolicy::Refuse,
            _ => {
                let expected = "\"end_oldest\" or \"refuse\"";
                return Err(SettingsError::Value { setting: "MAX_SESSIONS_POLICY", expected });
            }
        };
        match self.max_sessions_per_user {
            Some(0) => {
                Err(SettingsError::Value { setting: "MAX_SESSIONS_PER_USER", expected: "1 or more, or \"none\"" })
            }
            most => Ok(most.map(|most| (most, policy))),
        }
    }

    /// Those of a TOML file, under what the environment sets: `JWTAUTH_ACCESS_TOKEN_LIFETIME=600`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Text`] names the file, and the name in it, that is unknown or of the wrong type.
    #[cfg(feature = "figment")]
    pub fn read(toml: impl AsRef<std::path::Path>) -> Result<Self, SettingsError> {
        use figment::{
            Figment,
            providers::{Env, Format, Toml},
        };
        let found = Figment::from(Toml::file_exact(toml)).merge(Env::prefixed("JWTAUTH_").lowercase(false));
        found.extract().map_err(unreadable)
    }

    /// Those that the environment sets: `JWTAUTH_SECRET_KEY=…`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Text`] names what is unknown or of the wrong type.
    #[cfg(feature = "figment")]
    pub fn from_env() -> Result<Self, SettingsError> {
        use figment::{Figment, providers::Env};
        let found = Figment::from(Env::prefixed("JWTAUTH_").lowercase(false));
        found.extract().map_err(unreadable)
    }
}

impl VerifyingKeySetting {
    fn read(&self, signing: Algorithm) -> Result<VerifyingKey, SettingsError> {
        let setting = "VERIFYING_KEYS";
        let (algorithm, key) = match self {
            Self::Key(key) => (signing, key),
            Self::Pair(name, key) => (algorithm(setting, name)?, key),
        };
        VerifyingKey::read(algorithm, key.expose_secret().as_bytes())
            .map_err(|error| SettingsError::Key { setting, error })
    }
}

/// `figment` shows the value that it cannot read, which must not be a key.
#[cfg(feature = "figment")]
fn unreadable(error: figment::Error) -> SettingsError {
    const KEYS: [(&str, &str); 4] = [
        ("SECRET_KEY", "a string"),
        ("SECRET_KEY_FALLBACKS", "a list of strings"),
        ("SIGNING_KEY", "a string"),
        ("VERIFYING_KEYS", "a list of strings, and of pairs of an algorithm and a key"),
    ];
    match KEYS.into_iter().find(|(name, _)| error.path.first().is_some_and(|key| key == name)) {
        Some((setting, expected)) => SettingsError::Value { setting, expected },
        None => SettingsError::Text(Box::new(error)),
    }
}

fn algorithm(setting: &'static str, name: &str) -> Result<Algorithm, SettingsError> {
    name.parse().map_err(|error| SettingsError::Key { setting, error })
}

/// A number, or `"none"`.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value<T> {
        Number(T),
        Text(String),
    }
    match Value::deserialize(deserializer)? {
        Value::Number(number) => Ok(Some(number)),
        Value::Text(text) if text == "none" => Ok(None),
        Value::Text(_) => Err(de::Error::custom("a number, or \"none\"")),
    }
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Value::deserialize(deserializer)? {
        Value::One(one) => vec![one],
        Value::Several(several) => several,
    })
}
