//! The page of this service, in the style of the Django site.

use axum::{
    Router,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use sqlx::SqlitePool;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
/// Of the Django site: the browser loads nothing from another host and runs no inline script.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Return the routes of the page and of its script, which asks who is signed in.
pub(crate) fn routes() -> Router<SqlitePool> {
    Router::new()
        .route("/rust/", get(async || html(None)))
        .route("/rust/page.js", get(async || ([(header::CONTENT_TYPE, "text/javascript")], SCRIPT)))
}

/// Return the page, with the reason why a sign-in failed.
pub(crate) fn html(error: Option<&str>) -> Response {
    let alert = error.map_or_else(String::new, |text| format!("<p class=\"error\" role=\"alert\">{text}</p>"));
    let status = if error.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Html(PAGE.replace("<!-- error -->", &alert))).into_response()
}
