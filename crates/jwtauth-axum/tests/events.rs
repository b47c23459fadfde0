//! Session events: receivers, log events and spans. None of them contains a secret.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use axum::{Router, routing::any};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use common::{
    Browser, Clock, NOW, app, layer,
    log::{self, logged},
    settings,
};
use http::header;
use jwtauth_axum::{
    Auth, AuthLayer, EndReason, Event, FixedKeys, MemoryStore, ResourceLayer, SessionStore, Settings,
    jwtauth::{CustomClaims, UnixTime},
};
use tracing_subscriber::fmt::format::FmtSpan;

/// What receivers were told, one event per line.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn tell(&self, event: &Event) {
        let mut told = self.0.lock().unwrap();
        match event {
            Event::SessionStarted { session, .. }
            | Event::SessionRefreshed { session, .. }
            | Event::RefreshTokenReused { session, .. }
            | Event::LateUpload { session, .. } => {
                writeln!(told, "{} {} {}", event.name(), session.user_id, session.session.generation.get()).unwrap();
            }
            Event::SessionEnded { reason, .. } => writeln!(told, "{} {reason}", event.name()).unwrap(),
            other => writeln!(told, "{}, unknown to the tests", other.name()).unwrap(),
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }
}

fn service(settings: &Settings) -> (Router, Told, MemoryStore, Clock) {
    let (store, clock, told) = (MemoryStore::default(), Clock::default(), Told::default());
    let receiver = told.clone();
    let layer = layer(settings, store.clone(), &clock).with_receiver(move |event| receiver.tell(event));
    (app(layer), told, store, clock)
}

#[tokio::test]
async fn receivers_get_each_event_of_django_s_signals_once() {
    let (app, told, _, clock) = service(&settings());
    let mut owner = Browser::signed_in(&app, "42").await;
    assert_eq!(told.take(), ["session_started 42 1"]);
    let thief = owner.clone();
    clock.advance(301);
    owner.get("/me").await;
    owner.get("/me").await;
    assert_eq!(told.take(), ["session_refreshed 42 2"]);
    clock.advance(901);
    thief.send(thief.request("POST", "/me").header(header::TRANSFER_ENCODING, "chunked")).await;
    assert_eq!(told.take(), ["late_upload 42 2"]);
    owner.post("/login/7").await;
    assert_eq!(told.take(), ["session_refreshed 42 3", "session_started 7 1", "session_ended replaced"]);
    owner.post("/logout").await;
    owner.post("/logout").await;
    thief.send(thief.request("POST", "/logout")).await;
    assert_eq!(told.take(), ["session_ended logout"], "once, from the request that ended it");
}

#[tokio::test]
async fn theft_event_precedes_the_end_event() {
    for (ends_all, ends) in [(false, 1), (true, 3)] {
        let (app, told, _, clock) = service(&settings().with_reuse_ends_all_sessions(ends_all));
        let mut owner = Browser::signed_in(&app, "42").await;
        let mut thief = owner.clone();
        Browser::signed_in(&app, "42").await;
        Browser::signed_in(&app, "42").await;
        clock.advance(301);
        owner.get("/me").await;
        owner.get("/me").await;
        clock.advance(31);
        told.take();
        for _ in 0..2 {
            thief.get("/me").await;
        }
        let mut expected = vec!["refresh_token_reused 42 2"];
        expected.extend(vec!["session_ended reused"; ends]);
        assert_eq!(told.take(), expected);
    }
}

#[tokio::test]
async fn each_ended_session_is_reported_with_its_reason() {
    let (app, told, store, clock) = service(&settings().with_max_sessions_per_user(3));
    for _ in 0..4 {
        Browser::signed_in(&app, "42").await;
        clock.advance(1);
    }
    assert_eq!(told.take()[3..], ["session_started 42 1", "session_ended limit"]);
    let mut browser = Browser::signed_in(&app, "7").await;
    Browser::signed_in(&app, "7").await;
    Browser::signed_in(&app, "7").await;
    told.take();
    assert_eq!(browser.post("/others").await.body, "2");
    assert_eq!(told.take(), ["session_ended revoked", "session_ended revoked"]);
    assert_eq!(store.of_user("7", UnixTime::EPOCH).await.unwrap().len(), 1);
}

#[tokio::test]
async fn panicking_receiver_fails_neither_the_request_nor_other_receivers() {
    let told = Told::default();
    let receiver = told.clone();
    let layer = AuthLayer::new(common::config(), MemoryStore::default())
        .with_receiver(|_| panic!("a receiver's bug"))
        .with_receiver(move |event| receiver.tell(event));
    let mut browser = Browser::signed_in(&app(layer), "42").await;
    browser.post("/logout").await;
    assert_eq!(told.take(), ["session_started 42 1", "session_ended logout"]);
}

#[test]
fn end_reasons_have_django_s_names() {
    let all = [EndReason::Logout, EndReason::Replaced, EndReason::Revoked, EndReason::Reused, EndReason::Limit];
    assert_eq!(all.map(EndReason::as_str), ["logout", "replaced", "revoked", "reused", "limit"]);
}

// --- events and spans

#[tokio::test]
async fn handler_logs_are_in_the_request_span_with_its_user() {
    log::start(FmtSpan::FULL);
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let auth = layer(&settings(), store.clone(), &clock);
    let says = async |auth: Auth| {
        tracing::info!("before the user is known");
        auth.session().await.unwrap();
        tracing::info!("after the user is known");
    };
    let app = app(auth.clone()).merge(Router::new().route("/says", any(says)).layer(auth));
    let mut browser = Browser::signed_in(&app, "42").await;
    let session = store.of_user("42", UnixTime::EPOCH).await.unwrap().remove(0).id;
    log::clear();
    browser.get("/says").await;
    let all = logged();
    let line = |text: &str| all.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text} in {all}"));
    assert!(line("before the user is known").contains("jwtauth:"), "{all}");
    let known = format!("jwtauth{{session_id={session} user_id=\"42\"}}:");
    assert!(line("after the user is known").contains(&known), "{all}");
    assert_eq!(all.matches("close time.busy").count(), 1, "one span per request: {all}");
}

#[tokio::test]
async fn resource_server_span_names_the_token_s_user() {
    log::start(FmtSpan::FULL);
    let now = std::time::SystemTime::now();
    let auth = AuthLayer::new(common::config(), MemoryStore::default()).with_clock(move || now);
    let resource = ResourceLayer::new(settings().transport().unwrap(), FixedKeys::of(&settings()).unwrap());
    let says = Router::new().route("/says", any(async || tracing::info!("from the handler"))).layer(resource);
    let mut browser = Browser::signed_in(&app(auth).merge(says), "42").await;
    browser.get("/says").await;
    let all = logged();
    let line = all.lines().find(|line| line.contains("from the handler")).unwrap();
    assert!(line.contains("jwtauth{session_id=") && line.contains("user_id=\"42\"}:"), "{all}");
}

#[tokio::test]
async fn routine_events_name_the_user_and_the_count() {
    log::start(FmtSpan::FULL);
    let app = app(layer(&settings(), MemoryStore::default(), &Clock::default()));
    let mut browser = Browser::signed_in(&app, "42").await;
    Browser::signed_in(&app, "42").await;
    Browser::signed_in(&app, "42").await;
    browser.post("/others").await;
    let all = logged();
    assert_eq!(all.matches("event=\"session_started\"").count(), 3, "{all}");
    assert_eq!(all.matches("event=\"session_ended\"").count(), 1, "one event per statement: {all}");
    assert!(all.contains("reason=\"revoked\" count=2"), "{all}");
}

#[tokio::test]
async fn adoption_is_logged_with_the_database_s_generation() {
    log::start(FmtSpan::FULL);
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let app = app(layer(&settings(), store.clone(), &clock));
    let mut browser = Browser::signed_in(&app, "42").await;
    let backup = store.of_user("42", UnixTime::from_secs(NOW)).await.unwrap().remove(0);
    clock.advance(301);
    browser.who().await;
    store.end(&[backup.id]).await.unwrap();
    store.insert(backup, None, UnixTime::EPOCH).await.unwrap();
    clock.advance(301);
    browser.who().await;
    let all = logged();
    let line = all.lines().find(|line| line.contains("event=\"generation_adopted\"")).expect(&all);
    assert!(line.contains("presented=2 current=1"), "{line}");
}

/// Everything that a service may do, with a subscriber that records all levels.
#[tokio::test]
async fn no_secret_is_sent_shown_or_logged() {
    log::start(FmtSpan::FULL);
    let (secret, render) = ("sk-jwtauth-tests-0123456789abcdefghijklmnop", "the-secret-of-the-render-server-here");
    let all_settings = Settings::new(secret)
        .with_secret_key_fallbacks(["an-older-secret-0123456789abcdefghijklmnop"])
        .with_render_server_secret([render])
        .with_max_sessions_per_user(2)
        .with_reuse_ends_all_sessions(true);
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let shown = Arc::new(Mutex::new(String::new()));
    let events = Arc::clone(&shown);
    let auth = layer(&all_settings, store.clone(), &clock)
        .with_custom_claims(|_| CustomClaims::from_json(r#"{"plan":"free"}"#).unwrap())
        .with_receiver(move |event| writeln!(events.lock().unwrap(), "{event:?}").unwrap());
    let debugs = Arc::clone(&shown);
    let debug = async move |auth: Auth| {
        let (session, sessions) = (auth.session().await, auth.sessions().await);
        writeln!(debugs.lock().unwrap(), "{auth:?} {session:?} {sessions:?}").unwrap();
    };
    let app = app(auth.clone()).merge(Router::new().route("/debug", any(debug)).layer(auth.clone()));
    let mut tokens: Vec<String> = Vec::new();
    let mut seen = |browser: &Browser| tokens.extend(browser.jar.values().cloned());

    let mut owner = Browser::signed_in(&app, "42").await;
    seen(&owner);
    let mut thief = owner.clone();
    for _ in 0..3 {
        clock.advance(301);
        for path in ["/me", "/debug", "/claims", "/sessions", "/maybe", "/optional"] {
            owner.get(path).await;
            seen(&owner);
        }
    }
    let bearer = format!("Bearer {}", owner.jar["access_token"]);
    let stranger = Browser::new(&app);
    stranger.send(stranger.request("GET", "/debug").header(header::AUTHORIZATION, &bearer)).await;
    stranger.send(stranger.request("GET", "/me").header(header::AUTHORIZATION, format!("{bearer}x"))).await;
    owner.send(owner.request("POST", "/me").header(header::ORIGIN, "https://evil.example")).await;
    owner.send(owner.request("GET", "/me").header("x-jwtauth-render-secret", render)).await;
    owner.send(owner.request("GET", "/me").header("x-jwtauth-render-secret", "wrong-secret-of-a-render-server")).await;
    owner.send(owner.request("POST", "/login/7").header(header::ORIGIN, "https://evil.example")).await;
    for user in ["7", "42", "42", "42"] {
        let mut other = Browser::signed_in(&app, user).await;
        seen(&other);
        other.get("/debug").await;
        other.post("/others").await;
    }
    let mut last = Browser::signed_in(&app, "8").await;
    seen(&last);
    last.post("/login/9").await;
    seen(&last);
    thief.send(thief.request("POST", "/me").header(header::TRANSFER_ENCODING, "chunked")).await;
    thief.get("/me").await;
    last.post("/logout").await;
    stranger.send(stranger.request("POST", &format!("/login/{}", "x".repeat(5000)))).await;

    let output = format!("{} {} {auth:?} {all_settings:?} {:?}", logged(), shown.lock().unwrap(), all_settings.build());
    for event in ["session_started", "session_refreshed", "session_ended", "cross_origin", "wrong_render_secret"] {
        assert!(output.contains(event), "{event}");
    }
    assert!(tokens.len() > 20);
    let mut secrets =
        vec![secret.to_owned(), render.to_owned(), "an-older-secret-01".to_owned(), "wrong-secret-of".to_owned()];
    for token in &tokens {
        let mut parts = token.split('.').skip(1);
        let (claims, signature) = (parts.next().unwrap(), parts.next().unwrap());
        secrets.extend([claims.to_owned(), signature.to_owned(), sid(claims)]);
    }
    for secret in &secrets {
        assert!(!output.contains(secret.as_str()), "{secret} in {output}");
    }
}

/// Return the secret session name from the claims of a token.
fn sid(claims: &str) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["sid"].as_str().unwrap().to_owned()
}
