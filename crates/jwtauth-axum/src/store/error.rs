//! What goes wrong in a store.

use std::error::Error;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction was in the way (serialization failure, deadlock, "locked"): the same may well succeed when
    /// it is done again.
    #[error("the database is busy")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// No connection to the database could be had in time: all are in use, or it cannot be reached.
    #[error("there is no connection to the database")]
    NoConnection(#[source] Box<dyn Error + Send + Sync>),
    /// The tables are not as the store needs them; says what is wrong, and what to do.
    #[error("{0}")]
    Schema(String),
    /// Anything else. Nothing is known then: no user is signed in or out by it.
    #[error("the session store failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a store did not write a new session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The user does not exist, or may not sign in.
    #[error("there is no such user, or they are not active")]
    UnknownUser,
    /// The user has as many sessions as they may have, and [`LimitPolicy::Refuse`](super::LimitPolicy::Refuse) holds.
    #[error("too many sessions, sign out on another device")]
    LimitReached,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
