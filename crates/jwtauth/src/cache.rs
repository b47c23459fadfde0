//! Sessions that this process has asked the database about, remembered for a bounded time.

use std::{fmt, sync::Arc};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::{Claims, Generation};

/// A bounded memory of verified sessions, for the modes that ask the database less often than every request.
///
/// An entry is for one generation and one subject: the first request of a generation that a process sees always asks
/// the database, which acknowledges it, and a token that names another person is none of this session's. What is
/// forgotten is asked for again, so the bound costs queries and never a verdict. Times are monotonic milliseconds of
/// the caller's clock.
pub struct VerifiedSessions {
    seen: Cache<Uuid, Seen>,
}

#[derive(Clone)]
struct Seen {
    generation: Generation,
    subject: Arc<str>,
    at: u64,
}

impl VerifiedSessions {
    /// Remembers about `capacity` sessions, the more used ones rather.
    pub fn new(capacity: usize) -> Self {
        Self { seen: Cache::new(capacity) }
    }

    /// The database accepted the session of these claims, and their subject as its user, at `at`: the time *before* it
    /// was asked.
    pub fn remember(&self, claims: &Claims, at: u64) {
        let seen = Seen { generation: claims.generation, subject: claims.subject.as_str().into(), at };
        self.seen.insert(claims.sid.session_id(), seen);
    }

    /// Whether the database accepted such claims less than `interval` ago; `None`: ever.
    pub fn is_fresh(&self, claims: &Claims, now: u64, interval: Option<u64>) -> bool {
        self.seen.get(&claims.sid.session_id()).is_some_and(|seen| {
            seen.generation == claims.generation
                && *seen.subject == claims.subject
                && interval.is_none_or(|interval| now.checked_sub(seen.at).is_some_and(|age| age < interval))
        })
    }

    /// This process has ended the session, or learnt that it is over.
    pub fn forget(&self, session: Uuid) {
        self.seen.remove(&session);
    }
}

impl fmt::Debug for VerifiedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedSessions").field("len", &self.seen.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CustomClaims, Sid};

    fn claims(session: u16, generation: Generation, subject: &str) -> Claims {
        let mut sid = [0; 16];
        sid[..2].copy_from_slice(&session.to_be_bytes());
        let sid = Sid::from_bytes(sid);
        let custom = CustomClaims::default();
        Claims { subject: subject.to_owned(), sid, generation, issued_at: 0, expires_at: 0, custom }
    }

    #[test]
    fn a_session_is_fresh_for_less_than_the_interval() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        assert!(!sessions.is_fresh(&ada, 0, None));
        sessions.remember(&ada, 1000);
        assert!(sessions.is_fresh(&ada, 1999, Some(1000)));
        assert!(!sessions.is_fresh(&ada, 2000, Some(1000)));
        assert!(!sessions.is_fresh(&ada, 1000, Some(0)));
        assert!(!sessions.is_fresh(&ada, 999, Some(1000)));
        assert!(sessions.is_fresh(&ada, u64::MAX, None));
    }

    #[test]
    fn another_generation_or_subject_is_not_known() {
        let sessions = VerifiedSessions::new(10);
        sessions.remember(&claims(1, 2, "ada"), 0);
        for other in [claims(1, 1, "ada"), claims(1, 3, "ada"), claims(1, 2, "bob"), claims(2, 2, "ada")] {
            assert!(!sessions.is_fresh(&other, 0, None), "{other:?}");
        }
    }

    #[test]
    fn an_ended_session_is_forgotten_at_once() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        sessions.remember(&ada, 0);
        sessions.forget(ada.sid.session_id());
        assert!(!sessions.is_fresh(&ada, 0, None));
    }

    #[test]
    fn memory_is_bounded() {
        let sessions = VerifiedSessions::new(100);
        for session in 0..10_000 {
            sessions.remember(&claims(session, 1, "ada"), 0);
        }
        assert!(sessions.seen.len() <= 100);
        assert_eq!(format!("{sessions:?}"), format!("VerifiedSessions {{ len: {} }}", sessions.seen.len()));
    }
}
