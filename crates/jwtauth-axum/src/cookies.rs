//! The two cookies: read, set and cleared.

use cookie::{
    Cookie, Expiration, SameSite,
    time::{Duration, OffsetDateTime},
};
use http::HeaderValue;
use jwtauth::{CookiePolicy, Kind};

/// The values of every cookie of the kind's name, of all `Cookie` headers: HTTP/2 may send several.
pub(crate) fn values<'h>(
    headers: &'h [HeaderValue],
    policy: &'h CookiePolicy,
    kind: Kind,
) -> impl Iterator<Item = &'h str> + Clone {
    let texts = headers.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(move |header| jwtauth::cookie_values(header, name(policy, kind)))
}

/// The `Set-Cookie` of a token; `max_age` in seconds, or `None` for until the browser is closed.
pub(crate) fn set(policy: &CookiePolicy, kind: Kind, token: &str, max_age: Option<u64>) -> Option<HeaderValue> {
    let mut cookie = cookie(policy, kind, token);
    if let Some(seconds) = max_age {
        cookie.set_max_age(Duration::seconds(seconds.try_into().unwrap_or(i64::MAX)));
    }
    header_value(&cookie)
}

/// The `Set-Cookie` that has a browser drop the cookie, which takes the attributes that it was set with.
pub(crate) fn clear(policy: &CookiePolicy, kind: Kind) -> Option<HeaderValue> {
    let mut cookie = cookie(policy, kind, "");
    cookie.set_max_age(Duration::ZERO);
    cookie.set_expires(Expiration::DateTime(OffsetDateTime::UNIX_EPOCH));
    header_value(&cookie)
}

fn cookie<'c>(policy: &'c CookiePolicy, kind: Kind, value: &'c str) -> Cookie<'c> {
    let mut cookie = Cookie::new(name(policy, kind), value);
    cookie.set_http_only(true);
    cookie.set_secure(policy.secure);
    cookie.set_same_site(match policy.same_site {
        jwtauth::SameSite::Strict => SameSite::Strict,
        jwtauth::SameSite::Lax => SameSite::Lax,
        jwtauth::SameSite::None => SameSite::None,
    });
    cookie.set_path(policy.path.as_str());
    if let Some(domain) = &policy.domain {
        cookie.set_domain(domain.as_str());
    }
    if policy.partitioned {
        cookie.set_partitioned(true);
    }
    cookie
}

fn header_value(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn name(policy: &CookiePolicy, kind: Kind) -> &str {
    match kind {
        Kind::Access => &policy.access_name,
        Kind::Refresh => &policy.refresh_name,
    }
}
