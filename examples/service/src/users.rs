//! The users of the demo, in Django's table.

use serde::Deserialize;
use sqlx::SqlitePool;

/// The fields of the sign-in form.
#[derive(Deserialize)]
pub(crate) struct Password {
    username: String,
    password: String,
}

/// Return the key of the user with this name and password.
pub(crate) async fn with_password(pool: &SqlitePool, form: Password) -> Option<i64> {
    let query = sqlx::query_as("SELECT id, password FROM auth_user WHERE username = $1").bind(form.username);
    let found: Option<(i64, String)> = query.fetch_optional(pool).await.ok()?;
    // Hash a password for an unknown name as well, so that the time of the answer does not tell which names exist.
    let (id, hash) =
        found.map_or_else(|| (None, djangohashers::make_password("unknown")), |(id, hash)| (Some(id), hash));
    let check = move || djangohashers::check_password(&form.password, &hash).unwrap_or(false);
    let is_right = tokio::task::spawn_blocking(check).await.ok()?;
    id.filter(|_| is_right)
}

/// Return the name of the user with this key.
pub(crate) async fn name(pool: &SqlitePool, id: &str) -> Option<String> {
    let query = sqlx::query_scalar("SELECT username FROM auth_user WHERE id = $1").bind(id.parse::<i64>().ok()?);
    query.fetch_optional(pool).await.ok()?
}
