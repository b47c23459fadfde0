//! One request, from its head to its answer: the flow that every face of this engine drives.
//!
//! Each step is a function of values and returns a value; reading and writing rows, waiting, retrying, signals, logs and
//! transactions are the caller's.
//!
//! ```text
//! head ──identify──▶ Identity ──(row)──refresh──▶ Decision ──(write)──grant──▶ Grant ─┐
//!                        └───────(row)──check────▶ Check                              ├─▶ Outcome ──respond──▶ Answer
//!                                                        sign-out, sign-in, end ──────┘
//! ```

mod answer;
mod check;
mod grant;
mod head;
mod identity;
mod render;

pub use answer::{Answer, Outcome, SetCookie};
pub use check::{Check, FoundRow};
pub use grant::{Grant, Grantee};
pub use head::{Head, HttpVersion};
pub use identity::{IdentifyError, Identity, MAX_DUPLICATES, Refused, Transport};
pub use render::{MIN_RENDER_SECRET, RENDER_SECRET_HEADER, RenderSecretError, RenderSecrets};

use crate::{Claims, Decision, Origin, Presented, RotationPolicy, Session, Tokens, UnixTime};

/// What a site has configured: all that the steps of a request go by.
#[derive(Clone, Debug)]
pub struct Site {
    tokens: Tokens,
    policy: RotationPolicy,
    transport: Transport,
}

impl Site {
    /// Issue and verify these tokens, by this policy, and move them by this transport.
    pub fn new(tokens: Tokens, policy: RotationPolicy, transport: Transport) -> Self {
        Self { tokens, policy, transport }
    }

    /// Return what issues and verifies tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Return the rules of rotation.
    pub fn policy(&self) -> &RotationPolicy {
        &self.policy
    }

    /// Return how tokens travel.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Verify the tokens of a request, and decide whether it may use its cookies: [`Transport::identify`].
    ///
    /// # Errors
    ///
    /// Those of [`Transport::identify`].
    pub fn identify(
        &self,
        head: &Head<'_>,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Identity, Box<Refused>> {
        self.transport.identify(self.tokens.verifier(), head, own, now)
    }

    /// Decide on a verified refresh token and the row of its session, as it was read at `now`:
    /// [`RotationPolicy::decide`].
    pub fn refresh(&self, identity: &Identity, claims: &Claims, session: &Session, now: UnixTime) -> Decision {
        let upload = identity.is_upload || identity.is_rendering();
        let presented = Presented { generation: claims.generation, upload };
        self.policy.decide(session, presented, now)
    }
}

#[cfg(test)]
mod tests;
