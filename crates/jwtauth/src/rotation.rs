//! Rotation (RFC 9700 §4.14.2): what to do with a refresh token that verified.
//!
//! "The old one is good until the new one is seen, and for the grace period after." The decision is a pure function of
//! the session's row, the generation presented, and the time. Requests that race for the same session all come to the
//! same tokens, so it does not matter which response a browser keeps, and no lock is needed: one compare-and-swap.

use std::time::Duration;

use crate::{Generation, Lifetimes, Session, TokenKind, UnixTime, time::whole_seconds};

/// How many generations a token may be ahead of its row and still be believed: what a database may have lost when it
/// was restored or failed over.
pub const MAX_ADOPTION: u64 = 16;

/// How long after a rotation an upload, or a request of the render server, may still bring the generation before: the
/// longest that a proxy is expected to hold a body back.
///
/// The bound is time alone. A rule that also looked at [`Session::acknowledged_at`] would tell a thief, at no risk, when
/// the owner has picked up the new tokens, and so when a copy is safe to use.
pub const MAX_UPLOAD_DELAY: Duration = Duration::from_secs(900);

/// The rules of rotation, with their figures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RotationPolicy {
    lifetimes: Lifetimes,
    grace: Duration,
}

/// A refresh token that verified, as presented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Presented {
    /// Its generation.
    pub generation: Generation,
    /// The request goes by the rows of uploads: it [is one](crate::Head::is_upload), or [is
    /// rendering](crate::Identity::is_rendering).
    pub upload: bool,
}

impl Presented {
    /// Make a token of this generation, of a request that does not go by the rows of uploads.
    pub const fn new(generation: Generation) -> Self {
        Self { generation, upload: false }
    }

    /// Say whether the request goes by the rows of [uploads](Self::upload).
    #[must_use]
    pub const fn with_upload(self, upload: bool) -> Self {
        Self { upload, ..self }
    }
}

/// A row's new values. They are to be written by one compare-and-swap on the generation that was read:
/// `UPDATE … WHERE id = … AND generation = <read>`. If it changes no row, read again and decide again.
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
}

/// The answer to a refresh token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a decision is to be carried out"]
#[non_exhaustive]
pub enum Decision {
    /// A refresh: write [`RowUpdate`], then issue both tokens of its generation.
    Rotate(RowUpdate),
    /// The access cookie got lost: issue a new access token of the row's generation; leave the refresh cookie alone,
    /// which the client evidently has.
    RenewAccess {
        /// Write `acknowledged_at = now` where it is empty and the generation still the one that was read.
        acknowledge: bool,
    },
    /// Parallel requests, a slow one, or a response that got lost: issue both tokens of the row's generation again and
    /// write nothing.
    Reissue,
    /// An upload, or a request of the render server: let it in, set no cookie, rotate nothing.
    Admit {
        /// Write `acknowledged_at = now` where it is empty and the generation still the one that was read.
        acknowledge: bool,
    },
    /// The database lost its last writes: write [`RowUpdate`], log it, issue a new access token of its generation.
    Adopt(RowUpdate),
    /// Anonymous, and nothing is written: no cookie is cleared, no session ended.
    Refuse(Refusal),
    /// An old token is back while the new one is in use, so it was copied: end the session. Anonymous.
    Reuse,
}

/// Why a refresh token is refused that was not stolen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The session is over.
    Expired,
    /// The token is further ahead of its row than a database may have lost.
    Ahead,
    /// An upload or a request of the render server, whose token was replaced more than [`MAX_UPLOAD_DELAY`] before, or
    /// more than once.
    LateUpload,
}

impl Decision {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rotate(_) => "rotate",
            Self::RenewAccess { .. } => "renew_access",
            Self::Reissue => "reissue",
            Self::Admit { .. } => "admit",
            Self::Adopt(_) => "adopt",
            Self::Refuse(Refusal::Expired) => "session_expired",
            Self::Refuse(Refusal::Ahead) => "generation_ahead",
            Self::Refuse(Refusal::LateUpload) => "late_upload",
            Self::Reuse => "refresh_token_reused",
        }
    }

    /// Return whether the caller is to note that the row's generation was seen: `acknowledged_at = now` where it is empty and
    /// the generation still the one that was read.
    pub fn acknowledges(&self) -> bool {
        matches!(self, Self::RenewAccess { acknowledge: true } | Self::Admit { acknowledge: true })
    }

    /// Return the name under which this decision is logged as a warning, if it is.
    ///
    /// `None` for [`Reuse`](Self::Reuse): of several requests that find one theft, only the one that ended the session
    /// logs it.
    pub fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Adopt(_) => Some("generation_adopted"),
            Self::Refuse(Refusal::Ahead) => Some("generation_ahead"),
            Self::Refuse(Refusal::LateUpload) => Some("late_upload"),
            _ => None,
        }
    }

    /// Return the row of `session` as it is to be written, where this decision writes it.
    pub fn next(&self, session: &Session) -> Option<Session> {
        let (Self::Rotate(next) | Self::Adopt(next)) = *self else { return None };
        Some(Session {
            generation: next.generation,
            acknowledged_at: next.acknowledged_at,
            rotated_at: next.rotated_at,
            expires_at: next.expires_at,
            ..*session
        })
    }

    /// Return whether the request is the session's, and so its user's.
    pub fn admits(&self) -> bool {
        !matches!(self, Self::Refuse(_) | Self::Reuse)
    }

    /// Return the tokens to issue, of the row's generation as it stands after the decision was written.
    pub fn issues(&self) -> &'static [TokenKind] {
        match self {
            Self::Rotate(_) | Self::Reissue => &[TokenKind::Access, TokenKind::Refresh],
            Self::RenewAccess { .. } | Self::Adopt(_) => &[TokenKind::Access],
            Self::Admit { .. } | Self::Refuse(_) | Self::Reuse => &[],
        }
    }
}

impl RotationPolicy {
    /// Make the rules of these lifetimes and this grace, which counts for no more than the lifetime of an access token. A
    /// fraction of a second is dropped.
    pub fn new(lifetimes: Lifetimes, grace: Duration) -> Self {
        Self { lifetimes, grace: whole_seconds(grace).min(lifetimes.access()) }
    }

    /// Return the lifetimes that this policy keeps to.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// Return the row of a session that starts at `now`. A login has nothing older, so it is acknowledged at once.
    pub fn start(&self, now: UnixTime) -> Session {
        Session::new(now, self.lifetimes.first_end(now))
    }

    /// Return the row of a session that starts at `now` and lives for this time, in use or not. A fraction of a second is
    /// dropped.
    pub fn start_for(&self, lifetime: Duration, now: UnixTime) -> Session {
        Session { expires_at: now + lifetime, end_is_fixed: true, ..self.start(now) }
    }

    /// Return the row of a session that takes the place of `session` at `now`, with another name: a thief's copies of the
    /// old tokens end; the user stays signed in, until the absolute limit since login at the latest.
    pub fn succeed(&self, session: &Session, now: UnixTime) -> Session {
        Session {
            created_at: session.created_at,
            expires_at: self.lifetimes.session_end(session, now),
            end_is_fixed: session.end_is_fixed,
            ..self.start(now)
        }
    }

    /// Return whether seeing a token of `generation` acknowledges the row: it is of the newest generation, and the first seen.
    pub fn acknowledges(&self, session: &Session, generation: Generation) -> bool {
        session.acknowledged_at.is_none() && generation == session.generation
    }

    /// Decide what to do with a verified refresh token and the row of its session, as it was read at `now`.
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
    /// let Decision::Rotate(update) = policy.decide(&row, presented, login + access) else { panic!("in use for long") };
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
        if presented.upload {
            return self.decide_upload(session, presented.generation, now);
        }
        let acknowledge = self.acknowledges(session, presented.generation);
        if presented.generation == session.generation {
            return if self.grace_is_over(session, now) {
                let successor = self.next(session, session.generation.next(), now);
                Decision::Rotate(RowUpdate { acknowledged_at: None, ..successor })
            } else {
                Decision::RenewAccess { acknowledge }
            };
        }
        if is_previous(session, presented.generation) && self.previous_is_good(session, now) {
            return Decision::Reissue;
        }
        match presented.generation.checked_distance_from(session.generation) {
            Some(ahead) if ahead > MAX_ADOPTION => Decision::Refuse(Refusal::Ahead),
            Some(_) => Decision::Adopt(self.next(session, presented.generation, now)),
            None => Decision::Reuse,
        }
    }

    /// An upload rotates nothing, ends nothing, and gets no answer that depends on whether the newest generation was
    /// seen.
    fn decide_upload(&self, session: &Session, generation: Generation, now: UnixTime) -> Decision {
        if generation == session.generation {
            return Decision::Admit { acknowledge: self.acknowledges(session, generation) };
        }
        if is_previous(session, generation) && now.saturating_duration_since(session.rotated_at) <= MAX_UPLOAD_DELAY {
            return Decision::Admit { acknowledge: false };
        }
        Decision::Refuse(Refusal::LateUpload)
    }

    /// The newest generation may be succeeded: it has been in use, and the grace is over since it was issued and since
    /// it was seen. Until it is seen, its first sight starts the clock.
    fn grace_is_over(&self, session: &Session, now: UnixTime) -> bool {
        self.is_past_grace(session.rotated_at, now)
            && session.acknowledged_at.is_some_and(|seen| self.is_past_grace(seen, now))
    }

    /// The generation before the newest is still good: the newest was not seen yet, or only within the grace.
    fn previous_is_good(&self, session: &Session, now: UnixTime) -> bool {
        session.acknowledged_at.is_none_or(|seen| !self.is_past_grace(seen, now))
    }

    /// A `since` in the future, which another worker's clock may have written, counts as just now.
    fn is_past_grace(&self, since: UnixTime, now: UnixTime) -> bool {
        now.saturating_duration_since(since) >= self.grace && now >= since
    }

    fn next(&self, session: &Session, generation: Generation, now: UnixTime) -> RowUpdate {
        RowUpdate {
            generation,
            acknowledged_at: Some(now),
            rotated_at: now,
            expires_at: self.lifetimes.session_end(session, now),
        }
    }
}

/// Whether `generation` is the one before the newest.
fn is_previous(session: &Session, generation: Generation) -> bool {
    session.generation.checked_distance_from(generation) == Some(1)
}

#[cfg(test)]
mod tests;
