//! The strict check: is the session of a verified access token still valid?

use super::Site;
use crate::{Claims, Identity, Session, UnixTime, session::is_last_seen_stale};

/// The row of a session, as found for a verified access token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FoundRow<'a> {
    /// The row.
    pub session: &'a Session,
    /// The session's user, as named in tokens. `None` if the name may have changed since the token was issued; it is
    /// then not compared.
    pub subject: Option<&'a str>,
    /// When the user was last seen.
    pub last_seen_at: UnixTime,
}

impl<'a> FoundRow<'a> {
    /// Create the row of this session and user, last seen at that time.
    pub fn new(session: &'a Session, subject: Option<&'a str>, last_seen_at: UnixTime) -> Self {
        Self { session, subject, last_seen_at }
    }
}

/// The result of the strict check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Check {
    /// The session has ended or belongs to another user, so the request is anonymous. Write nothing and clear no
    /// cookie.
    Over,
    /// The user is signed in.
    Live {
        /// Write `acknowledged_at = now` if it is empty and the generation is still the one that was read.
        acknowledge: bool,
        /// Write the time at which the user was last seen.
        update_last_seen: bool,
    },
}

impl Site {
    /// Check a verified access token against the row of its session, as read at `now`. Pass `None` if the row does not
    /// exist or its user may not sign in.
    ///
    /// The first use of the newest generation acknowledges it, unless the request [is
    /// rendering](Identity::is_rendering). Only requests that are not [safe](crate::Head::is_safe) but [activity](crate::Head::is_activity) update when the user
    /// was last seen, at most once per [`LAST_SEEN_INTERVAL`](crate::LAST_SEEN_INTERVAL).
    ///
    /// ```
    /// # use jwtauth::*;
    /// # fn example(site: &Site, identity: &Identity, claims: &Claims, row: &Session) {
    /// let now = UnixTime::from_secs(1_700_000_000);
    /// match site.check(identity, claims, Some(FoundRow::new(row, Some("42"), now)), now) {
    ///     Check::Live { acknowledge, .. } => println!("signed in; to be acknowledged: {acknowledge}"),
    ///     _ => println!("anonymous"),
    /// }
    /// # }
    /// ```
    pub fn check(&self, identity: &Identity, claims: &Claims, row: Option<FoundRow<'_>>, now: UnixTime) -> Check {
        let Some(FoundRow { session, subject, last_seen_at }) = row else { return Check::Over };
        let is_of_another_user = subject.is_some_and(|subject| subject != claims.subject);
        let is_of_another_key = session.device.confirmation() != claims.confirmation;
        if is_of_another_user || is_of_another_key || self.policy.lifetimes().is_over(session, now) {
            return Check::Over;
        }
        Check::Live {
            acknowledge: !identity.is_rendering() && self.policy.acknowledges(session, claims.generation),
            update_last_seen: !identity.is_safe && !identity.is_idle && is_last_seen_stale(last_seen_at, now),
        }
    }
}
