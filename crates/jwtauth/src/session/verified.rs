//! The sessions that the database has accepted, remembered by this process for a limited time.

use std::{
    array, fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::{Claims, Generation};

/// The number of counters of ended sessions. Each counter is shared by one session in 64.
const COUNTERS: usize = 64;

/// A bounded memory of verified sessions, for the modes that query the database less than once per request.
///
/// An entry is for one generation and one subject. The first request of a generation that a process sees therefore
/// always queries the database, which acknowledges the generation. A token that names another user does not match.
/// Whatever was dropped from memory is queried again, so the bound costs queries but never changes a result.
///
/// The database's answer may depend on more than the claims, such as which database is queried, or the tenant named by
/// a host. The caller numbers each such combination; the number is the scope. An entry of one scope does not answer in
/// another. An ended session is removed from every scope. A service with one database and no tenants always passes the
/// same number.
///
/// Times are [`Duration`]s since any fixed moment, by a clock that is never set back, such as
/// [`Instant::elapsed`](std::time::Instant::elapsed).
///
/// A session may end in this process while a database query still reports it as live. So take an [`Asked`] before each
/// query. If the session was [forgotten](Self::forget) since, the answer is not remembered.
///
/// ```
/// use std::time::{Duration, Instant};
/// use jwtauth::VerifiedSessions;
///
/// # fn example(claims: &jwtauth::Claims, is_live: impl Fn() -> bool) {
/// let sessions = VerifiedSessions::new(10_000);
/// let (started, interval, scope) = (Instant::now(), Duration::from_secs(5), 1);
/// if !sessions.is_fresh(claims, scope, started.elapsed(), Some(interval)) {
///     let asked = sessions.asking(claims.sid.session_id(), scope, started.elapsed());
///     if is_live() {
///         sessions.remember(claims, asked);
///     }
/// }
/// # }
/// ```
pub struct VerifiedSessions {
    seen: Cache<Uuid, Seen>,
    ends: [Mutex<u64>; COUNTERS],
}

/// When, and in which scope, the database was queried for a session.
#[derive(Clone, Copy, Debug)]
#[must_use = "pass it to `remember` with the database's answer"]
pub struct Asked {
    at: Duration,
    scope: u64,
    ends: u64,
}

#[derive(Clone)]
struct Seen {
    generation: Generation,
    subject: Arc<str>,
    at: Duration,
    scope: u64,
}

impl VerifiedSessions {
    /// Create a memory of about `capacity` sessions. Sessions in frequent use are kept longer.
    pub fn new(capacity: usize) -> Self {
        Self { seen: Cache::new(capacity), ends: array::from_fn(|_| Mutex::new(0)) }
    }

    /// Record that the database is about to be queried for this session in this scope, at `now`.
    pub fn asking(&self, session: Uuid, scope: u64, now: Duration) -> Asked {
        Asked { at: now, scope, ends: *self.ends(session) }
    }

    /// Remember that the database accepted the session of these claims, and their subject as its user, in the scope of
    /// the query. This replaces what was remembered of the session in another scope.
    pub fn remember(&self, claims: &Claims, asked: Asked) {
        let session = claims.sid.session_id();
        let ends = self.ends(session); // lock held: an end is either counted before, or removes the entry after
        if *ends == asked.ends {
            let subject = claims.subject.as_str().into();
            let Asked { at, scope, .. } = asked;
            self.seen.insert(session, Seen { generation: claims.generation, subject, at, scope });
        }
    }

    /// Return whether the database accepted these claims in this scope less than `interval` ago; with `None`, at any
    /// time.
    pub fn is_fresh(&self, claims: &Claims, scope: u64, now: Duration, interval: Option<Duration>) -> bool {
        self.fresh(claims, scope, now, interval).is_some()
    }

    /// Return the id of the session if these claims are [fresh](Self::is_fresh). This saves the caller a digest.
    pub fn fresh(&self, claims: &Claims, scope: u64, now: Duration, interval: Option<Duration>) -> Option<Uuid> {
        let session = claims.sid.session_id();
        let is_fresh = self.seen.get(&session).is_some_and(|seen| {
            seen.scope == scope
                && seen.generation == claims.generation
                && *seen.subject == claims.subject
                && interval.is_none_or(|interval| now.checked_sub(seen.at).is_some_and(|age| age < interval))
        });
        is_fresh.then_some(session)
    }

    /// Forget a session in every scope, because this process has ended it or found that it has ended.
    pub fn forget(&self, session: Uuid) {
        let mut ends = self.ends(session);
        *ends = ends.wrapping_add(1);
        self.seen.remove(&session);
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is less than its divisor")]
    fn ends(&self, session: Uuid) -> MutexGuard<'_, u64> {
        let [.., last] = *session.as_bytes();
        self.ends[usize::from(last) % COUNTERS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VerifiedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedSessions").field("len", &self.seen.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;
    use crate::{Sid, UnixTime};

    const START: Duration = Duration::ZERO;
    const HERE: u64 = 1;

    fn claims(session: u16, generation: u64, subject: &str) -> Claims {
        let mut sid = [0; 20];
        sid[..2].copy_from_slice(&session.to_be_bytes());
        let sid = Sid::from_bytes(sid);
        Claims::new(subject, sid, Generation::new(generation), UnixTime::EPOCH, UnixTime::EPOCH)
    }

    fn remember(sessions: &VerifiedSessions, claims: &Claims, at: Duration) {
        sessions.remember(claims, sessions.asking(claims.sid.session_id(), HERE, at));
    }

    #[test]
    fn session_is_fresh_for_less_than_the_interval() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        let at = Duration::from_millis;
        assert!(!sessions.is_fresh(&ada, HERE, START, None));
        remember(&sessions, &ada, at(1000));
        assert!(sessions.is_fresh(&ada, HERE, at(1999), Some(at(1000))));
        assert!(!sessions.is_fresh(&ada, HERE, at(2000), Some(at(1000))));
        assert!(!sessions.is_fresh(&ada, HERE, at(1000), Some(at(0))));
        assert!(!sessions.is_fresh(&ada, HERE, at(999), Some(at(1000))));
        assert!(sessions.is_fresh(&ada, HERE, Duration::MAX, None));
    }

    #[test]
    fn other_generations_and_subjects_are_not_fresh() {
        let sessions = VerifiedSessions::new(10);
        remember(&sessions, &claims(1, 2, "ada"), START);
        for other in [claims(1, 1, "ada"), claims(1, 3, "ada"), claims(1, 2, "bob"), claims(2, 2, "ada")] {
            assert!(!sessions.is_fresh(&other, HERE, START, None), "{other:?}");
        }
    }

    #[test]
    fn entry_of_one_scope_does_not_answer_in_another() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        remember(&sessions, &ada, START);
        for other in [0, 2, u64::MAX] {
            assert!(!sessions.is_fresh(&ada, other, START, None), "{other}");
        }
        sessions.remember(&ada, sessions.asking(ada.sid.session_id(), 2, START));
        assert!(sessions.is_fresh(&ada, 2, START, None));
        assert!(!sessions.is_fresh(&ada, HERE, START, None), "only one scope per session is remembered");
    }

    #[test]
    fn ended_session_is_forgotten_in_every_scope() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        let id = ada.sid.session_id();
        sessions.remember(&ada, sessions.asking(id, 2, START));
        let asked = [HERE, 2].map(|scope| sessions.asking(id, scope, START));
        sessions.forget(id);
        for asked in asked {
            sessions.remember(&ada, asked);
        }
        assert!([HERE, 2].iter().all(|&scope| !sessions.is_fresh(&ada, scope, START, None)));
    }

    #[test]
    fn ended_session_is_forgotten_immediately() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        remember(&sessions, &ada, START);
        sessions.forget(ada.sid.session_id());
        assert!(!sessions.is_fresh(&ada, HERE, START, None));
    }

    #[test]
    fn session_that_ended_during_the_query_is_not_remembered() {
        let sessions = VerifiedSessions::new(10);
        let (ada, bob) = (claims(1, 1, "ada"), claims(2, 1, "bob"));
        let asked = sessions.asking(ada.sid.session_id(), HERE, START);
        sessions.forget(ada.sid.session_id());
        sessions.remember(&ada, asked);
        assert!(!sessions.is_fresh(&ada, HERE, START, None));
        sessions.remember(&bob, sessions.asking(bob.sid.session_id(), HERE, START));
        assert!(sessions.is_fresh(&bob, HERE, START, None));
        remember(&sessions, &ada, START); // a query after the end may report it as live
        assert!(sessions.is_fresh(&ada, HERE, START, None));
    }

    #[test]
    fn threads_never_see_an_ended_session() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        let id = ada.sid.session_id();
        let is_live = AtomicBool::new(true); // the database's row
        for _ in 0..500 {
            is_live.store(true, Ordering::SeqCst);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let asked = sessions.asking(id, HERE, START);
                        if is_live.load(Ordering::SeqCst) {
                            thread::yield_now(); // the answer is on its way
                            sessions.remember(&ada, asked);
                        }
                    });
                }
                scope.spawn(|| {
                    is_live.store(false, Ordering::SeqCst);
                    sessions.forget(id);
                    assert!(!sessions.is_fresh(&ada, HERE, START, None));
                });
            });
            assert!(!sessions.is_fresh(&ada, HERE, START, None));
        }
    }

    #[test]
    fn number_of_remembered_sessions_is_bounded() {
        let sessions = VerifiedSessions::new(100);
        for session in 0..10_000 {
            remember(&sessions, &claims(session, 1, "ada"), START);
        }
        assert!(sessions.seen.len() <= 100);
        assert_eq!(format!("{sessions:?}"), format!("VerifiedSessions {{ len: {}, .. }}", sessions.seen.len()));
    }
}
