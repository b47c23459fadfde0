//! The cookies that carry tokens: the attributes that browsers accept, and the parsing of `Cookie` headers.

use std::{iter, str::FromStr};

use crate::TokenKind;

/// The maximum length of a cookie name, in bytes. It leaves room for the token within the 4096 bytes that browsers
/// accept (RFC 6265bis §5.5).
pub const MAX_COOKIE_NAME_LENGTH: usize = 128;

/// The `SameSite` attribute (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SameSite {
    /// Sent only with same-site requests.
    Strict,
    /// Also sent when the user follows a link from another site.
    Lax,
    /// Always sent.
    None,
}

impl SameSite {
    /// Return the value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The text is not a valid value of the `SameSite` attribute.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("SameSite must be Strict, Lax or None")]
#[non_exhaustive]
pub struct UnknownSameSite;

impl FromStr for SameSite {
    type Err = UnknownSameSite;

    /// Parse the value of the attribute; case does not matter, as in browsers.
    fn from_str(value: &str) -> Result<Self, UnknownSameSite> {
        [Self::Strict, Self::Lax, Self::None]
            .into_iter()
            .find(|same_site| value.eq_ignore_ascii_case(same_site.as_str()))
            .ok_or(UnknownSameSite)
    }
}

/// The names and attributes of both cookies. `HttpOnly` is always set.
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
    /// Name of the access token cookie.
    pub access_name: String,
    /// Name of the refresh token cookie.
    pub refresh_name: String,
    /// The `Secure` attribute.
    pub secure: bool,
    /// The `SameSite` attribute.
    pub same_site: SameSite,
    /// The `Domain` attribute; `None` limits the cookies to this host.
    pub domain: Option<String>,
    /// The `Path` attribute.
    pub path: String,
    /// The `Partitioned` attribute (CHIPS).
    pub partitioned: bool,
}

/// `access_token` and `refresh_token`, for this host only, `Secure` and `SameSite=Strict`.
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
    /// Return the name of the cookie for this kind of token.
    pub fn name(&self, kind: TokenKind) -> &str {
        match kind {
            TokenKind::Access => &self.access_name,
            TokenKind::Refresh => &self.refresh_name,
        }
    }

    /// Set the names of the access token and refresh token cookies.
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

    /// Return every reason for which browsers would drop these cookies or confuse one with the other.
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

/// Why browsers would drop cookies with these attributes, or confuse one with the other.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// A name is empty, longer than [`MAX_COOKIE_NAME_LENGTH`](crate::MAX_COOKIE_NAME_LENGTH), or contains a byte that
    /// is not allowed in a `token` (RFC 6265 §4.1.1).
    #[error("{0:?} is not a cookie name")]
    InvalidName(String),
    /// Both cookies have the same name.
    #[error("the access and refresh tokens need cookies with different names, not {0:?} twice")]
    SameName(String),
    /// Browsers accept `SameSite=None` only with `Secure` (RFC 6265bis §5.7).
    #[error("SameSite=None needs Secure")]
    NoneWithoutSecure,
    /// Browsers drop a `__Secure-` or `__Host-` cookie without `Secure` (RFC 6265bis §4.1.3).
    #[error("a cookie named {0:?} needs Secure")]
    PrefixWithoutSecure(String),
    /// Browsers drop a `__Host-` cookie with a `Domain`, or with a `Path` other than `/` (RFC 6265bis §4.1.3.2).
    #[error("a cookie named {0:?} must not have a Domain, and its Path must be \"/\"")]
    HostPrefixWithScope(String),
    /// Browsers accept `Partitioned` only with `Secure` (CHIPS).
    #[error("Partitioned needs Secure")]
    PartitionedWithoutSecure,
    /// The domain or path contains a character that would end the attribute.
    #[error("Domain or Path contains a character that is not allowed in a cookie attribute")]
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

/// Return the name and value of each cookie in one raw `Cookie` field value, in order (RFC 6265 §5.4).
///
/// Names and values are the octets that the browser sent; octets beyond ASCII are opaque. Only spaces and tabs are
/// trimmed, as in browsers (RFC 6265 §5.2). A framework that also strips Unicode spaces would read
/// `\u{2000}__Host-name`, which any sibling host may set, as `__Host-name`. One pair of double quotes around a value is
/// removed.
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
        // memchr uses vector instructions. Byte by byte, scanning two tokens takes a tenth of the time of verifying
        // them.
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

/// Trim spaces and tabs only, the white space of a cookie (`OWS`, RFC 9110 §5.6.3).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Return whether the name has this prefix; case does not matter, as in browsers (RFC 6265bis §5.7).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Return whether the byte is a `tchar` (RFC 9110 §5.6.2).
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
    fn unprefixed_names_are_valid_with_any_scope() {
        let scoped = CookiePolicy { domain: Some("example.com".to_owned()), path: "/app".to_owned(), ..policy() };
        assert_eq!(codes(&scoped), [""; 0]);
        assert_eq!(codes(&CookiePolicy { secure: false, ..policy() }), [""; 0]);
    }

    #[test]
    fn each_attribute_can_be_set() {
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
    fn host_prefix_needs_secure_no_domain_and_the_root_path() {
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
    fn secure_prefix_needs_secure() {
        for name in ["__Secure-refresh", "__Http-refresh"] {
            let insecure = CookiePolicy { refresh_name: name.to_owned(), secure: false, ..policy() };
            assert_eq!(codes(&insecure), ["cookie_prefix_without_secure"]);
        }
    }

    #[test]
    fn same_site_none_and_partitioned_need_secure() {
        let insecure = CookiePolicy { secure: false, same_site: SameSite::None, partitioned: true, ..policy() };
        assert_eq!(codes(&insecure), ["samesite_none_without_secure", "partitioned_without_secure"]);
    }

    #[test]
    fn names_must_differ_and_be_tokens() {
        let same = CookiePolicy { refresh_name: "access_token".to_owned(), ..policy() };
        assert_eq!(codes(&same), ["cookie_names_equal"]);
        for name in ["", "a b", "a=b", "a;b", "é", &"a".repeat(129)] {
            let invalid = CookiePolicy { access_name: name.to_owned(), ..policy() };
            assert_eq!(codes(&invalid), ["cookie_name_invalid"], "{name}");
        }
    }

    #[test]
    fn domain_and_path_cannot_smuggle_attributes() {
        assert_eq!(codes(&CookiePolicy { path: "/; HttpOnly".to_owned(), ..policy() }), ["cookie_scope_invalid"]);
        let domain = CookiePolicy { domain: Some("a\r\nSet-Cookie: b".to_owned()), ..policy() };
        assert_eq!(codes(&domain), ["cookie_scope_invalid"]);
    }

    #[test]
    fn same_site_is_case_insensitive() {
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
    fn only_spaces_tabs_and_one_pair_of_quotes_are_removed() {
        assert_eq!(pairs(b" a\t= 1=2 "), [(&b"a"[..], &b"1=2"[..])]);
        assert_eq!(pairs(b";;a=\"\"; a=\"\"1\"\"; a=\"; a;"), [(&b"a"[..], &b""[..]), (b"a", b"\"1\""), (b"a", b"\"")]);
        assert_eq!(pairs(b""), []);
        assert_eq!(pairs(b"=1"), [(&b""[..], &b"1"[..])]);
    }

    #[test]
    fn other_white_space_is_part_of_the_name() {
        let spaces =
            ["\u{2000}", "\u{a0}", "\u{1680}", "\u{2028}", "\u{3000}", "\u{85}", "\u{1c}", "\u{1f}", "\u{b}", "\u{c}"];
        for space in spaces {
            for field in [format!("{space}a=1"), format!("a{space}=1")] {
                assert_eq!(values(field.as_bytes(), "a"), [b""; 0], "{field:?}");
            }
        }
        // A framework that decodes fields as Latin-1 passes on the octets of U+0085 and U+00A0 unchanged.
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
    fn every_cookie_with_the_same_name_is_returned() {
        let field = b"a=1; b=2;a=\"3\" ; aa=4; a; a=";
        assert_eq!(values(field, "a"), [&b"1"[..], b"3", b""]);
        assert_eq!(values(field, "A"), [b""; 0]);
        assert_eq!(values(field, "c"), [b""; 0]);
    }
}
