//! The rotation table by examples, its guarantees as properties, and a simulation of one browser on a bad network.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::{Authentication, DeviceBinding, Methods};

const ACCESS: Duration = secs(300);
const IDLE: Duration = secs(86_400);
const ABSOLUTE: Duration = secs(30 * IDLE.as_secs());
const GRACE: Duration = secs(30);

const LOGIN: UnixTime = UnixTime::from_secs(1_700_000_000);
const ROTATED: UnixTime = LOGIN.saturating_add(secs(10_000));
const SEEN: UnixTime = ROTATED.saturating_add(secs(7));

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Generation 5, issued and acknowledged.
const SESSION: Session = Session {
    generation: Generation::new(5),
    acknowledged_at: Some(SEEN),
    rotated_at: ROTATED,
    created_at: LOGIN,
    expires_at: ROTATED.saturating_add(IDLE),
    end_is_fixed: false,
    auth_time: None,
    locks_at: None,
    device: DeviceBinding::Unbound,
};

/// Generation 5, issued and not yet acknowledged.
const UNSEEN: Session = Session { acknowledged_at: None, ..SESSION };

fn policy_with(access: Duration, grace: Duration) -> RotationPolicy {
    RotationPolicy::new(Lifetimes::new(access, IDLE, Some(ABSOLUTE)).unwrap(), grace)
}

fn presented(generation: u64, upload: bool) -> Presented {
    Presented::new(Generation::new(generation)).with_upload(upload)
}

fn token(session: &Session, generation: u64, now: UnixTime) -> Decision {
    policy_with(ACCESS, GRACE).decide(session, presented(generation, false), now)
}

fn upload(session: &Session, generation: u64, now: UnixTime) -> Decision {
    policy_with(ACCESS, GRACE).decide(session, presented(generation, true), now)
}

fn refreshed(session: &Session, now: UnixTime) -> Decision {
    let expires_at = (now + IDLE).min(session.created_at + ABSOLUTE);
    Decision::Rotate(RowUpdate {
        generation: session.generation.next(),
        acknowledged_at: None,
        rotated_at: now,
        expires_at,
        locks_at: None,
    })
}

fn adopted(generation: u64, now: UnixTime) -> Decision {
    let generation = Generation::new(generation);
    Decision::Adopt(RowUpdate {
        generation,
        acknowledged_at: Some(now),
        rotated_at: now,
        expires_at: now + IDLE,
        locks_at: None,
    })
}

#[test]
fn login_starts_with_generation_1_acknowledged() {
    let row = policy_with(ACCESS, GRACE).start(LOGIN);
    let expected = Session {
        generation: Generation::FIRST,
        acknowledged_at: Some(LOGIN),
        rotated_at: LOGIN,
        created_at: LOGIN,
        expires_at: LOGIN + IDLE,
        end_is_fixed: false,
        auth_time: None,
        locks_at: None,
        device: DeviceBinding::Unbound,
    };
    assert_eq!(row, expected);
    assert_eq!(token(&row, 1, LOGIN + GRACE - secs(1)), Decision::RenewAccess { acknowledge: false });
    assert_eq!(token(&row, 1, LOGIN + GRACE), refreshed(&row, LOGIN + GRACE));
}

#[test]
fn succeeding_session_keeps_the_absolute_limit() {
    let policy = policy_with(ACCESS, GRACE);
    let late = LOGIN + ABSOLUTE - secs(100);
    assert_eq!(policy.succeed(&SESSION, SEEN), Session { created_at: LOGIN, ..policy.start(SEEN) });
    assert_eq!(policy.succeed(&SESSION, late).expires_at, LOGIN + ABSOLUTE);
}

#[test]
fn newest_token_is_rotated_after_the_grace_since_it_was_seen() {
    assert_eq!(token(&SESSION, 5, SEEN + GRACE - secs(1)), Decision::RenewAccess { acknowledge: false });
    assert_eq!(token(&SESSION, 5, SEEN + GRACE), refreshed(&SESSION, SEEN + GRACE));
    assert_eq!(token(&SESSION, 5, SEEN + secs(20_000)), refreshed(&SESSION, SEEN + secs(20_000)));
}

#[test]
fn newest_token_is_rotated_after_the_grace_since_it_was_issued() {
    let seen_by_a_slow_clock = Session { acknowledged_at: Some(ROTATED - secs(100)), ..SESSION };
    assert_eq!(
        token(&seen_by_a_slow_clock, 5, ROTATED + GRACE - secs(1)),
        Decision::RenewAccess { acknowledge: false }
    );
    assert_eq!(token(&seen_by_a_slow_clock, 5, ROTATED + GRACE), refreshed(&SESSION, ROTATED + GRACE));
}

#[test]
fn first_use_of_the_newest_token_starts_the_grace() {
    for now in [ROTATED, ROTATED + GRACE, ROTATED + secs(20_000)] {
        assert_eq!(token(&UNSEEN, 5, now), Decision::RenewAccess { acknowledge: true });
    }
}

#[test]
fn only_the_first_use_of_the_newest_generation_acknowledges() {
    let policy = policy_with(ACCESS, GRACE);
    let acknowledges = |session, generation| policy.acknowledges(session, Generation::new(generation));
    assert!(acknowledges(&UNSEEN, 5));
    assert!(!acknowledges(&SESSION, 5));
    assert!(!acknowledges(&UNSEEN, 4));
    assert!(!acknowledges(&UNSEEN, 6));
}

#[test]
fn previous_token_is_valid_until_the_newest_is_seen() {
    for now in [ROTATED, ROTATED + GRACE, ROTATED + IDLE - secs(1)] {
        assert_eq!(token(&UNSEEN, 4, now), Decision::Reissue);
    }
}

#[test]
fn previous_token_is_valid_for_the_grace_after_the_newest_was_seen() {
    assert_eq!(token(&SESSION, 4, SEEN), Decision::Reissue);
    assert_eq!(token(&SESSION, 4, SEEN + GRACE - secs(1)), Decision::Reissue);
    assert_eq!(token(&SESSION, 4, SEEN + GRACE), Decision::Reuse);
}

#[test]
fn older_token_is_reuse_even_before_the_newest_is_seen() {
    for generation in 0..4 {
        assert_eq!(token(&UNSEEN, generation, ROTATED), Decision::Reuse);
        assert_eq!(token(&SESSION, generation, SEEN), Decision::Reuse);
    }
}

#[test]
fn tokens_ahead_of_their_row_are_adopted_up_to_a_limit() {
    assert_eq!(token(&SESSION, 6, SEEN), adopted(6, SEEN));
    assert_eq!(token(&SESSION, 5 + MAX_ADOPTION, SEEN), adopted(21, SEEN));
    assert_eq!(token(&SESSION, 5 + MAX_ADOPTION + 1, SEEN), Decision::Refuse(Refusal::Ahead));
    assert_eq!(token(&SESSION, u64::MAX, SEEN), Decision::Refuse(Refusal::Ahead));
}

#[test]
fn last_generation_is_handled_without_overflow() {
    let row = Session { generation: Generation::new(u64::MAX), ..SESSION };
    let Decision::Rotate(next) = token(&row, u64::MAX, SEEN + GRACE) else { panic!("a refresh") };
    assert_eq!(next.generation.get(), u64::MAX);
    assert_eq!(token(&row, 0, SEEN), Decision::Reuse);
    assert_eq!(
        token(&Session { generation: Generation::new(0), ..SESSION }, u64::MAX, SEEN),
        Decision::Refuse(Refusal::Ahead)
    );
}

#[test]
fn upload_with_the_newest_generation_is_admitted_and_acknowledges() {
    assert_eq!(upload(&SESSION, 5, SEEN + secs(20_000)), Decision::Admit { acknowledge: false });
    assert_eq!(upload(&UNSEEN, 5, SEEN + secs(20_000)), Decision::Admit { acknowledge: true });
}

#[test]
fn upload_with_the_previous_generation_is_admitted_by_time_alone() {
    for session in [SESSION, UNSEEN, Session { acknowledged_at: Some(ROTATED), ..SESSION }] {
        for now in [ROTATED - secs(10), ROTATED, SEEN + GRACE, ROTATED + MAX_UPLOAD_DELAY] {
            assert_eq!(upload(&session, 4, now), Decision::Admit { acknowledge: false });
        }
        for now in [ROTATED + MAX_UPLOAD_DELAY + secs(1), ROTATED + IDLE - secs(1)] {
            assert_eq!(upload(&session, 4, now), Decision::Refuse(Refusal::LateUpload));
        }
    }
}

#[test]
fn late_upload_is_anonymous_ends_no_session_and_is_logged() {
    for (generation, now) in [(3, SEEN), (0, SEEN), (6, SEEN), (6 + MAX_ADOPTION, SEEN), (u64::MAX, SEEN)] {
        let decision = upload(&SESSION, generation, now);
        assert_eq!(decision, Decision::Refuse(Refusal::LateUpload));
        assert_eq!((decision.warning(), decision.admits()), (Some("late_upload"), false));
        assert_eq!(decision.next(&SESSION), None);
    }
}

#[test]
fn session_expires_at_its_idle_end() {
    let end = SESSION.expires_at;
    assert_eq!(token(&SESSION, 5, end - secs(1)), refreshed(&SESSION, end - secs(1)));
    for generation in 0..30 {
        assert_eq!(token(&SESSION, generation, end), Decision::Refuse(Refusal::Expired));
        assert_eq!(upload(&SESSION, generation, end), Decision::Refuse(Refusal::Expired));
    }
}

#[test]
fn session_expires_at_its_absolute_end() {
    let end = LOGIN + ABSOLUTE;
    let row = Session { expires_at: UnixTime::MAX, ..SESSION };
    let Decision::Rotate(last) = token(&row, 5, end - secs(1)) else { panic!("valid in its last second") };
    assert_eq!(last.expires_at, end);
    assert_eq!(token(&row, 5, end), Decision::Refuse(Refusal::Expired));
}

#[test]
fn fixed_end_never_moves() {
    let policy = policy_with(ACCESS, GRACE);
    for lifetime in [ACCESS, IDLE / 2, 3 * ABSOLUTE] {
        let end = LOGIN + lifetime;
        let row = Session { acknowledged_at: Some(LOGIN), ..policy.start_for(lifetime, LOGIN) };
        for now in [LOGIN + GRACE, end - secs(1)] {
            let Decision::Rotate(next) = token(&row, 1, now) else { panic!("valid at {now}") };
            assert_eq!(next.expires_at, end);
            assert_eq!(
                policy.succeed(&row, now),
                Session { created_at: LOGIN, end_is_fixed: true, expires_at: end, ..policy.start(now) }
            );
        }
        assert_eq!(token(&row, 1, end), Decision::Refuse(Refusal::Expired));
    }
    assert_eq!(policy.start_for(Duration::MAX, LOGIN).expires_at, UnixTime::MAX);
    assert_eq!(policy.start_for(Duration::from_millis(1_999), LOGIN).expires_at, LOGIN + secs(1));
}

#[test]
fn grace_is_capped_at_the_access_token_lifetime() {
    let capped = policy_with(secs(20), GRACE);
    let old = presented(4, false);
    assert_eq!(capped, policy_with(secs(20), secs(20)));
    assert_eq!(capped, policy_with(Duration::from_millis(20_500), Duration::from_millis(20_400)));
    assert_eq!(capped.decide(&SESSION, old, SEEN + secs(19)), Decision::Reissue);
    assert_eq!(capped.decide(&SESSION, old, SEEN + secs(20)), Decision::Reuse);
}

#[test]
fn without_grace_a_token_is_reuse_once_its_successor_was_seen() {
    let strict = policy_with(ACCESS, Duration::ZERO);
    let present = |session, generation| strict.decide(session, presented(generation, false), SEEN);
    assert_eq!(present(&SESSION, 5), refreshed(&SESSION, SEEN));
    assert_eq!(present(&SESSION, 4), Decision::Reuse);
    assert_eq!(present(&UNSEEN, 5), Decision::RenewAccess { acknowledge: true });
    assert_eq!(present(&UNSEEN, 4), Decision::Reissue);
}

#[test]
fn time_written_by_a_clock_ahead_counts_as_now() {
    let seen_ahead = Session { acknowledged_at: Some(SEEN + secs(1000)), ..SESSION };
    let (rotated_at, expires_at) = (ROTATED + secs(1000), ROTATED + secs(1000) + IDLE);
    let issued_ahead = Session { rotated_at, expires_at, ..SESSION };
    assert_eq!(token(&seen_ahead, 5, SEEN + GRACE), Decision::RenewAccess { acknowledge: false });
    assert_eq!(token(&seen_ahead, 4, SEEN + GRACE), Decision::Reissue);
    assert_eq!(token(&issued_ahead, 5, SEEN + GRACE), Decision::RenewAccess { acknowledge: false });
    let strict = policy_with(ACCESS, Duration::ZERO);
    let old = presented(4, false);
    assert_eq!(strict.decide(&seen_ahead, old, SEEN + secs(999)), Decision::Reissue);
    assert_eq!(strict.decide(&seen_ahead, old, SEEN + secs(1000)), Decision::Reuse);
}

#[test]
fn stolen_token_is_detected_after_thief_and_user_have_refreshed() {
    let thief_at = SEEN + GRACE;
    let Decision::Rotate(next) = token(&SESSION, 5, thief_at) else { panic!("the thief refreshes first") };
    let stolen = apply(&SESSION, next);
    assert_eq!(token(&stolen, 6, thief_at + ACCESS), Decision::RenewAccess { acknowledge: true });
    let in_use = Session { acknowledged_at: Some(thief_at + ACCESS), ..stolen };
    assert_eq!(token(&in_use, 5, thief_at + ACCESS + GRACE), Decision::Reuse);
}

#[test]
fn decisions_acknowledge_the_first_use_of_a_generation() {
    assert!(token(&UNSEEN, 5, ROTATED + secs(1)).acknowledges());
    assert!(upload(&UNSEEN, 5, ROTATED + secs(1)).acknowledges());
    for decision in [token(&SESSION, 5, SEEN + secs(1)), token(&UNSEEN, 4, SEEN), upload(&UNSEEN, 4, SEEN)] {
        assert!(!decision.acknowledges(), "{decision:?}");
    }
}

#[test]
fn decisions_to_log_have_a_warning() {
    let now = SEEN + secs(1000);
    let warnings = [4, 5, 6, 21, 22].map(|generation| token(&SESSION, generation, now).warning());
    let (adopted, ahead) = (Some("generation_adopted"), Some("generation_ahead"));
    assert_eq!(warnings, [None, None, adopted, adopted, ahead], "the request that ends the session logs the reuse");
    assert_eq!(token(&SESSION, 5, SESSION.expires_at).warning(), None);
}

#[test]
fn next_row_keeps_the_columns_of_the_login() {
    let fixed = Session { end_is_fixed: true, ..SESSION };
    let now = SEEN + secs(1000);
    let next = token(&fixed, 5, now).next(&fixed);
    assert_eq!(next, Some(Session { generation: Generation::new(6), acknowledged_at: None, rotated_at: now, ..fixed }));
    assert_eq!(token(&fixed, 5, SEEN).next(&fixed), None);
}

#[test]
fn each_decision_has_its_code_and_tokens() {
    let (both, access, none): (&[TokenKind], &[TokenKind], &[TokenKind]) =
        (&[TokenKind::Access, TokenKind::Refresh], &[TokenKind::Access], &[]);
    let table = [
        (token(&SESSION, 5, SEEN + GRACE), "rotate", true, both),
        (token(&SESSION, 5, SEEN), "renew_access", true, access),
        (token(&SESSION, 4, SEEN), "reissue", true, both),
        (upload(&SESSION, 5, SEEN), "admit", true, none),
        (token(&SESSION, 6, SEEN), "adopt", true, access),
        (token(&SESSION, 5, SEEN + IDLE), "session_expired", false, none),
        (token(&SESSION, 99, SEEN), "generation_ahead", false, none),
        (upload(&SESSION, 1, SEEN), "late_upload", false, none),
        (token(&SESSION, 1, SEEN), "refresh_token_reused", false, none),
    ];
    for (decision, code, admits, issues) in table {
        assert_eq!((decision.code(), decision.admits(), decision.issues()), (code, admits, issues));
    }
}

#[test]
fn policy_returns_its_lifetimes() {
    assert_eq!(policy_with(ACCESS, GRACE).lifetimes().access(), ACCESS);
}

fn apply(session: &Session, next: RowUpdate) -> Session {
    Session {
        generation: next.generation,
        acknowledged_at: next.acknowledged_at,
        rotated_at: next.rotated_at,
        expires_at: next.expires_at,
        ..*session
    }
}

/// Run the same cases every time; `PROPTEST_CASES` sets their number.
fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7519), failure_persistence: None, ..ProptestConfig::default() }
}

fn around(seconds: u64) -> std::ops::Range<u64> {
    LOGIN.as_secs()..LOGIN.as_secs() + seconds
}

/// Generate any number; edge values and values near a plausible time are as likely as others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..40u64, u64::MAX - 40..=u64::MAX, around(100), around(ABSOLUTE.as_secs())]
}

fn time() -> impl Strategy<Value = UnixTime> {
    number().prop_map(UnixTime::from_secs)
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    access: u64,
    idle: u64,
    absolute: Option<u64>,
    grace: u64,
}

impl Figures {
    fn policy(self) -> RotationPolicy {
        let absolute = self.absolute.map(secs);
        RotationPolicy::new(Lifetimes::new(secs(self.access), secs(self.idle), absolute).unwrap(), secs(self.grace))
    }

    fn absolute_end(self, session: &Session) -> UnixTime {
        self.absolute.map_or(UnixTime::MAX, |absolute| session.created_at + secs(absolute))
    }
}

prop_compose! {
    fn figures()(lifetimes in prop::array::uniform3(number()), endless: bool, grace in number()) -> Figures {
        let mut lifetimes = lifetimes.map(|lifetime| lifetime.max(1));
        lifetimes.sort_unstable();
        let [access, idle, absolute] = lifetimes;
        Figures { access, idle, absolute: (!endless).then_some(absolute), grace }
    }
}

prop_compose! {
    fn any_session()(
        generation in number(), acknowledged_at in prop::option::of(time()), rotated_at in time(),
        created_at in time(), expires_at in time(), end_is_fixed: bool,
    ) -> Session {
        let generation = Generation::new(generation);
        Session {
            generation,
            acknowledged_at,
            rotated_at,
            created_at,
            expires_at,
            end_is_fixed,
            auth_time: None,
            locks_at: None,
            device: DeviceBinding::Unbound,
        }
    }
}

prop_compose! {
    /// Generate a row, a token that is usually near it, and a time.
    fn any_case()(session in any_session(), anything in number(), near in 0..24u64, choice in 0..3, upload: bool,
                  now in time()) -> (Session, Presented, UnixTime) {
        let generation = match choice {
            0 => anything,
            1 => session.generation.get().saturating_add(near),
            _ => session.generation.get().saturating_sub(near),
        };
        (session, presented(generation, upload), now)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn exactly_the_expired_sessions_are_refused_as_expired(
        figures in figures(), (session, presented, now) in any_case(),
    ) {
        let over = now >= session.expires_at || !session.end_is_fixed && now >= figures.absolute_end(&session);
        let decision = figures.policy().decide(&session, presented, now);
        prop_assert_eq!(decision == Decision::Refuse(Refusal::Expired), over, "{:?}", decision);
    }

    #[test]
    fn written_rows_are_newer_and_end_within_the_limits(
        figures in figures(), (session, presented, now) in any_case(),
    ) {
        if let Decision::Rotate(next) | Decision::Adopt(next) = figures.policy().decide(&session, presented, now) {
            prop_assert!(next.generation > session.generation || session.generation.get() == u64::MAX);
            let ahead = next.generation.checked_distance_from(session.generation);
            prop_assert!(ahead.is_some_and(|ahead| ahead <= MAX_ADOPTION));
            prop_assert_eq!(next.rotated_at, now);
            prop_assert!(now < next.expires_at);
            if session.end_is_fixed {
                prop_assert_eq!(next.expires_at, session.expires_at);
            } else {
                prop_assert!(next.expires_at.saturating_duration_since(now) <= secs(figures.idle));
                prop_assert!(next.expires_at <= figures.absolute_end(&session));
            }
        }
    }

    #[test]
    fn uploads_change_no_cookie_and_end_no_session(figures in figures(), (session, presented, now) in any_case()) {
        let decision = figures.policy().decide(&session, Presented { upload: true, ..presented }, now);
        prop_assert!(matches!(decision, Decision::Admit { .. } | Decision::Refuse(_)), "{:?}", decision);
    }

    #[test]
    fn only_tokens_whose_successor_was_seen_are_reuse(figures in figures(), (session, presented, now) in any_case()) {
        if figures.policy().decide(&session, presented, now) == Decision::Reuse {
            let is_newest_but_one = session.generation.checked_distance_from(presented.generation) == Some(1);
            prop_assert!(presented.generation < session.generation);
            prop_assert!(!is_newest_but_one || session.acknowledged_at.is_some());
        }
    }

    #[test]
    fn only_the_newest_generation_is_acknowledged_once(
        figures in figures(), (session, presented, now) in any_case(),
    ) {
        let decision = figures.policy().decide(&session, presented, now);
        if let Decision::RenewAccess { acknowledge } | Decision::Admit { acknowledge } = decision {
            let newest = presented.generation == session.generation;
            prop_assert_eq!(acknowledge, newest && session.acknowledged_at.is_none());
        }
    }
}

/// The steps of a worker that handles a refresh token, with one database access each.
#[derive(Clone, Copy, Debug)]
enum Worker {
    Reads,
    Swaps { read: Session, next: RowUpdate },
    Hands(Generation),
}

impl Worker {
    fn step(self, row: &mut Session, writes: &mut usize, generation: u64, now: UnixTime) -> Self {
        match self {
            Self::Reads => match token(row, generation, now) {
                Decision::Rotate(next) | Decision::Adopt(next) => Self::Swaps { read: *row, next },
                Decision::Reissue | Decision::RenewAccess { .. } => Self::Hands(row.generation),
                refused => panic!("a racing request got {refused:?}"),
            },
            Self::Swaps { read, next } if row.generation == read.generation => {
                *row = apply(row, next);
                *writes += 1;
                Self::Hands(next.generation)
            }
            Self::Swaps { .. } => Self::Reads,
            done @ Self::Hands(_) => done,
        }
    }
}

/// Let workers whose clocks differ by up to five seconds take turns in any order until all are done.
fn race(row: &mut Session, generation: u64, clocks: &[u64], turns: &[prop::sample::Index]) -> (usize, Vec<Worker>) {
    let mut workers = vec![Worker::Reads; clocks.len()];
    let mut writes = 0;
    let all_workers = (0..3).flat_map(|_| 0..clocks.len());
    for index in turns.iter().map(|turn| turn.index(clocks.len())).chain(all_workers) {
        workers[index] = workers[index].step(row, &mut writes, generation, SEEN + GRACE + secs(clocks[index]));
    }
    (writes, workers)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn racing_requests_write_once_and_issue_the_same_generation(
        presented in prop_oneof![Just(5), 6..=21u64],
        clocks in prop::collection::vec(0..5u64, 1..12),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut row = SESSION;
        let (writes, workers) = race(&mut row, presented, &clocks, &turns);
        let expected = Generation::new(if presented == 5 { 6 } else { presented });
        prop_assert_eq!(row.generation, expected);
        prop_assert_eq!(writes, 1);
        prop_assert!(workers.iter().all(|worker| matches!(worker, Worker::Hands(it) if *it == expected)), "{:?}", workers);
    }
}

/// The longest round trip of a request that is not an upload, in milliseconds.
const SLOWEST: u64 = 25_000;

/// A request of the simulated browser. Times are in milliseconds.
#[derive(Clone, Debug)]
struct Request {
    /// Time since the previous request.
    after: u64,
    there: u64,
    back: u64,
    fate: Fate,
    upload: bool,
    /// Whether the browser forgets its access cookie before the request.
    forgets_access: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answered,
    RequestLost,
    ResponseLost,
}

#[derive(Clone, Copy, Debug)]
struct AccessCookie {
    generation: Generation,
    expires_at: UnixTime,
}

/// The cookies that a browser sends or a response sets; `None` leaves a cookie unchanged.
#[derive(Clone, Copy, Debug, Default)]
struct Cookies {
    access: Option<AccessCookie>,
    refresh: Option<Generation>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Sent,
    Arrived(Cookies),
    Answered(Cookies),
}

/// The server: one row, and the cookies that it sets.
struct Server {
    policy: RotationPolicy,
    row: Session,
}

impl Server {
    fn cookies(&self, kinds: &[TokenKind], now: UnixTime) -> Cookies {
        let generation = self.row.generation;
        let expires_at = self.policy.lifetimes.access_end(&self.row, now);
        Cookies {
            access: kinds.contains(&TokenKind::Access).then_some(AccessCookie { generation, expires_at }),
            refresh: kinds.contains(&TokenKind::Refresh).then_some(generation),
        }
    }

    fn acknowledge(&mut self, generation: Generation, now: UnixTime) {
        if self.policy.acknowledges(&self.row, generation) {
            self.row.acknowledged_at = Some(now);
        }
    }

    fn answer(&mut self, cookies: Cookies, upload: bool, now: UnixTime) -> Result<Cookies, Decision> {
        if let Some(access) = cookies.access.filter(|access| now < access.expires_at) {
            self.acknowledge(access.generation, now);
            return Ok(Cookies::default());
        }
        let generation = cookies.refresh.unwrap();
        let decision = self.policy.decide(&self.row, Presented::new(generation).with_upload(upload), now);
        match decision {
            Decision::Rotate(next) => self.row = apply(&self.row, next),
            Decision::RenewAccess { acknowledge: true } | Decision::Admit { acknowledge: true } => {
                self.acknowledge(generation, now);
            }
            _ => {}
        }
        if decision.admits() || decision == Decision::Refuse(Refusal::LateUpload) {
            Ok(self.cookies(decision.issues(), now))
        } else {
            Err(decision)
        }
    }
}

/// Let one honest browser, signed in at 0, make these requests. Return the last generation, or the decision that signs
/// the user out.
fn browse(access: Duration, requests: &[Request]) -> Result<Generation, Decision> {
    let policy = RotationPolicy::new(Lifetimes::new(access, 1000 * IDLE, None).unwrap(), GRACE);
    let mut server = Server { row: policy.start(UnixTime::EPOCH), policy };
    let mut browser = server.cookies(&[TokenKind::Access, TokenKind::Refresh], UnixTime::EPOCH);
    let mut events = BTreeMap::new();
    let mut at = 0;
    for (index, request) in requests.iter().enumerate() {
        at += request.after;
        events.insert((at, index), Event::Sent);
    }
    while let Some(((time, index), event)) = events.pop_first() {
        let request = &requests[index];
        match event {
            Event::Sent => {
                if request.forgets_access {
                    browser.access = None;
                }
                if request.fate != Fate::RequestLost {
                    events.insert((time + request.there, index), Event::Arrived(browser));
                }
            }
            Event::Arrived(cookies) => {
                let set = server.answer(cookies, request.upload, UnixTime::from_secs(time / 1000))?;
                if request.fate == Fate::Answered {
                    events.insert((time + request.back, index), Event::Answered(set));
                }
            }
            Event::Answered(set) => {
                browser = Cookies { access: set.access.or(browser.access), refresh: set.refresh.or(browser.refresh) };
            }
        }
    }
    Ok(server.row.generation)
}

fn request() -> impl Strategy<Value = Request> {
    let after =
        prop_oneof![8 => 0..1000u64, 3 => 1000..40_000u64, 2 => 40_000..400_000u64, 1 => 0..IDLE.as_secs() * 1000];
    let round_trip = prop_oneof![0..500u64, 0..=SLOWEST];
    let fate = prop_oneof![6 => Just(Fate::Answered), 1 => Just(Fate::RequestLost), 2 => Just(Fate::ResponseLost)];
    let held_back = prop_oneof![9 => Just(None), 1 => (0..600_000u64).prop_map(Some)];
    (after, round_trip, 0..=100u64, fate, held_back, prop::bool::weighted(0.05)).prop_map(
        |(after, round_trip, share, fate, held_back, forgets_access)| {
            let there = round_trip * share / 100;
            let back = round_trip - there;
            let there = there + held_back.unwrap_or(0);
            Request { after, there, back, fate, upload: held_back.is_some(), forgets_access }
        },
    )
}

proptest! {
    #![proptest_config(config())]

    /// Covers bursts, lost, late and reordered messages, uploads held back for minutes, and a lost access cookie.
    #[test]
    fn honest_browser_is_never_signed_out(
        access in prop_oneof![Just(60u64), Just(300u64)],
        requests in prop::collection::vec(request(), 1..200),
    ) {
        prop_assert_eq!(browse(secs(access), &requests).err(), None);
    }
}

#[test]
fn browser_with_single_requests_rotates_every_second_time() {
    let visit =
        Request { after: 400_000, there: 50, back: 50, fate: Fate::Answered, upload: false, forgets_access: false };
    assert_eq!(browse(ACCESS, &vec![visit; 100]), Ok(Generation::new(51)));
}

mod authenticating_again {
    use super::*;

    const AGAIN: UnixTime = SEEN.saturating_add(GRACE);

    /// Return the row of the user who authenticated at `AGAIN`: generation 6, not yet seen.
    fn again() -> Session {
        policy_with(ACCESS, GRACE).reauthenticate(&SESSION, AGAIN).unwrap()
    }

    fn older(session: &Session, generation: u64, now: UnixTime) -> Decision {
        let presented = presented(generation, false).with_auth_time(Some(LOGIN));
        policy_with(ACCESS, GRACE).decide(session, presented, now)
    }

    fn newer(session: &Session, generation: u64, now: UnixTime) -> Decision {
        let presented = presented(generation, false).with_auth_time(Some(AGAIN));
        policy_with(ACCESS, GRACE).decide(session, presented, now)
    }

    #[test]
    fn next_generation_says_when() {
        let row = again();
        assert_eq!((row.generation, row.auth_time), (Generation::new(6), Some(AGAIN)));
        assert_eq!((row.acknowledged_at, row.rotated_at), (None, AGAIN));
        assert_eq!((row.created_at, row.expires_at), (LOGIN, AGAIN + IDLE));
    }

    #[test]
    fn session_that_is_over_is_not_revived() {
        assert_eq!(policy_with(ACCESS, GRACE).reauthenticate(&SESSION, SESSION.expires_at), None);
    }

    #[test]
    fn absolute_limit_counts_from_the_login() {
        let late = LOGIN + ABSOLUTE - secs(10);
        let session = Session { expires_at: LOGIN + ABSOLUTE, ..SESSION };
        let row = policy_with(ACCESS, GRACE).reauthenticate(&session, late).unwrap();
        assert_eq!(row.expires_at, LOGIN + ABSOLUTE);
    }

    #[test]
    fn requests_under_way_stay_one_generation_behind() {
        let policy = policy_with(ACCESS, GRACE);
        let just_seen = Session { acknowledged_at: Some(AGAIN), ..SESSION };
        for (session, then) in [(UNSEEN, AGAIN), (just_seen, AGAIN + GRACE / 2)] {
            let row = policy.reauthenticate(&session, then).unwrap();
            assert_eq!((row.generation, row.auth_time), (session.generation, Some(then)));
            assert_eq!((row.acknowledged_at, row.rotated_at), (session.acknowledged_at, session.rotated_at));
            assert_eq!(older(&row, 4, then), Decision::Admit { acknowledge: false }, "sent before the refresh");
            assert_eq!(older(&row, 5, then).code(), "admit", "sent before the authentication");
        }
        let lost = policy.reauthenticate(&UNSEEN, AGAIN).unwrap();
        assert_eq!(older(&lost, 4, AGAIN + ACCESS), Decision::Reissue);
    }

    #[test]
    fn older_token_of_the_same_generation_rotates_as_before() {
        let policy = policy_with(ACCESS, GRACE);
        let just_seen = Session { acknowledged_at: Some(AGAIN), ..SESSION };
        let row = policy.reauthenticate(&just_seen, AGAIN).unwrap();
        let decision = older(&row, 5, AGAIN + GRACE);
        assert_eq!((decision.code(), decision.next(&row).unwrap().auth_time), ("rotate", Some(AGAIN)));
        let rotated = decision.next(&row).unwrap();
        let seen = Session { acknowledged_at: Some(AGAIN + GRACE), ..rotated };
        assert_eq!(newer(&seen, 5, AGAIN + GRACE + GRACE), Decision::Reuse, "two copies of one token");
    }

    #[test]
    fn requests_of_other_tabs_are_admitted_and_take_nothing_back() {
        for after in [secs(0), GRACE / 2] {
            assert_eq!(older(&again(), 5, AGAIN + after), Decision::Admit { acknowledge: false });
        }
        let seen = Session { acknowledged_at: Some(AGAIN), ..again() };
        assert_eq!(older(&seen, 5, AGAIN + GRACE - secs(1)), Decision::Admit { acknowledge: false });
        let late = Session { acknowledged_at: Some(AGAIN + ACCESS), ..again() };
        assert_eq!(
            older(&late, 5, AGAIN + ACCESS),
            Decision::Admit { acknowledge: false },
            "the browser has the tokens"
        );
    }

    #[test]
    fn lost_response_signs_no_user_out() {
        for after in [GRACE, ACCESS, secs(86_000)] {
            assert_eq!(older(&again(), 5, AGAIN + after), Decision::Reissue);
        }
    }

    #[test]
    fn copy_from_before_is_detected() {
        let seen = Session { acknowledged_at: Some(AGAIN), ..again() };
        assert_eq!(older(&seen, 5, AGAIN + GRACE), Decision::Reuse);
    }

    #[test]
    fn parallel_requests_after_it_get_the_same_tokens() {
        let next = newer(&Session { acknowledged_at: Some(AGAIN), ..again() }, 6, AGAIN + ACCESS);
        let rotated = next.next(&again()).unwrap();
        assert_eq!((rotated.generation, rotated.auth_time), (Generation::new(7), Some(AGAIN)));
        assert_eq!(newer(&rotated, 6, AGAIN + ACCESS), Decision::Reissue);
    }

    #[test]
    fn tokens_of_versions_without_the_claim_are_those_of_the_login() {
        assert_eq!(token(&again(), 5, AGAIN), Decision::Admit { acknowledge: false });
        let never = Session { auth_time: None, ..again() };
        assert_eq!(token(&never, 5, AGAIN), Decision::Reissue);
    }
}

mod locks {
    use super::*;

    const LOCK: Duration = secs(3600);

    fn policy() -> RotationPolicy {
        policy_with(ACCESS, GRACE).with_lock_after(Some(LOCK))
    }

    fn decide(session: &Session, upload: bool, now: UnixTime) -> Decision {
        policy().decide(session, presented(session.generation.get(), upload), now)
    }

    #[test]
    fn session_locks_unless_it_is_refreshed() {
        let row = policy().start(LOGIN);
        assert_eq!(row.locks_at, Some(LOGIN + LOCK));
        let Decision::Rotate(update) = decide(&row, false, LOGIN + LOCK - secs(1)) else { panic!() };
        assert_eq!(update.locks_at, Some(LOGIN + LOCK - secs(1) + LOCK));
        for upload in [false, true] {
            let locked = decide(&row, upload, LOGIN + LOCK);
            assert_eq!(locked, Decision::Refuse(Refusal::Locked));
            assert_eq!((locked.code(), locked.admits(), locked.issues()), ("session_locked", false, &[][..]));
        }
    }

    #[test]
    fn copy_is_detected_while_the_session_is_locked() {
        let row = Session { locks_at: Some(SEEN), ..SESSION };
        let decided = |generation| policy().decide(&row, presented(generation, false), SEEN + GRACE);
        assert_eq!(decided(4), Decision::Reuse);
        for generation in [5, 6] {
            assert_eq!(decided(generation), Decision::Refuse(Refusal::Locked));
        }
    }

    #[test]
    fn access_tokens_end_when_the_session_locks() {
        let row = policy().start(LOGIN);
        let late = LOGIN + LOCK - secs(10);
        assert_eq!(policy().lifetimes().access_end(&row, late), LOGIN + LOCK);
    }

    #[test]
    fn authenticating_again_unlocks() {
        let row = policy().start(LOGIN);
        let now = LOGIN + LOCK + secs(100);
        let unlocked = policy().reauthenticate(&row, now).unwrap();
        assert_eq!(unlocked.locks_at, Some(now + LOCK));
        assert!(policy().decide(&unlocked, presented(2, false), now).admits());
    }

    #[test]
    fn expired_session_is_expired_and_not_locked() {
        let row = Session { locks_at: Some(SEEN), ..SESSION };
        assert_eq!(decide(&row, false, row.expires_at), Decision::Refuse(Refusal::Expired));
    }

    #[test]
    fn site_that_stops_locking_unlocks() {
        let row = policy().start(LOGIN);
        let Decision::Rotate(update) = token(&row, 1, LOGIN + LOCK + LOCK) else { panic!() };
        assert_eq!(update.locks_at, None);
    }
}

mod activity {
    use super::*;

    const LOCK: Duration = secs(3600);

    fn policy() -> RotationPolicy {
        policy_with(ACCESS, GRACE).with_lock_after(Some(LOCK))
    }

    fn poll(row: &Session, generation: u64, now: UnixTime) -> Decision {
        policy().decide(row, presented(generation, false).with_activity(false), now)
    }

    fn used(row: &Session, generation: u64, now: UnixTime) -> Decision {
        policy().decide(row, presented(generation, false), now)
    }

    #[test]
    fn polls_rotate_as_often_as_access_tokens_expire_and_move_no_end() {
        let row = policy().start(LOGIN);
        for age in [secs(0), GRACE, ACCESS / 2] {
            assert_eq!(poll(&row, 1, LOGIN + age), Decision::Admit { acknowledge: false });
        }
        let decision = poll(&row, 1, LOGIN + ACCESS);
        assert_eq!((decision.code(), decision.issues()), ("rotate_idle", &[TokenKind::Refresh][..]));
        let next = decision.next(&row).unwrap();
        assert_eq!((next.generation, next.rotated_at), (Generation::new(2), LOGIN + ACCESS));
        assert_eq!((next.acknowledged_at, next.expires_at, next.locks_at), (None, row.expires_at, row.locks_at));
    }

    #[test]
    fn polls_keep_no_session_open() {
        let mut row = policy().start(LOGIN);
        let mut now = LOGIN;
        while now < LOGIN + LOCK {
            if let Some(next) = poll(&row, row.generation.get(), now).next(&row) {
                row = Session { acknowledged_at: Some(now), ..next };
            }
            now = now + secs(60);
        }
        assert!(row.generation.get() > 10);
        assert_eq!(poll(&row, row.generation.get(), now), Decision::Refuse(Refusal::Locked));
    }

    #[test]
    fn copy_that_polls_is_detected() {
        let row = policy().start(LOGIN);
        let stolen = poll(&row, 1, LOGIN + ACCESS).next(&row).unwrap();
        let seen = Session { acknowledged_at: Some(LOGIN + ACCESS), ..stolen };
        assert_eq!(used(&seen, 1, LOGIN + ACCESS + GRACE), Decision::Reuse);
        assert_eq!(poll(&seen, 1, LOGIN + ACCESS + GRACE), Decision::Reuse);
    }

    #[test]
    fn user_s_request_after_a_poll_moves_the_end() {
        let row = policy().start(LOGIN);
        let polled = poll(&row, 1, LOGIN + ACCESS).next(&row).unwrap();
        let now = LOGIN + ACCESS + secs(5);
        let idle = |row: &Session, now| policy().decide(row, presented(2, false).with_idle(true), now);
        let decision = idle(&polled, now);
        assert_eq!((decision.code(), decision.issues().len()), ("extend", 2));
        let extended = decision.next(&polled).unwrap();
        assert_eq!((extended.generation, extended.rotated_at), (polled.generation, polled.rotated_at));
        assert_eq!((extended.expires_at, extended.locks_at), (now + IDLE, Some(now + LOCK)));
        assert_eq!(extended.acknowledged_at, Some(now));
        assert_eq!(used(&polled, 1, now), Decision::Reissue, "a parallel request; the next refresh moves the end");
        let seen = Session { acknowledged_at: Some(now), ..polled };
        assert_eq!(idle(&seen, now + GRACE).next(&seen).unwrap().locks_at, Some(now + GRACE + LOCK), "by a rotation");
    }

    #[test]
    fn fixed_and_absolute_ends_are_not_moved() {
        let fixed = policy_with(ACCESS, GRACE).start_for(secs(1000), LOGIN);
        let late = Session { expires_at: LOGIN + ABSOLUTE, rotated_at: LOGIN + ABSOLUTE - secs(10), ..SESSION };
        for (row, now) in [(fixed, LOGIN), (late, LOGIN + ABSOLUTE - secs(5))] {
            let presented = Presented::new(row.generation).with_idle(true);
            let decision = policy_with(ACCESS, GRACE).decide(&row, presented, now);
            assert_eq!(decision.next(&row).unwrap().expires_at, row.expires_at);
        }
    }
}

// --- sessions that are bound to a device

const BOUND: Session = Session { device: DeviceBinding::Bound, ..SESSION };

fn proven(session: &Session, challenge: u64, now: UnixTime) -> Option<Decision> {
    policy_with(ACCESS, GRACE).decide_proven(session, Generation::new(challenge), now)
}

#[test]
fn no_token_alone_refreshes_or_ends_a_bound_session() {
    for device in [DeviceBinding::Bound, DeviceBinding::Required] {
        for generation in [1, 3, 4, 5, 6, 9, 1000] {
            for seconds in [0, 29, 30, 300, 100_000] {
                for is_upload in [false, true] {
                    let session = Session { device, expires_at: ROTATED + IDLE * 9, ..SESSION };
                    let now = ROTATED + secs(seconds);
                    for activity in [false, true] {
                        let presented = presented(generation, is_upload).with_activity(activity);
                        let decision = policy_with(ACCESS, GRACE).decide(&session, presented, now);
                        assert_eq!(decision, Decision::Refuse(Refusal::Unproven), "{generation} {seconds}");
                        assert_eq!((decision.next(&session), decision.acknowledges()), (None, false));
                    }
                }
            }
        }
    }
}

#[test]
fn locked_bound_session_says_that_it_is_locked() {
    let session = Session { locks_at: Some(SEEN), ..BOUND };
    let policy = policy_with(ACCESS, GRACE).with_lock_after(Some(secs(600)));
    let refused = Decision::Refuse(Refusal::Locked);
    assert_eq!(policy.decide(&session, presented(5, false), SEEN), refused);
    assert_eq!(policy.decide_proven(&session, Generation::new(5), SEEN), Some(refused));
    let unlocked = policy.reauthenticate(&session, SEEN + GRACE).unwrap();
    assert_eq!(unlocked.device, DeviceBinding::Bound);
    assert!(!policy.is_locked(&unlocked, SEEN + GRACE));
    assert_eq!(
        (unlocked.generation, unlocked.rotated_at),
        (Generation::new(5), SEEN + GRACE),
        "with tokens that are good"
    );
}

#[test]
fn proof_over_the_newest_challenge_refreshes_once() {
    for seconds in [0, 29, 30, 299, 300, 80_000] {
        let now = ROTATED + secs(seconds);
        let decision = proven(&BOUND, 5, now).unwrap();
        let Decision::Rotate(update) = decision else { panic!("{decision:?}") };
        assert_eq!((update.generation, update.rotated_at), (Generation::new(6), now));
        assert_eq!(update.acknowledged_at, Some(now), "no further write acknowledges it");
        let next = decision.next(&BOUND).unwrap();
        assert_eq!(next.device, DeviceBinding::Bound);
        assert_eq!(proven(&next, 5, now), Some(Decision::Reissue));
        assert_eq!(proven(&next, 5, now + GRACE - secs(1)), Some(Decision::Reissue));
        assert_eq!(proven(&next, 5, now + GRACE), None);
    }
}

#[test]
fn proof_over_any_other_challenge_needs_a_new_one() {
    for challenge in [0, 1, 3, 6, 7, 1000, u64::MAX] {
        for seconds in [0, 29, 300] {
            assert_eq!(proven(&BOUND, challenge, ROTATED + secs(seconds)), None, "{challenge}");
        }
    }
    assert_eq!(proven(&BOUND, 4, ROTATED + GRACE), None);
}

#[test]
fn proof_revives_no_session_that_is_over() {
    let over = Some(Decision::Refuse(Refusal::Expired));
    assert_eq!(proven(&BOUND, 5, BOUND.expires_at), over);
    assert_eq!(proven(&Session { created_at: LOGIN - ABSOLUTE, ..BOUND }, 5, ROTATED), over);
}

#[test]
fn session_after_a_new_password_is_bound_to_the_same_device() {
    for device in [DeviceBinding::Unbound, DeviceBinding::Required, DeviceBinding::Bound] {
        let successor = policy_with(ACCESS, GRACE).succeed(&Session { device, ..SESSION }, SEEN);
        assert_eq!(successor.device, device);
    }
}

/// Otherwise a thief with an access token could get later ones without the device, by such requests.
#[test]
fn only_a_proof_moves_the_time_from_which_access_tokens_of_a_bound_session_end() {
    let policy = policy_with(ACCESS, GRACE);
    for device in [DeviceBinding::Required, DeviceBinding::Bound] {
        let session = Session { device, ..SESSION };
        for seconds in [0, 40, 299, 3000] {
            let now = SEEN + secs(seconds);
            let said = Authentication::new(LOGIN, Methods::default());
            let acting = policy.start_acting(&session, &said, secs(3600), now);
            let rows = [policy.succeed(&session, now), policy.reauthenticate(&session, now).unwrap(), acting];
            assert!(rows.iter().all(|row| row.rotated_at == ROTATED && row.device == device), "{rows:?}");
        }
    }
    let unbound = policy.succeed(&SESSION, SEEN + ACCESS);
    assert_eq!(unbound.rotated_at, SEEN + ACCESS);
}

#[test]
fn locked_session_of_a_client_is_unproven_without_its_proof() {
    let key = Thumbprint::parse(&"A".repeat(43)).unwrap();
    let policy = policy_with(ACCESS, GRACE).with_lock_after(Some(IDLE));
    let row = Session { device: DeviceBinding::Dpop(key), locks_at: Some(ROTATED + secs(300)), ..BOUND };
    let decide = |client| policy.decide(&row, presented(5, false).with_client(client), ROTATED + secs(300));
    assert_eq!(decide(Some(key)), Decision::Refuse(Refusal::Locked));
    assert_eq!(decide(None), Decision::Refuse(Refusal::Unproven));
}

/// Bound by a registration whose answer may be lost.
const REGISTERED: Session = Session { acknowledged_at: None, ..BOUND };

#[test]
fn older_token_unbinds_a_session_until_the_newest_is_seen() {
    let policy = policy_with(ACCESS, GRACE).with_lock_after(Some(IDLE));
    let decide = |session: &Session, generation, seconds| {
        policy.decide(session, presented(generation, false), ROTATED + secs(seconds))
    };
    for seconds in [30, 31, 300, 80_000] {
        let decision = decide(&REGISTERED, 4, seconds);
        assert_eq!(decision, Decision::Unbind);
        assert_eq!((decision.issues().len(), decision.warning()), (2, Some("session_unbound")));
        assert_eq!((decision.next(&REGISTERED), decision.acknowledges()), (None, false), "the generation stays");
    }
    let unproven = Decision::Refuse(Refusal::Unproven);
    for seconds in [0, 29] {
        assert_eq!(decide(&REGISTERED, 4, seconds), unproven, "the answer may be on its way");
    }
    for generation in [1, 3, 5, 6, 1000] {
        assert_eq!(decide(&REGISTERED, generation, 300), unproven, "{generation}");
    }
    let seen = Session { acknowledged_at: Some(ROTATED), ..REGISTERED };
    let required = Session { device: DeviceBinding::Required, ..REGISTERED };
    assert_eq!([seen, required].map(|session| decide(&session, 4, 300)), [unproven; 2]);
    let locked = Session { locks_at: Some(ROTATED + secs(300)), ..REGISTERED };
    assert_eq!(decide(&locked, 4, 300), Decision::Refuse(Refusal::Locked));
    let upload = |seconds| policy.decide(&REGISTERED, presented(4, true), ROTATED + secs(seconds)).code();
    assert_eq!([29, 30, 900, 901].map(upload), ["device_proof_required", "admit", "admit", "late_upload"]);
}

#[test]
fn older_token_shows_a_session_that_is_not_bound_until_the_newest_is_seen() {
    let bound = |session: Session, generation| session.as_shown_by(Generation::new(generation)).device;
    assert_eq!([3, 4, 5, 6].map(|it| bound(REGISTERED, it) == DeviceBinding::Bound), [false, false, true, true]);
    assert_eq!(bound(BOUND, 4), DeviceBinding::Bound);
    let required = Session { device: DeviceBinding::Required, ..REGISTERED };
    assert_eq!(bound(required, 4), DeviceBinding::Required);
}
