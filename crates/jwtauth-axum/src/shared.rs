//! State shared by all requests of a layer.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use http::request::Parts;
use jwtauth::{Claims, CleanupSchedule, CustomClaims, VerifiedSessions};

use crate::{
    Authenticated, Config, acting::MayActAs, clock::Clock, event::Receivers, retry::random, store::ErasedStore,
    task::Tasks,
};

/// The most verified sessions that a process caches if `SESSION_CHECK_INTERVAL` allows it; about 100 bytes each.
const REMEMBERED_SESSIONS: usize = 65_536;

/// The cache scope: a layer has one store, whose answer depends on nothing else.
pub(crate) const SCOPE: u64 = 0;

pub(crate) type CustomClaimsOf = Arc<dyn Fn(&str) -> CustomClaims + Send + Sync>;
pub(crate) type IsOfHead = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
pub(crate) type AddressOf = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn ErasedStore>,
    pub(crate) clock: Clock,
    pub(crate) verified: Arc<VerifiedSessions>,
    pub(crate) custom_claims: Option<CustomClaimsOf>,
    pub(crate) may_act_as: Option<MayActAs>,
    pub(crate) address: Option<AddressOf>,
    pub(crate) is_poll: Option<IsOfHead>,
    pub(crate) dpop_prefix: String,
    pub(crate) receivers: Receivers,
    pub(crate) cleanup: Arc<CleanupSchedule>,
    pub(crate) tasks: Tasks,
}

impl Shared {
    pub(crate) fn new(config: Config, store: Arc<dyn ErasedStore>) -> Self {
        Self {
            config,
            store,
            clock: Clock::default(),
            verified: Arc::new(VerifiedSessions::new(REMEMBERED_SESSIONS)),
            custom_claims: None,
            may_act_as: None,
            address: None,
            is_poll: None,
            dpop_prefix: String::new(),
            receivers: Receivers::default(),
            cleanup: Arc::new(CleanupSchedule::new(Duration::ZERO, random())),
            tasks: Tasks::default(),
        }
    }

    /// Return whether accepted sessions are cached at all.
    pub(crate) fn remembers(&self) -> bool {
        self.config.check_interval != Some(Duration::ZERO)
    }

    /// Return the user of these claims if the store accepted them within `SESSION_CHECK_INTERVAL`.
    pub(crate) fn remembered(&self, claims: &Claims) -> Option<Authenticated> {
        if !self.remembers() {
            return None;
        }
        let session_id = self.verified.fresh(claims, SCOPE, self.clock.monotonic(), self.config.check_interval)?;
        Some(Authenticated::of(claims, session_id))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}
