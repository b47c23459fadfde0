//! One request, from its head to its answer: the steps that Django and axum both run.
//!
//! Each step is a function from values to a value. Reading and writing rows, waiting, retrying, signals, logs and
//! transactions are left to the caller.
//!
//! ```text
//! head ──identify──▶ Identity ──(row)──refresh──▶ Decision ──(write)──grant──▶ Grant ─┐
//!                        └───────(row)──check────▶ Check                              ├─▶ Outcome ──respond──▶ Answer
//!                                                     logout, login, end ─────────────┘
//! ```

mod answer;
mod check;
mod device;
mod grant;
mod head;
mod identity;
mod render;

pub use answer::{Answer, Outcome, SetCookie};
pub use check::{Check, FoundRow};
pub use device::{MAX_REGISTRATION_DELAY, Proof, Registration};
pub use grant::{Grant, Grantee};
pub use head::{ACTIVITY_HEADER, Head, HttpVersion, Scheme};
pub use identity::{IdentifyError, Identity, MAX_DUPLICATES, Refused, Transport};
pub use render::{MIN_RENDER_SECRET, RENDER_SECRET_HEADER, RenderSecretError, RenderSecrets};

use crate::{Claims, Decision, Origin, Presented, RotationPolicy, Session, Tokens, UnixTime, dpop::Expected};

/// The configuration of a site, on which every step of a request depends.
#[derive(Clone, Debug)]
pub struct Site {
    tokens: Tokens,
    policy: RotationPolicy,
    transport: Transport,
}

impl Site {
    /// Create a site with these tokens, rotation rules and transport.
    pub fn new(tokens: Tokens, policy: RotationPolicy, transport: Transport) -> Self {
        Self { tokens, policy, transport }
    }

    /// Return the issuer and verifier of tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Return the rules of rotation.
    pub fn policy(&self) -> &RotationPolicy {
        &self.policy
    }

    /// Return how tokens are transported.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Verify the tokens of a request, and decide whether it may use its cookies. Calls [`Transport::identify`].
    ///
    /// # Errors
    ///
    /// See [`Transport::identify`].
    pub fn identify(
        &self,
        head: &Head<'_>,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Identity, Box<Refused>> {
        let verifier = self.tokens.verifier();
        self.transport.identify_with(verifier, Some(verifier), head, own, now)
    }

    /// Identify the client at a token endpoint by the proof in its header `DPoP`, if it has one (RFC 9449 §5). No other
    /// header is read. The identity is anonymous, and [names the key](Identity::client).
    ///
    /// # Errors
    ///
    /// [`IdentifyError::Dpop`], which such an endpoint answers with 400 (RFC 9449 §5).
    pub fn identify_client(
        &self,
        head: &Head<'_>,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Identity, Box<Refused>> {
        if head.dpop.is_none() {
            return Ok(Identity::default());
        }
        let expected =
            Expected { head, own: self.transport.dpop_origin(own), access: None, nonces: Some(self.tokens.verifier()) };
        Identity::default().with_proof(expected.check(now))
    }

    /// Decide what to do with a verified refresh token, given the row of its session as read at `now`. Calls
    /// [`RotationPolicy::decide`].
    pub fn refresh(&self, identity: &Identity, claims: &Claims, session: &Session, now: UnixTime) -> Decision {
        let presented = Presented {
            generation: claims.generation,
            upload: identity.is_upload || identity.is_rendering(),
            auth_time: claims.auth_time,
            activity: !identity.is_idle,
            idle: claims.idle,
            client: identity.client,
        };
        self.policy.decide(session, presented, now)
    }
}

#[cfg(test)]
mod tests;
