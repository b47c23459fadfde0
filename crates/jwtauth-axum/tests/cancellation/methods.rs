//! The methods of a store, each called by a task that may be dropped.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use jwtauth_axum::{
    Limit, LimitPolicy, Record, SessionStore,
    jwtauth::{Generation, Session, Sid, UnixTime},
};
use uuid::Uuid;

use crate::{
    common::NOW,
    leaving::{Moment, PATIENCE, Stepwise, ensure, idle, leave},
    places::{Place, new_user},
};

const START: UnixTime = UnixTime::from_secs(NOW);
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Generation = Generation::new(2);

/// The method to call.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    Find,
    Insert,
    InsertWithin,
    InsertRefused,
    Advance,
    Bind,
    Unbind,
    Acknowledge,
    Touch,
    OfUser,
    End,
    RemoveExpired,
    Check,
}

use Method::*;

pub const ALL: [Method; 13] = [
    Find,
    Insert,
    InsertWithin,
    InsertRefused,
    Advance,
    Bind,
    Unbind,
    Acknowledge,
    Touch,
    OfUser,
    End,
    RemoveExpired,
    Check,
];

/// Sessions that expired this long ago are removed here; no other test has sessions this old.
const AGE: Duration = Duration::from_secs(1000 * 86_400);

fn record(user: &str, created_at: UnixTime) -> Record {
    let sid = Sid::generate(&SystemRandom::new(), created_at).unwrap();
    Record::new(sid.session_id(), user, Session::new(created_at, created_at + DAY))
}

impl Method {
    /// Call the method.
    async fn call(self, store: &impl SessionStore, [oldest, row, new]: [&Record; 3]) {
        let within = |policy| Some(Limit::new(2, policy));
        let later = START + Duration::from_secs(60);
        match self {
            Find => drop(store.find(row.id).await),
            Insert => drop(store.insert(new.clone(), None, START).await),
            InsertWithin => drop(store.insert(new.clone(), within(LimitPolicy::EndOldest), START).await),
            InsertRefused => drop(store.insert(new.clone(), within(LimitPolicy::Refuse), START).await),
            Advance => drop(store.advance(row.id, Generation::FIRST, next(), None, later).await),
            Bind => drop(store.bind(row.id, Generation::FIRST, next(), "dbsc:a").await),
            Unbind => drop(store.unbind(row.id, Generation::FIRST).await),
            Acknowledge => drop(store.acknowledge(row.id, Generation::FIRST, later).await),
            Touch => drop(store.touch(row.id, later).await),
            OfUser => drop(store.of_user(&row.user_id, START).await),
            End => drop(store.end(&[oldest.id, row.id]).await),
            RemoveExpired => drop(store.remove_expired(2, START - AGE).await),
            Check => drop(store.check().await),
        }
    }

    /// Check that the change was written as a whole or not at all.
    fn check(self, before: &[Record], after: &[Record], new: &Record) -> Result<(), String> {
        let with_new = || [new].into_iter().chain(before).cloned().collect::<Vec<_>>();
        let [newer, oldest] = before else { return Err(format!("before: {before:?}")) };
        let noted = |change: &dyn Fn(&mut Record)| {
            let mut row = newer.clone();
            change(&mut row);
            vec![row, oldest.clone()]
        };
        let later = START + Duration::from_secs(60);
        let written = match self {
            Find | InsertRefused | OfUser | Check => before.to_vec(),
            Insert => with_new(),
            InsertWithin => vec![new.clone(), newer.clone()],
            Advance => noted(&|row| (row.session, row.last_seen_at) = (next(), later)),
            Bind => noted(&|row| {
                row.session = row.session.with_generation(SECOND, later);
                *row = row.clone().with_device_key("dbsc:a".to_owned());
            }),
            Unbind => noted(&|row| *row = row.clone().with_device_key(None)),
            Acknowledge => noted(&|row| row.session.acknowledged_at = Some(later)),
            Touch => noted(&|row| row.last_seen_at = later),
            End | RemoveExpired => Vec::new(),
        };
        ensure(after == before || after == written, || format!("half done: {after:?}"))
    }
}

fn next() -> Session {
    let later = START + Duration::from_secs(60);
    Session::new(START, later + DAY).with_generation(SECOND, later).with_acknowledged_at(None)
}

/// Call this method in a task, and drop the task at this moment. Returns whether it was dropped.
pub async fn try_dropping(place: &impl Place, method: Method, moment: Moment, tasks: usize) -> Result<bool, String> {
    let store = Stepwise::new(place.store());
    let user = new_user(place).await;
    let created_at = if matches!(method, RemoveExpired) { START - AGE - 2 * DAY } else { START };
    let (oldest, mut row) = (record(&user, created_at - Duration::from_secs(1)), record(&user, created_at));
    row.session.acknowledged_at = None;
    if matches!(method, Unbind) {
        row = row.with_device_key("dbsc:a".to_owned());
    }
    let new = record(&user, START + Duration::from_secs(1));
    for row in [&oldest, &row] {
        store.inner.insert(row.clone(), None, START).await.map_err(|error| format!("before: {error:?}"))?;
    }
    let rows = async || store.inner.of_user(&user, UnixTime::EPOCH).await.map_err(|error| format!("{error:?}"));
    let before = rows().await?;
    idle(tasks).await?;
    store.steps.restart();
    let is_dropped = leave(method.call(&store, [&oldest, &row, &new]), moment, &store.steps).await?;
    idle(tasks).await?;
    place.whole().await?;
    let after = tokio::time::timeout(PATIENCE, rows()).await.map_err(|_| "the store hangs".to_owned())??;
    method.check(&before, &after, &new)?;
    let ids: Vec<Uuid> = after.iter().map(|row| row.id).collect();
    let ended = tokio::time::timeout(PATIENCE, store.inner.end(&ids)).await.map_err(|_| "ending hangs".to_owned())?;
    ensure(ended.is_ok_and(|ended| ended == ids.len() as u64), || "the rows cannot be ended".to_owned())?;
    Ok(is_dropped)
}
