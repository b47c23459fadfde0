//! Key sets as a resource server meets them: late, invalid, changed, or requested because of forged tokens.

#![cfg(feature = "jwks")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::any,
};
use common::{Answer, Browser, dpop};
use http::{StatusCode, header};
use jwtauth_axum::{
    AccessClaims, RemoteKeys, ResourceLayer, Settings, VerifierSource, VerifyingKeySetting,
    jwtauth::{Algorithm, Claims, GeneratedKey, Generation, Sid, TokenKind, UnixTime},
    reqwest::{Client, redirect},
};
use serde_json::json;
use tokio::sync::watch;

fn key() -> GeneratedKey {
    GeneratedKey::new(Algorithm::EdDsa, None).unwrap()
}

/// Return the settings of a site that signs with this key pair.
fn site(key: &GeneratedKey) -> Settings {
    site_by("EdDSA", key)
}

fn site_by(algorithm: &str, key: &GeneratedKey) -> Settings {
    common::settings().with_algorithm(algorithm).with_signing_key(key.expose_jwk()).with_verifying_keys([])
}

/// Create a token of user 42 that expires in this many seconds, or expired that long ago if negative.
fn token_for(settings: &Settings, kind: TokenKind, seconds: i64) -> String {
    let now = UnixTime::from(SystemTime::now());
    let (issued, expires) = if seconds < 0 {
        (now - Duration::from_secs(3600), now - Duration::from_secs(seconds.unsigned_abs()))
    } else {
        (now, now + Duration::from_secs(seconds.unsigned_abs()))
    };
    let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::FIRST, issued, expires);
    settings.build().unwrap().tokens().issue(kind, &claims).unwrap()
}

fn token(settings: &Settings) -> String {
    token_for(settings, TokenKind::Access, 300)
}

fn jwk_set(keys: &[&str]) -> String {
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// The `jwks.json` of a site, over HTTP.
#[derive(Clone)]
struct Published {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<watch::Sender<usize>>,
    is_held: Arc<watch::Sender<bool>>,
}

impl Published {
    fn new(set: impl Into<String>) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, set.into())));
        Self { answer, asked: Arc::new(watch::Sender::new(0)), is_held: Arc::new(watch::Sender::new(false)) }
    }

    fn of(keys: &[&GeneratedKey]) -> Self {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
        Self::new(jwk_set(&keys))
    }

    fn publish(&self, keys: &[&GeneratedKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
        self.answers(StatusCode::OK, jwk_set(&keys));
    }

    fn answers(&self, status: StatusCode, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    /// Delay responses to fetches, or stop delaying them.
    fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    fn fetches(&self) -> usize {
        *self.asked.borrow()
    }

    /// Wait until this many fetches have reached the site.
    async fn reached(&self, count: usize) {
        self.asked.subscribe().wait_for(|asked| *asked >= count).await.unwrap();
    }

    async fn answer(self) -> Response {
        self.asked.send_modify(|asked| *asked += 1);
        self.is_held.subscribe().wait_for(|is_held| !is_held).await.unwrap();
        self.answer.lock().unwrap().clone().into_response()
    }

    async fn serve(&self) -> String {
        let published = self.clone();
        serve(Router::new().route("/jwks.json", any(move || published.clone().answer()))).await
    }

    async fn remote(&self) -> RemoteKeys {
        RemoteKeys::new(Client::new(), &self.serve().await, &Settings::default()).unwrap()
    }
}

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn service(keys: RemoteKeys) -> Browser {
    let who = async |AccessClaims(claims): AccessClaims| claims.subject;
    let settings = Settings::default().with_dpop_origins(["https://own.example"]);
    let layer = ResourceLayer::new(settings.transport().unwrap(), keys);
    Browser::new(&Router::new().route("/me", any(who)).route("/open", any(async || "open")).layer(layer))
}

/// Return the answer to a browser with these access tokens, sent in this order.
async fn ask(service: &Browser, tokens: &[&str]) -> Answer {
    let cookies: Vec<_> = tokens.iter().map(|token| format!("access_token={token}")).collect();
    service.send(service.request("GET", "/me").header(header::COOKIE, cookies.join("; "))).await
}

async fn bearer(service: &Browser, token: &str) -> Answer {
    service.send(service.request("GET", "/me").header(header::AUTHORIZATION, format!("Bearer {token}"))).await
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable"));
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
}

#[track_caller]
fn assert_anonymous(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "not_authenticated"));
}

/// Poll the request until the site has been fetched from this often, then drop it.
async fn given_up(request: impl Future<Output = Answer>, published: &Published, asked: usize) {
    let request = pin!(request);
    tokio::select! {
        biased;
        answer = request => panic!("answered too early: {}", answer.status),
        () = published.reached(asked) => {}
    }
}

mod tokens {
    use super::*;

    #[tokio::test]
    async fn cookie_and_bearer_tokens_are_verified_after_one_fetch() {
        let key = key();
        let published = Published::of(&[&key]);
        let service = service(published.remote().await);
        for _ in 0..3 {
            assert_eq!(ask(&service, &[&token(&site(&key))]).await.body, "42");
            assert_eq!(bearer(&service, &token(&site(&key))).await.body, "42");
        }
        for bad in [token_for(&site(&key), TokenKind::Refresh, 300), "x".to_owned()] {
            let answer = bearer(&service, &bad).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "token_not_valid"));
        }
        assert_anonymous(&service.send(service.request("GET", "/me")).await);
        assert_eq!(published.fetches(), 1);
    }

    #[tokio::test]
    async fn new_key_is_fetched_when_a_token_names_it() {
        let (old, new) = (key(), key());
        let published = Published::of(&[&old]);
        let service = service(published.remote().await.with_pause(Duration::ZERO));
        assert_eq!(ask(&service, &[&token(&site(&old))]).await.body, "42");
        published.publish(&[&new, &old]);
        assert_eq!(ask(&service, &[&token(&site(&new))]).await.body, "42");
        assert_eq!(bearer(&service, &token(&site(&old))).await.body, "42", "the old key is still valid");
        assert_eq!(published.fetches(), 2);
    }

    #[tokio::test]
    async fn bound_token_of_a_new_key_is_accepted_with_its_proof() {
        let (old, new, client) = (key(), key(), dpop::Client::default());
        let published = Published::of(&[&old]);
        let service = service(published.remote().await.with_pause(Duration::ZERO));
        let now = UnixTime::from(SystemTime::now());
        let claims = dpop::claims(now, Some(client.thumbprint()));
        let [old_token, new_token] =
            [&old, &new].map(|key| site(key).build().unwrap().tokens().issue(TokenKind::Access, &claims).unwrap());
        let ask = async |token: &str, url: &str| {
            let proof = client.proof("GET", url, token, now.as_secs(), &json!({}));
            let request = service.request("GET", "/me").header("DPoP", proof);
            service.send(request.header(header::AUTHORIZATION, format!("DPoP {token}"))).await
        };
        let url = "https://own.example/me";
        assert_eq!(ask(&old_token, url).await.body, "42");
        assert_eq!(ask(&old_token, "https://own.example/").await.code(), "invalid_dpop_proof");
        assert_anonymous(&super::ask(&service, &[&old_token]).await);
        assert_eq!(bearer(&service, &old_token).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(published.fetches(), 1, "no key could make these valid");
        published.publish(&[&new, &old]);
        assert_eq!(ask(&new_token, url).await.body, "42");
        assert_eq!(published.fetches(), 2);
    }

    /// A token that no key could make valid causes no fetch and does not wait for one.
    #[tokio::test]
    async fn forged_token_that_no_key_could_make_valid_is_answered_without_a_fetch() {
        let (good, made_up) = (key(), key());
        let published = Published::of(&[&good]);
        let settings = Settings::default().with_issuer("https://a.example").with_audience(["api"]);
        let of_site = |site: Settings| site.with_issuer("https://a.example").with_audience(["api"]);
        let keys = RemoteKeys::new(Client::new(), &published.serve().await, &settings).unwrap();
        let service = service(keys.with_pause(Duration::ZERO));
        let secret = common::settings().with_verifying_keys([VerifyingKeySetting::Key("a".repeat(32).into())]);
        let bad = [
            token_for(&of_site(site(&made_up)), TokenKind::Access, -1),
            token_for(&of_site(site(&made_up)), TokenKind::Refresh, 300),
            token(&of_site(site(&made_up)).with_issuer("https://b.example")),
            token(&of_site(site(&made_up)).with_audience(["other"])),
            token(&site(&made_up)),
            token(&of_site(secret)),
            "made.up.token".to_owned(),
            "x".to_owned(),
            String::new(),
        ];
        published.hold(true);
        for is_known in [false, true] {
            for token in &bad {
                assert_anonymous(&ask(&service, &[token]).await);
                assert_eq!(bearer(&service, token).await.status, StatusCode::UNAUTHORIZED);
            }
            assert_anonymous(&ask(&service, &bad.iter().map(String::as_str).collect::<Vec<_>>()).await);
            assert_eq!(published.fetches(), usize::from(is_known), "{is_known}");
            published.hold(false);
            assert_eq!(ask(&service, &[&token(&of_site(site(&good)))]).await.body, "42");
            published.hold(true);
        }
    }

    #[tokio::test]
    async fn forged_key_id_does_not_make_other_users_wait() {
        let (good, made_up) = (key(), key());
        let published = Published::of(&[&good]);
        let service = service(published.remote().await.with_pause(Duration::ZERO));
        let good = token(&site(&good));
        assert_eq!(ask(&service, &[&good]).await.body, "42");
        published.hold(true);
        let attacker = service.clone();
        let made_up = token(&site(&made_up));
        let waiting = tokio::spawn(async move { ask(&attacker, &[&made_up]).await });
        published.reached(2).await;
        assert_eq!(ask(&service, &[&good]).await.body, "42");
        assert_eq!(bearer(&service, &good).await.body, "42");
        assert!(!waiting.is_finished());
        published.hold(false);
        assert_anonymous(&waiting.await.unwrap());
    }

    #[tokio::test]
    async fn unknown_key_is_not_looked_up_again_during_the_pause() {
        let (good, made_up, new) = (key(), key(), key());
        let published = Published::of(&[&good]);
        let service = service(published.remote().await.with_pause(Duration::from_secs(3600)));
        let [good, made_up, new_token] = [&good, &made_up, &new].map(|key| token(&site(key)));
        assert_anonymous(&ask(&service, &[&made_up]).await);
        published.publish(&[&new]);
        for token in [&made_up, &new_token] {
            let answer = ask(&service, &[token]).await;
            assert_unavailable(&answer);
            let seconds: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((3500..=3600).contains(&seconds), "as long as the pause: {seconds}");
            assert_unavailable(&bearer(&service, token).await);
        }
        assert_eq!(ask(&service, &[&good]).await.body, "42", "other users are served meanwhile");
        assert_eq!(published.fetches(), 1);
    }

    #[tokio::test]
    async fn token_of_a_new_key_is_found_among_others() {
        let (old, new, stranger) = (key(), key(), key());
        let published = Published::of(&[&old]);
        let service = service(published.remote().await.with_pause(Duration::ZERO));
        let expired = token_for(&site(&old), TokenKind::Access, -60);
        assert_anonymous(&ask(&service, &[&expired]).await);
        published.publish(&[&new, &old]);
        let new = token(&site(&new));
        assert_eq!(ask(&service, &[&expired, &new, "x"]).await.body, "42", "the expired token comes first");
        let fetches = published.fetches();
        let unknown = token(&site(&stranger));
        for both in [[unknown.as_str(), new.as_str()], [new.as_str(), unknown.as_str()]] {
            assert_eq!(ask(&service, &both).await.body, "42");
        }
        assert_eq!(published.fetches(), fetches, "one valid token is enough");
    }
}

mod fetches {
    use super::*;

    #[tokio::test]
    async fn disconnected_client_does_not_stop_a_fetch() {
        let key = key();
        let published = Published::of(&[&key]);
        let service = service(published.remote().await);
        let token = token(&site(&key));
        published.hold(true);
        given_up(ask(&service, &[&token]), &published, 1).await;
        let (other, tokens) = (service.clone(), token.clone());
        let waiting = tokio::spawn(async move { ask(&other, &[&tokens]).await });
        published.hold(false);
        assert_eq!(waiting.await.unwrap().body, "42");
        assert_eq!(ask(&service, &[&token]).await.body, "42");
        assert_eq!(published.fetches(), 1, "all requests share the running fetch");
    }

    #[tokio::test]
    async fn disconnected_client_does_not_delay_a_new_key() {
        let (old, new) = (key(), key());
        let published = Published::of(&[&old]);
        let service = service(published.remote().await.with_pause(Duration::ZERO));
        assert_eq!(ask(&service, &[&token(&site(&old))]).await.body, "42");
        published.publish(&[&new]);
        published.hold(true);
        let new = token(&site(&new));
        given_up(ask(&service, &[&new]), &published, 2).await;
        given_up(bearer(&service, &new), &published, 2).await;
        published.hold(false);
        assert_eq!(ask(&service, &[&new]).await.body, "42");
        assert_eq!(published.fetches(), 2);
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_fetch_and_its_failure() {
        let key = key();
        for status in [StatusCode::OK, StatusCode::BAD_GATEWAY] {
            let published = Published::of(&[&key]);
            let set = published.answer.lock().unwrap().1.clone();
            published.answers(status, set);
            published.hold(true);
            let service = service(published.remote().await);
            let token = token(&site(&key));
            let requests: Vec<_> = (0..50)
                .map(|_| {
                    let (service, token) = (service.clone(), token.clone());
                    tokio::spawn(async move { ask(&service, &[&token]).await })
                })
                .collect();
            published.reached(1).await;
            published.hold(false);
            for request in requests {
                let answer = request.await.unwrap();
                if status == StatusCode::OK { assert_eq!(answer.body, "42") } else { assert_unavailable(&answer) }
            }
            assert_eq!(published.fetches(), 1);
        }
    }

    #[tokio::test]
    async fn key_that_cannot_be_looked_up_is_503() {
        let (old, new) = (key(), key());
        let published = Published::of(&[&old]);
        let service = service(published.remote().await.with_pause(Duration::ZERO));
        assert_eq!(ask(&service, &[&token(&site(&old))]).await.body, "42");
        published.answers(StatusCode::BAD_GATEWAY, "");
        for _ in 0..2 {
            assert_unavailable(&ask(&service, &[&token(&site(&new))]).await);
            assert_unavailable(&bearer(&service, &token(&site(&new))).await);
            assert_eq!(ask(&service, &[&token(&site(&old))]).await.body, "42");
        }
        published.publish(&[&new]);
        assert_eq!(ask(&service, &[&token(&site(&new))]).await.body, "42");
    }

    #[tokio::test]
    async fn failed_fetch_is_not_repeated_during_the_pause() {
        let key = key();
        let published = Published::new("no set");
        let service = service(published.remote().await.with_pause(Duration::from_secs(3600)));
        for _ in 0..3 {
            assert_unavailable(&ask(&service, &[&token(&site(&key))]).await);
            assert_unavailable(
                &service
                    .send(
                        service
                            .request("GET", "/open")
                            .header(header::COOKIE, format!("access_token={}", token(&site(&key)))),
                    )
                    .await,
            );
            assert_eq!(service.send(service.request("GET", "/open")).await.body, "open", "without a token");
        }
        assert_eq!(published.fetches(), 1);
    }

    #[tokio::test]
    async fn requests_do_not_wait_for_a_failed_site() {
        let key = key();
        let published = Published::of(&[&key]);
        let service = service(published.remote().await.with_max_age(Duration::ZERO).with_pause(Duration::ZERO));
        let token = token(&site(&key));
        assert_eq!(ask(&service, &[&token]).await.body, "42");
        published.answers(StatusCode::SERVICE_UNAVAILABLE, "");
        assert_eq!(ask(&service, &[&token]).await.body, "42", "waited, then used the old keys");
        published.hold(true);
        for _ in 0..3 {
            assert_eq!(ask(&service, &[&token]).await.body, "42");
        }
        published.reached(3).await;
        published.answers(StatusCode::OK, jwk_set(&[]));
        published.hold(false);
        while ask(&service, &[&token]).await.status == StatusCode::OK {
            tokio::task::yield_now().await;
        }
        assert_anonymous(&ask(&service, &[&token]).await);
    }

    #[tokio::test]
    async fn old_keys_stay_valid_until_max_stale_while_fetches_fail() {
        let key = key();
        let published = Published::of(&[&key]);
        let keys = published.remote().await.with_max_age(Duration::ZERO).with_pause(Duration::ZERO);
        let service = service(keys.with_max_stale(Duration::from_millis(300)));
        let token = token(&site(&key));
        assert_eq!(ask(&service, &[&token]).await.body, "42");
        published.answers(StatusCode::NOT_FOUND, jwk_set(&[]));
        while ask(&service, &[&token]).await.body == "42" {
            tokio::task::yield_now().await;
        }
        assert_unavailable(&ask(&service, &[&token]).await);
        published.publish(&[&key]);
        assert_eq!(ask(&service, &[&token]).await.body, "42");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn fetch_whose_runtime_has_ended_is_repeated() {
        let key = key();
        let published = Published::of(&[&key]);
        let url = published.serve().await;
        let keys = Arc::new(RemoteKeys::new(Client::new(), &url, &Settings::default()).unwrap());
        published.hold(true);
        let (begun, there) = (Arc::clone(&keys), published.clone());
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! { _ = begun.verifier(None) => panic!("held"), () = there.reached(1) => {} }
            });
        })
        .await
        .unwrap();
        published.hold(false);
        assert_eq!(keys.verifier(None).await.unwrap().keys().iter().count(), 1);
    }
}

mod answers {
    use super::*;

    /// Return the answer to a token with a known key after the site has answered like this.
    async fn after(answer: (StatusCode, &str)) -> Answer {
        let key = key();
        let published = Published::of(&[&key]);
        let service = service(published.remote().await.with_max_age(Duration::ZERO).with_pause(Duration::ZERO));
        assert_eq!(ask(&service, &[&token(&site(&key))]).await.body, "42");
        published.answers(answer.0, answer.1);
        ask(&service, &[&token(&site(&key))]).await
    }

    #[tokio::test]
    async fn set_without_the_key_withdraws_it() {
        let other = jwk_set(&[key().public_jwk().unwrap()]);
        let private = jwk_set(&[key().expose_jwk()]);
        for set in [
            "{\"keys\":[]}",
            "\u{feff}{\"keys\":[]}",
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
            "{\"keys\":[{\"kty\":\"AKP\",\"alg\":\"ML-DSA-65\",\"pub\":\"AAAA\"},null,7],\"next\":1}",
            &other,
            &private,
        ] {
            assert_anonymous(&after((StatusCode::OK, set)).await);
        }
    }

    #[tokio::test]
    async fn invalid_response_withdraws_no_key() {
        let empty = "{\"keys\":[]}";
        for (status, body) in [
            (StatusCode::OK, ""),
            (StatusCode::OK, "[]"),
            (StatusCode::OK, "{}"),
            (StatusCode::OK, "{\"keys\":null}"),
            (StatusCode::OK, "<html>Sign in to the proxy</html>"),
            (StatusCode::OK, &"{\"keys\":[]".repeat(10_000)),
            (StatusCode::NO_CONTENT, ""),
            (StatusCode::ACCEPTED, empty),
            (StatusCode::NOT_FOUND, empty),
            (StatusCode::GONE, empty),
            (StatusCode::FORBIDDEN, empty),
            (StatusCode::INTERNAL_SERVER_ERROR, empty),
            (StatusCode::FOUND, empty),
        ] {
            assert_eq!(after((status, body)).await.body, "42", "{status} {body:.20}");
        }
    }

    #[tokio::test]
    async fn token_is_503_without_a_valid_key_set() {
        for set in ["", "{}", "[]", &format!("{{\"keys\":[\"{}\"]}}", "k".repeat(100_000))] {
            let service = service(Published::new(set).remote().await);
            assert_unavailable(&ask(&service, &[&token(&site(&key()))]).await);
        }
    }

    #[tokio::test]
    async fn empty_set_of_a_site_with_a_shared_secret_is_accepted() {
        let site = common::settings();
        let set = site.build().unwrap().tokens().verifier().keys().to_jwk_set();
        assert_eq!(set, "{\"keys\":[]}");
        let service = service(Published::new(set).remote().await);
        assert_anonymous(&ask(&service, &[&token(&site)]).await);
        assert_eq!(bearer(&service, &token(&super::site(&key()))).await.status, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn rsa_key_without_alg_uses_the_algorithm_of_the_settings() {
        let key = GeneratedKey::new(Algorithm::Rs256, None).unwrap();
        let set = jwk_set(&[&key.public_jwk().unwrap().replace(",\"alg\":\"RS256\"", "")]);
        for (algorithm, is_known) in [("RS256", true), ("PS256", false), ("HS256", false)] {
            let url = Published::new(set.clone()).serve().await;
            let settings = Settings::default().with_algorithm(algorithm);
            let service = service(RemoteKeys::new(Client::new(), &url, &settings).unwrap());
            let answer = ask(&service, &[&token(&site_by("RS256", &key))]).await;
            assert_eq!(answer.status == StatusCode::OK, is_known, "{algorithm}: {}", answer.body);
        }
    }

    #[tokio::test]
    async fn one_key_is_found_among_others() {
        let named = |id| GeneratedKey::new(Algorithm::EdDsa, Some(id)).unwrap();
        let (good, one, two, other) = (named("good"), named("1"), named("1"), key());
        let public = |key: &GeneratedKey| key.public_jwk().unwrap().to_owned();
        let many: Vec<_> = std::iter::repeat_with(|| public(&key())).take(40).collect();
        let mut sets = vec![
            vec![public(&one), public(&good), public(&two)],
            vec![public(&good), "{\"kty\":7}".to_owned(), "[]".to_owned(), public(&other)],
            [vec![public(&good)], many.clone()].concat(),
        ];
        sets.push([many, vec![public(&good)]].concat());
        for set in sets {
            let set = jwk_set(&set.iter().map(String::as_str).collect::<Vec<_>>());
            let service = service(Published::new(set).remote().await);
            assert_eq!(ask(&service, &[&token(&site(&good))]).await.body, "42");
        }
        let both = jwk_set(&[&public(&one), &public(&two)]);
        let service = service(Published::new(both).remote().await);
        assert_anonymous(&ask(&service, &[&token(&site(&one))]).await);
    }
}

mod transport {
    use super::*;

    #[tokio::test]
    async fn redirect_is_a_failure_even_if_the_client_follows_it() {
        let key = key();
        let published = Published::of(&[&key]);
        let inner = published.serve().await;
        let none = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        for status in [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
            for to in [inner.clone(), "/set.json".to_owned(), "/jwks.json".to_owned()] {
                let set = published.answer.lock().unwrap().1.clone();
                let location = to.clone();
                let app = Router::new()
                    .route("/jwks.json", any(async move || (status, [(header::LOCATION, location.clone())])))
                    .route("/set.json", any(async move || set));
                let url = serve(app).await;
                for client in [Client::new(), none.clone()] {
                    let keys = RemoteKeys::new(client, &url, &Settings::default()).unwrap();
                    let error = keys.verifier(None).await.unwrap_err();
                    let cause = std::error::Error::source(&error).unwrap().to_string();
                    assert!(cause.contains("the site redirects to another address"), "{to}: {cause}");
                    assert_unavailable(&ask(&service(keys), &[&token(&site(&key))]).await);
                }
            }
        }
    }

    #[tokio::test]
    async fn credentials_in_the_url_are_sent_but_not_shown() {
        let key = key();
        let published = Published::of(&[&key]);
        let url = published.serve().await.replace("http://", "http://me:hunter2@") + "?token=hunter2#x";
        let keys = RemoteKeys::new(Client::new(), &url, &Settings::default()).unwrap();
        assert!(!format!("{keys:?}").contains("hunter2"), "{keys:?}");
        assert_eq!(keys.verifier(None).await.unwrap().keys().iter().count(), 1);
        let refused = RemoteKeys::new(Client::new(), "http://me:hunter2@127.0.0.1:1/?t=hunter2", &Settings::default());
        let error = refused.unwrap().verifier(None).await.unwrap_err();
        assert!(!format!("{error:?} {:?}", std::error::Error::source(&error)).contains("hunter2"), "{error:?}");
    }

    #[test]
    fn plain_http_is_rejected_except_for_loopback_hosts() {
        let made = |url: &str| RemoteKeys::new(Client::new(), url, &Settings::default());
        let insecure = |url: &str| RemoteKeys::insecure_http(Client::new(), url, &Settings::default());
        for url in [
            "https://example.com/jwks.json",
            "http://localhost:8000/jwks.json",
            "http://127.0.0.1/jwks.json",
            "http://127.8.9.1:8000/jwks.json",
            "http://[::1]:8000/jwks.json",
        ] {
            assert!(made(url).is_ok() && insecure(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com/jwks.json",
            "http://localhost.example.com/jwks.json",
            "http://django:8000/jwks.json",
            "http://10.0.0.1/jwks.json",
            "http://127.0.0.1.example.com/",
            "http://localhost@example.com/",
        ] {
            let error = made(url).unwrap_err().to_string();
            assert!(error.starts_with("the key set's URL: use https://"), "{error}");
            assert!(error.contains("RemoteKeys::insecure_http"), "{error}");
            assert!(insecure(url).is_ok(), "{url}");
        }
        for url in ["", "/jwks.json", "example.com/jwks.json", "ftp://localhost/", "file:///jwks.json", "https://"] {
            assert!(made(url).is_err() && insecure(url).is_err(), "{url}");
        }
    }

    #[test]
    fn error_names_the_wrong_setting() {
        let made = |settings: Settings| RemoteKeys::new(Client::new(), "https://example.com/", &settings);
        let error = made(Settings::default().with_algorithm("RS1")).unwrap_err();
        assert!(error.to_string().starts_with("ALGORITHM: "), "{error}");
        let error = made(Settings::default().with_issuer("")).unwrap_err();
        assert!(error.to_string().contains("ISSUER"), "{error}");
    }
}
