//! Resource servers: services that recognise people, sign nobody in, and have no sessions to ask.

mod keys;
mod layer;
#[cfg(feature = "jwks")]
mod remote;

pub use keys::{FixedKeys, KeysError, VerifierSource};
pub use layer::{ResourceLayer, ResourceService};
#[cfg(feature = "jwks")]
pub use remote::RemoteKeys;

/// What [`ResourceLayer`] found, in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Recognised(pub(crate) Option<jwtauth::Claims>);
