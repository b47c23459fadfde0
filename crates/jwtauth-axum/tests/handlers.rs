//! What handlers can query and do, during the request and after it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::IntoResponse,
    routing::{any, post},
};
use common::{Browser, Clock, app, layer, names, settings};
use http::{Request, StatusCode, header};
use jwtauth_axum::{
    AccessClaims, Auth, AuthLayer, Authenticated, FoundSession, InsertError, Limit, Login, LoginError, MemoryStore,
    Record, SessionStore, StoreError,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
use tokio::sync::Notify;
use tower::ServiceExt;
use uuid::Uuid;

/// A store whose users can be deactivated, and whose writes can be delayed or fail.
#[derive(Clone, Default)]
struct Store {
    inner: MemoryStore,
    is_inactive: Arc<AtomicBool>,
    is_down: Arc<AtomicBool>,
    holds: Arc<AtomicBool>,
    holds_answers: Arc<AtomicBool>,
    reached: Arc<Notify>,
    released: Arc<Notify>,
}

impl Store {
    async fn count(&self, user: &str) -> usize {
        self.inner.of_user(user, UnixTime::EPOCH).await.unwrap().len()
    }

    async fn pass(&self) {
        if self.holds.load(Ordering::Relaxed) {
            self.reached.notify_one();
            self.released.notified().await;
        }
    }
}

impl SessionStore for Store {
    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("down".into()));
        }
        let found = if self.is_inactive.load(Ordering::Relaxed) { None } else { self.inner.find(id).await? };
        if self.holds_answers.swap(false, Ordering::Relaxed) {
            self.reached.notify_one();
            self.released.notified().await;
        }
        Ok(found)
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        let done = self.inner.insert(record, limit, now).await;
        self.pass().await;
        done
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.inner.advance(id, from, next, methods, now).await
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        self.inner.bind(id, from, next, key).await
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        self.inner.unbind(id, from).await
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        self.inner.acknowledge(id, generation, now).await
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.inner.touch(id, now).await
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        self.inner.of_user(user_id, now).await
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        self.inner.end(ids).await
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        self.inner.remove_expired(most, now).await
    }
}

/// Where a handler keeps its `Auth` for use after the response.
type Kept = Arc<Mutex<Option<Auth>>>;

fn keeping(layer: AuthLayer) -> (Router, Kept) {
    let kept = Kept::default();
    let keep = async |State(kept): State<Kept>, auth: Auth| *kept.lock().unwrap() = Some(auth);
    let keep = Router::new().route("/keep", any(keep)).with_state(kept.clone()).layer(layer.clone());
    (app(layer).merge(keep), kept)
}

/// Return the `Auth` of an answered request of this browser.
async fn after(browser: &mut Browser, kept: &Kept) -> Auth {
    browser.get("/keep").await;
    kept.lock().unwrap().take().unwrap()
}

fn service() -> (Router, Kept, Store, Clock) {
    let (store, clock) = (Store::default(), Clock::default());
    let settings = settings().with_session_check_interval(Duration::from_secs(3600));
    let (app, kept) = keeping(layer(&settings, store.clone(), &clock));
    (app, kept, store, clock)
}

// --- whether the session is live

#[tokio::test]
async fn handler_can_check_its_session_after_the_response() {
    let (app, kept, store, clock) = service();
    let mut browser = Browser::signed_in(&app, "42").await;
    let auth = after(&mut browser, &kept).await;
    assert!(auth.is_live().await.unwrap());
    clock.advance(301);
    browser.get("/me").await;
    assert!(auth.is_live().await.unwrap(), "even if the browser has newer tokens");
    store.is_inactive.store(true, Ordering::Relaxed);
    assert!(!auth.is_live().await.unwrap(), "the user may not sign in, or has changed the password");
    store.is_inactive.store(false, Ordering::Relaxed);
    store.is_down.store(true, Ordering::Relaxed);
    assert_eq!(auth.is_live().await.unwrap_err().code(), "store_error");
    store.is_down.store(false, Ordering::Relaxed);
    assert!(auth.is_live().await.unwrap());
    clock.advance(86_400);
    assert!(!auth.is_live().await.unwrap(), "its end");
}

#[tokio::test]
async fn session_is_live_until_it_ends_for_any_reason() {
    for way in ["/logout", "/login/42", "/others", "/sessions"] {
        let (app, kept, _, clock) = service();
        let mut browser = Browser::signed_in(&app, "42").await;
        let auth = after(&mut browser, &kept).await;
        clock.advance(1);
        let mut other = Browser::signed_in(&app, "42").await;
        assert!(auth.is_live().await.unwrap(), "{way}");
        match way {
            "/others" => drop(other.post(way).await),
            "/sessions" => {
                let id = auth.session().await.unwrap().unwrap().id;
                assert_eq!(other.post(&format!("/sessions/{id}")).await.body, "true");
            }
            _ => drop(browser.post(way).await),
        }
        assert!(!auth.is_live().await.unwrap(), "{way}");
    }
}

#[tokio::test]
async fn anonymous_request_has_no_live_session() {
    let (app, kept, store, _) = service();
    store.is_down.store(true, Ordering::Relaxed);
    let auth = after(&mut Browser::new(&app), &kept).await;
    assert!(!auth.is_live().await.unwrap());
}

#[tokio::test]
async fn handler_sees_its_own_login_and_logout() {
    let handler = async |auth: Auth| {
        let mut seen = Vec::new();
        let mut note = async |auth: &Auth| {
            let user = auth.session().await.unwrap().map(|session| session.user_id);
            seen.push((user, auth.is_live().await.unwrap(), auth.sessions().await.unwrap().len()));
        };
        note(&auth).await;
        auth.login(7).await.unwrap();
        note(&auth).await;
        auth.logout().await.unwrap();
        note(&auth).await;
        auth.login(8).await.unwrap();
        let own = auth.session().await.unwrap().unwrap().id;
        assert!(auth.end(own).await.unwrap());
        note(&auth).await;
        format!("{seen:?}")
    };
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let auth = layer(&settings(), store, &clock);
    let app = app(auth.clone()).merge(Router::new().route("/all", post(handler)).layer(auth));
    let mut browser = Browser::signed_in(&app, "42").await;
    assert_eq!(
        browser.post("/all").await.body,
        r#"[(Some("42"), true, 1), (Some("7"), true, 1), (None, false, 0), (None, false, 0)]"#
    );
}

/// A late answer of the store is about the session that the request came with.
#[tokio::test]
async fn late_session_lookup_does_not_undo_a_login_or_a_logout() {
    for (then, expected) in [("login", Some("7")), ("logout", None)] {
        let handler = async move |auth: Auth, State(store): State<Store>| {
            store.holds_answers.store(true, Ordering::Relaxed);
            let asks = tokio::spawn({
                let auth = auth.clone();
                async move { auth.session().await.unwrap().map(|session| session.user_id) }
            });
            store.reached.notified().await;
            match then {
                "login" => auth.login(7).await.unwrap(),
                _ => auth.logout().await.unwrap(),
            }
            store.released.notify_one();
            assert_eq!(asks.await.unwrap().as_deref(), expected, "{then}");
            let session = auth.session().await.unwrap();
            assert_eq!(session.map(|session| session.user_id).as_deref(), expected, "{then}");
        };
        let (store, clock) = (Store::default(), Clock::default());
        let auth = layer(&settings(), store.clone(), &clock);
        let handler = Router::new().route("/all", post(handler)).with_state(store.clone()).layer(auth.clone());
        let mut browser = Browser::signed_in(&app(auth).merge(handler), "42").await;
        assert_eq!(browser.post("/all").await.status, StatusCode::OK);
        assert_eq!((store.count("42").await, store.count("7").await), (0, expected.map_or(0, |_| 1)));
    }
}

// --- after the response

#[tokio::test]
async fn login_after_the_response_fails_and_leaves_no_session() {
    let (app, kept, store, _) = service();
    let mut browser = Browser::signed_in(&app, "42").await;
    let auth = after(&mut browser, &kept).await;
    let error = auth.login(7).await.unwrap_err();
    assert_eq!(error.code(), "response_sent");
    let brief = Login::new(7).with_remember(false).with_cross_origin(true);
    assert!(matches!(auth.login_with(brief).await, Err(LoginError::ResponseSent)));
    assert_eq!((store.count("7").await, store.count("42").await), (0, 1));
    assert_eq!(browser.who().await, "42", "the session of the request continues");
    assert_eq!(error.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn login_from_a_streamed_body_fails() {
    let (app, kept, store, _) = service();
    let streams = async |auth: Auth, State(kept): State<Kept>| {
        *kept.lock().unwrap() = Some(auth.clone());
        Body::new(common::Chunked(Some("data".into())))
    };
    let auth = layer(&settings(), store.clone(), &Clock::default());
    let app = app.merge(Router::new().route("/stream", any(streams)).with_state(kept.clone()).layer(auth));
    let response = app.oneshot(Request::get("/stream").body(Body::empty()).unwrap()).await.unwrap();
    let auth = kept.lock().unwrap().take().unwrap();
    assert!(matches!(auth.login(42).await, Err(LoginError::ResponseSent)), "the body has not been read yet");
    drop(response);
    assert_eq!(store.count("42").await, 0);
}

#[tokio::test]
async fn login_after_the_client_disconnected_fails() {
    let (app, kept, store, clock) = service();
    let hangs = async |auth: Auth, State(kept): State<Kept>| {
        *kept.lock().unwrap() = Some(auth);
        std::future::pending::<()>().await;
    };
    let auth = layer(&settings(), store.clone(), &clock);
    let app = app.merge(Router::new().route("/hang", any(hangs)).with_state(kept.clone()).layer(auth));
    let request = Request::get("/hang").body(Body::empty()).unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, app.oneshot(request)).await.is_err());
    let auth = kept.lock().unwrap().take().unwrap();
    assert_eq!(auth.login(42).await.unwrap_err().code(), "response_sent");
    assert_eq!(store.count("42").await, 0);
}

#[tokio::test]
async fn login_overtaken_by_the_response_fails_and_ends_no_session() {
    let (app, kept, store, clock) = service();
    let login = Arc::new(Mutex::new(None));
    let logins = Arc::clone(&login);
    // The login begins in the request, and the store answers after the response has been sent.
    let spawns = async move |auth: Auth, State((kept, store)): State<(Kept, Store)>| {
        let login = tokio::spawn({
            let auth = auth.clone();
            async move { auth.login(7).await.unwrap_err().code() }
        });
        store.reached.notified().await;
        *kept.lock().unwrap() = Some(auth);
        *logins.lock().unwrap() = Some(login);
        "answered"
    };
    let auth = layer(&settings(), store.clone(), &clock);
    let state = (kept.clone(), store.clone());
    let app = app.merge(Router::new().route("/spawn", any(spawns)).with_state(state).layer(auth));
    let mut browser = Browser::signed_in(&app, "42").await;
    store.holds.store(true, Ordering::Relaxed);
    let answer = browser.get("/spawn").await;
    assert_eq!((answer.body.as_str(), names(&answer).len()), ("answered", 0));
    store.holds.store(false, Ordering::Relaxed);
    store.released.notify_one();
    let login = login.lock().unwrap().take().unwrap();
    assert_eq!(login.await.unwrap(), "response_sent");
    assert_eq!((store.count("7").await, store.count("42").await), (0, 1));
    assert_eq!(browser.who().await, "42", "the session that it would have replaced continues");
}

#[tokio::test]
async fn concurrent_login_and_response_agree() {
    for round in 0..200 {
        let (store, clock) = (Store::default(), Clock::default());
        let login = Arc::new(Mutex::new(None));
        let starts = async move |auth: Auth, State(handles): State<Handles>| {
            *handles.lock().unwrap() = Some(tokio::spawn(async move { auth.login(7).await.is_ok() }));
            for _ in 0..round % 8 {
                tokio::task::yield_now().await;
            }
        };
        let app = Router::new().route("/race", post(starts)).with_state(Handles::clone(&login)).layer(layer(
            &settings(),
            store.clone(),
            &clock,
        ));
        let cookies = names(&Browser::new(&app).post("/race").await).len();
        let login = login.lock().unwrap().take().unwrap();
        let is_in = login.await.unwrap();
        assert_eq!((cookies, store.count("7").await), if is_in { (2, 1) } else { (0, 0) }, "{round}");
    }
}

type Handles = Arc<Mutex<Option<tokio::task::JoinHandle<bool>>>>;

#[tokio::test]
async fn logout_after_the_response_ends_the_session() {
    let (app, kept, store, _) = service();
    let mut browser = Browser::signed_in(&app, "42").await;
    let auth = after(&mut browser, &kept).await;
    auth.logout().await.unwrap();
    assert_eq!(store.count("42").await, 0);
    assert!(auth.session().await.unwrap().is_none() && !auth.is_live().await.unwrap());
    assert_eq!(
        (browser.who().await.as_str(), browser.jar.len()),
        ("anonymous", 2),
        "the remaining cookies are invalid"
    );
}

// --- how long a login lasts

#[tokio::test]
async fn login_lifetime_of_zero_or_too_long_is_an_error() {
    let (store, clock) = (Store::default(), Clock::default());
    let login = async |auth: Auth, Path(millis): Path<u64>| {
        auth.login_with(Login::new(42).with_lifetime(Duration::from_millis(millis))).await
    };
    let auth = layer(&settings(), store.clone(), &clock);
    let app = app(auth.clone()).merge(Router::new().route("/for/{millis}", post(login)).layer(auth));
    for millis in [0, 999, 100_000_000_001_000, u64::MAX] {
        let answer = Browser::new(&app).post(&format!("/for/{millis}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "invalid_lifetime"));
        assert!(names(&answer).is_empty());
    }
    assert_eq!(store.count("42").await, 0);
    let mut browser = Browser::new(&app);
    assert_eq!(browser.post("/for/1999").await.status, StatusCode::OK);
    assert_eq!(browser.who().await, "42");
    clock.advance(1);
    assert_eq!(browser.who().await, "anonymous", "fractions of a second are discarded");
    assert_eq!(Browser::new(&app).post("/for/100000000000000").await.status, StatusCode::OK);
}

// --- optional users

#[tokio::test]
async fn optional_extractors_are_none_only_for_anonymous_requests() {
    let (store, clock) = (Store::default(), Clock::default());
    let auth = layer(&settings(), store.clone(), &clock);
    let user = async |user: Option<Authenticated>| user.map_or("anonymous".to_owned(), |user| user.user_id);
    let claims = async |claims: Option<AccessClaims>| claims.map_or("anonymous".to_owned(), |claims| claims.0.subject);
    let both = Router::new().route("/user", any(user)).route("/token", any(claims)).layer(auth.clone());
    let app = app(auth).merge(both);
    let mut browser = Browser::signed_in(&app, "42").await;
    let late = browser.clone();
    for path in ["/user", "/token"] {
        assert_eq!(
            (browser.get(path).await.body, Browser::new(&app).get(path).await.body),
            ("42".into(), "anonymous".into())
        );
        for bad in ["Bearer", "Bearer undefined", "bearer a.b.c"] {
            let answer = browser.send(browser.request("GET", path).header(header::AUTHORIZATION, bad)).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_not_valid"));
        }
    }
    clock.advance(301);
    store.is_down.store(true, Ordering::Relaxed);
    for path in ["/user", "/token"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::INTERNAL_SERVER_ERROR, "store_error"),
            "{path}"
        );
    }
    store.is_down.store(false, Ordering::Relaxed);
    browser.get("/user").await;
    browser.get("/user").await;
    clock.advance(901);
    for path in ["/user", "/token"] {
        let upload = late.request("POST", path).header(header::TRANSFER_ENCODING, "chunked");
        assert_eq!(late.send(upload).await.body, "anonymous", "a late upload is anonymous");
    }
}
