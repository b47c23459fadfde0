//! A test service, and browsers that keep its cookies.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

pub mod dpop;
pub mod log;
pub mod stores;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    response::{AppendHeaders, IntoResponse},
    routing::{any, get, post},
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use jwtauth_axum::{
    AccessClaims, Auth, AuthLayer, Authenticated, Config, Login, MaybeAuthenticated, SessionStore, Settings,
};
use tower::ServiceExt;

pub const NOW: u64 = 1_800_000_000;
pub const SECRET: &str = "a secret of the tests, long enough for SHA-256";

/// A settable clock, in seconds.
#[derive(Clone)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.now())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }
}

pub fn settings() -> Settings {
    Settings::new(SECRET)
}

pub fn layer(settings: &Settings, store: impl SessionStore, clock: &Clock) -> AuthLayer {
    let clock = clock.clone();
    AuthLayer::new(settings.build().unwrap(), store).with_clock(move || clock.time())
}

pub fn app(layer: AuthLayer) -> Router {
    Router::new()
        .route("/me", any(me))
        .route("/maybe", any(maybe))
        .route("/optional", get(optional))
        .route("/claims", any(claims))
        .route("/socket", any(socket))
        .route("/cached", get(cached))
        .route("/open", any(async || "open"))
        .route("/login/{user}", post(login))
        .route("/callback/{user}", post(callback))
        .route("/brief/{user}", post(brief_login))
        .route("/logout", post(logout))
        .route("/sessions", get(sessions))
        .route("/sessions/{id}", post(end))
        .route("/others", post(end_others))
        .layer(layer)
}

async fn me(user: Authenticated) -> String {
    user.user_id
}

async fn maybe(MaybeAuthenticated(user): MaybeAuthenticated) -> String {
    user.map_or_else(|| "anonymous".to_owned(), |user| user.user_id)
}

async fn optional(user: Option<Authenticated>) -> String {
    user.map_or_else(|| "anonymous".to_owned(), |user| user.user_id)
}

async fn claims(AccessClaims(claims): AccessClaims) -> String {
    claims.custom.to_json()
}

async fn login(auth: Auth, Path(user): Path<String>) -> impl IntoResponse {
    auth.login(user).await
}

async fn brief_login(auth: Auth, Path(user): Path<String>) -> impl IntoResponse {
    let login = Login::new(user).with_remember(false).with_lifetime(Duration::from_secs(3600));
    auth.login_with(login).await
}

async fn callback(auth: Auth, Path(user): Path<String>) -> impl IntoResponse {
    auth.login_with(Login::new(user).with_cross_origin(true)).await
}

async fn socket(user: Authenticated) -> impl IntoResponse {
    (StatusCode::SWITCHING_PROTOCOLS, user.user_id)
}

async fn cached() -> impl IntoResponse {
    AppendHeaders([
        ("vary", "Accept"),
        ("vary", "accept-encoding"),
        ("cache-control", "public, max-age=60, no-transform"),
        ("cdn-cache-control", "max-age=60"),
    ])
}

async fn logout(auth: Auth) -> impl IntoResponse {
    auth.logout().await
}

async fn sessions(auth: Auth) -> Result<String, impl IntoResponse> {
    let ids = auth.sessions().await?.into_iter().map(|record| record.id.to_string());
    Ok::<_, jwtauth_axum::AuthError>(ids.collect::<Vec<_>>().join(" "))
}

async fn end(auth: Auth, Path(id): Path<String>) -> Result<String, jwtauth_axum::AuthError> {
    Ok(auth.end(id.parse().unwrap()).await?.to_string())
}

async fn end_others(auth: Auth) -> Result<String, jwtauth_axum::AuthError> {
    Ok(auth.end_others().await?.to_string())
}

/// A response whose body has been read.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Return the cookies that it sets, as `name=value; attributes`.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A browser with its cookie jar. A clone is a thief with a copy of the cookies.
#[derive(Clone)]
pub struct Browser {
    pub app: Router,
    pub jar: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(app: &Router) -> Self {
        Self { app: app.clone(), jar: BTreeMap::new() }
    }

    pub async fn signed_in(app: &Router, user: &str) -> Self {
        let mut browser = Self::new(app);
        assert_eq!(browser.post(&format!("/login/{user}")).await.status, StatusCode::OK);
        browser
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "own.example");
        let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) }
    }

    /// Send this request without storing the response's cookies.
    pub async fn send(&self, request: http::request::Builder) -> Answer {
        self.send_body(request.body(Body::empty()).unwrap()).await
    }

    pub async fn send_body(&self, request: Request<Body>) -> Answer {
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    pub fn keep(&mut self, answer: &Answer) {
        for cookie in answer.set_cookies() {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let answer = self.send(self.request("GET", path)).await;
        self.keep(&answer);
        answer
    }

    pub async fn post(&mut self, path: &str) -> Answer {
        let answer = self.send(self.request("POST", path)).await;
        self.keep(&answer);
        answer
    }

    /// Return the current user according to the service.
    pub async fn who(&mut self) -> String {
        self.get("/maybe").await.body
    }
}

/// A body of unknown length.
pub struct Chunked(pub Option<Bytes>);

impl http_body::Body for Chunked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

pub fn names(answer: &Answer) -> Vec<&str> {
    answer.set_cookies().into_iter().map(|cookie| cookie.split('=').next().unwrap()).collect()
}

pub fn config() -> Config {
    settings().build().unwrap()
}
