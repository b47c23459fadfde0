//! Whole requests through the layer.

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use http::{Request, StatusCode, header};
use jwtauth_axum::{
    Auth, AuthError, AuthLayer, Record, SessionStore, Settings,
    jwtauth::{Generation, UnixTime},
};
use uuid::Uuid;

use crate::{
    common::{self, Browser, Clock},
    leaving::{Moment, PATIENCE, Stepwise, ensure, idle, leave},
    places::{Place, new_user},
};

/// Longer than the lifetime of an access token.
const EXPIRED: u64 = 301;
/// Longer than the previous generation is accepted once the new one was seen.
const PAST_GRACE: u64 = 31;

macro_rules! operations {
    ($($operation:ident,)*) => {
        /// The request of a client that disconnects.
        #[derive(Clone, Copy, Debug)]
        pub enum Operation {
            $($operation,)*
        }

        pub const ALL: &[Operation] = &[$(Operation::$operation,)*];
    };
}

operations! {
    Anonymous,
    Check,
    CheckAndNote,
    CheckAndAcknowledge,
    Session,
    IsLive,
    Sessions,
    Refresh,
    RefreshAgain,
    RenewAccess,
    Adopt,
    Reuse,
    ReuseEndsAll,
    Login,
    LoginOverLogin,
    LoginOverOther,
    LoginEndsOldest,
    LoginRefused,
    LoginReplaces,
    Logout,
    LogoutRemembered,
    LogoutExpired,
    End,
    EndOthers,
    Bearer,
    BearerOfEnded,
    Upload,
    LateUpload,
    Disputed,
    DisputedRefresh,
}

use Operation::*;

/// A service with its users.
pub struct World<S> {
    pub store: Stepwise<S>,
    layer: AuthLayer,
    pub app: Router,
    clock: Clock,
    user: String,
    other: String,
}

impl<S: SessionStore + Clone> World<S> {
    pub async fn new(place: &impl Place<Store = S>, settings: &Settings) -> Self {
        let (store, clock) = (Stepwise::new(place.store()), Clock::default());
        let layer = common::layer(settings, store.clone(), &clock);
        let session =
            async |auth: Auth| Ok::<_, AuthError>(auth.session().await?.map_or_else(String::new, |it| it.user_id));
        let is_live = async |auth: Auth| Ok::<_, AuthError>(auth.is_live().await?.to_string());
        let app = Router::new().route("/session", get(session)).route("/live", get(is_live));
        let app = app.layer(layer.clone()).merge(common::app(layer.clone()));
        let (user, other) = (new_user(place).await, new_user(place).await);
        Self { store, layer, app, clock, user, other }
    }

    pub async fn signed_in(&self) -> Browser {
        Browser::signed_in(&self.app, &self.user).await
    }

    /// Return all rows of the user, newest first.
    pub async fn rows(&self, user: &str) -> Vec<Record> {
        self.store.inner.of_user(user, UnixTime::EPOCH).await.unwrap()
    }
}

/// The client of a request, and the user's sessions before it.
pub struct Scene {
    pub browser: Browser,
    /// Sent instead of the browser's cookies.
    cookies: Option<String>,
    before: Vec<Record>,
}

impl Operation {
    pub fn settings(self) -> Settings {
        let settings = common::settings();
        match self {
            ReuseEndsAll => settings.with_reuse_ends_all_sessions(true),
            LoginEndsOldest => settings.with_max_sessions_per_user(2),
            LoginRefused => settings.with_max_sessions_per_user(2).with_max_sessions_policy("refuse"),
            LoginReplaces => settings.with_max_sessions_per_user(1).with_max_sessions_policy("refuse"),
            LogoutRemembered => settings.with_session_check_interval(None),
            _ => settings,
        }
    }

    pub async fn prepare<S: SessionStore + Clone>(self, world: &World<S>) -> Scene {
        let mut browser = Browser::new(&world.app);
        if !matches!(self, Anonymous | Login | LoginEndsOldest | LoginRefused) {
            browser = world.signed_in().await;
        }
        let mut cookies = None;
        match self {
            CheckAndNote => world.clock.advance(61),
            CheckAndAcknowledge => {
                world.clock.advance(EXPIRED);
                browser.get("/open").await;
            }
            Sessions | End | EndOthers => {
                world.clock.advance(1);
                world.signed_in().await;
            }
            Refresh => world.clock.advance(EXPIRED),
            RefreshAgain => {
                world.clock.advance(EXPIRED);
                browser.send(browser.request("GET", "/open")).await;
            }
            RenewAccess => {
                world.clock.advance(EXPIRED);
                browser.get("/open").await;
                browser.jar.remove("access_token");
            }
            Adopt => {
                let lost = world.rows(&world.user).await.remove(0);
                world.clock.advance(EXPIRED);
                browser.get("/open").await;
                browser.jar.remove("access_token");
                world.store.inner.end(&[lost.id]).await.unwrap();
                world.store.inner.insert(lost, None, UnixTime::EPOCH).await.unwrap();
            }
            Reuse | ReuseEndsAll => {
                world.signed_in().await;
                let thief = browser.clone();
                world.clock.advance(EXPIRED);
                browser.who().await;
                browser.who().await;
                world.clock.advance(PAST_GRACE);
                browser = thief;
            }
            LoginEndsOldest | LoginRefused => {
                for _ in 0..2 {
                    world.signed_in().await;
                    world.clock.advance(1);
                }
            }
            LogoutRemembered => drop(browser.get("/me").await),
            LogoutExpired => world.clock.advance(2 * 86_400),
            BearerOfEnded => {
                world.store.inner.end(&[world.rows(&world.user).await[0].id]).await.unwrap();
            }
            Upload => {
                world.clock.advance(EXPIRED);
                browser.get("/open").await;
                world.clock.advance(EXPIRED);
            }
            LateUpload => {
                let late = browser.clone();
                world.clock.advance(EXPIRED);
                browser.who().await;
                world.clock.advance(901);
                browser = late;
            }
            Disputed | DisputedRefresh => {
                let stale = Browser::signed_in(&world.app, &world.other).await;
                world.store.inner.end(&[world.rows(&world.other).await[0].id]).await.unwrap();
                let both = stale.jar.iter().chain(&browser.jar).filter(|(name, _)| *name == "refresh_token");
                let mut both: Vec<_> = both.map(|(name, token)| format!("{name}={token}")).collect();
                if matches!(self, Disputed) {
                    both.push(format!("access_token={}", browser.jar["access_token"]));
                } else {
                    world.clock.advance(EXPIRED);
                }
                cookies = Some(both.join("; "));
            }
            _ => {}
        }
        Scene { browser, cookies, before: world.rows(&world.user).await }
    }

    pub fn request<S>(self, world: &World<S>, scene: &Scene) -> Request<Body> {
        let Scene { browser, cookies, before } = scene;
        let request = match self {
            Anonymous => browser.request("GET", "/maybe"),
            Check | CheckAndAcknowledge | Disputed => browser.request("GET", "/me"),
            CheckAndNote => browser.request("POST", "/me"),
            Session => browser.request("GET", "/session"),
            IsLive => browser.request("GET", "/live"),
            Sessions => browser.request("GET", "/sessions"),
            Login | LoginOverLogin | LoginEndsOldest | LoginRefused | LoginReplaces => {
                browser.request("POST", &format!("/login/{}", world.user))
            }
            LoginOverOther => browser.request("POST", &format!("/login/{}", world.other)),
            Logout | LogoutRemembered | LogoutExpired => browser.request("POST", "/logout"),
            End => browser.request("POST", &format!("/sessions/{}", before[0].id)),
            EndOthers => browser.request("POST", "/others"),
            Bearer | BearerOfEnded => {
                let bearer = format!("Bearer {}", browser.jar["access_token"]);
                Browser::new(&world.app).request("GET", "/open").header(header::AUTHORIZATION, bearer)
            }
            Upload | LateUpload => browser.request("POST", "/me").header(header::TRANSFER_ENCODING, "chunked"),
            Refresh | RefreshAgain | RenewAccess | Adopt | Reuse | ReuseEndsAll | DisputedRefresh => {
                browser.request("GET", "/open")
            }
        };
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(cookies) = cookies {
            request.headers_mut().insert(header::COOKIE, cookies.parse().unwrap());
        }
        request
    }

    /// Return whether the browser's session survives the request.
    fn stays_signed_in(self, has_begun: bool) -> bool {
        let ends = matches!(self, Reuse | ReuseEndsAll | Logout | LogoutRemembered | LogoutExpired);
        // The tokens of a login were in the lost response.
        let replaces = matches!(self, LoginOverLogin | LoginOverOther | LoginReplaces) && has_begun;
        let begins = matches!(self, Anonymous | BearerOfEnded | Login | LoginEndsOldest | LoginRefused);
        !(ends || replaces || begins)
    }

    /// Check the state after a client has disconnected. With `has_begun`, its request had reached the store.
    pub async fn check<S: SessionStore + Clone>(
        self,
        world: &World<S>,
        scene: Scene,
        has_begun: bool,
    ) -> Result<(), String> {
        let (before, after) = (scene.before, world.rows(&world.user).await);
        let ids = |rows: &[Record]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        let stay = |expected: &[Uuid]| ensure(ids(&after) == expected, || format!("sessions: {after:?}"));
        match self {
            // A login does not start for a client that has already disconnected.
            Login | LoginOverLogin | LoginOverOther | LoginEndsOldest | LoginReplaces if !has_begun => {
                stay(&ids(&before))?;
            }
            Anonymous | BearerOfEnded | ReuseEndsAll | Logout | LogoutRemembered | LogoutExpired => stay(&[])?,
            LoginRefused => stay(&ids(&before))?,
            End => stay(&[before[1].id])?,
            Reuse | EndOthers => ensure(after.len() == 1, || format!("sessions: {after:?}"))?,
            Refresh | DisputedRefresh | Adopt => {
                stay(&ids(&before))?;
                let generation = after[0].session.generation;
                // The reads that settle a dispute precede any decision.
                let is_begun = !matches!(self, DisputedRefresh) || generation != Generation::FIRST;
                let expected = if is_begun { Generation::new(2) } else { Generation::FIRST };
                ensure(generation == expected, || format!("generation {generation:?}"))?;
            }
            Login | LoginOverLogin | LoginReplaces => {
                let is_new = after.len() == 1 && before.iter().all(|row| row.id != after[0].id);
                ensure(is_new, || format!("sessions: {after:?}"))?;
            }
            LoginOverOther => {
                stay(&[])?;
                let others = world.rows(&world.other).await;
                ensure(others.len() == 1, || format!("sessions of the other user: {others:?}"))?;
            }
            LoginEndsOldest => {
                let is_last = after.len() == 2 && after[1].id == before[0].id;
                ensure(is_last, || format!("sessions: {after:?}"))?;
            }
            Check | CheckAndNote | CheckAndAcknowledge | Session | IsLive | Sessions | RefreshAgain | RenewAccess
            | Bearer | Upload | LateUpload | Disputed => only_notes(&before, &after)?,
        }
        let mut browser = scene.browser;
        let expected = if self.stays_signed_in(has_begun) { world.user.as_str() } else { "anonymous" };
        // The first response is lost too.
        for is_kept in [false, true, true] {
            let answer = browser.send(browser.request("GET", "/maybe")).await;
            if is_kept {
                browser.keep(&answer);
            }
            ensure(answer.body == expected, || format!("{} is signed in: {}", answer.body, answer.status))?;
        }
        let answer = Browser::new(&world.app).post(&format!("/login/{}", world.other)).await;
        ensure(answer.status == StatusCode::OK, || format!("the next login: {} {}", answer.status, answer.body))
    }

    /// Check the state after many clients have made the same request at once.
    pub async fn check_crowd<S: SessionStore + Clone>(self, world: &World<S>, scene: Scene) -> Result<(), String> {
        let after = world.rows(&world.user).await;
        let is_named = after.iter().any(|row| scene.before.iter().any(|before| before.id == row.id));
        let is_right = match self {
            LoginEndsOldest => after.len() == 2,
            // Each login has started a session, unless its client disconnected first.
            LoginOverLogin => !is_named && !after.is_empty(),
            Refresh => after.len() == 1 && is_named && after[0].session.generation == Generation::new(2),
            _ => after.is_empty(),
        };
        ensure(is_right, || format!("sessions: {after:?}"))?;
        let mut browser = scene.browser;
        if matches!(self, Refresh) {
            let who = browser.who().await;
            ensure(who == world.user, || format!("{who} is signed in"))?;
        }
        let answer = browser.post(&format!("/login/{}", world.user)).await;
        ensure(answer.status == StatusCode::OK, || format!("the next login: {} {}", answer.status, answer.body))
    }
}

/// Check that only routine fields have changed: when the user was last seen, and the acknowledgement.
fn only_notes(before: &[Record], after: &[Record]) -> Result<(), String> {
    let plain = |row: &Record| {
        let mut row = row.clone().with_last_seen_at(UnixTime::EPOCH);
        row.session.acknowledged_at = None;
        row
    };
    let rows = [before, after].map(|rows| rows.iter().map(plain).collect::<Vec<_>>());
    let is_kept = before.iter().zip(after).all(|(before, after)| {
        let seen = before.session.acknowledged_at;
        (seen.is_none() || seen == after.session.acknowledged_at) && before.last_seen_at <= after.last_seen_at
    });
    ensure(rows[0] == rows[1] && is_kept, || format!("rows: {before:?}, then {after:?}"))
}

/// An operation that a handler cancels before it answers, as under a layer with a timeout.
#[derive(Clone, Copy, Debug)]
pub enum GivenUp {
    Login,
    Logout,
    EndOthers,
}

pub const GIVEN_UP: [GivenUp; 3] = [GivenUp::Login, GivenUp::Logout, GivenUp::EndOthers];

/// Let a handler cancel the operation at this moment and answer. Returns whether it cancelled.
pub async fn try_giving_up(place: &impl Place, call: GivenUp, moment: Moment, tasks: usize) -> Result<bool, String> {
    let world = World::new(place, &common::settings()).await;
    let mut browser = world.signed_in().await;
    world.clock.advance(1);
    if matches!(call, GivenUp::EndOthers) {
        world.signed_in().await;
    }
    let (user, steps) = (world.user.clone(), world.store.steps.clone());
    let give_up = async move |auth: Auth| {
        let is_dropped = match call {
            GivenUp::Login => leave(auth.login(user), moment, &steps).await,
            GivenUp::Logout => leave(auth.logout(), moment, &steps).await,
            GivenUp::EndOthers => leave(auth.end_others(), moment, &steps).await,
        };
        is_dropped.map(|is_dropped| is_dropped.to_string())
    };
    let app = Router::new().route("/", post(give_up)).layer(world.layer.clone());
    idle(tasks).await?;
    world.store.steps.restart();
    let answer = Browser { app, jar: browser.jar.clone() }.post("/").await;
    browser.keep(&answer);
    idle(tasks).await?;
    place.whole().await?;
    let (after, who) = (world.rows(&world.user).await, browser.who().await);
    let expected = if matches!(call, GivenUp::Logout) { (0, "anonymous") } else { (1, world.user.as_str()) };
    ensure((after.len(), who.as_str()) == expected, || format!("{who} is signed in, sessions: {after:?}"))?;
    answer.body.parse().map_err(|_| answer.body)
}

/// Let a client send a request and disconnect at this moment. Returns whether it disconnected.
pub async fn try_leaving(
    place: &impl Place,
    operation: Operation,
    moment: Moment,
    tasks: usize,
) -> Result<bool, String> {
    let world = World::new(place, &operation.settings()).await;
    let scene = operation.prepare(&world).await;
    let request = operation.request(&world, &scene);
    idle(tasks).await?;
    world.store.steps.restart();
    let has_left = leave(scene.browser.send_body(request), moment, &world.store.steps).await?;
    idle(tasks).await?;
    place.whole().await?;
    let has_begun = world.store.steps.count() > 0;
    let check = tokio::time::timeout(PATIENCE, operation.check(&world, scene, has_begun));
    check.await.map_err(|_| "the next requests hang".to_owned())??;
    Ok(has_left)
}
