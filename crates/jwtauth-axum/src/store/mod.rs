//! Where sessions are kept: a small trait, and its implementations.

#[cfg(feature = "conformance")]
pub mod conformance;
mod erased;
mod error;
mod memory;
mod record;
#[cfg(any(feature = "mariadb", feature = "postgres", feature = "sqlite"))]
mod sql;

use std::{future::Future, time::SystemTime};

pub(crate) use erased::ErasedStore;
pub use error::{InsertError, StoreError};
use jwtauth::{Generation, Session, UnixTime};
pub use memory::MemoryStore;
pub use record::{FoundSession, Limit, LimitPolicy, Record};
#[cfg(any(feature = "mariadb", feature = "postgres", feature = "sqlite"))]
pub use sql::DjangoUsers;
#[cfg(feature = "mariadb")]
pub use sql::{MARIADB_SCHEMA, MariaDbStore};
#[cfg(feature = "postgres")]
pub use sql::{POSTGRES_SCHEMA, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sql::{SQLITE_SCHEMA, SqliteStore};
use uuid::Uuid;

/// Keeps sessions. All of it speaks to the database that takes writes, and each method commits by itself.
///
/// [`conformance`](crate::conformance) is a suite of checks that every implementation passes.
///
/// # Cancellation
///
/// The future of each method may be dropped wherever it waits: with the client of its request, or when the runtime ends.
/// The method has its whole effect then or none, and leaves no transaction open, no lock and no connection taken. A single
/// statement in autocommit needs no more for that. Run a transaction of several statements in a task of its own
/// ([`tokio::spawn`](https://docs.rs/tokio/latest/tokio/task/fn.spawn.html)), as the stores of this crate do: a connection
/// whose `BEGIN` was given up may return to its pool with the transaction open.
///
/// The layer calls [`insert`](Self::insert), [`advance`](Self::advance), [`end`](Self::end) and
/// [`remove_expired`](Self::remove_expired) in tasks, which go on although the client has gone. What a request only reads or
/// notes ([`find`](Self::find), [`of_user`](Self::of_user), [`acknowledge`](Self::acknowledge), [`touch`](Self::touch)) may
/// be dropped with it: the next request does the same.
pub trait SessionStore: Send + Sync + 'static {
    /// Return this primary key of a user as rows have it (`042` is `42` where keys are numbers), without asking the
    /// database; `None` where no row can have it. [`insert`](Self::insert) is given what this returns, and tokens name
    /// the user by it, so that they match the row. Default: the key as it is.
    fn user_key(&self, user_id: &str) -> Option<String> {
        Some(user_id.to_owned())
    }

    /// Check that the store can be used: that it can be reached, and that its tables are as its statements need them.
    /// For the start of a service, and for its health check. Default: it can.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Return the time by the database's clock, for health checks; `None` where it has none. Default: `None`.
    fn database_time(&self) -> impl Future<Output = Result<Option<SystemTime>, StoreError>> + Send {
        async { Ok(None) }
    }

    /// Find the session of this id, in one statement, with what else says whether its user may be signed in: `None`
    /// where there is no such row, or its user is not active, or has another password than at login.
    fn find(&self, id: Uuid) -> impl Future<Output = Result<Option<FoundSession>, StoreError>> + Send;

    /// Write a new session. The ids of those that had to make way for it are returned, and are gone.
    fn insert(
        &self,
        record: Record,
        limit: Option<Limit>,
        now: UnixTime,
    ) -> impl Future<Output = Result<Vec<Uuid>, InsertError>> + Send;

    /// Do the compare-and-swap of a rotation: write generation, `acknowledged_at`, `rotated_at` and `expires_at` of
    /// `next`, and that the user was seen `now`, where the row's generation is `from`. Returns whether it was.
    fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        now: UnixTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Note `now` as `acknowledged_at`, where that is empty and the row of this generation.
    fn acknowledge(
        &self,
        id: Uuid,
        generation: Generation,
        now: UnixTime,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Note that the user was seen `now`.
    fn touch(&self, id: Uuid, now: UnixTime) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Return the sessions of this user that are live `now`, and not ended by a new password, the newest first.
    fn of_user(&self, user_id: &str, now: UnixTime) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// End these sessions. Returns how many there were.
    fn end(&self, ids: &[Uuid]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Remove at most so many sessions that were over at `now`. Returns how many it removed.
    fn remove_expired(&self, most: u32, now: UnixTime) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
