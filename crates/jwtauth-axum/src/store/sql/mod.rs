//! Sessions in Django's table through sqlx: the code shared by all databases.

mod error;
mod key;
#[cfg(feature = "mariadb")]
mod mariadb;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod users;

use std::{
    future::Future,
    panic,
    time::{Duration, Instant},
};

use error::{OfDatabase, failed, not_connected, not_inserted};
use key::{KeyKind, id_parameter};
#[cfg(feature = "mariadb")]
pub use mariadb::{MARIADB_SCHEMA, MariaDbStore};
#[cfg(feature = "postgres")]
pub use postgres::{POSTGRES_SCHEMA, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{SQLITE_SCHEMA, SqliteStore};
use statements::{Dialect, Statements};
use tracing::Instrument as _;
pub use users::DjangoUsers;

use super::StoreError;

/// The most sessions that one statement ends. Every supported database accepts at least this many parameters.
const MOST_IDS: usize = 1000;

/// The state of a store besides its pool.
#[derive(Debug)]
struct Shared {
    users: Option<DjangoUsers>,
    key: KeyKind,
    statements: Statements,
}

/// How many connections are tried if those of the pool are unusable, for example after a failover: all existing ones
/// and a new one. The time is limited too, because a proxy with an exhausted server closes each connection only after a
/// wait.
#[derive(Default)]
struct Tries {
    first_at: Option<Instant>,
    left: u32,
}

impl Tries {
    const PATIENCE: Duration = Duration::from_secs(3);

    /// Record that a connection is tried, from a pool of this size.
    fn begin(&mut self, connections: u32) {
        if self.first_at.is_none() {
            (self.first_at, self.left) = (Some(Instant::now()), connections);
        }
    }

    /// Return whether to try another connection after an unusable one.
    fn is_another_left(&mut self) -> bool {
        let is_left = self.left > 0 && self.first_at.is_some_and(|first_at| first_at.elapsed() < Self::PATIENCE);
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

/// Evaluate an expression with a connection of the store's pool. An unusable connection is closed and another one
/// tried.
macro_rules! on_connection {
    ($store:expr, |$connection:ident| $work:expr) => {{
        let mut tries = Tries::default();
        loop {
            let connections = $store.pool.size();
            let mut $connection = $store.pool.acquire().await.map_err(not_connected)?;
            tries.begin(connections);
            let done = $work.await;
            let Err(error) = &done else { break done };
            if !error.is_of_connection() {
                break done;
            }
            drop($connection.close().await);
            if !tries.is_another_left() {
                break done;
            }
        }
    }};
}
use on_connection;

/// Run `work` in its own task and wait for it. If this future is dropped, the task continues.
///
/// # Errors
///
/// [`StoreError::Failed`] if the runtime shuts down.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
    tokio::spawn(work.in_current_span()).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => panic::resume_unwind(panic),
        Err(error) => StoreError::Failed(error.into()),
    })
}

/// Implement [`SessionStore`](super::SessionStore) for one sqlx database. It is a macro because generic code would need
/// too many bounds.
macro_rules! sql_store {
    ($store:ident, $database:ident, $begin:literal, $read:path) => {
        impl $store {
            /// Return the user's auth hash for an insert.
            async fn auth_hash(&self, user_id: &str, key: &str) -> Result<String, InsertError> {
                let Some(users) = &self.shared.users else { return Ok(String::new()) };
                let user: Result<Option<(String, String, bool)>, StoreError> =
                    on_connection!(self, |connection| async {
                        let query = sqlx::query_as(self.shared.statements.user.clone()).bind(key);
                        query.fetch_optional(&mut *connection).await.map_err(failed)
                    });
                match user? {
                    // If the database accepts another spelling of the same key, the session's row would not match its
                    // tokens.
                    Some((found, password, true)) if self.shared.key.read(found.clone()) == user_id => {
                        Ok(users.hasher.hash(&password))
                    }
                    _ => Err(InsertError::UnknownUser),
                }
            }

            async fn write(&self, connection: &mut Connection, new: &New) -> Result<(), InsertError> {
                let (record, session) = (&new.record, &new.record.session);
                sqlx::query(self.shared.statements.insert.clone())
                    .bind(&new.key)
                    .bind(id_parameter(record.id))
                    .bind(integer(session.generation))
                    .bind(session.acknowledged_at.map(seconds))
                    .bind(seconds(session.rotated_at))
                    .bind(seconds(session.created_at))
                    .bind(seconds(session.expires_at))
                    .bind(session.end_is_fixed)
                    .bind(record.remember)
                    .bind(&record.user_agent)
                    .bind(record.ip_address.map(|address| address.to_string()))
                    .bind(seconds(record.last_seen_at))
                    .bind(&new.auth_hash)
                    .bind(session.auth_time.map(seconds))
                    .bind(session.locks_at.map(seconds))
                    .bind(record.methods.as_str())
                    .bind(record.actor_session_id.map(id_parameter))
                    .bind(record.device_key.as_deref())
                    .execute(connection)
                    .await
                    .map_err(not_inserted)?;
                Ok(())
            }

            async fn write_alone(&self, new: &New) -> Result<Vec<Uuid>, InsertError> {
                let done = on_connection!(self, |connection| self.write(&mut *connection, new));
                match done {
                    // Written by an earlier attempt whose connection failed before the answer.
                    Err(error) if error.is_doubled() => {
                        let found = self.find(new.record.id).await?;
                        if found.is_some_and(|found| found.record == new.record) { Ok(Vec::new()) } else { Err(error) }
                    }
                    done => done.map(|()| Vec::new()),
                }
            }

            /// Insert a session, and remove the user's surplus sessions in the same transaction. The user's other
            /// logins wait for it.
            async fn write_within(&self, new: &New, limit: &Limit, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
                on_connection!(self, |connection| self.try_write_within(&mut *connection, new, limit, now))
            }

            async fn try_write_within(
                &self,
                connection: &mut Connection,
                new: &New,
                limit: &Limit,
                now: UnixTime,
            ) -> Result<Vec<Uuid>, InsertError> {
                let mut transaction = connection.begin_with($begin).await.map_err(failed)?;
                if let Some(lock) = &self.shared.statements.lock {
                    sqlx::query(lock.clone()).bind(&new.key).execute(&mut *transaction).await.map_err(failed)?;
                }
                let live = self.live(&mut *transaction, &new.key, now).await?;
                if live.contains(&new.record) {
                    return Ok(Vec::new()); // written by an earlier attempt whose connection failed before the answer
                }
                let surplus = surplus(&live, limit)?;
                self.write(&mut *transaction, new).await?;
                self.delete(&mut *transaction, &surplus).await?;
                transaction.commit().await.map_err(not_inserted)?;
                Ok(surplus)
            }

            /// Return what is written for a new session.
            async fn new_row(&self, mut record: Record) -> Result<New, InsertError> {
                let key = self.shared.key;
                let (Some(user_id), Some(key)) = (key.canonical(&record.user_id), key.parameter(&record.user_id))
                else {
                    return Err(InsertError::UnknownUser);
                };
                record.user_id = user_id;
                let auth_hash = self.auth_hash(&record.user_id, &key).await?;
                Ok(New { record, key, auth_hash })
            }

            /// End a session and insert another one in one transaction, unless the first has ended.
            async fn write_instead(&self, ended: Uuid, new: &New) -> Result<bool, InsertError> {
                on_connection!(self, |connection| self.try_write_instead(&mut *connection, ended, new))
            }

            async fn try_write_instead(
                &self,
                connection: &mut Connection,
                ended: Uuid,
                new: &New,
            ) -> Result<bool, InsertError> {
                let mut transaction = connection.begin_with($begin).await.map_err(failed)?;
                if self.delete(&mut *transaction, &[ended]).await? == 0 {
                    transaction.rollback().await.map_err(failed)?;
                    return Ok(false);
                }
                self.write(&mut *transaction, new).await?;
                transaction.commit().await.map_err(not_inserted)?;
                Ok(true)
            }

            /// Return the row with this id, with the columns of its user.
            async fn read(&self, id: Uuid) -> Result<Option<Row>, StoreError> {
                on_connection!(self, |connection| async {
                    let query = sqlx::query(self.shared.statements.find.clone()).bind(id_parameter(id));
                    query.try_map(|row| $read(&row)).fetch_optional(&mut *connection).await.map_err(failed)
                })
            }

            /// Return this user's sessions that have neither expired nor been ended by a password change.
            async fn live(
                &self,
                connection: &mut Connection,
                key: &str,
                now: UnixTime,
            ) -> Result<Vec<Record>, StoreError> {
                let rows: Vec<Row> = sqlx::query(self.shared.statements.of_user.clone())
                    .bind(key)
                    .bind(seconds(now))
                    .try_map(|row| $read(&row))
                    .fetch_all(connection)
                    .await
                    .map_err(failed)?;
                let live = rows.into_iter().filter(|row| row.may_sign_in(self.shared.users.as_ref()));
                live.map(|row| row.record(self.shared.key)).collect()
            }

            async fn delete(&self, connection: &mut Connection, ids: &[Uuid]) -> Result<u64, StoreError> {
                let mut ended = 0;
                for ids in ids.chunks(MOST_IDS) {
                    let query = sqlx::query(self.shared.statements.end(ids.len()));
                    let query = ids.iter().fold(query, |query, id| query.bind(id_parameter(*id)));
                    ended += query.execute(&mut *connection).await.map_err(failed)?.rows_affected();
                }
                Ok(ended)
            }
        }

        type Connection = <$database as sqlx::Database>::Connection;

        impl SessionStore for $store {
            fn user_key(&self, user_id: &str) -> Option<String> {
                self.shared.key.canonical(user_id)
            }

            async fn check(&self) -> Result<(), StoreError> {
                Self::key_kind(&self.pool, self.shared.users.as_ref()).await.map(drop)
            }

            async fn database_time(&self) -> Result<Option<std::time::SystemTime>, StoreError> {
                let time: Result<i64, StoreError> = on_connection!(self, |connection| async {
                    let query = sqlx::query_scalar(self.shared.statements.now.clone());
                    query.fetch_one(&mut *connection).await.map_err(failed)
                });
                let since = std::time::Duration::from_millis(time?.try_into().unwrap_or(0));
                Ok(Some(std::time::SystemTime::UNIX_EPOCH + since))
            }

            async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
                let row = self.read(id).await?;
                row.map_or(Ok(None), |row| row.found(self.shared.key, self.shared.users.as_ref()))
            }

            async fn row(&self, id: Uuid) -> Result<Option<Record>, StoreError> {
                self.read(id).await?.map(|row| row.record(self.shared.key)).transpose()
            }

            async fn insert(
                &self,
                record: Record,
                limit: Option<Limit>,
                now: UnixTime,
            ) -> Result<Vec<Uuid>, InsertError> {
                let new = self.new_row(record).await?;
                let Some(limit) = limit else { return self.write_alone(&new).await };
                // Finish the transaction even if the client disconnects, so that its locks are released.
                let store = self.clone();
                to_its_end(async move { store.write_within(&new, &limit, now).await }).await?
            }

            async fn replace(&self, ended: Uuid, record: Record, _now: UnixTime) -> Result<bool, InsertError> {
                let new = self.new_row(record).await?;
                let store = self.clone();
                to_its_end(async move { store.write_instead(ended, &new).await }).await?
            }

            async fn advance(
                &self,
                id: Uuid,
                from: Generation,
                next: Session,
                methods: Option<Methods>,
                now: UnixTime,
            ) -> Result<bool, StoreError> {
                let done: Result<_, StoreError> = on_connection!(self, |connection| async {
                    sqlx::query(self.shared.statements.advance.clone())
                        .bind(integer(next.generation))
                        .bind(next.acknowledged_at.map(seconds))
                        .bind(seconds(next.rotated_at))
                        .bind(seconds(next.expires_at))
                        .bind(seconds(now))
                        .bind(next.auth_time.map(seconds))
                        .bind(next.locks_at.map(seconds))
                        .bind(methods.as_ref().map(Methods::as_str))
                        .bind(id_parameter(id))
                        .bind(integer(from))
                        .bind(methods.as_ref().map(Methods::as_str))
                        .bind(next.auth_time.map(seconds))
                        .bind(!next.device.needs_proof())
                        .execute(&mut *connection)
                        .await
                        .map_err(failed)
                });
                Ok(done?.rows_affected() == 1)
            }

            async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
                let done: Result<_, StoreError> = on_connection!(self, |connection| async {
                    sqlx::query(self.shared.statements.bind.clone())
                        .bind(key)
                        .bind(integer(next.generation))
                        .bind(next.acknowledged_at.map(seconds))
                        .bind(seconds(next.rotated_at))
                        .bind(id_parameter(id))
                        .bind(integer(from))
                        .bind(next.auth_time.map(seconds))
                        .execute(&mut *connection)
                        .await
                        .map_err(failed)
                });
                Ok(done?.rows_affected() == 1)
            }

            async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
                let done: Result<_, StoreError> = on_connection!(self, |connection| async {
                    let query = sqlx::query(self.shared.statements.unbind.clone());
                    query.bind(id_parameter(id)).bind(integer(from)).execute(&mut *connection).await.map_err(failed)
                });
                Ok(done?.rows_affected() == 1)
            }

            async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
                let done: Result<_, StoreError> = on_connection!(self, |connection| async {
                    sqlx::query(self.shared.statements.acknowledge.clone())
                        .bind(seconds(now))
                        .bind(id_parameter(id))
                        .bind(integer(generation))
                        .execute(&mut *connection)
                        .await
                        .map_err(failed)
                });
                done.map(drop)
            }

            async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
                let done: Result<_, StoreError> = on_connection!(self, |connection| async {
                    let query = sqlx::query(self.shared.statements.touch.clone());
                    query.bind(seconds(now)).bind(id_parameter(id)).execute(&mut *connection).await.map_err(failed)
                });
                done.map(drop)
            }

            async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
                let Some(key) = self.shared.key.parameter(user_id) else { return Ok(Vec::new()) };
                on_connection!(self, |connection| self.live(&mut *connection, &key, now))
            }

            async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
                on_connection!(self, |connection| self.delete(&mut *connection, ids))
            }

            async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
                let done: Result<_, StoreError> = on_connection!(self, |connection| async {
                    let query = sqlx::query(self.shared.statements.remove_expired.clone());
                    let query = query.bind(seconds(now)).bind(i64::from(most));
                    query.execute(&mut *connection).await.map_err(failed)
                });
                Ok(done?.rows_affected())
            }
        }
    };
}
use sql_store;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_of_the_pool_and_one_more_is_tried() {
        let mut tries = Tries::default();
        for _ in 0..2 {
            tries.begin(2);
            assert!(tries.is_another_left());
        }
        tries.begin(7);
        assert!(!tries.is_another_left());
    }

    #[test]
    fn no_connection_is_tried_after_the_time_limit() {
        let mut tries = Tries { first_at: Instant::now().checked_sub(Tries::PATIENCE), left: 2 };
        assert!(!tries.is_another_left());
    }
}
