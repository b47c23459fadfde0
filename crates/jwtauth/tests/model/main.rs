//! A model checker over every history of one session: a browser with several requests under way on a bad network,
//! workers that stop between reading and writing, a database that loses its last writes, and a thief who knows the
//! rules.
//!
//! The rules are those of the engine, such as `RotationPolicy::decide` and `RotationPolicy::acknowledges`. The model is the
//! world around them. A state holds ages instead of times, and generations relative to the row's, each only as far as a
//! rule can tell them apart. The number of states is therefore finite, and visiting all of them covers histories of
//! every length.
//!
//! Assumptions:
//!
//! - Time passes in ticks. The grace period, the lifetime of the access token, the limit for uploads and the slowest
//!   message each take a few ticks. The figures are smaller than the defaults but keep their order: a message takes
//!   less than the grace period, the grace period is at most the lifetime of an access token, and the limit for uploads
//!   is longer than the grace period.
//! - A request that is not an upload is answered, lost or given up within [`World::slowest`] ticks. An upload may be
//!   held back on its way to the server forever; its answer sets no cookie. A WebSocket handshake is an ordinary
//!   request.
//! - A render server fetches with the cookies of the browser, or with cookies from an answer that may still get lost on
//!   its way to the browser. A page with all of its fetches takes as long as one request.
//! - At any moment, messages get lost, delayed and reordered, and workers die. The acknowledgement by an access token
//!   is written later than the check, or never.
//! - The browser may forget its access cookie, but not its refresh cookie. It accepts every cookie that reaches it.
//! - The database may return to its state before its last one or two writes, any number of times. It does not restore
//!   an ended session, which no rule could detect.
//! - In some worlds the browser starts with a login of another package, as [`old_login`] describes.
//! - Sessions that are bound to a device have a model of their own, [`device`], and so have clients with keys, [`dpop`].
//! - In some worlds the user authenticates again, or the session locks, as [`reauthentication`] describes.
//! - The thief copies the cookies once and may then do what [`thief`] describes. The thief and lost writes are explored
//!   separately.
#![expect(clippy::unwrap_used, clippy::struct_excessive_bools, reason = "a test with many switches")]

mod device;
mod device_keys;
mod dpop;
mod forgeries;
mod old_login;
mod oracle;
mod reauthentication;
mod simulation;
mod state;
mod thief;
mod world;
mod wrong;
mod wrong_devices;
mod wrong_old_logins;
mod wrong_reauthentications;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Instant,
};

use stateright::{Checker, HasDiscoveries, Model};

use device::Devices;
use old_login::Moves;
use thief::Loot;
use world::World;

/// A model that records what has happened in any history.
trait Explored: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq> {
    fn seen(&self) -> Arc<Mutex<BTreeSet<&'static str>>>;
}

impl Explored for World {
    fn seen(&self) -> Arc<Mutex<BTreeSet<&'static str>>> {
        Arc::clone(&self.seen)
    }
}

impl Explored for Devices {
    fn seen(&self) -> Arc<Mutex<BTreeSet<&'static str>>> {
        Arc::clone(&self.seen)
    }
}

/// Visit every state, or stop when this is found. Return the violated properties, each with a path that leads to the
/// violation.
fn explore<M>(name: &str, world: M, occasions: &[&str], stop: HasDiscoveries) -> Vec<String>
where
    M: Explored + Send + Sync + 'static,
    M::State: 'static,
{
    let seen = world.seen();
    let started = Instant::now();
    let checker = world.checker().threads(2).finish_when(stop).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let seconds = started.elapsed().as_secs_f64();
    let violations: Vec<_> =
        checker.discoveries().iter().map(|(property, path)| format!("{property}:\n{path}")).collect();
    if violations.is_empty() {
        println!("{name}: {states} states, {depth} steps deep, {seconds:.1} s");
        assert!(checker.is_done(), "not every state was visited");
        let seen = seen.lock().unwrap();
        let missing: Vec<_> = occasions.iter().filter(|occasion| !seen.contains(**occasion)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}, only {seen:?}");
    } else {
        println!("{name}: violated within {states} states, {seconds:.1} s");
    }
    violations
}

#[track_caller]
fn holds<M: Explored<State: 'static> + Send + Sync + 'static>(name: &str, world: M, occasions: &[&str]) {
    let violations = explore(name, world, occasions, HasDiscoveries::All);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[track_caller]
fn fails<M: Explored<State: 'static> + Send + Sync + 'static>(name: &str, world: M, property: &'static str) {
    let violations = explore(name, world, &[], HasDiscoveries::AnyOf([property].into()));
    assert!(violations.iter().any(|violation| violation.starts_with(property)), "{name}: {violations:?}");
}

const HONEST: [&str; 7] = ["rotate", "renew_access", "reissue", "admit", "late_upload", "a lost swap", "a logout"];
const RENDERED: [&str; 6] = [
    "rotate",
    "reissue",
    "a lost swap",
    "a rendering with unseen tokens",
    "a rendering is admitted",
    "a rendering is late",
];
const LOSSES: [&str; 3] = ["rotate", "adopt", "a restore"];
const THEFT: [&str; 8] = [
    "the thief's refresh ends the session",
    "the owner's refresh ends the session",
    "the thief keeps up with the owner",
    "a thief is locked out",
    "a locked out thief is found",
    "a locked out thief uploads for a while",
    "a locked out thief uploads too late",
    "late_upload",
];
const MOVED: [&str; 5] = [
    "an old login starts a session",
    "a second start",
    "an old login gets the tokens again",
    "an old login admits a late request",
    "an old login refuses a late request",
];
const MOVED_AND_ENDED: [&str; 5] = [
    "a sign-out",
    "a sign-out without a session",
    "a new password",
    "an old worker answers",
    "an old login is refused",
];
const MOVED_AND_COPIED: [&str; 8] = [
    "the thief starts the session",
    "the thief gets the owner's tokens",
    "the thief's old credential ends the session",
    "the owner's old credential ends the session",
    "a thief is locked out",
    "a locked out thief is found",
    "a locked out old credential is found",
    "the thief keeps up with the owner",
];

const CONFIRMED: [&str; 6] = [
    "rotate",
    "reissue",
    "the next generation is confirmed",
    "the newest generation is confirmed",
    "an authentication loses its swap",
    "an older answer arrives last",
];
const CONFIRMED_AND_COPIED: [&str; 5] = [
    "a thief is locked out",
    "the thief's refresh ends the session",
    "the owner's refresh ends the session",
    "the next generation is confirmed",
    "late_upload",
];
const LOCKED: [&str; 3] = ["session_locked", "a locked session is revived", "rotate"];

#[test]
fn honest_user_stays_signed_in_and_logout_is_final() {
    let tabs = World { requests: 3, uploads: true, logout: true, ..World::new() };
    holds("tabs, uploads, logout", tabs.with_figures(2, 2, 1, 3), &HONEST);
    holds("lost writes", World { restores: true, ..World::new() }.with_figures(2, 3, 1, 3), &LOSSES);
}

/// The server renders pages with cookies that the browser may never get, and identifies itself by the secret.
#[test]
fn render_server_signs_no_user_out() {
    let world = || World { renders: true, ..World::new() };
    holds("a render server", World { requests: 3, ..world() }.with_figures(2, 2, 1, 3), &RENDERED);
    holds("a render server, a thief", World { thief: true, ..world() }.with_figures(1, 2, 0, 3), &THEFT);
}

/// These properties hold with a thief, whatever the thief presents and however long the thief waits:
///
/// - Once the newest generation has been in use for the grace period, an ordinary request with an older token ends the
///   session, whether the owner or the thief makes it.
/// - A thief is locked out under two conditions. Since the thief last presented a refresh token in an ordinary request,
///   the server has answered the owner with newer tokens twice. And the second ones have been in use for the grace
///   period. From then on each ordinary request of the thief ends the session. Uploads of the thief are admitted only
///   up to the limit since that second refresh, get no tokens, and are then refused and logged.
///
/// To stay, a thief must therefore make an ordinary request between any two refreshes of the owner, or within the grace
/// period after the second. By the first point, the thief must also leave the new tokens unused until the owner has
/// them, except within the grace period.
#[test]
fn thief_who_lets_two_refreshes_pass_is_locked_out() {
    let thief = || World { thief: true, uploads: true, ..World::new() };
    holds("a thief", World { requests: 1, ..thief() }, &THEFT);
    holds("a thief beside two tabs", thief().with_figures(1, 2, 0, 3), &THEFT);
}

/// Neither condition can be made stricter.
#[test]
fn conditions_for_locking_a_thief_out_are_exact() {
    // The thief refreshes first and keeps the answer. The owner's refresh then returns the same tokens, not newer ones.
    let one_refresh = World { thief: true, refreshes: 1, requests: 1, ..World::new() };
    fails("one refresh of the owner", one_refresh, "a thief who is locked out gets nothing");
    // For the same reason, the thief can stay away from every refresh of the owner by more than the grace period.
    let distance = World { thief: true, distance: true, requests: 1, ..World::new() }.with_figures(1, 3, 0, 3);
    fails("a thief at a distance", distance, "a thief at a distance is not served");
}

/// The assumption about slow requests is exact: if requests may take the full grace period, an honest one comes too
/// late.
#[test]
fn requests_faster_than_the_grace_are_safe_and_slower_ones_are_not() {
    let world = |slowest| World { uploads: true, ..World::new() }.with_figures(2, 4, slowest, 3);
    holds("just below the grace", world(1), &["rotate", "reissue"]);
    fails("at the grace", world(2), "an honest user stays signed in");
}

fn moving(moves: Moves) -> World {
    World { moves: Some(moves), ..World::new() }.with_figures(1, 2, 0, 3)
}

/// A user who was signed in by another package is admitted by each request that the package would have admitted, and
/// while the session lasts. The exception is a request that cannot bring the new tokens, or was held back, more than
/// the limit for uploads after the move: it is anonymous, and ends nothing.
#[test]
fn old_login_moves_in_unnoticed() {
    let links = || Moves { links: true, ..Moves::new() };
    holds("old logins, uploads, links", World { uploads: true, ..moving(links()) }, &MOVED);
    holds("old logins, slower requests", moving(links()).with_figures(2, 2, 1, 3), &MOVED);
    let losses = Moves { losses: true, lifetime: Some(6), is_fixed: true, ..links() };
    holds("old logins that expire, lost writes", moving(losses), &MOVED);
}

/// After a sign-out, an end of the session, a new password, or the period, the old credential starts nothing and admits
/// nothing, even if the other package still accepts it.
#[test]
fn ended_old_login_starts_nothing() {
    let ends = Moves { sign_outs: true, passwords: true, ends: true, old_workers: true, ..Moves::new() };
    let ends = Moves { can_be_spent: false, ..ends };
    holds("old logins that end", World { logout: true, ..moving(ends) }, &MOVED_AND_ENDED);
}

/// These properties hold with a thief who copied the old credential, before or after the login moved in:
///
/// - Once the new tokens have been in use for the grace period, an ordinary request with the old credential ends the
///   session, whether the owner or the thief makes it. A request that counts as late gets no tokens, and is admitted
///   only up to the limit for uploads after the move.
/// - A thief who was faster holds the same tokens as the owner. The rules of rotation then apply unchanged: the thief is
///   locked out under the same two conditions as a thief who copied the tokens.
///
/// A thief who copied a credential that starts no session never gets one, and cannot sign the owner out.
#[test]
fn copied_old_credential_is_found_or_locked_out() {
    let thief = |moves| World { thief: true, uploads: true, requests: 1, ..moving(moves) };
    holds("old logins, a thief", thief(Moves { losses: true, ..Moves::new() }), &MOVED_AND_COPIED);
    let access = Moves { loot: Loot::AccessCredential, passwords: true, ..Moves::new() };
    holds("old logins, a copied access credential", thief(access), &["the thief shows an access credential"]);
}

fn again() -> World {
    World { reauthenticates: true, ..World::new() }
}

/// A user may authenticate again at any moment, and several times at once. Whatever gets lost or overtaken, no tab is
/// signed out.
///
/// A request that the server answers later does not take the new tokens from the browser, if two requests in a row take
/// less than the grace period. An answer that was made before, and arrives last, does: the user is then asked again.
#[test]
fn reauthentication_signs_no_user_out() {
    holds("authenticating again", again().with_figures(3, 3, 1, 5), &CONFIRMED);
    let tabs = World { requests: 3, ..again() }.with_figures(1, 2, 0, 3);
    holds("authenticating again, three tabs", tabs, &CONFIRMED);
    let uploads = World { uploads: true, logout: true, renders: true, ..again() };
    holds("authenticating again, uploads, a render server", uploads.with_figures(1, 2, 0, 3), &CONFIRMED);
}

/// No request without credentials makes an authentication younger: not that of a thief who copied the tokens before it,
/// and not that of a browser whose response was lost.
#[test]
fn copied_tokens_never_name_a_later_authentication() {
    let thief = |world| World { thief: true, requests: 1, ..world };
    holds("authenticating again, a thief", thief(again()), &CONFIRMED_AND_COPIED[..4]);
    let uploads = World { uploads: true, ..thief(again()) }.with_figures(1, 2, 0, 3);
    holds("authenticating again, a thief who uploads", uploads, &CONFIRMED_AND_COPIED);
    let losses = World { restores: true, requests: 1, ..again() }.with_figures(1, 1, 0, 3);
    holds("authenticating again, lost writes", losses, &["a restore", "adopt", "the next generation is confirmed"]);
}

/// A locked session admits nothing, and ends for no user: authenticating again revives it.
#[test]
fn locked_session_admits_nothing_until_the_user_authenticates() {
    let locks = |lock_after| World { lock_after: Some(lock_after), ..again() }.with_figures(1, 2, 0, 3);
    holds("locks", World { uploads: true, ..locks(2) }, &LOCKED);
    holds("locks, a thief", World { thief: true, requests: 1, ..locks(3) }, &LOCKED);
}

/// The assumption is exact: of two requests that take the full grace period together, the second takes the new tokens
/// from the browser. The user stays signed in.
#[test]
fn parallel_request_after_the_grace_takes_an_authentication_back() {
    let slow = again().with_figures(2, 2, 1, 3);
    fails("authenticating again, slow requests", slow, "no other tab takes an authentication back");
}

const PROVEN: [&str; 6] =
    ["rotate", "reissue", "challenge", "a lost swap", "a stale challenge", "an expired challenge"];
const REGISTERED: [&str; 7] = [
    "bind",
    "again",
    "refuse",
    "unbind",
    "elsewhere",
    "a key that is not removed",
    "a browser never learns that its session is bound",
];
const PROVEN_AND_COPIED: [&str; 3] =
    ["the thief uses a proof that was not used", "a proof outlives the tokens", "the tokens outlive a proof"];

fn bound() -> Devices {
    Devices::new(1, 3)
}

fn bound_briefly() -> Devices {
    Devices::new(1, 2)
}

/// Whatever gets lost, repeated or overtaken, and however old its cookies and its challenge are, a browser that has its key
/// refreshes by one request, or by a second one with the challenge in the answer to the first.
///
/// A browser that never gets the answer to its registration does not know that the session is bound, and goes on by its
/// cookies, which make the session unbound.
#[test]
fn browser_with_its_key_is_not_signed_out() {
    holds("a bound session", bound(), &PROVEN);
    let losses = Devices { restores: true, ..bound_briefly() };
    holds("a bound session, lost writes", losses, &["a restore", "a challenge of a lost generation"]);
    holds("a session to be bound", Devices { registers: true, ..bound() }, &REGISTERED);
    let locks = Devices::with_locks(1, 2, Some(3));
    holds("a bound session that locks", locks, &["session_locked", "a locked session is revived"]);
}

/// A thief who has copied every cookie, answer and proof, until some moment, gets no access token that is valid after the
/// later of two times:
///
/// - the end of the access tokens that existed at that moment;
/// - for each copied proof of the row's generation that the server has not accepted: one second before its challenge
///   expires, plus the lifetime of an access token.
///
/// If the database may lose its last write, proofs that were accepted before it count as well. No refresh token without a
/// proof changes the row, and each proof by another key ends the session. All of this holds from the moment when a token is
/// seen that has answered the registration. Until then, an older refresh token makes the session unbound.
#[test]
fn copies_of_a_bound_session_admit_no_thief_for_long() {
    let thief = || Devices { thief: true, ..bound() };
    holds("a bound session, a thief", Devices { messages: 1, ..thief() }, &PROVEN_AND_COPIED);
    let tabs = Devices { thief: true, ..bound_briefly() };
    holds("a bound session, a thief, two messages", tabs, &PROVEN_AND_COPIED);
    let losses = Devices { thief: true, restores: true, messages: 1, ..bound_briefly() };
    holds("a bound session, a thief, lost writes", losses, &PROVEN_AND_COPIED);
    let registers = Devices { registers: true, messages: 1, ..thief() };
    let unbound = ["the thief unbinds the session", "a proof outlives the tokens", "the tokens outlive a proof"];
    holds("a session to be bound, a thief", registers, &unbound);
    let locks = Devices { thief: true, messages: 1, ..Devices::with_locks(1, 2, Some(3)) };
    holds("a bound session that locks, a thief", locks, &PROVEN_AND_COPIED);
}

/// The second time is exact; a tick stands for the second. The first is that of a token which the thief has.
#[test]
fn bound_of_a_thief_is_exact() {
    let strict = Devices { thief: true, messages: 1, too_strict: 1, ..bound() };
    fails("a thief, one tick earlier", strict, "nothing is accepted after the bound");
}

#[test]
#[ignore = "deep: make model"]
fn deep_browser_with_its_key_is_not_signed_out() {
    let longer = |messages| Devices { messages, ..Devices::new(2, 4) };
    holds("a bound session, three messages", longer(3), &PROVEN);
    holds("a bound session, four messages", Devices { messages: 4, ..bound() }, &PROVEN);
    let losses = Devices { restores: true, ..longer(3) };
    holds("a bound session, three messages, lost writes", losses, &["a restore", "a challenge of a lost generation"]);
    holds("a session to be bound, three messages", Devices { registers: true, ..longer(3) }, &REGISTERED);
}

#[test]
#[ignore = "deep: make model"]
fn deep_copies_of_a_bound_session_admit_no_thief_for_long() {
    let thief = || Devices { thief: true, ..bound() };
    holds("a bound session, a thief, longer tokens", thief(), &PROVEN_AND_COPIED);
    let grace = Devices { thief: true, messages: 1, ..Devices::new(2, 4) };
    holds("a bound session, a thief, longer figures", grace, &PROVEN_AND_COPIED);
    let losses = |devices| Devices { thief: true, restores: true, ..devices };
    let one = Devices { messages: 1, ..losses(bound()) };
    holds("a bound session, a thief, lost writes, longer tokens", one, &PROVEN_AND_COPIED);
    holds("a bound session, a thief, two messages, lost writes", losses(bound_briefly()), &PROVEN_AND_COPIED);
    let registers = Devices { registers: true, ..thief() };
    holds("a session to be bound, a thief, two messages", registers, &PROVEN_AND_COPIED);
}

#[test]
#[ignore = "deep: make model"]
fn deep_honest_user_stays_signed_in() {
    let world = || World { uploads: true, logout: true, ..World::new() };
    holds("three requests", World { requests: 3, ..world() }.with_figures(3, 6, 2, 4), &HONEST);
    holds("four requests", World { requests: 4, logout: false, ..world() }.with_figures(3, 6, 2, 4), &HONEST[..6]);
}

#[test]
#[ignore = "deep: make model"]
fn deep_render_server_signs_no_user_out() {
    let world = || World { renders: true, ..World::new() };
    let tabs = World { requests: 3, uploads: true, logout: true, ..world() };
    holds("a render server, longer figures", tabs.with_figures(3, 6, 2, 4), &RENDERED);
    holds("a render server, a thief, two requests", World { thief: true, ..world() }.with_figures(2, 4, 1, 4), &THEFT);
}

#[test]
#[ignore = "deep: make model"]
fn deep_lost_writes_sign_no_user_out() {
    let world = || World { uploads: true, logout: true, restores: true, ..World::new() };
    holds("lost writes, longer figures", world().with_figures(3, 6, 2, 4), &LOSSES);
    holds("three requests, lost writes", World { requests: 3, ..world() }.with_figures(2, 3, 1, 3), &LOSSES);
}

#[test]
#[ignore = "deep: make model"]
fn deep_thief_who_lets_two_refreshes_pass_is_locked_out() {
    let world = || World { thief: true, uploads: true, ..World::new() };
    holds("a thief, two requests", world().with_figures(3, 6, 2, 5), &THEFT);
    holds("a thief, long uploads", world().with_figures(1, 3, 0, 9), &THEFT);
    holds("a thief, three requests", World { requests: 3, ..world() }, &THEFT);
}

#[test]
#[ignore = "deep: make model"]
fn deep_old_login_moves_in_unnoticed() {
    let links = || Moves { links: true, idle: 6, ..Moves::new() };
    let world = |moves| World { uploads: true, ..moving(moves) };
    let longer = world(Moves { losses: true, ..links() }).with_figures(2, 4, 1, 3);
    holds("old logins, lost writes, longer figures", longer, &MOVED);
    let tabs = World { requests: 3, ..world(links()) }.with_figures(2, 2, 1, 3);
    holds("old logins, three requests", tabs, &MOVED);
    let renders = World { renders: true, uploads: false, requests: 3, ..world(links()) };
    holds("old logins, a render server", renders.with_figures(2, 2, 1, 3), &RENDERED);
}

#[test]
#[ignore = "deep: make model"]
fn deep_ended_old_login_starts_nothing() {
    let ends = |can_be_spent| {
        let ends = Moves { sign_outs: true, passwords: true, ends: true, old_workers: true, ..Moves::new() };
        World { logout: true, requests: 3, ..moving(Moves { can_be_spent, losses: true, links: true, ..ends }) }
    };
    holds("old logins that end, three requests", ends(true), &MOVED_AND_ENDED);
    holds("old logins that cannot be spent, three requests", ends(false), &MOVED_AND_ENDED);
}

#[test]
#[ignore = "deep: make model"]
fn deep_reauthentication_signs_no_user_out() {
    let uploads = || World { uploads: true, logout: true, ..again() };
    holds("authenticating again, longer figures", uploads().with_figures(3, 6, 1, 5), &CONFIRMED);
    let tabs = World { requests: 3, ..uploads() };
    holds("authenticating again, three requests", tabs.with_figures(1, 2, 0, 3), &CONFIRMED);
    let renders = World { renders: true, ..again() };
    holds("authenticating again, a render server", renders.with_figures(3, 3, 1, 5), &CONFIRMED);
    let losses = World { restores: true, ..again() };
    holds("authenticating again, two requests, lost writes", losses.with_figures(1, 1, 0, 3), &["a restore", "adopt"]);
}

#[test]
#[ignore = "deep: make model"]
fn deep_copied_tokens_never_name_a_later_authentication() {
    let thief = |world| World { thief: true, uploads: true, ..world };
    let figures = thief(again()).with_figures(1, 2, 0, 3);
    holds("authenticating again, a thief, two requests", figures, &CONFIRMED_AND_COPIED);
    let locks = World { lock_after: Some(4), ..thief(again()) };
    holds("locks, a thief, two requests", locks.with_figures(1, 2, 0, 3), &LOCKED);
    let locks = World { lock_after: Some(4), ..again() };
    holds("locks, longer figures", locks.with_figures(3, 3, 1, 5), &LOCKED);
}

#[test]
#[ignore = "deep: make model"]
fn deep_copied_old_credential_is_found_or_locked_out() {
    let thief = |moves| World { thief: true, uploads: true, ..moving(moves) };
    let rules = || Moves { losses: true, links: true, idle: 6, ..Moves::new() };
    holds("old logins, a thief, two requests", thief(rules()).with_figures(1, 2, 0, 3), &MOVED_AND_COPIED);
    let unspent = Moves { can_be_spent: false, ..rules() };
    holds("old logins that cannot be spent, a thief", thief(unspent).with_figures(2, 4, 1, 3), &MOVED_AND_COPIED);
}
