//! The demo's people, in Django's table.

use serde::Deserialize;
use sqlx::SqlitePool;

/// What the form of the page has.
#[derive(Deserialize)]
pub(crate) struct Password {
    username: String,
    password: String,
}

/// The key of the person with this name and password.
pub(crate) async fn with_password(pool: &SqlitePool, form: Password) -> Option<i64> {
    let query = sqlx::query_as("SELECT id, password FROM auth_user WHERE username = $1").bind(form.username);
    // Nobody's password takes as long, so that how long an answer takes does not tell who is there.
    let found: Option<(i64, String)> = query.fetch_optional(pool).await.ok()?;
    let (id, hash) =
        found.map_or_else(|| (None, djangohashers::make_password("nobody's")), |(id, hash)| (Some(id), hash));
    let check = move || djangohashers::check_password(&form.password, &hash).unwrap_or(false);
    let is_right = tokio::task::spawn_blocking(check).await.ok()?;
    id.filter(|_| is_right)
}
