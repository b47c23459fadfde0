//! Sessions in SQLite, in the table that Django migrates.

use jwtauth::{Generation, Session, UnixTime};
use sqlx::{Sqlite, SqlitePool};
use uuid::Uuid;

use super::{
    Dialect, DjangoUsers, Statements, failed, not_inserted,
    row::{Advance, Row, integer, seconds},
    sql_store, to_its_end,
};
use crate::store::{FoundSession, InsertError, Limit, Record, SessionStore, StoreError, memory::surplus};

/// Sessions in `jwtauth_session` of a SQLite database. Cheap to clone.
///
/// ```no_run
/// use jwtauth_axum::{DjangoUsers, Settings, SqliteStore};
/// use sqlx::SqlitePool;
///
/// # async fn store(settings: Settings) -> Result<SqliteStore, Box<dyn std::error::Error>> {
/// let pool = SqlitePool::connect("sqlite:db.sqlite3").await?;
/// let users = DjangoUsers::new(settings.auth_hasher());
/// Ok(SqliteStore::new(pool, Some(users)).await?)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
    users: Option<DjangoUsers>,
    dialect: Dialect,
    statements: Statements,
}

/// The table and its index, for projects without Django: what Django's migrations make, but for the reference to its
/// users.
pub const SQLITE_SCHEMA: &str = include_str!("../../../migrations/sqlite.sql");

impl SqliteStore {
    /// Open sessions whose users are in Django's table, or `None`, where the caller of
    /// [`Auth::login`](crate::Auth::login) says who they are and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] where there is no such table.
    pub async fn new(pool: SqlitePool, users: Option<DjangoUsers>) -> Result<Self, StoreError> {
        let (kind,): (String,) =
            sqlx::query_as("SELECT type FROM pragma_table_info('jwtauth_session') WHERE name = 'user_id'")
                .fetch_one(&pool)
                .await
                .map_err(failed)?;
        let dialect = Dialect {
            seconds: |column| format!("unixepoch({column})"),
            time: |seconds| format!("datetime({seconds}, 'unixepoch')"),
            now: "CAST((julianday('now') - 2440587.5) * 86400000 AS integer)",
            id: str::to_owned,
            address: str::to_owned,
            address_text: str::to_owned,
            uuid_text: |id| id.simple().to_string(),
            is_listed: "IN (SELECT value FROM json_each($1))",
            list: |ids| serde_json::json!(ids).to_string(),
            user: "{}".to_owned(), // the column's affinity makes it a number where it is one
            lock: None,            // BEGIN IMMEDIATE waits already
            has_bare_uuids: kind.eq_ignore_ascii_case("char(32)"),
        };
        let statements = Statements::new(&dialect, users.as_ref());
        Ok(Self { pool, users, dialect, statements })
    }
}

sql_store!(SqliteStore, Sqlite, SqlitePool, "BEGIN IMMEDIATE");
