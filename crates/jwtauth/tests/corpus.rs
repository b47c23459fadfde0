//! Replays the corpus of requests, `testdata/requests.json`, through the engine's steps, with a map of rows instead of
//! the tables that Django and axum use.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test and its driver")]

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{
    ACTIVITY_HEADER, Algorithm, Answer, Authentication, Check, Claims, CookiePolicy, Decision, DeviceBinding, FoundRow,
    Grantee, Head, HttpVersion, IdentifyError, Identity, Keyring, Lifetimes, Methods, OriginPolicy, Outcome, Profile,
    RENDER_SECRET_HEADER, Refusal, RenderSecrets, RotationPolicy, Session, Sid, SigningKey, Site, TokenKind, Tokens,
    Transport,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::units::{duration, generation, number, seconds, time};

/// Conversions from and to the engine's types, in one place.
mod units {
    use std::time::Duration;

    use jwtauth::{Generation, UnixTime};

    pub(super) fn time(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    pub(super) fn seconds(time: UnixTime) -> u64 {
        time.as_secs()
    }

    pub(super) fn duration(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    pub(super) fn generation(number: u64) -> Generation {
        Generation::new(number)
    }

    pub(super) fn number(generation: Generation) -> u64 {
        generation.get()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    now: u64,
    key: String,
    users: BTreeMap<String, User>,
    rules: BTreeMap<String, String>,
    configurations: BTreeMap<String, Configuration>,
    sessions: BTreeMap<String, Name>,
    tokens: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    is_active: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    #[serde(rename = "JWTAUTH")]
    settings: Settings,
    #[serde(rename = "CSRF_TRUSTED_ORIGINS")]
    trusted: Vec<String>,
    /// The attributes of the cookies, which the engine leaves to its callers.
    #[serde(rename = "attributes")]
    _attributes: Vec<String>,
}

/// The settings that the corpus uses, and their defaults.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default, deny_unknown_fields)]
struct Settings {
    access_token_cookie_name: String,
    refresh_token_cookie_name: String,
    cookie_path: String,
    cookie_domain: Option<String>,
    cookie_samesite: String,
    access_token_lifetime: u64,
    refresh_token_lifetime: u64,
    session_lifetime: Option<u64>,
    lock_after: Option<u64>,
    refresh_token_grace_period: u64,
    bearer_tokens: bool,
    reuse_ends_all_sessions: bool,
    render_server_secret: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let CookiePolicy { access_name, refresh_name, path, .. } = CookiePolicy::default();
        Self {
            access_token_cookie_name: access_name,
            refresh_token_cookie_name: refresh_name,
            cookie_path: path,
            cookie_domain: None,
            cookie_samesite: "Strict".to_owned(),
            access_token_lifetime: 300,
            refresh_token_lifetime: 86_400,
            session_lifetime: Some(30 * 86_400),
            lock_after: None,
            refresh_token_grace_period: 30,
            bearer_tokens: true,
            reuse_ends_all_sessions: false,
            render_server_secret: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    #[serde(rename = "sid")]
    _sid: String,
    id: String,
}

impl Name {
    fn id(&self) -> Uuid {
        self.id.parse().unwrap()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rule: String,
    configuration: String,
    unable: BTreeMap<String, String>,
    rows: BTreeMap<String, Row>,
    request: Request,
    answer: Expected,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    user: String,
    generation: u64,
    acknowledged_at: Option<u64>,
    rotated_at: u64,
    created_at: u64,
    expires_at: u64,
    end_is_fixed: bool,
    remember: bool,
    last_seen_at: u64,
    #[serde(default)]
    auth_time: Option<u64>,
    #[serde(default)]
    locks_at: Option<u64>,
    #[serde(default)]
    amr: String,
    #[serde(default)]
    device_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    view: String,
    method: String,
    http_version: String,
    sent_to: String,
    headers: Vec<(String, String)>,
    responds: Vec<(String, String)>,
    /// The query of the URL, which the head leaves out.
    #[serde(default, rename = "query")]
    _query: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    code: Option<String>,
    user: Option<String>,
    set: BTreeMap<String, Cookie>,
    cleared: bool,
    vary: Option<Vec<String>>,
    cache_control: Option<String>,
    headers: BTreeMap<String, Option<String>>,
    rows: BTreeMap<String, Value>,
    events: Vec<String>,
    #[serde(default)]
    missing: Option<Missing>,
}

/// What a request lacks for its view.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Missing {
    max_age: Option<u64>,
    methods: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Cookie {
    session: String,
    generation: u64,
    issued_at: u64,
    expires_at: u64,
    max_age: Option<u64>,
    /// By default, the time of the login.
    auth_time: Option<u64>,
    #[serde(default)]
    amr: Vec<String>,
}

/// The result of a request, as expected and as returned.
#[derive(Debug, Default, PartialEq)]
struct Given {
    status: u16,
    code: Option<String>,
    user: Option<String>,
    set: BTreeMap<String, Cookie>,
    cleared: bool,
    vary: Option<Vec<String>>,
    cache_control: Option<String>,
    headers: BTreeMap<String, Option<String>>,
    rows: BTreeMap<String, Row>,
    events: Vec<String>,
    missing: Option<Missing>,
}

impl Case {
    fn expected(&self) -> Given {
        let Expected { status, cleared, .. } = self.answer;
        let rows = self.expected_rows();
        let mut set = self.answer.set.clone();
        for cookie in set.values_mut() {
            cookie.auth_time.get_or_insert(rows[&cookie.session].created_at);
        }
        Given {
            status,
            code: self.answer.code.clone(),
            user: self.answer.user.clone(),
            set,
            cleared,
            vary: self.answer.vary.clone(),
            cache_control: self.answer.cache_control.clone(),
            headers: self.answer.headers.clone(),
            rows,
            events: self.answer.events.clone(),
            missing: self.answer.missing.clone(),
        }
    }

    /// Each value is `"unchanged"`, `"gone"`, or the columns that change; for a new row, all columns.
    fn expected_rows(&self) -> BTreeMap<String, Row> {
        let row = |(name, after): (&String, &Value)| {
            let mut row =
                self.rows.get(name).map_or_else(|| Value::Object(Map::new()), |row| serde_json::to_value(row).unwrap());
            match after {
                Value::String(word) if word == "gone" => return None,
                Value::String(word) if word == "unchanged" => {}
                Value::Object(changes) => row.as_object_mut().unwrap().extend(changes.clone()),
                other => panic!("{}: {other}", self.name),
            }
            Some((name.clone(), serde_json::from_value(row).unwrap()))
        };
        self.answer.rows.iter().filter_map(row).collect()
    }
}

impl Row {
    fn session(&self, policy: &RotationPolicy) -> Session {
        let mut session = policy.start(time(self.created_at));
        session.generation = generation(self.generation);
        session.acknowledged_at = self.acknowledged_at.map(time);
        session.rotated_at = time(self.rotated_at);
        session.expires_at = time(self.expires_at);
        session.end_is_fixed = self.end_is_fixed;
        session
            .with_auth_time(self.auth_time.map(time))
            .with_locks_at(self.locks_at.map(time))
            .with_device(DeviceBinding::from_stored(self.device_key.as_deref()))
    }

    fn write(&mut self, session: &Session) {
        self.generation = number(session.generation);
        self.acknowledged_at = session.acknowledged_at.map(seconds);
        self.rotated_at = seconds(session.rotated_at);
        self.expires_at = seconds(session.expires_at);
        self.auth_time = session.auth_time.map(seconds);
        self.locks_at = session.locks_at.map(seconds);
    }
}

fn site(corpus: &Corpus, configuration: &Configuration) -> Site {
    let settings = &configuration.settings;
    let key = SigningKey::read(Algorithm::Hs256, corpus.key.as_bytes()).unwrap();
    let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
    let lifetimes = Lifetimes::new(
        duration(settings.access_token_lifetime),
        duration(settings.refresh_token_lifetime),
        settings.session_lifetime.map(duration),
    );
    let policy = RotationPolicy::new(lifetimes.unwrap(), duration(settings.refresh_token_grace_period))
        .with_lock_after(settings.lock_after.map(duration));
    let mut cookies = CookiePolicy::default();
    cookies.access_name.clone_from(&settings.access_token_cookie_name);
    cookies.refresh_name.clone_from(&settings.refresh_token_cookie_name);
    cookies.path.clone_from(&settings.cookie_path);
    cookies.domain.clone_from(&settings.cookie_domain);
    cookies.same_site = settings.cookie_samesite.parse().unwrap();
    assert_eq!(cookies.problems(), []);
    let origins = OriginPolicy::new(configuration.trusted.iter().map(String::as_str)).unwrap();
    let secrets = RenderSecrets::new(settings.render_server_secret.iter().map(String::as_str)).unwrap();
    let own = "https://own.example".parse().unwrap();
    let transport = Transport::new(cookies, origins, settings.bearer_tokens)
        .with_render_secrets(secrets)
        .with_dpop_origins(Some(vec![own]));
    Site::new(tokens, policy, transport)
}

/// The head of a request as a server passes it on: repeated headers joined by commas, each `Cookie` field separate.
struct Fields {
    cookies: Vec<Vec<u8>>,
    joined: BTreeMap<String, String>,
}

impl Fields {
    fn read(request: &Request, tokens: &BTreeMap<String, String>) -> Self {
        let mut fields = Self { cookies: Vec::new(), joined: BTreeMap::new() };
        for (name, text) in &request.headers {
            let mut text = text.clone();
            for (name, token) in tokens {
                text = text.replace(&format!("{{{name}}}"), token);
            }
            assert!(!text.contains('{'), "{text}");
            let octets: Vec<u8> = text.chars().map(|octet| u8::try_from(octet).unwrap()).collect();
            let name = name.to_ascii_lowercase();
            if name == "cookie" {
                fields.cookies.push(octets);
                continue;
            }
            let value = String::from_utf8_lossy(&octets).into_owned();
            fields.joined.entry(name).and_modify(|before| write!(before, ",{value}").unwrap()).or_insert(value);
        }
        fields
    }

    fn head<'h>(&'h self, request: &'h Request, path: &'h str, cookies: &'h [&'h [u8]]) -> Head<'h> {
        let header = |name: &str| self.joined.get(name).map(String::as_str);
        let mut head = Head::new(&request.method);
        head.path = path;
        head.version = HttpVersion::parse(&request.http_version);
        head.cookies = cookies;
        head.authorization = header("authorization");
        head.dpop = header("dpop");
        head.origin = header("origin");
        head.sec_fetch_site = header("sec-fetch-site");
        head.upgrade = header("upgrade");
        head.content_length = header("content-length");
        head.transfer_encoding = header("transfer-encoding");
        head.render_secret = header(RENDER_SECRET_HEADER);
        head.activity = header(ACTIVITY_HEADER);
        head
    }
}

/// A driver of the engine over a map of rows. It does what Django and axum do with a database.
struct Face<'c> {
    corpus: &'c Corpus,
    site: Site,
    reuse_ends_all: bool,
    rows: BTreeMap<Uuid, Row>,
    events: Vec<String>,
    outcome: Outcome,
    was_asked: bool,
    /// The claims of the access token in force.
    claims: Option<Claims>,
    /// Whether a decision about a refresh token has already admitted the request.
    is_admitted: bool,
    /// The code for which a refresh token was refused, if the client can act on it.
    refusal: Option<&'static str>,
    missing: Option<Missing>,
    /// `WWW-Authenticate`.
    challenge: Option<String>,
}

/// The status, code and user of a view's response.
type Response = (u16, Option<&'static str>, Option<String>);

const BOTH: &[TokenKind] = &[TokenKind::Access, TokenKind::Refresh];
const FORBIDDEN: Response = (403, Some("cross_origin"), None);

impl<'c> Face<'c> {
    fn new(corpus: &'c Corpus, case: &Case) -> Self {
        let configuration = &corpus.configurations[&case.configuration];
        Self {
            corpus,
            site: site(corpus, configuration),
            reuse_ends_all: configuration.settings.reuse_ends_all_sessions,
            rows: case.rows.iter().map(|(name, row)| (corpus.sessions[name].id(), row.clone())).collect(),
            events: Vec::new(),
            outcome: Outcome::Unchanged,
            was_asked: false,
            claims: None,
            is_admitted: false,
            refusal: None,
            missing: None,
            challenge: None,
        }
    }

    fn answer(mut self, case: &Case) -> Given {
        let request = &case.request;
        let fields = Fields::read(request, &self.corpus.tokens);
        let cookies: Vec<&[u8]> = fields.cookies.iter().map(Vec::as_slice).collect();
        let path = format!("/{}/", request.view);
        let head = fields.head(request, &path, &cookies);
        let own = || request.sent_to.parse().ok();
        let (identity, response) = match self.site.identify(&head, own, time(self.corpus.now)) {
            Ok(identity) => {
                if identity.has_wrong_render_secret() {
                    self.log("wrong_render_secret");
                }
                let is_disputed = identity.is_disputed();
                let identity = identity.settle(|sid| self.is_live(sid));
                let is_asked = is_disputed && !identity.is_anonymous();
                let response = if is_asked && self.site.transport().check_origin(&head, own).is_err() {
                    self.log("cross_origin");
                    FORBIDDEN
                } else {
                    self.serve(case, &head, &identity)
                };
                (identity, response)
            }
            Err(refused) => {
                let response = match refused.error {
                    IdentifyError::CrossOrigin(_) => {
                        self.log("cross_origin");
                        FORBIDDEN
                    }
                    _ => self.refuse(&refused.error),
                };
                (refused.identity, response)
            }
        };
        let answer = self.site.respond(&identity, &self.outcome, self.was_asked, time(self.corpus.now)).unwrap();
        self.given(case, response, &answer)
    }

    /// Run the steps before the view, and the view.
    fn serve(&mut self, case: &Case, head: &Head<'_>, identity: &Identity) -> Response {
        self.claims = identity.access().cloned();
        if let Some(claims) = identity.refresh() {
            self.refresh(identity, claims);
        }
        if identity.is_bearer() && self.user(identity).is_none() {
            return self.refuse(&identity.over());
        }
        let view = case.request.view.as_str();
        let own = || case.request.sent_to.parse().ok();
        if matches!(view, "login" | "login-forget" | "login-hour" | "logout" | "reauthenticate")
            && self.site.transport().check_origin(head, own).is_err()
        {
            self.log("cross_origin");
            return FORBIDDEN;
        }
        match view {
            "idle" => (200, None, None),
            "failing" => (500, None, None),
            "public" => (200, None, self.user(identity)),
            "websocket" => (101, None, self.user(identity)),
            "me" | "recent" | "otp" => match self.user(identity) {
                Some(user) => self.require(view).unwrap_or((200, None, Some(user))),
                None => (403, self.refusal.or(Some("not_authenticated")), None),
            },
            "reauthenticate" => self.reauthenticate(identity),
            "logout" => {
                self.was_asked = true;
                self.end_named(identity, None);
                self.outcome = Outcome::Cleared;
                (200, None, None)
            }
            login => self.login(identity, login),
        }
    }

    /// Refuse the token of `Authorization`.
    fn refuse(&mut self, error: &IdentifyError) -> Response {
        if error.code() == "invalid_dpop_proof" {
            self.log(error.code());
        }
        self.challenge = error.challenge().map(Cow::into_owned);
        (error.status(), Some(error.code()), None)
    }

    fn refresh(&mut self, identity: &Identity, claims: &Claims) {
        let (id, now) = (claims.sid.session_id(), time(self.corpus.now));
        let Some(mut row) = self.find(id) else { return };
        let session = row.session(self.site.policy());
        let decision = self.site.refresh(identity, claims, &session, now);
        if matches!(decision, Decision::Reuse) {
            self.claims = None;
            self.end(&[id]);
            self.log("refresh_token_reused");
            if self.reuse_ends_all {
                let of_user = self.rows.iter().filter(|(_, other)| other.user == row.user);
                let ids: Vec<_> = of_user.map(|(id, _)| *id).collect();
                self.end(&ids);
            }
            return;
        }
        if let Some(next) = decision.next(&session) {
            row.write(&next);
            row.last_seen_at = self.corpus.now;
        }
        if decision == Decision::Unbind {
            row.device_key = None;
        }
        if decision.acknowledges() {
            row.acknowledged_at = Some(self.corpus.now);
        }
        if let Some(warning) = decision.warning() {
            self.log(warning);
        }
        if matches!(decision, Decision::Refuse(Refusal::LateUpload | Refusal::Locked | Refusal::Unproven)) {
            self.refusal = Some(decision.code());
        }
        if decision.admits() {
            if matches!(decision, Decision::Rotate(_) | Decision::RotateIdle(_)) {
                self.log("session_refreshed");
            }
            self.is_admitted = true;
            let authentication = Authentication::of(claims, &row.session(self.site.policy()));
            self.grant(claims.sid, &row, authentication, decision.issues());
            self.rows.insert(id, row);
        }
    }

    /// Return when and how the request's user last authenticated.
    fn authentication(&self) -> Authentication {
        let claims = self.claims.as_ref().unwrap();
        Authentication::of(claims, &self.rows[&claims.sid.session_id()].session(self.site.policy()))
    }

    /// Return the refusal of a view if the request's user must authenticate again.
    fn require(&mut self, view: &str) -> Option<Response> {
        let (found, limit) = (self.authentication(), 300);
        self.missing = match view {
            "recent" if !found.is_recent(duration(limit), time(self.corpus.now)) => {
                Some(Missing { max_age: Some(limit), methods: Vec::new() })
            }
            "otp" if !found.methods.contains("otp") => Some(Missing { max_age: None, methods: vec!["otp".to_owned()] }),
            _ => return None,
        };
        Some((403, Some("reauthentication_required"), None))
    }

    /// Authenticate user 1 again, by the method `otp`.
    fn reauthenticate(&mut self, identity: &Identity) -> Response {
        const REFUSED: Response = (403, Some("permission_denied"), None);
        let is_locked = self.refusal == Some("session_locked");
        if !is_locked && self.user(identity).is_none() {
            return REFUSED;
        }
        self.was_asked = true;
        let own = self.claims.clone().filter(|_| !is_locked);
        let of_own = |claims: &&Claims| own.as_ref().is_none_or(|own| own.sid == claims.sid);
        let presented = identity.refresh().filter(of_own).or(own.as_ref()).cloned().unwrap();
        let id = presented.sid.session_id();
        let Some(mut row) = self.find(id).filter(|row| row.user == "1") else { return REFUSED };
        let (policy, now) = (*self.site.policy(), time(self.corpus.now));
        let next = policy.reauthenticate(&row.session(&policy), now);
        let Some(next) = next else { return REFUSED };
        let methods = Methods::from_stored(&row.amr).union(&Methods::new(["otp"]).unwrap()).unwrap();
        row.write(&next);
        (row.amr, row.last_seen_at) = (methods.as_str().to_owned(), self.corpus.now);
        self.log("session_reauthenticated");
        self.grant(presented.sid, &row, Authentication::new(now, methods), BOTH);
        self.rows.insert(id, row);
        (200, None, Some("1".to_owned()))
    }

    /// Return the user of the access token in force, by the strict check.
    fn user(&mut self, identity: &Identity) -> Option<String> {
        self.was_asked = true;
        let (now, claims) = (self.corpus.now, self.claims.clone()?);
        if self.is_admitted {
            return Some(claims.subject);
        }
        let id = claims.sid.session_id();
        let row = self.find(id);
        let session = row.as_ref().map(|row| row.session(self.site.policy()));
        let found = row.as_ref().zip(session.as_ref());
        let found = found.map(|(row, session)| FoundRow::new(session, Some(row.user.as_str()), time(row.last_seen_at)));
        let Check::Live { acknowledge, update_last_seen } = self.site.check(identity, &claims, found, time(now)) else {
            return None;
        };
        let mut row = row?;
        if acknowledge {
            row.acknowledged_at = Some(now);
        }
        if update_last_seen {
            row.last_seen_at = now;
        }
        self.rows.insert(id, row);
        Some(claims.subject)
    }

    fn login(&mut self, identity: &Identity, view: &str) -> Response {
        let (policy, now) = (*self.site.policy(), self.corpus.now);
        let sid = Sid::generate(&SystemRandom::new(), time(now)).unwrap();
        let session = match view {
            "login" | "login-forget" | "login-callback" => policy.start(time(now)),
            "login-hour" => policy.start_for(duration(3600), time(now)),
            other => panic!("unknown view {other}"),
        };
        let mut row = Row {
            user: "1".to_owned(),
            generation: 0,
            acknowledged_at: None,
            rotated_at: 0,
            created_at: seconds(session.created_at),
            expires_at: 0,
            end_is_fixed: session.end_is_fixed,
            remember: view != "login-forget",
            last_seen_at: now,
            auth_time: None,
            locks_at: None,
            amr: String::new(),
            device_key: None,
        };
        row.write(&session);
        self.log("session_started");
        self.end_named(identity, Some(sid));
        self.grant(sid, &row, Authentication::new(time(now), Methods::default()), BOTH);
        self.rows.insert(sid.session_id(), row);
        (200, None, Some("1".to_owned()))
    }

    fn grant(&mut self, sid: Sid, row: &Row, authentication: Authentication, kinds: &'static [TokenKind]) {
        let mut grantee = Grantee::new(sid, &row.user);
        (grantee.remember, grantee.authentication) = (row.remember, Some(authentication));
        let grant = self.site.grant(grantee, &row.session(self.site.policy()), kinds, time(self.corpus.now));
        self.claims = Some(grant.access().clone());
        self.outcome = Outcome::Granted(grant);
    }

    /// End the sessions that the request's tokens name, and the request's own session, except `but`.
    fn end_named(&mut self, identity: &Identity, but: Option<Sid>) {
        let own = self.claims.iter().map(|claims| claims.sid);
        let named = identity.session_names().iter().copied().chain(own).filter(|sid| Some(*sid) != but);
        let ids: BTreeSet<_> = named.map(|sid| sid.session_id()).collect();
        self.end(&ids.into_iter().collect::<Vec<_>>());
        self.claims = None;
    }

    fn end(&mut self, ids: &[Uuid]) {
        let ended = ids.iter().filter(|id| self.rows.remove(id).is_some()).count();
        if ended > 0 {
            self.log("session_ended");
        }
    }

    /// Return the row if its user may sign in.
    fn find(&self, id: Uuid) -> Option<Row> {
        self.rows.get(&id).filter(|row| self.corpus.users[&row.user].is_active).cloned()
    }

    fn is_live(&self, sid: &Sid) -> bool {
        let row = self.find(sid.session_id());
        row.is_some_and(|row| {
            let policy = self.site.policy();
            !policy.lifetimes().is_over(&row.session(policy), time(self.corpus.now))
        })
    }

    fn log(&mut self, event: &str) {
        self.events.push(event.to_owned());
    }

    /// Return everything that the corpus compares.
    fn given(self, case: &Case, (status, code, user): Response, answer: &Answer) -> Given {
        let names: BTreeMap<_, _> = self.corpus.sessions.iter().map(|(name, of)| (of.id(), name.clone())).collect();
        let name_of = |id: &Uuid| names.get(id).map_or("new", String::as_str).to_owned();
        let mut given = Given {
            status,
            code: code.map(str::to_owned),
            user,
            cleared: !answer.cookies.is_empty() && answer.cookies.iter().all(|cookie| cookie.token.is_none()),
            rows: self.rows.iter().map(|(id, row)| (name_of(id), row.clone())).collect(),
            events: self.events.clone(),
            missing: self.missing.clone(),
            ..Given::default()
        };
        for cookie in &answer.cookies {
            let Some(token) = &cookie.token else { continue };
            let claims = self.site.tokens().verify(cookie.kind, token, time(self.corpus.now)).unwrap();
            let row = &self.rows[&claims.sid.session_id()];
            assert_eq!(claims.subject, row.user);
            let issued = Cookie {
                session: name_of(&claims.sid.session_id()),
                generation: number(claims.generation),
                issued_at: seconds(claims.issued_at),
                expires_at: seconds(claims.expires_at),
                max_age: cookie.max_age.map(|max_age| max_age.as_secs()),
                auth_time: claims.auth_time.map(seconds),
                amr: claims.methods.iter().map(str::to_owned).collect(),
            };
            let kind = if cookie.kind == TokenKind::Access { "access" } else { "refresh" };
            assert!(given.set.insert(kind.to_owned(), issued).is_none(), "{kind} twice");
        }
        let present = |name: &str| {
            let found = case.request.responds.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        // If the view is not reached or fails, its headers are missing from the response.
        let of_view = |name: &str| present(name).filter(|_| status == 200);
        let vary = answer.vary(&of_view("vary").unwrap_or_default()).or_else(|| of_view("vary")).unwrap_or_default();
        given.vary = Some(vary.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect());
        let directives = of_view("cache-control");
        given.cache_control = answer.cache_control(directives.as_deref().unwrap_or_default()).or(directives);
        for name in case.answer.headers.keys() {
            let value = match name.as_str() {
                "WWW-Authenticate" => self.challenge.clone(),
                "DPoP-Nonce" => answer.dpop_nonce.clone(),
                _ => of_view(name).filter(|_| !answer.removes(name)),
            };
            given.headers.insert(name.clone(), value);
        }
        if case.answer.vary.is_none() {
            // The answer to a handshake is never cached.
            (given.vary, given.cache_control) = (None, None);
        }
        given
    }
}

fn corpus() -> Corpus {
    serde_json::from_str(include_str!("../testdata/requests.json")).unwrap()
}

#[test]
fn engine_gives_every_answer_of_the_corpus() {
    let corpus = corpus();
    let mut wrong = String::new();
    for case in &corpus.cases {
        let (expected, given) = (case.expected(), Face::new(&corpus, case).answer(case));
        if expected != given {
            writeln!(wrong, "\n{}\nexpected {expected:#?}\ngiven {given:#?}", case.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_rule_has_a_case_and_few_cases_are_skipped() {
    let corpus = corpus();
    assert!(corpus.cases.len() >= 150);
    let names: BTreeSet<_> = corpus.cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), corpus.cases.len(), "names are unique");
    let rules: BTreeSet<_> = corpus.cases.iter().map(|case| &case.rule).collect();
    assert_eq!(rules, corpus.rules.keys().collect());
    let unable = corpus.cases.iter().filter(|case| !case.unable.is_empty());
    assert!(
        unable.clone().all(|case| case.unable.keys().all(|face| face == "wsgi") && case.request.view == "websocket")
    );
    assert_eq!(unable.count(), corpus.cases.iter().filter(|case| case.request.view == "websocket").count());
}

#[test]
fn names_and_tokens_match_the_engine() {
    let corpus = corpus();
    let site = site(&corpus, &corpus.configurations["default"]);
    let mut seen = BTreeSet::new();
    for (name, token) in corpus.tokens.iter().filter(|(name, _)| !name.starts_with("proof ")) {
        let kind = if name.starts_with("access") { TokenKind::Access } else { TokenKind::Refresh };
        match site.tokens().verify_ignoring_time(kind, token) {
            Ok(claims) => {
                let session = name.split(' ').nth(1).unwrap();
                assert_eq!(claims.sid.session_id(), corpus.sessions[session].id(), "{name}");
                assert_eq!(&site.tokens().issue(kind, &claims).unwrap(), token, "{name}: the same bytes");
                seen.insert(session.to_owned());
            }
            Err(_) => assert!(["forged", "truncated"].contains(&name.as_str()), "{name}"),
        }
    }
    assert!(corpus.sessions.keys().all(|name| seen.contains(name)), "{seen:?}");
}
