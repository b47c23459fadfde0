//! The values that stores receive and return.

use std::{net::IpAddr, time::SystemTime};

use jwtauth::{DeviceBinding, Methods, Session, UnixTime};
use uuid::Uuid;

/// A session's row: what the rules need, and what the user is shown.
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
    /// The digest of the secret session name ([`jwtauth::Sid::session_id`]). It is not a secret.
    pub id: Uuid,
    /// The user's primary key, as text.
    pub user_id: String,
    /// The session state that the engine decides on.
    pub session: Session,
    /// Whether the cookies outlive the browser.
    pub remember: bool,
    /// The `User-Agent` at login, at most 512 characters.
    pub user_agent: String,
    /// The client's address at login.
    pub ip_address: Option<IpAddr>,
    /// When the user was last seen.
    pub last_seen_at: UnixTime,
    /// How the user has proved who they are in this session (`amr`, RFC 8176).
    pub methods: Methods,
    /// The session of the user who acts as this one, if another user does.
    pub actor_session_id: Option<Uuid>,
    /// The key of the device to which the session is bound ([`jwtauth::DeviceKey::to_text`]): `None` if it is not bound,
    /// empty if it must be.
    pub device_key: Option<String>,
}

impl Record {
    /// Create the record of a session whose cookies outlive the browser, last seen when it started.
    pub fn new(id: Uuid, user_id: impl Into<String>, session: Session) -> Self {
        Self {
            id,
            user_id: user_id.into(),
            session,
            remember: true,
            user_agent: String::new(),
            ip_address: None,
            last_seen_at: session.created_at,
            methods: Methods::default(),
            actor_session_id: None,
            device_key: None,
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

    /// Set [`methods`](Self::methods).
    #[must_use]
    pub fn with_methods(mut self, methods: Methods) -> Self {
        self.methods = methods;
        self
    }

    /// Set [`actor_session_id`](Self::actor_session_id).
    #[must_use]
    pub fn with_actor_session_id(mut self, actor_session_id: impl Into<Option<Uuid>>) -> Self {
        self.actor_session_id = actor_session_id.into();
        self
    }

    /// Return whether the session is bound to a key, of a browser or of another client (`DPoP`): only a proof of it
    /// refreshes the session.
    pub fn is_device_bound(&self) -> bool {
        matches!(self.session.device, DeviceBinding::Bound | DeviceBinding::Dpop(_))
    }

    /// Set [`device_key`](Self::device_key), and what the session says of it.
    #[must_use]
    pub fn with_device_key(mut self, device_key: impl Into<Option<String>>) -> Self {
        self.device_key = device_key.into();
        self.session = self.session.with_device(DeviceBinding::from_stored(self.device_key.as_deref()));
        self
    }
}

/// The result of [`SessionStore::find`](super::SessionStore::find).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FoundSession {
    /// The row.
    pub record: Record,
    /// The database's current time; `None` if the store has no clock.
    pub database_time: Option<SystemTime>,
}

impl FoundSession {
    /// Create the result of a store without a clock.
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

/// The maximum number of a user's sessions.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limit {
    /// The most sessions that may be live at once; at least 1.
    pub most: usize,
    /// What happens to a login over the limit.
    pub policy: LimitPolicy,
    /// Sessions that are about to end and do not count.
    pub replaced: Vec<Uuid>,
}

impl Limit {
    /// Create a limit that counts every live session.
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

/// What happens to a login over the [`Limit`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// End the oldest session.
    EndOldest,
    /// Refuse the login.
    Refuse,
}
