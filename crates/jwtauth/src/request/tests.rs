use std::{cell::Cell, time::Duration};

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::{
    Algorithm, CookiePolicy, CustomClaims, DeviceBinding, Generation, Keyring, Lifetimes, OriginError, OriginPolicy,
    Profile, Sid, SigningKey, TokenKind, VerifyError,
};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const ACCESS: Duration = secs(300);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn site() -> Site {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
    let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
    let policy = RotationPolicy::new(Lifetimes::new(ACCESS, secs(86_400), None).unwrap(), secs(30));
    let origins = OriginPolicy::new(["https://trusted.example"]).unwrap();
    Site::new(tokens, policy, Transport::new(CookiePolicy::default(), origins, true))
}

fn claims(subject: &str, session: u8, generation: u64) -> Claims {
    let (sid, generation) = (Sid::from_bytes([session; 20]), Generation::new(generation));
    Claims::new(subject, sid, generation, NOW - secs(10), NOW + secs(100))
}

fn access(claims: &Claims) -> String {
    format!("access_token={}", site().tokens().issue(TokenKind::Access, claims).unwrap())
}

fn refresh(claims: &Claims) -> String {
    format!("refresh_token={}", site().tokens().issue(TokenKind::Refresh, claims).unwrap())
}

fn own() -> Option<Origin> {
    "https://own.example".parse().ok()
}

fn identify_head(head: Head<'_>, cookies: &[String]) -> Result<Identity, Box<Refused>> {
    let field = cookies.join("; ");
    site().identify(&Head { cookies: &[field.as_bytes()], ..head }, own, NOW)
}

fn identify(cookies: &[String]) -> Identity {
    identify_head(Head::new("GET"), cookies).unwrap()
}

mod which_tokens_count {
    use super::*;

    #[test]
    fn refresh_token_is_ignored_beside_an_access_token_of_its_session() {
        let (newer, older) = (claims("ada", 1, 4), claims("ada", 1, 3));
        let identity = identify(&[access(&older), refresh(&newer)]);
        assert_eq!((identity.access(), identity.refresh()), (Some(&older), None));
    }

    #[test]
    fn both_tokens_count_for_two_sessions_of_one_user() {
        let (one, other) = (claims("ada", 1, 1), claims("ada", 2, 1));
        let identity = identify(&[access(&one), refresh(&other)]);
        assert_eq!((identity.access(), identity.refresh()), (Some(&one), Some(&other)));
    }

    #[test]
    fn tokens_of_two_users_are_ignored_in_any_cookie_and_order() {
        let (ada, eve) = (claims("ada", 1, 1), claims("eve", 2, 1));
        let later = Claims { issued_at: NOW, ..eve.clone() };
        for cookies in [
            [access(&ada), refresh(&eve)],
            [access(&ada), access(&eve)],
            [access(&later), access(&ada)],
            [refresh(&ada), refresh(&later)],
        ] {
            let reversed = [cookies[1].clone(), cookies[0].clone()];
            for cookies in [cookies, reversed] {
                let identity = identify(&cookies);
                assert!(identity.is_anonymous() && identity.has_cookies());
                assert_eq!(identity.session_names().len(), 2, "logout ends both");
            }
        }
        let expired = Claims { expires_at: NOW, ..eve };
        assert_eq!(identify(&[access(&ada), access(&expired)]).access(), Some(&ada), "an expired token names no user");
    }

    #[test]
    fn refresh_tokens_of_ended_sessions_do_not_count_beside_tokens_of_another_user() {
        let (ada, eve) = (claims("ada", 1, 1), claims("eve", 2, 1));
        let disputed = identify(&[refresh(&eve), access(&ada), refresh(&ada)]);
        assert_eq!((disputed.is_disputed(), disputed.disputed_sessions().len()), (true, 2));
        let settled = disputed.clone().settle(|sid| *sid == ada.sid);
        assert_eq!((settled.access(), settled.refresh(), settled.is_disputed()), (Some(&ada), None, false));
        assert_eq!(settled.session_names().len(), 2, "logout ends both");
        assert!(
            disputed.clone().settle(|sid| *sid == eve.sid).is_anonymous(),
            "an access token counts until it expires"
        );
        let settled = identify(&[refresh(&eve), refresh(&ada)]).settle(|sid| *sid == eve.sid);
        assert_eq!((settled.access(), settled.refresh()), (None, Some(&eve)));
        let settled = disputed.settle(|_| true);
        assert!(settled.is_anonymous() && !settled.is_disputed());
        let undisputed = identify(&[access(&ada), refresh(&ada)]);
        assert!(!undisputed.is_disputed());
        assert_eq!(undisputed.settle(|_| false).access(), Some(&ada));
    }

    /// The signature of a refresh token in the last cookie may stay unchecked. A cookie after it makes the engine check
    /// the signature.
    #[test]
    fn unchecked_refresh_token_changes_nothing() {
        let (ada, twin, eve) = (claims("ada", 1, 1), claims("ada", 2, 1), claims("eve", 1, 1));
        let expired = Claims { expires_at: NOW, ..ada.clone() };
        let plan = Claims { custom: CustomClaims::from_json(r#"{"plan": 1}"#).unwrap(), ..ada.clone() };
        let of = |kind: fn(&Claims) -> String| [&ada, &twin, &eve, &expired, &plan].map(kind);
        let forged = [access(&ada), refresh(&ada), refresh(&eve)].map(|cookie| cookie[..cookie.len() - 8].to_owned());
        let misplaced = access(&ada).replace("access_token", "refresh_token");
        let cookies = [&of(access)[..], &of(refresh), &forged, &[misplaced, "refresh_token=x".to_owned()]].concat();
        let pairs = cookies.iter().flat_map(|one| cookies.iter().map(move |two| [one, two]));
        for [one, two] in pairs {
            for three in &cookies {
                let cookies = [one, two, three].map(Clone::clone);
                let checked = identify(&[&cookies[..], &["access_token=x".to_owned()]].concat());
                assert_eq!(format!("{:?}", identify(&cookies)), format!("{checked:?}"), "{cookies:?}");
            }
        }
    }

    #[test]
    fn highest_generation_of_a_session_counts_in_any_order() {
        let (old, new) = (claims("ada", 1, 3), Claims { issued_at: NOW - secs(20), ..claims("ada", 1, 4) });
        for cookies in [[refresh(&old), refresh(&new)], [refresh(&new), refresh(&old)]] {
            assert_eq!(identify(&cookies).refresh(), Some(&new));
        }
    }

    #[test]
    fn latest_issued_token_counts_among_sessions_in_any_order() {
        let (old, new) = (claims("ada", 1, 9), Claims { issued_at: NOW - secs(1), ..claims("ada", 2, 1) });
        for cookies in [[access(&old), access(&new)], [access(&new), access(&old)]] {
            assert_eq!(identify(&cookies).access(), Some(&new));
        }
    }

    #[test]
    fn invalid_cookies_are_ignored() {
        let good = claims("ada", 1, 1);
        let junk =
            ["access_token=", "access_token=x", "access_token=\"", "name=José", "access_token"].map(str::to_owned);
        let identity = identify(&[&junk[..], &[access(&good)], &junk[..]].concat());
        assert_eq!(identity.access(), Some(&good));
        let head = Head { cookies: &[b"access_token=\xff\xfe; a=\xe9"], ..Head::new("GET") };
        let identity = site().identify(&head, own, NOW).unwrap();
        assert!(identity.is_anonymous() && identity.has_cookies());
    }

    #[test]
    fn at_most_eight_cookies_of_one_name_are_read() {
        let good = claims("ada", 1, 1);
        let after = |count| {
            let mut cookies = vec!["access_token=x".to_owned(); count];
            cookies.push(access(&good));
            identify(&cookies)
        };
        assert_eq!(after(MAX_DUPLICATES - 1).access(), Some(&good));
        let identity = after(MAX_DUPLICATES);
        assert!(identity.is_anonymous() && identity.session_names().is_empty());
    }

    #[test]
    fn several_cookie_fields_are_read_as_one() {
        let (one, other) = (claims("ada", 1, 1), claims("ada", 2, 1));
        let (access, refresh) = (access(&one), refresh(&other));
        let head = Head { cookies: &[b"a=b", access.as_bytes(), refresh.as_bytes()], ..Head::new("GET") };
        let identity = site().identify(&head, own, NOW).unwrap();
        assert_eq!((identity.access(), identity.refresh()), (Some(&one), Some(&other)));
    }

    #[test]
    fn cookie_name_with_unicode_space_does_not_match() {
        let planted = format!("\u{2000}{}", access(&claims("eve", 2, 1)));
        let own = claims("ada", 1, 1);
        let identity = identify(&[access(&own), planted.clone()]);
        assert_eq!(identity.access(), Some(&own));
        assert!(!identify(&[planted]).has_cookies());
    }

    #[test]
    fn expired_tokens_still_name_their_sessions() {
        let expired = Claims { expires_at: UnixTime::from_secs(1), ..claims("ada", 1, 1) };
        let identity = identify(&[access(&expired), refresh(&claims("ada", 2, 1)), refresh(&claims("ada", 2, 1))]);
        assert_eq!(identity.session_names(), [Sid::from_bytes([1; 20]), Sid::from_bytes([2; 20])]);
        assert_eq!(identity.access(), None);
    }
}

mod bearer {
    use super::*;

    fn with(token: &str) -> Result<Identity, Box<Refused>> {
        let authorization = format!("Bearer {token}");
        let head =
            Head { authorization: Some(&authorization), sec_fetch_site: Some("cross-site"), ..Head::new("POST") };
        identify_head(head, &[access(&claims("eve", 2, 1))])
    }

    fn token(kind: TokenKind, claims: &Claims) -> String {
        site().tokens().issue(kind, claims).unwrap()
    }

    #[test]
    fn bearer_takes_precedence_and_is_accepted_from_every_origin() {
        let ada = claims("ada", 1, 1);
        let identity = with(&token(TokenKind::Access, &ada)).unwrap();
        assert_eq!(identity.access(), Some(&ada));
        assert!(identity.is_bearer() && !identity.has_cookies());
        assert_eq!(identity.session_names(), [ada.sid]);
    }

    #[test]
    fn invalid_bearer_is_401_and_leaves_the_cookies_alone() {
        let expired = Claims { expires_at: NOW, ..claims("ada", 1, 1) };
        for (token, error) in [
            (String::new(), VerifyError::Malformed),
            ("x".to_owned(), VerifyError::Malformed),
            (token(TokenKind::Access, &expired), VerifyError::Expired(NOW)),
            (token(TokenKind::Refresh, &claims("ada", 1, 1)), VerifyError::WrongType),
        ] {
            let refused = with(&token).unwrap_err();
            assert_eq!(refused.error, IdentifyError::InvalidToken(error));
            assert_eq!((refused.error.code(), refused.error.status()), ("token_not_valid", 401));
            assert!(refused.identity.is_bearer() && refused.identity.is_anonymous() && !refused.identity.has_cookies());
        }
    }

    #[test]
    fn bearer_is_not_read_if_the_site_disables_it() {
        let mut site = site();
        site.transport.bearer = false;
        let ada = claims("ada", 1, 1);
        let cookie = access(&ada);
        let head = Head { authorization: Some("Bearer x"), cookies: &[cookie.as_bytes()], ..Head::new("GET") };
        let identity = site.identify(&head, own, NOW).unwrap();
        assert_eq!((identity.access(), identity.is_bearer()), (Some(&ada), false));
    }
}

mod render_server {
    use super::*;

    const SECRET: &str = "the-secret-of-the-render-server-here";

    fn identify_with(head: Head<'_>, cookies: &str, site: &Site) -> Identity {
        site.identify(&Head { cookies: &[cookies.as_bytes()], ..head }, own, NOW).unwrap()
    }

    fn site_with_secret() -> Site {
        let Site { tokens, policy, transport } = site();
        Site::new(tokens, policy, transport.with_render_secrets(RenderSecrets::new([SECRET]).unwrap()))
    }

    #[test]
    fn secret_counts_only_beside_a_cookie() {
        let (site, cookie) = (site_with_secret(), access(&claims("ada", 1, 3)));
        let get = Head::new("GET");
        let told = |identity: &Identity| (identity.is_rendering(), identity.has_wrong_render_secret());
        let proven = Head { render_secret: Some(SECRET), ..get };
        assert_eq!(told(&identify_with(proven, &cookie, &site)), (true, false));
        assert_eq!(told(&identify_with(Head { method: "POST", ..proven }, &cookie, &site)), (true, false));
        assert_eq!(told(&identify_with(get, &cookie, &site)), (false, false));
        for wrong in ["", "x", "the-secret-of-the-render-server-her", "the-secret-of-the-render-server-here,"] {
            let head = Head { render_secret: Some(wrong), ..get };
            assert_eq!(told(&identify_with(head, &cookie, &site)), (false, true), "{wrong}");
        }
        for ignored in [
            identify_with(proven, "theme=dark", &site),
            identify_with(
                Head { upgrade: Some("websocket"), origin: Some("https://own.example"), ..proven },
                &cookie,
                &site,
            ),
            identify_with(proven, &cookie, &super::site()),
        ] {
            assert_eq!(told(&ignored), (false, false), "{ignored:?}");
        }
        let token = cookie.replace("access_token=", "Bearer ");
        let bearer = identify_with(Head { authorization: Some(&token), ..proven }, &cookie, &site);
        assert_eq!((told(&bearer), bearer.is_bearer()), ((false, false), true));
    }

    #[test]
    fn rules_for_uploads_apply_to_refresh_tokens_of_the_render_server() {
        let site = site_with_secret();
        let proven = Head { render_secret: Some(SECRET), ..Head::new("GET") };
        let upload = Head { transfer_encoding: Some("chunked"), ..Head::new("POST") };
        let start = site.policy().start(NOW - secs(5000));
        for rotated_at in [0, 29, 30, 300, 900, 901].map(|ago| NOW - secs(ago)) {
            for acknowledged_at in [None, Some(rotated_at), Some(NOW)] {
                let row = Session { generation: Generation::new(5), rotated_at, acknowledged_at, ..start };
                for generation in 3..=6 {
                    let claims = claims("ada", 1, generation);
                    let decide = |head| {
                        let identity = identify_with(head, &refresh(&claims), &site);
                        site.refresh(&identity, identity.refresh().unwrap(), &row, NOW)
                    };
                    let decision = decide(proven);
                    assert_eq!(decision, decide(upload), "{row:?} {generation}");
                    assert_eq!((decision.next(&row), decision.issues()), (None, &[][..]));
                }
            }
        }
    }

    #[test]
    fn access_token_of_the_render_server_acknowledges_nothing() {
        let site = site_with_secret();
        let claims = claims("ada", 1, 1);
        let row = Session { acknowledged_at: None, ..site.policy().start(NOW) };
        for (render_secret, acknowledge) in [(Some(SECRET), false), (Some("x"), true), (None, true)] {
            let identity = identify_with(Head { render_secret, ..Head::new("GET") }, &access(&claims), &site);
            let check = site.check(&identity, &claims, Some(FoundRow::new(&row, Some("ada"), NOW)), NOW);
            assert_eq!(check, Check::Live { acknowledge, update_last_seen: false });
        }
    }
}

mod origins {
    use super::*;

    const FOREIGN: Head<'_> = Head { sec_fetch_site: Some("cross-site"), ..Head::new("POST") };

    #[test]
    fn valid_cookies_from_another_origin_are_refused() {
        for cookies in [[access(&claims("ada", 1, 1))], [refresh(&claims("ada", 1, 1))]] {
            let refused = identify_head(FOREIGN, &cookies).unwrap_err();
            assert_eq!(refused.error, IdentifyError::CrossOrigin(OriginError::CrossSite));
            assert_eq!((refused.error.code(), refused.error.status()), ("cross_origin", 403));
            assert!(refused.identity.has_cookies() && refused.identity.session_names().is_empty());
        }
    }

    #[test]
    fn origin_is_not_checked_for_invalid_cookies() {
        let (ada, eve) = (claims("ada", 1, 1), claims("eve", 2, 1));
        let expired = Claims { expires_at: NOW, ..ada.clone() };
        for cookies in
            [vec![], vec!["access_token=x".into()], vec![access(&expired)], vec![access(&ada), refresh(&eve)]]
        {
            assert!(identify_head(FOREIGN, &cookies).unwrap().is_anonymous());
        }
    }

    #[test]
    fn origin_of_a_handshake_is_checked() {
        let handshake = Head { upgrade: Some("websocket"), ..Head::new("GET") };
        let cookies = [access(&claims("ada", 1, 1))];
        for origin in ["https://own.example", "https://trusted.example"] {
            assert!(!identify_head(Head { origin: Some(origin), ..handshake }, &cookies).unwrap().is_anonymous());
        }
        for origin in [None, Some("null"), Some("https://evil.example")] {
            let refused = identify_head(Head { origin, ..handshake }, &cookies).unwrap_err();
            assert_eq!(refused.error, IdentifyError::CrossOrigin(OriginError::WebSocket));
        }
    }
}

mod strict_check {
    use super::*;

    const ROW: Session = Session {
        generation: Generation::new(3),
        acknowledged_at: None,
        rotated_at: NOW.saturating_sub(secs(100)),
        created_at: NOW.saturating_sub(secs(1000)),
        expires_at: NOW.saturating_add(secs(1000)),
        end_is_fixed: false,
        auth_time: None,
        locks_at: None,
        device: DeviceBinding::Unbound,
    };

    fn check(method: &str, generation: u64, row: Option<FoundRow<'_>>) -> Check {
        let identity = identify_head(Head::new(method), &[]).unwrap();
        site().check(&identity, &claims("ada", 1, generation), row, NOW)
    }

    #[test]
    fn missing_expired_or_foreign_row_fails_the_check() {
        assert_eq!(check("GET", 3, None), Check::Over);
        assert_eq!(check("GET", 3, Some(FoundRow::new(&ROW, Some("eve"), NOW))), Check::Over);
        let ended = Session { expires_at: NOW, ..ROW };
        assert_eq!(check("GET", 3, Some(FoundRow::new(&ended, Some("ada"), NOW))), Check::Over);
        let unnamed = check("GET", 3, Some(FoundRow::new(&ROW, None, NOW)));
        assert!(matches!(unnamed, Check::Live { .. }), "the subject is not compared");
    }

    #[test]
    fn first_use_of_the_newest_generation_acknowledges_it() {
        let seen = Session { acknowledged_at: Some(NOW), ..ROW };
        for (generation, row, acknowledge) in [(3, ROW, true), (2, ROW, false), (4, ROW, false), (3, seen, false)] {
            let check = check("GET", generation, Some(FoundRow::new(&row, Some("ada"), NOW)));
            assert_eq!(check, Check::Live { acknowledge, update_last_seen: false });
        }
    }

    #[test]
    fn unsafe_request_updates_last_seen_once_a_minute() {
        for (method, last_seen_at, update_last_seen) in [
            ("GET", NOW - secs(1000), false),
            ("HEAD", NOW - secs(1000), false),
            ("OPTIONS", NOW - secs(1000), false),
            ("TRACE", NOW - secs(1000), true),
            ("POST", NOW - secs(60), true),
            ("POST", NOW - secs(59), false),
        ] {
            let check = check(method, 2, Some(FoundRow::new(&ROW, Some("ada"), last_seen_at)));
            assert_eq!(check, Check::Live { acknowledge: false, update_last_seen }, "{method}");
        }
    }
}

mod answers {
    use super::*;

    const BOTH: &[TokenKind] = &[TokenKind::Access, TokenKind::Refresh];

    fn grant(kinds: &'static [TokenKind], remember: bool) -> Grant {
        let row = Session { rotated_at: NOW - secs(5), ..site().policy().start(NOW) };
        let grantee = Grantee { remember, ..Grantee::new(Sid::from_bytes([1; 20]), "ada") };
        site().grant(grantee, &row, kinds, NOW)
    }

    fn respond(identity: &Identity, outcome: &Outcome) -> Answer {
        site().respond(identity, outcome, false, NOW).unwrap()
    }

    #[test]
    fn grant_sets_the_tokens_of_its_kinds() {
        for kinds in [BOTH, &[TokenKind::Access], &[]] {
            let answer = respond(&Identity::default(), &Outcome::Granted(grant(kinds, true)));
            assert_eq!(answer.cookies.iter().map(|cookie| cookie.kind).collect::<Vec<_>>(), kinds);
            for cookie in &answer.cookies {
                let token = cookie.token.as_deref().unwrap();
                let claims = site().tokens().verify(cookie.kind, token, NOW).unwrap();
                assert_eq!(cookie.max_age, Some(claims.expires_at.saturating_duration_since(NOW)));
            }
            assert_eq!(answer.is_private, !kinds.is_empty());
        }
        let forgotten = respond(&Identity::default(), &Outcome::Granted(grant(BOTH, false)));
        assert!(forgotten.cookies.iter().all(|cookie| cookie.max_age.is_none()));
    }

    #[test]
    fn every_worker_issues_the_same_refresh_token() {
        let row = site().policy().start(NOW);
        let at = |now| {
            let grant = site().grant(Grantee::new(Sid::from_bytes([1; 20]), "ada"), &row, BOTH, now);
            site().issue(&grant, TokenKind::Refresh).unwrap()
        };
        assert_eq!(at(NOW), at(NOW + secs(100)));
    }

    #[test]
    fn cookies_are_cleared_only_if_the_request_brought_one() {
        assert_eq!(respond(&identify(&[]), &Outcome::Cleared).cookies, []);
        assert_eq!(respond(&identify(&["access_tokens=1".into()]), &Outcome::Cleared).cookies, []);
        let withheld = respond(&identify(&[]), &Outcome::Superseded);
        assert_eq!((withheld.cookies.len(), withheld.is_private), (2, true), "the browser may have withheld them");
        for brought in ["access_token=", "refresh_token=x", "a=b; access_token=x"] {
            let answer = respond(&identify(&[brought.to_owned()]), &Outcome::Cleared);
            assert_eq!(answer.cookies.iter().map(|cookie| cookie.kind).collect::<Vec<_>>(), BOTH);
            assert!(answer.cookies.iter().all(|it| it.token.is_none() && it.max_age == Some(Duration::ZERO)));
            assert!(answer.is_private);
        }
    }

    #[test]
    fn vary_names_the_headers_that_were_read() {
        let (none, cookies) = (identify(&[]), identify(&["access_token=x".to_owned()]));
        assert_eq!(respond(&none, &Outcome::Unchanged).vary, [""; 0]);
        assert_eq!(respond(&cookies, &Outcome::Unchanged).vary, ["Cookie"]);
        assert_eq!(site().respond(&none, &Outcome::Unchanged, true, NOW).unwrap().vary, ["Cookie"]);
        let bearer = Head { authorization: Some("Bearer x"), ..Head::new("GET") };
        let refused = identify_head(bearer, &[]).unwrap_err();
        assert_eq!(respond(&refused.identity, &Outcome::Unchanged).vary, ["Authorization"]);
        assert_eq!(site().respond(&refused.identity, &Outcome::Unchanged, true, NOW).unwrap().vary, ["Authorization"]);
    }

    #[test]
    fn vary_is_merged_without_duplicates() {
        let answer = respond(&identify(&["access_token=x".to_owned()]), &Outcome::Unchanged);
        for (present, merged) in [
            ("", Some("Cookie")),
            ("Accept", Some("Accept, Cookie")),
            ("Accept, Origin,", Some("Accept, Origin, Cookie")),
            ("Cookies", Some("Cookies, Cookie")),
            ("cookie, Accept", None),
            ("*", None),
        ] {
            assert_eq!(answer.vary(present).as_deref(), merged, "{present}");
        }
    }

    #[test]
    fn cache_directives_of_the_view_are_kept() {
        let answer = respond(&Identity::default(), &Outcome::Granted(grant(BOTH, true)));
        for (present, merged) in [
            ("", "no-store, private"),
            ("max-age=60, no-transform", "no-store, private, max-age=60, no-transform"),
            ("public, max-age=60", "no-store, private, max-age=60"),
            ("No-Store, PRIVATE=\"a, b\", must-revalidate", "no-store, private, must-revalidate"),
            ("no-cache=\"set-cookie, a\"", "no-store, private, no-cache=\"set-cookie, a\""),
        ] {
            assert_eq!(answer.cache_control(present).as_deref(), Some(merged), "{present}");
        }
        let plain = respond(&identify(&["access_token=x".to_owned()]), &Outcome::Unchanged);
        assert_eq!(plain.cache_control("public"), None);
    }

    #[test]
    fn targeted_cache_headers_are_removed_if_cookies_are_set() {
        let answer = respond(&Identity::default(), &Outcome::Granted(grant(BOTH, true)));
        let targeted = ["CDN-Cache-Control", "cloudflare-cdn-cache-control", "Surrogate-Control", "X-Accel-Expires"];
        for name in targeted {
            assert!(answer.removes(name), "{name}");
            assert!(!Answer::default().removes(name), "{name}");
        }
        for name in ["Cache-Control", "Content-Type", "ETag", "Age"] {
            assert!(!answer.removes(name), "{name}");
        }
    }

    #[test]
    fn claims_too_long_for_a_cookie_are_refused() {
        let custom = |length| CustomClaims::from_json(&format!(r#"{{"a": "{}"}}"#, "x".repeat(length))).unwrap();
        assert_eq!(site().fits("ada", &CustomClaims::default()), Ok(()));
        assert_eq!(site().fits("ada", &custom(2_500)), Ok(()));
        assert_eq!(site().fits("ada", &custom(3_000)).unwrap_err().code(), "issued_token_too_long");
    }

    #[test]
    fn debug_shows_no_token() {
        let answer = respond(&Identity::default(), &Outcome::Granted(grant(BOTH, true)));
        let token = answer.cookies[0].token.as_deref().unwrap();
        assert!(!format!("{answer:?}").contains(token));
    }
}

#[test]
fn error_does_not_repeat_its_sources() {
    let bearer = Head { authorization: Some("Bearer x"), ..Head::new("GET") };
    let foreign = Head { sec_fetch_site: Some("cross-site"), ..Head::new("POST") };
    for (head, said) in [
        (bearer, vec!["request refused", "the access token is not valid", "not a compact JWS"]),
        (foreign, vec!["request refused", "request from another site"]),
    ] {
        let refused = identify_head(head, &[access(&claims("ada", 1, 1))]).unwrap_err();
        let first: &dyn std::error::Error = &*refused;
        let chain = std::iter::successors(Some(first), |error| error.source());
        assert_eq!(chain.map(ToString::to_string).collect::<Vec<_>>(), said);
    }
}

/// Generate a cookie field of significant pieces, in any order and number.
fn any_field() -> impl Strategy<Value = Vec<u8>> {
    let (ada, eve) = (claims("ada", 1, 3), claims("eve", 2, 1));
    let expired = Claims { expires_at: NOW - secs(1), ..ada.clone() };
    let pieces = [access(&ada), refresh(&ada), access(&eve), refresh(&eve), access(&expired), refresh(&expired)];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces.map(String::into_bytes).to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => "(access|refresh)_token=[ -~]{0,8}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.join(&b"; "[..]))
}

fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(9110), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_heads_are_handled_and_only_valid_tokens_of_one_user_count(
        fields in prop::collection::vec(any_field(), 0..3), method in "GET|POST|[A-Z]{0,5}",
        site_header in prop::option::of("same-origin|none|cross-site|.{0,6}"), origin in prop::option::of("https://own.example|null|.{0,9}"),
        authorization in prop::option::of("Bearer .{0,9}|.{0,9}"),
    ) {
        let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
        let head = Head {
            cookies: &fields, sec_fetch_site: site_header.as_deref(), origin: origin.as_deref(),
            authorization: authorization.as_deref(), ..Head::new(&method)
        };
        let was_asked = Cell::new(false);
        let own = || { was_asked.set(true); own() };
        match site().identify(&head, own, NOW) {
            Ok(identity) => {
                let subjects: Vec<_> = [identity.access(), identity.refresh()].into_iter().flatten().collect();
                prop_assert!(subjects.iter().all(|it| it.subject == subjects[0].subject && it.expires_at > NOW));
                prop_assert!(subjects.is_empty() || !identity.session_names().is_empty());
                prop_assert!(subjects.is_empty() || site().transport().check_origin(&head, super::tests::own).is_ok());
            }
            Err(refused) => prop_assert!(refused.identity.is_anonymous()),
        }
    }

    #[test]
    fn order_of_cookies_does_not_matter(pieces in prop::collection::vec(any_field(), 0..3), seed: u64) {
        let mut shuffled = pieces.clone();
        shuffled.rotate_left(usize::try_from(seed % 3).unwrap().min(pieces.len()));
        let of = |fields: &[Vec<u8>]| {
            let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
            let identity = site().identify(&Head { cookies: &fields, ..Head::new("GET") }, own, NOW).unwrap();
            (identity.access().cloned(), identity.refresh().cloned())
        };
        let counts = pieces.iter().flat_map(|field| crate::cookie_pairs(field)).count();
        prop_assume!(counts <= MAX_DUPLICATES);
        prop_assert_eq!(of(&pieces), of(&shuffled));
    }

    #[test]
    fn headers_of_an_answer_are_well_formed(present in "[ -~]{0,40}") {
        let row = site().policy().start(NOW);
        let grant = site().grant(Grantee::new(Sid::from_bytes([1; 20]), "ada"), &row, &[TokenKind::Access], NOW);
        let answer = site().respond(&Identity::default(), &Outcome::Granted(grant), true, NOW).unwrap();
        let merged = answer.vary(&present).unwrap_or_else(|| present.clone());
        prop_assert!(merged.split(',').any(|name| matches!(name.trim(), "*" | "Cookie") || name.trim().eq_ignore_ascii_case("cookie")));
        prop_assert_eq!(answer.vary(&merged), None);
        let cache = answer.cache_control(&present).unwrap();
        prop_assert!(cache.starts_with("no-store, private"));
        prop_assert_eq!(answer.cache_control(&cache), Some(cache.clone()));
    }
}

#[test]
fn token_that_a_bound_session_gets_by_another_one_expires_no_later() {
    let (site, row) = (site(), Session::new(NOW, NOW + secs(86_400)));
    let end = |device, not_after| {
        let grantee = Grantee { not_after, ..Grantee::new(Sid::from_bytes([1; 20]), "42") };
        let grant = site.grant(grantee, &row.with_device(device), &[TokenKind::Access], NOW + secs(10));
        grant.access().expires_at
    };
    let presented = Some(NOW + secs(60));
    assert_eq!(end(DeviceBinding::Unbound, presented), NOW + secs(10) + ACCESS);
    for device in [DeviceBinding::Required, DeviceBinding::Bound] {
        assert_eq!(end(device, presented), NOW + secs(60));
        assert_eq!(end(device, Some(NOW + secs(9000))), NOW + ACCESS);
        assert_eq!(end(device, None), NOW + ACCESS);
    }
}

#[test]
fn cookie_that_a_bound_browser_refreshes_expires_although_the_session_is_not_remembered() {
    let site = site();
    let row = Session::new(NOW, NOW + secs(86_400));
    let cookies = |device| {
        let grantee = Grantee { remember: false, ..Grantee::new(Sid::from_bytes([1; 20]), "42") };
        let kinds = &[TokenKind::Access, TokenKind::Refresh];
        let grant = site.grant(grantee, &row.with_device(device), kinds, NOW);
        let answer = site.respond(&Identity::default(), &Outcome::Granted(grant), true, NOW).unwrap();
        answer.cookies.iter().map(|cookie| cookie.max_age).collect::<Vec<_>>()
    };
    assert_eq!(cookies(DeviceBinding::Unbound), [None, None]);
    assert_eq!(cookies(DeviceBinding::Required), [None, None]);
    assert_eq!(cookies(DeviceBinding::Bound), [Some(ACCESS), None]);
}

#[test]
fn access_tokens_of_one_generation_of_a_bound_session_end_together() {
    let site = site();
    let row = Session::new(NOW, NOW + secs(86_400)).with_generation(Generation::new(2), NOW + secs(1000));
    let end = |row: &Session, now| {
        let grant = site.grant(Grantee::new(Sid::from_bytes([1; 20]), "42"), row, &[TokenKind::Access], now);
        grant.access().expires_at
    };
    for seconds in [1000, 1001, 1200, 1299] {
        let now = NOW + secs(seconds);
        assert_eq!(end(&row, now), now + ACCESS);
        for device in [DeviceBinding::Required, DeviceBinding::Bound] {
            assert_eq!(end(&row.with_device(device), now), NOW + secs(1000) + ACCESS);
        }
    }
}
