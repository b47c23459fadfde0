//! Deserializes settings from any `serde` format.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{MAX_DURATION, Secret, VerifyingKeySetting};

/// A number of seconds, or a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Fraction(f64),
    Text(String),
}

impl Number {
    /// Return a non-negative duration, or `None` for `"none"`.
    fn duration<E: de::Error>(self) -> Result<Option<Duration>, E> {
        let duration = match self {
            Self::Whole(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            Self::Fraction(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Self::Text(text) if text == "none" => return Ok(None),
            Self::Text(_) => None,
        };
        let duration = duration.filter(|duration| *duration <= MAX_DURATION);
        duration.map(Some).ok_or_else(|| E::custom("0 or more seconds"))
    }
}

/// Read seconds, and discard the fraction.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    seconds_or_none(deserializer)?.ok_or_else(|| de::Error::custom("0 or more seconds"))
}

/// Read seconds, and discard the fraction, or `"none"`.
pub(super) fn seconds_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let duration = fraction_or_none(deserializer)?;
    Ok(duration.map(|duration| Duration::from_secs(duration.as_secs())))
}

/// Read seconds with a fraction, or `"none"`.
pub(super) fn fraction_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Number::deserialize(deserializer)?.duration()
}

/// Read a count, or `"none"`.
pub(super) fn count_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let count = match Number::deserialize(deserializer)? {
        Number::Text(text) if text == "none" => return Ok(None),
        Number::Whole(count) => usize::try_from(count).ok(),
        _ => None,
    };
    count.map(Some).ok_or_else(|| de::Error::custom("1 or more, or \"none\""))
}

/// Read a string, or `"none"`.
pub(super) fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?).filter(|text| text != "none"))
}

/// Read a string, a list of strings, or `"none"`.
pub(super) fn texts_or_none<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Value::deserialize(deserializer)? {
        Value::One(text) if text == "none" => Vec::new(),
        Value::One(text) => vec![text.into()],
        Value::Several(texts) => texts.into_iter().map(Into::into).collect(),
    })
}

/// Read a list of strings, of which `"none"` is `None`.
pub(super) fn fallbacks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Option<String>>, D::Error> {
    let texts = Vec::<Option<String>>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|text| text.filter(|text| text != "none")).collect())
}

/// Read a list of secrets.
pub(super) fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    unquoted(deserializer, "a list of strings")
}

/// Read a list of keys.
pub(super) fn verifying_keys<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<VerifyingKeySetting>>, D::Error> {
    unquoted(deserializer, "a list of strings, and of pairs of an algorithm and a key")
}

/// Read any type. The error does not quote the value as serde's does, because the value may be a secret.
pub(super) fn unquoted<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|_| de::Error::custom(format_args!("expected {expected}")))
}
