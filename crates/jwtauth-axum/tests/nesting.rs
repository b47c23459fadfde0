//! Nested layers: the same layer, one with the same configuration, and different ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use axum::{Router, routing::any};
use common::{Browser, Clock, app, layer, names, settings};
use http::{StatusCode, header};
use jwtauth_axum::{
    AccessClaims, AuthLayer, Authenticated, FixedKeys, MemoryStore, ResourceLayer, SessionStore, Settings,
    jwtauth::UnixTime,
};

/// Return the ways in which an application nests two layers.
fn nestings(inner: &dyn Fn() -> AuthLayer, outer: &dyn Fn() -> AuthLayer) -> Vec<(&'static str, Router)> {
    let api = || app(inner());
    vec![
        ("nested", Router::new().nest("/api", api()).layer(outer())),
        ("twice", Router::new().nest("/api", api().layer(inner())).layer(outer())),
        ("merged", Router::new().merge(Router::new().nest("/api", api())).layer(outer())),
        ("by route", Router::new().nest("/api", api().route_layer(inner())).route_layer(outer())),
        ("of a service", Router::new().nest_service("/api", api()).layer(outer())),
        ("of a fallback", Router::new().fallback_service(Router::new().nest("/api", api())).layer(outer())),
    ]
}

async fn count(store: &MemoryStore, user: &str) -> usize {
    store.of_user(user, UnixTime::EPOCH).await.unwrap().len()
}

/// Sign in, refresh, sign in as another user on top, and sign out.
async fn is_one_layer(name: &str, app: &Router, store: &MemoryStore, clock: &Clock) {
    let mut browser = Browser::new(app);
    let both = ["access_token", "refresh_token"];
    assert_eq!(names(&browser.post("/api/login/42").await), both, "{name}");
    clock.advance(301);
    let refreshed = browser.get("/api/me").await;
    assert_eq!((refreshed.body.as_str(), names(&refreshed)), ("42", both.to_vec()), "{name}");
    assert_eq!(refreshed.headers.get_all(header::VARY).iter().count(), 1, "{name}");
    assert_eq!(browser.get("/api/maybe").await.body, "42", "{name}");
    // The access token has expired: the outer layer refreshes the session that the inner login ends.
    clock.advance(301);
    assert_eq!(names(&browser.post("/api/login/7").await), both, "{name}");
    assert_eq!(browser.get("/api/maybe").await.body, "7", "{name}");
    clock.advance(301);
    assert_eq!(names(&browser.post("/api/logout").await), both, "{name}");
    assert_eq!((browser.jar.len(), count(store, "42").await, count(store, "7").await), (0, 0, 0), "{name}");
}

#[tokio::test]
async fn clones_of_a_layer_work_as_one() {
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let auth = layer(&settings(), store.clone(), &clock);
    for (name, app) in nestings(&|| auth.clone(), &|| auth.clone()) {
        is_one_layer(name, &app, &store, &clock).await;
    }
}

#[tokio::test]
async fn layers_with_equal_configuration_work_as_one() {
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let auth = || layer(&settings(), store.clone(), &clock);
    for (name, app) in nestings(&auth, &auth) {
        is_one_layer(name, &app, &store, &clock).await;
    }
}

#[tokio::test]
async fn layers_with_different_cookies_use_only_their_own() {
    let clock = Clock::default();
    let other = settings().with_access_token_cookie_name("a").with_refresh_token_cookie_name("r");
    let (outer_store, inner_store) = (MemoryStore::default(), MemoryStore::default());
    let outer = layer(&settings(), outer_store.clone(), &clock);
    let inner = layer(&other, inner_store.clone(), &clock);
    let nested = Router::new().nest("/api", app(inner.clone())).merge(app(outer.clone()));
    // The outer layer occurs again inside the inner one.
    let back = Router::new().nest("/back", Router::new().nest("/api", app(outer.clone())).layer(inner));
    let app = nested.merge(back).layer(outer);
    let mut browser = Browser::signed_in(&app, "42").await;
    assert_eq!(browser.get("/api/maybe").await.body, "anonymous");
    assert_eq!(names(&browser.post("/api/login/7").await), ["a", "r"]);
    clock.advance(301);
    let answer = browser.get("/api/me").await;
    assert_eq!(answer.body, "7", "the innermost layer's user");
    assert_eq!(names(&answer), ["a", "r", "access_token", "refresh_token"], "each layer refreshes its own session");
    assert_eq!((browser.who().await, browser.get("/back/api/maybe").await.body), ("42".into(), "42".into()));
    assert_eq!(names(&browser.post("/back/api/logout").await), ["access_token", "refresh_token"]);
    assert_eq!((count(&outer_store, "42").await, count(&inner_store, "7").await), (0, 1));
}

#[tokio::test]
async fn sessions_of_one_store_are_not_accepted_by_another() {
    let clock = Clock::default();
    let (outer_store, inner_store) = (MemoryStore::default(), MemoryStore::default());
    let outer = layer(&settings(), outer_store.clone(), &clock);
    let inner = layer(&settings(), inner_store.clone(), &clock);
    let app = Router::new().nest("/api", app(inner)).merge(app(outer.clone())).layer(outer);
    let mut browser = Browser::signed_in(&app, "42").await;
    let answer = browser.get("/api/me").await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(browser.who().await, "42", "its cookies are left alone");
    clock.advance(301);
    let answer = browser.post("/api/login/7").await;
    assert_eq!(names(&answer), ["access_token", "refresh_token"], "only the cookies of the login");
    assert_eq!(browser.get("/api/me").await.body, "7");
    assert_eq!(browser.who().await, "anonymous", "one cookie holds one session");
}

// --- with the resource layer

fn resource(settings: &Settings) -> ResourceLayer<FixedKeys> {
    ResourceLayer::new(settings.transport().unwrap(), FixedKeys::of(settings).unwrap())
}

fn claims() -> Router {
    Router::new().route("/subject", any(async |AccessClaims(claims): AccessClaims| claims.subject)).route(
        "/perhaps",
        any(async |claims: Option<AccessClaims>| claims.map_or("anonymous".into(), |AccessClaims(it)| it.subject)),
    )
}

#[tokio::test]
async fn resource_layer_may_be_inside_outside_and_nested() {
    let now = std::time::SystemTime::now();
    let auth = AuthLayer::new(settings().build().unwrap(), MemoryStore::default()).with_clock(move || now);
    let resource = || resource(&settings());
    let user = || Router::new().route("/user", any(async |user: Authenticated| user.user_id));
    let inside = claims().layer(resource()).merge(user());
    let outside = claims().merge(user()).layer(auth.clone()).layer(resource());
    let twice = claims().layer(resource()).layer(resource()).merge(user());
    for (name, router) in [("inside", inside), ("outside", outside), ("twice", twice)] {
        let app = app(auth.clone()).merge(router.layer(auth.clone()));
        let mut browser = Browser::signed_in(&app, "42").await;
        for path in ["/subject", "/perhaps", "/user"] {
            let answer = browser.get(path).await;
            assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "42"), "{name} {path}");
            assert_eq!(answer.headers.get_all(header::VARY).iter().collect::<Vec<_>>(), ["Cookie"], "{name} {path}");
        }
        let mut stranger = Browser::new(&app);
        assert_eq!(stranger.get("/subject").await.code(), "not_authenticated", "{name}");
        assert_eq!(stranger.get("/perhaps").await.body, "anonymous", "{name}");
        let bad = stranger.request("GET", "/perhaps").header(header::AUTHORIZATION, "Bearer x");
        assert_eq!(stranger.send(bad).await.status, StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[tokio::test]
async fn claims_come_from_the_innermost_layer() {
    let elsewhere = Settings::new("another secret of the tests, as long as the other");
    let now = std::time::SystemTime::now();
    let auth = AuthLayer::new(settings().build().unwrap(), MemoryStore::default()).with_clock(move || now);
    let inside = Router::new().nest("/inside", claims().layer(resource(&elsewhere)));
    let outside = Router::new().nest("/outside", claims().layer(auth.clone()).layer(resource(&elsewhere)));
    let app = app(auth.clone()).merge(inside).layer(auth).merge(outside);
    let mut browser = Browser::signed_in(&app, "42").await;
    assert_eq!(browser.get("/inside/subject").await.code(), "not_authenticated", "tokens with another key");
    assert_eq!(browser.get("/outside/subject").await.body, "42");
}
