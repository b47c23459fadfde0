//! Fuzzes the identity of a request: any head, with tokens signed by the site anywhere in it.
//!
//! The input has one line for each of method, version, `Authorization`, `Origin`, `Sec-Fetch-Site`, `Upgrade`,
//! `Content-Length` and `Transfer-Encoding`. An empty line leaves the header out. Each further line is a `Cookie`
//! field.
#![no_main]

mod site;

use std::{sync::LazyLock, time::Duration};

use jwtauth::{Claims, Generation, Head, HttpVersion, Identity, Refused, Sid, TokenKind};
use libfuzzer_sys::fuzz_target;
use site::{NOW, SITE};

/// A token signed by the site.
struct Signed {
    kind: TokenKind,
    claims: Claims,
    token: String,
}

/// Tokens of both kinds for two sessions of one user and one session of another: newer, older and expired ones.
static SIGNED: LazyLock<Vec<Signed>> = LazyLock::new(|| {
    let day = Duration::from_secs(86_400);
    let claims = |subject: &str, session, generation, issued_at| {
        Claims::new(subject, Sid::from_bytes([session; 20]), Generation::new(generation), issued_at, issued_at + day)
    };
    let all = [
        claims("ada", 1, 3, NOW - Duration::from_secs(20)),
        claims("ada", 1, 4, NOW - Duration::from_secs(10)),
        claims("ada", 2, 1, NOW),
        claims("eve", 3, 1, NOW - Duration::from_secs(5)),
        claims("eve", 3, 1, NOW - day),
    ];
    let sign = |claims: &Claims, kind| {
        let token = SITE.tokens().issue(kind, claims).expect("a short token can be issued");
        Signed { kind, claims: claims.clone(), token }
    };
    all.iter().flat_map(|claims| [TokenKind::Access, TokenKind::Refresh].map(|kind| sign(claims, kind))).collect()
});

/// Replace each byte from `0x0b` on with a token, one byte for each of [`SIGNED`].
fn with_tokens(bytes: &[u8]) -> Vec<u8> {
    let token = |byte: u8| byte.checked_sub(0x0b).and_then(|index| SIGNED.get(usize::from(index)));
    let replace = |byte: &u8| token(*byte).map_or_else(|| vec![*byte], |signed| signed.token.clone().into_bytes());
    bytes.iter().flat_map(replace).collect()
}

fuzz_target!(|data: &[u8]| {
    let lines: Vec<_> = data.split(|byte| *byte == b'\n').map(with_tokens).collect();
    let text: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
    let line = |index: usize| text.get(index).map(|text| &**text).filter(|text| !text.is_empty());
    let cookies: Vec<_> = lines.iter().skip(8).map(Vec::as_slice).collect();
    let mut head = Head::new(line(0).unwrap_or_default());
    head.version = HttpVersion::parse(line(1).unwrap_or_default());
    (head.authorization, head.origin, head.sec_fetch_site) = (line(2), line(3), line(4));
    (head.upgrade, head.content_length, head.transfer_encoding) = (line(5), line(6), line(7));
    head.cookies = &cookies;

    let identified = identify(&head);
    let joined = cookies.join(&b"; "[..]);
    let (joined, mut as_one_field) = ([joined.as_slice()], head);
    as_one_field.cookies = &joined;
    assert_eq!(result(&identified), result(&identify(&as_one_field)), "several fields must be read as one list");
    let identity = match &identified {
        Ok(identity) => identity,
        Err(refused) => &refused.identity,
    };
    assert!(identified.is_ok() || identity.is_anonymous());
    assert_eq!((identity.is_upload(), identity.is_bearer()), (head.is_upload(), is_bearer(&head)));
    assert!(!identity.is_bearer() || identity.refresh().is_none() && !identity.has_cookies());

    // Only unexpired tokens signed by the site name a user, and never two users.
    let signed = |kind, claims: &Claims| SIGNED.iter().any(|it| it.kind == kind && it.claims == *claims);
    assert!(identity.access().is_none_or(|claims| signed(TokenKind::Access, claims) && claims.expires_at > NOW));
    assert!(identity.refresh().is_none_or(|claims| signed(TokenKind::Refresh, claims) && claims.expires_at > NOW));
    if let (Some(access), Some(refresh)) = (identity.access(), identity.refresh()) {
        assert_eq!(access.subject, refresh.subject);
        assert_ne!(access.sid, refresh.sid);
    }
    for sid in identity.session_names() {
        assert!(SIGNED.iter().any(|it| it.claims.sid == *sid));
    }

    // A write from another site must not be authenticated by its cookies.
    let is_write = !head.is_safe() || head.is_websocket();
    if is_write && !identity.is_bearer() && !identity.is_anonymous() {
        let (own, trusted) = (is(head.origin, "own.example"), is(head.origin, "trusted.example"));
        let may_write = match head.sec_fetch_site {
            _ if head.is_websocket() => own || trusted,
            Some("same-origin") => true,
            Some("none") => own || trusted,
            Some(_) => trusted,
            None => own || trusted || head.origin.is_none(),
        };
        assert!(may_write, "{head:?}");
    }
});

fn identify(head: &Head<'_>) -> Result<Identity, Box<Refused>> {
    SITE.identify(head, || "https://own.example".parse().ok(), NOW)
}

type Comparable<'a> = Result<(Option<&'a Claims>, Option<&'a Claims>, &'a [Sid]), &'static str>;

fn result(identified: &Result<Identity, Box<Refused>>) -> Comparable<'_> {
    match identified {
        Ok(identity) => Ok((identity.access(), identity.refresh(), identity.session_names())),
        Err(refused) => Err(refused.error.code()),
    }
}

fn is_bearer(head: &Head<'_>) -> bool {
    head.authorization.is_some_and(|value| {
        let scheme = value.split(' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop")
    })
}

/// Return whether this is the HTTPS origin of a host.
fn is(origin: Option<&str>, host: &str) -> bool {
    let origin = origin.unwrap_or_default().to_ascii_lowercase();
    let rest = origin.strip_prefix("https://").and_then(|rest| rest.strip_prefix(host));
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.trim_start_matches('0') == "443")
    })
}
