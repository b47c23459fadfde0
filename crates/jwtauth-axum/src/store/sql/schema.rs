//! Checks that the tables match the statements.

use std::collections::HashMap;

use super::KeyKind;
use crate::store::StoreError;

const COLUMNS: [&str; 19] = [
    "id",
    "user_id",
    "generation",
    "acknowledged_at",
    "rotated_at",
    "created_at",
    "expires_at",
    "end_is_fixed",
    "remember",
    "user_agent",
    "ip_address",
    "last_seen_at",
    "auth_hash",
    "backend",
    "auth_time",
    "locks_at",
    "amr",
    "actor_session_id",
    "device_key",
];
const TIMES: [&str; 7] =
    ["acknowledged_at", "rotated_at", "created_at", "expires_at", "last_seen_at", "auth_time", "locks_at"];

/// The columns of a table and their types, from the database's catalogue.
pub(super) struct Table<'n> {
    name: &'n str,
    columns: HashMap<String, String>,
}

impl<'n> Table<'n> {
    /// Create the table's description.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] if the table does not exist.
    pub(super) fn new(name: &'n str, columns: Vec<(String, String)>) -> Result<Self, StoreError> {
        if columns.is_empty() {
            return Err(StoreError::Schema(format!("the table {name} does not exist: run Django's migrations")));
        }
        Ok(Self { name, columns: columns.into_iter().collect() })
    }

    /// Check that the table has these columns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] if one of these columns is missing.
    pub(super) fn has(&self, columns: &[&str]) -> Result<(), StoreError> {
        columns.iter().try_for_each(|column| self.kind(column).map(drop))
    }

    fn kind(&self, column: &str) -> Result<&str, StoreError> {
        let missing = || format!("the table {} has no column {column}: run Django's migrations", self.name);
        self.columns.get(column).map(String::as_str).ok_or_else(|| StoreError::Schema(missing()))
    }

    /// Check the session table: ids and times must have one of these types. Returns the kind of users' keys, which
    /// `keys` derives from the column's type.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] if a column is missing or has another type.
    pub(super) fn sessions(
        &self,
        ids: &[&str],
        times: &[&str],
        keys: impl Fn(&str) -> Option<KeyKind>,
    ) -> Result<KeyKind, StoreError> {
        self.has(&COLUMNS)?;
        for (column, kinds) in TIMES.map(|column| (column, times)).into_iter().chain([("id", ids)]) {
            let kind = self.kind(column)?;
            if !kinds.contains(&kind) {
                return Err(self.wrong(column, kind, &kinds.join(" or ")));
            }
        }
        let kind = self.kind("user_id")?;
        keys(kind).ok_or_else(|| self.wrong("user_id", kind, "an integer, a UUID or text"))
    }

    fn wrong(&self, column: &str, kind: &str, expected: &str) -> StoreError {
        let table = self.name;
        StoreError::Schema(format!("the column {column} of the table {table} is {kind} and must be {expected}"))
    }
}
