//! The service of docs/guides/rust.md, line by line.

use axum::{
    Router,
    routing::{get, post},
};
use jwtauth_axum::{Auth, AuthError, AuthLayer, Authenticated, DjangoUsers, PostgresStore, Settings};
use sqlx::PgPool;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::read("jwtauth.toml")?;
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    let store = PostgresStore::new(pool, Some(DjangoUsers::new(settings.auth_hasher()))).await?;
    let app = Router::new()
        .route("/rust/me", get(me))
        .route("/rust/sign-out", post(sign_out))
        .layer(AuthLayer::new(settings.build()?, store));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:9000").await?;
    Ok(axum::serve(listener, app).await?)
}

async fn me(user: Authenticated) -> String {
    format!("user {}, session {}", user.user_id, user.session_id)
}

async fn sign_out(auth: Auth) -> Result<(), AuthError> {
    auth.logout().await
}
