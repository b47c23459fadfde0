//! A store in memory, for tests and for services that may lose their sessions on restart.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jwtauth::{Generation, Methods, Session, UnixTime};
use uuid::Uuid;

use super::{FoundSession, InsertError, Limit, LimitPolicy, Record, SessionStore, StoreError};

/// Sessions in this process's memory. Clones share them.
///
/// ```
/// use jwtauth_axum::{MemoryStore, SessionStore, jwtauth::UnixTime};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), jwtauth_axum::StoreError> {
/// let store = MemoryStore::default();
/// assert!(store.of_user("42", UnixTime::EPOCH).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<HashMap<Uuid, Record>>>,
}

impl MemoryStore {
    fn rows(&self) -> MutexGuard<'_, HashMap<Uuid, Record>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for MemoryStore {
    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        Ok(self.rows().get(&id).cloned().map(FoundSession::new))
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        let mut rows = self.rows();
        let surplus = match limit {
            Some(limit) => surplus(&live(&rows, &record.user_id, now), &limit)?,
            None => Vec::new(),
        };
        rows.retain(|id, _| !surplus.contains(id));
        rows.insert(record.id, record);
        Ok(surplus)
    }

    async fn replace(&self, ended: Uuid, record: Record, _now: UnixTime) -> Result<bool, InsertError> {
        let mut rows = self.rows();
        let is_ended = rows.remove(&ended).is_some();
        if is_ended {
            rows.insert(record.id, record);
        }
        Ok(is_ended)
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
            row.session.generation == from
                && row.session.device.needs_proof() == next.device.needs_proof()
                && (methods.is_some() || row.session.auth_time == next.auth_time)
        };
        let Some(row) = rows.get_mut(&id).filter(is_as_read) else { return Ok(false) };
        row.session = next.with_device(row.session.device);
        row.last_seen_at = now;
        row.methods = methods.unwrap_or_else(|| row.methods.clone());
        Ok(true)
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_as_read = |row: &&mut Record| {
            row.session.generation == from
                && row.session.auth_time == next.auth_time
                && row.device_key.as_deref().is_none_or(str::is_empty)
        };
        let Some(row) = rows.get_mut(&id).filter(is_as_read) else { return Ok(false) };
        row.session =
            row.session.with_generation(next.generation, next.rotated_at).with_acknowledged_at(next.acknowledged_at);
        *row = row.clone().with_device_key(key.to_owned());
        Ok(true)
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_as_read = |row: &&mut Record| {
            row.session.generation == from && row.session.acknowledged_at.is_none() && row.is_device_bound()
        };
        let Some(row) = rows.get_mut(&id).filter(is_as_read) else { return Ok(false) };
        *row = row.clone().with_device_key(None);
        Ok(true)
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        if let Some(row) = self.rows().get_mut(&id).filter(|row| row.session.generation == generation) {
            row.session.acknowledged_at.get_or_insert(now);
        }
        Ok(())
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        if let Some(row) = self.rows().get_mut(&id) {
            row.last_seen_at = now;
        }
        Ok(())
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        Ok(live(&self.rows(), user_id, now))
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        Ok(ids.iter().filter(|id| rows.remove(id).is_some()).count() as u64)
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let over = rows.values().filter(|row| row.session.expires_at <= now).map(|row| row.id);
        let over: Vec<Uuid> = over.take(most as usize).collect();
        Ok(over.iter().filter(|id| rows.remove(id).is_some()).count() as u64)
    }
}

/// Return this user's live sessions, newest first.
fn live(rows: &HashMap<Uuid, Record>, user_id: &str, now: UnixTime) -> Vec<Record> {
    let of_user = rows.values().filter(|row| row.user_id == user_id && row.session.expires_at > now);
    let mut live: Vec<Record> = of_user.cloned().collect();
    live.sort_by_key(|row| std::cmp::Reverse((row.session.created_at, row.id)));
    live
}

/// Return which of these sessions, newest first, must be removed for one more.
pub(super) fn surplus(live: &[Record], limit: &Limit) -> Result<Vec<Uuid>, InsertError> {
    let counting = live.iter().filter(|row| row.actor_session_id.is_none()).map(|row| row.id);
    let counting = counting.filter(|id| !limit.replaced.contains(id));
    let surplus: Vec<Uuid> = counting.skip(limit.most.saturating_sub(1)).collect();
    if !surplus.is_empty() && limit.policy == LimitPolicy::Refuse {
        return Err(InsertError::LimitReached);
    }
    Ok(surplus)
}
