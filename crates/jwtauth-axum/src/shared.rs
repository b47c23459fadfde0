//! What all requests of a layer share.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::request::Parts;
use jwtauth::{Claims, CustomClaims, NumericDate, VerifiedSessions};

use crate::{
    Config,
    clock::{Clock, monotonic_ms},
    store::ErasedStore,
};

/// How many verified sessions a process remembers, where `SESSION_CHECK_INTERVAL` lets it: some 100 bytes each.
const REMEMBERED_SESSIONS: usize = 65_536;
/// Seconds between two looks for expired sessions, and how many are removed at once.
const CLEANING_INTERVAL: u64 = 60;
pub(crate) const CLEANED_AT_ONCE: u32 = 1_000;

pub(crate) type CustomClaimsOf = Arc<dyn Fn(&str) -> CustomClaims + Send + Sync>;
pub(crate) type AddressOf = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn ErasedStore>,
    pub(crate) clock: Clock,
    pub(crate) verified: Arc<VerifiedSessions>,
    pub(crate) custom_claims: Option<CustomClaimsOf>,
    pub(crate) address: Option<AddressOf>,
    cleaned_at: Arc<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(config: Config, store: Arc<dyn ErasedStore>) -> Self {
        Self {
            config,
            store,
            clock: Clock::default(),
            verified: Arc::new(VerifiedSessions::new(REMEMBERED_SESSIONS)),
            custom_claims: None,
            address: None,
            cleaned_at: Arc::default(),
        }
    }

    /// Whether the store accepted these claims within `SESSION_CHECK_INTERVAL`.
    pub(crate) fn is_remembered(&self, claims: &Claims) -> bool {
        self.config.check_interval != Some(0)
            && self.verified.is_fresh(claims, monotonic_ms(), self.config.check_interval)
    }

    /// Whether it is time to look for expired sessions; then it is not again for a while.
    pub(crate) fn cleaning_is_due(&self, now: NumericDate) -> bool {
        let last = self.cleaned_at.load(Ordering::Relaxed);
        now.abs_diff(last) >= CLEANING_INTERVAL
            && self.cleaned_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}
