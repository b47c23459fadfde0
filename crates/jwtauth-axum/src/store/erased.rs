//! A type-erased store, so that extractors need not name its type.

use std::{future::Future, pin::Pin, time::SystemTime};

use jwtauth::{Generation, Methods, Session, UnixTime};
use uuid::Uuid;

use super::{FoundSession, InsertError, Limit, Record, SessionStore, StoreError};

type Answer<'s, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 's>>;

/// [`SessionStore`] as a dyn-compatible trait.
pub(crate) trait ErasedStore: Send + Sync {
    fn user_key(&self, user_id: &str) -> Option<String>;
    fn check(&self) -> Answer<'_, ()>;
    fn database_time(&self) -> Answer<'_, Option<SystemTime>>;
    fn find(&self, id: Uuid) -> Answer<'_, Option<FoundSession>>;
    fn row(&self, id: Uuid) -> Answer<'_, Option<Record>>;
    fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Answer<'_, Vec<Uuid>, InsertError>;
    fn replace(&self, ended: Uuid, record: Record, now: UnixTime) -> Answer<'_, bool, InsertError>;
    fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Answer<'_, bool>;
    fn bind<'s>(&'s self, id: Uuid, from: Generation, next: Session, key: &'s str) -> Answer<'s, bool>;
    fn unbind(&self, id: Uuid, from: Generation) -> Answer<'_, bool>;
    fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Answer<'_, ()>;
    fn touch(&self, id: Uuid, now: UnixTime) -> Answer<'_, ()>;
    fn of_user<'s>(&'s self, user_id: &'s str, now: UnixTime) -> Answer<'s, Vec<Record>>;
    fn end<'s>(&'s self, ids: &'s [Uuid]) -> Answer<'s, u64>;
    fn remove_expired(&self, most: u32, now: UnixTime) -> Answer<'_, u64>;
}

impl<S: SessionStore> ErasedStore for S {
    fn user_key(&self, user_id: &str) -> Option<String> {
        SessionStore::user_key(self, user_id)
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(SessionStore::check(self))
    }

    fn database_time(&self) -> Answer<'_, Option<SystemTime>> {
        Box::pin(SessionStore::database_time(self))
    }

    fn find(&self, id: Uuid) -> Answer<'_, Option<FoundSession>> {
        Box::pin(SessionStore::find(self, id))
    }

    fn row(&self, id: Uuid) -> Answer<'_, Option<Record>> {
        Box::pin(SessionStore::row(self, id))
    }

    fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Answer<'_, Vec<Uuid>, InsertError> {
        Box::pin(SessionStore::insert(self, record, limit, now))
    }

    fn replace(&self, ended: Uuid, record: Record, now: UnixTime) -> Answer<'_, bool, InsertError> {
        Box::pin(SessionStore::replace(self, ended, record, now))
    }

    fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Answer<'_, bool> {
        Box::pin(SessionStore::advance(self, id, from, next, methods, now))
    }

    fn bind<'s>(&'s self, id: Uuid, from: Generation, next: Session, key: &'s str) -> Answer<'s, bool> {
        Box::pin(SessionStore::bind(self, id, from, next, key))
    }

    fn unbind(&self, id: Uuid, from: Generation) -> Answer<'_, bool> {
        Box::pin(SessionStore::unbind(self, id, from))
    }

    fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Answer<'_, ()> {
        Box::pin(SessionStore::acknowledge(self, id, generation, now))
    }

    fn touch(&self, id: Uuid, now: UnixTime) -> Answer<'_, ()> {
        Box::pin(SessionStore::touch(self, id, now))
    }

    fn of_user<'s>(&'s self, user_id: &'s str, now: UnixTime) -> Answer<'s, Vec<Record>> {
        Box::pin(SessionStore::of_user(self, user_id, now))
    }

    fn end<'s>(&'s self, ids: &'s [Uuid]) -> Answer<'s, u64> {
        Box::pin(SessionStore::end(self, ids))
    }

    fn remove_expired(&self, most: u32, now: UnixTime) -> Answer<'_, u64> {
        Box::pin(SessionStore::remove_expired(self, most, now))
    }
}
