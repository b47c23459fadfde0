//! The service: handlers that return the current user and end sessions.

use axum::{
    Router,
    extract::Path,
    response::IntoResponse,
    routing::{any, post},
};
use jwtauth_axum::{Auth, AuthError, AuthLayer, Authenticated};

pub fn router(layer: AuthLayer) -> Router {
    Router::new()
        .route("/me", any(me))
        .route("/login/{user}", post(login))
        .route("/logout", post(logout))
        .route("/end/{id}", post(end))
        .route("/others", post(end_others))
        .layer(layer)
}

async fn me(user: Option<Authenticated>) -> String {
    user.map_or_else(|| "anonymous".to_owned(), |user| format!("{} {}", user.user_id, user.session_id))
}

async fn login(auth: Auth, Path(user): Path<String>) -> impl IntoResponse {
    auth.login(user).await
}

async fn logout(auth: Auth) -> impl IntoResponse {
    auth.logout().await
}

async fn end(auth: Auth, Path(id): Path<String>) -> Result<String, AuthError> {
    Ok(auth.end(id.parse().unwrap()).await?.to_string())
}

async fn end_others(auth: Auth) -> Result<String, AuthError> {
    Ok(auth.end_others().await?.to_string())
}
