//! Sessions in MariaDB, in the table that Django migrates.

use std::sync::Arc;

use jwtauth::{Generation, Methods, Session, UnixTime};
use sqlx::{Connection as _, MySql, MySqlConnection, MySqlPool};
use uuid::Uuid;

use super::{
    Dialect, DjangoUsers, KeyKind, MOST_IDS, OfDatabase as _, Shared, Statements, Tries, failed, id_parameter,
    not_connected, not_inserted, on_connection,
    row::{New, Row, integer, seconds},
    schema::Table,
    sql_store, to_its_end,
};
use crate::store::{FoundSession, InsertError, Limit, Record, SessionStore, StoreError, memory::surplus};

/// Sessions in `jwtauth_session` of a MariaDB database. Cheap to clone.
///
/// ```no_run
/// use jwtauth_axum::{DjangoUsers, MariaDbStore, Settings};
/// use sqlx::MySqlPool;
///
/// # async fn store(settings: Settings) -> Result<MariaDbStore, Box<dyn std::error::Error>> {
/// let pool = MySqlPool::connect("mysql://site@localhost/site").await?;
/// let users = DjangoUsers::new(settings.auth_hasher());
/// Ok(MariaDbStore::new(pool, Some(users)).await?)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MariaDbStore {
    pool: MySqlPool,
    shared: Arc<Shared>,
}

/// The table and its index for projects without Django: what Django's migrations create, without the reference to its
/// users.
pub const MARIADB_SCHEMA: &str = include_str!("../../../migrations/mariadb.sql");

impl MariaDbStore {
    /// Open the store for users in Django's table. With `None`, the caller of [`Auth::login`](crate::Auth::login)
    /// identifies users and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] if the tables differ from Django's migrations, or if connections have `autocommit` off.
    pub async fn new(pool: MySqlPool, users: Option<DjangoUsers>) -> Result<Self, StoreError> {
        let key = Self::key_kind(&pool, users.as_ref()).await?;
        let user = match key {
            KeyKind::Integer => "CAST(? AS SIGNED)",
            KeyKind::Uuid | KeyKind::Text | KeyKind::Padded => "?", // compared by the column's type and collation
        };
        let statements = Statements::new(&MARIADB, users.as_ref(), user);
        Ok(Self { pool, shared: Arc::new(Shared { users, key, statements }) })
    }

    async fn key_kind(pool: &MySqlPool, users: Option<&DjangoUsers>) -> Result<KeyKind, StoreError> {
        let mut connection = pool.acquire().await.map_err(not_connected)?;
        let autocommit = sqlx::query_scalar("SELECT @@autocommit").fetch_one(&mut *connection);
        let autocommit: bool = autocommit.await.map_err(not_connected)?;
        if !autocommit {
            let problem = "autocommit is off and must be on: otherwise the store's transactions would never end";
            return Err(StoreError::Schema(problem.to_owned()));
        }
        let sessions = Table::new("jwtauth_session", columns(&mut connection, "jwtauth_session").await?)?;
        if let Some(users) = users {
            Table::new(&users.table, columns(&mut connection, &users.table).await?)?.has(&[
                &users.key,
                "password",
                "is_active",
            ])?;
        }
        sessions.sessions(&["uuid", "char(32)"], &["datetime"], |kind| match kind {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Some(KeyKind::Integer),
            "uuid" | "char(32)" => Some(KeyKind::Uuid),
            _ if kind.ends_with("text") => Some(KeyKind::Text),
            _ if kind.starts_with("char") || kind == "varchar" => Some(KeyKind::Padded),
            _ => None,
        })
    }
}

/// Return the columns of a table, with their types.
async fn columns(connection: &mut MySqlConnection, table: &str) -> Result<Vec<(String, String)>, StoreError> {
    sqlx::query_as(
        "SELECT CAST(column_name AS CHAR), \
         CAST(LOWER(CASE data_type WHEN 'char' THEN column_type ELSE data_type END) AS CHAR) \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?",
    )
    .bind(table)
    .fetch_all(connection)
    .await
    .map_err(not_connected)
}

// Columns hold UTC times without a zone, as Django writes them, so they do not depend on the connection's time zone.
const MARIADB: Dialect = Dialect {
    quote: '`',
    columns: "CAST(s.id AS CHAR) AS id, CAST(s.user_id AS CHAR) AS user_id, CAST(s.generation AS SIGNED) AS generation, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.acknowledged_at) AS acknowledged_at, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.rotated_at) AS rotated_at, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.created_at) AS created_at, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.expires_at) AS expires_at, \
        CAST(s.end_is_fixed AS SIGNED) AS end_is_fixed, CAST(s.remember AS SIGNED) AS remember, \
        CAST(s.user_agent AS CHAR) AS user_agent, CAST(s.ip_address AS CHAR) AS ip_address, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.last_seen_at) AS last_seen_at, \
        CAST(s.auth_hash AS CHAR) AS auth_hash, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.auth_time) AS auth_time, \
        TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', s.locks_at) AS locks_at, \
        CAST(s.amr AS CHAR) AS amr, CAST(s.actor_session_id AS CHAR) AS actor_session_id, \
        CAST(s.device_key AS CHAR) AS device_key, \
        TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)) DIV 1000 AS database_time",
    with_user: "CASE WHEN u.is_active THEN CAST(u.password AS CHAR) END AS password \
        FROM jwtauth_session s JOIN {users} u ON u.{key} = s.user_id",
    without_user: "NULL AS password FROM jwtauth_session s",
    now: "SELECT TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)) DIV 1000",
    find: "WHERE s.id = ?",
    of_user: "WHERE s.user_id = {user} AND s.expires_at > TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND \
        ORDER BY s.created_at DESC, s.id DESC",
    user: "SELECT CAST({key} AS CHAR), CAST(password AS CHAR), CAST(is_active AS SIGNED) \
        FROM {users} WHERE {key} = {user}",
    lock_user: "UPDATE {users} SET {key} = {key} WHERE {key} = {user}",
    lock_key: Some("SELECT 1 FROM jwtauth_session WHERE user_id = {user} FOR UPDATE"),
    insert: "INSERT INTO jwtauth_session (user_id, id, generation, acknowledged_at, rotated_at, created_at, expires_at, \
        end_is_fixed, remember, user_agent, ip_address, last_seen_at, auth_hash, auth_time, locks_at, amr, \
        actor_session_id, device_key) \
        VALUES ({user}, ?, ?, TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, ?, ?, ?, ?, \
        TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, ?, TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, ?, ?, ?)",
    advance: "UPDATE jwtauth_session SET generation = ?, \
        acknowledged_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        rotated_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        expires_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        last_seen_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        auth_time = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        locks_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, amr = COALESCE(?, amr) \
        WHERE id = ? AND generation = ? \
        AND (? IS NOT NULL OR auth_time <=> TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND) \
        AND (device_key IS NULL) = ?",
    bind: "UPDATE jwtauth_session SET device_key = ?, generation = ?, \
        acknowledged_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND, \
        rotated_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND \
        WHERE id = ? AND generation = ? AND auth_time <=> TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND \
        AND (device_key IS NULL OR device_key = '')",
    unbind: "UPDATE jwtauth_session SET device_key = NULL \
        WHERE id = ? AND generation = ? AND acknowledged_at IS NULL AND device_key <> ''",
    acknowledge: "UPDATE jwtauth_session SET acknowledged_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND \
        WHERE id = ? AND generation = ? AND acknowledged_at IS NULL",
    touch: "UPDATE jwtauth_session SET last_seen_at = TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND WHERE id = ?",
    id: |_| "?".to_owned(),
    remove_expired: "DELETE FROM jwtauth_session \
        WHERE expires_at <= TIMESTAMP'1970-01-01 00:00:00' + INTERVAL ? SECOND ORDER BY expires_at LIMIT ?",
};

// The lock covers rows, and the gap where a row of the user would be, which READ COMMITTED does not lock.
sql_store!(
    MariaDbStore,
    MySql,
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION",
    Row::from_columns
);
