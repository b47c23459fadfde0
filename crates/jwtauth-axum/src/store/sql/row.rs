//! Rows and values, as columns have them.

use jwtauth::{Generation, NumericDate, Session};
use uuid::Uuid;

use super::{Dialect, DjangoUsers};
use crate::store::{Found, Record, StoreError};

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

impl Dialect {
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
