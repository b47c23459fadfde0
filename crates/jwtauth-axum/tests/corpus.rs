//! Replays the request corpus `testdata/requests.json` through the layer. The engine and Django give the same answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test, and its helpers")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Once},
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version, header},
    response::{IntoResponse, Response},
    routing::any,
};
use cookie::Cookie;
use http_body_util::BodyExt as _;
use jwtauth_axum::{
    Auth, AuthError, AuthLayer, Authenticated, FoundSession, InsertError, Limit, Login, LoginError, MemoryStore,
    RecentlySignedIn, Record, RequiredMethods, SessionStore, Settings, SignedInWith, StoreError,
    jwtauth::{Generation, Methods, Session, TokenKind, Tokens, UnixTime},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower::{ServiceExt as _, util::MapResponseLayer};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use uuid::Uuid;

#[derive(Deserialize)]
struct Corpus {
    now: u64,
    key: String,
    users: BTreeMap<String, User>,
    configurations: BTreeMap<String, Configuration>,
    sessions: BTreeMap<String, Name>,
    tokens: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct User {
    is_active: bool,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "JWTAUTH")]
    settings: Map<String, Value>,
    #[serde(rename = "CSRF_TRUSTED_ORIGINS")]
    trusted: Vec<String>,
    attributes: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Name {
    id: String,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    configuration: String,
    unable: BTreeMap<String, String>,
    rows: BTreeMap<String, Value>,
    request: CaseRequest,
    answer: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRequest {
    view: String,
    method: String,
    http_version: String,
    sent_to: String,
    headers: Vec<(String, String)>,
    responds: Vec<(String, String)>,
    query: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    user: String,
    generation: u64,
    acknowledged_at: Option<u64>,
    rotated_at: u64,
    created_at: u64,
    expires_at: u64,
    end_is_fixed: bool,
    remember: bool,
    last_seen_at: u64,
    auth_time: Option<u64>,
    locks_at: Option<u64>,
    #[serde(default)]
    amr: String,
    device_key: Option<String>,
}

fn corpus() -> Corpus {
    serde_json::from_str(include_str!("../../../testdata/requests.json")).unwrap()
}

#[tokio::test]
async fn layer_gives_the_expected_answers_of_the_corpus() {
    let corpus = corpus();
    // `unable` says why axum cannot replay a case.
    let cases: Vec<_> = corpus.cases.iter().filter(|case| !case.unable.contains_key("axum")).collect();
    assert!(cases.len() >= 150);
    let mut wrong = String::new();
    for case in cases {
        let (expected, given) = (corpus.expected(case), corpus.replay(case).await);
        if expected != given {
            writeln!(wrong, "\n{}\nexpected {expected:#}\ngiven {given:#}", case.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

impl Corpus {
    async fn replay(&self, case: &Case) -> Value {
        let configuration = &self.configurations[&case.configuration];
        let config = self.settings(configuration).build().unwrap();
        let tokens = config.tokens().clone();
        let store = self.store(case).await;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.now);
        let layer = AuthLayer::new(config, store.clone()).with_clock(move || now);
        start_log();
        let response = site(&case.request).layer(layer).oneshot(self.request(&case.request)).await.unwrap();
        let events = EVENTS.take();
        let (parts, body) = response.into_parts();
        let said: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
        let (set, cleared) = self.cookies(configuration, &tokens, &parts.headers);
        let value = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
        let named = case.answer["headers"].as_object().unwrap().keys();
        let headers: BTreeMap<_, _> = named.map(|name| (name, value(name))).collect();
        let vary: Vec<_> = parts.headers.get_all(header::VARY).iter().collect();
        assert!(vary.len() <= 1, "{}: more than one field: {vary:?}", case.name);
        let vary = value("vary").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let is_missing = said.get("max_age").is_some();
        let missing = is_missing.then(|| json!({"max_age": said["max_age"], "methods": said["methods"]}));
        let given = json!({
            "status": parts.status.as_u16(), "user": said["user"], "code": said["code"], "missing": missing, "set": set, "cleared": cleared,
            "vary": vary.collect::<Vec<_>>(), "cache_control": value("cache-control"), "headers": headers,
            "rows": self.rows(&store).await, "events": events,
        });
        compared(case, given)
    }

    fn settings(&self, configuration: &Configuration) -> Settings {
        let mut settings = configuration.settings.clone();
        for value in settings.values_mut().filter(|value| value.is_null()) {
            *value = json!("none");
        }
        settings.insert("SECRET_KEY".to_owned(), json!(self.key));
        settings.insert("DPOP_ORIGINS".to_owned(), json!(["https://own.example"]));
        settings.insert("CSRF_TRUSTED_ORIGINS".to_owned(), json!(configuration.trusted));
        serde_json::from_value(Value::Object(settings)).unwrap()
    }

    async fn store(&self, case: &Case) -> Users {
        let inactive = self.users.iter().filter(|(_, user)| !user.is_active).map(|(id, _)| id.clone());
        let store = Users { rows: MemoryStore::default(), inactive: Arc::new(inactive.collect()) };
        for (name, row) in &case.rows {
            let row: Row = serde_json::from_value(row.clone()).unwrap();
            let time = UnixTime::from_secs;
            let session = Session::new(time(row.created_at), time(row.expires_at))
                .with_generation(Generation::new(row.generation), time(row.rotated_at))
                .with_acknowledged_at(row.acknowledged_at.map(time))
                .with_fixed_end(row.end_is_fixed)
                .with_auth_time(row.auth_time.map(time))
                .with_locks_at(row.locks_at.map(time));
            let record = Record::new(self.sessions[name].id.parse().unwrap(), row.user, session)
                .with_remember(row.remember)
                .with_methods(Methods::from_stored(&row.amr))
                .with_device_key(row.device_key)
                .with_last_seen_at(time(row.last_seen_at));
            store.insert(record, None, time(self.now)).await.unwrap();
        }
        store
    }

    /// Build the request as a server passes it on: in HTTP/2 and 3, the authority replaces `Host`.
    fn request(&self, sent: &CaseRequest) -> Request<Body> {
        let (_, host) = sent.sent_to.split_once("://").unwrap();
        let (version, is_later) = match sent.http_version.as_str() {
            "1.0" => (Version::HTTP_10, false),
            "1.1" => (Version::HTTP_11, false),
            "2" => (Version::HTTP_2, true),
            "3" => (Version::HTTP_3, true),
            other => panic!("unknown version {other}"),
        };
        let mut request = Request::builder().method(sent.method.as_str()).version(version);
        let query = sent.query.iter().map(|query| format!("?{query}"));
        let path = format!("/{}/{}", sent.view, query.collect::<String>());
        request = if is_later {
            request.uri(format!("{}{path}", sent.sent_to))
        } else {
            request.uri(path).header(header::HOST, host)
        };
        for (name, value) in &sent.headers {
            let value = self
                .tokens
                .iter()
                .fold(value.clone(), |value, (name, token)| value.replace(&format!("{{{name}}}"), token));
            let octets: Vec<u8> = value.chars().map(|octet| u8::try_from(octet).unwrap()).collect();
            request = request.header(name, HeaderValue::from_bytes(&octets).unwrap());
        }
        request.body(Body::empty()).unwrap()
    }

    /// Return the cookies that are set and cleared, by kind.
    fn cookies(&self, configuration: &Configuration, tokens: &Tokens, headers: &HeaderMap) -> (Value, Value) {
        let (mut set, mut cleared) = (Map::new(), Map::new());
        let kinds = [("access", TokenKind::Access), ("refresh", TokenKind::Refresh)];
        for field in headers.get_all(header::SET_COOKIE) {
            let cookie = Cookie::parse(field.to_str().unwrap()).unwrap();
            let name_of = |kind: &str| {
                let setting = format!("{}_TOKEN_COOKIE_NAME", kind.to_uppercase());
                let name = configuration.settings.get(&setting).and_then(Value::as_str);
                name.map_or_else(|| format!("{kind}_token"), str::to_owned)
            };
            let (name, kind) = kinds.into_iter().find(|(kind, _)| name_of(kind) == cookie.name()).unwrap();
            let max_age = cookie.max_age().map(cookie::time::Duration::whole_seconds);
            let mut told = json!({"attributes": attributes(field.to_str().unwrap())});
            let cookies = if cookie.value().is_empty() {
                assert_eq!(max_age, Some(0));
                &mut cleared
            } else {
                let claims = tokens.verify(kind, cookie.value(), UnixTime::from_secs(self.now)).unwrap();
                told["session"] = json!(self.name(claims.sid.session_id()));
                told["user"] = json!(claims.subject);
                told["generation"] = json!(claims.generation.get());
                told["issued_at"] = json!(claims.issued_at.as_secs());
                told["expires_at"] = json!(claims.expires_at.as_secs());
                told["max_age"] = json!(max_age);
                told["auth_time"] = json!(claims.auth_time.map(UnixTime::as_secs));
                told["amr"] = json!(claims.methods.iter().collect::<Vec<_>>());
                &mut set
            };
            assert!(cookies.insert(name.to_owned(), told).is_none(), "{name} twice");
        }
        (Value::Object(set), Value::Object(cleared))
    }

    async fn rows(&self, store: &Users) -> Value {
        let mut rows = Map::new();
        for user in self.users.keys() {
            for Record { id, session, remember, last_seen_at, user_id, methods, device_key, .. } in
                store.of_user(user, UnixTime::EPOCH).await.unwrap()
            {
                let row = json!({
                    "user": user_id, "generation": session.generation.get(),
                    "acknowledged_at": session.acknowledged_at.map(UnixTime::as_secs),
                    "rotated_at": session.rotated_at.as_secs(), "created_at": session.created_at.as_secs(),
                    "expires_at": session.expires_at.as_secs(), "end_is_fixed": session.end_is_fixed,
                    "remember": remember, "last_seen_at": last_seen_at.as_secs(),
                    "auth_time": session.auth_time.map(UnixTime::as_secs),
                    "locks_at": session.locks_at.map(UnixTime::as_secs), "amr": methods.as_str(),
                    "device_key": device_key,
                });
                rows.insert(self.name(id), row);
            }
        }
        Value::Object(rows)
    }

    fn name(&self, id: Uuid) -> String {
        let found = self.sessions.iter().find(|(_, session)| session.id == id.to_string());
        found.map_or_else(|| "new".to_owned(), |(name, _)| name.clone())
    }

    fn expected(&self, case: &Case) -> Value {
        let mut rows = Map::new();
        for (name, after) in case.answer["rows"].as_object().unwrap() {
            let mut row = json!({"auth_time": null, "locks_at": null, "amr": "", "device_key": null});
            let before = case.rows.get(name).and_then(Value::as_object).cloned();
            row.as_object_mut().unwrap().extend(before.unwrap_or_default());
            match after {
                Value::String(word) if word == "gone" => continue,
                Value::String(word) if word == "unchanged" => {}
                Value::Object(changes) => row.as_object_mut().unwrap().extend(changes.clone()),
                other => panic!("{}: {other}", case.name),
            }
            rows.insert(name.clone(), row);
        }
        let attributes = &self.configurations[&case.configuration].attributes;
        let mut set = case.answer["set"].clone();
        for cookie in set.as_object_mut().unwrap().values_mut() {
            let row = &rows[cookie["session"].as_str().unwrap()];
            cookie["attributes"] = json!(attributes);
            cookie["user"] = row["user"].clone();
            for (claim, default) in [("auth_time", row["created_at"].clone()), ("amr", json!([]))] {
                cookie.as_object_mut().unwrap().entry(claim).or_insert(default);
            }
        }
        let cleared = json!({"attributes": attributes});
        let is_cleared = case.answer["cleared"] == true;
        let mut expected = case.answer.clone();
        expected.entry("missing").or_insert(Value::Null);
        expected["set"] = set;
        expected["cleared"] = if is_cleared { json!({"access": cleared, "refresh": cleared}) } else { json!({}) };
        expected["rows"] = Value::Object(rows);
        compared(case, Value::Object(expected))
    }
}

/// Return the comparable part of an answer: no body for `HEAD`, no caching headers for a handshake.
fn compared(case: &Case, mut answer: Value) -> Value {
    let fields = answer.as_object_mut().unwrap();
    if case.request.method == "HEAD" {
        fields.retain(|name, _| name != "user" && name != "code" && name != "missing");
    }
    if case.answer["vary"].is_null() {
        fields.retain(|name, _| name != "vary" && name != "cache_control");
    }
    answer
}

/// Return the attributes of a cookie except its age.
fn attributes(cookie: &str) -> BTreeSet<&str> {
    cookie.split("; ").skip(1).filter(|it| !it.starts_with("Max-Age=") && !it.starts_with("Expires=")).collect()
}

// --- the views

fn site(sent: &CaseRequest) -> Router {
    let responds: HeaderMap = sent
        .responds
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    let login = |login: Login| any(async move |auth: Auth| sign_in(auth, login.clone()).await);
    Router::new()
        .route("/me/", any(async |user: Authenticated| says(Some(&user.user_id))))
        .route(
            "/public/",
            any(async |user: Option<Authenticated>| says(user.as_ref().map(|user| user.user_id.as_str()))),
        )
        .route("/idle/", any(async || says(None)))
        .route("/failing/", any(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/recent/", any(async |recent: RecentlySignedIn<300>| says(Some(&recent.user.user_id))))
        .route("/otp/", any(async |with: SignedInWith<Otp>| says(Some(&with.user.user_id))))
        .route("/reauthenticate/", any(reauthenticate))
        .route("/login/", login(Login::new(1)))
        .route("/login-forget/", login(Login::new(1).with_remember(false)))
        .route("/login-hour/", login(Login::new(1).with_lifetime(Duration::from_secs(3600))))
        .route("/login-callback/", login(Login::new(1).with_cross_origin(true)))
        .route("/logout/", any(logout))
        .route("/websocket/", any(websocket))
        .layer(MapResponseLayer::new(move |mut response: Response| {
            if response.status() == StatusCode::OK {
                response.headers_mut().extend(responds.clone());
            }
            response
        }))
}

fn says(user: Option<&str>) -> Json<Value> {
    Json(json!({"user": user}))
}

async fn sign_in(auth: Auth, login: Login) -> Result<Json<Value>, LoginError> {
    auth.login_with(login).await?;
    Ok(says(auth.session().await?.as_ref().map(|session| session.user_id.as_str())))
}

async fn reauthenticate(auth: Auth) -> Result<Json<Value>, LoginError> {
    auth.reauthenticate(1, ["otp"]).await?;
    Ok(says(auth.session().await?.as_ref().map(|session| session.user_id.as_str())))
}

struct Otp;

impl RequiredMethods for Otp {
    const METHODS: &'static [&'static str] = &["otp"];
}

async fn logout(auth: Auth) -> Result<Json<Value>, AuthError> {
    auth.logout().await?;
    Ok(says(auth.session().await?.as_ref().map(|session| session.user_id.as_str())))
}

async fn websocket(user: Option<Authenticated>) -> Response {
    (StatusCode::SWITCHING_PROTOCOLS, says(user.as_ref().map(|user| user.user_id.as_str()))).into_response()
}

// --- the store

/// Sessions in memory; some of their users may not sign in.
#[derive(Clone)]
struct Users {
    rows: MemoryStore,
    inactive: Arc<BTreeSet<String>>,
}

impl SessionStore for Users {
    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        let found = self.rows.find(id).await?;
        Ok(found.filter(|found| !self.inactive.contains(&found.record.user_id)))
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        self.rows.insert(record, limit, now).await
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.rows.advance(id, from, next, methods, now).await
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        self.rows.bind(id, from, next, key).await
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        self.rows.unbind(id, from).await
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        self.rows.acknowledge(id, generation, now).await
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.rows.touch(id, now).await
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        self.rows.of_user(user_id, now).await
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        self.rows.end(ids).await
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        self.rows.remove_expired(most, now).await
    }
}

// --- the log

thread_local! {
    static EVENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Record the events of `jwtauth.security` on this thread from now on.
fn start_log() {
    static START: Once = Once::new();
    START.call_once(|| tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Events)).unwrap());
    EVENTS.take();
}

struct Events;

impl<S: tracing::Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() == "jwtauth.security" {
            event.record(&mut Named);
        }
    }
}

/// Records the field `event`.
struct Named;

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            EVENTS.with_borrow_mut(|events| events.push(value.to_owned()));
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
