//! Writes and reads the claims set (RFC 7519 §4).

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess},
    ser::SerializeMap,
};
use serde_json::{Map, Number, Value};

use super::{Claims, Profile, TokenKind};
use crate::{
    ClaimsError, Generation, Methods, Sid, Thumbprint, UnixTime, VerifyError,
    session::SID_CLAIM_LENGTH,
    strict_json::{self, Name, insert_once, set_once},
};

/// The largest integer on which all JSON implementations agree (RFC 8259 §6).
pub(super) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Reserved claims, which can neither name the user nor be custom claims.
const RESERVED: [&str; 12] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "auth_time", "amr", "act", "cnf"];

/// A claim of refresh tokens, which have none of the site's.
const IDLE: &str = "idle";

impl Claims {
    pub(super) fn of_kind(mut self, kind: TokenKind) -> Self {
        self.idle = kind == TokenKind::Refresh && self.custom.0.remove(IDLE).is_some();
        self
    }
}

/// Return whether a claim is reserved, whatever the profile.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The custom claims that a site adds to access tokens, such as a plan, a tenant or roles.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CustomClaims(Map<String, Value>);

impl CustomClaims {
    /// Read a JSON object.
    ///
    /// # Errors
    ///
    /// A [`ClaimsError`]: the text is not an object, a name is reserved (including `sub`), or an integer is so large
    /// that some JSON implementations round it.
    pub fn from_json(text: &str) -> Result<Self, ClaimsError> {
        let Ok(strict_json::Strict(Value::Object(members))) = serde_json::from_str(text) else {
            return Err(ClaimsError::NotAnObject);
        };
        for (name, value) in &members {
            if is_reserved(name) || name == "sub" {
                return Err(ClaimsError::Reserved(name.clone()));
            }
            if !is_exact(value) {
                return Err(ClaimsError::Number(name.clone()));
            }
        }
        Ok(Self(members))
    }

    /// Write the claims as a JSON object.
    pub fn to_json(&self) -> String {
        strict_json::text(&self.0)
    }

    /// Return the value of a claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Iterate over the names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Return whether the site added no claims.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Return whether all JSON implementations read the same numbers.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => is_exact_number(number),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

/// Return whether a number is an integer up to 2⁵³ - 1 or has a fraction. Larger numbers cannot have a fraction.
fn is_exact_number(number: &Number) -> bool {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.unsigned_abs() <= MAX_INTEGER,
        (None, Some(real)) => real.fract() != 0.0 || real.abs() < 9e15,
        (None, None) => false,
    }
}

pub(super) fn encode(claims: &Claims, profile: &Profile) -> Vec<u8> {
    strict_json::encode(&Encoded { claims, profile })
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
        map.serialize_entry("sid", claims.sid.expose_secret(&mut [0; SID_CLAIM_LENGTH]))?;
        map.serialize_entry("gen", &claims.generation.get())?;
        map.serialize_entry("iat", &claims.issued_at.as_secs())?;
        map.serialize_entry("exp", &claims.expires_at.as_secs())?;
        if let Some(time) = &claims.auth_time {
            map.serialize_entry("auth_time", &time.as_secs())?;
        }
        if !claims.methods.is_empty() {
            map.serialize_entry("amr", &claims.methods.iter().collect::<Vec<_>>())?;
        }
        if let Some(actor) = &claims.actor {
            map.serialize_entry("act", &BTreeMap::from([("sub", actor)]))?;
        }
        if let Some(key) = &claims.confirmation {
            map.serialize_entry("cnf", &BTreeMap::from([("jkt", key.to_string())]))?;
        }
        if let Some(issuer) = &profile.issuer {
            map.serialize_entry("iss", issuer)?;
        }
        match profile.audience.as_slice() {
            [] => {}
            [one] => map.serialize_entry("aud", one)?,
            several => map.serialize_entry("aud", several)?,
        }
        if claims.idle {
            map.serialize_entry(IDLE, &true)?;
        }
        for (name, value) in claims.custom.iter().filter(|(name, _)| **name != profile.subject_claim) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Read the claims and `nbf` of a payload whose signature is verified.
pub(super) fn parse(payload: &[u8], profile: &Profile) -> Result<(Claims, Option<UnixTime>), VerifyError> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let raw = RawClaimsSeed { subject_claim: &profile.subject_claim }
        .deserialize(&mut json)
        .and_then(|raw| json.end().map(|()| raw))
        .map_err(|_| VerifyError::MalformedClaims)?;
    let claims = Claims {
        subject: raw.subject.ok_or(VerifyError::MissingClaim("sub"))?.0.into_owned(),
        sid: raw.sid.ok_or(VerifyError::MissingClaim("sid"))?.0,
        generation: Generation::new(raw.generation.ok_or(VerifyError::MissingClaim("gen"))?.0),
        issued_at: UnixTime::from_secs(raw.issued_at.ok_or(VerifyError::MissingClaim("iat"))?.0),
        expires_at: UnixTime::from_secs(raw.expires_at.ok_or(VerifyError::MissingClaim("exp"))?.0),
        auth_time: raw.auth_time.map(UnixTime::from_secs),
        methods: raw.methods,
        actor: raw.actor,
        confirmation: raw.confirmation.map(|Confirmation(key)| key),
        idle: false,
        custom: CustomClaims(raw.custom),
    };
    if !accepts_issuer(profile, raw.issuer.as_ref()) {
        return Err(VerifyError::WrongIssuer);
    }
    if !accepts_audience(profile, raw.audience.as_ref()) {
        return Err(VerifyError::WrongAudience);
    }
    Ok((claims, raw.not_before.map(|nbf| UnixTime::from_secs(nbf.0))))
}

/// Return whether `iss` is the issuer or one of its fallbacks. Without a configured issuer, any `iss` is accepted.
fn accepts_issuer(profile: &Profile, issuer: Option<&Name<'_>>) -> bool {
    let issuer = issuer.map(|Name(name)| &**name);
    let mut fallbacks = profile.issuer_fallbacks.iter();
    profile.issuer.is_none() || profile.issuer.as_deref() == issuer || fallbacks.any(|it| it.as_deref() == issuer)
}

/// Return whether `aud` names a configured audience or fallback, or is absent and may be.
fn accepts_audience(profile: &Profile, audience: Option<&Audience<'_>>) -> bool {
    let Some(Audience(names)) = audience else {
        return profile.audience.is_empty() || profile.audience_fallbacks.contains(&None);
    };
    let mut accepted = profile.audience.iter().chain(profile.audience_fallbacks.iter().flatten());
    accepted.any(|accepted| names.iter().any(|Name(name)| name == accepted))
}

/// The claims with the right JSON types, present or absent.
#[derive(Default)]
struct RawClaims<'a> {
    subject: Option<Name<'a>>,
    sid: Option<SidClaim>,
    generation: Option<Integer>,
    issued_at: Option<Integer>,
    expires_at: Option<Integer>,
    not_before: Option<Integer>,
    issuer: Option<Name<'a>>,
    audience: Option<Audience<'a>>,
    auth_time: Option<u64>,
    methods: Methods,
    actor: Option<String>,
    confirmation: Option<Confirmation>,
    custom: Map<String, Value>,
}

impl RawClaims<'_> {
    /// Take the claims about the authentication. Before they were reserved, a site could use these names for claims of
    /// another type, which are left alone.
    fn take_authentication(&mut self) {
        let custom = &mut self.custom;
        let time = custom.get("auth_time").and_then(Value::as_u64).filter(|time| *time <= MAX_INTEGER);
        let names = custom.get("amr").and_then(Value::as_array);
        let names = names.and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let methods = names.filter(|names| !names.is_empty()).and_then(|names| Methods::new(names).ok());
        let actor = custom.get("act").and_then(|act| act.get("sub")).and_then(Value::as_str).map(str::to_owned);
        for (name, is_taken) in [("auth_time", time.is_some()), ("amr", methods.is_some()), ("act", actor.is_some())] {
            if is_taken {
                custom.remove(name);
            }
        }
        (self.auth_time, self.methods, self.actor) = (time, methods.unwrap_or_default(), actor);
    }
}

struct RawClaimsSeed<'a> {
    subject_claim: &'a str,
}

impl<'de> DeserializeSeed<'de> for RawClaimsSeed<'_> {
    type Value = RawClaims<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawClaims<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for RawClaimsSeed<'_> {
    type Value = RawClaims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawClaims<'de>, A::Error> {
        let mut claims = RawClaims::default();
        // Registered claims that are not used must still have the right type.
        let (mut unused_subject, mut token_id) = (None::<Name<'de>>, None::<Name<'de>>);
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
                "cnf" => set_once(&mut claims.confirmation, &mut map)?,
                _ => insert_once(&mut claims.custom, name, &mut map)?,
            }
        }
        claims.take_authentication();
        Ok(claims)
    }
}

/// An integer from 0 to 2⁵³ - 1, written without a fraction or exponent.
struct Integer(u64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            value @ 0..=MAX_INTEGER => Ok(Self(value)),
            _ => Err(de::Error::custom("integer out of range")),
        }
    }
}

/// `{"jkt": …}` and no other confirmation, which this crate could not check.
struct Confirmation(Thumbprint);

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let strict_json::Strict(value) = strict_json::Strict::deserialize(deserializer)?;
        let members = value.as_object().filter(|members| members.len() == 1);
        let key = members.and_then(|members| Thumbprint::parse(members.get("jkt")?.as_str()?));
        key.map(Self).ok_or_else(|| de::Error::custom("not a thumbprint"))
    }
}

struct SidClaim(Sid);

impl<'de> Deserialize<'de> for SidClaim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Name(claim) = Name::deserialize(deserializer)?;
        Sid::parse(claim.as_bytes()).map(Self).ok_or_else(|| de::Error::custom("not a sid"))
    }
}

/// A string or an array of strings (RFC 7519 §4.1.3).
struct Audience<'a>(Vec<Name<'a>>);

impl<'de> Deserialize<'de> for Audience<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> de::Visitor<'de> for AudienceVisitor {
    type Value = Audience<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Audience<'de>, E> {
        Ok(Audience(vec![Name(Cow::Borrowed(name))]))
    }

    fn visit_str<E>(self, name: &str) -> Result<Audience<'de>, E> {
        Ok(Audience(vec![Name(Cow::Owned(name.to_owned()))]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Audience<'de>, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element()? {
            names.push(name);
        }
        Ok(Audience(names))
    }
}
