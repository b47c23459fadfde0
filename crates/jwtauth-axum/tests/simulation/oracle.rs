//! The promises that must hold for every seed, each quoted from the documentation.

use std::collections::BTreeMap;

use jwtauth_axum::jwtauth::MAX_UPLOAD_DELAY;
use uuid::Uuid;

use crate::{
    flight::{Flight, Kind, Reply, Who},
    jar::Brought,
    plan::{Plan, SECOND},
    store::Deed,
};

const UPLOAD_DELAY: u64 = MAX_UPLOAD_DELAY.as_secs() * SECOND;
/// How long the layer retries after losing to another request: docs/concepts/sessions-and-rotation.md.
const PATIENCE: u64 = 3 * SECOND;

/// A promise of the documentation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Promise {
    SignedIn,
    UploadInTime,
    EndHolds,
    Expires,
    AccessExpires,
    OldTokenEnds,
    LockedOut,
    LockedOutUploads,
    Errors,
    Clears,
    TheftIsToldOnce,
    OneUser,
}

pub const PROMISES: [Promise; 12] = [
    Promise::SignedIn,
    Promise::UploadInTime,
    Promise::EndHolds,
    Promise::Expires,
    Promise::AccessExpires,
    Promise::OldTokenEnds,
    Promise::LockedOut,
    Promise::LockedOutUploads,
    Promise::Errors,
    Promise::Clears,
    Promise::TheftIsToldOnce,
    Promise::OneUser,
];

impl Promise {
    /// Return the page, and the quotation from it.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::SignedIn => (
                "docs/reliability.md",
                "Without a thief an honest user stays signed in, as long as a request that is not an upload is answered \
                 within the grace.",
            ),
            Self::UploadInTime => (
                "docs/reliability.md",
                "It is admitted with the newest token, and within 15 minutes of the last refresh with the one before.",
            ),
            Self::EndHolds => (
                "docs/reliability.md",
                "After logout or a revocation no token is accepted, and no swap or answer that was under way brings the \
                 session back.",
            ),
            Self::Expires => (
                "docs/concepts/sessions-and-rotation.md",
                "A session ends at `REFRESH_TOKEN_LIFETIME` after its last refresh (idle) or `SESSION_LIFETIME` after its \
                 login (absolute), whichever comes first.",
            ),
            Self::AccessExpires => {
                ("docs/reliability.md", "**A stolen access token** is valid until it expires or the session ends.")
            }
            Self::OldTokenEnds => (
                "SECURITY.md",
                "Once the newest tokens have been in use for 30 seconds, an ordinary request with an older refresh token \
                 ends the session and is logged.",
            ),
            Self::LockedOut => (
                "docs/concepts/sessions-and-rotation.md",
                "the thief's ordinary requests with a refresh token end the session",
            ),
            Self::LockedOutUploads => (
                "docs/concepts/sessions-and-rotation.md",
                "the thief's uploads are admitted for at most 15 minutes after that second refresh. They return no \
                 tokens.",
            ),
            Self::Errors => (
                "docs/reliability.md",
                "**While the database is away**, requests that read the user are errors, 500 or 503. No cookie is \
                 touched.",
            ),
            Self::Clears => (
                "docs/concepts/sessions-and-rotation.md",
                "A database error, a refused origin or `session_contention` changes no cookie. `logout` clears cookies \
                 only if the request brought one",
            ),
            Self::TheftIsToldOnce => {
                ("docs/concepts/sessions-and-rotation.md", "of that name: once, however many requests find it.")
            }
            Self::OneUser => (
                "docs/concepts/sessions-and-rotation.md",
                "If the valid tokens of a request name two users, under one cookie name or two, all of them are ignored.",
            ),
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Broken {
    pub promise: Promise,
    pub how: String,
}

/// A moment, by the order of events and by the clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub order: u64,
    pub at: u64,
}

/// The token that decides a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Access,
    Refresh,
    /// It depends on more than the oracle knows.
    Unknown,
}

/// A session, as the actors and the database know it.
struct Known {
    user: String,
    inserted: Moment,
    /// The newest generation, and when it was written.
    newest: (u64, u64),
    /// Whether a request that may end it was sent.
    may_end: bool,
    /// When its end was answered, and by which process.
    ended: Option<(Moment, usize)>,
    /// Whether the database has ended it.
    is_gone: bool,
    /// Whether a thief has made an ordinary request with a refresh token.
    is_tainted: bool,
    /// Since when each generation is in use.
    in_use: BTreeMap<u64, u64>,
    thefts_told: u32,
    /// The newest generation in a response to an owner.
    owners: u64,
    thefts: BTreeMap<usize, Theft>,
}

/// The state of a theft.
#[derive(Default)]
struct Theft {
    /// The number of the thief's ordinary requests with a refresh token in flight.
    under_way: u32,
    /// When the last of them was answered.
    last: u64,
    /// How often the owner has received newer tokens since.
    refreshes: u32,
    /// The generation of the second newer tokens, and when they were sent.
    second: Option<(u64, u64)>,
}

/// A thief who is locked out.
#[derive(Clone, Copy, Debug)]
pub struct Lockout {
    since: u64,
    second_at: u64,
}

/// The longest times for which thieves were served after a lockout: with access tokens and with uploads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Longest {
    pub by_access: u64,
    pub by_upload: u64,
    /// Beyond the bound; only in broken promises.
    pub beyond: u64,
}

pub struct Oracle {
    plan: Plan,
    sessions: BTreeMap<Uuid, Known>,
    pub longest: Longest,
    pub lockouts: u64,
    pub thefts: u64,
}

impl Oracle {
    pub fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), sessions: BTreeMap::new(), longest: Longest::default(), lockouts: 0, thefts: 0 }
    }

    /// Return the sessions of this user that may be live.
    pub fn of_user(&self, user: &str) -> Vec<Uuid> {
        let mut of_user: Vec<_> =
            self.sessions.iter().filter(|(_, known)| known.user == user && !known.is_gone).collect();
        of_user.sort_by_key(|(_, known)| known.inserted.order);
        of_user.into_iter().map(|(id, _)| *id).collect()
    }

    /// Process a write of the database.
    pub fn hear(&mut self, deed: &Deed, now: Moment, others_end: bool) -> Result<(), Broken> {
        match deed {
            Deed::Inserted { session, user } => {
                let is_tainted = self.plan.reuse_ends_all
                    && self.sessions.values().any(|known| known.user == *user && known.is_tainted);
                let known = Known {
                    user: user.clone(),
                    inserted: now,
                    newest: (1, now.at),
                    may_end: others_end,
                    ended: None,
                    is_gone: false,
                    is_tainted,
                    in_use: BTreeMap::new(),
                    thefts_told: 0,
                    owners: 1,
                    thefts: BTreeMap::new(),
                };
                self.sessions.insert(*session, known);
            }
            Deed::Advanced { session, generation } => {
                if let Some(known) = self.sessions.get_mut(session) {
                    known.newest = (*generation, now.at);
                }
            }
            Deed::Ended { session } => {
                if let Some(known) = self.sessions.get_mut(session) {
                    known.is_gone = true;
                }
            }
            Deed::Reused { session } => {
                let Some(known) = self.sessions.get_mut(session) else { return Ok(()) };
                known.thefts_told += 1;
                if !known.is_tainted {
                    return broken(Promise::SignedIn, "an honest user's token is treated as copied");
                }
                if known.thefts_told > 1 {
                    return broken(Promise::TheftIsToldOnce, "a theft is reported twice");
                }
                self.thefts += 1;
            }
        }
        Ok(())
    }

    /// Process a thief's copy of the tokens of this session.
    pub fn stolen(&mut self, thief: usize, session: Uuid, now: Moment) {
        if let Some(known) = self.sessions.get_mut(&session) {
            let theft = known.thefts.entry(thief).or_default();
            (theft.last, theft.refreshes, theft.second) = (now.order, 0, None);
        }
    }

    /// Process a sent request.
    pub fn sent(&mut self, flight: &mut Flight) {
        let sessions: Vec<Uuid> = flight.brought.tokens().map(|token| token.session).collect();
        match &flight.kind {
            Kind::Login(_) | Kind::Logout => {
                for session in &sessions {
                    self.change(session, |known| known.may_end = true);
                }
            }
            Kind::End(session) => self.change(session, |known| known.may_end = true),
            Kind::Others => {
                let users: Vec<String> = flight.brought.tokens().map(|token| token.user.clone()).collect();
                let is_single = sessions.windows(2).all(|pair| pair[0] == pair[1]);
                for (id, known) in &mut self.sessions {
                    if users.contains(&known.user) && !(is_single && sessions.contains(id)) {
                        known.may_end = true;
                    }
                }
            }
            _ => {}
        }
        let Who::Thief(thief) = flight.who else { return };
        let decides = flight.brought.refresh.as_ref().or(flight.brought.access.as_ref());
        flight.lockout = decides.and_then(|token| self.lockout(thief, &token.session, flight.sent_at));
        if flight.kind.is_upload() {
            return;
        }
        if let Some(refresh) = flight.brought.refresh.clone() {
            let ends_all = self.plan.reuse_ends_all;
            for (id, known) in &mut self.sessions {
                known.is_tainted |= *id == refresh.session || ends_all && known.user == refresh.user;
            }
            if let Some(theft) = self.theft(thief, &refresh.session) {
                theft.under_way += 1;
                (theft.refreshes, theft.second) = (0, None);
            }
        }
    }

    fn lockout(&mut self, thief: usize, session: &Uuid, now: u64) -> Option<Lockout> {
        let known = self.sessions.get(session)?;
        let (generation, second_at) = known.thefts.get(&thief)?.second?;
        let since = known.in_use.range(generation..).map(|(_, since)| *since).min()?;
        let since = since.max(second_at) + self.plan.grace + SECOND;
        (since <= now).then_some(Lockout { since, second_at })
    }

    fn theft(&mut self, thief: usize, session: &Uuid) -> Option<&mut Theft> {
        self.sessions.get_mut(session)?.thefts.get_mut(&thief)
    }

    fn change(&mut self, session: &Uuid, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.sessions.get_mut(session) {
            change(known);
        }
    }

    /// Process the start of a worker on the request.
    pub fn begun(&self, flight: &mut Flight) {
        let refresh = flight.brought.refresh.as_ref();
        flight.newest_at_begin = refresh.and_then(|refresh| Some(self.sessions.get(&refresh.session)?.newest));
    }

    /// Process a request that may never be answered.
    pub fn given_up(&mut self, flight: &Flight, now: Moment) {
        self.settle_theft(flight, now, true);
    }

    fn settle_theft(&mut self, flight: &Flight, now: Moment, may_have_refreshed: bool) {
        let (Who::Thief(thief), Some(refresh)) = (flight.who, &flight.brought.refresh) else { return };
        if flight.kind.is_upload() {
            return;
        }
        if let Some(theft) = self.theft(thief, &refresh.session) {
            theft.under_way = theft.under_way.saturating_sub(1);
            theft.last = now.order;
            if may_have_refreshed {
                (theft.refreshes, theft.second) = (0, None);
            }
        }
    }

    fn way(&self, flight: &Flight) -> Way {
        let (Some(begun), skew) = (flight.begun, self.plan.clock_error()) else { return Way::Unknown };
        match (&flight.brought.access, &flight.brought.refresh) {
            (None, Some(_)) => Way::Refresh,
            (Some(access), refresh) => {
                let is_of_one = refresh.as_ref().is_none_or(|refresh| refresh.session == access.session);
                if !access.has_expired(begun.at + skew) && is_of_one {
                    Way::Access
                } else if access.has_expired(begun.at.saturating_sub(skew)) {
                    Way::Refresh
                } else {
                    Way::Unknown
                }
            }
            (None, None) => Way::Unknown,
        }
    }

    /// Process a response of the server.
    pub fn answered(&mut self, flight: &Flight, reply: &Reply, has_failed: bool, now: Moment) -> Result<(), Broken> {
        let may_have_refreshed = reply.status >= 500 || reply.served.is_some();
        self.settle_theft(flight, now, may_have_refreshed);
        if reply.status >= 500 {
            let is_slow = flight.begun.is_some_and(|begun| now.at > begun.at + PATIENCE);
            let is_contention = is_slow && reply.body.contains("session_contention");
            if !has_failed && !is_contention {
                return broken(Promise::Errors, format!("status {} although the store has not failed", reply.status));
            }
            // Cookies of a refresh before the error may be set.
            if reply.cookies.iter().any(|cookie| cookie.token.is_none()) {
                return broken(Promise::Errors, "an error response clears a cookie");
            }
            return Ok(());
        }
        self.check_cookies(flight, reply)?;
        if let Some((user, session)) = &reply.served {
            self.check_served(flight, reply, user, session, now)?;
            self.note_use(flight, session, has_failed, now);
        } else if reply.expects_a_user {
            self.check_anonymous(flight, reply, has_failed, now)?;
        }
        self.note_ends(flight, reply, now);
        self.note_refresh(flight, reply, now);
        Ok(())
    }

    fn check_cookies(&self, flight: &Flight, reply: &Reply) -> Result<(), Broken> {
        for cookie in &reply.cookies {
            let Some(token) = &cookie.token else {
                if matches!(flight.kind, Kind::Logout) && flight.brought.tokens().next().is_some() {
                    continue;
                }
                return broken(Promise::Clears, format!("{:?} clears a cookie", flight.kind));
            };
            let life = if cookie.is_refresh { self.plan.idle } else { self.plan.access };
            if token.expires_at.saturating_sub(token.issued_at) * SECOND > life {
                return broken(Promise::Expires, format!("{token:?} has too long a lifetime"));
            }
            if cookie.is_refresh && self.ends_at(&token.session).is_some_and(|end| token.expires_at * SECOND > end) {
                return broken(Promise::Expires, format!("{token:?} outlives its session"));
            }
            let is_upload = flight.kind.is_upload();
            if is_upload && self.way(flight) == Way::Refresh {
                return broken(Promise::LockedOutUploads, "an upload receives tokens");
            }
        }
        Ok(())
    }

    /// Return the latest time at which the session expires.
    fn ends_at(&self, session: &Uuid) -> Option<u64> {
        let known = self.sessions.get(session)?;
        let idle = known.newest.1 + self.plan.idle;
        let absolute = self.plan.absolute.map_or(u64::MAX, |absolute| known.inserted.at + absolute);
        Some(idle.min(absolute) + self.plan.clock_error())
    }

    fn check_served(
        &mut self,
        flight: &Flight,
        reply: &Reply,
        user: &str,
        session: &Uuid,
        now: Moment,
    ) -> Result<(), Broken> {
        let (Some(begun), way) = (flight.begun, self.way(flight)) else { return Ok(()) };
        let token = flight.brought.tokens().find(|token| token.session == *session);
        if token.is_none_or(|token| token.user != user) {
            return broken(
                Promise::OneUser,
                format!("served as {user}, session {session}, although its tokens name another user"),
            );
        }
        let ends_at = self.ends_at(session);
        let Some(known) = self.sessions.get(session) else { return Ok(()) };
        if let Some((end, process)) = known.ended.filter(|(end, _)| begun.order > end.order) {
            let believes_for = if process == flight.process { Some(0) } else { self.plan.interval };
            if way == Way::Refresh || believes_for.is_some_and(|interval| begun.at >= end.at + interval) {
                return broken(Promise::EndHolds, format!("served {} ms after its end", begun.at - end.at));
            }
        }
        if ends_at.is_some_and(|end| begun.at >= end) {
            return broken(Promise::Expires, format!("served at {}, after {ends_at:?}", begun.at));
        }
        let (access, refresh) = (&flight.brought.access, &flight.brought.refresh);
        let has_expired = |skew| access.as_ref().is_some_and(|it| it.has_expired(begun.at.saturating_sub(skew)));
        if refresh.is_none() && has_expired(self.plan.clock_error()) {
            return broken(Promise::AccessExpires, "served with an expired access token");
        }
        let is_upload = flight.kind.is_upload();
        if let (Way::Refresh, Some(refresh)) = (way, refresh.as_ref().filter(|it| it.session == *session)) {
            let is_in_use = |since: &u64| since + self.plan.grace + SECOND <= begun.at;
            if !is_upload && known.in_use.range(refresh.generation + 1..).any(|(_, since)| is_in_use(since)) {
                return broken(
                    Promise::OldTokenEnds,
                    format!("{refresh:?} is accepted although these are in use: {:?}", known.in_use),
                );
            }
            if let Some((newest, rotated_at)) = flight.newest_at_begin.filter(|_| is_upload) {
                let is_late = begun.at > rotated_at + UPLOAD_DELAY + SECOND + self.plan.clock_error();
                if newest > refresh.generation + 1 || newest > refresh.generation && is_late {
                    return broken(
                        Promise::UploadInTime,
                        format!("{refresh:?} is admitted although the newest generation is {newest}"),
                    );
                }
            }
        }
        if let Some(lockout) = flight.lockout {
            let since = now.at - lockout.since;
            match way {
                Way::Access => self.longest.by_access = self.longest.by_access.max(since),
                Way::Refresh if is_upload && reply.cookies.is_empty() => {
                    self.longest.by_upload = self.longest.by_upload.max(since);
                    let bound = lockout.second_at + UPLOAD_DELAY + SECOND + self.plan.clock_error();
                    if begun.at > bound {
                        self.longest.beyond = self.longest.beyond.max(begun.at - bound);
                        return broken(
                            Promise::LockedOutUploads,
                            format!("served {} ms after the bound", begun.at - bound),
                        );
                    }
                }
                Way::Refresh => {
                    self.longest.beyond = self.longest.beyond.max(since);
                    return broken(Promise::LockedOut, format!("served {since} ms after the lockout"));
                }
                Way::Unknown => {}
            }
        }
        Ok(())
    }

    /// Record that the client has sent the token by which it was served.
    fn note_use(&mut self, flight: &Flight, session: &Uuid, has_failed: bool, now: Moment) {
        let token = match self.way(flight) {
            _ if has_failed => None,
            Way::Access => flight.brought.access.as_ref(),
            Way::Refresh => flight.brought.refresh.as_ref(),
            Way::Unknown => None,
        };
        if let Some((token, known)) = token.filter(|it| it.session == *session).zip(self.sessions.get_mut(session)) {
            known.in_use.entry(token.generation).or_insert(now.at);
        }
    }

    fn check_anonymous(&mut self, flight: &Flight, reply: &Reply, has_failed: bool, now: Moment) -> Result<(), Broken> {
        let Brought { access, refresh, .. } = &flight.brought;
        let is_upload = flight.kind.is_upload();
        let Some(token) = refresh.as_ref().or(access.as_ref()) else { return Ok(()) };
        let Some(known) = self.sessions.get(&token.session) else { return Ok(()) };
        if flight.lockout.is_some() && self.way(flight) == Way::Refresh && !is_upload && !has_failed {
            let has_expired = token.has_expired(now.at + self.plan.clock_error());
            if !known.is_gone && !has_expired {
                return broken(Promise::LockedOut, "a locked-out thief is rejected, but the session continues");
            }
        }
        if !matches!(flight.who, Who::Browser(_))
            || known.may_end
            || known.is_tainted
            || flight.brought.names_two_users()
            || token.has_expired(now.at + self.plan.clock_error())
        {
            return Ok(());
        }
        let is_access_good = access.as_ref().is_some_and(|it| !it.has_expired(now.at + self.plan.clock_error()));
        if flight.brought.by_header {
            return if is_access_good { broken(Promise::SignedIn, format!("a bearer: {reply:?}")) } else { Ok(()) };
        }
        if is_upload && !is_access_good {
            let (newest, rotated_at) = known.newest;
            let is_late = now.at + SECOND + self.plan.clock_error() >= rotated_at + UPLOAD_DELAY;
            if newest > token.generation + 1 || newest > token.generation && is_late {
                return Ok(());
            }
            return broken(
                Promise::UploadInTime,
                format!("{token:?} is rejected although the newest generation is {:?}", known.newest),
            );
        }
        broken(Promise::SignedIn, format!("{token:?} of a live session is rejected: {reply:?}"))
    }

    fn note_ends(&mut self, flight: &Flight, reply: &Reply, now: Moment) {
        if reply.status != 200 {
            return;
        }
        let process = flight.process;
        let end = |known: &mut Known| {
            if known.ended.is_none() {
                known.ended = Some((now, process));
            }
        };
        let new = reply.cookies.iter().find_map(|cookie| Some(cookie.token.as_ref()?.session));
        match &flight.kind {
            Kind::Login(_) | Kind::Logout => {
                let sessions: Vec<_> = flight.brought.tokens().map(|token| token.session).collect();
                for session in sessions.iter().filter(|session| Some(**session) != new) {
                    self.change(session, end);
                }
            }
            Kind::End(session) if reply.body == "true" => self.change(session, end),
            Kind::Others if reply.body != "0" => {
                let own: Vec<_> = flight.brought.tokens().map(|token| token.session).collect();
                let users: Vec<_> = flight.brought.tokens().map(|token| token.user.clone()).collect();
                let begun = flight.begun.map_or(0, |begun| begun.order);
                for (id, known) in &mut self.sessions {
                    if users.contains(&known.user) && !own.contains(id) && known.inserted.order < begun {
                        end(known);
                    }
                }
            }
            _ => {}
        }
    }

    /// Process a response with new tokens to the owner.
    fn note_refresh(&mut self, flight: &Flight, reply: &Reply, now: Moment) {
        if !matches!(flight.who, Who::Browser(_)) {
            return;
        }
        for token in reply.cookies.iter().filter(|it| it.is_refresh).filter_map(|it| it.token.as_ref()) {
            let Some(known) = self.sessions.get_mut(&token.session) else { continue };
            if token.generation <= known.owners {
                continue;
            }
            known.owners = token.generation;
            for theft in known.thefts.values_mut() {
                let is_after = theft.under_way == 0 && flight.begun.is_some_and(|begun| begun.order > theft.last);
                if is_after && theft.second.is_none() {
                    theft.refreshes += 1;
                    if theft.refreshes == 2 {
                        theft.second = Some((token.generation, now.at));
                        self.lockouts += 1;
                    }
                }
            }
        }
    }
}

fn broken<T>(promise: Promise, how: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { promise, how: how.into() })
}
