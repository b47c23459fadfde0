//! The statements of a store.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{Dialect, DjangoUsers};

/// The statements, put together once.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) find: SqlStr,
    pub(super) of_user: SqlStr,
    pub(super) user: SqlStr,
    pub(super) lock: Option<SqlStr>,
    pub(super) insert: SqlStr,
    pub(super) advance: SqlStr,
    pub(super) acknowledge: SqlStr,
    pub(super) touch: SqlStr,
    pub(super) end: SqlStr,
    pub(super) remove_expired: SqlStr,
}

impl Statements {
    pub(super) fn new(dialect: &Dialect, users: Option<&DjangoUsers>) -> Self {
        let Dialect { seconds, time, id, .. } = dialect;
        let time_of = |name: &str| format!("{} AS {name}", seconds(&format!("s.{name}")));
        let times =
            ["acknowledged_at", "rotated_at", "created_at", "expires_at", "last_seen_at"].map(time_of).join(", ");
        let (address, now) = ((dialect.address_text)("s.ip_address"), dialect.now);
        let (password, is_active, join) = match users {
            Some(DjangoUsers { table, key, .. }) => {
                let join = format!("JOIN {} u ON u.{} = s.user_id ", quoted(table), quoted(key));
                ("u.password", "u.is_active", join)
            }
            None => ("NULL", "NULL", String::new()),
        };
        let select = format!(
            "SELECT CAST(s.id AS text) AS id, CAST(s.user_id AS text) AS user_id, s.generation AS generation, {times}, \
             s.end_is_fixed AS end_is_fixed, s.remember AS remember, s.user_agent AS user_agent, {address} AS ip_address, \
             s.auth_hash AS auth_hash, {now} AS database_time, {password} AS password, {is_active} AS is_active \
             FROM jwtauth_session s {join}"
        );
        let user = dialect.user.replace("{}", "$1");
        // What is not a literal of this crate is a quoted name.
        let safe = |sql: String| AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str();
        Self {
            find: safe(format!("{select}WHERE s.id = {}", id("$1"))),
            of_user: safe(format!(
                "{select}WHERE s.user_id = {user} AND s.expires_at > {} ORDER BY s.created_at DESC, s.id DESC",
                time("$2")
            )),
            user: safe(users.map_or_else(String::new, |DjangoUsers { table, key, .. }| {
                format!("SELECT password, is_active FROM {} WHERE {} = {user}", quoted(table), quoted(key))
            })),
            // A write that changes nothing, as Django's login does: logins of one user wait for each other.
            lock: match users {
                Some(DjangoUsers { table, key, .. }) => {
                    let (table, key) = (quoted(table), quoted(key));
                    Some(safe(format!("UPDATE {table} SET {key} = {key} WHERE {key} = {user}")))
                }
                None => dialect.lock.map(SqlSafeStr::into_sql_str),
            },
            insert: safe(format!(
                "INSERT INTO jwtauth_session (id, user_id, generation, acknowledged_at, rotated_at, created_at, expires_at, \
                 end_is_fixed, remember, user_agent, ip_address, last_seen_at, auth_hash) VALUES ({}, {}, $3, {}, {}, {}, \
                 {}, $8, $9, $10, {}, {}, $13)",
                id("$1"),
                dialect.user.replace("{}", "$2"),
                time("$4"),
                time("$5"),
                time("$6"),
                time("$7"),
                (dialect.address)("$11"),
                time("$12"),
            )),
            advance: safe(format!(
                "UPDATE jwtauth_session SET generation = $3, acknowledged_at = {}, rotated_at = {}, expires_at = {}, \
                 last_seen_at = {} WHERE id = {} AND generation = $2",
                time("$4"),
                time("$5"),
                time("$6"),
                time("$7"),
                id("$1"),
            )),
            acknowledge: safe(format!(
                "UPDATE jwtauth_session SET acknowledged_at = {} WHERE id = {} AND generation = $2 AND acknowledged_at IS NULL",
                time("$3"),
                id("$1"),
            )),
            touch: safe(format!("UPDATE jwtauth_session SET last_seen_at = {} WHERE id = {}", time("$2"), id("$1"))),
            end: safe(format!("DELETE FROM jwtauth_session WHERE id {}", dialect.is_listed)),
            remove_expired: safe(format!(
                "DELETE FROM jwtauth_session WHERE id IN (SELECT id FROM jwtauth_session WHERE expires_at <= {} \
                 ORDER BY expires_at LIMIT $2)",
                time("$1"),
            )),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
