//! Sender-constrained tokens: clients that keep tokens themselves prove with each request that they have a key
//! (Demonstrating Proof of Possession, DPoP, RFC 9449).
//!
//! A session that starts with a proof is bound to the [`Thumbprint`] of the proof's key. Its access tokens name it
//! (`cnf`), and are accepted with a proof of that key only. A proof is for one method and URL, and is fresh if it holds a
//! nonce of the server. No table remembers which proofs were used.

mod nonce;
mod proof;
mod thumbprint;

pub use nonce::DPOP_NONCE_LIFETIME;
pub(crate) use proof::Expected;
pub use proof::{DpopError, MAX_DPOP_AGE, MAX_DPOP_AGE_WITHOUT_NONCE};
pub use thumbprint::Thumbprint;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
