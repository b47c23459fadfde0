//! The SQL statements of a store.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::DjangoUsers;

/// The statements in one database's SQL dialect, each with the order of its parameters.
///
/// `{users}` is the users' table, `{key}` the column of its primary key, and `{user}` the parameter for a user's key.
pub(super) struct Dialect {
    /// The quote character of names.
    pub(super) quote: char,
    /// The columns of a session, in the order in which [`Row`](super::row::Row) reads them; the names are only for
    /// readers. Every expression has a fixed type, so prepared statements stay valid when a migration changes a
    /// column's type.
    pub(super) columns: &'static str,
    /// The text after the columns, with Django's users' table and without.
    pub(super) with_user: &'static str,
    pub(super) without_user: &'static str,
    /// Selects the database's time, in milliseconds since 1970.
    pub(super) now: &'static str,
    pub(super) find: &'static str,
    pub(super) of_user: &'static str,
    /// Selects the user's key and password, and whether the user is active.
    pub(super) user: &'static str,
    /// Makes concurrent logins of a user wait for each other: a write to the user that changes nothing, as in Django's
    /// login.
    pub(super) lock_user: &'static str,
    /// The same without a users' table, if the database needs it.
    pub(super) lock_key: Option<&'static str>,
    pub(super) insert: &'static str,
    pub(super) advance: &'static str,
    pub(super) bind: &'static str,
    pub(super) unbind: &'static str,
    pub(super) acknowledge: &'static str,
    pub(super) touch: &'static str,
    /// Formats parameter n as a session's id.
    pub(super) id: fn(usize) -> String,
    pub(super) remove_expired: &'static str,
}

/// The complete statements, built once.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) now: SqlStr,
    pub(super) find: SqlStr,
    pub(super) of_user: SqlStr,
    pub(super) user: SqlStr,
    pub(super) lock: Option<SqlStr>,
    pub(super) insert: SqlStr,
    pub(super) advance: SqlStr,
    pub(super) bind: SqlStr,
    pub(super) unbind: SqlStr,
    pub(super) acknowledge: SqlStr,
    pub(super) touch: SqlStr,
    pub(super) remove_expired: SqlStr,
    id: fn(usize) -> String,
}

impl Statements {
    /// Build the statements. `user` is the parameter for a user's key, cast to its column's type.
    pub(super) fn new(dialect: &Dialect, users: Option<&DjangoUsers>, user: &str) -> Self {
        let quoted = |name: &str| {
            let (one, two) = (dialect.quote.to_string(), dialect.quote.to_string().repeat(2));
            format!("{one}{}{one}", name.replace(&one, &two))
        };
        let names = users.map(|users| (quoted(&users.table), quoted(&users.key)));
        let filled = |text: &str| {
            let text = text.replace("{user}", user);
            safe(match &names {
                Some((table, key)) => text.replace("{users}", table).replace("{key}", key),
                None => text,
            })
        };
        let select = |rest: &str| {
            let from = if users.is_some() { dialect.with_user } else { dialect.without_user };
            filled(&format!("SELECT {}, {from} {rest}", dialect.columns))
        };
        let lock = if users.is_some() { Some(dialect.lock_user) } else { dialect.lock_key };
        Self {
            now: filled(dialect.now),
            find: select(dialect.find),
            of_user: select(dialect.of_user),
            user: filled(dialect.user),
            lock: lock.map(filled),
            insert: filled(dialect.insert),
            advance: filled(dialect.advance),
            bind: filled(dialect.bind),
            unbind: filled(dialect.unbind),
            acknowledge: filled(dialect.acknowledge),
            touch: filled(dialect.touch),
            remove_expired: filled(dialect.remove_expired),
            id: dialect.id,
        }
    }

    /// Return the statement that ends this many sessions.
    pub(super) fn end(&self, count: usize) -> SqlStr {
        let ids: Vec<String> = (1..=count).map(self.id).collect();
        safe(format!("DELETE FROM jwtauth_session WHERE id IN ({})", ids.join(", ")))
    }
}

/// Mark SQL as safe: everything that is not a literal of this crate is a quoted name.
fn safe(sql: String) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str()
}
