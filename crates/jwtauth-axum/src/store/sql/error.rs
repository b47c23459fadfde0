//! Classifies database errors.

use crate::store::{InsertError, StoreError};

/// What to do about a database error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Remedy {
    /// Another transaction conflicted (serialization failure, deadlock, lock not available): try again.
    Again,
    /// The connection is unusable: it was closed, its server became read-only, or its prepared statements are of an
    /// older schema. Try another connection.
    Reconnect,
    /// No connection is free, or the server accepts no more.
    Wait,
    None,
}

impl Remedy {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Wait,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::Reconnect
            }
            sqlx::Error::Database(told) => Self::of_database(&**told),
            _ => Self::None,
        }
    }

    fn of_database(told: &dyn sqlx::error::DatabaseError) -> Self {
        #[cfg(feature = "mariadb")]
        if let Some(told) = told.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            return Self::of_mariadb(told.number());
        }
        let code = told.code().unwrap_or_default();
        // PgBouncer: no server connection became free in time.
        if code == "08P01" && told.message().contains("query_wait_timeout") {
            return Self::Wait;
        }
        if code.len() == 5 { Self::of_sqlstate(&code) } else { code.parse().map_or(Self::None, Self::of_sqlite) }
    }

    /// Classify an SQLSTATE of PostgreSQL.
    fn of_sqlstate(code: &str) -> Self {
        match code {
            "40001" | "40P01" | "55P03" => Self::Again,
            "53300" => Self::Wait,
            // Cached plan must not change result type; read-only transaction; unknown and duplicate prepared
            // statements; a transaction left open by another client; timeouts and shutdowns of the server.
            "0A000" | "25006" | "26000" | "42P05" | "25P02" | "25P03" | "57P01" | "57P02" | "57P03" | "57P05" => {
                Self::Reconnect
            }
            _ if code.starts_with("08") => Self::Reconnect,
            _ => Self::None,
        }
    }

    /// Classify an extended SQLite code, whose low byte is the primary code.
    fn of_sqlite(code: u32) -> Self {
        match code & 0xFF {
            5 | 6 => Self::Again, // busy, locked
            8 => Self::Reconnect, // read-only, also after the file was replaced
            _ => Self::None,
        }
    }

    #[cfg(feature = "mariadb")]
    fn of_mariadb(number: u16) -> Self {
        match number {
            1020 | 1205 | 1213 => Self::Again, // changed since the snapshot, lock wait timeout, deadlock
            1040 | 1203 | 1226 => Self::Wait,  // too many connections, of this user, per hour
            // Shutdown; not part of the cluster; read-only; unknown or outdated prepared statements; killed; idle.
            1047 | 1053 | 1243 | 1290 | 1615 | 1792 | 1836 | 1927 | 4031 => Self::Reconnect,
            _ => Self::None,
        }
    }
}

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match Remedy::of(&error) {
        Remedy::Again => StoreError::Busy(error.into()),
        Remedy::Wait => StoreError::NoConnection(error.into()),
        Remedy::Reconnect | Remedy::None => StoreError::Failed(error.into()),
    }
}

/// Classify an error of opening a connection.
pub(super) fn not_connected(error: sqlx::Error) -> StoreError {
    match Remedy::of(&error) {
        Remedy::Reconnect => StoreError::NoConnection(error.into()),
        _ => failed(error),
    }
}

pub(super) fn not_inserted(error: sqlx::Error) -> InsertError {
    match &error {
        sqlx::Error::Database(told) if told.is_foreign_key_violation() || is_beyond(&**told) => {
            InsertError::UnknownUser
        }
        _ => failed(error).into(),
    }
}

/// Return whether a value exceeds its column; only the user's key can.
fn is_beyond(told: &dyn sqlx::error::DatabaseError) -> bool {
    #[cfg(feature = "mariadb")]
    if let Some(told) = told.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(told.number(), 1264 | 1406);
    }
    matches!(told.code().as_deref(), Some("22001" | "22003"))
}

/// Convert errors of a handler's own queries, so that they are answered as the store's are.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        not_connected(error)
    }
}

/// An error that may come from a database.
pub(super) trait OfDatabase {
    fn store_error(&self) -> Option<&StoreError>;

    fn database_error(&self) -> Option<&sqlx::Error> {
        match self.store_error()? {
            StoreError::Failed(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// Return whether another connection may succeed.
    fn is_of_connection(&self) -> bool {
        self.database_error().is_some_and(|error| Remedy::of(error) == Remedy::Reconnect)
    }

    /// Return whether the row already exists.
    fn is_doubled(&self) -> bool {
        let told = self.database_error().and_then(sqlx::Error::as_database_error);
        told.is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }
}

impl OfDatabase for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl OfDatabase for InsertError {
    fn store_error(&self) -> Option<&StoreError> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use crate::AuthError;

    #[test]
    fn errors_of_handler_queries_have_the_codes_of_store_errors() {
        let code = |error: sqlx::Error| AuthError::Store(error.into()).code();
        assert_eq!(code(sqlx::Error::PoolTimedOut), "store_unavailable");
        assert_eq!(code(sqlx::Error::RowNotFound), "store_error");
    }
}
