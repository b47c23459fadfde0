//! What stores are given, and what they give.

use std::{net::IpAddr, time::SystemTime};

use jwtauth::{Session, UnixTime};
use uuid::Uuid;

/// A session's row: what the rules need of it, and what its user is shown.
///
/// ```
/// use std::time::Duration;
///
/// use aws_lc_rs::rand::SystemRandom;
/// use jwtauth_axum::{
///     Record,
///     jwtauth::{Lifetimes, RotationPolicy, Sid, UnixTime},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = UnixTime::from_secs(1_800_000_000);
/// let lifetimes = Lifetimes::new(Duration::from_secs(300), Duration::from_secs(24 * 60 * 60), None)?;
/// let policy = RotationPolicy::new(lifetimes, Duration::from_secs(30));
/// let sid = Sid::generate(&SystemRandom::new(), now)?;
/// let record = Record::new(sid.session_id(), "42", policy.start(now)).with_user_agent("Firefox");
/// assert_eq!(record.last_seen_at, now);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The digest of the session's secret name ([`jwtauth::Sid::session_id`]), which may be shown.
    pub id: Uuid,
    /// The user's primary key, as text.
    pub user_id: String,
    /// The row that the engine decides on.
    pub session: Session,
    /// Whether the cookies outlive the browser.
    pub remember: bool,
    /// The `User-Agent` at login, at most 512 characters.
    pub user_agent: String,
    /// The address at login.
    pub ip_address: Option<IpAddr>,
    /// When the user was last seen.
    pub last_seen_at: UnixTime,
}

impl Record {
    /// Make the record of a session whose cookies outlive the browser, last seen when it began.
    pub fn new(id: Uuid, user_id: impl Into<String>, session: Session) -> Self {
        Self {
            id,
            user_id: user_id.into(),
            session,
            remember: true,
            user_agent: String::new(),
            ip_address: None,
            last_seen_at: session.created_at,
        }
    }

    /// Set [`remember`](Self::remember).
    #[must_use]
    pub fn with_remember(mut self, remember: bool) -> Self {
        self.remember = remember;
        self
    }

    /// Set [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Set [`ip_address`](Self::ip_address).
    #[must_use]
    pub fn with_ip_address(mut self, ip_address: impl Into<Option<IpAddr>>) -> Self {
        self.ip_address = ip_address.into();
        self
    }

    /// Set [`last_seen_at`](Self::last_seen_at).
    #[must_use]
    pub fn with_last_seen_at(mut self, last_seen_at: UnixTime) -> Self {
        self.last_seen_at = last_seen_at;
        self
    }
}

/// What [`SessionStore::find`](super::SessionStore::find) finds.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FoundSession {
    /// The row.
    pub record: Record,
    /// The time by the database's clock; `None` where it has none.
    pub database_time: Option<SystemTime>,
}

impl FoundSession {
    /// Make what a store without a clock finds.
    pub fn new(record: Record) -> Self {
        Self { record, database_time: None }
    }

    /// Set [`database_time`](Self::database_time).
    #[must_use]
    pub fn with_database_time(mut self, time: SystemTime) -> Self {
        self.database_time = Some(time);
        self
    }
}

/// How many sessions a user may have.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limit {
    /// The most that may be live at once; at least 1.
    pub most: usize,
    /// What becomes of one more.
    pub policy: LimitPolicy,
    /// Sessions that are about to end, and do not count.
    pub replaced: Vec<Uuid>,
}

impl Limit {
    /// Make a limit under which every live session counts.
    pub fn new(most: usize, policy: LimitPolicy) -> Self {
        Self { most, policy, replaced: Vec::new() }
    }

    /// Set [`replaced`](Self::replaced).
    #[must_use]
    pub fn with_replaced(mut self, replaced: Vec<Uuid>) -> Self {
        self.replaced = replaced;
        self
    }
}

/// What becomes of a login beyond the [`Limit`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// The oldest session makes way.
    EndOldest,
    /// The login is refused.
    Refuse,
}
