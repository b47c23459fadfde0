//! Sessions that this process has asked the database about, remembered for a bounded time.

use std::{
    array, fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::{Claims, Generation};

/// Sessions share a counter of ends with every 64th other.
const COUNTERS: usize = 64;

/// A bounded memory of verified sessions, for the modes that ask the database less often than every request.
///
/// An entry is for one generation and one subject: the first request of a generation that a process sees always asks
/// the database, which acknowledges it, and a token that names another user is not this session's. What is forgotten is
/// asked for again, so the bound costs queries and never a verdict.
///
/// What the database accepts may depend on more than the claims: on which database is asked, on the tenant that a host
/// names. The caller gives each such combination a number, the scope, and what was remembered in one scope does not answer
/// in another. An end is for every scope. A service with one database and no tenants always passes the same number.
///
/// A time is a [`Duration`] since any one moment, by a clock that is never set back, such as
/// [`Instant::elapsed`](std::time::Instant::elapsed).
///
/// A session may end here while the database still answers that it lives. So each question takes an [`Asked`] before,
/// and what was [forgotten](Self::forget) since is not remembered.
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

/// When the database was asked about a session, and in which scope.
#[derive(Clone, Copy, Debug)]
#[must_use = "what the database answers is to be remembered with it"]
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
    /// Remember about `capacity` sessions, the more used ones rather.
    pub fn new(capacity: usize) -> Self {
        Self { seen: Cache::new(capacity), ends: array::from_fn(|_| Mutex::new(0)) }
    }

    /// Note that the database is about to be asked about this session in this scope, at `now`.
    pub fn asking(&self, session: Uuid, scope: u64, now: Duration) -> Asked {
        Asked { at: now, scope, ends: *self.ends(session) }
    }

    /// Remember that the database accepted the session of these claims, and their subject as its user, in the scope that
    /// it was asked in. What was remembered of the session in another scope is replaced.
    pub fn remember(&self, claims: &Claims, asked: Asked) {
        let session = claims.sid.session_id();
        let ends = self.ends(session); // held, so that an end comes before, and is seen, or after, and removes this
        if *ends == asked.ends {
            let subject = claims.subject.as_str().into();
            let Asked { at, scope, .. } = asked;
            self.seen.insert(session, Seen { generation: claims.generation, subject, at, scope });
        }
    }

    /// Return whether the database accepted such claims in this scope less than `interval` ago; `None`: ever.
    pub fn is_fresh(&self, claims: &Claims, scope: u64, now: Duration, interval: Option<Duration>) -> bool {
        self.seen.get(&claims.sid.session_id()).is_some_and(|seen| {
            seen.scope == scope
                && seen.generation == claims.generation
                && *seen.subject == claims.subject
                && interval.is_none_or(|interval| now.checked_sub(seen.at).is_some_and(|age| age < interval))
        })
    }

    /// Forget a session in every scope, since this process has ended it or found it to be over.
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
    use crate::{CustomClaims, Sid, UnixTime};

    const START: Duration = Duration::ZERO;
    const HERE: u64 = 1;

    fn claims(session: u16, generation: u64, subject: &str) -> Claims {
        let mut sid = [0; 20];
        sid[..2].copy_from_slice(&session.to_be_bytes());
        let sid = Sid::from_bytes(sid);
        let (generation, time, custom) = (Generation::new(generation), UnixTime::EPOCH, CustomClaims::default());
        Claims { subject: subject.to_owned(), sid, generation, issued_at: time, expires_at: time, custom }
    }

    fn remember(sessions: &VerifiedSessions, claims: &Claims, at: Duration) {
        sessions.remember(claims, sessions.asking(claims.sid.session_id(), HERE, at));
    }

    #[test]
    fn a_session_is_fresh_for_less_than_the_interval() {
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
    fn another_generation_or_subject_is_not_known() {
        let sessions = VerifiedSessions::new(10);
        remember(&sessions, &claims(1, 2, "ada"), START);
        for other in [claims(1, 1, "ada"), claims(1, 3, "ada"), claims(1, 2, "bob"), claims(2, 2, "ada")] {
            assert!(!sessions.is_fresh(&other, HERE, START, None), "{other:?}");
        }
    }

    #[test]
    fn what_one_scope_remembers_does_not_answer_in_another() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        remember(&sessions, &ada, START);
        for other in [0, 2, u64::MAX] {
            assert!(!sessions.is_fresh(&ada, other, START, None), "{other}");
        }
        sessions.remember(&ada, sessions.asking(ada.sid.session_id(), 2, START));
        assert!(sessions.is_fresh(&ada, 2, START, None));
        assert!(!sessions.is_fresh(&ada, HERE, START, None), "one scope a session is remembered");
    }

    #[test]
    fn an_end_is_for_every_scope() {
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
    fn an_ended_session_is_forgotten_at_once() {
        let sessions = VerifiedSessions::new(10);
        let ada = claims(1, 1, "ada");
        remember(&sessions, &ada, START);
        sessions.forget(ada.sid.session_id());
        assert!(!sessions.is_fresh(&ada, HERE, START, None));
    }

    #[test]
    fn what_ended_while_the_database_was_asked_is_not_remembered() {
        let sessions = VerifiedSessions::new(10);
        let (ada, bob) = (claims(1, 1, "ada"), claims(2, 1, "bob"));
        let asked = sessions.asking(ada.sid.session_id(), HERE, START);
        sessions.forget(ada.sid.session_id());
        sessions.remember(&ada, asked);
        assert!(!sessions.is_fresh(&ada, HERE, START, None));
        sessions.remember(&bob, sessions.asking(bob.sid.session_id(), HERE, START));
        assert!(sessions.is_fresh(&bob, HERE, START, None));
        remember(&sessions, &ada, START); // only who asks again may say that it lives
        assert!(sessions.is_fresh(&ada, HERE, START, None));
    }

    #[test]
    fn threads_never_see_a_session_that_has_ended() {
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
    fn memory_is_bounded() {
        let sessions = VerifiedSessions::new(100);
        for session in 0..10_000 {
            remember(&sessions, &claims(session, 1, "ada"), START);
        }
        assert!(sessions.seen.len() <= 100);
        assert_eq!(format!("{sessions:?}"), format!("VerifiedSessions {{ len: {}, .. }}", sessions.seen.len()));
    }
}
