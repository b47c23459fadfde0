//! Resource servers: services that recognise users, sign none in, and have no sessions to ask.

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

/// What [`ResourceLayer`] found, in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    pub(crate) claims: Option<jwtauth::Claims>,
    /// Set where the response depends on them.
    pub(crate) was_asked: Arc<AtomicBool>,
}
