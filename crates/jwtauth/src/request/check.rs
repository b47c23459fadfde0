//! The strict check: does the session of a verified access token still hold?

use super::Site;
use crate::{Claims, Identity, Session, UnixTime, session::is_last_seen_stale};

/// The row of a session, as it was found for a verified access token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FoundRow<'a> {
    /// The row.
    pub session: &'a Session,
    /// The session's user, as tokens name them; `None` where that may have changed since the token was issued, so that
    /// it is not compared.
    pub subject: Option<&'a str>,
    /// When the user was last seen.
    pub last_seen_at: UnixTime,
}

impl<'a> FoundRow<'a> {
    /// Make the row of this session and user, last seen at that time.
    pub fn new(session: &'a Session, subject: Option<&'a str>, last_seen_at: UnixTime) -> Self {
        Self { session, subject, last_seen_at }
    }
}

/// The answer of the strict check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Check {
    /// The session has ended, or is another user's: the request is anonymous. Nothing is written, and no cookie cleared.
    Over,
    /// The user is signed in.
    Live {
        /// Write `acknowledged_at = now` where it is empty and the generation still the one that was read.
        acknowledge: bool,
        /// Write when the user was last seen.
        update_last_seen: bool,
    },
}

impl Site {
    /// Check a verified access token against the row of its session, as it was read at `now`; `None`: there is no such
    /// row, or its user may not be signed in.
    ///
    /// The first sight of the newest generation acknowledges it, unless the request [is
    /// rendering](Identity::is_rendering). A user is noted as seen by requests that are not
    /// [safe](crate::Head::is_safe), and at most once in [`LAST_SEEN_INTERVAL`](crate::LAST_SEEN_INTERVAL).
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
        if is_of_another_user || self.policy.lifetimes().is_over(session, now) {
            return Check::Over;
        }
        Check::Live {
            acknowledge: !identity.is_rendering() && self.policy.acknowledges(session, claims.generation),
            update_last_seen: !identity.is_safe && is_last_seen_stale(last_seen_at, now),
        }
    }
}
