//! Challenges: JWS of the site's own key ring, so that no table has to store them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Generation, IssueError, Tokens, UnixTime, Verifier, VerifyError, strict_json, token::Type};

/// What a device signs to prove that it has its key.
///
/// ```
/// # use jwtauth::*;
/// # let key = SigningKey::read(Algorithm::Hs256, &[7; 32])?;
/// # let tokens = Tokens::new(Keyring::new(key, [])?, Profile::default())?;
/// let session = Sid::from_bytes([7; 20]).session_id();
/// let end = UnixTime::from_secs(1_700_000_300);
/// let challenge = Challenge::new(session, Generation::FIRST, Purpose::Register, end);
///
/// let text = tokens.issue_challenge(&challenge)?;
/// assert_eq!(tokens.verifier().read_challenge(&text), Ok(challenge));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Challenge {
    /// The ID of the session's row, [`Sid::session_id`](crate::Sid::session_id). The secret `sid` is not in a challenge,
    /// which scripts of the page may be able to read.
    pub session: Uuid,
    /// The session's generation when the challenge was issued.
    pub generation: Generation,
    /// What the proof is for.
    pub purpose: Purpose,
    /// When the challenge expires.
    pub expires_at: UnixTime,
}

/// What a proof is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "no third purpose is planned, and callers match both")]
pub enum Purpose {
    /// `register`: to bind the session to a new key.
    Register,
    /// `refresh`: to refresh a bound session.
    Refresh,
}

/// The claims, in the order in which they are written.
#[derive(Deserialize, Serialize)]
struct Written<'a> {
    sid: &'a str,
    #[serde(rename = "gen")]
    generation: u64,
    #[serde(rename = "use")]
    purpose: &'a str,
    exp: u64,
}

impl Challenge {
    /// Create a challenge.
    pub fn new(session: Uuid, generation: Generation, purpose: Purpose, expires_at: UnixTime) -> Self {
        Self { session, generation, purpose, expires_at }
    }

    fn encode(&self) -> Vec<u8> {
        strict_json::encode(&Written {
            sid: self.session.hyphenated().encode_lower(&mut Uuid::encode_buffer()),
            generation: self.generation.get(),
            purpose: self.purpose.as_str(),
            exp: self.expires_at.as_secs(),
        })
    }

    /// Read a payload that [`encode`](Self::encode) has written, byte for byte.
    fn parse(payload: &[u8]) -> Option<Self> {
        let written: Written<'_> = serde_json::from_slice(payload).ok()?;
        let challenge = Self {
            session: Uuid::try_parse(written.sid).ok()?,
            generation: Generation::new(written.generation),
            purpose: Purpose::parse(written.purpose)?,
            expires_at: UnixTime::from_secs(written.exp),
        };
        (challenge.encode() == payload).then_some(challenge)
    }
}

impl Purpose {
    /// Return the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Refresh => "refresh",
        }
    }

    /// Return the purpose with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Register, Self::Refresh].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

impl Tokens {
    /// Sign a challenge. No access or refresh token is accepted as a challenge, and no challenge as a token: the `typ`
    /// differs (RFC 8725 §3.11).
    ///
    /// # Errors
    ///
    /// [`IssueError::Signing`]: the signature could not be created.
    pub fn issue_challenge(&self, challenge: &Challenge) -> Result<String, IssueError> {
        Ok(self.sign(Type::Challenge, &challenge.encode())?)
    }
}

impl Verifier {
    /// Read a challenge that one of the keys has signed. The caller compares its session, generation, purpose and time.
    ///
    /// # Errors
    ///
    /// A [`VerifyError`]. Its variants are in the order of the checks.
    pub fn read_challenge(&self, challenge: &str) -> Result<Challenge, VerifyError> {
        let payload = self.signed_payload(Some(Type::Challenge), challenge)?;
        Challenge::parse(&payload).ok_or(VerifyError::MalformedClaims)
    }
}

/// Check that a challenge is read only from the payload that is written for it.
#[cfg(fuzzing)]
pub fn fuzz_challenge(payload: &[u8]) {
    assert!(Challenge::parse(payload).is_none_or(|challenge| challenge.encode() == payload));
}
