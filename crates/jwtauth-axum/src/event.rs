//! Events of target `jwtauth.security`, under the names of Django's log records, and what receivers are told. None has
//! a token.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jwtauth::{Claims, Generation};
use tracing::{Span, field};
use uuid::Uuid;

use crate::{Record, head::Foreign};

/// What has happened to a session, once it is committed: the signals of Django's `jwtauth.signals`, by their names.
///
/// Each is sent once, also where the client has gone meanwhile. A receiver is called in the task that did the work, which
/// waits for it: what takes longer goes into a channel or a task of its own. One that panics does not fail the request.
///
/// ```
/// use jwtauth_axum::{AuthLayer, Config, Event, MemoryStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::new("a secret of at least thirty-two bytes")?;
/// let layer = AuthLayer::new(config, MemoryStore::default()).with_receiver(|event| match event {
///     Event::RefreshTokenReused { session, .. } => eprintln!("a token of user {} was copied", session.user_id),
///     Event::SessionEnded { session_id, reason, .. } => println!("session {session_id} ended: {reason}"),
///     _ => {}
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A user has signed in.
    #[non_exhaustive]
    SessionStarted {
        /// The new session.
        session: Record,
    },
    /// A refresh token was rotated.
    #[non_exhaustive]
    SessionRefreshed {
        /// The session, with the new generation.
        session: Record,
    },
    /// A session was ended: sent for each. Sessions that expire are not ended.
    #[non_exhaustive]
    SessionEnded {
        /// The id that the session had.
        session_id: Uuid,
        /// Why it was ended.
        reason: EndReason,
    },
    /// A refresh token came back that was replaced while its successor is in use: it was copied. The session has been
    /// ended.
    #[non_exhaustive]
    RefreshTokenReused {
        /// The session as it was.
        session: Record,
    },
    /// An upload, or a request of the render server, came with a token that the rotation table does not admit. The
    /// request is anonymous; the session goes on.
    #[non_exhaustive]
    LateUpload {
        /// The session as it is.
        session: Record,
    },
}

impl Event {
    /// Return the stable name, that of Django's signal and of the log event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "session_started",
            Self::SessionRefreshed { .. } => "session_refreshed",
            Self::SessionEnded { .. } => "session_ended",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::LateUpload { .. } => "late_upload",
        }
    }
}

/// Why a session was ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EndReason {
    /// [`Auth::logout`](crate::Auth::logout).
    Logout,
    /// A login from the same browser took its place.
    Replaced,
    /// [`Auth::end`](crate::Auth::end) or [`Auth::end_others`](crate::Auth::end_others).
    Revoked,
    /// Its refresh token was copied, or that of another session of its user with `REUSE_ENDS_ALL_SESSIONS`.
    Reused,
    /// `MAX_SESSIONS_PER_USER`.
    Limit,
}

impl EndReason {
    /// Return the stable name, as in Django's signal and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Reused => "reused",
            Self::Limit => "limit",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Receiver = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who is told of events.
#[derive(Clone, Default)]
pub(crate) struct Receivers(Vec<Receiver>);

impl Receivers {
    pub(crate) fn push(&mut self, receiver: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.push(Arc::new(receiver));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tell each receiver of this event, which is made only where there is one.
    pub(crate) fn send(&self, event: impl FnOnce() -> Event) {
        if self.is_empty() {
            return;
        }
        let event = event();
        for receiver in &self.0 {
            if catch_unwind(AssertUnwindSafe(|| receiver(&event))).is_err() {
                tracing::error!(target: "jwtauth.security", "a receiver of {} panicked", event.name());
            }
        }
    }
}

/// Make the span of a request: of what the layer does, and of the handler.
pub(crate) fn span() -> Span {
    tracing::debug_span!(target: "jwtauth.security", "jwtauth", session_id = field::Empty, user_id = field::Empty)
}

/// Note in the request's span who is signed in.
pub(crate) fn known(span: &Span, session_id: Uuid, user_id: &str) {
    span.record("session_id", field::display(session_id)).record("user_id", user_id);
}

/// Tell of one of the ordinary events in a session's life.
pub(crate) fn session(event: &'static str, record: &Record) {
    let (session_id, user_id) = (record.id, record.user_id.as_str());
    tracing::info!(
        target: "jwtauth.security",
        event,
        %session_id,
        user_id,
        "{event}: session {session_id} of user {user_id}"
    );
}

/// Tell of sessions that ended, if any did.
pub(crate) fn ended(count: u64, reason: EndReason) {
    if count > 0 {
        let reason = reason.as_str();
        tracing::info!(
            target: "jwtauth.security",
            event = "session_ended",
            reason,
            count,
            "session_ended: {count}, {reason}"
        );
    }
}

/// Warn of a refresh token that is not as it should be. `current` is the generation that the row had.
pub(crate) fn warning(event: &'static str, record: &Record, current: Generation, claims: &Claims) {
    let (presented, current) = (claims.generation.get(), current.get());
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
