//! Strict JSON: a name that occurs twice in one object is an error, at any depth (RFC 7519 §4, RFC 8725 §2.4).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess},
};
use serde_json::{Map, Value};

/// A member's name, borrowed from the input unless it contains escapes.
#[derive(Deserialize, Eq, Hash, PartialEq)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Read the next value into `slot`, which must be empty. `null` counts as a value of the wrong type, not as an absent
/// value.
pub(crate) fn set_once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    slot: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    if slot.replace(map.next_value()?).is_some() {
        return Err(de::Error::custom("a name occurs twice"));
    }
    Ok(())
}

/// Serialize a struct or map of strings and integers.
#[expect(clippy::expect_used, reason = "maps with string keys and plain values always have a JSON form")]
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with string keys and plain values always have a JSON form")
}

/// Serialize like [`encode`], to text.
pub(crate) fn text(value: &impl Serialize) -> String {
    String::from_utf8(encode(value)).unwrap_or_default() // JSON is UTF-8
}

/// A JSON value in which no name occurs twice.
pub(crate) struct Strict(pub(crate) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> de::Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Strict(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut members = Map::new();
        while let Some(Name(name)) = map.next_key()? {
            insert_once(&mut members, name, &mut map)?;
        }
        Ok(Strict(members.into()))
    }
}

/// Read the next value into `members` under a name that must be new.
pub(crate) fn insert_once<'de, A: MapAccess<'de>>(
    members: &mut Map<String, Value>,
    name: Cow<'_, str>,
    map: &mut A,
) -> Result<(), A::Error> {
    let Strict(value) = map.next_value()?;
    if members.insert(name.into_owned(), value).is_some() {
        return Err(de::Error::custom("a name occurs twice"));
    }
    Ok(())
}
