use std::{error::Error, future::Future, sync::Arc, time::Duration};

use jwtauth::Verifier;

use crate::{Settings, SettingsError};

/// Where a resource server has its keys from.
pub trait VerifierSource: Send + Sync + 'static {
    /// Return what verifies now. `missing`: a token could be valid, but names a key that this one, which was given
    /// before, does not have.
    ///
    /// # Errors
    ///
    /// [`KeysError`]: no keys can be had; or, with `missing`, newer ones cannot be had now. The answer is 503: it is not
    /// known whether the token is valid.
    fn verifier(
        &self,
        missing: Option<&Arc<Verifier>>,
    ) -> impl Future<Output = Result<Arc<Verifier>, KeysError>> + Send;

    /// Return the last known keys where [`verifier`](Self::verifier) would look for newer ones; `None` where it answers
    /// at once.
    ///
    /// By them are answered the requests whose tokens no public key would make valid
    /// ([`Verifier::is_valid_but_for_key`]), so that these neither wait nor cause a look-up.
    fn outdated(&self) -> Option<Arc<Verifier>> {
        None
    }
}

/// Keys that are needed cannot be had now.
///
/// ```
/// use std::time::Duration;
///
/// let error = jwtauth_axum::KeysError::new("the vault is sealed").with_retry_after(Duration::from_secs(10));
/// assert_eq!(error.retry_after(), Duration::from_secs(10));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the public keys cannot be had")]
pub struct KeysError {
    source: Box<dyn Error + Send + Sync>,
    retry_after: Duration,
}

impl KeysError {
    /// Make the error of this cause, which the client is not told.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), retry_after: Duration::from_secs(1) }
    }

    /// Set when the client may try again: `Retry-After`. Default: after a second.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// Return when the client may try again.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

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
