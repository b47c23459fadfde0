//! Clients that prove a key with each request (DPoP, RFC 9449), at a service with sessions and at one with public keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::time::{Duration, SystemTime};

use axum::{
    Router,
    body::Body,
    response::AppendHeaders,
    routing::{any, post},
};
use common::{
    Answer, Browser, Clock,
    dpop::{Client, claims, sid},
    layer,
    log::{self, logged, times_logged},
    names, settings,
    stores::{AnyStore, stores},
};
use http::{Request, StatusCode, Version, header, request::Builder};
use jwtauth_axum::{
    AccessClaims, Auth, AuthLayer, Authenticated, FixedKeys, MemoryStore, Record, ResourceLayer, SessionStore,
    Settings,
    jwtauth::{
        Algorithm, DPOP_NONCE_LIFETIME, GeneratedKey, Grant, Lifetimes, RotationPolicy, Session, Thumbprint, TokenKind,
        Tokens, UnixTime,
    },
};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tracing_subscriber::fmt::format::FmtSpan;

const ADA: &str = "42";
const BOB: &str = "43";
const ORIGIN: &str = "https://own.example";

/// A service with sessions on some store, and a client whose session is bound to its key.
struct Site {
    app: Router,
    clock: Clock,
    tokens: Tokens,
    store: AnyStore,
    client: Client,
    token: String,
}

async fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for store in stores().await {
        sites.push(Site::on(store, &own_settings()).await);
    }
    sites
}

fn own_settings() -> Settings {
    settings().with_dpop_origins([ORIGIN])
}

fn started(now: UnixTime) -> Session {
    let lifetimes = Lifetimes::new(Duration::from_secs(300), Duration::from_secs(86_400), None).unwrap();
    RotationPolicy::new(lifetimes, Duration::from_secs(30)).start(now)
}

impl Site {
    async fn new() -> Self {
        Self::with(&own_settings()).await
    }

    async fn with(settings: &Settings) -> Self {
        Self::on(AnyStore::Memory(MemoryStore::default()), settings).await
    }

    async fn on(store: AnyStore, settings: &Settings) -> Self {
        let (clock, client) = (Clock::default(), Client::default());
        let app = app(layer(settings, store.clone(), &clock));
        let tokens = settings.build().unwrap().tokens().clone();
        let site = Self { app, clock, tokens, store, client, token: String::new() };
        site.store(Some(site.client.thumbprint().to_stored())).await;
        Self { token: site.token_for(Some(site.client.thumbprint())), ..site }
    }

    fn time(&self) -> UnixTime {
        UnixTime::from_secs(self.clock.now())
    }

    /// Write the client's session with this key, in place of the earlier one.
    async fn store(&self, key: Option<String>) {
        self.store.end(&[sid().session_id()]).await.unwrap();
        let record = Record::new(sid().session_id(), ADA, started(self.time())).with_device_key(key);
        self.store.insert(record, None, self.time()).await.unwrap();
    }

    fn token_for(&self, key: Option<Thumbprint>) -> String {
        self.tokens.issue(TokenKind::Access, &claims(self.time(), key)).unwrap()
    }

    fn nonce(&self) -> String {
        self.tokens.issue_dpop_nonce(self.time()).unwrap()
    }

    /// Return the proof for this request, with other claims in place of some.
    fn proof(&self, method: &str, path: &str, other: &Value) -> String {
        let mut claims = json!({"nonce": self.nonce()});
        claims.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        self.client.proof(method, &format!("{ORIGIN}{path}"), &self.token, self.clock.now(), &claims)
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_with(method, path, json!({})).await
    }

    async fn ask_with(&self, method: &str, path: &str, other: Value) -> Answer {
        let proof = self.proof(method, path, &other);
        send(&self.app, request(method, path, &format!("DPoP {}", self.token), &[&proof])).await
    }
}

fn app(layer: AuthLayer) -> Router {
    Router::new()
        .route("/me", any(me))
        .route("/maybe", any(async |user: Option<Authenticated>| user.map_or_else(String::new, |it| it.user_id)))
        .route("/claims", any(async |AccessClaims(claims): AccessClaims| claims.subject))
        .route("/cached", any(cached))
        .route("/login", post(async |auth: Auth| auth.login(BOB).await))
        .route("/again", post(async |auth: Auth| auth.reauthenticate(ADA, ["pwd"]).await.map(|grant| keys_of(&grant))))
        .route("/act", post(async |auth: Auth| auth.act_as(BOB).await))
        .route("/stop", post(async |auth: Auth| auth.stop_acting().await))
        .route("/device", post(async |auth: Auth| auth.register_device().await))
        .route("/logout", post(async |auth: Auth| auth.logout().await))
        .fallback(me)
        .layer(layer.with_act_as(async |_| Ok(true)))
}

async fn me(user: Authenticated) -> String {
    user.user_id
}

async fn cached(_: Authenticated) -> AppendHeaders<[(&'static str, &'static str); 2]> {
    AppendHeaders([("cache-control", "public, max-age=60"), ("cdn-cache-control", "max-age=60")])
}

/// Return the keys to which the tokens of a grant are bound.
fn keys_of(grant: &Grant) -> String {
    [grant.access(), grant.refresh()]
        .map(|claims| claims.confirmation.map_or("none".to_owned(), |key| key.to_string()))
        .join(" ")
}

fn request(method: &str, path: &str, authorization: &str, proofs: &[&str]) -> Builder {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "own.example");
    let request = request.header(header::AUTHORIZATION, authorization);
    proofs.iter().fold(request, |request, proof| request.header("DPoP", *proof))
}

async fn send(app: &Router, request: Builder) -> Answer {
    Answer::of(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

fn value<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[track_caller]
fn assert_refused(answer: &Answer, code: &str, what: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, code), "{what}");
    let error = if code == "token_not_valid" { "invalid_token" } else { code };
    let challenge = value(answer, "www-authenticate");
    assert!(challenge.starts_with(&format!("DPoP error=\"{error}\", ")), "{what}: {challenge}");
    assert!(challenge.contains("ES256"), "{what}: {challenge}");
    assert_eq!(answer.headers.contains_key("dpop-nonce"), code == "use_dpop_nonce", "{what}");
    assert_eq!(names(answer), [""; 0], "{what}");
}

// --- a service with sessions

#[tokio::test]
async fn token_with_a_proof_of_its_key_is_accepted_on_every_store() {
    for site in sites().await {
        for (method, body) in [("GET", ADA), ("POST", ADA), ("DELETE", ADA), ("HEAD", "")] {
            for path in ["/me", "/maybe", "/claims"] {
                let answer = site.ask(method, path).await;
                assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, body), "{method} {path}");
                assert_eq!((names(&answer).len(), value(&answer, "vary")), (0, "Authorization, DPoP"));
                assert_eq!((value(&answer, "dpop-nonce"), value(&answer, "cache-control")), ("", ""));
            }
        }
    }
}

#[tokio::test]
async fn bound_token_is_worth_nothing_without_a_proof_of_its_key() {
    let (site, thief) = (Site::new().await, Client::default());
    let (token, nonce) = (&site.token, json!({"nonce": site.nonce()}));
    let proof = site.proof("GET", "/me", &json!({}));
    let stolen = thief.proof("GET", &format!("{ORIGIN}/me"), token, site.clock.now(), &nonce);
    let dpop = format!("DPoP {token}");
    for (what, proofs, code) in [
        ("no proof", &[][..], "invalid_dpop_proof"),
        ("a proof of another key", &[&*stolen], "invalid_dpop_proof"),
        ("two proofs", &[&*proof, &*proof], "invalid_dpop_proof"),
        ("proofs of two keys", &[&*proof, &*stolen], "invalid_dpop_proof"),
        ("an empty proof", &[""], "invalid_dpop_proof"),
        ("no text", &["x"], "invalid_dpop_proof"),
    ] {
        assert_refused(&send(&site.app, request("GET", "/me", &dpop, proofs)).await, code, what);
    }
    for (what, authorization) in [
        ("no token", "DPoP".to_owned()),
        ("another token", "DPoP x".to_owned()),
        ("an unbound token", format!("DPoP {}", site.token_for(None))),
        ("two tokens", format!("DPoP {token},DPoP {token}")),
    ] {
        let answer = send(&site.app, request("GET", "/me", &authorization, &[&proof])).await;
        assert_refused(&answer, "token_not_valid", what);
    }
    for proofs in [&[][..], &[&*proof]] {
        let answer = send(&site.app, request("GET", "/me", &format!("Bearer {token}"), proofs)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_not_valid"));
        assert_eq!(value(&answer, "www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    let mut browser = Browser::new(&site.app);
    browser.jar.insert("access_token".to_owned(), token.clone());
    for request in [browser.request("GET", "/me"), browser.request("GET", "/me").header("DPoP", &proof)] {
        let answer = browser.send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "not_authenticated"));
        assert_eq!(names(&answer), [""; 0], "the cookie is left alone");
    }
    assert_eq!(site.ask("GET", "/me").await.body, ADA, "none of these has ended the session");
}

#[tokio::test]
async fn proof_must_be_for_this_request_and_token_and_fresh() {
    let site = Site::new().await;
    let now = site.clock.now();
    let expired = site.tokens.issue_dpop_nonce(UnixTime::from_secs(now) - DPOP_NONCE_LIFETIME).unwrap();
    for (other, code) in [
        (json!({"htu": "https://own.example/me?a=b#c"}), ""),
        (json!({"htu": "https://OWN.example:443/me"}), ""),
        (json!({"iat": now - 300}), ""),
        (json!({"htm": "POST"}), "invalid_dpop_proof"),
        (json!({"htm": "get"}), "invalid_dpop_proof"),
        (json!({"htu": "https://own.example/maybe"}), "invalid_dpop_proof"),
        (json!({"htu": "https://own.example/me/"}), "invalid_dpop_proof"),
        (json!({"htu": "https://own.example/ME"}), "invalid_dpop_proof"),
        (json!({"htu": "http://own.example/me"}), "invalid_dpop_proof"),
        (json!({"htu": "https://other.example/me"}), "invalid_dpop_proof"),
        (json!({"htu": "https://own.example:8443/me"}), "invalid_dpop_proof"),
        (json!({"htu": "/me"}), "invalid_dpop_proof"),
        (json!({"ath": null}), "invalid_dpop_proof"),
        (json!({"ath": "x"}), "invalid_dpop_proof"),
        (json!({"iat": now - 301}), "invalid_dpop_proof"),
        (json!({"iat": now + 301}), "invalid_dpop_proof"),
        (json!({"jti": null}), "invalid_dpop_proof"),
        (json!({"nonce": null}), "use_dpop_nonce"),
        (json!({"nonce": "x"}), "use_dpop_nonce"),
        (json!({"nonce": expired}), "use_dpop_nonce"),
        (json!({"nonce": site.token}), "use_dpop_nonce"),
    ] {
        let answer = site.ask_with("GET", "/me", other.clone()).await;
        if code.is_empty() {
            assert_eq!(answer.body, ADA, "{other}");
        } else {
            assert_refused(&answer, code, &other.to_string());
        }
    }
}

#[tokio::test]
async fn client_without_a_nonce_is_given_one_and_tries_again() {
    let site = Site::new().await;
    let refused = site.ask_with("POST", "/me", json!({"nonce": null})).await;
    assert_refused(&refused, "use_dpop_nonce", "the first request");
    assert_eq!(value(&refused, "cache-control"), "no-store, private");
    let nonce = value(&refused, "dpop-nonce");
    let answer = site.ask_with("POST", "/me", json!({"nonce": nonce})).await;
    assert_eq!((answer.body.as_str(), value(&answer, "dpop-nonce")), (ADA, ""));
    site.clock.advance(299);
    assert_eq!(site.ask_with("GET", "/me", json!({"nonce": nonce})).await.body, ADA, "the same for each request");
}

#[tokio::test]
async fn nonce_is_renewed_on_a_response_that_no_cache_may_store() {
    let site = Site::new().await;
    let nonce = site.nonce();
    site.clock.advance(149);
    let answer = site.ask_with("GET", "/cached", json!({"nonce": nonce})).await;
    assert_eq!((value(&answer, "dpop-nonce"), value(&answer, "cache-control")), ("", "public, max-age=60"));
    site.clock.advance(1);
    let answer = site.ask_with("GET", "/cached", json!({"nonce": nonce})).await;
    assert_eq!((answer.status, value(&answer, "cache-control")), (StatusCode::OK, "no-store, private, max-age=60"));
    assert_eq!(value(&answer, "cdn-cache-control"), "");
    let renewed = value(&answer, "dpop-nonce");
    let head = site.ask_with("HEAD", "/me", json!({"nonce": nonce})).await;
    assert_eq!((head.status, value(&head, "dpop-nonce").is_empty()), (StatusCode::OK, false));
    // The access token has 300 s from the start, too.
    site.clock.advance(149);
    let answer = site.ask_with("GET", "/me", json!({"nonce": renewed})).await;
    assert_eq!((answer.body.as_str(), value(&answer, "dpop-nonce")), (ADA, ""));
}

#[tokio::test]
async fn refusal_of_a_head_request_has_no_body() {
    let site = Site::new().await;
    for other in [json!({"nonce": null}), json!({"htm": "GET"})] {
        let answer = site.ask_with("HEAD", "/me", other.clone()).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::UNAUTHORIZED, ""), "{other}");
        assert!(value(&answer, "www-authenticate").starts_with("DPoP "), "{other}");
    }
}

#[tokio::test]
async fn session_that_has_ended_or_has_another_key_is_refused_by_the_challenge_of_its_scheme() {
    for site in sites().await {
        assert_eq!(site.ask("GET", "/me").await.body, ADA);
        for key in [None, Some(String::new()), Some(Client::default().thumbprint().to_stored()), Some("dbsc:{}".into())]
        {
            site.store(key.clone()).await;
            assert_refused(&site.ask("GET", "/maybe").await, "token_not_valid", &format!("{key:?}"));
        }
        site.store(Some(site.client.thumbprint().to_stored())).await;
        assert_eq!(site.ask("GET", "/me").await.body, ADA);
        assert_eq!(site.ask("POST", "/logout").await.status, StatusCode::OK);
        let answer = site.ask("GET", "/any").await;
        assert_refused(&answer, "token_not_valid", "signed out");
        assert_eq!(value(&answer, "vary"), "Authorization, DPoP");
    }
}

#[tokio::test]
async fn expired_token_is_refused() {
    let site = Site::new().await;
    site.clock.advance(300);
    assert_refused(&site.ask("GET", "/me").await, "token_not_valid", "expired");
}

#[tokio::test]
async fn proof_is_checked_also_while_the_session_is_not() {
    let site = Site::with(&own_settings().with_session_check_interval(Duration::from_secs(60))).await;
    assert_eq!(site.ask("GET", "/me").await.body, ADA);
    let dpop = format!("DPoP {}", site.token);
    assert_refused(&send(&site.app, request("GET", "/me", &dpop, &[])).await, "invalid_dpop_proof", "no proof");
    assert_refused(&site.ask_with("GET", "/me", json!({"nonce": null})).await, "use_dpop_nonce", "no nonce");
}

#[tokio::test]
async fn refresh_token_of_a_client_is_worth_nothing_as_a_cookie() {
    let site = Site::new().await;
    let refresh = site.tokens.issue(TokenKind::Refresh, &claims(site.time(), None)).unwrap();
    let mut browser = Browser::new(&site.app);
    browser.jar.insert("refresh_token".to_owned(), refresh);
    let proof = site.proof("GET", "/me", &json!({}));
    for request in [browser.request("GET", "/me"), browser.request("GET", "/me").header("DPoP", &proof)] {
        let answer = browser.send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "device_proof_required"));
        assert_eq!(names(&answer), [""; 0]);
    }
    assert_eq!(site.ask("GET", "/me").await.body, ADA, "the session goes on");
}

#[tokio::test]
async fn cookies_beside_the_token_are_not_read() {
    let site = Site::new().await;
    let mut browser = Browser::new(&site.app);
    browser.post("/login").await;
    let proof = site.proof("POST", "/maybe", &json!({}));
    let ask = |proof: Option<&str>| {
        let request = browser.request("POST", "/maybe").header(header::AUTHORIZATION, format!("DPoP {}", site.token));
        browser.send(proof.into_iter().fold(request, |request, proof| request.header("DPoP", proof)))
    };
    assert_eq!(ask(Some(&proof)).await.body, ADA);
    assert_refused(&ask(None).await, "invalid_dpop_proof", "the cookies do not help");
    assert_eq!(browser.get("/maybe").await.body, BOB);
}

#[tokio::test]
async fn neither_scheme_is_read_if_bearer_tokens_are_off() {
    let site = Site::with(&own_settings().with_bearer_tokens(false)).await;
    let answer = site.ask("GET", "/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "not_authenticated"));
    assert_eq!(site.ask_with("GET", "/maybe", json!({"nonce": null})).await.body, "");
}

// --- the URL of a request

#[tokio::test]
async fn escapes_in_paths_are_compared_decoded() {
    let site = Site::new().await;
    for (path, htu, is_same) in [
        ("/a%20b/%C3%A4", "/a%20b/%C3%A4", true),
        ("/a%20b/%c3%a4", "/a%20b/ä", true),
        ("/a%20b/%C3%A4?q=%20", "/a%20b/%C3%A4", true),
        ("/%6De", "/me", true),
        ("/me", "/%6d%65", true),
        ("/me", "/me%20", false),
        ("/me", "/%256De", false),
        ("/a%20b/%C3%A4", "/a+b/%C3%A4", false),
    ] {
        let answer = site.ask_with("GET", path, json!({"htu": format!("{ORIGIN}{htu}")})).await;
        if is_same {
            assert_eq!(answer.body, ADA, "{path} {htu}");
        } else {
            assert_refused(&answer, "invalid_dpop_proof", &format!("{path} {htu}"));
        }
    }
}

#[tokio::test]
async fn request_of_http_2_names_its_host_in_the_uri() {
    let site = Site::with(&settings().with_dpop_origins([ORIGIN, "https://own.example:8443"])).await;
    for (uri, htu, is_same) in [
        ("https://own.example/me", "https://own.example/me", true),
        ("http://own.example/me", "https://own.example/me", true), // from a proxy
        ("https://own.example:443/me?a=b", "https://own.example/me", true),
        ("https://own.example:8443/me", "https://own.example:8443/me", true),
        ("https://own.example:8443/me", "https://own.example/me", false),
        ("https://other.example/me", "https://own.example/me", false),
        ("/me", "https://own.example/me", false),
    ] {
        let proof = site.proof("GET", "/me", &json!({"htu": htu}));
        let request = Request::builder().version(Version::HTTP_2).uri(uri).header("DPoP", proof);
        let answer = send(&site.app, request.header(header::AUTHORIZATION, format!("DPoP {}", site.token))).await;
        if is_same {
            assert_eq!(answer.body, ADA, "{uri}");
        } else {
            assert_refused(&answer, "invalid_dpop_proof", uri);
        }
    }
}

/// Return whether a service with these origins accepts a proof for a URL of a request with this host.
async fn accepts(origins: &[&str], host: &str, htu: &str) -> bool {
    let site = Site::with(&settings().with_dpop_origins(origins.iter().copied())).await;
    let proof = site.proof("GET", "/me", &json!({"htu": htu}));
    let request = Request::builder().uri("/me").header(header::HOST, host).header("DPoP", proof);
    let answer = send(&site.app, request.header(header::AUTHORIZATION, format!("DPoP {}", site.token))).await;
    if answer.status == StatusCode::UNAUTHORIZED {
        assert_refused(&answer, "invalid_dpop_proof", htu);
    }
    answer.status == StatusCode::OK
}

#[tokio::test]
async fn proof_for_another_server_is_refused_whatever_host_it_comes_with() {
    for origins in [&[][..], &[ORIGIN], &[ORIGIN, "https://www.own.example"]] {
        assert!(!accepts(origins, "evil.example", "https://evil.example/me").await, "{origins:?}");
    }
    assert!(!accepts(&[], "own.example", "https://own.example/me").await, "no origin is known");
}

#[tokio::test]
async fn scheme_is_that_of_the_origin_whatever_the_cookies_need() {
    for (origin, other) in [(ORIGIN, "http://own.example"), ("http://own.example", ORIGIN)] {
        assert!(accepts(&[origin], "own.example", &format!("{origin}/me")).await, "{origin}");
        assert!(!accepts(&[origin], "own.example", &format!("{other}/me")).await, "{origin}");
        assert!(!accepts(&[origin], "10.0.0.1:9000", &format!("{origin}/me")).await, "a proxy must keep the host");
    }
    assert!(accepts(&[ORIGIN], "OWN.example:443", "https://own.example/me").await);
}

#[tokio::test]
async fn host_tells_which_of_several_origins_a_proof_must_be_for() {
    let origins = [ORIGIN, "http://own.example:9000"];
    assert!(accepts(&origins, "own.example", "https://own.example/me").await);
    assert!(accepts(&origins, "own.example:9000", "http://own.example:9000/me").await);
    assert!(!accepts(&origins, "own.example:9000", "https://own.example/me").await);
    assert!(!accepts(&origins, "own.example", "http://own.example:9000/me").await);
    assert!(!accepts(&origins, "10.0.0.1:9000", "https://own.example/me").await);
}

// --- what a handler can do

#[tokio::test]
async fn login_in_a_request_of_a_client_sets_cookies_of_an_unbound_session() {
    for site in sites().await {
        let answer = site.ask("POST", "/login").await;
        assert_eq!((answer.status, names(&answer)), (StatusCode::OK, vec!["access_token", "refresh_token"]));
        assert_eq!(value(&answer, "cache-control"), "no-store, private");
        let rows = site.store.rows(BOB).await;
        assert_eq!(rows.iter().map(|row| row.device_key.as_deref()).collect::<Vec<_>>(), [None]);
        let mut browser = Browser::new(&site.app);
        browser.keep(&answer);
        assert_eq!(browser.get("/me").await.body, BOB);
        assert_refused(&site.ask("GET", "/me").await, "token_not_valid", "the login has replaced the session");
    }
}

#[tokio::test]
async fn client_that_authenticates_again_gets_tokens_of_its_key_and_no_cookies() {
    for site in sites().await {
        site.clock.advance(60);
        let answer = site.ask("POST", "/again").await;
        assert_eq!((answer.body.as_str(), names(&answer).len()), (&*format!("{} none", site.client.thumbprint()), 0));
        assert_eq!(site.store.rows(ADA).await[0].device_key, Some(site.client.thumbprint().to_stored()));
        assert_eq!(site.ask("GET", "/me").await.body, ADA);
    }
}

#[tokio::test]
async fn client_can_neither_act_as_another_user_nor_register_a_key_of_a_browser() {
    let site = Site::with(&own_settings().with_device_bound_sessions("offer")).await;
    for (path, status, code) in [
        ("/act", StatusCode::FORBIDDEN, "permission_denied"),
        ("/stop", StatusCode::FORBIDDEN, "permission_denied"),
        ("/device", StatusCode::UNAUTHORIZED, "not_authenticated"),
    ] {
        let answer = site.ask("POST", path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    assert_eq!(site.ask("GET", "/me").await.body, ADA);
}

#[tokio::test]
async fn logout_ends_the_session_of_a_client() {
    for site in sites().await {
        let answer = site.ask("POST", "/logout").await;
        assert_eq!((answer.status, names(&answer).len()), (StatusCode::OK, 0));
        assert_eq!(site.store.rows(ADA).await, []);
    }
}

// --- a service with public keys

/// A service with these layers of a site's public keys, and a client with a token of that site. The time is the real one.
struct Resource {
    app: Router,
    client: Client,
    token: String,
}

fn signing() -> Settings {
    let key = GeneratedKey::new(Algorithm::EdDsa, None).unwrap();
    own_settings().with_algorithm("EdDSA").with_signing_key(key.expose_jwk()).with_verifying_keys([])
}

fn resource_layer(settings: &Settings) -> ResourceLayer<FixedKeys> {
    ResourceLayer::new(settings.transport().unwrap(), FixedKeys::of(settings).unwrap())
}

impl Resource {
    fn new(app: impl Fn(ResourceLayer<FixedKeys>, Router) -> Router) -> Self {
        let (settings, client) = (signing(), Client::default());
        let who = async |claims: Option<AccessClaims>| claims.map_or("anonymous".into(), |AccessClaims(it)| it.subject);
        let app = app(resource_layer(&settings), Router::new().route("/me", any(who)).route("/", any(who)));
        let claims = claims(SystemTime::now().into(), Some(client.thumbprint()));
        let token = settings.build().unwrap().tokens().issue(TokenKind::Access, &claims).unwrap();
        Self { app, client, token }
    }

    fn plain() -> Self {
        Self::new(|layer, router| router.layer(layer))
    }

    /// Return a proof for `GET` of this URL, made that many seconds ago.
    fn proof(&self, url: &str, age: i64) -> String {
        let now = UnixTime::from(SystemTime::now()).as_secs();
        self.client.proof("GET", url, &self.token, now.checked_add_signed(-age).unwrap(), &json!({}))
    }

    /// Ask for this URI with a proof for this URL, or without any.
    async fn ask(&self, uri: &str, url: &str) -> Answer {
        let proof = self.proof(url, 0);
        send(&self.app, request("GET", uri, &format!("DPoP {}", self.token), &[&proof])).await
    }
}

#[tokio::test]
async fn service_with_public_keys_accepts_a_proof_without_a_nonce_for_a_minute() {
    let service = Resource::plain();
    let dpop = format!("DPoP {}", service.token);
    let url = "https://own.example/me";
    for (age, is_fresh) in [(0, true), (50, true), (-50, true), (70, false), (-70, false)] {
        let proof = service.proof(url, age);
        for _ in 0..2 {
            let answer = send(&service.app, request("GET", "/me", &dpop, &[&proof])).await;
            assert!(!answer.headers.contains_key("dpop-nonce"), "it can sign none");
            if is_fresh {
                assert_eq!((answer.body.as_str(), value(&answer, "vary")), (ADA, "Authorization, DPoP"), "{age}");
            } else {
                assert_refused(&answer, "invalid_dpop_proof", &age.to_string());
            }
        }
    }
}

#[tokio::test]
async fn service_with_public_keys_refuses_bound_tokens_without_a_proof_of_their_key() {
    let (service, thief) = (Resource::plain(), Client::default());
    let (token, url) = (&service.token, "https://own.example/me");
    let (dpop, proof) = (format!("DPoP {token}"), service.proof(url, 0));
    let stolen = thief.proof("GET", url, token, UnixTime::from(SystemTime::now()).as_secs(), &json!({}));
    for (what, authorization, proofs, code) in [
        ("no proof", &*dpop, &[][..], "invalid_dpop_proof"),
        ("of another key", &dpop, &[&*stolen], "invalid_dpop_proof"),
        ("two proofs", &dpop, &[&*proof, &*proof], "invalid_dpop_proof"),
        ("another URL", &dpop, &[&*service.proof("https://own.example/", 0)], "invalid_dpop_proof"),
        ("another token", "DPoP x", &[&*proof], "token_not_valid"),
    ] {
        let answer = send(&service.app, request("GET", "/me", authorization, proofs)).await;
        assert_refused(&answer, code, what);
        assert_eq!(value(&answer, "vary"), "Authorization, DPoP", "{what}");
    }
    let answer = send(&service.app, request("GET", "/me", &format!("Bearer {token}"), &[&proof])).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_not_valid"));
    assert_eq!(value(&answer, "www-authenticate"), "Bearer error=\"invalid_token\"");
    let mut browser = Browser::new(&service.app);
    browser.jar.insert("access_token".to_owned(), token.clone());
    assert_eq!(browser.send(browser.request("GET", "/me").header("DPoP", &proof)).await.body, "anonymous");
}

#[tokio::test]
async fn layer_in_a_nest_or_behind_a_proxy_is_told_what_it_does_not_see_of_the_path() {
    let nested = |layer, router: Router| Router::new().nest("/api", router.layer(layer));
    let url = "https://own.example/api/me";
    let outside = Resource::new(|layer, router| Router::new().nest("/api", router).layer(layer));
    assert_eq!(outside.ask("/api/me", url).await.body, ADA);
    assert_refused(&Resource::new(nested).ask("/api/me", url).await, "invalid_dpop_proof", "it does not see /api");
    for prefix in ["/api", "/api/", "api", "/%61pi"] {
        let service = Resource::new(|layer, router| nested(layer.with_dpop_prefix(prefix), router));
        assert_eq!(service.ask("/api/me", url).await.body, ADA, "{prefix}");
        assert_refused(&service.ask("/api/me", "https://own.example/me").await, "invalid_dpop_proof", prefix);
    }
    for (prefix, uri, path) in [
        ("/reports", "/", "/reports/"),
        ("/a/b", "/me?c=d", "/a/b/me"),
        ("/a%20b/ä", "/me", "/a%20b/%C3%A4/me"),
        ("/", "/me", "/me"),
        ("", "/me", "/me"),
    ] {
        let service = Resource::new(|layer, router| router.layer(layer.with_dpop_prefix(prefix)));
        assert_eq!(service.ask(uri, &format!("{ORIGIN}{path}")).await.body, ADA, "{prefix}");
    }
}

#[tokio::test]
async fn origin_and_prefix_of_proofs_do_not_change_what_pages_may_do() {
    let mut site = Site::with(&settings().with_dpop_origins(["http://own.example"])).await;
    let settings = settings().with_dpop_origins(["http://own.example"]);
    site.app = app(layer(&settings, site.store.clone(), &site.clock).with_dpop_prefix("/rust"));
    let htu = json!({"htu": "http://own.example/rust/me"});
    assert_eq!(site.ask_with("GET", "/me", htu).await.body, ADA);
    let mut browser = Browser::new(&site.app);
    browser.post("/login").await;
    for (origin, status) in [(ORIGIN, StatusCode::OK), ("http://own.example", StatusCode::FORBIDDEN)] {
        for authorization in ["", "Basic DPoP"] {
            let request = browser.request("POST", "/me").header(header::ORIGIN, origin);
            let answer = browser.send(request.header(header::AUTHORIZATION, authorization)).await;
            assert_eq!(answer.status, status, "{origin} {authorization}");
        }
    }
}

#[tokio::test]
async fn one_proof_is_for_every_layer_of_a_service() {
    let (settings, client, store) = (signing(), Client::default(), MemoryStore::default());
    let now = UnixTime::from(SystemTime::now());
    let record = Record::new(sid().session_id(), ADA, started(now)).with_device_key(client.thumbprint().to_stored());
    store.insert(record, None, now).await.unwrap();
    let auth = AuthLayer::new(settings.build().unwrap(), store);
    let both = |user: Authenticated, AccessClaims(claims): AccessClaims| async move { user.user_id + &claims.subject };
    let app: Router = Router::new().route("/me", any(both)).layer(resource_layer(&settings)).layer(auth);
    let tokens = settings.build().unwrap().tokens().clone();
    let token = tokens.issue(TokenKind::Access, &claims(now, Some(client.thumbprint()))).unwrap();
    let nonce = json!({"nonce": tokens.issue_dpop_nonce(now).unwrap()});
    let proof = client.proof("GET", &format!("{ORIGIN}/me"), &token, now.as_secs(), &nonce);
    let answer = send(&app, request("GET", "/me", &format!("DPoP {token}"), &[&proof])).await;
    assert_eq!(answer.body, format!("{ADA}{ADA}"));
}

#[tokio::test]
async fn proof_that_is_not_valid_is_logged_and_no_secret_is() {
    let (site, service) = (Site::new().await, Resource::plain());
    log::start(FmtSpan::FULL);
    site.ask("GET", "/me").await;
    let refused = site.ask_with("GET", "/me", json!({"nonce": null})).await;
    assert_refused(&refused, "use_dpop_nonce", "the first request of any client");
    assert_refused(&site.ask_with("GET", "/me", json!({"ath": "x"})).await, "invalid_dpop_proof", "with sessions");
    assert_eq!(times_logged("event=\"invalid_dpop_proof\" path=\"/me\""), 1);
    assert_refused(&service.ask("/me", "https://evil.example/me").await, "invalid_dpop_proof", "with public keys");
    assert_eq!(times_logged("event=\"invalid_dpop_proof\" path=\"/me\""), 2);
    for secret in [&site.token, &service.token, &*site.nonce(), value(&refused, "dpop-nonce"), "dpop+jwt", "eyJ"] {
        assert!(!logged().contains(secret));
    }
}
