//! Fuzzes a response: its cookies, and its caching headers merged with those of the view.
//!
//! The first byte selects what the request brought and its outcome. The following lines are the view's `Vary`, its
//! `Cache-Control`, and the name of a header.
#![no_main]

mod site;

use jwtauth::{Answer, Generation, Grantee, Head, Identity, Outcome, Session, Sid, TokenKind};
use libfuzzer_sys::fuzz_target;
use site::{NOW, SITE};

const KINDS: [&[TokenKind]; 3] = [&[], &[TokenKind::Access], &[TokenKind::Access, TokenKind::Refresh]];

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let (identity, outcome) = (identity(choice & 3), outcome(choice >> 2 & 7));
    let was_asked = choice >> 5 & 1 == 1;
    let answer = SITE.respond(&identity, &outcome, was_asked, NOW).expect("the tokens can be signed");
    cookies(&answer, &identity, &outcome);

    let text = String::from_utf8_lossy(rest);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    vary(&answer, line());
    cache_control(&answer, line());
    let name = line();
    assert_eq!(answer.removes(&name.to_ascii_uppercase()), answer.removes(&name.to_ascii_lowercase()));
    assert!(answer.is_private || !answer.removes(name));
    for kept in ["Set-Cookie", "Vary", "Cache-Control", "Content-Type", "Location"] {
        assert!(!answer.removes(kept));
    }
});

fn identity(choice: u8) -> Identity {
    let mut head = Head::new("GET");
    match choice {
        1 => head.cookies = &[b"access_token=x"],
        2 => head.cookies = &[b"other=x", b" refresh_token = "],
        3 => head.authorization = Some("Bearer x"),
        _ => {}
    }
    SITE.identify(&head, || None, NOW).unwrap_or_else(|refused| refused.identity)
}

fn outcome(choice: u8) -> Outcome {
    let Some(kinds) = usize::from(choice).checked_sub(2).and_then(|index| KINDS.get(index % KINDS.len())) else {
        return if choice == 0 { Outcome::Unchanged } else { Outcome::Cleared };
    };
    let row = Session::new(NOW, NOW + SITE.policy().lifetimes().access()).with_generation(Generation::new(7), NOW);
    let mut grantee = Grantee::new(Sid::from_bytes([1; 20]), "ada");
    grantee.remember = choice < 5;
    Outcome::Granted(SITE.grant(grantee, &row, kinds, NOW))
}

fn cookies(answer: &Answer, identity: &Identity, outcome: &Outcome) {
    assert_eq!(answer.is_private, !answer.cookies.is_empty());
    let kinds: Vec<_> = answer.cookies.iter().map(|cookie| cookie.kind).collect();
    match outcome {
        Outcome::Granted(grant) => assert_eq!(kinds, grant.kinds()),
        Outcome::Cleared if identity.has_cookies() => assert_eq!(kinds, KINDS[2]),
        _ => assert!(kinds.is_empty()),
    }
    let shown = format!("{answer:?}");
    for cookie in &answer.cookies {
        let Some(token) = &cookie.token else { continue };
        assert!(SITE.tokens().verify(cookie.kind, token, NOW).is_ok_and(|claims| claims.subject == "ada"));
        assert!(!shown.contains(token.as_str()));
    }
}

fn vary(answer: &Answer, present: &str) {
    let merged = answer.vary(present).unwrap_or_else(|| present.to_owned());
    assert_eq!(answer.vary(&merged), None, "merging again changes nothing");
    let count = |list: &str, name: &str| list.split(',').filter(|it| it.trim().eq_ignore_ascii_case(name)).count();
    for name in &answer.vary {
        let was = count(present, name);
        assert_eq!(count(&merged, name), if count(present, "*") > 0 { was } else { was.max(1) }, "{merged}");
    }
    for name in present.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(count(&merged, name) > 0, "the view's {name} is kept: {merged}");
    }
}

fn cache_control(answer: &Answer, present: &str) {
    let Some(merged) = answer.cache_control(present) else {
        assert!(!answer.is_private);
        return;
    };
    assert!(merged == "no-store, private" || merged.starts_with("no-store, private, "), "{merged}");
    assert_eq!(answer.cache_control(&merged).as_ref(), Some(&merged), "merging again changes nothing");
    if !present.contains('"') {
        let names: Vec<_> =
            merged.split(',').map(|it| it.split('=').next().unwrap_or_default().trim().to_ascii_lowercase()).collect();
        let count = |name: &str| names.iter().filter(|it| *it == name).count();
        assert_eq!((count("no-store"), count("private"), count("public")), (1, 1, 0), "{merged}");
    }
}
