//! Sessions that are bound to a key of the user's device, with a device made of software, on every store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{
    Router,
    body::Body,
    extract::Path,
    routing::{any, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use common::{
    Answer, Browser, Clock, layer,
    log::{self, logged},
    names, settings,
    stores::stores,
};
use http::{StatusCode, header};
use jwtauth_axum::{
    AccessClaims, Auth, AuthLayer, Authenticated, Event, FoundSession, InsertError, Limit, Login, LoginError,
    MemoryStore, Record, SessionStore, Settings, StoreError,
    jwtauth::{Generation, Methods, Session, TokenKind, Tokens, UnixTime},
};
use serde_json::{Value, json};
use tracing_subscriber::fmt::format::FmtSpan;
use uuid::Uuid;

const ADA: &str = "42";
const BOB: &str = "43";
const ACCESS: u64 = 300;
const GRACE: u64 = 30;
const REGISTER: &str = "/auth/device/register/";
const REFRESH: &str = "/auth/device/refresh/";
const OFFER: &str = "secure-session-registration";
const REQUIRED: &str = "device_proof_required";

type Rows = Pin<Box<dyn Future<Output = Vec<Record>> + Send>>;

/// A service on some store, and the events that its receiver was sent.
struct Site {
    app: Router,
    clock: Clock,
    tokens: Tokens,
    told: Arc<Mutex<Vec<String>>>,
    may_act: Arc<AtomicBool>,
    rows: Box<dyn Fn(&str) -> Rows>,
}

fn offering() -> Settings {
    settings().with_device_bound_sessions("offer")
}

/// Return a service with these settings on each store.
async fn sites(settings: &Settings) -> Vec<Site> {
    stores().await.into_iter().map(|store| Site::new(settings, store)).collect()
}

impl Site {
    fn new(settings: &Settings, store: impl SessionStore + Clone) -> Self {
        let (clock, told) = (Clock::default(), Arc::<Mutex<Vec<String>>>::default());
        let may_act = Arc::new(AtomicBool::new(true));
        let (receiver, decides) = (Arc::clone(&told), Arc::clone(&may_act));
        let layer = layer(settings, store.clone(), &clock)
            .with_receiver(move |event| receiver.lock().unwrap().push(text_of(event)))
            .with_act_as(move |_| std::future::ready(Ok(decides.load(Ordering::Relaxed))));
        Self {
            app: app(layer),
            clock,
            tokens: settings.build().unwrap().tokens().clone(),
            told,
            may_act,
            rows: Box::new(move |user| {
                let (store, user) = (store.clone(), user.to_owned());
                Box::pin(async move { store.of_user(&user, UnixTime::EPOCH).await.unwrap() })
            }),
        }
    }

    /// Return the only session of ada.
    async fn row(&self) -> Record {
        let mut rows = (self.rows)(ADA).await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    async fn is_empty(&self) -> bool {
        (self.rows)(ADA).await.is_empty()
    }

    /// Return a browser that has bound its session.
    async fn enrolled(&self) -> Device {
        let mut device = Device::new(self);
        let offer = device.sign_in().await;
        assert_eq!(device.register(&offer).await.status, StatusCode::OK);
        device
    }

    /// Return when the browser's access token expires.
    fn end_of(&self, browser: &Browser) -> UnixTime {
        self.tokens.verify_ignoring_time(TokenKind::Access, &browser.jar["access_token"]).unwrap().expires_at
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn text_of(event: &Event) -> String {
    match event {
        Event::SessionBound { session, .. } | Event::DeviceProofFailed { session, .. } => {
            format!("{} {} {}", event.name(), session.user_id, session.is_device_bound())
        }
        Event::SessionEnded { reason, .. } => format!("{} {reason}", event.name()),
        other => other.name().to_owned(),
    }
}

fn app(layer: AuthLayer) -> Router {
    Router::new()
        .route("/me", any(async |user: Authenticated| user.user_id))
        .route("/maybe", any(async |user: Option<Authenticated>| user.map_or_else(String::new, |it| it.user_id)))
        .route("/claims", any(async |claims: Option<AccessClaims>| claims.map_or("", |_| "known")))
        .route("/login/{user}", post(async |auth: Auth, Path(user): Path<String>| auth.login(user).await))
        .route("/required", post(sign_in_bound))
        .route("/brief", post(async |auth: Auth| auth.login_with(Login::new(ADA).with_remember(false)).await))
        .route("/again", post(async |auth: Auth| auth.reauthenticate(ADA, ["pwd"]).await.map(drop)))
        .route("/act", post(async |auth: Auth| auth.act_as(BOB).await))
        .route("/stop", post(async |auth: Auth| auth.stop_acting().await))
        .route("/logout", post(async |auth: Auth| auth.logout().await))
        .route(REGISTER, any(async |auth: Auth| auth.register_device().await))
        .route(REFRESH, any(async |auth: Auth| auth.refresh_device().await))
        .layer(layer)
}

async fn sign_in_bound(auth: Auth) -> Result<(), LoginError> {
    auth.login_with(Login::new(ADA).with_device_bound(true)).await
}

/// A browser, with a key pair that no one copies.
struct Device {
    browser: Browser,
    key: EcdsaKeyPair,
    id: String,
    challenge: Option<String>,
    proofs: Vec<String>,
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Device {
    fn new(site: &Site) -> Self {
        Self::of(&site.app)
    }

    fn of(app: &Router) -> Self {
        Self { browser: Browser::new(app), key: new_key(), id: String::new(), challenge: None, proofs: Vec::new() }
    }

    /// Return the browser of a thief who has copied every cookie and seen every header, but has another key.
    fn copied(&self) -> Self {
        let (browser, id, challenge) = (self.browser.clone(), self.id.clone(), self.challenge.clone());
        Self { browser, key: new_key(), id, challenge, proofs: Vec::new() }
    }

    /// Sign in, and return the value of the offer's header.
    async fn sign_in(&mut self) -> String {
        offer_of(&self.browser.post(&format!("/login/{ADA}")).await).unwrap()
    }

    fn proof(&mut self, challenge: &str, with_key: bool) -> String {
        let mut head = json!({"alg": "ES256", "typ": "dbsc+jwt"});
        if with_key {
            head["jwk"] = self.jwk();
        }
        let message = format!("{}.{}", encoded(head.to_string()), encoded(json!({"jti": challenge}).to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        let proof = format!("{message}.{}", encoded(signature));
        self.proofs.push(proof.clone());
        proof
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)})
    }

    async fn ask(&mut self, path: &str, named: Option<&str>, proof: Option<&str>) -> Answer {
        let mut request = self.browser.request("POST", path);
        for (name, value) in [("sec-secure-session-id", named), ("secure-session-response", proof)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let answer = self.browser.send(request).await;
        self.browser.keep(&answer);
        if let Some(value) = answer.headers.get("secure-session-challenge") {
            let (challenge, id) = value.to_str().unwrap().split_once(";id=").unwrap();
            assert!(path != REFRESH || id.trim_matches('"') == self.id);
            self.challenge = Some(challenge.trim_matches('"').to_owned());
        }
        answer
    }

    async fn register(&mut self, offer: &str) -> Answer {
        let (path, challenge) = parts_of(offer);
        let proof = self.proof(&challenge, true);
        self.id.clear();
        let answer = self.ask(&path, None, Some(&proof)).await;
        if answer.status == StatusCode::OK {
            json_of(&answer)["session_identifier"].as_str().unwrap().clone_into(&mut self.id);
        }
        answer
    }

    async fn refresh(&mut self, proof: Option<&str>) -> Answer {
        let id = self.id.clone();
        self.ask(REFRESH, Some(&id), proof).await
    }

    async fn sign_and_refresh(&mut self) -> Answer {
        let challenge = self.challenge.clone().unwrap();
        let proof = self.proof(&challenge, false);
        self.refresh(Some(&proof)).await
    }

    /// Refresh as a browser does: with the challenge that it has, or in two steps.
    async fn prove(&mut self) -> Answer {
        if self.challenge.is_none() {
            assert_eq!(self.refresh(None).await.code(), REQUIRED);
        }
        let answer = self.sign_and_refresh().await;
        if answer.status == StatusCode::FORBIDDEN { self.sign_and_refresh().await } else { answer }
    }

    async fn who(&mut self) -> String {
        self.browser.who().await
    }
}

fn offer_of(answer: &Answer) -> Option<String> {
    answer.headers.get(OFFER).map(|value| value.to_str().unwrap().to_owned())
}

/// Return the path and the challenge of an offer.
fn parts_of(offer: &str) -> (String, String) {
    let (path, challenge) = offer.strip_prefix("(ES256 RS256);path=\"").unwrap().split_once("\";challenge=\"").unwrap();
    (path.to_owned(), challenge.strip_suffix('"').unwrap().to_owned())
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

fn status_and_code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

fn refused(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

// --- binding

#[tokio::test]
async fn browser_binds_the_session_that_a_login_offers() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        assert_eq!(parts_of(&offer).0, REGISTER);
        assert!(!site.row().await.is_device_bound());
        let answer = device.register(&offer).await;
        assert!(site.row().await.is_device_bound());
        assert_eq!(
            json_of(&answer),
            json!({
                "session_identifier": device.id,
                "refresh_url": REFRESH,
                "scope": {"include_site": false, "scope_specification": []},
                "credentials": [{
                    "type": "cookie",
                    "name": "access_token",
                    "attributes": "Path=/; Secure; HttpOnly; SameSite=Strict",
                }],
            })
        );
        assert_eq!(
            (names(&answer), answer.headers[header::CONTENT_TYPE].as_bytes()),
            (vec!["access_token", "refresh_token"], &b"application/json"[..])
        );
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn instructions_name_the_paths_and_the_domain_of_the_service() {
    let config = offering().with_cookie_domain(".own.example").with_cookie_path("/rust").build().unwrap();
    let config = config.with_device_paths("/rust/key", "/rust/proof").unwrap();
    let clock = Clock::default();
    let layer = AuthLayer::new(config, MemoryStore::default()).with_clock({
        let clock = clock.clone();
        move || clock.time()
    });
    let app = Router::new()
        .route("/rust/login", post(async |auth: Auth| auth.login(ADA).await))
        .route("/rust/key", post(async |auth: Auth| auth.register_device().await))
        .layer(layer);
    let mut device = Device::of(&app);
    let offer = offer_of(&device.browser.post("/rust/login").await).unwrap();
    assert_eq!(parts_of(&offer).0, "/rust/key");
    let said = json_of(&device.register(&offer).await);
    assert_eq!((&said["refresh_url"], &said["scope"]["include_site"]), (&json!("/rust/proof"), &json!(true)));
    assert_eq!(
        said["credentials"][0]["attributes"],
        "Domain=.own.example; Path=/rust; Secure; HttpOnly; SameSite=Strict"
    );
}

#[test]
fn path_that_does_not_fit_into_a_header_is_refused() {
    let config = offering().build().unwrap();
    for path in ["", "auth/device/", "https://own.example/", "/a\"b", "/a\\b", "/a b", "/\u{e9}", "/a\n"] {
        for (register, refresh) in [(path, "/refresh"), ("/register", path)] {
            assert!(config.clone().with_device_paths(register, refresh).is_err(), "{path:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_offered_without_https_or_by_default() {
    for settings in [settings(), offering().with_cookie_secure(false)] {
        for site in sites(&settings).await {
            let answer = Browser::new(&site.app).post("/login/42").await;
            assert_eq!((answer.status, offer_of(&answer)), (StatusCode::OK, None));
        }
    }
}

#[tokio::test]
async fn nothing_is_offered_by_other_responses() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        device.sign_in().await;
        for _ in 0..3 {
            assert_eq!(offer_of(&device.browser.get("/me").await), None);
            site.clock.advance(ACCESS + 1);
        }
        assert_eq!(offer_of(&device.browser.post("/logout").await), None);
    }
}

#[tokio::test]
async fn offer_is_good_for_five_minutes() {
    for site in sites(&offering().with_access_token_lifetime(Duration::from_secs(600))).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        site.clock.advance(300);
        assert_eq!(status_and_code(&device.register(&offer).await), refused("device_proof_not_valid"));
        assert!(!site.row().await.is_device_bound());
        let offer = device.sign_in().await;
        site.clock.advance(299);
        assert_eq!(device.register(&offer).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn lost_answer_is_given_again() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        let (first, again) = (device.register(&offer).await, device.register(&offer).await);
        assert_eq!((again.status, json_of(&again)), (StatusCode::OK, json_of(&first)));
        assert_eq!(device.who().await, ADA);
        assert_eq!(site.told(), ["session_started", "session_bound 42 true"], "told once");
    }
}

/// Register, but let the answer get lost.
async fn lose_registration(site: &Site, device: &mut Device, offer: &str) {
    let before = device.browser.clone();
    assert_eq!(device.register(offer).await.status, StatusCode::OK);
    assert!(site.row().await.is_device_bound());
    device.browser = before;
}

#[tokio::test]
async fn browser_that_has_lost_the_answer_goes_on_by_its_cookies() {
    log::start(FmtSpan::NONE);
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        lose_registration(&site, &mut device, &offer).await;
        let before = device.browser.clone();
        assert_eq!(device.who().await, ADA);
        site.clock.advance(ACCESS);
        for _ in 0..2 {
            device.browser = before.clone(); // the next answer is lost, too
            assert_eq!(device.who().await, ADA);
            assert!(!site.row().await.is_device_bound());
        }
        let id = site.row().await.id;
        let line = format!("session_unbound: session {id} of user {ADA}, presented generation 1, current 2");
        assert_eq!(logged().matches(&line).count(), 1);
        assert_eq!(device.register(&offer).await.code(), "device_proof_not_valid", "the offer is void");
        for _ in 0..3 {
            site.clock.advance(ACCESS);
            assert_eq!(device.who().await, ADA);
        }
    }
}

#[tokio::test]
async fn answer_is_waited_for_before_the_session_is_unbound() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        site.clock.advance(ACCESS - 1);
        lose_registration(&site, &mut device, &offer).await;
        site.clock.advance(GRACE - 1);
        assert_eq!(device.browser.get("/me").await.code(), REQUIRED);
        assert!(site.row().await.is_device_bound());
        site.clock.advance(1);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn older_cookies_are_worth_nothing_once_the_newest_are_seen() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        let mut thief = device.copied();
        device.register(&offer).await;
        assert_eq!(device.who().await, ADA);
        site.clock.advance(ACCESS);
        assert_eq!(thief.browser.get("/me").await.code(), REQUIRED);
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert!(site.row().await.is_device_bound());
    }
}

/// Its page has sent nothing since the registration. From then on, a copy is found as in any unbound session.
#[tokio::test]
async fn browser_whose_session_is_unbound_by_a_copy_goes_on_by_its_cookies() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        let mut thief = device.copied();
        device.register(&offer).await;
        site.clock.advance(ACCESS);
        assert_eq!(thief.who().await, ADA);
        assert_eq!(json_of(&device.sign_and_refresh().await)["continue"], false);
        for _ in 0..3 {
            assert_eq!(device.who().await, ADA);
            site.clock.advance(ACCESS);
        }
        assert_eq!(thief.who().await, "");
        assert!(site.is_empty().await);
    }
}

#[tokio::test]
async fn browser_that_has_lost_the_answer_may_do_what_issues_tokens() {
    for paths in [&["/again"][..], &["/act"], &["/act", "/stop"]] {
        for site in sites(&offering()).await {
            let mut device = Device::new(&site);
            let offer = device.sign_in().await;
            lose_registration(&site, &mut device, &offer).await;
            for path in paths {
                assert_eq!(device.browser.post(path).await.status, StatusCode::OK, "{path}");
            }
            for _ in 0..2 {
                site.clock.advance(ACCESS);
                assert_eq!(device.who().await, if paths == ["/act"] { BOB } else { ADA });
            }
        }
    }
}

#[tokio::test]
async fn first_request_after_the_registration_keeps_the_binding() {
    for paths in [&["/again"][..], &["/act"], &["/act", "/stop"]] {
        for site in sites(&offering()).await {
            let mut device = site.enrolled().await;
            for path in paths {
                assert_eq!(device.browser.post(path).await.status, StatusCode::OK, "{path}");
            }
            site.clock.advance(ACCESS);
            assert_eq!(device.who().await, "");
            assert_eq!(device.prove().await.status, StatusCode::OK);
            assert_ne!(device.who().await, "");
        }
    }
}

#[tokio::test]
async fn copied_registration_is_refused_after_a_refresh() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        device.register(&offer).await;
        let registration = device.proofs[0].clone();
        site.clock.advance(ACCESS);
        device.prove().await;
        let answer = device.copied().ask(REGISTER, None, Some(&registration)).await;
        assert_eq!(status_and_code(&answer), refused("device_proof_not_valid"));
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn second_key_ends_the_session() {
    log::start(FmtSpan::NONE);
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        let mut thief = device.copied();
        assert_eq!(device.register(&offer).await.status, StatusCode::OK);
        site.told();
        assert_eq!(status_and_code(&thief.register(&offer).await), refused("device_proof_failed"));
        assert!(site.is_empty().await);
        assert_eq!(site.told(), ["device_proof_failed 42 true", "session_ended device_proof_failed"]);
        assert_eq!(device.who().await, "");
    }
    assert!(logged().contains("event=\"session_bound\"") && logged().contains("event=\"device_proof_failed\""));
}

#[tokio::test]
async fn challenge_of_another_session_or_purpose_is_refused() {
    for site in sites(&offering()).await {
        let (mut device, mut other) = (Device::new(&site), Device::new(&site));
        let (own, foreign) = (device.sign_in().await, other.sign_in().await);
        assert_eq!(device.register(&foreign).await.status, StatusCode::FORBIDDEN);
        assert!((site.rows)(ADA).await.iter().all(|row| !row.is_device_bound()));
        device.register(&own).await;
        device.refresh(None).await;
        let of_a_refresh = own.replace(&parts_of(&own).1, device.challenge.as_ref().unwrap());
        assert_eq!(other.register(&of_a_refresh).await.status, StatusCode::FORBIDDEN);
        let of_an_offer = device.proof(&parts_of(&own).1, false);
        assert_eq!(status_and_code(&device.refresh(Some(&of_an_offer)).await), refused(REQUIRED));
    }
}

#[tokio::test]
async fn proof_that_is_none_changes_nothing() {
    for site in sites(&offering()).await {
        let mut bound = site.enrolled().await;
        let mut device = Device::new(&site);
        device.sign_in().await;
        let (before, long) = ((site.rows)(ADA).await, "x".repeat(9000));
        let access_token = bound.browser.jar["access_token"].clone();
        for proof in ["", "x", "a.b.c", "\"", &long, "null", "e30.e30.e30", &access_token] {
            let answer = device.ask(REGISTER, None, Some(proof)).await;
            assert_eq!(status_and_code(&answer), refused("device_proof_not_valid"));
            assert_eq!(status_and_code(&bound.refresh(Some(proof)).await), refused(REQUIRED));
        }
        assert_eq!((site.rows)(ADA).await, before);
        assert_eq!(device.ask(REGISTER, None, None).await.code(), "device_proof_not_valid");
    }
}

#[tokio::test]
async fn session_is_needed_to_bind() {
    for site in sites(&offering()).await {
        let (mut device, mut other) = (Device::new(&site), Device::new(&site));
        let offer = other.sign_in().await;
        assert_eq!(status_and_code(&device.register(&offer).await), (401, "not_authenticated".to_owned()));
        let token = other.browser.jar["access_token"].clone();
        let proof = device.proof(&parts_of(&offer).1, true);
        let bearer = device.browser.request("POST", REGISTER).header("secure-session-response", proof);
        let bearer = device.browser.send(bearer.header(header::AUTHORIZATION, format!("Bearer {token}"))).await;
        assert_eq!(bearer.status, StatusCode::UNAUTHORIZED, "a client with a bearer token has no cookies");
        other.browser.post("/logout").await;
        assert_eq!(other.register(&offer).await.status, StatusCode::UNAUTHORIZED);
    }
}

// --- refreshing

#[tokio::test]
async fn browser_refreshes_by_its_key_before_and_after_expiry() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let before = device.browser.jar.clone();
        site.clock.advance(ACCESS - 60);
        device.challenge = None; // so in two steps
        let answer = device.prove().await;
        assert_eq!((answer.status, names(&answer)), (StatusCode::OK, vec!["access_token", "refresh_token"]));
        assert_ne!(device.browser.jar, before);
        for generation in 4..7 {
            site.clock.advance(ACCESS);
            assert_eq!(device.who().await, "", "its access token has expired");
            assert_eq!(device.sign_and_refresh().await.status, StatusCode::OK, "in one step");
            assert_eq!((device.who().await.as_str(), site.row().await.session.generation.get()), (ADA, generation));
        }
        site.clock.advance(ACCESS + 60);
        assert_eq!(device.sign_and_refresh().await.code(), REQUIRED, "the challenge is too old");
        assert_eq!(device.sign_and_refresh().await.status, StatusCode::OK);
        let told = ["session_started", "session_bound 42 true"].into_iter().chain(["session_refreshed"; 5]);
        assert_eq!(site.told(), told.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn refresh_takes_two_calls_of_the_store() {
    let (store, calls) = (MemoryStore::default(), Calls::default());
    let site = Site::new(&offering(), Counted { store, calls: calls.clone() });
    let mut device = Device::new(&site);
    let offer = device.sign_in().await;
    calls.take();
    device.register(&offer).await;
    assert_eq!(calls.take(), ["find", "bind"]);
    device.register(&offer).await;
    assert_eq!(calls.take(), ["find"], "bound already");
    device.refresh(None).await;
    assert_eq!(calls.take(), ["find"], "for a challenge");
    for seconds in [ACCESS - 100, ACCESS, ACCESS] {
        site.clock.advance(seconds);
        device.sign_and_refresh().await;
        assert_eq!(calls.take(), ["find", "advance"]);
        device.browser.get("/me").await;
        assert_eq!(calls.take(), ["find"], "nothing is left to acknowledge");
    }
}

/// The names of the calls of a store.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<&'static str>>>);

impl Calls {
    fn note(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A store in memory that notes its calls, except for removals of expired sessions.
#[derive(Clone)]
struct Counted {
    store: MemoryStore,
    calls: Calls,
}

impl SessionStore for Counted {
    async fn find(&self, id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        self.calls.note("find");
        self.store.find(id).await
    }

    async fn insert(&self, record: Record, limit: Option<Limit>, now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        self.calls.note("insert");
        self.store.insert(record, limit, now).await
    }

    async fn advance(
        &self,
        id: Uuid,
        from: Generation,
        next: Session,
        methods: Option<Methods>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.calls.note("advance");
        self.store.advance(id, from, next, methods, now).await
    }

    async fn bind(&self, id: Uuid, from: Generation, next: Session, key: &str) -> Result<bool, StoreError> {
        self.calls.note("bind");
        self.store.bind(id, from, next, key).await
    }

    async fn unbind(&self, id: Uuid, from: Generation) -> Result<bool, StoreError> {
        self.calls.note("unbind");
        self.store.unbind(id, from).await
    }

    async fn acknowledge(&self, id: Uuid, generation: Generation, now: UnixTime) -> Result<(), StoreError> {
        self.calls.note("acknowledge");
        self.store.acknowledge(id, generation, now).await
    }

    async fn touch(&self, id: Uuid, now: UnixTime) -> Result<(), StoreError> {
        self.calls.note("touch");
        self.store.touch(id, now).await
    }

    async fn of_user(&self, user_id: &str, now: UnixTime) -> Result<Vec<Record>, StoreError> {
        self.store.of_user(user_id, now).await
    }

    async fn end(&self, ids: &[Uuid]) -> Result<u64, StoreError> {
        self.calls.note("end");
        self.store.end(ids).await
    }

    async fn remove_expired(&self, most: u32, now: UnixTime) -> Result<u64, StoreError> {
        self.store.remove_expired(most, now).await
    }
}

#[tokio::test]
async fn cookies_alone_admit_no_request_and_end_nothing() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let mut copies = vec![device.browser.clone()];
        for _ in 0..3 {
            site.clock.advance(ACCESS);
            device.prove().await;
            copies.push(device.browser.clone());
        }
        site.clock.advance(ACCESS);
        let row = site.row().await;
        for mut thief in copies {
            for path in ["/me", "/stop", "/again", "/act"] {
                let answer = thief.post(path).await;
                assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::FORBIDDEN, 0), "{path}");
            }
            assert_eq!(thief.get("/me").await.code(), REQUIRED);
            assert_eq!(thief.get("/claims").await.body, "", "an anonymous request is not refused");
            let upload = thief.request("POST", "/me").header(header::TRANSFER_ENCODING, "chunked");
            assert_eq!(thief.send(upload).await.code(), REQUIRED);
        }
        assert_eq!(site.row().await, row);
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn replayed_proof_gets_no_later_end() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        site.clock.advance(ACCESS);
        device.prove().await;
        let (end, mut thief) = (site.end_of(&device.browser), device.copied());
        let proofs = device.proofs.clone();
        for seconds in [0, 10, GRACE - 11] {
            site.clock.advance(seconds);
            assert_eq!(thief.refresh(proofs.last().map(String::as_str)).await.status, StatusCode::OK);
            assert_eq!(site.end_of(&thief.browser), end);
        }
        site.clock.advance(1);
        for proof in &proofs {
            assert_eq!(status_and_code(&thief.refresh(Some(proof)).await), refused(REQUIRED));
        }
        site.clock.advance(ACCESS - GRACE);
        assert_eq!(thief.who().await, "");
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn wrong_signature_ends_the_session_and_is_told_as_theft() {
    for (ends_all, ends) in [(false, 1), (true, 2)] {
        for site in sites(&offering().with_reuse_ends_all_sessions(ends_all)).await {
            Device::new(&site).sign_in().await;
            let mut device = site.enrolled().await;
            let mut thief = device.copied();
            thief.refresh(None).await;
            site.told();
            assert_eq!(status_and_code(&thief.sign_and_refresh().await), refused("device_proof_failed"));
            let told =
                ["device_proof_failed 42 true"].into_iter().chain(vec!["session_ended device_proof_failed"; ends]);
            assert_eq!(site.told(), told.collect::<Vec<_>>());
            assert_eq!((site.rows)(ADA).await.len(), 2 - ends);
            assert_eq!(device.who().await, "");
            assert_eq!(json_of(&device.refresh(None).await)["continue"], false);
            assert!(site.told().is_empty(), "one theft is told once");
        }
    }
}

#[tokio::test]
async fn wrong_signature_without_its_cookies_ends_nothing() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let mut thief = Device::new(&site);
        thief.id.clone_from(&device.id);
        let proof = thief.proof("x", false);
        let answer = thief.refresh(Some(&proof)).await;
        assert_eq!(json_of(&answer), json!({"session_identifier": device.id, "continue": false}));
        assert_eq!((answer.status, device.who().await.as_str()), (StatusCode::OK, ADA));
    }
}

#[tokio::test]
async fn key_of_an_earlier_session_of_the_browser_ends_nothing() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let (earlier, old) = (std::mem::replace(&mut device.key, new_key()), device.id.clone());
        let offer = device.sign_in().await;
        device.register(&offer).await;
        // Until its refresh says so, a browser also knows the session that a new login has replaced.
        let mut before = Device { key: earlier, ..device.copied() };
        before.id = old.clone();
        let proof = before.proof("x", false);
        let answer = before.refresh(Some(&proof)).await;
        assert_eq!(json_of(&answer), json!({"session_identifier": old, "continue": false}));
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn browser_is_told_to_forget_the_key_after_logout() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let mut copy = device.copied();
        device.browser.post("/logout").await;
        for device in [&mut device, &mut copy] {
            let answer = device.refresh(None).await;
            assert_eq!(json_of(&answer), json!({"session_identifier": device.id, "continue": false}));
        }
        assert!(site.is_empty().await);
    }
}

#[tokio::test]
async fn logout_ends_a_bound_session_without_a_proof() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        site.clock.advance(ACCESS);
        assert_eq!(device.browser.post("/logout").await.status, StatusCode::OK);
        assert!(site.is_empty().await);
    }
}

#[tokio::test]
async fn request_of_another_origin_binds_and_refreshes_nothing() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        device.refresh(None).await;
        let (id, challenge) = (device.id.clone(), device.challenge.clone().unwrap());
        let proof = device.proof(&challenge, false);
        let other = Browser::new(&site.app);
        for (path, browser) in [(REFRESH, &device.browser), (REFRESH, &other), (REGISTER, &other)] {
            let request = browser.request("POST", path).header(header::ORIGIN, "https://evil.example");
            let request = request.header("sec-secure-session-id", &id).header("secure-session-response", &proof);
            let answer = browser.send(request).await;
            assert_eq!((status_and_code(&answer), answer.set_cookies().len()), (refused("cross_origin"), 0));
        }
        assert_eq!(site.row().await.session.generation.get(), 2);
    }
}

#[tokio::test]
async fn get_binds_and_refreshes_nothing() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        device.refresh(None).await;
        let challenge = device.challenge.clone().unwrap();
        let proof = device.proof(&challenge, false);
        for path in [REGISTER, REFRESH] {
            let request = device.browser.request("GET", path).header("sec-secure-session-id", &device.id);
            let answer = device.browser.send(request.header("secure-session-response", &proof)).await;
            assert!(answer.set_cookies().is_empty(), "{path}");
        }
        assert_eq!(site.row().await.session.generation.get(), 2);
    }
}

#[tokio::test]
async fn session_over_a_shorter_limit_is_neither_bound_nor_refreshed() {
    let limit = Duration::from_secs(600);
    let brief = offering().with_refresh_token_lifetime(limit).with_session_lifetime(limit);
    let store = MemoryStore::default();
    let (before, after) = (Site::new(&offering(), store.clone()), Site::new(&brief, store));
    let (mut device, mut unbound) = (before.enrolled().await, Device::new(&before));
    unbound.sign_in().await;
    before.clock.advance(590);
    after.clock.advance(600);
    device.prove().await;
    let offer = offer_of(&unbound.browser.post("/again").await).unwrap();
    for device in [&mut device, &mut unbound] {
        device.browser.app = after.app.clone();
    }
    assert_eq!(unbound.register(&offer).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(json_of(&device.prove().await)["continue"], false);
}

#[tokio::test]
async fn locked_session_is_revived_by_another_authentication_only() {
    for site in sites(&offering().with_lock_after(Duration::from_secs(900))).await {
        let mut device = site.enrolled().await;
        site.clock.advance(900);
        let answer = device.prove().await; // without a cookie: a browser forgets its key after a refusal
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0));
        assert_eq!(device.browser.get("/me").await.code(), "session_locked");
        assert_eq!(device.browser.post("/again").await.status, StatusCode::OK);
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn parallel_refreshes_and_registrations_all_succeed() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = device.sign_in().await;
        let (path, challenge) = parts_of(&offer);
        let registration = device.proof(&challenge, true);
        for answer in parallel(&device, &path, &registration).await {
            assert_eq!(answer.status, StatusCode::OK);
        }
        device.register(&offer).await;
        device.refresh(None).await;
        let challenge = device.challenge.clone().unwrap();
        let proof = device.proof(&challenge, false);
        site.clock.advance(ACCESS);
        for answer in parallel(&device, REFRESH, &proof).await {
            assert_eq!(answer.status, StatusCode::OK);
        }
        assert_eq!(site.row().await.session.generation.get(), 3);
        let told = site.told();
        for once in ["session_bound 42 true", "session_refreshed"] {
            assert_eq!(told.iter().filter(|told| *told == once).count(), 1, "{once}");
        }
    }
}

/// Send this proof many times at once.
async fn parallel(device: &Device, path: &str, proof: &str) -> Vec<Answer> {
    let requests = (0..20).map(|_| {
        let request = device.browser.request("POST", path).header("sec-secure-session-id", &device.id);
        let request = request.header("secure-session-response", proof).body(Body::empty()).unwrap();
        let browser = device.browser.clone();
        tokio::spawn(async move { browser.send_body(request).await })
    });
    let mut answers = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        answers.push(request.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn bound_cookie_expires_although_the_session_is_not_remembered() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let answer = device.browser.post("/brief").await;
        assert!(!answer.set_cookies().iter().any(|cookie| cookie.contains("Max-Age")));
        let answer = device.register(&offer_of(&answer).unwrap()).await;
        assert!(
            answer.set_cookies()[0].contains("; Max-Age=300"),
            "a browser refreshes no cookie that does not expire"
        );
    }
}

#[tokio::test]
async fn no_proof_challenge_or_key_is_logged() {
    log::start(FmtSpan::FULL);
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let mut thief = device.copied();
        device.prove().await;
        device.prove().await;
        thief.challenge.clone_from(&device.challenge);
        thief.sign_and_refresh().await;
        let challenge = device.challenge.clone().unwrap();
        let key = device.jwk()["x"].as_str().unwrap().to_owned();
        assert!(logged().contains("session_bound"));
        for secret in device.proofs.iter().chain(&thief.proofs).chain([&challenge, &key]) {
            assert!(!logged().contains(secret.as_str()));
        }
    }
}

// --- sessions that must be bound

#[tokio::test]
async fn session_that_must_be_bound_ends_with_its_first_access_token() {
    for (mode, path) in [("require", "/login/42"), ("offer", "/required")] {
        for site in sites(&settings().with_device_bound_sessions(mode)).await {
            let mut device = Device::new(&site);
            device.browser.post(path).await;
            site.clock.advance(ACCESS - 1);
            assert_eq!(device.who().await, ADA);
            site.clock.advance(1);
            assert_eq!(device.browser.get("/me").await.code(), REQUIRED);
            let offer = offer_of(&device.browser.post(path).await).unwrap();
            site.clock.advance(ACCESS - 1);
            assert_eq!(device.register(&offer).await.status, StatusCode::OK);
            site.clock.advance(1);
            assert_eq!(device.prove().await.status, StatusCode::OK);
            assert_eq!(device.who().await, ADA);
        }
    }
}

#[tokio::test]
async fn session_that_must_be_bound_stays_bound_when_the_answer_is_lost() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        let offer = offer_of(&device.browser.post("/required").await).unwrap();
        lose_registration(&site, &mut device, &offer).await;
        assert_eq!(device.who().await, ADA);
        site.clock.advance(ACCESS);
        assert_eq!(device.browser.get("/me").await.code(), REQUIRED);
        assert!(site.row().await.is_device_bound());
    }
}

#[tokio::test]
async fn binding_cannot_be_required_where_it_is_off() {
    for site in sites(&settings()).await {
        let answer = Browser::new(&site.app).post("/required").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "device_binding_off"));
        assert!(site.is_empty().await);
    }
}

#[test]
fn settings_that_no_browser_could_keep_are_refused() {
    for (settings, expected) in [
        (settings().with_device_bound_sessions("on"), "\"off\", \"offer\" or \"require\""),
        (offering().with_cookie_partitioned(true), "COOKIE_PARTITIONED"),
        (settings().with_device_bound_sessions("require").with_cookie_secure(false), "COOKIE_SECURE"),
    ] {
        let error = settings.build().unwrap_err().to_string();
        assert!(error.starts_with("DEVICE_BOUND_SESSIONS: use ") && error.contains(expected), "{error}");
    }
}

// --- beside other features

#[tokio::test]
async fn another_authentication_offers_to_bind_but_not_twice_at_once() {
    for site in sites(&offering().with_access_token_lifetime(Duration::from_secs(600))).await {
        let mut device = Device::new(&site);
        device.sign_in().await;
        assert_eq!(offer_of(&device.browser.post("/again").await), None);
        site.clock.advance(360);
        let offer = offer_of(&device.browser.post("/again").await).unwrap();
        assert_eq!(offer_of(&device.browser.post("/again").await), None);
        assert_eq!(device.register(&offer).await.status, StatusCode::OK);
        site.clock.advance(600);
        device.prove().await;
        assert_eq!(offer_of(&device.browser.post("/again").await), None);
    }
}

/// A thief with a copied access token may do what its user may, but gets no later one.
#[tokio::test]
async fn no_chain_of_requests_leads_past_the_last_proof() {
    for site in sites(&offering()).await {
        let mut thief = site.enrolled().await.browser;
        for path in ["/act", "/stop", "/act", "/stop", "/again"] {
            site.clock.advance(ACCESS / 8);
            assert_eq!(thief.post(path).await.status, StatusCode::OK, "{path}");
        }
        site.clock.advance(ACCESS);
        assert_eq!(thief.who().await, "");
        assert_eq!(thief.post("/act").await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn browser_that_acts_as_another_user_refreshes_by_its_key() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        device.browser.post("/act").await;
        assert_eq!(device.who().await, BOB);
        site.clock.advance(ACCESS);
        let mut thief = device.browser.clone();
        assert_eq!(thief.post("/stop").await.code(), "permission_denied", "a refresh token alone gives nothing back");
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, BOB);
        device.browser.post("/stop").await;
        site.clock.advance(ACCESS);
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn key_that_was_bound_while_acting_is_kept() {
    for site in sites(&offering()).await {
        let mut device = Device::new(&site);
        device.sign_in().await;
        let offer = offer_of(&device.browser.post("/act").await).unwrap();
        assert_eq!(device.register(&offer).await.status, StatusCode::OK);
        device.browser.post("/stop").await;
        assert!(site.row().await.is_device_bound());
        site.clock.advance(ACCESS);
        assert_eq!(device.who().await, "");
        assert_eq!(device.prove().await.status, StatusCode::OK);
        assert_eq!(device.who().await, ADA);
    }
}

#[tokio::test]
async fn session_identifier_may_be_in_quotes() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        let named = format!("\"{}\"", device.id);
        let challenge = device.challenge.clone().unwrap();
        let proof = device.proof(&challenge, false);
        assert_eq!(device.ask(REFRESH, Some(&named), Some(&proof)).await.status, StatusCode::OK);
        assert_eq!(site.row().await.session.generation.get(), 3);
    }
}

#[tokio::test]
async fn proof_does_not_refresh_acting_that_is_no_longer_allowed() {
    for site in sites(&offering()).await {
        let mut device = site.enrolled().await;
        device.browser.post("/act").await;
        device.refresh(None).await;
        site.may_act.store(false, Ordering::Relaxed);
        for seconds in [0, ACCESS] {
            site.clock.advance(seconds);
            assert_eq!(json_of(&device.sign_and_refresh().await)["continue"], false);
        }
        assert_eq!(device.who().await, "");
    }
}
