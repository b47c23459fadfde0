//! A site's public keys, fetched over HTTP.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jwtauth::Verifier;
use tokio::sync::watch;

use super::{
    KeysError, VerifierSource,
    fetch::{FetchError, Source, parse_url},
};
use crate::{Settings, SettingsError};

/// The keys of a site's `jwks.json` (RFC 7517 §5), fetched on first use and cached.
///
/// They are fetched again when they are [`max_age`](Self::with_max_age) old, and when an otherwise valid token names an
/// unknown key, but not before [`pause`](Self::with_pause) has passed since the last fetch. Each fetch runs in its own
/// task, shared by all requests that need it. It takes at most 5 seconds and is completed even if the clients
/// disconnect.
///
/// A 200 response with a JWK Set is authoritative, even an empty set. A key that the site has withdrawn is therefore
/// accepted for up to `max_age`. If the set cannot be fetched, the known keys stay valid until they are
/// [`max_stale`](Self::with_max_stale) old. A session that has ended is accepted until its access token expires.
///
/// A token whose key cannot be looked up, because of a failure or a pause, is answered with 503 `keys_unavailable`. A
/// token whose key is missing from the set fetched for it is invalid.
///
/// The set is accepted only from the URL itself: a response after a redirect is a failure. Give the client
/// [`redirect::Policy::none`](reqwest::redirect::Policy::none), so that it does not follow redirects. TLS is up to the
/// client: enable the `reqwest` features that you need.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use jwtauth_axum::{AccessClaims, RemoteKeys, ResourceLayer, Settings, reqwest};
///
/// async fn me(AccessClaims(claims): AccessClaims) -> String {
///     claims.subject
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::default().with_issuer("https://example.com");
/// let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
/// let keys = RemoteKeys::new(client, "https://example.com/auth/jwks.json", &settings)?;
/// let app: Router = Router::new().route("/me", get(me)).layer(ResourceLayer::new(settings.transport()?, keys));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RemoteKeys {
    source: Arc<Source>,
    state: Arc<Mutex<State>>,
    without_keys: Arc<Verifier>,
    max_age: Duration,
    max_stale: Duration,
    pause: Duration,
}

/// The fetched keys and the progress of fetching.
#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// The running fetch. The channel closes when the fetch ends, even by a panic.
    running: Option<watch::Receiver<()>>,
    last: Option<Ended>,
}

#[derive(Clone, Debug)]
struct Known {
    verifier: Arc<Verifier>,
    fetched_at: Instant,
}

/// The last finished fetch.
#[derive(Debug)]
struct Ended {
    at: Instant,
    error: Option<Arc<FetchError>>,
}

/// What to do for a request.
enum Next {
    Use(Arc<Verifier>),
    /// Use the known keys and fetch newer ones in the background.
    UseAndFetch(Arc<Verifier>),
    Wait,
    Fail(KeysError),
}

impl RemoteKeys {
    /// Create keys from this URL, for tokens with the issuer and audience of these settings. An RSA key that names no
    /// algorithm uses that of the settings.
    ///
    /// The URL must use `https` or a loopback host.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Value`] for any other URL, and errors of `ALGORITHM`, `ISSUER`, `AUDIENCE` or `USER_ID_CLAIM`.
    pub fn new(client: reqwest::Client, url: &str, settings: &Settings) -> Result<Self, SettingsError> {
        Self::at(client, parse_url(url, false)?, settings)
    }

    /// Create keys from this URL, which may use plain `http` to any host. Use this only in a trusted network: a host
    /// that can impersonate the site can sign in as any user.
    ///
    /// # Errors
    ///
    /// The same as of [`new`](Self::new).
    pub fn insecure_http(client: reqwest::Client, url: &str, settings: &Settings) -> Result<Self, SettingsError> {
        Self::at(client, parse_url(url, true)?, settings)
    }

    fn at(client: reqwest::Client, url: reqwest::Url, settings: &Settings) -> Result<Self, SettingsError> {
        let source = Source::new(client, url, settings)?;
        let (max_age, pause, max_stale) =
            (Duration::from_secs(300), Duration::from_secs(10), Duration::from_secs(24 * 60 * 60));
        Ok(Self {
            without_keys: Arc::new(source.without_keys()?),
            source: Arc::new(source),
            state: Arc::default(),
            max_age,
            max_stale,
            pause,
        })
    }

    /// Set the age at which keys are fetched again. Default: 5 minutes.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Set how long keys stay valid while newer ones cannot be fetched. Default: one day.
    #[must_use]
    pub fn with_max_stale(mut self, max_stale: Duration) -> Self {
        self.max_stale = max_stale;
        self
    }

    /// Set the minimum time between two fetches. Default: 10 seconds.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    fn decide(&self, state: &State, missing: Option<&Arc<Verifier>>) -> Next {
        let pause = state.last.as_ref().and_then(|last| self.pause.checked_sub(last.at.elapsed()));
        let pause = pause.filter(|left| !left.is_zero() && !state.is_running());
        match (state.known(self.max_stale), missing) {
            // Newer keys were fetched after the token was checked.
            (Some(known), Some(missing)) if !Arc::ptr_eq(&known.verifier, missing) => Next::Use(known.verifier),
            (Some(known), None) if known.fetched_at.elapsed() < self.max_age || pause.is_some() => {
                Next::Use(known.verifier)
            }
            // While the site is unreachable, requests that can use the old keys do not wait.
            (Some(known), None) if state.error().is_some() => Next::UseAndFetch(known.verifier),
            _ => match pause {
                Some(left) => Next::Fail(state.failure("the keys were just fetched").with_retry_after(left)),
                None => Next::Wait,
            },
        }
    }

    /// Start a fetch unless one is running. Requests wait for it, but it does not depend on any of them.
    fn fetch(&self, state: &mut State) -> watch::Receiver<()> {
        if let Some(running) = state.running.as_ref().filter(|_| state.is_running()) {
            return running.clone();
        }
        let (running, receiver) = watch::channel(());
        state.running = Some(receiver.clone());
        let (source, state) = (Arc::clone(&self.source), Arc::clone(&self.state));
        tokio::spawn(async move {
            let started_at = Instant::now();
            let fetched = source.fetch().await;
            lock(&state).end(started_at, fetched);
            drop(running);
        });
        receiver
    }
}

impl State {
    fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.has_changed().is_ok())
    }

    fn known(&self, max_stale: Duration) -> Option<Known> {
        self.known.clone().filter(|known| known.fetched_at.elapsed() < max_stale)
    }

    /// Return why the last fetch failed, if it did.
    fn error(&self) -> Option<&Arc<FetchError>> {
        self.last.as_ref().and_then(|last| last.error.as_ref())
    }

    fn failure(&self, otherwise: &'static str) -> KeysError {
        self.error().map_or_else(|| KeysError::new(otherwise), |error| KeysError::new(Arc::clone(error)))
    }

    fn end(&mut self, started_at: Instant, fetched: Result<Verifier, FetchError>) {
        let error = match fetched {
            Ok(verifier) => {
                if verifier.keys().is_empty() {
                    tracing::warn!(target: "jwtauth.security", event = "keys_empty", "keys_empty: the key set is empty, so no token is valid");
                }
                self.known = Some(Known { verifier: Arc::new(verifier), fetched_at: started_at });
                None
            }
            Err(error) => {
                let shown = &error as &dyn std::error::Error;
                tracing::warn!(target: "jwtauth.security", event = "keys_not_fetched", error = shown, "keys_not_fetched");
                Some(Arc::new(error))
            }
        };
        self.last = Some(Ended { at: Instant::now(), error });
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl VerifierSource for RemoteKeys {
    async fn verifier(&self, missing: Option<&Arc<Verifier>>) -> Result<Arc<Verifier>, KeysError> {
        let mut running = {
            let mut state = lock(&self.state);
            match self.decide(&state, missing) {
                Next::Use(verifier) => return Ok(verifier),
                Next::UseAndFetch(verifier) => {
                    self.fetch(&mut state);
                    return Ok(verifier);
                }
                Next::Fail(error) => return Err(error),
                Next::Wait => self.fetch(&mut state),
            }
        };
        while running.changed().await.is_ok() {}
        let state = lock(&self.state);
        match state.known(self.max_stale) {
            Some(known) if missing.is_none_or(|missing| !Arc::ptr_eq(missing, &known.verifier)) => Ok(known.verifier),
            _ => Err(state.failure("the keys expired immediately").with_retry_after(self.pause)),
        }
    }

    fn outdated(&self) -> Option<Arc<Verifier>> {
        match lock(&self.state).known(self.max_stale) {
            Some(known) if known.fetched_at.elapsed() < self.max_age => None,
            Some(known) => Some(known.verifier),
            None => Some(Arc::clone(&self.without_keys)),
        }
    }
}
