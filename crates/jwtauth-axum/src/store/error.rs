//! Errors of a store.

use std::error::Error;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction conflicted (serialization failure, deadlock, "locked"): a retry may succeed.
    #[error("the database is busy")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// No connection was available in time: all are in use, or the database is unreachable.
    #[error("no database connection is available")]
    NoConnection(#[source] Box<dyn Error + Send + Sync>),
    /// The tables do not match what the store needs. The message says what is wrong and how to fix it.
    #[error("{0}")]
    Schema(String),
    /// Any other error. The session is unknown then; no user is signed in or out because of it.
    #[error("the session store failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a new session was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The user does not exist or may not sign in.
    #[error("the user does not exist or is inactive")]
    UnknownUser,
    /// The user has reached the maximum number of sessions, and [`LimitPolicy::Refuse`](super::LimitPolicy::Refuse)
    /// applies.
    #[error("too many sessions; sign out on another device first")]
    LimitReached,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
