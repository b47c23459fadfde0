//! One run: a service with several processes on one database, browsers, thieves, and the order of events.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use axum::Router;
use jwtauth_axum::{AuthLayer, Event, SessionStore};
use tokio::{sync::oneshot, task::yield_now};
use uuid::Uuid;

use crate::{
    common::NOW,
    figures::Figures,
    flight::{Flight, Kind, Reply, Who},
    jar::{Brought, Jar, SetCookie, Token},
    oracle::{Broken, Moment, Oracle},
    plan::{HOUR, MINUTE, Plan, SECOND, TICK},
    random::Random,
    site,
    store::{Deed, Desk, Gated, Verdict},
    thief::Thief,
    time::{Time, WorkerClock},
    wrong::Wrong,
};

/// The most steps of a run.
const STEPS: u64 = 40_000;
const REMOVED_AT_ONCE: u32 = 200;

/// A worker of the service, with its cache.
struct Process {
    number: usize,
    router: Router,
    clock: WorkerClock,
    is_alive: Arc<AtomicBool>,
}

struct Browser {
    user: String,
    jar: Jar,
    /// Whether it sends its access token in `Authorization` while the token is valid.
    is_bearer: bool,
    is_signed_out: bool,
}

pub struct World<S> {
    random: Random,
    plan: Plan,
    time: Time,
    /// Counts events.
    order: u64,
    store: S,
    wrong: Wrong,
    desk: Desk,
    processes: Vec<Process>,
    /// The senders of dead processes, whose calls wait forever.
    graves: Vec<oneshot::Sender<Verdict>>,
    browsers: Vec<Browser>,
    thieves: Vec<Thief>,
    /// The browser that acts next, if decided.
    next: Option<usize>,
    flights: BTreeMap<u32, Flight>,
    last: u32,
    oracle: Oracle,
    pub figures: Figures,
    /// What has happened, if it is recorded.
    told: Option<Vec<String>>,
    /// In the order in which they started.
    sessions: Vec<Uuid>,
}

/// Something that can proceed.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Call(u32),
    Poll(u32),
    Deliver(u32),
}

impl<S: SessionStore + Clone> World<S> {
    pub fn new(seed: u64, store: S, wrong: Wrong, is_told: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let users: Vec<String> = (1..=plan.users).map(|user| user.to_string()).collect();
        let browsers = (0..plan.browsers).map(|_| Browser {
            user: random.pick(&users),
            jar: Jar::default(),
            is_bearer: plan.skew == 0 && random.one_in(6),
            is_signed_out: true,
        });
        let browsers = browsers.collect();
        let thieves = (0..plan.thieves).map(|_| Thief::default()).collect();
        let mut world = Self {
            oracle: Oracle::new(&plan),
            time: Time::new(NOW * SECOND + random.below(SECOND / TICK) * TICK),
            random,
            order: 0,
            store,
            wrong,
            desk: Desk::default(),
            processes: Vec::new(),
            graves: Vec::new(),
            browsers,
            thieves,
            next: None,
            flights: BTreeMap::new(),
            last: 0,
            figures: Figures { seeds: 1, ..Figures::default() },
            told: is_told.then(|| vec![format!("{plan:?}")]),
            sessions: Vec::new(),
            plan,
        };
        for _ in 0..world.plan.processes {
            let process = world.process();
            world.processes.push(process);
        }
        world
    }

    fn process(&mut self) -> Process {
        self.last += 1;
        let number = usize::try_from(self.last).unwrap();
        let clock = WorkerClock::new(self.time.clone());
        let is_alive = Arc::new(AtomicBool::new(true));
        let store = Gated {
            inner: self.store.clone(),
            desk: self.desk.clone(),
            process: number,
            is_alive: Arc::clone(&is_alive),
            clock: clock.clone(),
            wrong: self.wrong.clone(),
        };
        let (desk, of_layer) = (self.desk.clone(), clock.clone());
        let layer = AuthLayer::new(self.plan.settings().build().unwrap(), store)
            .with_clock(move || of_layer.now())
            .with_receiver(move |event| {
                if let Event::RefreshTokenReused { session, .. } = event {
                    desk.note(Deed::Reused { session: session.id });
                }
            });
        Process { number, router: site::router(layer), clock, is_alive }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        let now = self.time.now();
        if let Some(told) = &mut self.told {
            told.push(line(now, &what()));
        }
    }

    /// Return what has happened. Session ids are replaced by numbers, because they are random.
    pub fn told(&mut self) -> Vec<String> {
        let mut told = self.told.take().unwrap_or_default();
        for (number, session) in self.sessions.iter().enumerate() {
            for line in told.iter_mut().filter(|line| line.contains('-')) {
                *line = line.replace(&session.to_string(), &format!("s{number}"));
            }
        }
        told
    }

    fn moment(&mut self) -> Moment {
        self.order += 1;
        Moment { order: self.order, at: self.time.now() }
    }

    /// Let everything run that can run for this request.
    async fn settle(&mut self) -> Result<(), Broken> {
        loop {
            yield_now().await;
            if !self.desk.is_inside() {
                break;
            }
            // Database calls that the request makes outside of a task proceed with it.
            if let Some(flight) = self.flights.get_mut(&self.desk.running()).filter(|flight| flight.is_woken()) {
                flight.poll();
            }
            thread::yield_now();
        }
        for deed in self.desk.take_deeds() {
            let now = self.moment();
            if let Deed::Inserted { session, .. } = deed {
                self.sessions.push(session);
            }
            let others_end = matches!(&deed, Deed::Inserted { user, .. } if self.is_ending_others(user));
            self.figures.refreshes += u64::from(matches!(deed, Deed::Advanced { .. }));
            self.tell(|| format!("    {deed:?}"));
            self.oracle.hear(&deed, now, others_end)?;
        }
        Ok(())
    }

    fn is_ending_others(&self, user: &str) -> bool {
        let of_user = |flight: &Flight| flight.brought.tokens().any(|token| token.user == user);
        self.flights.values().any(|flight| matches!(flight.kind, Kind::Others) && of_user(flight))
    }

    pub async fn run(&mut self, refreshes: u64) -> Result<(), Broken> {
        for _ in 0..STEPS {
            if self.figures.refreshes >= refreshes {
                break;
            }
            self.step().await?;
        }
        self.finish().await
    }

    async fn step(&mut self) -> Result<(), Broken> {
        let turns = self.turns();
        let under_way = self.flights.values().filter(|flight| !flight.is_gone && !flight.kind.is_upload()).count();
        if turns.is_empty() && under_way == 0 {
            if self.random.one_in(2) {
                return self.rest().await;
            }
            self.act();
            return Ok(());
        }
        match self.random.below(100) {
            0..80 if !turns.is_empty() => {
                let turn = self.random.pick(&turns);
                self.take(turn, true).await
            }
            0..85 if (under_way as u64) < self.plan.tabs => {
                self.act();
                Ok(())
            }
            85..97 => {
                let by = TICK * (1 + self.random.below(8));
                self.pass(by).await
            }
            97.. if self.random.per_mille(self.plan.departures) => self.depart().await,
            _ if turns.is_empty() => self.pass(TICK).await,
            _ => Ok(()),
        }
    }

    fn turns(&self) -> Vec<Turn> {
        let calls = self.desk.waiting().into_iter().map(Turn::Call);
        let polls = self.flights.iter().filter(|(_, flight)| flight.is_woken()).map(|(number, _)| Turn::Poll(*number));
        let answers = self.flights.iter().filter(|(_, flight)| flight.reply.is_some());
        calls.chain(polls).chain(answers.map(|(number, _)| Turn::Deliver(*number))).collect()
    }

    async fn take(&mut self, turn: Turn, may_fail: bool) -> Result<(), Broken> {
        match turn {
            Turn::Call(number) => self.let_go_on(number, may_fail).await,
            Turn::Poll(number) => self.poll(number).await,
            Turn::Deliver(number) => {
                self.deliver(number);
                Ok(())
            }
        }
    }

    async fn let_go_on(&mut self, number: u32, may_fail: bool) -> Result<(), Broken> {
        let Some(waiting) = self.desk.take(number) else { return Ok(()) };
        let mut verdict = Verdict::Go;
        if may_fail && self.random.per_mille(self.plan.failures) {
            verdict = match self.random.below(3) {
                0 if waiting.is_before => Verdict::Busy,
                1 if waiting.is_before => Verdict::Unreachable,
                _ => Verdict::Failed,
            };
            self.figures.failures += 1;
            self.desk.note_failure(number);
        }
        self.tell(|| {
            let place = if waiting.is_before { "" } else { " done" };
            format!("  {number} {}{place}: {verdict:?}", waiting.call)
        });
        self.desk.run(number);
        let _ = waiting.open.send(verdict);
        self.settle().await
    }

    async fn poll(&mut self, number: u32) -> Result<(), Broken> {
        let now = self.moment();
        let Some(flight) = self.flights.get_mut(&number) else { return Ok(()) };
        if flight.begun.is_none() {
            flight.begun = Some(now);
            self.oracle.begun(flight);
        }
        self.desk.run(number);
        let is_answered = flight.poll();
        self.settle().await?;
        if is_answered {
            let (now, has_failed) = (self.moment(), self.desk.has_failed(number));
            let (Some(flight), told) = (self.flights.get(&number), &mut self.told) else { return Ok(()) };
            let Some(reply) = &flight.reply else { return Ok(()) };
            if let Some(told) = told {
                told.push(line(now.at, &format!("{number} is answered: {}", shown(reply))));
            }
            self.figures.requests += 1;
            self.oracle.answered(flight, reply, has_failed, now)?;
        }
        Ok(())
    }

    /// Deliver the response to the client, or lose it.
    fn deliver(&mut self, number: u32) {
        let Some(mut flight) = self.flights.remove(&number) else { return };
        let Some(reply) = flight.reply.take() else { return };
        let is_lost = self.random.per_mille(self.plan.losses);
        self.figures.losses += u64::from(is_lost);
        self.tell(|| format!("{number} {}", if is_lost { "gets no response" } else { "gets its response" }));
        if is_lost {
            return;
        }
        match flight.who {
            Who::Thief(thief) => {
                self.thieves[thief].keep(&reply.cookies);
                if !reply.cookies.is_empty() && self.random.one_in(2) {
                    let quiet_until = self.time.now() + self.random.below(3 * self.plan.access);
                    self.thieves[thief].lie_low(quiet_until, quiet_until + self.random.below(HOUR));
                }
            }
            Who::Browser(browser) => {
                let browser = &mut self.browsers[browser];
                browser.jar.keep(&reply.cookies, self.time.now());
                match flight.kind {
                    Kind::Login(_) if reply.status == 200 => browser.is_signed_out = false,
                    Kind::Logout if reply.status == 200 => browser.is_signed_out = true,
                    _ if reply.is_anonymous() && !flight.brought.by_header && !flight.kind.is_upload() => {
                        browser.is_signed_out = true;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Disconnect a client, kill a process, or change a clock.
    async fn depart(&mut self) -> Result<(), Broken> {
        match self.random.below(4) {
            0 => {
                let index = self.random.index(self.processes.len());
                self.kill(index);
                Ok(())
            }
            1 => {
                let index = self.random.index(self.processes.len());
                let is_busy = self.flights.values().any(|flight| flight.process == self.processes[index].number);
                if self.plan.skew > 0 && !is_busy {
                    let ahead = i64::try_from(self.random.below(2 * self.plan.skew)).unwrap();
                    let ahead = ahead - i64::try_from(self.plan.skew).unwrap();
                    self.processes[index].clock.jump(ahead);
                    self.figures.jumps += 1;
                    self.tell(|| format!("the clock of process {index} is {ahead} ms ahead"));
                }
                Ok(())
            }
            _ => {
                let answering: Vec<u32> = self
                    .flights
                    .iter()
                    .filter(|(_, flight)| flight.is_answering())
                    .map(|(number, _)| *number)
                    .collect();
                if answering.is_empty() {
                    return Ok(());
                }
                let number = self.random.pick(&answering);
                self.tell(|| format!("the client of {number} disconnects"));
                self.figures.departures += 1;
                let now = self.moment();
                if let Some(flight) = self.flights.get_mut(&number) {
                    flight.leave();
                    self.oracle.given_up(flight, now);
                }
                self.desk.run(number);
                self.settle().await
            }
        }
    }

    /// Kill a process with everything that it has not written, and replace it.
    fn kill(&mut self, index: usize) {
        let (new, now) = (self.process(), self.moment());
        let dead = std::mem::replace(&mut self.processes[index], new);
        self.tell(|| format!("process {index} dies"));
        self.figures.deaths += 1;
        dead.is_alive.store(false, Ordering::Relaxed);
        self.graves.extend(self.desk.take_process(dead.number).into_iter().map(|waiting| waiting.open));
        let numbers: Vec<u32> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.process == dead.number)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            if let Some(flight) = self.flights.remove(&number) {
                self.oracle.given_up(&flight, now);
            }
        }
    }

    /// Let time pass, but no more than any request in flight may take; otherwise let that request proceed.
    async fn pass(&mut self, by: u64) -> Result<(), Broken> {
        let (now, mut left) = (self.time.now(), by);
        if let Some(number) = self.overdue(now) {
            return self.force(number).await;
        }
        self.time.pass(TICK).await;
        self.settle().await?;
        self.flights.retain(|number, flight| !flight.is_gone || self.desk.is_waiting(*number));
        left = left.saturating_sub(TICK);
        let due = self.flights.values().map(|flight| self.due(flight)).min().unwrap_or(u64::MAX);
        let left = left.min(due.saturating_sub(now + TICK)) / TICK * TICK;
        if left > 0 {
            self.time.pass(left).await;
            self.settle().await?;
        }
        Ok(())
    }

    fn overdue(&self, now: u64) -> Option<u32> {
        let due = self.flights.iter().map(|(number, flight)| (self.due(flight), *number)).min();
        due.filter(|(due, _)| now + TICK > *due).map(|(_, number)| number)
    }

    /// Return when the next step of this request must be done.
    fn due(&self, flight: &Flight) -> u64 {
        match flight.begun {
            _ if flight.reply.is_some() => flight.sent_at + self.plan.latest(),
            None if flight.kind.is_upload() => flight.sent_at + 20 * MINUTE,
            Some(begun) if flight.kind.is_upload() => begun.at + self.plan.slowest(),
            _ => flight.sent_at + self.plan.slowest(),
        }
    }

    async fn force(&mut self, number: u32) -> Result<(), Broken> {
        let Some(flight) = self.flights.get(&number) else { return Ok(()) };
        if self.desk.is_waiting(number) {
            self.let_go_on(number, false).await
        } else if flight.is_woken() {
            self.poll(number).await
        } else if flight.reply.is_some() {
            self.deliver(number);
            Ok(())
        } else {
            self.time.pass(TICK).await;
            self.settle().await?;
            self.flights.retain(|number, flight| !flight.is_gone || self.desk.is_waiting(*number));
            Ok(())
        }
    }

    /// Let time pass while no request is in flight, usually until something expires.
    async fn rest(&mut self) -> Result<(), Broken> {
        let now = self.time.now();
        let index = self.random.index(self.browsers.len());
        let brought = self.browsers[index].jar.sends(now);
        let expiry = |token: Option<&Arc<Token>>| token.map(|token| token.expires_at * SECOND);
        let (access, refresh) = (expiry(brought.access.as_ref()), expiry(brought.refresh.as_ref()));
        let about = |random: &mut Random, bound: u64| (bound + 5 * SECOND).saturating_sub(random.below(10 * SECOND));
        let until = match self.random.below(100) {
            0..60 => {
                self.next = Some(index);
                about(&mut self.random, access.unwrap_or(now + self.plan.access))
            }
            60..75 => now + self.random.below(40 * SECOND),
            75..83 => about(&mut self.random, now + self.plan.grace),
            83..90 => now + self.random.below(20 * MINUTE),
            90..97 => now + self.random.below(2 * self.plan.access),
            97 => about(&mut self.random, refresh.unwrap_or(now + HOUR)),
            98 => now + self.random.below(self.plan.idle),
            _ => {
                if self.random.one_in(4) {
                    about(&mut self.random, now + self.plan.absolute.unwrap_or(self.plan.idle))
                } else {
                    let expired_at = self.time.unix() - Duration::from_millis(HOUR);
                    let store = self.store.clone();
                    let _ = at_once(store.remove_expired(REMOVED_AT_ONCE, expired_at)).await;
                    now
                }
            }
        };
        self.pass(until.saturating_sub(now)).await
    }

    /// Let an actor chosen by the seed send a request.
    fn act(&mut self) {
        if !self.thieves.is_empty() && self.random.one_in(4) {
            let thief = self.random.index(self.thieves.len());
            if !self.thieves[thief].is_quiet(self.time.now()) {
                self.act_as_thief(thief);
                return;
            }
        }
        let any = self.random.index(self.browsers.len());
        let index = self.next.take().unwrap_or(any);
        let now = self.time.now();
        let is_signed_out = self.browsers[index].is_signed_out;
        let is_signing_in = self
            .flights
            .values()
            .any(|flight| flight.who == Who::Browser(index) && matches!(flight.kind, Kind::Login(_) | Kind::Logout));
        let kind = match self.random.below(1000) {
            0..700 if is_signed_out && !is_signing_in => self.login(index),
            0..5 => Kind::Logout,
            5..12 if !is_signing_in => self.login(index),
            12..20 => Kind::Others,
            20..30 => {
                let of_user = self.oracle.of_user(&self.browsers[index].user);
                if of_user.is_empty() { Kind::Page } else { Kind::End(self.random.pick(&of_user)) }
            }
            30..60 => Kind::Socket,
            60..110 => Kind::Form,
            110..200 => Kind::Upload { is_chunked: self.random.one_in(2) },
            _ => Kind::Page,
        };
        if self.plan.forgets_access && self.random.one_in(60) {
            self.browsers[index].jar.forget_access();
        }
        let mut brought = self.browsers[index].jar.sends(now);
        let is_single = !matches!(kind, Kind::Page);
        if self.browsers[index].is_bearer && brought.access.is_some() && matches!(kind, Kind::Page | Kind::Form) {
            (brought.refresh, brought.by_header) = (None, true);
        }
        // Several tabs send requests at the same time.
        let burst = if is_single || self.random.one_in(2) { 1 } else { 1 + self.random.below(self.plan.tabs) };
        for _ in 0..burst {
            self.send(Who::Browser(index), kind.clone(), brought.clone());
        }
    }

    fn login(&mut self, index: usize) -> Kind {
        let own = self.browsers[index].user.clone();
        let user = if self.random.one_in(20) { (1 + self.random.index(self.plan.users)).to_string() } else { own };
        self.browsers[index].user.clone_from(&user);
        Kind::Login(user)
    }

    fn act_as_thief(&mut self, thief: usize) {
        let now = self.moment();
        if self.random.one_in(12) || self.thieves[thief].has_nothing() {
            let victim = self.random.index(self.browsers.len());
            let brought = self.browsers[victim].jar.sends(now.at);
            for session in self.thieves[thief].copy(&brought) {
                self.oracle.stolen(thief, session, now);
            }
            self.tell(|| format!("thief {thief} copies the jar of browser {victim}"));
            return;
        }
        let is_careful = self.thieves[thief].is_careful(now.at);
        let brought = self.thieves[thief].presents(&mut self.random);
        let kind = match self.random.below(10) {
            _ if is_careful && brought.refresh.is_some() => Kind::Upload { is_chunked: self.random.one_in(2) },
            0..3 if !brought.by_header => Kind::Upload { is_chunked: self.random.one_in(2) },
            3 => Kind::Socket,
            4 => Kind::Form,
            _ => Kind::Page,
        };
        self.send(Who::Thief(thief), kind, brought);
    }

    fn send(&mut self, who: Who, kind: Kind, brought: Brought) {
        let process = &self.processes[self.random.index(self.processes.len())];
        self.last += 1;
        let number = self.last;
        let mut flight = Flight::new(who, kind, brought, process.number, process.router.clone(), self.time.now());
        self.oracle.sent(&mut flight);
        self.tell(|| {
            let shown = |token: Option<&Arc<Token>>| {
                token.map(|it| format!("{} g{} until {}", it.session, it.generation, it.expires_at - NOW))
            };
            let Flight { who, kind, process, brought, .. } = &flight;
            let (access, refresh) = (shown(brought.access.as_ref()), shown(brought.refresh.as_ref()));
            format!("{number} {who:?} sends {kind:?} to {process}: access {access:?}, refresh {refresh:?}")
        });
        self.flights.insert(number, flight);
    }

    /// Answer all requests without more faults, and send one more request from each browser.
    async fn finish(&mut self) -> Result<(), Broken> {
        self.plan.losses = 0;
        for round in 0..2 {
            while !self.flights.is_empty() {
                match self.turns().first() {
                    Some(turn) => self.take(*turn, false).await?,
                    None => self.pass(TICK).await?,
                }
            }
            if round == 0 {
                for index in 0..self.browsers.len() {
                    let brought = self.browsers[index].jar.sends(self.time.now());
                    self.send(Who::Browser(index), Kind::Page, brought);
                }
            }
        }
        self.figures.thefts = self.oracle.thefts;
        self.figures.lockouts = self.oracle.lockouts;
        self.figures.longest = self.oracle.longest;
        Ok(())
    }
}

/// Wait for work in another thread while no time passes: tokio's paused clock advances when all tasks wait.
pub async fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(done) = polled {
            return done;
        }
        thread::yield_now();
        yield_now().await;
    }
}

fn line(now: u64, what: &str) -> String {
    let since = now - NOW * SECOND;
    format!("{:>6}.{:03} {what}", since / SECOND, since % SECOND)
}

fn shown(reply: &Reply) -> String {
    let sets = |cookie: &SetCookie| {
        let name = if cookie.is_refresh { "refresh" } else { "access" };
        cookie.token.as_ref().map_or_else(
            || format!("{name} cleared"),
            |it| format!("{name} {} g{} until {}", it.session, it.generation, it.expires_at - NOW),
        )
    };
    let cookies: Vec<_> = reply.cookies.iter().map(sets).collect();
    format!("{} {:?} {cookies:?}", reply.status, reply.body)
}
