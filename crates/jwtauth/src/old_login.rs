//! Logins that move in: what to do with a credential that another package issued.
//!
//! A site that changes to this crate has users who are signed in by another package. Their first request starts a
//! session. The old credential stays valid until the new tokens are seen, and for the grace period after that, as the
//! previous refresh token does in [rotation](RotationPolicy::decide). So a lost response signs no user out, and parallel
//! requests start one session.

use crate::{MAX_UPLOAD_DELAY, RotationPolicy, Session, UnixTime};

/// When credentials of another package are accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OldLoginPeriod {
    /// From when on they start sessions. Before, the other package renews them: while a deployment lasts, some workers
    /// know no session.
    pub since: UnixTime,
    /// The first moment at which none is accepted.
    pub until: UnixTime,
}

impl OldLoginPeriod {
    /// Accept old credentials before `until`, and start sessions for them from `since` on.
    pub const fn new(since: UnixTime, until: UnixTime) -> Self {
        Self { since, until }
    }
}

/// A credential of another package, which accepts it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OldCredential {
    /// When it was issued, if that is known.
    pub issued_at: Option<UnixTime>,
    /// When it expires; `None` if never.
    pub expires_at: Option<UnixTime>,
    /// Whether it may start a session: the other package would have renewed it, or issued new tokens for it. An access
    /// token is not renewable, since a copy of one must not become a session.
    pub is_renewable: bool,
}

impl OldCredential {
    /// Describe a credential.
    pub const fn new(issued_at: Option<UnixTime>, expires_at: Option<UnixTime>, is_renewable: bool) -> Self {
        Self { issued_at, expires_at, is_renewable }
    }
}

/// What is known of a credential that was presented before: the session that it started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MovedLogin {
    /// When the session started.
    pub moved_at: UnixTime,
    /// When the session would have expired if it had never been refreshed.
    pub first_end: UnixTime,
    /// When the client first sent a token of the session; `None` until then.
    pub seen_at: Option<UnixTime>,
    /// Whether the session is still valid: it has neither ended nor expired, and its user may be signed in.
    pub is_live: bool,
}

impl MovedLogin {
    /// Describe a login that moved in.
    pub const fn new(moved_at: UnixTime, first_end: UnixTime, seen_at: Option<UnixTime>, is_live: bool) -> Self {
        Self { moved_at, first_end, seen_at, is_live }
    }
}

/// The decision about a credential of another package.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the decision must be carried out"]
#[non_exhaustive]
pub enum OldLoginDecision {
    /// Start a session with the row of [`RotationPolicy::take_over`], record the [`MovedLogin`] in the same
    /// transaction, and issue both tokens. If another request recorded it first, read it and decide again.
    Start,
    /// Parallel requests, a slow request, or a lost response: issue both tokens of the session again.
    Reissue,
    /// Admit this request as the credential's user, and set no cookie.
    Admit,
    /// Treat the request as anonymous, and change nothing.
    Refuse,
    /// The credential is presented although its successor is in use, so one of them was copied: end the session.
    Reuse,
}

impl OldLoginDecision {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reissue => "reissue",
            Self::Admit => "admit",
            Self::Refuse => "refuse",
            Self::Reuse => "refresh_token_reused",
        }
    }
}

impl RotationPolicy {
    /// Return the row of a session that continues a login of another package. Its tokens count as not yet seen. When the
    /// user authenticated is not known, so the row says 1970.
    ///
    /// `end` is when the old login would have ended; `None` if it was extended by use, so that the limits of this policy
    /// apply.
    pub fn take_over(&self, end: Option<UnixTime>, now: UnixTime) -> Session {
        let start = self.start(now);
        let ends = end.map_or(start, |end| Session { expires_at: end, end_is_fixed: true, ..start });
        Session { acknowledged_at: None, auth_time: Some(UnixTime::EPOCH), ..ends }
    }

    /// Decide what to do with a credential of another package.
    ///
    /// - `credential`: `None` if the other package refuses it. It need not be asked once the new tokens have been seen.
    /// - `moved`: what is known of it, if it was presented before.
    /// - `password_changed_at`: when the user last got a new password. Older credentials are refused.
    /// - `uncertain`: whether the client may have the new tokens although the request does not bring them. The request
    ///   [is an upload](crate::Head::is_upload), which a proxy may have held back, the render server's, or another
    ///   site's link led to it, and cookies of `SameSite=Strict` stay away.
    pub fn decide_old_login(
        &self,
        period: &OldLoginPeriod,
        credential: Option<&OldCredential>,
        moved: Option<&MovedLogin>,
        password_changed_at: Option<UnixTime>,
        uncertain: bool,
        now: UnixTime,
    ) -> OldLoginDecision {
        if now >= period.until {
            return OldLoginDecision::Refuse;
        }
        let accepted = credential.filter(|credential| credential.is_valid(password_changed_at, now));
        match moved {
            Some(moved) if moved.is_live => self.decide_moved(moved, accepted.is_some(), uncertain, now),
            // The session has ended, or it has expired after use.
            Some(moved) if moved.seen_at.is_some() || now < moved.first_end => OldLoginDecision::Refuse,
            // The client never used a session that it may have started.
            _ => match accepted {
                None => OldLoginDecision::Refuse,
                Some(credential) if credential.is_renewable && now >= period.since => OldLoginDecision::Start,
                Some(_) => OldLoginDecision::Admit,
            },
        }
    }

    fn decide_moved(&self, moved: &MovedLogin, is_accepted: bool, uncertain: bool, now: UnixTime) -> OldLoginDecision {
        match moved.seen_at {
            None if is_accepted => OldLoginDecision::Reissue,
            None => OldLoginDecision::Refuse,
            // By time alone, as uploads with an older refresh token.
            Some(_) if uncertain => {
                if now.saturating_duration_since(moved.moved_at) <= MAX_UPLOAD_DELAY {
                    OldLoginDecision::Admit
                } else {
                    OldLoginDecision::Refuse
                }
            }
            Some(seen) if self.is_past_grace(seen, now) => OldLoginDecision::Reuse,
            Some(_) => OldLoginDecision::Reissue,
        }
    }
}

impl OldCredential {
    fn is_valid(&self, password_changed_at: Option<UnixTime>, now: UnixTime) -> bool {
        let is_newer = |changed| self.issued_at.is_some_and(|issued| issued >= changed);
        self.expires_at.is_none_or(|end| now < end) && password_changed_at.is_none_or(is_newer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Lifetimes;

    const DAY: Duration = Duration::from_secs(86_400);
    const GRACE: Duration = Duration::from_secs(30);
    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    const PERIOD: OldLoginPeriod = OldLoginPeriod::new(NOW.saturating_sub(DAY), NOW.saturating_add(DAY));
    const CREDENTIAL: OldCredential =
        OldCredential::new(Some(NOW.saturating_sub(DAY)), Some(NOW.saturating_add(DAY)), true);
    const UNSEEN: MovedLogin =
        MovedLogin::new(NOW.saturating_sub(Duration::from_secs(60)), NOW.saturating_add(DAY), None, true);

    fn policy() -> RotationPolicy {
        let lifetimes = Lifetimes::new(Duration::from_secs(300), DAY, Some(30 * DAY)).unwrap();
        RotationPolicy::new(lifetimes, GRACE)
    }

    fn decide(credential: Option<OldCredential>, moved: Option<MovedLogin>) -> OldLoginDecision {
        policy().decide_old_login(&PERIOD, credential.as_ref(), moved.as_ref(), None, false, NOW)
    }

    fn seen(ago: u64) -> MovedLogin {
        MovedLogin { seen_at: Some(NOW - Duration::from_secs(ago)), ..UNSEEN }
    }

    #[test]
    fn renewable_credential_starts_a_session_and_any_other_only_admits() {
        assert_eq!(decide(Some(CREDENTIAL), None), OldLoginDecision::Start);
        assert_eq!(decide(Some(OldCredential { is_renewable: false, ..CREDENTIAL }), None), OldLoginDecision::Admit);
        assert_eq!(decide(Some(OldCredential { expires_at: None, ..CREDENTIAL }), None), OldLoginDecision::Start);
        assert_eq!(decide(None, None), OldLoginDecision::Refuse);
        assert_eq!(decide(Some(OldCredential { expires_at: Some(NOW), ..CREDENTIAL }), None), OldLoginDecision::Refuse);
    }

    #[test]
    fn sessions_start_within_the_period_only() {
        let at = |now| policy().decide_old_login(&PERIOD, Some(&CREDENTIAL), None, None, false, now);
        let second = Duration::from_secs(1);
        assert_eq!(at(PERIOD.since - second), OldLoginDecision::Admit, "the other package renews it");
        assert_eq!(at(PERIOD.since), OldLoginDecision::Start);
        assert_eq!(at(PERIOD.until - second), OldLoginDecision::Start);
        assert_eq!(at(PERIOD.until), OldLoginDecision::Refuse);
    }

    #[test]
    fn credential_is_good_until_the_new_tokens_are_seen_and_for_the_grace_after() {
        assert_eq!(decide(Some(CREDENTIAL), Some(UNSEEN)), OldLoginDecision::Reissue);
        assert_eq!(decide(None, Some(UNSEEN)), OldLoginDecision::Refuse, "the other package refuses it by now");
        assert_eq!(decide(None, Some(seen(29))), OldLoginDecision::Reissue, "it has been spent");
        assert_eq!(decide(None, Some(seen(30))), OldLoginDecision::Reuse);
        assert_eq!(decide(Some(CREDENTIAL), Some(seen(30))), OldLoginDecision::Reuse, "it cannot be spent");
    }

    #[test]
    fn credential_of_an_ended_session_is_refused() {
        for moved in [UNSEEN, seen(0), seen(1000)] {
            let ended = MovedLogin { is_live: false, ..moved };
            assert_eq!(decide(Some(CREDENTIAL), Some(ended)), OldLoginDecision::Refuse, "{ended:?}");
        }
    }

    #[test]
    fn session_that_expired_unseen_is_started_again() {
        let expired = MovedLogin { is_live: false, first_end: NOW, ..UNSEEN };
        assert_eq!(decide(Some(CREDENTIAL), Some(expired)), OldLoginDecision::Start);
        let used = MovedLogin { seen_at: Some(NOW - DAY), ..expired };
        assert_eq!(decide(Some(CREDENTIAL), Some(used)), OldLoginDecision::Refuse);
    }

    #[test]
    fn late_upload_ends_nothing() {
        let at = |moved: MovedLogin, now| policy().decide_old_login(&PERIOD, None, Some(&moved), None, true, now);
        let last = UNSEEN.moved_at + MAX_UPLOAD_DELAY;
        assert_eq!(at(seen(0), last), OldLoginDecision::Admit);
        assert_eq!(at(seen(0), last + Duration::from_secs(1)), OldLoginDecision::Refuse);
    }

    #[test]
    fn new_password_refuses_older_credentials() {
        let after = |changed, credential: OldCredential| {
            policy().decide_old_login(&PERIOD, Some(&credential), None, Some(changed), false, NOW)
        };
        let issued = CREDENTIAL.issued_at.unwrap();
        assert_eq!(after(issued, CREDENTIAL), OldLoginDecision::Start);
        assert_eq!(after(issued + Duration::from_secs(1), CREDENTIAL), OldLoginDecision::Refuse);
        let undated = OldCredential { issued_at: None, ..CREDENTIAL };
        assert_eq!(after(issued, undated), OldLoginDecision::Refuse);
    }

    #[test]
    fn session_lasts_as_long_as_the_old_login() {
        let sliding = policy().take_over(None, NOW);
        assert_eq!((sliding.expires_at, sliding.end_is_fixed), (NOW + DAY, false));
        let fixed = policy().take_over(Some(NOW + 3 * DAY), NOW);
        assert_eq!((fixed.expires_at, fixed.end_is_fixed), (NOW + 3 * DAY, true));
        assert_eq!((sliding.acknowledged_at, fixed.acknowledged_at), (None, None));
    }

    fn times() -> impl Strategy<Value = UnixTime> {
        (0..200_000_u64).prop_map(|seconds| NOW - Duration::from_secs(100_000) + Duration::from_secs(seconds))
    }

    proptest! {
        /// Whatever happened before, an access token never becomes a session, and a refused credential starts none.
        #[test]
        fn only_an_accepted_renewable_credential_starts_a_session(
            issued in proptest::option::of(times()),
            expires in proptest::option::of(times()),
            renewable: bool,
            is_accepted: bool,
            moved in proptest::option::of((times(), times(), proptest::option::of(times()), any::<bool>())),
            changed in proptest::option::of(times()),
            uncertain: bool,
            now in times(),
        ) {
            let credential = OldCredential::new(issued, expires, renewable);
            let moved = moved.map(|(at, end, seen, live)| MovedLogin::new(at, end, seen, live));
            let decision = policy().decide_old_login(
                &PERIOD, is_accepted.then_some(&credential), moved.as_ref(), changed, uncertain, now,
            );
            if decision == OldLoginDecision::Start {
                prop_assert!(is_accepted && renewable && now >= PERIOD.since && now < PERIOD.until);
                prop_assert!(expires.is_none_or(|end| now < end));
                prop_assert!(changed.is_none_or(|changed| issued.is_some_and(|issued| issued >= changed)));
                prop_assert!(moved.is_none_or(|moved| !moved.is_live && moved.seen_at.is_none()));
            }
            if decision == OldLoginDecision::Reuse {
                prop_assert!(moved.is_some_and(|moved| moved.is_live && moved.seen_at.is_some()) && !uncertain);
            }
        }
    }
}
