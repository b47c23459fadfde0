//! Rows and values, as columns have them.

use std::time::{Duration, SystemTime};

use jwtauth::{Generation, Session, UnixTime};
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use uuid::Uuid;

use super::{DjangoUsers, KeyKind};
use crate::store::{FoundSession, Record, StoreError};

/// The columns of a session, by the names that [`Dialect`](super::Dialect) gives them.
pub(super) struct Row {
    id: String,
    user_id: String,
    generation: i64,
    acknowledged_at: Option<i64>,
    rotated_at: i64,
    created_at: i64,
    expires_at: i64,
    end_is_fixed: bool,
    remember: bool,
    user_agent: String,
    ip_address: Option<String>,
    last_seen_at: i64,
    auth_hash: String,
    /// The database's clock, in milliseconds.
    database_time: i64,
    /// Of the user, where Django's table is asked.
    password: Option<String>,
    is_active: Option<bool>,
}

impl<'r, R: sqlx::Row> FromRow<'r, R> for Row
where
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            generation: row.try_get("generation")?,
            acknowledged_at: row.try_get("acknowledged_at")?,
            rotated_at: row.try_get("rotated_at")?,
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
            end_is_fixed: row.try_get("end_is_fixed")?,
            remember: row.try_get("remember")?,
            user_agent: row.try_get("user_agent")?,
            ip_address: row.try_get("ip_address")?,
            last_seen_at: row.try_get("last_seen_at")?,
            auth_hash: row.try_get("auth_hash")?,
            database_time: row.try_get("database_time")?,
            password: row.try_get("password")?,
            is_active: row.try_get("is_active")?,
        })
    }
}

impl Row {
    /// Return the record of a row, of any user.
    pub(super) fn record(self, key: KeyKind) -> Result<Record, StoreError> {
        Ok(Record {
            id: Uuid::parse_str(&self.id).map_err(|error| StoreError::Failed(error.into()))?,
            user_id: key.read(self.user_id),
            session: Session::new(time(self.created_at), time(self.expires_at))
                .with_generation(Generation::new(number(self.generation)), time(self.rotated_at))
                .with_acknowledged_at(self.acknowledged_at.map(time))
                .with_fixed_end(self.end_is_fixed),
            remember: self.remember,
            user_agent: self.user_agent,
            ip_address: self.ip_address.and_then(|address| address.parse().ok()),
            last_seen_at: time(self.last_seen_at),
        })
    }

    /// What [`SessionStore::find`](crate::SessionStore::find) says of a row.
    pub(super) fn found(self, key: KeyKind, users: Option<&DjangoUsers>) -> Result<Option<FoundSession>, StoreError> {
        if !self.may_sign_in(users) {
            return Ok(None);
        }
        let database_time = SystemTime::UNIX_EPOCH + Duration::from_millis(number(self.database_time));
        Ok(Some(FoundSession::new(self.record(key)?).with_database_time(database_time)))
    }

    /// Whether the user is active, and has the password that they had at login, where Django's table is asked.
    pub(super) fn may_sign_in(&self, users: Option<&DjangoUsers>) -> bool {
        let Some(users) = users else { return true };
        let password = self.password.as_deref().filter(|_| self.is_active == Some(true));
        password.is_some_and(|password| users.hasher.holds(&self.auth_hash, password))
    }
}

/// Negative values are none that these columns hold.
fn number(value: i64) -> u64 {
    value.try_into().unwrap_or(0)
}

fn time(seconds: i64) -> UnixTime {
    UnixTime::from_secs(number(seconds))
}

/// A time as the statements have it: what is beyond is far in the future in any case.
pub(super) fn seconds(time: UnixTime) -> i64 {
    time.as_secs().try_into().unwrap_or(i64::MAX)
}

/// A generation as its column has it.
pub(super) fn integer(generation: Generation) -> i64 {
    generation.get().try_into().unwrap_or(i64::MAX)
}

/// A session that is to be written.
pub(super) struct New {
    pub(super) record: Record,
    /// Of the user, as statements take it.
    pub(super) key: String,
    pub(super) auth_hash: String,
}
