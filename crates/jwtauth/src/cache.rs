//! Sessions that this process has asked the database about, remembered for a bounded time.

use std::fmt;

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::Generation;

/// A bounded memory of verified sessions, for the modes that ask the database less often than every request.
///
/// An entry is for one generation: the first request of a generation that a process sees always asks the database,
/// which acknowledges it. What is forgotten is asked for again, so the bound costs queries and never a verdict. Times
/// are monotonic milliseconds of the caller's clock.
pub struct VerifiedSessions {
    seen: Cache<Uuid, Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    generation: Generation,
    at: u64,
}

impl VerifiedSessions {
    /// Remembers about `capacity` sessions, the more used ones rather.
    pub fn new(capacity: usize) -> Self {
        Self { seen: Cache::new(capacity) }
    }

    /// The database accepted this session at `at`, which is the time *before* it was asked.
    pub fn remember(&self, session: Uuid, generation: Generation, at: u64) {
        self.seen.insert(session, Seen { generation, at });
    }

    /// Whether the database accepted this generation of the session less than `interval` ago; `None`: ever.
    pub fn is_fresh(&self, session: Uuid, generation: Generation, now: u64, interval: Option<u64>) -> bool {
        self.seen.get(&session).is_some_and(|seen| {
            seen.generation == generation
                && interval.is_none_or(|interval| now.checked_sub(seen.at).is_some_and(|age| age < interval))
        })
    }

    /// This process has ended the session, or learnt that it is over.
    pub fn forget(&self, session: Uuid) {
        self.seen.remove(&session);
    }

    /// This process may have ended any session.
    pub fn clear(&self) {
        self.seen.clear();
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

    const ID: Uuid = Uuid::from_u128(1);

    #[test]
    fn a_session_is_fresh_for_less_than_the_interval() {
        let sessions = VerifiedSessions::new(10);
        assert!(!sessions.is_fresh(ID, 1, 0, None));
        sessions.remember(ID, 1, 1000);
        assert!(sessions.is_fresh(ID, 1, 1999, Some(1000)));
        assert!(!sessions.is_fresh(ID, 1, 2000, Some(1000)));
        assert!(!sessions.is_fresh(ID, 1, 1000, Some(0)));
        assert!(!sessions.is_fresh(ID, 1, 999, Some(1000)));
        assert!(sessions.is_fresh(ID, 1, u64::MAX, None));
    }

    #[test]
    fn another_generation_is_not_known() {
        let sessions = VerifiedSessions::new(10);
        sessions.remember(ID, 2, 0);
        assert!(!sessions.is_fresh(ID, 1, 0, None));
        assert!(!sessions.is_fresh(ID, 3, 0, None));
    }

    #[test]
    fn an_ended_session_is_forgotten_at_once() {
        let sessions = VerifiedSessions::new(10);
        sessions.remember(ID, 1, 0);
        sessions.forget(ID);
        assert!(!sessions.is_fresh(ID, 1, 0, None));
        sessions.remember(ID, 1, 0);
        sessions.clear();
        assert!(!sessions.is_fresh(ID, 1, 0, None));
    }

    #[test]
    fn memory_is_bounded() {
        let sessions = VerifiedSessions::new(100);
        for id in 0..10_000 {
            sessions.remember(Uuid::from_u128(id), 1, 0);
        }
        assert!(format!("{sessions:?}").trim_end_matches([' ', '}']).ends_with(|c: char| c.is_ascii_digit()));
        assert!(sessions.seen.len() <= 100);
    }
}
