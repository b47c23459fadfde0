//! Nonces (RFC 9449 §8): JWS of the site's own key ring, which every worker can read, and no table has to store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{IssueError, Tokens, UnixTime, Verifier, strict_json, token::Type};

/// How long a nonce is valid. A copied proof can be sent again for that long: with its access token, to the same URL, by
/// the same method.
pub const DPOP_NONCE_LIFETIME: Duration = Duration::from_secs(300);

#[derive(Deserialize, Serialize)]
struct Written {
    exp: u64,
}

impl Tokens {
    /// Sign a nonce that is valid for [`DPOP_NONCE_LIFETIME`] from `now`.
    ///
    /// # Errors
    ///
    /// [`IssueError::Signing`]: the signature could not be created.
    pub fn issue_dpop_nonce(&self, now: UnixTime) -> Result<String, IssueError> {
        let exp = (now + DPOP_NONCE_LIFETIME).as_secs();
        Ok(self.sign(Type::Nonce, &strict_json::encode(&Written { exp }))?)
    }
}

impl Verifier {
    /// Return how long a nonce remains valid; `None` if it is not valid.
    pub(crate) fn dpop_nonce_left(&self, nonce: &str, now: UnixTime) -> Option<Duration> {
        let payload = self.signed_payload(Some(Type::Nonce), nonce).ok()?;
        let written: Written = serde_json::from_slice(&payload).ok()?;
        let end = UnixTime::from_secs(written.exp);
        (now < end).then(|| end.saturating_duration_since(now))
    }
}
