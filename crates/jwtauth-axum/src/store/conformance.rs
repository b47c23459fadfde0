//! Checks that every store must pass. Run them in a test of your own store.
//!
//! ```
//! use jwtauth_axum::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::check(&MemoryStore::default(), "1", "2").await;
//! # }
//! ```

#![expect(clippy::panic, reason = "like a test, each check panics if the store fails it")]

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{DeviceBinding, Generation, Methods, Session, Sid, UnixTime};
use uuid::Uuid;

use super::{FoundSession, InsertError, Limit, LimitPolicy, Record, SessionStore, StoreError};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const SECOND: Generation = Generation::new(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MISSING: Uuid = Uuid::nil();

/// Run all checks for two users who exist, are active and have no sessions. No session is left.
///
/// # Panics
///
/// If the store fails a check.
pub async fn check(store: &impl SessionStore, user: &str, other_user: &str) {
    session_is_found_as_written(store, user).await;
    missing_session_is_not_found(store).await;
    swap_succeeds_once(store, user).await;
    authentication_is_written_by_a_swap(store, user).await;
    device_key_is_written_by_a_swap(store, user).await;
    device_key_is_removed_only_if_the_row_is_not_acknowledged(store, user).await;
    generation_is_acknowledged_once(store, user).await;
    last_seen_is_updated(store, user).await;
    sessions_of_a_user_are_listed(store, user, other_user).await;
    ended_sessions_are_counted(store, user).await;
    oldest_session_is_removed_over_the_limit(store, user, other_user).await;
    login_over_the_limit_is_refused(store, user).await;
    acting_sessions_do_not_count(store, user).await;
    session_is_replaced_once(store, user).await;
    expired_sessions_are_removed(store, user).await;
}

/// Check concurrent requests: exactly one of many rotations of the same generation wins, one of many sessions replaces
/// another, and many simultaneous logins respect the limit.
///
/// # Panics
///
/// If none or several rotations or replacements win, or if there are more sessions than the limit.
pub async fn check_race(store: Arc<impl SessionStore>, user: &str) {
    let id = insert(&*store, record(user, NOW)).await;
    for number in 1..=20 {
        let generation = Generation::new(number);
        let racers = (0..16).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                loop {
                    match store.advance(id, generation, row(generation.next(), NOW), None, NOW).await {
                        Err(StoreError::Busy(_)) => tokio::task::yield_now().await,
                        done => return done.is_ok_and(|won| won),
                    }
                }
            })
        });
        let mut won = 0;
        for racer in racers.collect::<Vec<_>>() {
            won += u32::from(racer.await.unwrap_or_else(|error| panic!("a racer: {error}")));
        }
        assert_eq!(won, 1, "one of 16 wins the swap of generation {generation}");
    }
    let replacements: Vec<Record> = (0..16).map(|_| record(user, NOW)).collect();
    let racers = replacements.iter().cloned().map(|next| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            loop {
                match store.replace(id, next.clone(), NOW).await {
                    Err(InsertError::Store(StoreError::Busy(_))) => tokio::task::yield_now().await,
                    done => return done.is_ok_and(|won| won),
                }
            }
        })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        won += u32::from(racer.await.unwrap_or_else(|error| panic!("a racer: {error}")));
    }
    let ids: Vec<Uuid> = replacements.iter().map(|next| next.id).collect();
    assert_eq!((won, end(&*store, &ids).await), (1, 1), "one of 16 replaces the session");
    let limit = Limit::new(3, LimitPolicy::EndOldest);
    let logins = (0..16).map(|_| {
        let (store, limit, user) = (Arc::clone(&store), limit.clone(), user.to_owned());
        tokio::spawn(async move {
            loop {
                match store.insert(record(&user, NOW), Some(limit.clone()), NOW).await {
                    Err(InsertError::Store(StoreError::Busy(_))) => tokio::task::yield_now().await,
                    done => return done.map(|_| ()),
                }
            }
        })
    });
    for login in logins.collect::<Vec<_>>() {
        let done = login.await.unwrap_or_else(|error| panic!("a login: {error}"));
        assert!(done.is_ok(), "{done:?}");
    }
    let live = of_user(&*store, user, NOW).await;
    assert_eq!(live.len(), 3, "as many as the limit");
    end(&*store, &live).await;
}

fn row(generation: Generation, now: UnixTime) -> Session {
    Session::new(now, now + DAY).with_generation(generation, now)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn methods(names: &[&str]) -> Methods {
    Methods::new(names).unwrap_or_else(|error| panic!("{error}"))
}

fn record(user: &str, now: UnixTime) -> Record {
    let sid = Sid::generate(&SystemRandom::new(), now).unwrap_or_else(|error| panic!("{error}"));
    Record::new(sid.session_id(), user, row(Generation::FIRST, now))
        .with_user_agent("Mozilla/5.0 (conformance; ünï)")
        .with_ip_address("2001:db8::7".parse().ok())
}

async fn insert(store: &impl SessionStore, record: Record) -> Uuid {
    let id = record.id;
    let surplus = store.insert(record, None, NOW).await.unwrap_or_else(|error| panic!("insert: {error:?}"));
    assert!(surplus.is_empty(), "without a limit, no session is removed");
    id
}

async fn find(store: &impl SessionStore, id: Uuid) -> Option<Record> {
    let found: Option<FoundSession> = store.find(id).await.unwrap_or_else(|error| panic!("find: {error:?}"));
    found.map(|found| found.record)
}

async fn row_of(store: &impl SessionStore, id: Uuid) -> Option<Record> {
    store.row(id).await.unwrap_or_else(|error| panic!("row: {error:?}"))
}

async fn end(store: &impl SessionStore, ids: &[Uuid]) -> u64 {
    store.end(ids).await.unwrap_or_else(|error| panic!("end: {error:?}"))
}

async fn of_user(store: &impl SessionStore, user: &str, now: UnixTime) -> Vec<Uuid> {
    let found = store.of_user(user, now).await.unwrap_or_else(|error| panic!("of_user: {error:?}"));
    found.into_iter().map(|record| record.id).collect()
}

async fn session_is_found_as_written(store: &impl SessionStore, user: &str) {
    assert_eq!(store.user_key(user).as_deref(), Some(user), "rows store the user's key unchanged");
    let plain = record(user, NOW);
    let session = plain
        .session
        .with_acknowledged_at(None)
        .with_fixed_end(true)
        .with_auth_time(Some(NOW + seconds(1)))
        .with_locks_at(Some(NOW + seconds(2)));
    let other = Record { session, remember: false, ip_address: None, ..record(user, NOW) }
        .with_methods(methods(&["pwd", "otp"]))
        .with_actor_session_id(MISSING)
        .with_device_key("dbsc:{}".to_owned());
    let unbound = record(user, NOW).with_device_key(String::new());
    for written in [plain, other, unbound] {
        let id = insert(store, written.clone()).await;
        assert_eq!(row_of(store, id).await, Some(written.clone()));
        assert_eq!(find(store, id).await, Some(written), "every field is read as it was written");
        end(store, &[id]).await;
    }
}

async fn missing_session_is_not_found(store: &impl SessionStore) {
    assert_eq!((find(store, MISSING).await, row_of(store, MISSING).await), (None, None));
    assert!(
        !store.advance(MISSING, Generation::FIRST, row(SECOND, NOW), None, NOW).await.unwrap_or(true),
        "a swap without a row fails"
    );
    assert!(
        store.acknowledge(MISSING, Generation::FIRST, NOW).await.is_ok() && store.touch(MISSING, NOW).await.is_ok()
    );
}

async fn swap_succeeds_once(store: &impl SessionStore, user: &str) {
    let written = record(user, NOW);
    let id = insert(store, written.clone()).await;
    let later = NOW + seconds(60);
    let mut next = written.session.with_generation(SECOND, later).with_acknowledged_at(None);
    next.expires_at = later + DAY;
    assert!(store.advance(id, Generation::FIRST, next, None, later).await.unwrap_or(false), "the first swap succeeds");
    assert!(
        !store.advance(id, Generation::FIRST, row(Generation::new(9), NOW), None, NOW).await.unwrap_or(true),
        "a second swap of the same generation fails"
    );
    assert_eq!(find(store, id).await, Some(Record { session: next, last_seen_at: later, ..written }));
    end(store, &[id]).await;
}

async fn authentication_is_written_by_a_swap(store: &impl SessionStore, user: &str) {
    let written = record(user, NOW).with_methods(methods(&["pwd"]));
    let id = insert(store, written.clone()).await;
    let locked = written.session.with_auth_time(Some(NOW)).with_locks_at(Some(NOW + DAY));
    for (next, given, expected) in [
        (locked.with_generation(SECOND, NOW), Some(methods(&["otp", "pwd"])), methods(&["otp", "pwd"])),
        (locked.with_generation(SECOND, NOW).with_locks_at(None), None, methods(&["otp", "pwd"])),
    ] {
        let from = find(store, id).await.map_or(Generation::FIRST, |record| record.session.generation);
        assert!(store.advance(id, from, next, given, NOW).await.unwrap_or(false), "the swap succeeds");
        let expected = Record { session: next, ..written.clone().with_methods(expected) };
        assert_eq!(find(store, id).await, Some(expected), "without methods, those of the row are kept");
    }
    for older in [None, Some(NOW - seconds(1))] {
        let next = locked.with_generation(SECOND.next(), NOW).with_auth_time(older);
        let is_written = store.advance(id, SECOND, next, None, NOW).await.unwrap_or(true);
        assert!(!is_written, "the user has authenticated since the row was read");
    }
    end(store, &[id]).await;
}

async fn device_key_is_written_by_a_swap(store: &impl SessionStore, user: &str) {
    let first = Generation::FIRST;
    for before in [None, Some("")] {
        let written = record(user, NOW).with_device_key(before.map(str::to_owned));
        let id = insert(store, written.clone()).await;
        let next = row(SECOND, NOW + seconds(1)).with_acknowledged_at(None).with_device(written.session.device);
        let bind = async |from, next| store.bind(id, from, next, "dbsc:a").await.ok();
        assert_eq!(bind(SECOND, next).await, Some(false), "the row has another generation");
        assert_eq!(bind(first, next.with_auth_time(Some(NOW))).await, Some(false), "the user has authenticated");
        assert_eq!(bind(first, next).await, Some(true), "the first swap succeeds");
        let mut bound = written.with_device_key("dbsc:a".to_owned());
        bound.session = bound.session.with_generation(SECOND, NOW + seconds(1)).with_acknowledged_at(None);
        assert_eq!(find(store, id).await, Some(bound.clone()), "nothing else is written");
        for from in [first, SECOND] {
            assert_eq!(bind(from, next).await, Some(false), "a bound row keeps its key");
        }
        let third = bound.session.with_generation(SECOND.next(), NOW + seconds(2));
        let advance = async |next| store.advance(id, SECOND, next, None, NOW).await.ok();
        assert_eq!(advance(third.with_device(DeviceBinding::Unbound)).await, Some(false), "the row was bound since");
        assert_eq!(advance(third).await, Some(true), "the swap succeeds");
        assert_eq!(find(store, id).await.map(|found| found.device_key), Some(bound.device_key), "the key stays");
        end(store, &[id]).await;
    }
    let missing = store.bind(MISSING, first, row(SECOND, NOW), "dbsc:a").await;
    assert_eq!(missing.ok(), Some(false), "a swap without a row fails");
}

async fn device_key_is_removed_only_if_the_row_is_not_acknowledged(store: &impl SessionStore, user: &str) {
    let with = |key: Option<&str>, acknowledged_at| {
        let mut written = record(user, NOW).with_device_key(key.map(str::to_owned));
        written.session = written.session.with_generation(SECOND, NOW).with_acknowledged_at(acknowledged_at);
        written
    };
    let key = Some("dbsc:a");
    for (written, from) in [
        (with(key, None), Generation::FIRST),
        (with(key, Some(NOW)), SECOND),
        (with(Some(""), None), SECOND),
        (with(None, None), SECOND),
    ] {
        let id = insert(store, written.clone()).await;
        assert_eq!(store.unbind(id, from).await.ok(), Some(false), "{written:?} is not as read");
        assert_eq!(find(store, id).await, Some(written), "nothing is written");
        end(store, &[id]).await;
    }
    let written = with(key, None);
    let id = insert(store, written.clone()).await;
    assert_eq!(store.unbind(id, SECOND).await.ok(), Some(true), "the swap succeeds");
    let unbound = written.with_device_key(None);
    assert_eq!(find(store, id).await, Some(unbound), "the key is removed, and nothing else is written");
    let third = row(SECOND.next(), NOW).with_device(DeviceBinding::Bound);
    assert_eq!(store.advance(id, SECOND, third, None, NOW).await.ok(), Some(false), "the row was unbound since");
    end(store, &[id]).await;
}

async fn generation_is_acknowledged_once(store: &impl SessionStore, user: &str) {
    let mut written = record(user, NOW);
    written.session.acknowledged_at = None;
    let id = insert(store, written).await;
    let [one, two, three] = [1, 2, 3].map(|after| NOW + seconds(after));
    for (generation, at, expected) in
        [(SECOND, one, None), (Generation::FIRST, two, Some(two)), (Generation::FIRST, three, Some(two))]
    {
        store.acknowledge(id, generation, at).await.unwrap_or_else(|error| panic!("acknowledge: {error:?}"));
        assert_eq!(find(store, id).await.and_then(|record| record.session.acknowledged_at), expected);
    }
    end(store, &[id]).await;
}

async fn last_seen_is_updated(store: &impl SessionStore, user: &str) {
    let id = insert(store, record(user, NOW)).await;
    store.touch(id, NOW + seconds(100)).await.unwrap_or_else(|error| panic!("touch: {error:?}"));
    assert_eq!(find(store, id).await.map(|record| record.last_seen_at), Some(NOW + seconds(100)));
    end(store, &[id]).await;
}

async fn sessions_of_a_user_are_listed(store: &impl SessionStore, user: &str, other_user: &str) {
    let older = insert(store, record(user, NOW - seconds(1000))).await;
    let newer = insert(store, record(user, NOW)).await;
    let other = insert(store, record(other_user, NOW)).await;
    assert_eq!(of_user(store, user, NOW).await, [newer, older], "newest first, and only of this user");
    assert_eq!(of_user(store, user, NOW - seconds(1000) + DAY).await, [newer], "no expired session");
    end(store, &[older, newer, other]).await;
}

async fn ended_sessions_are_counted(store: &impl SessionStore, user: &str) {
    let (one, other) = (insert(store, record(user, NOW)).await, insert(store, record(user, NOW)).await);
    assert_eq!(end(store, &[one, other, MISSING]).await, 2);
    assert_eq!(end(store, &[one]).await, 0);
    assert_eq!(find(store, one).await, None, "an ended session is gone");
    assert_eq!(end(store, &[]).await, 0);
}

async fn oldest_session_is_removed_over_the_limit(store: &impl SessionStore, user: &str, other_user: &str) {
    let limit = |replaced| Some(Limit::new(2, LimitPolicy::EndOldest).with_replaced(replaced));
    let other = insert(store, record(other_user, NOW)).await;
    let first = insert(store, record(user, NOW - seconds(3))).await;
    let second = insert(store, record(user, NOW - seconds(2))).await;
    let third = record(user, NOW - seconds(1));
    let gone =
        store.insert(third.clone(), limit(vec![]), NOW).await.unwrap_or_else(|error| panic!("insert: {error:?}"));
    assert_eq!(
        (gone, of_user(store, user, NOW).await),
        (vec![first], vec![third.id, second]),
        "the oldest session is removed"
    );
    let fourth = record(user, NOW);
    let gone = store.insert(fourth.clone(), limit(vec![second]), NOW).await.unwrap_or_default();
    assert!(gone.is_empty(), "a session about to be replaced does not count");
    end(store, &[other, second, third.id, fourth.id]).await;
}

async fn login_over_the_limit_is_refused(store: &impl SessionStore, user: &str) {
    let id = insert(store, record(user, NOW)).await;
    let limit = Limit::new(1, LimitPolicy::Refuse);
    let refused = store.insert(record(user, NOW), Some(limit), NOW).await;
    assert!(matches!(refused, Err(InsertError::LimitReached)), "over the limit: {refused:?}");
    assert_eq!(of_user(store, user, NOW).await, [id], "nothing was written");
    end(store, &[id]).await;
}

async fn acting_sessions_do_not_count(store: &impl SessionStore, user: &str) {
    let acting = insert(store, record(user, NOW - seconds(2)).with_actor_session_id(MISSING)).await;
    let own = insert(store, record(user, NOW - seconds(1))).await;
    let next = record(user, NOW);
    let limit = |policy| Some(Limit::new(1, policy));
    let refused = store.insert(next.clone(), limit(LimitPolicy::Refuse), NOW).await;
    assert!(matches!(refused, Err(InsertError::LimitReached)), "the user's own session counts: {refused:?}");
    let gone = store.insert(next.clone(), limit(LimitPolicy::EndOldest), NOW).await.unwrap_or_default();
    assert_eq!(gone, [own], "a session in which another user acts is not ended by the limit");
    end(store, &[next.id]).await;
    let done = store.insert(next.clone(), limit(LimitPolicy::Refuse), NOW).await;
    assert!(done.is_ok(), "a session in which another user acts does not count: {done:?}");
    end(store, &[acting, next.id]).await;
}

async fn session_is_replaced_once(store: &impl SessionStore, user: &str) {
    let ended = insert(store, record(user, NOW)).await;
    let (next, other) = (record(user, NOW), record(user, NOW));
    for (next, is_done) in [(&next, true), (&other, false)] {
        let replaced = store.replace(ended, next.clone(), NOW).await;
        assert_eq!(replaced.ok(), Some(is_done), "a session is replaced by one other");
    }
    assert_eq!((find(store, ended).await, find(store, other.id).await), (None, None), "nothing else is written");
    assert_eq!(find(store, next.id).await, Some(next.clone()));
    end(store, &[next.id]).await;
}

async fn expired_sessions_are_removed(store: &impl SessionStore, user: &str) {
    let mut over = Vec::new();
    for age in 1..=3 {
        over.push(insert(store, record(user, NOW - DAY - seconds(age))).await);
    }
    let live = insert(store, record(user, NOW)).await;
    for (most, removed) in [(2, 2), (2, 1), (2, 0)] {
        assert_eq!(store.remove_expired(most, NOW).await.ok(), Some(removed), "at most this many");
    }
    assert!(find(store, live).await.is_some(), "a live session is kept");
    end(store, &[live]).await;
}
