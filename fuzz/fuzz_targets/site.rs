//! A site of two users, for the targets that follow a request.

use std::{sync::LazyLock, time::Duration};

use jwtauth::{
    Algorithm, Claims, CookiePolicy, Generation, Keyring, Lifetimes, OriginPolicy, Profile, RotationPolicy, Sid,
    SigningKey, Site, TokenKind, Tokens, Transport, UnixTime,
};

/// The time of every request.
pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// What is configured: `https://own.example` trusts `https://trusted.example`.
pub static SITE: LazyLock<Site> = LazyLock::new(|| {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).expect("it is long enough");
    let tokens = Tokens::new(Keyring::new(key, []).expect("one key"), Profile::default()).expect("the default");
    let lifetimes = Lifetimes::new(Duration::from_secs(300), Duration::from_secs(86_400), None).expect("in order");
    let policy = RotationPolicy::new(lifetimes, Duration::from_secs(30));
    let origins = OriginPolicy::new(["https://trusted.example"]).expect("it can match");
    Site::new(tokens, policy, Transport::new(CookiePolicy::default(), origins, true))
});

/// A token that the site has signed.
pub struct Signed {
    pub kind: TokenKind,
    pub claims: Claims,
    pub token: String,
}

/// Of two sessions of one user and one of another, tokens of both kinds: newer, older and expired ones.
pub static SIGNED: LazyLock<Vec<Signed>> = LazyLock::new(|| {
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
        let token = SITE.tokens().issue(kind, claims).expect("it is short");
        Signed { kind, claims: claims.clone(), token }
    };
    all.iter().flat_map(|claims| [TokenKind::Access, TokenKind::Refresh].map(|kind| sign(claims, kind))).collect()
});

/// The bytes with each of `0x0b` and above, one for each of [`SIGNED`], in the place of its token.
pub fn with_tokens(bytes: &[u8]) -> Vec<u8> {
    let token = |byte: u8| byte.checked_sub(0x0b).and_then(|index| SIGNED.get(usize::from(index)));
    let replace = |byte: &u8| token(*byte).map_or_else(|| vec![*byte], |signed| signed.token.clone().into_bytes());
    bytes.iter().flat_map(replace).collect()
}
