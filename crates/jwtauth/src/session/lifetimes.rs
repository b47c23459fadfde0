//! Lifetimes of tokens and sessions.

use std::time::Duration;

use crate::{Session, UnixTime, time::whole_seconds};

/// The lifetimes of tokens and sessions, in whole seconds: `access <= idle <= absolute`.
///
/// ```
/// use std::time::Duration;
///
/// use jwtauth::{Lifetimes, LifetimesError, UnixTime};
///
/// let (access, idle, absolute) = (Duration::from_secs(300), Duration::from_secs(86_400), Duration::from_secs(7 * 86_400));
/// let lifetimes = Lifetimes::new(access, idle, Some(absolute))?;
/// let login = UnixTime::from_secs(1_700_000_000);
/// assert_eq!(lifetimes.first_end(login), login + idle);
/// assert!(Lifetimes::new(idle, access, None).is_err(), "an access token would outlive its session");
/// # Ok::<(), LifetimesError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetimes {
    access: Duration,
    idle: Duration,
    absolute: Option<Duration>,
}

impl Lifetimes {
    /// Create lifetimes. `access` is the lifetime of an access token. `idle` is the lifetime of a refresh token, and
    /// starts again at each refresh. `absolute` is the lifetime of the session since its login, however often it is
    /// refreshed; `None` means no limit. Fractions of a second are ignored.
    ///
    /// # Errors
    ///
    /// A [`LifetimesError`] if a lifetime is less than a second, or if they are out of order.
    pub fn new(access: Duration, idle: Duration, absolute: Option<Duration>) -> Result<Self, LifetimesError> {
        let (access, idle, absolute) = (whole_seconds(access), whole_seconds(idle), absolute.map(whole_seconds));
        if access.is_zero() || idle.is_zero() || absolute.is_some_and(|absolute| absolute.is_zero()) {
            return Err(LifetimesError::Zero);
        }
        if access > idle {
            return Err(LifetimesError::AccessOverIdle { access, idle });
        }
        if let Some(absolute) = absolute.filter(|absolute| *absolute < idle) {
            return Err(LifetimesError::IdleOverAbsolute { idle, absolute });
        }
        Ok(Self { access, idle, absolute })
    }

    /// Return the lifetime of an access token.
    pub fn access(&self) -> Duration {
        self.access
    }

    /// Return the end of a session that starts at `now`.
    pub fn first_end(&self, now: UnixTime) -> UnixTime {
        self.end(now, now)
    }

    /// Return the end of a session that is refreshed at `now`.
    pub fn session_end(&self, session: &Session, now: UnixTime) -> UnixTime {
        if session.end_is_fixed { session.expires_at } else { self.end(session.created_at, now) }
    }

    /// Return the end of an access token of this session that is issued at `now`. It is never after the session ends or
    /// locks.
    pub fn access_end(&self, session: &Session, now: UnixTime) -> UnixTime {
        (now + self.access).min(session.expires_at).min(session.locks_at.unwrap_or(UnixTime::MAX))
    }

    /// Return whether the session has expired: by its row, or by the absolute limit as configured now.
    pub fn is_over(&self, session: &Session, now: UnixTime) -> bool {
        now >= session.expires_at || !session.end_is_fixed && now >= self.absolute_end(session.created_at)
    }

    fn end(&self, created_at: UnixTime, now: UnixTime) -> UnixTime {
        (now + self.idle).min(self.absolute_end(created_at))
    }

    fn absolute_end(&self, created_at: UnixTime) -> UnixTime {
        self.absolute.map_or(UnixTime::MAX, |absolute| created_at + absolute)
    }
}

/// Why lifetimes are not valid.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimesError {
    /// A lifetime is less than one second.
    #[error("every lifetime must be at least one second")]
    Zero,
    /// The access token would outlive the refresh token.
    #[error(
        "the access token's lifetime ({} s) is longer than the refresh token's ({} s)",
        access.as_secs(),
        idle.as_secs()
    )]
    AccessOverIdle {
        /// The lifetime of the access token.
        access: Duration,
        /// The idle lifetime, which is that of the refresh token.
        idle: Duration,
    },
    /// The refresh token would outlive the session.
    #[error(
        "the refresh token's lifetime ({} s) is longer than the session's ({} s)",
        idle.as_secs(),
        absolute.as_secs()
    )]
    IdleOverAbsolute {
        /// The idle lifetime, which is that of the refresh token.
        idle: Duration,
        /// The absolute lifetime of the session.
        absolute: Duration,
    },
}

impl LifetimesError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Zero => "lifetime_zero",
            Self::AccessOverIdle { .. } => "access_over_idle",
            Self::IdleOverAbsolute { .. } => "idle_over_absolute",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceBinding, Generation};

    const SESSION: Session = Session {
        generation: Generation::FIRST,
        acknowledged_at: None,
        rotated_at: at(1000),
        created_at: at(1000),
        expires_at: at(1100),
        end_is_fixed: false,
        auth_time: None,
        locks_at: None,
        device: DeviceBinding::Unbound,
    };

    const fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    fn lifetimes(access: u64, idle: u64, absolute: Option<u64>) -> Result<Lifetimes, LifetimesError> {
        Lifetimes::new(Duration::from_secs(access), Duration::from_secs(idle), absolute.map(Duration::from_secs))
    }

    #[test]
    fn lifetimes_out_of_order_are_refused() {
        assert_eq!(lifetimes(0, 1, None).unwrap_err().code(), "lifetime_zero");
        assert_eq!(lifetimes(1, 0, None).unwrap_err().code(), "lifetime_zero");
        assert_eq!(lifetimes(1, 1, Some(0)).unwrap_err().code(), "lifetime_zero");
        assert_eq!(lifetimes(2, 1, None).unwrap_err().code(), "access_over_idle");
        assert_eq!(lifetimes(1, 3, Some(2)).unwrap_err().code(), "idle_over_absolute");
        assert!(lifetimes(1, 1, Some(1)).is_ok());
    }

    #[test]
    fn refresh_extends_the_session_up_to_its_absolute_end() {
        let limits = lifetimes(10, 100, Some(250)).unwrap();
        assert_eq!(limits.first_end(at(1000)), at(1100));
        assert_eq!(limits.session_end(&SESSION, at(1099)), at(1199));
        assert_eq!(limits.session_end(&SESSION, at(1198)), at(1250));
        let last = Session { expires_at: at(1250), ..SESSION };
        assert_eq!(limits.access_end(&last, at(1198)), at(1208));
        assert_eq!(limits.access_end(&last, at(1245)), at(1250));
        let endless = lifetimes(10, 100, None).unwrap();
        assert_eq!(endless.session_end(&SESSION, at(1_000_000)), at(1_000_100));
    }

    #[test]
    fn largest_lifetimes_do_not_overflow() {
        let limits = lifetimes(u64::MAX, u64::MAX, Some(u64::MAX)).unwrap();
        assert_eq!(limits.session_end(&SESSION, at(u64::MAX - 1)), at(u64::MAX));
        let endless = Session { expires_at: UnixTime::MAX, ..SESSION };
        assert_eq!(limits.access_end(&endless, at(1000)), UnixTime::MAX);
        assert_eq!(limits.access(), Duration::from_secs(u64::MAX));
    }

    #[test]
    fn errors_show_the_lifetimes() {
        let error = |access, idle, absolute| lifetimes(access, idle, absolute).unwrap_err().to_string();
        assert_eq!(error(2, 1, None), "the access token's lifetime (2 s) is longer than the refresh token's (1 s)");
        assert_eq!(error(1, 3, Some(2)), "the refresh token's lifetime (3 s) is longer than the session's (2 s)");
    }

    #[test]
    fn shorter_absolute_limit_applies_to_existing_sessions() {
        let limits = lifetimes(10, 50, Some(60)).unwrap();
        assert!(!limits.is_over(&SESSION, at(1059)));
        assert!(limits.is_over(&SESSION, at(1060)));
        assert!(lifetimes(10, 50, None).unwrap().is_over(&SESSION, at(1100)));
    }

    #[test]
    fn fixed_end_overrides_other_limits() {
        let session = Session { end_is_fixed: true, ..SESSION };
        let limits = lifetimes(10, 50, Some(60)).unwrap();
        assert!(!limits.is_over(&session, at(1099)));
        assert!(limits.is_over(&session, at(1100)));
        assert_eq!(limits.session_end(&session, at(1099)), at(1100));
    }

    #[test]
    fn fractions_of_a_second_are_ignored() {
        let milliseconds = Duration::from_millis;
        let limits = Lifetimes::new(milliseconds(1_900), milliseconds(2_100), Some(milliseconds(2_050))).unwrap();
        assert_eq!(limits, lifetimes(1, 2, Some(2)).unwrap());
        let refused = Lifetimes::new(milliseconds(999), milliseconds(2_100), None).unwrap_err();
        assert_eq!(refused, LifetimesError::Zero);
    }
}
