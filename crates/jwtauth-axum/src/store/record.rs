//! What stores are given and give.

use std::net::IpAddr;

use jwtauth::{NumericDate, Session};
use uuid::Uuid;

/// A session's row: what the rules need of it, and what people are told.
#[derive(Clone, Debug, Eq, PartialEq)]
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
    /// When the person was last noted to be here.
    pub last_seen_at: NumericDate,
}

/// What [`SessionStore::find`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundSession {
    /// The row.
    pub record: Record,
    /// What the database's clock said, in milliseconds since 1970-01-01T00:00:00Z; `None` where it has none.
    pub time: Option<i64>,
}

/// How many sessions a user may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The most that may be live at once; at least 1.
    pub most: usize,
    /// What becomes of one more.
    pub policy: LimitPolicy,
    /// Sessions that are about to end, and do not count.
    pub replaced: Vec<Uuid>,
}

/// What becomes of a login beyond the [`Limit`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitPolicy {
    /// The oldest session makes way.
    EndOldest,
    /// The login is refused.
    Refuse,
}
