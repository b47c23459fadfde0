//! The resource server of docs/guides/rust.md, line by line.

use axum::{Router, routing::get};
use jwtauth_axum::{AccessClaims, RemoteKeys, ResourceLayer, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::read("jwtauth.toml")?; // manage.py jwtauth_settings --public
    let keys = RemoteKeys::new(reqwest::Client::new(), "https://example.com/auth/jwks.json", &settings)?;
    let app = Router::new().route("/me", get(me)).layer(ResourceLayer::new(settings.transport()?, keys));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:9000").await?;
    Ok(axum::serve(listener, app).await?)
}

async fn me(AccessClaims(claims): AccessClaims) -> String {
    claims.subject
}
