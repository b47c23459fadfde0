//! The layer and its extractors, as seen by browsers and other clients.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use axum::body::Body;
use common::{Answer, Browser, Chunked, Clock, NOW, app, layer, names, settings};
use http::{StatusCode, Version, header};
use jwtauth_axum::{
    MemoryStore, SessionStore, Settings,
    jwtauth::{CustomClaims, Generation, Session, UnixTime},
};

fn service(settings: &Settings) -> (axum::Router, MemoryStore, Clock) {
    let (store, clock) = (MemoryStore::default(), Clock::default());
    (app(layer(settings, store.clone(), &clock)), store, clock)
}

async fn row(store: &MemoryStore) -> Session {
    store.of_user("42", UnixTime::EPOCH).await.unwrap()[0].session
}

// --- sign in, sign out

#[tokio::test]
async fn user_is_signed_in_from_login_to_logout() {
    let (app, ..) = service(&settings());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.who().await, "anonymous");
    let answer = browser.post("/login/42").await;
    assert_eq!((answer.status, names(&answer)), (StatusCode::OK, vec!["access_token", "refresh_token"]));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store, private");
    assert_eq!(answer.headers[header::VARY], "Cookie");
    assert_eq!(browser.get("/me").await.body, "42");
    let copy = browser.clone();
    let answer = browser.post("/logout").await;
    assert_eq!((answer.status, browser.jar.len()), (StatusCode::OK, 0));
    assert_eq!(
        copy.send(copy.request("GET", "/me")).await.status,
        StatusCode::FORBIDDEN,
        "a copy of the session ends too"
    );
}

#[tokio::test]
async fn cookies_have_the_same_attributes_as_in_django() {
    let (app, ..) = service(&settings());
    let mut browser = Browser::new(&app);
    let answer = browser.post("/login/42").await;
    for (cookie, max_age) in answer.set_cookies().into_iter().zip([300, 86_400]) {
        let attributes = cookie.split_once("; ").unwrap().1;
        assert_eq!(attributes, format!("HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age={max_age}"));
    }
    let answer = browser.post("/logout").await;
    let gone = "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(answer.set_cookies(), [format!("access_token=; {gone}"), format!("refresh_token=; {gone}")]);
}

#[tokio::test]
async fn cookies_are_named_by_the_settings() {
    let settings = settings()
        .with_access_token_cookie_name("__Host-a")
        .with_refresh_token_cookie_name("__Host-r")
        .with_cookie_samesite("Lax")
        .with_cookie_partitioned(true);
    let (app, ..) = service(&settings);
    let mut browser = Browser::signed_in(&app, "42").await;
    assert_eq!(browser.jar.keys().collect::<Vec<_>>(), ["__Host-a", "__Host-r"]);
    assert_eq!(browser.who().await, "42");
    let answer = browser.post("/login/42").await;
    assert!(
        answer.set_cookies().iter().all(|cookie| cookie.contains("SameSite=Lax") && cookie.contains("Partitioned"))
    );
}

#[tokio::test]
async fn login_may_end_with_the_browser_and_have_its_own_lifetime() {
    let (app, _, clock) = service(&settings());
    let mut browser = Browser::new(&app);
    let answer = browser.post("/brief/42").await;
    assert!(answer.set_cookies().iter().all(|cookie| !cookie.contains("Max-Age")), "{:?}", answer.set_cookies());
    clock.advance(3599);
    assert_eq!(browser.who().await, "42");
    clock.advance(1);
    assert_eq!(browser.who().await, "anonymous", "the session expires, in use or not");
}

#[tokio::test]
async fn login_ends_the_session_of_its_cookies() {
    let (app, ..) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let mut old = browser.clone();
    browser.post("/login/43").await;
    assert_eq!((browser.who().await, old.who().await), ("43".to_owned(), "anonymous".to_owned()));
}

#[tokio::test]
async fn optional_user_is_none_only_for_anonymous_requests() {
    let (app, ..) = service(&settings());
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/optional").await.body, "anonymous");
    browser.post("/login/42").await;
    assert_eq!(browser.get("/optional").await.body, "42");
    let bad = browser.request("GET", "/optional").header(header::AUTHORIZATION, "Bearer x");
    assert_eq!(browser.send(bad).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn anonymous_request_is_rejected_as_in_django() {
    let (app, ..) = service(&settings());
    for path in ["/me", "/claims"] {
        let answer = Browser::new(&app).get(path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        let body = r#"{"code":"not_authenticated","detail":"Authentication credentials were not provided."}"#;
        assert_eq!(answer.body, body);
    }
}

/// The response reaches the browser later than the access token's lifetime minus the grace after its request.
#[tokio::test]
async fn late_response_signs_out_only_after_the_access_token_lifetime_minus_grace() {
    for (late, who) in [(300 - 30, "42"), (300 + 29, "anonymous")] {
        let (app, _, clock) = service(&settings());
        let mut browser = Browser::signed_in(&app, "42").await;
        clock.advance(301);
        let before = browser.clone();
        browser.who().await; // refreshes
        browser.who().await; // sends the new tokens
        clock.advance(25);
        let slow = before.send(before.request("GET", "/maybe")).await; // sent 25 seconds ago
        let mut left = late - 25;
        if left >= 276 {
            clock.advance(276);
            left -= 276;
            browser.jar.remove("access_token"); // it has expired
            browser.who().await;
            browser.who().await;
        }
        clock.advance(left);
        browser.keep(&slow);
        clock.advance(70);
        browser.jar.remove("access_token");
        assert_eq!(browser.who().await, who, "{late} s late");
    }
}

// --- rotation

#[tokio::test]
async fn expired_access_token_is_refreshed_in_the_same_request() {
    let (app, _, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let before = browser.jar.clone();
    clock.advance(301);
    let answer = browser.get("/me").await;
    assert_eq!((answer.body.as_str(), names(&answer)), ("42", vec!["access_token", "refresh_token"]));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store, private");
    assert!(before.iter().all(|(name, value)| browser.jar[name] != *value), "both tokens are new");
    let again = browser.get("/me").await;
    assert_eq!((again.body.as_str(), names(&again).len()), ("42", 0), "and valid for the next request");
}

#[tokio::test]
async fn new_issuer_or_audience_with_fallbacks_signs_no_user_out() {
    for new in [settings().with_issuer("new"), settings().with_audience(["new"])] {
        let (before, store, clock) = service(&settings());
        let mut browser = Browser::signed_in(&before, "ada").await;
        browser.app = app(layer(&new, store.clone(), &clock));
        assert_eq!(browser.who().await, "anonymous");
        let fallbacks = new.clone().with_issuer_fallbacks([None]).with_audience_fallbacks([None]);
        browser.app = app(layer(&fallbacks, store.clone(), &clock));
        assert_eq!(browser.who().await, "ada");
        clock.advance(301);
        assert_eq!(browser.who().await, "ada");
        browser.app = app(layer(&new, store, &clock));
        assert_eq!(browser.who().await, "ada", "the refresh has issued tokens of the new name");
    }
}

#[tokio::test]
async fn parallel_requests_get_the_same_tokens() {
    let (app, _, clock) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    let one = browser.send(browser.request("GET", "/me")).await;
    let other = browser.send(browser.request("GET", "/me")).await;
    assert_eq!((one.status, one.set_cookies()), (StatusCode::OK, other.set_cookies()));
}

#[tokio::test]
async fn lost_access_cookie_is_replaced_without_a_rotation() {
    let (app, ..) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    browser.jar.remove("access_token");
    let answer = browser.get("/me").await;
    assert_eq!((answer.body.as_str(), names(&answer)), ("42", vec!["access_token"]));
}

#[tokio::test]
async fn copied_refresh_token_ends_only_its_session() {
    let (app, _, clock) = service(&settings());
    let mut owner = Browser::signed_in(&app, "42").await;
    let mut elsewhere = Browser::signed_in(&app, "42").await;
    let mut thief = owner.clone();
    clock.advance(301);
    assert_eq!(owner.who().await, "42");
    assert_eq!(owner.who().await, "42", "this acknowledges the new generation");
    clock.advance(31);
    let answer = thief.get("/me").await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!((owner.who().await, elsewhere.who().await), ("anonymous".to_owned(), "42".to_owned()));
}

#[tokio::test]
async fn copied_refresh_token_ends_all_sessions_if_configured() {
    let (app, _, clock) = service(&settings().with_reuse_ends_all_sessions(true));
    let mut owner = Browser::signed_in(&app, "42").await;
    let (mut elsewhere, mut other) = (Browser::signed_in(&app, "42").await, Browser::signed_in(&app, "7").await);
    let mut thief = owner.clone();
    clock.advance(301);
    owner.who().await;
    owner.who().await;
    clock.advance(31);
    thief.who().await;
    assert_eq!((elsewhere.who().await, other.who().await), ("anonymous".to_owned(), "7".to_owned()));
}

#[tokio::test]
async fn upload_is_admitted_and_changes_no_cookie() {
    let (app, _, clock) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    let post = || browser.request("POST", "/me");
    let announced = post().header(header::CONTENT_LENGTH, "100000");
    let chunked = post().header(header::TRANSFER_ENCODING, "chunked");
    for request in [announced, chunked, post().version(Version::HTTP_2), post().version(Version::HTTP_3)] {
        let answer = browser.send(request).await;
        assert_eq!((answer.body.as_str(), names(&answer).len()), ("42", 0));
    }
}

#[tokio::test]
async fn upload_is_recognised_by_its_head_alone() {
    let (app, ..) = service(&settings());
    let chunked = || Body::new(Chunked(Some("wrapped by a middleware".into())));
    for (method, version, headers) in [
        ("POST", Version::HTTP_11, vec![]),
        ("POST", Version::HTTP_11, vec![(header::CONTENT_LENGTH, "5")]),
        ("POST", Version::HTTP_2, vec![(header::CONTENT_LENGTH, "0")]),
        ("GET", Version::HTTP_11, vec![(header::TRANSFER_ENCODING, "chunked")]),
        ("DELETE", Version::HTTP_2, vec![]),
    ] {
        let mut browser = Browser::signed_in(&app, "42").await;
        browser.jar.remove("access_token");
        let request = browser.request(method, "/me").version(version);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let answer = browser.send_body(request.body(chunked()).unwrap()).await;
        assert_eq!(names(&answer), ["access_token"], "{method} {version:?} {headers:?}");
    }
}

#[tokio::test]
async fn late_upload_is_anonymous_and_says_why() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let late = browser.clone();
    clock.advance(301);
    browser.who().await;
    clock.advance(901);
    for path in ["/me", "/claims"] {
        let request = late.request("POST", path).header(header::TRANSFER_ENCODING, "chunked");
        let answer = late.send(request).await;
        assert_eq!((answer.status, names(&answer).len()), (StatusCode::FORBIDDEN, 0));
        assert_eq!(answer.code(), "late_upload");
    }
    let request = late.request("POST", "/maybe").header(header::TRANSFER_ENCODING, "chunked");
    assert_eq!(late.send(request).await.body, "anonymous");
    assert_eq!(row(&store).await.generation, Generation::new(2), "nothing is written");
    assert_eq!(browser.who().await, "42");
}

#[tokio::test]
async fn render_server_may_drop_the_browser_s_new_cookies() {
    let secret = "the-secret-of-the-render-server-here";
    let (app, store, clock) = service(&settings().with_render_server_secret([secret]));
    let mut browser = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    let mut server = browser.clone();
    assert_eq!(server.who().await, "42", "a refresh whose cookies never reach the browser");
    for one in [&server, &browser] {
        let answer = one.send(one.request("GET", "/me").header("x-jwtauth-render-secret", secret)).await;
        assert_eq!((&*answer.body, names(&answer).len()), ("42", 0));
    }
    assert_eq!(row(&store).await.acknowledged_at, None);
    clock.advance(60);
    assert_eq!(browser.who().await, "42");
}

#[tokio::test]
async fn unused_session_expires() {
    let (app, _, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    clock.advance(86_401);
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::FORBIDDEN, 0));
}

#[tokio::test]
async fn generation_that_the_database_lost_is_adopted() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let backup = store.of_user("42", UnixTime::from_secs(NOW)).await.unwrap().remove(0);
    clock.advance(301);
    browser.who().await;
    store.end(&[backup.id]).await.unwrap();
    store.insert(backup, None, UnixTime::EPOCH).await.unwrap();
    clock.advance(301);
    assert_eq!(browser.who().await, "42");
}

#[tokio::test]
async fn last_seen_is_updated_by_writes_and_not_by_reads() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let last_seen = async || store.of_user("42", UnixTime::EPOCH).await.unwrap()[0].last_seen_at.as_secs() - NOW;
    clock.advance(100);
    browser.get("/me").await;
    assert_eq!(last_seen().await, 0, "a plain read writes nothing");
    browser.post("/me").await;
    assert_eq!(last_seen().await, 100);
}

// --- ends

#[tokio::test]
async fn user_can_list_and_end_only_their_own_sessions() {
    let (app, _, clock) = service(&settings());
    let mut phone = Browser::signed_in(&app, "42").await;
    clock.advance(1);
    let (mut laptop, mut other) = (Browser::signed_in(&app, "42").await, Browser::signed_in(&app, "7").await);
    let listed = laptop.get("/sessions").await.body;
    let ids: Vec<&str> = listed.split(' ').collect();
    assert_eq!(ids.len(), 2, "only the user's sessions, newest first");
    let foreign = other.get("/sessions").await.body;
    assert_eq!(laptop.post(&format!("/sessions/{foreign}")).await.body, "false", "another user's session is not found");
    assert_eq!(laptop.post(&format!("/sessions/{}", ids[1])).await.body, "true");
    assert_eq!(
        (phone.who().await, laptop.who().await, other.who().await),
        ("anonymous".into(), "42".into(), "7".into())
    );
}

#[tokio::test]
async fn ipv4_address_of_a_dual_stack_socket_is_recorded_as_ipv4() {
    for (peer, noted) in [("::ffff:203.0.113.9", "203.0.113.9"), ("2001:db8::7", "2001:db8::7"), ("::1", "::1")] {
        let (store, peer) = (MemoryStore::default(), peer.parse().ok());
        let auth = layer(&settings(), store.clone(), &Clock::default()).with_client_address(move |_| peer);
        Browser::signed_in(&app(auth), "42").await;
        assert_eq!(row_of(&store, "42").await.ip_address, noted.parse().ok());
    }
}

#[tokio::test]
async fn end_others_ends_all_sessions_but_the_current_one() {
    let (app, ..) = service(&settings());
    let (mut one, mut other) = (Browser::signed_in(&app, "42").await, Browser::signed_in(&app, "42").await);
    assert_eq!(one.post("/others").await.body, "1");
    assert_eq!((one.who().await, other.who().await), ("42".to_owned(), "anonymous".to_owned()));
    assert_eq!(Browser::new(&app).post("/others").await.body, "0");
}

#[tokio::test]
async fn login_over_the_limit_ends_the_oldest_session_or_is_refused() {
    for (policy, status, oldest) in
        [("end_oldest", StatusCode::OK, "anonymous"), ("refuse", StatusCode::FORBIDDEN, "42")]
    {
        let limited = settings().with_max_sessions_per_user(2).with_max_sessions_policy(policy);
        let (app, _, clock) = service(&limited);
        let mut first = Browser::signed_in(&app, "42").await;
        clock.advance(1);
        Browser::signed_in(&app, "42").await;
        clock.advance(1);
        let answer = Browser::new(&app).post("/login/42").await;
        assert_eq!((answer.status, first.who().await), (status, oldest.to_owned()));
        if policy == "refuse" {
            assert_eq!(
                answer.body,
                r#"{"code":"session_limit","detail":"Too many sessions. Sign out on another device first."}"#
            );
        }
    }
}

// --- bearer

#[tokio::test]
async fn invalid_bearer_token_is_401_even_with_valid_cookies() {
    let (app, ..) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let bearer = format!("bearer {}", browser.jar["access_token"]);
    let send = async |path: &str, value: &str, with: &Browser| {
        with.send(
            with.request("POST", path).header(header::AUTHORIZATION, value).header("Sec-Fetch-Site", "cross-site"),
        )
        .await
    };
    let stranger = Browser::new(&app);
    let answer = send("/me", &bearer, &stranger).await;
    assert_eq!(answer.body, "42");
    assert_eq!(fields(&answer, header::VARY), "Authorization");
    let refresh = format!("Bearer {}", browser.jar["refresh_token"]);
    for bad in ["Bearer", "Bearer ", "Bearer x", "bearer a.b.c", &refresh] {
        for path in ["/me", "/open"] {
            let answer = send(path, bad, &browser).await; // its valid cookies are ignored
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
            assert_eq!(answer.code(), "token_not_valid");
            assert_eq!(answer.headers[header::VARY], "Authorization");
        }
    }
    assert_eq!(send("/maybe", "Basic YTpi", &stranger).await.status, StatusCode::OK);
    browser.post("/logout").await;
    assert_eq!(send("/open", &bearer, &stranger).await.status, StatusCode::UNAUTHORIZED, "its session has ended");
}

#[tokio::test]
async fn cookies_count_if_bearer_tokens_are_disabled() {
    let (app, ..) = service(&settings().with_bearer_tokens(false));
    let browser = Browser::signed_in(&app, "42").await;
    let request = browser.request("GET", "/me").header(header::AUTHORIZATION, "Bearer x");
    assert_eq!(browser.send(request).await.body, "42");
}

// --- cross-origin

#[tokio::test]
async fn cross_origin_page_may_not_use_the_cookies() {
    let trusting = settings().with_csrf_trusted_origins(["https://*.friend.example"]);
    let (app, ..) = service(&trusting);
    let browser = Browser::signed_in(&app, "42").await;
    let post = |headers: &[(&str, &str)]| {
        headers.iter().fold(browser.request("POST", "/me"), |request, (name, value)| request.header(*name, *value))
    };
    let own = [("Origin", "https://own.example")];
    let friend = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.friend.example")];
    let plain = [("Sec-Fetch-Site", "same-origin"), ("Origin", "null")];
    for passes in [&own[..], &friend, &plain, &[]] {
        assert_eq!(browser.send(post(passes)).await.body, "42", "{passes:?}");
    }
    let sibling = [("Sec-Fetch-Site", "same-site"), ("Origin", "https://www.own.example")];
    let insecure = [("Origin", "http://own.example")];
    let twice = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")];
    for refused in [&sibling[..], &insecure, &twice, &[("Origin", "null")]] {
        let answer = browser.send(post(refused)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "cross_origin"), "{refused:?}");
        assert!(answer.body.contains("CSRF Failed: ") && names(&answer).is_empty());
        assert_eq!(answer.headers[header::VARY], "Cookie");
    }
    let stranger = Browser::new(&app);
    let request = stranger.request("POST", "/open").header("Sec-Fetch-Site", "cross-site");
    assert_eq!(stranger.send(request).await.status, StatusCode::OK, "a request without cookies passes");
}

#[tokio::test]
async fn cross_origin_websocket_is_rejected() {
    let (app, ..) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    assert_eq!(browser.send(handshake(&browser, Some("https://own.example"))).await.body, "42");
    for origin in [None, Some("https://evil.example"), Some("null")] {
        assert_eq!(browser.send(handshake(&browser, origin)).await.code(), "cross_origin");
    }
}

fn handshake(browser: &Browser, origin: Option<&str>) -> http::request::Builder {
    let request = browser.request("GET", "/socket").header(header::UPGRADE, "WebSocket");
    origin.into_iter().fold(request, |request, origin| request.header(header::ORIGIN, origin))
}

#[tokio::test]
async fn handshake_refreshes_the_session_and_sets_cookies_on_its_response() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    for generation in [2, 3] {
        clock.advance(301);
        let request = match generation {
            2 => handshake(&browser, Some("https://own.example")),
            _ => browser // in HTTP/2 (RFC 8441)
                .request("CONNECT", "/socket")
                .version(Version::HTTP_2)
                .header(header::ORIGIN, "https://own.example"),
        };
        let answer = browser.send(request).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::SWITCHING_PROTOCOLS, "42"));
        assert_eq!(names(&answer), ["access_token", "refresh_token"]);
        browser.keep(&answer);
        assert_eq!(browser.who().await, "42");
        assert_eq!(row(&store).await.generation, Generation::new(generation));
    }
}

#[tokio::test]
async fn copied_token_is_detected_in_a_handshake() {
    let (app, _, clock) = service(&settings());
    let mut owner = Browser::signed_in(&app, "42").await;
    let thief = owner.clone();
    clock.advance(301);
    owner.who().await;
    owner.who().await;
    clock.advance(31);
    let answer = thief.send(handshake(&thief, Some("https://own.example"))).await;
    assert_eq!((answer.status, owner.who().await), (StatusCode::FORBIDDEN, "anonymous".to_owned()));
}

#[tokio::test]
async fn cross_origin_page_cannot_sign_in_or_out() {
    let (app, store, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let old = browser.clone();
    clock.advance(301);
    browser.who().await;
    clock.advance(86_200); // both cookies of the first generation have expired but still name the session
    for stale in [&old, &Browser::new(&app)] {
        for path in ["/logout", "/login/7"] {
            let answer = stale.send(stale.request("POST", path).header("Sec-Fetch-Site", "cross-site")).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "cross_origin"), "{path}");
            assert!(answer.body.contains("CSRF Failed: request from another site.") && names(&answer).is_empty());
        }
    }
    assert_eq!(store.of_user("7", UnixTime::EPOCH).await.unwrap(), []);
    assert_eq!(store.of_user("42", UnixTime::EPOCH).await.unwrap().len(), 1, "no session has ended");
    old.send(old.request("POST", "/logout")).await;
    assert_eq!(store.of_user("42", UnixTime::EPOCH).await.unwrap(), [], "by a same-origin page");
}

#[tokio::test]
async fn login_may_be_allowed_from_any_origin() {
    let (app, ..) = service(&settings());
    let stranger = Browser::new(&app);
    let answer = stranger.send(stranger.request("POST", "/callback/42").header("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::OK, 2));
}

#[tokio::test]
async fn bearer_request_may_sign_in_and_out_from_any_origin() {
    let (app, ..) = service(&settings());
    let browser = Browser::signed_in(&app, "42").await;
    let bearer = format!("Bearer {}", browser.jar["access_token"]);
    let stranger = Browser::new(&app);
    let request = stranger.request("POST", "/logout").header("Sec-Fetch-Site", "cross-site");
    let answer = stranger.send(request.header(header::AUTHORIZATION, bearer)).await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::OK, 0), "the request had no cookie");
    assert_eq!(browser.send(browser.request("GET", "/me")).await.status, StatusCode::FORBIDDEN);
}

// --- the response

#[tokio::test]
async fn cookies_are_cleared_only_if_the_request_had_one() {
    let (app, ..) = service(&settings());
    let mut stranger = Browser::new(&app);
    let answer = stranger.post("/logout").await;
    assert_eq!((answer.status, names(&answer).len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers[header::VARY], "Cookie");
    stranger.jar.insert("refresh_token".to_owned(), "x".to_owned());
    assert_eq!(names(&stranger.post("/logout").await), ["access_token", "refresh_token"]);
}

#[tokio::test]
async fn caching_headers_of_the_handler_are_kept() {
    let (app, _, clock) = service(&settings());
    let mut browser = Browser::signed_in(&app, "42").await;
    let plain = browser.get("/cached").await;
    assert_eq!(fields(&plain, header::VARY), "Accept, accept-encoding, Cookie");
    assert_eq!(fields(&plain, header::CACHE_CONTROL), "public, max-age=60, no-transform");
    assert_eq!(plain.headers["cdn-cache-control"], "max-age=60");
    clock.advance(301);
    let refreshed = browser.get("/cached").await;
    assert_eq!(fields(&refreshed, header::CACHE_CONTROL), "no-store, private, max-age=60, no-transform");
    assert!(!refreshed.headers.contains_key("cdn-cache-control"));
    assert_eq!(fields(&Browser::new(&app).get("/cached").await, header::VARY), "Accept | accept-encoding", "unchanged");
}

#[tokio::test]
async fn token_that_cannot_be_issued_is_an_error() {
    let (app, ..) = service(&settings());
    let answer = Browser::new(&app).post(&format!("/login/{}", "x".repeat(5000))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "issued_token_too_long"));
    assert!(names(&answer).is_empty());
}

/// Return the fields of this name, separated by bars.
fn fields(answer: &Answer, name: header::HeaderName) -> String {
    let fields: Vec<_> = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
    fields.join(" | ")
}

// --- bad input

#[tokio::test]
async fn invalid_cookies_are_ignored() {
    let (app, ..) = service(&settings());
    let good = Browser::signed_in(&app, "42").await;
    let long = [b"access_token=".to_vec(), vec![b'a'; 50_000]].concat();
    let bad: [&[u8]; 7] = [
        b"access_token=; refresh_token=",
        b"access_token=x; refresh_token=..",
        b"access_token=\xff\xfe; refresh_token=\xc3\x28",
        b"access_token; refresh_token",
        b";;;===;",
        b"\"access_token\"=\"\"",
        &long,
    ];
    for cookie in bad {
        let value = http::HeaderValue::from_bytes(cookie).unwrap();
        let browser = Browser::new(&app);
        let answer = browser.send(browser.request("GET", "/maybe").header(header::COOKIE, value)).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "anonymous"));
        assert_eq!(names(&answer).len(), 0, "no cookie is cleared");
    }
    let both = format!("access_token=stale; access_token={}", good.jar["access_token"]);
    let stranger = Browser::new(&app);
    let answer = stranger.send(stranger.request("GET", "/me").header(header::COOKIE, both)).await;
    assert_eq!(answer.body, "42", "of several cookies with one name, the valid one counts");
}

#[tokio::test]
async fn attack_corpus_is_anonymous() {
    let corpus: serde_json::Value = serde_json::from_str(include_str!("../../../testdata/attacks.json")).unwrap();
    let secret = corpus["rings"]["secret"]["secret"].as_str().unwrap();
    let (app, _, clock) = service(&Settings::new(secret));
    clock.advance(corpus["now"].as_u64().unwrap() - NOW);
    let cases = corpus["refused"].as_array().unwrap();
    assert!(cases.len() > 600);
    for case in cases {
        let token = case["token"].as_str().map_or_else(
            || case["token"]["repeat"].as_str().unwrap().repeat(50_000),
            |token| token.chars().take(100_000).collect(),
        );
        let browser = Browser::new(&app);
        for name in ["access_token", "refresh_token"] {
            let Ok(value) = http::HeaderValue::from_str(&format!("{name}={token}")) else { continue };
            let answer = browser.send(browser.request("GET", "/maybe").header(header::COOKIE, value)).await;
            assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "anonymous"), "{}", case["what"]);
        }
        let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {token}")) else { continue };
        let answer = browser.send(browser.request("GET", "/maybe").header(header::AUTHORIZATION, value)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", case["what"]);
    }
}

// --- claims

#[tokio::test]
async fn custom_claims_are_in_access_tokens() {
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let claims = |user: &str| CustomClaims::from_json(&format!("{{\"team\":\"{user}\"}}")).unwrap();
    let app = app(layer(&settings(), store, &clock).with_custom_claims(claims));
    let mut browser = Browser::signed_in(&app, "42").await;
    assert_eq!(browser.get("/claims").await.body, r#"{"team":"42"}"#);
    clock.advance(301);
    assert_eq!(browser.get("/claims").await.body, r#"{"team":"42"}"#, "even after a refresh");
}

#[tokio::test]
async fn too_long_custom_claims_are_an_error_and_sign_no_user_out() {
    let (store, clock) = (MemoryStore::default(), Clock::default());
    let plain = app(layer(&settings(), store.clone(), &clock));
    let huge = |_: &str| CustomClaims::from_json(&format!("{{\"a\":\"{}\"}}", "a".repeat(5000))).unwrap();
    let too_much = app(layer(&settings(), store.clone(), &clock).with_custom_claims(huge));
    let mut browser = Browser::signed_in(&plain, "42").await;
    clock.advance(301);
    browser.app = too_much;
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "issued_token_too_long"));
    assert_eq!(names(&answer).len(), 0);
    browser.app = plain;
    assert_eq!(browser.who().await, "42", "nothing has been written");
}

// --- tokens of two users

#[tokio::test]
async fn cookie_of_an_ended_session_does_not_block_another_user() {
    let (app, store, clock) = service(&settings());
    let stale = Browser::signed_in(&app, "42").await;
    clock.advance(301);
    let mut next = Browser::signed_in(&app, "7").await;
    let both = |next: &Browser| {
        let cookies = |browser: &Browser| {
            browser.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
        };
        format!("{}; {}", cookies(&stale), cookies(next))
    };
    let ask = async |next: &Browser, method: &str| {
        let request = http::Request::builder().method(method).uri("/maybe").header(header::HOST, "own.example");
        next.send(request.header(header::COOKIE, both(next)).header("Sec-Fetch-Site", "cross-site")).await
    };
    assert_eq!(ask(&next, "GET").await.body, "anonymous", "two sessions are live");
    let ended = row_of(&store, "42").await;
    store.end(&[ended.id]).await.unwrap();
    assert_eq!(ask(&next, "GET").await.body, "7");
    assert_eq!(ask(&next, "POST").await.code(), "cross_origin", "the origin is checked once a user is found");
    clock.advance(301);
    let answer = ask(&next, "GET").await;
    assert_eq!((answer.body.as_str(), names(&answer)), ("7", vec!["access_token", "refresh_token"]));
    next.keep(&answer);
    assert_eq!(ask(&next, "GET").await.body, "7");
}

async fn row_of(store: &MemoryStore, user: &str) -> jwtauth_axum::Record {
    store.of_user(user, UnixTime::EPOCH).await.unwrap().remove(0)
}
