//! A service beside the demo site, with one address and one sign-in for both: it answers below `/rust/`, Django the rest.

mod page;
mod proxy;
mod users;

use std::{env, error::Error, net::SocketAddr};

use axum::{
    Form, Json, Router,
    extract::{ConnectInfo, State, WebSocketUpgrade},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use jwtauth_axum::{Auth, AuthError, AuthLayer, Authenticated, DjangoUsers, Settings, SqliteStore};
use sqlx::SqlitePool;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(env::var("SERVICE_SETTINGS")?)?;
    let pool = SqlitePool::connect(&format!("sqlite:{}", env::var("DEMO_DATABASE")?)).await?;
    let store = SqliteStore::new(pool.clone(), Some(DjangoUsers::new(settings.auth_hasher()))).await?;
    let layer = AuthLayer::new(settings.build()?, store)
        .with_client_address(|head| head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.ip()));
    let app = Router::new()
        .merge(page::routes())
        .route("/rust/me", get(me))
        .route("/rust/sign-in", post(sign_in))
        .route("/rust/sign-out", post(sign_out))
        .route("/rust/socket", any(socket))
        .with_state(pool)
        .layer(layer)
        .fallback_service(proxy::to(env::var("DJANGO_ADDRESS")?));
    let listener = tokio::net::TcpListener::bind(env::var("SERVICE_ADDRESS")?).await?;
    Ok(axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

async fn me(State(pool): State<SqlitePool>, user: Authenticated) -> impl IntoResponse {
    let (name, generation) = (users::name(&pool, &user.user_id).await, user.claims.generation.get());
    Json(serde_json::json!({"name": name, "session": user.session_id.to_string(), "generation": generation}))
}

async fn sign_in(State(pool): State<SqlitePool>, auth: Auth, Form(form): Form<users::Password>) -> Response {
    match users::with_password(&pool, form).await {
        Some(user) => auth.login(user).await.map(|()| Redirect::to("/rust/")).into_response(),
        None => page::html(Some("That user name and password do not match.")),
    }
}

async fn sign_out(auth: Auth) -> Result<Redirect, AuthError> {
    auth.logout().await.map(|()| Redirect::to("/rust/"))
}

/// Greet the user. The layer has already refused pages of other origins.
async fn socket(user: Authenticated, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let _ = socket.send(format!("You are user {}.", user.user_id).into()).await;
    })
}
