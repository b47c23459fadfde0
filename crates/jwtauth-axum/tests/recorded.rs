//! `RECORD_IP_ADDRESS` and `RECORD_USER_AGENT`: what is stored of a client.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    Browser, Clock, app, layer, settings,
    stores::{AnyStore, stores},
};
use http::{StatusCode, header};
use jwtauth_axum::Record;

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0";

/// Log in from this address, and return the session.
async fn recorded(store: AnyStore, how: &str, address: &'static str) -> Record {
    recorded_of(store, how, address, FIREFOX.as_bytes()).await
}

/// Log in from this address with this `User-Agent`, and return the session.
async fn recorded_of(store: AnyStore, how: &str, address: &'static str, user_agent: &[u8]) -> Record {
    let settings = settings().with_record_ip_address(how).with_record_user_agent(how);
    let layer = layer(&settings, store.clone(), &Clock::default()).with_client_address(|_| address.parse().ok());
    let browser = Browser::new(&app(layer));
    let answer = browser.send(browser.request("POST", "/login/42").header(header::USER_AGENT, user_agent)).await;
    assert_eq!(answer.status, StatusCode::OK);
    store.rows("42").await.remove(0)
}

#[tokio::test]
async fn client_is_stored_as_the_settings_say() {
    for (how, address, user_agent) in [
        ("full", Some("203.0.113.9"), FIREFOX),
        ("truncated", Some("203.0.113.0"), "Firefox\nWindows"),
        ("off", None, ""),
    ] {
        for store in stores().await {
            let session = recorded(store, how, "203.0.113.9").await;
            let stored = session.ip_address.map(|address| address.to_string());
            assert_eq!((stored.as_deref(), session.user_agent.as_str()), (address, user_agent), "{how}");
        }
    }
}

#[tokio::test]
async fn address_is_stored_as_ipv4_whatever_the_socket() {
    for (how, stored) in [("full", "203.0.113.9"), ("truncated", "203.0.113.0")] {
        for store in stores().await {
            let session = recorded(store, how, "::ffff:203.0.113.9").await;
            assert_eq!(session.ip_address.unwrap().to_string(), stored);
        }
    }
}

#[tokio::test]
async fn user_agent_is_stored_as_django_reads_it() {
    for (sent, stored) in [
        (b"Gr\xfc\xdfe/1".as_slice(), "Grüße/1"),
        ("Grüße/1".as_bytes(), "GrÃ¼Ãe/1"),
        ("App 🦀/1".as_bytes(), "App ð¦/1"),
        ("Voilà/1".as_bytes(), "VoilÃ/1"),
        (b"\xff\xfe/1", "ÿþ/1"),
    ] {
        for store in stores().await {
            assert_eq!(recorded_of(store, "full", "203.0.113.9", sent).await.user_agent, stored);
        }
    }
}
