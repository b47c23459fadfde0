//! Sessions in PostgreSQL, in the table that Django migrates.

use jwtauth::{Generation, Session, UnixTime};
use sqlx::{PgPool, Postgres};
use uuid::Uuid;

use super::{
    Dialect, DjangoUsers, Statements, failed, not_inserted,
    row::{Advance, Row, integer, seconds},
    sql_store, to_its_end,
};
use crate::store::{FoundSession, InsertError, Limit, Record, SessionStore, StoreError, memory::surplus};

/// Sessions in `jwtauth_session` of a PostgreSQL database. Cheap to clone.
///
/// ```no_run
/// use jwtauth_axum::{DjangoUsers, PostgresStore, Settings};
/// use sqlx::PgPool;
///
/// # async fn store(settings: Settings) -> Result<PostgresStore, Box<dyn std::error::Error>> {
/// let pool = PgPool::connect("postgres:///site").await?;
/// let users = DjangoUsers::new(settings.auth_hasher());
/// Ok(PostgresStore::new(pool, Some(users)).await?)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    users: Option<DjangoUsers>,
    dialect: Dialect,
    statements: Statements,
}

/// The table and its index, for projects without Django: what Django's migrations make, but for the reference to its
/// users.
pub const POSTGRES_SCHEMA: &str = include_str!("../../../migrations/postgres.sql");

impl PostgresStore {
    /// Open sessions whose users are in Django's table, or `None`, where the caller of
    /// [`Auth::login`](crate::Auth::login) says who they are and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] where there is no such table.
    pub async fn new(pool: PgPool, users: Option<DjangoUsers>) -> Result<Self, StoreError> {
        let (kind,): (String,) = sqlx::query_as(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = 'jwtauth_session'::regclass AND attname = 'user_id'",
        )
        .fetch_one(&pool)
        .await
        .map_err(failed)?;
        let dialect = Dialect {
            seconds: |column| format!("CAST(EXTRACT(EPOCH FROM {column}) AS bigint)"),
            time: |seconds| format!("to_timestamp(CAST({seconds} AS bigint))"),
            now: "CAST(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000 AS bigint)",
            id: |parameter| format!("CAST({parameter} AS uuid)"),
            address: |parameter| format!("CAST({parameter} AS inet)"),
            address_text: |column| format!("host({column})"),
            uuid_text: |id| id.hyphenated().to_string(),
            is_listed: "= ANY(CAST($1 AS uuid[]))",
            list: |ids| format!("{{{}}}", ids.join(",")),
            user: format!("CAST({{}} AS {kind})"),
            lock: Some("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"),
            has_bare_uuids: false,
        };
        let statements = Statements::new(&dialect, users.as_ref());
        Ok(Self { pool, users, dialect, statements })
    }
}

sql_store!(PostgresStore, Postgres, PgPool, "BEGIN");
