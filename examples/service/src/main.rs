//! A service beside the demo site, on one origin and one login: `/rust/` is ours, and the rest is handed to Django.

mod people;
mod proxy;

use std::{env, error::Error};

use axum::{
    Form, Json, Router,
    extract::{State, WebSocketUpgrade},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use jwtauth_axum::{Auth, AuthError, AuthLayer, Authenticated, DjangoUsers, Settings, SqliteStore};
use sqlx::SqlitePool;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(env::var("SERVICE_SETTINGS")?)?;
    let pool = SqlitePool::connect(&format!("sqlite:{}", env::var("DEMO_DATABASE")?)).await?;
    let store = SqliteStore::new(pool.clone(), Some(DjangoUsers::new(settings.auth_hasher()))).await?;
    let app = Router::new()
        .route("/rust/", get(async || Html(include_str!("page.html"))))
        .route("/rust/me", get(me))
        .route("/rust/sign-in", post(sign_in))
        .route("/rust/sign-out", post(sign_out))
        .route("/rust/socket", any(socket))
        .with_state(pool)
        .layer(AuthLayer::new(settings.build()?, store))
        .fallback_service(proxy::to(env::var("DJANGO_ADDRESS")?));
    let listener = tokio::net::TcpListener::bind(env::var("SERVICE_ADDRESS")?).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn me(user: Authenticated) -> impl IntoResponse {
    Json(
        serde_json::json!({"user": user.user_id, "session": user.session_id.to_string(), "generation": user.claims.generation.get()}),
    )
}

async fn sign_in(State(pool): State<SqlitePool>, auth: Auth, Form(form): Form<people::Password>) -> Response {
    match people::with_password(&pool, form).await {
        Some(user) => auth.login(user).await.map(|()| Redirect::to("/rust/")).into_response(),
        None => (StatusCode::FORBIDDEN, "Name and password do not belong together.").into_response(),
    }
}

async fn sign_out(auth: Auth) -> Result<Redirect, AuthError> {
    auth.logout().await.map(|()| Redirect::to("/rust/"))
}

/// The layer has refused pages of other origins by now.
async fn socket(user: Authenticated, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let _ = socket.send(format!("You are user {}.", user.user_id).into()).await;
    })
}
