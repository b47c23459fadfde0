//! Faulty stores that prove that each oracle can fail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jwtauth_axum::{
    FoundSession, Record, SessionStore, StoreError,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
use uuid::Uuid;

/// The fault of a store.
#[derive(Clone, Debug, Default)]
pub enum Wrong {
    #[default]
    Nothing,
    /// A rotation always writes the row, even with another generation or after its end.
    SwapsAlways(Arc<Mutex<HashMap<Uuid, Record>>>),
    /// A rotation reports success without writing.
    SwapsNever,
    /// A rotation does not extend the session.
    KeepsEnds,
    /// Acknowledgements are lost.
    AcknowledgesNothing,
    /// The newest generation is acknowledged when it is issued.
    AcknowledgesAtOnce,
    /// Sessions continue after their end.
    EndsNothing,
}

impl Wrong {
    pub fn has_found(&self, found: &FoundSession) {
        if let Self::SwapsAlways(records) = self {
            records.lock().unwrap().insert(found.record.id, found.record.clone());
        }
    }

    pub async fn advance(
        &self,
        store: &impl SessionStore,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        match self {
            Self::SwapsAlways(records) => {
                let record = records.lock().unwrap().get(&id).cloned();
                let mut record = record.unwrap();
                record.session = next;
                record.methods = methods.unwrap_or(record.methods);
                store.insert(record, None, now).await.map(|_| true).map_err(|error| StoreError::Failed(error.into()))
            }
            Self::SwapsNever => Ok(true),
            Self::KeepsEnds => {
                let Some(found) = store.find(id).await? else { return Ok(false) };
                let mut next = next;
                next.expires_at = found.record.session.expires_at;
                store.advance(id, from, next, methods, now).await
            }
            Self::AcknowledgesAtOnce => {
                let mut next = next;
                next.acknowledged_at = Some(now);
                store.advance(id, from, next, methods, now).await
            }
            _ => store.advance(id, from, next, methods, now).await,
        }
    }

    pub async fn acknowledge(
        &self,
        store: &impl SessionStore,
        id: Uuid,
        generation: Generation,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        match self {
            Self::AcknowledgesNothing => Ok(()),
            _ => store.acknowledge(id, generation, now).await,
        }
    }

    pub async fn end(&self, store: &impl SessionStore, ids: &[Uuid]) -> Result<u64, StoreError> {
        match self {
            Self::EndsNothing => Ok(ids.len() as u64),
            _ => store.end(ids).await,
        }
    }
}
