//! The cookies that carry tokens: which attributes a browser honours, and what a header holds.

use std::str::FromStr;

use crate::CookieError;

/// The longest name of a cookie, in bytes; the rest of the 4096 that browsers keep (RFC 6265bis §5.5) is the token's.
pub const MAX_COOKIE_NAME_LENGTH: usize = 128;

/// The `SameSite` attribute (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SameSite {
    /// Sent with requests from our own site alone.
    Strict,
    /// Sent besides when a link from elsewhere is followed.
    Lax,
    /// Always sent.
    None,
}

impl FromStr for SameSite {
    type Err = ();

    /// Reads the attribute's value, in any case as browsers do.
    fn from_str(value: &str) -> Result<Self, ()> {
        [("strict", Self::Strict), ("lax", Self::Lax), ("none", Self::None)]
            .into_iter()
            .find_map(|(name, same_site)| value.eq_ignore_ascii_case(name).then_some(same_site))
            .ok_or(())
    }
}

/// The names and attributes of both cookies. `HttpOnly` is not a choice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CookiePolicy {
    /// Name of the cookie that holds the access token.
    pub access_name: String,
    /// Name of the cookie that holds the refresh token.
    pub refresh_name: String,
    /// `Secure`.
    pub secure: bool,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Domain`; `None` for this host alone.
    pub domain: Option<String>,
    /// `Path`.
    pub path: String,
    /// `Partitioned` (CHIPS).
    pub partitioned: bool,
}

impl CookiePolicy {
    /// Everything that would make a browser drop these cookies, or mix them up.
    pub fn problems(&self) -> Vec<CookieError> {
        let mut problems = Vec::new();
        if self.access_name == self.refresh_name {
            problems.push(CookieError::SameName(self.access_name.clone()));
        }
        for name in [&self.access_name, &self.refresh_name] {
            if !(1..=MAX_COOKIE_NAME_LENGTH).contains(&name.len()) || !name.bytes().all(is_token_byte) {
                problems.push(CookieError::InvalidName(name.clone()));
            }
            let host_only = has_prefix(name, "__Host-");
            if host_only && (self.domain.is_some() || self.path != "/") {
                problems.push(CookieError::HostPrefixWithScope(name.clone()));
            }
            if !self.secure && (host_only || has_prefix(name, "__Secure-") || has_prefix(name, "__Http-")) {
                problems.push(CookieError::PrefixWithoutSecure(name.clone()));
            }
        }
        let ends_attribute = |value: &str| value.bytes().any(|byte| byte == b';' || byte.is_ascii_control());
        if ends_attribute(&self.path) || self.domain.as_deref().is_some_and(ends_attribute) {
            problems.push(CookieError::InvalidScope);
        }
        if self.same_site == SameSite::None && !self.secure {
            problems.push(CookieError::NoneWithoutSecure);
        }
        if self.partitioned && !self.secure {
            problems.push(CookieError::PartitionedWithoutSecure);
        }
        problems
    }
}

/// The values of every cookie of this name in a `Cookie` header, in its order (RFC 6265 §5.4).
pub fn cookie_values<'h>(header: &'h str, name: &str) -> impl Iterator<Item = &'h str> + Clone {
    header.split(';').filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

/// Browsers compare the prefix in any case (RFC 6265bis §5.7).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// RFC 9110 §5.6.2 `tchar`.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> CookiePolicy {
        CookiePolicy {
            access_name: "access_token".to_owned(),
            refresh_name: "refresh_token".to_owned(),
            secure: true,
            same_site: SameSite::Strict,
            domain: None,
            path: "/".to_owned(),
            partitioned: false,
        }
    }

    fn codes(policy: &CookiePolicy) -> Vec<&'static str> {
        policy.problems().iter().map(CookieError::code).collect()
    }

    #[test]
    fn plain_names_go_with_any_scope() {
        let scoped = CookiePolicy { domain: Some("example.com".to_owned()), path: "/app".to_owned(), ..policy() };
        assert_eq!(codes(&scoped), [""; 0]);
        assert_eq!(codes(&CookiePolicy { secure: false, ..policy() }), [""; 0]);
    }

    #[test]
    fn host_names_need_secure_and_the_whole_host() {
        for name in ["__Host-access", "__host-access", "__Host-Http-access"] {
            let host = CookiePolicy { access_name: name.to_owned(), ..policy() };
            assert_eq!(codes(&host), [""; 0]);
            assert_eq!(codes(&CookiePolicy { secure: false, ..host.clone() }), ["cookie_prefix_without_secure"]);
            assert_eq!(codes(&CookiePolicy { path: "/a".to_owned(), ..host.clone() }), ["host_prefix_with_scope"]);
            let domain = CookiePolicy { domain: Some("example.com".to_owned()), ..host };
            assert_eq!(codes(&domain), ["host_prefix_with_scope"]);
        }
    }

    #[test]
    fn secure_names_need_secure() {
        for name in ["__Secure-refresh", "__Http-refresh"] {
            let insecure = CookiePolicy { refresh_name: name.to_owned(), secure: false, ..policy() };
            assert_eq!(codes(&insecure), ["cookie_prefix_without_secure"]);
        }
    }

    #[test]
    fn none_and_partitioned_need_secure() {
        let insecure = CookiePolicy { secure: false, same_site: SameSite::None, partitioned: true, ..policy() };
        assert_eq!(codes(&insecure), ["samesite_none_without_secure", "partitioned_without_secure"]);
    }

    #[test]
    fn names_differ_and_are_tokens() {
        let same = CookiePolicy { refresh_name: "access_token".to_owned(), ..policy() };
        assert_eq!(codes(&same), ["cookie_names_equal"]);
        for name in ["", "a b", "a=b", "a;b", "é", &"a".repeat(129)] {
            let invalid = CookiePolicy { access_name: name.to_owned(), ..policy() };
            assert_eq!(codes(&invalid), ["cookie_name_invalid"], "{name}");
        }
    }

    #[test]
    fn a_scope_cannot_smuggle_attributes() {
        assert_eq!(codes(&CookiePolicy { path: "/; HttpOnly".to_owned(), ..policy() }), ["cookie_scope_invalid"]);
        let domain = CookiePolicy { domain: Some("a\r\nSet-Cookie: b".to_owned()), ..policy() };
        assert_eq!(codes(&domain), ["cookie_scope_invalid"]);
    }

    #[test]
    fn same_site_is_read_in_any_case() {
        assert_eq!("STRICT".parse(), Ok(SameSite::Strict));
        assert_eq!("lax".parse(), Ok(SameSite::Lax));
        assert_eq!("None".parse(), Ok(SameSite::None));
        assert_eq!("".parse::<SameSite>(), Err(()));
    }

    #[test]
    fn a_value_is_taken_as_it_is_but_for_space_and_quotes() {
        let values = |header| cookie_values(header, "a").collect::<Vec<_>>();
        assert_eq!(values("a=1=2"), ["1=2"]);
        assert_eq!(values("A=1; =2; é=3"), [""; 0]);
        assert_eq!(values(""), [""; 0]);
        assert_eq!(values(";;a=\"; a=é\0;"), ["", "é\0"]);
    }

    #[test]
    fn every_cookie_of_a_name_is_found() {
        let header = "a=1; b=2;a=\"3\" ; aa=4; a; a=";
        assert_eq!(cookie_values(header, "a").collect::<Vec<_>>(), ["1", "3", ""]);
        assert_eq!(cookie_values(header, "c").count(), 0);
    }
}
