//! The public keys of a site, by HTTP.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jwtauth::{Verifier, VerifyingKeys};
use tokio::sync::Mutex;

use super::{KeysError, VerifierSource};
use crate::{Settings, SettingsError};

/// The longest key set that is read, in bytes: some 16 keys of RSA with 4096 bits.
const MAX_LENGTH: usize = 64 * 1024;

/// The keys of a site's `jwks.json` (RFC 7517 §5), fetched when they are first needed and kept.
///
/// They are fetched again once they are [`max_age`](Self::with_max_age) old, and when a token names a key that is not
/// among them, but at most once in [`pause`](Self::with_pause), so that made-up names cost the site nothing. Where that
/// fails, the old ones stay good until they are [`max_stale`](Self::with_max_stale) old. So a key that the site has
/// withdrawn is accepted for `max_age` longer, and while the site cannot be reached, for `max_stale`; a session that
/// has ended, until its access token expires.
///
/// TLS is the client's: take `reqwest` with the features that you want.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use jwtauth_axum::{AccessClaims, RemoteKeys, ResourceLayer, Settings};
///
/// async fn me(AccessClaims(claims): AccessClaims) -> String {
///     claims.subject
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::default().with_issuer("https://example.com");
/// let keys = RemoteKeys::new(reqwest::Client::new(), "https://example.com/auth/jwks.json", &settings)?;
/// let app: Router = Router::new().route("/me", get(me)).layer(ResourceLayer::new(settings.transport()?, keys));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RemoteKeys {
    client: reqwest::Client,
    url: reqwest::Url,
    settings: Settings,
    max_age: Duration,
    max_stale: Duration,
    pause: Duration,
    known: RwLock<Option<Known>>,
    /// When they were last asked for. Held while they are.
    tried_at: Mutex<Option<Instant>>,
}

#[derive(Clone, Debug)]
struct Known {
    verifier: Arc<Verifier>,
    fetched_at: Instant,
}

impl RemoteKeys {
    /// Make the keys at this URL, for tokens of these settings' issuer and audience.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Value`] where the URL is none.
    pub fn new(client: reqwest::Client, url: &str, settings: &Settings) -> Result<Self, SettingsError> {
        let url = url
            .parse()
            .map_err(|_| SettingsError::Value { setting: "the key set's URL", expected: "an absolute URL" })?;
        let (max_age, pause, max_stale) =
            (Duration::from_secs(300), Duration::from_secs(10), Duration::from_secs(24 * 60 * 60));
        let settings = Settings { secret_key: "".into(), signing_key: None, verifying_keys: None, ..settings.clone() };
        Ok(Self {
            client,
            url,
            settings,
            max_age,
            max_stale,
            pause,
            known: RwLock::default(),
            tried_at: Mutex::default(),
        })
    }

    /// Fetch the keys again after so long. Default: 5 minutes.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Keep keys so long while newer ones cannot be had. Default: a day.
    #[must_use]
    pub fn with_max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = max_stale;
        self
    }

    /// Let so long pass between two fetches at least. Default: 10 seconds.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    async fn fetch(&self) -> Result<Verifier, KeysError> {
        let error = |error: Box<dyn std::error::Error + Send + Sync>| KeysError(error);
        let request = self.client.get(self.url.clone()).timeout(Duration::from_secs(5));
        let mut response =
            request.send().await.and_then(reqwest::Response::error_for_status).map_err(|it| error(it.into()))?;
        let mut set = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|it| error(it.into()))? {
            set.extend_from_slice(&chunk);
            if set.len() > MAX_LENGTH {
                return Err(error("the key set is too long".into()));
            }
        }
        let keys =
            VerifyingKeys::from_jwk_set(&set, self.settings.algorithm.parse().ok()).map_err(|it| error(it.into()))?;
        Verifier::new(keys, self.settings.profile()).map_err(|it| error(it.into()))
    }

    fn known(&self) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| known.fetched_at.elapsed() < self.max_stale)
    }

    /// Fetch them where that was not just done, and say why it could not be.
    async fn renew(&self, tried_at: &mut Option<Instant>) -> Result<(), KeysError> {
        if tried_at.is_some_and(|tried_at| tried_at.elapsed() < self.pause) {
            return Err(KeysError("they were just asked for".into()));
        }
        *tried_at = Some(Instant::now());
        let verifier = self.fetch().await.inspect_err(|error| {
            tracing::warn!(target: "jwtauth.security", error = error as &dyn std::error::Error, "keys_not_fetched");
        })?;
        let known = Known { verifier: Arc::new(verifier), fetched_at: Instant::now() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(())
    }
}

impl VerifierSource for RemoteKeys {
    async fn verifier(&self, missing: Option<&Arc<Verifier>>) -> Result<Arc<Verifier>, KeysError> {
        let is_wanted = |known: &Known| {
            known.fetched_at.elapsed() >= self.max_age
                || missing.is_some_and(|missing| Arc::ptr_eq(missing, &known.verifier))
        };
        let mut tried_at = match self.known() {
            Some(known) if !is_wanted(&known) => return Ok(known.verifier),
            // A request that can go on with the old ones does not wait for one that fetches new ones.
            Some(known) if missing.is_none() => match self.tried_at.try_lock() {
                Ok(tried_at) => tried_at,
                Err(_) => return Ok(known.verifier),
            },
            _ => self.tried_at.lock().await,
        };
        // Another request may have fetched them meanwhile.
        if let Some(known) = self.known().filter(|known| !is_wanted(known)) {
            return Ok(known.verifier);
        }
        let renewed = self.renew(&mut tried_at).await;
        match (self.known(), renewed) {
            (Some(known), _) => Ok(known.verifier),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(KeysError("they are too old at once".into())),
        }
    }
}
