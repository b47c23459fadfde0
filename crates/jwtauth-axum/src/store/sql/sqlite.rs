//! Sessions in SQLite, in the table that Django migrates.

use std::sync::Arc;

use jwtauth::{Generation, Methods, Session, UnixTime};
use sqlx::{Connection as _, Row as _, Sqlite, SqlitePool, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Dialect, DjangoUsers, KeyKind, MOST_IDS, OfDatabase as _, Shared, Statements, Tries, failed, id_parameter,
    not_connected, not_inserted, on_connection,
    row::{New, Row, integer, seconds},
    schema::Table,
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
    shared: Arc<Shared>,
}

/// The table and its index for projects without Django: what Django's migrations create, without the reference to its
/// users.
pub const SQLITE_SCHEMA: &str = include_str!("../../../migrations/sqlite.sql");

impl SqliteStore {
    /// Open the store for users in Django's table. With `None`, the caller of [`Auth::login`](crate::Auth::login)
    /// identifies users and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] if the tables differ from Django's migrations.
    pub async fn new(pool: SqlitePool, users: Option<DjangoUsers>) -> Result<Self, StoreError> {
        let key = Self::key_kind(&pool, users.as_ref()).await?;
        let user = match key {
            KeyKind::Integer => "CAST($1 AS integer)",
            KeyKind::Uuid | KeyKind::Text | KeyKind::Padded => "CAST($1 AS text)",
        };
        let statements = Statements::new(&SQLITE, users.as_ref(), user);
        Ok(Self { pool, shared: Arc::new(Shared { users, key, statements }) })
    }

    async fn key_kind(pool: &SqlitePool, users: Option<&DjangoUsers>) -> Result<KeyKind, StoreError> {
        let sessions = Table::new("jwtauth_session", columns(pool, "jwtauth_session").await?)?;
        if let Some(users) = users {
            Table::new(&users.table, columns(pool, &users.table).await?)?.has(&[
                &users.key,
                "password",
                "is_active",
            ])?;
        }
        sessions.sessions(&["char(32)"], &["datetime"], |kind| match kind {
            "char(32)" => Some(KeyKind::Uuid),
            _ if kind.contains("int") => Some(KeyKind::Integer),
            _ if kind.contains("text") => Some(KeyKind::Text),
            _ if kind.contains("char") => Some(KeyKind::Padded),
            _ => None,
        })
    }
}

/// Return the columns of a table, with their types.
async fn columns(pool: &SqlitePool, table: &str) -> Result<Vec<(String, String)>, StoreError> {
    let query = sqlx::query_as("SELECT name, lower(type) FROM pragma_table_info($1)");
    query.bind(table).fetch_all(pool).await.map_err(not_connected)
}

impl Row {
    /// Read a row whose only column is a JSON array of the columns.
    fn from_json(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let columns: &str = row.try_get(0)?;
        serde_json::from_str(columns).map_err(|error| sqlx::Error::Decode(error.into()))
    }
}

const SQLITE: Dialect = Dialect {
    quote: '"',
    // One JSON array: sqlx copies each column of a row under two locks of SQLite. Times are read as text, which takes fewer
    // instructions than SQLite's date functions. The database's time is that of this process.
    columns: "json_array(CAST(s.id AS text), CAST(s.user_id AS text), s.generation, s.acknowledged_at, s.rotated_at, \
        s.created_at, s.expires_at, s.end_is_fixed, s.remember, s.user_agent, s.ip_address, s.last_seen_at, s.auth_hash, \
        s.auth_time, s.locks_at, s.amr, CAST(s.actor_session_id AS text), s.device_key, NULL",
    with_user: "CASE WHEN u.is_active THEN CAST(u.password AS text) END) \
        FROM jwtauth_session s JOIN {users} u ON u.{key} = s.user_id",
    without_user: "NULL) FROM jwtauth_session s",
    now: "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS integer)",
    find: "WHERE s.id = $1",
    of_user: "WHERE s.user_id = {user} AND s.expires_at > datetime($2, 'unixepoch') \
        ORDER BY s.created_at DESC, s.id DESC",
    user: "SELECT CAST({key} AS text), CAST(password AS text), CAST(is_active AS integer) \
        FROM {users} WHERE {key} = {user}",
    lock_user: "UPDATE {users} SET {key} = {key} WHERE {key} = {user}",
    lock_key: None, // BEGIN IMMEDIATE already waits
    insert: "INSERT INTO jwtauth_session (user_id, id, generation, acknowledged_at, rotated_at, created_at, expires_at, \
        end_is_fixed, remember, user_agent, ip_address, last_seen_at, auth_hash, auth_time, locks_at, amr, \
        actor_session_id, device_key) \
        VALUES ({user}, $2, $3, datetime($4, 'unixepoch'), datetime($5, 'unixepoch'), datetime($6, 'unixepoch'), \
        datetime($7, 'unixepoch'), $8, $9, $10, $11, datetime($12, 'unixepoch'), $13, \
        datetime($14, 'unixepoch'), datetime($15, 'unixepoch'), $16, $17, $18)",
    advance: "UPDATE jwtauth_session SET generation = $1, acknowledged_at = datetime($2, 'unixepoch'), \
        rotated_at = datetime($3, 'unixepoch'), expires_at = datetime($4, 'unixepoch'), \
        last_seen_at = datetime($5, 'unixepoch'), auth_time = datetime($6, 'unixepoch'), \
        locks_at = datetime($7, 'unixepoch'), amr = COALESCE($8, amr) WHERE id = $9 AND generation = $10 \
        AND ($11 IS NOT NULL OR auth_time IS datetime($12, 'unixepoch')) AND (device_key IS NULL) = $13",
    bind: "UPDATE jwtauth_session SET device_key = $1, generation = $2, acknowledged_at = datetime($3, 'unixepoch'), \
        rotated_at = datetime($4, 'unixepoch') WHERE id = $5 AND generation = $6 \
        AND auth_time IS datetime($7, 'unixepoch') AND (device_key IS NULL OR device_key = '')",
    unbind: "UPDATE jwtauth_session SET device_key = NULL \
        WHERE id = $1 AND generation = $2 AND acknowledged_at IS NULL AND device_key <> ''",
    acknowledge: "UPDATE jwtauth_session SET acknowledged_at = datetime($1, 'unixepoch') \
        WHERE id = $2 AND generation = $3 AND acknowledged_at IS NULL",
    touch: "UPDATE jwtauth_session SET last_seen_at = datetime($1, 'unixepoch') WHERE id = $2",
    id: |number| format!("${number}"),
    // By rowid: takes two thirds of the time of deletion by key.
    remove_expired: "DELETE FROM jwtauth_session WHERE rowid IN (SELECT rowid FROM jwtauth_session \
        WHERE expires_at <= datetime($1, 'unixepoch') ORDER BY expires_at LIMIT $2)",
};

sql_store!(SqliteStore, Sqlite, "BEGIN IMMEDIATE", Row::from_json);
