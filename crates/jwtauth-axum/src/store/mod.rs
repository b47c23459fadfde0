//! Session storage: the `SessionStore` trait and its implementations.

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
use jwtauth::{Generation, Methods, Session, UnixTime};
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

/// Store sessions. Every method uses the database that takes writes, and commits by itself.
///
/// [`conformance`](crate::conformance) is a suite of checks that every implementation must pass.
///
/// # Cancellation
///
/// The future of each method may be dropped at any await point: when the client disconnects, or when the runtime shuts
/// down. The method must then have its whole effect or none, and must leave no transaction open, no lock held and no
/// connection in use. A single statement in autocommit satisfies this. Run a transaction of several statements in its
/// own task ([`tokio::spawn`](https://docs.rs/tokio/latest/tokio/task/fn.spawn.html)), as this crate's stores do: a
/// connection whose `BEGIN` was cancelled may return to its pool with the transaction open.
///
/// The layer calls [`insert`](Self::insert), [`advance`](Self::advance), [`replace`](Self::replace),
/// [`bind`](Self::bind), [`unbind`](Self::unbind), [`end`](Self::end) and [`remove_expired`](Self::remove_expired) in tasks, which continue if the
/// client disconnects. Calls that only read or that the next request repeats ([`find`](Self::find), [`row`](Self::row),
/// [`of_user`](Self::of_user), [`acknowledge`](Self::acknowledge), [`touch`](Self::touch)) may be dropped with the
/// request.
pub trait SessionStore: Send + Sync + 'static {
    /// Return a user's primary key as rows store it (`042` is `42` if keys are numbers), without a query, or `None` if
    /// no row can have it. [`insert`](Self::insert) receives this value and tokens name the user by it, so that both
    /// match. Default: the key unchanged.
    fn user_key(&self, user_id: &str) -> Option<String> {
        Some(user_id.to_owned())
    }

    /// Check that the store is reachable and that its tables match its statements. Used at startup and by health
    /// checks. Default: no check.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Return the database's current time, for health checks; `None` if the store has no clock. Default: `None`.
    fn database_time(&self) -> impl Future<Output = Result<Option<SystemTime>, StoreError>> + Send {
        async { Ok(None) }
    }

    /// Find the session with this id, in one statement that also checks its user. Return `None` if there is no such
    /// row, the user is inactive, or the password has changed since login.
    fn find(&self, id: Uuid) -> impl Future<Output = Result<Option<FoundSession>, StoreError>> + Send;

    /// Return the row with this id without checking its user, or `None`. Used for sessions in which a user acts as
    /// another one: they are stopped even if the other one is inactive. Default: as [`find`](Self::find).
    fn row(&self, id: Uuid) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send {
        async move { Ok(self.find(id).await?.map(|found| found.record)) }
    }

    /// Insert a new session. Returns the ids of the sessions that were removed because of the limit. Sessions in which
    /// another user acts ([`Record::actor_session_id`]) do not count.
    fn insert(
        &self,
        record: Record,
        limit: Option<Limit>,
        now: UnixTime,
    ) -> impl Future<Output = Result<Vec<Uuid>, InsertError>> + Send;

    /// End the session `ended` and insert `record`, in one transaction. Returns `false`, and writes nothing, if there is
    /// no such session. Default: [`end`](Self::end), then [`insert`](Self::insert).
    fn replace(
        &self,
        ended: Uuid,
        record: Record,
        now: UnixTime,
    ) -> impl Future<Output = Result<bool, InsertError>> + Send {
        async move {
            let is_ended = self.end(&[ended]).await? > 0;
            if is_ended {
                self.insert(record, None, now).await?;
            }
            Ok(is_ended)
        }
    }

    /// Rotate by compare-and-swap: if the row's generation is `from`, write generation, `acknowledged_at`, `rotated_at`,
    /// `expires_at`, `auth_time` and `locks_at` of `next`, set the time last seen to `now` and, if the user has
    /// authenticated again, the [`methods`](Record::methods). Without `methods`, the row's `auth_time` must also be that
    /// of `next`: otherwise the user has authenticated since it was read. The row's [`device_key`](Record::device_key) must
    /// be `None` exactly if `next` is [not bound](jwtauth::DeviceBinding::Unbound), and need not be. Returns whether the row
    /// was written.
    fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Bind a session to a device by compare-and-swap: if the row's generation is `from`, its `auth_time` is that of
    /// `next`, and its [`device_key`](Record::device_key) is `None` or empty, write `key`, and generation,
    /// `acknowledged_at` and `rotated_at` of `next`. Returns whether the row was written.
    fn bind(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        key: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Remove the key of a session by compare-and-swap: if the row's generation is `from`, it is bound to a device, and
    /// `acknowledged_at` is empty, make its [`device_key`](Record::device_key) `None`. Returns whether the row was written.
    fn unbind(&self, id: Uuid, from: Generation) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Set `acknowledged_at` to `now` if it is empty and the row has this generation.
    fn acknowledge(
        &self,
        id: Uuid,
        generation: Generation,
        now: UnixTime,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Set the time at which the user was last seen.
    fn touch(&self, id: Uuid, now: UnixTime) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Return this user's live sessions, newest first. Sessions ended by a password change are left out.
    fn of_user(&self, user_id: &str, now: UnixTime) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// End these sessions. Returns how many existed.
    fn end(&self, ids: &[Uuid]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Remove at most `most` sessions that had expired at `now`. Returns how many were removed.
    fn remove_expired(&self, most: u32, now: UnixTime) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
