//! The head of a request.

use std::fmt;

/// The largest body that proxies forward promptly, in bytes.
const MAX_PROMPT_BODY: u64 = 64 * 1024;

/// The version of HTTP, which decides how a request's body is delimited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1 and earlier: the head tells whether the request has a body (RFC 9112 §6.3).
    #[default]
    Http1,
    /// HTTP/2: a body needs neither a length nor a transfer encoding (RFC 9113 §8.1).
    Http2,
    /// HTTP/3: as in HTTP/2 (RFC 9114 §4.1).
    Http3,
}

impl HttpVersion {
    /// Parse `2`, `2.0` or `HTTP/2`, as in ASGI's `http_version` and CGI's `SERVER_PROTOCOL`. Any version other than 2
    /// and 3 is read as 1.
    pub fn parse(version: &str) -> Self {
        let number = version.rsplit('/').next().unwrap_or_default();
        match number.split('.').next() {
            Some("2") => Self::Http2,
            Some("3") => Self::Http3,
            _ => Self::Http1,
        }
    }
}

/// The scheme by which a request presents an access token in `Authorization`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// `Bearer` (RFC 6750 §2.1): the token alone is enough.
    Bearer,
    /// `DPoP` (RFC 9449 §7.1): the token is accepted with a proof of the key to which it is bound.
    Dpop,
}

impl Scheme {
    /// Return the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// The request header by which a page says that [the user did not cause the request](Head::is_activity).
pub const ACTIVITY_HEADER: &str = "x-jwtauth-activity";

/// The parts of a request's head that authentication reads.
///
/// Join the values of a header that occurs several times with commas (RFC 9110 §5.2), as frameworks do. Only the
/// `Cookie` fields are kept apart. Replace a value that is not Unicode text; do not leave it out, since the header is
/// present.
///
/// ```
/// use jwtauth::{Head, HttpVersion};
///
/// let mut head = Head::new("POST");
/// head.version = HttpVersion::Http2;
/// head.cookies = &[b"access_token=abc"];
/// assert!(head.is_upload(), "its length is unknown");
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path of the URL, with escapes decoded. It is read only with `Authorization: DPoP`.
    pub path: &'a str,
    /// The version of HTTP.
    pub version: HttpVersion,
    /// The raw values of the `Cookie` fields. HTTP/2 may send several (RFC 9113 §8.2.3).
    pub cookies: &'a [&'a [u8]],
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `DPoP` (RFC 9449 §4.1).
    pub dpop: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub sec_fetch_site: Option<&'a str>,
    /// `Upgrade`.
    pub upgrade: Option<&'a str>,
    /// `Content-Length`.
    pub content_length: Option<&'a str>,
    /// `Transfer-Encoding`.
    pub transfer_encoding: Option<&'a str>,
    /// [`RENDER_SECRET_HEADER`](crate::RENDER_SECRET_HEADER).
    pub render_secret: Option<&'a str>,
    /// [`ACTIVITY_HEADER`].
    pub activity: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Create the head of an HTTP/1.1 request with this method and without headers.
    pub const fn new(method: &'a str) -> Self {
        Self {
            method,
            path: "",
            version: HttpVersion::Http1,
            cookies: &[],
            authorization: None,
            dpop: None,
            origin: None,
            sec_fetch_site: None,
            upgrade: None,
            content_length: None,
            transfer_encoding: None,
            render_secret: None,
            activity: None,
        }
    }

    /// Return whether the request is an activity of the user. A page that polls says that it is not, by
    /// [`ACTIVITY_HEADER`]`: none`. Such a request is authenticated, and its refresh token rotated, as any other, but the
    /// session ends or locks as if it had not been made.
    pub fn is_activity(&self) -> bool {
        !self.activity.is_some_and(|activity| activity.trim().eq_ignore_ascii_case("none"))
    }

    /// Return whether the method is safe: `GET`, `HEAD` or `OPTIONS`.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS")
    }

    /// Return whether the request is a WebSocket handshake, in HTTP/1.1 (RFC 6455 §4.1) or later (RFC 8441 §4).
    pub fn is_websocket(&self) -> bool {
        self.method == "CONNECT"
            || self.upgrade.is_some_and(|protocols| {
                protocols.split(',').any(|it| it.trim().get(..9).is_some_and(|it| it.eq_ignore_ascii_case("websocket")))
            })
    }

    /// Return whether the request is an upload: a `POST`, `PUT` or `PATCH` whose body is over 64 KiB or of unknown
    /// length.
    ///
    /// A proxy may have held the body of an upload back for minutes, so its cookies may be legitimately old. In HTTP/1
    /// the head alone decides (RFC 9112 §6.3): without either header, the request has no body. In HTTP/2 and 3, a body
    /// without a `Content-Length` is of unknown length. A `Content-Length` that is not a number counts as unknown.
    pub fn is_upload(&self) -> bool {
        if !matches!(self.method, "POST" | "PUT" | "PATCH") {
            return false;
        }
        match self.content_length.map(str::trim).filter(|length| !length.is_empty()) {
            _ if self.transfer_encoding.is_some_and(|encoding| !encoding.is_empty()) => true,
            Some(length) => !is_prompt(length),
            None => self.version != HttpVersion::Http1,
        }
    }

    /// Return the token of `Authorization: Bearer` (RFC 6750 §2.1) or `DPoP` (RFC 9449 §7.1), and its scheme. The case of
    /// the scheme does not matter.
    pub fn token(&self) -> Option<(Scheme, &'a str)> {
        let value = self.authorization?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let scheme = [Scheme::Bearer, Scheme::Dpop].into_iter().find(|it| scheme.eq_ignore_ascii_case(it.as_str()))?;
        Some((scheme, token.trim_matches(' ')))
    }
}

/// Return whether proxies forward a body with this `Content-Length` promptly.
fn is_prompt(length: &str) -> bool {
    length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u64>().is_ok_and(|it| it <= MAX_PROMPT_BODY)
}

/// Leaves out headers that may hold a token or a secret.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("origin", &self.origin)
            .field("sec_fetch_site", &self.sec_fetch_site)
            .field("upgrade", &self.upgrade)
            .field("content_length", &self.content_length)
            .field("transfer_encoding", &self.transfer_encoding)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: Head<'_> = Head::new("POST");

    #[test]
    fn only_post_put_and_patch_are_uploads() {
        for method in ["POST", "PUT", "PATCH"] {
            assert!(Head { method, transfer_encoding: Some("chunked"), ..POST }.is_upload(), "{method}");
        }
        for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "post", ""] {
            for version in [HttpVersion::Http1, HttpVersion::Http2, HttpVersion::Http3] {
                let chunked = Head { method, version, transfer_encoding: Some("chunked"), ..POST };
                assert!(!chunked.is_upload(), "{method}");
                assert!(!Head { content_length: Some("65537"), ..chunked }.is_upload(), "{method}");
            }
        }
    }

    #[test]
    fn request_with_body_over_64_kib_or_of_unknown_length_is_an_upload() {
        let of = |content_length| Head { content_length: Some(content_length), ..POST }.is_upload();
        for length in ["0", "65536", " 65536 ", "", " "] {
            assert!(!of(length), "{length:?}");
        }
        for length in ["65537", "18446744073709551616", "-1", "+1", "x", "1,1"] {
            assert!(of(length), "{length:?}");
        }
        assert!(Head { content_length: Some("1"), transfer_encoding: Some("chunked"), ..POST }.is_upload());
        assert!(!Head { transfer_encoding: Some(""), ..POST }.is_upload());
    }

    #[test]
    fn missing_length_means_no_body_in_http_1_and_unknown_length_later() {
        assert!(!POST.is_upload());
        for version in [HttpVersion::Http2, HttpVersion::Http3] {
            assert!(Head { version, ..POST }.is_upload());
            assert!(Head { version, content_length: Some(""), ..POST }.is_upload());
            assert!(!Head { version, content_length: Some("10"), ..POST }.is_upload());
        }
    }

    #[test]
    fn http_versions_are_parsed_as_servers_write_them() {
        for (text, version) in [
            ("1.1", HttpVersion::Http1),
            ("HTTP/1.0", HttpVersion::Http1),
            ("2", HttpVersion::Http2),
            ("2.0", HttpVersion::Http2),
            ("HTTP/2", HttpVersion::Http2),
            ("HTTP/2.0", HttpVersion::Http2),
            ("3", HttpVersion::Http3),
            ("HTTP/3", HttpVersion::Http3),
            ("20", HttpVersion::Http1),
            ("INCLUDED", HttpVersion::Http1),
            ("", HttpVersion::Http1),
        ] {
            assert_eq!(HttpVersion::parse(text), version, "{text}");
        }
    }

    #[test]
    fn handshake_is_recognised_among_other_protocols() {
        let upgrade = |upgrade| Head { upgrade: Some(upgrade), ..Head::new("GET") }.is_websocket();
        for handshake in ["websocket", "WebSocket", "h2c, websocket", "h2c,websocket/13"] {
            assert!(upgrade(handshake), "{handshake}");
        }
        for other in ["", "h2c", "web socket", "é"] {
            assert!(!upgrade(other), "{other}");
        }
        assert!(Head::new("CONNECT").is_websocket());
    }

    #[test]
    fn schemes_are_case_insensitive() {
        let token = |authorization| Head { authorization: Some(authorization), ..POST }.token();
        for named in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(token(named), Some((Scheme::Bearer, "a.b.c")), "{named}");
        }
        for named in ["DPoP a.b.c", "dpop a.b.c", "DPOP   a.b.c "] {
            assert_eq!(token(named), Some((Scheme::Dpop, "a.b.c")), "{named}");
        }
        assert_eq!(token("Bearer"), Some((Scheme::Bearer, "")));
        assert_eq!(token("DPoP"), Some((Scheme::Dpop, "")));
        for other in ["", "Basic a", "Bearer\ta", "Token a", "Bearera", "DPoPa", "DP oP a"] {
            assert_eq!(token(other), None, "{other}");
        }
    }

    #[test]
    fn debug_leaves_out_headers_that_may_hold_a_token() {
        let head = Head {
            cookies: &[b"a=secret"],
            authorization: Some("Bearer secret"),
            render_secret: Some("secret"),
            ..POST
        };
        assert!(!format!("{head:?}").contains("secret"));
    }
}
