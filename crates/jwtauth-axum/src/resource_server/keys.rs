use std::{error::Error, future::Future, sync::Arc};

use jwtauth::Verifier;

use crate::{Settings, SettingsError};

/// Where a resource server has its keys from.
pub trait VerifierSource: Send + Sync + 'static {
    /// Return what verifies now. `missing`: a token named a key that this one, which was given before, does not have,
    /// so that it is worth looking for newer ones.
    ///
    /// # Errors
    ///
    /// [`KeysError`]: there is none.
    fn verifier(
        &self,
        missing: Option<&Arc<Verifier>>,
    ) -> impl Future<Output = Result<Arc<Verifier>, KeysError>> + Send;
}

/// No keys could be had yet, or the last ones are too old.
#[derive(Debug, thiserror::Error)]
#[error("the public keys cannot be had")]
pub struct KeysError(#[source] pub(super) Box<dyn Error + Send + Sync>);

/// Keys that stay as long as the service runs: those of the settings.
///
/// ```
/// use axum::{Router, routing::get};
/// use jwtauth_axum::{AccessClaims, FixedKeys, ResourceLayer, Settings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::new("the secret that the site signs with");
/// let layer = ResourceLayer::new(settings.transport()?, FixedKeys::of(&settings)?);
/// let app: Router = Router::new().route("/me", get(async |AccessClaims(claims)| claims.subject)).layer(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FixedKeys(Arc<Verifier>);

impl FixedKeys {
    /// Make the keys by which the settings' tokens verify: a shared secret, or `SIGNING_KEY` with `VERIFYING_KEYS`.
    ///
    /// # Errors
    ///
    /// [`SettingsError`], where they are none.
    pub fn of(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self(Arc::new(Verifier::new(settings.keyring()?.verifying_keys().clone(), settings.profile())?)))
    }
}

impl From<Verifier> for FixedKeys {
    fn from(verifier: Verifier) -> Self {
        Self(Arc::new(verifier))
    }
}

impl VerifierSource for FixedKeys {
    async fn verifier(&self, _missing: Option<&Arc<Verifier>>) -> Result<Arc<Verifier>, KeysError> {
        Ok(Arc::clone(&self.0))
    }
}
