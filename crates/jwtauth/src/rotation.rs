//! Rotation (RFC 9700 §4.14.2): what to do with a verified refresh token.
//!
//! The previous refresh token stays valid until the new one is seen, and for the grace period after that. The decision
//! is a pure function of the session's row, the generation presented, and the time. Requests that race for one session
//! all get the same tokens, so it does not matter which response the browser keeps. One compare-and-swap replaces a
//! lock.

use std::time::Duration;

use crate::{DeviceBinding, Generation, Lifetimes, Session, Thumbprint, TokenKind, UnixTime, time::whole_seconds};

/// How many generations a token may be ahead of its row and still be accepted. This covers the writes that a database
/// can lose in a restore or failover.
pub const MAX_ADOPTION: u64 = 16;

/// How long after a rotation an upload, or a request of the render server, may still bring the previous generation.
/// This is the longest time that a proxy is expected to hold a body back.
///
/// Only time counts. A rule that also looked at [`Session::acknowledged_at`] would tell a thief, at no risk, when the
/// user's browser has picked up the new tokens, and so when a copy is safe to use.
pub const MAX_UPLOAD_DELAY: Duration = Duration::from_secs(900);

/// The rules of rotation with their configured durations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RotationPolicy {
    lifetimes: Lifetimes,
    grace: Duration,
    lock_after: Option<Duration>,
}

/// A verified refresh token, as presented by a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Presented {
    /// The generation of the token.
    pub generation: Generation,
    /// Whether the rules for uploads apply: the request [is an upload](crate::Head::is_upload) or [is
    /// rendering](crate::Identity::is_rendering).
    pub upload: bool,
    /// The token's `auth_time`; `None` in tokens of earlier versions.
    pub auth_time: Option<UnixTime>,
    /// Whether the request [is an activity](crate::Head::is_activity) of the user.
    pub activity: bool,
    /// Whether the token was [issued for a request that was none](crate::Claims::idle).
    pub idle: bool,
    /// The key that the client has [proved](crate::Site::identify_client) with this request.
    pub client: Option<Thumbprint>,
}

impl Presented {
    /// Present a token of this generation, in a request to which the rules for uploads do not apply.
    pub const fn new(generation: Generation) -> Self {
        Self { generation, upload: false, auth_time: None, activity: true, idle: false, client: None }
    }

    /// Set whether the rules for [uploads](Self::upload) apply.
    #[must_use]
    pub const fn with_upload(self, upload: bool) -> Self {
        Self { upload, ..self }
    }

    /// Set [when the user authenticated](Self::auth_time).
    #[must_use]
    pub const fn with_auth_time(self, auth_time: Option<UnixTime>) -> Self {
        Self { auth_time, ..self }
    }

    /// Set whether the request [is an activity](Self::activity).
    #[must_use]
    pub const fn with_activity(self, activity: bool) -> Self {
        Self { activity, ..self }
    }

    /// Set whether the token was [issued without activity](Self::idle).
    #[must_use]
    pub const fn with_idle(self, idle: bool) -> Self {
        Self { idle, ..self }
    }

    /// Set the key that the client [has proved](Self::client).
    #[must_use]
    pub const fn with_client(self, client: Option<Thumbprint>) -> Self {
        Self { client, ..self }
    }
}

/// The new values of a row, to be written by one compare-and-swap on the generation that was read: `UPDATE … WHERE id =
/// … AND generation = <read>`. If it changes no row, read the row and decide again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RowUpdate {
    /// The generation to issue.
    pub generation: Generation,
    /// See [`Session::acknowledged_at`].
    pub acknowledged_at: Option<UnixTime>,
    /// See [`Session::rotated_at`].
    pub rotated_at: UnixTime,
    /// See [`Session::expires_at`].
    pub expires_at: UnixTime,
    /// See [`Session::locks_at`].
    pub locks_at: Option<UnixTime>,
}

/// The decision about a refresh token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the decision must be carried out"]
#[non_exhaustive]
pub enum Decision {
    /// Refresh: write the [`RowUpdate`], then issue both tokens of its generation.
    Rotate(RowUpdate),
    /// Refresh for a request that is not an activity: write the [`RowUpdate`], which moves no end, then issue the refresh token
    /// of its generation alone. The user's next request therefore presents it, and moves the end.
    RotateIdle(RowUpdate),
    /// The token was issued for a request that was not an activity, and this one is: write the [`RowUpdate`], which moves the
    /// end, then issue both tokens of the same generation.
    Extend(RowUpdate),
    /// The access cookie was lost: issue a new access token of the row's generation. Do not set the refresh cookie,
    /// which the client still has.
    RenewAccess {
        /// Write `acknowledged_at = now` if it is empty and the generation is still the one that was read.
        acknowledge: bool,
    },
    /// Parallel requests, a slow request, or a lost response: issue both tokens of the row's generation again, and
    /// write nothing.
    Reissue,
    /// The session was bound to a device, but this token tells that the browser has not got the answer: remove the key by
    /// one compare-and-swap, if the row has the generation that was read, is bound, and is not acknowledged; then issue
    /// both tokens of the row's generation. If it changes no row, read the row and decide again.
    Unbind,
    /// An upload, a request of the render server, or one that left before the user authenticated again: admit it without
    /// setting cookies or rotating.
    Admit {
        /// Write `acknowledged_at = now` if it is empty and the generation is still the one that was read.
        acknowledge: bool,
    },
    /// The database lost its last writes: write the [`RowUpdate`], log it, and issue a new access token of its
    /// generation.
    Adopt(RowUpdate),
    /// Treat the request as anonymous. Write nothing, clear no cookie, and end no session.
    Refuse(Refusal),
    /// An old token was presented while the new one is in use, so it was copied: end the session, and treat the request
    /// as anonymous.
    Reuse,
}

/// Why a refresh token is refused although it was not reused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The session has expired.
    Expired,
    /// The session is locked, until the user [authenticates again](RotationPolicy::reauthenticate).
    Locked,
    /// The session is, or must be, bound to a key, and the token came without a proof of it. For the key of a browser, see
    /// [`decide_proven`](RotationPolicy::decide_proven).
    Unproven,
    /// The token is further ahead of its row than lost writes can explain.
    Ahead,
    /// An upload or a request of the render server whose token was replaced more than [`MAX_UPLOAD_DELAY`] ago, or more
    /// than once.
    LateUpload,
}

impl Decision {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rotate(_) => "rotate",
            Self::RotateIdle(_) => "rotate_idle",
            Self::Extend(_) => "extend",
            Self::RenewAccess { .. } => "renew_access",
            Self::Reissue => "reissue",
            Self::Unbind => "unbind",
            Self::Admit { .. } => "admit",
            Self::Adopt(_) => "adopt",
            Self::Refuse(Refusal::Expired) => "session_expired",
            Self::Refuse(Refusal::Locked) => "session_locked",
            Self::Refuse(Refusal::Unproven) => "device_proof_required",
            Self::Refuse(Refusal::Ahead) => "generation_ahead",
            Self::Refuse(Refusal::LateUpload) => "late_upload",
            Self::Reuse => "refresh_token_reused",
        }
    }

    /// Return whether the caller must acknowledge the row's generation: write `acknowledged_at = now` if it is empty
    /// and the generation is still the one that was read.
    pub fn acknowledges(&self) -> bool {
        matches!(self, Self::RenewAccess { acknowledge: true } | Self::Admit { acknowledge: true })
    }

    /// Return the event name under which the caller logs this decision as a warning, if any.
    ///
    /// [`Reuse`](Self::Reuse) returns `None`: several requests may detect the same theft, and only the one that ended
    /// the session logs it.
    pub fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Adopt(_) => Some("generation_adopted"),
            Self::Unbind => Some("session_unbound"),
            Self::Refuse(Refusal::Ahead) => Some("generation_ahead"),
            Self::Refuse(Refusal::LateUpload) => Some("late_upload"),
            _ => None,
        }
    }

    /// Return the row of `session` to write, if this decision writes it.
    pub fn next(&self, session: &Session) -> Option<Session> {
        let (Self::Rotate(next) | Self::RotateIdle(next) | Self::Extend(next) | Self::Adopt(next)) = *self else {
            return None;
        };
        Some(Session {
            generation: next.generation,
            acknowledged_at: next.acknowledged_at,
            rotated_at: next.rotated_at,
            expires_at: next.expires_at,
            locks_at: next.locks_at,
            ..*session
        })
    }

    /// Return whether the request is authenticated as the session's user.
    pub fn admits(&self) -> bool {
        !matches!(self, Self::Refuse(_) | Self::Reuse)
    }

    /// Return the tokens to issue. Their generation is that of the row after the decision was written.
    pub fn issues(&self) -> &'static [TokenKind] {
        match self {
            Self::Rotate(_) | Self::Extend(_) | Self::Reissue | Self::Unbind => {
                &[TokenKind::Access, TokenKind::Refresh]
            }
            Self::RotateIdle(_) => &[TokenKind::Refresh],
            Self::RenewAccess { .. } | Self::Adopt(_) => &[TokenKind::Access],
            Self::Admit { .. } | Self::Refuse(_) | Self::Reuse => &[],
        }
    }
}

impl RotationPolicy {
    /// Create a policy from lifetimes and a grace period. The grace period is at most the lifetime of an access token.
    /// Fractions of a second are ignored.
    pub fn new(lifetimes: Lifetimes, grace: Duration) -> Self {
        Self { lifetimes, grace: whole_seconds(grace).min(lifetimes.access()), lock_after: None }
    }

    /// Lock sessions that were not refreshed for this long. Fractions of a second are
    /// ignored.
    ///
    /// A session is refreshed when its access token has expired. It may therefore lock sooner after the last request than
    /// this, by up to the lifetime of an access token, but never later.
    #[must_use]
    pub fn with_lock_after(self, lock_after: Option<Duration>) -> Self {
        Self { lock_after: lock_after.map(whole_seconds), ..self }
    }

    /// Return the lifetimes of this policy.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// Return the row of a session that starts at `now`. It is acknowledged at once, since no older token exists.
    pub fn start(&self, now: UnixTime) -> Session {
        Session::new(now, self.lifetimes.first_end(now)).with_locks_at(self.locks_at(now))
    }

    /// Return the row of a session that starts at `now` and ends after `lifetime`, whether it is used or not. Fractions
    /// of a second are ignored.
    pub fn start_for(&self, lifetime: Duration, now: UnixTime) -> Session {
        Session { expires_at: now + lifetime, end_is_fixed: true, ..self.start(now) }
    }

    /// Return the row of a session that replaces `session` at `now` under a new `sid`. Copies of the old tokens stop
    /// working. The user stays signed in, at most until the absolute limit that counts from the login.
    pub fn succeed(&self, session: &Session, now: UnixTime) -> Session {
        Session {
            created_at: session.created_at,
            expires_at: self.lifetimes.session_end(session, now),
            end_is_fixed: session.end_is_fixed,
            auth_time: session.auth_time,
            ..self.start_beside(session, now)
        }
    }

    /// Return the row of a session for the browser that has `session`, bound to the same device.
    pub(crate) fn start_beside(&self, session: &Session, now: UnixTime) -> Session {
        let rotated_at = if session.device.is_of_browser() { session.rotated_at } else { now };
        Session { device: session.device, rotated_at, ..self.start(now) }
    }

    /// Return the row of a session whose user authenticates again at `now`, to be written as a [`RowUpdate`] is. Both
    /// tokens must then be issued. `None` if the session has ended. A locked session is unlocked.
    ///
    /// The tokens are the first to say when the user authenticated; older ones [never say
    /// more](crate::Authentication::of) than before. They are of the next generation if a refresh could issue it now.
    /// Otherwise requests with the previous generation, or responses with the newest, may still be under way, and a
    /// browser that is one more generation behind would be signed out: the tokens are then of the newest generation. So
    /// are those of a session that is bound to a device.
    pub fn reauthenticate(&self, session: &Session, now: UnixTime) -> Option<Session> {
        if self.lifetimes.is_over(session, now) {
            return None;
        }
        let next = if self.grace_is_over(session, now) && !session.device.is_of_browser() {
            RowUpdate { acknowledged_at: None, ..self.next(session, session.generation.next(), now) }
        } else {
            let Session { generation, acknowledged_at, .. } = *session;
            // A session that was locked has no access token from before.
            let is_revived = session.device.is_of_browser() && self.is_locked(session, now);
            let rotated_at = if is_revived { now } else { session.rotated_at };
            RowUpdate { acknowledged_at, rotated_at, ..self.next(session, generation, now) }
        };
        Decision::Rotate(next).next(session).map(|session| session.with_auth_time(Some(now)))
    }

    /// Return whether the session is locked.
    pub fn is_locked(&self, session: &Session, now: UnixTime) -> bool {
        self.lock_after.is_some() && session.locks_at.is_some_and(|locks_at| now >= locks_at)
    }

    /// Return whether seeing a token of `generation` acknowledges the row: the token is of the newest generation, and
    /// the first such token to be seen.
    pub fn acknowledges(&self, session: &Session, generation: Generation) -> bool {
        session.acknowledged_at.is_none() && generation == session.generation
    }

    /// Decide what to do with a verified refresh token, given the row of its session as read at `now`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use jwtauth::{Decision, Generation, Lifetimes, Presented, RotationPolicy, UnixTime};
    ///
    /// let (access, idle) = (Duration::from_secs(300), Duration::from_secs(86_400));
    /// let policy = RotationPolicy::new(Lifetimes::new(access, idle, None)?, Duration::from_secs(30));
    /// let login = UnixTime::from_secs(1_700_000_000);
    /// let row = policy.start(login);
    ///
    /// let presented = Presented::new(Generation::FIRST);
    /// let Decision::Rotate(update) = policy.decide(&row, presented, login + access) else {
    ///     panic!("the access token has expired");
    /// };
    /// assert_eq!(update.generation, Generation::new(2));
    ///
    /// let rotated = Decision::Rotate(update).next(&row).unwrap();
    /// assert_eq!(policy.decide(&rotated, presented, login + access), Decision::Reissue, "a parallel request");
    /// # Ok::<(), jwtauth::LifetimesError>(())
    /// ```
    pub fn decide(&self, session: &Session, presented: Presented, now: UnixTime) -> Decision {
        if self.lifetimes.is_over(session, now) {
            return Decision::Refuse(Refusal::Expired);
        }
        if let Some(decision) = self.decide_left_behind(session, presented, now) {
            return decision;
        }
        let is_proven = match session.device {
            DeviceBinding::Unbound => true,
            DeviceBinding::Required | DeviceBinding::Bound => false,
            DeviceBinding::Dpop(key) => presented.client == Some(key),
        };
        if !is_proven {
            // Whatever the token: a copy of it is worth nothing, and must not end the session. A browser shows no proof when
            // its user authenticates again, but a client does.
            let is_locked = session.device.is_of_browser() && self.is_locked(session, now);
            let refusal = if is_locked { Refusal::Locked } else { Refusal::Unproven };
            return Decision::Refuse(refusal);
        }
        let decision = if presented.upload {
            self.decide_upload(session, presented.generation, now)
        } else if presented.activity {
            self.extend(session, presented, self.decide_rotation(session, presented, now), now)
        } else {
            self.without_activity(session, self.decide_rotation(session, presented, now), now)
        };
        if decision.admits() && self.is_locked(session, now) { Decision::Refuse(Refusal::Locked) } else { decision }
    }

    /// Decide what to do with a proof of the session's device key over a challenge that was issued at the generation
    /// `challenge`. `None` if the challenge is stale: issue a new one.
    ///
    /// The challenge, and not the refresh token, tells what the device has. A proof is used up by the rotation. During the
    /// grace period it gets the same tokens again, which [expire when the first did](crate::Site::grant). So a copied proof
    /// gains nothing once the server has accepted it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use jwtauth::*;
    ///
    /// let (access, idle) = (Duration::from_secs(300), Duration::from_secs(86_400));
    /// let policy = RotationPolicy::new(Lifetimes::new(access, idle, None)?, Duration::from_secs(30));
    /// let login = UnixTime::from_secs(1_700_000_000);
    /// let row = policy.start(login).with_device(DeviceBinding::Bound);
    ///
    /// let cookie = Presented::new(Generation::FIRST);
    /// assert_eq!(policy.decide(&row, cookie, login + access), Decision::Refuse(Refusal::Unproven));
    ///
    /// let decision = policy.decide_proven(&row, Generation::FIRST, login + access).unwrap();
    /// let row = decision.next(&row).unwrap();
    /// assert_eq!(row.generation, Generation::new(2));
    /// assert_eq!(policy.decide_proven(&row, Generation::FIRST, login + access), Some(Decision::Reissue));
    /// assert_eq!(policy.decide_proven(&row, Generation::FIRST, login + 2 * access), None);
    /// # Ok::<(), jwtauth::LifetimesError>(())
    /// ```
    pub fn decide_proven(&self, session: &Session, challenge: Generation, now: UnixTime) -> Option<Decision> {
        if self.lifetimes.is_over(session, now) {
            return Some(Decision::Refuse(Refusal::Expired));
        }
        let is_fresh = challenge == session.generation;
        let is_repeated = is_previous(session, challenge) && !self.is_past_grace(session.rotated_at, now);
        if !is_fresh && !is_repeated {
            return None;
        }
        Some(if self.is_locked(session, now) {
            Decision::Refuse(Refusal::Locked)
        } else if is_fresh {
            // Acknowledged at once: what the device has is told by its next challenge.
            Decision::Rotate(self.next(session, session.generation.next(), now))
        } else {
            Decision::Reissue
        })
    }

    /// Decide about a token that tells that the browser has not got the answer to its registration, as if the session were
    /// not bound. `None` if the token does not tell it.
    ///
    /// Within the grace period, the answer may still be on its way. The generation stays: if this response is lost as well,
    /// the browser's token is still the one before the newest.
    fn decide_left_behind(&self, session: &Session, presented: Presented, now: UnixTime) -> Option<Decision> {
        let shown = session.as_shown_by(presented.generation);
        let is_left_behind = shown.device != session.device
            && is_previous(session, presented.generation)
            && self.is_past_grace(session.rotated_at, now);
        is_left_behind.then(|| match self.decide(&shown, presented, now) {
            Decision::Reissue => Decision::Unbind,
            other => other,
        })
    }

    /// Return the new values of the row of a session that is bound to a device at `now`. Nothing of it counts as activity.
    ///
    /// A session that had to be bound is acknowledged at once: it never becomes unbound.
    pub(crate) fn bind(&self, session: &Session, now: UnixTime) -> RowUpdate {
        RowUpdate {
            acknowledged_at: session.device.needs_proof().then_some(now),
            expires_at: session.expires_at,
            locks_at: session.locks_at,
            ..self.next(session, session.generation.next(), now)
        }
    }

    /// Move the end of a session whose newest refresh token was issued without activity.
    fn extend(&self, session: &Session, presented: Presented, decision: Decision, now: UnixTime) -> Decision {
        if !presented.idle || !matches!(decision, Decision::RenewAccess { .. }) {
            return decision;
        }
        let next = self.next(session, session.generation, now);
        let acknowledged_at = session.acknowledged_at.or(Some(now));
        Decision::Extend(RowUpdate { acknowledged_at, rotated_at: session.rotated_at, ..next })
    }

    /// Do for a request that is not an activity what is done for others, but move no end, and issue no access token, with
    /// which the user's own requests would not move it either. Rotate as often as access tokens expire, so that a copy is
    /// found as soon as without this.
    fn without_activity(&self, session: &Session, decision: Decision, now: UnixTime) -> Decision {
        let is_due = now.saturating_duration_since(session.rotated_at) >= self.lifetimes.access();
        match decision {
            Decision::Rotate(next) if is_due => {
                let Session { expires_at, locks_at, .. } = *session;
                Decision::RotateIdle(RowUpdate { expires_at, locks_at, ..next })
            }
            Decision::Rotate(_) => Decision::Admit { acknowledge: false },
            Decision::RenewAccess { acknowledge } => Decision::Admit { acknowledge },
            other => other,
        }
    }

    fn decide_rotation(&self, session: &Session, presented: Presented, now: UnixTime) -> Decision {
        let acknowledge = self.acknowledges(session, presented.generation);
        // The token is older than the user's newest authentication, whose tokens the browser may be about to get. It would
        // lose them again by those that this token stands for.
        let is_older = presented.auth_time.unwrap_or(session.created_at) < session.authenticated_at();
        let is_overtaken = is_older && !self.is_past_grace(session.authenticated_at(), now);
        if presented.generation == session.generation {
            if is_overtaken {
                return Decision::Admit { acknowledge };
            }
            return if self.grace_is_over(session, now) {
                let successor = self.next(session, session.generation.next(), now);
                Decision::Rotate(RowUpdate { acknowledged_at: None, ..successor })
            } else {
                Decision::RenewAccess { acknowledge }
            };
        }
        if is_previous(session, presented.generation) && self.previous_is_good(session, now) {
            let is_replaced = is_overtaken || is_older && session.acknowledged_at.is_some();
            return if is_replaced { Decision::Admit { acknowledge: false } } else { Decision::Reissue };
        }
        match presented.generation.checked_distance_from(session.generation) {
            Some(ahead) if ahead > MAX_ADOPTION => Decision::Refuse(Refusal::Ahead),
            Some(_) => Decision::Adopt(self.next(session, presented.generation, now)),
            None => Decision::Reuse,
        }
    }

    /// Decide about an upload. It rotates nothing and ends nothing, and the decision does not depend on whether the
    /// newest generation was seen.
    fn decide_upload(&self, session: &Session, generation: Generation, now: UnixTime) -> Decision {
        if generation == session.generation {
            return Decision::Admit { acknowledge: self.acknowledges(session, generation) };
        }
        if is_previous(session, generation) && now.saturating_duration_since(session.rotated_at) <= MAX_UPLOAD_DELAY {
            return Decision::Admit { acknowledge: false };
        }
        Decision::Refuse(Refusal::LateUpload)
    }

    /// Return whether the newest generation may be replaced: it has been seen, and the grace period has passed since it
    /// was issued, since it was seen, and since it was issued again because the user authenticated.
    fn grace_is_over(&self, session: &Session, now: UnixTime) -> bool {
        self.is_past_grace(session.rotated_at, now)
            && self.is_past_grace(session.authenticated_at(), now)
            && session.acknowledged_at.is_some_and(|seen| self.is_past_grace(seen, now))
    }

    /// Return whether the previous generation is still valid: the newest has not been seen, or only within the grace
    /// period.
    fn previous_is_good(&self, session: &Session, now: UnixTime) -> bool {
        session.acknowledged_at.is_none_or(|seen| !self.is_past_grace(seen, now))
    }

    /// Return whether the grace period has passed. A `since` in the future, written by another worker's clock, counts
    /// as now.
    pub(crate) fn is_past_grace(&self, since: UnixTime, now: UnixTime) -> bool {
        now.saturating_duration_since(since) >= self.grace && now >= since
    }

    fn locks_at(&self, now: UnixTime) -> Option<UnixTime> {
        self.lock_after.map(|lock_after| now + lock_after)
    }

    fn next(&self, session: &Session, generation: Generation, now: UnixTime) -> RowUpdate {
        RowUpdate {
            generation,
            acknowledged_at: Some(now),
            rotated_at: now,
            expires_at: self.lifetimes.session_end(session, now),
            locks_at: self.locks_at(now),
        }
    }
}

/// Return whether `generation` is the one before the newest.
fn is_previous(session: &Session, generation: Generation) -> bool {
    session.generation.checked_distance_from(generation) == Some(1)
}

#[cfg(test)]
mod tests;
