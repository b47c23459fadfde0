//! Resource servers verify users' tokens with the site's keys.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use axum::{Router, routing::any};
use common::Browser;
use http::{StatusCode, header};
use jwtauth_axum::{AccessClaims, AuthLayer, FixedKeys, MemoryStore, ResourceLayer, Settings, VerifierSource};

async fn signed_in(settings: &Settings) -> Browser {
    let app = common::app(AuthLayer::new(settings.build().unwrap(), MemoryStore::default()));
    Browser::signed_in(&app, "42").await
}

fn service<K: VerifierSource>(settings: &Settings, keys: K) -> Router {
    let who = async |AccessClaims(claims): AccessClaims| claims.subject;
    Router::new()
        .route("/me", any(who))
        .route("/open", any(async || "open"))
        .layer(ResourceLayer::new(settings.transport().unwrap(), keys))
}

#[tokio::test]
async fn shared_secret_verifies_tokens() {
    let settings = common::settings();
    let mut browser = signed_in(&settings).await;
    browser.app = service(&settings, FixedKeys::of(&settings).unwrap());
    assert_eq!(browser.get("/me").await.body, "42");
    browser.app = service(&settings, FixedKeys::of(&settings.clone().with_issuer("other")).unwrap());
    assert_eq!(browser.get("/me").await.status, StatusCode::FORBIDDEN, "from another issuer");
}

#[tokio::test]
async fn token_of_a_former_issuer_or_audience_is_accepted() {
    let settings = common::settings();
    let mut browser = signed_in(&settings).await;
    for changed in [settings.clone().with_issuer("new"), settings.clone().with_audience(["new"])] {
        browser.app = service(&settings, FixedKeys::of(&changed).unwrap());
        assert_eq!(browser.get("/me").await.status, StatusCode::FORBIDDEN);
        let changed = changed.with_issuer_fallbacks([None]).with_audience_fallbacks([None]);
        browser.app = service(&settings, FixedKeys::of(&changed).unwrap());
        assert_eq!(browser.get("/me").await.body, "42");
    }
}

#[tokio::test]
async fn cross_origin_page_may_not_use_the_cookies_of_a_resource_server() {
    let settings = common::settings();
    let mut browser = signed_in(&settings).await;
    browser.app = service(&settings, FixedKeys::of(&settings).unwrap());
    let answer = browser.send(browser.request("POST", "/me").header("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "cross_origin"));
    assert_eq!(answer.headers[header::VARY], "Cookie");
}

#[tokio::test]
async fn vary_lists_what_the_response_depends_on() {
    let settings = common::settings();
    let mut browser = signed_in(&settings).await;
    browser.app = service(&settings, FixedKeys::of(&settings).unwrap());
    let stranger = Browser::new(&browser.app);
    let bearer = format!("Bearer {}", browser.jar["access_token"]);
    let by_bearer = |value: &str| stranger.request("GET", "/me").header(header::AUTHORIZATION, value);
    for (request, vary) in [
        (browser.request("GET", "/open"), Some("Cookie")),
        (stranger.request("GET", "/me"), Some("Cookie")),
        (stranger.request("GET", "/open"), None),
        (by_bearer(&bearer), Some("Authorization")),
        (by_bearer("Bearer x"), Some("Authorization")),
    ] {
        let answer = browser.send(request).await;
        assert_eq!(answer.headers.get(header::VARY).map(|vary| vary.to_str().unwrap()), vary);
    }
}

#[tokio::test]
async fn tokens_of_two_users_are_ignored() {
    let settings = common::settings();
    let (ada, eve) =
        (signed_in(&settings).await, common::app(AuthLayer::new(common::config(), MemoryStore::default())));
    let eve = Browser::signed_in(&eve, "7").await;
    let app = service(&settings, FixedKeys::of(&settings).unwrap());
    let stranger = Browser::new(&app);
    let both = format!("access_token={}; access_token={}", ada.jar["access_token"], eve.jar["access_token"]);
    let answer = stranger.send(stranger.request("GET", "/me").header(header::COOKIE, both)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "not_authenticated"));
}
