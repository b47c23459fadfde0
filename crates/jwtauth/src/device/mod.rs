//! Device-bound sessions: the key of a browser, and the proofs that the browser has it (W3C Device Bound Session
//! Credentials, DBSC).
//!
//! A server sends a [`Challenge`]. The browser signs it with a key that cannot leave the device, and returns a
//! [`DeviceProof`]. The first proof brings the [`DeviceKey`]. Later proofs are verified with the stored key.

mod challenge;
mod jws;
mod key;
mod proof;

#[cfg(fuzzing)]
pub use challenge::fuzz_challenge;
pub use challenge::{Challenge, Purpose};
pub(crate) use jws::ClientJws;
pub use key::DeviceKey;
#[cfg(fuzzing)]
pub use proof::fuzz_proof;
pub use proof::{DeviceProof, ProofError};

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
