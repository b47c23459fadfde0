//! Resource servers: they recognise users by the site's keys.

#![cfg(feature = "jwks")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::any};
use common::{Browser, names};
use http::{StatusCode, header};
use jwtauth_axum::{
    AccessClaims, AuthLayer, FixedKeys, MemoryStore, RemoteKeys, ResourceLayer, Settings, VerifierSource,
    VerifyingKeySetting,
    jwtauth::{Algorithm, GeneratedKey},
};

/// A site that signs with this key pair.
fn site(key: &GeneratedKey, older: &[&GeneratedKey]) -> Settings {
    let older = older.iter().map(|key| VerifyingKeySetting::Key(key.public_jwk().unwrap().into()));
    common::settings().with_algorithm("EdDSA").with_signing_key(key.expose_jwk()).with_verifying_keys(older)
}

fn key() -> GeneratedKey {
    GeneratedKey::new(Algorithm::EdDsa, None).unwrap()
}

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

/// `jwks.json` of a site, by HTTP.
#[derive(Clone, Default)]
struct Published {
    set: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl Published {
    fn publish(&self, settings: &Settings) {
        *self.set.lock().unwrap() = settings.build().unwrap().tokens().verifier().keys().to_jwk_set();
    }

    fn fetches(&self) -> usize {
        self.fetches.swap(0, Ordering::Relaxed)
    }

    async fn serve(&self) -> String {
        let published = self.clone();
        let app = Router::new().route(
            "/jwks.json",
            any(async move || {
                published.fetches.fetch_add(1, Ordering::Relaxed);
                let status =
                    if published.fails.load(Ordering::Relaxed) { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
                (status, published.set.lock().unwrap().clone())
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }
}

async fn remote(published: &Published) -> RemoteKeys {
    RemoteKeys::new(reqwest::Client::new(), &published.serve().await, &Settings::default()).unwrap()
}

#[tokio::test]
async fn whoever_the_site_signed_in_is_recognised_by_cookie_and_bearer() {
    let key = key();
    let person = signed_in(&site(&key, &[])).await;
    let published = Published::default();
    published.publish(&site(&key, &[]));
    let app = service(&Settings::default(), remote(&published).await);
    let mut browser = Browser { app: app.clone(), ..person.clone() };
    for _ in 0..3 {
        assert_eq!(browser.get("/me").await.body, "42");
    }
    assert_eq!(published.fetches(), 1, "fetched once, and kept");
    let bearer = |name: &str| format!("Bearer {}", person.jar[name]);
    let stranger = Browser::new(&app);
    let by_bearer =
        async |value: String| stranger.send(stranger.request("GET", "/me").header(header::AUTHORIZATION, value)).await;
    assert_eq!(by_bearer(bearer("access_token")).await.body, "42");
    for bad in [bearer("refresh_token"), "Bearer x".to_owned()] {
        let answer = by_bearer(bad).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_not_valid"));
    }
    let answer = Browser::new(&app).get("/me").await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(published.fetches(), 0, "what names no unknown key is no reason to fetch");
}

#[tokio::test]
async fn a_shared_secret_serves_as_well() {
    let settings = common::settings();
    let mut browser = signed_in(&settings).await;
    browser.app = service(&settings, FixedKeys::of(&settings).unwrap());
    assert_eq!(browser.get("/me").await.body, "42");
    browser.app = service(&settings, FixedKeys::of(&settings.clone().with_issuer("other")).unwrap());
    assert_eq!(browser.get("/me").await.status, StatusCode::FORBIDDEN, "of another issuer");
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_made_up_names_are_not() {
    let (old, new, stranger) = (key(), key(), key());
    let published = Published::default();
    published.publish(&site(&old, &[]));
    let keys = remote(&published).await.with_pause(Duration::from_millis(50));
    let app = service(&Settings::default(), keys);
    let mut browser = signed_in(&site(&old, &[])).await;
    browser.app = app.clone();
    assert_eq!((browser.get("/me").await.body.as_str(), published.fetches()), ("42", 1));

    published.publish(&site(&new, &[&old]));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let mut newer = signed_in(&site(&new, &[&old])).await;
    newer.app = app.clone();
    assert_eq!((newer.get("/me").await.body.as_str(), published.fetches()), ("42", 1));
    assert_eq!(browser.get("/me").await.body, "42", "the old key is still good");

    let mut made_up = signed_in(&site(&stranger, &[])).await;
    made_up.app = app;
    tokio::time::sleep(Duration::from_millis(60)).await;
    for _ in 0..20 {
        assert_eq!(made_up.get("/me").await.status, StatusCode::FORBIDDEN);
    }
    assert!(published.fetches() <= 2, "at most one fetch in each pause");
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_once_the_set_is_old() {
    let (old, new) = (key(), key());
    let published = Published::default();
    published.publish(&site(&old, &[]));
    let keys = remote(&published).await.with_max_age(Duration::from_millis(50)).with_pause(Duration::ZERO);
    let mut browser = signed_in(&site(&old, &[])).await;
    browser.app = service(&Settings::default(), keys);
    assert_eq!(browser.get("/me").await.body, "42");
    published.publish(&site(&new, &[]));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(browser.get("/me").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn old_keys_stay_good_while_the_site_cannot_be_reached_for_so_long() {
    let key = key();
    let published = Published::default();
    published.publish(&site(&key, &[]));
    let keys = remote(&published)
        .await
        .with_max_age(Duration::ZERO)
        .with_pause(Duration::ZERO)
        .with_max_stale(Duration::from_millis(300));
    let mut browser = signed_in(&site(&key, &[])).await;
    browser.app = service(&Settings::default(), keys);
    assert_eq!(browser.get("/me").await.body, "42");
    published.fails.store(true, Ordering::Relaxed);
    assert_eq!(browser.get("/me").await.body, "42");
    tokio::time::sleep(Duration::from_millis(310)).await;
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable"));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(browser.get("/open").await.status, StatusCode::SERVICE_UNAVAILABLE, "who it is, is not known");
    published.fails.store(false, Ordering::Relaxed);
    assert_eq!(browser.get("/me").await.body, "42");
}

#[tokio::test]
async fn what_is_no_key_set_is_none() {
    let published = Published::default();
    for set in ["", "{}", "[]", &format!("{{\"keys\":[\"{}\"]}}", "k".repeat(100_000))] {
        set.clone_into(&mut published.set.lock().unwrap());
        let mut browser = signed_in(&site(&key(), &[])).await;
        browser.app = service(&Settings::default(), remote(&published).await);
        let answer = browser.get("/me").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{set:.20}");
        assert_eq!(Browser::new(&browser.app).get("/open").await.body, "open", "nobody's requests go on");
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not_use_the_cookies_here_either() {
    let settings = common::settings();
    let mut browser = signed_in(&settings).await;
    browser.app = service(&settings, FixedKeys::of(&settings).unwrap());
    let answer = browser.send(browser.request("POST", "/me").header("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "cross_origin"));
    assert_eq!(answer.headers[header::VARY], "Cookie");
}

#[tokio::test]
async fn a_response_varies_by_what_it_depends_on() {
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
async fn tokens_of_two_users_are_nobody_s() {
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
