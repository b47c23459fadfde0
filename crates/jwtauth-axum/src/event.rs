//! Events of target `jwtauth.security`, under the names of Django's log records. None has a token.

use std::error::Error;

use jwtauth::Claims;
use tracing::Span;
use uuid::Uuid;

use crate::{Record, head::Foreign};

/// Make the span of what the layer does before the handler: the refresh, and the check of a bearer.
pub(crate) fn span() -> Span {
    tracing::debug_span!(target: "jwtauth.security", "authenticate")
}

/// Tell of one of the ordinary events in a session's life.
pub(crate) fn session(event: &'static str, session_id: Uuid) {
    tracing::info!(target: "jwtauth.security", event, %session_id, "{event}: session {session_id}");
}

/// Tell of sessions that ended, if any did.
pub(crate) fn ended(count: u64, reason: &str) {
    if count > 0 {
        tracing::info!(target: "jwtauth.security", event = "session_ended", reason, "session_ended: {count}, {reason}");
    }
}

/// Warn of a refresh token that is not as it should be.
pub(crate) fn warning(event: &'static str, record: &Record, claims: &Claims) {
    let (presented, current) = (claims.generation.get(), record.session.generation.get());
    tracing::warn!(
        target: "jwtauth.security",
        event,
        session_id = %record.id,
        user_id = record.user_id,
        presented,
        current,
        "{event}: session {} of user {}, presented generation {presented}, current {current}", record.id, record.user_id
    );
}

/// Warn of a request of another origin that would use cookies.
pub(crate) fn cross_origin(foreign: &Foreign) {
    let Foreign { error, path, origin } = foreign;
    tracing::warn!(
        target: "jwtauth.security",
        event = "cross_origin",
        code = error.code(),
        path,
        origin,
        "cross_origin: {error}: {path:?} from {origin:?}"
    );
}

/// Warn of a render secret that the service does not have, without the secret.
pub(crate) fn wrong_render_secret(path: &str) {
    tracing::warn!(
        target: "jwtauth.security",
        event = "wrong_render_secret",
        path,
        "wrong_render_secret: the secret of a request for {path:?} is ignored"
    );
}

/// Warn of what was not done, and the next request does as well.
pub(crate) fn upkeep(what: &str, session_id: Uuid, error: &(dyn Error + 'static)) {
    tracing::warn!(target: "jwtauth.security", error, %session_id, "session {session_id} was not {what}");
}
