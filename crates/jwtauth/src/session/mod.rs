//! Sessions: their names, their rows, and their lifetimes.

mod cleanup;
mod clock;
mod lifetimes;
mod verified;

use std::{fmt, str, time::Duration};

use aws_lc_rs::{digest, rand::SecureRandom};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
pub use cleanup::CleanupSchedule;
pub use clock::DatabaseClock;
pub use lifetimes::{Lifetimes, LifetimesError};
use uuid::{Builder, Uuid};
pub use verified::{Asked, VerifiedSessions};

use crate::{Thumbprint, UnixTime};

/// How many times a session's refresh token has been rotated, counting the login as 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(u64);

impl Generation {
    /// The generation of a login.
    pub const FIRST: Self = Self(1);

    /// Return the generation with this number, as stored in a token or a row.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Return the number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Return the next generation. The largest number is its own successor.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Return how many generations this one is after `earlier`; `None` if it is before.
    pub const fn checked_distance_from(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

/// Writes the number, as in a token.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The secret name of a session, stored in its tokens as `sid`: the minute in which the session began, and 128 random
/// bits (OWASP ASVS 5.0 §7.2.3).
///
/// The database stores only the [digest](Sid::session_id). A stolen database therefore contains no name for which a
/// token could be made. `Debug` shows the digest.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Sid([u8; SID_LENGTH]);

/// The length of a [`Sid`] in bytes: 4 for the minute, 16 random ones.
const SID_LENGTH: usize = 20;

impl Sid {
    /// Generate a random name for a session that begins at `now`.
    ///
    /// # Errors
    ///
    /// [`RandomnessError`]: the operating system supplied no random bytes.
    pub fn generate(random: &dyn SecureRandom, now: UnixTime) -> Result<Self, RandomnessError> {
        let mut secret = [0; 16];
        random.fill(&mut secret).map_err(|_| RandomnessError)?;
        Ok(Self::derived(secret, now))
    }

    /// Return the name of a session that begins at `now`, from a secret that the caller can derive again: the first 128
    /// bits of a keyed digest. So a [login that moves in](crate::OldLoginDecision::Reissue) gets the same tokens again.
    pub fn derived(secret: [u8; 16], now: UnixTime) -> Self {
        let mut bytes = [0; SID_LENGTH];
        let (minute, rest) = bytes.split_at_mut(4);
        minute.copy_from_slice(&u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX).to_be_bytes());
        rest.copy_from_slice(&secret);
        Self(bytes)
    }

    /// Return the name with these bytes.
    pub fn from_bytes(bytes: [u8; SID_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Return the ID of the session's row: a version-7 UUID (RFC 9562 §5.7) made from the minute and the first 74 bits
    /// of SHA-256 over the name. It is not secret, and may be shown to users, in logs and in URLs.
    ///
    /// IDs are ordered by time. Sessions that begin, and later end, together are therefore close together in the
    /// table's index. Removing a million of them in random order would write most pages of the index a hundred times.
    pub fn session_id(&self) -> Uuid {
        let [a, b, c, d, ..] = self.0;
        let minute = u64::from(u32::from_be_bytes([a, b, c, d]));
        let digest = digest::digest(&digest::SHA256, &self.0);
        let mut id = [0; 10];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Builder::from_unix_timestamp_millis(minute * 60_000, &id).into_uuid()
    }

    /// Write the value of the claim into the buffer: [`SID_CLAIM_LENGTH`] characters of base64url.
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

/// The length of the claim `sid`: [`SID_LENGTH`] bytes in base64url without padding.
pub(crate) const SID_CLAIM_LENGTH: usize = (SID_LENGTH * 8).div_ceil(6);

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid([redacted], session {})", self.session_id())
    }
}

/// The operating system supplied no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operating system supplied no random bytes")]
#[non_exhaustive]
pub struct RandomnessError;

/// The columns of a session's row that the rules need.
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
    /// The newest issued generation.
    pub generation: Generation,
    /// When the client first sent a token of that generation; `None` until then.
    pub acknowledged_at: Option<UnixTime>,
    /// When that generation was issued. If the session is bound to a device, all its access tokens end one lifetime after
    /// this, so that only a proof of the device's key leads to later ones.
    pub rotated_at: UnixTime,
    /// When the user signed in.
    pub created_at: UnixTime,
    /// When the session expires unless it is refreshed before.
    pub expires_at: UnixTime,
    /// Whether `expires_at` was fixed at login. A refresh then does not move it, and no other limit applies.
    pub end_is_fixed: bool,
    /// When the user last authenticated in this session; `None` if only at login.
    pub auth_time: Option<UnixTime>,
    /// When the session locks unless a request that is activity refreshes it before; `None` if it does not lock.
    pub locks_at: Option<UnixTime>,
    /// Whether the session is bound to a key of the user's device, or of a client.
    pub device: DeviceBinding,
}

/// Whether a session is bound to a key, so that its tokens alone are of no use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum DeviceBinding {
    /// The session is not bound, and need not be.
    #[default]
    Unbound,
    /// The session must be bound before it can be refreshed.
    Required,
    /// The session can be refreshed only with a proof of the key, which a browser keeps.
    Bound,
    /// The session, and each of its access tokens, can be used only with a proof of this key (DPoP, RFC 9449), which a
    /// client keeps that also keeps its tokens itself.
    Dpop(Thumbprint),
}

impl DeviceBinding {
    /// Return whether the session is, or must be, bound to a key: a token alone does nothing.
    pub fn needs_proof(self) -> bool {
        self != Self::Unbound
    }

    /// Return whether the session is, or must be, bound to a key of the browser. Then only a proof of the key leads to
    /// access tokens that end later.
    pub fn is_of_browser(self) -> bool {
        matches!(self, Self::Required | Self::Bound)
    }

    /// Return the key that a client's access tokens are bound to.
    pub fn confirmation(self) -> Option<Thumbprint> {
        if let Self::Dpop(key) = self { Some(key) } else { None }
    }

    /// Return the binding that a row stores: no text if the session is not bound, an empty text if it must be, otherwise
    /// the key.
    pub fn from_stored(device_key: Option<&str>) -> Self {
        match device_key {
            None => Self::Unbound,
            Some("") => Self::Required,
            Some(key) => Thumbprint::from_stored(key).map_or(Self::Bound, Self::Dpop),
        }
    }
}

impl Session {
    /// Create the row of a session that began at `created_at` and expires at `expires_at` unless it is refreshed. It
    /// has the first generation, acknowledged at login.
    ///
    /// Use this for a row that a store has read. A new row comes from
    /// [`RotationPolicy::start`](crate::RotationPolicy::start).
    pub const fn new(created_at: UnixTime, expires_at: UnixTime) -> Self {
        Self {
            generation: Generation::FIRST,
            acknowledged_at: Some(created_at),
            rotated_at: created_at,
            created_at,
            expires_at,
            end_is_fixed: false,
            auth_time: None,
            locks_at: None,
            device: DeviceBinding::Unbound,
        }
    }

    /// Return when the user last authenticated.
    pub fn authenticated_at(&self) -> UnixTime {
        self.auth_time.unwrap_or(self.created_at)
    }

    /// Set the newest generation and when it was issued.
    #[must_use]
    pub const fn with_generation(self, generation: Generation, rotated_at: UnixTime) -> Self {
        Self { generation, rotated_at, ..self }
    }

    /// Set when the client first sent a token of the newest generation.
    #[must_use]
    pub const fn with_acknowledged_at(self, acknowledged_at: Option<UnixTime>) -> Self {
        Self { acknowledged_at, ..self }
    }

    /// Set whether the end was fixed at login.
    #[must_use]
    pub const fn with_fixed_end(self, end_is_fixed: bool) -> Self {
        Self { end_is_fixed, ..self }
    }

    /// Set when the user last authenticated.
    #[must_use]
    pub const fn with_auth_time(self, auth_time: Option<UnixTime>) -> Self {
        Self { auth_time, ..self }
    }

    /// Set when the session locks.
    #[must_use]
    pub const fn with_locks_at(self, locks_at: Option<UnixTime>) -> Self {
        Self { locks_at, ..self }
    }

    /// Return the session as a request shows it that brings a token of the generation `presented`.
    ///
    /// A binding is confirmed by the first token of the generation that it has issued. Until then, an older token tells that
    /// the browser may not have got the answer to its registration, and so may not know its key: to that request, the
    /// session is not bound.
    #[must_use]
    pub fn as_shown_by(self, presented: Generation) -> Self {
        let is_confirmed = self.acknowledged_at.is_some() || presented >= self.generation;
        if self.device == DeviceBinding::Bound && !is_confirmed {
            return self.with_device(DeviceBinding::Unbound);
        }
        self
    }

    /// Set whether the session is bound to a device.
    #[must_use]
    pub const fn with_device(self, device: DeviceBinding) -> Self {
        Self { device, ..self }
    }
}

/// The minimum time between two updates of when a user was last seen, so that most requests write nothing.
pub const LAST_SEEN_INTERVAL: Duration = Duration::from_secs(60);

/// Return whether to write `now` as the time when the user was last seen, given the stored `last_seen`.
pub fn is_last_seen_stale(last_seen: UnixTime, now: UnixTime) -> bool {
    last_seen <= now - LAST_SEEN_INTERVAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_id_contains_the_sha_256_of_the_name() {
        // printf '\0%.0s' {1..20} | sha256sum: de47c9b27eb8d300dbb5...
        let id = Sid::from_bytes([0; 20]).session_id();
        assert_eq!(id.to_string(), "00000000-0000-7e47-89b2-7eb8d300dbb5");
    }

    #[test]
    fn session_ids_are_ordered_by_time() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let begun_at = |now| Sid::generate(&random, UnixTime::from_secs(now)).unwrap().session_id();
        let times = [0, 60, 3600, 1_764_000_000, 1_764_000_060, u64::from(u32::MAX) * 60, u64::MAX];
        assert!(times.map(begun_at)[..6].is_sorted());
        let (seconds, _) = begun_at(1_764_000_059).get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_764_000_000);
    }

    #[test]
    fn session_id_has_the_version_and_variant_of_a_uuid() {
        for byte in 0..=255 {
            let id = Sid::from_bytes([byte; 20]).session_id();
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn generated_names_differ() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let [one, other] = [(); 2].map(|()| Sid::generate(&random, UnixTime::EPOCH).unwrap());
        assert_ne!(one, other);
        assert_ne!(one.session_id(), other.session_id());
    }

    #[test]
    fn debug_shows_the_session_id_instead_of_the_name() {
        let sid = Sid::from_bytes([1; 20]);
        let shown = format!("{sid:?}");
        assert!(shown.contains(&sid.session_id().to_string()) && shown.contains("redacted"));
        assert!(!shown.contains(sid.expose_secret(&mut [0; SID_CLAIM_LENGTH])));
    }

    #[test]
    fn only_the_canonical_encoding_of_a_name_is_accepted() {
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
    fn last_seen_is_stale_after_a_minute() {
        let is_stale = |now| is_last_seen_stale(UnixTime::from_secs(1000), UnixTime::from_secs(now));
        assert!(!is_stale(1059));
        assert!(is_stale(1060));
        assert!(!is_stale(10), "last_seen was written by a clock that is ahead");
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
