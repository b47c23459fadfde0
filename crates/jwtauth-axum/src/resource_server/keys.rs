use std::{error::Error, future::Future, sync::Arc, time::Duration};

use jwtauth::Verifier;

use crate::{Settings, SettingsError};

/// Provides the keys of a resource server.
pub trait VerifierSource: Send + Sync + 'static {
    /// Return the current verifier. `missing` is an earlier verifier that lacks the key of a token that could be valid.
    ///
    /// # Errors
    ///
    /// [`KeysError`] if no keys are available or, with `missing`, no newer ones can be fetched now. The response is 503,
    /// because it is unknown whether the token is valid.
    fn verifier(
        &self,
        missing: Option<&Arc<Verifier>>,
    ) -> impl Future<Output = Result<Arc<Verifier>, KeysError>> + Send;

    /// Return the last known keys if [`verifier`](Self::verifier) would have to look for newer ones, or `None` if it
    /// can answer immediately.
    ///
    /// Requests whose tokens no key could make valid ([`Verifier::is_valid_but_for_key`]) are answered with these keys.
    /// They neither wait nor cause a fetch.
    fn outdated(&self) -> Option<Arc<Verifier>> {
        None
    }
}

/// The required keys are unavailable.
///
/// ```
/// use std::time::Duration;
///
/// let error = jwtauth_axum::KeysError::new("the vault is sealed").with_retry_after(Duration::from_secs(10));
/// assert_eq!(error.retry_after(), Duration::from_secs(10));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the public keys are unavailable")]
pub struct KeysError {
    source: Box<dyn Error + Send + Sync>,
    retry_after: Duration,
}

impl KeysError {
    /// Create the error with this cause, which is not shown to the client.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), retry_after: Duration::from_secs(1) }
    }

    /// Set the time until the client may retry (`Retry-After`). Default: one second.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// Return the time until the client may retry.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

/// Keys from the settings, which do not change while the service runs.
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
    /// Create the keys that verify the settings' tokens: a shared secret, or `SIGNING_KEY` with `VERIFYING_KEYS`.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if the settings contain no valid key.
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
