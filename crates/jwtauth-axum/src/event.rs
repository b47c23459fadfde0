//! Events of target `jwtauth.security`, under the names of Django's log records. None has a token.

use jwtauth::{Claims, OriginError};
use tracing::Span;
use uuid::Uuid;

use crate::{Record, StoreError};

/// What the layer does before the handler: the refresh, and the check of a bearer.
pub(crate) fn span() -> Span {
    tracing::debug_span!(target: "jwtauth.security", "authenticate")
}

/// One of the ordinary events in a session's life.
pub(crate) fn session(event: &'static str, session_id: Uuid) {
    tracing::info!(target: "jwtauth.security", event, %session_id, "{event}: session {session_id}");
}

/// Sessions that ended, if any did.
pub(crate) fn ended(count: u64, reason: &str) {
    if count > 0 {
        tracing::info!(target: "jwtauth.security", event = "session_ended", reason, "session_ended: {count}, {reason}");
    }
}

/// A refresh token that is not as it should be.
pub(crate) fn warning(event: &'static str, record: &Record, presented: &Claims) {
    tracing::warn!(
        target: "jwtauth.security",
        event,
        session_id = %record.id,
        user_id = record.user_id,
        presented = presented.generation,
        current = record.session.generation,
        "{event}: session {}", record.id
    );
}

/// A request of another origin that came with cookies.
pub(crate) fn cross_origin(error: OriginError) {
    tracing::warn!(target: "jwtauth.security", event = "cross_origin", code = error.code(), "cross_origin: {error}");
}

/// Something that the next request does as well.
pub(crate) fn upkeep(what: &str, session_id: Uuid, error: &StoreError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(target: "jwtauth.security", error, %session_id, "session {session_id} was not {what}");
}
