//! Clients that disconnect while a site's keys are fetched for them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use jwtauth_axum::{
    AccessClaims, AuthLayer, MemoryStore, RemoteKeys, ResourceLayer, Settings,
    jwtauth::{Algorithm, GeneratedKey},
};

use crate::{
    common::{self, Browser},
    leaving::{Moment, PATIENCE, Steps, ensure, leave},
};

/// The reason for a fetch.
#[derive(Clone, Copy, Debug)]
pub enum Fetch {
    First,
    Renewal,
    MissingKey,
}

pub const ALL: [Fetch; 3] = [Fetch::First, Fetch::Renewal, Fetch::MissingKey];

/// The pause between two fetches. Work that a cancelled fetch leaves undone for this long affects the next request.
const PAUSE: Duration = Duration::from_millis(200);

/// A site, as seen by a resource server.
pub struct Site {
    url: String,
    set: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
    users: [(Browser, String); 2],
}

impl Site {
    pub async fn new() -> Self {
        let (set, fetches) = (Arc::<Mutex<String>>::default(), Arc::<AtomicUsize>::default());
        let answer = {
            let (set, fetches) = (Arc::clone(&set), Arc::clone(&fetches));
            async move || {
                fetches.fetch_add(1, Ordering::Relaxed);
                set.lock().unwrap().clone()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/jwks.json", get(answer))).await });
        Self { url, set, fetches, users: [user().await, user().await] }
    }

    fn publish(&self, set: &str) {
        set.clone_into(&mut self.set.lock().unwrap());
    }

    fn service(&self, max_age: Duration) -> Router {
        let keys = RemoteKeys::new(reqwest::Client::new(), &self.url, &Settings::default()).unwrap();
        let keys = keys.with_max_age(max_age).with_pause(PAUSE);
        let layer = ResourceLayer::new(Settings::default().transport().unwrap(), keys);
        Router::new().route("/me", get(async |AccessClaims(claims): AccessClaims| claims.subject)).layer(layer)
    }
}

/// Return a user who is signed in to a site with its own key, and the site's key set.
async fn user() -> (Browser, String) {
    let key = GeneratedKey::new(Algorithm::EdDsa, None).unwrap();
    let settings = common::settings().with_algorithm("EdDSA").with_signing_key(key.expose_jwk());
    let config = settings.build().unwrap();
    let set = config.tokens().verifier().keys().to_jwk_set();
    let app = common::app(AuthLayer::new(config, MemoryStore::default()));
    (Browser::signed_in(&app, "42").await, set)
}

/// Start a client that causes this fetch, and disconnect it at this moment. Returns whether it was disconnected.
pub async fn try_leaving(site: &Site, fetch: Fetch, moment: Moment) -> Result<bool, String> {
    let [(user, set), (newer_user, newer_set)] = &site.users;
    let max_age = if matches!(fetch, Fetch::Renewal) { PAUSE } else { Duration::from_secs(3600) };
    let app = site.service(max_age);
    let browser = |user: &Browser| Browser { app: app.clone(), jar: user.jar.clone() };
    site.publish(set);
    if !matches!(fetch, Fetch::First) {
        let answer = browser(user).get("/me").await;
        ensure(answer.body == "42", || format!("before: {}", answer.body))?;
        tokio::time::sleep(PAUSE + Duration::from_millis(1)).await;
    }
    let user = if matches!(fetch, Fetch::MissingKey) { newer_user } else { user };
    if matches!(fetch, Fetch::MissingKey) {
        site.publish(newer_set);
    }
    site.fetches.store(0, Ordering::Relaxed);
    let asking = browser(user);
    let has_left = leave(asking.send(asking.request("GET", "/me")), moment, &Steps::new()).await?;
    let mut next = browser(user);
    let answer =
        tokio::time::timeout(PATIENCE, next.get("/me")).await.map_err(|_| "the next request hangs".to_owned())?;
    ensure(answer.body == "42", || format!("the next request: {} {}", answer.status, answer.body))?;
    Ok(has_left)
}
