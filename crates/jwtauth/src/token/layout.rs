//! Reads claims in the exact layout that this crate writes, without a JSON parser. Parsing would take longer than
//! verifying the signature.
//!
//! A payload that does not match the layout byte for byte is read by [`claims::parse`](super::claims::parse). A payload
//! that does match is read the same way by both.

use std::str;

use super::{Claims, CustomClaims, Profile, claims};
use crate::{Generation, Methods, Sid, UnixTime, session::SID_CLAIM_LENGTH};

/// The text around the values: `{"sub":"…","sid":"…","gen":…,"iat":…,"exp":…}`, with `auth_time`, `amr`, `iss` and `aud` at the
/// end.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    before: String,
    after: String,
}

impl Layout {
    /// Return the layout of tokens with this profile and without custom claims.
    pub(super) fn new(profile: &Profile) -> Self {
        let none = Sid::from_bytes([0; 20]);
        let (generation, zero) = (Generation::new(0), UnixTime::EPOCH);
        let zero = Claims::new("", none, generation, zero, zero);
        let written = String::from_utf8(claims::encode(&zero, profile)).unwrap_or_default();
        let middle = format!(r#"","sid":"{}","gen":0,"iat":0,"exp":0"#, none.expose_secret(&mut [0; SID_CLAIM_LENGTH]));
        let (before, after) = written.rsplit_once(&middle).unwrap_or_default();
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// Read the claims of a payload in this layout. The subject must not contain escapes.
    pub(super) fn read(&self, payload: &[u8]) -> Option<Claims> {
        let (subject, sid, rest) = self.split(payload)?;
        let (generation, rest) = integer(rest.strip_prefix(br#"","gen":"#)?)?;
        let (issued_at, rest) = integer(rest.strip_prefix(br#","iat":"#)?)?;
        let (expires_at, rest) = integer(rest.strip_prefix(br#","exp":"#)?)?;
        let (auth_time, rest) = match rest.strip_prefix(br#","auth_time":"#).map(integer) {
            Some(time) => time.map(|(time, rest)| (Some(UnixTime::from_secs(time)), rest))?,
            None => (None, rest),
        };
        let (methods, rest) = match rest.strip_prefix(br#","amr":["#) {
            Some(rest) => methods(rest)?,
            None => (Methods::default(), rest),
        };
        if rest != self.after.as_bytes() {
            return None;
        }
        let (subject, sid) = (str::from_utf8(subject).ok()?.to_owned(), Sid::parse(sid)?);
        Some(Claims {
            subject,
            sid,
            generation: Generation::new(generation),
            issued_at: UnixTime::from_secs(issued_at),
            expires_at: UnixTime::from_secs(expires_at),
            auth_time,
            methods,
            actor: None,
            confirmation: None,
            idle: false,
            custom: CustomClaims::default(),
        })
    }

    /// Return whether a payload begins like this layout and names the session and user of `claims`. The rest of the
    /// payload cannot change these.
    pub(super) fn names(&self, payload: &[u8], claims: &Claims) -> bool {
        self.split(payload).is_some_and(|(subject, sid, _)| {
            subject == claims.subject.as_bytes()
                && sid == claims.sid.expose_secret(&mut [0; SID_CLAIM_LENGTH]).as_bytes()
        })
    }

    /// Split a payload into the subject, which has no escapes, the `sid`, and the rest.
    fn split<'p>(&self, payload: &'p [u8]) -> Option<(&'p [u8], &'p [u8], &'p [u8])> {
        let payload = payload.strip_prefix(self.before.as_bytes())?;
        let end = payload.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let (subject, rest) = payload.split_at_checked(end)?;
        let (sid, rest) = rest.strip_prefix(br#"","sid":""#)?.split_at_checked(SID_CLAIM_LENGTH)?;
        Some((subject, sid, rest))
    }
}

/// Read the rest of an array of methods, and return them with the remaining bytes.
fn methods(bytes: &[u8]) -> Option<(Methods, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b']')?;
    let (members, rest) = bytes.split_at_checked(end)?;
    Some((Methods::from_written(members)?, rest.strip_prefix(b"]")?))
}

/// Read a JSON integer from 0 to 2⁵³ - 1, and return it with the remaining bytes.
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = bytes.split_at_checked(end)?;
    if digits.is_empty() || digits.len() > 16 || digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (value <= claims::MAX_INTEGER).then_some((value, rest))
}
