//! A custom store: implement `SessionStore`, and let `conformance` report what is missing.
//!
//! Here a lock stands for a database transaction and a list for the table. `insert`, `replace` and `advance` read and
//! write under one lock. This is all that a store has to do about a browser's parallel requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jwtauth_axum::{
    FoundSession, InsertError, Limit, LimitPolicy, Record, SessionStore, StoreError, conformance,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
use uuid::Uuid;

#[derive(Default)]
struct ListStore(Mutex<Vec<Record>>);

impl ListStore {
    fn rows(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change the row with this id if it exists and, with `from`, has that generation.
    fn change(&self, id: Uuid, from: Option<Generation>, change: impl FnOnce(&mut Record)) -> bool {
        let mut rows = self.rows();
        let is_asked_for = |row: &&mut Record| row.id == id && from.is_none_or(|from| row.session.generation == from);
        rows.iter_mut().find(is_asked_for).map(change).is_some()
    }

    /// Remove at most `most` of the matching rows.
    fn remove(&self, most: usize, is_removed: impl Fn(&Record) -> bool) -> u64 {
        let mut rows = self.rows();
        let removed: Vec<Uuid> = rows.iter().filter(|row| is_removed(row)).map(|row| row.id).take(most).collect();
        rows.retain(|row| !removed.contains(&row.id));
        removed.len() as u64
    }
}

impl SessionStore for ListStore {
    // If users are stored too, return `None` for a user who is inactive or has changed the password since login.
    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        Ok(self.rows().iter().find(|row| row.id == id).cloned().map(FoundSession::new))
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        let mut rows = self.rows();
        let mut surplus = Vec::new();
        if let Some(Limit { most, policy, replaced, .. }) = limit {
            let counts = |row: &Record| row.actor_session_id.is_none() && !replaced.contains(&row.id);
            let counting = live(&rows, &record.user_id, now).into_iter().filter(counts);
            surplus.extend(counting.map(|row| row.id).skip(most - 1));
            if policy == LimitPolicy::Refuse && !surplus.is_empty() {
                return Err(InsertError::LimitReached);
            }
        }
        rows.retain(|row| !surplus.contains(&row.id));
        rows.push(record);
        Ok(surplus)
    }

    async fn replace(&self, ended: Uuid, record: Record, _now: UnixTime) -> Result<bool, InsertError> {
        let mut rows = self.rows();
        let Some(row) = rows.iter_mut().find(|row| row.id == ended) else { return Ok(false) };
        *row = record;
        Ok(true)
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_as_read = |row: &&mut Record| {
            row.id == id
                && row.session.generation == from
                && row.session.device.needs_proof() == next.device.needs_proof()
                && (methods.is_some() || row.session.auth_time == next.auth_time)
        };
        let Some(row) = rows.iter_mut().find(is_as_read) else { return Ok(false) };
        (row.session, row.last_seen_at) = (next.with_device(row.session.device), now);
        row.methods = methods.unwrap_or_else(|| row.methods.clone());
        Ok(true)
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_as_read = |row: &&mut Record| {
            row.id == id
                && row.session.generation == from
                && row.session.auth_time == next.auth_time
                && row.device_key.as_deref().is_none_or(str::is_empty)
        };
        let Some(row) = rows.iter_mut().find(is_as_read) else { return Ok(false) };
        row.session =
            row.session.with_generation(next.generation, next.rotated_at).with_acknowledged_at(next.acknowledged_at);
        *row = row.clone().with_device_key(key.to_owned());
        Ok(true)
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_as_read = |row: &&mut Record| {
            row.id == id
                && row.session.generation == from
                && row.session.acknowledged_at.is_none()
                && row.is_device_bound()
        };
        let Some(row) = rows.iter_mut().find(is_as_read) else { return Ok(false) };
        *row = row.clone().with_device_key(None);
        Ok(true)
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        self.change(id, Some(generation), |row| _ = row.session.acknowledged_at.get_or_insert(now));
        Ok(())
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.change(id, None, |row| row.last_seen_at = now);
        Ok(())
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        Ok(live(&self.rows(), user_id, now))
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        Ok(self.remove(ids.len(), |row| ids.contains(&row.id)))
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        Ok(self.remove(most as usize, |row| row.session.expires_at <= now))
    }
}

/// Return the user's live sessions, newest first.
fn live(rows: &[Record], user_id: &str, now: UnixTime) -> Vec<Record> {
    let of_user = rows.iter().filter(|row| row.user_id == user_id && row.session.expires_at > now);
    let mut live: Vec<Record> = of_user.cloned().collect();
    live.sort_by_key(|row| std::cmp::Reverse((row.session.created_at, row.id)));
    live
}

#[tokio::main]
async fn main() {
    conformance::check(&ListStore::default(), "1", "2").await;
    conformance::check_race(Arc::new(ListStore::default()), "1").await;
    println!("ListStore passes the conformance checks.");
}

#[test]
fn list_store_passes_the_conformance_checks() {
    main();
}
