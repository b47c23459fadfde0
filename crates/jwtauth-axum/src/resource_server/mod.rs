//! Resource servers: services that verify access tokens, have no login and keep no sessions.

#[cfg(feature = "jwks")]
mod fetch;
mod keys;
mod layer;
#[cfg(feature = "jwks")]
mod remote;

use std::sync::{Arc, atomic::AtomicBool};

pub use keys::{FixedKeys, KeysError, VerifierSource};
pub use layer::{ResourceLayer, ResourceService};
#[cfg(feature = "jwks")]
pub use remote::RemoteKeys;

/// The result of [`ResourceLayer`], in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    pub(crate) claims: Option<jwtauth::Claims>,
    /// Set when a handler reads the claims, so that the response depends on them.
    pub(crate) was_asked: Arc<AtomicBool>,
}
