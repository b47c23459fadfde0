//! Authenticating again: what tokens say of it, handlers that ask for it, locked sessions, and pages that poll.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Path,
    routing::{any, post},
};
use common::{
    Answer, Browser, Clock, NOW, layer, names, settings,
    stores::{AnyStore, stores},
};
use http::{StatusCode, header};
use jwtauth_axum::{
    AccessClaims, Auth, AuthError, Authenticated, Event, Login, LoginError, MemoryStore, RecentlySignedIn, Rejection,
    RequiredMethods, SessionStore as _, Settings, SignedInWith,
    jwtauth::{Claims, TokenKind, Tokens, UnixTime},
};
use serde_json::{Value, json};
use uuid::Uuid;

const HOUR: u64 = 3600;

struct Otp;

impl RequiredMethods for Otp {
    const METHODS: &'static [&'static str] = &["otp", "hwk", "pwd"];
}

/// A service, its store, and the events that its receiver was sent.
struct Site {
    app: Router,
    store: AnyStore,
    clock: Clock,
    tokens: Tokens,
    told: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn new(settings: &Settings) -> Self {
        Self::on(AnyStore::Memory(MemoryStore::default()), settings)
    }

    fn on(store: AnyStore, settings: &Settings) -> Self {
        let clock = Clock::default();
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let receiver = Arc::clone(&told);
        let layer = layer(settings, store.clone(), &clock).with_no_activity(|head| head.uri.path() == "/news");
        let layer = layer.with_receiver(move |event| {
            let said = match event {
                Event::SessionReauthenticated { session, methods, .. } => {
                    format!("{} {} {:?} {:?}", event.name(), session.user_id, session.methods, methods)
                }
                other => other.name().to_owned(),
            };
            receiver.lock().unwrap().push(said);
        });
        let app = Router::new()
            .route("/me", any(async |user: Authenticated| user.user_id))
            .route("/news", any(async |user: Authenticated| user.user_id))
            .route("/maybe", any(async |user: Option<Authenticated>| user.map_or_else(String::new, |it| it.user_id)))
            .route("/claims", any(async |claims: Option<AccessClaims>| claims.is_some().to_string()))
            .route("/said", any(said))
            .route("/login/{user}", post(login))
            .route("/again/{user}/{methods}", post(again))
            .route("/recent", any(async |recent: RecentlySignedIn<300>| recent.user.user_id))
            .route("/sensitive", any(async |recent: RecentlySignedIn| recent.user.user_id))
            .route("/otp", any(async |with: SignedInWith<Otp>| with.user.user_id))
            .route("/called", any(called))
            .route("/actor", any(async |auth: Auth| auth.actor().await.map(Option::unwrap_or_default)))
            .route("/others", post(async |auth: Auth| auth.end_others().await.map(|ended| ended.to_string())))
            .route("/sessions/{id}", post(end))
            .layer(layer);
        Self { app, store, clock, tokens: settings.build().unwrap().tokens().clone(), told }
    }

    async fn signed_in(&self) -> Browser {
        Browser::signed_in(&self.app, "42").await
    }

    fn claims(&self, browser: &Browser, kind: TokenKind) -> Claims {
        let name = match kind {
            TokenKind::Access => "access_token",
            TokenKind::Refresh => "refresh_token",
        };
        self.tokens.verify_ignoring_time(kind, &browser.jar[name]).unwrap()
    }

    async fn rows(&self) -> Vec<jwtauth_axum::Record> {
        self.store.of_user("42", UnixTime::EPOCH).await.unwrap()
    }
}

async fn login(auth: Auth, Path(user): Path<String>) -> Result<(), LoginError> {
    auth.login_with(Login::new(user).with_methods(["pwd"])).await
}

async fn again(auth: Auth, Path((user, methods)): Path<(String, String)>) -> Result<Json<Value>, LoginError> {
    let grant = auth.reauthenticate(user, methods.split('+')).await?;
    Ok(Json(json!({"generation": grant.access().generation.get(), "locked": auth.is_locked()})))
}

async fn said(auth: Auth) -> Result<Json<Value>, AuthError> {
    let (time, methods) = (auth.auth_time().await?, auth.methods().await?);
    let time = time.map(|time| i128::from(time.as_secs()) - i128::from(NOW));
    Ok(Json(
        json!({"auth_time": time.map(|time| time.to_string()), "amr": methods.as_str(), "locked": auth.is_locked()}),
    ))
}

async fn called(auth: Auth) -> Result<(), Rejection> {
    auth.require_recent(Duration::from_secs(60)).await?;
    auth.require_methods(&["pwd"]).await
}

async fn end(auth: Auth, Path(id): Path<String>) -> Result<String, AuthError> {
    Ok(auth.end(id.parse().unwrap()).await?.to_string())
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

async fn says(browser: &mut Browser) -> (String, String) {
    let said = json_of(&browser.get("/said").await);
    let text = |name: &str| said[name].as_str().unwrap_or("none").to_owned();
    (text("auth_time"), text("amr"))
}

fn pair(time: &str, methods: &str) -> (String, String) {
    (time.to_owned(), methods.to_owned())
}

#[tokio::test]
async fn tokens_say_when_and_how_the_user_signed_in() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    for kind in [TokenKind::Access, TokenKind::Refresh] {
        let claims = site.claims(&browser, kind);
        assert_eq!((claims.auth_time, claims.methods.as_str()), (Some(UnixTime::from_secs(NOW)), "pwd"));
    }
    assert_eq!(says(&mut browser).await, pair("0", "pwd"));
    site.clock.advance(301);
    assert_eq!(says(&mut browser).await, pair("0", "pwd"), "a refresh does not count");
    assert_eq!(says(&mut Browser::new(&site.app)).await, pair("none", ""));
}

#[tokio::test]
async fn authenticating_again_renews_the_time_and_adds_the_methods() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    let mut other_tab = browser.clone();
    site.clock.advance(100);
    let answer = browser.post("/again/42/otp").await;
    assert_eq!((answer.status, json_of(&answer)["generation"].as_u64()), (StatusCode::OK, Some(2)));
    assert_eq!(names(&answer), ["access_token", "refresh_token"]);
    assert_eq!(says(&mut browser).await, pair("100", "otp pwd"));
    assert_eq!(says(&mut other_tab).await, pair("0", "pwd"), "the tokens from before say what they said");
    assert_eq!(site.rows().await.len(), 1, "the session goes on");
    let told = site.told.lock().unwrap().clone();
    assert_eq!(told, ["session_started", "session_reauthenticated 42 {\"otp\", \"pwd\"} {\"otp\"}"]);
}

#[tokio::test]
async fn copies_from_before_never_say_the_new_time() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    let mut copy = browser.clone();
    site.clock.advance(301);
    browser.post("/again/42/pwd").await;
    assert_eq!(browser.get("/recent").await.status, StatusCode::OK);
    let answer = copy.get("/recent").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "reauthentication_required".to_owned()));
    assert!(answer.set_cookies().is_empty(), "within the grace, it takes nothing back");
    assert_eq!(says(&mut copy).await, pair("0", "pwd"));
}

#[tokio::test]
async fn missing_age_and_methods_are_in_the_body() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    assert_eq!(browser.get("/recent").await.body, "42");
    let detail = "Confirm that it is you.";
    let expected = |max_age: Option<u64>, methods: &[&str]| json!({"detail": detail, "code": "reauthentication_required", "max_age": max_age, "methods": methods});
    let answer = browser.get("/otp").await;
    assert_eq!((answer.status, json_of(&answer)), (StatusCode::FORBIDDEN, expected(None, &["hwk", "otp"])));
    site.clock.advance(60);
    let answer = browser.get("/called").await;
    assert_eq!((answer.status, json_of(&answer)), (StatusCode::FORBIDDEN, expected(Some(60), &[])));
    site.clock.advance(240);
    assert_eq!(json_of(&browser.get("/recent").await), expected(Some(300), &[]));
    browser.post("/again/42/otp+hwk").await;
    for path in ["/recent", "/otp", "/called"] {
        assert_eq!(browser.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/recent", "/otp", "/called", "/sensitive"] {
        let answer = Browser::new(&site.app).get(path).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "not_authenticated".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn other_users_and_anonymous_requests_are_refused() {
    let site = Site::new(&settings());
    let browser = site.signed_in().await;
    let before = site.rows().await;
    for (mut browser, user) in [(browser.clone(), "43"), (Browser::new(&site.app), "42")] {
        let answer = browser.post(&format!("/again/{user}/pwd")).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "permission_denied".to_owned()));
        assert!(answer.set_cookies().is_empty());
    }
    let foreign = browser.request("POST", "/again/42/pwd").header("sec-fetch-site", "cross-site");
    assert_eq!(browser.send(foreign).await.code(), "cross_origin");
    assert_eq!(site.rows().await, before, "nothing was written");
}

#[tokio::test]
async fn acting_user_cannot_authenticate_again_and_is_signed_out_with_their_own_session() {
    let site = Site::new(&settings());
    let mut actor = Browser::signed_in(&site.app, "7").await;
    let own = site.store.of_user("7", UnixTime::EPOCH).await.unwrap()[0].id;
    let mut acting = site.signed_in().await;
    let row = site.rows().await.remove(0).with_actor_session_id(own);
    site.store.insert(row, None, UnixTime::from_secs(NOW)).await.unwrap();
    assert_eq!(acting.post("/again/42/pwd").await.code(), "permission_denied");
    site.clock.advance(301);
    assert_eq!(acting.get("/me").await.body, "42");
    let claims = site.claims(&acting, TokenKind::Access);
    assert_eq!((claims.actor.as_deref(), claims.auth_time), (Some("7"), Some(UnixTime::EPOCH)));
    assert_eq!((acting.get("/actor").await.body.as_str(), actor.get("/actor").await.body.as_str()), ("7", ""));
    assert_eq!(acting.get("/recent").await.code(), "acting_refused");
    assert_eq!(actor.post(&format!("/sessions/{own}")).await.body, "true");
    assert_eq!(acting.get("/me").await.code(), "not_authenticated");
    site.clock.advance(301);
    assert_eq!(acting.get("/me").await.code(), "not_authenticated");
}

#[tokio::test]
async fn invalid_methods_write_nothing() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    let before = site.rows().await;
    for (methods, code) in [("not valid", "method_name"), ("a+b+c+d+e+f", "too_many_methods")] {
        let answer = browser.post(&format!("/again/42/{}", methods.replace(' ', "%20"))).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::INTERNAL_SERVER_ERROR, code.to_owned()));
    }
    assert_eq!(site.rows().await, before);
}

#[tokio::test]
async fn user_stays_signed_in_if_the_response_is_lost() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    site.clock.advance(301); // the request is refreshed before it authenticates the user again
    let lost = browser.send(browser.request("POST", "/again/42/pwd")).await;
    assert_eq!((lost.status, names(&lost)), (StatusCode::OK, vec!["access_token", "refresh_token"]));
    for after in [0, 40, 400] {
        site.clock.advance(after);
        assert_eq!(browser.get("/me").await.body, "42", "{after} s later");
    }
}

#[tokio::test]
async fn client_with_a_bearer_token_gets_a_grant_and_no_cookies() {
    let site = Site::new(&settings());
    let browser = site.signed_in().await;
    site.clock.advance(100);
    let bearer = format!("Bearer {}", browser.jar["access_token"]);
    let client = Browser::new(&site.app);
    let answer = client.send(client.request("POST", "/again/42/otp").header(header::AUTHORIZATION, bearer)).await;
    assert_eq!((answer.status, json_of(&answer)["generation"].as_u64()), (StatusCode::OK, Some(2)));
    assert!(answer.set_cookies().is_empty());
    assert_eq!(site.rows().await[0].session.auth_time, Some(UnixTime::from_secs(NOW + 100)));
}

#[tokio::test]
async fn locked_session_is_anonymous_until_the_user_authenticates_again() {
    let site = Site::new(&settings().with_lock_after(Duration::from_secs(HOUR)));
    let mut browser = site.signed_in().await;
    site.clock.advance(HOUR - 1);
    assert_eq!(browser.get("/me").await.body, "42", "in the last second");
    site.clock.advance(HOUR);
    let before = site.rows().await;
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "session_locked".to_owned()));
    assert!(answer.set_cookies().is_empty(), "the cookies are kept");
    assert_eq!(browser.get("/maybe").await.body, "");
    assert_eq!(browser.get("/claims").await.body, "false");
    assert_eq!(json_of(&browser.get("/said").await)["locked"], true);
    assert_eq!(browser.post("/again/43/pwd").await.code(), "permission_denied");
    assert_eq!(site.rows().await, before, "nothing was written");
    let answer = browser.post("/again/42/pwd").await;
    assert_eq!((answer.status, &json_of(&answer)["locked"]), (StatusCode::OK, &json!(false)));
    assert_eq!(browser.get("/me").await.body, "42");
    assert_eq!(site.rows().await[0].id, before[0].id);
}

#[tokio::test]
async fn locked_session_can_be_signed_out() {
    let site = Site::new(&settings().with_lock_after(Duration::from_secs(HOUR)));
    let mut browser = site.signed_in().await;
    site.clock.advance(HOUR);
    assert_eq!(browser.post("/login/43").await.status, StatusCode::OK);
    assert!(site.rows().await.is_empty(), "another user's login ends it");
    assert_eq!(json_of(&browser.get("/said").await)["locked"], false);
}

#[tokio::test]
async fn polls_are_refreshed_and_do_not_keep_the_session_open() {
    // A request that the page marks, and a path that the service marks.
    for (path, activity) in [("/me", "none"), ("/news", "")] {
        for store in stores().await {
            let site = Site::on(store, &settings().with_lock_after(Duration::from_secs(HOUR)));
            let mut browser = site.signed_in().await;
            let poll = |browser: &Browser| browser.request("GET", path).header("X-Jwtauth-Activity", activity);
            for number in 0..11 {
                site.clock.advance(310);
                let polled = browser.send(poll(&browser)).await;
                // Every other poll brings a new token for the first time.
                let expected = if number % 2 == 0 { vec!["refresh_token"] } else { vec![] };
                assert_eq!((polled.status, names(&polled)), (StatusCode::OK, expected));
                browser.keep(&polled);
            }
            assert_eq!(site.rows().await[0].session.locks_at, Some(UnixTime::from_secs(NOW + HOUR)));
            let told = site.told.lock().unwrap().clone();
            assert_eq!(told.iter().filter(|name| *name == "session_refreshed").count(), 6, "as in Django");
            let mut used = browser.clone();
            assert_eq!(names(&used.get("/me").await), ["access_token", "refresh_token"]);
            let locks_at = UnixTime::from_secs(site.clock.now() + HOUR);
            assert_eq!(site.rows().await[0].session.locks_at, Some(locks_at), "the user's own request keeps it open");
            site.clock.advance(HOUR);
            assert_eq!(used.send(poll(&used)).await.code(), "session_locked");
        }
    }
}

#[tokio::test]
async fn ending_other_sessions_may_need_a_recent_authentication() {
    let site = Site::new(&settings().with_sensitive_max_age(Duration::from_secs(900)));
    let mut browser = site.signed_in().await;
    let own = site.rows().await[0].id;
    let mut other = site.signed_in().await;
    let others = site.rows().await.into_iter().map(|row| row.id).find(|id| *id != own).unwrap();
    site.clock.advance(900);
    for path in ["/others".to_owned(), format!("/sessions/{others}")] {
        let answer = browser.post(&path).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "reauthentication_required".to_owned()));
        assert_eq!(json_of(&answer)["max_age"], 900);
    }
    assert_eq!(browser.get("/sensitive").await.code(), "reauthentication_required");
    assert_eq!(other.get("/me").await.status, StatusCode::OK);
    assert_eq!(browser.post(&format!("/sessions/{}", Uuid::nil())).await.body, "false");
    browser.post("/again/42/pwd").await;
    assert_eq!(browser.get("/sensitive").await.status, StatusCode::OK);
    assert_eq!(browser.post("/others").await.body, "1");
    site.clock.advance(900);
    assert_eq!(browser.post(&format!("/sessions/{own}")).await.body, "true", "the current session may always end");
}

#[tokio::test]
async fn by_default_nothing_is_asked() {
    let site = Site::new(&settings());
    let mut browser = site.signed_in().await;
    site.signed_in().await;
    site.clock.advance(20 * HOUR);
    assert_eq!(browser.get("/sensitive").await.status, StatusCode::OK);
    assert_eq!(browser.post("/others").await.body, "1");
}
