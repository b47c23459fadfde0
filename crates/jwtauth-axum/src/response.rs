//! Writes the cookies and caching headers of the engine's answer.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use jwtauth::{Answer, CookiePolicy, SetCookie};

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Write cookies and caching headers. The response's own `Vary` and `Cache-Control` are merged into one field each.
pub(crate) fn write(answer: &Answer, policy: &CookiePolicy, headers: &mut HeaderMap) {
    if answer.is_private {
        // Do this first, while there are few headers.
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
    if let Some(nonce) = answer.dpop_nonce.as_ref().and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        headers.insert(DPOP_NONCE, nonce);
    }
    for cookie in answer.cookies.iter().filter_map(|cookie| set_cookie(policy, cookie)) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Replace all fields of this name with one, whose value `merged` computes from the joined values.
fn merge(headers: &mut HeaderMap, name: HeaderName, merged: impl FnOnce(&str) -> Option<String>) {
    let mut values = headers.get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next().unwrap_or(Cow::Borrowed(""));
    let present = values.fold(first, |joined, value| joined + ", " + value);
    if let Some(value) = merged(&present).and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

/// Format a `Set-Cookie` header (RFC 6265 §4.1.1). Nothing is escaped: the token is base64url, and
/// [`CookiePolicy::problems`], which the settings check, rejects names, paths and domains that would need it.
fn set_cookie(policy: &CookiePolicy, set: &SetCookie) -> Option<HeaderValue> {
    let token = set.token.as_deref();
    let mut cookie = format!("{}={}; HttpOnly", policy.name(set.kind), token.unwrap_or_default());
    let mut attribute = |name: &str, value: &str| {
        for part in ["; ", name, value] {
            cookie.push_str(part);
        }
    };
    attribute("SameSite=", policy.same_site.as_str());
    if policy.partitioned {
        attribute("Partitioned", "");
    }
    if policy.secure {
        attribute("Secure", "");
    }
    attribute("Path=", &policy.path);
    if let Some(domain) = &policy.domain {
        attribute("Domain=", domain);
    }
    if let Some(max_age) = set.max_age {
        attribute("Max-Age=", &max_age.as_secs().to_string());
    }
    if token.is_none() {
        attribute("Expires=", "Thu, 01 Jan 1970 00:00:00 GMT");
    }
    let mut value = HeaderValue::try_from(cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}
