//! A site, for the targets that follow a request.

use std::{sync::LazyLock, time::Duration};

use jwtauth::{
    Algorithm, CookiePolicy, Keyring, Lifetimes, OriginPolicy, Profile, RotationPolicy, SigningKey, Site, Tokens,
    Transport, UnixTime,
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
