//! Sessions in PostgreSQL, in the table that Django migrates.

use std::sync::Arc;

use jwtauth::{Generation, Methods, Session, UnixTime};
use sqlx::{Connection as _, PgPool, Postgres};
use uuid::Uuid;

use super::{
    Dialect, DjangoUsers, KeyKind, MOST_IDS, OfDatabase as _, Shared, Statements, Tries, failed, id_parameter,
    not_connected, not_inserted, on_connection,
    row::{New, Row, integer, seconds},
    schema::Table,
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
    shared: Arc<Shared>,
}

/// The table and its index for projects without Django: what Django's migrations create, without the reference to its
/// users.
pub const POSTGRES_SCHEMA: &str = include_str!("../../../migrations/postgres.sql");

impl PostgresStore {
    /// Open the store for users in Django's table. With `None`, the caller of [`Auth::login`](crate::Auth::login)
    /// identifies users and ends their sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] if the tables differ from Django's migrations.
    pub async fn new(pool: PgPool, users: Option<DjangoUsers>) -> Result<Self, StoreError> {
        let key = Self::key_kind(&pool, users.as_ref()).await?;
        let user = match key {
            KeyKind::Integer => "CAST($1 AS bigint)",
            KeyKind::Uuid => "CAST($1 AS uuid)",
            KeyKind::Text | KeyKind::Padded => "CAST($1 AS text)",
        };
        let statements = Statements::new(&POSTGRES, users.as_ref(), user);
        Ok(Self { pool, shared: Arc::new(Shared { users, key, statements }) })
    }

    async fn key_kind(pool: &PgPool, users: Option<&DjangoUsers>) -> Result<KeyKind, StoreError> {
        let sessions = Table::new("jwtauth_session", columns(pool, "jwtauth_session").await?)?;
        if let Some(users) = users {
            Table::new(&users.table, columns(pool, &users.table).await?)?.has(&[
                &users.key,
                "password",
                "is_active",
            ])?;
        }
        sessions.sessions(&["uuid"], &["timestamp with time zone"], |kind| match kind {
            "smallint" | "integer" | "bigint" => Some(KeyKind::Integer),
            "uuid" => Some(KeyKind::Uuid),
            "text" | "citext" => Some(KeyKind::Text),
            "character varying" | "character" => Some(KeyKind::Padded),
            _ => None,
        })
    }
}

/// Return the columns of a table with their types; for a domain, its base type.
async fn columns(pool: &PgPool, table: &str) -> Result<Vec<(String, String)>, StoreError> {
    sqlx::query_as(
        "SELECT CAST(a.attname AS text), format_type(COALESCE(NULLIF(t.typbasetype, 0), t.oid), NULL) \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0",
    )
    .bind(table)
    .fetch_all(pool)
    .await
    .map_err(not_connected)
}

const POSTGRES: Dialect = Dialect {
    quote: '"',
    columns: "CAST(s.id AS text) AS id, CAST(s.user_id AS text) AS user_id, CAST(s.generation AS bigint) AS generation, \
        CAST(date_part('epoch', s.acknowledged_at) AS bigint) AS acknowledged_at, \
        CAST(date_part('epoch', s.rotated_at) AS bigint) AS rotated_at, \
        CAST(date_part('epoch', s.created_at) AS bigint) AS created_at, \
        CAST(date_part('epoch', s.expires_at) AS bigint) AS expires_at, \
        CAST(s.end_is_fixed AS boolean) AS end_is_fixed, CAST(s.remember AS boolean) AS remember, \
        CAST(s.user_agent AS text) AS user_agent, host(CAST(s.ip_address AS inet)) AS ip_address, \
        CAST(date_part('epoch', s.last_seen_at) AS bigint) AS last_seen_at, CAST(s.auth_hash AS text) AS auth_hash, \
        CAST(date_part('epoch', s.auth_time) AS bigint) AS auth_time, \
        CAST(date_part('epoch', s.locks_at) AS bigint) AS locks_at, CAST(s.amr AS text) AS amr, \
        CAST(s.actor_session_id AS text) AS actor_session_id, CAST(s.device_key AS text) AS device_key, \
        CAST(date_part('epoch', STATEMENT_TIMESTAMP()) * 1000 AS bigint) AS database_time",
    with_user: "CASE WHEN CAST(u.is_active AS boolean) THEN CAST(u.password AS text) END AS password \
        FROM jwtauth_session s JOIN {users} u ON u.{key} = s.user_id",
    without_user: "CAST(NULL AS text) AS password FROM jwtauth_session s",
    now: "SELECT CAST(date_part('epoch', STATEMENT_TIMESTAMP()) * 1000 AS bigint)",
    find: "WHERE s.id = CAST($1 AS uuid)",
    of_user: "WHERE s.user_id = {user} AND s.expires_at > to_timestamp(CAST($2 AS bigint)) \
        ORDER BY s.created_at DESC, s.id DESC",
    user: "SELECT CAST({key} AS text), CAST(password AS text), CAST(is_active AS boolean) \
        FROM {users} WHERE {key} = {user}",
    lock_user: "UPDATE {users} SET {key} = {key} WHERE {key} = {user}",
    lock_key: Some("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"),
    insert: "INSERT INTO jwtauth_session (user_id, id, generation, acknowledged_at, rotated_at, created_at, expires_at, \
        end_is_fixed, remember, user_agent, ip_address, last_seen_at, auth_hash, auth_time, locks_at, amr, \
        actor_session_id, device_key) \
        VALUES ({user}, CAST($2 AS uuid), CAST($3 AS bigint), to_timestamp(CAST($4 AS bigint)), \
        to_timestamp(CAST($5 AS bigint)), to_timestamp(CAST($6 AS bigint)), to_timestamp(CAST($7 AS bigint)), $8, $9, \
        CAST($10 AS text), CAST($11 AS inet), to_timestamp(CAST($12 AS bigint)), CAST($13 AS text), \
        to_timestamp(CAST($14 AS bigint)), to_timestamp(CAST($15 AS bigint)), CAST($16 AS text), CAST($17 AS uuid), \
        CAST($18 AS text))",
    advance: "UPDATE jwtauth_session SET generation = CAST($1 AS bigint), \
        acknowledged_at = to_timestamp(CAST($2 AS bigint)), rotated_at = to_timestamp(CAST($3 AS bigint)), \
        expires_at = to_timestamp(CAST($4 AS bigint)), last_seen_at = to_timestamp(CAST($5 AS bigint)), \
        auth_time = to_timestamp(CAST($6 AS bigint)), locks_at = to_timestamp(CAST($7 AS bigint)), \
        amr = COALESCE(CAST($8 AS text), amr) WHERE id = CAST($9 AS uuid) AND generation = CAST($10 AS bigint) \
        AND (CAST($11 AS text) IS NOT NULL OR auth_time IS NOT DISTINCT FROM to_timestamp(CAST($12 AS bigint))) \
        AND (device_key IS NULL) = $13",
    bind: "UPDATE jwtauth_session SET device_key = CAST($1 AS text), generation = CAST($2 AS bigint), \
        acknowledged_at = to_timestamp(CAST($3 AS bigint)), rotated_at = to_timestamp(CAST($4 AS bigint)) \
        WHERE id = CAST($5 AS uuid) AND generation = CAST($6 AS bigint) \
        AND auth_time IS NOT DISTINCT FROM to_timestamp(CAST($7 AS bigint)) \
        AND (device_key IS NULL OR device_key = '')",
    unbind: "UPDATE jwtauth_session SET device_key = NULL WHERE id = CAST($1 AS uuid) \
        AND generation = CAST($2 AS bigint) AND acknowledged_at IS NULL AND device_key <> ''",
    acknowledge: "UPDATE jwtauth_session SET acknowledged_at = to_timestamp(CAST($1 AS bigint)) \
        WHERE id = CAST($2 AS uuid) AND generation = CAST($3 AS bigint) AND acknowledged_at IS NULL",
    touch: "UPDATE jwtauth_session SET last_seen_at = to_timestamp(CAST($1 AS bigint)) WHERE id = CAST($2 AS uuid)",
    id: |number| format!("CAST(${number} AS uuid)"),
    // By ctid: four times as fast as by key. Rows locked by other transactions are skipped.
    remove_expired: "DELETE FROM jwtauth_session WHERE ctid = ANY(ARRAY(SELECT ctid FROM jwtauth_session \
        WHERE expires_at <= to_timestamp(CAST($1 AS bigint)) ORDER BY expires_at LIMIT CAST($2 AS bigint) \
        FOR UPDATE SKIP LOCKED))",
};

// A snapshot older than the lock would miss the sessions of concurrent logins.
sql_store!(PostgresStore, Postgres, "BEGIN ISOLATION LEVEL READ COMMITTED", Row::from_columns);
