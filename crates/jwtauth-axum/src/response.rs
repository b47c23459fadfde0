//! Cookies and caching headers of a response, as the engine answers.

use std::borrow::Cow;

use cookie::{
    Cookie, Expiration, SameSite,
    time::{Duration, OffsetDateTime},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jwtauth::{Answer, CookiePolicy, SetCookie};

/// Put cookies and caching headers on the response: its own `Vary` and `Cache-Control` are kept, in one field each.
pub(crate) fn write(answer: &Answer, policy: &CookiePolicy, headers: &mut HeaderMap) {
    if answer.is_private {
        // First, while there are few.
        let removed: Vec<_> = headers.keys().filter(|name| answer.removes(name.as_str())).cloned().collect();
        for name in removed {
            headers.remove(name);
        }
        merge(headers, header::CACHE_CONTROL, |present| answer.cache_control(present));
    }
    match answer.vary.as_slice() {
        [] => {}
        [name] if !headers.contains_key(header::VARY) => {
            headers.insert(header::VARY, HeaderValue::from_static(name));
        }
        _ => merge(headers, header::VARY, |present| answer.vary(present)),
    }
    for cookie in answer.cookies.iter().filter_map(|cookie| set_cookie(policy, cookie)) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Replace the fields of this name by one, where `merged` gives its value by what they are together.
fn merge(headers: &mut HeaderMap, name: HeaderName, merged: impl FnOnce(&str) -> Option<String>) {
    let mut values = headers.get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next().unwrap_or(Cow::Borrowed(""));
    let present = values.fold(first, |joined, value| joined + ", " + value);
    if let Some(value) = merged(&present).and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

fn set_cookie(policy: &CookiePolicy, set: &SetCookie) -> Option<HeaderValue> {
    let mut cookie = Cookie::new(policy.name(set.kind), set.token.as_deref().unwrap_or_default());
    cookie.set_http_only(true);
    cookie.set_secure(policy.secure);
    cookie.set_same_site(match policy.same_site {
        jwtauth::SameSite::Lax => SameSite::Lax,
        jwtauth::SameSite::None => SameSite::None,
        _ => SameSite::Strict,
    });
    cookie.set_path(policy.path.as_str());
    if let Some(domain) = &policy.domain {
        cookie.set_domain(domain.as_str());
    }
    if policy.partitioned {
        cookie.set_partitioned(true);
    }
    if let Some(max_age) = set.max_age {
        cookie.set_max_age(Duration::seconds(max_age.as_secs().try_into().unwrap_or(i64::MAX)));
    }
    if set.token.is_none() {
        cookie.set_expires(Expiration::DateTime(OffsetDateTime::UNIX_EPOCH));
    }
    let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
