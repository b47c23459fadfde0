//! Sessions in Django's table, by sqlx: what the two databases share.

mod dialect;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod users;

use dialect::Dialect;
#[cfg(feature = "postgres")]
pub use postgres::{POSTGRES_SCHEMA, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{SQLITE_SCHEMA, SqliteStore};
use statements::Statements;
pub use users::DjangoUsers;

use std::{future::Future, panic};

use tracing::Instrument as _;

use super::{InsertError, StoreError};

fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(told) if told.code().is_some_and(|code| is_transient(&code)) => {
            StoreError::Busy(error.into())
        }
        _ => StoreError::Failed(error.into()),
    }
}

fn not_inserted(error: sqlx::Error) -> InsertError {
    match &error {
        sqlx::Error::Database(told) if told.is_foreign_key_violation() => InsertError::UnknownUser,
        _ => failed(error).into(),
    }
}

/// Serialization failure, deadlock, lock not available; of SQLite, busy and locked, in the low byte of an extended
/// code.
fn is_transient(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03")
        || (code.len() < 5 && code.parse::<u32>().is_ok_and(|code| matches!(code & 0xFF, 5 | 6)))
}

/// Do `work` in a task of its own, and wait for it: dropped while it waits, it goes on to its end.
///
/// # Errors
///
/// [`StoreError::Failed`] where the runtime shuts down.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
    tokio::spawn(work.in_current_span()).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => panic::resume_unwind(panic),
        Err(error) => StoreError::Failed(error.into()),
    })
}

/// A [`SessionStore`](super::SessionStore) on one of sqlx's databases: its types are too generic to be written once.
macro_rules! sql_store {
    ($store:ident, $database:ident, $pool:ident, $begin:literal) => {
        impl $store {
            /// What the one insert needs of the user: their auth hash.
            async fn auth_hash(&self, user_id: &str) -> Result<String, InsertError> {
                let Some(users) = &self.users else { return Ok(String::new()) };
                let user: Option<(String, bool)> = sqlx::query_as(self.statements.user.clone())
                    .bind(self.dialect.user_key(user_id))
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(failed)?;
                match user {
                    Some((password, true)) => Ok(users.hasher.hash(&password)),
                    _ => Err(InsertError::UnknownUser),
                }
            }

            async fn write(
                &self,
                connection: &mut <$database as sqlx::Database>::Connection,
                record: &Record,
                auth_hash: &str,
            ) -> Result<(), InsertError> {
                let session = &record.session;
                sqlx::query(self.statements.insert.clone())
                    .bind((self.dialect.uuid_text)(record.id))
                    .bind(self.dialect.user_key(&record.user_id))
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
                    .bind(auth_hash)
                    .execute(connection)
                    .await
                    .map_err(not_inserted)?;
                Ok(())
            }

            /// Inserts where others of the user's have to make way, in one transaction for which their logins wait.
            async fn write_within(
                &self,
                record: &Record,
                auth_hash: &str,
                limit: &Limit,
                now: UnixTime,
            ) -> Result<Vec<Uuid>, InsertError> {
                let mut transaction = self.pool.begin_with($begin).await.map_err(failed)?;
                if let Some(lock) = &self.statements.lock {
                    let user = self.dialect.user_key(&record.user_id);
                    sqlx::query(lock.clone()).bind(user).execute(&mut *transaction).await.map_err(failed)?;
                }
                let live = self.live(&mut *transaction, &record.user_id, now).await?;
                let surplus = surplus(&live, limit)?;
                self.write(&mut *transaction, record, auth_hash).await?;
                self.delete(&mut *transaction, &surplus).await?;
                transaction.commit().await.map_err(not_inserted)?;
                Ok(surplus)
            }

            async fn live(
                &self,
                connection: &mut <$database as sqlx::Database>::Connection,
                user_id: &str,
                now: UnixTime,
            ) -> Result<Vec<Record>, StoreError> {
                let rows: Vec<Row> = sqlx::query_as(self.statements.of_user.clone())
                    .bind(self.dialect.user_key(user_id))
                    .bind(seconds(now))
                    .fetch_all(connection)
                    .await
                    .map_err(failed)?;
                rows.into_iter().map(|row| row.record(&self.dialect)).collect()
            }

            async fn delete(
                &self,
                connection: &mut <$database as sqlx::Database>::Connection,
                ids: &[Uuid],
            ) -> Result<u64, StoreError> {
                if ids.is_empty() {
                    return Ok(0);
                }
                let query = sqlx::query(self.statements.end.clone()).bind(self.dialect.ids(ids));
                Ok(query.execute(connection).await.map_err(failed)?.rows_affected())
            }

            async fn connection(&self) -> Result<sqlx::pool::PoolConnection<$database>, StoreError> {
                self.pool.acquire().await.map_err(failed)
            }
        }

        impl SessionStore for $store {
            async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
                let row: Option<Row> = sqlx::query_as(self.statements.find.clone())
                    .bind((self.dialect.uuid_text)(id))
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(failed)?;
                row.map_or(Ok(None), |row| row.found(&self.dialect, self.users.as_ref()))
            }

            async fn insert(
                &self,
                record: Record,
                limit: Option<Limit>,
                now: UnixTime,
            ) -> Result<Vec<Uuid>, InsertError> {
                let auth_hash = self.auth_hash(&record.user_id).await?;
                match limit {
                    // The transaction of a login whose client leaves ends all the same, and its locks with it.
                    Some(limit) => {
                        let store = self.clone();
                        to_its_end(async move { store.write_within(&record, &auth_hash, &limit, now).await }).await?
                    }
                    None => {
                        self.write(&mut *self.connection().await?, &record, &auth_hash).await?;
                        Ok(Vec::new())
                    }
                }
            }

            async fn advance(
                &self,
                id: Uuid,
                from: Generation,
                next: Session,
                now: UnixTime,
            ) -> Result<bool, StoreError> {
                let Advance { from, to, acknowledged_at, rotated_at, expires_at } = Advance::new(from, next);
                let done = sqlx::query(self.statements.advance.clone())
                    .bind((self.dialect.uuid_text)(id))
                    .bind(from)
                    .bind(to)
                    .bind(acknowledged_at)
                    .bind(rotated_at)
                    .bind(expires_at)
                    .bind(seconds(now))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(done.rows_affected() == 1)
            }

            async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
                sqlx::query(self.statements.acknowledge.clone())
                    .bind((self.dialect.uuid_text)(id))
                    .bind(integer(generation))
                    .bind(seconds(now))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(())
            }

            async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
                sqlx::query(self.statements.touch.clone())
                    .bind((self.dialect.uuid_text)(id))
                    .bind(seconds(now))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(())
            }

            async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
                self.live(&mut *self.connection().await?, user_id, now).await
            }

            async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
                self.delete(&mut *self.connection().await?, ids).await
            }

            async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
                let done = sqlx::query(self.statements.remove_expired.clone())
                    .bind(seconds(now))
                    .bind(i64::from(most))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(done.rows_affected())
            }
        }
    };
}
use sql_store;
