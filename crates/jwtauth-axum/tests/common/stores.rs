//! Stores on which a test runs.

use std::time::SystemTime;

use jwtauth_axum::{
    FoundSession, InsertError, Limit, MemoryStore, Record, SessionStore, StoreError,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
#[cfg(feature = "sqlite")]
use jwtauth_axum::{
    SqliteStore,
    sqlx::{AssertSqlSafe, Executor as _, SqlitePool, sqlite::SqlitePoolOptions},
};
use uuid::Uuid;

/// One of the crate's stores. `Sqlite` has Django's table of users, with the users 7, 42 and 43.
#[derive(Clone)]
pub enum AnyStore {
    Memory(MemoryStore),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore, SqlitePool),
}

/// Return each store, empty.
#[cfg_attr(not(feature = "sqlite"), allow(clippy::unused_async, reason = "the store of SQLite is made by statements"))]
pub async fn stores() -> Vec<AnyStore> {
    [
        AnyStore::Memory(MemoryStore::default()),
        #[cfg(feature = "sqlite")]
        sqlite().await,
    ]
    .into()
}

#[cfg(feature = "sqlite")]
pub async fn sqlite() -> AnyStore {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let reference = "\"user_id\" integer NOT NULL REFERENCES auth_user (id)";
    let schema = jwtauth_axum::SQLITE_SCHEMA.replace("\"user_id\" text NOT NULL", reference);
    assert_ne!(schema, jwtauth_axum::SQLITE_SCHEMA);
    let users = "CREATE TABLE auth_user (id integer PRIMARY KEY, password text NOT NULL, is_active bool NOT NULL);
        INSERT INTO auth_user VALUES (7, 'one', 1), (42, 'two', 1), (43, 'three', 1);";
    pool.execute(AssertSqlSafe(format!("{users}{schema}"))).await.unwrap();
    let users = jwtauth_axum::DjangoUsers::new(super::settings().auth_hasher());
    AnyStore::Sqlite(SqliteStore::new(pool.clone(), Some(users)).await.unwrap(), pool)
}

impl AnyStore {
    /// Return all sessions of this user.
    pub async fn rows(&self, user: &str) -> Vec<Record> {
        self.of_user(user, UnixTime::EPOCH).await.unwrap()
    }
}

macro_rules! delegate {
    ($on:ident, $method:ident($($argument:expr),*)) => {
        match $on {
            Self::Memory(store) => store.$method($($argument),*).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => store.$method($($argument),*).await,
        }
    };
}

impl SessionStore for AnyStore {
    fn user_key(&self, user_id: &str) -> Option<String> {
        match self {
            Self::Memory(store) => store.user_key(user_id),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => store.user_key(user_id),
        }
    }

    async fn database_time(&self) -> Result<Option<SystemTime>, StoreError> {
        delegate!(self, database_time())
    }

    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        delegate!(self, find(id))
    }

    async fn row(&self, id: Uuid) -> Result<Option<Record>, StoreError> {
        delegate!(self, row(id))
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        delegate!(self, insert(record, limit, now))
    }

    async fn replace(&self, ended: Uuid, record: Record, now: UnixTime) -> Result<bool, InsertError> {
        delegate!(self, replace(ended, record, now))
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        delegate!(self, advance(id, from, next, methods, now))
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        delegate!(self, bind(id, from, next, key))
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        delegate!(self, unbind(id, from))
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        delegate!(self, acknowledge(id, generation, now))
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        delegate!(self, touch(id, now))
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        delegate!(self, of_user(user_id, now))
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        delegate!(self, end(ids))
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        delegate!(self, remove_expired(most, now))
    }
}
