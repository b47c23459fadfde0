//! The cookies that carry tokens: which attributes a browser honours, and what a header holds.

use std::{iter, str::FromStr};

use crate::TokenKind;

/// The longest name of a cookie, in bytes; the rest of the 4096 that browsers keep (RFC 6265bis §5.5) is the token's.
pub const MAX_COOKIE_NAME_LENGTH: usize = 128;

/// The `SameSite` attribute (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SameSite {
    /// Sent only with requests from the same site.
    Strict,
    /// Also sent when a link on another site is followed.
    Lax,
    /// Always sent.
    None,
}

impl SameSite {
    /// Return the attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The text is not a value of the `SameSite` attribute.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("SameSite is Strict, Lax or None")]
#[non_exhaustive]
pub struct UnknownSameSite;

impl FromStr for SameSite {
    type Err = UnknownSameSite;

    /// Read the attribute's value, in any case as browsers do.
    fn from_str(value: &str) -> Result<Self, UnknownSameSite> {
        [Self::Strict, Self::Lax, Self::None]
            .into_iter()
            .find(|same_site| value.eq_ignore_ascii_case(same_site.as_str()))
            .ok_or(UnknownSameSite)
    }
}

/// The names and attributes of both cookies. `HttpOnly` is not a choice.
///
/// ```
/// use jwtauth::{CookiePolicy, SameSite};
///
/// let policy = CookiePolicy::default().with_names("__Host-access", "__Host-refresh").with_same_site(SameSite::Lax);
/// assert!(policy.problems().is_empty());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
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

/// `access_token` and `refresh_token`, for this host alone, `Secure` and `SameSite=Strict`.
impl Default for CookiePolicy {
    fn default() -> Self {
        Self {
            access_name: "access_token".to_owned(),
            refresh_name: "refresh_token".to_owned(),
            secure: true,
            same_site: SameSite::Strict,
            domain: None,
            path: "/".to_owned(),
            partitioned: false,
        }
    }
}

impl CookiePolicy {
    /// Return the name of the cookie that holds a token of this kind.
    pub fn name(&self, kind: TokenKind) -> &str {
        match kind {
            TokenKind::Access => &self.access_name,
            TokenKind::Refresh => &self.refresh_name,
        }
    }

    /// Name the cookies that hold the access and the refresh token.
    #[must_use]
    pub fn with_names(self, access: impl Into<String>, refresh: impl Into<String>) -> Self {
        Self { access_name: access.into(), refresh_name: refresh.into(), ..self }
    }

    /// Set `Secure`.
    #[must_use]
    pub fn with_secure(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// Set `SameSite`.
    #[must_use]
    pub fn with_same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    /// Set `Domain`.
    #[must_use]
    pub fn with_domain(self, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    /// Set `Path`.
    #[must_use]
    pub fn with_path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Set `Partitioned` (CHIPS).
    #[must_use]
    pub fn with_partitioned(self, partitioned: bool) -> Self {
        Self { partitioned, ..self }
    }

    /// Return everything that would make a browser drop these cookies, or mix them up.
    ///
    /// ```
    /// use jwtauth::CookiePolicy;
    ///
    /// let policy = CookiePolicy::default().with_names("__Host-access", "refresh").with_domain("example.com");
    /// let codes: Vec<_> = policy.problems().iter().map(|problem| problem.code()).collect();
    /// assert_eq!(codes, ["host_prefix_with_scope"]);
    /// ```
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

/// Why cookies with these attributes would be dropped by a browser, or could not be told apart.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// A name is empty, longer than [`MAX_COOKIE_NAME_LENGTH`](crate::MAX_COOKIE_NAME_LENGTH), or has a byte outside RFC
    /// 6265 §4.1.1 `token`.
    #[error("{0:?} is not a cookie name")]
    InvalidName(String),
    /// Both tokens would go into one cookie.
    #[error("access and refresh token need cookies of different names, not {0:?} twice")]
    SameName(String),
    /// `SameSite=None` is honoured with `Secure` only (RFC 6265bis §5.7).
    #[error("SameSite=None needs Secure")]
    NoneWithoutSecure,
    /// A cookie named `__Secure-` or `__Host-` is dropped without `Secure` (RFC 6265bis §4.1.3).
    #[error("a cookie named {0:?} needs Secure")]
    PrefixWithoutSecure(String),
    /// A cookie named `__Host-` is dropped with a `Domain` or a `Path` other than `/` (RFC 6265bis §4.1.3.2).
    #[error("a cookie named {0:?} may have no Domain, and its Path must be \"/\"")]
    HostPrefixWithScope(String),
    /// `Partitioned` is honoured with `Secure` only (CHIPS).
    #[error("Partitioned needs Secure")]
    PartitionedWithoutSecure,
    /// A domain or path holds a character that would end the attribute.
    #[error("Domain or Path holds a character that a cookie attribute cannot hold")]
    InvalidScope,
}

impl CookieError {
    /// Return the stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "cookie_name_invalid",
            Self::SameName(_) => "cookie_names_equal",
            Self::NoneWithoutSecure => "samesite_none_without_secure",
            Self::PrefixWithoutSecure(_) => "cookie_prefix_without_secure",
            Self::HostPrefixWithScope(_) => "host_prefix_with_scope",
            Self::PartitionedWithoutSecure => "partitioned_without_secure",
            Self::InvalidScope => "cookie_scope_invalid",
        }
    }
}

/// Return the name and value of each cookie in one raw `Cookie` field value, in its order (RFC 6265 §5.4).
///
/// Names and values are octets as the browser sent them: those beyond ASCII are opaque. Only space and tab are trimmed,
/// as browsers do (RFC 6265 §5.2). A framework that also strips Unicode spaces reads `\u{2000}__Host-name`, which any
/// sibling host may set, as `__Host-name`. A value loses one pair of double quotes around it.
///
/// ```
/// let field = b"theme=dark; access_token=abc; name=Jos\xc3\xa9";
/// let (name, value) = jwtauth::cookie_pairs(field).nth(1).unwrap();
/// assert_eq!((name, value), (&b"access_token"[..], &b"abc"[..]));
/// ```
pub fn cookie_pairs(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    let mut rest = Some(field);
    let pairs = iter::from_fn(move || {
        let field = rest?;
        // By vector instructions: byte by byte, two tokens take as long as a tenth of their verification.
        let end = memchr::memchr(b';', field).unwrap_or(field.len());
        let (pair, after) = field.split_at_checked(end)?;
        rest = after.strip_prefix(b";");
        Some(pair)
    });
    pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        let value = trim(value.strip_prefix(b"=")?);
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some((trim(name), unquoted.unwrap_or(value)))
    })
}

/// Space and tab alone, the white space of a cookie (RFC 9110 §5.6.3 `OWS`).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
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
        CookiePolicy::default()
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
    fn attributes_are_set_one_by_one() {
        let policy = CookiePolicy::default()
            .with_names("a", "r")
            .with_secure(false)
            .with_same_site(SameSite::Lax)
            .with_domain("example.com")
            .with_path("/app")
            .with_partitioned(true);
        let expected = CookiePolicy {
            access_name: "a".to_owned(),
            refresh_name: "r".to_owned(),
            secure: false,
            same_site: SameSite::Lax,
            domain: Some("example.com".to_owned()),
            path: "/app".to_owned(),
            partitioned: true,
        };
        assert_eq!(policy, expected);
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
        assert_eq!("".parse::<SameSite>(), Err(UnknownSameSite));
        assert_eq!(SameSite::Lax.as_str(), "Lax");
    }

    fn pairs(field: &[u8]) -> Vec<(&[u8], &[u8])> {
        cookie_pairs(field).collect()
    }

    fn values<'f>(field: &'f [u8], name: &str) -> Vec<&'f [u8]> {
        cookie_pairs(field).filter(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value).collect()
    }

    #[test]
    fn only_space_tab_and_one_pair_of_quotes_are_taken_off() {
        assert_eq!(pairs(b" a\t= 1=2 "), [(&b"a"[..], &b"1=2"[..])]);
        assert_eq!(pairs(b";;a=\"\"; a=\"\"1\"\"; a=\"; a;"), [(&b"a"[..], &b""[..]), (b"a", b"\"1\""), (b"a", b"\"")]);
        assert_eq!(pairs(b""), []);
        assert_eq!(pairs(b"=1"), [(&b""[..], &b"1"[..])]);
    }

    #[test]
    fn a_name_with_other_white_space_is_another_name() {
        let spaces =
            ["\u{2000}", "\u{a0}", "\u{1680}", "\u{2028}", "\u{3000}", "\u{85}", "\u{1c}", "\u{1f}", "\u{b}", "\u{c}"];
        for space in spaces {
            for field in [format!("{space}a=1"), format!("a{space}=1")] {
                assert_eq!(values(field.as_bytes(), "a"), [b""; 0], "{field:?}");
            }
        }
        // A framework that decodes fields as Latin-1 has the octets of U+0085 and U+00A0 as they are.
        for octet in [0x85, 0xa0] {
            assert_eq!(values(&[octet, b'a', b'=', b'1'], "a"), [b""; 0]);
        }
    }

    #[test]
    fn octets_beyond_ascii_are_opaque() {
        let field = b"name=Jos\xc3\xa9; bad=\xff\xfe; a=1";
        assert_eq!(values(field, "a"), [b"1"]);
        assert_eq!(values(field, "bad"), [b"\xff\xfe"]);
    }

    #[test]
    fn every_cookie_of_a_name_is_found() {
        let field = b"a=1; b=2;a=\"3\" ; aa=4; a; a=";
        assert_eq!(values(field, "a"), [&b"1"[..], b"3", b""]);
        assert_eq!(values(field, "A"), [b""; 0]);
        assert_eq!(values(field, "c"), [b""; 0]);
    }
}
