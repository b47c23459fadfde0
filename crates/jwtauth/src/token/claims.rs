//! The claims set (RFC 7519 §4), written and read.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess},
    ser::SerializeMap,
};

use super::{
    Claims, Profile,
    json::{self, Ignored, Name, set_once},
};
use crate::{NumericDate, Sid, VerifyError};

/// The largest integer that every JSON implementation agrees on (RFC 8259 §6).
const MAX_INTEGER: u64 = (1 << 53) - 1;

pub(super) fn encode(claims: &Claims, profile: &Profile) -> Vec<u8> {
    json::encode(&Encoded { claims, profile })
}

struct Encoded<'a> {
    claims: &'a Claims,
    profile: &'a Profile,
}

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { claims, profile } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&profile.subject_claim, &claims.subject)?;
        map.serialize_entry("sid", &claims.sid.expose_secret())?;
        map.serialize_entry("gen", &claims.generation)?;
        map.serialize_entry("iat", &claims.issued_at)?;
        map.serialize_entry("exp", &claims.expires_at)?;
        if let Some(issuer) = &profile.issuer {
            map.serialize_entry("iss", issuer)?;
        }
        match profile.audience.as_slice() {
            [] => {}
            [one] => map.serialize_entry("aud", one)?,
            several => map.serialize_entry("aud", several)?,
        }
        map.end()
    }
}

/// The claims and `nbf` of a payload whose signature has been checked.
pub(super) fn parse(payload: &[u8], profile: &Profile) -> Result<(Claims, Option<NumericDate>), VerifyError> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let raw = RawClaimsSeed { subject_claim: &profile.subject_claim }
        .deserialize(&mut json)
        .and_then(|raw| json.end().map(|()| raw))
        .map_err(|_| VerifyError::MalformedClaims)?;
    let claims = Claims {
        subject: raw.subject.ok_or(VerifyError::MissingClaim("sub"))?,
        sid: raw.sid.ok_or(VerifyError::MissingClaim("sid"))?.0,
        generation: raw.generation.ok_or(VerifyError::MissingClaim("gen"))?.0,
        issued_at: raw.issued_at.ok_or(VerifyError::MissingClaim("iat"))?.0,
        expires_at: raw.expires_at.ok_or(VerifyError::MissingClaim("exp"))?.0,
    };
    if profile.issuer.is_some() && raw.issuer != profile.issuer {
        return Err(VerifyError::WrongIssuer);
    }
    match raw.audience {
        None if profile.audience.is_empty() => {}
        Some(Audience(named)) if named.iter().any(|name| profile.audience.contains(name)) => {}
        _ => return Err(VerifyError::WrongAudience),
    }
    Ok((claims, raw.not_before.map(|nbf| nbf.0)))
}

/// Claims of the right JSON types, absent or present.
#[derive(Default)]
struct RawClaims {
    subject: Option<String>,
    sid: Option<SidClaim>,
    generation: Option<Integer>,
    issued_at: Option<Integer>,
    expires_at: Option<Integer>,
    not_before: Option<Integer>,
    issuer: Option<String>,
    audience: Option<Audience>,
}

struct RawClaimsSeed<'a> {
    subject_claim: &'a str,
}

impl<'de> DeserializeSeed<'de> for RawClaimsSeed<'_> {
    type Value = RawClaims;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawClaims, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for RawClaimsSeed<'_> {
    type Value = RawClaims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawClaims, A::Error> {
        let mut claims = RawClaims::default();
        // Registered claims that we do not use must still be of their type.
        let (mut unused_subject, mut token_id) = (None::<String>, None::<String>);
        let mut others = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                claim if claim == self.subject_claim => set_once(&mut claims.subject, &mut map)?,
                "sid" => set_once(&mut claims.sid, &mut map)?,
                "gen" => set_once(&mut claims.generation, &mut map)?,
                "iat" => set_once(&mut claims.issued_at, &mut map)?,
                "exp" => set_once(&mut claims.expires_at, &mut map)?,
                "nbf" => set_once(&mut claims.not_before, &mut map)?,
                "iss" => set_once(&mut claims.issuer, &mut map)?,
                "aud" => set_once(&mut claims.audience, &mut map)?,
                "sub" => set_once(&mut unused_subject, &mut map)?,
                "jti" => set_once(&mut token_id, &mut map)?,
                _ => {
                    map.next_value::<Ignored>()?;
                    if !others.insert(name) {
                        return Err(de::Error::custom("a name occurs twice"));
                    }
                }
            }
        }
        Ok(claims)
    }
}

/// An integer from 0 to 2⁵³ - 1, written as one.
struct Integer(u64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            value @ 0..=MAX_INTEGER => Ok(Self(value)),
            _ => Err(de::Error::custom("integer out of range")),
        }
    }
}

struct SidClaim(Sid);

impl<'de> Deserialize<'de> for SidClaim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(claim) = Name::deserialize(deserializer)?;
        Sid::parse(&claim).map(Self).ok_or_else(|| de::Error::custom("not a sid"))
    }
}

/// One string, or an array of strings (RFC 7519 §4.1.3).
struct Audience(Vec<String>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> de::Visitor<'de> for AudienceVisitor {
    type Value = Audience;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }

    fn visit_str<E>(self, name: &str) -> Result<Audience, E> {
        Ok(Audience(vec![name.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Audience, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element()? {
            names.push(name);
        }
        Ok(Audience(names))
    }
}
