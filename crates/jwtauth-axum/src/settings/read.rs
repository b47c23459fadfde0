//! Settings as text: TOML, the environment, and what any format of `serde` may hold.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

#[cfg(feature = "figment")]
use super::{Settings, SettingsError};

#[cfg(feature = "figment")]
impl Settings {
    /// Read those of a TOML file, under what the environment sets: `JWTAUTH_ACCESS_TOKEN_LIFETIME=600`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Text`] names the file, and the name in it, that is unknown or of the wrong type.
    pub fn read(toml: impl AsRef<std::path::Path>) -> Result<Self, SettingsError> {
        use figment::{
            Figment,
            providers::{Env, Format, Toml},
        };
        let found = Figment::from(Toml::file_exact(toml)).merge(Env::prefixed("JWTAUTH_").lowercase(false));
        found.extract().map_err(unreadable)
    }

    /// Read those that the environment sets: `JWTAUTH_SECRET_KEY=…`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Text`] names what is unknown or of the wrong type.
    pub fn from_env() -> Result<Self, SettingsError> {
        use figment::{Figment, providers::Env};
        let found = Figment::from(Env::prefixed("JWTAUTH_").lowercase(false));
        found.extract().map_err(unreadable)
    }
}

/// `figment` shows the value that it cannot read, which must not be a key.
#[cfg(feature = "figment")]
fn unreadable(error: figment::Error) -> SettingsError {
    const KEYS: [(&str, &str); 5] = [
        ("SECRET_KEY", "a string"),
        ("SECRET_KEY_FALLBACKS", "a list of strings"),
        ("SIGNING_KEY", "a string"),
        ("VERIFYING_KEYS", "a list of strings, and of pairs of an algorithm and a key"),
        ("RENDER_SERVER_SECRET", "a string or a list of strings"),
    ];
    match KEYS.into_iter().find(|(name, _)| error.path.first().is_some_and(|key| key == name)) {
        Some((setting, expected)) => SettingsError::Value { setting, expected },
        None => SettingsError::Text(Box::new(error)),
    }
}

/// Whole seconds.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

/// Whole seconds, or `"none"`.
pub(super) fn seconds_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(or_none(deserializer)?.map(Duration::from_secs))
}

/// Seconds with their fraction, or `"none"`.
pub(super) fn fraction_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    or_none(deserializer)?.map(Duration::try_from_secs_f64).transpose().map_err(de::Error::custom)
}

/// A number, or `"none"`.
pub(super) fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
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

pub(super) fn one_or_several<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value<T> {
        One(T),
        Several(Vec<T>),
    }
    Ok(match Value::deserialize(deserializer)? {
        Value::One(one) => vec![one],
        Value::Several(several) => several,
    })
}
