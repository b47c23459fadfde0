//! The queries of the layer, and what happens if they fail.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{
    Browser, Clock, app, layer,
    log::{self, logged, times_logged},
    names, settings,
};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use jwtauth_axum::{
    Auth, AuthLayer, FoundSession, InsertError, Limit, MemoryStore, Record, SessionStore, Settings, StoreError,
    jwtauth::{Generation, Methods, Session, TokenKind, UnixTime},
};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};
use tracing_subscriber::fmt::format::FmtSpan;
use uuid::Uuid;

/// A store that counts its queries, and fails or is in contention on demand.
#[derive(Clone, Default)]
struct Troubled {
    inner: MemoryStore,
    finds: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    has_no_connection: Arc<AtomicBool>,
    swaps_are_lost: Arc<AtomicBool>,
    ends_are_lost: Arc<AtomicBool>,
    busy: Arc<AtomicUsize>,
    ends_fail: Arc<AtomicUsize>,
    lists_are_busy: Arc<AtomicBool>,
    removals_are_busy: Arc<AtomicUsize>,
    removals_fail: Arc<AtomicBool>,
    /// How many more times each session is found before it ends.
    lives: Arc<Mutex<HashMap<Uuid, usize>>>,
    clock: Clock,
    gate: Arc<Gate>,
}

/// Holds back writes and lists on demand.
#[derive(Default)]
struct Gate {
    is_closed: AtomicBool,
    reached: Notify,
    opened: Notify,
}

impl Gate {
    async fn pass(&self) {
        if self.is_closed.load(Ordering::Relaxed) {
            self.reached.notify_one();
            self.opened.notified().await;
        }
    }

    fn open(&self) {
        self.is_closed.store(false, Ordering::Relaxed);
        self.opened.notify_waiters();
    }
}

/// Decrement the counter, and return whether it was above zero.
fn once_less(times: &AtomicUsize) -> bool {
    times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1)).is_ok()
}

impl Troubled {
    fn trouble(&self) -> Result<(), StoreError> {
        if self.has_no_connection.load(Ordering::Relaxed) {
            return Err(StoreError::NoConnection("all are in use".into()));
        }
        if self.fails.load(Ordering::Relaxed) { Err(StoreError::Failed("the disk is full".into())) } else { Ok(()) }
    }

    fn finds(&self) -> usize {
        self.finds.swap(0, Ordering::Relaxed)
    }
}

impl SessionStore for Troubled {
    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        self.trouble()?;
        self.finds.fetch_add(1, Ordering::Relaxed);
        match self.lives.lock().unwrap().get_mut(&id) {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None => {}
        }
        self.inner.find(id).await
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        self.trouble()?;
        self.inner.insert(record, limit, now).await
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        to: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.trouble()?;
        if self.swaps_are_lost.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.gate.pass().await;
        self.inner.advance(id, from, to, methods, now).await
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        self.trouble()?;
        if self.swaps_are_lost.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.gate.pass().await;
        self.inner.bind(id, from, next, key).await
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        self.trouble()?;
        if self.swaps_are_lost.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.gate.pass().await;
        self.inner.unbind(id, from).await
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        if once_less(&self.busy) {
            return Err(StoreError::Busy("locked".into()));
        }
        self.inner.acknowledge(id, generation, now).await
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.inner.touch(id, now).await
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        self.gate.pass().await;
        if self.lists_are_busy.load(Ordering::Relaxed) {
            return Err(StoreError::Busy("locked".into()));
        }
        self.inner.of_user(user_id, now).await
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        self.gate.pass().await;
        self.trouble()?;
        if once_less(&self.ends_fail) {
            return Err(StoreError::Failed("the disk is full".into()));
        }
        if self.ends_are_lost.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.inner.end(ids).await
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        if once_less(&self.removals_are_busy) {
            return Err(StoreError::Busy("a deadlock".into()));
        }
        if self.removals_fail.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("the disk is full".into()));
        }
        self.inner.remove_expired(most, now).await
    }
}

fn service(settings: &Settings) -> (axum::Router, Troubled, Clock) {
    let store = Troubled::default();
    let clock = store.clock.clone();
    (app(layer(settings, store.clone(), &clock)), store, clock)
}

// --- queries

#[tokio::test]
async fn session_is_queried_once_and_only_if_a_handler_needs_it() {
    let (app, store, _) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    for (path, finds) in [("/open", 0), ("/claims", 0), ("/me", 1), ("/sessions", 1)] {
        browser.get(path).await;
        assert_eq!(store.finds(), finds, "{path}");
    }
    Browser::new(&app).get("/me").await;
    assert_eq!(store.finds(), 0, "an anonymous request causes no query");
}

#[tokio::test]
async fn token_of_an_acting_user_names_them_although_their_own_session_ends_meanwhile() {
    let (app, store, clock) = service(&settings());
    Browser::signed_in(&app, "7").await;
    let mut acting = Browser::signed_in(&app, "42").await;
    let own = store.inner.of_user("7", UnixTime::EPOCH).await.unwrap().remove(0);
    let row = store.inner.of_user("42", UnixTime::EPOCH).await.unwrap().remove(0).with_actor_session_id(own.id);
    store.inner.insert(row, None, UnixTime::EPOCH).await.unwrap();
    store.lives.lock().unwrap().insert(own.id, 1);
    clock.advance(301);
    acting.get("/open").await;
    let tokens = settings().build().unwrap().tokens().clone();
    let claims = tokens.verify_ignoring_time(TokenKind::Access, &acting.jar["access_token"]).unwrap();
    assert_eq!((claims.generation, claims.actor.as_deref()), (Generation::new(2), Some("7")));
    assert_eq!(acting.get("/me").await.code(), "not_authenticated");
}

#[tokio::test]
async fn within_the_check_interval_nothing_is_queried_and_local_ends_apply_immediately() {
    for interval in [Some(Duration::from_secs(3600)), None] {
        let (app, store, _) = service(&settings().with_session_check_interval(interval));
        let mut browser = Browser::signed_in(&app, "42").await;
        assert_eq!((browser.who().await, store.finds()), ("42".to_owned(), 1));
        assert_eq!((browser.who().await, store.finds()), ("42".to_owned(), 0));
        let mut copy = browser.clone();
        browser.post("/logout").await;
        assert_eq!(copy.who().await, "anonymous");
    }
}

#[tokio::test]
async fn within_the_check_interval_new_tokens_are_queried_when_first_sent() {
    for interval in [Some(Duration::from_secs(3600)), None] {
        let (app, store, clock) = service(&settings().with_session_check_interval(interval));
        let mut browser = Browser::signed_in(&app, "42").await;
        assert_eq!((browser.who().await, store.finds()), ("42".to_owned(), 1));
        clock.advance(301);
        for finds in [1, 1, 0] {
            assert_eq!((browser.who().await, store.finds()), ("42".to_owned(), finds), "{interval:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn end_in_another_process_applies_after_the_check_interval() {
    let store = MemoryStore::default();
    let interval = settings().with_session_check_interval(Duration::from_millis(50));
    let here = app(layer(&interval, store.clone(), &Clock::default()));
    let elsewhere = app(layer(&settings(), store, &Clock::default()));
    let mut browser = Browser::signed_in(&here, "42").await;
    assert_eq!(browser.who().await, "42");
    let mut there = browser.clone();
    there.app = elsewhere;
    there.post("/logout").await;
    tokio::time::advance(Duration::from_millis(49)).await;
    assert_eq!(browser.who().await, "42");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(browser.who().await, "anonymous");
}

// --- failures

#[tokio::test]
async fn store_failure_signs_no_user_in_or_out() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    for seconds in [0, 301] {
        clock.advance(seconds);
        store.fails.store(true, Ordering::Relaxed);
        for (method, path) in [("GET", "/me"), ("GET", "/optional"), ("POST", "/logout"), ("POST", "/login/7")] {
            let answer = browser.send(browser.request(method, path)).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "store_error"));
            assert!(names(&answer).is_empty() && !answer.body.contains("disk"), "{}", answer.body);
        }
        store.fails.store(false, Ordering::Relaxed);
    }
    assert_eq!(browser.who().await, "42");
}

#[tokio::test]
async fn contention_is_503_and_leaves_the_cookies() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    store.swaps_are_lost.store(true, Ordering::Relaxed);
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "session_contention"));
    assert_eq!((&answer.headers[header::RETRY_AFTER], names(&answer).len()), (&"1".parse().unwrap(), 0));
    store.swaps_are_lost.store(false, Ordering::Relaxed);
    assert_eq!(browser.who().await, "42");
}

#[tokio::test]
async fn busy_store_is_503_like_other_contention() {
    let (app, store, _) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    store.lists_are_busy.store(true, Ordering::Relaxed);
    let answer = browser.get("/sessions").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "session_contention"));
    assert!(answer.headers.contains_key(header::RETRY_AFTER) && names(&answer).is_empty());
}

#[tokio::test(start_paused = true)]
async fn generation_is_acknowledged_even_if_the_store_is_busy() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    browser.who().await;
    for (times, is_seen) in [(6, false), (2, true)] {
        store.busy.store(times, Ordering::Relaxed);
        assert_eq!(browser.who().await, "42");
        assert_eq!(store.busy.load(Ordering::Relaxed), 0);
        let row = store.of_user("42", UnixTime::EPOCH).await.unwrap().remove(0);
        assert_eq!(row.session.acknowledged_at.is_some(), is_seen, "within bounds");
    }
}

#[tokio::test(start_paused = true)]
async fn removal_in_conflict_with_another_waits_for_a_later_login_and_one_that_fails_is_logged() {
    log::start(FmtSpan::NONE);
    let (app, store, _) = service(&settings());
    store.removals_are_busy.store(1, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    Browser::signed_in(&app, "42").await;
    assert!(becomes_true(async || store.removals_are_busy.load(Ordering::Relaxed) == 0).await);
    assert_eq!((times_logged("WARN"), times_logged("ERROR")), (0, 0), "{}", logged());
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    store.removals_fail.store(true, Ordering::Relaxed);
    Browser::signed_in(&app, "42").await;
    assert!(becomes_true(async || times_logged("expired sessions were not removed") == 1).await, "{}", logged());
}

#[tokio::test]
async fn handler_without_the_layer_is_a_service_error() {
    let app = axum::Router::new().route("/me", axum::routing::get(async |_: Auth| ""));
    let answer = Browser::new(&app).get("/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "missing_layer"));
}

// --- clients that disconnect

/// Send the request, and drop its future while the store is writing, as if the client disconnected.
async fn gone(browser: &Browser, request: http::request::Builder, store: &Troubled) {
    store.gate.is_closed.store(true, Ordering::Relaxed);
    tokio::select! {
        biased;
        answer = browser.send(request) => panic!("answered before the store has written: {}", answer.body),
        () = store.gate.reached.notified() => {}
    }
}

/// Let other tasks run until this condition holds, and return whether it does.
async fn becomes_true(mut what: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..1000 {
        if what().await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

async fn sessions(store: &Troubled) -> usize {
    store.of_user("42", UnixTime::EPOCH).await.unwrap().len()
}

#[tokio::test]
async fn end_is_completed_after_the_client_disconnects() {
    for path in ["/logout", "/others", "/sessions/{id}", "/login/7"] {
        let (app, store, _) = service(&settings());
        let browser = Browser::signed_in(&app, "42").await;
        let own = store.of_user("42", UnixTime::EPOCH).await.unwrap()[0].id;
        Browser::signed_in(&app, "42").await;
        gone(&browser, browser.request("POST", &path.replace("{id}", &own.to_string())), &store).await;
        store.gate.open();
        assert!(becomes_true(async || sessions(&store).await == 1).await, "{path}");
    }
}

#[tokio::test]
async fn done_waits_for_work_of_disconnected_clients() {
    let store = Troubled::default();
    let layer = layer(&settings(), store.clone(), &store.clock);
    let app = app(layer.clone());
    layer.done().await;
    let browser = Browser::signed_in(&app, "42").await;
    gone(&browser, browser.request("POST", "/logout"), &store).await;
    let mut done = Box::pin(layer.done());
    tokio::select! {
        biased;
        () = &mut done => panic!("the logout waits for the store"),
        () = tokio::task::yield_now() => {}
    }
    store.gate.open();
    done.await;
    assert_eq!(sessions(&store).await, 0);
}

#[tokio::test]
async fn theft_ends_all_sessions_after_the_thief_disconnects() {
    let (thief, store) = theft(&settings().with_reuse_ends_all_sessions(true)).await;
    Browser::signed_in(&thief.app, "42").await;
    log::start(FmtSpan::NONE);
    gone(&thief, thief.request("GET", "/open"), &store).await;
    store.gate.open();
    assert!(becomes_true(async || sessions(&store).await == 0).await);
    assert_eq!(times_logged("refresh_token_reused:"), 1, "{}", logged());
}

#[tokio::test]
async fn refresh_is_written_after_the_client_disconnects() {
    let (app, store, clock) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    log::start(FmtSpan::NONE);
    gone(&browser, browser.request("GET", "/open"), &store).await;
    store.gate.open();
    assert!(becomes_true(async || times_logged("session_refreshed:") == 1).await, "{}", logged());
    assert_eq!(store.of_user("42", UnixTime::EPOCH).await.unwrap()[0].session.generation, Generation::new(2));
}

#[tokio::test]
async fn lost_swap_after_the_client_disconnected_is_not_an_error() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    log::start(FmtSpan::NONE);
    gone(&browser, browser.request("GET", "/open"), &store).await;
    store.gate.is_closed.store(false, Ordering::Relaxed);
    browser.get("/open").await;
    store.gate.open();
    assert!(!becomes_true(async || times_logged("ERROR") > 0).await, "{}", logged());
    assert_eq!(times_logged("session_refreshed:"), 1, "from the request that waited");
}

#[tokio::test]
async fn failed_end_is_logged_after_the_client_disconnects() {
    let (app, store, _) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    log::start(FmtSpan::NONE);
    gone(&browser, browser.request("POST", "/logout"), &store).await;
    store.fails.store(true, Ordering::Relaxed);
    store.gate.open();
    assert!(becomes_true(async || times_logged("ERROR") == 1).await, "{}", logged());
    assert_eq!(times_logged("the disk is full"), 1, "{}", logged());
}

// --- the service around the layer

#[tokio::test]
async fn layer_works_around_any_tower_service_and_body() {
    let inner = tower::service_fn(async |request: Request<Full<axum::body::Bytes>>| {
        let auth = request.extensions().get::<Auth>().cloned().unwrap();
        auth.login("42").await.unwrap();
        Ok::<_, std::convert::Infallible>(Response::new(Full::<axum::body::Bytes>::from("signed in")))
    });
    let service = AuthLayer::new(common::config(), MemoryStore::default()).layer(inner);
    let answer = service.clone().oneshot(Request::new(Full::default())).await.unwrap();
    assert_eq!(answer.headers().get_all(header::SET_COOKIE).iter().count(), 2);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "signed in");
    let bad = Request::builder().header(header::AUTHORIZATION, "Bearer x").body(Full::default()).unwrap();
    assert_eq!(service.oneshot(bad).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn no_token_or_key_is_shown_or_logged() {
    log::start(FmtSpan::NONE);
    let (app, store, clock) = service(&settings());
    let mut owner = Browser::signed_in(&app, "42").await;
    let mut thief = owner.clone();
    let stolen: Vec<String> = thief.jar.values().cloned().collect();
    clock.advance(301);
    for _ in 0..2 {
        owner.who().await;
    }
    clock.advance(31);
    thief.who().await;
    owner.send(owner.request("POST", "/me").header("Sec-Fetch-Site", "cross-site")).await;
    store.fails.store(true, Ordering::Relaxed);
    owner.get("/me").await;
    let shown = format!("{:?} {:?}", settings(), AuthLayer::new(common::config(), store));
    let all = logged();
    for event in ["session_started", "session_refreshed", "session_ended", "refresh_token_reused", "cross_origin"] {
        assert!(all.contains(event) && all.contains("jwtauth.security"), "{event} in {all}");
    }
    for secret in stolen.iter().chain(owner.jar.values()).flat_map(|token| token.split('.').skip(1)) {
        assert!(!all.contains(secret) && !shown.contains(secret));
    }
    assert!(!all.contains(common::SECRET) && !shown.contains(common::SECRET));
}

// --- what is logged

/// Return a thief's copy of a token that its owner has used since, and the service.
async fn theft(settings: &Settings) -> (Browser, Troubled) {
    let (app, store, clock) = service(settings);
    let mut owner = Browser::signed_in(&app, "42").await;
    let thief = owner.clone();
    clock.advance(301);
    for _ in 0..2 {
        owner.who().await;
    }
    clock.advance(31);
    (thief, store)
}

#[tokio::test]
async fn theft_is_logged_once_by_the_request_that_ends_the_session() {
    let (mut thief, store) = theft(&settings()).await;
    log::start(FmtSpan::NONE);
    store.ends_are_lost.store(true, Ordering::Relaxed);
    thief.who().await;
    assert_eq!(times_logged("refresh_token_reused:"), 0, "another request has ended it: {}", logged());
    store.ends_are_lost.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        thief.who().await;
    }
    assert_eq!(times_logged("refresh_token_reused:"), 1, "{}", logged());
}

#[tokio::test]
async fn warnings_name_the_session_and_both_generations() {
    let (mut thief, store) = theft(&settings()).await;
    let session = store.of_user("42", UnixTime::EPOCH).await.unwrap().remove(0).id;
    log::start(FmtSpan::NONE);
    let late = thief.request("POST", "/me").header(header::TRANSFER_ENCODING, "chunked");
    let clock = store.clock.clone();
    clock.advance(870);
    thief.send(late).await;
    thief.who().await;
    for event in ["late_upload", "refresh_token_reused"] {
        let line = logged().lines().find(|line| line.contains(&format!("event=\"{event}\""))).unwrap().to_owned();
        for said in ["WARN", &session.to_string(), "user_id=\"42\"", "presented=1", "current=2"] {
            assert!(line.contains(said), "{said} in {line}");
        }
    }
}

#[tokio::test]
async fn rejected_origin_is_logged_once_with_its_path() {
    let (app, ..) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    let stranger = Browser::new(&app);
    log::start(FmtSpan::NONE);
    for (number, (browser, path)) in
        [(&browser, "/me"), (&stranger, "/logout"), (&stranger, "/login/7")].iter().enumerate()
    {
        browser.send(browser.request("POST", path).header(header::ORIGIN, "https://evil.example")).await;
        assert_eq!(times_logged("event=\"cross_origin\""), number + 1, "{}", logged());
        assert_eq!(times_logged(&format!("path=\"{path}\" origin=\"https://evil.example\"")), 1, "{}", logged());
    }
    assert_eq!(times_logged("ERROR"), 0, "{}", logged());
}

#[tokio::test]
async fn failed_token_issue_is_logged_once() {
    let (app, ..) = service(&settings());
    log::start(FmtSpan::NONE);
    Browser::new(&app).post(&format!("/login/{}", "x".repeat(5000))).await;
    assert_eq!((times_logged("ERROR"), times_logged("code=\"issued_token_too_long\"")), (1, 1), "{}", logged());
}

#[tokio::test]
async fn store_failure_is_logged_once_per_failed_request() {
    let (app, store, clock) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    let bearer = format!("Bearer {}", browser.jar["access_token"]);
    let stranger = Browser::new(&app);
    store.fails.store(true, Ordering::Relaxed);
    log::start(FmtSpan::NONE);
    let checked = browser.request("GET", "/me");
    let by_bearer = stranger.request("GET", "/open").header(header::AUTHORIZATION, bearer);
    let login = stranger.request("POST", "/login/42");
    for (number, request) in [checked, by_bearer, login].into_iter().enumerate() {
        let answer = browser.send(request).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(times_logged("ERROR"), number + 1, "{}", logged());
    }
    clock.advance(301);
    browser.send(browser.request("GET", "/me")).await;
    assert_eq!(times_logged("ERROR"), 4, "a refresh: {}", logged());
    assert_eq!(times_logged("the disk is full"), 4, "with its cause");
    assert_eq!(times_logged("store_error"), 4, "and its code");
}

#[tokio::test]
async fn missing_connection_is_logged_once_per_failed_request() {
    let (app, store, clock) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    store.has_no_connection.store(true, Ordering::Relaxed);
    log::start(FmtSpan::NONE);
    for (number, (seconds, method, path)) in
        [(0, "GET", "/me"), (0, "POST", "/logout"), (0, "POST", "/login/7"), (301, "GET", "/me")]
            .into_iter()
            .enumerate()
    {
        clock.advance(seconds);
        let answer = browser.send(browser.request(method, path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"));
        assert_eq!(times_logged("ERROR"), number + 1, "{}", logged());
        assert_eq!(times_logged("code=\"store_unavailable\""), number + 1, "{}", logged());
    }
}

#[tokio::test]
async fn theft_that_cannot_end_all_sessions_is_an_error() {
    let settings = settings().with_reuse_ends_all_sessions(true);
    let (mut thief, store) = theft(&settings).await;
    store.lists_are_busy.store(true, Ordering::Relaxed);
    assert_eq!(thief.get("/me").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn login_that_cannot_end_the_older_session_is_undone() {
    let (app, store, _) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let before = store.of_user("42", UnixTime::EPOCH).await.unwrap();
    store.ends_fail.store(1, Ordering::Relaxed);
    let answer = browser.post("/login/42").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert_eq!(store.of_user("42", UnixTime::EPOCH).await.unwrap(), before, "the new session has ended");
    assert_eq!(browser.who().await, "42");
}

#[tokio::test]
async fn session_is_not_cached_as_live_after_an_end_whose_answer_was_lost() {
    let (app, store, _) = service(&settings().with_session_check_interval(None));
    let mut browser = Browser::signed_in(&app, "42").await;
    assert_eq!(browser.who().await, "42");
    store.inner.end(&[store.of_user("42", UnixTime::EPOCH).await.unwrap()[0].id]).await.unwrap();
    store.ends_fail.store(1, Ordering::Relaxed);
    assert_eq!(browser.post("/logout").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.who().await, "anonymous");
}
