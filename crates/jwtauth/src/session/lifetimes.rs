//! How long tokens and sessions live.

use crate::{NumericDate, Session};

/// How long tokens and sessions live, in seconds: `access <= idle <= absolute`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetimes {
    access: u64,
    idle: u64,
    absolute: Option<u64>,
}

impl Lifetimes {
    /// `access`: life of an access token. `idle`: life of a refresh token, started again by each refresh. `absolute`:
    /// life of the session from login, however often it is refreshed; `None` for no limit.
    ///
    /// # Errors
    ///
    /// A [`LifetimesError`] where one is zero or they are out of order.
    pub fn new(access: u64, idle: u64, absolute: Option<u64>) -> Result<Self, LifetimesError> {
        if access == 0 || idle == 0 || absolute == Some(0) {
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

    /// Life of an access token in seconds.
    pub fn access(&self) -> u64 {
        self.access
    }

    /// The end of a session that starts at `now`.
    pub fn first_end(&self, now: NumericDate) -> NumericDate {
        self.end(now, now)
    }

    /// The end of a session that is refreshed at `now`.
    pub fn session_end(&self, session: &Session, now: NumericDate) -> NumericDate {
        if session.end_is_fixed { session.expires_at } else { self.end(session.created_at, now) }
    }

    /// The end of an access token issued at `now`: never after that of its session.
    pub fn access_end(&self, now: NumericDate, session_end: NumericDate) -> NumericDate {
        now.saturating_add(self.access).min(session_end)
    }

    /// Whether the session is over: by its row, or by the absolute limit as it is configured now.
    pub fn is_over(&self, session: &Session, now: NumericDate) -> bool {
        now >= session.expires_at || !session.end_is_fixed && now >= self.absolute_end(session.created_at)
    }

    fn end(&self, created_at: NumericDate, now: NumericDate) -> NumericDate {
        now.saturating_add(self.idle).min(self.absolute_end(created_at))
    }

    fn absolute_end(&self, created_at: NumericDate) -> NumericDate {
        self.absolute.map_or(NumericDate::MAX, |absolute| created_at.saturating_add(absolute))
    }
}

/// Why lifetimes do not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimesError {
    /// A lifetime is not at least one second.
    #[error("every lifetime must be at least one second")]
    Zero,
    /// The access token would outlive the refresh token.
    #[error("the access token's lifetime ({access} s) is longer than the refresh token's ({idle} s)")]
    AccessOverIdle {
        /// Lifetime of the access token in seconds.
        access: u64,
        /// Idle lifetime, that of the refresh token, in seconds.
        idle: u64,
    },
    /// The refresh token would outlive the session.
    #[error("the refresh token's lifetime ({idle} s) is longer than the session's ({absolute} s)")]
    IdleOverAbsolute {
        /// Idle lifetime, that of the refresh token, in seconds.
        idle: u64,
        /// Absolute lifetime of the session in seconds.
        absolute: u64,
    },
}

impl LifetimesError {
    /// The stable name of this error.
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

    const SESSION: Session = Session {
        generation: 1,
        acknowledged_at: None,
        rotated_at: 1000,
        created_at: 1000,
        expires_at: 1100,
        end_is_fixed: false,
    };

    #[test]
    fn lifetimes_are_in_order() {
        assert_eq!(Lifetimes::new(0, 1, None).unwrap_err().code(), "lifetime_zero");
        assert_eq!(Lifetimes::new(1, 0, None).unwrap_err().code(), "lifetime_zero");
        assert_eq!(Lifetimes::new(1, 1, Some(0)).unwrap_err().code(), "lifetime_zero");
        assert_eq!(Lifetimes::new(2, 1, None).unwrap_err().code(), "access_over_idle");
        assert_eq!(Lifetimes::new(1, 3, Some(2)).unwrap_err().code(), "idle_over_absolute");
        assert!(Lifetimes::new(1, 1, Some(1)).is_ok());
    }

    #[test]
    fn a_refresh_extends_the_session_up_to_its_absolute_end() {
        let lifetimes = Lifetimes::new(10, 100, Some(250)).unwrap();
        assert_eq!(lifetimes.first_end(1000), 1100);
        assert_eq!(lifetimes.session_end(&SESSION, 1099), 1199);
        assert_eq!(lifetimes.session_end(&SESSION, 1198), 1250);
        assert_eq!(lifetimes.access_end(1198, 1250), 1208);
        assert_eq!(lifetimes.access_end(1245, 1250), 1250);
        let endless = Lifetimes::new(10, 100, None).unwrap();
        assert_eq!(endless.session_end(&SESSION, 1_000_000), 1_000_100);
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        let lifetimes = Lifetimes::new(u64::MAX, u64::MAX, Some(u64::MAX)).unwrap();
        assert_eq!(lifetimes.session_end(&SESSION, u64::MAX - 1), u64::MAX);
        assert_eq!(lifetimes.access_end(1000, u64::MAX), u64::MAX);
        assert_eq!(lifetimes.access(), u64::MAX);
    }

    #[test]
    fn errors_show_the_lifetimes() {
        let error = |access, idle, absolute| Lifetimes::new(access, idle, absolute).unwrap_err().to_string();
        assert_eq!(error(2, 1, None), "the access token's lifetime (2 s) is longer than the refresh token's (1 s)");
        assert_eq!(error(1, 3, Some(2)), "the refresh token's lifetime (3 s) is longer than the session's (2 s)");
    }

    #[test]
    fn a_shorter_absolute_limit_holds_for_sessions_that_run_already() {
        let lifetimes = Lifetimes::new(10, 50, Some(60)).unwrap();
        assert!(!lifetimes.is_over(&SESSION, 1059));
        assert!(lifetimes.is_over(&SESSION, 1060));
        assert!(Lifetimes::new(10, 50, None).unwrap().is_over(&SESSION, 1100));
    }

    #[test]
    fn no_limit_holds_but_a_fixed_end() {
        let session = Session { end_is_fixed: true, ..SESSION };
        let lifetimes = Lifetimes::new(10, 50, Some(60)).unwrap();
        assert!(!lifetimes.is_over(&session, 1099));
        assert!(lifetimes.is_over(&session, 1100));
        assert_eq!(lifetimes.session_end(&session, 1099), 1100);
    }
}
