//! The JOSE header (RFC 7515 §4): `alg`, `typ`, and `kid` if the ring has several keys. Nothing else.

use std::{borrow::Cow, fmt};

use base64::Engine as _;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess},
};

use super::Type;
use crate::{
    Algorithm, VerifyError,
    base64url::BASE64URL,
    strict_json::{self, Name, set_once},
};

/// A header of the right form. Its values are still unverified.
pub(super) struct Header<'a> {
    pub(super) algorithm: Cow<'a, str>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) key_id: Option<Cow<'a, str>>,
}

/// Encode the header of a JWS of this type.
pub(super) fn encode(algorithm: Algorithm, kind: Type, key_id: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Fields<'a> {
        alg: &'a str,
        typ: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        kid: Option<&'a str>,
    }
    let fields = Fields { alg: algorithm.as_str(), typ: kind.as_str(), kid: key_id };
    BASE64URL.encode(strict_json::encode(&fields))
}

/// Parse a header.
///
/// # Errors
///
/// [`VerifyError::Header`]: a parameter is unknown, occurs twice or is not a string, or `alg` is missing.
pub(super) fn parse(header: &[u8]) -> Result<Header<'_>, VerifyError> {
    serde_json::from_slice(header).map_err(|_| VerifyError::Header)
}

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<'de>, A::Error> {
        let (mut algorithm, mut kind, mut key_id) = (None::<Name<'de>>, None::<Name<'de>>, None::<Name<'de>>);
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "alg" => set_once(&mut algorithm, &mut map)?,
                "typ" => set_once(&mut kind, &mut map)?,
                "kid" => set_once(&mut key_id, &mut map)?,
                _ => return Err(de::Error::custom("unknown parameter")),
            }
        }
        Ok(Header {
            algorithm: algorithm.ok_or_else(|| de::Error::missing_field("alg"))?.0,
            kind: kind.map(|Name(kind)| kind),
            key_id: key_id.map(|Name(id)| id),
        })
    }
}
