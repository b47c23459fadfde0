//! Acting as another user: who may, what it cannot do, when it ends. Each test runs on every store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Path,
    routing::{any, post},
};
use common::{
    Answer, Browser, Clock, NOW, layer,
    log::{self, logged},
    settings,
    stores::{AnyStore, stores},
};
use http::{StatusCode, header};
use jwtauth_axum::{
    Auth, AuthError, AuthLayer, Authenticated, Event, Login, LoginError, MemoryStore, NotActing, RecentlySignedIn,
    Record, RequiredMethods, SessionStore, Settings, SignedInWith, StoreError,
    jwtauth::{Claims, TokenKind, Tokens, UnixTime},
};
use serde_json::{Value, json};
use tracing_subscriber::fmt::format::FmtSpan;

const STAFF: &str = "7";
const ADA: &str = "42";
const BOB: &str = "43";

struct Pwd;

impl RequiredMethods for Pwd {
    const METHODS: &'static [&'static str] = &["pwd"];
}

/// A service on some store, where staff may act as the users in `allowed`, and the events that its receiver was sent.
struct Site {
    app: Router,
    clock: Clock,
    tokens: Tokens,
    allowed: Arc<Mutex<HashSet<(String, String)>>>,
    told: Arc<Mutex<Vec<String>>>,
    store: AnyStore,
}

/// Return a service with these settings on each store.
async fn sites(settings: &Settings) -> Vec<Site> {
    stores().await.into_iter().map(|store| Site::new(settings, store)).collect()
}

impl Site {
    fn new(settings: &Settings, store: AnyStore) -> Self {
        let clock = Clock::default();
        let (told, allowed): (Arc<Mutex<Vec<String>>>, Arc<Mutex<HashSet<_>>>) = Default::default();
        allowed.lock().unwrap().extend([(STAFF.to_owned(), ADA.to_owned()), (STAFF.to_owned(), STAFF.to_owned())]);
        let (receiver, decides) = (Arc::clone(&told), Arc::clone(&allowed));
        let layer = layer(settings, store.clone(), &clock)
            .with_receiver(move |event| receiver.lock().unwrap().push(text_of(event)))
            .with_act_as(move |asked| {
                let may = decides.lock().unwrap().contains(&(asked.actor_id, asked.user_id));
                async move { Ok(may) }
            });
        Self { app: app(layer), clock, tokens: settings.build().unwrap().tokens().clone(), allowed, told, store }
    }

    /// Return the browser of the staff member.
    async fn of_staff(&self) -> Browser {
        Browser::signed_in(&self.app, STAFF).await
    }

    /// Return the browser of the staff member, who acts as ada.
    async fn acting(&self) -> Browser {
        let mut browser = self.of_staff().await;
        let answer = browser.post(&format!("/act/{ADA}")).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 2), "{}", answer.body);
        browser
    }

    /// Return how many sessions the staff member, ada and bob have.
    async fn count(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for (count, user) in counts.iter_mut().zip([STAFF, ADA, BOB]) {
            *count = self.store.rows(user).await.len();
        }
        counts
    }

    async fn row(&self, user: &str) -> Record {
        self.store.rows(user).await.remove(0)
    }

    fn claims(&self, browser: &Browser, kind: TokenKind) -> Claims {
        let name = if kind == TokenKind::Access { "access_token" } else { "refresh_token" };
        self.tokens.verify_ignoring_time(kind, &browser.jar[name]).unwrap()
    }

    fn allow(&self, actor: &str, user: &str) {
        self.allowed.lock().unwrap().insert((actor.to_owned(), user.to_owned()));
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn text_of(event: &Event) -> String {
    match event {
        Event::ActingStarted { session, actor_id, .. } | Event::ActingEnded { session, actor_id, .. } => {
            format!("{} {actor_id} as {}", event.name(), session.user_id)
        }
        Event::SessionStarted { session, .. } => format!("{} {}", event.name(), session.user_id),
        Event::SessionEnded { reason, .. } => format!("{} {reason}", event.name()),
        other => other.name().to_owned(),
    }
}

fn app(layer: AuthLayer) -> Router {
    Router::new()
        .route("/maybe", any(async |user: Option<Authenticated>| user.map_or_else(String::new, |it| it.user_id)))
        .route("/who", any(who))
        .route("/login/{user}", post(login))
        .route("/again/{user}", post(async |auth: Auth, Path(user): Path<String>| again(&auth, user).await))
        .route("/act/{user}", post(async |auth: Auth, Path(user): Path<String>| auth.act_as(user).await))
        .route("/stop", post(async |auth: Auth| auth.stop_acting().await))
        .route("/logout", post(async |auth: Auth| auth.logout().await))
        .route("/recently", any(async |_: RecentlySignedIn<300>| ""))
        .route("/sensitive", any(async |_: RecentlySignedIn| ""))
        .route("/with-pwd", any(async |_: SignedInWith<Pwd>| ""))
        .route("/not-acting", any(async |_: NotActing| ""))
        .route("/others", post(async |auth: Auth| auth.end_others().await.map(|ended| ended.to_string())))
        .route("/sessions/{id}", post(end))
        .layer(layer)
}

async fn login(auth: Auth, Path(user): Path<String>) -> Result<(), LoginError> {
    auth.login_with(Login::new(user).with_methods(["pwd"])).await
}

async fn again(auth: &Auth, user: String) -> Result<(), LoginError> {
    auth.reauthenticate(user, ["otp"]).await.map(drop)
}

async fn end(auth: Auth, Path(id): Path<String>) -> Result<String, AuthError> {
    Ok(auth.end(id.parse().unwrap()).await?.to_string())
}

async fn who(auth: Auth, user: Option<Authenticated>) -> Result<Json<Value>, AuthError> {
    let time = auth.auth_time().await?.map(UnixTime::as_secs);
    let (actor, methods) = (auth.actor().await?, auth.methods().await?);
    let user = user.map(|user| (user.user_id, user.claims.actor)).unzip();
    Ok(Json(json!({"user": user.0, "act": user.1, "actor": actor, "auth_time": time, "amr": methods.as_str()})))
}

async fn told(browser: &mut Browser) -> Value {
    serde_json::from_str(&browser.get("/who").await.body).unwrap()
}

/// Send a request that is refused, and return its code. The browser keeps its user.
async fn refusal(browser: &mut Browser, path: &str) -> String {
    let before = told(browser).await;
    let answer = browser.post(path).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    assert!(answer.set_cookies().is_empty());
    assert_eq!(told(browser).await, before);
    answer.code()
}

/// Send the requests after which the browser's tokens are of the next generation, and acknowledged.
async fn refresh(site: &Site, browser: &mut Browser) {
    site.clock.advance(301);
    browser.who().await;
    browser.who().await;
}

fn is_ok(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
}

// --- who may

#[tokio::test]
async fn staff_member_acts_and_both_users_are_known() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        let expected = json!({"user": ADA, "act": STAFF, "actor": STAFF, "auth_time": 0, "amr": ""});
        assert_eq!(told(&mut acting).await, expected, "and neither has authenticated in this session");
        let claims = site.claims(&acting, TokenKind::Access);
        assert_eq!((claims.subject.as_str(), claims.actor.as_deref()), (ADA, Some(STAFF)));
        assert_eq!(site.claims(&acting, TokenKind::Refresh).actor, None);
        let (own, row) = (site.row(STAFF).await, site.row(ADA).await);
        assert_eq!((row.actor_session_id, row.methods.as_str()), (Some(own.id), "pwd"));
        let mut own = site.of_staff().await;
        assert_eq!(told(&mut own).await["actor"], Value::Null);
    }
}

#[tokio::test]
async fn acting_is_refused_unless_the_service_allows_it() {
    for site in sites(&settings()).await {
        let (mut staff, mut ada) = (site.of_staff().await, Browser::signed_in(&site.app, ADA).await);
        assert_eq!(refusal(&mut staff, &format!("/act/{BOB}")).await, "permission_denied");
        for user in [STAFF, BOB] {
            assert_eq!(refusal(&mut ada, &format!("/act/{user}")).await, "permission_denied");
        }
        let oneself = refusal(&mut staff, &format!("/act/{STAFF}")).await;
        assert_eq!(oneself, "permission_denied", "although the service's function allows it");
        assert_eq!(refusal(&mut Browser::new(&site.app), &format!("/act/{ADA}")).await, "permission_denied");
        assert_eq!(site.count().await, [1, 1, 0]);
    }
}

#[tokio::test]
async fn acting_is_refused_without_a_function_that_decides() {
    let layer = AuthLayer::new(settings().build().unwrap(), MemoryStore::default());
    let mut staff = Browser::signed_in(&app(layer), STAFF).await;
    assert_eq!(refusal(&mut staff, "/act/42").await, "permission_denied");
}

#[tokio::test]
async fn error_of_the_function_that_decides_allows_nothing() {
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let layer = layer(&settings(), store.clone(), &clock)
        .with_act_as(|_| async { Err(StoreError::NoConnection("all are in use".into())) });
    let mut staff = Browser::signed_in(&app(layer), STAFF).await;
    let answer = staff.post("/act/42").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable".to_owned()));
    assert!(store.of_user(ADA, UnixTime::EPOCH).await.unwrap().is_empty());
}

#[tokio::test]
async fn acting_cannot_be_nested() {
    for site in sites(&settings()).await {
        site.allow(ADA, BOB);
        site.allow(STAFF, BOB);
        let mut acting = site.acting().await;
        assert_eq!(refusal(&mut acting, &format!("/act/{BOB}")).await, "acting_refused");
    }
}

#[tokio::test]
async fn bearer_token_can_neither_act_nor_stop() {
    for site in sites(&settings()).await {
        let staff = site.of_staff().await;
        for (token, path) in
            [(&staff.jar["access_token"], "/act/42"), (&site.acting().await.jar["access_token"], "/stop")]
        {
            let request = Browser::new(&site.app).request("POST", path);
            let answer = staff.send_body(
                request
                    .header(header::AUTHORIZATION, format!("Bearer {token}"))
                    .body(axum::body::Body::empty())
                    .unwrap(),
            );
            assert_eq!(answer.await.code(), "permission_denied", "{path}");
        }
    }
}

#[tokio::test]
async fn request_of_another_origin_can_neither_act_nor_stop() {
    for site in sites(&settings()).await {
        let (staff, mut acting) = (site.of_staff().await, site.acting().await);
        for (browser, path) in [(&staff, "/act/42"), (&acting, "/stop")] {
            let foreign = browser.request("POST", path).header("sec-fetch-site", "cross-site");
            assert_eq!(browser.send(foreign).await.code(), "cross_origin", "{path}");
        }
        assert_eq!(acting.who().await, ADA);
    }
}

#[tokio::test]
async fn old_authentication_cannot_act_with_sensitive_max_age() {
    for site in sites(&settings().with_sensitive_max_age(Duration::from_secs(60))).await {
        let mut staff = site.of_staff().await;
        site.clock.advance(61);
        assert_eq!(refusal(&mut staff, "/act/42").await, "reauthentication_required");
        assert!(is_ok(&staff.post("/again/7").await));
        assert!(is_ok(&staff.post("/act/42").await));
        assert_eq!(staff.who().await, ADA);
    }
}

// --- the end

#[tokio::test]
async fn acting_ends_at_once_with_the_staff_member_s_session_although_sessions_are_remembered() {
    for interval in [Some(Duration::ZERO), Some(Duration::from_secs(60)), None] {
        for site in sites(&settings().with_session_check_interval(interval)).await {
            let mut acting = site.acting().await;
            assert_eq!((acting.who().await, acting.who().await), (ADA.to_owned(), ADA.to_owned()));
            assert_eq!(site.store.end(&[site.row(STAFF).await.id]).await.unwrap(), 1);
            assert_eq!(acting.who().await, "");
            site.clock.advance(301);
            assert_eq!(acting.who().await, "");
        }
    }
}

#[tokio::test]
async fn refresh_asks_the_service_again_and_keeps_both_users() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        for generation in 2..4 {
            site.clock.advance(301);
            let expected = json!({"user": ADA, "act": STAFF, "actor": STAFF, "auth_time": 0, "amr": ""});
            assert_eq!(told(&mut acting).await, expected);
            assert_eq!(site.claims(&acting, TokenKind::Refresh).generation.get(), generation);
            acting.who().await; // acknowledges the new tokens
        }
        site.allowed.lock().unwrap().clear();
        assert_eq!(acting.who().await, ADA, "until the access token expires");
        site.clock.advance(301);
        assert_eq!(acting.who().await, "");
        assert_eq!(site.claims(&acting, TokenKind::Refresh).generation.get(), 3, "nothing is written");
    }
}

#[tokio::test]
async fn acting_ends_after_its_lifetime_however_it_is_used() {
    for (lifetime, uses) in [(3600, 11), (900, 2)] {
        for site in sites(&settings().with_act_as_lifetime(Duration::from_secs(lifetime))).await {
            let mut acting = site.acting().await;
            for _ in 0..uses {
                site.clock.advance(300);
                assert_eq!(acting.who().await, ADA);
            }
            site.clock.advance(300);
            assert_eq!(acting.who().await, "");
        }
    }
}

#[tokio::test]
async fn acting_does_not_outlive_the_staff_member_s_session() {
    for site in sites(&settings().with_act_as_lifetime(Duration::from_secs(2 * 86_400))).await {
        site.acting().await;
        assert_eq!(site.row(ADA).await.session.expires_at, site.row(STAFF).await.session.expires_at);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn users_who_are_inactive_or_have_a_new_password_end_it() {
    use jwtauth_axum::sqlx::{AssertSqlSafe, Executor as _};

    let site = async || match common::stores::sqlite().await {
        AnyStore::Sqlite(store, pool) => (Site::new(&settings(), AnyStore::Sqlite(store, pool.clone())), pool),
        AnyStore::Memory(_) => unreachable!("a database"),
    };
    for (change, given_back) in [
        ("is_active = 0 WHERE id = 42", STAFF),
        ("password = 'new' WHERE id = 42", STAFF),
        ("is_active = 0 WHERE id = 7", ""),
        ("password = 'new' WHERE id = 7", ""),
    ] {
        let (site, pool) = site().await;
        let mut acting = site.acting().await;
        pool.execute(AssertSqlSafe(format!("UPDATE auth_user SET {change}"))).await.unwrap();
        assert_eq!(acting.who().await, "", "{change}");
        acting.post("/stop").await;
        assert_eq!(acting.who().await, given_back, "{change}");
        assert_eq!(acting.jar.is_empty(), given_back.is_empty());
    }
    let (site, pool) = site().await;
    pool.execute("UPDATE auth_user SET is_active = 0 WHERE id = 42").await.unwrap();
    assert_eq!(refusal(&mut site.of_staff().await, "/act/42").await, "permission_denied");
}

// --- logout and stop

#[tokio::test]
async fn logout_ends_both_sessions() {
    for wait in [0, 301, 3601] {
        for site in sites(&settings()).await {
            let mut acting = site.acting().await;
            site.clock.advance(wait);
            assert!(is_ok(&acting.post("/logout").await));
            assert_eq!((site.count().await, acting.jar.len()), ([0, 0, 0], 0), "after {wait} s");
        }
    }
}

#[tokio::test]
async fn logout_without_the_permission_to_act_ends_both_sessions() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        site.allowed.lock().unwrap().clear();
        site.clock.advance(301);
        acting.post("/logout").await;
        assert_eq!(site.count().await, [0, 0, 0]);
    }
}

#[tokio::test]
async fn logout_or_stop_of_a_locked_acting_session_ends_both_sessions() {
    for path in ["/logout", "/stop"] {
        for site in sites(&settings().with_lock_after(Duration::from_secs(900))).await {
            let mut acting = site.acting().await;
            site.clock.advance(901);
            assert!(is_ok(&acting.post(path).await), "{path}");
            assert_eq!((site.count().await, acting.jar.len()), ([0, 0, 0], 0), "{path}");
        }
    }
}

#[tokio::test]
async fn login_as_another_user_ends_both_sessions() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        acting.post(&format!("/login/{BOB}")).await;
        assert_eq!((site.count().await, acting.who().await), ([0, 0, 1], BOB.to_owned()));
    }
}

#[tokio::test]
async fn stop_gives_the_session_back_as_it_was() {
    for site in sites(&settings()).await {
        let mut staff = site.of_staff().await;
        let before = told(&mut staff).await;
        let mut copy = staff.clone();
        site.clock.advance(100);
        staff.post("/act/42").await;
        let own = site.row(STAFF).await;
        site.clock.advance(100);
        assert!(is_ok(&staff.post("/stop").await));
        assert_eq!((told(&mut staff).await, site.count().await), (before, [1, 0, 0]));
        let given = site.row(STAFF).await;
        assert_ne!(given.id, own.id);
        assert_eq!((given.session.created_at, given.methods.as_str()), (own.session.created_at, "pwd"));
        assert_eq!(given.last_seen_at, UnixTime::from_secs(NOW + 200));
        assert_eq!(copy.who().await, "", "copies of the older tokens stop working");
        for _ in 0..3 {
            site.clock.advance(301);
            assert_eq!(staff.who().await, STAFF);
        }
    }
}

#[tokio::test]
async fn copied_old_tokens_do_not_become_younger_by_acting() {
    for site in sites(&settings()).await {
        let mut staff = site.of_staff().await;
        let mut thief = staff.clone();
        site.clock.advance(100);
        staff.post("/again/7").await;
        thief.post("/act/42").await;
        thief.post("/stop").await;
        let said = told(&mut thief).await;
        assert_eq!(
            (said["user"].as_str(), said["auth_time"].as_u64(), said["amr"].as_str()),
            (Some(STAFF), Some(NOW), Some("pwd"))
        );
        site.clock.advance(301);
        assert_eq!(told(&mut thief).await["auth_time"].as_u64(), Some(NOW));
    }
}

#[tokio::test]
async fn session_that_is_not_remembered_stays_so() {
    let site = Site::new(&settings(), AnyStore::Memory(MemoryStore::default()));
    let mut acting = site.acting().await;
    assert!(acting.post("/stop").await.set_cookies().iter().all(|cookie| cookie.contains("Max-Age")));
    let answer = acting.post("/act/42").await;
    assert!(answer.set_cookies().iter().all(|cookie| cookie.contains("Max-Age")));
    assert!(site.row(ADA).await.remember);
}

#[tokio::test]
async fn lost_responses_sign_no_user_out() {
    for wait in [0, 301] {
        for site in sites(&settings()).await {
            let mut staff = site.of_staff().await;
            staff.send(staff.request("POST", "/act/42")).await;
            assert_eq!(staff.who().await, STAFF);
            let mut acting = site.acting().await;
            acting.send(acting.request("POST", "/stop")).await;
            site.clock.advance(wait);
            assert_eq!(acting.who().await, "", "acting has ended");
            assert!(is_ok(&acting.post("/stop").await));
            assert_eq!(acting.who().await, STAFF, "after {wait} s");
        }
    }
}

#[tokio::test]
async fn lost_refresh_before_a_lost_stop_signs_no_user_out() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        site.clock.advance(301);
        acting.send(acting.request("POST", "/stop")).await; // also rotates
        assert!(is_ok(&acting.post("/stop").await));
        assert_eq!(acting.who().await, STAFF);
    }
}

#[tokio::test]
async fn two_stops_at_once_give_the_same_session() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        let mut other = acting.clone();
        let (one, two) =
            tokio::join!(acting.send(acting.request("POST", "/stop")), other.send(other.request("POST", "/stop")));
        assert!(is_ok(&one) && is_ok(&two), "{} {}", one.body, two.body);
        acting.keep(&one);
        other.keep(&two);
        assert_eq!((acting.who().await, other.who().await), (STAFF.to_owned(), STAFF.to_owned()));
        assert_eq!(site.count().await, [1, 0, 0]);
    }
}

#[tokio::test]
async fn acting_tokens_give_no_session_once_the_given_one_is_used() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        let mut thief = acting.clone();
        acting.post("/stop").await;
        assert_eq!(acting.who().await, STAFF);
        assert_eq!(refusal(&mut thief, "/stop").await, "permission_denied");
        assert_eq!((thief.who().await, acting.who().await), (String::new(), STAFF.to_owned()));
    }
}

#[tokio::test]
async fn replaced_acting_tokens_give_no_session_although_the_given_one_is_unused() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        let mut thief = acting.clone();
        for _ in 0..3 {
            refresh(&site, &mut acting).await;
        }
        let early = thief.clone();
        assert_eq!(early.send(early.request("POST", "/stop")).await.code(), "permission_denied");
        acting.post("/stop").await;
        assert_eq!(thief.post("/stop").await.code(), "permission_denied");
        assert_eq!(thief.who().await, "");
    }
}

#[tokio::test]
async fn repeated_stop_gives_no_session_that_has_locked() {
    for site in sites(&settings().with_lock_after(Duration::from_secs(900))).await {
        let mut acting = site.acting().await;
        acting.send(acting.request("POST", "/stop")).await;
        site.clock.advance(901);
        assert!(is_ok(&acting.post("/stop").await));
        assert_eq!((acting.who().await, acting.jar.len()), (String::new(), 0));
    }
}

#[tokio::test]
async fn stop_is_refused_without_acting() {
    for site in sites(&settings()).await {
        assert_eq!(refusal(&mut site.of_staff().await, "/stop").await, "permission_denied");
        assert_eq!(refusal(&mut Browser::new(&site.app), "/stop").await, "permission_denied");
        let mut acting = site.acting().await;
        site.clock.advance(3600);
        assert_eq!(acting.post("/stop").await.code(), "permission_denied", "acting has expired");
    }
}

#[tokio::test]
async fn stop_after_the_end_of_the_staff_member_s_session_signs_out() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        site.store.end(&[site.row(STAFF).await.id]).await.unwrap();
        assert!(is_ok(&acting.post("/stop").await));
        assert_eq!((site.count().await, acting.jar.len()), ([0, 0, 0], 0));
    }
}

#[tokio::test]
async fn copied_refresh_token_of_acting_ends_both_sessions() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        let mut thief = acting.clone();
        for _ in 0..2 {
            refresh(&site, &mut acting).await;
        }
        site.told();
        assert_eq!((thief.who().await, acting.who().await), (String::new(), String::new()));
        assert_eq!(site.count().await, [0, 0, 0]);
        assert_eq!(site.told(), ["refresh_token_reused", "session_ended reused", "session_ended reused"]);
    }
}

// --- what only the user may do

#[tokio::test]
async fn what_only_the_user_may_do_is_refused() {
    for site in sites(&settings()).await {
        let mut ada = Browser::signed_in(&site.app, ADA).await;
        let other = site.row(ADA).await.id;
        let mut acting = site.of_staff().await;
        for path in ["/recently", "/sensitive", "/with-pwd", "/not-acting"] {
            assert!(is_ok(&acting.get(path).await), "{path}");
        }
        acting.post("/act/42").await;
        let own = format!("/sessions/{other}");
        for path in ["/recently", "/sensitive", "/with-pwd", "/not-acting", "/others", "/login/42", &own] {
            assert_eq!(refusal(&mut acting, path).await, "acting_refused", "{path}");
        }
        assert_eq!(refusal(&mut acting, "/again/42").await, "permission_denied");
        assert_eq!(refusal(&mut acting, "/again/7").await, "permission_denied");
        assert_eq!((ada.who().await, site.count().await), (ADA.to_owned(), [1, 2, 0]));
        assert!(is_ok(&Browser::new(&site.app).get("/not-acting").await), "anonymous requests pass");
    }
}

#[tokio::test]
async fn login_as_the_same_user_in_another_spelling_is_refused() {
    for site in sites(&settings()).await.into_iter().skip(1) {
        assert_eq!(refusal(&mut site.acting().await, "/login/042").await, "acting_refused");
    }
}

// --- what others see

#[tokio::test]
async fn client_of_the_staff_member_is_stored_as_the_settings_say() {
    for site in sites(&settings().with_record_user_agent("truncated")).await {
        let staff = site.of_staff().await;
        let request = staff.request("POST", "/act/42").header(header::USER_AGENT, "Firefox/131.0 (Linux)");
        assert!(is_ok(&staff.send(request).await));
        assert_eq!(site.row(ADA).await.user_agent, "Firefox\nLinux");
    }
}

#[tokio::test]
async fn user_sees_who_acts_and_ends_it() {
    for site in sites(&settings()).await {
        let mut ada = Browser::signed_in(&site.app, ADA).await;
        let mut acting = site.acting().await;
        assert_eq!(site.store.rows(ADA).await.iter().filter(|row| row.actor_session_id.is_some()).count(), 1);
        assert_eq!(ada.post("/others").await.body, "1");
        assert_eq!(acting.who().await, "");
    }
}

#[tokio::test]
async fn acting_is_not_counted_and_not_ended_by_the_limit() {
    for site in sites(&settings().with_max_sessions_per_user(1)).await {
        let mut one = Browser::signed_in(&site.app, ADA).await;
        let mut acting = site.acting().await;
        assert_eq!(one.who().await, ADA);
        let mut two = Browser::signed_in(&site.app, ADA).await;
        let who = (one.who().await, two.who().await, acting.who().await);
        assert_eq!(who, (String::new(), ADA.to_owned(), ADA.to_owned()));
    }
}

#[tokio::test]
async fn events_name_both_users() {
    for site in sites(&settings()).await {
        let mut acting = site.acting().await;
        assert_eq!(site.told(), ["session_started 7", "session_started 42", "acting_started 7 as 42"]);
        acting.post("/stop").await;
        let ended =
            ["session_ended acting_ended", "session_started 7", "session_ended replaced", "acting_ended 7 as 42"];
        assert_eq!(site.told(), ended);
        acting.post("/act/42").await;
        site.told();
        acting.post("/logout").await;
        assert_eq!(site.told(), ["session_ended logout", "session_ended logout", "acting_ended 7 as 42"]);
    }
}

#[tokio::test]
async fn log_names_both_users_and_no_token() {
    log::start(FmtSpan::NONE);
    let site = Site::new(&settings(), AnyStore::Memory(MemoryStore::default()));
    let mut acting = site.acting().await;
    let (own, row, tokens) = (site.row(STAFF).await.id, site.row(ADA).await.id, acting.jar.clone());
    acting.post("/stop").await;
    for event in ["acting_started", "acting_ended"] {
        let said = logged();
        let line = said.lines().find(|line| line.contains(&format!("event=\"{event}\""))).unwrap();
        for part in [
            format!("session_id={row}"),
            format!("actor_session_id={own}"),
            "user_id=\"42\"".to_owned(),
            "actor_id=\"7\"".to_owned(),
        ] {
            assert!(line.contains(&part), "{line}");
        }
    }
    assert!(!tokens.values().any(|token| logged().contains(token.as_str())));
}
