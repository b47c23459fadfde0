//! Rows, and values in the form of their columns.

use std::time::{Duration, SystemTime};

use jwtauth::{DeviceBinding, Generation, Methods, Session, UnixTime};
use serde::{Deserialize, Deserializer, de::Error as _};
#[cfg(any(feature = "mariadb", feature = "postgres"))]
use sqlx::{ColumnIndex, Decode, Type};
use uuid::Uuid;

use super::{DjangoUsers, KeyKind};
use crate::store::{FoundSession, Record, StoreError};

/// The columns of a session, in the order of [`Dialect`](super::Dialect). Reading by name would hash twenty names for
/// each row. From SQLite they come as one JSON array.
#[derive(Deserialize)]
pub(super) struct Row {
    id: String,
    user_id: String,
    generation: i64,
    #[serde(deserialize_with = "stored_time_if_any")]
    acknowledged_at: Option<i64>,
    #[serde(deserialize_with = "stored_time")]
    rotated_at: i64,
    #[serde(deserialize_with = "stored_time")]
    created_at: i64,
    #[serde(deserialize_with = "stored_time")]
    expires_at: i64,
    #[serde(deserialize_with = "flag")]
    end_is_fixed: bool,
    #[serde(deserialize_with = "flag")]
    remember: bool,
    user_agent: String,
    ip_address: Option<String>,
    #[serde(deserialize_with = "stored_time")]
    last_seen_at: i64,
    auth_hash: String,
    #[serde(deserialize_with = "stored_time_if_any")]
    auth_time: Option<i64>,
    #[serde(deserialize_with = "stored_time_if_any")]
    locks_at: Option<i64>,
    amr: String,
    actor_session_id: Option<String>,
    device_key: Option<String>,
    /// The database's time, in milliseconds, unless it is that of this process.
    database_time: Option<i64>,
    /// The password of an active user, if Django's table is joined.
    password: Option<String>,
}

impl Row {
    /// Read a row of PostgreSQL or MariaDB.
    #[cfg(any(feature = "mariadb", feature = "postgres"))]
    pub(super) fn from_columns<'r, R: sqlx::Row>(row: &'r R) -> Result<Self, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        bool: Decode<'r, R::Database> + Type<R::Database>,
        i64: Decode<'r, R::Database> + Type<R::Database>,
        String: Decode<'r, R::Database> + Type<R::Database>,
    {
        Ok(Self {
            id: row.try_get(0)?,
            user_id: row.try_get(1)?,
            generation: row.try_get(2)?,
            acknowledged_at: row.try_get(3)?,
            rotated_at: row.try_get(4)?,
            created_at: row.try_get(5)?,
            expires_at: row.try_get(6)?,
            end_is_fixed: row.try_get(7)?,
            remember: row.try_get(8)?,
            user_agent: row.try_get(9)?,
            ip_address: row.try_get(10)?,
            last_seen_at: row.try_get(11)?,
            auth_hash: row.try_get(12)?,
            auth_time: row.try_get(13)?,
            locks_at: row.try_get(14)?,
            amr: row.try_get(15)?,
            actor_session_id: row.try_get(16)?,
            device_key: row.try_get(17)?,
            database_time: row.try_get(18)?,
            password: row.try_get(19)?,
        })
    }

    /// Return the session's record, without checking its user.
    pub(super) fn record(self, key: KeyKind) -> Result<Record, StoreError> {
        let id = |text: &str| Uuid::parse_str(text).map_err(|error| StoreError::Failed(error.into()));
        Ok(Record {
            id: id(&self.id)?,
            user_id: key.read(self.user_id),
            session: Session::new(time(self.created_at), time(self.expires_at))
                .with_generation(Generation::new(number(self.generation)), time(self.rotated_at))
                .with_acknowledged_at(self.acknowledged_at.map(time))
                .with_fixed_end(self.end_is_fixed)
                .with_auth_time(self.auth_time.map(time))
                .with_locks_at(self.locks_at.map(time))
                .with_device(DeviceBinding::from_stored(self.device_key.as_deref())),
            remember: self.remember,
            user_agent: self.user_agent,
            ip_address: self.ip_address.and_then(|address| address.parse().ok()),
            last_seen_at: time(self.last_seen_at),
            methods: Methods::from_stored(&self.amr),
            actor_session_id: self.actor_session_id.as_deref().map(id).transpose()?,
            device_key: self.device_key,
        })
    }

    /// Return the answer of [`SessionStore::find`](crate::SessionStore::find) for this row.
    pub(super) fn found(self, key: KeyKind, users: Option<&DjangoUsers>) -> Result<Option<FoundSession>, StoreError> {
        if !self.may_sign_in(users) {
            return Ok(None);
        }
        let since = self.database_time.map(|time| Duration::from_millis(number(time)));
        let found = FoundSession::new(self.record(key)?);
        Ok(Some(match since {
            Some(since) => found.with_database_time(SystemTime::UNIX_EPOCH + since),
            None => found,
        }))
    }

    /// Return whether the user is active and has the same password as at login, if Django's table is joined.
    pub(super) fn may_sign_in(&self, users: Option<&DjangoUsers>) -> bool {
        let Some(users) = users else { return true };
        self.password.as_deref().is_some_and(|password| users.hasher.holds(&self.auth_hash, password))
    }
}

/// Read a flag, which SQLite stores as a number.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    i64::deserialize(deserializer).map(|number| number != 0)
}

/// Read a time, which SQLite stores as text.
fn stored_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parse_time(<&str>::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not a time"))
}

fn stored_time_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<&str>::deserialize(deserializer)?;
    text.map(|text| parse_time(text).ok_or_else(|| D::Error::custom("not a time"))).transpose()
}

/// Return the Unix seconds of a time in UTC as Django and the statements write it: `2026-11-27 15:04:06`, perhaps with a
/// fraction.
fn parse_time(text: &str) -> Option<i64> {
    // humantime reads any offset after a fraction as UTC. No offset is written.
    let time = humantime::parse_rfc3339_weak(text).ok().filter(|_| !text.contains('+'))?;
    i64::try_from(UnixTime::from(time).as_secs()).ok()
}

/// Convert a value of a column that holds no negative values.
fn number(value: i64) -> u64 {
    value.try_into().unwrap_or(0)
}

fn time(seconds: i64) -> UnixTime {
    UnixTime::from_secs(number(seconds))
}

/// Convert a time to a statement's parameter. A time beyond its range is far in the future anyway.
pub(super) fn seconds(time: UnixTime) -> i64 {
    time.as_secs().try_into().unwrap_or(i64::MAX)
}

/// Convert a generation to a statement's parameter.
pub(super) fn integer(generation: Generation) -> i64 {
    generation.get().try_into().unwrap_or(i64::MAX)
}

/// A session to insert.
pub(super) struct New {
    pub(super) record: Record,
    /// The user's key as a statement's parameter.
    pub(super) key: String,
    pub(super) auth_hash: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_times_are_seconds_since_1970() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00", 0),
            ("2000-02-29 12:00:00", 951_825_600),
            ("2000-03-01 00:00:00", 951_868_800),
            ("2026-11-27 15:04:06.999999", 1_795_791_846),
            ("2100-02-28 23:59:59", 4_107_542_399),
            ("2100-03-01 00:00:00", 4_107_542_400),
            ("9999-12-31 23:59:59", 253_402_300_799),
        ] {
            assert_eq!(parse_time(text), Some(seconds), "{text}");
        }
        for other in [
            "",
            "2026-11-27",
            "2026-11-27 15:04",
            "2026-11-27 15:04:06.5+02:00",
            "today at noon, exactly",
            "2026-11-27 15:04:é",
        ] {
            assert_eq!(parse_time(other), None, "{other}");
        }
    }
}
