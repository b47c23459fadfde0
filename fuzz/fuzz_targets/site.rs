//! A site for the targets that follow a request.

use std::{sync::LazyLock, time::Duration};

use jwtauth::{
    Algorithm, CookiePolicy, Keyring, Lifetimes, OriginPolicy, Profile, RotationPolicy, SigningKey, Site, Tokens,
    Transport, UnixTime,
};

/// The time of every request.
pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// The site. `https://own.example` trusts `https://trusted.example`.
pub static SITE: LazyLock<Site> = LazyLock::new(|| {
    let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).expect("the key is long enough");
    let tokens = Tokens::new(Keyring::new(key, []).expect("one key is a valid ring"), Profile::default())
        .expect("the default profile is valid");
    let lifetimes = Lifetimes::new(Duration::from_secs(300), Duration::from_secs(86_400), None)
        .expect("the lifetimes are in order");
    let policy = RotationPolicy::new(lifetimes, Duration::from_secs(30));
    let origins = OriginPolicy::new(["https://trusted.example"]).expect("the origin is valid");
    let own = vec!["https://own.example".parse().expect("the origin is valid")];
    let transport = Transport::new(CookiePolicy::default(), origins, true).with_dpop_origins(Some(own));
    Site::new(tokens, policy, transport)
});
