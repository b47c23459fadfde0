//! The JOSE header (RFC 7515 §4): `alg`, `typ`, and `kid` where there are several keys. Nothing else.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess},
};

use super::{
    Kind,
    json::{Name, set_once},
};
use crate::{Algorithm, VerifyError};

/// A header that is one of ours in form; its values are still the sender's word.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: String,
    pub(super) kind: String,
    pub(super) key_id: Option<String>,
}

/// The header, encoded for a token.
pub(super) fn encode(algorithm: Algorithm, kind: Kind, key_id: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Fields<'a> {
        alg: &'a str,
        typ: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        kid: Option<&'a str>,
    }
    let fields = Fields { alg: algorithm.name(), typ: kind.name(), kid: key_id };
    BASE64_URL_SAFE_NO_PAD.encode(super::json::encode(&fields))
}

/// # Errors
///
/// [`VerifyError::Header`]: another parameter than the three, one of them twice, one that is no string, or `alg` or
/// `typ` is missing.
pub(super) fn parse(header: &[u8]) -> Result<Header, VerifyError> {
    serde_json::from_slice(header).map_err(|_| VerifyError::Header)
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let (mut algorithm, mut kind, mut key_id) = (None, None, None);
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "alg" => set_once(&mut algorithm, &mut map)?,
                "typ" => set_once(&mut kind, &mut map)?,
                "kid" => set_once(&mut key_id, &mut map)?,
                _ => return Err(de::Error::custom("unknown parameter")),
            }
        }
        Ok(Header {
            algorithm: algorithm.ok_or_else(|| de::Error::missing_field("alg"))?,
            kind: kind.ok_or_else(|| de::Error::missing_field("typ"))?,
            key_id,
        })
    }
}
