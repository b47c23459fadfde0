//! Where sessions are kept: a small trait, and its implementations.

#[cfg(feature = "conformance")]
pub mod conformance;
mod erased;
mod error;
mod memory;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;

use std::{future::Future, net::IpAddr};

pub(crate) use erased::ErasedStore;
pub use error::{InsertError, StoreError};
use jwtauth::{Generation, NumericDate, Session};
pub use memory::MemoryStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::DjangoUsers;
#[cfg(feature = "postgres")]
pub use sql::{POSTGRES_SCHEMA, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sql::{SQLITE_SCHEMA, SqliteStore};
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
pub struct Found {
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

/// Keeps sessions. All of it speaks to the database that takes writes, and each method commits by itself.
///
/// [`conformance`](crate::conformance) is a suite of checks that every implementation passes.
pub trait SessionStore: Send + Sync + 'static {
    /// The session of this id, in one statement, with what else says whether its user may be signed in: `None` where
    /// there is no such row, or its user is not active, or has another password than at login.
    fn find(&self, id: Uuid) -> impl Future<Output = Result<Option<Found>, StoreError>> + Send;

    /// Writes a new session. The ids of those that had to make way for it are returned, and are gone.
    fn insert(
        &self,
        record: Record,
        limit: Option<Limit>,
        now: NumericDate,
    ) -> impl Future<Output = Result<Vec<Uuid>, InsertError>> + Send;

    /// The compare-and-swap of a rotation: writes generation, `acknowledged_at`, `rotated_at` and `expires_at` of `next`,
    /// and that the person is here `now`, where the row's generation is `from`. Whether it was.
    fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        now: NumericDate,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes `now` as `acknowledged_at`, where that is empty and the row of this generation.
    fn acknowledge(
        &self,
        id: Uuid,
        generation: Generation,
        now: NumericDate,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes that the person was here `now`.
    fn touch(&self, id: Uuid, now: NumericDate) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The sessions of this user that are live `now`, the newest first.
    fn of_user(&self, user_id: &str, now: NumericDate) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// Ends these sessions. How many there were.
    fn end(&self, ids: &[Uuid]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Removes at most so many sessions that were over at `now`. How many it removed.
    fn remove_expired(&self, most: u32, now: NumericDate) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
