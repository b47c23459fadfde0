//! Tokens: JWS compact (RFC 7515 §7.1) with explicit types (RFC 8725 §3.11), issued and verified.
//!
//! The envelope is ours because it accepts less than a JWT library does: three header parameters, two types, one
//! encoding, every registered claim of its JSON type. The primitives are not ours.

mod claims;
mod header;
mod json;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{Generation, Key, Keyring, NumericDate, ProfileError, Sid, VerifyError};

/// The longest token that is looked at, in bytes: what a browser's cookie may hold (RFC 6265 §6.1).
pub const MAX_TOKEN_LENGTH: usize = 4096;

/// The most cookies of one name that are tried.
pub const MAX_DUPLICATES: usize = 8;

/// The two kinds of token. They differ in `typ`, so neither can stand in for the other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// `at+jwt` (RFC 9068 §2.1): short-lived, says who is there.
    Access,
    /// `rt+jwt`: gets the next access token, and is rotated by it.
    Refresh,
}

impl Kind {
    /// The value of `typ`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }
}

/// What a token says.
///
/// A refresh token *means* `sid` and `generation`; its times are those of the session's row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claims {
    /// Who: `sub`, or the claim that [`Profile::subject_claim`] names.
    pub subject: String,
    /// `sid`: the session's secret name.
    pub sid: Sid,
    /// `gen`: the session's generation.
    pub generation: Generation,
    /// `iat`: never a reason to reject.
    pub issued_at: NumericDate,
    /// `exp`.
    pub expires_at: NumericDate,
}

/// What tokens say beyond [`Claims`], and how strictly their times are read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// `iss` (RFC 7519 §4.1.1): put into tokens, and demanded of them.
    pub issuer: Option<String>,
    /// `aud` (RFC 7519 §4.1.3): put into tokens; one of these is demanded of them. Empty for none.
    pub audience: Vec<String>,
    /// Clock skew in seconds that is allowed for at `exp` and `nbf`.
    pub leeway: u64,
    /// The claim that names the user.
    pub subject_claim: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self { issuer: None, audience: Vec::new(), leeway: 0, subject_claim: "sub".to_owned() }
    }
}

/// Claims with a meaning of their own, which cannot name the user.
const RESERVED_CLAIMS: [&str; 8] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sid", "gen"];

/// Issues and verifies tokens with one ring of keys and one profile.
#[derive(Clone, Debug)]
pub struct Tokens {
    keyring: Keyring,
    profile: Profile,
    access_header: String,
    refresh_header: String,
}

impl Tokens {
    /// # Errors
    ///
    /// A [`ProfileError`] where the profile contradicts itself.
    pub fn new(keyring: Keyring, profile: Profile) -> Result<Self, ProfileError> {
        if RESERVED_CLAIMS.contains(&profile.subject_claim.as_str()) || profile.subject_claim.is_empty() {
            return Err(ProfileError::ReservedClaim(profile.subject_claim));
        }
        if profile.issuer.iter().chain(&profile.audience).any(String::is_empty) {
            return Err(ProfileError::EmptyName);
        }
        let encoded = |kind| header::encode(keyring.signing_key().algorithm(), kind, keyring.header_key_id());
        Ok(Self { access_header: encoded(Kind::Access), refresh_header: encoded(Kind::Refresh), keyring, profile })
    }

    /// A signed token. It verifies if its numbers are below 2⁵³ and it is no longer than [`MAX_TOKEN_LENGTH`].
    pub fn issue(&self, kind: Kind, claims: &Claims) -> String {
        let mut token = self.header(kind).to_owned();
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims::encode(claims, &self.profile), &mut token);
        let signature = self.keyring.signing_key().sign(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Verifies a token of this kind at `now` and returns its claims.
    ///
    /// The signature is checked before any claim is read (RFC 7519 §7.2), and the key decides the algorithm (RFC 8725
    /// §3.1).
    ///
    /// # Errors
    ///
    /// A [`VerifyError`]; the order of its variants is the order of the checks.
    pub fn verify(&self, kind: Kind, token: &str, now: NumericDate) -> Result<Claims, VerifyError> {
        let (claims, valid_from) = self.authenticate(kind, token)?;
        if now >= claims.expires_at.saturating_add(self.profile.leeway) {
            return Err(VerifyError::Expired(claims.expires_at));
        }
        match valid_from {
            Some(nbf) if now.saturating_add(self.profile.leeway) < nbf => Err(VerifyError::NotYetValid(nbf)),
            _ => Ok(claims),
        }
    }

    /// Like [`verify`](Self::verify), at any time: what login and logout ask, which end the session that a token names
    /// however stale it is.
    ///
    /// # Errors
    ///
    /// A [`VerifyError`] other than [`Expired`](VerifyError::Expired) and [`NotYetValid`](VerifyError::NotYetValid).
    pub fn verify_ignoring_time(&self, kind: Kind, token: &str) -> Result<Claims, VerifyError> {
        self.authenticate(kind, token).map(|(claims, _)| claims)
    }

    /// Verifies cookies of one name, of which a browser may send several (RFC 6265 §5.4: with other domains or paths),
    /// and returns the claims of the newest: the higher generation within a session, the later `iat` between sessions.
    /// The first [`MAX_DUPLICATES`] are looked at.
    ///
    /// # Errors
    ///
    /// The [`VerifyError`] of the first, if none verifies; [`Malformed`](VerifyError::Malformed) if there is none.
    pub fn verify_newest<'t>(
        &self,
        kind: Kind,
        tokens: impl IntoIterator<Item = &'t str>,
        now: NumericDate,
    ) -> Result<Claims, VerifyError> {
        let mut newest = Err(VerifyError::Malformed);
        for (index, token) in tokens.into_iter().take(MAX_DUPLICATES).enumerate() {
            newest = match (newest, self.verify(kind, token, now)) {
                (Ok(best), Ok(other)) => Ok(if other.is_newer_than(&best) { other } else { best }),
                (Err(_), Ok(other)) => Ok(other),
                (Err(_), Err(error)) if index == 0 => Err(error),
                (unchanged, Err(_)) => unchanged,
            };
        }
        newest
    }

    fn header(&self, kind: Kind) -> &str {
        match kind {
            Kind::Access => &self.access_header,
            Kind::Refresh => &self.refresh_header,
        }
    }

    /// Everything but the time: the claims and `nbf`.
    fn authenticate(&self, kind: Kind, token: &str) -> Result<(Claims, Option<NumericDate>), VerifyError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(VerifyError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(VerifyError::Malformed)?;
        // A third dot would be in the payload, whose base64 does not know it.
        let signature = decode(signature)?;
        let payload = decode(payload)?;
        let signed_by = |key: &Key| key.verifies(message.as_bytes(), &signature);
        let authentic = if header == self.header(kind) {
            // Our own header, byte for byte: nothing to parse, and the signing key is the one to try.
            signed_by(self.keyring.signing_key())
        } else {
            let header = header::parse(&decode(header)?)?;
            let mut candidates = self.keyring.candidates(header.key_id.as_deref()).peekable();
            if candidates.peek().is_none() {
                return Err(VerifyError::UnknownKey);
            }
            let mut candidates = candidates.filter(|key| key.algorithm().name() == header.algorithm).peekable();
            if candidates.peek().is_none() {
                return Err(VerifyError::Algorithm);
            }
            if header.kind != kind.name() {
                return Err(VerifyError::WrongType);
            }
            candidates.any(signed_by)
        };
        if !authentic {
            return Err(VerifyError::BadSignature);
        }
        claims::parse(&payload, &self.profile)
    }
}

impl Claims {
    fn is_newer_than(&self, other: &Self) -> bool {
        if self.sid == other.sid { self.generation > other.generation } else { self.issued_at > other.issued_at }
    }
}

/// One canonical encoding: no padding, no stray bits, no other characters (RFC 7515 §2).
fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| VerifyError::Malformed)
}

#[cfg(test)]
mod tests;
