//! Sessions that are bound to a key of the user's device: what a browser is offered, and what its proofs do.
//!
//! The browser's side is Device Bound Session Credentials (W3C Web Application Security, draft of February 2026). Its
//! session identifier is the [thumbprint](DeviceKey::thumbprint) of the key, which stays the same when a session follows
//! another, for example after a new password.

use std::time::Duration;

use uuid::Uuid;

use super::Site;
use crate::{
    Challenge, Decision, DeviceBinding, DeviceKey, DeviceProof, IssueError, ProofError, Purpose, Refusal, Session,
    UnixTime,
};

/// How long a browser may take to bind a session after a login or another authentication.
///
/// It is short, since whoever has copied the response could bind the session to a key of their own.
pub const MAX_REGISTRATION_DELAY: Duration = Duration::from_secs(300);

/// How much longer than an access token a challenge is valid, so that a browser can use the one that came with it.
const CHALLENGE_LEEWAY: Duration = Duration::from_secs(60);

/// The decision about a request to bind a session to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Registration {
    /// Write the key by one compare-and-swap on the row's key, then issue a new access token. If it changes no row, read
    /// the row and decide again.
    Bind(DeviceKey),
    /// The session is bound to this key, and the response was lost: issue a new access token.
    Again(DeviceKey),
    /// Refuse the request (403), and write nothing.
    Refuse,
    /// The session is bound to another key, so one of the two is not the user's: end the session.
    Stolen,
}

impl Registration {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind(_) => "bind",
            Self::Again(_) => "again",
            Self::Refuse => "refuse",
            Self::Stolen => "stolen",
        }
    }

    /// Return the decision to carry out if the session is then bound.
    pub fn decision(&self) -> Option<Decision> {
        self.key().map(|_| Decision::RenewAccess { acknowledge: false })
    }

    /// Return the key to which the session is then bound.
    pub fn key(&self) -> Option<&DeviceKey> {
        match self {
            Self::Bind(key) | Self::Again(key) => Some(key),
            Self::Refuse | Self::Stolen => None,
        }
    }
}

/// The decision about a request to refresh a session that is bound to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Proof {
    /// The key is proven: carry this decision out.
    Good(Decision),
    /// Answer 403 with [a new challenge](Site::challenge). Write nothing.
    Challenge,
    /// The browser means a session that is not this one, or this one is not bound: tell it to forget its own.
    Elsewhere,
    /// The proof is signed with another key, so the tokens were copied: end the session.
    Stolen,
}

impl Proof {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Challenge => "challenge",
            Self::Elsewhere => "elsewhere",
            Self::Stolen => "stolen",
        }
    }
}

impl Site {
    /// Return the challenge with which a browser may bind this session until [`MAX_REGISTRATION_DELAY`] from `now`.
    ///
    /// Offer it only with the response to a login or another authentication: on a later response, whoever holds copied
    /// cookies could bind the session.
    ///
    /// # Errors
    ///
    /// An [`IssueError`].
    pub fn offer(&self, session_id: Uuid, session: &Session, now: UnixTime) -> Result<String, IssueError> {
        self.issue_challenge(session_id, session, Purpose::Register, now + MAX_REGISTRATION_DELAY)
    }

    /// Return whether a session may be offered a binding when its user authenticates again at `now`. A browser that has
    /// just been offered one could answer both, with two keys.
    pub fn may_offer(&self, before: &Session, now: UnixTime) -> bool {
        let offered_at = before.authenticated_at().max(before.created_at);
        before.device != DeviceBinding::Bound && now.saturating_duration_since(offered_at) >= MAX_REGISTRATION_DELAY
    }

    /// Return a challenge for the next proof of this session's key.
    ///
    /// # Errors
    ///
    /// An [`IssueError`].
    pub fn challenge(&self, session_id: Uuid, session: &Session, now: UnixTime) -> Result<String, IssueError> {
        let validity = self.policy().lifetimes().access() + CHALLENGE_LEEWAY;
        self.issue_challenge(session_id, session, Purpose::Refresh, now + validity)
    }

    fn issue_challenge(
        &self,
        session_id: Uuid,
        session: &Session,
        purpose: Purpose,
        expires_at: UnixTime,
    ) -> Result<String, IssueError> {
        let generation = session.generation;
        self.tokens().issue_challenge(&Challenge::new(session_id, generation, purpose, expires_at))
    }

    /// Decide about a request to bind a session, which the request's tokens name and which is not over, to the key in
    /// `proof`. `device_key` is that of the row.
    pub fn register(&self, session_id: Uuid, device_key: Option<&str>, proof: &str, now: UnixTime) -> Registration {
        let Ok(proof) = DeviceProof::parse(proof.as_bytes()) else { return Registration::Refuse };
        let Ok((key, challenge)) = proof.registration() else { return Registration::Refuse };
        let challenge = self.read_challenge(challenge, session_id, Purpose::Register);
        match (challenge, device_key.filter(|bound| !bound.is_empty())) {
            (Some(_), Some(bound)) if bound == key.to_text() => Registration::Again(key),
            (Some(_), Some(_)) => Registration::Stolen,
            (Some(challenge), None) if now < challenge.expires_at => Registration::Bind(key),
            _ => Registration::Refuse,
        }
    }

    /// Decide about a request to refresh a session, which the request's tokens name. `device_key` is that of the row, and
    /// `named` the session identifier that the browser sent.
    ///
    /// Only a proof that is signed with another key ends the session, and only if the browser means this one: it may still
    /// know an earlier session of the same cookie.
    pub fn prove(
        &self,
        session_id: Uuid,
        session: &Session,
        device_key: Option<&str>,
        named: Option<&str>,
        proof: Option<&str>,
        now: UnixTime,
    ) -> Proof {
        if self.policy().lifetimes().is_over(session, now) {
            return Proof::Good(Decision::Refuse(Refusal::Expired));
        }
        let Some(key) = device_key.and_then(|key| DeviceKey::parse(key).ok()) else { return Proof::Elsewhere };
        if named != Some(key.thumbprint()) {
            return Proof::Elsewhere;
        }
        let Some(Ok(proof)) = proof.map(|proof| DeviceProof::parse(proof.as_bytes())) else { return Proof::Challenge };
        match proof.verify(&key) {
            Ok(challenge) => self
                .read_challenge(challenge, session_id, Purpose::Refresh)
                .filter(|challenge| now < challenge.expires_at)
                .and_then(|challenge| self.policy().decide_proven(session, challenge.generation, now))
                .map_or(Proof::Challenge, Proof::Good),
            Err(ProofError::BadSignature) => Proof::Stolen,
            Err(_) => Proof::Challenge,
        }
    }

    /// Read a challenge of this session, whether it has expired or not.
    fn read_challenge(&self, challenge: &str, session_id: Uuid, purpose: Purpose) -> Option<Challenge> {
        let challenge = self.tokens().verifier().read_challenge(challenge).ok()?;
        (challenge.session == session_id && challenge.purpose == purpose).then_some(challenge)
    }
}
