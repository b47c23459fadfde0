//! Points in time, in whole seconds.

use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, SystemTime},
};

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, a `NumericDate` (RFC 7519 §2) without a fraction.
///
/// Arithmetic saturates at [`EPOCH`](Self::EPOCH) and [`MAX`](Self::MAX), and ignores the fractional second of a
/// [`Duration`].
///
/// ```
/// use std::time::Duration;
/// use jwtauth::UnixTime;
///
/// let login = UnixTime::from_secs(1_700_000_000);
/// let later = login + Duration::from_millis(5_900);
/// assert_eq!(later.as_secs(), 1_700_000_005);
/// assert_eq!(later.saturating_duration_since(login), Duration::from_secs(5));
/// assert_eq!(login.saturating_duration_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(u64);

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The latest point in time, which means "never".
    pub const MAX: Self = Self(u64::MAX);

    /// Return the time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Return the seconds since 1970-01-01T00:00:00Z.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Return the time elapsed since `earlier`, or zero if `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// Add the whole seconds of `duration`, up to [`MAX`](Self::MAX). The same as `+`, but usable in constants.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Subtract the whole seconds of `duration`, down to [`EPOCH`](Self::EPOCH). The same as `-`, but usable in
    /// constants.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }
}

/// Saturates, and ignores the fractional second.
impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

/// Saturates, and ignores the fractional second.
impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub(duration)
    }
}

/// Keeps the whole seconds. A time before 1970 becomes [`UnixTime::EPOCH`].
impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// Writes the seconds, as in a token.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Return the duration without its fractional second.
pub(crate) const fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_ignores_fractions() {
        let time = UnixTime::from_secs(10);
        assert_eq!(time + Duration::from_millis(1_999), UnixTime::from_secs(11));
        assert_eq!(time - Duration::from_millis(1_999), UnixTime::from_secs(9));
        assert_eq!(time + Duration::MAX, UnixTime::MAX);
        assert_eq!(time - Duration::MAX, UnixTime::EPOCH);
        assert_eq!(UnixTime::MAX.saturating_duration_since(UnixTime::EPOCH), Duration::from_secs(u64::MAX));
        assert_eq!(UnixTime::EPOCH.saturating_duration_since(time), Duration::ZERO);
    }

    #[test]
    fn system_time_is_converted_to_whole_seconds() {
        let at = |duration| UnixTime::from(SystemTime::UNIX_EPOCH + duration);
        assert_eq!(at(Duration::from_millis(1_999)), UnixTime::from_secs(1));
        assert_eq!(UnixTime::from(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), UnixTime::EPOCH);
    }

    #[test]
    fn display_shows_the_seconds() {
        assert_eq!(UnixTime::from_secs(1_700_000_000).to_string(), "1700000000");
        assert_eq!(format!("{:>3}", UnixTime::default()), "  0");
    }
}
