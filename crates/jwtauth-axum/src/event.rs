//! Security events: log events with target `jwtauth.security`, named as Django's log records, and the receivers of
//! [`Event`]. None of them contains a token.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jwtauth::{Claims, DpopError, Generation, Methods};
use tracing::{Span, field};
use uuid::Uuid;

use crate::{Record, head::Foreign};

/// A session event, sent after its change is committed. The names are those of Django's `jwtauth.signals`.
///
/// Each event is sent once, even if the client has disconnected. The receiver runs in the task that made the change,
/// and the task waits for it, so hand slow work to a channel or another task. A panic in a receiver does not fail the
/// request.
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
    /// A user signed in.
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
    /// The user of a session has authenticated again.
    #[non_exhaustive]
    SessionReauthenticated {
        /// The session, with all methods that the user has used in it.
        session: Record,
        /// The methods used this time.
        methods: Methods,
    },
    /// A user began to [act as another one](crate::Auth::act_as).
    #[non_exhaustive]
    ActingStarted {
        /// The session of acting. Its user is the one as whom the other one acts.
        session: Record,
        /// The user who acts.
        actor_id: String,
    },
    /// [`Auth::stop_acting`](crate::Auth::stop_acting) or [`Auth::logout`](crate::Auth::logout) ended the acting. A
    /// session of acting can also end without this event.
    #[non_exhaustive]
    ActingEnded {
        /// The session of acting, which has ended.
        session: Record,
        /// The user who acted.
        actor_id: String,
    },
    /// A session was bound to a key of the user's device.
    #[non_exhaustive]
    SessionBound {
        /// The session, with the key.
        session: Record,
    },
    /// A session was ended; one event per session. Not sent for sessions that expire.
    #[non_exhaustive]
    SessionEnded {
        /// The id of the ended session.
        session_id: Uuid,
        /// Why the session was ended.
        reason: EndReason,
    },
    /// A replaced refresh token came back while its successor is in use, so it was copied. The session has been ended.
    #[non_exhaustive]
    RefreshTokenReused {
        /// The session before it was ended.
        session: Record,
    },
    /// The tokens of a session came with a proof of another key than that of the user's device, so they were copied. The
    /// session has been ended.
    #[non_exhaustive]
    DeviceProofFailed {
        /// The session before it was ended.
        session: Record,
    },
    /// An upload, or a request from the render server, came with a token that the rotation table does not admit. The
    /// request is anonymous; the session continues.
    #[non_exhaustive]
    LateUpload {
        /// The current session.
        session: Record,
    },
}

impl Event {
    /// Return the stable name, shared with Django's signal and the log event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "session_started",
            Self::SessionRefreshed { .. } => "session_refreshed",
            Self::SessionReauthenticated { .. } => "session_reauthenticated",
            Self::ActingStarted { .. } => "acting_started",
            Self::ActingEnded { .. } => "acting_ended",
            Self::SessionBound { .. } => "session_bound",
            Self::SessionEnded { .. } => "session_ended",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::DeviceProofFailed { .. } => "device_proof_failed",
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
    /// A login from the same browser replaced it, or its user has acted as another one and got a new session.
    Replaced,
    /// [`Auth::stop_acting`](crate::Auth::stop_acting).
    ActingEnded,
    /// [`Auth::end`](crate::Auth::end) or [`Auth::end_others`](crate::Auth::end_others).
    Revoked,
    /// Its refresh token was copied; with `REUSE_ENDS_ALL_SESSIONS`, that of any session of the same user.
    Reused,
    /// Its tokens came with a proof of another key than that of the user's device; with `REUSE_ENDS_ALL_SESSIONS`, those
    /// of any session of the same user.
    DeviceProofFailed,
    /// `MAX_SESSIONS_PER_USER`.
    Limit,
}

impl EndReason {
    /// Return the stable name, shared with Django's signal and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Replaced => "replaced",
            Self::ActingEnded => "acting_ended",
            Self::Revoked => "revoked",
            Self::Reused => "reused",
            Self::DeviceProofFailed => "device_proof_failed",
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

/// The registered receivers.
#[derive(Clone, Default)]
pub(crate) struct Receivers(Vec<Receiver>);

impl Receivers {
    pub(crate) fn push(&mut self, receiver: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.push(Arc::new(receiver));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Send the event to each receiver. It is only built if there is one.
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

/// Create the span of a request, which covers the layer and the handler.
pub(crate) fn span() -> Span {
    tracing::debug_span!(target: "jwtauth.security", "jwtauth", session_id = field::Empty, user_id = field::Empty)
}

/// Record the current user in the request's span.
pub(crate) fn known(span: &Span, session_id: Uuid, user_id: &str) {
    span.record("session_id", field::display(session_id)).record("user_id", user_id);
}

/// Log a routine event of a session.
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

/// Log the beginning or the end of acting as another user.
pub(crate) fn acting(event: &'static str, record: &Record, actor_id: &str) {
    let (session_id, user_id) = (record.id, record.user_id.as_str());
    let actor_session_id = record.actor_session_id.unwrap_or_default();
    tracing::info!(
        target: "jwtauth.security",
        event,
        %session_id,
        user_id,
        %actor_session_id,
        actor_id,
        "{event}: user {actor_id} as user {user_id}, session {session_id}"
    );
}

/// Log ended sessions, if there are any.
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

/// Log a warning about an unexpected refresh token. `current` is the row's generation.
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

/// Log a warning about tokens that came with a proof of another key than that of the user's device.
pub(crate) fn device_proof_failed(record: &Record) {
    let (session_id, user_id) = (record.id, record.user_id.as_str());
    tracing::warn!(
        target: "jwtauth.security",
        event = "device_proof_failed",
        %session_id,
        user_id,
        "device_proof_failed: session {session_id} of user {user_id}"
    );
}

/// Log that a browser registered a key without a valid proof.
pub(crate) fn not_bound(record: &Record) {
    let session_id = record.id;
    tracing::info!(target: "jwtauth.security", %session_id, "session {session_id} was not bound: the proof is not valid");
}

/// Log a warning about a cross-origin request that would use cookies.
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

/// Log a warning about an unknown render secret, without the secret.
pub(crate) fn wrong_render_secret(path: &str) {
    tracing::warn!(
        target: "jwtauth.security",
        event = "wrong_render_secret",
        path,
        "wrong_render_secret: the secret of a request for {path:?} is ignored"
    );
}

/// Log a warning about a proof that was refused. Its token is valid, so that it may have been copied.
pub(crate) fn invalid_dpop_proof(path: &str, error: &DpopError) {
    tracing::warn!(
        target: "jwtauth.security",
        event = "invalid_dpop_proof",
        path,
        reason = %error,
        "invalid_dpop_proof: {error}: {path:?}"
    );
}

/// Log a warning about a failed secondary write, which the next request repeats.
pub(crate) fn upkeep(what: &str, session_id: Uuid, error: &(dyn Error + 'static)) {
    tracing::warn!(target: "jwtauth.security", error, %session_id, "session {session_id} was not {what}");
}
