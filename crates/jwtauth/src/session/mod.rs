//! A session: its name, its row, and how long it lives.

mod clock;
mod lifetimes;
mod verified;

use std::{fmt, str, time::Duration};

use aws_lc_rs::{digest, rand::SecureRandom};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
pub use clock::DatabaseClock;
pub use lifetimes::{Lifetimes, LifetimesError};
use uuid::{Builder, Uuid};
pub use verified::{Asked, VerifiedSessions};

use crate::UnixTime;

/// How many times a session's refresh token has been rotated, counting the login as 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(u64);

impl Generation {
    /// The generation of a login.
    pub const FIRST: Self = Self(1);

    /// Make the generation of this number, as a token or a row has it.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Return the number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Return the generation after this one. The largest number has no successor and stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Return how many generations this is after `earlier`; `None` if it is before.
    pub const fn checked_distance_from(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

/// The number, as a token has it.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The secret name of a session, which travels in its tokens as `sid`: the minute it began in, and 128 random bits
/// (OWASP ASVS 5.0 §7.2.3).
///
/// The database knows the [digest](Sid::session_id) only, so a stolen database names no session that a token could be
/// made for. `Debug` shows the digest.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Sid([u8; SID_LENGTH]);

/// Bytes of a [`Sid`]: 4 of the minute, 16 random ones.
const SID_LENGTH: usize = 20;

impl Sid {
    /// Make a new random name, of a session that begins at `now`.
    ///
    /// # Errors
    ///
    /// [`RandomnessError`]: the operating system gave no random bytes.
    pub fn generate(random: &dyn SecureRandom, now: UnixTime) -> Result<Self, RandomnessError> {
        let mut bytes = [0; SID_LENGTH];
        let (minute, secret) = bytes.split_at_mut(4);
        minute.copy_from_slice(&u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX).to_be_bytes());
        random.fill(secret).map_err(|_| RandomnessError)?;
        Ok(Self(bytes))
    }

    /// Make the name of these bytes.
    pub fn from_bytes(bytes: [u8; SID_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Return the id of the session's row, which users, logs and URLs may show: a version-7 UUID (RFC 9562 §5.7) of the minute
    /// and the first 74 bits of SHA-256 over the name.
    ///
    /// In order of time, so that sessions that begin together, and end together, are together in the table's index:
    /// removing a million of them in random order writes most of its pages a hundred times.
    pub fn session_id(&self) -> Uuid {
        let [a, b, c, d, ..] = self.0;
        let minute = u64::from(u32::from_be_bytes([a, b, c, d]));
        let digest = digest::digest(&digest::SHA256, &self.0);
        let mut id = [0; 10];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Builder::from_unix_timestamp_millis(minute * 60_000, &id).into_uuid()
    }

    /// Write the value of the claim, [`SID_CLAIM_LENGTH`] characters of base64url, into the buffer.
    pub(crate) fn expose_secret<'b>(&self, buffer: &'b mut [u8; SID_CLAIM_LENGTH]) -> &'b str {
        let _ = BASE64_URL_SAFE_NO_PAD.encode_slice(self.0, buffer);
        str::from_utf8(buffer).unwrap_or_default()
    }

    pub(crate) fn parse(claim: &[u8]) -> Option<Self> {
        let mut bytes = [0; SID_LENGTH];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(claim, &mut bytes).ok()?;
        (length == SID_LENGTH).then_some(Self(bytes))
    }
}

/// Characters of the claim `sid`: [`SID_LENGTH`] bytes in base64url without padding.
pub(crate) const SID_CLAIM_LENGTH: usize = (SID_LENGTH * 8).div_ceil(6);

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid([redacted], session {})", self.session_id())
    }
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no random bytes to be had")]
#[non_exhaustive]
pub struct RandomnessError;

/// What the rules need of a session's row.
///
/// ```
/// use std::time::Duration;
/// use jwtauth::{Generation, Session, UnixTime};
///
/// let (login, rotated) = (UnixTime::from_secs(1_700_000_000), UnixTime::from_secs(1_700_000_600));
/// let session = Session::new(login, rotated + Duration::from_secs(86_400))
///     .with_generation(Generation::new(2), rotated)
///     .with_acknowledged_at(None);
/// assert_eq!((session.created_at, session.rotated_at), (login, rotated));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// The newest generation that has been issued.
    pub generation: Generation,
    /// When something of that generation was first seen back from the client; `None` until then.
    pub acknowledged_at: Option<UnixTime>,
    /// When that generation was issued.
    pub rotated_at: UnixTime,
    /// When the user signed in.
    pub created_at: UnixTime,
    /// When the session is over unless it is refreshed before.
    pub expires_at: UnixTime,
    /// Whether that was fixed at login: no refresh moves it, and no other limit holds.
    pub end_is_fixed: bool,
}

impl Session {
    /// Make the row of a session that began and, unless it is refreshed, ends at these times: of the first generation,
    /// which was seen at login.
    ///
    /// For rows that a store has read. A new one comes from [`RotationPolicy::start`](crate::RotationPolicy::start).
    pub const fn new(created_at: UnixTime, expires_at: UnixTime) -> Self {
        Self {
            generation: Generation::FIRST,
            acknowledged_at: Some(created_at),
            rotated_at: created_at,
            created_at,
            expires_at,
            end_is_fixed: false,
        }
    }

    /// Set the newest generation, and when it was issued.
    #[must_use]
    pub const fn with_generation(self, generation: Generation, rotated_at: UnixTime) -> Self {
        Self { generation, rotated_at, ..self }
    }

    /// Set when something of the newest generation was first seen back from the client.
    #[must_use]
    pub const fn with_acknowledged_at(self, acknowledged_at: Option<UnixTime>) -> Self {
        Self { acknowledged_at, ..self }
    }

    /// Say whether the end was fixed at login.
    #[must_use]
    pub const fn with_fixed_end(self, end_is_fixed: bool) -> Self {
        Self { end_is_fixed, ..self }
    }
}

/// The least time between two notes of when a user was last seen, so that most requests write nothing.
pub const LAST_SEEN_INTERVAL: Duration = Duration::from_secs(60);

/// Return whether to note that the user was seen at `now`, where `last_seen` was noted before.
pub fn is_last_seen_stale(last_seen: UnixTime, now: UnixTime) -> bool {
    last_seen <= now - LAST_SEEN_INTERVAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_a_part_of_the_sha_256_of_the_name() {
        // printf '\0%.0s' {1..20} | sha256sum: de47c9b27eb8d300dbb5...
        let id = Sid::from_bytes([0; 20]).session_id();
        assert_eq!(id.to_string(), "00000000-0000-7e47-89b2-7eb8d300dbb5");
    }

    #[test]
    fn ids_are_in_order_of_time() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let begun_at = |now| Sid::generate(&random, UnixTime::from_secs(now)).unwrap().session_id();
        let times = [0, 60, 3600, 1_764_000_000, 1_764_000_060, u64::from(u32::MAX) * 60, u64::MAX];
        assert!(times.map(begun_at)[..6].is_sorted());
        let (seconds, _) = begun_at(1_764_000_059).get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_764_000_000);
    }

    #[test]
    fn every_id_is_a_uuid_by_its_version_and_variant() {
        for byte in 0..=255 {
            let id = Sid::from_bytes([byte; 20]).session_id();
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn every_new_name_is_another() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let [one, other] = [(); 2].map(|()| Sid::generate(&random, UnixTime::EPOCH).unwrap());
        assert_ne!(one, other);
        assert_ne!(one.session_id(), other.session_id());
    }

    #[test]
    fn debug_shows_the_id_and_not_the_name() {
        let sid = Sid::from_bytes([1; 20]);
        let shown = format!("{sid:?}");
        assert!(shown.contains(&sid.session_id().to_string()) && shown.contains("redacted"));
        assert!(!shown.contains(sid.expose_secret(&mut [0; SID_CLAIM_LENGTH])));
    }

    #[test]
    fn a_name_has_one_spelling() {
        let sid = Sid::from_bytes([255; 20]);
        let mut buffer = [0; SID_CLAIM_LENGTH];
        let claim = sid.expose_secret(&mut buffer);
        assert_eq!(Sid::parse(claim.as_bytes()), Some(sid));
        assert_eq!(claim, "__________________________8");
        let others = [
            "",
            "__________________________",
            "___________________________8",
            "__________________________9",
            "__________________________8=",
            "//////////////////////////8",
            "_____________________w",
        ];
        for other in others {
            assert_eq!(Sid::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_user_is_noted_as_seen_once_a_minute() {
        let is_stale = |now| is_last_seen_stale(UnixTime::from_secs(1000), UnixTime::from_secs(now));
        assert!(!is_stale(1059));
        assert!(is_stale(1060));
        assert!(!is_stale(10), "noted by a clock that is ahead");
    }

    #[test]
    fn generations_are_counted_from_the_login() {
        assert_eq!(Generation::FIRST.next(), Generation::new(2));
        assert_eq!(Generation::new(u64::MAX).next().get(), u64::MAX);
        assert_eq!(Generation::new(5).checked_distance_from(Generation::new(3)), Some(2));
        assert_eq!(Generation::new(3).checked_distance_from(Generation::new(5)), None);
        assert_eq!(Generation::new(7).to_string(), "7");
    }
}
