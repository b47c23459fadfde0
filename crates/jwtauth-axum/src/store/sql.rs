//! Sessions in Django's table, by sqlx: what the two databases share.

use std::fmt::Write;

use jwtauth::{AuthHasher, Generation, NumericDate, Session};
use uuid::Uuid;

use super::{Found, Record, StoreError};

/// Django's table of users, which says whether the user of a session may still be signed in: whether they are active, and
/// have the password that they had at login.
#[derive(Clone, Debug)]
pub struct DjangoUsers {
    pub(super) hasher: AuthHasher,
    pub(super) table: String,
    pub(super) key: String,
}

impl DjangoUsers {
    /// `auth_user`, with the hasher of [`Settings::auth_hasher`](crate::Settings::auth_hasher).
    pub fn new(hasher: AuthHasher) -> Self {
        Self { hasher, table: "auth_user".to_owned(), key: "id".to_owned() }
    }

    /// The table of another user model, and its primary key's column. Both are names, which are quoted.
    #[must_use]
    pub fn with_table(mut self, table: &str, key: &str) -> Self {
        (self.table, self.key) = (table.to_owned(), key.to_owned());
        self
    }
}

/// What differs between databases: a few pieces of SQL.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    /// A time column as Unix seconds, and Unix seconds as a time.
    pub(super) seconds: fn(&str) -> String,
    pub(super) time: fn(&str) -> String,
    /// The database's clock in milliseconds.
    pub(super) now: &'static str,
    /// A parameter as a session's id, as an address; an address column as text.
    pub(super) id: fn(&str) -> String,
    pub(super) address: fn(&str) -> String,
    pub(super) address_text: fn(&str) -> String,
    /// A UUID as text, as the database has it.
    pub(super) uuid_text: fn(Uuid) -> String,
    /// A parameter as a user's key, by its column's type.
    pub(super) user: String,
    /// What has logins of one user wait for each other where there is no table of users, if the database needs it.
    pub(super) lock: Option<&'static str>,
    /// Users' keys are UUIDs that the database keeps as text without hyphens.
    pub(super) has_bare_uuids: bool,
}

/// The columns of a [`Record`], then the database's clock, and of the user the password and whether they are active.
pub(super) type Row = (
    String,
    String,
    i64,
    Option<i64>,
    i64,
    i64,
    i64,
    bool,
    bool,
    String,
    Option<String>,
    i64,
    i64,
    String,
    Option<String>,
    Option<bool>,
);

/// The statements, put together once.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) find: String,
    pub(super) of_user: String,
    pub(super) user: String,
    pub(super) lock: Option<String>,
    pub(super) insert: String,
    pub(super) advance: String,
    pub(super) acknowledge: String,
    pub(super) touch: String,
    pub(super) remove_expired: String,
}

impl Statements {
    pub(super) fn new(dialect: &Dialect, users: Option<&DjangoUsers>) -> Self {
        let Dialect { seconds, time, id, .. } = dialect;
        let times =
            ["acknowledged_at", "rotated_at", "created_at", "expires_at"].map(|name| seconds(&format!("s.{name}")));
        let [acknowledged_at, rotated_at, created_at, expires_at] = times;
        let (last_seen_at, address) = (seconds("s.last_seen_at"), (dialect.address_text)("s.ip_address"));
        let (password, is_active, join) = match users {
            Some(DjangoUsers { table, key, .. }) => {
                let join = format!("JOIN {} u ON u.{} = s.user_id ", quoted(table), quoted(key));
                ("u.password", "u.is_active", join)
            }
            None => ("NULL", "NULL", String::new()),
        };
        let now = dialect.now;
        let select = format!(
            "SELECT CAST(s.id AS text), CAST(s.user_id AS text), s.generation, {acknowledged_at}, {rotated_at}, \
             {created_at}, {expires_at}, s.end_is_fixed, s.remember, s.user_agent, {address}, {last_seen_at}, {now}, \
             s.auth_hash, {password}, {is_active} FROM jwtauth_session s {join}"
        );
        let user = dialect.user.replace("{}", "$1");
        Self {
            find: format!("{select}WHERE s.id = {}", id("$1")),
            of_user: format!(
                "{select}WHERE s.user_id = {user} AND s.expires_at > {} ORDER BY s.created_at DESC, s.id DESC",
                time("$2")
            ),
            user: users.map_or_else(String::new, |DjangoUsers { table, key, .. }| {
                format!("SELECT password, is_active FROM {} WHERE {} = {user}", quoted(table), quoted(key))
            }),
            // A write that changes nothing, as Django's login does: logins of one user wait for each other.
            lock: match users {
                Some(DjangoUsers { table, key, .. }) => {
                    let (table, key) = (quoted(table), quoted(key));
                    Some(format!("UPDATE {table} SET {key} = {key} WHERE {key} = {user}"))
                }
                None => dialect.lock.map(str::to_owned),
            },
            insert: format!(
                "INSERT INTO jwtauth_session (id, user_id, generation, acknowledged_at, rotated_at, created_at, expires_at, \
                 end_is_fixed, remember, user_agent, ip_address, last_seen_at, auth_hash) VALUES ({}, {}, $3, {}, {}, {}, \
                 {}, $8, $9, $10, {}, {}, $13)",
                id("$1"),
                dialect.user.replace("{}", "$2"),
                time("$4"),
                time("$5"),
                time("$6"),
                time("$7"),
                (dialect.address)("$11"),
                time("$12"),
            ),
            advance: format!(
                "UPDATE jwtauth_session SET generation = $3, acknowledged_at = {}, rotated_at = {}, expires_at = {}, \
                 last_seen_at = {} WHERE id = {} AND generation = $2",
                time("$4"),
                time("$5"),
                time("$6"),
                time("$7"),
                id("$1"),
            ),
            acknowledge: format!(
                "UPDATE jwtauth_session SET acknowledged_at = {} WHERE id = {} AND generation = $2 AND acknowledged_at IS NULL",
                time("$3"),
                id("$1"),
            ),
            touch: format!("UPDATE jwtauth_session SET last_seen_at = {} WHERE id = {}", time("$2"), id("$1")),
            remove_expired: format!(
                "DELETE FROM jwtauth_session WHERE id IN (SELECT id FROM jwtauth_session WHERE expires_at <= {} \
                 ORDER BY expires_at LIMIT $2)",
                time("$1"),
            ),
        }
    }

    /// Ends so many sessions.
    pub(super) fn end(dialect: &Dialect, count: usize) -> String {
        let mut places = String::new();
        for number in 1..=count {
            let separator = if number == 1 { "" } else { ", " };
            let _ = write!(places, "{separator}{}", (dialect.id)(&format!("${number}")));
        }
        format!("DELETE FROM jwtauth_session WHERE id IN ({places})")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Dialect {
    /// The user's key, as the database has it.
    pub(super) fn user_key(&self, user_id: &str) -> String {
        match Uuid::parse_str(user_id) {
            Ok(id) if self.has_bare_uuids => id.simple().to_string(),
            _ => user_id.to_owned(),
        }
    }

    fn user_id(&self, key: String) -> String {
        match Uuid::parse_str(&key) {
            Ok(id) if self.has_bare_uuids => id.hyphenated().to_string(),
            _ => key,
        }
    }

    /// The record of a row, whoever its user is.
    pub(super) fn record(&self, row: Row) -> Result<Record, StoreError> {
        let (id, user, generation, acknowledged_at, rotated_at, created_at, expires_at, end_is_fixed, remember, ..) =
            row;
        Ok(Record {
            id: Uuid::parse_str(&id).map_err(|error| StoreError::Failed(error.into()))?,
            user_id: self.user_id(user),
            session: Session {
                generation: number(generation),
                acknowledged_at: acknowledged_at.map(number),
                rotated_at: number(rotated_at),
                created_at: number(created_at),
                expires_at: number(expires_at),
                end_is_fixed,
            },
            remember,
            user_agent: row.9,
            ip_address: row.10.and_then(|address| address.parse().ok()),
            last_seen_at: number(row.11),
        })
    }

    /// What [`SessionStore::find`](super::SessionStore::find) says of a row.
    pub(super) fn found(&self, row: Row, users: Option<&DjangoUsers>) -> Result<Option<Found>, StoreError> {
        let may_sign_in = users.is_none_or(|users| {
            let (auth_hash, password, is_active) = (&row.13, row.14.as_deref(), row.15);
            is_active == Some(true) && password.is_some_and(|password| users.hasher.holds(auth_hash, password))
        });
        if !may_sign_in {
            return Ok(None);
        }
        let time = Some(row.12);
        Ok(Some(Found { record: self.record(row)?, time }))
    }
}

/// What is negative is none of ours.
fn number(value: i64) -> NumericDate {
    value.try_into().unwrap_or(0)
}

/// As a column has it: what is beyond is far in the future in any case.
pub(super) fn integer(value: u64) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(told) if told.is_foreign_key_violation() => StoreError::UnknownUser,
        sqlx::Error::Database(told) if told.code().is_some_and(|code| is_transient(&code)) => {
            StoreError::Busy(error.into())
        }
        _ => StoreError::Failed(error.into()),
    }
}

/// Serialization failure, deadlock, lock not available; of SQLite, busy and locked, in the low byte of an extended code.
fn is_transient(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03")
        || (code.len() < 5 && code.parse::<u32>().is_ok_and(|code| matches!(code & 0xFF, 5 | 6)))
}

/// The values of a rotation, in the order of [`Statements::advance`].
pub(super) struct Advance {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) acknowledged_at: Option<i64>,
    pub(super) rotated_at: i64,
    pub(super) expires_at: i64,
}

impl Advance {
    pub(super) fn new(from: Generation, next: Session) -> Self {
        Self {
            from: integer(from),
            to: integer(next.generation),
            acknowledged_at: next.acknowledged_at.map(integer),
            rotated_at: integer(next.rotated_at),
            expires_at: integer(next.expires_at),
        }
    }
}

/// A [`SessionStore`](super::SessionStore) on one of sqlx's databases: its types are too generic to be written once.
macro_rules! sql_store {
    ($store:ident, $database:ident, $pool:ident, $begin:literal) => {
        impl $store {
            /// What the one insert needs of the user: their auth hash.
            async fn auth_hash(&self, user_id: &str) -> Result<String, StoreError> {
                let Some(users) = &self.users else { return Ok(String::new()) };
                let user: Option<(String, bool)> = sqlx::query_as(&self.statements.user)
                    .bind(self.dialect.user_key(user_id))
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(failed)?;
                match user {
                    Some((password, true)) => Ok(users.hasher.hash(&password)),
                    _ => Err(StoreError::UnknownUser),
                }
            }

            async fn write(
                &self,
                connection: &mut <$database as sqlx::Database>::Connection,
                record: &Record,
                auth_hash: &str,
            ) -> Result<(), StoreError> {
                let session = &record.session;
                sqlx::query(&self.statements.insert)
                    .bind((self.dialect.uuid_text)(record.id))
                    .bind(self.dialect.user_key(&record.user_id))
                    .bind(integer(session.generation))
                    .bind(session.acknowledged_at.map(integer))
                    .bind(integer(session.rotated_at))
                    .bind(integer(session.created_at))
                    .bind(integer(session.expires_at))
                    .bind(session.end_is_fixed)
                    .bind(record.remember)
                    .bind(&record.user_agent)
                    .bind(record.ip_address.map(|address| address.to_string()))
                    .bind(integer(record.last_seen_at))
                    .bind(auth_hash)
                    .execute(connection)
                    .await
                    .map_err(failed)?;
                Ok(())
            }

            /// Inserts where others of the user's have to make way, in one transaction for which their logins wait.
            async fn write_within(
                &self,
                record: &Record,
                auth_hash: &str,
                limit: &Limit,
                now: NumericDate,
            ) -> Result<Vec<Uuid>, StoreError> {
                let mut transaction = self.pool.begin_with($begin).await.map_err(failed)?;
                if let Some(lock) = &self.statements.lock {
                    let user = self.dialect.user_key(&record.user_id);
                    sqlx::query(lock).bind(user).execute(&mut *transaction).await.map_err(failed)?;
                }
                let live = self.live(&mut *transaction, &record.user_id, now).await?;
                let surplus = surplus(&live, limit)?;
                self.write(&mut *transaction, record, auth_hash).await?;
                self.delete(&mut *transaction, &surplus).await?;
                transaction.commit().await.map_err(failed)?;
                Ok(surplus)
            }

            async fn live(
                &self,
                connection: &mut <$database as sqlx::Database>::Connection,
                user_id: &str,
                now: NumericDate,
            ) -> Result<Vec<Record>, StoreError> {
                let rows: Vec<Row> = sqlx::query_as(&self.statements.of_user)
                    .bind(self.dialect.user_key(user_id))
                    .bind(integer(now))
                    .fetch_all(connection)
                    .await
                    .map_err(failed)?;
                rows.into_iter().map(|row| self.dialect.record(row)).collect()
            }

            async fn delete(
                &self,
                connection: &mut <$database as sqlx::Database>::Connection,
                ids: &[Uuid],
            ) -> Result<u64, StoreError> {
                if ids.is_empty() {
                    return Ok(0);
                }
                let statement = Statements::end(&self.dialect, ids.len());
                let mut query = sqlx::query(&statement);
                for id in ids {
                    query = query.bind((self.dialect.uuid_text)(*id));
                }
                Ok(query.execute(connection).await.map_err(failed)?.rows_affected())
            }

            async fn connection(&self) -> Result<sqlx::pool::PoolConnection<$database>, StoreError> {
                self.pool.acquire().await.map_err(failed)
            }
        }

        impl SessionStore for $store {
            async fn find(&self, id: Uuid) -> Result<Option<Found>, StoreError> {
                let row: Option<Row> = sqlx::query_as(&self.statements.find)
                    .bind((self.dialect.uuid_text)(id))
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(failed)?;
                row.map_or(Ok(None), |row| self.dialect.found(row, self.users.as_ref()))
            }

            async fn insert(
                &self,
                record: Record,
                limit: Option<Limit>,
                now: NumericDate,
            ) -> Result<Vec<Uuid>, StoreError> {
                let auth_hash = self.auth_hash(&record.user_id).await?;
                match limit {
                    Some(limit) => self.write_within(&record, &auth_hash, &limit, now).await,
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
                now: NumericDate,
            ) -> Result<bool, StoreError> {
                let Advance { from, to, acknowledged_at, rotated_at, expires_at } = Advance::new(from, next);
                let done = sqlx::query(&self.statements.advance)
                    .bind((self.dialect.uuid_text)(id))
                    .bind(from)
                    .bind(to)
                    .bind(acknowledged_at)
                    .bind(rotated_at)
                    .bind(expires_at)
                    .bind(integer(now))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(done.rows_affected() == 1)
            }

            async fn acknowledge(&self, id: Uuid, generation: Generation, now: NumericDate) -> Result<(), StoreError> {
                sqlx::query(&self.statements.acknowledge)
                    .bind((self.dialect.uuid_text)(id))
                    .bind(integer(generation))
                    .bind(integer(now))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(())
            }

            async fn touch(&self, id: Uuid, now: NumericDate) -> Result<(), StoreError> {
                sqlx::query(&self.statements.touch)
                    .bind((self.dialect.uuid_text)(id))
                    .bind(integer(now))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(())
            }

            async fn of_user(&self, user_id: &str, now: NumericDate) -> Result<Vec<Record>, StoreError> {
                self.live(&mut *self.connection().await?, user_id, now).await
            }

            async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
                self.delete(&mut *self.connection().await?, ids).await
            }

            async fn remove_expired(&self, most: u32, now: NumericDate) -> Result<u64, StoreError> {
                let done = sqlx::query(&self.statements.remove_expired)
                    .bind(integer(now))
                    .bind(i64::from(most))
                    .execute(&self.pool)
                    .await
                    .map_err(failed)?;
                Ok(done.rows_affected())
            }
        }
    };
}
pub(super) use sql_store;
